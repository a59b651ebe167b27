"""How many, which ones, at what cost: the search total, the list, and a price that the meter confirms."""

from __future__ import annotations

import pytest

from connector.crms.base import Count, StreamSpec
from connector.errors import MissingScope, NoProgress
from connector.sandbox.hubspot.portal import Portal
from tests.crms.hubspot.portals import DEALS, House, World, world_of
from tests.crms.hubspot.test_stream import CALLS, COMPANIES, CONTACTS, LINKED, ROLES, kinds
from tests.crms.scripted import Answer, serving

OWNERS = StreamSpec("owners", "owners", ("firstName", "archived"))


def walked(world: World, spec: StreamSpec) -> list[str]:
    return [id_ for batch in world.crm.ids(spec) for id_ in batch]


def test_hubspot_total_reconciles(world: World) -> None:
    for n in range(250):
        world.portal.create("companies", {"name": f"Hospital {n}"})
    gone = [world.portal.records["companies"][number] for number in world.portal.live["companies"][:3]]
    for company in gone:
        world.portal.archive(company)
    world.wait(hours=1)
    world.pull(COMPANIES)
    world.calls()
    assert world.crm.count(COMPANIES) == Count(247) == Count(len(world.held))
    assert kinds(world.calls()) == ["search"]
    assert sorted(walked(world, COMPANIES)) == sorted(world.held)
    assert kinds(world.calls()) == ["list"] * 3


def test_a_total_beyond_the_cap_is_still_the_total(world: World) -> None:
    for _ in range(10_050):
        world.portal.create("tasks", {"hs_timestamp": "2026-11-20T10:00:00Z"})
    assert world.crm.count(StreamSpec("tasks", "tasks")) == Count(10_050)


def test_ghosts_raise_a_question_and_the_list_answers_it(world: World) -> None:
    """The index still counts what was archived a second ago; the list does not."""
    deals = [world.deal(f"Deal {n}") for n in range(4)]
    world.wait(hours=1)
    world.portal.index_lag = 60.0
    world.portal.archive(deals[0])
    counted = world.crm.count(DEALS)
    assert counted is not None
    assert counted.live == 4
    assert walked(world, DEALS) == [deal.id for deal in deals[1:]]


def test_hard_delete_found_by_id_scan(world: World) -> None:
    """A GDPR delete of a record that no sweep looks at: in no search, in no list of archived ones, only missing from the ids."""
    contacts = [world.portal.create("contacts", {"jobtitle": f"Surgeon {n}"}) for n in range(3)]
    world.wait(hours=1)
    world.pull(CONTACTS)
    world.portal.erase(contacts[1])
    world.wait(days=3)
    assert world.pull(CONTACTS) == []
    assert set(world.held) - set(walked(world, CONTACTS)) == {contacts[1].id}
    assert world.crm.fetch("contacts", [contact.id for contact in contacts], ("jobtitle",)).keys() == {contacts[0].id, contacts[2].id}


def test_ids_of_a_merge_are_those_of_the_survivor(world: World) -> None:
    one, two, other = world.deal("One"), world.deal("Two"), world.deal("Other")
    heir = world.portal.merge(one, two)
    assert sorted(walked(world, DEALS)) == sorted([other.id, heir.id])


def test_owners_who_left_are_still_there(world: World) -> None:
    here, left = world.portal.add_owner("Ann", "Lee", "ann@example.com"), world.portal.add_owner("Bob", "Ray", "bob@example.com")
    world.portal.archive_owner(left.id)
    world.pull(OWNERS)
    assert sorted(walked(world, OWNERS)) == sorted(world.held) == sorted([here.id, left.id])
    assert world.crm.count(OWNERS) is None
    assert world.crm.count(ROLES) is None


def test_lists_ask_for_no_name_and_no_address(world: World) -> None:
    """Asked for nothing in particular, HubSpot sends the names and e-mail addresses of contacts."""
    for _ in range(3):
        world.portal.create("contacts", {"firstname": "Ann", "lastname": "Lee", "email": "ann@example.com"})
    world.portal.archive(world.portal.records["contacts"][world.portal.live["contacts"][0]])
    world.wait(hours=1)
    assert walked(world, CONTACTS)
    assert world.crm.unreadable(["contacts", "owners"]) == {}
    world.pull(CONTACTS)
    lists = [call for call in world.calls() if call.startswith("GET /crm/objects/")]
    assert len(lists) == 3  # the ids, the probe, the archived
    assert all("properties=hs_object_id" in call for call in lists)


def test_counting_without_the_scope_fails(world: World) -> None:
    world.portal.denied_scopes.add("crm.objects.companies.read")
    with pytest.raises(MissingScope, match=r"crm\.objects\.companies\.read"):
        world.crm.count(COMPANIES)
    with pytest.raises(MissingScope):
        walked(world, COMPANIES)


def test_a_list_that_gives_a_cursor_twice_stops(house: House, portal: Portal) -> None:
    body = {"results": [{"id": "1"}], "paging": {"next": {"after": "7", "link": "https://api.hubapi.com/elsewhere"}}}
    with serving(lambda asked: Answer(body)) as server, world_of(house, portal, base_url=server.url) as world:
        with pytest.raises(NoProgress):
            walked(world, COMPANIES)
        assert [asked.query.get("after") for asked in server.asked] == [None, "7"]


# -- what it costs ----------------------------------------------------------------------------------------------------------------

PRESENT = StreamSpec("opportunities", "deals", ("dealstage",), history=("dealstage",), links=("contacts",), presence=("hs_next_step",))
OBJECTS = {"deals": {"dealstage": "appointmentscheduled", "pipeline": "default"}, "companies": {"name": "x"}, "contacts": {"jobtitle": "x"},
           "calls": {"hs_timestamp": "2026-11-02T09:00:00Z"}}  # fmt: skip


@pytest.mark.parametrize(
    "spec", [DEALS, LINKED, PRESENT, COMPANIES, CONTACTS, CALLS], ids=["deals", "linked", "presence", "companies", "contacts", "calls"]
)
@pytest.mark.parametrize("changed", [0, 1, 60, 230])
def test_the_price_of_a_read_is_what_the_meter_shows(world: World, spec: StreamSpec, changed: int) -> None:
    records = [world.portal.create(spec.object, OBJECTS[spec.object]) for _ in range(240)]
    world.wait(hours=1)
    world.pull(spec)
    world.wait(minutes=30)
    for record in records[:changed]:
        world.portal.update(record, {"hs_next_step": "x"} if spec.object == "deals" else OBJECTS[spec.object] | {"hubspot_owner_id": "1"})
    world.wait(minutes=10)
    before = world.crm.meter.calls
    told = world.crm.cost(spec, changed)
    assert world.crm.meter.calls == before
    assert len(world.pull(spec)) == changed
    spent = world.crm.meter.calls - before
    assert told - 1 <= spent <= told + 1, (told, spent)


@pytest.mark.parametrize(("count", "told"), [(0, 2), (100, 2), (101, 3), (1_000, 11)])
def test_the_price_of_owners(world: World, count: int, told: int) -> None:
    assert world.crm.cost(OWNERS, count) == told


def test_roles_cost_their_sweep_only(world: World) -> None:
    assert [world.crm.cost(ROLES, deals) for deals in (0, 1, 1_000, 1_001)] == [0, 1, 1, 2]


def test_a_large_read_costs_by_its_pages(world: World) -> None:
    deals = 100_000
    assert world.crm.cost(LINKED, deals) == 1 + deals // 200 + deals // 50 + 2 * deals // 1_000
    assert world.crm.cost(COMPANIES, deals) == 1 + deals // 200
