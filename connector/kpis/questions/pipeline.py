"""How much pipeline is there, and is it real? (catalogue 8.1)"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import polars as pl

from connector.kpis.benchmarks import win_chance
from connector.kpis.book.book import Book, derived
from connector.kpis.book.money import MONEY, PLACES, converted, total
from connector.kpis.book.populations import DIMENSIONS
from connector.kpis.definition import Row, Unit, kpi
from connector.kpis.evidence import of_deals, together
from connector.kpis.shapes import count, deal, money, quotient, rate, slices

VALUES: dict[str, Unit] = {"": "money", "in_period": "money"}
MEDTECH, HEALTHTECH, HEALTHCARE = "medtech CRO KPIs", "healthtech CRO KPIs", "healthcare CRO metrics"


@derived
def chances(book: Book) -> dict[str, float | None]:
    """Probability of every open deal by ``probability.policy``; parked deals weigh 0, None: no probability."""
    policy = book.settings.probability.policy
    found: dict[str, float | None] = {}
    for id, kind, stage, own, deal_type, segment in book.open_deals.select("id", "kind", "stage", "probability", "deal_type", "segment").iter_rows():
        if kind == "parked":
            found[id] = 0.0
        elif policy == "crm":
            found[id] = own
        elif policy == "historical":
            chance = win_chance(book, deal_type, stage, segment)
            found[id] = None if chance is None else chance.value
        else:
            found[id] = None if stage is None else book.ladder.rungs[stage].probability
    return found


@derived
def weighted(book: Book) -> pl.DataFrame:
    """Open deals with chance (p), weighted, weighted_arr (× p) and their whys, and the columns of :func:`stale`."""
    deals = stale(book)
    found = chances(book)
    chance = [found[id] for id in deals["id"]]

    def times(column: str) -> pl.Series:
        values = [None if v is None or p is None else (v * Decimal(str(p))).quantize(PLACES) for v, p in zip(deals[column], chance, strict=True)]
        return pl.Series("weighted" if column == "amount" else f"weighted_{column}", values, dtype=MONEY)

    probabilities = pl.Series("chance", chance, dtype=pl.Float64)
    unknown = pl.when(probabilities.is_null()).then(pl.lit("no_probability"))
    return deals.with_columns(
        probabilities,
        times("amount"),
        times("arr"),
        weighted_why=pl.coalesce("amount_why", unknown),
        weighted_arr_why=pl.coalesce("arr_why", unknown),
    )


@derived
def last_buyer_activity(book: Book) -> pl.DataFrame:
    """opportunity, last_buyer: the day of its latest two-way touch."""
    own = book.activities.filter(pl.col("two_way") & pl.col("opportunity").is_not_null())
    return own.group_by("opportunity").agg(last_buyer=pl.col("on").max())


@derived
def stale(book: Book) -> pl.DataFrame:
    """Open deals with stage_days, stage_limit, stage_age, close_date_past, last_buyer, no_buyer_activity, stale (any of the three), in_period.

    in_period: closes inside the current fiscal quarter and not before today, neither stale nor parked.
    """
    limits, today = book.settings.thresholds, book.today
    by_segment = {k: v for k, v in limits.stale_after_days.items() if k != "default"}
    usual = limits.stale_after_days.get("default", 180)
    deals = book.open_deals.join(last_buyer_activity(book), left_on="id", right_on="opportunity", how="left", maintain_order="left").with_columns(
        stage_days=(today - pl.col("entered")).dt.total_days(),
        stage_limit=pl.coalesce(_lookup("stage", limits.stage_limit_days), _lookup("segment", by_segment), pl.lit(usual)),
        parked=(pl.col("kind") == "parked").fill_null(False),
        close_date_past=(pl.col("closes_on") < today).fill_null(False),
    )
    silence: pl.Expr = pl.lit(False)
    if limits.buyer_silence_days is not None:
        since = (today - pl.coalesce("last_buyer", "created")).dt.total_days()
        silence = (since > limits.buyer_silence_days).fill_null(False)
    deals = deals.with_columns(
        stage_age=(pl.col("stage_days") > pl.col("stage_limit")).fill_null(False) & ~pl.col("parked"), no_buyer_activity=silence
    ).with_columns(stale=pl.any_horizontal("stage_age", "close_date_past", "no_buyer_activity"))
    ahead = book.windows.quarter.covers("closes_on") & ~pl.col("close_date_past")
    return deals.with_columns(in_period=ahead & ~pl.col("stale") & ~pl.col("parked"))


def _lookup(column: str, days: dict[str, int]) -> pl.Expr:
    return (
        pl.col(column).replace_strict(list(days), list(days.values()), default=None, return_dtype=pl.Int64) if days else pl.lit(None, dtype=pl.Int64)
    )


def counted(book: Book) -> pl.DataFrame:
    """:func:`weighted` of the open new business that counts as pipeline."""
    return book.pipeline_of(weighted(book))


@kpi("open_pipeline_value", number=1, grain="owner, segment, company", units=VALUES, kind="leading", write_back="U K",
     source=f"total pipeline value ({MEDTECH})")  # fmt: skip
def open_pipeline_value(book: Book) -> Iterator[Row]:
    """Sum of the amounts of open new-business deals in the reporting currency, at today's rate; parked deals included.

    ``in_period``: only deals that count for coverage: they close inside the current fiscal quarter and not before today, and are neither stale
    nor parked. ``n``: deals with an amount; an amount that is empty, 0 or negative is ``missing_amount``, without a rate ``missing_fx``.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2027-01-04", amount=500).deal("D2", "demo 2027-01-04", amount=None)
    >>> company.show("open_pipeline_value")
    '500 money, n=1, missing_amount=1'
    """
    yield from _values(book, "amount")


@kpi("weighted_pipeline_value", number=2, grain="owner, segment, company", units=VALUES, kind="leading", write_back="O K",
     source=f"weekly number 2 of 3 ({HEALTHTECH})")  # fmt: skip
def weighted_pipeline_value(book: Book) -> Iterator[Row]:
    """Sum of amount × p over open new-business deals. Also called weighted funnel value.

    p by ``probability.policy``: ``stage_default`` (the ladder's), ``crm`` (the deal's own, 0–1), ``historical`` (the chance measured from this
    stage). Parked deals weigh 0 under every policy. ``in_period``: only deals that count for coverage. ``n``: deals with an amount and a p;
    the others are ``missing_amount``, ``missing_fx`` or ``no_probability``.

    >>> from connector.kpis.example import example
    >>> example().deal("D1", "demo 2027-01-04", amount=500).deal("D2", "vac 2027-01-04", amount=100).show("weighted_pipeline_value")
    '160 money, n=2'
    """
    yield from _values(book, "weighted")


def _values(book: Book, column: str) -> Iterator[Row]:
    deals = counted(book)

    def row(subject: str, window: str, part: pl.DataFrame, variant: str = "") -> Row:
        told = of_deals(part, "stage", "closes_on", "amount", "chance", "weighted", pl.col(f"{column}_why").alias("left_out"))
        return money(subject, window, part, column, variant=variant)._replace(evidence=told)

    for subject, part in slices(deals, *DIMENSIONS, "stage"):
        yield row(subject, "asof", part)
    yield row("company", book.windows.quarter.label, deals.filter("in_period"), "in_period")


@derived
def created(book: Book) -> pl.DataFrame:
    """New business with the amount it had when it was created, at the rate of that day (amount, amount_why); ``owner``: of then."""
    first = book.amounts.unique("opportunity", keep="first", maintain_order=True).select("amount", id="opportunity", told=True)
    deals = book.new_business.filter(pl.col("created").is_not_null()).join(first, on="id", how="left", suffix="_then", maintain_order="left")
    then = pl.when(pl.col("told").is_not_null()).then(pl.col("amount_then")).otherwise(pl.col("native_amount"))
    deals = deals.with_columns(then=then, owner=pl.col("owner_created"))
    values = converted("amount", deals["then"].to_list(), deals["currency"].to_list(), deals["created"].to_list(), book.rates, zero_counts=False)
    return deals.with_columns(*values)


@kpi("pipeline_created", number=5, grain="owner, segment, source, company", units={"": "money", "count": "count"}, kind="leading", write_back="U K",
     source=f"creation rate, months 1–3 ({HEALTHTECH}); within 60 days ({MEDTECH})", rests_on="none")  # fmt: skip
def pipeline_created(book: Book) -> Iterator[Row]:
    """Sum of the amounts that new-business deals had when they were created, by local creation date; whatever became of them since.

    The amount is the first one of the deal's amount history, else the present one, at the exchange rate of the creation day; the owner is the
    one at creation. ``count``: number of deals. ``n``: deals with an amount (``count``: deals). An edited or imported creation date moves a
    deal between windows.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2027-01-04", amount=900)
    >>> company.add("amount_history", opportunity="D1", at="2027-01-04T15:00:00Z", amount=700).show("pipeline_created")
    '700 money, n=1'
    """
    deals = created(book)
    for window in book.windows.wide:
        for subject, part in slices(deals.filter(window.covers("created")), "segment", "source", "owner"):
            told = of_deals(part, "created", "amount", pl.col("amount_why").alias("left_out"))
            yield money(subject, window.label, part)._replace(evidence=told)
            yield count(subject, window.label, part.height, variant="count", evidence=told)


AGES = {"0-30": (0, 30), "31-60": (31, 60), "61-90": (61, 90), "91-180": (91, 180), "over_180": (181, None)}


@kpi("pipeline_aging", number=6, grain="segment, company", kind="leading", write_back="K", rests_on="none",
     units={"count_share": "ratio", "value_share": "ratio", "bucket": "count"},
     source=f"older than 6 months may be stale ({HEALTHCARE})")  # fmt: skip
def pipeline_aging(book: Book) -> Iterator[Row]:
    """Share of open new-business deals that are older than ``aging_days`` of their segment; age is today − created.

    ``count_share``: of the deals; ``value_share``: of their amounts; ``bucket``: number of deals by age in days. ``n``: open deals
    (``value_share``: with an amount). A deal without a creation date has no age: ``no_history``.

    >>> from connector.kpis.example import example
    >>> example().deal("D1", "demo 2026-05-04").deal("D2", "demo 2027-01-04").show("pipeline_aging", "count_share")
    '0.5 ratio, n=2, 0.09–0.91, low n'
    """
    limits = book.settings.thresholds.aging_days
    by_segment = {segment: days for segment, days in limits.items() if segment != "default"}
    aged = book.ageing.with_columns(
        age=(book.today - pl.col("created")).dt.total_days(), limit=pl.coalesce(_lookup("segment", by_segment), pl.lit(limits.get("default", 180)))
    )
    deals = aged.filter(pl.col("age").is_not_null()).with_columns(over=pl.col("age") > pl.col("limit"))
    for subject, part in slices(deals, "segment"):
        told = of_deals(part, "created", "age", "limit", "over", "amount")
        unknown = {"no_history": aged.height - deals.height} if subject == "company" else None
        yield rate(subject, "asof", int(part["over"].sum()), part.height, variant="count_share", excluded=unknown, evidence=told)
        old, all_of_it = total(part.filter("over")["amount"]), total(part["amount"])
        yield quotient(subject, "asof", old, all_of_it, part["amount"].count(), variant="value_share", small=False, evidence=told)
    for bucket, (low, high) in AGES.items():
        part = deals.filter((pl.col("age") >= low) & (pl.col("age") <= (high if high is not None else pl.col("age"))))
        yield count(f"age={bucket}", "asof", part.height, variant="bucket", evidence=of_deals(part, "created", "age"))


@kpi("stale_flag", number=7, grain="opportunity", units="bool", kind="leading", write_back="O",
     source=f"six months in evaluation is not real pipeline ({MEDTECH})")  # fmt: skip
def stale_flag(book: Book) -> Iterator[Row]:
    """Whether an open deal of any type is stale: any of three reasons holds.

    Too long in its stage: more days than ``stage_limit_days`` of the stage, else ``stale_after_days`` of the segment, else its default; never
    for parked stages. Past its close date. Without buyer activity for more than ``buyer_silence_days``, counted from its creation where there
    was none; off where no limit is set. ``n``: 1.

    >>> from connector.kpis.example import example
    >>> example().deal("D1", "demo 2026-05-04").show("stale_flag", subject="opportunity=D1")
    'True bool, n=1'
    """
    deals = stale(book)
    told = of_deals(deals, "entered", "stage_days", "stage_limit", "closes_on", "last_buyer", "stage_age", "close_date_past", "no_buyer_activity")
    for (id, flag), one in zip(deals.select("id", "stale").iter_rows(), told.iter_slices(1), strict=True):
        yield Row(deal(id), "asof", flag, 1, evidence=one)


@kpi("stale_pipeline_share", number=7, grain="owner, segment, company", kind="leading", write_back="K",
     units={"": "ratio", "count": "count", "past_due_count": "count"}, source=f"inflated by stale deals ({HEALTHTECH})")  # fmt: skip
def stale_pipeline_share(book: Book) -> Iterator[Row]:
    """Value of stale open new business ÷ value of all of it; a deal is stale as ``stale_flag`` says.

    ``count``: stale deals; ``past_due_count``: deals whose close date is past. ``n``: open deals with an amount (counts: open deals).

    >>> from connector.kpis.example import example
    >>> example().deal("D1", "demo 2026-05-04", amount=100).deal("D2", "demo 2027-01-04", amount=300).show("stale_pipeline_share")
    '0.25 ratio, n=2'
    """
    for subject, part in slices(book.pipeline_of(stale(book)), "segment", "owner"):
        told = of_deals(part, "amount", "stale", "stage_age", "close_date_past", "no_buyer_activity")
        old, all_of_it = total(part.filter("stale")["amount"]), total(part["amount"])
        yield quotient(subject, "asof", old, all_of_it, part["amount"].count(), small=False, evidence=told)
        yield count(subject, "asof", int(part["stale"].sum()), variant="count", n=part.height, evidence=told)
        yield count(subject, "asof", int(part["close_date_past"].sum()), variant="past_due_count", n=part.height, evidence=told)


@kpi("expected_arr_by_quarter_end", number=8, grain="company", units="money", kind="leading", write_back="K",
     source=f"weekly number 3 ({HEALTHTECH})")  # fmt: skip
def expected_arr_by_quarter_end(book: Book) -> Iterator[Row]:
    """ARR of new business won so far in the current fiscal quarter + Σ ARR × p over open deals that count for coverage (``in_period``).

    ``n``: won and open deals that contribute; the rest is ``missing_arr``, ``missing_fx`` or ``no_probability``.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-11-04", "closed_won 2027-01-08", arr=300).deal("D2", "demo 2027-01-04", arr=100)
    >>> company.show("expected_arr_by_quarter_end")
    '320 money, n=2'
    """
    window = book.windows.quarter
    won, ready = money("company", window.label, book.won(window), "arr"), money("company", window.label, in_period(book), "weighted_arr")
    lost, unready = won.excluded or {}, ready.excluded or {}
    excluded = {why: lost.get(why, 0) + unready.get(why, 0) for why in sorted({*lost, *unready})}
    assert isinstance(won.value, float) and isinstance(ready.value, float)  # noqa: PT018
    told = together([won.evidence, ready.evidence])
    yield Row("company", window.label, won.value + ready.value, won.n + ready.n, excluded=excluded, evidence=told)


def in_period(book: Book) -> pl.DataFrame:
    """:func:`counted` deals that close in the current fiscal quarter, neither stale nor parked."""
    return counted(book).filter("in_period")


@kpi("active_opportunity_count", number=10, grain="owner, segment, company", units="count", kind="leading", write_back="U K",
     source=f"term of sales velocity ({HEALTHCARE})")  # fmt: skip
def active_opportunity_count(book: Book) -> Iterator[Row]:
    """Number of open new-business deals, parked ones included; void, renewal and expansion deals are not. ``n``: the count.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2027-01-04").deal("D2", "on_hold 2027-01-04").deal("D3", "demo 2027-01-04", deal_type="renewal")
    >>> company.show("active_opportunity_count")
    '2 count, n=2'
    """
    for subject, part in slices(book.open_pipeline, *DIMENSIONS):
        yield count(subject, "asof", part.height, evidence=of_deals(part, "stage", "entered"))
