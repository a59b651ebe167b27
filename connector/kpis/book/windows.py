"""Windows of time and their labels (catalogue R3): inclusive at both ends, in local dates."""

from __future__ import annotations

import calendar as months
import re
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from connector.clock import Calendar
from connector.errors import InputError


@dataclass(frozen=True, slots=True)
class Window:
    """A label and its first and last day; None is open at that end."""

    label: str
    first: date | None = None
    last: date | None = None

    def holds(self, day: date | None) -> bool:
        """Whether a known day lies inside."""
        return day is not None and (self.first is None or day >= self.first) and (self.last is None or day <= self.last)

    def covers(self, column: str) -> pl.Expr:
        """The same as a filter on a column of dates; unknown days are outside."""
        inside = pl.col(column).is_not_null()
        if self.first is not None:
            inside &= pl.col(column) >= self.first
        return inside if self.last is None else inside & (pl.col(column) <= self.last)


def add_months(day: date, count: int) -> date:
    """The same day so many months away, clamped to the month's end.

    >>> add_months(date(2024, 2, 29), -12)
    datetime.date(2023, 2, 28)
    """
    years, month = divmod(day.year * 12 + day.month - 1 + count, 12)
    return date(years, month + 1, min(day.day, months.monthrange(years, month + 1)[1]))


def trailing(days: int, today: date) -> Window:
    """Trailing days: today − N < d ≤ today."""
    return Window(f"T{days}D", today - timedelta(days=days - 1), today)


def week(day: date) -> str:
    """The label of the ISO week a day lies in; its year is that of its Thursday.

    >>> week(date(2027, 1, 3)), week(date(2027, 1, 4))
    ('2026-W53', '2027-W01')
    """
    year, number, _ = day.isocalendar()
    return f"{year}-W{number:02}"


def _span(label: str, first: date, length: int) -> Window:
    return Window(label, first, add_months(first, length) - timedelta(days=1))


def _fiscal(label: str, year: int, quarter: int | None, calendar: Calendar) -> Window:
    begins = date(year if calendar.fiscal_year_starts == 1 else year - 1, calendar.fiscal_year_starts, 1)
    return _span(label, begins, 12) if quarter is None else _span(label, add_months(begins, 3 * (quarter - 1)), 3)


def parse(label: str, today: date, calendar: Calendar) -> Window:
    """The window of a label: ``asof``, ``ALL``, ``T12M``, ``T90D``, ``FY2027``, ``FY2027-Q1``, ``2027-01``, ``2027-W03``, ``a/b``, and
    ``QTD`` and ``YTD``: the fiscal quarter and year up to today.

    Raises InputError for anything else.

    >>> parse("FY2027-Q3", date(2027, 1, 1), Calendar(fiscal_year_starts=7)).first
    datetime.date(2027, 1, 1)
    """
    if label in ("asof", "ALL"):
        return Window(label, None, today)
    if label in ("QTD", "YTD"):
        whole = parse(calendar.fiscal_quarter(today) if label == "QTD" else f"FY{calendar.fiscal_year(today)}", today, calendar)
        return Window(label, whole.first, today)
    try:
        if m := re.fullmatch(r"T(\d+)M", label):
            return Window(label, add_months(today, -int(m[1])) + timedelta(days=1), today)
        if m := re.fullmatch(r"T(\d+)D", label):
            return trailing(int(m[1]), today)
        if m := re.fullmatch(r"FY(\d{4})(?:-Q([1-4]))?", label):
            return _fiscal(label, int(m[1]), int(m[2]) if m[2] else None, calendar)
        if m := re.fullmatch(r"(\d{4})-(\d{2})", label):
            return _span(label, date(int(m[1]), int(m[2]), 1), 1)
        if m := re.fullmatch(r"(\d{4})-W(\d{2})", label):
            monday = date.fromisocalendar(int(m[1]), int(m[2]), 1)
            return Window(label, monday, monday + timedelta(days=6))
        first, slash, last = label.partition("/")
        if slash:
            return Window(label, date.fromisoformat(first), date.fromisoformat(last))
    except ValueError:
        pass
    raise InputError(f"{label!r} is no window; forms are T12M, T90D, QTD, YTD, FY2027, FY2027-Q1, 2027-01, 2027-W03, 2026-01-01/2026-06-30")


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows that KPIs name: ``rolling`` T12M, ``all``, current ``quarter``, and the sets W (``wide``) and Q (``quarters``).

    ``weeks``: the last complete ISO week, then the weeks asked for.
    """

    rolling: Window
    all: Window
    quarter: Window
    quarters: tuple[Window, ...]
    wide: tuple[Window, ...]
    weeks: tuple[Window, ...]


def standard(today: date, calendar: Calendar, extra: tuple[str, ...] = ()) -> Windows:
    """The standard windows of a day, and beside them the labels asked for (weeks and quarters where they apply).

    A week is complete when its Sunday is over: on a Sunday the last complete one ended a week ago.
    """

    def get(label: str) -> Window:
        return parse(label, today, calendar)

    quarter = get(calendar.fiscal_quarter(today))
    assert quarter.first is not None
    previous = calendar.fiscal_quarter(quarter.first - timedelta(days=1))
    year = calendar.fiscal_year(today)
    rolling = get("T12M")
    labels = [quarter.label, previous, f"FY{year}", f"FY{year - 1}", *(e for e in extra if "-W" not in e and e not in ("asof", "ALL"))]
    quarters = dict.fromkeys([quarter.label, previous, *(e for e in extra if re.fullmatch(r"FY\d{4}-Q\d", e))])
    wide = dict.fromkeys(["T12M", *labels])
    weeks = dict.fromkeys([week(today - timedelta(days=7)), *(e for e in extra if "-W" in e)])
    return Windows(rolling, get("ALL"), quarter, tuple(map(get, quarters)), tuple(map(get, wide)), tuple(map(get, weeks)))
