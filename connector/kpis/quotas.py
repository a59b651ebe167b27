"""Quotas of owners per fiscal quarter (catalogue R8)."""

from __future__ import annotations

from decimal import Decimal

from connector.kpis.book import Book, derived
from connector.kpis.keys import found, owner_index
from connector.kpis.windows import Window, add_months, parse


@derived
def _rows(book: Book) -> dict[tuple[str, str, str], Decimal | None]:
    """(owner, period, basis) → quota in the reporting currency at the rate of the period's first day."""
    rows = {}
    for row in book.inputs.rows("quotas") or ():
        first = parse(row["period"], book.today, book.calendar).first
        assert first is not None
        key = found(owner_index(book), row["owner_key"]), row["period"], row["basis"]
        rows[key] = book.rates.convert(row["amount"], row["currency"], first)
    return rows


def quotas(book: Book, quarter: Window, basis: str) -> dict[str, Decimal]:
    """Owner → quota of a fiscal quarter: its own row, else the sum of all three calendar months; owners without either are absent."""
    rows = _rows(book)
    assert quarter.first is not None
    months = [add_months(quarter.first, k).strftime("%Y-%m") for k in range(3)]
    held: dict[str, Decimal] = {}
    for owner in {owner for owner, _, _ in rows}:
        whole = rows.get((owner, quarter.label, basis))
        parts = [rows.get((owner, month, basis)) for month in months]
        if whole is not None:
            held[owner] = whole
        elif (owner, quarter.label, basis) not in rows and None not in parts:
            held[owner] = sum((part for part in parts if part is not None), Decimal(0))
    return held


def quota_totals(held: dict[str, Decimal]) -> Decimal | None:
    """The company's quota; None where no owner has one."""
    return sum(held.values(), Decimal(0)) if held else None
