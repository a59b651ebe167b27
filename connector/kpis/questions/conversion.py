"""How many get through? (catalogue 8.4; meetings, outreach and leads: :mod:`connector.kpis.questions.prospecting`)"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import polars as pl

from connector.kpis.book.book import Book, derived
from connector.kpis.definition import Row, Unit, kpi
from connector.kpis.evidence import of_deals
from connector.kpis.personas import by_persona
from connector.kpis.shapes import MEAN_MEDIAN, by, count, deal, middle, missing, rate, slices

MEDTECH, HEALTHTECH, HEALTHCARE = "medtech CRO KPIs", "healthtech CRO KPIs", "healthcare CRO metrics"
RAW: dict[str, Unit] = {"": "ratio", "raw": "ratio"}


def entrants(book: Book, stage: str) -> pl.DataFrame:
    """Entry cohort: new-business deals whose first visit to the stage began in T12M, with entry (the number of that visit) and began (its day)."""
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


def conversion(window: str, subject: str, part: pl.DataFrame, said: str = "reached", record: str = "opportunity") -> Iterator[Row]:
    """reached ÷ resolved, and ``raw`` ÷ all; unresolved ones are pending. In the evidence the column ``reached`` is named ``said``."""
    resolved = part.filter("resolved")
    pending = part.height - resolved.height
    for variant, counted in (("", resolved), ("raw", part)):
        told = counted.select(pl.col("id").alias(record), "began", pl.col("reached").alias(said))
        yield rate(subject, window, int(counted["reached"].sum()), counted.height, variant=variant, pending=pending, evidence=told)


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
    """Entrants of qualified_meeting that reached demo ÷ resolved entrants; ``raw`` ÷ all entrants.

    Entrants are new-business deals whose first visit to qualified_meeting began in T12M. Reached: a later visit to demo. Resolved: reached,
    or closed, or in a stage above demo without it. The others are pending: counting them as failures (``raw``) makes a young cohort look bad.
    A deal that is moved back to qualified_meeting enters once. n: resolved (``raw``: all) entrants. Without one of the stages: null.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "qualified_meeting 2026-05-04", "demo 2026-06-01").deal("D2", "qualified_meeting 2027-02-01")
    >>> company.deal("D3", "qualified_meeting 2026-06-01", "pilot 2026-07-01").show("meeting_to_demo_conversion")
    '0.5 ratio, n=2, 0.09–0.91, low n, pending=1'
    >>> company.show("meeting_to_demo_conversion", "raw")
    '0.3333333333 ratio, n=3, 0.06–0.79, low n, pending=1'
    """
    yield from _stage_conversion(book, "qualified_meeting", "demo")


@kpi("stage_to_stage_conversion_rate", number=41, grain="from × to", units="ratio", kind="leading", write_back="K",
     source=f"demo → POC → closed, POC above all ({HEALTHCARE})")  # fmt: skip
def stage_to_stage_conversion_rate(book: Book) -> Iterator[Row]:
    """Of the visits to a stage that ended, the share that went straight to another; terminal stages included.

    Visits of new-business deals begun in T12M. The rows of one ``from`` add up to 1; a move into a stage that is not mapped is ``to=unmapped``,
    visits to such stages are left out. pending: visits to ``from`` that still run. n: ended visits; a deal that came back counts again.
    These rates must not be multiplied along the ladder: deals skip stages and return, so the product is far from the share that wins.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "pilot 2026-06-01").deal("D2", "demo 2026-05-04", "closed_lost 2026-07-01")
    >>> company.deal("D3", "demo 2027-01-11").show("stage_to_stage_conversion_rate", subject="from=demo,to=pilot")
    '0.5 ratio, n=2, 0.09–0.91, low n, pending=1'
    """
    rolling = book.windows.rolling
    begun = pl.col("stage").is_not_null() & rolling.covers("entered")
    running = dict(book.of_new_business(book.dwell).filter(begun & pl.col("running")).group_by("stage").len().iter_rows())
    ended = book.of_new_business(book.moves).filter(begun).with_columns(to=pl.col("to_stage").fill_null("unmapped"))
    for start, part in by(ended, "stage"):
        for goal in sorted(part["to"].unique()):
            told = part.select("opportunity", "entered", "left", "to", straight=pl.col("to") == goal)
            hits = int(told["straight"].sum())
            yield rate(f"from={start},to={goal}", rolling.label, hits, part.height, pending=running.get(start, 0), evidence=told)


@kpi("demo_to_trial_conversion", number=42, grain="segment, company", units=RAW, kind="leading", write_back="K U",
     needs=("stage:demo", "stage:pilot"), source=f"improve by 10–20 % in 90 days ({MEDTECH})")  # fmt: skip
def demo_to_trial_conversion(book: Book) -> Iterator[Row]:
    """Entrants of demo that reached pilot (or have a pilot start date) ÷ resolved entrants; ``raw`` ÷ all entrants.

    Entrants are new-business deals whose first visit to demo began in T12M. Reached: a later visit to pilot, or a pilot start date that has
    come. Resolved: reached, or closed, or above pilot without it; the others are pending. n: resolved (``raw``: all) entrants.
    Without one of the stages: null.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", pilot_started_on="2026-06-01").deal("D2", "demo 2026-05-04", "closed_lost 2026-07-01")
    >>> company.deal("D3", "demo 2027-02-01").show("demo_to_trial_conversion")
    '0.5 ratio, n=2, 0.09–0.91, low n, pending=1'
    """
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
    """Won ÷ closed, of deals that entered a pilot in T12M; ``raw`` ÷ all entrants.

    New business; a pilot is entered with the first visit to pilot, without one on the pilot start date. Open deals are pending.
    n: closed (``raw``: all) entrants. Without the stage: null.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "pilot 2026-05-04", "closed_won 2026-08-02").deal("D2", "pilot 2026-05-04", "closed_lost 2026-08-02")
    >>> company.deal("D3", "demo 2026-12-01", pilot_started_on="2027-01-11").show("pilot_to_paid_conversion")
    '0.5 ratio, n=2, 0.09–0.91, low n, pending=1'
    """
    if _lacks(book, "pilot"):
        yield from _absent(book)
        return
    cohort = pilots(book).filter(pl.col("id").is_in(book.new_ids) & book.windows.rolling.covers("began"))
    for subject, part in slices(winning(cohort), "segment"):
        yield from conversion(book.windows.rolling.label, subject, part, "won")


@derived
def pilots(book: Book) -> pl.DataFrame:
    """Deals with a pilot: their columns, began, pilot_days (cumulative, so far), pilot_running, pilot_ended. Visits first, else the pilot dates."""
    stays = (
        book.dwell.filter(pl.col("stage") == "pilot")
        .group_by("opportunity")
        .agg(pilot_days=pl.col("days").sum(), pilot_running=pl.col("running").any(), pilot_ended=pl.col("left").max(), began=pl.col("entered").min())
    )
    deals = book.deals.filter(pl.col("cls") != "void").join(stays, left_on="id", right_on="opportunity", how="left", maintain_order="left")
    until = pl.coalesce("pilot_ended_on", "closed", pl.lit(book.today))
    dated = pl.col("pilot_days").is_null()
    deals = deals.filter(pl.col("pilot_days").is_not_null() | pl.col("pilot_started_on").is_not_null())
    return deals.with_columns(
        began=pl.when(dated).then(pl.col("pilot_started_on")).otherwise("began"),
        pilot_running=pl.when(dated).then(pl.col("pilot_ended_on").is_null() & (pl.col("cls") == "open")).otherwise("pilot_running"),
        pilot_ended=pl.when(dated).then(pl.coalesce("pilot_ended_on", "closed")).otherwise("pilot_ended"),
        pilot_days=pl.when(dated).then((until - pl.col("pilot_started_on")).dt.total_days()).otherwise("pilot_days"),
    ).filter(pl.col("pilot_days") >= 0)


@derived
def running_pilots(book: Book) -> dict[str, int]:
    """Open deal with a running pilot → its cumulative pilot days so far."""
    return dict(pilots(book).filter("pilot_running").select("id", "pilot_days").iter_rows())


@derived
def visited_pilots(book: Book) -> frozenset[str]:
    """Deals whose pilot is known by visits to the stage; the pilot dates of the others stand for it."""
    return frozenset(book.dwell.filter(pl.col("stage") == "pilot")["opportunity"])


@derived
def pilot_spans(book: Book) -> dict[str, tuple[date, date | None]]:
    """Deal with a pilot → (the day the first began, the day the last ended); None while one runs. Gaps between pilots lie inside."""
    ended = pl.when(~pl.col("pilot_running")).then(pl.col("pilot_ended"))
    return {id: (began, end) for id, began, end in pilots(book).select("id", "began", ended).iter_rows()}


@kpi("average_pilot_duration", number=44, grain="opportunity, company", kind="leading", write_back="O K", needs=("stage:pilot",),
     units={"": "days", "mean": "days", "median": "days", "over_limit": "count", "over_limit_share": "ratio"},
     source=f"more than 90 days without converting: act ({HEALTHTECH})")  # fmt: skip
def average_pilot_duration(book: Book) -> Iterator[Row]:
    """Cumulative days in pilot, of open deals of any type; a running pilot is ``censored``: the days so far are a lower bound.

    All visits to pilot add up; a deal without a visit has its pilot start and end dates (no end: up to the close, else today).
    ``mean`` and ``median``: finished pilots of new business that ended in T12M, running ones pending. ``over_limit`` and
    ``over_limit_share``: of these and of the running ones, those longer than ``pilot_limit_days``. n: finished pilots (``over_limit``: all).

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "pilot 2026-05-01", "vac 2026-05-31", "pilot 2026-07-01", "closed_lost 2026-07-11")
    >>> company.deal("D2", "pilot 2026-11-07").show("average_pilot_duration", "mean")
    '40 days, n=1, low n, pending=1'
    >>> company.show("average_pilot_duration", subject="opportunity=D2"), company.show("average_pilot_duration", "over_limit")
    ('100 days, n=1, pending=1, censored', '1 count, n=2')
    """
    rolling, limit = book.windows.rolling, book.settings.thresholds.pilot_limit_days
    known = pilots(book)
    told = of_deals(known, "began", "pilot_ended", "pilot_days", "pilot_running")
    for place, (id, cls, days, running) in enumerate(known.select("id", "cls", "pilot_days", "pilot_running").iter_rows()):
        if cls == "open":
            pending, mine = 1 if running else None, told.slice(place, 1)
            yield Row(deal(id), "asof", days, 1, pending=pending, reason="censored" if running else None, evidence=mine)
    counted = pl.col("pilot_running") | rolling.covers("pilot_ended")
    every = known.filter(pl.col("id").is_in(book.new_ids) & counted).with_columns(over=pl.col("pilot_days") > limit)
    finished = every.filter(~pl.col("pilot_running"))
    pending = every.height - finished.height
    evidence = of_deals(finished, "began", "pilot_ended", "pilot_days")
    yield from middle("company", rolling.label, finished["pilot_days"], MEAN_MEDIAN, pending=pending, evidence=evidence)
    over, judged = int(every["over"].sum()), of_deals(every, "began", "pilot_ended", "pilot_days", "pilot_running", "over")
    yield count("company", rolling.label, over, variant="over_limit", n=every.height, evidence=judged)
    yield rate("company", rolling.label, over, every.height, variant="over_limit_share", pending=pending, evidence=judged)


@kpi("qualified_meeting_to_close", number=45, grain="source, segment, persona, company", units=RAW, kind="leading", write_back="K",
     needs=("stage:qualified_meeting",), source=f"15–25 %, by source and persona ({HEALTHTECH}); may be owned by the CRO ({MEDTECH})")  # fmt: skip
def qualified_meeting_to_close(book: Book) -> Iterator[Row]:
    """Won ÷ closed, of deals that entered qualified_meeting in T12M; ``raw`` ÷ all entrants.

    New business, by the first visit. Open deals are pending, so recent cohorts are immature: what closes fast closes first. By persona:
    deals on which the persona was by the close (open ones: by today); a deal with several counts under each. n: closed (``raw``: all) entrants.
    Without the stage: null.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "qualified_meeting 2026-05-04", "closed_won 2026-08-02", lead_source="inbound")
    >>> company.deal("D2", "qualified_meeting 2026-05-04", "closed_lost 2026-07-01", lead_source="conference").show("qualified_meeting_to_close")
    '0.5 ratio, n=2, 0.09–0.91, low n'
    >>> company.show("qualified_meeting_to_close", subject="source=inbound")
    '1 ratio, n=1, 0.21–1.00, low n'
    """
    yield from _win_conversion(book, "qualified_meeting", "source", "segment")
    if not _lacks(book, "qualified_meeting"):
        for persona, part in by_persona(book, winning(entrants(book, "qualified_meeting"))):
            yield from conversion(book.windows.rolling.label, f"persona={persona}", part, "won")


@kpi("demo_to_close_rate", number=46, grain="segment, company", units=RAW, kind="lagging", write_back="K", needs=("stage:demo",),
     source=f"pre-revenue KPI ({HEALTHTECH})")  # fmt: skip
def demo_to_close_rate(book: Book) -> Iterator[Row]:
    """Won ÷ closed, of deals that entered demo in T12M; ``raw`` ÷ all entrants.

    New business, by the first visit; open deals are pending. n: closed (``raw``: all) entrants. Without the stage: null.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02").deal("D2", "demo 2026-12-01")
    >>> company.show("demo_to_close_rate"), company.show("demo_to_close_rate", "raw")
    ('1 ratio, n=1, 0.21–1.00, low n, pending=1', '0.5 ratio, n=2, 0.09–0.91, low n, pending=1')
    """
    yield from _win_conversion(book, "demo", "segment")


def _win_conversion(book: Book, stage: str, *dimensions: str) -> Iterator[Row]:
    if _lacks(book, stage):
        yield from _absent(book)
        return
    for subject, part in slices(winning(entrants(book, stage)), *dimensions):
        yield from conversion(book.windows.rolling.label, subject, part, "won")
