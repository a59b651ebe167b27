"""The ARR ledger (arr_ledger.csv): entries, balances and customers, at one constant rate per window (catalogue R7)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from connector.kpis.book import Book, derived
from connector.kpis.evidence import PLACE
from connector.kpis.keys import account_index, found
from connector.kpis.money import MONEY, Rates
from connector.kpis.windows import Window


@dataclass(frozen=True, eq=False)
class Ledger:
    """Entries up to today: input (where the row stands), account (the survivor), segment, date, type, native, currency."""

    entries: pl.DataFrame
    rates: Rates
    today: date

    def at(self, day: date) -> pl.DataFrame:
        """The entries with delta and delta_why, converted at the rate of one day (not after today)."""
        rate = {currency: self.rates.on(currency, min(day, self.today)) for currency in self.entries["currency"].unique()}
        values = [None if rate[c] is None else native * rate[c] for native, c in self.entries.select("native", "currency").iter_rows()]
        delta = pl.Series("delta", values, dtype=MONEY)
        return self.entries.with_columns(delta, delta_why=pl.when(delta.is_null()).then(pl.lit("missing_fx")))

    def balances(self, on: date, rated: date) -> pl.DataFrame:
        """account, segment, arr: balances at the end of a day, at the rate of another; accounts without ARR are absent."""
        rows = self.at(rated).filter(pl.col("date") <= on)
        return rows.group_by("account", "segment").agg(arr=pl.col("delta").sum()).filter(pl.col("arr") > 0).sort("account")

    def cohort(self, window: Window) -> pl.DataFrame:
        """Customers on the day before a window: account, segment, arr (then), arr_now (on its last day, 0 if none), one rate for both."""
        assert window.first is not None
        last = min(window.last or self.today, self.today)
        now = self.balances(last, last).select("account", arr_now="arr")
        then = self.balances(window.first - timedelta(days=1), last)
        return then.join(now, on="account", how="left", maintain_order="left").with_columns(pl.col("arr_now").fill_null(0))


@derived
def ledger(book: Book) -> Ledger | None:
    """The ledger of a book, or None where arr_ledger.csv was not given."""
    rows = book.inputs.rows("arr_ledger")
    if rows is None:
        return None
    index = account_index(book)
    segments = dict(book.accounts.select("id", "segment").iter_rows())
    listed = []
    for row in rows:
        if row["date"] <= book.today:
            account = found(index, row["account_key"])
            currency = row["currency"] or book.rates.reporting
            listed.append((row[PLACE], account, segments.get(account), row["date"], row["type"], row["delta"], currency))
    schema: dict[str, type[pl.DataType] | pl.DataType] = {
        "input": pl.String,
        "account": pl.String,
        "segment": pl.String,
        "date": pl.Date,
        "type": pl.String,
        "native": MONEY,
        "currency": pl.String,
    }
    return Ledger(pl.DataFrame(listed, schema=schema, orient="row"), book.rates, book.today)
