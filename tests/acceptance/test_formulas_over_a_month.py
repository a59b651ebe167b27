"""Each formula field of a deal over a month, across a change of daylight saving: what its definition says for that day, how the KPI differs.

The days are read half an hour before midnight in New York, so that the change of 14 March 2027 makes one date fall out: 13 March at 23:30 is
followed, 24 hours later, by 15 March at 00:30. Definitions and differences: the scorecard-fields page, section 2.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests

from connector.app import App
from connector.cli.init import create
from connector.cli.kpis import books
from connector.cli.main import main
from connector.clock import SystemClock
from connector.kpis.book.book import Book
from connector.kpis.cards.deal import Scorecard, scorecards
from connector.kpis.questions.conversion import running_pilots
from connector.sandbox.server import serving
from connector.sandbox.world import World

NEW_YORK, BERLIN = "America/New_York", "Europe/Berlin"
DAYS = 30
SYNCED = frozenset({0, 4, 8, 11, 12, 13, 14, 18, 22, 26, 29})
"""Days on which a sync runs, and formulas are held against KPIs; against their definition they are held on every day."""
BEGINS = datetime(2027, 3, 1, 4, 30, tzinfo=UTC)
LIMITS = {"clinical_validation": 60, "pilot": 90, "security_review": 45, "compliance_legal": 60, "vac": 60}
LABELS = {
    "Clinical validation": "clinical_validation", "Pilot": "pilot", "Security review": "security_review",
    "Compliance and legal": "compliance_legal", "VAC review": "vac",
}  # fmt: skip
READ = (
    "Id", "IsClosed", "CreatedDate", "CloseDate", "LastStageChangeDate", "Evaluation_Start__c", "Evaluation_End__c", "LOI_Signed_On__c",
    "Security_Questionnaire_Received__c", "Security_Questionnaire_Returned__c", "Recurring_ARR__c", "Capital_Portion__c", "KPI_Stage__c",
    "KPI_Stage_Entered_On__c", "KPI_Pilot_Limit_On__c", "KPI_Last_Buyer_Activity__c",
)  # fmt: skip
FORMULAS = (
    "KPI_Days_In_CRM_Stage__c", "KPI_Days_In_Stage__c", "KPI_Stalled__c", "KPI_Deal_Age__c", "KPI_Pilot_Days__c", "KPI_Pilot_Overrun__c",
    "KPI_SecQ_Days__c", "KPI_LOI_To_SecQ_Days__c", "KPI_Blended_ARR__c", "KPI_Days_Since_Buyer__c",
)  # fmt: skip
Deal = dict[str, Any]


@dataclass(frozen=True)
class Day:
    """One day: every deal as a rep in New York and one in Berlin sees it, and the KPIs' own view of the open ones."""

    today: date
    berlin_today: date
    seen: dict[str, Deal]
    from_berlin: dict[str, Deal]
    cards: dict[str, Scorecard] = field(default_factory=dict)
    pilots: dict[str, int] = field(default_factory=dict)
    stays: dict[str, list[tuple[date, date | None]]] = field(default_factory=dict)  # in pilot, in order
    closed: dict[str, tuple[date, date]] = field(default_factory=dict)
    segments: dict[str, str | None] = field(default_factory=dict)


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Day]]:
    world = World(bare=True)
    world.seed()
    world.tick((BEGINS - world.clock.now).days)
    world.clock.advance_to(BEGINS)
    with serving(world) as base_url, pytest.MonkeyPatch.context() as patched:
        patched.setattr(SystemClock, "sleep", lambda clock, seconds: None)
        root = tmp_path_factory.mktemp("month") / "project"
        create(root, "sandbox", "medtech", port=int(base_url.rpartition(":")[2]), only="salesforce")
        with (root / "connector.toml").open("a", encoding="utf-8") as settings:  # weekly values fall due for all deals at once
            settings.write("\n[guards]\nmax_records_share = 1.0\nmax_field_share = 1.0\n")
        patched.setattr(sys, "stdin", io.StringIO(f"sandbox-as-{world.org.admin}\n"))
        verb(root, "provision", "apply", "--token-stdin", "--yes")
        here, there = readers(world)
        days = []
        for number in range(DAYS):
            if number in SYNCED:
                verb(root, "sync")
            days.append(day(root, world, base_url, here, there, with_kpis=number in SYNCED))
            world.tick(1)
        yield days


def verb(root: Path, *words: str) -> None:
    said = io.StringIO()
    with redirect_stdout(said):
        code = main(["--project", str(root), *words, "--json"])
    assert code == 0, said.getvalue()[:2000]


def readers(world: World) -> tuple[str, str]:
    """Two reps with the readers' set, one of whom sits in Berlin."""
    org = world.org
    set_id = next(key for key, row in org.tables["PermissionSet"].rows.items() if row["Name"] == "KPI_Scorecard_Reader")
    reps = sorted({str(row["OwnerId"]) for row in org.tables["Opportunity"].rows.values() if not row.get("IsClosed")} - {org.admin, org.api_user})
    for rep in reps[:2]:
        org.insert("PermissionSetAssignment", {"AssigneeId": rep, "PermissionSetId": set_id})
    org.update("User", reps[1], {"TimeZoneSidKey": BERLIN})
    return reps[0], reps[1]


def day(root: Path, world: World, base_url: str, here: str, there: str, *, with_kpis: bool) -> Day:
    zones = [world.clock.now.astimezone(ZoneInfo(zone)).date() for zone in (NEW_YORK, BERLIN)]
    seen = Day(zones[0], zones[1], read(base_url, here), read(base_url, there))
    if not with_kpis:
        return seen
    with App(root) as app:
        book: Book = books(app, ["sf-demo"], None)["sf-demo"]
        cards, pilots = scorecards(book), running_pilots(book)
        closed = {id: (created, on) for id, created, on in book.deals.select("id", "created", "closed").iter_rows() if on is not None}
        stays: dict[str, list[tuple[date, date | None]]] = {}
        for id, entered, left in book.visits.filter(stage="pilot").select("opportunity", "entered", "left").iter_rows():
            stays.setdefault(id, []).append((entered, left))
        segments = dict(book.deals.select("id", "segment").iter_rows())
    assert zones[0] == book.today
    return replace(seen, cards=cards, pilots=pilots, stays=stays, closed=closed, segments=segments)


def read(base_url: str, user: str) -> dict[str, Deal]:
    query = {"q": f"SELECT {', '.join((*READ, *FORMULAS))} FROM Opportunity"}
    answer = requests.get(f"{base_url}/services/data/v68.0/query", params=query, headers={"Authorization": f"Bearer sandbox-as-{user}"}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["done"]
    return {row["Id"]: row for row in answer.json()["records"]}


def on(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def local(text: str | None, zone: str) -> date | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(ZoneInfo(zone)).date()


def apart(end: date | None, start: date | None) -> int | None:
    return None if end is None or start is None else (end - start).days


def defined(deal: Deal, today: date, zone: str) -> Deal:
    """The page's definition of each formula, from the other fields of the record."""
    closed, entered = deal["IsClosed"], on(deal["KPI_Stage_Entered_On__c"])
    moved, limit_on = local(deal["LastStageChangeDate"], zone), on(deal["KPI_Pilot_Limit_On__c"])
    received, returned = on(deal["Security_Questionnaire_Received__c"]), on(deal["Security_Questionnaire_Returned__c"])
    arr, capital = deal["Recurring_ARR__c"], deal["Capital_Portion__c"]
    label = deal["KPI_Stage__c"]
    limit = 99_999 if label == "On hold" else LIMITS.get(LABELS.get(label, ""), 180)
    in_stage = None if closed else apart(today, entered)
    return {
        "KPI_Days_In_CRM_Stage__c": None if closed else apart(today, moved),
        "KPI_Days_In_Stage__c": in_stage,
        "KPI_Stalled__c": in_stage is not None and in_stage > limit,
        "KPI_Deal_Age__c": apart(on(deal["CloseDate"]) if closed else today, local(deal["CreatedDate"], zone)),
        "KPI_Pilot_Days__c": apart(on(deal["Evaluation_End__c"]) or today, on(deal["Evaluation_Start__c"])),
        "KPI_Pilot_Overrun__c": limit_on is not None and today > limit_on,
        "KPI_SecQ_Days__c": apart(returned or today, received),
        "KPI_LOI_To_SecQ_Days__c": apart(returned, on(deal["LOI_Signed_On__c"])),
        "KPI_Blended_ARR__c": None if arr is None and capital is None else (arr or 0) + (capital or 0) / 5,
        "KPI_Days_Since_Buyer__c": apart(today, on(deal["KPI_Last_Buyer_Activity__c"])),
    }


def test_every_formula_is_its_definition_on_every_day(month: list[Day]) -> None:
    assert len(month) == DAYS
    for a_day in month:
        for seen, today, zone in ((a_day.seen, a_day.today, NEW_YORK), (a_day.from_berlin, a_day.berlin_today, BERLIN)):
            for id, deal in seen.items():
                assert {name: deal[name] for name in FORMULAS} == pytest.approx(defined(deal, today, zone)), (id, today, zone)


def test_each_formula_says_something_in_that_month(month: list[Day]) -> None:
    for name in FORMULAS:
        values = {deal[name] for a_day in month for deal in a_day.seen.values()}
        assert len(values - {None}) > 1, name


def test_the_clock_change_takes_one_date_away_and_the_counters_know(month: list[Day]) -> None:
    steps = [(after.today - before.today).days for before, after in pairwise(month)]
    assert sorted(set(steps)) == [1, 2]
    assert steps.count(2) == 1
    place = steps.index(2)
    before, after = month[place], month[place + 1]
    assert (before.today, after.today) == (date(2027, 3, 13), date(2027, 3, 15))
    name, still = "KPI_Days_In_Stage__c", 0
    for id, deal in before.seen.items():
        later = after.seen.get(id, deal)
        if None not in (deal[name], later[name]) and later["KPI_Stage_Entered_On__c"] == deal["KPI_Stage_Entered_On__c"]:
            assert later[name] - deal[name] == 2
            still += 1
    assert still > 50


def test_days_in_stage_and_since_the_buyer_are_the_kpis_own(month: list[Day]) -> None:
    """F2, F12: no difference is listed, and there is none."""
    for a_day in month:
        for id, card in a_day.cards.items():
            assert a_day.seen[id]["KPI_Days_In_Stage__c"] == card.days_in_stage, (id, a_day.today)
            assert a_day.seen[id]["KPI_Days_Since_Buyer__c"] == apart(a_day.today, card.last_buyer_activity), (id, a_day.today)


def test_stalled_differs_from_the_kpi_by_the_limits_of_segments_alone(month: list[Day]) -> None:
    """F3: a clinic's deal is stale after 90 days, which is in Stale reason; the formula has the default."""
    differing = 0
    for a_day in month:
        for id, card in a_day.cards.items():
            stale = "stage_age" in card.stale_reason
            if a_day.seen[id]["KPI_Stalled__c"] != stale:
                assert stale
                assert card.stage not in LIMITS
                assert a_day.segments[id] == "clinic"
                assert card.days_in_stage is not None
                assert 90 < card.days_in_stage <= 180
                differing += 1
    assert differing > 0


def test_deal_age_is_the_kpis_while_open_and_stops_at_the_close_date_that_people_edit(month: list[Day]) -> None:
    """F4: KPI 29 stops at the moment of closing."""
    differing = 0
    for a_day in month:
        for id, card in a_day.cards.items():
            assert a_day.seen[id]["KPI_Deal_Age__c"] == card.deal_age, (id, a_day.today)
        for id, (created, closed) in a_day.closed.items():
            if id not in a_day.seen or not a_day.seen[id]["IsClosed"]:
                continue
            shown, close_date = a_day.seen[id]["KPI_Deal_Age__c"], on(a_day.seen[id]["CloseDate"])
            assert shown - (closed - created).days == apart(close_date, closed), (id, a_day.today)
            differing += close_date != closed
    assert differing > 0


def test_the_crms_own_clock_is_blank_until_a_deal_moves_and_never_older_than_ours(month: list[Day]) -> None:
    """F1: native stages, and no memory of when a deal that never moved came in."""
    blank = 0
    for a_day in month:
        for id, card in a_day.cards.items():
            native = a_day.seen[id]["KPI_Days_In_CRM_Stage__c"]
            if native is None:
                assert a_day.seen[id]["LastStageChangeDate"] is None
                blank += card.days_in_stage is not None
            else:
                assert card.days_in_stage is not None
                assert native <= card.days_in_stage, (id, a_day.today)
    assert blank > 0


def test_over_the_limit_is_exact_and_pilot_days_take_the_gaps_along(month: list[Day]) -> None:
    """F6 agrees with KPI 44 on each day. F5 is longer by the gaps between pilots, and counts from the mapped day, not from the first pilot's."""
    running = equal = 0
    for a_day in month:
        for id in a_day.cards:
            days, deal = a_day.pilots.get(id), a_day.seen[id]
            assert deal["KPI_Pilot_Overrun__c"] == (days is not None and days > 90), (id, a_day.today)
            start, shown = on(deal["Evaluation_Start__c"]), deal["KPI_Pilot_Days__c"]
            assert (shown is None) == (start is None)
            if days is None or start is None or deal["Evaluation_End__c"] is not None:
                continue
            running += 1
            stays = a_day.stays.get(id, [(start, None)])
            gaps = sum((after - left).days for (_, left), (after, _) in pairwise(stays) if left is not None)
            assert shown == days + gaps + (stays[0][0] - start).days, (id, a_day.today)
            equal += shown == days
    assert 0 < equal < running


def test_another_time_zone_is_at_most_a_day_apart(month: list[Day]) -> None:
    """All that take a day of an instant, or today: in the zone of whoever looks."""
    differing = 0
    for a_day in month:
        assert a_day.berlin_today - a_day.today in (timedelta(0), timedelta(1))
        for id, deal in a_day.seen.items():
            for name in FORMULAS:
                here, there = deal[name], a_day.from_berlin[id][name]
                assert (here is None) == (there is None)
                if isinstance(here, int | float) and not isinstance(here, bool):
                    assert abs(here - there) <= 1, (id, name)
                    differing += here != there
    assert differing > 0
