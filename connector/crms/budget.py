"""How fast and how often a CRM may be called: a token bucket per endpoint class, and a cap for the day."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from connector.clock import Clock
from connector.crms.base import Meter
from connector.errors import BudgetReached


class TokenBucket:
    """At most ``capacity`` calls at once and ``rate`` calls a second after that. One bucket per endpoint class and account.

    Sleeps on the injected clock. ``monotonic`` gives seconds that never go back; a clock that only pretends to sleep
    is believed, so the bucket works the same under a clock that stands still.
    """

    def __init__(self, rate: float, capacity: float, clock: Clock, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        if rate <= 0 or capacity < 1:
            raise ValueError("a bucket needs a rate above 0 and room for one call")
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._rate = rate
        self._capacity = capacity
        self._tokens = float(capacity)
        self._pretended = 0.0
        self._at = monotonic()

    def take(self) -> float:
        """Wait until a call is allowed; answers with the seconds waited. The wait is no retry and counts as none."""
        with self._lock:
            now = self._refill()
            self._tokens -= 1
            wait = max(0.0, -self._tokens / self._rate)
        if wait:
            self._clock.sleep(wait)
            with self._lock:
                self._pretended += max(0.0, wait - (self._now() - now))
        return wait

    def drain(self) -> None:
        """The server says that the window is full: whatever was believed to be left is gone."""
        with self._lock:
            self._refill()
            self._tokens = min(self._tokens, 0.0)

    def adopt(self, rate: float, capacity: float) -> None:
        """Go on with the limits that the server states."""
        with self._lock:
            self._refill()
            self._rate, self._capacity = rate, capacity
            self._tokens = min(self._tokens, capacity)

    def _now(self) -> float:
        return self._monotonic() + self._pretended

    def _refill(self) -> float:
        now = self._now()
        self._tokens = min(self._capacity, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        return now


class DailyCap:
    """The call budget of a day, by two measures: our own cap, and the allocation that everybody shares.

    ``used``: calls of today that the state remembers from earlier runs, until the meter knows better (``elsewhere``). Reads stop
    at ``stop_at_share`` of either, so that a push finds a reserve; writes, and the reads that belong to a push, stop where it ends.
    """

    def __init__(self, meter: Meter, *, cap: int | None = None, used: int = 0, stop_at_share: float = 0.8) -> None:
        self._meter = meter
        self._cap = cap
        self._used = used
        self._share = stop_at_share

    def check(self, *, writing: bool = False) -> None:
        """Call before each request. Raises BudgetReached (SC-E078) where the next one is not allowed."""
        meter = self._meter
        share = 1.0 if writing or meter.pushing else self._share
        spent = (self._used if meter.elsewhere is None else meter.elsewhere) + meter.calls
        if self._cap is not None and spent >= (allowed := int(self._cap * share)):
            kept = f"; {self._cap - allowed} are kept for write-back" if allowed < self._cap else ""
            raise BudgetReached(f"{spent} calls made of the {self._cap} that limits.daily_calls allows a day{kept}")
        used, maximum = meter.allocation_used, meter.allocation_max
        if used is None or not maximum:
            return
        if used >= maximum * share:
            raise BudgetReached(f"the org has used {used} of its {maximum} calls; the connector stops at {share:.0%}")
