"""How long does each stage take? (catalogue 8.3)"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from connector.kpis.benchmarks import stage_benchmark, stays
from connector.kpis.book.book import Book, derived
from connector.kpis.definition import Reason, Row, kpi
from connector.kpis.evidence import of_deals
from connector.kpis.shapes import MEAN_MEDIAN, by, deal, middle, quantiles, survival

MEDTECH, HEALTHTECH, HEALTHCARE = "medtech CRO KPIs", "healthtech CRO KPIs", "healthcare CRO metrics"
TOLD = ("opportunity", "stage", "entered", "left", "days", "done")
"""What evidence says of a visit."""


def _completed(subject: str, part: pl.DataFrame, kinds: dict[str, str]) -> Iterator[Row]:
    """Cumulative days of the deals that have left the stages of these visits; deals still there are pending."""
    sums = part.group_by("opportunity", maintain_order=True).agg(
        pl.col("days").sum(), pl.col("running").any(), pl.col("unseen_start").any(), visits=pl.len()
    )
    known = sums.filter(~pl.col("unseen_start"))
    gone = known.filter(~pl.col("running"))
    unknown = {"no_history": sums.height - known.height}
    told = gone.select("opportunity", "visits", "days")
    yield from middle(subject, "ALL", gone["days"], kinds, pending=known.height - gone.height, excluded=unknown, evidence=told)


@kpi("stage_dwell_time", number=26, grain="stage, stage × segment", kind="leading", write_back="K",
     units=dict.fromkeys(("completed_mean", "completed_median", "visit_mean", "km_median", "km_p75", "km_p90"), "days"),
     source=f"time in stages such as demo or pilot evaluation ({HEALTHTECH})")  # fmt: skip
def stage_dwell_time(book: Book) -> Iterator[Row]:
    """Days in a stage, new business, all time. Also called time in stage.

    ``completed_mean``, ``completed_median``: cumulative days per deal, of deals that have left the stage; ``visit_mean``: per ended visit.
    ``km_median``, ``km_p75``, ``km_p90``: Kaplan–Meier per visit, running visits censored at today (``pending``). ``n``: deals, visits, visits.
    Time in closed stages is no dwell. A visit that was already running when the history was first observed began nobody knows when:
    ``no_history``.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "pilot 2026-05-14").deal("D2", "demo 2026-05-04", "pilot 2026-06-03")
    >>> company.show("stage_dwell_time", "completed_mean", "stage=demo")
    '20 days, n=2, low n'
    """
    for stage, part in by(book.of_new_business(stays(book)), "stage"):
        subject = f"stage={stage}"
        yield from _completed(subject, part, {"completed_mean": "mean", "completed_median": "median"})
        seen = part.filter(~pl.col("unseen_start"))
        ended, unknown = seen.filter("done"), {"no_history": part.height - seen.height}
        told, running = seen.select(TOLD), seen.height - ended.height
        yield from middle(subject, "ALL", ended["days"], {"visit_mean": "mean"}, pending=running, excluded=unknown, evidence=told.filter("done"))
        yield from quantiles(subject, "ALL", survival(seen), evidence=told)
        for segment, sub in by(seen, "segment"):
            yield from quantiles(f"{subject},segment={segment}", "ALL", survival(sub), ["km_median"], evidence=sub.select(TOLD))


@kpi("stage_to_stage_conversion_time", number=27, grain="pair of stages", kind="leading", write_back="K",
     units=dict.fromkeys(("mean", "median", "km_median"), "days"), source=f"trial to negotiation 120 days, benchmark 60 ({HEALTHCARE})")  # fmt: skip
def stage_to_stage_conversion_time(book: Book) -> Iterator[Row]:
    """Days from the first entry of a stage to the first later entry of a higher one, new business, all time; not only of neighbours.

    ``mean``, ``median``: over deals that reached it; ``km_median``: Kaplan–Meier over all that entered the first stage, the others censored at
    their close or today (``pending``). Rows exist for pairs that at least one deal completed. ``n``: deals that reached it (``km_median``:
    that entered the first).

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "pilot 2026-05-14").deal("D2", "demo 2026-05-04", "vac 2026-06-03")
    >>> company.show("stage_to_stage_conversion_time", "km_median", "from=demo,to=pilot")
    '10 days, n=2, low n, pending=1'
    """
    visits = book.of_new_business(stays(book)).filter(pl.col("rank").is_not_null())
    first = visits.sort("opportunity", "number").unique(["opportunity", "stage"], keep="first", maintain_order=True).filter(~pl.col("unseen_start"))
    until = book.new_business.select(pl.col("id").alias("opportunity"), until=pl.col("closed").fill_null(book.today))
    first = first.join(until, on="opportunity", maintain_order="left").select("opportunity", "stage", "rank", "number", "entered", "until")
    later = visits.select("opportunity", to="stage", to_rank="rank", to_number="number", reached="entered")
    both = first.join(later, on="opportunity").filter((pl.col("to_number") > pl.col("number")) & (pl.col("to_rank") > pl.col("rank")))
    both = both.sort("opportunity", "to_number").unique(["opportunity", "stage", "to"], keep="first", maintain_order=True)
    completed = both.partition_by("stage", "to", as_dict=True)
    cohorts = first.partition_by("stage", as_dict=True)
    ranks = book.ladder.ranks
    for start, end in sorted(completed, key=lambda pair: (ranks[pair[0]], ranks[pair[1]])):
        yield from _between(f"from={start},to={end}", cohorts[start,], completed[start, end])


def _between(subject: str, cohort: pl.DataFrame, reached: pl.DataFrame) -> Iterator[Row]:
    """From one stage to another: the deals that entered the one, and those of them that reached the other."""
    ends = reached.select("opportunity", "reached")
    deals = cohort.join(ends, on="opportunity", how="left", maintain_order="left").with_columns(
        done=pl.col("reached").is_not_null(), days=(pl.coalesce("reached", "until") - pl.col("entered")).dt.total_days()
    )
    told, done = deals.select("opportunity", "entered", "reached", "days", "done"), deals.filter("done")
    yield from middle(subject, "ALL", done["days"], MEAN_MEDIAN, evidence=told.filter("done"))
    yield from quantiles(subject, "ALL", survival(deals), ["km_median"], evidence=told)


@derived
def present(book: Book) -> pl.DataFrame:
    """Open deals with days (in the present visit), cumulative (over all visits to this stage), pilot and visit facts; null without history."""
    stays = book.visits.group_by("opportunity", "stage").agg(cumulative=pl.col("days").sum())
    return book.open_deals.with_columns(days=(book.today - pl.col("entered")).dt.total_days()).join(
        stays, left_on=["id", "stage"], right_on=["opportunity", "stage"], how="left", maintain_order="left", nulls_equal=True
    )


@kpi("days_in_stage", number=28, grain="opportunity", units={"": "days", "cumulative": "days"}, kind="leading", write_back="O",
     source=f"dwell ({MEDTECH}, {HEALTHTECH}); time in stage ({HEALTHCARE})")  # fmt: skip
def days_in_stage(book: Book) -> Iterator[Row]:
    """Today − the entry into the present stage, open deals of any type; ``cumulative``: over all visits to this stage. ``n``: 1.

    Re-entering a stage starts the clock again, the cumulative one goes on. Without stage history ``no_history``.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-12-01", "pilot 2026-12-11", "demo 2027-02-05")
    >>> company.show("days_in_stage", subject="opportunity=D1"), company.show("days_in_stage", "cumulative", "opportunity=D1")
    ('10 days, n=1', '20 days, n=1')
    """
    deals = present(book)
    told = of_deals(deals, "stage", "entered", "days", "cumulative")
    for (id, days, cumulative), one in zip(deals.select("id", "days", "cumulative").iter_rows(), told.iter_slices(1), strict=True):
        reason: Reason | None = "no_history" if days is None else None
        yield Row(deal(id), "asof", days, 1 if days is not None else 0, reason=reason, evidence=one)
        yield Row(deal(id), "asof", None if days is None else cumulative, 1 if days is not None else 0, "cumulative", reason=reason, evidence=one)


@derived
def usual(book: Book) -> dict[str, float | None]:
    """Open deal → the median that its stage usually takes; None where there is none."""
    medians: dict[str, float | None] = {}
    for id, stage, deal_type, segment in book.open_deals.select("id", "stage", "deal_type", "segment").iter_rows():
        found = None if stage is None else stage_benchmark(book, deal_type, stage, segment)
        medians[id] = None if found is None else found[0].median
    return medians


@derived
def paces(book: Book) -> dict[str, tuple[float | None, str | None, Reason | None]]:
    """Open deal → (days in stage ÷ benchmark, label, reason). Labels: on_pace ≤ slow limit < slow < stuck limit ≤ stuck."""
    limits, medians = book.settings.thresholds.pace, usual(book)
    found: dict[str, tuple[float | None, str | None, Reason | None]] = {}
    for id, days, kind, stage in present(book).select("id", "days", "kind", "stage").iter_rows():
        median = medians[id]
        reason = _no_pace(days, kind, stage, median)
        if reason or days is None or not median:
            found[id] = None, None, reason
            continue
        ratio = days / median
        found[id] = ratio, "stuck" if ratio >= limits.stuck else "on_pace" if ratio <= limits.slow else "slow", None
    return found


def _no_pace(days: int | None, kind: str | None, stage: str | None, median: float | None) -> Reason | None:
    if kind == "parked":
        return "parked"
    if stage is None:
        return "unmapped_stage"
    if days is None:
        return "no_history"
    return "not_reached" if median is None else "no_denominator" if median == 0 else None


@kpi("stage_pace", number=28, grain="opportunity", units={"ratio": "x", "label": "label"}, kind="leading", write_back="O",
     source=f"own the remediation ({HEALTHTECH})")  # fmt: skip
def stage_pace(book: Book) -> Iterator[Row]:
    """Days in the present stage ÷ benchmark, open deals of any type. ``n``: 1.

    Benchmark: Kaplan–Meier median of the stage over deals of the same type, of the same segment if that has ``benchmark_min_events`` ended
    visits, else of all. ``label``: on_pace ≤ ``pace.slow`` < slow < ``pace.stuck`` ≤ stuck. Null: ``parked``, ``unmapped_stage``,
    ``no_history``, ``not_reached`` (half of the visits still run), ``no_denominator`` (a benchmark of 0).

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "pilot 2026-05-14").deal("D2", "demo 2027-01-16")
    >>> company.show("stage_pace", "ratio", "opportunity=D2"), company.show("stage_pace", "label", "opportunity=D2")
    ('3 x, n=1', 'stuck label, n=1')
    """
    held, deals = paces(book), present(book)
    benchmark = pl.Series("benchmark", [usual(book)[id] for id in deals["id"]], dtype=pl.Float64)
    for one in of_deals(deals.with_columns(benchmark), "stage", "entered", "days", "deal_type", "segment", "benchmark").iter_slices(1):
        id = str(one["opportunity"][0])
        ratio, label, reason = held[id]
        yield Row(deal(id), "asof", ratio, 0 if reason else 1, "ratio", reason=reason, evidence=one)
        yield Row(deal(id), "asof", label, 0 if reason else 1, "label", reason=reason, evidence=one)


@kpi("time_in_persona_stages", number=30, grain="persona", units={"completed_mean": "days", "km_median": "days"}, kind="leading", write_back="K",
     source=f"clinical validation, compliance review ({HEALTHCARE})")  # fmt: skip
def time_in_persona_stages(book: Book) -> Iterator[Row]:
    """Days in the stages whose gate a persona holds (``gate`` of the stage, ``held_by`` of the gate), new business, all time.

    ``completed_mean``: cumulative over these stages per deal, of deals that are in none of them now; ``km_median``: Kaplan–Meier per visit,
    running ones censored. ``n``: deals, visits. Rows exist for personas whose stages were visited; whether the persona is on the deal is
    another question.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "security_review 2026-05-04", "contracting 2026-05-24")
    >>> company.show("time_in_persona_stages", "completed_mean", "persona=vp_it")
    '20 days, n=1, low n'
    """
    gates = {gate.key: gate.held_by for gate in book.ladder.gates}
    stages: dict[str, list[str]] = {}
    for rung in book.ladder.ladder:
        for persona in gates.get(rung.gate or "", ()):
            stages.setdefault(persona, []).append(rung.key)
    visits = book.of_new_business(stays(book))
    for persona, keys in sorted(stages.items()):
        part = visits.filter(pl.col("stage").is_in(keys))
        if not part.is_empty():
            seen = part.filter(~pl.col("unseen_start"))
            yield from _completed(f"persona={persona}", part, {"completed_mean": "mean"})
            yield from quantiles(f"persona={persona}", "ALL", survival(seen), ["km_median"], evidence=seen.select(TOLD))
