"""How many get through? (catalogue 8.4)"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from connector.kpis.book import Book, derived
from connector.kpis.definition import Row, Unit, kpi
from connector.kpis.personas import by_persona
from connector.kpis.shapes import count, deal, middle, missing, rate, slices

MEDTECH, HEALTHTECH = "medtech CRO KPIs", "healthtech CRO KPIs"
RAW: dict[str, Unit] = {"": "ratio", "raw": "ratio"}


def entrants(book: Book, stage: str) -> pl.DataFrame:
    """Entry cohort: new-business deals whose first visit to the stage began in T12M, with entry (the number of that visit)."""
    first = book.dwell.filter(pl.col("stage") == stage).group_by("opportunity").agg(entry=pl.col("number").min(), began=pl.col("entered").min())
    return book.new_business.join(first, left_on="id", right_on="opportunity", maintain_order="left").filter(book.windows.rolling.covers("began"))


def reaching(book: Book, cohort: pl.DataFrame, stage: str) -> pl.DataFrame:
    """The cohort with reached (a later visit to the stage) and resolved (reached, closed, or past the stage's rank)."""
    later = book.visits.join(cohort.select("entry", opportunity="id"), on="opportunity").filter(pl.col("number") > pl.col("entry"))
    past = pl.col("rank") > book.ladder.ranks.get(stage, len(book.ladder.ladder))
    facts = later.group_by("opportunity").agg(reached=(pl.col("stage") == stage).any(), past=past.any())
    return cohort.join(facts, left_on="id", right_on="opportunity", how="left", maintain_order="left").with_columns(
        reached=pl.col("reached").fill_null(False), resolved=pl.any_horizontal(pl.col("reached", "past").fill_null(False), pl.col("cls") != "open")
    )


def conversion(window: str, subject: str, part: pl.DataFrame) -> Iterator[Row]:
    """reached ÷ resolved, and ``raw`` ÷ all; unresolved ones are pending."""
    hits, settled = int(part["reached"].sum()), int(part["resolved"].sum())
    pending = part.height - settled
    yield rate(subject, window, hits, settled, pending=pending)
    yield rate(subject, window, hits, part.height, variant="raw", pending=pending)


def _lacks(book: Book, *stages: str) -> bool:
    return any(stage not in book.ladder.rungs for stage in stages)


def _absent(book: Book) -> Iterator[Row]:
    yield missing("company", book.windows.rolling.label)
    yield missing("company", book.windows.rolling.label, "raw")


def winning(cohort: pl.DataFrame) -> pl.DataFrame:
    """A cohort in which *reached* is won and *resolved* is closed."""
    return cohort.with_columns(reached=pl.col("cls") == "won", resolved=pl.col("cls") != "open")


@kpi("meeting_to_demo_conversion", number=40, grain="segment, company", units=RAW, kind="leading", write_back="K U",
     needs=("stage:qualified_meeting", "stage:demo"), source=f"leading, within 60 days ({MEDTECH})")  # fmt: skip
def meeting_to_demo_conversion(book: Book) -> Iterator[Row]:
    """Entrants of qualified_meeting that reached demo ÷ resolved entrants; ``raw`` ÷ all entrants."""
    yield from _stage_conversion(book, "qualified_meeting", "demo")


@kpi("demo_to_trial_conversion", number=42, grain="segment, company", units=RAW, kind="leading", write_back="K U",
     needs=("stage:demo", "stage:pilot"), source=f"improve by 10–20 % in 90 days ({MEDTECH})")  # fmt: skip
def demo_to_trial_conversion(book: Book) -> Iterator[Row]:
    """Entrants of demo that reached pilot (or have a pilot start date) ÷ resolved entrants; ``raw`` ÷ all entrants."""
    yield from _stage_conversion(book, "demo", "pilot", "pilot_started_on")


def _stage_conversion(book: Book, start: str, goal: str, dated: str | None = None) -> Iterator[Row]:
    if _lacks(book, start, goal):
        yield from _absent(book)
        return
    cohort = reaching(book, entrants(book, start), goal)
    if dated:
        begun = pl.col(dated).is_not_null()
        cohort = cohort.with_columns(pl.col("reached") | begun, pl.col("resolved") | begun)
    for subject, part in slices(cohort, "segment"):
        yield from conversion(book.windows.rolling.label, subject, part)


@kpi("pilot_to_paid_conversion", number=43, grain="segment, company", units=RAW, kind="leading", write_back="K", needs=("stage:pilot",),
     source=f"leading indicator of ARR ({HEALTHTECH})")  # fmt: skip
def pilot_to_paid_conversion(book: Book) -> Iterator[Row]:
    """Won ÷ closed, of deals that entered a pilot in T12M; ``raw`` ÷ all entrants."""
    yield from _win_conversion(book, "pilot", "segment")


@kpi("qualified_meeting_to_close", number=45, grain="source, segment, persona, company", units=RAW, kind="leading", write_back="K",
     needs=("stage:qualified_meeting",), source=f"15–25 %, by source and persona ({HEALTHTECH})")  # fmt: skip
def qualified_meeting_to_close(book: Book) -> Iterator[Row]:
    """Won ÷ closed, of deals that entered qualified_meeting in T12M; ``raw`` ÷ all entrants. Recent cohorts are immature."""
    yield from _win_conversion(book, "qualified_meeting", "source", "segment")
    if not _lacks(book, "qualified_meeting"):
        for persona, part in by_persona(book, winning(entrants(book, "qualified_meeting"))):
            yield from conversion(book.windows.rolling.label, f"persona={persona}", part)


@kpi("demo_to_close_rate", number=46, grain="segment, company", units=RAW, kind="lagging", write_back="K", needs=("stage:demo",),
     source=f"pre-revenue KPI ({HEALTHTECH})")  # fmt: skip
def demo_to_close_rate(book: Book) -> Iterator[Row]:
    """Won ÷ closed, of deals that entered demo in T12M; ``raw`` ÷ all entrants."""
    yield from _win_conversion(book, "demo", "segment")


def _win_conversion(book: Book, stage: str, *dimensions: str) -> Iterator[Row]:
    if _lacks(book, stage):
        yield from _absent(book)
        return
    for subject, part in slices(winning(entrants(book, stage)), *dimensions):
        yield from conversion(book.windows.rolling.label, subject, part)


@derived
def pilots(book: Book) -> pl.DataFrame:
    """Deals with a pilot: their columns, pilot_days (cumulative, so far), pilot_running, pilot_ended. Visits first, else the pilot dates."""
    stays = (
        book.dwell.filter(pl.col("stage") == "pilot")
        .group_by("opportunity")
        .agg(pilot_days=pl.col("days").sum(), pilot_running=pl.col("running").any(), pilot_ended=pl.col("left").max())
    )
    deals = book.deals.filter(pl.col("cls") != "void").join(stays, left_on="id", right_on="opportunity", how="left", maintain_order="left")
    until = pl.coalesce("pilot_ended_on", "closed", pl.lit(book.today))
    dated = pl.col("pilot_days").is_null()
    deals = deals.filter(pl.col("pilot_days").is_not_null() | pl.col("pilot_started_on").is_not_null())
    return deals.with_columns(
        pilot_running=pl.when(dated).then(pl.col("pilot_ended_on").is_null() & (pl.col("cls") == "open")).otherwise("pilot_running"),
        pilot_ended=pl.when(dated).then(pl.coalesce("pilot_ended_on", "closed")).otherwise("pilot_ended"),
        pilot_days=pl.when(dated).then((until - pl.col("pilot_started_on")).dt.total_days()).otherwise("pilot_days"),
    ).filter(pl.col("pilot_days") >= 0)


@derived
def running_pilots(book: Book) -> dict[str, int]:
    """Open deal with a running pilot → its cumulative pilot days so far."""
    return dict(pilots(book).filter("pilot_running").select("id", "pilot_days").iter_rows())


@kpi("average_pilot_duration", number=44, grain="opportunity, company", kind="leading", write_back="O K", needs=("stage:pilot",),
     units={"": "days", "mean": "days", "median": "days", "over_limit": "count", "over_limit_share": "ratio"},
     source=f"more than 90 days without converting: act ({HEALTHTECH})")  # fmt: skip
def average_pilot_duration(book: Book) -> Iterator[Row]:
    """Cumulative days in pilot; ``mean`` and ``median`` of finished pilots; ``over_limit``, ``over_limit_share`` of finished and running ones."""
    rolling, limit = book.windows.rolling, book.settings.thresholds.pilot_limit_days
    for id, cls, days, running in pilots(book).select("id", "cls", "pilot_days", "pilot_running").iter_rows():
        if cls == "open":
            yield Row(deal(id), "asof", days, 1, pending=1 if running else None, reason="censored" if running else None)
    mine = book.new_ids
    deals = pilots(book).filter(pl.col("id").is_in(mine))
    finished, running_now = deals.filter(~pl.col("pilot_running") & rolling.covers("pilot_ended")), deals.filter("pilot_running")
    yield from middle("company", rolling.label, finished["pilot_days"], {"mean": "mean", "median": "median"}, pending=running_now.height)
    n = finished.height + running_now.height
    over = int((finished["pilot_days"] > limit).sum()) + int((running_now["pilot_days"] > limit).sum())
    yield count("company", rolling.label, over, variant="over_limit", n=n)
    yield rate("company", rolling.label, over, n, variant="over_limit_share", pending=running_now.height)
