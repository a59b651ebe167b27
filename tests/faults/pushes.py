"""Faults of a write × the push: a small plan is written while something goes wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from connector import runs
from connector.errors import CODES
from connector.runs import RunReport
from connector.sandbox.faults.kinds import KINDS
from tests import rig as rigs
from tests.faults.bench import HS, SF, Bench, Dump, Outcome, attempt, dump, errors_of, furnish
from tests.faults.matrix import stopping

WRITE = {SF: ("PATCH", "*/composite/sobjects"), HS: ("POST", "*/batch/update")}
READ_AGAIN = {SF: ("POST", "*/composite/sobjects/Opportunity"), HS: ("POST", "*/objects/*/batch/read")}
FIELD = {SF: "KPI_Stage__c", HS: "kpi_stage"}
WRITTEN_AT = {SF: "KPI_Updated_At__c", HS: "kpi_updated_at"}  # the instant of the write, later where it had to be repeated
STOPPING: Mapping[str, frozenset[str]] = {
    "calls-used-up": frozenset({"SC-E078"}), "daily-limit-answer": frozenset({"SC-E078"}), "missing-scopes": frozenset({"SC-E052", "SC-E124"}),
    "version-retired": frozenset({"SC-E055", "SC-E021"}), "not-found": frozenset({"SC-E021", "SC-E055", "SC-E128"}),
    "uri-too-long": frozenset({"SC-E073"}), "too-large": frozenset({"SC-E073"}),
    "row-refused": frozenset({"SC-E121"}), "row-deleted": frozenset({"SC-E128"}), "row-read-only": frozenset({"SC-E124"}),
    "row-flow-failed": frozenset({"SC-E125"}), "row-bad-option": frozenset({"SC-E123"}), "row-conflict": frozenset({"SC-E129", "SC-E122"}),
    "row-failed": frozenset({"SC-E129", "SC-E070"}), "validation-rule": frozenset({"SC-E121"}), "row-locks": frozenset({"SC-E122"}),
    "read-only-records": frozenset({"SC-E124"}), "read-only-field": frozenset({"SC-E124", "SC-E153", "SC-E101"}),
    "daily-limit": frozenset({"SC-E078"}),
}  # fmt: skip
"""Faults that a second try need not mend → the codes that may say so. Any other must leave no trace in the same run."""
SWITCHES = ("validation-rule", "row-locks", "read-only-records", "read-only-field")


def kinds_of(crm: str) -> tuple[str, ...]:
    """Everything that can hit a write, generated from the desk's catalogue."""
    found = [kind for kind in KINDS.values() if crm in kind.crms and (kind.family in ("answer", "wire", "records") or kind.name in SWITCHES)]
    return tuple(kind.name for kind in found if not kind.name.startswith(("login-", "query-", "locator-")))


class Push:
    """The push on one bench: its world is made anew for every fault, the state is that after a pull."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.root: Path = bench.rig.root
        self.pulled: bytes | None = None
        self.rebuild()
        assert not errors_of(runs.pull(self.bench.rig.app, [rigs.NAME]))
        self.bench.rig.app.close()
        path = self.root / "state" / "connector.db"
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        self.pulled = path.read_bytes()
        self.rebuild()
        done = self.sync()
        assert done.exit_code == 0, [error.finding().text() for error in errors_of(done)]
        assert done.pushes
        assert done.pushes[0].outcomes
        self.reference = self.ended()

    def rebuild(self) -> None:
        """The world as it was before the plan, and the state that has read it."""
        rig = self.bench.rig
        rig.begin(self.pulled)
        furnish(rig)
        rig.advance(60)

    def sync(self) -> RunReport:
        return runs.sync_all(self.bench.rig.app, [rigs.NAME])

    def ended(self) -> tuple[Dump, Any]:
        """The state's rows and what the CRM's own deals hold."""
        rows = {name: found for name, found in dump(self.root / "state" / "connector.db").items() if name != "dead_letters"}
        world = self.bench.world
        if self.bench.crm == SF:
            deals = world.org.tables["Opportunity"].rows
        else:
            deals = {str(number): deal.values for number, deal in world.portal.records["deals"].items()}
        apart = WRITTEN_AT[self.bench.crm]
        held = {id_: {n: v for n, v in deal.items() if n.lower().startswith("kpi_") and n != apart} for id_, deal in deals.items()}
        # the version is the stamp of the last save: one that had to be repeated is later
        return {name: found for name, found in rows.items() if name != "opportunities"}, held

    def order(self, kind: str) -> None:
        crm, desk = self.bench.crm, self.bench.world.faults
        deals = self.bench.rig.deals[:2]
        if kind in SWITCHES:
            parameters = {"read-only-field": {"field": FIELD[crm]}, "row-locks": {"ids": deals[0]}, "read-only-records": {"ids": deals[0]}}.get(
                kind, {}
            )
            desk.add(crm, kind, parameters=parameters)
            return
        more = {"seconds": 0.01} if KINDS[kind].name.startswith("slow") else {}
        method, path = WRITE[crm]
        desk.add(crm, kind, method=method, path=path, **more)
        if KINDS[kind].family != "records" and kind not in STOPPING and stopping(crm, kind) is None:
            method, path = READ_AGAIN[crm]
            desk.add(crm, kind, method=method, path=path, **more)

    def outcome(self, kind: str) -> Outcome:
        """A sync with the fault; unless all is well, another one after it has passed."""
        self.rebuild()
        self.order(kind)
        done = attempt(self.sync)
        faults = self.bench.world.faults.list()
        struck = sum(fault.struck for fault in faults) or int(kind in SWITCHES)
        if not struck:
            return Outcome("never struck", False, 0)
        if isinstance(done, str):
            return Outcome(done, False, struck)
        codes, exit_code = codes_of(done), done.exit_code
        if not codes:
            same = self.compared()
            return Outcome(same, same == "same" and exit_code == 0, struck)
        clear = exit_code != 0 and all(code in CODES and code != "SC-E001" for code in codes)
        self.bench.mended()
        letters = self.bench.rig.app.store.dead_letters
        for letter in letters.find():
            letters.resolve(letter.id, reason="retried by hand")
        again = attempt(self.sync)
        if isinstance(again, str) or codes_of(again):
            return Outcome(f"{' '.join(codes)} then {again if isinstance(again, str) else ' '.join(codes_of(again))}", False, struck)
        same = self.compared()
        expected = clear and set(codes) <= (stopping(self.bench.crm, kind) or STOPPING.get(kind, frozenset()))
        return Outcome(f"{' '.join(codes)} then {same}", expected and same == "same", struck)

    def compared(self) -> str:
        rows, held = self.ended()
        wrong = [name for name, found in self.reference[0].items() if rows[name] != found]
        wrong += ["the CRM's own fields"] if held != self.reference[1] else []
        return f"{', '.join(wrong)} differ" if wrong else "same"


def codes_of(done: RunReport) -> list[str]:
    """Codes of errors, of refused updates and of guards that tripped."""
    found = [error.code for error in errors_of(done)]
    found += [outcome.code or outcome.status for push in done.pushes for outcome in push.outcomes if outcome.status != "written"]
    found += [trip.code for push in done.pushes for trip in push.trips]
    return sorted(set(found))


def push_rows(bench: Bench) -> Iterator[tuple[str, Outcome]]:
    """(fault, outcome) of every fault of a write."""
    push = Push(bench)
    for kind in kinds_of(bench.crm):
        yield kind, push.outcome(kind)
