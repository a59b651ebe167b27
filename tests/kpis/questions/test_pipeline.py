"""Pipeline, coverage and forecast beyond the golden org."""

from __future__ import annotations

from typing import Any

import pytest

from connector.kpis.compute import compute
from connector.kpis.definition import REGISTRY

Org = Any
JULY = "demo 2026-07-01"


def rows(org: Org, kpi: str, variant: str = "") -> dict[str, Any]:
    """Subject → value of one variant."""
    return {m.subject: m.value for m in compute(org.book(), [kpi]) if m.variant == variant}


def told(org: Org, kpi: str, variant: str = "", subject: str = "company", window: str | None = None) -> Any:
    """The evidence of one measure."""
    return next(
        frame for m, frame in REGISTRY[kpi].evidenced(org.book()) if (m.variant, m.subject) == (variant, subject) and window in (None, m.window)
    )


# -- pipeline created ------------------------------------------------------------------------------------------------------


def test_the_first_amount_counts_whatever_it_became(org: Org) -> None:
    org.deal("D1", "demo 2027-01-04", amount=900)
    for day, amount in (("06", 800), ("04", 700), ("09", 900)):
        org.add("amount_history", opportunity="D1", at=f"2027-01-{day}T15:00:00Z", amount=amount)
    assert org.measure("pipeline_created", window="FY2027-Q1").value == 700


def test_a_deal_created_without_an_amount_is_missing_one_though_it_has_one_now(org: Org) -> None:
    org.deal("D1", "demo 2027-01-04", amount=900).add("amount_history", opportunity="D1", at="2027-01-04T15:00:00Z", amount=None)
    org.add("amount_history", opportunity="D1", at="2027-01-08T15:00:00Z", amount=900)
    assert org.show("pipeline_created", window="FY2027-Q1") == "0 money, n=0, missing_amount=1"
    assert org.measure("pipeline_created", "count", window="FY2027-Q1").value == 1


def test_amounts_after_the_day_are_not_read(org: Org) -> None:
    org.deal("D1", "demo 2027-01-04", amount=100)
    for at, amount in (("2027-01-04T15:00:00Z", 900), ("2027-02-15T17:00:01Z", 100)):
        org.add("amount_history", opportunity="D1", at=at, amount=amount)
    assert org.measure("pipeline_created", window="FY2027-Q1").value == 900


def test_created_is_converted_on_the_day_of_creation_by_local_date(org: Org) -> None:
    org.file("fx", {"currency": "EUR", "date": "2026-01-01", "rate": 2}, {"currency": "EUR", "date": "2027-01-01", "rate": 3})
    org.deal("D1", "demo 2027-01-01T03:30:00Z", amount=100, currency="EUR")  # 31 December in New York
    assert org.measure("pipeline_created", window="FY2026-Q4").value == 200
    assert org.measure("pipeline_created", window="FY2027-Q1").value == 0


def test_created_belongs_to_the_owner_of_then_and_survives_the_loss(org: Org) -> None:
    org.deal("D1", JULY, "closed_lost 2026-08-01", owner="R2")
    org.add("owner_history", opportunity="D1", at="2026-07-01T15:00:00Z", owner="R1")
    org.add("owner_history", opportunity="D1", at="2026-07-20T15:00:00Z", owner="R2")
    assert org.measure("pipeline_created", subject="owner=R1", window="T12M").value == 1000
    assert "owner=R2" not in rows(org, "pipeline_created")


def test_the_evidence_of_created_is_the_deals_with_what_they_had(org: Org) -> None:
    org.deal("D1", "demo 2027-01-04", amount=900).deal("D2", "demo 2027-01-05", amount=None)
    frame = told(org, "pipeline_created", window="FY2027-Q1")
    assert frame["opportunity"].to_list() == ["D1", "D2"]
    assert frame["left_out"].to_list() == [None, "missing_amount"]


# -- ageing and stale --------------------------------------------------------------------------------------------------------


def test_the_limit_is_the_segments_and_a_deal_as_old_as_it_is_not_over(org: Org) -> None:
    org.add("accounts", id="A2", segment="clinic").set("thresholds.aging_days", {"default": 100, "clinic": 30})
    org.deal("D1", "demo 2026-11-07")  # 100 days before 15 February
    org.deal("D2", "demo 2026-11-06", amount=3000).deal("D3", "demo 2027-01-15", account="A2").deal("D4", "demo 2027-01-16", account="A2")
    assert rows(org, "pipeline_aging", "count_share") == {"company": 0.5, "segment=hospital": 0.5, "segment=clinic": 0.5}
    assert org.measure("pipeline_aging", "value_share").value == pytest.approx(4000 / 6000)
    assert rows(org, "pipeline_aging", "bucket") == {"age=0-30": 1, "age=31-60": 1, "age=61-90": 0, "age=91-180": 2, "age=over_180": 0}


def test_age_watches_the_named_population(org: Org) -> None:
    org.set("populations.ageing", {"except": {"stage": ["on_hold"]}}).deal("D1", "demo 2026-01-01").deal("D2", "on_hold 2026-01-01")
    assert org.measure("pipeline_aging", "count_share").n == 1
    assert org.measure("open_pipeline_value").n == 2


def test_open_pipeline_may_leave_deals_out_of_value_and_coverage(org: Org) -> None:
    org.set("populations.open_pipeline", {"except": {"stage": ["lead"]}}).deal("D1", "lead 2027-01-04").deal("D2", "demo 2027-01-04")
    org.file("quotas", {"owner_key": "R1", "period": "FY2027-Q1", "amount": 500})
    assert org.measure("open_pipeline_value").value == 1000
    assert org.measure("active_opportunity_count").value == 1
    assert (org.measure("pipeline_coverage_ratio").value, org.measure("pipeline_coverage_ratio", "all_open").value) == (2, 2)
    assert "opportunity=D1" in rows(org, "stale_flag")


def test_stale_for_any_of_three_reasons(org: Org) -> None:
    org.set("thresholds.buyer_silence_days", 20).set("thresholds.stage_limit_days", {"demo": 50})
    org.deal("D1", "demo 2026-12-26").deal("D2", "pilot 2027-01-27", closes_on="2027-02-14").deal("D3", "pilot 2027-01-27")
    org.deal("D4", "pilot 2027-01-25").add("activities", id="T1", kind="call", on="2027-02-14", outcome="connected", opportunity="D1")
    org.add("activities", id="T2", kind="call", on="2027-02-14", outcome="not_connected", opportunity="D4")
    assert rows(org, "stale_flag") == {"opportunity=D1": True, "opportunity=D2": True, "opportunity=D3": False, "opportunity=D4": True}
    reasons = told(org, "stale_flag", subject="opportunity=D4").row(0, named=True)
    assert (reasons["stage_age"], reasons["close_date_past"], reasons["no_buyer_activity"]) == (False, False, True)


# -- coverage -----------------------------------------------------------------------------------------------------------------


def test_a_quota_of_zero_leaves_nothing_to_divide_by_even_after_a_win(org: Org) -> None:
    org.deal("D1", JULY, "closed_won 2027-01-10").deal("D2", "demo 2027-01-04").file(
        "quotas", {"owner_key": "R1", "period": "FY2027-Q1", "amount": 0}
    )
    for variant in ("", "remaining", "all_open"):
        assert org.measure("pipeline_coverage_ratio", variant).reason == "no_denominator"


def test_what_remains_counts_only_the_split_of_owners_with_a_quota(org: Org) -> None:
    org.deal("D1", JULY, "closed_won 2027-01-10", amount=1000).deal("D2", "demo 2027-01-04", amount=1500)
    org.add("splits", opportunity="D1", owner="R1", share=0.5).add("splits", opportunity="D1", owner="R2", share=0.5)
    org.file("quotas", {"owner_key": "R1", "period": "FY2027-Q1", "amount": 2000})
    assert org.measure("pipeline_coverage_ratio", "remaining").value == 1  # 1500 ÷ (2000 − 500)


def test_coverage_of_another_fiscal_year(org: Org) -> None:
    org.set("calendar.fiscal_year_starts", 2).deal("D1", "demo 2027-02-04", closes_on="2027-04-30").deal(
        "D2", "demo 2027-02-04", closes_on="2027-05-01"
    )
    org.file("quotas", *({"owner_key": "R1", "period": f"2027-{month:02}", "amount": 100} for month in (2, 3, 4)))
    row = org.measure("pipeline_coverage_ratio")
    assert (row.window, row.n, row.value) == ("FY2028-Q1", 1, pytest.approx(1000 / 300))


def test_the_evidence_of_coverage_is_deals_and_lines_of_quota(org: Org) -> None:
    org.deal("D1", "demo 2027-01-04").file("quotas", {"owner_key": "R1", "period": "FY2027-Q1", "amount": 500})
    frame = told(org, "pipeline_coverage_ratio")
    assert frame.select("opportunity", "input", "quota_of").rows() == [("D1", None, None), (None, "quotas.csv:1", "R1")]


def test_a_quota_in_a_currency_without_a_rate_is_no_quota(org: Org) -> None:
    org.deal("D1", "demo 2027-01-04").file("quotas", {"owner_key": "R1", "period": "FY2027-Q1", "amount": 5, "currency": "GBP"})
    assert org.measure("pipeline_coverage_ratio").reason == "missing_input"


def breach(org: Org, *snapshots: tuple[str, float | None]) -> Any:
    org.deal("D1", "demo 2027-01-04", amount=500).file("quotas", {"owner_key": "R1", "period": "FY2027-Q1", "amount": 100})  # 500 × 0.2 ÷ 100 = 1
    org.given["state"]["kpi_snapshots"] = [
        {"kpi": "weighted_pipeline_coverage", "variant": "", "subject": "company", "date": day, "value": value} for day, value in snapshots
    ]
    return org.measure("weighted_pipeline_coverage", "no_go_breach")


def test_two_months_below_red_are_a_breach(org: Org) -> None:
    row = breach(org, ("2027-01-05", 4.0), ("2027-01-31", 1.9), ("2027-02-01", 9.0))
    assert (row.value, row.n) == (True, 2)


def test_the_last_snapshot_of_a_month_stands_for_it(org: Org) -> None:
    assert breach(org, ("2027-01-05", 1.0), ("2027-01-31", 2.0)).value is False


def test_a_month_without_a_snapshot_breaks_the_run(org: Org) -> None:
    assert breach(org, ("2026-12-31", 1.0)).value is False


# -- expected ARR and the forecast ---------------------------------------------------------------------------------------------


def test_expected_arr_counts_what_is_left_out_once(org: Org) -> None:
    org.deal("D1", JULY, "closed_won 2027-01-10", arr=None).deal("D2", "demo 2027-01-04", arr=-1).deal("D3", (None, "2027-01-04"))
    assert org.show("expected_arr_by_quarter_end") == "0 money, n=0, missing_arr=2, no_probability=1"


def forecast(org: Org, *snapshots: dict[str, Any]) -> Org:
    org.deal("D1", JULY, "closed_won 2026-11-02", amount=800, arr=300)
    return org.file("forecast_snapshots", *({"period": "FY2026-Q4"} | snapshot for snapshot in snapshots))


def test_the_last_forecast_up_to_the_first_day_counts(org: Org) -> None:
    days = {"2026-09-01": 100, "2026-10-01": 1000, "2026-10-02": 50}
    forecast(org, *({"submitted_on": day, "amount": amount} for day, amount in days.items()))
    assert org.measure("forecast_accuracy").value == pytest.approx(0.75)
    assert org.measure("forecast_accuracy", "error").value == pytest.approx(0.2)
    assert org.measure("forecast_accuracy", "bias").value == pytest.approx(0.25)


def test_without_one_the_first_inside_the_quarter_and_none_after_it(org: Org) -> None:
    days = {"2026-10-20": 400, "2026-11-20": 1000, "2027-01-01": 50}
    assert forecast(org, *({"submitted_on": day, "amount": amount} for day, amount in days.items())).measure("forecast_accuracy").value == 0.5
    late = type(org)().file("forecast_snapshots", {"period": "FY2026-Q4", "submitted_on": "2027-01-01", "amount": 50})
    assert rows(late, "forecast_accuracy") == {}


def test_a_running_quarter_is_not_judged(org: Org) -> None:
    assert rows(org.file("forecast_snapshots", {"period": "FY2027-Q1", "submitted_on": "2027-01-01", "amount": 50}), "forecast_accuracy") == {}


def test_a_forecast_of_arr_is_held_against_arr(org: Org) -> None:
    assert forecast(org, {"submitted_on": "2026-10-01", "amount": 400, "basis": "arr"}).measure("forecast_accuracy", "bias").value == pytest.approx(
        1 / 3
    )


def test_an_owners_forecast_is_held_against_his_share(org: Org) -> None:
    forecast(org, {"submitted_on": "2026-10-01", "amount": 400, "owner_key": "R2"}, {"submitted_on": "2026-10-01", "amount": 800})
    org.add("splits", opportunity="D1", owner="R1", share=0.75).add("splits", opportunity="D1", owner="R2", share=0.25)
    assert rows(org, "forecast_accuracy") == {"company": 1.0, "owner=R2": -0.0}  # 1 − |400 − 200| ÷ 200


def test_nothing_won_has_no_accuracy_but_an_error(org: Org) -> None:
    org.file("forecast_snapshots", {"period": "FY2026-Q4", "submitted_on": "2026-10-01", "amount": 50})
    assert org.measure("forecast_accuracy").reason == "no_denominator"
    assert org.measure("forecast_accuracy", "error").value == 1
    assert org.measure("forecast_accuracy", "bias").reason == "no_denominator"


def test_a_forecast_in_a_currency_without_a_rate_is_missing(org: Org) -> None:
    row = forecast(org, {"submitted_on": "2026-10-01", "amount": 50, "currency": "GBP"}).measure("forecast_accuracy")
    assert (row.value, row.reason, row.excluded) == (None, "missing_input", {"missing_fx": 1})


def test_own_snapshots_serve_where_no_file_was_given(org: Org) -> None:
    org.deal("D1", JULY, "closed_won 2026-11-02", arr=300)
    assert org.show("forecast_accuracy", window="FY2026-Q4") == "None ratio, n=0, missing_input"
    own = {"kpi": "expected_arr_by_quarter_end", "subject": "company"}
    org.given["state"]["kpi_snapshots"] = [
        own | {"window": "FY2026-Q3", "date": "2026-09-28", "value": 50},
        own | {"window": "FY2026-Q4", "date": "2026-10-05", "value": 240},
        own | {"window": "FY2026-Q4", "date": "2026-10-12", "value": 900},
    ]
    assert org.measure("forecast_accuracy", window="FY2026-Q4").value == pytest.approx(0.8)
    assert told(org, "forecast_accuracy", window="FY2026-Q4")["snapshot"].to_list() == [None, "expected_arr_by_quarter_end company 2026-10-05"]
