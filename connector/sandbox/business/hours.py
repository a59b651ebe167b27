"""Working hours: when something can happen in the business. New York time, Monday to Friday, not on holidays."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("America/New_York")
_FIXED_HOLIDAYS = {(1, 1), (6, 19), (7, 4), (12, 24), (12, 25)}
_OPENS, _CLOSES = 8 * 3600, 18 * 3600
_SLACK = timedelta(minutes=10)  # what begins must be able to end before the day does


def local_day(at: datetime) -> date:
    """The New York date of an instant."""
    return at.astimezone(ZONE).date()


def is_working_day(day: date) -> bool:
    """Neither weekend nor holiday (Thanksgiving: the fourth Thursday of November)."""
    thanksgiving = day.month == 11 and day.weekday() == 3 and 22 <= day.day <= 28
    return day.weekday() < 5 and (day.month, day.day) not in _FIXED_HOLIDAYS and not thanksgiving


def is_working_time(at: datetime) -> bool:
    """Whether the instant falls into a working day, 8:00 to 18:00."""
    local = at.astimezone(ZONE)
    return is_working_day(local.date()) and _OPENS <= _second_of_day(local) < _CLOSES


def later(rng: Random, at: datetime, days: float) -> datetime:
    """An instant in working hours about ``days`` after ``at``: the same day where that still fits, never before ``at``."""
    wanted = at + timedelta(days=days)
    if days < 0.35 and is_working_time(wanted + _SLACK):
        return wanted
    day = local_day(wanted)
    if day <= local_day(at):
        day = local_day(at) + timedelta(days=1)
    while not is_working_day(day):
        day += timedelta(days=1)
    return _moment(rng, day)


def at_nine(day: date) -> datetime:
    """Nine o'clock in the morning of a day."""
    return datetime.combine(day, time(9), ZONE).astimezone(UTC)


def quarter_end(day: date) -> date:
    """The last day of the calendar quarter that holds ``day``."""
    month = (day.month + 2) // 3 * 3
    first_after = date(day.year + month // 12, month % 12 + 1, 1)
    return first_after - timedelta(days=1)


def _moment(rng: Random, day: date) -> datetime:
    second = int(rng.triangular(_OPENS, _CLOSES - _SLACK.seconds, 11 * 3600))
    naive = datetime.combine(day, time()) + timedelta(seconds=second, milliseconds=rng.randrange(1000))
    return naive.replace(tzinfo=ZONE).astimezone(UTC)


def _second_of_day(local: datetime) -> int:
    return local.hour * 3600 + local.minute * 60 + local.second
