"""Rate limits, by real time: five searches a second an account, a ten-second bucket for the rest, and a daily allowance.

The daily one counts by the portal's own (virtual) day. Search answers carry no burst headers, and its refusal no header at all.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Exceeded:
    """``policy``: SECONDLY (search), TEN_SECONDLY_ROLLING or DAILY; ``wait``: whole seconds after which the next call fits."""

    policy: str
    wait: int = field(default=1, compare=False)


TIERS = {"free": (100, 250_000), "starter": (100, 250_000), "professional": (190, 650_000), "enterprise": (190, 1_000_000)}
"""Tier of the account → calls in ten seconds per app, calls a day of all apps with a static token."""
PACK, PACK_BURST, PACKS_MAX = 1_000_000, 250, 2


class Limits:
    """``daily`` and ``burst`` may be lowered by tests; OAuth apps have a burst of 110 and no daily limit.

    Each app has a ten-second window of its own; searches of all apps share one second. ``retry_after``: a 429 says so in a header;
    ``gateway``: search's 429 has the older body, with policyName. ``monotonic`` is the clock of the windows (real seconds).
    """

    def __init__(self, time_zone: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.daily = 650_000
        self.burst = 190
        self.oauth_burst = 110
        self.searches_a_second = 5
        self.used_today = 0
        self.retry_after = False
        self.gateway = False
        self.monotonic = monotonic
        self._zone = ZoneInfo(time_zone)
        self._day: date | None = None
        self._searches: deque[float] = deque()
        self._calls: dict[str, deque[float]] = {}

    def tier(self, name: str, packs: int = 0) -> None:
        """The account's tier, with up to two packs of the API limit increase. Raises KeyError, ValueError."""
        if not 0 <= packs <= PACKS_MAX:
            raise ValueError(f"packs must be from 0 to {PACKS_MAX}")
        self.burst, self.daily = TIERS[name]
        if packs:
            self.burst, self.daily = PACK_BURST, self.daily + packs * PACK

    def take(self, *, search: bool, oauth: bool, now: datetime, app: str = "") -> Exceeded | None:
        """Count one call of an app; what it exceeds, if anything. A refused call is not counted."""
        self.roll(now)
        at = self.monotonic()
        window = self._searches if search else self._calls.setdefault(app, deque())
        span, most = (1.0, self.searches_a_second) if search else (10.0, self._burst(oauth))
        while window and window[0] <= at - span:
            window.popleft()
        if not oauth and self.used_today >= self.daily:
            return Exceeded("DAILY", self._until_midnight(now))
        if len(window) >= most:
            wait = max(math.ceil(window[0] + span - at), 1)
            return Exceeded("SECONDLY" if search else "TEN_SECONDLY_ROLLING", wait)
        window.append(at)
        if not oauth:
            self.used_today += 1
        return None

    def roll(self, now: datetime) -> None:
        """Start the daily count afresh when the portal's day has changed."""
        day = now.astimezone(self._zone).date()
        if day != self._day:
            self._day, self.used_today = day, 0

    def _until_midnight(self, now: datetime) -> int:
        local = now.astimezone(self._zone)
        midnight = datetime.combine(local.date() + timedelta(days=1), clock_time(0), self._zone)
        return max(math.ceil((midnight - now).total_seconds()), 1)

    def _burst(self, oauth: bool) -> int:
        return self.oauth_burst if oauth else self.burst

    def headers(self, *, search: bool, oauth: bool, app: str = "") -> dict[str, str]:
        """What the answer says about limits: by kind of credential and endpoint."""
        daily = {"Daily": self.daily, "Daily-Remaining": max(self.daily - self.used_today, 0)}
        if search:
            shown = {} if oauth else daily
        else:
            at, most = self.monotonic(), self._burst(oauth)
            calls = self._calls.get(app, ())
            secondly = most // 10
            last = sum(1 for call in calls if call > at - 1.0)
            shown = {
                "Interval-Milliseconds": 10_000, "Max": most, "Remaining": max(most - len(calls), 0),
                "Secondly": secondly, "Secondly-Remaining": max(secondly - last, 0),
            } | ({} if oauth else daily)  # fmt: skip
        return {f"X-HubSpot-RateLimit-{name}": str(value) for name, value in shown.items()}
