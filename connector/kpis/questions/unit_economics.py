"""What does a customer cost, and what is it worth? (catalogue 8.8)"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from connector.kpis.book.book import Book, derived
from connector.kpis.book.ledger import ledger
from connector.kpis.book.money import total
from connector.kpis.book.windows import Window
from connector.kpis.definition import Row, kpi
from connector.kpis.evidence import of_deals, of_inputs, together
from connector.kpis.shapes import missing, quotient, without

HEALTHCARE, HEALTHTECH = "healthcare CRO metrics", "healthtech CRO KPIs"


@dataclass(frozen=True, slots=True)
class Spend:
    """Lines of spend.csv and their sum in the reporting currency.

    ``total`` is None where the window has no line of any category, or a line has no rate: ``unrated`` counts these.
    """

    lines: Sequence[Mapping[str, Any]]
    total: Decimal | None
    unrated: int

    @property
    def evidence(self) -> pl.DataFrame:
        return of_inputs(self.lines, "month", "category", "segment", "amount", "currency")


def spend(book: Book, window: Window, categories: Sequence[str] | None = None, segment: str | None = None) -> Spend:
    """Spend of the months whose first day lies in the window and has come; without ``categories`` all, without ``segment`` that of every one."""
    begun = [row for row in book.inputs.rows("spend") or () if window.holds(row["month"]) and row["month"] <= book.today]
    lines = [row for row in begun if (categories is None or row["category"] in categories) and segment in (None, row["segment"])]
    parts = [book.rates.convert(row["amount"], row["currency"], row["month"]) for row in lines]
    known = [part for part in parts if part is not None]
    complete = bool(begun) and len(known) == len(parts)
    return Spend(lines, sum(known, Decimal(0)) if complete else None, len(parts) - len(known))


@derived
def _won_before(book: Book) -> pl.DataFrame:
    """account, first: the close date of the first deal each account won."""
    won = book.new_business.filter((pl.col("cls") == "won") & pl.col("account").is_not_null())
    return won.group_by("account").agg(first=pl.col("closed").min())


@derived
def new_customers(book: Book, window: Window) -> pl.DataFrame:
    """Won deals of the window whose account had won nothing before it, and had no ARR in the ledger on the day before it."""
    assert window.first is not None
    before = _won_before(book).filter(pl.col("first") < window.first)["account"].to_list()
    entries = ledger(book)
    known = {*before, *(entries.customers(window.first - timedelta(days=1)) if entries is not None else ())}
    return book.won(window).filter(pl.col("account").is_not_null() & ~pl.col("account").is_in(sorted(known)))


def _cost(subject: str, window: Window, variant: str, cost: Spend, deals: pl.DataFrame) -> Row:
    customers = deals["account"].n_unique()
    told = together([of_deals(deals, "account", "closed", "segment"), cost.evidence])
    left_out = {"missing_fx": cost.unrated}
    return quotient(subject, window.label, cost.total, customers, customers, variant=variant, excluded=left_out, evidence=told)


def _costs(book: Book, window: Window, variant: str, categories: Sequence[str] | None) -> Iterator[Row]:
    cost, deals = spend(book, window, categories), new_customers(book, window)
    yield _cost("company", window, variant, cost, deals)
    for segment in sorted({line["segment"] for line in cost.lines if line["segment"] is not None}):
        mine = deals.filter(pl.col("segment") == segment)
        yield _cost(f"segment={segment}", window, variant, spend(book, window, categories, segment), mine)


@kpi("blended_cac", number=75, grain="company, segment", units="money", kind="lagging", write_back="K", needs=("spend",),
     source=f"explain why it moves ({HEALTHTECH})")  # fmt: skip
def blended_cac(book: Book) -> Iterator[Row]:
    """Spend of the categories ``cac.blended`` (sales, marketing, onboarding) ÷ new customers.

    New customer: an account with a won new-business deal in the window, none won before it, and no ARR in the ledger on the day before
    it; customers, not deals, merged accounts once. Spend of the months whose first day lies in the window, at the rate of that day; with a
    line that has no rate the sum is unknown (``missing_fx``). Segments: only where spend names them, that spend over the new customers
    of the segment. n: new customers.

    >>> from connector.kpis.example import example
    >>> spent = {"month": "2026-06", "category": "sales", "amount": 9000}
    >>> example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02").file("spend", spent).show("blended_cac")
    '9000 money, n=1, low n'
    """
    for window in book.windows.wide:
        yield from _costs(book, window, "", book.settings.cac.blended)


@kpi("cac", number=76, grain="company, segment", units=dict.fromkeys(("", "fully_loaded"), "money"), kind="lagging", write_back="K",
     needs=("spend",), source=f"50–200 k per enterprise deal ({HEALTHCARE})")  # fmt: skip
def cac(book: Book) -> Iterator[Row]:
    """Spend of the categories ``cac.with_compliance`` (sales, marketing, compliance, legal) ÷ new customers.

    ``fully_loaded``: all categories. New customers, months, segments and n as for blended_cac.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02")
    >>> sales, onboarding = {"month": "2026-06", "category": "sales", "amount": 9000}, {"month": "2026-07", "category": "onboarding", "amount": 500}
    >>> company.file("spend", sales, onboarding).show("cac", "fully_loaded")
    '9500 money, n=1, low n'
    """
    for window in book.windows.wide:
        yield from _costs(book, window, "", book.settings.cac.with_compliance)
        yield from _costs(book, window, "fully_loaded", None)


@dataclass(frozen=True, slots=True)
class Customers:
    """New customers of a window: their won deals, how many they are, how many of them have a known ARR, and the sum of these (None: unknown)."""

    deals: pl.DataFrame
    number: int
    known: int
    arr: float | None

    @classmethod
    def of(cls, deals: pl.DataFrame) -> Customers:
        known = deals.filter(pl.col("arr").is_not_null())["account"].n_unique()
        number = deals["account"].n_unique()
        return cls(deals, number, known, total(deals["arr"]) if known or not number else None)

    def times(self, factor: float | None) -> float | None:
        return None if self.arr is None or factor is None else self.arr * factor

    def evidence(self, *more: pl.DataFrame) -> pl.DataFrame | None:
        return together([of_deals(self.deals, "account", "closed", "arr", pl.col("arr_why").alias("left_out"), "contract_years"), *more])


@kpi("cac_payback_months", number=77, grain="company", units={"": "months", "gross": "months"}, kind="lagging", write_back="K",
     needs=("spend", "setting:money.gross_margin"), source=f"below 12 months ({HEALTHTECH}); 12–24 ({HEALTHCARE})")  # fmt: skip
def cac_payback_months(book: Book) -> Iterator[Row]:
    """Fully loaded cost per new customer ÷ (ARR per new customer ÷ 12 × ``money.gross_margin``).

    ``gross``: without the margin, as the source documents write it. New customers and months as for blended_cac; ARR of their deals won
    in the window, per customer whose ARR is known (deals without one: ``missing_arr``, ``missing_fx``). n: new customers.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02", arr=6000)
    >>> company.file("spend", {"month": "2026-06", "category": "sales", "amount": 9000}).show("cac_payback_months", "gross")
    '18 months, n=1, low n'
    """
    margin = book.settings.money.gross_margin
    for window in book.windows.wide:
        cost, new = spend(book, window), Customers.of(new_customers(book, window))
        above = None if cost.total is None else cost.total * new.known
        for variant, share in (("", margin), ("gross", 1.0)):
            monthly = new.times(None if share is None else share * new.number / 12)
            left_out, told = _left_out(new.deals, cost), new.evidence(cost.evidence)
            yield quotient("company", window.label, above, monthly, new.number, variant=variant, excluded=left_out, evidence=told)


def _left_out(deals: pl.DataFrame, cost: Spend) -> dict[str, int]:
    """Deals without ARR, and what has no rate: deals and lines of spend."""
    why = without(deals, "arr")
    return why | {"missing_fx": why.get("missing_fx", 0) + cost.unrated}


@kpi("cac_ratio", number=78, grain="company", units="x", kind="lagging", write_back="K", needs=("spend",), source=f"above 1.0 ({HEALTHCARE})")
def cac_ratio(book: Book) -> Iterator[Row]:
    """ARR of the new business won in the window (new_arr) ÷ spend of ``cac.sales_and_marketing``: ARR over spend, not the inverse.

    Deals without ARR are left out of the sum (``missing_arr``, ``missing_fx``). Months as for blended_cac. n: won deals.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02", arr=6000)
    >>> company.file("spend", {"month": "2026-06", "category": "sales", "amount": 4000}).show("cac_ratio")
    '1.5 x, n=1, low n'
    """
    for window in book.windows.wide:
        cost, won = spend(book, window, book.settings.cac.sales_and_marketing), book.won(window)
        told = together([of_deals(won, "closed", "arr", pl.col("arr_why").alias("left_out")), cost.evidence])
        arr = None if won.height and not won["arr"].count() else total(won["arr"])
        yield quotient("company", window.label, arr, cost.total, won.height, excluded=_left_out(won, cost), evidence=told)


def open_in(book: Book, window: Window) -> pl.DataFrame:
    """New-business deals that were open on some day of a window, the day of the close included; the gap of a reopened deal is not open.

    A deal is open from its creation on. Without an open stage in its history it is taken to be open until its close.
    """
    stays = book.visits.filter(pl.col("cls") == "open").select(pl.col("opportunity").alias("id"), "number", "entered", "left")
    deals = book.new_business.select("id", "created", "closed").join(stays, on="id", how="left", maintain_order="left")
    since = pl.when(pl.col("number").is_null() | (pl.col("number") == 1)).then(pl.min_horizontal("created", "entered")).otherwise("entered")
    until = pl.when(pl.col("number").is_null()).then("closed").otherwise("left")
    first, last = pl.lit(window.first, dtype=pl.Date), pl.lit(window.last, dtype=pl.Date)
    begun, over = (since <= last).fill_null(True), (until < first).fill_null(False)
    return book.new_business.filter(pl.col("id").is_in(deals.filter(begun & ~over)["id"].implode()))


@kpi("cost_per_opportunity", number=79, grain="company", units="money", kind="lagging", write_back="K", needs=("spend",),
     source=f"spend per active deal ({HEALTHCARE})")  # fmt: skip
def cost_per_opportunity(book: Book) -> Iterator[Row]:
    """Spend of ``cac.sales_and_marketing`` ÷ new-business deals that were open on some day of the window. n: these deals.

    Open: from creation to the close, that day included; while a reopened deal was closed it was not. Months as for blended_cac.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02").deal("D2", "demo 2026-05-04")
    >>> company.file("spend", {"month": "2026-06", "category": "sales", "amount": 4000}).show("cost_per_opportunity")
    '2000 money, n=2, low n'
    """
    for window in book.windows.wide:
        cost, deals = spend(book, window, book.settings.cac.sales_and_marketing), open_in(book, window)
        told, left_out = together([of_deals(deals, "created", "closed"), cost.evidence]), {"missing_fx": cost.unrated}
        yield quotient("company", window.label, cost.total, deals.height, deals.height, excluded=left_out, evidence=told)


def _years(book: Book, deals: pl.DataFrame) -> tuple[float | None, dict[str, int]]:
    """Mean contract years of deals (their own, else the setting; None: no deal has either), and how many deals have neither."""
    usual = book.settings.money.contract_years
    years = pl.when(pl.col("contract_years") > 0).then("contract_years").otherwise(pl.lit(usual, dtype=pl.Float64))
    own = deals.select(years=years)["years"]
    mean = own.mean() if len(own) else usual
    return (float(mean) if isinstance(mean, (int, float)) else None), {"unknown": own.null_count()}


def _worth(book: Book) -> Iterator[tuple[Window, Customers, str, float | None, dict[str, int]]]:
    """(window, its new customers, variant, contract years × margin, what was left out) for lifetime values."""
    margin = book.settings.money.gross_margin
    for window in book.windows.wide:
        new = Customers.of(new_customers(book, window))
        years, unknown = _years(book, new.deals)
        for variant, share in (("", 1.0), ("gross_margin", margin)):
            yield window, new, variant, None if years is None or share is None else years * share, unknown


@kpi("ltv", number=80, grain="company", units=dict.fromkeys(("", "gross_margin"), "money"), kind="lagging", write_back="K",
     needs=("setting:money.contract_years", "setting:money.gross_margin"), of_deals=False, source=f"500 k–2 M ({HEALTHCARE})")  # fmt: skip
def ltv(book: Book) -> Iterator[Row]:
    """Lifetime value: ARR per new customer × mean contract years of their deals won in the window. ``gross_margin``: × ``money.gross_margin``.

    Contract years: the deal's own, else ``money.contract_years``; deals with neither are left out of the mean (``unknown``), and without
    any the value is ``missing_input``. ARR per customer whose ARR is known (deals without: ``missing_arr``, ``missing_fx``). New customers
    as for blended_cac. n: new customers.

    >>> from connector.kpis.example import example
    >>> example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02", arr=6000, contract_years=3).show("ltv")
    '18000 money, n=1, low n'
    """
    for window, new, variant, factor, unknown in _worth(book):
        below = new.known if new.arr is not None else None
        left_out = without(new.deals, "arr") | unknown
        yield quotient("company", window.label, new.times(factor), below, new.number, variant=variant, excluded=left_out, evidence=new.evidence())


@kpi("ltv_cac_ratio", number=81, grain="company", units=dict.fromkeys(("", "gross_margin"), "x"), kind="lagging", write_back="K",
     needs=("spend", "setting:money.contract_years", "setting:money.gross_margin"),
     source=f"at least 3, 2 acceptable ({HEALTHCARE}); named (CRO vs VP of Sales)")  # fmt: skip
def ltv_cac_ratio(book: Book) -> Iterator[Row]:
    """ltv ÷ cac.fully_loaded of the same window and new customers. ``gross_margin``: its variant of that name. n: new customers.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02", arr=6000, contract_years=3)
    >>> company.file("spend", {"month": "2026-06", "category": "sales", "amount": 9000}).show("ltv_cac_ratio")
    '2 x, n=1, low n'
    """
    for window, new, variant, factor, unknown in _worth(book):
        cost = spend(book, window)
        below = None if cost.total is None or new.arr is None else cost.total * new.known
        left_out, told = _left_out(new.deals, cost) | unknown, new.evidence(cost.evidence)
        above = new.times(None if factor is None else factor * new.number)
        yield quotient("company", window.label, above, below, new.number, variant=variant, excluded=left_out, evidence=told)


@kpi("gross_margin_by_product", number=82, grain="product", units="ratio", kind="lagging", write_back="K", needs=("product_finance",),
     rests_on="none", source=f"by product line ({HEALTHCARE})")  # fmt: skip
def gross_margin_by_product(book: Book) -> Iterator[Row]:
    """(Revenue − cost of goods sold) ÷ revenue per product, over the months whose first day lies in T12M. n: rows of product_finance.csv.

    A product whose revenue sums up to less than 0 (credit notes) has no margin: ``negative``.

    >>> from connector.kpis.example import example
    >>> sold = {"product": "P1", "month": "2026-09", "revenue": 60000, "cogs": 20000}
    >>> example().file("product_finance", sold, sold | {"month": "2026-12", "revenue": 40000, "cogs": 10000}).show(
    ...     "gross_margin_by_product", subject="product=P1")
    '0.7 ratio, n=2'
    """
    window, rows = book.windows.rolling, book.inputs.rows("product_finance")
    if rows is None:
        yield missing("company", window.label, small=False)
        return
    lines: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if window.holds(row["month"]):
            lines.setdefault(row["product"], []).append(row)
    for product in sorted(lines):
        mine = lines[product]
        revenue, cogs = sum((row["revenue"] for row in mine), Decimal(0)), sum((row["cogs"] for row in mine), Decimal(0))
        margin = quotient(f"product={product}", window.label, revenue - cogs, revenue, len(mine), small=False, evidence=of_inputs(mine))
        yield margin._replace(value=None, reason="negative") if revenue < 0 else margin
