"""Rolling a push back: what is still ours becomes what it was, what is not is left alone and named."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from connector import approvals, runs
from connector.errors import Blocked
from connector.rollback import rollback
from connector.sandbox.hubspot.values import Problem
from connector.sandbox.salesforce.org import RowError
from tests.pitfalls.catalogue import BOTH, HS, SF
from tests.rig import NAME, opened
from tests.scorecards import GAPS, OBJECT, STAGE, held

both = pytest.mark.parametrize("crm", BOTH)


@pytest.fixture
def rig(crm: str, tmp_path: Any) -> Any:
    with opened(crm, tmp_path) as made:
        made.advance(60)
        yield made


def pushed(rig: Any) -> int:
    """A sync that writes; the number of its push."""
    rig.advance(900)
    done = rig.sync()
    assert done.pushes, "something was written"
    return int(rig.app.store.runs.last(NAME, kinds=("push",)).id)


@both
def test_right_away_every_value_is_what_it_was(rig: Any) -> None:
    first, second = rig.deals[:2]
    rig.set(OBJECT[rig.crm], first, **{GAPS[rig.crm]: "typed by somebody"})
    before = {deal: held(rig, deal) for deal in (first, second)}
    run = pushed(rig)
    assert held(rig, first) != before[first]
    dry = rollback(rig.app, run, dry_run=True)
    assert (dry.pushed, dry.left, rig.app.store.is_paused(NAME)) == (None, [], False)
    assert held(rig, first) != before[first], "a dry run writes nothing"
    done = rollback(rig.app, run)
    assert {deal: held(rig, deal) for deal in (first, second)} == before
    assert (done.exit_code, done.left) == (0, [])
    assert rig.app.store.is_paused(NAME)
    again = rollback(rig.app, run)
    assert (again.plan.updates, again.left, again.exit_code) == ((), [], 0)
    with pytest.raises(Blocked, match="paused"):
        rig.sync()
    rig.app.store.connections.resume(NAME)
    rig.advance(900)
    assert rig.sync().pushes[0].healed == (), "what a rollback wrote is ours"
    assert held(rig, second)[STAGE[rig.crm]]
    assert rig.app.store.audit.verify().broken is None
    actions = [row.action for row in rig.app.store.audit.after(0)]
    assert [a for a in actions if a.startswith(("rollback", "connection"))] == ["connection.paused", "rollback.began", "connection.resumed"]


@both
def test_after_three_later_runs(rig: Any) -> None:
    """Later pushes of ours wrote over some of it: that is still ours. What a person typed since is not."""
    moved, typed, *_ = rig.deals
    before = held(rig, moved)
    run = pushed(rig)
    for stage in ("demo", "pilot", "contracting"):
        rig.advance(3600)
        rig.move(moved, stage)
        pushed(rig)
    rig.advance(60)
    rig.set(OBJECT[rig.crm], typed, **{GAPS[rig.crm]: "typed by somebody"})
    written = held(rig, typed)
    done = rollback(rig.app, run)
    of_run = {(write.record, write.field) for write in rig.app.store.ledger.of_run(run)}
    assert {name: value for name, value in held(rig, moved).items() if (moved, name) in of_run} == before == {}
    assert {name: value for name, value in held(rig, typed).items() if (typed, name) in of_run} == {GAPS[rig.crm]: "typed by somebody"}
    assert GAPS[rig.crm] in written
    assert [(left.record, left.field) for left in done.left] == [(typed, GAPS[rig.crm])]
    assert "somebody else" in done.left[0].why
    assert done.exit_code == 3


@both
def test_a_rollback_can_be_rolled_back(rig: Any) -> None:
    deal = rig.deals[0]
    run = pushed(rig)
    ours = held(rig, deal)
    undone = rollback(rig.app, run)
    assert held(rig, deal) == {}
    assert undone.run is not None
    assert rig.app.store.runs.get(undone.run).kind == "rollback"
    rollback(rig.app, undone.run)
    assert held(rig, deal) == ours


@both
def test_only_some_fields(rig: Any) -> None:
    deal = rig.deals[0]
    run = pushed(rig)
    ours = held(rig, deal)
    rollback(rig.app, run, only=["stage"])
    assert held(rig, deal) == {name: value for name, value in ours.items() if name != STAGE[rig.crm]}


@both
def test_the_stamp_alone_is_restored_too(rig: Any) -> None:
    """Of a rollback that is rolled back while all else is as before already, the stamp is what is left."""
    deal, stamp = rig.deals[0], {SF: "KPI_Updated_At__c", HS: "kpi_updated_at"}[rig.crm]
    run = pushed(rig)
    done = rollback(rig.app, run, only=["updated_at"])
    assert done.restored == len(done.plan.updates) > 0
    assert stamp not in held(rig, deal)


@both
def test_what_had_arrived_before_its_deal_was_deleted_is_not_forgotten(rig: Any) -> None:
    """A crash left the result open, and the deal lay in the bin when the CRM was asked: restored, it still holds what we wrote."""
    deal = rig.deals[0]
    run = pushed(rig)
    with sqlite3.connect(rig.root / "state" / "connector.db") as db:
        db.execute("update writes set status = 'pending' where record = ?", (deal,))
    rig.delete(deal)
    rig.advance(900)
    rig.pull()
    assert {write.status for write in rig.app.store.ledger.of_run(run) if write.record == deal} == {"unknown"}
    rig.restore(deal)
    rig.advance(900)
    rig.pull()
    ours = held(rig, deal)
    done = rollback(rig.app, run)
    assert held(rig, deal) == ours
    assert {left.field for left in done.left if left.record == deal} >= set(ours), "nothing that stays is left out of the list"
    assert done.exit_code == 3


@both
def test_what_cannot_be_restored_is_named(rig: Any) -> None:
    gone, refused, *_ = rig.deals
    run = pushed(rig)
    rig.delete(gone)
    if rig.crm == SF:
        said = RowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", "no")
        rig.org.rules.append(lambda object, row, values, user: said if row["Id"] == refused else None)
    else:
        rig.portal.rules.append(lambda record, wanted: Problem(STAGE[HS], "RULE", "no") if str(record.id) == refused else None)
    done = rollback(rig.app, run)
    assert [(left.record, left.field) for left in done.left] == [(gone, None)]
    assert done.pushed is not None
    assert {o.update.id: o.status for o in done.pushed.outcomes}[refused] == "rejected"
    assert done.exit_code == 3
    assert rig.app.store.runs.get(done.run).status == "partial"


@both
def test_a_pull_cannot_be_rolled_back(rig: Any) -> None:
    pushed(rig)
    with pytest.raises(Blocked):
        rollback(rig.app, 1)


@both
def test_a_plan_that_waits_is_approved_or_rejected_once(rig: Any) -> None:
    """A guard trips: nothing is written and the plan waits. Approved, a schedule applies it; rejected, nobody can."""
    rig.own_mappings()
    (rig.root / "connector.toml").write_text(
        (rig.root / "connector.toml").read_text().replace("max_records_share = 1.0", "max_records_share = 0.0"), encoding="utf-8"
    )
    pushed(rig)
    rig.reopen()
    deal = rig.deals[0]
    ours = held(rig, deal)
    rig.advance(3600)
    rig.move(deal, "pilot")
    rig.advance(60)
    parked = rig.sync()
    assert parked.exit_code == 4
    assert [t.code for t in parked.made.parked[NAME]] == ["SC-E102"]
    assert held(rig, deal) == ours, "nothing is half-written"
    [waiting] = rig.app.store.plans.find(statuses=("awaiting",))
    newer = rig.sync()
    assert newer.made is not None
    assert rig.app.store.plans.get(waiting.id).status == "superseded"
    with pytest.raises(Blocked, match="superseded"):
        approvals.approve(rig.app, waiting.id)
    approvals.approve(rig.app, newer.made.plan.id)
    with pytest.raises(Blocked, match="approved already"):
        approvals.approve(rig.app, newer.made.plan.id)
    done = approvals.apply_approved(rig.app, NAME, trigger="schedule")
    assert {o.update.id: o.status for o in done.pushes[0].outcomes} == {deal: "written"}
    assert rig.app.store.plans.get(newer.made.plan.id).status == "applied"
    assert runs.sync_all(rig.app, [NAME]).exit_code == 0
    rig.advance(3600)
    rig.move(deal, "contracting")
    rig.advance(60)
    third = rig.sync()
    assert third.made is not None
    approvals.reject(rig.app, third.made.plan.id, "not today")
    with pytest.raises(Blocked):
        approvals.load_plan(rig.app, third.made.path)
    actions = [row.action for row in rig.app.store.audit.after(0) if row.action.startswith("plan.")]
    assert {"plan.saved", "plan.approved", "plan.applied", "plan.rejected", "plan.superseded"} <= set(actions)
    assert rig.app.store.audit.verify().broken is None
