"""Time: where it comes from (Clock) and how an instant becomes a date (Calendar). Imports nothing of ours."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo


class Clock(Protocol):
    """The only source of *now*; injected everywhere."""

    def now(self) -> datetime:
        """Aware UTC instant."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let that much time pass."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class FixedClock:
    """A clock that stands still until told otherwise; sleeping moves it. Ships with the package: tests and --as-of use it."""

    def __init__(self, at: datetime) -> None:
        if at.tzinfo is None:
            raise ValueError("a clock needs an aware instant")
        self.at = at.astimezone(UTC)

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class Calendar:
    """An org's calendar: time zone, first month of the fiscal year (1–12). Weeks are ISO, Monday first."""

    time_zone: str = "UTC"
    fiscal_year_starts: int = 1

    def day(self, instant: datetime) -> date:
        """The local date of an aware instant."""
        if instant.tzinfo is None:
            raise ValueError("a naive instant has no date")
        return instant.astimezone(ZoneInfo(self.time_zone)).date()

    def start_of(self, day: date) -> datetime:
        """The instant (UTC) at which a local day begins."""
        return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(self.time_zone)).astimezone(UTC)

    def fiscal_year(self, day: date) -> int:
        """The calendar year in which the fiscal year of that day ends."""
        if self.fiscal_year_starts == 1 or day.month < self.fiscal_year_starts:
            return day.year
        return day.year + 1

    def fiscal_quarter(self, day: date) -> str:
        """Label ``FY2027-Q1``."""
        quarter = (day.month - self.fiscal_year_starts) % 12 // 3 + 1
        return f"FY{self.fiscal_year(day)}-Q{quarter}"


def parse_instant(text: str) -> datetime:
    """Aware UTC instant from any spelling the CRMs use: ``…+0000``, ``…Z``, with or without milliseconds, epoch milliseconds.

    Raises ValueError on a naive or unreadable text.
    """
    if text.isdigit():
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"no time zone in {text!r}")
    return at.astimezone(UTC)
