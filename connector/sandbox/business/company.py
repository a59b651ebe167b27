"""The company's own state, the agenda of what comes next, and the only way to tell an event.

The state is the business's: it is never read back from a CRM.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import count
from random import Random

from connector.sandbox import events
from connector.sandbox.business import hours

RETIRED_UNTIL = hours.at_nine(date(2025, 6, 2))
"""Until then the stages of ``events.RETIRED`` are in use; on that morning an admin moves every deal out of them."""

CLOSED = frozenset({"won", "lost", "no_decision", "duplicate", "first_case"})


@dataclass
class Owner:
    key: str
    name: str
    territory: str | None  # None: works for all
    job: str  # rep | renewals | clinical | robot
    pace: float = 1.0  # activities relative to the others
    active: bool = True


@dataclass
class Account:
    key: str
    name: str
    facility: str
    territory: str
    region: str
    merged_into: str | None = None
    contacts: list[str] = field(default_factory=list)


@dataclass
class Contact:
    key: str
    account: str
    title: str
    function: str  # a role of events.RoleAdded that suits the title
    kol: bool = False


@dataclass
class Deal:
    """``visit`` grows with every stage move and ``life`` whenever the routines of the deal start afresh: what was planned
    for an older visit or life no longer happens."""

    key: str
    name: str
    account: str
    owner: str
    pipeline: str
    segment: str
    deal_type: str
    currency: str
    opened: datetime
    stage: str
    amount: Decimal | None
    closes_on: date
    arr: Decimal | None = None
    visit: int = 0
    life: int = 0
    deleted: bool = False
    merged: bool = False
    neglected: bool = False
    paused_at: str | None = None  # the stage to return to from deferred
    duplicate_of: str | None = None
    vac_life: int | None = None  # the life in which the committee has the package
    fields: dict[str, object] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)

    @property
    def there(self) -> bool:
        """Neither deleted nor merged away."""
        return not self.deleted and not self.merged

    @property
    def open(self) -> bool:
        return self.there and self.stage not in CLOSED


@dataclass
class Company:
    """People, accounts and deals by key, and what is going to happen (``agenda``).

    An action of the agenda tells events with :meth:`stamp`; stamps only grow, so the events come out in time order.
    """

    rng: Random
    now: datetime
    owners: dict[str, Owner] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    contacts: dict[str, Contact] = field(default_factory=dict)
    deals: dict[str, Deal] = field(default_factory=dict)
    _agenda: list[tuple[datetime, int, Callable[[], None]]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=count)
    _activities: Iterator[int] = field(default_factory=lambda: count(1))
    _told: list[events.Event] = field(default_factory=list)
    _last: datetime | None = None

    # -- time ------------------------------------------------------------------------------------------------------

    @property
    def today(self) -> date:
        return hours.local_day(self.now)

    def at(self, when: datetime, act: Callable[[], None]) -> None:
        """Plan an action for an instant."""
        heapq.heappush(self._agenda, (when, next(self._order), act))

    def later(self, days: float, act: Callable[[], None]) -> None:
        """Plan an action for about ``days`` from now, in working hours."""
        self.at(hours.later(self.rng, self.now, days), act)

    def while_open(self, deal: Deal, days: float, act: Callable[[], None]) -> None:
        """Plan something about a deal that only happens if the deal is still open then, and has not been closed in between."""
        life = deal.life

        def run() -> None:
            if deal.open and deal.life == life:
                act()

        self.later(days, run)

    def run(self, until: datetime) -> list[events.Event]:
        """Do everything planned up to ``until``; the events told by then, in time order. Later ones are kept."""
        while self._agenda and self._agenda[0][0] <= until:
            self.now, _, act = heapq.heappop(self._agenda)
            act()
        ready = [event for event in self._told if event.at <= until]
        self._told = self._told[len(ready) :]
        return ready

    def stamp(self, pause: float = 0.0) -> datetime:
        """The next event's instant: now, or just after the last event; ``pause`` seconds more where a person needs them."""
        at = self.now
        if self._last is not None and self._last >= at:
            at = self._last + timedelta(milliseconds=self.rng.randint(1, 180))
        self._last = at + timedelta(seconds=round(pause, 3))
        return self._last

    # -- telling ---------------------------------------------------------------------------------------------------

    def tell(self, event: events.Event) -> None:
        self._told.append(event)

    def move(self, deal: Deal, stage: str, by: str | None = None, pause: float = 0.0) -> None:
        """Put a deal into a stage, under the stage's name of the time."""
        deal.stage = stage
        deal.visit += 1
        self.tell(events.StageMoved(self.stamp(pause), deal.key, self.shown(deal.pipeline, stage), by or self.actor(deal)))

    def edit(self, deal: Deal, values: Mapping[str, object], by: str | None = None, pause: float = 0.0) -> None:
        """Set fields of a deal (keys and types of ``events.DealEdited``); unchanged values tell nothing."""
        changed = {k: v for k, v in values.items() if k not in deal.fields or deal.fields[k] != v}
        if not changed:
            return
        who = by or self.actor(deal)
        deal.fields.update(changed)
        for name in ("amount", "closes_on", "owner"):
            if name in changed:
                setattr(deal, name, changed[name])
        self.tell(events.DealEdited(self.stamp(pause), deal.key, who, changed))

    def log(
        self,
        kind: str,
        subject: str,
        *,
        deal: Deal | None = None,
        account: str | None = None,
        contact: str | None = None,
        owner: str,
        by: str | None = None,
        type: str | None = None,
        direction: str | None = None,
        outcome: str | None = None,
        due_on: date | None = None,
        done: bool = False,
    ) -> events.ActivityLogged:
        """Tell an activity on a deal (the account is the deal's) or on an account alone; returns what was told."""
        activity = events.ActivityLogged(
            at=self.stamp(), activity=f"act-{next(self._activities):05}", kind=kind, deal=deal.key if deal else None,
            account=deal.account if deal else account, contact=contact, owner=owner, by=by or owner, subject=subject, type=type,
            direction=direction, outcome=outcome, due_on=due_on, done=done,
        )  # fmt: skip
        self.tell(activity)
        return activity

    # -- looking up ------------------------------------------------------------------------------------------------

    def shown(self, pipeline: str, stage: str) -> str:
        """The name a stage goes by now: a retired one in the early months."""
        if self.now < RETIRED_UNTIL:
            for old, new in events.RETIRED.get(pipeline, {}).items():
                if new == stage:
                    return old
        return stage

    def actor(self, deal: Deal) -> str:
        """Who works on a deal: its owner, or a colleague once the owner has left."""
        owner = self.owners[deal.owner]
        return owner.key if owner.active else self.rep_for(self.accounts[deal.account].territory)

    def rep_for(self, territory: str, job: str = "rep") -> str:
        """An active owner with that job, of the territory where there is one."""
        fit = [o for o in self.owners.values() if o.active and o.job == job]
        near = [o for o in fit if o.territory in (territory, None)]
        return self.rng.choice(near or fit).key

    def robot(self) -> str:
        return next(o.key for o in self.owners.values() if o.job == "robot")

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def span(self, low: float, high: float) -> float:
        """So many days, evenly between the two."""
        return self.rng.uniform(low, high)
