"""Rate limits, by real time: five searches a second an account, a ten-second bucket for the rest, and a daily allowance.

The daily one counts by the portal's own (virtual) day. Search answers carry no burst headers, and its refusal no header at all.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Exceeded:
    """``policy``: SECONDLY (search), TEN_SECONDLY_ROLLING or DAILY."""

    policy: str


class Limits:
    """``daily`` and ``burst`` may be lowered by tests; OAuth apps have a burst of 110 and no daily limit."""

    def __init__(self, time_zone: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.daily = 650_000
        self.burst = 190
        self.oauth_burst = 110
        self.searches_a_second = 5
        self.used_today = 0
        self._zone = ZoneInfo(time_zone)
        self._monotonic = monotonic
        self._day: date | None = None
        self._searches: deque[float] = deque()
        self._calls: deque[float] = deque()

    def take(self, *, search: bool, oauth: bool, now: datetime) -> Exceeded | None:
        """Count one call; what it exceeds, if anything. A refused call is not counted."""
        self.roll(now)
        at = self._monotonic()
        window, span, most = (self._searches, 1.0, self.searches_a_second) if search else (self._calls, 10.0, self._burst(oauth))
        while window and window[0] <= at - span:
            window.popleft()
        if not oauth and self.used_today >= self.daily:
            return Exceeded("DAILY")
        if len(window) >= most:
            return Exceeded("SECONDLY" if search else "TEN_SECONDLY_ROLLING")
        window.append(at)
        self.used_today += 1
        return None

    def roll(self, now: datetime) -> None:
        """Start the daily count afresh when the portal's day has changed."""
        day = now.astimezone(self._zone).date()
        if day != self._day:
            self._day, self.used_today = day, 0

    def _burst(self, oauth: bool) -> int:
        return self.oauth_burst if oauth else self.burst

    def headers(self, *, search: bool, oauth: bool) -> dict[str, str]:
        """What the answer says about limits: by kind of credential and endpoint."""
        daily = {"Daily": self.daily, "Daily-Remaining": max(self.daily - self.used_today, 0)}
        if search:
            shown = {} if oauth else daily
        else:
            at, most = self._monotonic(), self._burst(oauth)
            secondly = most // 10
            last = sum(1 for call in self._calls if call > at - 1.0)
            shown = {
                "Interval-Milliseconds": 10_000, "Max": most, "Remaining": max(most - len(self._calls), 0),
                "Secondly": secondly, "Secondly-Remaining": max(secondly - last, 0),
            } | ({} if oauth else daily)  # fmt: skip
        return {f"X-HubSpot-RateLimit-{name}": str(value) for name, value in shown.items()}
