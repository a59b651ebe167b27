"""Instants become dates in one place; fiscal quarters are named by the year they end in."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from connector.clock import Calendar, FixedClock, parse_instant


@pytest.mark.parametrize(
    "text",
    ["2026-05-01T07:25:37.000+0000", "2026-05-01T07:25:37Z", "2026-05-01T07:25:37.000Z", "2026-05-01T03:25:37-04:00", "1777620337000"],
)
def test_one_instant_for_every_spelling(text: str) -> None:
    assert parse_instant(text) == datetime(2026, 5, 1, 7, 25, 37, tzinfo=UTC)


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        parse_instant("2026-05-01T07:25:37")
    with pytest.raises(ValueError, match="naive"):
        Calendar().day(datetime(2026, 5, 1))


def test_the_last_evening_of_the_year_west_of_utc_is_still_that_year() -> None:
    assert Calendar("America/New_York").day(datetime(2027, 1, 1, 3, 30, tzinfo=UTC)) == date(2026, 12, 31)


@pytest.mark.parametrize(
    ("day", "starts", "label"),
    [("2026-12-31", 1, "FY2026-Q4"), ("2027-01-15", 2, "FY2027-Q4"), ("2027-02-01", 2, "FY2028-Q1"), ("2027-03-31", 7, "FY2027-Q3")],
)
def test_fiscal_quarters(day: str, starts: int, label: str) -> None:
    assert Calendar("UTC", starts).fiscal_quarter(date.fromisoformat(day)) == label


def test_a_local_day_begins_at_its_own_midnight() -> None:
    assert Calendar("America/New_York").start_of(date(2026, 11, 1)) == datetime(2026, 11, 1, 4, tzinfo=UTC)


def test_sleeping_moves_a_fixed_clock() -> None:
    clock = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
    clock.sleep(90)
    assert clock.now() == datetime(2026, 1, 1, 0, 1, 30, tzinfo=UTC)
