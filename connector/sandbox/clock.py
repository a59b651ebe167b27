"""The sandbox's own clock: it stands still until the business or a write moves it, so that runs repeat exactly."""

from __future__ import annotations

from datetime import UTC, datetime


class VirtualClock:
    """``now`` is aware UTC and only ever goes forward."""

    def __init__(self, at: datetime) -> None:
        self.now = _aware(at)

    def advance_to(self, at: datetime) -> None:
        """Go forward to ``at``; an earlier instant leaves the clock where it stands."""
        at = _aware(at)
        self.now = max(self.now, at)


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError(f"the sandbox's clock needs an aware instant, got {at.isoformat()}")
    return at.astimezone(UTC)
