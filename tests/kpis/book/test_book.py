"""What the golden org does not hold: reopened deals, odd histories, parked and unmapped stages, money, owners, calendars, empty orgs."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from connector.clock import Calendar
from connector.errors import InputError, MappingError
from connector.kpis.book.money import Rates
from connector.kpis.book.windows import parse, standard
from connector.kpis.cards.deal import scorecards
from connector.kpis.compute import compute
from connector.kpis.definition import REGISTRY

Org = Any
OPEN = [("qualified_meeting", "2026-06-01"), ("demo", "2026-07-01")]


def deal(org: Org, id: str = "D1") -> dict[str, Any]:
    return org.book().deals.row(by_predicate=pl.col("id") == id, named=True)


# -- visits and closes -------------------------------------------------------------------------------------------------


def test_a_correction_moves_the_close_moment_and_a_post_sale_move_does_not(org: Org) -> None:
    org.deal("D1", ("demo", "2026-06-01"), ("closed_lost", "2026-08-01"), ("closed_won", "2026-08-05"), ("go_live", "2026-10-01"))
    row = deal(org)
    assert (row["cls"], row["closed"], row["first_closed"]) == ("won", date(2026, 8, 5), date(2026, 8, 1))


def test_a_reopened_deal_is_open_and_the_gap_is_no_dwell(org: Org) -> None:
    org.deal("D1", ("demo", "2026-06-01"), ("closed_lost", "2026-07-01"), ("demo", "2027-01-01"))
    row = deal(org)
    assert (row["cls"], row["closed"], row["first_closed"]) == ("open", None, date(2026, 7, 1))
    assert org.measure("days_in_stage", "cumulative", "opportunity=D1").value == 30 + 45
    assert org.measure("stage_dwell_time", "visit_mean", "stage=demo").value == 30


def test_rows_of_one_second_keep_only_the_last(org: Org) -> None:
    at = "2026-06-01T15:00:00Z"
    org.deal("D1", ("qualified_meeting", at), ("demo", at), ("pilot", at), ("vac", "2026-06-01T15:00:30Z"))
    assert org.book().visits["stage"].to_list() == ["vac"]


def test_a_short_detour_vanishes_and_its_neighbours_become_one(org: Org) -> None:
    org.deal("D1", ("demo", "2026-06-01"), ("pilot", "2026-07-01T15:00:00Z"), ("demo", "2026-07-01T15:00:59Z"))
    assert org.book().visits.select("stage", "days").rows() == [("demo", (date(2027, 2, 15) - date(2026, 6, 1)).days)]


def test_a_move_back_counts_but_not_between_gates_nor_from_a_parked_stage(org: Org) -> None:
    stages = ["vac", "security_review", "on_hold", "demo", "pilot", "demo"]
    org.deal("D1", *[(stage, f"2026-0{month}-01") for month, stage in enumerate(stages, 4)])
    assert org.measure("deal_regression_rate", "regressions", "opportunity=D1").value == 1
    assert org.measure("deal_regression_rate", "transitions").value == 5


def test_an_unmapped_stage_is_open_without_rank_pace_or_probability(org: Org) -> None:
    org.deal("D1", ("demo", "2026-06-01"), (None, "2026-07-01"))
    card = scorecards(org.book())["D1"]
    assert (card.stage, card.text["stage"], card.pace, card.stage_benchmark_days, card.win_chance) == (None, None, None, None, None)
    assert org.measure("stage_pace", "ratio", "opportunity=D1").reason == "unmapped_stage"
    assert org.measure("weighted_pipeline_value").excluded == {"no_probability": 1}
    assert org.measure("open_pipeline_value", subject="stage=unmapped").value == 1000
    assert not [m for m in compute(org.book(), ["stage_dwell_time"]) if "unmapped" in m.subject]


def test_a_stage_that_the_ladder_lacks_is_unmapped(org: Org) -> None:
    org.deal("D1", ("wizardry", "2026-06-01"))
    assert deal(org)["stage"] is None


def test_a_parked_deal_is_open_weighs_nothing_and_has_no_pace(org: Org) -> None:
    org.deal("D1", ("demo", "2026-06-01"), ("on_hold", "2026-07-01")).set("thresholds.stage_limit_days", {"on_hold": 1})
    assert org.measure("active_opportunity_count").value == 1
    assert org.measure("weighted_pipeline_value").value == 0
    assert org.measure("open_pipeline_value", "in_period").n == 0
    assert org.measure("stage_pace", "label", "opportunity=D1").reason == "parked"
    assert org.measure("stale_flag", subject="opportunity=D1").value is False


def test_without_history_the_present_stage_stands_and_dwell_is_unknown(org: Org) -> None:
    org.deal("D1", stage="demo").deal("D2", stage="closed_won", closes_on="2026-09-01").deal("D3", stage="closed_lost", closes_on="2027-09-01")
    assert org.measure("days_in_stage", subject="opportunity=D1").reason == "no_history"
    assert org.measure("stage_pace", "ratio", "opportunity=D1").reason == "no_history"
    assert (deal(org, "D2")["closed"], deal(org, "D3")["closed"]) == (date(2026, 9, 1), date(2027, 2, 15))
    assert org.measure("touchpoint_density", subject="opportunity=D1").reason == "no_history"
    assert scorecards(org.book())["D1"].why["stage"] == ["no stage history; the stage is the deal's present one"]


def test_a_void_deal_is_in_no_rate(org: Org) -> None:
    org.deal("D1", ("demo", "2026-06-01"), ("closed_won", "2026-08-01")).deal("D2", ("demo", "2026-06-01"), ("closed_void", "2026-08-01"))
    rate = org.measure("win_rate", window="T12M")
    assert (rate.value, rate.n, rate.excluded) == (1, 1, {"void": 1})


def test_no_decision_counts_in_the_broad_rate_only(org: Org) -> None:
    org.deal("D1", ("demo", "2026-06-01"), ("closed_won", "2026-08-01")).deal("D2", ("demo", "2026-06-01"), ("closed_no_decision", "2026-08-01"))
    assert org.measure("win_rate", window="T12M").value == 0.5
    narrow = org.measure("win_rate", "narrow")
    assert (narrow.value, narrow.n, narrow.excluded) == (1, 1, {"no_decision": 1})


# -- money ---------------------------------------------------------------------------------------------------------------


def test_dated_rates_the_latest_on_or_before_the_day() -> None:
    rates = Rates([{"currency": "EUR", "date": date(2026, 1, 1), "rate": "1.1"}, {"currency": "EUR", "date": date(2026, 7, 1), "rate": 1.2}], "USD")
    assert [rates.convert(Decimal(10), "EUR", date(2026, month, 1)) for month in (1, 6, 7)] == [Decimal(11), Decimal(11), Decimal(12)]
    assert rates.convert(Decimal(10), "EUR", date(2025, 12, 31)) is None
    assert rates.convert(Decimal(10), None, date(2025, 12, 31)) == 10


def test_amounts_that_cannot_be_summed_are_counted_by_why(org: Org) -> None:
    for id, amount, currency in (("D1", 500, "USD"), ("D2", None, "USD"), ("D3", 0, "USD"), ("D4", -5, "USD"), ("D5", 100, "GBP")):
        org.deal(id, *OPEN, amount=amount, currency=currency)
    value = org.measure("open_pipeline_value")
    assert (value.value, value.n, value.excluded) == (500, 1, {"missing_amount": 3, "missing_fx": 1})
    assert org.measure("active_opportunity_count").value == 5


def test_a_closed_deal_is_converted_at_its_close_and_an_open_one_today(org: Org) -> None:
    org.file("fx", {"currency": "EUR", "date": "2026-01-01", "rate": 1}, {"currency": "EUR", "date": "2026-12-01", "rate": 2})
    org.deal("D1", *OPEN, ("closed_won", "2026-08-01"), currency="EUR").deal("D2", *OPEN, currency="EUR")
    assert org.measure("bookings", window="T12M").value == 1000
    assert org.measure("open_pipeline_value").value == 2000


def test_arr_of_zero_is_zero_and_a_negative_one_is_missing(org: Org) -> None:
    won = ("closed_won", "2026-08-01")
    org.deal("D1", *OPEN, won, arr=0).deal("D2", *OPEN, won, arr=-1).deal("D3", *OPEN, won, arr=7)
    value = org.measure("new_arr", window="T12M")
    assert (value.value, value.n, value.excluded) == (7, 2, {"missing_arr": 1})


def test_cents_are_added_without_drift(org: Org) -> None:
    for place in range(30):
        org.deal(f"D{place}", *OPEN, amount="0.10")
    assert org.measure("open_pipeline_value").value == 3.0


# -- owners, quotas, accounts -----------------------------------------------------------------------------------------------


def test_the_owner_at_the_close_gets_the_win(org: Org) -> None:
    org.deal("D1", *OPEN, ("closed_won", "2026-08-01"), owner="R2")
    org.add("owner_history", opportunity="D1", at="2026-06-01T15:00:00Z", owner="R1").add(
        "owner_history", opportunity="D1", at="2026-12-01T15:00:00Z", owner="R2"
    )
    assert org.measure("closed_won_count", subject="owner=R1").value == 1
    assert deal(org)["owner_now"] == "R2"


def test_splits_divide_what_was_won(org: Org) -> None:
    org.deal("D1", *OPEN, ("closed_won", "2026-12-01"))
    org.add("splits", opportunity="D1", owner="R1", share=0.75).add("splits", opportunity="D1", owner="R2", share=0.25)
    org.file("quotas", {"owner_key": "R2", "period": "FY2026-Q4", "amount": 500})
    assert org.measure("bookings", subject="owner=R2").value == 250
    assert org.measure("bookings", window="T12M").value == 1000
    assert org.measure("quota_attainment", subject="owner=R2", window="FY2026-Q4").value == 0.5


def test_three_months_make_a_quarter_and_two_do_not(org: Org) -> None:
    org.deal("D1", *OPEN)
    months = [
        {"owner_key": owner, "period": f"2027-{month:02}", "amount": 100} for owner, last in (("R1", 3), ("R2", 2)) for month in range(1, last + 1)
    ]
    org.file("quotas", *months)
    assert org.measure("pipeline_coverage_ratio", subject="owner=R2").reason == "missing_input"
    org.set("thresholds.stale_after_days", {"default": 1000})
    assert org.measure("pipeline_coverage_ratio", subject="owner=R1").value == pytest.approx(1000 / 300)
    assert org.measure("pipeline_coverage_ratio").value == pytest.approx(1000 / 300)


def test_deals_of_owners_without_a_quota_stay_out_of_the_company_ratio(org: Org) -> None:
    org.set("thresholds.stale_after_days", {"default": 1000}).deal("D1", *OPEN).deal("D2", *OPEN, owner="R2")
    org.file("quotas", {"owner_key": "R1", "period": "FY2027-Q1", "amount": 500})
    company = org.measure("pipeline_coverage_ratio")
    assert (company.value, company.n, company.excluded) == (2, 1, {"owner_without_quota": 1})


def test_a_reached_quota_has_no_remaining_coverage(org: Org) -> None:
    org.deal("D1", *OPEN, ("closed_won", "2027-01-10")).file("quotas", {"owner_key": "R1", "period": "FY2027-Q1", "amount": 900})
    assert org.measure("pipeline_coverage_ratio", "remaining").reason == "quota_reached"


def test_a_quota_of_zero_is_no_denominator(org: Org) -> None:
    org.deal("D1", *OPEN).file("quotas", {"owner_key": "R1", "period": "FY2027-Q1", "amount": 0})
    assert org.measure("quota_attainment", subject="owner=R1", window="FY2027-Q1").reason == "no_denominator"


def test_merged_accounts_are_their_survivor_through_chains(org: Org) -> None:
    org.add("accounts", id="A2", segment="clinic", merged_into="A3").add("accounts", id="A3", segment="clinic", merged_into="A1")
    org.deal("D1", *OPEN, account="A2")
    org.file(
        "arr_ledger",
        {"account_key": "A2", "date": "2025-01-01", "type": "new", "delta": 50},
        {"account_key": "A1", "date": "2025-01-01", "type": "new", "delta": 50},
    )
    assert (deal(org)["account"], deal(org)["segment"]) == ("A1", "hospital")
    assert org.measure("nrr").n == 1


def test_rings_of_merges_end(org: Org) -> None:
    org.add("accounts", id="A8", merged_into="A9").add("accounts", id="A9", merged_into="A8").deal("D1", *OPEN, account="A8")
    assert org.measure("active_opportunity_count").value == 1


@pytest.mark.parametrize("spelling", ["005000000000001AAA", "005000000000001", "sf-prod:005000000000001AAA"])
def test_every_spelling_of_an_owner_key_names_the_owner(org: Org, spelling: str) -> None:
    org.add("owners", id="005000000000001AAA").deal("D1", *OPEN, ("closed_won", "2026-12-01"), owner="005000000000001AAA")
    org.file("quotas", {"owner_key": spelling, "period": "FY2026-Q4", "amount": 1000})
    assert org.measure("quota_attainment", subject="owner=005000000000001AAA", window="FY2026-Q4").value == 1


# -- calendars ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "entered", "as_of", "days"),
    [
        ("America/New_York", "2026-03-08T04:59:00Z", "2026-03-08T05:01:00Z", 1),  # two minutes across midnight
        ("America/New_York", "2026-03-07T17:00:00Z", "2026-03-08T16:00:00Z", 1),  # a day of 23 hours
        ("Asia/Kolkata", "2026-03-01T18:29:00Z", "2026-03-01T18:31:00Z", 1),
        ("UTC", "2024-02-28T12:00:00Z", "2024-03-01T12:00:00Z", 2),  # a leap day
    ],
)
def test_days_are_differences_of_local_dates(org: Org, zone: str, entered: str, as_of: str, days: int) -> None:
    org.given["as_of"] = as_of
    org.set("calendar.time_zone", zone).deal("D1", ("demo", entered))
    assert org.measure("days_in_stage", subject="opportunity=D1").value == days


def test_frames_and_the_calendar_agree_on_every_date(org: Org) -> None:
    calendar = Calendar("America/New_York")
    instants = [datetime(2026, month, day, hour, 30, tzinfo=UTC) for month in (3, 11) for day in range(1, 15) for hour in (3, 4, 5, 6)]
    column = pl.Series(instants).dt.convert_time_zone("America/New_York").dt.date()
    assert column.to_list() == [calendar.day(instant) for instant in instants]


def test_windows_by_label() -> None:
    today, calendar = date(2024, 2, 29), Calendar(fiscal_year_starts=7)
    assert parse("T12M", today, calendar).first == date(2023, 3, 1)
    assert parse("T90D", today, calendar).first == date(2023, 12, 2)
    quarter = parse("FY2024-Q3", today, calendar)
    assert (quarter.first, quarter.last) == (date(2024, 1, 1), date(2024, 3, 31))
    assert parse("2027-W01", today, calendar).first == date(2027, 1, 4)
    assert [window.label for window in standard(today, calendar).wide] == ["T12M", "FY2024-Q3", "FY2024-Q2", "FY2024", "FY2023"]
    with pytest.raises(InputError, match="is no window"):
        parse("last week", today, calendar)


@pytest.mark.parametrize(
    ("today", "last"),
    [
        (date(2027, 2, 15), "2027-W06"),  # Monday
        (date(2027, 2, 21), "2027-W06"),  # Sunday: its week still runs
        (date(2027, 1, 4), "2026-W53"),
        (date(2026, 1, 1), "2025-W52"),  # Thursday of 2026-W01
    ],
)
def test_the_last_complete_week_and_those_asked_for(today: date, last: str) -> None:
    weeks = standard(today, Calendar(), ("FY2026", "2026-W30", last, "2026-W30")).weeks
    assert [week.label for week in weeks] == [last, "2026-W30"]
    assert (weeks[1].first, weeks[1].last) == (date(2026, 7, 20), date(2026, 7, 26))
    with pytest.raises(InputError, match="is no window"):
        standard(today, Calendar(), ("2027-W60",))


# -- gates, personas, activities -----------------------------------------------------------------------------------------------


def test_gates_of_a_closed_deal_end_with_it_and_impossible_ones_are_left_out(org: Org) -> None:
    org.deal("D1", *OPEN, ("closed_lost", "2026-09-01"))
    org.add("gates", opportunity="D1", gate="vac", opened_on="2026-08-01").add(
        "gates", opportunity="D1", gate="security", opened_on="2026-08-10", decided_on="2026-08-01"
    )
    assert org.book().gates.select("gate", "days", "done", "open").rows() == [("vac", 31, False, False)]
    assert org.measure("vac_cycle_time", "km_median").reason == "not_reached"


def test_a_deal_can_change_what_is_required_of_it(org: Org) -> None:
    org.deal("D1", *OPEN).add("gates", opportunity="D1", gate="legal", required="not_required")
    org.add("gates", opportunity="D1", gate="budget", required="required", opened_on="2026-07-01", decided_on="2026-07-10", result="approved")
    assert scorecards(org.book())["D1"].gate_progress == pytest.approx(1 / 3)  # security, vac, budget


def test_a_gate_is_stuck_beyond_its_limit_only(org: Org) -> None:
    org.deal("D1", *OPEN).add("gates", opportunity="D1", gate="vac", opened_on="2027-01-01").add(
        "gates", opportunity="D1", gate="security", opened_on="2027-02-01"
    )
    unknown = org.measure("deals_stuck_in_compliance_review", "stuck")
    assert (unknown.value, unknown.excluded) == (0, {"no_benchmark": 1})
    org.set("thresholds.gate_limit_days", {"vac": 45})
    assert org.measure("deals_stuck_in_compliance_review", "stuck").value == 0
    org.set("thresholds.gate_limit_days", {"vac": 44})
    assert org.measure("deals_stuck_in_compliance_review", "stuck").value == 1
    assert org.measure("deals_stuck_in_compliance_review", "in_review").value == 1


def test_a_persona_added_after_the_close_does_not_count(org: Org) -> None:
    org.deal("D1", *OPEN, ("closed_won", "2026-08-01")).add("contacts", id="C1", persona="cfo").add("contacts", id="C2", persona="cmio")
    org.add("opportunity_contacts", opportunity="D1", contact="C1", added_on="2026-08-02").add("opportunity_contacts", opportunity="D1", contact="C2")
    subjects = {m.subject for m in compute(org.book(), ["qualified_meeting_to_close"])}
    assert "persona=cmio" in subjects
    assert "persona=cfo" not in subjects


def test_engaged_asks_for_a_two_way_touch(org: Org) -> None:
    org.deal("D1", *OPEN).add("contacts", id="C1", persona="cfo").add("opportunity_contacts", opportunity="D1", contact="C1", persona="vp_it")
    assert scorecards(org.book())["D1"].personas == ["vp_it"]
    org.set("populations.persona_evidence", "engaged")
    assert scorecards(org.book())["D1"].personas == []
    org.add("activities", id="a1", kind="email", direction="inbound", on="2027-02-01", contact="C1", opportunity="D1", created_by="R1")
    assert scorecards(org.book())["D1"].personas == ["vp_it"]


def test_every_persona_of_a_contact_counts_once(org: Org) -> None:
    org.deal("D1", *OPEN).add("contacts", id="C1", persona="end_user")
    met = {"kind": "meeting", "outcome": "held", "on": "2027-02-01", "contact": "C1", "opportunity": "D1", "created_by": "R1"}
    org.set("engagement_score.weights", {"personas": 1}).set("engagement_score.caps", {"personas": 4})
    org.add("activities", id="a1", **met).add("activities", id="a2", **met)
    assert org.measure("buyer_engagement_score", "", "opportunity=D1").value == 25
    for persona in ("cfo", "vp_it"):
        org.add("opportunity_contacts", opportunity="D1", contact="C1", persona=persona)
    score = org.measure("buyer_engagement_score", "", "opportunity=D1")
    assert (score.value, score.n) == (50, 2)
    assert scorecards(org.book())["D1"].personas == ["cfo", "vp_it"]


def test_silence_and_what_breaks_it(org: Org) -> None:
    org.set("thresholds.buyer_silence_days", 30).set("thresholds.stale_after_days", {"default": 1000}).deal("D1", *OPEN)
    ours = {"kind": "email", "direction": "outbound", "on": "2027-02-10", "opportunity": "D1", "created_by": "R1"}
    for id, change in enumerate([{}, {"kind": "task"}, {"kind": "meeting", "outcome": "no_show"}, {"kind": "call", "outcome": "not_connected"},
                                 {"kind": "meeting"}, {"kind": "call", "created_by": "INTEGRATION"}]):  # fmt: skip
        org.add("activities", id=f"a{id}", **(ours | change))
    card = scorecards(org.book())["D1"]
    assert (card.stale_reason, card.text["stale_reason"]) == (["no_buyer_activity"], "no buyer activity")
    org.add("activities", id="a9", **(ours | {"kind": "call", "outcome": "connected", "on": None, "at": "2027-02-11T03:00:00Z"}))
    assert (scorecards(org.book())["D1"].last_buyer_activity, scorecards(org.book())["D1"].stale) == (date(2027, 2, 10), False)


def test_a_touch_on_the_day_of_a_move_belongs_to_the_new_stage(org: Org) -> None:
    org.deal("D1", ("demo", "2027-01-01"), ("pilot", "2027-01-31")).add(
        "activities", id="a1", kind="call", on="2027-01-31", opportunity="D1", created_by="R1"
    )
    assert org.measure("touchpoint_density", subject="opportunity=D1,stage=demo").value == 0
    assert org.measure("touchpoint_density", subject="opportunity=D1,stage=pilot").value == 2


def test_the_pilot_limit_stands_still_while_the_pilot_runs(org: Org) -> None:
    org.deal("D1", ("pilot", "2026-10-01"), ("demo", "2026-11-01"), ("pilot", "2027-01-01"))
    limits = []
    for as_of in ("2027-01-20T17:00:00Z", "2027-02-15T17:00:00Z"):
        org.given["as_of"] = as_of
        limits.append(scorecards(org.book())["D1"].pilot_limit_on)
    assert limits == [date(2027, 3, 1)] * 2
    running = org.measure("average_pilot_duration", subject="opportunity=D1")
    assert (running.value, running.reason, running.pending) == (31 + 45, "censored", 1)


def test_the_win_chance_is_shrunk_and_of_the_segment_where_it_has_enough(org: Org) -> None:
    for place in range(12):
        org.deal(f"W{place}", *OPEN, ("closed_won" if place < 9 else "closed_lost", "2026-09-01"))
    org.deal("L1", *OPEN, ("closed_lost", "2026-09-01"), segment="clinic").deal("D1", *OPEN).deal("D2", *OPEN, segment="clinic")
    cards = scorecards(org.book())
    rate = 9 / 13
    assert (cards["D1"].win_chance_n, cards["D1"].win_chance) == (12, pytest.approx((9 + 10 * rate) / 22))
    assert (cards["D2"].win_chance_n, cards["D2"].win_chance) == (13, pytest.approx((9 + 10 * rate) / 23))


@pytest.mark.parametrize(("policy", "weighted"), [("stage_default", 200), ("crm", 900), ("historical", 1000)])
def test_weights_follow_the_policy(org: Org, policy: str, weighted: float) -> None:
    org.set("probability.policy", policy).deal("D1", *OPEN, probability=0.9).deal("W1", *OPEN, ("closed_won", "2026-09-01"))
    assert org.measure("weighted_pipeline_value").value == pytest.approx(weighted)


def test_required_fields_grow_with_the_stage_and_a_parked_deal_keeps_its_last(org: Org) -> None:
    org.set("required_fields", {"lead": ["amount"], "demo": ["segment", "persona"], "vac": ["product"]})
    org.deal("D1", ("qualified_meeting", "2026-06-01"), amount=None).deal("D2", *OPEN, ("on_hold", "2026-08-01")).deal("D3", ("vac", "2026-08-01"))
    cards = scorecards(org.book())
    assert [cards[id].data_gaps for id in ("D1", "D2", "D3")] == [["amount"], ["persona"], ["persona", "product"]]
    assert cards["D3"].text["data_gaps"] == "Buyer contact, Product"
    with pytest.raises(MappingError, match="unknown field shoe_size"):
        org.set("required_fields", {"lead": ["shoe_size"]}).measure("data_health_score")


def test_a_no_go_needs_months_in_a_row(org: Org) -> None:
    org.deal("D1", *OPEN).file("quotas", {"owner_key": "R1", "period": "FY2027-Q1", "amount": 5000})
    december = {"kpi": "weighted_pipeline_coverage", "variant": "", "subject": "company", "date": "2026-12-31", "value": 1.0}
    org.given["state"]["kpi_snapshots"] = [december]
    assert org.measure("weighted_pipeline_coverage", "no_go_breach").value is False  # January is unknown
    org.given["state"]["kpi_snapshots"] = [december, december | {"date": "2027-01-05", "value": 1.0}, december | {"date": "2027-01-31", "value": 2.5}]
    assert org.measure("weighted_pipeline_coverage", "no_go_breach").value is False  # the last one of January stands for it
    org.given["state"]["kpi_snapshots"][-1]["value"] = 1.9
    breach = org.measure("weighted_pipeline_coverage", "no_go_breach")
    assert (breach.value, breach.n) == (True, 3)


def test_a_churned_and_returned_customer_and_a_constant_rate(org: Org) -> None:
    org.add("accounts", id="A2", segment="clinic").file(
        "fx", {"currency": "EUR", "date": "2020-01-01", "rate": 1}, {"currency": "EUR", "date": "2027-01-01", "rate": 2}
    )
    org.file("arr_ledger", {"account_key": "A1", "date": "2025-01-01", "type": "new", "delta": 100, "currency": "EUR"},
             {"account_key": "A2", "date": "2025-01-01", "type": "new", "delta": 100},
             {"account_key": "A2", "date": "2026-06-01", "type": "churn", "delta": -100})  # fmt: skip
    assert org.measure("nrr").value == pytest.approx(200 / 300)  # no currency gain
    assert org.measure("net_new_arr", "churn", window="T12M").value == 100
    assert org.measure("logo_retention_rate", subject="segment=clinic").value == 0


# -- nothing at all -----------------------------------------------------------------------------------------------------------------


def test_an_empty_org_is_zero_where_it_is_counted_and_null_with_a_reason_elsewhere(org: Org) -> None:
    org.given["crm"] = {}
    book = org.book()
    measures = compute(book, sorted(REGISTRY))
    assert all((m.value is None) == (m.reason is not None) for m in measures)
    assert {m.subject for m in measures if not m.subject.startswith("age=")} == {"company"}  # the bands of age are always there
    units = {m.unit for m in measures if m.value is not None}
    assert units <= {"money", "count", "per_week"}
    assert all(m.value == 0 and m.n == 0 for m in measures if m.value is not None)
    assert scorecards(book) == {}
    assert org.measure("win_rate").reason == "no_denominator"
    assert org.measure("pipeline_coverage_ratio").reason == "missing_input"


def test_missing_inputs_are_said_and_never_zero(org: Org) -> None:
    org.deal("D1", *OPEN, ("closed_won", "2026-12-01"))
    for name, variant, subject in [
        ("net_new_arr", "", "company"), ("cac_payback_months", "", "company"), ("nrr", "", "company"),
        ("logo_retention_rate", "renewed_due", "company"), ("kol_engagement_score", "mean", "company"),
        ("clinical_to_commercial_handoff_time", "mean", "company"),
        ("time_to_first_order_new_hire", "breach", "owner=R2"), ("quota_attainment", "", "owner=R1"), ("weighted_pipeline_coverage", "", "owner=R1"),
    ]:  # fmt: skip
        measure = org.measure(name, variant, subject)
        assert (measure.value, measure.reason) == (None, "missing_input"), name


def test_rungs_that_the_ladder_lacks_leave_their_kpis_null(org: Org) -> None:
    org.given["stages"]["ladder"] = [rung for rung in org.given["stages"]["ladder"] if rung["key"] != "demo"]
    org.deal("D1", ("qualified_meeting", "2026-06-01"))
    assert org.measure("demo_to_trial_conversion").reason == "missing_input"


def test_every_key_of_every_scorecard_can_say_why(org: Org, golden_book: Any) -> None:
    org.deal("D1", ("demo", "2026-06-01"), ("pilot", "2026-07-01"), ("demo", "2026-08-01"), amount=None)
    org.add("closes_on_history", opportunity="D1", old="2026-09-01", new="2026-10-01").add(
        "closes_on_history", opportunity="D1", old="2026-10-01", new="2026-09-15"
    )
    why = scorecards(org.book())["D1"].why
    assert why["stage"] == ["in Demo since 2026-08-01 (stage history, demo)", "visit 2 to this stage; the clock starts with it"]
    assert why["regressions"] == ["Pilot → Demo on 1 Aug 2026"]
    assert why["close_pushes"] == ["close date moved from 2026-09-01 to 2026-10-01"]
    assert why["weighted_amount"] == ["left out: missing_amount"]
    assert why["win_chance"] == ["no closed deal of this type ever visited the stage"]
    for card in scorecards(golden_book).values():
        assert all(sentence for sentences in dict(card.why).values() for sentence in sentences)


def test_the_history_row_is_named_where_it_has_an_id(org: Org) -> None:
    org.deal("D1", ("pilot", "2027-01-01"), security_questionnaire_received_on="2027-01-05")
    org.given["crm"]["stage_history"][0]["id"] = "008x9"
    why = scorecards(org.book())["D1"].why
    assert why["stage_entered_on"] == ["in Pilot since 2027-01-01 (history row 008x9, pilot)"]
    assert why["pilot_limit_on"] == ["pilot runs, 45 d so far, limit 90 d"]
    assert why["secq_received_on"] == ["received on 2027-01-05, from the deal's own field"]


def test_a_gate_that_was_open_before_anybody_looked_enters_late(org: Any) -> None:
    """Seen from 1 January on: a (10 d) and b (40 d) from their openings, c was open for 90 days and ended after 100.

    At 10 days a and b are at risk, S = 1/2; at 40 b alone, S = 0. As if c had been seen from its opening: S(10) = 2/3, S(40) = 1/3.
    """
    org.given["state"]["observed_since"] = "2027-01-01"
    spans = {"a": ("2027-01-02", "2027-01-12"), "b": ("2027-01-03", "2027-02-12"), "c": ("2026-10-03", "2027-01-11")}
    for id, (opened, decided) in spans.items():
        org.deal(id, ("vac", opened)).add(
            "gates", opportunity=id, gate="vac", opened_on=opened, decided_on=decided, result="approved", quality="observed"
        )
    assert org.measure("vac_cycle_time", "km_median").value == 10
    assert org.book().gates["unseen"].to_list() == [0, 0, 90]
    for row in org.given["crm"]["gates"]:
        row["quality"] = "date_field"
    assert org.measure("vac_cycle_time", "km_median").value == 40
