"""Baseline against day 30, 60 and 90, from snapshots worked by hand. Today is 15 February 2027."""

from __future__ import annotations

from datetime import date
from typing import Any

from connector.kpis.baseline import Progress, document, names, progress
from connector.kpis.book.book import Book
from connector.kpis.compute import compute
from connector.kpis.definition import Measure
from connector.kpis.example import example

RATE = ("win_rate", "", "company", "T12M")


def taken(on: str, value: float | None, low: float | None = None, high: float | None = None, key: tuple[str, str, str, str] = RATE) -> dict[str, Any]:
    kpi, variant, subject, window = key
    return {"kpi": kpi, "variant": variant, "subject": subject, "window": window, "date": on, "value": value, "ci_low": low, "ci_high": high}


def book(*snapshots: dict[str, Any], baseline_on: str | None = "2026-12-01") -> Book:
    company = example().set("programme.baseline_on", baseline_on)
    company.given["state"] = {"kpi_snapshots": list(snapshots)}
    return company.book()


def rate(value: float | None, low: float | None = None, high: float | None = None) -> Measure:
    return Measure("win_rate", "", "company", "T12M", value, "ratio", 20, ci_low=low, ci_high=high)


def told(row: Progress) -> dict[int | None, tuple[float | None, str | None] | None]:
    return {then.day: then.point and (then.point.value, then.verdict) for then in row.later}


def test_each_column_is_the_last_snapshot_on_or_before_its_day() -> None:
    made = book(
        taken("2026-11-20", 0.10, 0.05, 0.15), taken("2026-11-30", 0.20, 0.15, 0.25),  # the baseline is the later of these
        taken("2026-12-20", 0.22, 0.17, 0.27),  # overlaps
        taken("2026-12-31", 0.40, 0.30, 0.50),  # day 30 itself: 0.25 < 0.30
        taken("2027-01-30", 0.10, 0.05, 0.14),  # day 60 itself: 0.14 < 0.15
        taken("2027-02-14", 0.90, 0.85, 0.95),
    )  # fmt: skip
    (row,) = progress(made, [rate(0.5, 0.25, 0.75)])
    assert (row.baseline.on, row.baseline.value) == (date(2026, 11, 30), 0.20)
    # Day 90 is 1 March: not yet. Now: 0.25 touches 0.25, so nothing is visible.
    assert told(row) == {30: (0.40, "up"), 60: (0.10, "down"), 90: None, None: (0.5, "no_visible_change")}


def test_without_an_interval_on_both_sides_any_difference_counts() -> None:
    (row,) = progress(book(taken("2026-12-01", 0.4, 0.1, 0.8)), [rate(0.5)])
    assert told(row)[None] == (0.5, "up")
    (row,) = progress(book(taken("2026-12-01", 0.4)), [rate(0.4)])
    assert told(row)[None] == (0.4, "no_visible_change")


def test_a_day_without_a_snapshot_of_its_own_is_not_the_baseline_again() -> None:
    (row,) = progress(book(taken("2026-12-01", 0.4), taken("2027-01-15", 0.5)), [rate(0.4)])
    assert told(row) == {30: None, 60: (0.5, "up"), 90: None, None: (0.4, "no_visible_change")}


def test_unknown_then_or_now_has_no_verdict() -> None:
    (row,) = progress(book(taken("2026-12-01", 0.4), taken("2026-12-20", None)), [rate(None)])
    assert told(row) == {30: (None, None), 60: (None, None), 90: None, None: (None, None)}


def test_the_running_quarter_is_one_series_and_a_past_one_none() -> None:
    was = ("weighted_pipeline_coverage", "", "company", "FY2026-Q4")
    made = book(taken("2026-12-01", 2.0, key=was), taken("2027-01-20", 2.0, key=was))
    now = [Measure("weighted_pipeline_coverage", "", "company", window, 3.0, "x", 5) for window in ("FY2027-Q1", "FY2026-Q4")]
    (row,) = progress(made, now)
    assert (row.key.window, row.baseline.value, told(row)[60]) == ("FQ", 2.0, None)  # on 20 January that label was last quarter's


def test_no_baseline() -> None:
    assert progress(book(taken("2026-12-05", 0.4)), [rate(0.5)]) == []
    assert progress(book(taken("2026-11-05", 0.4), baseline_on=None), [rate(0.5)]) == []


def test_names_and_document() -> None:
    made = book(taken("2026-12-01", 0.4, 0.2, 0.6), taken("2026-12-01", 1, key=("stale_pipeline_share", "", "owner=R1", "asof")))
    assert names(made) == ("win_rate",)
    (row,) = document(progress(made, [rate(0.5, 0.3, 0.7)]))
    assert (row["kpi"], row["window"], row["unit"], row["day_90"]) == ("win_rate", "T12M", "ratio", None)
    assert row["now"] == {"on": date(2027, 2, 15), "value": 0.5, "ci_low": 0.3, "ci_high": 0.7, "verdict": "no_visible_change"}


def test_from_a_book_to_its_verdict() -> None:
    company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02").set("programme.baseline_on", "2026-12-01")
    company.given["state"] = {"kpi_snapshots": [taken("2026-12-01", 0.4, 0.3, 0.5)]}
    made = company.book()
    (row,) = progress(made, compute(made, names(made)))
    assert told(row)[None] == (1.0, "no_visible_change")  # one of one: 0.21–1.00
