"""Exactly a plan: what changed since is left alone, before-images come first, every record is accounted for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from connector.clock import FixedClock
from connector.crms.base import Field, Value, inputs_hash
from connector.crms.memory import MemoryCrm, MemorySettings, fields_of
from connector.errors import LeaseHeld, OutsideManifest
from connector.scorecard.apply import Outcome, apply, tally
from connector.scorecard.plan import FieldChange, PlannedUpdate

TEXT = Field("", "", "text", writable=True)
INPUTS = ("stage", "amount")


class Journal:
    """A ledger in a list; it also looks at the CRM when a batch is announced."""

    def __init__(self, crm: MemoryCrm) -> None:
        self.crm = crm
        self.lost = False
        self.befores: list[tuple[str, Value]] = []
        self.afters: list[Outcome] = []

    def before(self, batch: Sequence[PlannedUpdate]) -> None:
        self.befores += [(u.id, self.crm.holds("deals", u.id)["kpi_pace"]) for u in batch]

    def still_ours(self) -> None:
        if self.lost:
            raise LeaseHeld("another process has taken over")

    def after(self, outcomes: Sequence[Outcome]) -> None:
        self.afters += outcomes


@pytest.fixture
def crm() -> MemoryCrm:
    schema = {"deals": fields_of(stage=TEXT, amount=TEXT, note=TEXT, kpi_pace=TEXT)}
    return MemoryCrm(MemorySettings(schema), FixedClock(datetime(2026, 11, 20, tzinfo=UTC)), {"deals": frozenset({"kpi_pace"})})


def planned(crm: MemoryCrm, count: int, field: str = "kpi_pace") -> list[PlannedUpdate]:
    made = []
    for n in range(count):
        id = crm.put("deals", {"stage": "new", "amount": str(n), "note": "", "kpi_pace": "slow"})
        record = crm.fetch("deals", [id], [*INPUTS, "kpi_pace"])[id]
        change = FieldChange("pace", field, "slow", "stuck", "change")
        made.append(PlannedUpdate("m", "deals", id, None, record.version, inputs_hash(record.values, INPUTS), (change,)))
    return made


def test_every_record_is_accounted_for_and_before_images_come_first(crm: MemoryCrm) -> None:
    plan = planned(crm, 7)
    crm.edit("deals", plan[0].id, {"stage": "won"})
    crm.edit("deals", plan[1].id, {"kpi_pace": "on_pace"})
    crm.edit("deals", plan[2].id, {"note": "nobody maps this"})
    crm.delete("deals", plan[3].id)
    crm.refuse("deals", plan[4].id, "SC-E121", "RULE", "close date must be in the future")
    journal = Journal(crm)
    outcomes = list(apply(plan, crm, INPUTS, journal, batch_size=3))
    assert [o.status for o in outcomes] == ["stale", "stale", "written", "gone", "rejected", "written", "written"]
    assert tally(outcomes) == {"planned": 7, "written": 3, "unchanged": 0, "stale": 2, "rejected": 1, "gone": 1, "deferred": 0}
    assert journal.befores == [(plan[n].id, "slow") for n in (2, 4, 5, 6)]
    assert journal.afters == outcomes
    assert (outcomes[4].crm_code, outcomes[4].message) == ("RULE", "close date must be in the future")
    assert crm.holds("deals", plan[1].id)["kpi_pace"] == "on_pace"
    assert crm.holds("deals", plan[2].id)["kpi_pace"] == "stuck"


def test_a_stop_is_heard_before_the_next_batch(crm: MemoryCrm) -> None:
    plan = planned(crm, 6)
    journal = Journal(crm)
    outcomes = list(apply(plan, crm, INPUTS, journal, batch_size=2, go_on=lambda: len(journal.afters) < 4))
    assert len(outcomes) == 4
    assert crm.holds("deals", plan[5].id)["kpi_pace"] == "slow"


def test_a_locked_record_gets_its_turn_only_while_the_lease_is_ours(crm: MemoryCrm) -> None:
    """Its before-image was settled by whoever took over: a write now would be in no ledger."""
    plan = planned(crm, 2)
    crm.refuse("deals", plan[0].id, "SC-E122", "UNABLE_TO_LOCK_ROW", "locked")
    journal = Journal(crm)
    outcomes = apply(plan, crm, INPUTS, journal, batch_size=2)
    assert next(outcomes).status == "written"
    crm.allow("deals", plan[0].id)
    journal.lost = True
    with pytest.raises(LeaseHeld):
        next(outcomes)
    assert crm.holds("deals", plan[0].id)["kpi_pace"] == "slow"


def test_a_field_outside_the_manifest_is_refused_before_the_first_byte(crm: MemoryCrm) -> None:
    plan = planned(crm, 2)
    foreign = FieldChange("pace", "amount", "slow", "1", "change")
    crm.edit("deals", plan[0].id, {"amount": "slow"})
    fresh = crm.fetch("deals", [plan[0].id], [*INPUTS])[plan[0].id]
    bad = PlannedUpdate("m", "deals", plan[0].id, None, fresh.version, inputs_hash(fresh.values, INPUTS), (foreign,))
    with pytest.raises(OutsideManifest):
        list(apply([bad, plan[1]], crm, INPUTS, Journal(crm), batch_size=2))
    assert crm.holds("deals", plan[0].id)["amount"] == "slow"
    assert crm.holds("deals", plan[1].id)["kpi_pace"] == "slow"
