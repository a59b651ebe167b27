"""A page lands as a whole or not at all, twice is once, and an older page never overwrites a newer one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from connector.clock import FixedClock
from connector.errors import LeaseHeld, StateError
from connector.model.records import (
    Account,
    Activity,
    CanonicalRecord,
    Change,
    Contact,
    ContactRole,
    DeadLetter,
    GateEvidence,
    Mapped,
    Opportunity,
    Owner,
    Replace,
    ScorecardRow,
    Tombstone,
)
from connector.state.ledger import Image, Outcome
from connector.state.pages import PageCounts
from connector.state.store import Store
from connector.state.tables import METADATA
from connector.state.tables.canonical import CANONICAL

T0 = datetime(2026, 11, 1, 12, tzinfo=UTC)


def save(
    store: Store, *mapped: Mapped | CanonicalRecord, stream: str = "opportunities", dead: tuple[DeadLetter, ...] = (), **more: Any
) -> PageCounts:
    page = [item if isinstance(item, Mapped) else Mapped((item,)) for item in mapped]
    return store.save_page("c", stream, page, dead, more.pop("bookmark", {"at": "1"}), **{"run": None, "fence": None, **more})


def rows(store: Store, name: str, connection: str = "c") -> list[dict[str, Any]]:
    table = CANONICAL[name]
    with store.database.read() as db:
        return [dict(row) for row in db.execute(select(table).where(table.c.connection == connection)).mappings()]


def everything(store: Store) -> dict[str, list[Any]]:
    with store.database.read() as db:
        return {table.name: [tuple(row) for row in db.execute(select(table))] for table in METADATA.sorted_tables}


DEAL = Opportunity("d1", name="Deal", native_pipeline="main", raw_stage="Demo", modified_at=T0, version="v1")
CHANGES = (Change("h1", "d1", "stage", "Lead", T0 - timedelta(days=9)), Change("h2", "d1", "stage", "Demo", T0 - timedelta(days=2)))
GATE = GateEvidence("d1", "vac", opened_on=date(2026, 10, 1), status="Submitted")
ROLE = ContactRole("d1", "p1", role="Champion")
WHOLE = Mapped((DEAL, *CHANGES, GATE, ROLE), (Replace("changes", "opportunity", "d1"), Replace("contact_roles", "opportunity", "d1")))


def test_a_page_lands_with_its_bookmark(store: Store) -> None:
    counts = save(store, WHOLE, bookmark={"after": "2026-11-01", "id": "d1"})
    assert counts == PageCounts(upserts=5, observations=1, changed=5)
    assert store.bookmark("c", "opportunities") == {"after": "2026-11-01", "id": "d1"}
    assert store.counts("c") == {
        "owners": 0, "accounts": 0, "contacts": 0, "opportunities": 1, "changes": 2, "gates": 1, "contact_roles": 1, "activities": 0,
        "leads": 0, "tickets": 0, "line_items": 0, "scorecard_rows": 0,
    }  # fmt: skip


def test_the_same_page_twice_is_once(store: Store) -> None:
    save(store, WHOLE, Mapped((Activity("a1", None, "call"), Activity("a2", "d1", "email", participants=("p1", "p2")))))
    before = everything(store)
    save(store, WHOLE, Mapped((Activity("a1", None, "call"), Activity("a2", "d1", "email", participants=("p1", "p2")))))
    assert everything(store) == before


def test_connections_do_not_meet(store: Store) -> None:
    save(store, DEAL)
    store.save_page("other", "opportunities", [Mapped((Opportunity("d1", name="Other"),))], [], {}, run=None, fence=None)
    assert [row["name"] for row in rows(store, "opportunities")] == ["Deal"]
    assert [row["name"] for row in rows(store, "opportunities", "other")] == ["Other"]


def test_an_older_page_changes_nothing_of_a_deal(store: Store) -> None:
    save(store, WHOLE)
    old = Mapped(
        (Opportunity("d1", name="Old name", modified_at=T0 - timedelta(seconds=1)), Change("h0", "d1", "stage", "Lead", T0)),
        (Replace("changes", "opportunity", "d1"),),
    )
    counts = save(store, old, Opportunity("d2", name="Second", modified_at=T0 - timedelta(days=1)), bookmark={"at": "2"})
    assert (counts.stale, counts.upserts) == (1, 1)
    assert {row["id"]: row["name"] for row in rows(store, "opportunities")} == {"d1": "Deal", "d2": "Second"}
    assert [row["id"] for row in rows(store, "changes")] == ["h1", "h2"]
    assert store.bookmark("c", "opportunities") == {"at": "2"}


def test_of_two_versions_in_one_page_the_newer_stays(store: Store) -> None:
    newer = Opportunity("d1", name="Newer", modified_at=T0 + timedelta(hours=1))
    assert save(store, newer, DEAL).stale == 1
    assert [row["name"] for row in rows(store, "opportunities")] == ["Newer"]


def test_the_same_version_with_another_mapping_overwrites(store: Store) -> None:
    save(store, DEAL)
    save(store, Opportunity("d1", name="Deal", product="P1", modified_at=T0))
    assert [row["product"] for row in rows(store, "opportunities")] == ["P1"]


def test_a_replaced_set_is_the_whole_set(store: Store) -> None:
    save(store, WHOLE)
    smaller = Mapped((CHANGES[1],), (Replace("changes", "opportunity", "d1"),))
    assert save(store, smaller).deleted == 1
    assert [row["id"] for row in rows(store, "changes")] == ["h2"]


def test_the_last_word_of_a_page_on_a_set_counts(store: Store) -> None:
    first = Mapped((Activity("a1", "d1", "call"), Activity("a1", "d2", "call")), (Replace("activities", "id", "a1"),))
    second = Mapped((Activity("a1", "d3", "call"),), (Replace("activities", "id", "a1"),))
    save(store, first, second)
    assert [row["opportunity"] for row in rows(store, "activities")] == ["d3"]


def test_contact_roles_outside_a_complete_page_go_and_first_seen_stays(store: Store, clock: FixedClock) -> None:
    save(store, DEAL, Opportunity("d2"))
    clock.sleep(86400)
    seen = clock.now()
    both = Mapped((ROLE, ContactRole("d1", "p2")))
    save(store, both, Mapped((ContactRole("d2", "p9"),)), stream="contact_roles")
    clock.sleep(86400)
    counts = save(store, Mapped((ContactRole("d1", "p1", role="Blocker"), ContactRole("d1", "p3"))), stream="contact_roles", complete_for=("d1",))
    assert counts.deleted == 1
    assert {(row["opportunity"], row["contact"]): (row["role"], row["first_seen"]) for row in rows(store, "contact_roles")} == {
        ("d1", "p1"): ("Blocker", seen), ("d1", "p3"): (None, clock.now()), ("d2", "p9"): (None, seen),
    }  # fmt: skip


def test_several_roles_of_a_contact_are_several_rows(store: Store, clock: FixedClock) -> None:
    save(store, DEAL, ContactRole("d1", "p1", "Economic Buyer", id="00K1"), ContactRole("d1", "p2", "Evaluator", id="00K2"))
    clock.sleep(86400)
    save(store, ContactRole("d1", "p1", "Evaluator", id="00K2"), ContactRole("d1", "p1", "Other", id="00K3"), stream="contact_roles")
    assert [(row["id"], row["contact"], row["role"], row["first_seen"]) for row in rows(store, "contact_roles")] == [
        ("00K1", "p1", "Economic Buyer", None), ("00K2", "p1", "Evaluator", None), ("00K3", "p1", "Other", None),
    ]  # fmt: skip
    save(store, ContactRole("d1", "p1", "Influencer", id="00K1"), stream="contact_roles", complete_for=("d1",))
    assert [(row["id"], row["role"]) for row in rows(store, "contact_roles")] == [("00K1", "Influencer")]


def test_a_complete_set_of_roles_leaves_the_deals_own_lookups_alone(store: Store) -> None:
    lookup = ContactRole("d1", "p1", "Champion__c of d1", "surgeon_champion", id="Champion__c of d1")
    save(store, Mapped((DEAL, lookup), (Replace("contact_roles", "role", "Champion__c of d1"),)), ContactRole("d1", "p1", None, id="00K1"))
    save(store, ContactRole("d1", "p3", "Other", id="00K2"), stream="contact_roles", complete_for=("d1",))
    assert {(row["id"], row["contact"]) for row in rows(store, "contact_roles")} == {("Champion__c of d1", "p1"), ("00K2", "p3")}
    save(store, Mapped((DEAL,), (Replace("contact_roles", "role", "Champion__c of d1"),)))
    assert [row["id"] for row in rows(store, "contact_roles")] == ["00K2"]


def test_a_contact_that_came_with_its_deal_has_no_first_sight(store: Store, clock: FixedClock) -> None:
    save(store, DEAL, ROLE)
    clock.sleep(86400)
    save(store, ContactRole("d1", "p2"), ROLE)
    assert {row["contact"]: row["first_seen"] for row in rows(store, "contact_roles")} == {"p1": None, "p2": clock.now()}


def test_a_merge_moves_no_first_sight(store: Store, clock: FixedClock) -> None:
    """Of the deal, which becomes a new one, and then of the contact, which does too."""
    save(store, DEAL, Opportunity("d2"), ROLE)
    clock.sleep(86400)
    seen = clock.now()
    save(store, ContactRole("d1", "p2"), ContactRole("d2", "p3"))
    clock.sleep(86400)
    losers = (Tombstone("opportunities", "d1", "d9"), Tombstone("opportunities", "d2", "d9"))
    merged = (Opportunity("d9", created_at=clock.now()), *(ContactRole("d9", contact) for contact in ("p1", "p2", "p3", "p4")))
    save(store, Mapped(merged, (Replace("contact_roles", "opportunity", "d9"),), losers))
    sights = {"p1": None, "p2": seen, "p3": seen, "p4": clock.now()}
    assert {row["contact"]: row["first_seen"] for row in rows(store, "contact_roles") if row["opportunity"] == "d9"} == sights
    clock.sleep(86400)
    contacts = (Tombstone("contacts", "p2", "p9"), Tombstone("contacts", "p4", "p9"), Tombstone("contacts", "p1", "p8"))
    save(store, Mapped((Contact("p9"), Contact("p8")), (), contacts), stream="contacts")
    save(store, ContactRole("d9", "p9"), ContactRole("d9", "p8"), ContactRole("d9", "p3"), stream="contact_roles", complete_for=("d9",))
    sights = {"p9": seen, "p8": None, "p3": seen}
    assert {row["contact"]: row["first_seen"] for row in rows(store, "contact_roles") if row["opportunity"] == "d9"} == sights


def test_a_deal_without_contacts_is_complete_too(store: Store) -> None:
    save(store, ROLE, stream="contact_roles")
    save(store, stream="contact_roles", complete_for=("d1",))
    assert rows(store, "contact_roles") == []


# -- deletes, merges, un-deletes -----------------------------------------------------------------------------------


def test_a_tombstone_scrubs_the_deal_and_keeps_its_children(store: Store) -> None:
    save(store, WHOLE)
    assert save(store, Mapped(tombstones=(Tombstone("opportunities", "d1"),))).deleted == 1
    [deal] = rows(store, "opportunities")
    assert {name: value for name, value in deal.items() if value} == {"connection": "c", "id": "d1", "modified_at": T0, "deleted": True}
    assert len(rows(store, "changes")) == 2
    assert store.counts("c")["opportunities"] == 0
    assert store.deal_stages("c") == []
    assert store.versions("c", "opportunities", ["d1"]) == {}


def test_an_undeleted_deal_is_as_before(store: Store) -> None:
    save(store, WHOLE)
    before = everything(store)
    save(store, Mapped(tombstones=(Tombstone("opportunities", "d1"),)))
    save(store, WHOLE)
    assert everything(store) == before


def test_a_deleted_row_counts_as_a_tombstone(store: Store) -> None:
    save(store, Account("a1", name="Name"), Contact("p1", title="Title"), Activity("x", "d1", "call", topic="demo"))
    save(store, Account("a1", name="Name", deleted=True), Contact("p1", title="Title", deleted=True), Activity("x", None, "call", deleted=True))
    assert [(row["name"], row["deleted"]) for row in rows(store, "accounts")] == [(None, True)]
    assert [(row["title"], row["deleted"]) for row in rows(store, "contacts")] == [(None, True)]
    assert [(row["opportunity"], row["topic"], row["deleted"]) for row in rows(store, "activities")] == [("d1", None, True)]


def test_an_owner_who_left_keeps_the_name(store: Store) -> None:
    save(store, Owner("o1", name="Rep R1"))
    save(store, Mapped(tombstones=(Tombstone("owners", "o1"),)))
    assert [(row["name"], row["active"], row["deleted"]) for row in rows(store, "owners")] == [("Rep R1", False, True)]


def test_a_merge_of_a_record_never_seen_is_kept(store: Store) -> None:
    save(store, Mapped((Account("a2"),), tombstones=(Tombstone("accounts", "a1", merged_into="a2"),)))
    assert {row["id"]: row["merged_into"] for row in rows(store, "accounts")} == {"a1": "a2", "a2": None}


def test_deleted_and_back_within_one_page(store: Store) -> None:
    save(store, Mapped(tombstones=(Tombstone("opportunities", "d1"),)), DEAL)
    assert store.counts("c")["opportunities"] == 1
    save(store, DEAL, Mapped(tombstones=(Tombstone("opportunities", "d1"),)))
    assert store.counts("c")["opportunities"] == 0


def test_a_set_without_ids_cannot_be_buried(store: Store) -> None:
    with pytest.raises(ValueError, match="contact_roles"):
        save(store, Mapped(tombstones=(Tombstone("contact_roles", "r1"),)))


# -- dead letters --------------------------------------------------------------------------------------------------

BAD = DeadLetter("opportunities", "d1", "SC-E079", "amount is not a number", "amount")


def test_dead_letters_count_up_and_resolve(store: Store, clock: FixedClock) -> None:
    first = clock.now()
    run = store.runs.start("c", "pull", "test")
    save(store, dead=(BAD,), run=run)
    clock.sleep(60)
    save(store, dead=(BAD, DeadLetter("opportunities", "d9", "SC-E079", "no stage", "stage")), run=run)
    letter = next(found for found in store.dead_letters.find("c") if found.record == "d1")
    assert (letter.count, letter.first_at, letter.last_at, letter.run, letter.field) == (2, first, clock.now(), run, "amount")
    assert save(store, DEAL).resolved == 1
    assert [found.record for found in store.dead_letters.find("c")] == ["d9"]
    assert store.dead_letters.show(letter.id).status == "resolved"
    save(store, dead=(BAD,))
    assert store.dead_letters.show(letter.id).status == "open"


def test_a_record_that_fails_for_another_reason_has_one_open_letter(store: Store) -> None:
    save(store, dead=(BAD,))
    save(store, dead=(DeadLetter("opportunities", "d1", "SC-E023", "stage unknown", "stage"),))
    assert [found.code for found in store.dead_letters.find("c")] == ["SC-E023"]


def test_the_same_record_of_another_stream_resolves_nothing(store: Store) -> None:
    save(store, dead=(BAD,))
    save(store, Mapped((Activity("a1", "d1", "call"),)), stream="calls")
    assert len(store.dead_letters.find("c")) == 1


def test_records_named_by_hand_resolve(store: Store) -> None:
    save(store, dead=(DeadLetter("contact_roles", "00K1", "SC-E079", "no contact"),), stream="contact_roles")
    assert save(store, ROLE, stream="contact_roles", records=("00K1",)).resolved == 1


def test_ignored_until_then_and_not_longer(store: Store, clock: FixedClock) -> None:
    save(store, dead=(BAD,))
    [letter] = store.dead_letters.find()
    store.dead_letters.ignore(letter.id, until=clock.now() + timedelta(days=1), reason="known")
    save(store, dead=(BAD,))
    assert store.dead_letters.find("c") == []
    assert [found.reason for found in store.dead_letters.find("c", status="ignored")] == ["known"]
    clock.sleep(2 * 86400)
    assert [found.id for found in store.dead_letters.find("c")] == [letter.id]
    save(store, dead=(BAD,))
    assert store.dead_letters.show(letter.id).status == "open"
    store.dead_letters.resolve(letter.id)
    assert store.dead_letters.find("c") == []
    with pytest.raises(StateError) as caught:
        store.dead_letters.resolve(999)
    assert caught.value.code == "SC-E184"


# -- bookmarks, fences, crashes ------------------------------------------------------------------------------------


def test_another_mapping_starts_the_stream_from_nothing(store: Store) -> None:
    save(store, DEAL, fingerprint="f1")
    assert store.bookmark("c", "opportunities", fingerprint="f1") == {"at": "1"}
    assert store.bookmark("c", "opportunities", fingerprint="f2") is None
    assert store.bookmark("c", "opportunities") == {"at": "1"}
    assert store.reset_bookmark("c", "opportunities") == 1
    assert store.bookmark("c", "opportunities", fingerprint="f1") is None
    assert store.counts("c")["opportunities"] == 1


def test_a_lost_lease_aborts_the_commit(store: Store, clock: FixedClock) -> None:
    lease = store.leases.take("c", "opportunities", "me", heartbeat=None)
    save(store, DEAL, fence=lease.fence)
    clock.sleep(3600)
    store.leases.take("c", "opportunities", "other", heartbeat=None)
    with pytest.raises(LeaseHeld):
        save(store, Opportunity("d2"), fence=lease.fence, bookmark={"at": "2"}, dead=(BAD,))
    assert store.counts("c")["opportunities"] == 1
    assert store.bookmark("c", "opportunities") == {"at": "1"}
    assert store.dead_letters.find() == []


def test_an_error_in_the_middle_leaves_nothing(store: Store) -> None:
    save(store, DEAL)
    before = everything(store)
    broken = Activity("a1", "d1", None)  # type: ignore[arg-type]
    with pytest.raises(Exception, match="NOT NULL"):
        save(store, Opportunity("d1", name="New", modified_at=T0 + timedelta(days=1)), Mapped((broken,)), dead=(BAD,), bookmark={"at": "2"})
    assert everything(store) == before


WRITER = """
    import sys
    from datetime import UTC, datetime
    from connector.clock import SystemClock
    from connector.model.records import Change, Mapped, Opportunity, Replace
    from connector.state.store import Store
    store = Store.open(sys.argv[1], SystemClock())
    at = datetime(2026, 11, 1, tzinfo=UTC)
    for page in range(10_000):
        mapped = [
            Mapped((Opportunity(f"d{n}", name=f"page {page}"), Change(f"h{page}", f"d{n}", "stage", str(page), at)),
                   (Replace("changes", "opportunity", f"d{n}"),))
            for n in range(200)
        ]
        store.save_page("c", "opportunities", mapped, [], {"page": str(page)}, run=None, fence=None)
        print(page, flush=True)
"""


@pytest.mark.fault
@pytest.mark.parametrize("pages", [1, 2, 3, 5])
def test_killed_in_the_middle_rows_and_bookmark_agree(folder: Path, clock: FixedClock, pages: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(WRITER), str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    seen = [int(process.stdout.readline()) for _ in range(pages)]
    os.kill(process.pid, signal.SIGKILL)  # it is at work on the next page
    process.wait()
    process.stdout.close()
    with Store.open(folder, clock) as store:
        bookmark = store.bookmark("c", "opportunities")
        assert bookmark is not None
        page = int(bookmark["page"])
        assert page >= seen[-1]
        assert {row["name"] for row in rows(store, "opportunities")} == {f"page {page}"}
        assert {row["value"] for row in rows(store, "changes")} == {str(page)}
        assert store.counts("c")["changes"] == 200
        save(store, DEAL)


SUICIDE = """
    import os, signal, sys
    from connector.clock import SystemClock
    from connector.model.records import DeadLetter, Mapped, Opportunity
    from connector.state import {module}
    from connector.state.store import Store
    store = Store.open(sys.argv[1], SystemClock())
    store.save_page("c", "opportunities", [Mapped((Opportunity("d1", name="first"),))], [], {{"page": "1"}}, run=None, fence=None)
    real = {module}.{function}
    def last_step(*given):
        real(*given)
        os.kill(os.getpid(), signal.SIGKILL)
    {module}.{function} = last_step
    dead = [DeadLetter("opportunities", "d2", "SC-E079", "bad")]
    store.save_page("c", "opportunities", [Mapped((Opportunity("d1", name="second"),))], dead, {{"page": "2"}}, run=None, fence=None)
"""


@pytest.mark.fault
@pytest.mark.parametrize(("module", "function"), [("pages", "store"), ("dead_letters", "put"), ("pages", "set_bookmark")])
def test_killed_after_each_step_of_a_page(folder: Path, clock: FixedClock, module: str, function: str) -> None:
    code = textwrap.dedent(SUICIDE.format(module=module, function=function))
    done = subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    assert done.returncode == -signal.SIGKILL
    with Store.open(folder, clock) as store:
        assert [row["name"] for row in rows(store, "opportunities")] == ["first"]
        assert store.bookmark("c", "opportunities") == {"page": "1"}
        assert store.dead_letters.find() == []


def test_two_stores_on_one_file(folder: Path, clock: FixedClock) -> None:
    with Store.open(folder, clock) as one, Store.open(folder, clock) as two:
        save(one, DEAL)
        with two.database.read() as view:
            before = view.execute(select(CANONICAL["opportunities"].c.name)).scalar()
            save(one, Opportunity("d1", name="New", modified_at=T0 + timedelta(days=1)))
            assert view.execute(select(CANONICAL["opportunities"].c.name)).scalar() == before == "Deal"
        assert [row["name"] for row in rows(two, "opportunities")] == ["New"]


# -- questions -----------------------------------------------------------------------------------------------------


def test_what_the_state_holds(store: Store) -> None:
    deals = [
        Opportunity(f"d{n}", native_pipeline="main", raw_stage="Demo", version=f"v{n}", inputs_hash="h", observed={"f": "1"}) for n in range(2000)
    ]
    save(store, *deals, Mapped((Opportunity("gone", deleted=True),)))
    assert len(store.deal_stages("c")) == 2000
    assert store.deal_stages("c")[0] == ("d0", "main", "Demo")
    assert store.versions("c", "opportunities", [deal.id for deal in deals] + ["gone", "unknown"]) == {f"d{n}": f"v{n}" for n in range(2000)}
    assert store.versions("c", "owners", ["o1"]) == {}
    assert store.observed("c")["d1"][:4] == ("v1", "h", None, {"f": "1"})


def wrote(store: Store, object: str, record: str, grain: str, action: str = "update", made: str | None = None, **values: Any) -> None:
    images = [Image(object, record, name, None, value, grain, action) for name, value in values.items()]
    store.ledger.before_images(1, "0001", "c", images, fence=None)
    store.ledger.results(1, "c", [Outcome(object, record, "written", version="v2", made=made)])


def test_observed_after_a_write(store: Store) -> None:
    save(store, Opportunity("7", version="v1", inputs_hash="h", observed={"a": "1", "b": "2"}))
    save(store, ScorecardRow("companies:7", observed={"a": "9"}))
    wrote(store, "deals", "7", "opportunity", b=None, n=3, x=0.5)
    wrote(store, "companies", "7", "account", a="10")
    wrote(store, "companies", "unknown", "account", a="10")
    assert store.observed("c")["7"][:4] == ("v2", "h", None, {"a": "1", "b": None, "n": "3", "x": "0.5"})
    assert {key: seen.observed for key, seen in store.scorecard_rows("c", "companies").items()} == {"7": {"a": "10"}}


def test_a_row_of_ours_is_known_from_the_write_that_made_it(store: Store) -> None:
    wrote(store, "KPI_Scorecard__c", "006A", "companion", "create", "a01X", KPI_Pace__c="Slow", KPI_Key__c="006A")
    assert store.scorecard_rows("c", "KPI_Scorecard__c")["006A"][:4] == ("v2", None, None, {"KPI_Pace__c": "Slow", "KPI_Key__c": "006A"})
    save(store, ScorecardRow("KPI_Scorecard__c:a01X", "006A", "v3", {"KPI_Pace__c": "Stuck", "KPI_Key__c": "006A"}))
    assert store.scorecard_rows("c", "KPI_Scorecard__c")["006A"].observed["KPI_Pace__c"] == "Stuck"
    wrote(store, "KPI_Scorecard__c", "006A", "companion", "remove", KPI_Key__c=None)
    assert store.scorecard_rows("c", "KPI_Scorecard__c") == {}


def test_ids_of_two_objects_are_two_records(store: Store) -> None:
    save(store, Opportunity("7"), Account("7"), ScorecardRow("companies:7", observed={"a": "9"}))
    wrote(store, "deals", "7", "opportunity", b="x")
    wrote(store, "companies", "7", "account", a="10")
    save(store, Mapped(tombstones=(Tombstone("opportunities", "7"),)))
    assert [(w.object, w.after, w.scrubbed) for w in store.ledger.of_run(1)] == [("deals", None, True), ("companies", "10", False)]
    assert store.census.gone("c", "opportunities") == {"7"}


def test_forgetting_a_connection(store: Store) -> None:
    save(store, WHOLE, dead=(BAD,))
    store.runs.start("c", "pull", "test")
    store.connections.pause("c", "because")
    store.save_page("other", "opportunities", [Mapped((DEAL,))], [], {}, run=None, fence=None)
    fence = store.leases.take("c", "x", "me", heartbeat=None).fence
    assert store.forget("c") > 0
    left = {name: found for name, found in everything(store).items() if any("c" in row for row in found)}
    assert list(left) == ["audit", "leases"]
    assert store.counts("other")["opportunities"] == 1
    assert store.leases.take("other", "x", "me", heartbeat=None).fence > fence


def test_what_became_of_a_record(store: Store) -> None:
    save(store, Mapped((Account("a2"), Account("a3")), tombstones=(Tombstone("accounts", "a1", merged_into="a2"), Tombstone("accounts", "a3"))))
    assert [store.fate("c", id) for id in ("a1", "a2", "a3", "a4")] == ["merged into a2", "live", "deleted", None]
