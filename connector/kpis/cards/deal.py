"""The scorecard of every open deal: what a rep sees in the CRM (scorecard-fields.md section 1), and why."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from connector.kpis.benchmarks import Chance, stage_benchmark, win_chance
from connector.kpis.book.book import Book, derived
from connector.kpis.cards.explain import Context, Gate, Why
from connector.kpis.cards.text import day_text, labels_of, stage_label
from connector.kpis.questions.compliance import reviews
from connector.kpis.questions.conversion import pilot_spans, running_pilots
from connector.kpis.questions.engagement import personas_lacking, personas_of, present_touches
from connector.kpis.questions.pipeline import weighted
from connector.kpis.questions.programme import FIELDS, data_gaps
from connector.kpis.questions.results import recurring_and_capital
from connector.kpis.questions.speed import pushes, regressions
from connector.kpis.questions.stage_times import paces
from connector.kpis.stats import Curve

BESIDE_GOLDEN = frozenset({"pilot_started_on", "pilot_ended_on", "blended_arr", "context"})
"""Fields of a scorecard that the golden file does not know: the CRM's formulas stand on them, or show them."""


@dataclass(frozen=True, slots=True)
class Scorecard:
    """One open deal. The fields up to ``data_gaps`` are the manifest keys; ``text``: the text fields as a rep reads them (not cut);
    ``pilot_started_on`` to ``blended_arr``: written only where the CRM has nothing of its own; the rest is shown, not written. Unrounded; None:
    unknown or not applicable, never 0. Money is in the reporting currency.
    """

    stage: str | None
    stage_entered_on: date | None
    stage_benchmark_days: float | None
    pace: str | None
    stale_reason: list[str]
    open_gates: list[dict[str, Any]]  # {gate, since}
    gate_progress: float | None
    compliance_since: date | None
    secq_received_on: date | None
    pilot_limit_on: date | None
    personas: list[str]
    personas_missing: list[str] | None
    last_buyer_activity: date | None
    touch_density: float | None
    regressions: int
    close_pushes: int
    win_chance: float | None
    win_chance_n: int | None
    data_gaps: list[str]
    text: dict[str, str | None]
    days_in_stage: int | None
    deal_age: int | None
    compliance_days: int
    touches_in_stage: int | None
    weighted_amount: float | None
    stale: bool
    pilot_started_on: date | None
    pilot_ended_on: date | None
    blended_arr: Decimal | None
    context: Context

    @property
    def why(self) -> Why:
        """Per key, in plain words, what the value rests on, with the rows it came from; made when asked for."""
        return Why(self.context)

    def as_dict(self) -> dict[str, Any]:
        """Exactly the keys of the golden file's ``expected_scorecards``, ready for JSON (dates ISO)."""
        return {f.name: _json(getattr(self, f.name)) for f in fields(self) if f.name not in BESIDE_GOLDEN}


def _json(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list):
        return [_json(item) for item in value]
    return {key: _json(item) for key, item in value.items()} if isinstance(value, dict) else value


def scorecards(book: Book) -> dict[str, Scorecard]:
    """Opportunity id → scorecard, for every open deal of any type."""
    return {row["id"]: _card(book, row) for row in weighted(book).iter_rows(named=True)}


def _card(book: Book, row: dict[str, Any]) -> Scorecard:
    id, stage, days = row["id"], row["stage"], row["stage_days"]
    parked = row["kind"] == "parked"
    usual = None if stage is None or parked else stage_benchmark(book, row["deal_type"], stage, row["segment"])
    chance = win_chance(book, row["deal_type"], stage, row["segment"])
    gates = open_gates(book).get(id, [])
    touches, touch_days = present_touches(book).get(id, (None, 0))
    lacking, gaps, stale = personas_lacking(book)[id][0], data_gaps(book)[id][0], _stale_reasons(row)
    review = reviews(book).get(id)
    pilot_began, pilot_ended = pilot_spans(book).get(id, (None, None))
    context = _context(book, row, usual, chance, gates, touches)
    return Scorecard(
        stage=stage,
        stage_entered_on=row["entered"],
        stage_benchmark_days=usual[0].median if usual else None,
        pace=paces(book)[id][1],
        stale_reason=stale,
        open_gates=[{"gate": gate.key, "since": gate.since} for gate in gates],
        gate_progress=gate_progress(book, id, row["segment"]),
        compliance_since=min((gate.since for gate in gates if gate.compliance), default=None),
        secq_received_on=row["security_questionnaire_received_on"],
        pilot_limit_on=pilot_limits(book).get(id),
        personas=personas_of(book)[id],
        personas_missing=lacking,
        last_buyer_activity=row["last_buyer"],
        touch_density=None if touches is None or not touch_days else touches / touch_days * 30,
        regressions=regressions(book)[id],
        close_pushes=pushes(book)[id],
        win_chance=chance.value if chance else None,
        win_chance_n=chance.n if chance else None,
        data_gaps=gaps,
        text={
            "stage": None if stage is None else book.ladder.label(stage),
            "open_gates": ", ".join(f"{gate.label} since {day_text(gate.since)}" for gate in gates),
            "personas": labels_of(personas_of(book)[id]),
            "personas_missing": None if lacking is None else labels_of(lacking),
            "stale_reason": "; ".join(_stale_text(book, row, reason) for reason in stale),
            "data_gaps": ", ".join(FIELDS.get(key, key) for key in gaps),
        },
        days_in_stage=days,
        deal_age=None if row["created"] is None else (book.today - row["created"]).days,
        compliance_days=review.union if review else 0,
        touches_in_stage=touches,
        weighted_amount=None if row["weighted"] is None else float(row["weighted"]),
        stale=row["stale"],
        pilot_started_on=pilot_began,
        pilot_ended_on=pilot_ended,
        blended_arr=recurring_and_capital(book)[id],
        context=context,
    )


def _context(
    book: Book, row: dict[str, Any], usual: tuple[Curve, str | None] | None, chance: Chance | None, gates: list[Gate], touches: int | None
) -> Context:
    return Context(book, row, usual, chance, tuple(gates), touches)


def _stale_reasons(row: dict[str, Any]) -> list[str]:
    return [reason for reason in ("stage_age", "close_date_past", "no_buyer_activity") if row[reason]]


def _stale_text(book: Book, row: dict[str, Any], reason: str) -> str:
    if reason == "stage_age":
        return f"in {stage_label(book.ladder, row['stage'])} since {day_text(row['entered'])}"
    if reason == "close_date_past":
        return f"close date {day_text(row['closes_on'])} is past"
    return "no buyer activity" if row["last_buyer"] is None else f"no buyer activity since {day_text(row['last_buyer'])}"


@derived
def open_gates(book: Book) -> dict[str, list[Gate]]:
    """Open deal → its open gates, by (date, gate key); several attempts of one gate are one, since the first."""
    found: dict[str, dict[str, Gate]] = {}
    known = book.ladder.gate_by_key
    for id, gate, opened, days, compliance in book.gates.filter("open").select("opportunity", "gate", "opened", "days", "compliance").iter_rows():
        label = known[gate].label if gate in known else gate
        found.setdefault(id, {}).setdefault(gate, Gate(gate, label, opened, days, compliance))
    return {id: sorted(gates.values(), key=lambda gate: (gate.since, gate.key)) for id, gates in found.items()}


@derived
def _gate_facts(book: Book) -> dict[str, tuple[set[str], set[str], set[str]]]:
    """Deal → gates (required, not required, approved) by its own fields."""
    found: dict[str, tuple[set[str], set[str], set[str]]] = {}
    for id, gate, required, approved in book.demands.select("opportunity", "gate", "required", "approved").iter_rows():
        wanted, unwanted, passed = found.setdefault(id, (set(), set(), set()))
        if required in ("required", "not_required"):
            (wanted if required == "required" else unwanted).add(gate)
        if approved:
            passed.add(gate)
    return found


def gate_progress(book: Book, id: str, segment: str | None) -> float | None:
    """Required gates with an approval ÷ required ones (of the segment, after the deal's own demands); None where nothing is required."""
    wanted, unwanted, passed = _gate_facts(book).get(id, (set(), set(), set()))
    of_segment = book.ladder.required.get(segment or "")
    required = ({*of_segment.gates} if of_segment else set()) | wanted
    required -= unwanted
    return len(required & passed) / len(required) if required else None


@derived
def pilot_limits(book: Book) -> dict[str, date]:
    """Open deal with a running pilot → the day its cumulative pilot days reach the limit; it stands still while the pilot runs."""
    limit = book.settings.thresholds.pilot_limit_days
    return {id: book.today + timedelta(days=limit - days) for id, days in running_pilots(book).items()}
