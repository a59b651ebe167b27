"""Any interleaving of people's edits and deletions, pushes, crashes and rollbacks over rows that are ours: no key is there twice, each deal that
should have a row has one, a deal that is gone has none, no value of a person is lost without a before-image, and a rollback leaves nothing of a row
that its run made.

Over the CRM in a dict, with the real planning, applying, ledger, settling and rollback; tests/acceptance/test_grains.py runs over the org.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
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
from connector.crms.base import Field, Record, StreamSpec, Update, Window, WriteAction
from connector.crms.memory import MemoryCrm, MemorySettings, fields_of
from connector.errors import OutsideManifest
from connector.model.records import Mapped, Opportunity, ScorecardRow, Tombstone
from connector.rollback import Undone, changes_of
from connector.scorecard import fields, plan
from connector.scorecard.apply import apply
from connector.scorecard.plan import Desired, Observed, Plan, PlannedUpdate, Target
from connector.state import ledger
from connector.state.store import Store
from connector.sync import settled
from tests.property.journal import Died, Journal

NAME, OBJECT, KEY = "m", "kpi_scorecards", "kpi_key"
TEXT = Field("", "", "text", writable=True)
TARGET = Target(
    NAME, "hubspot", OBJECT, {"key": KEY, "deal": "kpi_deal", "open_gates": "kpi_open_gates", "stale_reason": "kpi_stale_reason"}, {}, "d",
    "companion", KEY,
)  # fmt: skip
OWN = TARGET.by_name
DEALS = ("d1", "d2", "d3")
deals = st.sampled_from(DEALS)
texts = st.sampled_from(["a", "b", "c"])
EXAMPLES = int(os.environ.get("CONNECTOR_PROPERTY_EXAMPLES", "60"))


class RowsOfOurs(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FixedClock(datetime(2026, 11, 20, tzinfo=UTC))
        self.store = Store.open(Path(self.folder.name) / "state", self.clock)
        schema = {OBJECT: fields_of(**dict.fromkeys((*OWN, "note"), TEXT))}
        self.crm = MemoryCrm(MemorySettings(schema), self.clock, {OBJECT: frozenset(OWN)})
        self.stream = StreamSpec("scorecards", OBJECT, tuple(OWN))
        self.typed: dict[tuple[str, str], str] = {}  # (id of a row, field) → a person's own value, until we have its image
        self.runs: list[int] = []
        self.gone: set[str] = set()
        self._page(*(Mapped(rows=(Opportunity(id),)) for id in DEALS))

    def _page(self, *mapped: Mapped) -> None:
        self.store.save_page(NAME, "x", mapped, [], {}, run=None, fence=None)

    def _rows(self) -> dict[str, Record]:
        """Id → live row, as the CRM has it."""
        found: dict[str, Record] = {}
        for page in self.crm.read(self.stream, Window(None, self.clock.now())):
            found.update({record.id: record for record in page.records})
        return {id: record for id, record in found.items() if not record.deleted}

    # -- people ------------------------------------------------------------------------------------------------------

    @rule(data=st.data(), name=st.sampled_from(["kpi_open_gates", "kpi_stale_reason"]), value=texts)
    def somebody_edits_a_row(self, data: st.DataObject, name: str, value: str) -> None:
        self.clock.sleep(1)
        if rows := self._rows():
            id = data.draw(st.sampled_from(sorted(rows)))
            if rows[id].values[name] != value:
                self.crm.edit(OBJECT, id, {name: value})
                self.typed[id, name] = value

    @rule(data=st.data())
    def somebody_deletes_a_row(self, data: st.DataObject) -> None:
        self.clock.sleep(1)
        if rows := self._rows():
            id = data.draw(st.sampled_from(sorted(rows)))
            self.crm.delete(OBJECT, id)
            self.typed = {at: value for at, value in self.typed.items() if at[0] != id}

    @rule(id=deals)
    def a_deal_is_deleted(self, id: str) -> None:
        self.gone.add(id)
        self._page(Mapped(tombstones=(Tombstone("opportunities", id),)))

    @rule(id=deals)
    def a_deal_comes_back(self, id: str) -> None:
        self.gone.discard(id)
        self._page(Mapped(rows=(Opportunity(id),)))

    # -- the connector -----------------------------------------------------------------------------------------------

    def _pull(self) -> None:
        """The rows as they are, and those that went; then what a crash left."""
        rows = self._rows()
        known = self.store.census.held(NAME, "scorecards", "scorecard_rows")
        seen = [
            Mapped(rows=(ScorecardRow(f"{OBJECT}:{id}", str(r.values[KEY]), r.version, {f: _text(r, f) for f in OWN}),)) for id, r in rows.items()
        ]
        lost = [Mapped(tombstones=(Tombstone("scorecard_rows", id),)) for id in known - {f"{OBJECT}:{id}" for id in rows}]
        self._page(*seen, *lost)
        by_record: dict[str, list[ledger.Write]] = {}
        for write in self.store.ledger.pending(NAME):
            by_record.setdefault(write.record, []).append(write)
        now = self.crm.fetch(OBJECT, list(by_record), list(OWN), KEY)
        found = [one for record, writes in by_record.items() for one in settled(writes, now.get(record), OWN)]
        if found:
            self.store.ledger.settle(0, NAME, found)

    @rule(
        wanted=st.dictionaries(deals, st.tuples(texts, texts), min_size=1), dies=st.sampled_from(["", "", "", "before the write", "after the write"]),
        size=st.integers(1, 3),
    )  # fmt: skip
    def a_push(self, wanted: dict[str, tuple[str, str]], dies: str, size: int) -> None:
        self.clock.sleep(60)
        self._pull()
        rows = {key: Observed(None, seen.version, None, seen.observed) for key, seen in self.store.scorecard_rows(NAME, OBJECT).items()}
        desired = {
            id: Desired({"key": id, "deal": id, "open_gates": [one], "stale_reason": [other]}, {})
            for id, (one, other) in wanted.items()
            if id not in self.gone
        }
        gone = rows.keys() & self.store.census.gone(NAME, "opportunities")
        found = plan.differences(TARGET, desired, rows, grains.last_written(self.store, TARGET), self.clock.now(), gone=gone)
        self._write(found.updates, dies, size)
        if not dies:
            held = {str(row.values[KEY]): row for row in self._rows().values()}
            assert desired.keys() <= held.keys()
            assert not held.keys() & self.gone
            for id, card in desired.items():
                assert [held[id].values["kpi_open_gates"]] == card.values["open_gates"]
            again = {key: Observed(None, None, None, seen.observed) for key, seen in self.store.scorecard_rows(NAME, OBJECT).items()}
            assert plan.differences(TARGET, desired, again, {}, self.clock.now()).updates == [], "the state knows what it wrote"

    @rule(data=st.data(), dies=st.sampled_from(["", "", "before the write", "after the write"]))
    def a_rollback(self, data: st.DataObject, dies: str) -> None:
        self._pull()
        if not self.runs:
            return
        self.clock.sleep(60)
        run = data.draw(st.sampled_from(self.runs))
        writes = self.store.ledger.of_run(run)
        undone = Undone(run, NAME, Plan("", "", (), ()), [])
        last = grains.last_written(self.store, TARGET)
        before = {str(row.values[KEY]): row for row in self._rows().values()}
        self._write(changes_of(undone, writes, self.crm, self.store, {OBJECT: TARGET}), dies, 10)
        if dies:
            return
        held = {str(row.values[KEY]): row for row in self._rows().values()}
        made = {w.record for w in writes if w.action == "create" and w.status in ("written", "unknown") and not w.scrubbed}
        for key in made & before.keys():
            mine = {w.field: w for w in writes if w.record == key}
            ours = all(_text(before[key], f) in (fields.text(OWN[f], w.before), last[key, f].text) for f, w in mine.items() if (key, f) in last)
            assert (key not in held) == ours, (key, undone.left)

    def _write(self, planned: Sequence[PlannedUpdate], dies: str, size: int) -> None:
        run = self.store.runs.start(NAME, "push", "test")
        before = self._rows()
        with suppress(Died):
            list(apply(planned, self.crm, (), Journal(self.store, NAME, run, dies), batch_size=size))
        if planned:
            self.runs.append(run)
        imaged = {(w.record, w.field): w for w in self.store.ledger.of_run(run)}
        after = self._rows()
        for id, row in before.items():
            key = str(row.values[KEY])
            for name in OWN:
                if id not in after or _text(after[id], name) != _text(row, name):
                    assert (key, name) in imaged or key in self.gone, "written without a before-image"
                    self.typed.pop((id, name), None)

    @rule(id=deals)
    def a_row_of_the_companys_own_is_never_made_or_removed(self, id: str) -> None:
        actions: tuple[WriteAction, ...] = ("create", "remove")
        for action in actions:
            with pytest.raises(OutsideManifest):
                list(self.crm.write([Update("deals", id, {}, action=action)]))

    # -- always ------------------------------------------------------------------------------------------------------

    @invariant()
    def no_key_is_there_twice(self) -> None:
        counted = Counter(str(row.values[KEY]) for row in self._rows().values())
        assert all(n == 1 for n in counted.values()), counted

    @invariant()
    def what_a_person_typed_stands_or_is_imaged(self) -> None:
        rows = self._rows()
        for (id, name), value in self.typed.items():
            assert rows[id].values[name] == value

    @invariant()
    def the_chain_verifies(self) -> None:
        assert self.store.audit.verify().broken is None

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()


def _text(row: Record, name: str) -> str | None:
    return fields.text(OWN[name], row.values[name])


TestRowsOfOurs = pytest.mark.property(RowsOfOurs.TestCase)
RowsOfOurs.TestCase.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
