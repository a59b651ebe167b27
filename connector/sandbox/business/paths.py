"""How deals travel: which stages a segment visits, how long it stays, and how a stay ends. Tables and draws, no state."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

SEGMENT_PACE = {"clinic": 0.85, "asc": 1.15, "hospital": 1.6, "university_hospital": 2.0, "idn": 2.3}


@dataclass(frozen=True, slots=True)
class Stay:
    """A stay in a stage. ``days``: median at a pace of 1; ``lost``, ``no_decision``: how often it ends so;
    ``back``: (stage, how often) of a regression; ``visits``: share of deals per segment that come by at all (default all)."""

    stage: str
    days: float
    lost: float = 0.0
    no_decision: float = 0.0
    back: tuple[str, float] | None = None
    deferred: float = 0.0
    visits: dict[str, float] | None = None


PATHS: dict[str, tuple[Stay, ...]] = {
    "capital": (
        Stay("prospect", 16, lost=0.09, no_decision=0.01),
        Stay("discovery", 22, lost=0.08, no_decision=0.03),
        Stay("demo", 24, lost=0.08, no_decision=0.03, back=("discovery", 0.03)),
        Stay("clinical_evaluation", 32, lost=0.05, no_decision=0.02, deferred=0.04,
             visits={"clinic": 0.15, "asc": 0.2, "hospital": 0.4, "university_hospital": 0.75, "idn": 0.5}),
        Stay("pilot", 34, lost=0.08, no_decision=0.02, deferred=0.04, back=("demo", 0.02),
             visits={"clinic": 0.65, "asc": 0.75, "hospital": 0.85, "university_hospital": 0.9, "idn": 0.9}),
        Stay("vac", 42, lost=0.05, no_decision=0.03, deferred=0.07, back=("pilot", 0.12),
             visits={"clinic": 0.08, "asc": 0.35, "hospital": 0.92, "university_hospital": 0.95, "idn": 0.95}),
        Stay("gpo", 24, lost=0.03, no_decision=0.02, deferred=0.05, back=("vac", 0.02),
             visits={"clinic": 0.05, "asc": 0.25, "hospital": 0.6, "university_hospital": 0.6, "idn": 0.8}),
        Stay("contracting", 24, lost=0.05, no_decision=0.02, back=("vac", 0.03)),
        Stay("commit", 10, lost=0.02, visits={"clinic": 0.4, "asc": 0.5, "hospital": 0.75, "university_hospital": 0.8, "idn": 0.8}),
    ),
    "disposables": (
        Stay("prospect", 9, lost=0.10),
        Stay("demo", 14, lost=0.10),
        Stay("pilot", 24, lost=0.09, back=("demo", 0.03),
             visits={"clinic": 0.5, "asc": 0.6, "hospital": 0.8, "university_hospital": 0.9, "idn": 0.9}),
        Stay("contracting", 16, lost=0.07, back=("pilot", 0.03)),
    ),
    "software": (
        Stay("prospect", 14, lost=0.09),
        Stay("discovery", 20, lost=0.08, no_decision=0.03),
        Stay("demo", 20, lost=0.08, no_decision=0.03),
        Stay("security_review", 38, lost=0.05, no_decision=0.03, visits={"clinic": 0.5, "asc": 0.7}),
        Stay("legal_review", 26, lost=0.02, no_decision=0.01, back=("security_review", 0.04), visits={"clinic": 0.4, "asc": 0.6, "hospital": 0.85}),
        Stay("pilot", 55, lost=0.08, no_decision=0.02, visits={"clinic": 0.3, "asc": 0.4, "hospital": 0.6, "university_hospital": 0.7, "idn": 0.7}),
        Stay("contracting", 22, lost=0.05, no_decision=0.02, back=("security_review", 0.05)),
    ),
    "renewals": (
        Stay("renewal_out", 48, lost=0.07),
        Stay("contracting", 20, lost=0.04),
    ),
}  # fmt: skip


def stay(pipeline: str, stage: str) -> Stay:
    """The row of a stage. Raises KeyError for a stage that is no stay (closed, deferred)."""
    for row in PATHS[pipeline]:
        if row.stage == stage:
            return row
    raise KeyError(f"{pipeline}: {stage}")


def dwell(rng: Random, row: Stay, segment: str) -> float:
    """Days in a stage: log-normal around the segment's median, half a day to eight months."""
    days = rng.lognormvariate(0, 0.6) * row.days * SEGMENT_PACE[segment]
    return min(max(days, 0.5), 240.0)


def ending(rng: Random, pipeline: str, stage: str, segment: str, wanted: bool) -> str:
    """How a stay ends: the next stage forward (skipping what the segment does not visit), one back, deferred or a close.

    ``wanted``: the buyer's champion is on board, which nearly halves the losses.
    """
    row = stay(pipeline, stage)
    factor = 0.72 if wanted else 1.4
    draw = rng.random()
    outcomes: list[tuple[str, float]] = [("lost", row.lost * factor), ("no_decision", row.no_decision * factor), ("deferred", row.deferred)]
    if row.back:
        outcomes.append(row.back)
    for name, p in outcomes:
        if draw < p:
            return name
        draw -= p
    return forward(rng, pipeline, stage, segment)


def forward(rng: Random, pipeline: str, stage: str, segment: str) -> str:
    """The next stage the segment visits; ``won`` after the last. Once in a while a stage is jumped over."""
    rows = PATHS[pipeline]
    index = next(i for i, row in enumerate(rows) if row.stage == stage)
    for row in rows[index + 1 :]:
        share = 1.0 if row.visits is None else row.visits.get(segment, 1.0)
        if rng.random() < min(share, 0.97):
            return row.stage
    return "won"


def expected_days(pipeline: str, stage: str, segment: str) -> float:
    """Days to the close as a hopeful rep reckons from a stage: medians of the stays ahead."""
    rows = PATHS[pipeline]
    index = next((i for i, row in enumerate(rows) if row.stage == stage), 0)
    ahead = (row.days * (1.0 if row.visits is None else row.visits.get(segment, 1.0)) for row in rows[index:])
    return sum(ahead) * SEGMENT_PACE[segment]
