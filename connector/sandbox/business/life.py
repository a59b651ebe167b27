"""Two years of the company up to the seed's end, and as many days more as somebody lets it live."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from random import Random

from connector.sandbox.business import activities, cast, deals, hours, incidents
from connector.sandbox.business.company import RETIRED_UNTIL, Account, Company
from connector.sandbox.events import Event

SEED_START = datetime(2024, 11, 20, 14, 0, tzinfo=UTC)
SEED_END = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)

_DAYS_BETWEEN_DEALS = 1.7
_APPETITE = {"clinic": 0.4, "asc": 0.7, "hospital": 1.5, "university_hospital": 1.8, "idn": 2.0}
_KNOWN_AT_START = 40
_LEAVING = (("own-03", date(2025, 10, 31)), ("own-06", date(2026, 7, 31)))
_JOINING = date(2025, 11, 17)


class Business:
    """The company with everything that happens in it, told as events in strictly growing instants.

    ``seed`` decides everything. :meth:`days` tells what comes after :meth:`history`, and goes on from the last call.
    """

    def __init__(self, seed: int) -> None:
        self._company = Company(Random(seed), SEED_START)  # noqa: S311 - a made-up story, no secret
        self._told_until: datetime | None = None
        self._strangers: list[Account] = []
        self._plan()

    @property
    def now(self) -> datetime:
        """Up to when everything has been told."""
        return self._told_until or SEED_START

    def history(self) -> Iterator[Event]:
        """Everything from the first day up to :data:`SEED_END`. Once per business: a second call raises RuntimeError."""
        if self._told_until is not None:
            raise RuntimeError("the history has been told already; make a new Business")
        self._told_until = SEED_END
        return iter(self._company.run(SEED_END))

    def days(self, n: int) -> Iterator[Event]:
        """What happens in the next ``n`` days of 24 hours. Needs the history to have been told (RuntimeError)."""
        if self._told_until is None:
            raise RuntimeError("tell the history first")
        if n < 1:
            raise ValueError(f"days must be at least 1, got {n}")
        self._told_until += timedelta(days=n)
        return iter(self._company.run(self._told_until))

    # -- how it all begins -----------------------------------------------------------------------------------------

    def _plan(self) -> None:
        co = self._company
        self._strangers = cast.prospects(co)
        co.at(SEED_START, self._first_morning)
        co.at(RETIRED_UNTIL, partial(incidents.reorganise, co))
        for owner, day in _LEAVING:
            co.at(hours.at_nine(day) + timedelta(hours=7), partial(incidents.leave, co, owner))
        co.at(hours.at_nine(_JOINING), partial(cast.join, co, cast.LATE_JOINER))

    def _first_morning(self) -> None:
        """The old list is imported: owners and the accounts known so far, within seconds."""
        co = self._company
        cast.hire(co)
        for _ in range(_KNOWN_AT_START):
            cast.meet(co, self._strangers.pop(0))
        co.later(0.1, self._next_deal)
        co.later(3, partial(activities.account_visits, co))
        co.later(20, partial(incidents.mishaps, co))

    def _next_deal(self) -> None:
        co = self._company
        if self._strangers and co.chance(0.3):
            cast.meet(co, self._strangers.pop(0))
            account = next(reversed(co.accounts.values()))
        else:
            houses = [a for a in co.accounts.values() if a.merged_into is None]
            account = co.rng.choices(houses, [_APPETITE[a.facility] for a in houses])[0]
        pipeline = co.rng.choices(("capital", "software", "disposables"), (62, 28, 10))[0]
        deals.open_new(co, account, pipeline)
        busy = 1.6 if co.today < date(2025, 3, 1) else 1.0  # the first months bring what had been waiting
        co.later(co.rng.expovariate(busy / _DAYS_BETWEEN_DEALS), self._next_deal)
