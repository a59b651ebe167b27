"""The state against the CRM's own counts: what left no trace is buried, what is missing is told and stops pushes, what moves is neither."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from connector import reconcile, runs
from connector.crms.hubspot import HubSpotCrm
from connector.crms.salesforce import SalesforceCrm
from connector.reconcile import Reconciler
from connector.state.tables.canonical import Accounts, Activities, Changes, ContactRoles, Contacts, Gates, Opportunities
from connector.state.tables.columns import table
from connector.state.tables.control import Reconciliations
from tests.rig import NAME, Rig, opened

COUNTED = {
    "salesforce": {"accounts", "contacts", "opportunities", "tasks", "events"},
    "hubspot": {"accounts", "contacts", "opportunities", "calls", "emails", "meetings", "tasks"},
}


@pytest.fixture(params=["salesforce", "hubspot"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with opened(request.param, tmp_path) as made:
        yield made


def lose(rig: Rig, declared: Any, id: str, column: str = "id") -> None:
    """What no connector should: rows are gone from the state."""
    target = table(declared)
    with rig.app.store.database.write() as db:
        assert db.execute(delete(target).where(target.c[column] == id)).rowcount


def test_a_complete_pull_is_compared_with_the_crms_own_count(rig: Rig) -> None:
    pulled = rig.pull()
    assert {r.stream for r in pulled.reconciled} == COUNTED[rig.crm]
    assert all(r.live == r.held and not r.gone and not r.missing for r in pulled.reconciled)
    assert not pulled.findings
    assert not rig.pull().reconciled  # then once a week
    rig.advance(days=7)
    assert {r.stream for r in rig.pull().reconciled} == COUNTED[rig.crm]


def test_single_missing_record_is_read_by_id(rig: Rig) -> None:
    from connector.cli.views import compared

    call = rig.log(None, rig.contacts[0])
    rig.pull()
    rig.advance(days=1)
    rig.pull()  # the overlap has passed: nothing reads them again by chance
    rig.advance(days=7)
    lose(rig, Contacts, rig.contacts[0])
    lose(rig, Accounts, rig.accounts[1])
    lose(rig, Activities, call)
    done = runs.pull(rig.app, [NAME])
    assert {r.stream: r.brought for r in done.pulls[0].reconciled if r.brought} == {
        "accounts": 1, "contacts": 1, "tasks" if rig.crm == "salesforce" else "calls": 1,
    }  # fmt: skip
    assert all(r.live == r.held and not r.missing for r in done.pulls[0].reconciled)
    assert not done.pulls[0].findings
    assert compared(done.pulls)[0].endswith("they agree · 3 records missing here, now read by id")
    rig.assert_same()


def test_a_missing_deal_comes_back_with_its_history_and_its_roles(rig: Rig) -> None:
    """As one does that the connection's user could not see before: nothing that belongs to it has a stamp that a window would still bring."""
    rig.move(rig.deals[2], "contracting")
    rig.move(rig.deals[2], "won")
    rig.add_role(rig.deals[2], rig.contacts[3])
    rig.pull()
    rig.advance(days=1)
    rig.pull()
    rig.advance(days=7)
    lose(rig, Opportunities, rig.deals[2])
    for declared in (Changes, Gates, ContactRoles):
        lose(rig, declared, rig.deals[2], "opportunity")
    pulled = rig.pull()
    assert [(r.stream, r.brought) for r in pulled.reconciled if r.brought] == [("opportunities", 1)]
    assert not pulled.findings
    rig.assert_same()


def test_more_missing_than_is_read_by_id_is_a_finding(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "READ", 1)
    rig.pull()
    rig.advance(days=1)
    rig.pull()
    rig.advance(days=7)
    for contact in rig.contacts[:2]:
        lose(rig, Contacts, contact)
    pulled = rig.pull()
    (found,) = [f for f in pulled.findings if f.code == "SC-E071"]
    assert "counts 4 contacts, the state holds 2; 2 missing" in found.message
    assert set(rig.contacts) & set(found.message.replace(",", " ").split()) == set(rig.contacts[:2])
    assert pulled.exit_code == 3
    assert found.next == f"connector sync --full --connection {NAME}"
    assert any(f.code == "SC-E071" for f in rig.app.store.census.kept(NAME))


def test_a_missing_record_that_cannot_be_read_stops_the_push_until_it_is_mended(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.pull()
    rig.advance(days=1)
    rig.pull()
    rig.advance(days=7)
    lose(rig, Contacts, rig.contacts[0])
    made = {"salesforce": SalesforceCrm, "hubspot": HubSpotCrm}[rig.crm]
    monkeypatch.setattr(made, "again", lambda crm, stream, ids: iter(()))
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
    asked: list[str] = []
    with rig.app.connected(NAME) as connected:
        info = connected.crm.check()
        spec = next(s for s in connected.mapper.streams() if s.name == "contacts")
        found = Reconciler(connected, rig.app.store, info.now).compare(spec, again=lambda ids, fence: asked.extend(ids))
    assert found is not None
    assert (found.missing, made in found.examples, asked) == (0, False, [])
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
    assert said in answer(done, show_names=True).text
    with rig.app.store.database.read() as db:
        assert len(db.execute(select(table(Reconciliations))).all()) == len(COUNTED[rig.crm])
