"""Which canonical stage a live stage looks like. Shows why, applies nothing, never proposes a terminal class unasked.

Source: the stages page §2 (words) and §3 (rules). Only the field's general words are here: an org's own labels belong into its mapping.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rapidfuzz import fuzz

from connector.crms.base import Stage
from connector.mapping.values import holds, words
from connector.model.ladder import Ladder

NAMES: Mapping[str, tuple[str, ...]] = {
    "lead": ("lead", "new lead", "target", "prospect", "prospecting", "mql"),
    "qualified_meeting": (
        "qualification", "qualified", "discovery", "needs analysis", "first meeting", "meeting scheduled", "initial assessment",
        "appointment scheduled", "qualified to buy",
    ),
    "demo": ("demo", "demonstration", "presentation", "presentation scheduled", "in-service", "solution fit"),
    "clinical_validation": ("clinical validation", "clinical evaluation", "clinical fit", "clinical review"),
    "pilot": ("pilot", "poc", "proof of concept", "evaluation", "30-day evaluation", "trial", "free trial", "product trial", "cadaver lab"),
    "security_review": (
        "security review", "security questionnaire", "infosec", "technical validation", "it review", "hitrust", "soc 2", "vendor risk assessment",
    ),
    "compliance_legal": ("legal", "legal review", "compliance assessment", "privacy review", "baa", "dpa"),
    "vac": ("vac", "value analysis", "new product committee", "product committee", "p&t committee", "capital committee"),
    "procurement": ("procurement", "gpo", "supply chain", "tender", "rfp", "budget approval", "purchase order"),
    "contracting": ("contracting", "proposal", "negotiation", "contract sent", "redlines"),
    "verbal": ("verbal", "loi", "letter of intent", "commit", "commitment"),
    "on_hold": ("on hold", "deferred", "paused", "nurture", "frozen"),
}  # fmt: skip
REFUSALS = ("not", "no", "lost", "risk", "competitor", "competitors", "competing", "stopped", "declined", "rejected")
"""Words that turn a label against what the rest of it says: nothing is suggested then."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """``score`` 0–100; ``why``: the phrase that matched."""

    stage: str
    label: str
    canonical: str
    score: int
    why: str


def suggest(live: Iterable[Stage], mapped: Iterable[str], ladder: Ladder, min_score: int = 80) -> list[Suggestion]:
    """The best canonical stage of each live, open stage that is not mapped yet; nothing below ``min_score``.

    Closed stages, and rungs of a terminal or post-sale kind, are left to a person. A whole-word phrase scores by the share of the
    label it covers, from 80; without one, a typing error is forgiven by edit distance to the whole phrase.
    """
    known = set(mapped)
    found = (_best(stage, ladder) for stage in live if stage.active and not stage.closed and stage.id not in known)
    return [s for s in found if s is not None and s.score >= min_score]


def _best(stage: Stage, ladder: Ladder) -> Suggestion | None:
    label = words(stage.label)
    if any(holds(label, refusal) for refusal in REFUSALS) or (stage.probability is not None and stage.probability >= 1):
        return None
    scored = [
        (_score(label, phrase), len(phrase), key, phrase)
        for key, phrases in NAMES.items()
        if key in ladder.rungs and ladder.rungs[key].kind in ("sequential", "gate", "parked")
        for phrase in phrases
    ]
    if not scored:
        return None
    best = max(scored, key=lambda row: (row[0], row[1]))
    rivals = {row[2] for row in scored if row[0] == best[0] and row[1] == best[1]}
    if len(rivals) > 1:
        return None
    return Suggestion(stage.id, stage.label, best[2], best[0], f'"{best[3]}"')


def _score(label: str, phrase: str) -> int:
    if holds(label, phrase):
        return 80 + round(20 * len(words(phrase).strip()) / len(label.strip()))
    typo = fuzz.ratio(label.strip(), words(phrase).strip())
    return round(typo) if typo >= 92 and len(phrase) >= 5 else 0
