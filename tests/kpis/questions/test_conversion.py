"""Cohorts: who enters, who has reached, who is only pending; moves from stage to stage; pilots by visits and by dates."""

from __future__ import annotations

from typing import Any

import pytest

from connector.kpis.book.book import Book
from connector.kpis.catalogue import BY_QUESTION
from connector.kpis.definition import REGISTRY
from connector.kpis.evidence import IDENTITIES

Org = Any
COHORTS = ("meeting_to_demo_conversion", "demo_to_trial_conversion", "pilot_to_paid_conversion", "qualified_meeting_to_close", "demo_to_close_rate")


def shape(org: Org, kpi: str, variant: str = "", subject: str = "company") -> tuple[Any, int, int | None]:
    found = org.measure(kpi, variant, subject)
    return found.value, found.n, found.pending


@pytest.mark.parametrize("name", BY_QUESTION["conversion"])
def test_as_many_records_are_shown_as_were_counted(name: str, golden_book: Book) -> None:
    for measure, evidence in REGISTRY[name].evidenced(golden_book):
        assert evidence is not None
        assert evidence.columns[0] in IDENTITIES
        assert evidence.height == measure.n


def test_the_evidence_says_who_is_above_the_line(golden_book: Book) -> None:
    shown = next(e for m, e in REGISTRY["demo_to_trial_conversion"].evidenced(golden_book) if (m.variant, m.subject) == ("", "company"))
    assert shown is not None
    assert shown.filter("reached")["opportunity"].to_list() == ["O1", "O2", "O4"]
    won = next(e for m, e in REGISTRY["demo_to_close_rate"].evidenced(golden_book) if (m.variant, m.subject) == ("", "company"))
    assert won is not None
    assert won.filter("won")["opportunity"].to_list() == ["O1", "O3"]


# -- cohorts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COHORTS)
def test_a_ladder_without_the_stage_has_no_rate(name: str, org: Org) -> None:
    gone = {need.removeprefix("stage:") for need in REGISTRY[name].needs}
    org.given["stages"]["ladder"] = [rung for rung in org.given["stages"]["ladder"] if rung["key"] not in gone]
    org.deal("D1", "lead 2026-05-04", "closed_won 2026-08-02")
    rows = [(m.variant, m.subject, m.value, m.reason) for m in REGISTRY[name].measures(org.book())]
    assert rows == [("", "company", None, "missing_input"), ("raw", "company", None, "missing_input")]


def test_an_entry_counts_once_by_the_first_visit(org: Org) -> None:
    org.deal("D1", "qualified_meeting 2026-02-15", "demo 2026-03-01", "qualified_meeting 2026-05-01", "demo 2026-06-01")  # first a day too early
    org.deal("D2", "qualified_meeting 2026-02-16", "demo 2026-03-01", "qualified_meeting 2026-05-01")
    org.deal("D3", "demo 2026-05-04")  # entered late: no entrant of qualified_meeting
    assert shape(org, "meeting_to_demo_conversion") == (1, 1, None)


def test_a_skip_resolves_and_a_move_back_does_not(org: Org) -> None:
    org.deal("skipped", "qualified_meeting 2026-05-04", "vac 2026-06-01")
    org.deal("back", "qualified_meeting 2026-05-04", "lead 2026-06-01")
    org.deal("parked", "qualified_meeting 2026-05-04", "on_hold 2026-06-01")
    org.deal("unmapped", "qualified_meeting 2026-05-04", (None, "2026-06-01"))
    org.deal("reopened", "qualified_meeting 2026-05-04", "closed_lost 2026-06-01", "qualified_meeting 2026-07-01")
    assert shape(org, "meeting_to_demo_conversion") == (0, 1, 4)
    assert shape(org, "meeting_to_demo_conversion", "raw") == (0, 5, 4)


def test_a_demo_before_the_entry_is_not_reached_by_it(org: Org) -> None:
    org.deal("D1", "demo 2026-05-04", "qualified_meeting 2026-06-01")
    assert shape(org, "meeting_to_demo_conversion") == (None, 0, 1)


def test_other_types_void_and_deleted_deals_are_no_entrants(org: Org) -> None:
    org.deal("D1", "demo 2026-05-04", "closed_won 2026-08-02", deal_type="renewal")
    org.deal("D2", "demo 2026-05-04", "closed_void 2026-08-02").deal("D3", "demo 2026-05-04", "closed_won 2026-08-02", deleted=True)
    assert shape(org, "demo_to_close_rate") == (None, 0, None)


def test_a_pilot_start_date_reaches_pilot_once_it_has_come(org: Org) -> None:
    org.deal("D1", "demo 2026-05-04", pilot_started_on="2027-02-16")
    assert shape(org, "demo_to_trial_conversion") == (None, 0, 1)
    org.deal("D2", "demo 2026-05-04", pilot_started_on="2027-02-15")
    assert shape(org, "demo_to_trial_conversion") == (1, 1, 1)


def test_a_corrected_close_decides_and_no_decision_is_closed(org: Org) -> None:
    org.deal("D1", "demo 2026-05-04", "closed_lost 2026-08-01", "closed_won 2026-08-05").deal(
        "D2", "demo 2026-05-04", "closed_no_decision 2026-08-01"
    )
    assert shape(org, "demo_to_close_rate") == (0.5, 2, None)


def test_a_pilot_that_exists_only_as_dates_enters_with_its_start(org: Org) -> None:
    org.deal("D1", "demo 2026-05-04", "closed_won 2026-09-01", pilot_started_on="2026-06-01", pilot_ended_on="2026-07-01")
    org.deal("old", "demo 2025-05-04", "closed_won 2026-09-01", pilot_started_on="2026-02-15")
    org.deal("visited", "pilot 2026-02-15", "closed_lost 2026-09-01", pilot_started_on="2026-06-01")  # the visit goes before the date
    assert shape(org, "pilot_to_paid_conversion") == (1, 1, None)


def test_segments_and_sources_that_are_missing_are_unknown(org: Org) -> None:
    org.deal("D1", "qualified_meeting 2026-05-04", "closed_won 2026-09-01", account="A404", lead_source=None)
    assert shape(org, "qualified_meeting_to_close", subject="segment=unknown") == (1, 1, None)
    assert shape(org, "qualified_meeting_to_close", subject="source=unknown") == (1, 1, None)


def test_a_deal_counts_under_each_of_its_personas_by_the_close(org: Org) -> None:
    org.deal("D1", "qualified_meeting 2026-05-04", "closed_won 2026-09-01")
    for contact, persona, added in [("C1", "cfo", "2026-09-01"), ("C2", "cmio", None), ("C3", "legal", "2026-09-02"), ("C4", None, None)]:
        org.add("contacts", id=contact, persona=persona).add("opportunity_contacts", opportunity="D1", contact=contact, added_on=added)
    subjects = {m.subject for m in REGISTRY["qualified_meeting_to_close"].measures(org.book())}
    assert {subject for subject in subjects if subject.startswith("persona")} == {"persona=cfo", "persona=cmio"}


# -- from stage to stage -------------------------------------------------------------------------------------------------


def moves(org: Org) -> dict[str, tuple[Any, int, int | None]]:
    return {m.subject: (m.value, m.n, m.pending) for m in REGISTRY["stage_to_stage_conversion_rate"].measures(org.book())}


def test_the_rows_of_a_stage_add_up_to_one_unmapped_goals_included(org: Org) -> None:
    org.deal("D1", "demo 2026-05-04", "pilot 2026-06-01", "demo 2026-07-01", (None, "2026-08-01"), "closed_won 2026-09-01")
    org.deal("D2", "demo 2026-05-04", "closed_lost 2026-06-01", "demo 2026-07-01")
    found = moves(org)
    third = (pytest.approx(1 / 3), 3, 1)
    assert found == {
        "from=demo,to=pilot": third,
        "from=demo,to=unmapped": third,
        "from=demo,to=closed_lost": third,
        "from=pilot,to=demo": (1, 1, None),
    }


def test_a_visit_counts_by_the_day_it_began(org: Org) -> None:
    org.deal("D1", "demo 2026-02-15", "pilot 2026-06-01", "on_hold 2026-07-01", "vac 2026-08-01")
    assert moves(org) == {"from=pilot,to=on_hold": (1, 1, None), "from=on_hold,to=vac": (1, 1, None)}


def test_stages_without_an_ended_visit_and_other_types_have_no_row(org: Org) -> None:
    org.deal("D1", "demo 2026-05-04").deal("D2", "demo 2026-05-04", "pilot 2026-06-01", deal_type="expansion")
    assert moves(org) == {}


# -- pilots --------------------------------------------------------------------------------------------------------------


def test_a_running_pilot_is_a_lower_bound_and_a_left_one_is_not(org: Org) -> None:
    org.deal("D1", "pilot 2027-01-16", deal_type="expansion").deal("D2", "pilot 2026-06-01", "vac 2026-07-01")
    rows = {m.subject: (m.value, m.pending, m.reason) for m in REGISTRY["average_pilot_duration"].measures(org.book()) if m.window == "asof"}
    assert rows == {"opportunity=D1": (30, 1, "censored"), "opportunity=D2": (30, None, None)}
    assert shape(org, "average_pilot_duration", "mean") == (30, 1, None)  # the expansion is not pending: new business only


def test_while_all_pilots_run_there_is_no_mean(org: Org) -> None:
    org.deal("D1", "pilot 2026-11-17").deal("D2", "pilot 2026-11-16")  # 90 and 91 days
    assert org.measure("average_pilot_duration", "median").reason == "only_running"
    assert shape(org, "average_pilot_duration", "over_limit_share") == (0.5, 2, 2)
    assert org.measure("average_pilot_duration", "over_limit").value == 1


def test_pilot_dates_out_of_order_are_no_pilot(org: Org) -> None:
    org.deal("D1", "demo 2026-05-04", pilot_started_on="2026-07-01", pilot_ended_on="2026-06-01")
    assert org.measure("average_pilot_duration", "over_limit").n == 0


def test_a_pilot_by_dates_ends_with_its_deal(org: Org) -> None:
    org.deal("D1", "demo 2026-05-04", "closed_lost 2026-08-01", pilot_started_on="2026-07-02")
    assert shape(org, "average_pilot_duration", "mean") == (30, 1, None)
