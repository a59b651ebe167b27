"""A small world on which one fault after another is tried, and what an undisturbed run makes of it."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from connector import app as composition
from connector import runs
from connector.errors import CODES, ConnectorError
from connector.runs import RunReport
from connector.sandbox.faults.kinds import DATA, KINDS
from connector.sandbox.faults.rules import Fault
from connector.sandbox.server import serving
from connector.sandbox.world import World
from tests import rig as rigs
from tests.rig_hubspot import HubSpotRig
from tests.rig_parts import new_state
from tests.rig_salesforce import SalesforceRig

SF, HS = "salesforce", "hubspot"
VARIANTS = {"salesforce": SF, "salesforce bulk": SF, "hubspot": HS}
TUNED: Mapping[str, dict[str, Any]] = {
    "salesforce": {"read_timeout": 5.0}, "salesforce bulk": {"bulk_above": 0, "bulk_page": 3, "read_timeout": 5.0},
    "hubspot": {"page_size": 4, "read_timeout": 5.0},
}  # fmt: skip
"""Variant → settings of its adapter: small pages, so that there is a middle."""
ROWS: Mapping[str, tuple[str, ...]] = {
    "owners": (), "accounts": (), "contacts": (), "opportunities": (), "changes": (), "gates": (), "contact_roles": (), "activities": (),
    "leads": (), "tickets": (), "line_items": (), "set_aside": (), "observations": (),
    "dead_letters": ("id", "run", "count", "first_at", "last_at"), "schema_snapshots": ("taken_at",),
}  # fmt: skip
"""Tables that must end equal → columns that are bookkeeping of runs. Not here: runs, their streams, calls, leases,
plans, findings, bookmarks (how far a stream was read is nobody's row; that nothing behind them is lost is what the second run shows)."""
CLOCKED: Mapping[str, tuple[str, ...]] = {"contact_roles": ("first_seen",)}
"""Columns that hold what the CRM's clock said when a pull saw something for the first time: a clock that is off is believed, and they with it."""
Dump = Mapping[str, list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Target:
    """One stream as the desk matches it. ``calls``: how many requests of an undisturbed run match."""

    stream: str
    object: str | None = None
    path: str | None = None
    calls: int = 0

    def where(self) -> dict[str, str]:
        return {name: value for name, value in (("object", self.object), ("path", self.path)) if value}


@dataclass(frozen=True, slots=True)
class Outcome:
    """``text``: same, "SC-E051 then same" or what is wrong, in which case ``ok`` is False. ``struck``: how often the faults struck."""

    text: str
    ok: bool
    struck: int = 1


@dataclass
class Bench:
    """``reference``: the rows after an undisturbed first pull, ``unclocked`` the same without what the clock said; ``targets``: streams
    and the connection's own calls."""

    variant: str
    rig: Any
    reference: Dump = field(default_factory=dict)
    unclocked: Dump = field(default_factory=dict)
    targets: tuple[Target, ...] = ()

    @property
    def crm(self) -> str:
        return VARIANTS[self.variant]

    @property
    def world(self) -> World:
        return self.rig.world  # type: ignore[no-any-return]

    # -- a run ---------------------------------------------------------------------------------------------------------

    def fresh(self) -> None:
        """An empty state; the CRM stays as it is, since reading changes nothing there."""
        self.world.faults.clear()
        new_state(self.rig.root / "state")
        self.rig.reopen()

    def prepared(self) -> None:
        """The org gives out small pages too."""
        if self.crm == SF:
            self.world.org.page_size = self.world.org.bulk.page = 3

    def mended(self) -> None:
        """The fault has passed, and a person who renewed a refused credential says so."""
        self.world.faults.clear()
        self.rig.app.store.connections.unlatch(rigs.NAME)

    def pull(self) -> RunReport:
        return runs.pull(self.rig.app, [rigs.NAME])

    def order(self, kind: str, target: Target, after: int, times: int | None = 1) -> Fault | None:
        """The fault on that stream, or None where it can strike nothing there."""
        own = KINDS[kind].paths.get(self.crm)
        if target.path and own not in (None, DATA, "/[!o]*"):
            return None  # about queries only, and the target is none
        path = target.path or own
        more = EXTRA.get(kind, {})
        where = target.where() | ({"path": path} if path else {})
        return self.world.faults.add(self.crm, kind, **where, after=after, times=times, **more)

    # -- what came of it -------------------------------------------------------------------------------------------------

    def dump(self, apart: Mapping[str, tuple[str, ...]] | None = None) -> Dump:
        """The rows of every table that must end equal. ``apart``: columns that need not."""
        return dump(self.rig.root / "state" / "connector.db", apart)

    def compared(self, kind: str = "") -> str:
        """``same``, or the tables that differ after that fault."""
        have, reference = (self.dump(CLOCKED), self.unclocked) if kind == "wrong-date" else (self.dump(), self.reference)
        return ", ".join(f"{name} differ ({len(have[name])} for {len(rows)})" for name, rows in reference.items() if have[name] != rows) or "same"


EXTRA: Mapping[str, dict[str, Any]] = {
    "slow-answer": {"seconds": 0.01}, "slow-body": {"seconds": 0.01}, "wrong-date": {"seconds": -30},
    "ten-secondly-limit": {"parameters": {"retry_after": 10}},
}  # fmt: skip


def dump(path: Path, apart: Mapping[str, tuple[str, ...]] | None = None) -> Dump:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        found: dict[str, list[tuple[Any, ...]]] = {}
        for name, bookkeeping in ROWS.items():
            left_out = bookkeeping + (apart or {}).get(name, ())
            columns = ", ".join(f'"{row[1]}"' for row in db.execute(f"PRAGMA table_info({name})") if row[1] not in left_out)
            found[name] = sorted(db.execute(f"SELECT {columns} FROM {name}").fetchall(), key=repr)
    db.close()
    return found


def errors_of(done: RunReport) -> list[ConnectorError]:
    """What a run says went wrong, of the connection or of single streams."""
    return [failure.error for failure in done.failures] + [failure.error for pull in done.pulls for failure in pull.failures]


def told(done: RunReport) -> tuple[str, bool]:
    """(the codes, whether that is an error as a person needs it: a known code, words, an exit code that is not 0)."""
    errors = errors_of(done)
    codes = sorted({error.code for error in errors})
    clear = bool(errors) and done.exit_code != 0 and all(code in CODES and code != "SC-E001" for code in codes) and all(e.message for e in errors)
    return " ".join(codes), clear


def attempt(act: Callable[[], RunReport]) -> RunReport | str:
    """The report, or what escaped."""
    try:
        return act()
    except Exception as crash:
        return f"CRASH {type(crash).__name__}: {str(crash)[:80]}"


# -- opening one ---------------------------------------------------------------------------------------------------------


@contextmanager
def bench(variant: str) -> Iterator[Bench]:
    """A bench of its own world and server; the undisturbed run is behind it."""
    crm, world = VARIANTS[variant], World()
    plain = composition._SETTINGS[crm]
    composition._SETTINGS[crm] = lambda *given: replace(plain(*given), **TUNED[variant])
    try:
        with serving(world) as url, tempfile.TemporaryDirectory() as folder:
            made = Bench(variant, _furnished(crm, world, url, Path(folder) / "project"))
            try:
                made.prepared()
                _probe(made)
                yield made
            finally:
                made.rig.close()
    finally:
        composition._SETTINGS[crm] = plain


def _furnished(crm: str, world: World, url: str, root: Path) -> Any:
    rig: Any = {SF: SalesforceRig, HS: HubSpotRig}[crm](world, url, root)
    rig.begin()
    furnish(rig)
    return rig


def furnish(rig: Any) -> None:
    """Some of everything: two pages of most, one of each activity, a merge, a deleted deal."""
    ada, ben = rig.owners
    for number, account in enumerate([*rig.accounts, *rig.accounts[:2]]):
        deal = rig.open_deal(account, "prospect", owner=(ada, ben)[number % 2])
        rig.move(deal, "discovery")
        rig.add_role(deal, rig.contacts[number % 4], "it_security")
        for kind in ("meeting", "call", "email", "task"):
            rig.log(deal, rig.contacts[number % 4], kind)
    rig.delete(rig.deals[-1])
    rig.merge_accounts(rig.open_account("Twin"), rig.accounts[0])
    rig.advance(3600)


def _probe(made: Bench) -> None:
    """Two undisturbed runs: one tells the streams, one counts what each of them asks."""
    made.fresh()
    first = made.pull()
    assert not errors_of(first), [error.finding().text() for error in errors_of(first)]
    candidates = [Target(read.stream, None if read.object == "owners" else read.object) for read in first.pulls[0].streams]
    special = {
        "contact_roles": Target("contact_roles", path="*/associations/*/deals/contacts/batch/read"),
        "owners": Target("owners", path="/crm/owners/*"),
    }
    if made.crm == HS:
        candidates = [special.get(target.stream, target) for target in candidates]
        candidates.append(Target("(connection)", path="/account-info/*"))
    else:
        candidates += [Target("(stages)", "OpportunityStage"), Target("(connection)", path="/services/oauth2/userinfo")]
    made.fresh()
    probes = {target: made.world.faults.add(made.crm, "reset", **target.where(), after=10**9) for target in candidates}
    again = made.pull()
    assert not errors_of(again)
    made.targets = tuple(replace(target, calls=fault.seen) for target, fault in probes.items() if fault.seen)
    made.reference, made.unclocked = made.dump(), made.dump(CLOCKED)
