"""What no stamp tells, swept once a day over open deals: calculated values, associations, purged records. And objects by their number."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from connector.crms.base import Link, StreamSpec, Update
from connector.crms.hubspot import sweeps
from connector.crms.hubspot.wire import versions
from tests.crms.hubspot.portals import World, world_of
from tests.crms.hubspot.test_stream import CALLS, LINKED, ROLES, kinds

RATED = StreamSpec(
    "opportunities", "deals", ("dealstage", "amount", "amount_in_home_currency"), history=("dealstage", "amount"), links=("contacts",),
    refresh=("amount_in_home_currency",),
)  # fmt: skip


def opened(world: World, count: int, spec: StreamSpec = RATED) -> list[str]:
    deals = [world.deal(f"Deal {n}", deal_currency_code="EUR") for n in range(count)]
    world.open_ids = [deal.id for deal in deals]
    world.wait(hours=1)
    world.pull(spec)
    world.calls()
    return [deal.id for deal in deals]


def test_the_sweep_reads_hundreds_without_history(world: World) -> None:
    ids = opened(world, 230)
    world.portal.set_rate("EUR", Decimal(2))
    world.wait(days=1)
    swept = {record.id: record for record in world.pull(RATED)}
    assert sorted(swept) == sorted(ids)
    assert {record.values["amount_in_home_currency"] for record in swept.values()} == {"2000"}
    assert {len(record.history) for record in swept.values()} == {0}  # no stamp moved: there is no change to tell
    calls = world.house.asked
    reads = [json.loads(call.partition("batch/read")[2]) for call in calls if "/objects/" in call and "batch/read" in call]
    assert sorted(len(body["inputs"]) for body in reads[-3:]) == [30, 100, 100]
    assert not any("propertiesWithHistory" in body for body in reads[-3:])
    assert kinds(world.calls()).count("read") == 3
    world.wait(minutes=15)
    assert world.pull(RATED) == []
    assert kinds(world.calls()) == ["search", "archived"]


def test_a_change_that_no_search_ever_showed_is_found_with_its_history(world: World) -> None:
    """The stamp has moved, and the index lost the entry for good."""
    ids = opened(world, 3)
    lost = world.portal.resolve("deals", ids[1])
    assert lost is not None
    world.wait(hours=1)
    world.portal.update(lost, {"dealstage": "qualifiedtobuy"})
    world.portal.index["deals"].remove((lost.stamp, lost.number))
    world.wait(hours=3)
    world.pull(RATED)
    assert world.held[ids[1]].values["dealstage"] == "appointmentscheduled"
    world.wait(days=1)
    found = {record.id: record for record in world.pull(RATED)}
    assert [version.value for version in found[ids[1]].history["dealstage"]] == ["appointmentscheduled", "qualifiedtobuy"]
    assert found[ids[0]].history == {}


def test_history_of_a_calculated_property_is_read_daily(world: World) -> None:
    spec = StreamSpec("opportunities", "deals", ("dealstage", "amount"), history=("dealstage", "amount"), refresh=("amount",))
    ids = opened(world, 2, spec)
    world.wait(days=1)
    assert all(record.history["amount"] for record in world.pull(spec))
    assert len(ids) == 2


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_sweep_that_was_killed_goes_on_where_it_was(world: World, cut: int) -> None:
    with world_of(world.house, world.portal, page_size=10) as small:
        ids = opened(small, 35)
        small.portal.set_rate("EUR", Decimal(2))
        small.wait(days=1)
        first = [record.id for record in small.pull(RATED, pages=cut)]
        small.wait(minutes=1)
        second = [record.id for record in small.pull(RATED)]
        assert sorted([*first, *second]) == sorted(ids)
        assert {record.values["amount_in_home_currency"] for record in small.held.values()} == {"2000"}
        small.wait(minutes=15)
        assert small.pull(RATED) == []


def test_association_change_alone_is_seen(world: World) -> None:
    ids = opened(world, 2, LINKED)
    contact = world.portal.create("contacts", {"jobtitle": "CFO"})
    deal = world.portal.resolve("deals", ids[0])
    assert deal is not None
    world.portal.associate(deal, contact, "Economic buyer")
    world.wait(hours=2)
    assert world.pull(LINKED) == []
    world.wait(days=1)
    swept = {record.id: record for record in world.pull(LINKED)}
    assert swept[ids[0]].links["contacts"] == (Link(contact.id, ("Economic buyer",)),)
    assert swept[ids[1]].links["contacts"] == ()
    world.portal.dissociate(deal, contact)
    world.wait(days=1)
    assert {record.id: record.links["contacts"] for record in world.pull(LINKED)} == {ids[0]: (), ids[1]: ()}


def test_a_call_filed_under_a_deal_later_is_seen(world: World) -> None:
    """Neither the call nor the deal gets another stamp."""
    deals = [world.deal(f"Deal {n}") for n in range(250)]
    calls = [world.portal.create("calls", {"hs_timestamp": "2026-11-02T09:00:00Z"}) for _ in range(3)]
    for call in calls[:2]:
        world.portal.associate(call, deals[0])
    world.open_ids = [deal.id for deal in deals]
    world.wait(hours=1)
    world.pull(CALLS)
    stamps = [call.stamp for call in calls]
    world.portal.associate(calls[2], deals[200])
    world.portal.dissociate(calls[1], deals[0])
    world.portal.associate(calls[1], deals[249])
    world.wait(hours=2)
    world.pull(CALLS)
    assert world.held[calls[2].id].links["deals"] == ()
    world.wait(days=1)
    world.calls()
    world.pull(CALLS)
    assert [[link.id for link in world.held[call.id].links["deals"]] for call in calls] == [[deals[n].id] for n in (0, 249, 200)]
    assert stamps == [call.stamp for call in calls]
    told = world.calls()
    assert sum("/deals/calls/" in call for call in told) == 1
    assert kinds(told).count("read") == 2
    world.wait(minutes=15)
    assert world.pull(CALLS) == []
    assert kinds(world.calls()) == ["search", "archived"]


def test_a_call_taken_away_from_its_only_deal_is_seen(world: World) -> None:
    """No deal leads to it any more, and it gets no stamp: the state knows that it was there."""
    deals = [world.deal(f"Deal {n}") for n in range(2)]
    calls = [world.portal.create("calls", {"hs_timestamp": "2026-11-02T09:00:00Z"}) for _ in range(3)]
    for call in calls:
        world.portal.associate(call, deals[0])
    world.open_ids = [deal.id for deal in deals]
    world.wait(hours=1)
    world.pull(CALLS)
    world.portal.dissociate(calls[0], deals[0])
    world.portal.erase(calls[1])
    world.wait(days=1)
    world.pull(CALLS)
    assert {call: [link.id for link in record.links["deals"]] for call, record in world.held.items()} == {calls[0].id: [], calls[2].id: [deals[0].id]}


def test_of_closed_deals_a_call_is_read_weekly_where_its_deals_differ(world: World) -> None:
    deals = [world.deal(f"Deal {n}") for n in range(3)]
    calls = [world.portal.create("calls", {"hs_timestamp": "2026-11-02T09:00:00Z"}) for _ in range(4)]
    for call in calls[:3]:
        world.portal.associate(call, deals[0])
    world.closed_ids = [deal.id for deal in deals]
    world.wait(hours=1)
    world.pull(CALLS)
    world.portal.dissociate(calls[0], deals[0])
    world.portal.associate(calls[3], deals[1])
    world.wait(days=1)
    assert world.pull(CALLS) == []
    world.wait(days=6)
    assert {record.id for record in world.pull(CALLS)} == {calls[0].id, calls[3].id}
    assert [[link.id for link in world.held[call.id].links["deals"]] for call in calls] == [[], [deals[0].id], [deals[0].id], [deals[1].id]]


def test_associations_of_closed_deals_are_read_weekly_and_none_is_buried(world: World) -> None:
    """What is gone for good, the guarded count finds."""
    deals = [world.deal(f"Deal {n}", dealstage="closedwon") for n in range(3)]
    company = world.portal.create("companies", {"name": "Hospital"})
    world.closed_ids = [deal.id for deal in deals]
    world.wait(hours=1)
    world.pull(LINKED)
    world.portal.associate(deals[0], company, "Primary")
    world.portal.erase(deals[2])
    world.wait(days=1)
    assert world.pull(LINKED) == []
    world.wait(days=6)
    swept = world.pull(LINKED)
    assert [(record.id, [link.id for link in record.links["companies"]]) for record in swept] == [(deals[0].id, [company.id]), (deals[1].id, [])]
    world.wait(days=1)
    assert world.pull(LINKED) == []


def test_contacts_of_closed_deals_are_swept_weekly(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut and gone on with a day later it is still a sweep over all deals; the next one comes a week after."""
    monkeypatch.setattr(sweeps, "BATCH", 2)
    deals = [world.deal(f"Deal {n}") for n in range(5)]
    ids = [deal.id for deal in deals]
    world.open_ids, world.closed_ids = ids[:1], ids[1:]
    assert [record.id for record in world.pull(ROLES)] == ids
    world.wait(days=6)
    assert [record.id for record in world.pull(ROLES)] == ids[:1]
    world.wait(days=1)
    assert [record.id for record in world.pull(ROLES, pages=1)] == ids[:2]
    world.wait(days=1)
    assert [record.id for record in world.pull(ROLES)] == ids[2:]
    world.wait(days=5)
    assert [record.id for record in world.pull(ROLES)] == ids[:1]
    world.wait(days=1)
    assert [record.id for record in world.pull(ROLES)] == ids


@pytest.mark.parametrize("spec", [ROLES, LINKED], ids=["roles", "deals"])
def test_more_than_a_thousand_associations_of_one_deal(world: World, spec: StreamSpec) -> None:
    """By hundreds: thirteen answers for one deal, one for its neighbours."""
    deals = [world.deal(f"Deal {n}") for n in range(3)]
    world.open_ids = [deal.id for deal in deals]
    contacts = [world.portal.create("contacts", {"jobtitle": "Surgeon"}) for _ in range(1_234)]
    for contact in contacts:
        world.portal.associate(deals[1], contact)
    world.wait(hours=1)
    world.pull(spec)
    assert {link.id for link in world.held[deals[1].id].links["contacts"]} == {contact.id for contact in contacts}
    assert len(world.held[deals[1].id].links["contacts"]) == 1_234
    assert world.held[deals[0].id].links["contacts"] == ()
    assert sum("/deals/contacts/" in call for call in world.calls()) == 13


def test_equal_versions_of_history_are_one() -> None:
    """Keyed by field, instant and value; a millisecond apart are two changes."""
    told = [
        {"value": "b", "timestamp": "2026-10-20T14:11:03.413Z", "sourceType": "CRM_UI"},
        {"value": "b", "timestamp": "2026-10-20T14:11:03.412Z", "sourceType": "API", "sourceId": "someone@example.com"},
        {"value": "b", "timestamp": "2026-10-20T14:11:03.412Z", "sourceType": "API"},
        {"value": "a", "timestamp": "2026-10-20T14:11:03.412Z", "updatedByUserId": 7},
    ]
    assert [(version.value, version.at.microsecond, version.by) for version in versions(told)] == [
        ("a", 412_000, "7"), ("b", 412_000, "API"), ("b", 413_000, "CRM_UI"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("object", "values"),
    [("leads", {"hs_lead_name": "Lead"}), ("0-136", {"hs_lead_name": "Lead"}), ("tickets", {"subject": "Ticket"}), ("0-5", {"subject": "Ticket"})],
)
def test_leads_and_tickets_are_streams_like_any_other(world: World, object: str, values: dict[str, str]) -> None:
    plain = {"0-136": "leads", "0-5": "tickets"}.get(object, object)
    made = [world.portal.create(plain, values) for _ in range(3)]
    world.portal.associate(made[0], world.deal())
    spec = StreamSpec(plain, object, tuple(values), links=("deals",))
    world.wait(hours=1)
    world.pull(spec)
    assert set(world.held) == {record.id for record in made}
    assert len(world.held[made[0].id].links["deals"]) == 1
    world.portal.archive(made[1])
    world.portal.update(made[2], dict.fromkeys(values, "changed"))
    world.wait(minutes=10)
    world.pull(spec)
    assert set(world.held) == {made[0].id, made[2].id}
    assert set(world.held[made[2].id].values.values()) == {"changed"}
    counted = world.crm.count(spec)
    assert counted is not None
    assert counted.live == 2
    assert {id_ for batch in world.crm.ids(spec) for id_ in batch} == set(world.held)


def test_stage_properties_are_never_guessed(world: World) -> None:
    """Their names carry suffixes that nobody can know: what is asked for is what the mapping took from the portal's own list."""
    timer = next(
        name for name in world.crm.discover("deals") if name.startswith("hs_v2_date_entered_") and name != "hs_v2_date_entered_current_stage"
    )
    spec = StreamSpec("opportunities", "deals", ("dealstage", timer), history=("dealstage",))
    deal = world.deal()
    world.open_ids = [deal.id]
    for _ in range(3):
        world.wait(days=1)
        world.pull(spec)
        list(world.crm.write([Update("deals", deal.id, {"kpi_pace": "slow"})]))
    assert set(world.held[deal.id].values) == {"dealstage", timer}
    asked = "\n".join(world.house.asked)
    assert "hs_v2_" not in asked.replace(timer, "")
