"""One business and the two CRMs that hear of it, on one clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from connector.sandbox import csv_seed
from connector.sandbox.business import SEED_START, Business
from connector.sandbox.clock import VirtualClock
from connector.sandbox.errors import SandboxError
from connector.sandbox.faults.desk import Desk
from connector.sandbox.hubspot import story as hubspot_story
from connector.sandbox.hubspot.portal import Portal
from connector.sandbox.salesforce import story as salesforce_story
from connector.sandbox.salesforce.org import Org

_SET_UP = SEED_START - timedelta(days=30)  # when the CRMs were bought
_MOST_DAYS = 3660
JOURNAL = 5_000
"""Requests that a world remembers."""
_SCORECARD = "kpi_scorecard"  # the portal's group of scorecard properties
_OBJECTS = {
    "Opportunity": "opportunities", "Account": "accounts", "Contact": "contacts", "User": "users", "Task": "tasks", "Event": "events",
}  # fmt: skip


@dataclass
class Asked:
    """One request to one of the CRMs, as it came. ``query``: percent-encoded."""

    method: str
    path: str
    query: str
    body: bytes = b""


class World:
    """``clock``, ``org`` and ``portal`` are replaced when the world is emptied: ask for them anew after seed, reset and load_csv.

    A new world is empty; :meth:`seed` fills it. ``source`` says with what: ``empty``, ``business`` or ``csv``.
    ``faults`` is the fault desk; emptying the world clears it.
    """

    clock: VirtualClock
    org: Org
    portal: Portal
    business: Business | None
    source: str

    def __init__(self, seed: int = 1, *, bare: bool = False) -> None:
        """``bare``: the CRMs of a company that has not provisioned the scorecard: no field, property or permission set of it."""
        self.number = seed
        self.bare = bare
        self.journal: deque[Asked] = deque(maxlen=JOURNAL)
        self.faults = Desk(self)
        self._empty()

    def seed(self) -> int:
        """Empty the world and tell both CRMs the business's two years up to 2026-11-20T18:00Z. Returns the number of events."""
        self._empty()
        business = Business(self.number)
        told = 0
        for event in business.history():
            self.clock.advance_to(event.at)
            salesforce_story.tell(self.org, event)
            hubspot_story.tell(self.portal, event)
            told += 1
        self.clock.advance_to(business.now)
        self.business = business
        self.source = "business"
        return told

    def tick(self, days: int = 1) -> int:
        """Let the business live on; the clock ends exactly ``days`` × 24 hours later. Returns the number of events.

        Writes through the API push the clock ahead of the business by some seconds; its events come as much later then.
        A world loaded from files has no business of its own: only its clock goes on.
        """
        if not 1 <= days <= _MOST_DAYS:
            raise SandboxError(f"days must be from 1 to {_MOST_DAYS}, got {days}")
        end = self.clock.now + timedelta(days=days)
        told = 0
        if self.business is not None:
            ahead = self.clock.now - self.business.now
            for event in self.business.days(days):
                moved = replace(event, at=event.at + ahead)
                self.clock.advance_to(moved.at)
                salesforce_story.tell(self.org, moved)
                hubspot_story.tell(self.portal, moved)
                told += 1
        self.clock.advance_to(end)
        return told

    def empty(self) -> None:
        """As a new world: both CRMs set up, no business in them, nothing in the journal."""
        self.journal.clear()
        self._empty()

    def reset(self) -> int:
        """Everything back to the seeded business, whatever was written or loaded since."""
        return self.seed()

    def load_csv(self, directory: Path) -> dict[str, int]:
        """Empty the world and load the files of a directory into the Salesforce org (see ``csv_seed``); HubSpot stays empty.

        Returns counts by kind of record. Raises SandboxError with every bad line; the world is then as it was before.
        """
        rows = csv_seed.read(directory)
        clock = VirtualClock(rows.begins - timedelta(days=30))
        org = Org(clock, bare=self.bare)
        counts = csv_seed.load(org, rows)
        self._empty(clock)
        self.org, self.source = org, "csv"
        return counts

    def counts(self) -> dict[str, dict[str, int]]:
        """Live records per CRM (salesforce, hubspot) and kind."""
        org, portal = self.org, self.portal
        return {
            "salesforce": {key: sum(1 for row in org.tables[name].rows.values() if not row.get("IsDeleted")) for name, key in _OBJECTS.items()},
            "hubspot": {name: len(ids) for name, ids in portal.live.items()},
        }

    def _empty(self, clock: VirtualClock | None = None) -> None:
        self.faults.clear()
        self.clock = clock or VirtualClock(_SET_UP)
        self.org = Org(self.clock, bare=self.bare)
        self.portal = Portal(self.clock)
        if self.bare:
            for properties in self.portal.properties.values():
                for name in [name for name, prop in properties.items() if prop.group == _SCORECARD]:
                    del properties[name]
        self.business = None
        self.source = "empty"
