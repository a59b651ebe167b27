"""Results, buyers and lead sources beyond the golden org."""

from __future__ import annotations

from typing import Any

import pytest

from connector.kpis.compute import compute
from connector.kpis.definition import REGISTRY

Org = Any
DEMO, WON, LOST = "demo 2026-06-01", "closed_won 2026-12-01", "closed_lost 2026-12-01"


def rows(org: Org, kpi: str, variant: str = "", window: str = "T12M") -> dict[str, Any]:
    """Subject → value of one variant."""
    return {m.subject: m.value for m in compute(org.book(), [kpi]) if (m.variant, m.window) == (variant, window)}


def told(org: Org, kpi: str, variant: str = "", subject: str = "company", window: str = "T12M") -> Any:
    """The evidence of one measure."""
    return next(frame for m, frame in REGISTRY[kpi].evidenced(org.book()) if (m.variant, m.subject, m.window) == (variant, subject, window))


def buyers(org: Org, **deals: str) -> Org:
    """Contacts on deals, one contact for each persona: ``D1="cfo cmio"``."""
    for key in sorted({key for keys in deals.values() for key in keys.split()}):
        org.add("contacts", id=f"C-{key}", persona=key)
    for id, keys in deals.items():
        for key in keys.split():
            org.add("opportunity_contacts", opportunity=id, contact=f"C-{key}")
    return org


# -- won, booked, ARR ------------------------------------------------------------------------------------------------------------


def test_a_split_deal_counts_for_each_and_once_for_the_company(org: Org) -> None:
    org.deal("D1", DEMO, WON)
    for owner, share in (("R1", 0.25), ("R1", 0.25), ("R2", 0.5), ("R2", 0), (None, 1)):
        org.add("splits", opportunity="D1", owner=owner, share=share)
    assert rows(org, "closed_won_count") == {"company": 1, "segment=hospital": 1, "product=unknown": 1, "owner=R1": 1, "owner=R2": 1}
    assert (rows(org, "bookings")["owner=R1"], rows(org, "bookings")["company"]) == (500, 1000)
    org.file("quotas", *({"owner_key": owner, "period": "FY2026-Q4", "amount": 1000} for owner in ("R1", "R2")))
    row = org.measure("quota_attainment", window="FY2026-Q4")
    assert (row.value, row.n, row.excluded) == (0.5, 1, {})


def test_a_deal_credited_to_somebody_without_a_quota_is_left_out_and_counted(org: Org) -> None:
    org.deal("D1", DEMO, WON).deal("D2", DEMO, WON, owner="R2").file("quotas", {"owner_key": "R1", "period": "FY2026-Q4", "amount": 1000})
    row = org.measure("quota_attainment", window="FY2026-Q4")
    assert (row.value, row.n, row.excluded) == (1, 1, {"owner_without_quota": 1})
    assert org.measure("quota_attainment", subject="owner=R2", window="FY2026-Q4").reason == "missing_input"
    assert told(org, "quota_attainment", window="FY2026-Q4").select("opportunity", "input").rows() == [("D1", None), (None, "quotas.csv:1")]


def test_a_reopened_deal_is_booked_at_its_last_close(org: Org) -> None:
    org.deal("D1", "demo 2026-01-10", "closed_won 2026-02-01", "demo 2026-03-01", "closed_won 2026-12-01")
    assert (org.measure("bookings", window="FY2026-Q4").value, org.measure("bookings", window="FY2026").n) == (1000, 1)


def test_all_types_book_renewals_and_the_amounts_that_are_missing(org: Org) -> None:
    org.deal("D1", DEMO, WON).deal("D2", DEMO, WON, deal_type="renewal", amount=50).deal("D3", DEMO, WON, deal_type="expansion", amount=-5)
    assert org.show("bookings", "all_types", window="T12M") == "1050 money, n=2, missing_amount=1"


def test_a_leap_day_is_a_day_of_its_year(org: Org) -> None:
    org.given["as_of"] = "2024-02-29T17:00:00Z"
    org.deal("D1", "demo 2023-01-01", "closed_won 2023-03-01").deal("D2", "demo 2023-01-01", "closed_won 2023-02-28")
    org.deal("D3", "demo 2023-01-01", "closed_won 2024-02-29")
    assert org.measure("closed_won_count", window="T12M").value == 2  # from 1 March 2023: the day after 28 February 2023


def test_growth_is_at_one_rate_of_the_windows_last_day(org: Org) -> None:
    org.file("fx", *({"currency": "EUR", "date": day, "rate": rate} for day, rate in (("2026-01-01", 1), ("2026-12-31", 2), ("2027-02-15", 3))))
    line = {"account_key": "A1", "currency": "EUR"}
    org.file(
        "arr_ledger",
        line | {"date": "2026-03-01", "type": "new", "delta": "100.10"},
        line | {"date": "2026-06-01", "type": "churn", "delta": "-100.10"},
        line | {"date": "2026-06-02", "type": "new", "delta": 7, "currency": "GBP"},
    )
    assert org.show("net_new_arr", "churn", window="FY2026") == "200.2 money, n=1"
    assert org.show("net_new_arr", "new", window="T12M") == "300.3 money, n=1, missing_fx=1"
    assert org.measure("net_new_arr", window="T12M").value == 0
    assert told(org, "net_new_arr", "churn")["input"].to_list() == ["arr_ledger.csv:2"]


@pytest.mark.parametrize(
    ("values", "blended"),
    [
        ({"arr": 600, "capital_amount": 500}, "700 money, n=1"),
        ({"arr": 0, "capital_amount": 500}, "100 money, n=1"),
        ({"arr": 0, "projected_pull_through": 90, "capital_amount": 500}, "190 money, n=1"),
        ({"arr": None, "projected_pull_through": 90}, "90 money, n=1"),
        ({"arr": -1, "projected_pull_through": 90}, "90 money, n=1"),
        ({"arr": 60, "projected_pull_through": 90, "capital_amount": -5}, "60 money, n=1"),
        ({"arr": None, "capital_amount": 500}, "0 money, n=0, missing_arr=1"),
        ({"arr": None, "projected_pull_through": 0}, "0 money, n=0, missing_arr=1"),
        ({"arr": 5, "capital_amount": 500, "currency": "GBP"}, "0 money, n=0, missing_fx=1"),
    ],
)
def test_blended_arr(org: Org, values: dict[str, Any], blended: str) -> None:
    assert org.deal("D1", DEMO, WON, **values).show("blended_arr", window="T12M") == blended


def test_mrr_is_a_twelfth_of_the_balances_above_zero(org: Org) -> None:
    org.add("accounts", id="A2").add("accounts", id="A3", merged_into="A2")
    days = (("A1", "new", 1200), ("A1", "churn", -1200), ("A2", "new", 600), ("A3", "expansion", 600))
    lines = [{"account_key": key, "date": f"2026-0{place}-01", "type": kind, "delta": delta} for place, (key, kind, delta) in enumerate(days, 1)]
    org.file("arr_ledger", *lines, {"account_key": "A9", "date": "2026-01-01", "type": "new", "delta": 5, "currency": "GBP"})
    assert org.show("mrr") == "100 money, n=1, missing_fx=1"
    assert told(org, "mrr", window="asof")["input"].to_list() == ["arr_ledger.csv:3", "arr_ledger.csv:4"]


def test_without_a_ledger_mrr_is_unknown(org: Org) -> None:
    assert org.show("mrr") == "None money, n=0, missing_input"
    assert org.file("arr_ledger").show("mrr") == "0 money, n=0"


# -- win rates ---------------------------------------------------------------------------------------------------------------------


def test_win_rates_judge_the_named_population_everywhere(org: Org) -> None:
    org.set("populations.win_rate", {"except": {"lost_reason": ["duplicate"]}})
    org.deal("D1", DEMO, WON).deal("D2", DEMO, LOST, lost_reason="duplicate")
    for variant, window in (("", "T12M"), ("created_cohort", "T12M"), ("narrow", "T12M"), ("value", "T12M"), ("competing_risks", "ALL")):
        assert (org.measure("win_rate", variant, window=window).value, org.measure("win_rate", variant, window=window).n) == (1, 1)
    assert org.measure("closed_won_count", window="T12M").value == 1


def test_void_deals_are_counted_beside_the_rate(org: Org) -> None:
    org.deal("D1", DEMO, WON).deal("D2", DEMO, "closed_void 2026-12-01").deal("D3", DEMO, "closed_void 2026-12-01", deal_type="renewal")
    assert org.measure("win_rate", window="T12M").excluded == {"void": 1}


def test_a_win_share_by_value_leaves_out_amounts_nobody_knows(org: Org) -> None:
    org.deal("D1", DEMO, WON, amount=100).deal("D2", DEMO, LOST, amount=300).deal("D3", DEMO, LOST, amount=None)
    row = org.measure("win_rate", "value")
    assert (row.value, row.n, row.excluded) == (0.25, 2, {"missing_amount": 1})


def test_the_evidence_of_a_rate_is_its_cohort(org: Org) -> None:
    frame = told(org.deal("D1", DEMO, WON).deal("D2", DEMO, LOST).deal("D3", DEMO), "win_rate")
    assert frame.select("opportunity", "won").rows() == [("D1", True), ("D2", False)]


# -- buyers --------------------------------------------------------------------------------------------------------------------------


def test_a_persona_that_came_after_the_close_did_not_win_it(org: Org) -> None:
    org.deal("D1", DEMO, WON).deal("D2", DEMO, WON).add("contacts", id="C1", persona="cfo")
    org.add("opportunity_contacts", opportunity="D1", contact="C1", added_on="2026-12-01")
    org.add("opportunity_contacts", opportunity="D2", contact="C1", added_on="2026-12-02")
    assert org.show("win_rate_by_persona", subject="persona=cfo") == "1 ratio, n=1, 0.21–1.00, low n, unknown_persona=1"


def test_engaged_personas_have_been_met(org: Org) -> None:
    buyers(org.deal("D1", DEMO, WON), D1="cfo cmio").set("populations.persona_evidence", "engaged")
    org.add("activities", id="T1", kind="meeting", outcome="held", on="2026-07-01", opportunity="D1", contact="C-cfo")
    assert rows(org, "win_rate_by_persona") == {"persona=cfo": 1}


def test_sets_are_exact_and_pairs_are_not(org: Org) -> None:
    for id, end in (("D1", WON), ("D2", WON), ("D3", LOST), ("D4", LOST)):
        org.deal(id, DEMO, end)
    buyers(org, D1="cmio cfo legal", D2="cfo cmio", D3="cfo")
    assert rows(org, "win_rate_by_persona_combination") == {"personas=cfo": 0, "personas=cfo+cmio": 1, "personas=cfo+cmio+legal": 1}
    assert rows(org, "win_rate_by_persona_combination", "pair_lift") == {
        "personas=cfo+cmio": 2, "personas=cfo+legal": 2, "personas=cmio+legal": 2,
    }  # fmt: skip
    assert org.measure("win_rate_by_persona_combination", "pair_lift", "personas=cfo+cmio").n == 2
    assert org.measure("win_rate_by_persona_combination", "pair_lift", "personas=cfo+cmio").excluded == {"unknown_persona": 1}


def test_no_pair_lifts_a_rate_of_zero(org: Org) -> None:
    row = buyers(org.deal("D1", DEMO, LOST), D1="cfo cmio").measure("win_rate_by_persona_combination", "pair_lift", "personas=cfo+cmio")
    assert (row.value, row.n, row.reason) == (None, 1, "no_denominator")


def test_split_revenue_adds_up_to_the_bookings_and_overlapping_does_not(org: Org) -> None:
    for id, amount in (("D1", 100), ("D2", 50), ("D3", None), ("D4", 7)):
        org.deal(id, DEMO, WON, amount=amount)
    buyers(org, D1="cfo cmio legal", D2="cfo", D3="cfo gpo")
    overlapping, split = rows(org, "revenue_by_persona", "overlapping"), rows(org, "revenue_by_persona", "split")
    assert overlapping == {"persona=cfo": 150, "persona=cmio": 100, "persona=legal": 100, "persona=unknown": 7}
    assert split["persona=cfo"] == pytest.approx(100 / 3 + 50)
    assert sum(split.values()) == pytest.approx(org.measure("bookings", window="T12M").value)
    assert org.measure("revenue_by_persona", "overlapping", "persona=cfo").excluded == {"missing_amount": 1}


# -- lead sources -----------------------------------------------------------------------------------------------------------------------


def test_a_lead_source_is_judged_by_its_own_deals(org: Org) -> None:
    org.deal("D1", DEMO, WON, lead_source="ads", standard_terms=True).deal("D2", DEMO, WON, lead_source="ads")
    org.deal("D3", DEMO, LOST).deal("D4", DEMO, WON, lead_source="ads", deal_type="renewal", standard_terms=False)
    for gate, opened, decided in (("security", "2026-07-01", "2026-07-31"), ("vac", "2026-07-16", "2026-08-05")):
        org.add("gates", opportunity="D1", gate=gate, opened_on=opened, decided_on=decided, result="approved")
    assert org.show("lead_source_quality_by_compliance", "win_rate", "source=ads") == "1 ratio, n=2, 0.34–1.00, low n"
    assert org.show("lead_source_quality_by_compliance", "compliance_days_mean", "source=ads") == "35 days, n=1, low n"  # 1 July – 5 August
    assert org.measure("lead_source_quality_by_compliance", "contract_compliance_rate", "source=ads").excluded == {"unknown": 1}
    assert org.measure("lead_source_quality_by_compliance", "cycle_km_median", "source=ads").value == 183  # 1 June – 1 December
    assert org.measure("lead_source_quality_by_compliance", "win_rate", "source=unknown").value == 0
    assert org.measure("lead_source_quality_by_compliance", "compliance_days_mean", "source=unknown").reason == "no_denominator"


def test_deal_sizes_leave_out_what_nobody_knows(org: Org) -> None:
    for id, amount, arr in (("D1", 10, 0), ("D2", 20, 6), ("D3", 600, None), ("D4", 0, -1)):
        org.deal(id, DEMO, WON, amount=amount, arr=arr)
    assert (org.measure("average_deal_size", "mean").value, org.measure("average_deal_size", "median").value) == (210, 20)
    assert (org.measure("average_deal_size", "arr_mean").value, org.measure("average_deal_size", "arr_mean").n) == (3, 2)
