"""Was the forecast right? (catalogue 8.1)"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from connector.kpis.book.book import Book
from connector.kpis.book.keys import found, owner_index
from connector.kpis.book.money import total
from connector.kpis.book.quotas import credited
from connector.kpis.book.windows import Window, parse
from connector.kpis.definition import Row, kpi
from connector.kpis.evidence import of_deals, of_inputs, of_snapshots, together
from connector.kpis.shapes import missing, quotient, without


@dataclass(frozen=True, eq=False)
class _Snapshot:
    """A forecast of one owner (None: the company) for one quarter. ``amount`` None: no exchange rate."""

    period: Window
    owner: str | None
    submitted: date
    amount: Decimal | None
    basis: str
    evidence: pl.DataFrame

    @property
    def order(self) -> tuple[date, bool]:
        """By day; of both bases on one day, bookings count."""
        return self.submitted, self.basis == "bookings"


@kpi("forecast_accuracy", number=9, grain="owner, company", units=dict.fromkeys(("", "error", "bias"), "ratio"), kind="lagging", write_back="K",
     needs=("forecast_snapshots",), source="make it more accurate over time (healthtech CRO KPIs); the VP's job (CRO vs VP of Sales)")  # fmt: skip
def forecast_accuracy(book: Book) -> Iterator[Row]:
    """1 − |forecast − actual| ÷ actual of a fiscal quarter that has ended; negative where the forecast was off by more than the actual.

    The forecast is the last snapshot submitted on or before the first day of the quarter, else the first one inside it; in the reporting
    currency at the rate of the first day. Actual: amount (or ARR, by the basis of the snapshot) of deals of ``quota_types`` won in the quarter;
    by owner as in quota_attainment. ``error``: |forecast − actual| ÷ forecast; ``bias``: (forecast − actual) ÷ actual. ``n``: won deals in the
    actual. Without forecast_snapshots.csv the connector's own snapshots of expected_arr_by_quarter_end serve, for the company.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-11-02", amount=800)
    >>> told = {"period": "FY2026-Q4", "submitted_on": "2026-10-01", "amount": 1000}
    >>> company.file("forecast_snapshots", told).show("forecast_accuracy")
    '0.75 ratio, n=1'
    """
    chosen = list(_chosen(book, _own(book) if book.inputs.rows("forecast_snapshots") is None else _submitted(book)))
    if not chosen and book.inputs.rows("forecast_snapshots") is None:
        first = book.windows.quarter.first
        assert first is not None
        previous = book.calendar.fiscal_quarter(first - timedelta(days=1))
        yield from (missing("company", previous, variant, small=False) for variant in ("", "error", "bias"))
    for snapshot in chosen:
        yield from _judged(book, snapshot)


def _submitted(book: Book) -> Iterator[_Snapshot]:
    """Snapshots of forecast_snapshots.csv up to today."""
    for row in book.inputs.rows("forecast_snapshots") or ():
        if row["submitted_on"] <= book.today:
            period = parse(row["period"], book.today, book.calendar)
            assert period.first is not None
            owner = None if row["owner_key"] is None else found(owner_index(book), row["owner_key"])
            amount = book.rates.convert(row["amount"], row["currency"], period.first)
            yield _Snapshot(period, owner, row["submitted_on"], amount, row["basis"], of_inputs([row], "submitted_on", "amount", "currency", "basis"))


def _own(book: Book) -> Iterator[_Snapshot]:
    """The connector's own snapshots of the ARR expected by a quarter's end."""
    for row in book.snapshots:
        mine = (row["kpi"], row.get("variant") or "", row["subject"]) == ("expected_arr_by_quarter_end", "", "company")
        if mine and row.get("window") and row["value"] is not None and row["date"] <= book.today:
            period = parse(row["window"], book.today, book.calendar)
            yield _Snapshot(period, None, row["date"], Decimal(str(row["value"])), "arr", of_snapshots([row]))


def _chosen(book: Book, snapshots: Iterable[_Snapshot]) -> Iterator[_Snapshot]:
    """The snapshot that counts of every ended period and owner: the company first, then by owner, latest period last."""
    grouped: dict[tuple[str, str], list[_Snapshot]] = {}
    for snapshot in snapshots:
        assert snapshot.period.last is not None
        if snapshot.period.last < book.today and snapshot.submitted <= snapshot.period.last:
            grouped.setdefault((snapshot.owner or "", snapshot.period.label), []).append(snapshot)
    for _, held in sorted(grouped.items()):
        first = held[0].period.first
        assert first is not None
        before = [snapshot for snapshot in held if snapshot.submitted <= first]
        yield max(before, key=lambda s: s.order) if before else min(held, key=lambda s: (s.submitted, s.basis != "bookings"))


def _judged(book: Book, snapshot: _Snapshot) -> Iterator[Row]:
    """The three ratios of one forecast."""
    column = "arr" if snapshot.basis == "arr" else "amount"
    won = _actual(book, snapshot)
    actual, n, lost = total(won[column]), won[column].count(), without(won, column)
    told = together([of_deals(won, "owner", "closed", column), snapshot.evidence])
    subject, window = f"owner={snapshot.owner}" if snapshot.owner else "company", snapshot.period.label
    forecast = None if snapshot.amount is None else float(snapshot.amount)
    excluded: Mapping[str, int] = lost if forecast is not None else {**lost, "missing_fx": lost.get("missing_fx", 0) + 1}

    def ratio(variant: str, above: float | None, below: float | None) -> Row:
        return quotient(subject, window, above, below, n, variant=variant, small=False, excluded=excluded, evidence=told)

    off = None if forecast is None else abs(forecast - actual)
    accuracy = ratio("", off, actual)
    yield accuracy if not isinstance(accuracy.value, float) else accuracy._replace(value=1 - accuracy.value)
    yield ratio("error", off, forecast)
    yield ratio("bias", None if forecast is None else forecast - actual, actual)


def _actual(book: Book, snapshot: _Snapshot) -> pl.DataFrame:
    types: list[Any] = list(book.settings.populations.quota_types)
    won = book.deals.filter((pl.col("cls") == "won") & pl.col("deal_type").is_in(types) & snapshot.period.covers("closed"))
    return won if snapshot.owner is None else credited(book, won).filter(pl.col("owner") == snapshot.owner)
