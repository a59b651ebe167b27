"""Cycles, stages, velocity and first times beyond the golden org."""

from __future__ import annotations

from typing import Any

import pytest

from connector.kpis.compute import compute
from connector.kpis.definition import REGISTRY

Org = Any


def rows(org: Org, kpi: str, variant: str = "") -> dict[str, Any]:
    """Subject → value of one variant."""
    return {m.subject: m.value for m in compute(org.book(), [kpi]) if m.variant == variant}


def told(org: Org, kpi: str, variant: str = "", subject: str = "company") -> Any:
    """The evidence of one measure."""
    return next(frame for m, frame in REGISTRY[kpi].evidenced(org.book()) if (m.variant, m.subject) == (variant, subject))


# -- cycles and ages -----------------------------------------------------------------------------------------------------------------


def test_the_cycle_may_start_at_the_first_qualified_meeting(org: Org) -> None:
    org.deal("D1", "lead 2026-05-01", "qualified_meeting 2026-06-01", "demo 2026-06-11", "qualified_meeting 2026-06-21", "closed_won 2026-07-01")
    org.deal("D2", "demo 2026-05-01", "closed_won 2026-07-01")
    assert org.measure("sales_cycle_length", "won_mean").value == 61
    org.set("populations.cycle_start", "qualified_meeting")
    assert (org.measure("sales_cycle_length", "won_mean").value, org.measure("sales_cycle_length", "won_mean").n) == (30, 1)


def test_a_change_of_clocks_is_a_day_and_half_an_hour_across_midnight_is_one(org: Org) -> None:
    org.deal("D1", "demo 2026-10-31T04:30:00Z", "closed_won 2026-11-02T04:30:00Z")  # 00:30 EDT to 23:30 EST: 1 November has 25 hours
    org.deal("D2", "demo 2026-07-01T03:45:00Z", "closed_won 2026-07-01T04:15:00Z")  # 23:45 to 00:15
    assert (org.measure("deal_age", subject="opportunity=D1").value, org.measure("deal_age", subject="opportunity=D2").value) == (1, 1)


def test_ages_of_deals_that_have_none(org: Org) -> None:
    org.deal("D1", stage="demo", created_at=None).deal("D2", "closed_won 2026-07-01", created_at="2026-08-01T15:00:00Z")
    org.deal("D3", "closed_void 2026-07-01")
    assert (org.measure("deal_age", subject="opportunity=D1").reason, org.measure("deal_age", subject="opportunity=D2").reason) == (
        "no_history",
        "negative",
    )
    assert "opportunity=D3" not in rows(org, "deal_age")


def test_the_evidence_of_a_curve_is_everybody_in_it(org: Org) -> None:
    org.deal("D1", "demo 2026-05-04", "closed_won 2026-05-14").deal("D2", "demo 2026-05-04")
    frame = told(org, "sales_cycle_length", "km_median")
    assert frame.select("opportunity", "days", "done").rows() == [("D1", 10, True), ("D2", 287, False)]
    assert told(org, "sales_cycle_length", "won_mean")["opportunity"].to_list() == ["D1"]


# -- stages -----------------------------------------------------------------------------------------------------------------------------


def test_a_stay_that_ran_before_history_was_observed_is_read_by_no_length(org: Org) -> None:
    org.deal("D1", "demo 2026-06-01", "pilot 2026-06-03", created_at="2026-01-01T15:00:00Z").deal("D2", "demo 2026-06-01", "pilot 2026-06-21")
    for row in org.given["crm"]["stage_history"]:
        row["quality"] = "observed"
    completed = org.measure("stage_dwell_time", "completed_mean", "stage=demo")
    assert (completed.value, completed.n, completed.excluded) == (20, 1, {"no_history": 1})
    assert org.measure("stage_dwell_time", "visit_mean", "stage=demo").excluded == {"no_history": 1}
    assert (org.measure("stage_dwell_time", "km_median", "stage=demo").value, org.measure("stage_dwell_time", "km_median", "stage=demo").n) == (20, 1)
    assert org.measure("stage_to_stage_conversion_time", "mean", "from=demo,to=pilot").value == 20
    assert org.measure("stage_dwell_time", "km_median", "stage=pilot").n == 2


def test_dwell_is_cumulative_per_deal_and_single_per_visit(org: Org) -> None:
    org.deal("D1", "pilot 2026-05-01", "vac 2026-05-11", "pilot 2026-06-10", "vac 2026-06-30").deal("D2", "pilot 2026-05-01")
    completed = org.measure("stage_dwell_time", "completed_mean", "stage=pilot")
    assert (completed.value, completed.n, completed.pending) == (30, 1, 1)
    assert (org.measure("stage_dwell_time", "visit_mean", "stage=pilot").value, org.measure("stage_dwell_time", "visit_mean", "stage=pilot").n) == (
        15,
        2,
    )
    assert told(org, "stage_dwell_time", "completed_mean", "stage=pilot").rows() == [("D1", 2, 30)]


def test_from_one_stage_to_a_later_entry_of_a_higher_one(org: Org) -> None:
    # pilot came first, then demo: what counts from demo is the second pilot; vac → demo goes down and is no pair
    org.deal("D1", "pilot 2026-05-01", "demo 2026-05-11", "vac 2026-05-21", "pilot 2026-06-10")
    org.deal("D2", "demo 2026-05-11", "closed_lost 2026-05-16").deal("D3", "demo 2027-02-05")
    assert rows(org, "stage_to_stage_conversion_time", "mean") == {"from=demo,to=pilot": 30, "from=demo,to=vac": 10, "from=pilot,to=vac": 20}
    curve = org.measure("stage_to_stage_conversion_time", "km_median", "from=demo,to=pilot")
    assert (curve.value, curve.n, curve.pending) == (30, 3, 2)
    frame = told(org, "stage_to_stage_conversion_time", "km_median", "from=demo,to=pilot")
    assert frame.select("opportunity", "days", "done").rows() == [("D1", 30, True), ("D2", 5, False), ("D3", 10, False)]


def test_a_reopened_deal_that_arrives_later_is_an_event(org: Org) -> None:
    org.deal("D1", "demo 2026-05-01", "closed_lost 2026-05-11", "pilot 2026-07-30")
    assert org.measure("stage_to_stage_conversion_time", "km_median", "from=demo,to=pilot").value == 90


def test_parked_and_unmapped_stages_make_no_pair(org: Org) -> None:
    org.deal("D1", "demo 2026-05-01", "on_hold 2026-05-11", (None, "2026-05-21"), "vac 2026-05-31")
    assert rows(org, "stage_to_stage_conversion_time", "median") == {"from=demo,to=vac": 30}


def test_the_stages_of_a_persona_are_those_whose_gate_it_holds(org: Org) -> None:
    org.deal("D1", "clinical_validation 2026-05-01", "demo 2026-05-11", "pilot 2026-05-21", "demo 2026-06-10").deal("D2", "pilot 2027-02-05")
    completed = org.measure("time_in_persona_stages", "completed_mean", "persona=surgeon_champion")
    assert (completed.value, completed.n, completed.pending) == (30, 1, 1)
    curve = org.measure("time_in_persona_stages", "km_median", "persona=clinical_leader")
    assert (curve.value, curve.n, curve.pending) == (20, 3, 1)
    assert set(rows(org, "time_in_persona_stages", "km_median")) == {"persona=surgeon_champion", "persona=clinical_leader"}


def test_a_benchmark_is_the_segments_once_it_has_enough(org: Org) -> None:
    org.set("thresholds.benchmark_min_events", 2).add("accounts", id="A2", segment="clinic")
    for id, account, end in (("D1", "A1", "11"), ("D2", "A1", "11"), ("D3", "A2", "31")):
        org.deal(id, "demo 2026-05-01", f"pilot 2026-05-{end}", "closed_lost 2026-06-30", account=account)
    org.deal("D4", "demo 2027-02-05").deal("D5", "demo 2027-01-26", account="A2")
    # hospitals: two of three ended at 10, S(10) = 1/3; clinics have one end, so everybody: S(10) = 3/5, S(30) = 0
    assert (org.measure("stage_pace", "ratio", "opportunity=D4").value, org.measure("stage_pace", "label", "opportunity=D4").value) == (1, "on_pace")
    assert org.measure("stage_pace", "ratio", "opportunity=D5").value == pytest.approx(20 / 30)
    assert [told(org, "stage_pace", "ratio", f"opportunity={id}")["benchmark"].item() for id in ("D4", "D5")] == [10, 30]


# -- date pairs, moves ---------------------------------------------------------------------------------------------------------------------


def test_a_ladder_without_a_demo_has_no_time_from_it(org: Org) -> None:
    org.given["stages"]["ladder"] = [rung for rung in org.given["stages"]["ladder"] if rung["key"] != "demo"]
    org.deal("D1", "pilot 2026-05-01", proposal_sent_on="2026-06-01")
    assert {(m.variant, m.reason) for m in compute(org.book(), ["demo_to_proposal_time"])} == {("mean", "missing_input"), ("median", "missing_input")}


def test_a_signature_of_tomorrow_is_still_pending(org: Org) -> None:
    org.deal("D1", "contracting 2026-05-01", contract_sent_on="2027-02-01", contract_signed_on="2027-02-16")
    org.deal("D2", "contracting 2026-05-01", "closed_lost 2027-02-10", contract_sent_on="2027-02-01")
    row = org.measure("contract_to_close_lag", "mean")
    assert (row.value, row.n, row.pending, row.reason) == (None, 0, 1, "only_running")


def test_moves_back_are_named(org: Org) -> None:
    org.deal("D1", "pilot 2026-05-01", "demo 2026-06-01", "pilot 2026-07-01").deal("D2", "demo 2026-05-01")
    assert rows(org, "deal_regression_rate", "regressions") == {"opportunity=D1": 1, "opportunity=D2": 0}
    assert told(org, "deal_regression_rate", "regressions", "opportunity=D1")["to_stage"].to_list() == [None, "demo"]
    assert told(org, "deal_regression_rate", "transitions").height == org.measure("deal_regression_rate", "transitions").value == 2


def test_pushes_are_later_dates_by_people(org: Org) -> None:
    org.set("ignore_created_by", ["ROBOT"]).deal("D1", "demo 2026-05-01")
    for day, by, old, new in (
        ("2026-06-01", "R1", "2026-06-30", "2026-07-31"),
        ("2026-07-01", "R1", "2026-07-31", "2026-07-15"),
        ("2026-08-01", "ROBOT", "2026-07-15", "2026-12-31"),
        ("2027-02-16", "R1", "2026-12-31", "2027-03-31"),
    ):
        org.add("closes_on_history", opportunity="D1", at=f"{day}T15:00:00Z", by=by, old=old, new=new)
    assert org.measure("close_date_pushes", subject="opportunity=D1").value == 1


# -- first orders and first cases -------------------------------------------------------------------------------------------------------------


def test_a_clearance_waits_for_an_order_of_its_product_and_region(org: Org) -> None:
    org.add("accounts", id="A2", region="EU")
    clearances = ({"product": "P1", "region": "US", "cleared_on": "2026-03-01"}, {"product": "P1", "region": "US", "cleared_on": "2026-05-01"})
    other = ({"product": "P1", "region": "EU", "cleared_on": "2026-09-01"}, {"product": "P2", "cleared_on": "2027-01-16"})
    org.file("clearances", *(row | {"kind": "ce"} for row in (*clearances, *other)))
    org.deal("D1", "demo 2026-05-01", "closed_won 2026-08-01", product="P1", account="A2")
    org.deal("D2", "demo 2026-05-01", "closed_won 2026-12-01", product="P1").deal("D3", "demo 2026-05-01", "closed_won 2026-12-01")
    kpi = "clinical_to_commercial_handoff_time"
    assert rows(org, kpi) == {"product=P1,region=EU": None, "product=P1,region=US": 275, "product=P2,region=unknown": 30}
    assert org.measure(kpi, subject="product=P1,region=EU").reason == "negative"
    mean = org.measure(kpi, "mean")
    assert (mean.value, mean.n, mean.pending, mean.excluded) == (275, 1, 1, {"negative": 1})
    assert told(org, kpi, subject="product=P1,region=US").select("input", "opportunity").rows() == [("clearances.csv:1", None), (None, "D2")]


def case(org: Org, id: str, account: str, day: str | None) -> None:
    org.deal(id, "demo 2026-05-01", "closed_won 2026-08-01", account=account, first_case_on=day)


def test_first_contact_may_be_with_the_account_or_any_deal(org: Org) -> None:
    for id in ("A2", "A3", "A4", "A5"):
        org.add("accounts", id=id, merged_into={"A5": "A1"}.get(id))
    case(org, "D1", "A1", "2026-09-30")
    case(org, "D2", "A1", "2026-09-10")
    case(org, "D3", "A2", "2026-09-30")
    case(org, "D4", "A3", "2026-09-30")
    case(org, "D5", "A4", None)
    org.deal("D6", "demo 2026-05-01", account="A1", deal_type="expansion")
    org.add("activities", id="T1", kind="email", direction="outbound", on="2026-01-01", account="A1")
    org.add("activities", id="T2", kind="call", on="2026-06-02", outcome="connected", account="A5")
    org.add("activities", id="T3", kind="meeting", on="2026-06-12", outcome="held", opportunity="D6")
    org.add("activities", id="T4", kind="call", on="2026-10-10", account="A3", outcome="connected")
    kpi = "time_first_contact_to_first_case"
    assert rows(org, kpi) == {"account=A1": 100, "account=A2": None, "account=A3": None}  # 2 June – 10 September
    assert (org.measure(kpi, subject="account=A2").reason, org.measure(kpi, subject="account=A3").reason) == ("no_activity", "negative")
    mean = org.measure(kpi, "mean")
    assert (mean.value, mean.n, mean.pending, mean.excluded) == (100, 1, 1, {"no_activity": 1, "negative": 1})
    assert told(org, kpi, "mean").select("account", "touch", "case_of").rows() == [("A1", "T2", "D2")]


def test_a_touch_on_a_deal_of_another_account_is_contact_with_both(org: Org) -> None:
    org.add("accounts", id="A2")
    case(org, "D1", "A1", "2026-09-30")
    org.add("activities", id="T1", kind="call", on="2026-09-20", outcome="connected", opportunity="D1", account="A2")
    assert org.measure("time_first_contact_to_first_case", subject="account=A1").value == 10


def test_a_rep_who_left_is_censored_then_and_a_rehire_starts_anew(org: Org) -> None:
    org.add("owners", id="R3", active=False)
    org.file(
        "people",
        {"owner_key": "R1", "hired_on": "2026-11-01", "left_on": "2026-12-01"},
        {"owner_key": "R2", "hired_on": "2027-01-16", "left_on": "2026-06-01"},
        {"owner_key": "R3", "hired_on": None},
    )
    org.deal("D1", "demo 2026-05-01", "closed_won 2026-05-20", owner="R2").deal("D2", "demo 2026-05-01", "closed_won 2027-01-26", owner="R2")
    kpi = "time_to_first_order_new_hire"
    assert rows(org, kpi) == {"owner=R1": 30, "owner=R2": 10}
    assert (org.measure(kpi, subject="owner=R1").reason, org.measure(kpi, subject="owner=R2").reason) == ("censored", None)
    curve = org.measure(kpi, "km_median")
    assert (curve.value, curve.n, curve.pending) == (10, 2, 1)
    assert told(org, kpi, subject="owner=R2").select("input", "opportunity").rows() == [("people.csv:2", None), (None, "D2")]


# -- velocity --------------------------------------------------------------------------------------------------------------------------------


def moving(org: Org) -> Org:
    """2 of 3 open deals move; 1 of 2 closed is won over 1,000 in 100 days."""
    org.deal("D1", "demo 2026-05-04", "closed_won 2026-08-12").deal("D2", "demo 2026-05-04", "closed_lost 2026-08-12")
    return org.deal("D3", "demo 2027-01-04").deal("D4", "demo 2027-01-04").deal("D5", "on_hold 2027-01-04")


def test_velocity_leaves_parked_and_stale_deals_out(org: Org) -> None:
    row = moving(org).deal("D6", "demo 2026-01-04").measure("sales_velocity", "per_day")
    assert (row.value, row.n) == (2 * 0.5 * 1000 / 100, 2)
    assert org.measure("sales_velocity", "per_month").value == pytest.approx(10 * 30.4375)
    frame = told(org, "sales_velocity", "per_day")
    assert frame.select("opportunity", "term").rows() == [("D3", "open"), ("D4", "open"), ("D1", "closed"), ("D2", "closed")]


def test_velocity_is_small_by_the_closed_deals_not_by_the_open_ones(org: Org) -> None:
    moving(org).set("thresholds.low_n", 2)
    assert org.measure("sales_velocity", "per_day").low_n is False
    org.set("thresholds.low_n", 3)
    for place in range(5):
        org.deal(f"N{place}", "demo 2027-01-04")
    row = org.measure("sales_velocity", "per_day")
    assert (row.n, row.low_n) == (7, True)


@pytest.mark.parametrize("amount", [None, 0])
def test_velocity_is_unknown_without_the_size_of_a_win(org: Org, amount: int | None) -> None:
    org.deal("D1", "demo 2026-05-04", "closed_won 2026-08-12", amount=amount).deal("D2", "demo 2027-01-04")
    assert org.show("sales_velocity", "per_day") == "None money_per_day, n=1, low n, no_denominator"


def test_every_owner_has_a_velocity(org: Org) -> None:
    assert rows(moving(org), "sales_velocity", "per_day") == {"company": 10, "segment=hospital": 10, "owner=R1": 10, "owner=R2": None}


def test_a_persona_was_early_or_late(org: Org) -> None:
    moving(org).add("contacts", id="C1", persona="cfo").add("contacts", id="C2", persona="cfo")
    for id, contact, day in (("D1", "C1", "2026-06-03"), ("D1", "C2", "2026-08-01"), ("D2", "C1", "2026-06-04"), ("D3", "C1", None)):
        org.add("opportunity_contacts", opportunity=id, contact=contact, added_on=day)
    kpi, who = "deal_velocity_by_persona", "persona=cfo"
    assert (org.measure(kpi, "cycle_early_mean", who).n, org.measure(kpi, "cycle_late_mean", who).n) == (1, 1)  # 30 days and 31 days after creation
    assert told(org, kpi, "cycle_early_mean", who)["opportunity"].to_list() == ["D1"]
    assert org.measure(kpi, "per_day", who).value == 1 * 0.5 * 1000 / 100
    org.add("opportunity_contacts", opportunity="D2", contact="C2", added_on=None)  # from the beginning
    assert org.measure(kpi, "cycle_early_mean", who).n == 2
