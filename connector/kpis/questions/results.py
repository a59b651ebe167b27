"""What was won? (catalogue 8.2)"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import polars as pl

from connector.kpis.book.book import Book, derived
from connector.kpis.book.ledger import Ledger, ledger
from connector.kpis.book.money import MONEY, PLACES, converted, total
from connector.kpis.book.populations import DIMENSIONS
from connector.kpis.book.quotas import credited, quota_lines, quota_totals, quotas
from connector.kpis.definition import Reason, Row, kpi
from connector.kpis.evidence import of_deals, together
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
    """Number of new-business deals won, by close moment: the instant at which a deal became won, not the close date that people edit.

    By owner: a deal counts for each owner of its split if there is one, else for the owner at the close. A reopened deal counts at its last
    close. ``n``: the count.

    >>> from connector.kpis.example import example
    >>> example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02").show("closed_won_count", window="T12M")
    '1 count, n=1'
    """
    for window in book.windows.wide:
        for subject, part in _won_slices(book, book.won(window)):
            yield count(subject, window.label, part.height, evidence=of_deals(part, "closed"))


@kpi("bookings", number=11, grain="owner, segment, product, company", units={"": "money", "all_types": "money"}, kind="lagging", write_back="U K",
     source="quarterly bookings (CRO vs VP of Sales)")  # fmt: skip
def bookings(book: Book) -> Iterator[Row]:
    """Amount of new-business deals won, by close moment, at the exchange rate of that day. By owner: splits, else the owner at the close.

    ``all_types``: won deals of every type, expansion and renewal among them. ``n``: deals with an amount; the others are ``missing_amount`` or
    ``missing_fx``.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02", amount=500)
    >>> company.deal("D2", "demo 2026-05-04", "closed_won 2026-08-02", amount=0).show("bookings", window="T12M")
    '500 money, n=1, missing_amount=1'
    """
    everything = book.deals.filter(pl.col("cls") == "won")
    for window in book.windows.wide:
        for subject, part in _won_slices(book, book.won(window)):
            yield _booked(subject, window.label, part)
        yield _booked("company", window.label, everything.filter(window.covers("closed")), "all_types")


def _booked(subject: str, window: str, part: pl.DataFrame, variant: str = "") -> Row:
    told = of_deals(part, "closed", "deal_type", "amount", pl.col("amount_why").alias("left_out"))
    return money(subject, window, part, variant=variant)._replace(evidence=told)


@kpi("new_arr", number=12, grain="segment, product, company", units="money", kind="lagging", write_back="K", source=f"headline metric ({MEDTECH})")
def new_arr(book: Book) -> Iterator[Row]:
    """Sum of the ARR of new-business deals won, by close moment, at the exchange rate of that day.

    ARR 0 (capital only) contributes 0; an empty or negative one is ``missing_arr``. ``n``: deals with an ARR.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02", arr=0)
    >>> company.deal("D2", "demo 2026-05-04", "closed_won 2026-08-02", arr=None).show("new_arr", window="T12M")
    '0 money, n=1, missing_arr=1'
    """
    for window in book.windows.wide:
        for subject, part in slices(book.won(window), "segment", "product"):
            yield money(subject, window.label, part, "arr")


PARTS = ("new", "expansion", "contraction", "churn")


@kpi("net_new_arr", number=13, grain="company", kind="lagging", write_back="K", needs=("arr_ledger",), rests_on="none",
     units=dict.fromkeys(("", *PARTS), "money"), source=f"the ultimate output metric ({HEALTHTECH})")  # fmt: skip
def net_new_arr(book: Book) -> Iterator[Row]:
    """new + expansion − contraction − churn of the ARR ledger over entries dated in the window.

    All entries of a window are converted at one rate, that of its last day but not after today, so that currencies moving is no growth. The
    four parts are variants, each ≥ 0. ``n``: ledger rows; rows without a rate are ``missing_fx``.

    >>> from connector.kpis.example import example
    >>> grown = {"account_key": "A1", "date": "2026-06-01", "type": "new", "delta": 900}
    >>> shrunk = {"account_key": "A1", "date": "2026-09-01", "type": "contraction", "delta": -200}
    >>> example().file("arr_ledger", grown, shrunk).show("net_new_arr", window="T12M")
    '700 money, n=2'
    """
    entries = ledger(book)
    for window in book.windows.wide:
        if entries is None:
            yield from (missing("company", window.label, part, small=False) for part in ("", *PARTS))
            continue
        rows = entries.at(window.last or book.today).filter(window.covers("date"))
        yield money("company", window.label, rows, "delta")
        for part in PARTS:
            mine = rows.filter(pl.col("type") == part)
            yield money("company", window.label, mine.with_columns(pl.col("delta").abs()), "delta", variant=part)


@derived
def with_capital(book: Book) -> pl.DataFrame:
    """Deals with capital (0 counts as known), capital_why and capital_share (a year's part of it), at the rate of the close or of today."""
    years = Decimal(str(book.settings.money.capital_normalisation_years))
    currencies, days = book.deals["currency"].to_list(), book.deals["closed"].fill_null(book.today).to_list()
    capital, why = converted("capital", book.deals["capital_amount"].to_list(), currencies, days, book.rates, zero_counts=True)
    share = pl.Series("capital_share", [None if invested is None else (invested / years).quantize(PLACES) for invested in capital], dtype=MONEY)
    return book.deals.with_columns(capital, why, share)


@derived
def recurring_and_capital(book: Book) -> dict[str, Decimal | None]:
    """Deal → ARR + a year's part of its capital, the part that is not known left out; None where neither is (formula F10 of the scorecard)."""
    rows = with_capital(book).select("id", "arr", "capital_share").iter_rows()
    return {id: None if arr is None and share is None else (arr or Decimal(0)) + (share or Decimal(0)) for id, arr, share in rows}


@derived
def blended(book: Book) -> pl.DataFrame:
    """Deals won with blended (ARR, else projected pull-through, + a year's part of the capital) and blended_why, capital, pull_through."""
    won = with_capital(book).filter(pl.col("id").is_in(book.won(book.windows.all)["id"].implode()))
    currencies, days = won["currency"].to_list(), won["closed"].to_list()
    through, _ = converted("pull_through", won["projected_pull_through"].to_list(), currencies, days, book.rates, zero_counts=False)
    values = []
    for arr, pulled, share in zip(won["arr"], through, won["capital_share"], strict=True):
        yearly = pulled if not arr and pulled is not None else arr
        values.append(None if yearly is None else yearly + (share or Decimal(0)))
    found = pl.Series("blended", values, dtype=MONEY)
    return won.with_columns(through, found, blended_why=pl.when(found.is_null()).then(pl.col("arr_why")))


@kpi("blended_arr", number=14, grain="company", units="money", kind="lagging", write_back="K",
     source=f"blended ARR against lumpy capital deals ({MEDTECH})")  # fmt: skip
def blended_arr(book: Book) -> Iterator[Row]:
    """Σ (ARR + capital ÷ ``capital_normalisation_years``) of new-business deals won, by close moment, at the exchange rate of that day.

    Where the ARR is empty or 0, the projected yearly pull-through (placements) stands in. A capital amount that is empty or not positive adds
    nothing. ``n``: deals with an ARR (0 is one) or a pull-through; the others are ``missing_arr`` or ``missing_fx``, with their capital.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02", arr=600, capital_amount=500)
    >>> company.deal("D2", "demo 2026-05-04", "closed_won 2026-08-02", arr=0, projected_pull_through=90).show("blended_arr", window="T12M")
    '790 money, n=2'
    """
    deals = blended(book)
    for window in book.windows.wide:
        part = deals.filter(window.covers("closed"))
        told = of_deals(part, "closed", "arr", "pull_through", "capital", "blended", pl.col("blended_why").alias("left_out"))
        yield money("company", window.label, part, "blended")._replace(evidence=told)


@kpi("mrr", number=15, grain="company", units="money", kind="lagging", write_back="K", needs=("arr_ledger",), rests_on="none",
     source=f"board language ({MEDTECH})")  # fmt: skip
def mrr(book: Book) -> Iterator[Row]:
    """Balance of the ARR ledger at the end of today ÷ 12, at today's exchange rate.

    ``n``: accounts with ARR above 0; accounts with entries in a currency that has no rate are ``missing_fx``.

    >>> from connector.kpis.example import example
    >>> example().file("arr_ledger", {"account_key": "A1", "date": "2026-06-01", "type": "new", "delta": 1200}).show("mrr")
    '100 money, n=1'
    """
    entries = ledger(book)
    yield missing("company", "asof", small=False) if entries is None else _monthly(entries)


def _monthly(entries: Ledger) -> Row:
    rows, accounts = entries.at(entries.today), entries.balances(entries.today, entries.today)
    lost = rows.filter(pl.col("delta").is_null())["account"].n_unique()
    told = rows.filter(pl.col("account").is_in(accounts["account"].implode()))
    return Row("company", "asof", total(accounts["arr"]) / 12, accounts.height, excluded={"missing_fx": lost}, evidence=told)


@kpi("quota_attainment", number=16, grain="owner, company", units="ratio", kind="lagging", write_back="U", needs=("quotas",),
     source="the VP's measure (CRO vs VP of Sales)")  # fmt: skip
def quota_attainment(book: Book) -> Iterator[Row]:
    """Won amount credited to the owner ÷ the owner's quota of the fiscal quarter; deals of ``quota_types``, by close moment.

    Credit: splits if there are any, else the owner at the close. The company counts owners with a quota on both sides; deals credited to
    others only are ``owner_without_quota``. No quota of the quarter: ``missing_input``; a quota of 0: ``no_denominator``. ``n``: credited deals.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-11-04", "closed_won 2027-01-08", amount=400)
    >>> company.file("quotas", {"owner_key": "R1", "period": "FY2027-Q1", "amount": 500}).show("quota_attainment", subject="owner=R1")
    '0.8 ratio, n=1'
    """
    types = list(book.settings.populations.quota_types)
    won = book.deals.filter((pl.col("cls") == "won") & pl.col("deal_type").is_in(types))
    for window in book.windows.quarters:
        held, lines = quotas(book, window, "bookings"), quota_lines(book, window, "bookings")
        deals = credited(book, won.filter(window.covers("closed")))
        owned = dict(by(deals, "owner"))
        for owner in book.owners["id"]:
            mine = lines.filter(pl.col("quota_of") == owner)
            yield _attained(f"owner={owner}", window.label, owned.get(owner, deals.clear()), held.get(owner), mine)
        counted = deals.filter(pl.col("owner").is_in(list(held)))
        left_out = {"owner_without_quota": deals["id"].n_unique() - counted["id"].n_unique()}
        yield _attained("company", window.label, counted, quota_totals(held), lines)._replace(excluded=left_out)


def _attained(subject: str, window: str, deals: pl.DataFrame, quota: Decimal | None, lines: pl.DataFrame) -> Row:
    told = together([of_deals(deals, "owner", "closed", "share", "amount"), lines])
    return quotient(subject, window, total(deals["amount"]), quota, deals["id"].n_unique(), small=False, evidence=told)


@kpi("win_rate", number=17, grain="every dimension, company", kind="lagging", write_back="K U",
     units=dict.fromkeys(("", "created_cohort", "narrow", "value", "competing_risks"), "ratio"),
     source=f"25–30 % small deals, 10–15 % large contracts ({MEDTECH}); 15–25 % ({HEALTHCARE})")  # fmt: skip
def win_rate(book: Book) -> Iterator[Row]:
    """Won ÷ (won + lost + no decision) of new-business deals, by close moment; dimensions over T12M. Void deals are counted beside it only.

    ``narrow``: without no-decision; ``value``: amounts instead of counts; ``created_cohort``: won so far ÷ all created in the window, open ones
    ``pending``; ``competing_risks``: Aalen–Johansen probability of ever winning, over all time, open deals censored: losses compete with wins
    and do not just leave. ``n``: closed deals (``created_cohort``: created ones; ``value``: with an amount; ``competing_risks``: all).

    >>> from connector.kpis.example import example
    >>> example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02").deal("D2", "demo 2026-05-04", "closed_lost 2026-07-01").show("win_rate")
    '0.5 ratio, n=2, 0.09–0.91, low n'
    """
    rolling = book.windows.rolling
    for window in book.windows.wide:
        void = {"void": book.void_new.filter(window.covers("closed")).height} if window.label == rolling.label else None
        yield won_share("company", window.label, book.judged(window), excluded=void)
        created = book.of_win_rates(book.new_business.filter(window.covers("created")))
        told = of_deals(created, "created", "cls", (pl.col("cls") == "won").alias("won"))
        yield rate("company", window.label, _won(created), created.height, variant="created_cohort", pending=_open(created), evidence=told)
    closed = book.judged(rolling)
    for subject, part in slices(closed, *DIMENSIONS):
        if subject != "company":
            yield won_share(subject, rolling.label, part)
    decided = closed.filter(pl.col("cls") != "no_decision")
    yield won_share("company", rolling.label, decided, variant="narrow", excluded={"no_decision": closed.height - decided.height})
    yield _won_value(rolling.label, closed)
    yield _competing(book)


def won_share(subject: str, window: str, closed: pl.DataFrame, *, variant: str = "", excluded: dict[str, int] | None = None) -> Row:
    """The win rate of a frame of closed deals."""
    told = of_deals(closed, "closed", "cls", (pl.col("cls") == "won").alias("won"))
    return rate(subject, window, _won(closed), closed.height, variant=variant, excluded=excluded, evidence=told)


def _won_value(window: str, closed: pl.DataFrame) -> Row:
    amounts, won = closed["amount"], closed.filter(pl.col("cls") == "won")["amount"]
    left_out = {why: int((closed["amount_why"] == why).sum()) for why in ("missing_amount", "missing_fx")}
    told = of_deals(closed, "closed", "amount", (pl.col("cls") == "won").alias("won"))
    return quotient("company", window, total(won), total(amounts), amounts.count(), variant="value", excluded=left_out, evidence=told)


def _won(deals: pl.DataFrame) -> int:
    return int((deals["cls"] == "won").sum())


def _open(deals: pl.DataFrame) -> int:
    return int((deals["cls"] == "open").sum())


def _competing(book: Book) -> Row:
    length = (pl.col("closed").fill_null(book.today) - pl.col("created")).dt.total_days()
    deals = book.of_win_rates(book.new_business).with_columns(days=length).filter(pl.col("days") >= 0)
    running = _open(deals)
    reason: Reason | None = "no_denominator" if deals.is_empty() else "only_running" if running == deals.height else None
    value = None if reason else ever(deals["days"].to_list(), [None if cls == "open" else cls == "won" for cls in deals["cls"]])
    told = of_deals(deals, "created", "closed", "cls", "days")
    return Row("company", "ALL", value, deals.height, "competing_risks", True, None, running, None, reason, told)


@kpi("average_deal_size", number=20, grain="every dimension, company", kind="lagging", write_back="K",
     units=dict.fromkeys(("mean", "median", "arr_mean"), "money"),
     source=f"clinic about 10 k, large hospital system 500 k and more ({HEALTHCARE})")  # fmt: skip
def average_deal_size(book: Book) -> Iterator[Row]:
    """Size of new-business deals won in T12M: ``median`` (shown first, sizes are skewed) and ``mean`` of the amounts, ``arr_mean`` of the ARR.

    ``n``: deals with an amount (an ARR). Sizes run from 10 k to 500 k and more: read the segments.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02", amount=100)
    >>> company.deal("D2", "demo 2026-05-04", "closed_won 2026-08-02", amount=500).show("average_deal_size", "median")
    '300 money, n=2, low n'
    """
    rolling = book.windows.rolling
    won = book.won(rolling)
    for subject, part in slices(won, *DIMENSIONS):
        told = of_deals(part, "closed", "amount", pl.col("amount_why").alias("left_out"))
        yield from middle(subject, rolling.label, part["amount"], {"mean": "mean", "median": "median"}, evidence=told)
    yield from middle("company", rolling.label, won["arr"], {"arr_mean": "mean"}, evidence=of_deals(won, "closed", "arr"))
