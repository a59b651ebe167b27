"""Quotas of owners per fiscal quarter, and who gets credit for what was won (catalogue R8, R18)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import polars as pl

from connector.kpis.book.book import Book, derived
from connector.kpis.book.keys import found, owner_index
from connector.kpis.book.money import MONEY
from connector.kpis.book.windows import Window, add_months, parse
from connector.kpis.inputs.tables import PLACE


@derived
def _rows(book: Book) -> dict[tuple[str, str, str], tuple[Decimal | None, str]]:
    """(owner, period, basis) → (quota in the reporting currency at the rate of the period's first day, where it stands)."""
    rows = {}
    for row in book.inputs.rows("quotas") or ():
        first = parse(row["period"], book.today, book.calendar).first
        assert first is not None
        key = found(owner_index(book), row["owner_key"]), row["period"], row["basis"]
        rows[key] = book.rates.convert(row["amount"], row["currency"], first), row[PLACE]
    return rows


def _periods(book: Book, owner: str, quarter: Window, basis: str) -> list[str]:
    """The periods whose rows make an owner's quota of a quarter: its own, else all three calendar months; empty: no quota."""
    rows = _rows(book)
    if (owner, quarter.label, basis) in rows:
        periods = [quarter.label]
    else:
        assert quarter.first is not None
        periods = [add_months(quarter.first, k).strftime("%Y-%m") for k in range(3)]
    return periods if all(rows.get((owner, period, basis), (None, ""))[0] is not None for period in periods) else []


def quotas(book: Book, quarter: Window, basis: str) -> dict[str, Decimal]:
    """Owner → quota of a fiscal quarter: its own row, else the sum of all three calendar months; owners without either are absent."""
    rows = _rows(book)
    held: dict[str, Decimal] = {}
    for owner in sorted({owner for owner, _, _ in rows}):
        parts = [rows[owner, period, basis][0] for period in _periods(book, owner, quarter, basis)]
        if parts:
            held[owner] = sum((part for part in parts if part is not None), Decimal(0))
    return held


def quota_totals(held: Mapping[str, Decimal]) -> Decimal | None:
    """The company's quota; None where no owner has one."""
    return sum(held.values(), Decimal(0)) if held else None


def quota_lines(book: Book, quarter: Window, basis: str) -> pl.DataFrame:
    """Evidence of the quotas of a quarter: input, quota_of (the owner), period, quota in the reporting currency."""
    rows = _rows(book)
    listed = [
        (rows[owner, period, basis][1], owner, period, rows[owner, period, basis][0])
        for owner in quotas(book, quarter, basis)
        for period in _periods(book, owner, quarter, basis)
    ]
    schema: dict[str, type[pl.DataType] | pl.DataType] = {"input": pl.String, "quota_of": pl.String, "period": pl.String, "quota": MONEY}
    return pl.DataFrame(listed, schema=schema, orient="row")


@derived
def _shares(book: Book) -> pl.DataFrame:
    """id, credit, share: what each owner holds of the deals that are split."""
    held = book.splits.filter(pl.col("owner").is_not_null() & (pl.col("share") > 0))
    return held.group_by(pl.col("opportunity").alias("id"), pl.col("owner").alias("credit")).agg(pl.col("share").sum()).sort("id", "credit")


def credited(book: Book, deals: pl.DataFrame) -> pl.DataFrame:
    """Deals by the owner who gets credit, with ``share``: one row per owner of a split, amount and ARR divided; else the owner at the close."""
    split = deals.join(_shares(book), on="id", how="left", maintain_order="left_right").with_columns(
        owner=pl.coalesce("credit", "owner"), share=pl.col("share").fill_null(1.0)
    )
    return split.with_columns((pl.col(column) * pl.col("share").cast(MONEY)).alias(column) for column in ("amount", "arr"))
