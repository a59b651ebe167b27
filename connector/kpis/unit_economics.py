"""What does a customer cost, and what is it worth? (catalogue 8.8)"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import polars as pl

from connector.kpis.book import Book
from connector.kpis.definition import Row, kpi
from connector.kpis.ledger import ledger
from connector.kpis.money import total
from connector.kpis.shapes import missing, quotient, without
from connector.kpis.windows import Window


def spend(book: Book, window: Window, categories: tuple[str, ...] | None = None) -> Decimal | None:
    """Spend of the months whose first day lies in the window and has come; None: no row for them, or no rate for one."""
    rows = [row for row in book.inputs.rows("spend") or () if window.holds(row["month"]) and row["month"] <= book.today]
    chosen = [row for row in rows if categories is None or row["category"] in categories]
    parts = [book.rates.convert(row["amount"], row["currency"], row["month"]) for row in chosen]
    return None if not rows or None in parts else sum((part for part in parts if part is not None), Decimal(0))


def new_customers(book: Book, window: Window) -> pl.DataFrame:
    """Won deals of the window whose account had won nothing before it, and had no ARR in the ledger on the day before it."""
    assert window.first is not None
    won = book.won(window)
    before = book.new_business.filter((pl.col("cls") == "won") & (pl.col("closed") < window.first))["account"]
    known = set(before.drop_nulls().to_list())
    entries = ledger(book)
    if entries is not None:
        eve = window.first - timedelta(days=1)
        known |= set(entries.balances(eve, eve)["account"].to_list())
    return won.filter(pl.col("account").is_not_null() & ~pl.col("account").is_in(sorted(known)))


@kpi("cac_payback_months", number=77, grain="company", units={"": "months", "gross": "months"}, kind="lagging", write_back="K",
     needs=("spend", "setting:money.gross_margin"), source="below 12 months (healthtech CRO KPIs); 12–24 (healthcare CRO metrics)")  # fmt: skip
def cac_payback_months(book: Book) -> Iterator[Row]:
    """Fully loaded cost per new customer ÷ (ARR per new customer ÷ 12 × gross margin). ``gross``: without the margin."""
    margin = book.settings.money.gross_margin
    for window in book.windows.wide:
        cost, deals = spend(book, window), new_customers(book, window)
        customers, monthly = deals["account"].n_unique(), total(deals["arr"]) / 12
        for variant, share in (("", margin), ("gross", 1.0)):
            if share is None or cost is None:
                yield missing("company", window.label, variant, customers)
            else:
                yield quotient("company", window.label, cost, monthly * share, customers, variant=variant, excluded=without(deals, "arr"))
