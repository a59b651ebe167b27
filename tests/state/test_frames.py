"""Sections of a book from hand-made rows: maps by the pipeline of the time, merges, gates from fields and from our own log."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from connector.clock import Calendar, FixedClock
from connector.model.records import (
    Account,
    Activity,
    CanonicalRecord,
    Change,
    Contact,
    ContactRole,
    GateEvidence,
    Mapped,
    Opportunity,
    Owner,
    Replace,
    Tombstone,
)
from connector.state.frames import sections
from connector.state.store import Store

NEW_YORK = Calendar("America/New_York")
STAGES = {
    ("Capital", "Prospect"): "lead", ("Capital", "VAC Submitted"): "vac", ("Capital", "Closed Won"): "closed_won", ("Capital", "Demo"): "demo",
    ("Software", "Prospect"): "qualified_meeting", ("Software", "InfoSec"): "security_review", ("Software", "Closed Won"): "closed_won",
}  # fmt: skip
PIPELINES = {"Capital": "capital", "Software": "software"}
T0 = datetime(2026, 3, 1, 15, tzinfo=UTC)


def at(days: float) -> datetime:
    return T0 + timedelta(days=days)


def save(store: Store, *rows: CanonicalRecord | Mapped, run: int | None = None, seen_at: datetime | None = None) -> None:
    page = [row if isinstance(row, Mapped) else Mapped((row,)) for row in rows]
    store.save_page("c", "deals", page, [], {}, run=run, fence=None, seen_at=seen_at)


def read(store: Store, **more: Any) -> dict[str, list[dict[str, Any]]]:
    return sections(
        store, "c", day=NEW_YORK.day, stage_of=lambda p, s: STAGES.get((p or "", s or "")), pipeline_of=lambda p: PIPELINES.get(p or ""), **more
    )


def stages(store: Store) -> list[tuple[Any, ...]]:
    return [(row["raw_stage"], row["stage"], row["entered_at"]) for row in read(store)["stage_history"]]


def move(id: str, field: str, value: str | None, days: float, deal: str = "d1", by: str | None = None) -> Change:
    return Change(id, deal, field, value, at(days), by)


DEAL = Opportunity("d1", native_pipeline="Capital", raw_stage="Demo", created_at=T0)


def test_an_empty_state_has_every_section(store: Store) -> None:
    assert {name: len(rows) for name, rows in read(store).items()} == dict.fromkeys(
        (
            "accounts", "owners", "opportunities", "stage_history", "closes_on_history", "owner_history", "amount_history", "splits", "gates",
            "contacts", "opportunity_contacts", "activities", "leads", "tickets",
        ),
        0,
    )  # fmt: skip


def test_a_deal_in_the_words_of_a_book(store: Store) -> None:
    day = date(2026, 6, 1)
    save(
        store,
        Opportunity(
            "d1", name="Deal", account="a1", owner="o1", native_pipeline="Capital", raw_stage="Demo", deal_type="new_business",
            amount=Decimal("120000.10"), probability=Decimal("0.4"), created_at=T0, closes_on=day, secq_received_on=day,
            secq_returned_on=date(2026, 7, 1), legal_sent_on=date(2026, 7, 2), legal_signed_on=date(2026, 7, 3), baa=True,
            dimensions={"therapy": "ortho"},
        ),
        Owner("o1", name="Rep R1", key="ann@maker.com"),
        Account("a1", name="Hospital", segment="hospital", reference=True),
    )  # fmt: skip
    found = read(store)
    [deal] = found["opportunities"]
    assert {name: value for name, value in deal.items() if value is not None} == {
        "id": "d1", "name": "Deal", "account": "a1", "owner": "o1", "pipeline": "capital", "deal_type": "new_business",
        "amount": Decimal("120000.10"), "probability": Decimal("0.4"), "created_at": T0, "closes_on": day,
        "security_questionnaire_received_on": day, "security_questionnaire_completed_on": date(2026, 7, 1),
        "contract_sent_on": date(2026, 7, 2), "contract_signed_on": date(2026, 7, 3), "baa": True,
        "dimensions": {"therapy": "ortho"}, "raw_stage": "Demo", "stage": "demo",
    }  # fmt: skip
    assert found["owners"] == [{"id": "o1", "name": "Rep R1", "active": True, "key": "ann@maker.com"}]
    assert found["accounts"] == [
        {"id": "a1", "name": "Hospital", "segment": "hospital", "territory": None, "region": None, "reference": True, "parent": None, "key": None}
    ]


# -- history -------------------------------------------------------------------------------------------------------


def test_stages_in_order_without_equal_neighbours(store: Store) -> None:
    save(
        store, DEAL,
        move("h3", "stage", "Demo", 5), move("h2", "stage", "Prospect", 2), move("h1", "stage", "Prospect", 0),
        move("h5", "stage", "Odd", 9), move("h4", "stage", "Prospect", 9),
    )  # fmt: skip
    assert stages(store) == [("Prospect", "lead", at(0)), ("Demo", "demo", at(5)), ("Prospect", "lead", at(9)), ("Odd", None, at(9))]
    rows = read(store)
    assert [(row["id"], row["quality"]) for row in rows["stage_history"]] == [("h1", "system"), ("h3", "system"), ("h4", "system"), ("h5", "system")]
    assert "stage" not in rows["opportunities"][0]


def test_each_stage_is_mapped_with_the_pipeline_of_its_time(store: Store) -> None:
    save(
        store, Opportunity("d1", native_pipeline="Software", raw_stage="InfoSec"),
        move("p1", "pipeline", "Capital", 0), move("p2", "pipeline", "Software", 10),
        move("h1", "stage", "Prospect", 0), move("h2", "stage", "VAC Submitted", 5), move("h3", "stage", "InfoSec", 10),
    )  # fmt: skip
    assert stages(store) == [("Prospect", "lead", at(0)), ("VAC Submitted", "vac", at(5)), ("InfoSec", "security_review", at(10))]


def test_a_switch_alone_moves_a_deal_whose_stage_means_something_else_there(store: Store) -> None:
    save(
        store, Opportunity("d1", native_pipeline="Software", raw_stage="Prospect"),
        move("p1", "pipeline", "Capital", -1), move("h1", "stage", "Prospect", 0), move("p2", "pipeline", "Software", 10),
        Opportunity("d2", native_pipeline="Software", raw_stage="Closed Won"),
        move("q1", "pipeline", "Capital", 0, "d2"), move("i1", "stage", "Closed Won", 0, "d2"), move("q2", "pipeline", "Software", 10, "d2"),
    )  # fmt: skip
    assert stages(store) == [("Prospect", "lead", at(0)), ("Prospect", "qualified_meeting", at(10)), ("Closed Won", "closed_won", at(0))]


def test_stages_before_the_first_known_pipeline_use_that_one(store: Store) -> None:
    save(store, Opportunity("d1", native_pipeline="Software"), move("p1", "pipeline", "Capital", 3), move("h1", "stage", "VAC Submitted", 0))
    assert stages(store) == [("VAC Submitted", "vac", at(0))]


def test_a_map_that_changes_changes_the_past(store: Store) -> None:
    save(store, DEAL, move("h1", "stage", "Prospect", 0))
    again = sections(store, "c", day=NEW_YORK.day, stage_of=lambda p, s: "discovery", pipeline_of=lambda p: p)
    assert [row["stage"] for row in again["stage_history"]] == ["discovery"]


def test_close_dates_owners_and_amounts(store: Store) -> None:
    save(
        store, DEAL,
        move("c1", "closes_on", "2026-09-30", 0, by="u1"), move("c2", "closes_on", "2026-09-30", 1),
        move("c3", "closes_on", "2026-10-31", 2, by="u2"),
        move("c4", "closes_on", None, 3),
        move("o1", "owner", "r1", 0), move("o2", "owner", "r1", 1), move("o3", "owner", "r2", 4),
        move("m1", "amount", "100", 0), move("m2", "amount", "100.00", 1), move("m3", "amount", None, 2), move("m4", "amount", "0.10", 3),
    )  # fmt: skip
    found = read(store)
    assert found["closes_on_history"] == [
        {"opportunity": "d1", "at": at(2), "by": "u2", "old": date(2026, 9, 30), "new": date(2026, 10, 31)},
        {"opportunity": "d1", "at": at(3), "by": None, "old": date(2026, 10, 31), "new": None},
    ]
    assert found["owner_history"] == [{"opportunity": "d1", "at": at(0), "owner": "r1"}, {"opportunity": "d1", "at": at(4), "owner": "r2"}]
    assert [(row["at"], row["amount"]) for row in found["amount_history"]] == [(at(0), Decimal(100)), (at(2), None), (at(3), Decimal("0.10"))]


# -- deleted and merged --------------------------------------------------------------------------------------------


def test_deleted_deals_are_invisible_with_their_children(store: Store) -> None:
    children = (
        move("h1", "stage", "Demo", 0), GateEvidence("d1", "vac", opened_on=date(2026, 4, 1)), ContactRole("d1", "p1"),
        Activity("a1", "d1", "call"), Activity("a1", "d2", "call"),
    )  # fmt: skip
    save(store, DEAL, Opportunity("d2"), *children)
    save(store, Mapped(tombstones=(Tombstone("opportunities", "d1"),)))
    found = read(store)
    assert [deal["id"] for deal in found["opportunities"]] == ["d2"]
    assert [found[name] for name in ("stage_history", "gates", "opportunity_contacts")] == [[], [], []]
    assert [(row["id"], row["opportunity"]) for row in found["activities"]] == [("a1", "d2")]
    save(store, DEAL)
    assert len(read(store)["stage_history"]) == 1


def test_ignored_pipelines_are_left_out(store: Store) -> None:
    save(store, DEAL, move("h1", "stage", "Demo", 0), Opportunity("d2", native_pipeline="Internal"), Activity("a1", "d2", "call"))
    found = read(store, ignored=lambda native: native == "Internal")
    assert [deal["id"] for deal in found["opportunities"]] == ["d1"]
    assert found["activities"] == []


def test_merge_chains_lead_to_the_survivor(store: Store) -> None:
    save(
        store,
        Opportunity("d1", account="a1"), Opportunity("d9", account="a3"), move("h1", "stage", "Demo", 0),
        Account("a3"), Contact("p2", title="Surgeon", persona="surgeon_champion"),
        ContactRole("d9", "p1", added_on=date(2026, 5, 1), id="k1"), ContactRole("d9", "p2", persona="cfo", added_on=date(2026, 6, 1), id="k2"),
        Activity("x", "d1", "meeting", account="a1", contact="p1", participants=("p1", "p3")), Activity("y", None, "call", account="a2"),
        Mapped(tombstones=(
            Tombstone("accounts", "a1", "a2"), Tombstone("accounts", "a2", "a3"), Tombstone("contacts", "p1", "p2"),
            Tombstone("opportunities", "d1", "d9"),
        )),
    )  # fmt: skip
    found = read(store)
    assert [(deal["id"], deal["account"]) for deal in found["opportunities"]] == [("d9", "a3")]
    assert [account["id"] for account in found["accounts"]] == ["a3"]
    assert found["stage_history"] == []
    assert [(row["opportunity"], row["contact"], row["added_on"], row["persona"]) for row in found["opportunity_contacts"]] == [
        ("d9", "p2", date(2026, 5, 1), "cfo")
    ]
    assert [(a["id"], a["opportunity"], a["account"], a["contact"], a["participants"]) for a in found["activities"]] == [
        ("x", "d9", "a3", "p2", ["p2", "p3"]), ("y", None, "a3", None, []),
    ]  # fmt: skip


def test_who_was_on_a_merged_deal_is_on_the_survivor_only_if_its_own_set_says_so(store: Store) -> None:
    save(store, Opportunity("d1"), ContactRole("d1", "p1", primary=True), ContactRole("d1", "p2", persona="cfo"))
    whole = Replace("contact_roles", "opportunity", "d9")
    save(store, Mapped((Opportunity("d9"), ContactRole("d9", "p1")), (whole,), tombstones=(Tombstone("opportunities", "d1", "d9"),)))
    assert [(row["opportunity"], row["contact"]) for row in read(store)["opportunity_contacts"]] == [("d9", "p1")]
    assert [deal["primary_contact"] for deal in read(store)["opportunities"]] == [None]
    save(store, Mapped((Opportunity("d9"),), (whole,)))
    assert read(store)["opportunity_contacts"] == []


def test_a_ring_of_merges_ends(store: Store) -> None:
    save(store, Opportunity("d1", account="a1"), Mapped(tombstones=(Tombstone("accounts", "a1", "a2"), Tombstone("accounts", "a2", "a1"))))
    assert read(store)["opportunities"][0]["account"] == "a2"


# -- gates ---------------------------------------------------------------------------------------------------------


def gates(store: Store) -> list[tuple[Any, ...]]:
    return [(row["gate"], row["opened_on"], row["decided_on"], row["result"], row["required"], row["quality"]) for row in read(store)["gates"]]


APRIL, MAY, JUNE = date(2026, 4, 1), date(2026, 5, 1), date(2026, 6, 1)


def test_gates_dated_by_fields(store: Store) -> None:
    save(
        store, DEAL, GateEvidence("d1", "legal", opened_on=APRIL, decided_on=MAY, result="approved"), GateEvidence("d1", "security", opened_on=APRIL),
        GateEvidence("d1", "vac", required="not_required"), GateEvidence("d1", "budget"),
    )  # fmt: skip
    assert gates(store) == [
        ("legal", APRIL, MAY, "approved", None, "date_field"),
        ("security", APRIL, None, None, None, "date_field"),
        ("vac", None, None, None, "not_required", "none"),
    ]


def test_a_result_without_a_date_is_dated_by_the_sync_that_saw_it(store: Store, clock: FixedClock) -> None:
    save(store, DEAL)
    clock.at = datetime(2026, 11, 21, 3, 30, tzinfo=UTC)  # still the 20th in New York
    save(store, GateEvidence("d1", "procurement", opened_on=APRIL, result="approved", dated_by="observation", status="On contract"))
    clock.sleep(10 * 86400)
    save(store, GateEvidence("d1", "procurement", opened_on=APRIL, result="approved", dated_by="observation", status="On contract"))
    assert gates(store) == [("procurement", APRIL, date(2026, 11, 20), "approved", None, "observed")]


def test_a_result_that_was_there_when_we_first_looked_has_no_date(store: Store, clock: FixedClock) -> None:
    old = GateEvidence("d1", "procurement", result="approved", dated_by="observation", status="On contract")
    save(store, DEAL, old)
    assert gates(store) == [("procurement", None, None, "approved", None, "none")]
    clock.sleep(86400)
    save(store, GateEvidence("d1", "procurement", result="denied", dated_by="observation", status="Off contract"))
    assert gates(store)[-1] == ("procurement", None, NEW_YORK.day(clock.now()), "denied", None, "observed")


def test_a_deal_of_today_with_a_result_is_dated_today(store: Store, clock: FixedClock) -> None:
    save(
        store, Opportunity("d1", created_at=clock.now() - timedelta(hours=3)), GateEvidence("d1", "budget", result="approved", dated_by="observation")
    )
    assert gates(store) == [("budget", None, date(2026, 11, 20), "approved", None, "observed")]


def test_a_gate_that_is_newly_mapped_has_no_dates_for_what_it_finds(store: Store, clock: FixedClock) -> None:
    save(store, DEAL, Opportunity("d2"), run=store.runs.start("c", "pull", "test"))
    clock.sleep(86400)
    run = store.runs.start("c", "pull", "test")
    seen_at = clock.now()
    save(store, GateEvidence("d1", "budget", result="approved"), run=run, seen_at=seen_at)
    clock.sleep(60)
    save(store, GateEvidence("d2", "budget", result="approved"), run=run, seen_at=seen_at)
    clock.sleep(86400)
    save(store, Opportunity("d3", created_at=clock.now()), GateEvidence("d3", "budget", result="denied"), run=store.runs.start("c", "pull", "test"))
    assert [row[2:4] + row[5:] for row in gates(store)] == [
        (None, "approved", "none"), (None, "approved", "none"), (NEW_YORK.day(clock.now()), "denied", "observed"),
    ]  # fmt: skip


def test_a_tabled_committee_stays_as_an_earlier_attempt(store: Store, clock: FixedClock) -> None:
    save(store, DEAL, GateEvidence("d1", "vac", opened_on=APRIL, status="submitted"))
    clock.at = datetime(2026, 5, 1, 16, tzinfo=UTC) + timedelta(days=365)
    save(store, GateEvidence("d1", "vac", opened_on=APRIL, status="tabled"))
    clock.sleep(30 * 86400)
    save(store, GateEvidence("d1", "vac", opened_on=JUNE, status="submitted"))
    clock.sleep(86400)
    save(store, GateEvidence("d1", "vac", opened_on=JUNE, decided_on=date(2026, 7, 1), result="approved", status="approved"))
    assert gates(store) == [
        ("vac", APRIL, date(2027, 5, 1), "tabled", None, "observed"),
        ("vac", JUNE, date(2026, 7, 1), "approved", None, "date_field"),
    ]


def test_an_attempt_overwritten_within_the_same_set_keeps_its_dates(store: Store, clock: FixedClock) -> None:
    whole = (Replace("gates", "opportunity", "d1"),)
    save(store, DEAL, Mapped((GateEvidence("d1", "vac", opened_on=APRIL, decided_on=MAY, result="denied", status="Denied"),), whole))
    save(store, Mapped((GateEvidence("d1", "vac", opened_on=MAY, decided_on=JUNE, result="denied", status="Denied"),), whole))
    assert gates(store) == [("vac", APRIL, MAY, "denied", None, "date_field"), ("vac", MAY, JUNE, "denied", None, "date_field")]


def test_changes_within_one_instant_are_two_entries(store: Store) -> None:
    save(store, DEAL)
    for status in ("tabled", "submitted", "tabled"):
        save(store, GateEvidence("d1", "vac", opened_on=APRIL, status=status))
    with store.database.read() as db:
        log = db.exec_driver_sql("SELECT value FROM observations WHERE field = 'vac.status' ORDER BY first_seen").scalars().all()
    assert log == ["tabled", "submitted", "tabled"]


# -- people and activities -----------------------------------------------------------------------------------------


def test_roles_are_dated_by_the_crm_or_by_first_sight(store: Store, clock: FixedClock) -> None:
    save(store, DEAL, Contact("p1", title="CFO", persona="cfo", kol=False), ContactRole("d1", "p1", stance="blocker"))
    clock.sleep(30 * 86400)
    roles = (ContactRole("d1", "p1", stance="champion", primary=True), ContactRole("d1", "p2", added_on=MAY, primary=False), ContactRole("d1", "p3"))
    save(store, *roles)
    found = read(store)
    assert found["opportunity_contacts"] == [
        {"opportunity": "d1", "contact": "p1", "added_on": None, "persona": None, "stance": "champion", "quality": "none"},
        {"opportunity": "d1", "contact": "p2", "added_on": MAY, "persona": None, "stance": None, "quality": "system"},
        {"opportunity": "d1", "contact": "p3", "added_on": date(2026, 12, 20), "persona": None, "stance": None, "quality": "observed"},
    ]
    assert found["contacts"] == [
        {"id": "p1", "account": None, "title": "CFO", "persona": "cfo", "stance": None, "kol": False, "key": None, "role": None}
    ]
    assert found["opportunities"][0]["primary_contact"] is True


def decided(store: Store) -> list[tuple[Any, ...]]:
    return [(row["result"], row["decided_on"], row["quality"]) for row in read(store)["gates"]]


def test_a_result_is_dated_by_the_history_of_its_field_where_there_is_one(store: Store, clock: FixedClock) -> None:
    tabled = GateEvidence("d1", "vac", result="tabled", status="Tabled", dated_by="observation")
    save(store, DEAL, tabled)
    assert decided(store) == [("tabled", None, "none")]  # it was there when we first looked, and nothing tells since when
    save(store, DEAL, tabled, move("s1", "vac.result", "Submitted", 1), move("s2", "vac.result", "tabled", 4), move("s3", "vac.result", "tabled", 5))
    assert decided(store) == [("tabled", at(4).date(), "system")]
    clock.sleep(30 * 86400)
    approved = GateEvidence("d1", "vac", result="approved", status="Approved", dated_by="observation")
    save(store, DEAL, approved)
    assert decided(store)[-1] == ("approved", date(2026, 12, 20), "observed")  # the history does not go as far
    save(store, DEAL, approved, move("s4", "vac.result", "Submitted", 20), move("s5", "vac.result", "approved", 28))
    assert decided(store) == [("tabled", at(4).date(), "system"), ("approved", at(28).date(), "system")]


def test_a_date_of_the_gate_itself_comes_before_its_history(store: Store) -> None:
    save(store, DEAL, GateEvidence("d1", "vac", decided_on=MAY, result="approved"), move("s1", "vac.result", "approved", 4))
    assert decided(store) == [("approved", MAY, "date_field")]


def personas(store: Store) -> list[tuple[Any, ...]]:
    return [(row["contact"], row["persona"], row["added_on"], row["stance"]) for row in read(store)["opportunity_contacts"]]


def test_each_role_of_a_contact_counts_for_its_persona(store: Store) -> None:
    june = date(2026, 6, 1)
    save(
        store, DEAL, Contact("p1"), Mapped(tombstones=(Tombstone("contacts", "p2", "p1"),)),
        ContactRole("d1", "p1", "Economic Buyer", "cfo", added_on=june, id="k1"),
        ContactRole("d1", "p2", "Evaluator", "vp_it", added_on=MAY, id="k2"),
        ContactRole("d1", "p1", "Technical Buyer", "vp_it", added_on=june, id="k3"), ContactRole("d1", "p3", "Other", added_on=june, id="k4"),
    )  # fmt: skip
    assert personas(store) == [("p1", "vp_it", MAY, None), ("p1", "cfo", june, None), ("p3", None, june, None)]
    save(store, ContactRole("d1", "p1", "Blocker", None, "blocker", added_on=MAY, id="k5"))
    assert personas(store)[:2] == [("p1", "vp_it", MAY, "blocker"), ("p1", "cfo", MAY, "blocker")]


def test_a_lookup_comes_before_a_role(store: Store) -> None:
    role, lookup = ContactRole("d1", "p1", "CFO", "cfo", added_on=MAY, id="k1"), "Buyer__c of d1"
    save(store, DEAL, role, ContactRole("d1", "p1", lookup, "procurement", id=lookup))
    assert [persona for _, persona, *_ in personas(store)] == ["procurement"]


def test_the_deals_own_word_on_its_primary_contact_comes_first(store: Store) -> None:
    save(store, Opportunity("d1", primary_contact=False), Opportunity("d2"), ContactRole("d1", "p1", primary=True), ContactRole("d2", "p1"))
    assert [deal["primary_contact"] for deal in read(store)["opportunities"]] == [False, None]


@pytest.mark.parametrize(("on", "expected"), [(None, date(2026, 12, 31)), (date(2027, 1, 1), date(2027, 1, 1))])
def test_an_activity_is_dated_in_the_orgs_zone(store: Store, on: date | None, expected: date) -> None:
    instant = datetime(2027, 1, 1, 3, 30, tzinfo=UTC)
    save(store, DEAL, Activity("a1", "d1", "meeting", at=instant, on=on, outcome="held", due_on=MAY), Activity("gone", "d1", "call", deleted=True))
    [activity] = read(store)["activities"]
    assert {name: value for name, value in activity.items() if value} == {
        "id": "a1", "kind": "meeting", "at": instant, "on": expected, "outcome": "held", "due_on": MAY, "opportunity": "d1",
    }  # fmt: skip
