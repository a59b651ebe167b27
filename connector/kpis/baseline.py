"""The programme's baseline against day 30, 60 and 90: what a KPI said then and says now, and whether that is a change one can see."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from connector.kpis.book.book import Book
from connector.kpis.definition import Measure, Unit
from connector.kpis.series import Key, Point, keys, moving, points
from connector.kpis.targets import number

DAYS = (30, 60, 90)
FIXED = re.compile(r"\d{4}")
"""In labels of windows that name a year, and so stay where they are."""
Direction = Literal["up", "down", "no_visible_change"]


@dataclass(frozen=True, slots=True)
class Then:
    """A later value beside the baseline's: ``day`` 30, 60 or 90, None for now. Without ``point`` there is none yet, or there was none."""

    day: int | None
    point: Point | None
    verdict: Direction | None


@dataclass(frozen=True, slots=True)
class Progress:
    """One series. ``baseline`` is its last snapshot on or before the day of the baseline."""

    key: Key
    unit: Unit
    baseline: Point
    later: tuple[Then, ...]


def verdict(before: Point, after: Point) -> Direction | None:
    """Up or down; no visible change where both are equal, or both have intervals and these overlap. None where a value is unknown.

    >>> day = date(2027, 1, 1)
    >>> verdict(Point(day, 0.4, 0.2, 0.6), Point(day, 0.5, 0.3, 0.7)), verdict(Point(day, 2.0), Point(day, 1.5))
    ('no_visible_change', 'down')
    """
    if before.value is None or after.value is None:
        return None
    sides = (before.ci_low, before.ci_high, after.ci_low, after.ci_high)
    if before.value == after.value or (None not in sides and _overlap(*sides)):
        return "no_visible_change"
    return "up" if after.value > before.value else "down"


def _overlap(low: float | None, high: float | None, other_low: float | None, other_high: float | None) -> bool:
    assert low is not None and high is not None and other_low is not None and other_high is not None  # noqa: PT018
    return low <= other_high and other_low <= high


def names(book: Book) -> tuple[str, ...]:
    """The KPIs of which there are company snapshots."""
    return tuple(dict.fromkeys(key.kpi for key in keys(book) if key.subject == "company"))


def progress(book: Book, measures: Iterable[Measure]) -> list[Progress]:
    """Every company series that has a baseline, in the order of ``measures``: the present ones of :func:`names`.

    Day N is N days after ``programme.baseline_on``: the last snapshot on or before it counts, if it is younger than the baseline, and none
    while the day lies ahead. A window that does not move with the day (last quarter) is left out: it cannot progress.
    """
    start = book.settings.programme.baseline_on
    if start is None:
        return []
    found = []
    for measure in measures:
        window = moving(measure.window, book.today, book.calendar)
        if measure.subject != "company" or FIXED.search(window):
            continue
        key = Key(measure.kpi, measure.variant, measure.subject, window)
        base = _last([p for p in points(book, key) if p.on <= start])
        if base is not None:
            found.append(Progress(key, measure.unit, base, _later(book, key, start, base, measure)))
    return found


def _last(known: Sequence[Point]) -> Point | None:
    return known[-1] if known else None


def _later(book: Book, key: Key, start: date, base: Point, measure: Measure) -> tuple[Then, ...]:
    found = []
    for day in DAYS:
        limit = start + timedelta(days=day)
        point = _last([p for p in points(book, key) if start < p.on <= limit]) if limit <= book.today else None
        found.append(Then(day, point, verdict(base, point) if point else None))
    present = Point(book.today, number(measure.value), measure.ci_low, measure.ci_high)
    return (*found, Then(None, present, verdict(base, present)))


def document(rows: Iterable[Progress]) -> list[Mapping[str, object]]:
    """The same as JSON rows: kpi, variant, subject, window, unit, baseline, and day_30, day_60, day_90, now with their verdicts."""
    return [
        {
            "kpi": row.key.kpi, "variant": row.key.variant, "subject": row.key.subject, "window": row.key.window, "unit": row.unit,
            "baseline": _point(row.baseline),
            **{f"day_{t.day}" if t.day else "now": t.point and _point(t.point) | {"verdict": t.verdict} for t in row.later},
        }
        for row in rows
    ]  # fmt: skip


def _point(point: Point) -> dict[str, object]:
    return {"on": point.on, "value": point.value, "ci_low": point.ci_low, "ci_high": point.ci_high}
