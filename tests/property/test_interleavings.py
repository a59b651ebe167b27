"""Any interleaving of people's work, syncs, faults, crashes and rollbacks, over both sandboxes, with the real client libraries and the real App.

What must hold is read from the sandbox, which knows every version of every field and its author (see tests.property.authors):

* a field outside the manifest never changes by our hand;
* whatever our write replaces stands in the ledger as its before-image, a person's value first of all. One exception, which no CRM of the two can
  close: an edit between our re-read and our write (``sync_while_somebody_types``); the before-image then holds what was there before that edit;
* what the ledger calls written was written, and what was written it does not call skipped;
* we never write a value that is there already, unless an answer was lost;
* a rollback with nothing in between restores what is still ours, and lists all else;
* the audit chain verifies.
"""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from urllib3.exceptions import ProtocolError

from connector import runs
from connector.rollback import Undone, rollback
from connector.runs import RunReport
from connector.scorecard import fields
from connector.scorecard.apply import FINE
from connector.scorecard.fields import MANIFEST, ScorecardField
from tests.pitfalls.catalogue import BOTH, SF
from tests.property.authors import Authors, Saved
from tests.property.death import dying
from tests.property.test_stateful import PUSH_POINTS, Bench
from tests.rig import NAME

EXAMPLES = int(os.environ.get("CONNECTOR_PROPERTY_EXAMPLES", "20"))  # of each CRM
STEPS = 10
RANDOM = "CONNECTOR_PROPERTY_RANDOM" in os.environ  # with --hypothesis-seed other examples than those of every day
TOLD: Counter[str] = Counter()
"""What all examples did together."""

WRITE = {"salesforce": ("PATCH", "*/composite/sobjects"), "hubspot": ("POST", "*/batch/update")}
FAULTS = {
    "salesforce": ("server-error", "unavailable", "row-refused", "row-locked", "row-flow-failed", "row-locks", "validation-rule", "lost answer"),
    "hubspot": ("server-error", "unavailable", "row-refused", "row-conflict", "row-failed", "validation-rule", "lost answer"),
}  # fmt: skip
TYPED: dict[str, list[str | None]] = {
    "stage": ["pilot", "demo", None], "data_gaps": ["typed by a person", "typed by another", None], "regressions": ["7", None],
    "stage_entered_on": ["2026-10-01", None], "open_gates": ["typed", None], "definition": ["typed too", None],
}  # fmt: skip
"""Key of the manifest → what people type over it. Few values, so that the same one comes back."""

which = st.integers(0, 3)
typed = st.sampled_from(sorted(TYPED)).flatmap(lambda key: st.tuples(st.just(key), st.sampled_from(TYPED[key])))
inputs = st.sampled_from([
    {"amount": Decimal(5000)}, {"amount": None}, {"closes_on": date(2027, 1, 15)}, {"vac_submitted_on": date(2026, 10, 5)},
    {"contract_sent_on": date(2026, 11, 1)}, {"vac_submitted_on": None},
])  # fmt: skip
stages = st.sampled_from(["prospect", "discovery", "demo", "pilot", "vac", "contracting"])


class Stand(Bench):
    """Two open deals more, so that a batch has company."""

    def begun(self) -> None:
        self.rig.begin(self.pulled)
        more(self.rig)


def more(rig: Any) -> None:
    rig.open_deal(rig.accounts[0], "pilot", amount=Decimal(70_000))
    rig.open_deal(rig.accounts[1], "prospect")


class Interleavings(RuleBasedStateMachine):
    stand: ClassVar[Stand]

    # -- looking -----------------------------------------------------------------------------------------------------

    @property
    def rig(self) -> Any:
        return self.stand.rig

    @property
    def own(self) -> dict[str, ScorecardField]:
        """Our fields by their name in this CRM."""
        names = self.rig.app.mapped(NAME).mapping.written
        return {name: MANIFEST[key] for key, name in names.items() if key in MANIFEST}

    def text(self, field: str, value: Any) -> str | None:
        return fields.text(self.owned[field], value)

    def live(self) -> list[str]:
        return [deal for deal in self.rig.deals if self.rig.is_live(deal)]

    def deal(self, number: int) -> str | None:
        there = self.live()
        return there[number % len(there)] if there else None

    # -- beginning ---------------------------------------------------------------------------------------------------

    @initialize(filled=st.booleans())
    def begin(self, filled: bool) -> None:
        """``filled``: the scorecards have been written once."""
        TOLD["examples"] += 1
        self.stand.wire.calm()
        self.stand.begun()
        self.authors = Authors(self.rig)
        self.owned = self.own
        self.judged = 0
        self.resent = False  # an answer was lost: the same values may be sent again
        self.deleted: set[str] = set()
        self.unseen: dict[tuple[str, str], Any] = {}  # (record, field) edited between re-read and write of the last push → what it held before
        self.of_run: dict[int, dict[tuple[str, str], Saved]] = {}  # run → the first save of each field, as the sandbox saw it
        self.rig.advance(600)
        if filled:
            self.sync(0, None, True)

    # -- people ------------------------------------------------------------------------------------------------------

    @rule(number=which, what=typed, values=st.one_of(st.none(), inputs), words=st.sampled_from([None, None, "call back", "on hold"]))
    def somebody_edits(self, number: int, what: tuple[str, str | None], values: dict[str, Any] | None, words: str | None) -> None:
        """One of our fields; perhaps some that we read, and one that we do not."""
        if deal := self.deal(number):
            self.type(deal, *what)
            if values is not None:
                self.rig.edit(deal, **values)
            if words is not None:
                name, object = ("Description", "Opportunity") if self.rig.crm == SF else ("description", "deals")
                self.rig.set(object, deal, **{name: words})

    def type(self, deal: str, key: str, value: str | None) -> str:
        name = next(name for name, field in self.owned.items() if field.key == key)
        empty = None if self.rig.crm == SF else ""
        self.rig.set("Opportunity" if self.rig.crm == SF else "deals", deal, **{name: empty if value is None else value})
        TOLD["edits"] += 1
        return name

    @rule(number=which, stage=stages)
    def a_deal_moves(self, number: int, stage: str) -> None:
        if deal := self.deal(number):
            self.rig.move(deal, stage)
            TOLD["edits"] += 1

    @rule(number=which)
    def a_deal_is_deleted_or_restored(self, number: int) -> None:
        binned = [deal for deal in self.rig.deals if self.rig.is_binned(deal)]
        if binned:
            self.rig.restore(binned[number % len(binned)])
        elif len(self.live()) > 2 and (deal := self.deal(number)):
            self.rig.delete(deal)
            self.deleted.add(deal)
        TOLD["edits"] += 1

    @rule(seconds=st.sampled_from([60, 3600, 86_400, 8 * 86_400]))
    def time_passes(self, seconds: int) -> None:
        self.rig.advance(seconds)

    # -- the connector -----------------------------------------------------------------------------------------------

    @rule(number=which, stage=st.one_of(st.none(), stages), resumed=st.booleans())
    def sync(self, number: int, stage: str | None, resumed: bool) -> None:
        """``stage``: a deal moves before, so that there is something to write."""
        done = self.pushed(number, stage, resumed)
        assert resumed or not done.failures or self.rig.app.store.is_paused(NAME), done.failures
        if resumed:
            assert not done.failures, done.failures[0].error
            assert {o.status for push in done.pushes for o in push.outcomes} <= FINE, "nothing stood in its way"

    @rule(data=st.data(), number=which, stage=stages, times=st.sampled_from([1, 2, 20]))
    def sync_with_a_fault(self, data: st.DataObject, number: int, stage: str, times: int) -> None:
        fault = data.draw(st.sampled_from(FAULTS[self.rig.crm]))
        with self.fault(fault, number, times):
            self.pushed(number, stage, True)

    @rule(number=which, stage=stages, point=st.sampled_from(PUSH_POINTS))
    def sync_that_dies(self, number: int, stage: str, point: str) -> None:
        with dying(self.rig, self.stand.wire, point, 0) as died:
            self.pushed(number, stage, True)
        TOLD["kills"] += died()

    @rule(number=which, stage=stages, what=typed, retried=st.booleans())
    def sync_while_somebody_types(self, number: int, stage: str, what: tuple[str, str | None], retried: bool) -> None:
        """Just before our write leaves, somebody types into a deal that it will write. ``retried``: the first try of the write was refused by a
        busy server, and the edit comes before the second."""
        seen = [0]

        def type_now(call: int, method: str, url: str) -> None:
            if is_write(method, url):
                seen[0] += 1
                if seen[0] == (2 if retried else 1):
                    self.type_unseen(number, what)

        self.stand.wire.calm()
        self.stand.wire.before = type_now
        try:
            with self.fault("unavailable" if retried else None, number, 1):
                self.pushed(number, stage, True)
        finally:
            self.stand.wire.calm()

    def type_unseen(self, number: int, what: tuple[str, str | None]) -> None:
        due = [write for write in self.rig.app.store.ledger.pending(NAME) if self.rig.is_live(write.record)]
        if due:
            record = sorted({write.record for write in due})[number % len({write.record for write in due})]
            held = {name: self.authors.now(record, name) for name in self.owned}
            name = self.type(record, *what)
            if any((write.record, write.field) == (record, name) for write in due):
                self.unseen[record, name] = held[name]
                TOLD["unseen"] += 1

    @rule(data=st.data(), field=st.one_of(st.none(), st.none(), st.sampled_from(sorted(TYPED))), moves=st.lists(stages, max_size=3), over=which)
    def roll_back(self, data: st.DataObject, field: str | None, moves: list[str], over: int) -> None:
        """Some more syncs, somebody types over ``over`` of the values; then nothing comes in between: all that is still ours is restored, all
        else is listed."""
        run = self.a_run(data)
        if run is None:
            return
        for number, stage in enumerate(moves):
            self.sync(number, stage, True)
        for record, name in data.draw(st.lists(st.sampled_from(list(self.of_run[run])), max_size=over)):
            key = self.owned[name].key
            if self.rig.is_live(record) and key in TYPED:
                self.type(record, key, data.draw(st.sampled_from(TYPED[key])))
        self.undone(run, field)

    @rule(data=st.data(), number=which, point=st.sampled_from(PUSH_POINTS))
    def roll_back_and_die(self, data: st.DataObject, number: int, point: str) -> None:
        run = self.a_run(data)
        if run is not None:
            with dying(self.rig, self.stand.wire, point, 0) as died:
                self.rolled(run, [])
            TOLD["kills"] += died()

    @rule(data=st.data(), number=which, times=st.sampled_from([1, 20]))
    def roll_back_with_a_fault(self, data: st.DataObject, number: int, times: int) -> None:
        run = self.a_run(data)
        fault = data.draw(st.sampled_from(FAULTS[self.rig.crm]))
        if run is not None:
            with self.fault(fault, number, times):
                self.rolled(run, [])

    def undone(self, run: int, field: str | None) -> None:
        """Roll back and compare with what the sandbox saw. ``field``: key of the only one."""
        only = [] if field is None else [field]
        expected, listed = self.expected(run, field)
        undone = self.rolled(run, only)
        for (record, name), want in expected.items():
            have = self.text(name, self.authors.now(record, name))
            assert have == want, f"not {want}: {self.story(record, name)}"
        assert {(left.record, left.field) for left in undone.left} == listed, undone.left
        assert {o.status for o in (undone.pushed.outcomes if undone.pushed else ())} <= FINE
        again = rollback(self.rig.app, run, only=only, dry_run=True)
        assert again.plan.updates == (), "a second rollback finds nothing to do"
        TOLD["rollbacks"] += 1
        TOLD["restored"] += undone.restored
        TOLD["listed"] += len(listed)

    # -- how ---------------------------------------------------------------------------------------------------------

    def pushed(self, number: int, stage: str | None, resumed: bool) -> RunReport:
        if stage is not None:
            self.a_deal_moves(number, stage)
        if resumed:
            self.rig.app.store.connections.resume(NAME)
        self.rig.advance(120)
        self.since = len(self.authors.saved)
        try:
            TOLD["syncs"] += 1
            return runs.sync_all(self.rig.app, [NAME])
        finally:
            self.belongs()

    def rolled(self, run: int, only: list[str]) -> Undone:
        self.rig.advance(120)
        self.since = len(self.authors.saved)
        try:
            return rollback(self.rig.app, run, only=only)
        finally:
            self.belongs()

    def belongs(self) -> None:
        """What was saved by us just now belongs to the run that is the last to write."""
        mine = [one for one in self.authors.saved[self.since :] if one.ours and one.asked]
        if mine:
            run = self.rig.app.store.runs.last(NAME, kinds=("push", "rollback")).id
            first = self.of_run.setdefault(run, {})
            for one in mine:
                at = (one.record, one.field)
                first.setdefault(at, replace(one, before=self.unseen.get(at, one.before)))

    def a_run(self, data: st.DataObject) -> int | None:
        """Any earlier run that wrote, as far as the ledger knows."""
        self.rig.app.store.connections.resume(NAME)
        self.rig.pull()  # asks about what a crash left
        wrote = self.wrote()
        return data.draw(st.sampled_from(wrote)) if wrote else None

    def wrote(self) -> list[int]:
        return [run for run in self.of_run if any(w.status != "rejected" for w in self.rig.app.store.ledger.of_run(run))]

    def expected(self, run: int, key: str | None) -> tuple[dict[tuple[str, str], str | None], set[tuple[str, str | None]]]:
        """(what each field holds after a rollback, what is to be listed), from what the sandbox saw alone."""
        want: dict[tuple[str, str], str | None] = {}
        listed: set[tuple[str, str | None]] = set()
        scrubbed = {(write.record, write.field) for write in self.rig.app.store.ledger.of_run(run) if write.scrubbed}
        for (record, name), image in self.of_run[run].items():
            if key is not None and self.owned[name].key != key:
                continue
            if not self.rig.is_live(record):
                listed.add((record, None))
                continue
            now, before = self.text(name, self.authors.now(record, name)), self.text(name, image.before)
            if (record, name) in scrubbed:
                assert record in self.deleted
                want[record, name] = now
                listed.add((record, name))
                continue
            last = next(one for one in reversed(self.authors.saved) if one.ours and (one.record, one.field) == (record, name))
            ours = now == self.text(name, last.after)
            want[record, name] = before if ours else now
            if not ours and now != before:
                listed.add((record, name))
        return want, listed

    def story(self, record: str, name: str) -> str:
        """What the sandbox saw of a field, and what the ledger says of it."""
        saves = [
            f"{'we' if one.ours else 'somebody'}: {one.before} → {one.after}"
            for one in self.authors.saved
            if (one.record, one.field) == (record, name)
        ]
        rows = [(w.run, w.before, w.after, w.status) for w in self.rig.app.store.ledger.of_record(NAME, record) if w.field == name]
        return f"{record} {name} holds {self.authors.now(record, name)}; {saves}; {rows}"

    @contextmanager
    def fault(self, kind: str | None, number: int, times: int) -> Iterator[None]:
        """While inside, writes meet a fault ``times`` times."""
        crm, desk, wire = self.rig.crm, self.rig.world.faults, self.stand.wire
        victim = self.deal(number) or "nobody"
        if kind == "lost answer":
            self.resent = True
            wire.calm()
            wire.after = _lost(times)
        elif kind in ("row-locks", "validation-rule"):
            desk.add(crm, kind, parameters={"ids": victim})
        elif kind is not None:
            method, path = WRITE[crm]
            desk.add(crm, kind, method=method, path=path, times=times, **({"parameters": {"ids": victim}} if kind.startswith("row-") else {}))
        TOLD["faults"] += kind is not None
        try:
            yield
        finally:
            desk.clear()
            if kind == "lost answer":
                wire.calm()

    # -- always ------------------------------------------------------------------------------------------------------

    @invariant()
    def our_saves_are_in_the_manifest_and_in_the_ledger(self) -> None:
        if not hasattr(self, "authors"):
            return
        new, self.judged = self.authors.saved[self.judged :], len(self.authors.saved)
        for one in new:
            if not one.ours:
                continue
            assert one.field in self.owned, f"{one} is outside the manifest"
            unseen = (one.record, one.field) in self.unseen  # nobody can know that it was typed just now
            assert not one.again or self.resent or unseen, f"{one} was there already"
            if one.again:
                continue
            rows = [w for w in self.rig.app.store.ledger.of_record(NAME, one.record) if w.field == one.field]
            same = [w for w in rows if self.text(one.field, w.after) == self.text(one.field, one.after)]
            assert [w for w in same if w.status in ("written", "pending", "unknown")], f"{one} is not in the ledger: {rows}"
            before = self.text(one.field, self.unseen.get((one.record, one.field), one.before))
            assert [w for w in same if self.text(one.field, w.before) == before], f"{one} has no before-image: {rows}"
        self.unseen.clear()
        self.resent = self.resent and any(self.rig.app.store.ledger.pending(NAME))

    @invariant()
    def the_ledger_says_what_happened(self) -> None:
        if not hasattr(self, "authors"):
            return
        for run, first in self.of_run.items():
            for write in self.rig.app.store.ledger.of_run(run):
                seen = (write.record, write.field) in first
                assert seen or write.status != "written", f"{write} never arrived"

    @invariant()
    def the_chain_verifies(self) -> None:
        if hasattr(self, "authors"):
            assert self.rig.app.store.audit.verify().broken is None

    def teardown(self) -> None:
        if not hasattr(self, "authors"):
            return
        self.stand.wire.calm()
        self.sync(0, None, True)
        self.our_saves_are_in_the_manifest_and_in_the_ledger()
        assert self.rig.app.store.ledger.pending(NAME) == [], "nothing is left open"
        if wrote := self.wrote():
            run = wrote[len(self.authors.saved) % len(wrote)]
            record, name = sorted(self.of_run[run])[0]
            if self.rig.is_live(record):
                self.type(record, self.owned[name].key, TYPED.get(self.owned[name].key, ["1"])[0])
            self.undone(run, None)
        self.our_saves_are_in_the_manifest_and_in_the_ledger()
        assert list(self.authors.disagreements(self.owned)) == []


def is_write(method: str, url: str) -> bool:
    return method == "PATCH" or url.partition("?")[0].endswith("/batch/update")


def _lost(times: int) -> Callable[[int, str, str], None]:
    """The work is done and the answer lost, so often."""
    left = [times]

    def lose(call: int, method: str, url: str) -> None:
        if is_write(method, url) and left[0]:
            left[0] -= 1
            raise ProtocolError("Connection aborted.", ConnectionResetError(104, "Connection reset by peer"))

    return lose


def run(crm: str, examples: int, *, http: bool = False) -> None:
    stand = Stand(crm, http=http)
    machine = type(f"Interleavings{crm.title()}", (Interleavings,), {"stand": stand})
    often = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    try:
        run_state_machine_as_test(machine, settings=_settings(examples))
    finally:
        gc.set_threshold(*often)
        gc.unfreeze()
        stand.close()


def _settings(examples: int) -> settings:
    """Derandomized: the same examples everywhere, unless others are asked for."""
    return settings(
        max_examples=examples, stateful_step_count=STEPS, derandomize=not RANDOM, deadline=None, database=None, print_blob=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], report_multiple_bugs=False,
    )  # fmt: skip


@pytest.mark.property
@pytest.mark.no_cover
@pytest.mark.parametrize("crm", BOTH)
def test_nothing_is_lost_whatever_happens(crm: str, capsys: pytest.CaptureFixture[str]) -> None:
    TOLD.clear()
    run(crm, EXAMPLES)
    with capsys.disabled():
        print(f"\n{crm}: " + ", ".join(f"{number} {what}" for what, number in sorted(TOLD.items())))
    assert TOLD["examples"] >= EXAMPLES
    if not RANDOM:  # what everybody's examples reach
        assert TOLD["kills"] >= EXAMPLES / 5
        assert TOLD["restored"] >= EXAMPLES
        assert TOLD["listed"] >= EXAMPLES / 5
        assert TOLD["unseen"] >= EXAMPLES / 20


@pytest.mark.property
@pytest.mark.no_cover
@pytest.mark.parametrize("crm", BOTH)
def test_the_same_over_sockets(crm: str) -> None:
    """A few examples, ten times as dear: that nothing hangs on the wire without a network."""
    TOLD.clear()
    run(crm, max(2, EXAMPLES // 10), http=True)
    assert TOLD["rollbacks"] > 0
