"""Schedules: weekdays by name only, quiet hours, a late tick is not lost, a stop lets work finish."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from connector import schedule
from connector.errors import SettingsError
from connector.schedule import Job


def test_weekdays_by_name_mean_these_days() -> None:
    at = datetime(2026, 11, 21, 12, tzinfo=ZoneInfo("America/New_York"))  # a Saturday
    following = schedule.trigger("0 6 * * mon-fri", "America/New_York").get_next_fire_time(None, at)
    assert following == datetime(2026, 11, 23, 6, tzinfo=ZoneInfo("America/New_York"))


@pytest.mark.parametrize("when", ["0 6 * * 1-5", "0 6 * *", "every day", "61 * * * *"])
def test_a_line_that_cannot_be_meant_is_refused(when: str) -> None:
    with pytest.raises(SettingsError):
        schedule.trigger(when, "UTC")


@pytest.mark.parametrize(
    ("ranges", "hour", "said"),
    [
        (["08:30-11:30"], 14, "09:00 (America/New_York) lies in the quiet hours 08:30-11:30"),
        (["08:30-11:30"], 18, None),
        (["12:00-13:00", "22:00-06:00"], 4, "23:00 (America/New_York) lies in the quiet hours 22:00-06:00"),
        ([], 14, None),
        (["09:00-10:00"], 15, None),
    ],
)
def test_quiet_hours_are_local(ranges: list[str], hour: int, said: str | None) -> None:
    at = datetime(2026, 11, 20, hour, 0, tzinfo=UTC)  # New York is five hours behind
    assert schedule.quiet(ranges, at, "America/New_York") == said


def test_a_stop_lets_the_running_job_finish() -> None:
    started, stop, finished = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        stop.wait(5)
        finished.set()

    runner = threading.Thread(target=schedule.run, args=([Job("pull", "every 1s", work)], "UTC", stop))
    runner.start()
    assert started.wait(10)
    stop.set()
    runner.join(10)
    assert finished.is_set()
    assert not runner.is_alive()
