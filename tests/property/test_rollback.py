"""Any interleaving of people's edits, pushes, refusals, crashes and rollbacks: a field outside the manifest never changes, no value of a person
is overwritten without a before-image, a rollback restores exactly what is still ours, and the audit chain verifies.

Over the CRM in a dict, with the real planning, applying, ledger and rollback of values; tests/test_rollback.py runs over the real adapters.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from connector import grains
from connector.clock import FixedClock
from connector.crms.base import Field, Update, inputs_hash
from connector.crms.memory import MemoryCrm, MemorySettings, fields_of
from connector.errors import OutsideManifest
from connector.rollback import Undone, changes_of
from connector.scorecard import fields, plan
from connector.scorecard.apply import apply
from connector.scorecard.fields import MANIFEST
from connector.scorecard.plan import Desired, Observed, Plan, PlannedUpdate, Target
from connector.state import ledger
from connector.state.store import Store
from connector.sync import settled
from tests.property.journal import Died, Journal

NAME = "m"
TEXT = Field("", "", "text", writable=True)
KEYS = {"stage": "kpi_stage", "open_gates": "kpi_open_gates", "close_pushes": "kpi_close_pushes"}
OWN = {name: MANIFEST[key] for key, name in KEYS.items()}
THEIRS = ("amount", "note", "kpi_foreign")
SCHEMA = {"deals": fields_of(**dict.fromkeys((*OWN, *THEIRS), TEXT))}
TARGET = Target(NAME, "hubspot", "deals", KEYS, {}, "d")
DEALS = ("d1", "d2", "d3", "d4")
deals = st.sampled_from(DEALS)
ours = st.sampled_from(["", "a", "b", "c", "7"])
EXAMPLES = int(os.environ.get("CONNECTOR_PROPERTY_EXAMPLES", "60"))


class Interleavings(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FixedClock(datetime(2026, 11, 20, tzinfo=UTC))
        self.store = Store.open(Path(self.folder.name) / "state", self.clock)
        self.crm = MemoryCrm(MemorySettings(SCHEMA), self.clock, {"deals": frozenset(OWN)})
        self.truth: dict[str, dict[str, str]] = {}
        self.typed: dict[tuple[str, str], str] = {}  # a person's own value, as long as it stands or until we have its image
        self.runs: list[int] = []
        self.refused: set[str] = set()
        for id in DEALS:
            self.crm.put("deals", {**dict.fromkeys(OWN, ""), "amount": "1", "note": id, "kpi_foreign": "x"}, id=id)
            self.truth[id] = {"amount": "1", "note": id, "kpi_foreign": "x"}
        self.a_push({id: {"stage": "a", "open_gates": "b"} for id in DEALS}, [], "", 3)

    # -- people ------------------------------------------------------------------------------------------------------

    @rule(id=deals, name=st.sampled_from(THEIRS), value=ours)
    def somebody_edits_a_field_of_theirs(self, id: str, name: str, value: str) -> None:
        self.clock.sleep(1)
        self.crm.edit("deals", id, {name: value})
        self.truth[id][name] = value

    @rule(id=deals, name=st.sampled_from(sorted(OWN)), value=ours)
    def somebody_overwrites_a_field_of_ours(self, id: str, name: str, value: str) -> None:
        self.clock.sleep(1)
        if self.crm.holds("deals", id)[name] != value:
            self.crm.edit("deals", id, {name: value})
            self.typed[id, name] = value

    @rule(data=st.data(), value=ours)
    def somebody_overwrites_what_we_wrote(self, data: st.DataObject, value: str) -> None:
        written = sorted(self.store.ledger.last_written(NAME, "deals"))
        if written:
            self.somebody_overwrites_a_field_of_ours(*data.draw(st.sampled_from(written)), value)

    @rule(id=deals)
    def a_rule_refuses(self, id: str) -> None:
        self.crm.refuse("deals", id, "SC-E121", "RULE", "no")
        self.refused.add(id)

    @rule()
    def rules_are_lifted(self) -> None:
        self.crm._refusals.clear()
        self.refused.clear()

    # -- the connector -----------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """What the next run asks about the rows that a crash left."""
        found = []
        for write in self.store.ledger.pending(NAME):
            mine = [w for w in self.store.ledger.pending(NAME) if w.record == write.record]
            if write is mine[0] or write == mine[0]:
                found += settled(mine, self.crm.fetch("deals", [write.record], sorted(OWN)).get(write.record), OWN)
        if found:
            self.store.ledger.settle(0, NAME, found)

    def _planned(self, wanted: dict[str, dict[str, object]]) -> list[PlannedUpdate]:
        seen = {}
        for id, record in self.crm.fetch("deals", list(DEALS), [*OWN, "amount"]).items():
            values = {name: None if record.values[name] == "" else str(record.values[name]) for name in OWN}
            seen[id] = Observed(id, record.version, inputs_hash(record.values, ("amount",)), values)
        last = grains.last_written(self.store, TARGET)
        desired = {id: Desired(values, {}) for id, values in wanted.items()}
        return plan.differences(TARGET, desired, seen, last, self.clock.now()).updates

    @rule(
        wanted=st.dictionaries(deals, st.fixed_dictionaries({key: ours for key in KEYS if key != "close_pushes"}), min_size=1),
        between=st.lists(st.tuples(deals, st.sampled_from([*OWN, "amount"]), ours), max_size=2),
        dies=st.sampled_from(["", "", "", "before the write", "after the write"]),
        size=st.integers(1, 3),
    )
    def a_push(self, wanted: dict[str, dict[str, object]], between: list[tuple[str, str, str]], dies: str, size: int) -> None:
        self._settle()
        self.clock.sleep(60)
        values = {id: {key: value or None for key, value in found.items()} for id, found in wanted.items()}
        planned = self._planned(values)
        for id, name, value in between:  # after the plan, before its turn
            if name in OWN:
                self.somebody_overwrites_a_field_of_ours(id, name, value)
            else:
                self.somebody_edits_a_field_of_theirs(id, name, value)
        run = self.store.runs.start(NAME, "push", "test")
        self._write(run, planned, ("amount",), dies, size)

    @rule(data=st.data(), dies=st.sampled_from(["", "", "before the write", "after the write"]))
    def a_rollback(self, data: st.DataObject, dies: str) -> None:
        self._settle()
        wrote = [run for run in self.runs if any(w.status in ("written", "unknown") for w in self.store.ledger.of_run(run))]
        if not wrote:
            return
        if data.draw(st.booleans()):
            self.rules_are_lifted()
        self.clock.sleep(60)
        run = data.draw(st.sampled_from(wrote))
        undone = Undone(run, NAME, Plan("", "", (), ()), [])
        before = {id: dict(self.crm.holds("deals", id)) for id in DEALS}
        last = grains.last_written(self.store, TARGET)
        updates = changes_of(undone, self.store.ledger.of_run(run), self.crm, self.store, {"deals": TARGET})
        own = self.store.runs.start(NAME, "rollback", "test")
        self._write(own, updates, (), dies, 10)
        if dies:
            return
        images: dict[tuple[str, str], ledger.Write] = {}
        for write in self.store.ledger.of_run(run):
            if write.status in ("written", "unknown"):
                images.setdefault((write.record, write.field), write)
        for (id, name), image in images.items():
            was, now = fields.text(OWN[name], before[id][name]), fields.text(OWN[name], self.crm.holds("deals", id)[name])
            still_ours = was == (last[id, name].text if (id, name) in last else fields.text(OWN[name], image.after))
            expected = fields.text(OWN[name], image.before) if still_ours and id not in self.refused else was
            assert now == expected, (id, name)

    def _write(self, run: int, planned: Sequence[PlannedUpdate], inputs: Sequence[str], dies: str, size: int) -> None:
        before = {id: dict(self.crm.holds("deals", id)) for id in DEALS}
        with suppress(Died):
            list(apply(planned, self.crm, inputs, Journal(self.store, NAME, run, dies), batch_size=size))
        self.runs.append(run)
        imaged = {(w.record, w.field): w.before for w in self.store.ledger.of_run(run)}
        for id in DEALS:
            for name, value in self.crm.holds("deals", id).items():
                if value != before[id][name]:
                    assert (id, name) in imaged, "written without a before-image"
                    assert fields.text(OWN[name], imaged[id, name]) == fields.text(OWN[name], before[id][name])
                    self.typed.pop((id, name), None)

    @rule(id=deals, name=st.sampled_from(THEIRS))
    def a_field_outside_the_manifest(self, id: str, name: str) -> None:
        with pytest.raises(OutsideManifest):
            list(self.crm.write([Update("deals", id, {name: "ours"})]))

    # -- always ------------------------------------------------------------------------------------------------------

    @invariant()
    def what_is_theirs_is_as_they_left_it(self) -> None:
        for id, values in self.truth.items():
            held = self.crm.holds("deals", id)
            assert {name: held[name] for name in THEIRS} == values
        for (id, name), value in self.typed.items():
            assert self.crm.holds("deals", id)[name] == value, "a person's value went without a before-image"

    @invariant()
    def the_chain_verifies(self) -> None:
        assert self.store.audit.verify().broken is None

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()


TestInterleavings = pytest.mark.property(Interleavings.TestCase)
Interleavings.TestCase.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
