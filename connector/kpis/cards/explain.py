"""Why a scorecard says what it says: per key, the rows and settings it rests on, in plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from connector.kpis.benchmarks import Chance
from connector.kpis.book.book import Book, derived
from connector.kpis.cards.text import day_text, labels_of, stage_label
from connector.kpis.questions.conversion import pilot_spans, running_pilots, visited_pilots
from connector.kpis.questions.programme import data_gaps
from connector.kpis.questions.results import with_capital
from connector.kpis.stats import Curve


@dataclass(frozen=True, slots=True)
class Gate:
    """One open gate of a deal."""

    key: str
    label: str
    since: date
    days: int
    compliance: bool


@dataclass(frozen=True, slots=True)
class Context:
    """What one scorecard was made from: the deal's row of ``pipeline.weighted``, benchmark curve and its segment, chance, open gates, touches."""

    book: Book
    row: dict[str, Any]
    usual: tuple[Curve, str | None] | None
    chance: Chance | None
    gates: tuple[Gate, ...]
    touches: int | None


class Why(Mapping[str, list[str]]):
    """Manifest key → sentences, worked out when asked for: a plan asks only for what changes."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __getitem__(self, key: str) -> list[str]:
        return list(PARTS[key](self._context))

    def __iter__(self) -> Iterator[str]:
        return iter(PARTS)

    def __len__(self) -> int:
        return len(PARTS)


def _grouped(rows: pl.DataFrame, *columns: str) -> dict[str, list[tuple[Any, ...]]]:
    """Deal → its rows, as tuples of these columns."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for id, *values in rows.select("opportunity", *columns).iter_rows():
        found.setdefault(id, []).append(tuple(values))
    return found


@derived
def _visits(book: Book) -> dict[str, list[tuple[Any, ...]]]:
    return _grouped(book.visits, "id", "stage", "raw_stage", "entered")


@derived
def _demands(book: Book) -> dict[str, list[tuple[Any, ...]]]:
    return _grouped(book.demands, "gate", "required", "approved")


@derived
def _roles(book: Book) -> dict[str, list[tuple[Any, ...]]]:
    return _grouped(book.roles, "contact", "persona", "added_on")


@derived
def _last_touches(book: Book) -> dict[str, list[tuple[Any, ...]]]:
    touches = book.activities.filter(pl.col("two_way") & pl.col("opportunity").is_not_null())
    return _grouped(touches.unique("opportunity", keep="last", maintain_order=True), "id", "kind", "on", "outcome", "direction")


@derived
def _later_closes(book: Book) -> dict[str, list[tuple[Any, ...]]]:
    return _grouped(book.pushes.sort("old"), "old", "new")


@derived
def _moves_back(book: Book) -> dict[str, list[tuple[Any, ...]]]:
    return _grouped(book.moves.filter("regression"), "stage", "to_stage", "moved")


@derived
def _money(book: Book) -> dict[str, tuple[Any, ...]]:
    """Deal → (arr, arr_why, capital, capital_why)."""
    return {id: tuple(values) for id, *values in with_capital(book).select("id", "arr", "arr_why", "capital", "capital_why").iter_rows()}


def pilot_sentences(book: Book, id: str) -> Iterator[str]:
    """What the first and the last day of a deal's pilots rest on. For deals of any class."""
    began, ended = pilot_spans(book).get(id, (None, None))
    if began is None:
        yield "no pilot: neither a visit to the stage nor a start date"
        return
    source = "visits to the stage" if id in visited_pilots(book) else "the deal's pilot dates"
    yield f"pilot from {began} " + ("on, still running" if ended is None else f"to {ended}") + f", from {source}"


def blended_sentences(book: Book, id: str) -> Iterator[str]:
    """The two parts of a deal's blended ARR, or why one is not known. For deals of any class."""
    arr, arr_why, capital, capital_why = _money(book)[id]
    years, currency = book.settings.money.capital_normalisation_years, book.rates.reporting
    yield f"ARR not known: {arr_why}" if arr is None else f"ARR {arr:,.2f} {currency}"
    yield f"capital not known: {capital_why}" if capital is None else f"capital {capital:,.2f} {currency} over {years:g} years"


def _mine(context: Context, grouped: Callable[[Book], dict[str, list[tuple[Any, ...]]]]) -> list[tuple[Any, ...]]:
    return grouped(context.book).get(context.row["id"], [])


def _stage(context: Context) -> Iterator[str]:
    stays = _mine(context, _visits)
    if not stays:
        yield "no stage history; the stage is the deal's present one"
        return
    row, stage, raw, entered = stays[-1]
    source = f"history row {row}" if row else "stage history"
    yield f"in {stage_label(context.book.ladder, stage)} since {entered} ({source}, {raw or stage})"
    again = sum(1 for _, other, *_ in stays if other == stage)
    if again > 1:
        yield f"visit {again} to this stage; the clock starts with it"


def _benchmark(context: Context) -> Iterator[str]:
    if context.usual is None:
        yield "no benchmark: parked, unmapped, or nobody of this type was in the stage"
        return
    curve, segment = context.usual
    told = "not reached" if curve.median is None else f"{curve.median:g} d"
    yield f"benchmark {told} (n={curve.n}, {segment or 'all segments'}, {curve.running} running), Kaplan–Meier median of the stage"


def _pace(context: Context) -> Iterator[str]:
    days, limits = context.row["stage_days"], context.book.settings.thresholds.pace
    if days is not None:
        yield f"{days} d in {stage_label(context.book.ladder, context.row['stage'])} since {context.row['entered']}"
    yield from _benchmark(context)
    if days is not None and context.usual and context.usual[0].median:
        median = context.usual[0].median
        yield f"pace {days} / {median:g} = {days / median:.1f}; slow above {limits.slow:g}, stuck from {limits.stuck:g}"


def _stale(context: Context) -> Iterator[str]:
    row = context.row
    if row["stage_age"]:
        yield f"{row['stage_days']} d in stage, limit {row['stage_limit']} d"
    if row["close_date_past"]:
        yield f"close date {row['closes_on']} lies before {context.book.today}"
    if row["no_buyer_activity"]:
        since = row["last_buyer"] or row["created"]
        yield f"no buyer activity since {since}, limit {context.book.settings.thresholds.buyer_silence_days} d"


def _gates(context: Context, *, compliance: bool = False) -> Iterator[str]:
    for gate in context.gates:
        if gate.compliance or not compliance:
            yield f"{gate.label} opened {gate.since}, undecided for {gate.days} d{' (compliance gate)' if gate.compliance else ''}"


def _progress(context: Context) -> Iterator[str]:
    segment = context.row["segment"]
    of_segment = context.book.ladder.required.get(segment or "")
    yield f"required of {segment or 'an unknown segment'}: {', '.join(of_segment.gates) if of_segment and of_segment.gates else 'nothing'}"
    for gate, required, approved in _mine(context, _demands):
        if approved or required:
            yield f"{gate}: {'approved' if approved else required}"


def _personas(context: Context) -> Iterator[str]:
    for contact, persona, added in _mine(context, _roles):
        yield f"contact {contact}: {persona or 'unknown'}" + (f", on the deal since {added}" if added else ", no date")


def _missing(context: Context) -> Iterator[str]:
    segment = context.row["segment"]
    required = context.book.settings.required_personas.get(segment or "", ())
    yield f"required of {segment or 'an unknown segment'}: {labels_of(sorted(required)) or 'nothing'} (required_personas)"


def _last_touch(context: Context) -> Iterator[str]:
    touches = _mine(context, _last_touches)
    if not touches:
        yield "no two-way touch on the deal"
    for id, kind, on, outcome, direction in touches:
        told = outcome or direction
        yield f"{kind} {id} on {on}" + (f", {told}" if told else "")


def _density(context: Context) -> Iterator[str]:
    if context.touches is not None:
        yield f"{context.touches} touches in {context.row['stage_days']} d of the present visit"


def _pushes(context: Context) -> Iterator[str]:
    for old, new in _mine(context, _later_closes):
        yield f"close date moved from {old} to {new}"


def _regressions(context: Context) -> Iterator[str]:
    ladder = context.book.ladder
    for start, end, moved in _mine(context, _moves_back):
        yield f"{stage_label(ladder, start)} → {stage_label(ladder, end)} on {day_text(moved)}"


def _chance(context: Context) -> Iterator[str]:
    chance = context.chance
    if chance is None:
        yield "no closed deal of this type ever visited the stage"
        return
    m = context.book.settings.probability.shrinkage
    share = f"{chance.wins} of {chance.n} closed deals that visited the stage were won"
    yield f"{share} ({chance.segment or 'all segments'}), shrunk by {m:g} towards the rate of the deal type"


def _weighted(context: Context) -> Iterator[str]:
    row = context.row
    if row["weighted_why"]:
        yield f"left out: {row['weighted_why']}"
    else:
        policy = context.book.settings.probability.policy
        yield f"{row['amount']:,.2f} {context.book.rates.reporting} × p by policy {policy} = {row['weighted']:,.2f}"


def _gaps(context: Context) -> Iterator[str]:
    lacking, required = data_gaps(context.book)[context.row["id"]]
    yield f"{required - len(lacking)} of {required} required fields are filled"


def _compliance(context: Context) -> Iterator[str]:
    return _gates(context, compliance=True)


def _questionnaire(context: Context) -> Iterator[str]:
    received = context.row["security_questionnaire_received_on"]
    if received is not None:
        yield f"received on {received}, from the deal's own field"


def _pilot(context: Context) -> Iterator[str]:
    days = running_pilots(context.book).get(context.row["id"])
    if days is not None:
        yield f"pilot runs, {days} d so far, limit {context.book.settings.thresholds.pilot_limit_days} d"


def _pilot_span(context: Context) -> Iterator[str]:
    return pilot_sentences(context.book, context.row["id"])


def _blended(context: Context) -> Iterator[str]:
    return blended_sentences(context.book, context.row["id"])


PARTS: Mapping[str, Callable[[Context], Iterator[str]]] = {
    "stage": _stage, "stage_entered_on": _stage, "days_in_stage": _stage, "stage_benchmark_days": _benchmark, "pace": _pace,
    "stale_reason": _stale, "open_gates": _gates, "gate_progress": _progress, "compliance_since": _compliance,
    "secq_received_on": _questionnaire, "pilot_limit_on": _pilot, "personas": _personas, "personas_missing": _missing,
    "last_buyer_activity": _last_touch, "touch_density": _density, "regressions": _regressions, "close_pushes": _pushes,
    "win_chance": _chance, "win_chance_n": _chance, "weighted_amount": _weighted, "data_gaps": _gaps,
    "pilot_started_on": _pilot_span, "pilot_ended_on": _pilot_span, "blended_arr": _blended,
}  # fmt: skip
"""Key of a scorecard → how its sentences are made."""
