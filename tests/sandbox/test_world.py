"""One business, two CRMs: both hear the same story, and both end up with the same deals."""

from collections import Counter
from datetime import datetime, timedelta

import pytest

from connector.sandbox import events as e
from connector.sandbox.business import SEED_END, Business
from connector.sandbox.errors import SandboxError
from connector.sandbox.world import World


@pytest.fixture(scope="module")
def seeded():
    world = World()
    world.seed()
    return world


@pytest.fixture(scope="module")
def ticked():
    world = World()
    world.seed()
    assert world.tick(9) > 20
    return world


def expected(days=0):
    """Deals, open deals and accounts by what was told, without looking into a CRM."""
    business = Business(1)
    told = [*business.history(), *(business.days(days) if days else ())]
    stages, gone, accounts = {}, set(), set()
    for event in told:
        match event:
            case e.DealOpened():
                stages[event.deal] = event.stage
            case e.StageMoved():
                stages[event.deal] = event.stage
            case e.DealDeleted():
                gone.add(event.deal)
            case e.DealRestored():
                gone.discard(event.deal)
            case e.DealsMerged():
                gone.add(event.loser)
            case e.AccountFound():
                accounts.add(event.account)
            case e.AccountsMerged():
                accounts.discard(event.loser)
            case _:
                pass
    live = Counter(stage for deal, stage in stages.items() if deal not in gone)
    return live, len(accounts), Counter({event.activity: event.kind for event in told if isinstance(event, e.ActivityLogged)}.values())


CLOSED = {"won", "lost", "no_decision", "duplicate", "first_case"}


def salesforce(world):
    rows = [row for row in world.org.tables["Opportunity"].rows.values() if not row.get("IsDeleted")]
    return len(rows), sum(not row["IsClosed"] for row in rows)


def hubspot(world):
    records = [world.portal.records["deals"][number] for number in world.portal.live["deals"]]
    return len(records), sum(record.values.get("hs_is_closed") != "true" for record in records)


def check(world, days):
    live, accounts, _ = expected(days)
    deals = (sum(live.values()), sum(n for stage, n in live.items() if stage not in CLOSED))
    assert salesforce(world) == deals
    assert hubspot(world) == deals
    counts = world.counts()
    assert counts["salesforce"]["accounts"] == counts["hubspot"]["companies"] == accounts


def test_both_crms_hold_the_same_deals_after_the_seed(seeded):
    check(seeded, 0)
    assert seeded.clock.now == SEED_END


def test_both_crms_hold_the_same_deals_after_living_on(ticked):
    check(ticked, 9)
    assert ticked.clock.now == SEED_END + timedelta(days=9)


def test_every_activity_arrives_in_both(seeded):
    kinds = expected()[2]
    tasks, meetings = (seeded.org.tables[name].rows for name in ("Task", "Event"))
    assert Counter(row["TaskSubtype"].lower() for row in tasks.values()) + Counter(meeting=len(meetings)) == kinds
    assert {kind: len(seeded.portal.records[f"{kind}s"]) for kind in kinds} == kinds


def test_living_on_in_steps_leaves_the_same_records(ticked):
    steps = World()
    steps.seed()
    told = [steps.tick(), steps.tick(3), steps.tick(5)]
    assert min(told[1:]) > 0
    assert steps.clock.now == ticked.clock.now
    assert steps.org.tables["Opportunity"].rows == ticked.org.tables["Opportunity"].rows
    assert {n: r.values for n, r in steps.portal.records["deals"].items()} == {n: r.values for n, r in ticked.portal.records["deals"].items()}


def test_writes_through_the_api_do_not_hold_the_business_up(ticked):
    world = World()
    world.seed()
    ahead = timedelta(seconds=321)
    world.clock.advance_to(world.clock.now + ahead)
    world.tick(9)
    assert world.clock.now == SEED_END + ahead + timedelta(days=9)
    assert world.counts() == ticked.counts()
    one, two = (max(row["SystemModstamp"] for row in found.org.tables["Opportunity"].rows.values()) for found in (ticked, world))
    assert datetime.fromisoformat(two) - datetime.fromisoformat(one) == ahead


def test_reset_forgets_what_happened_since():
    world = World()
    world.seed()
    before = world.counts()
    rows = dict(world.org.tables["Opportunity"].rows)
    org = world.org
    world.tick(5)
    deal = next(iter(rows))
    world.org.update("Opportunity", deal, {"Name": "changed by hand"})
    world.reset()
    assert world.org is not org
    assert world.counts() == before
    assert world.clock.now == SEED_END
    assert world.org.tables["Opportunity"].rows[deal]["Name"] != "changed by hand"


@pytest.mark.parametrize("days", [0, -1, 100_000])
def test_days_out_of_range_are_refused(seeded, days):
    now = seeded.clock.now
    with pytest.raises(SandboxError, match="days must be from 1"):
        seeded.tick(days)
    assert seeded.clock.now == now


def test_no_record_is_stamped_after_now(seeded):
    latest = max(row["SystemModstamp"] for table in seeded.org.tables.values() for row in table.rows.values() if "SystemModstamp" in row)
    assert latest <= seeded.clock.now.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    assert max(record.stamp for record in seeded.portal.records["deals"].values()) <= seeded.portal.now


def test_a_company_that_has_not_provisioned_the_scorecard():
    world = World(bare=True)
    assert not [name for name in world.org.schema["Opportunity"].fields if name.startswith("KPI_")]
    assert not [name for name in world.portal.properties["deals"] if name.startswith("kpi_")]
    world.bare = False
    world.empty()
    assert "KPI_Pace__c" in world.org.schema["Opportunity"].fields
    assert "kpi_pace" in world.portal.properties["deals"]
