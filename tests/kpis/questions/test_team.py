"""The rep programme beyond the golden org: shared meetings, several deals, moved days, and who may be ranked."""

from __future__ import annotations

from typing import Any

import pytest

from connector.kpis.compute import PRESETS
from connector.kpis.definition import REGISTRY
from connector.kpis.evidence import identity
from connector.kpis.leaderboard import WARNING, leaderboard
from connector.model.kpi_settings import KpiSettings

PROGRAMME = (
    "activity_counts", "presentations_to_hcps", "hcp_workshops", "meetings_held", "hcp_followup_on_time_rate", "knowledge_quotient",
    "sales_conversation_skill_score", "gamification_points",
)  # fmt: skip
KPIS = ("sales_capacity_utilization", *PROGRAMME[1:])


def meeting(org: Any, id: str, on: str = "2027-02-03", owner: str | None = "R1", **values: Any) -> Any:
    return org.add("activities", id=id, owner=owner, **({"kind": "meeting", "outcome": "held", "on": on} | values))


def task(org: Any, id: str, due: str, done: str | None, **values: Any) -> Any:
    return org.add("activities", id=id, owner="R1", **({"kind": "task", "topic": "follow_up", "due_on": due, "completed_on": done} | values))


def each(org: Any, kpi: str) -> dict[str, Any]:
    return {m.subject: m.value for m in REGISTRY[kpi].measures(org.book())}


def test_activity_is_in_no_preset_and_the_leaderboard_is_off() -> None:
    assert {name for preset in PRESETS.values() for name in preset} & set(PROGRAMME) == set()
    assert not any(REGISTRY[kpi].divisible for kpi in KPIS)  # meetings and tasks without a deal count as well
    assert KpiSettings().programme.leaderboard is False
    assert WARNING == "counting activity is a trap (medtech CRO KPIs)"


# -- time ---------------------------------------------------------------------------------------------------------


def test_weeks_of_the_last_ninety_days(org: Any) -> None:
    """T90D begins on 2026-11-18, a Wednesday: the week of Monday 2026-11-16 began before it, the next one counts."""
    hours = {"owner_key": "R1", "category": "selling", "hours": 10}
    org.file("time_log", hours | {"week": "2026-11-16"}, hours | {"week": "2026-11-23"},
             hours | {"week": "2027-02-15", "category": "show", "hours": 30},
             hours | {"week": "2027-02-22"}, hours | {"week": "2027-01-04", "owner_key": "X9"})  # fmt: skip
    assert each(org, "sales_capacity_utilization") == {"company": 0.4, "owner=R1": 0.25, "owner=R2": None}
    assert org.show("sales_capacity_utilization", subject="owner=R2") == "None ratio, n=0, no_denominator"


# -- meetings -----------------------------------------------------------------------------------------------------


def test_a_shared_presentation_counts_once_for_each_team_and_for_its_organiser(org: Any) -> None:
    org.add("owners", id="R3", active=True)
    org.file("people", *({"owner_key": f"R{n}", "team": team} for n, team in ((1, "east"), (2, "east"), (3, "west"), (4, None))))
    meeting(org, "m1", topic="presentation", participants=["R2", "R3"])
    meeting(org, "m2", topic="presentation", participants=["R1"])
    assert each(org, "presentations_to_hcps") == {"team=east": 2, "team=west": 1, "owner=R1": 2, "owner=R2": 0, "owner=R3": 0}


def test_without_teams_the_owners_remain(org: Any) -> None:
    meeting(org, "m1", topic="presentation")
    assert each(org, "presentations_to_hcps") == {"owner=R1": 1, "owner=R2": 0}


def test_a_workshop_is_credited_once_to_everybody_who_held_it(org: Any) -> None:
    meeting(org, "m1", topic="workshop", participants=["R2", "R1", "R2", "X9"])
    meeting(org, "m2", topic="workshop", owner=None, participants=["R2"])
    assert each(org, "hcp_workshops") == {"owner=R1": 1, "owner=R2": 2}


@pytest.mark.parametrize("kpi", ["presentations_to_hcps", "hcp_workshops"])
def test_only_what_was_held_in_the_quarter_by_a_person_counts(org: Any, kpi: str) -> None:
    """The quarter began on 2027-01-01; today is 2027-02-15."""
    topic = {"presentations_to_hcps": "presentation", "hcp_workshops": "workshop"}[kpi]
    meeting(org, "first", "2027-01-01", topic=topic)
    meeting(org, "before", "2026-12-31", topic=topic)
    meeting(org, "tomorrow", "2027-02-16", topic=topic)
    meeting(org, "robot", topic=topic, created_by="INTEGRATION")
    for outcome in ("no_show", "canceled", None):
        meeting(org, f"m-{outcome}", topic=topic, outcome=outcome)
    assert org.measure(kpi, subject="owner=R1").value == 1


def test_a_meeting_on_several_deals_counts_once_and_one_on_a_deleted_deal_not_at_all(org: Any) -> None:
    org.deal("D1", "demo 2026-06-01").deal("D2", "demo 2026-06-01").deal("D3", "demo 2026-06-01", deleted=True)
    for deal in ("D1", "D2"):
        meeting(org, "m1", "2027-02-09", opportunity=deal)
    meeting(org, "m2", "2027-02-10", opportunity="D3")
    meeting(org, "m3", "2027-02-11", topic="workshop")
    assert org.show("meetings_held", subject="owner=R1") == "1 count, n=1"


def test_the_last_complete_week_ends_on_sunday_in_local_time(org: Any) -> None:
    """Week 6 runs from Monday 8 to Sunday 14 February; 04:30 UTC on Monday is still Sunday in New York."""
    meeting(org, "m1", on="", at="2027-02-15T04:30:00Z")
    meeting(org, "m2", "2027-02-15")
    meeting(org, "m3", "2027-02-07")
    assert [(m.window, m.value) for m in REGISTRY["meetings_held"].measures(org.book()) if m.subject == "owner=R1"] == [("2027-W06", 1)]
    org.given["windows"] = ["2027-W05"]
    assert org.measure("meetings_held", subject="owner=R1", window="2027-W05").value == 1


# -- follow-ups ---------------------------------------------------------------------------------------------------


def test_on_the_day_and_within_the_tolerance(org: Any) -> None:
    task(org, "exact", "2027-02-01", "2027-02-01")
    task(org, "early", "2027-02-01", "2027-01-31")
    task(org, "late", "2027-02-01", "2027-02-02")
    task(org, "open", "2027-02-01", None)
    task(org, "today", "2027-02-15", None)
    task(org, "ahead", "2027-02-16", None)
    task(org, "before", "2026-12-31", "2026-12-31")
    task(org, "other", "2027-02-01", "2027-02-01", topic="discovery")
    task(org, "later", "2027-02-14", "2027-02-16")
    assert org.show("hcp_followup_on_time_rate") == "0.1666666667 ratio, n=6, 0.03–0.56, low n"
    org.set("thresholds.followup_tolerance_days", 1)
    assert org.measure("hcp_followup_on_time_rate").value == 0.5
    org.set("thresholds.followup_tolerance_days", 2)
    assert org.measure("hcp_followup_on_time_rate").value == 0.5  # done tomorrow is not done


def test_a_task_on_several_deals_is_one(org: Any) -> None:
    org.deal("D1", "demo 2026-06-01").deal("D2", "demo 2026-06-01")
    for deal in ("D1", "D2"):
        task(org, "t1", "2027-02-01", "2027-02-01", opportunity=deal)
    assert org.measure("hcp_followup_on_time_rate", subject="owner=R1").n == 1


# -- knowledge, skill, points -------------------------------------------------------------------------------------


def lms(correct: int, asked: int = 10, day: str = "2027-01-11", owner: str = "R1") -> dict[str, Any]:
    return {"owner_key": owner, "date": day, "correct": correct, "asked": asked}


def video(day: str, submitted: bool = True, **values: Any) -> dict[str, Any]:
    return {"owner_key": "R1", "date": day, "submitted": submitted, **values}


def test_quizzes_of_the_quarter_pool_their_questions(org: Any) -> None:
    org.file("lms", lms(10), lms(0, 30), lms(9, day="2026-12-31"), lms(9, day="2027-02-16"), lms(3, owner="X9"))
    assert org.show("knowledge_quotient", subject="owner=R1") == "0.25 ratio, n=40, 0.14–0.40"
    assert org.measure("knowledge_quotient", subject="owner=R2").reason == "no_denominator"


def test_a_video_that_was_not_submitted_is_worth_nothing(org: Any) -> None:
    org.file("coaching", video("2027-01-15", good_articulation=True, best=True), video("2027-01-30", submitted=False, best=True), video("2027-02-16"))
    assert org.show("sales_conversation_skill_score", subject="owner=R1") == "550 points, n=1"
    assert org.show("sales_conversation_skill_score", subject="owner=R2") == "0 points, n=0"
    org.set("points.video_best", 1)
    assert org.measure("sales_conversation_skill_score", subject="owner=R1").value == 251


def test_points_are_the_weighted_sum_of_the_parts(org: Any) -> None:
    meeting(org, "p", topic="presentation", participants=["R2"])
    meeting(org, "w", topic="workshop", participants=["R2"])
    meeting(org, "m", "2027-01-04", owner="R2")
    task(org, "t", "2027-02-01", "2027-02-01")
    task(org, "late", "2027-02-01", "2027-02-02")
    org.file("lms", lms(7)).file("coaching", video("2027-01-15"))
    assert each(org, "gamification_points") == {"owner=R1": 20 + 50 + 10 + 7 * 2 + 50, "owner=R2": 50 + 10}
    measure = org.measure("gamification_points", subject="owner=R1")
    assert (measure.n, measure.low_n, measure.unit) == (None, False, "points")


@pytest.mark.parametrize("given", ["lms", "coaching"])
def test_points_need_both_files_and_empty_ones_are_given(org: Any, given: str) -> None:
    org.file(given)
    assert {(m.value, m.reason) for m in REGISTRY["gamification_points"].measures(org.book())} == {(None, "missing_input")}
    org.file("lms").file("coaching")
    assert each(org, "gamification_points") == {"owner=R1": 0, "owner=R2": 0}


def test_without_its_input_every_owner_says_so(org: Any) -> None:
    for kpi in ("sales_capacity_utilization", "knowledge_quotient", "sales_conversation_skill_score", "gamification_points"):
        found = {m.subject: (m.value, m.reason) for m in REGISTRY[kpi].measures(org.book())}
        company = {"company"} if kpi == "sales_capacity_utilization" else set()
        assert found == dict.fromkeys({"owner=R1", "owner=R2"} | company, (None, "missing_input"))


def test_evidence_names_every_record_behind_a_number(golden_book: Any) -> None:
    for kpi in KPIS:
        for measure, evidence in REGISTRY[kpi].evidenced(golden_book):
            assert evidence is not None
            named = [identity(row) for row in evidence.iter_rows(named=True)]
            assert len(set(named)) == len(named)
            if kpi not in ("knowledge_quotient", "gamification_points"):
                assert len(named) == measure.n
            elif kpi == "gamification_points":
                assert evidence["points"].sum() == measure.value


# -- the leaderboard ----------------------------------------------------------------------------------------------


def staff(org: Any, *meetings: int) -> Any:
    """Owners R1, R2 … with so many held meetings each."""
    for number, held in enumerate(meetings, 1):
        if number > 2:
            org.add("owners", id=f"R{number}", active=True)
        for place in range(held):
            meeting(org, f"m{number}-{place}", owner=f"R{number}")
    return org.file("lms").file("coaching")


def ranks(org: Any) -> list[tuple[str, int, int | None]]:
    return [(standing.owner, standing.points, standing.rank) for standing in leaderboard(org.book()) or ()]


def test_equal_points_share_a_rank_and_few_records_have_none(org: Any) -> None:
    staff(org, 5, 7, 7, 9, 4, 6)
    assert ranks(org) == [("R4", 90, 1), ("R2", 70, 2), ("R3", 70, 2), ("R6", 60, 4), ("R1", 50, 5), ("R5", 40, None)]


def test_fewer_reps_than_the_threshold_are_not_ranked_and_stand_by_id(org: Any) -> None:
    staff(org, 5, 7, 7, 9)
    assert ranks(org) == [("R1", 50, None), ("R2", 70, None), ("R3", 70, None), ("R4", 90, None)]
    org.set("thresholds.rank_n", 4)
    assert [owner for owner, _, _ in ranks(org)] == ["R4", "R2", "R3", "R1"]


def test_standings_show_their_parts(golden_book: Any) -> None:
    first, second = leaderboard(golden_book) or ()
    assert (first.points, first.parts) == (388, {"presentations": 20, "workshops": 50, "meetings": 20, "follow_ups": 30, "quiz": 18, "videos": 250})
    assert (second.points, second.parts, second.rank) == (60, {"workshops": 50, "meetings": 10}, None)


def test_without_its_inputs_there_is_none(org: Any) -> None:
    assert leaderboard(org.book()) is None
