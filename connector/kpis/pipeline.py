"""How much pipeline is there, and is it enough? (catalogue 8.1)"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import polars as pl

from connector.kpis.benchmarks import win_chance
from connector.kpis.book import Book, derived
from connector.kpis.definition import Row, Unit, kpi
from connector.kpis.money import MONEY, PLACES, total
from connector.kpis.populations import DIMENSIONS
from connector.kpis.quotas import quota_totals, quotas
from connector.kpis.shapes import by, count, deal, money, quotient, slices
from connector.kpis.windows import add_months

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
    """Open deals with weighted, weighted_arr (× p) and their whys, and the columns of :func:`stale`."""
    deals = stale(book)
    found = chances(book)
    chance = [found[id] for id in deals["id"]]

    def times(column: str) -> pl.Series:
        values = [None if v is None or p is None else (v * Decimal(str(p))).quantize(PLACES) for v, p in zip(deals[column], chance, strict=True)]
        return pl.Series("weighted" if column == "amount" else f"weighted_{column}", values, dtype=MONEY)

    unknown = pl.when(pl.Series(chance, dtype=pl.Float64).is_null()).then(pl.lit("no_probability"))
    return deals.with_columns(
        times("amount"), times("arr"), weighted_why=pl.coalesce("amount_why", unknown), weighted_arr_why=pl.coalesce("arr_why", unknown)
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


def _new(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col("deal_type") == "new_business")


@kpi("open_pipeline_value", number=1, grain="owner, segment, company", units=VALUES, kind="leading", write_back="U K",
     source=f"total pipeline value ({MEDTECH})")  # fmt: skip
def open_pipeline_value(book: Book) -> Iterator[Row]:
    """Sum of the amounts of open new-business deals in the reporting currency; ``in_period``: only deals that count for coverage."""
    yield from _values(book, "amount")


@kpi("weighted_pipeline_value", number=2, grain="owner, segment, company", units=VALUES, kind="leading", write_back="O K",
     source=f"weekly number 2 of 3 ({HEALTHTECH})")  # fmt: skip
def weighted_pipeline_value(book: Book) -> Iterator[Row]:
    """Sum of amount × p over open new-business deals; p by ``probability.policy``. Parked deals weigh 0. Also called weighted funnel value."""
    yield from _values(book, "weighted")


def _values(book: Book, column: str) -> Iterator[Row]:
    deals = _new(weighted(book))
    for subject, part in slices(deals, *DIMENSIONS, "stage"):
        yield money(subject, "asof", part, column)
    yield money("company", book.windows.quarter.label, deals.filter("in_period"), column, variant="in_period")


@kpi("pipeline_coverage_ratio", number=3, grain="owner, stage, segment, company", kind="leading", write_back="U K", needs=("quotas",),
     units={"": "x", "remaining": "x", "all_open": "x", "arr": "x"}, source=f"at least 3:1 ({MEDTECH}); 3–4x ({HEALTHCARE})")  # fmt: skip
def pipeline_coverage_ratio(book: Book) -> Iterator[Row]:
    """In-period pipeline ÷ quota of the current fiscal quarter. Stage and segment rows are slices of the company ratio and add up to it.

    ``remaining``: ÷ (quota − new business won so far); ``all_open``: every open deal ÷ quota; ``arr``: ARR ÷ ARR quota, where there is one.
    """
    yield from _coverage(book, "amount")
    window, held = book.windows.quarter, quotas(book, book.windows.quarter, "bookings")
    quota = quota_totals(held)
    mine = pl.col("owner").is_in(list(held))
    inside = _new(weighted(book)).filter(mine)
    ready = inside.filter("in_period")
    won = total(book.won(window).filter(mine)["amount"])
    if quota is not None and quota > 0 and float(quota) - won <= 0:
        yield Row("company", window.label, None, ready["amount"].count(), "remaining", reason="quota_reached")
    else:
        left = None if quota is None else float(quota) - won
        yield quotient("company", window.label, total(ready["amount"]), left, ready["amount"].count(), variant="remaining", small=False)
    yield quotient("company", window.label, total(inside["amount"]), quota, inside["amount"].count(), variant="all_open", small=False)
    yield from _arr_coverage(book, "arr")


@kpi("weighted_pipeline_coverage", number=4, grain="owner, stage, segment, company", kind="leading", write_back="U K", needs=("quotas",),
     units={"": "x", "no_go_breach": "bool", "arr": "x"}, source=f"below 3x at the start of a quarter is a red flag ({HEALTHTECH})")  # fmt: skip
def weighted_pipeline_coverage(book: Book) -> Iterator[Row]:
    """Weighted in-period pipeline ÷ quota of the current fiscal quarter.

    ``no_go_breach``: below ``weighted_coverage.red`` in ``red_months`` consecutive months, this one included; a past month is its last snapshot.
    """
    rows = list(_coverage(book, "weighted"))
    yield from rows
    yield _breach(book, rows[0])
    yield from _arr_coverage(book, "weighted_arr")


def _coverage(book: Book, column: str, basis: str = "bookings", variant: str = "") -> Iterator[Row]:
    window = book.windows.quarter
    held = quotas(book, window, basis)
    ready = _new(weighted(book)).filter("in_period")
    mine = ready.filter(pl.col("owner").is_in(list(held)))
    quota = quota_totals(held)

    def row(subject: str, part: pl.DataFrame, below: Decimal | None, excluded: dict[str, int] | None = None) -> Row:
        return quotient(subject, window.label, total(part[column]), below, part[column].count(), variant=variant, small=False, excluded=excluded)

    yield row("company", mine, quota, excluded={"owner_without_quota": ready.height - mine.height})
    owned = dict(by(ready, "owner"))
    for owner in book.owners["id"]:
        yield row(f"owner={owner}", owned.get(owner, ready.clear()), held.get(owner))
    for dimension in ("stage", "segment"):
        for value, part in by(mine, dimension):
            yield row(f"{dimension}={value}", part, quota)


def _arr_coverage(book: Book, column: str) -> Iterator[Row]:
    if any(row["basis"] == "arr" for row in book.inputs.rows("quotas") or ()):
        yield from _coverage(book, column, "arr", "arr")


def _breach(book: Book, now: Row) -> Row:
    """Whether the run of months below red that ends now is long enough."""
    setting = book.settings.thresholds.weighted_coverage
    months: dict[tuple[int, int], float] = {}
    known = [s for s in book.snapshots if (s["kpi"], s.get("variant") or "", s["subject"]) == ("weighted_pipeline_coverage", "", "company")]
    for snapshot in sorted((s for s in known if s["date"] <= book.today and s["value"] is not None), key=lambda s: s["date"]):
        months[snapshot["date"].year, snapshot["date"].month] = float(snapshot["value"])
    months.pop((book.today.year, book.today.month), None)
    if not isinstance(now.value, float):
        return Row("company", "asof", None, len(months), "no_go_breach", reason=now.reason)
    months[book.today.year, book.today.month] = now.value
    run = [months.get((day.year, day.month)) for day in (add_months(book.today, -back) for back in range(setting.red_months))]
    return Row("company", "asof", all(value is not None and value < setting.red for value in run), len(months), "no_go_breach")


@kpi("stale_flag", number=7, grain="opportunity", units="bool", kind="leading", write_back="O",
     source=f"six months in evaluation is not real pipeline ({MEDTECH})")  # fmt: skip
def stale_flag(book: Book) -> Iterator[Row]:
    """Whether an open deal is stale: too long in its stage, past its close date, or without buyer activity for too long (where a limit is set)."""
    for id, flag in stale(book).select("id", "stale").iter_rows():
        yield Row(deal(id), "asof", flag, 1)


@kpi("stale_pipeline_share", number=7, grain="owner, segment, company", kind="leading", write_back="K",
     units={"": "ratio", "count": "count", "past_due_count": "count"}, source=f"inflated by stale deals ({HEALTHTECH})")  # fmt: skip
def stale_pipeline_share(book: Book) -> Iterator[Row]:
    """Value of stale open new business ÷ value of all of it; ``count`` and ``past_due_count`` (close date past) of deals."""
    for subject, part in slices(_new(stale(book)), "segment", "owner"):
        yield quotient(subject, "asof", total(part.filter("stale")["amount"]), total(part["amount"]), part["amount"].count(), small=False)
        yield count(subject, "asof", int(part["stale"].sum()), variant="count", n=part.height)
        yield count(subject, "asof", int(part["close_date_past"].sum()), variant="past_due_count", n=part.height)


@kpi("expected_arr_by_quarter_end", number=8, grain="company", units="money", kind="leading", write_back="K",
     source=f"weekly number 3 ({HEALTHTECH})")  # fmt: skip
def expected_arr_by_quarter_end(book: Book) -> Iterator[Row]:
    """ARR won so far in the current fiscal quarter + Σ ARR × p over in-period open deals; new business."""
    window = book.windows.quarter
    won, ready = money("company", window.label, book.won(window), "arr"), money("company", window.label, _in_period(book), "weighted_arr")
    excluded = {
        key: (won.excluded or {}).get(key, 0) + (ready.excluded or {}).get(key, 0) for key in {*(won.excluded or {}), *(ready.excluded or {})}
    }
    assert isinstance(won.value, float) and isinstance(ready.value, float)  # noqa: PT018
    yield Row("company", window.label, won.value + ready.value, won.n + ready.n, excluded=excluded)


def _in_period(book: Book) -> pl.DataFrame:
    return _new(weighted(book)).filter("in_period")


@kpi("active_opportunity_count", number=10, grain="owner, segment, company", units="count", kind="leading", write_back="U K",
     source=f"term of sales velocity ({HEALTHCARE})")  # fmt: skip
def active_opportunity_count(book: Book) -> Iterator[Row]:
    """Number of open new-business deals, parked ones included."""
    for subject, part in slices(book.open_new, *DIMENSIONS):
        yield count(subject, "asof", part.height)
