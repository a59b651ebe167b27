"""A small world behind one CRM, and the connector on it: people act, the connector pulls or syncs, rows are compared with the truth.

    with opened("hubspot", tmp_path) as rig:
        deal = rig.open_deal(amount=Decimal(5000))
        rig.pull()
        rig.edit(deal, amount=None)
        rig.pull()
        rig.assert_same()

``crm`` is "salesforce" or "hubspot"; the actions have the same names in both. One server a process and CRM serves all rigs, one after another.
"""

from __future__ import annotations

import itertools
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from connector import runs
from connector.app import App
from connector.cli.init import starter_mappings
from connector.runs import RunReport
from connector.sandbox import events
from connector.sandbox.world import World
from connector.sync import PullReport
from tests.rig_parts import NAME, TOML, RigClock, new_state, served, starter
from tests.rows import Rows, held, tombstones

BEGIN = datetime(2026, 11, 2, 14, 0, 0, 120_000, UTC)
TITLES = {"Chief Financial Officer": "cfo", "Surgeon": "surgeon_champion", "Chief Information Officer": "vp_it"}
"""Titles of the contacts that a rig makes → their persona."""


class Rig(ABC):
    """``world``: the sandbox's; ``accounts``, ``contacts``, ``owners``, ``deals``, ``activities``: CRM ids of what was made, in order.

    Every action of a person takes ``tempo`` seconds first, so that instants differ; set it to 0 for actions of one instant.
    """

    crm: str
    roles: tuple[str, ...] = ("economic_buyer", "it_security", "surgeon")
    tempo: float = 0.317

    def __init__(self, world: World, base_url: str, root: Path, more: str = "") -> None:
        self.world = world
        self.base_url = base_url
        self.root = root
        self.accounts: list[str] = []
        self.contacts: list[str] = []
        self.owners: list[str] = []
        self.deals: list[str] = []
        self.activities: list[str] = []
        self.counter = itertools.count(1)
        self._keys: dict[str, str] = {}  # CRM id → key of the business
        root.mkdir(parents=True, exist_ok=True)
        (root / "connector.toml").write_text(TOML.format(name=NAME, crm=self.crm, url=base_url) + more, encoding="utf-8")
        new_state(root / "state")
        self.app = self._opened()

    # -- the connector ---------------------------------------------------------------------------------------------------

    def _opened(self) -> App:
        app = App(self.root, environment={}, clock=RigClock(self.world))
        if not (self.root / "mappings").exists():
            app.__dict__["mappings"] = starter(self.crm)
        return app

    @property
    def clock(self) -> RigClock:
        assert isinstance(self.app.clock, RigClock)
        return self.app.clock

    def reopen(self) -> None:
        """As after a restart of the process. With a directory ``mappings`` in the project, that is read anew."""
        self.app.close()
        self.app = self._opened()

    def begin(self, state: bytes | None = None) -> None:
        """All over again, in an emptied world with its people: an empty state, or the database ``state``."""
        self.app.close()
        reset(self.world)
        for made in (self.accounts, self.contacts, self.owners, self.deals, self.activities):
            made.clear()
        self._keys.clear()
        self.counter = itertools.count(1)
        new_state(self.root / "state", state)
        self.app = self._opened()
        people(self)

    def own_mappings(self) -> Path:
        """Copies the starter mappings into the project, to be edited before the next :meth:`reopen`."""
        shutil.copytree(starter_mappings(), self.root / "mappings", ignore=shutil.ignore_patterns("examples"))
        return self.root / "mappings"

    def pull(self, full: bool = False, stream: str | None = None) -> PullReport:
        """One pull. Raises what stopped it."""
        done = runs.pull(self.app, [NAME], full=full, stream=stream)
        if done.failures:
            raise done.failures[0].error
        return done.pulls[0]

    def sync(self, full: bool = False) -> RunReport:
        """Pull, plan and push. Raises what stopped it; guards that tripped and refused updates are in the report."""
        done = runs.sync_all(self.app, [NAME], full=full)
        if done.failures:
            raise done.failures[0].error
        return done

    def settle(self) -> None:
        """The syncs after which nothing is due any more: once the index has settled, after the daily sweeps, after the weekly count."""
        for hours in (2, 26, 8 * 24):
            self.advance(hours * 3600)
            self.pull()

    # -- comparing -------------------------------------------------------------------------------------------------------

    def rows(self, stream: str) -> Rows:
        """Live canonical rows of the state, sorted, as far as they are compared (see tests.rows)."""
        return held(self.app.store, NAME, stream)

    def tombstones(self, stream: str) -> dict[str, str | None]:
        """Id → survivor (None: deleted, not merged) of every tombstone of the state."""
        return tombstones(self.app.store, NAME, stream)

    @abstractmethod
    def truth(self, stream: str) -> Rows:
        """The same as :meth:`rows`, straight from the sandbox's tables, mapped by hand."""

    @abstractmethod
    def merged(self, stream: str) -> dict[str, str]:
        """Merged id → survivor, as far as the CRM still tells."""

    def differences(self) -> dict[str, Any]:
        """Everything in which the state is not the CRM: lost, invented (or doubled), and wrong tombstones. Empty: none."""
        found: dict[str, Any] = {}
        for stream in COMPARED:
            have, want = self.rows(stream), self.truth(stream)
            if have != want:
                found[stream] = {
                    "lost": [row for row in want if row not in have],
                    "invented": [row for row in have if row not in want],
                    "doubled": [row for row in have if have.count(row) > want.count(row) > 0],
                }
        for stream in ("accounts", "contacts", "opportunities"):
            dead, known = self.tombstones(stream), self.merged(stream)
            wrong = {id: (into, known[id]) for id, into in dead.items() if id in known and survivor(id, dead) != known[id]}
            if wrong:
                found[f"merged {stream}"] = wrong
        return found

    def assert_same(self) -> None:
        """The state is what the CRM holds."""
        differences = self.differences()
        assert not differences, differences

    # -- time ------------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        return self.world.clock.now

    def advance(self, seconds: float = 0, days: float = 0) -> None:
        """Let virtual time pass."""
        self.world.clock.advance_to(self.now + timedelta(seconds=seconds, days=days))

    # -- people: the same in both CRMs -----------------------------------------------------------------------------------

    @abstractmethod
    def tell(self, event: events.Event) -> None:
        """One event of the business, as the CRM writes it down."""

    @abstractmethod
    def id_of(self, kind: str, key: str) -> str:
        """The CRM id behind a key of the business. ``kind``: owner, account, contact, deal, meeting, call, email, task."""

    def key_of(self, id: str) -> str:
        """The business's key of a record that the rig made."""
        return self._keys[id]

    def _made(self, kind: str, key: str, into: list[str]) -> str:
        id = self.id_of(kind, key)
        self._keys[id] = key
        into.append(id)
        return id

    def tick(self) -> datetime:
        """The instant of the next action."""
        self.advance(self.tempo)
        return self.now

    def hire(self, name: str = "Ada Berg") -> str:
        key = f"owner-{next(self.counter)}"
        self.tell(events.OwnerJoined(self.tick(), key, name))
        return self._made("owner", key, self.owners)

    def leave(self, owner: str) -> None:
        """The user becomes inactive."""
        self.tell(events.OwnerLeft(self.tick(), self.key_of(owner)))

    def open_account(self, name: str = "Mercy Hospital", facility: str = "hospital", territory: str = "East", region: str = "US") -> str:
        key = f"account-{next(self.counter)}"
        self.tell(events.AccountFound(self.tick(), key, name, facility, territory, region))
        return self._made("account", key, self.accounts)

    def meet(self, account: str, title: str = "Chief Financial Officer", kol: bool = False) -> str:
        """A new contact. ``title``: one of TITLES, where personas are to be compared."""
        key = f"contact-{next(self.counter)}"
        self.tell(events.ContactFound(self.tick(), key, self.key_of(account), title, kol))
        return self._made("contact", key, self.contacts)

    def open_deal(
        self, account: str | None = None, stage: str = "prospect", *, pipeline: str = "capital", owner: str | None = None,
        amount: Decimal | None = Decimal(250_000), currency: str = "USD", closes_on: date = date(2027, 3, 31), name: str = "Navigator",
    ) -> str:  # fmt: skip
        """A new deal. ``stage``: a neutral key of connector.sandbox.events.STAGES."""
        key = f"deal-{next(self.counter)}"
        self.tell(events.DealOpened(
            self.tick(), key, f"{name} {key}", self.key_of(account or self.accounts[0]), self.key_of(owner or self.owners[0]), pipeline, stage,
            "new_business", amount, currency, closes_on, "Beacon Navigator", "inbound",
        ))  # fmt: skip
        return self._made("deal", key, self.deals)

    def move(self, deal: str, stage: str, by: str | None = None) -> None:
        """The deal moves to a neutral stage of its pipeline."""
        self.tell(events.StageMoved(self.tick(), self.key_of(deal), stage, self.key_of(by or self.owners[0])))

    def edit(self, deal: str, *, by: str | None = None, **values: Any) -> None:
        """``values``: keys of events.DealEdited; ``owner`` is an id."""
        if "owner" in values:
            values["owner"] = self.key_of(str(values["owner"]))
        self.tell(events.DealEdited(self.tick(), self.key_of(deal), self.key_of(by or self.owners[0]), values))

    def bulk_edit(self, deals: Sequence[str], **values: Any) -> None:
        """The same values into many deals at one instant."""
        self.tick()
        with self.one_instant():
            for deal in deals:
                self.edit(deal, **values)

    @contextmanager
    def one_instant(self) -> Iterator[None]:
        """What is done inside happens at one instant."""
        before, self.tempo = self.tempo, 0.0
        try:
            yield
        finally:
            self.tempo = before

    def add_role(self, deal: str, contact: str, role: str = "economic_buyer") -> None:
        """``role``: a neutral key, see events.RoleAdded. HubSpot keeps it as an association label."""
        self.tell(events.RoleAdded(self.tick(), self.key_of(deal), self.key_of(contact), role))

    def log(
        self, deal: str | None, contact: str | None = None, kind: str = "call", *, account: str | None = None, owner: str | None = None,
        subject: str = "Talk", done: bool = False, due_on: date | None = None,
    ) -> str:  # fmt: skip
        """An activity. ``kind``: meeting, call, email, task. Returns its CRM id."""
        key, who = f"activity-{next(self.counter)}", self.key_of(owner or self.owners[0])
        self.tell(events.ActivityLogged(
            self.tick(), key, kind, deal and self.key_of(deal), account and self.key_of(account), contact and self.key_of(contact), who, who,
            subject, None, "outbound" if kind in ("call", "email") else None, None, due_on, done,
        ))  # fmt: skip
        return self._made(kind, key, self.activities)

    # -- people: what differs --------------------------------------------------------------------------------------------

    @abstractmethod
    def delete(self, deal: str) -> None:
        """Into the recycle bin."""

    @abstractmethod
    def restore(self, deal: str) -> None:
        """Out of the recycle bin."""

    @abstractmethod
    def purge(self, deal: str) -> None:
        """Gone for good: out of the bin (Salesforce), by a privacy request (HubSpot). Deletes it first where it is live."""

    @abstractmethod
    def purge_contact(self, contact: str) -> None:
        """The same for a contact."""

    @abstractmethod
    def remove_role(self, deal: str, contact: str) -> None:
        """The contact is no longer on the deal: no stamp of the deal moves."""

    @abstractmethod
    def delete_contact(self, contact: str) -> None:
        """Into the recycle bin."""

    @abstractmethod
    def merge_accounts(self, loser: str, winner: str) -> str:
        """Returns the id of the survivor."""

    @abstractmethod
    def merge_contacts(self, loser: str, winner: str) -> str:
        """Returns the id of the survivor."""

    @abstractmethod
    def edit_activity(self, activity: str, subject: str) -> None: ...

    @abstractmethod
    def file(self, activity: str, deal: str | None) -> None:
        """The activity hangs on this deal now, or on none. On HubSpot no stamp moves."""

    @abstractmethod
    def delete_activity(self, activity: str) -> None: ...

    @abstractmethod
    def rename_stage(self, stage: str, label: str, pipeline: str = "capital") -> None:
        """The admin renames a neutral stage: on Salesforce the value, on HubSpot the label only."""

    @abstractmethod
    def edit_account(self, account: str, *, name: str | None = None, territory: str | None = None) -> None: ...

    @abstractmethod
    def is_live(self, id: str, kind: str = "deal") -> bool:
        """Neither deleted nor merged away nor purged. ``kind``: deal, account, contact; ids of activities name theirs."""

    @abstractmethod
    def is_binned(self, id: str, kind: str = "deal") -> bool:
        """In the recycle bin, and may be restored."""

    def close(self) -> None:
        self.app.close()


COMPARED = ("owners", "accounts", "contacts", "opportunities", "changes", "gates", "contact_roles", "activities", "activity_deals")


def survivor(id: str, into: Mapping[str, str | None]) -> str | None:
    """The end of a chain of merges; None where it ends in nothing."""
    seen = {id}
    following = into.get(id)
    while following is not None and into.get(following) is not None and following not in seen:
        seen.add(following)
        following = into[following]
    return following


# -- opening one -----------------------------------------------------------------------------------------------------


@contextmanager
def opened(
    crm: str, root: Path, *, cast: bool = True, more: str = "", prepare: Callable[[World], None] | None = None, at: tuple[World, str] | None = None
) -> Iterator[Any]:
    """A rig in the directory ``root`` (made new). ``cast``: with three accounts, two owners, four contacts and three deals in it;
    ``more``: lines for its connector.toml; ``prepare``: a hand on the empty world; ``at``: a world served elsewhere, and its address.
    One rig of a CRM at a time."""
    from tests import rig_hubspot, rig_salesforce

    world, url = at or served(crm)
    reset(world)
    if prepare is not None:
        prepare(world)
    made = {"salesforce": rig_salesforce.SalesforceRig, "hubspot": rig_hubspot.HubSpotRig}[crm](world, url, root / "project", more)
    try:
        if cast:
            people(made)
        yield made
    finally:
        made.close()


def reset(world: World) -> None:
    """An empty world at BEGIN, limits off."""
    world.empty()
    world.clock.advance_to(BEGIN)
    world.portal.limits_on = False


def people(rig: Rig) -> None:
    """Two owners, three accounts, four contacts, three deals (open, open, won), one role and one call."""
    ada, ben = rig.hire("Ada Berg"), rig.hire("Ben Cole")
    first, second, third = rig.open_account(), rig.open_account("Lakeside ASC", "asc", "West"), rig.open_account("Unity", "idn", "Central", "US")
    buyer, _ = rig.meet(first), rig.meet(first, "Surgeon", kol=True)
    rig.meet(second, "Chief Information Officer"), rig.meet(third, "Chief Financial Officer")
    deal = rig.open_deal(first, "discovery", owner=ada)
    rig.open_deal(second, "demo", owner=ben, amount=None)
    won = rig.open_deal(third, "contracting", owner=ben, amount=Decimal("99000.50"))
    rig.move(won, "won")
    rig.add_role(deal, buyer, "economic_buyer")
    rig.log(deal, buyer, "call")
