"""What own snapshots say of a KPI over time: one value a day, windows that move with the day counted as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from connector.clock import Calendar
from connector.kpis.book.book import Book, derived
from connector.kpis.book.windows import add_months


@dataclass(frozen=True, slots=True)
class Key:
    """Whose values form one series. ``window``: its label, or ``FQ`` and ``FY`` for the fiscal quarter and year of each day."""

    kpi: str
    variant: str
    subject: str
    window: str


@dataclass(frozen=True, slots=True)
class Point:
    """A value and the day it was taken; None: unknown on that day."""

    on: date
    value: float | None
    ci_low: float | None = None
    ci_high: float | None = None


def moving(window: str | None, day: date, calendar: Calendar) -> str:
    """A label as it was meant on a day: the quarter that ran then is ``FQ``, the year ``FY``; any other stays.

    >>> moving("FY2027-Q1", date(2027, 2, 15), Calendar()), moving("FY2027-Q1", date(2027, 4, 1), Calendar())
    ('FQ', 'FY2027-Q1')
    """
    if window == calendar.fiscal_quarter(day):
        return "FQ"
    return "FY" if window == f"FY{calendar.fiscal_year(day)}" else window or ""


@derived
def _by_key(book: Book) -> dict[Key, list[Point]]:
    found: dict[Key, list[Point]] = {}
    for snapshot in sorted((s for s in book.snapshots if s["date"] <= book.today), key=lambda s: s["date"]):
        window = moving(snapshot.get("window"), snapshot["date"], book.calendar)
        key = Key(snapshot["kpi"], snapshot.get("variant") or "", snapshot["subject"], window)
        found.setdefault(key, []).append(_point(snapshot))
    return found


def _point(snapshot: Mapping[str, Any]) -> Point:
    value, low, high = (None if (number := snapshot.get(name)) is None else float(number) for name in ("value", "ci_low", "ci_high"))
    return Point(snapshot["date"], value, low, high)


def points(book: Book, key: Key) -> Sequence[Point]:
    """The snapshots of a series up to today, oldest first; those that name no window belong to every window of their KPI."""
    known = _by_key(book)
    nameless = Key(key.kpi, key.variant, key.subject, "")
    if not key.window or nameless not in known:
        return known.get(key, [])
    return sorted([*known.get(key, []), *known[nameless]], key=lambda point: point.on)


def keys(book: Book) -> Sequence[Key]:
    """Every series there is, by name."""
    return sorted(_by_key(book), key=lambda key: (key.kpi, key.variant, key.subject, key.window))


def months(known: Sequence[Point], now: float, today: date, count: int) -> list[float | None]:
    """The last so many calendar months, the running one first: its value is ``now``, a past month's the last it was known at.

    >>> months([Point(date(2027, 1, 10), 1.0), Point(date(2027, 1, 31), 1.5)], 1.2, date(2027, 2, 15), 3)
    [1.2, 1.5, None]
    """
    last = {(point.on.year, point.on.month): point.value for point in known if point.value is not None}
    last[today.year, today.month] = now
    return [last.get((day.year, day.month)) for day in (add_months(today, -back) for back in range(count))]
