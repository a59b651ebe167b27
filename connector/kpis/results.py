"""What was won? (catalogue 8.2)"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from connector.kpis.book import Book
from connector.kpis.definition import Reason, Row, kpi
from connector.kpis.ledger import ledger
from connector.kpis.money import MONEY, total
from connector.kpis.quotas import credited, quota_totals, quotas
from connector.kpis.populations import DIMENSIONS
from connector.kpis.shapes import by, count, middle, missing, money, quotient, rate, slices
from connector.kpis.stats import ever

MEDTECH, HEALTHTECH, HEALTHCARE = "medtech CRO KPIs", "healthtech CRO KPIs", "healthcare CRO metrics"


def _won_slices(book: Book, won: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    yield from slices(won, "segment", "product")
    for owner, part in by(credited(book, won), "owner"):
        yield f"owner={owner}", part


@kpi("closed_won_count", number=11, grain="owner, segment, product, company", units="count", kind="lagging", write_back="U K",
     source=f"deals closed ({MEDTECH})")  # fmt: skip
def closed_won_count(book: Book) -> Iterator[Row]:
    """Number of new-business deals won, by close moment. By owner: splits if there are any, else the owner at the close."""
    for window in book.windows.wide:
        for subject, part in _won_slices(book, book.won(window)):
            yield count(subject, window.label, part.height)


@kpi("bookings", number=11, grain="owner, segment, product, company", units={"": "money", "all_types": "money"}, kind="lagging", write_back="U K",
     source="quarterly bookings (CRO vs VP of Sales)")  # fmt: skip
def bookings(book: Book) -> Iterator[Row]:
    """Amount of new-business deals won, by close moment; ``all_types`` with expansion and renewal."""
    everything = book.deals.filter(pl.col("cls") == "won")
    for window in book.windows.wide:
        for subject, part in _won_slices(book, book.won(window)):
            yield money(subject, window.label, part)
        yield money("company", window.label, everything.filter(window.covers("closed")), variant="all_types")


@kpi("new_arr", number=12, grain="segment, product, company", units="money", kind="lagging", write_back="K", source=f"headline metric ({MEDTECH})")
def new_arr(book: Book) -> Iterator[Row]:
    """Sum of the ARR of new-business deals won. ARR 0 (capital only) contributes 0; empty or negative is missing."""
    for window in book.windows.wide:
        for subject, part in slices(book.won(window), "segment", "product"):
            yield money(subject, window.label, part, "arr")


@kpi("net_new_arr", number=13, grain="company", kind="lagging", write_back="K", needs=("arr_ledger",), rests_on="none",
     units=dict.fromkeys(("", "new", "expansion", "contraction", "churn"), "money"), source=f"the ultimate output metric ({HEALTHTECH})")  # fmt: skip
def net_new_arr(book: Book) -> Iterator[Row]:
    """new + expansion − contraction − churn of the ARR ledger, at the rate of the window's last day. The four parts are variants, each ≥ 0."""
    entries = ledger(book)
    for window in book.windows.wide:
        if entries is None:
            yield from (missing("company", window.label, part, small=False) for part in ("", "new", "expansion", "contraction", "churn"))
            continue
        rows = entries.at(window.last or book.today).filter(window.covers("date"))
        yield money("company", window.label, rows, "delta")
        for part in ("new", "expansion", "contraction", "churn"):
            mine = rows.filter(pl.col("type") == part)
            yield money("company", window.label, mine.with_columns(pl.col("delta").cast(pl.Float64).abs().cast(MONEY)), "delta", variant=part)


@kpi("quota_attainment", number=16, grain="owner, company", units="ratio", kind="lagging", write_back="U", needs=("quotas",),
     source="the VP's measure (CRO vs VP of Sales)")  # fmt: skip
def quota_attainment(book: Book) -> Iterator[Row]:
    """Won amount credited to the owner ÷ the owner's quota of the quarter; the company counts owners with a quota on both sides."""
    types = list(book.settings.populations.quota_types)
    won = book.deals.filter((pl.col("cls") == "won") & pl.col("deal_type").is_in(types))
    for window in book.windows.quarters:
        held = quotas(book, window, "bookings")
        deals = credited(book, won.filter(window.covers("closed")))
        owned = dict(by(deals, "owner"))
        for owner in book.owners["id"]:
            part = owned.get(owner, deals.clear())
            yield quotient(f"owner={owner}", window.label, total(part["amount"]), held.get(owner), part.height, small=False)
        mine = deals.filter(pl.col("owner").is_in(list(held)))
        left_out = {"owner_without_quota": deals.height - mine.height}
        yield quotient("company", window.label, total(mine["amount"]), quota_totals(held), mine.height, small=False, excluded=left_out)


@kpi("win_rate", number=17, grain="every dimension, company", kind="lagging", write_back="K U",
     units=dict.fromkeys(("", "created_cohort", "narrow", "value", "competing_risks"), "ratio"),
     source=f"25–30 % small deals, 10–15 % large contracts ({MEDTECH}); 15–25 % ({HEALTHCARE})")  # fmt: skip
def win_rate(book: Book) -> Iterator[Row]:
    """Won ÷ (won + lost + no decision) by close moment, new business.

    ``narrow``: without no-decision; ``value``: amounts instead of counts; ``created_cohort``: won so far ÷ all created in the window;
    ``competing_risks``: Aalen–Johansen probability of ever winning.
    """
    rolling = book.windows.rolling
    for window in book.windows.wide:
        void = {"void": _void(book)} if window.label == rolling.label else None
        yield won_share("company", window.label, book.closed(window), excluded=void)
        created = book.new_business.filter(window.covers("created"))
        yield rate("company", window.label, _won(created), created.height, variant="created_cohort", pending=_open(created))
    closed = book.closed(rolling)
    for subject, part in slices(closed, *DIMENSIONS):
        if subject != "company":
            yield won_share(subject, rolling.label, part)
    decided = closed.filter(pl.col("cls") != "no_decision")
    yield won_share("company", rolling.label, decided, variant="narrow", excluded={"no_decision": closed.height - decided.height})
    amounts, won = closed["amount"], closed.filter(pl.col("cls") == "won")["amount"]
    left_out = {
        "missing_amount": int((closed["amount_why"] == "missing_amount").sum()),
        "missing_fx": int((closed["amount_why"] == "missing_fx").sum()),
    }
    yield quotient("company", rolling.label, total(won), total(amounts), amounts.count(), variant="value", excluded=left_out)
    yield _competing(book)


def won_share(subject: str, window: str, closed: pl.DataFrame, *, variant: str = "", excluded: dict[str, int] | None = None) -> Row:
    """The win rate of a frame of closed deals."""
    return rate(subject, window, _won(closed), closed.height, variant=variant, excluded=excluded)


def _won(deals: pl.DataFrame) -> int:
    return int((deals["cls"] == "won").sum())


def _open(deals: pl.DataFrame) -> int:
    return int((deals["cls"] == "open").sum())


def _void(book: Book) -> int:
    gone = (pl.col("deal_type") == "new_business") & (pl.col("cls") == "void")
    return book.deals.filter(gone & book.windows.rolling.covers("closed")).height


def _competing(book: Book) -> Row:
    length = (pl.col("closed").fill_null(book.today) - pl.col("created")).dt.total_days()
    deals = book.new_business.with_columns(days=length).filter(pl.col("days") >= 0)
    running = _open(deals)
    reason: Reason | None = "no_denominator" if deals.is_empty() else "only_running" if running == deals.height else None
    value = None if reason else ever(deals["days"].to_list(), [None if cls == "open" else cls == "won" for cls in deals["cls"]])
    return Row("company", "ALL", value, deals.height, "competing_risks", True, None, running, None, reason)


@kpi("average_deal_size", number=20, grain="every dimension, company", kind="lagging", write_back="K",
     units=dict.fromkeys(("mean", "median", "arr_mean"), "money"),
     source=f"clinic about 10 k, large hospital system 500 k and more ({HEALTHCARE})")  # fmt: skip
def average_deal_size(book: Book) -> Iterator[Row]:
    """Mean and median amount of new-business deals won in T12M; ``arr_mean``. Sizes are skewed: the median is shown first."""
    rolling = book.windows.rolling
    won = book.won(rolling)
    for subject, part in slices(won, *DIMENSIONS):
        yield from middle(subject, rolling.label, part["amount"], {"mean": "mean", "median": "median"})
    yield from middle("company", rolling.label, won["arr"], {"arr_mean": "mean"})
