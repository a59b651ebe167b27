"""Amounts in the reporting currency (catalogue R7). Decimal all the way; the latest rate on or before a day is that day's rate."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal

import polars as pl

MONEY = pl.Decimal(38, 10)
PLACES = Decimal("1e-10")


class Rates:
    """Dated exchange rates: reporting currency per unit. Rows: {currency, date, rate}."""

    def __init__(self, rows: Iterable[Mapping[str, object]], reporting: str) -> None:
        self.reporting = reporting
        dated: dict[str, list[tuple[date, Decimal]]] = {}
        for row in rows:
            day, rate = row["date"], row["rate"]
            assert isinstance(day, date)
            dated.setdefault(str(row["currency"]), []).append((day, Decimal(str(rate))))
        self._dated = {currency: sorted(pairs) for currency, pairs in dated.items()}

    def on(self, currency: str | None, day: date) -> Decimal | None:
        """The rate of a day; 1 for the reporting currency (and where no currency is named); None: no rate known by then."""
        if currency is None or currency == self.reporting:
            return Decimal(1)
        pairs = self._dated.get(currency, [])
        place = bisect_right(pairs, day, key=lambda pair: pair[0])
        return pairs[place - 1][1] if place else None

    def convert(self, amount: Decimal, currency: str | None, day: date) -> Decimal | None:
        """The amount in the reporting currency at the rate of that day, unrounded; None: ``missing_fx``."""
        rate = self.on(currency, day)
        return None if rate is None else (amount * rate).quantize(PLACES)


def converted(
    name: str, amounts: Iterable[Decimal | None], currencies: Iterable[str | None], days: Iterable[date], rates: Rates, *, zero_counts: bool
) -> tuple[pl.Series, pl.Series]:
    """A column ``name`` of converted amounts, and ``name_why``: missing_``name`` (empty, negative; 0 too unless ``zero_counts``) or missing_fx."""
    values: list[Decimal | None] = []
    why: list[str | None] = []
    for amount, currency, day in zip(amounts, currencies, days, strict=True):
        if amount is None or amount < 0 or (amount == 0 and not zero_counts):
            values.append(None)
            why.append(f"missing_{name}")
        else:
            values.append(rates.convert(amount, currency, day))
            why.append("missing_fx" if values[-1] is None else None)
    return pl.Series(name, values, dtype=MONEY), pl.Series(f"{name}_why", why, dtype=pl.String)


def total(column: pl.Series) -> float:
    """The exact sum of a money column, as the float a measure carries; 0 over nothing."""
    return float(column.sum() or 0)
