"""The state against the CRM's own counts: what left no trace is buried, what is missing is told and stops pushes, what moves is neither."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from connector import reconcile, runs
from connector.reconcile import Reconciler
from connector.state.tables import Activities, Contacts, Opportunities, Reconciliations, table
from tests.rig import NAME, Rig, opened

COUNTED = {
    "salesforce": {"accounts", "contacts", "opportunities", "tasks", "events"},
    "hubspot": {"accounts", "contacts", "opportunities", "calls", "emails", "meetings", "tasks"},
}


@pytest.fixture(params=["salesforce", "hubspot"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with opened(request.param, tmp_path) as made:
        yield made


def lose(rig: Rig, declared: Any, id: str) -> None:
    """What no connector should: a row is gone from the state."""
    target = table(declared)
    with rig.app.store.database.write() as db:
        assert db.execute(delete(target).where(target.c.id == id)).rowcount


def test_a_complete_pull_is_compared_with_the_crms_own_count(rig: Rig) -> None:
    pulled = rig.pull()
    assert {r.stream for r in pulled.reconciled} == COUNTED[rig.crm]
    assert all(r.live == r.held and not r.gone and not r.missing for r in pulled.reconciled)
    assert not pulled.findings
    assert not rig.pull().reconciled  # then once a week
    rig.advance(days=7)
    assert {r.stream for r in rig.pull().reconciled} == COUNTED[rig.crm]


def test_single_missing_record_found_by_reconcile(rig: Rig) -> None:
    rig.pull()
    lost, kept = rig.deals[0], rig.deals[1]
    rig.advance(days=6, seconds=86_000)  # the daily sweep of open deals would bring it back by itself
    rig.pull()
    lose(rig, Opportunities, lost)
    lose(rig, Contacts, rig.contacts[0])
    due = rig.app.store.census.compared(NAME)["contacts"]
    rig.app.store.census.note(NAME, replace(due, at=due.at - reconcile.EVERY))
    pulled = rig.pull()
    (found,) = [f for f in pulled.findings if f.code == "SC-E071"]
    assert "counts 4 contacts, the state holds 3; 1 missing" in found.message
    assert rig.contacts[0] in found.message
    assert kept not in found.message
    assert pulled.exit_code == 3
    assert found.next == f"connector sync --full --connection {NAME}"
    assert any(f.code == "SC-E071" for f in rig.app.store.census.kept(NAME))


def test_a_reconcile_finding_stops_the_push_until_it_is_mended(rig: Rig) -> None:
    rig.pull()
    rig.advance(days=1)
    rig.pull()  # the overlap has passed: nothing reads it again by chance
    rig.advance(days=7)
    lose(rig, Contacts, rig.contacts[0])
    stopped = rig.sync()
    assert any(t.code == "SC-E071" for t in stopped.pushes[0].trips)
    assert stopped.exit_code == 4
    assert not stopped.pushes[0].outcomes
    again = rig.sync()  # not only in the run that found it
    assert any(t.code == "SC-E071" for p in again.pushes for t in p.trips)
    mended = rig.sync(full=True)
    assert not any(f.code == "SC-E071" for f in mended.pulls[0].findings)
    assert mended.pushes
    assert mended.pushes[0].counts["written"]
    rig.pull()  # what was written comes back in the spelling of the CRM
    rig.assert_same()


def test_hard_delete_found_by_id_scan(rig: Rig) -> None:
    rig.pull()
    contact, deal = rig.contacts[3], rig.deals[2]  # a contact and a won deal: no daily sweep looks at these
    title = select(table(Contacts).c.title).where(table(Contacts).c.id == contact)
    with rig.app.store.database.read() as db:
        assert db.scalar(title) is not None
    rig.purge_contact(contact)
    rig.purge(deal)
    rig.advance(days=7, seconds=60)
    pulled = rig.pull()
    gone = {r.stream: r.gone for r in pulled.reconciled}
    assert gone["contacts"] == 1
    assert not [f for f in pulled.findings if f.code == "SC-E071"]
    assert {contact} <= set(rig.tombstones("contacts"))
    assert {deal} <= set(rig.tombstones("opportunities"))
    with rig.app.store.database.read() as db:
        assert db.scalar(title) is None  # scrubbed, as for any other delete
    rig.assert_same()


def test_records_that_change_during_the_run_are_no_false_alarm(rig: Rig) -> None:
    rig.pull()
    rig.advance(days=7, seconds=60)
    rig.pull()
    made = rig.meet(rig.accounts[0])  # after the run's window ended
    rig.delete_contact(rig.contacts[1])
    with rig.app.connected(NAME) as connected:
        info = connected.crm.check()
        spec = next(s for s in connected.mapper.streams() if s.name == "contacts")
        found = Reconciler(connected, rig.app.store, info.now).compare(spec)
    assert found is not None
    assert (found.missing, made in found.examples) == (0, False)
    assert reconcile.finding(NAME, found) is None


def test_what_the_mapping_leaves_out_and_what_fails_is_counted(rig: Rig) -> None:
    """A robot's activity becomes no row, and a record that cannot be mapped is a dead letter: neither is missing."""
    robot = rig.app.mapping(NAME).activities.ignore.created_by[0]
    if rig.crm == "salesforce":
        org = rig.world.org
        call = org.insert("Task", {"Subject": "x", "Status": "Completed", "OwnerId": rig.owners[0]}, by=robot)
        org.set_silently("Task", call, {"CreatedById": robot})
    else:
        portal = rig.world.portal
        record = portal.create("calls", {"hs_timestamp": "2026-11-02T10:00:00Z", "hs_call_title": "x"})
        record.values["hs_created_by_user_id"] = robot
        call = str(record.number)
    rig.advance(seconds=4000)
    pulled = rig.pull()
    stream = "tasks" if rig.crm == "salesforce" else "calls"
    counted = next(r for r in pulled.reconciled if r.stream == stream)
    assert (counted.live, counted.held, counted.missing) == (2, 2, 0)
    held = select(table(Activities).c.id)
    with rig.app.store.database.read() as db:
        assert not [id for id in db.scalars(held) if id.endswith(call)]


def test_many_gone_at_once_are_left_alone_unless_everything_was_asked_for(rig: Rig) -> None:
    """Rather a permission that was lost than so many records: nothing is scrubbed, a person looks."""
    contacts = [rig.meet(rig.accounts[0]) for _ in range(25)]
    rig.pull()
    for contact in contacts:
        rig.purge_contact(contact)
    rig.advance(days=7, seconds=60)
    pulled = rig.pull()
    (found,) = [f for f in pulled.findings if f.code == "SC-E071"]
    assert "25 are no longer shown and were left alone" in found.message
    assert not rig.tombstones("contacts")
    assert not [f for f in rig.pull(full=True).findings if f.code == "SC-E071"]
    assert len(rig.tombstones("contacts")) == 25


def test_status_and_sync_tell(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    from connector.cli.sync import answer
    from connector.cli.views import compared

    done = runs.pull(rig.app, [NAME])
    said = f"{NAME}: {len(COUNTED[rig.crm])} streams compared with the CRM's own count, they agree"
    assert compared(done.pulls) == [said]
    assert said in answer(done).text
    with rig.app.store.database.read() as db:
        assert len(db.execute(select(table(Reconciliations))).all()) == len(COUNTED[rig.crm])
