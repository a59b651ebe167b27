"""What happens to records, and what a stream brings of it: changes, lag, archive, merge, history, associations, presence."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from connector.clock import SystemClock
from connector.crms.base import Link, Record, StreamSpec, Update, Window
from connector.crms.hubspot import HubSpotCrm, HubSpotSettings
from connector.errors import CrmConfigError, MissingScope
from connector.sandbox.hubspot.portal import Portal
from tests.crms.hubspot.portals import DEALS, House, World, world_of

LINKED = StreamSpec("opportunities", "deals", ("dealstage", "pipeline"), history=("dealstage", "pipeline"), links=("companies", "contacts"))
CONTACTS = StreamSpec("contacts", "contacts", ("jobtitle",), links=("companies",))
ROLES = StreamSpec("contact_roles", "deals", links=("contacts",))
COMPANIES = StreamSpec("accounts", "companies", ("name",))
CALLS = StreamSpec("calls", "calls", ("hs_timestamp", "hs_call_direction"), links=("deals", "contacts"))


def kinds(calls: list[str]) -> list[str]:
    """``search``, ``archived``, ``list``, ``read``, ``links``, ``update`` for each request."""
    told = []
    for call in calls:
        if "/associations/" in call:
            told.append("links")
        elif call.endswith("/search"):
            told.append("search")
        elif call.endswith("/batch/read"):
            told.append("read")
        elif call.endswith("/batch/update"):
            told.append("update")
        else:
            told.append("archived" if "archived=true" in call else "list")
    return told


# -- calls -------------------------------------------------------------------------------------------------------------------


def test_first_load_with_history_goes_by_list(world: World) -> None:
    company = world.portal.create("companies", {"name": "Hospital"})
    for n in range(120):
        world.portal.associate(world.deal(f"Deal {n}"), company)
    world.wait(hours=1)
    records = world.pull(LINKED)
    assert len(records) == 120
    assert all(record.history["dealstage"] for record in records)
    assert kinds(world.calls()) == ["list"] * 3 + ["links"] * 2 + ["archived"]


def test_first_load_without_history_goes_by_search(world: World) -> None:
    for n in range(450):
        world.portal.create("companies", {"name": f"Hospital {n}"})
    world.wait(hours=1)
    assert len(world.pull(COMPANIES)) == 450
    assert kinds(world.calls()) == ["search"] * 3 + ["archived"]


def test_idle_costs_one_search_and_one_archived_list(world: World) -> None:
    call = world.portal.create("calls", {"hs_timestamp": "2026-11-02T09:00:00Z"})
    world.portal.associate(call, world.deal())
    for spec in (CALLS, LINKED):
        world.bookmark = None
        world.wait(seconds=30)
        world.pull(spec)
        for minutes in (2, 15, 15):
            world.wait(minutes=minutes)
            world.calls()
            assert world.pull(spec) == []
            assert kinds(world.calls()) == ["search", "archived"]


def test_our_own_write_costs_no_history_and_no_associations(world: World) -> None:
    deals = [world.deal(f"Deal {n}") for n in range(60)]
    world.wait(hours=1)
    world.pull(LINKED)
    world.calls()
    updates = [Update("deals", deal.id, {"kpi_pace": "stuck"}) for deal in deals]
    world.crm.fetch("deals", [deal.id for deal in deals], ("kpi_pace",))
    for result in world.crm.write(updates):
        held = world.held[result.id]
        world.held[result.id] = Record(held.id, held.values, result.version, history=held.history, links=held.links)
    assert kinds(world.calls()) == ["read", "update"]
    world.wait(minutes=15)
    assert world.pull(LINKED) == []
    assert kinds(world.calls()) == ["search", "archived"]


def test_the_settled_pass_finds_an_edit_hidden_by_our_write(world: World) -> None:
    """A person moves the stage after our last read, our write follows: its answer's version covers an edit we never saw."""
    deal = world.deal()
    world.wait(hours=1)
    world.pull()
    world.portal.update(deal, {"dealstage": "qualifiedtobuy"})
    world.wait(seconds=1)
    [result] = world.crm.write([Update("deals", deal.id, {"kpi_pace": "slow"})])
    world.held[deal.id] = Record(deal.id, {}, result.version)
    world.wait(minutes=15)
    assert world.pull() == []
    for _ in range(9):
        world.wait(minutes=15)
        world.pull()
    assert world.held[deal.id].values["dealstage"] == "qualifiedtobuy"
    assert [v.value for v in world.held[deal.id].history["dealstage"]] == ["appointmentscheduled", "qualifiedtobuy"]


# -- an index that lags --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lag", [timedelta(seconds=60), timedelta(minutes=40)], ids=["a-minute", "long"])
def test_what_the_index_shows_late_is_found(world: World, lag: timedelta) -> None:
    world.portal.index_lag = lag.total_seconds()
    deal = world.deal()
    world.wait(hours=3)
    world.pull()
    names = []
    for n in range(30):
        names.append(f"Name {n}")
        world.portal.update(deal, {"dealname": names[-1]})
        other = world.deal(names[-1])
        world.wait(minutes=10)
        world.pull()
        assert other.id in world.held or lag > timedelta(minutes=10)
    for _ in range(12):
        world.wait(minutes=15)
        world.pull()
    assert world.held[deal.id].values["dealname"] == names[-1]
    assert {record.values["dealname"] for record in world.held.values()} == {names[-1], *names}


def test_a_change_in_the_second_of_the_read_is_not_lost(world: World) -> None:
    """The Date header is cut to whole seconds; stamps are not."""
    world.pull()
    deal = world.deal()
    until = world.portal.clock.now.replace(microsecond=0)
    for page in world.crm.read(DEALS, Window(world.bookmark, until)):
        world.store(page)
    assert deal.id in world.held


# -- archive, restore, purge, merge ------------------------------------------------------------------------------------------------


def test_hubspot_archive_is_seen(world: World) -> None:
    deals = [world.deal(f"Deal {n}") for n in range(3)]
    world.wait(hours=1)
    world.pull()
    world.wait(days=1)
    world.portal.archive(deals[1])
    world.wait(minutes=1)
    [tombstone] = [record for record in world.pull() if record.deleted]
    assert tombstone.id == deals[1].id
    assert tombstone.values == {}
    world.wait(minutes=1)
    assert [record for record in world.pull() if record.deleted] == []


@pytest.mark.parametrize("moves", [False, True], ids=["stamp-stays", "stamp-moves"])
def test_delete_then_undelete(world: World, moves: bool) -> None:
    world.portal.restore_moves_stamp = moves
    deal = world.deal()
    world.wait(hours=1)
    world.portal.archive(deal)
    world.wait(hours=1)
    world.pull()
    assert world.held == {}
    world.wait(days=3)
    world.portal.restore(deal)
    world.wait(minutes=10)
    world.pull()
    assert world.held[deal.id].history["dealstage"]
    world.wait(days=1)
    world.portal.archive(deal)
    world.wait(minutes=10)
    world.pull()
    assert world.held == {}


def test_hard_delete_of_an_open_deal_is_found_within_a_day(world: World) -> None:
    deals = [world.deal(f"Deal {n}") for n in range(3)]
    world.open_ids = [deal.id for deal in deals]
    world.wait(hours=1)
    world.pull()
    world.portal.erase(deals[0])
    world.wait(days=1)
    assert deals[0].id in {record.id for record in world.pull() if record.deleted}
    assert set(world.held) == {deal.id for deal in deals[1:]}


def test_calculated_field_change_without_stamp(world: World) -> None:
    spec = StreamSpec("opportunities", "deals", ("dealstage", "amount_in_home_currency"), history=("dealstage",))
    deal = world.deal(deal_currency_code="EUR", amount="1000")
    world.open_ids = [deal.id]
    world.wait(hours=1)
    world.pull(spec)
    before = world.held[deal.id]
    world.portal.set_rate("EUR", Decimal("2"))
    world.wait(days=1)
    world.pull(spec)
    assert world.held[deal.id].version == before.version
    assert Decimal(str(world.held[deal.id].values["amount_in_home_currency"])) == 2_000
    assert Decimal(str(before.values["amount_in_home_currency"])) != 2_000


def test_merge_loser_is_tombstoned(world: World) -> None:
    one, three = world.deal("Deal 0"), world.deal("Deal 2")
    world.wait(seconds=1)
    two = world.deal("Deal 1")
    world.wait(hours=1)
    world.pull()
    heir = world.portal.merge(one, two)
    world.wait(minutes=1)
    records = {record.id: record for record in world.pull()}
    assert records[one.id].merged_into == records[two.id].merged_into == heir.id
    assert records[one.id].deleted
    assert len(records[heir.id].history["dealstage"]) >= 2
    world.wait(hours=1)
    last = world.portal.merge(heir, three)
    world.wait(minutes=1)
    world.pull()
    assert set(world.held) == {last.id}


def test_merged_contacts_collapse(world: World) -> None:
    one, two = (world.portal.create("contacts", {"jobtitle": f"Surgeon {n}"}) for n in range(2))
    world.wait(hours=1)
    world.pull(CONTACTS)
    heir = world.portal.merge(one, two)
    world.wait(minutes=1)
    tombstones = {record.id: record.merged_into for record in world.pull(CONTACTS) if record.deleted}
    assert tombstones == {one.id: heir.id, two.id: heir.id}


def test_a_merged_id_is_absent_from_fetch_and_never_written(world: World) -> None:
    one, two, other = world.deal("One"), world.deal("Two"), world.deal("Other")
    heir = world.portal.merge(one, two)
    found = world.crm.fetch("deals", [one.id, other.id, heir.id], ("dealname",))
    assert set(found) == {other.id, heir.id}
    results = {r.id: r for r in world.crm.write([Update("deals", id_, {"kpi_pace": "slow"}) for id_ in (two.id, other.id)])}
    assert (results[two.id].status, results[other.id].status) == ("gone", "written")
    assert heir.id in str(results[two.id].message)
    assert not heir.values.get("kpi_pace")


# -- history, associations, presence ---------------------------------------------------------------------------------------------------


def test_history_is_complete_and_oldest_first(world: World) -> None:
    deal = world.deal()
    stages = ["qualifiedtobuy", "appointmentscheduled", "qualifiedtobuy", "closedlost"]
    for stage in stages:
        world.wait(days=2)
        world.portal.update(deal, {"dealstage": stage})
    world.wait(hours=1)
    world.pull()
    told = world.held[deal.id].history["dealstage"]
    assert [version.value for version in told] == ["appointmentscheduled", *stages]
    assert [version.at for version in told] == sorted(version.at for version in told)
    assert told[-1].value == world.held[deal.id].values["dealstage"]
    assert all(version.by and "@" not in version.by for version in told)


def test_associations_page_per_record(world: World) -> None:
    world.portal.association_page = 7
    deals = [world.deal(f"Deal {n}") for n in range(3)]
    contacts = [world.portal.create("contacts", {"jobtitle": "Surgeon"}) for _ in range(30)]
    for contact in contacts:
        world.portal.associate(deals[0], contact)
    for contact in contacts[:8]:
        world.portal.associate(deals[1], contact, "VAC chair")
    world.wait(hours=1)
    world.pull(LINKED)
    assert {link.id for link in world.held[deals[0].id].links["contacts"]} == {contact.id for contact in contacts}
    assert [link.labels for link in world.held[deals[1].id].links["contacts"]] == [("VAC chair",)] * 8
    assert world.held[deals[2].id].links == {"companies": (), "contacts": ()}


def test_labels_are_names_and_pairs_come_once(world: World) -> None:
    deal, contact = world.deal(), world.portal.create("contacts", {"jobtitle": "Chair"})
    company = world.portal.create("companies", {"name": "Hospital"})
    world.portal.associate(deal, company)
    world.portal.associate(deal, contact, "VAC chair")
    world.portal.associate(deal, contact, "Blocker")
    world.wait(hours=1)
    world.pull(LINKED)
    [link] = world.held[deal.id].links["contacts"]
    assert (link.id, sorted(link.labels)) == (contact.id, ["Blocker", "VAC chair"])
    assert [link.id for link in world.held[deal.id].links["companies"]] == [company.id]
    assert set(world.crm.labels("deals", "contacts")) >= {"VAC chair", "Blocker"}


def test_association_change_alone_is_seen_by_the_daily_sweep(world: World) -> None:
    deals = [world.deal(f"Deal {n}") for n in range(3)]
    contact = world.portal.create("contacts", {"jobtitle": "CFO"})
    world.open_ids = [deal.id for deal in deals[:2]]
    pages = list(world.crm.read(ROLES, world.window()))
    assert [page.complete_for for page in pages] == [tuple(world.open_ids), ()]
    assert [record.links["contacts"] for record in pages[0].records] == [(), ()]
    world.bookmark = pages[-1].bookmark
    world.portal.associate(deals[1], contact, "Economic buyer")
    world.wait(hours=2)
    world.calls()
    assert world.pull(ROLES) == []
    assert world.calls() == []
    world.wait(hours=22)
    swept = {record.id: record.links["contacts"] for record in world.pull(ROLES)}
    assert swept == {deals[0].id: (), deals[1].id: (Link(contact.id, ("Economic buyer",)),)}
    assert kinds(world.calls()) == ["links"]


def test_a_failed_association_call_is_not_an_empty_set(world: World) -> None:
    world.portal.associate(world.deal(), world.portal.create("contacts", {"jobtitle": "CFO"}))
    world.wait(hours=1)
    world.portal.denied_scopes.add("crm.objects.contacts.read")
    with pytest.raises(MissingScope):
        world.pull(LINKED)
    assert world.held == {}
    assert world.bookmark is None


def test_presence_is_asked_and_the_text_never_travels(world: World) -> None:
    spec = StreamSpec("opportunities", "deals", ("dealstage",), history=("dealstage",), presence=("hs_next_step",))
    full, empty = world.deal(hs_next_step="call Dr. X"), world.deal()
    world.wait(hours=1)
    world.pull(spec)
    assert world.held[full.id].values == {"dealstage": "appointmentscheduled", "hs_next_step": True}
    assert world.held[empty.id].values["hs_next_step"] is False
    world.portal.update(full, {"hs_next_step": ""})
    world.wait(hours=1)
    world.pull(spec)
    assert world.held[full.id].values["hs_next_step"] is False


# -- mistakes, restarts, width --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("history", [(), ("dealstage",)], ids=["search", "list"])
def test_an_unknown_property_is_named(world: World, history: tuple[str, ...]) -> None:
    world.deal()
    world.wait(hours=1)
    with pytest.raises(CrmConfigError, match="dealstagee"):
        world.pull(StreamSpec("opportunities", "deals", ("dealname", "dealstagee"), history=history))


def test_wide_selections_lose_no_property(world: World) -> None:
    wide = tuple(sorted(world.crm.discover("deals")))
    names = tuple(name for name in wide if name not in ("hs_next_step",))
    assert len(",".join(names)) > 4_000
    deal = world.deal("Wide")
    world.wait(hours=1)
    for spec in (StreamSpec("opportunities", "deals", names, history=("dealstage",)), StreamSpec("opportunities", "deals", names)):
        world.bookmark = None
        [record] = world.pull(spec)
        assert set(record.values) == set(names)
        assert record.values["dealname"] == "Wide"
        assert record.id == deal.id


def test_a_killed_first_load_goes_on_and_misses_no_change(world: World) -> None:
    with world_of(world.house, world.portal, page_size=20) as small:
        deals = [small.deal(f"Deal {n}") for n in range(95)]
        small.wait(hours=1)
        first = small.pull(pages=2)
        small.wait(hours=3)
        small.portal.update(deals[0], {"dealname": "changed while we were down"})
        small.portal.archive(deals[1])
        small.wait(hours=1)
        second = small.pull()
        assert len(first) == 40
        assert set(small.held) == {deal.id for deal in deals} - {deals[1].id}
        assert small.held[deals[0].id].values["dealname"] == "changed while we were down"
        assert len([record for record in second if record.id in {r.id for r in first}]) <= 2


@pytest.mark.parametrize("killed", [1, 2])
def test_a_run_killed_between_its_passes_goes_on_and_catches_up(world: World, killed: int) -> None:
    deals = [world.deal(f"Deal {n}") for n in range(4)]
    world.wait(hours=3)
    world.pull()
    world.wait(hours=3)
    world.portal.update(deals[0], {"dealname": "first"})
    world.portal.archive(deals[1])
    world.wait(hours=2)
    world.pull(pages=killed)
    world.wait(hours=3)
    world.portal.update(deals[2], {"dealname": "second"})
    world.wait(minutes=1)
    world.pull()
    assert {record.id: record.values["dealname"] for record in world.held.values()} == {
        deals[0].id: "first", deals[2].id: "second", deals[3].id: "Deal 3",
    }  # fmt: skip


def test_owners_are_read_twice(world: World) -> None:
    here, left = world.portal.add_owner("Ann", "Lee", "ann@example.com"), world.portal.add_owner("Bob", "Ray", "bob@example.com")
    world.portal.archive_owner(left.id)
    world.pull(StreamSpec("owners", "owners", ("firstName", "archived")))
    assert world.held[here.id].values == {"firstName": "Ann", "archived": False}
    assert world.held[left.id].values == {"firstName": "Bob", "archived": True}


def test_deals_without_stage_are_records(world: World) -> None:
    bare = world.portal.create("deals", {"dealname": "Bare"})
    world.wait(hours=1)
    world.pull()
    assert world.held[bare.id].values["dealstage"] is None
    assert "dealstage" not in world.held[bare.id].history


def test_account_zone_and_pipelines(world: World) -> None:
    info = world.crm.check()
    assert (info.org_id, info.time_zone, info.currency, info.api_version) == ("24680135", "US/Eastern", "USD", "2026-03")
    assert info.now == world.portal.clock.now.replace(microsecond=0)
    assert info.calls_max == 650_000
    devices = world.crm.pipelines()[0]
    won = next(stage for stage in devices.stages if stage.id == "closedwon")
    lost = next(stage for stage in devices.stages if stage.id == "closedlost")
    assert (won.closed, won.won, lost.closed, lost.won) == (True, True, True, False)


def test_missing_scopes_are_found_by_trying(world: World) -> None:
    world.portal.denied_scopes.add("crm.objects.companies.read")
    refused = world.crm.unreadable(["deals", "companies", "owners"])
    assert set(refused) == {"companies"}
    assert "crm.objects.companies.read" in refused["companies"].message


def test_the_portal_never_has_to_refuse_for_the_rate(house: House, portal: Portal) -> None:
    """On real time, with the portal's limits on: five searches a second, a hundred and ninety calls in ten seconds."""
    portal.limits_on = True
    house.enter(portal)
    crm = HubSpotCrm(HubSpotSettings(token="sandbox-key", base_url=house.url), SystemClock(), {})
    for _ in range(4):
        for spec in (COMPANIES, CALLS, CONTACTS):
            list(crm.read(spec, Window(None, portal.clock.now)))
    crm.close()
    assert house.statuses == [200] * 24
    assert crm.meter.allocation_used == 24


def test_version_2026_09_is_a_setting(world: World) -> None:
    with world_of(world.house, world.portal, api_version="2026-09") as newer:
        newer.deal()
        newer.wait(hours=1)
        assert len(newer.pull()) == 1
    assert HubSpotSettings(token="x").api_version == "2026-03"
