"""The ARR ledger (arr_ledger.csv): entries, balances and customers, at one constant rate per window (catalogue R7)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from connector.kpis.book.book import Book, derived
from connector.kpis.book.keys import account_index, found
from connector.kpis.book.money import MONEY, Rates
from connector.kpis.book.windows import Window
from connector.kpis.inputs.tables import PLACE

_SUMS = ("arr", "arr_now", "cut", "grown")


@dataclass(frozen=True, eq=False)
class Ledger:
    """Entries up to today: input (where the row stands), account (the survivor), segment, date, type, native, currency."""

    entries: pl.DataFrame
    rates: Rates
    today: date

    def _rated(self, rows: pl.DataFrame, names: dict[str, str], day: date) -> pl.DataFrame:
        """Money columns in the reporting currency (native name → new name), at the rate of one day (not after today); null without one."""
        rate = {currency: self.rates.on(currency, min(day, self.today)) for currency in rows["currency"].unique()}
        if all(factor == 1 for factor in rate.values()):
            return rows.with_columns(pl.col(native).alias(name) for native, name in names.items())
        factors = [rate[currency] for currency in rows["currency"]]
        return rows.with_columns(
            pl.Series(name, [None if factor is None else native * factor for native, factor in zip(rows[source], factors, strict=True)], dtype=MONEY)
            for source, name in names.items()
        )

    def at(self, day: date) -> pl.DataFrame:
        """The entries with delta and delta_why, converted at the rate of one day (not after today)."""
        rows = self._rated(self.entries, {"native": "delta"}, day)
        return rows.with_columns(delta_why=pl.when(pl.col("delta").is_null()).then(pl.lit("missing_fx")))

    def balances(self, on: date, rated: date) -> pl.DataFrame:
        """account, segment, arr: balances at the end of a day, at the rate of another; accounts without ARR are absent."""
        rows = self.at(rated).filter(pl.col("date") <= on)
        return rows.group_by("account", "segment").agg(arr=pl.col("delta").sum()).filter(pl.col("arr") > 0).sort("account")

    def customers(self, on: date) -> set[str]:
        """Accounts with ARR at the end of a day, in whatever currency: no rate is needed to know that."""
        rows = self.entries.filter(pl.col("date") <= on).group_by("account", "currency").agg(pl.col("native").sum())
        return set(rows.filter(pl.col("native") > 0)["account"])

    def cohort(self, window: Window) -> pl.DataFrame:
        """Customers on the day before a window, one rate for all of it: account, segment, and in the reporting currency

        arr (then), arr_now (on the window's last day, 0 if none), cut (contraction and churn in it, ≤ 0), grown (expansion in it). These are null
        where one of the account's currencies has no rate. ``kept``: it has ARR on the last day.
        """
        assert window.first is not None
        last = min(window.last or self.today, self.today)
        inside, kind = pl.col("date") >= window.first, pl.col("type")
        native = pl.col("native")
        each = (
            self.entries.filter(pl.col("date") <= last)
            .group_by("account", "segment", "currency")
            .agg(
                arr=native.filter(~inside).sum(),
                arr_now=native.sum(),
                cut=native.filter(inside & kind.is_in(["contraction", "churn"])).sum(),
                grown=native.filter(inside & (kind == "expansion")).sum(),
            )
            .with_columns(held=pl.col("arr") > 0, kept=pl.col("arr_now") > 0)
        )
        rated = self._rated(each, {name: name for name in _SUMS}, last)
        sums = [pl.when(pl.col(name).null_count() == 0).then(pl.col(name).sum()).alias(name) for name in _SUMS]
        accounts = rated.group_by("account", "segment").agg(*sums, pl.col("held").any(), pl.col("kept").any())
        return accounts.filter("held").drop("held").sort("account")


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


@derived
def customers(book: Book) -> pl.DataFrame | None:
    """The cohort of T12M (:meth:`Ledger.cohort`), or None without a ledger."""
    entries = ledger(book)
    return None if entries is None else entries.cohort(book.windows.rolling)
