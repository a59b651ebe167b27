"""Unit economics beyond the golden org: who is a new customer, what spend counts, what is unknown."""

from __future__ import annotations

from typing import Any

import pytest

from connector.kpis.definition import REGISTRY
from connector.kpis.evidence import identity

SPEND = {"month": "2026-06", "category": "sales", "amount": 900}
KPIS = ("blended_cac", "cac", "cac_payback_months", "cac_ratio", "cost_per_opportunity", "ltv", "ltv_cac_ratio", "gross_margin_by_product")


def won(org: Any, id: str, day: str, created: str = "2026-03-01", **values: Any) -> Any:
    return org.deal(id, f"demo {created}", f"closed_won {day}", **values)


# -- new customers ------------------------------------------------------------------------------------------------


def test_customers_are_counted_and_not_deals(org: Any) -> None:
    won(org, "D1", "2026-08-01")
    won(org, "D2", "2026-08-02")
    assert org.file("spend", SPEND).show("blended_cac") == "900 money, n=1, low n"


def test_who_had_won_or_had_arr_before_the_window_is_not_new(org: Any) -> None:
    for account in ("A2", "A3", "A4", "A5"):
        org.add("accounts", id=account)
    org.add("accounts", id="A6", merged_into="A5")
    won(org, "D1", "2026-02-15", created="2026-01-01")  # the day before T12M
    won(org, "D2", "2026-08-01")
    won(org, "D3", "2026-08-01", account="A2")  # in the ledger, in a currency without a rate
    won(org, "D4", "2026-08-01", account="A3")  # left before the window: new again
    won(org, "D5", "2026-08-01", account="A4", deal_type="expansion")
    won(org, "D6", "2026-08-01", account="A6")  # its survivor A5 is in the ledger
    won(org, "D7", "2026-08-01", account=None)
    line = {"type": "new", "date": "2025-01-01", "delta": 50, "currency": "GBP"}
    org.file("arr_ledger", line | {"account_key": "A2"}, line | {"account_key": "A3"}, line | {"account_key": "A5"},
             line | {"account_key": "A3", "type": "churn", "date": "2026-02-15", "delta": -50})  # fmt: skip
    org.file("spend", SPEND)
    assert org.show("blended_cac") == "900 money, n=1, low n"
    (measure, evidence), *_ = REGISTRY["blended_cac"].evidenced(org.book())
    assert (measure.subject, measure.window) == ("company", "T12M")
    assert evidence is not None
    assert [identity(row) for row in evidence.iter_rows(named=True)] == [("opportunity", "D4"), ("input", "spend.csv:1")]


def test_a_void_win_is_none_and_a_corrected_close_counts_where_it_was_won(org: Any) -> None:
    org.deal("D1", "demo 2026-03-01", "closed_void 2026-08-01")
    org.add("accounts", id="A2")
    org.deal("D2", "demo 2026-03-01", "closed_lost 2026-09-30", "closed_won 2026-10-02", account="A2")
    org.file("spend", SPEND | {"month": "2026-07"}, SPEND | {"month": "2026-10"})
    assert org.measure("blended_cac", window="FY2026-Q4").n == 1
    assert org.measure("blended_cac", window="T12M").n == 1
    org.given["windows"] = ["FY2026-Q3"]
    assert org.show("blended_cac", window="FY2026-Q3") == "None money, n=0, low n, no_denominator"


# -- spend --------------------------------------------------------------------------------------------------------


def test_months_count_by_their_first_day_and_once_begun(org: Any) -> None:
    won(org, "D1", "2026-08-01")
    # T12M begins on 2026-02-16: February's first day lies before it; March 2027 has not begun
    org.file("spend", SPEND | {"month": "2026-02", "amount": 1}, SPEND | {"month": "2026-03", "amount": 20},
             SPEND | {"month": "2027-02", "amount": 300}, SPEND | {"month": "2027-03", "amount": 4000})  # fmt: skip
    assert org.measure("blended_cac", window="T12M").value == 320
    won(org, "D2", "2027-01-10", account="A2")
    assert org.measure("blended_cac", window="FY2027").value == 300


def test_the_categories_are_a_setting(org: Any) -> None:
    won(org, "D1", "2026-08-01", arr=1200)
    names = ("sales", "marketing", "onboarding", "compliance", "legal", "demo", "travel")
    org.file("spend", *(SPEND | {"category": name, "amount": 10**place} for place, name in enumerate(names)))
    assert org.measure("blended_cac").value == 111
    assert (org.measure("cac").value, org.measure("cac", "fully_loaded").value) == (11011, 1111111)
    assert org.measure("cac_ratio").value == pytest.approx(1200 / 11)
    org.set("cac.blended", ["travel"]).set("cac.sales_and_marketing", ["sales"])
    assert (org.measure("blended_cac").value, org.measure("cac_ratio").value) == (1000000, 1200)


def test_a_category_that_nobody_spent_on_is_nothing_and_a_window_without_spend_unknown(org: Any) -> None:
    won(org, "D1", "2026-08-01")
    org.file("spend", SPEND | {"category": "travel"})
    assert org.show("blended_cac", window="T12M") == "0 money, n=1, low n"
    assert org.show("cac_ratio", window="T12M") == "None x, n=1, low n, no_denominator"
    assert org.show("blended_cac", window="FY2026-Q4") == "None money, n=0, low n, missing_input"


def test_spend_without_a_rate_is_unknown(org: Any) -> None:
    won(org, "D1", "2026-08-01")
    org.file("spend", SPEND, SPEND | {"currency": "EUR", "amount": 50})
    for kpi in ("blended_cac", "cost_per_opportunity"):
        assert org.show(kpi) == "None money, n=1, low n, missing_fx=1, missing_input"
    org.file("fx", {"currency": "EUR", "date": "2026-06-01", "rate": 2}, {"currency": "EUR", "date": "2026-06-02", "rate": 9})
    assert org.measure("blended_cac").value == 1000


def test_segments_only_where_spend_names_them(org: Any) -> None:
    org.add("accounts", id="A2", segment="clinic").add("accounts", id="A3", segment="clinic")
    won(org, "D1", "2026-08-01")
    won(org, "D2", "2026-08-01", account="A2")
    won(org, "D3", "2026-08-01", account="A3", segment="hospital")
    org.file("spend", SPEND, SPEND | {"segment": "hospital", "amount": 50}, SPEND | {"segment": "lab", "amount": 7},
             SPEND | {"segment": "clinic", "category": "travel", "amount": 3})  # fmt: skip
    shown = {m.subject: (m.value, m.n, m.reason) for m in REGISTRY["cac"].measures(org.book()) if m.window == "T12M" and m.variant == ""}
    assert shown == {"company": (957 / 3, 3, None), "segment=hospital": (25, 2, None), "segment=lab": (None, 0, "no_denominator")}
    full = {m.subject: m.value for m in REGISTRY["cac"].measures(org.book()) if m.window == "T12M" and m.variant == "fully_loaded"}
    assert full == {"company": 320, "segment=hospital": 25, "segment=lab": None, "segment=clinic": 3}


# -- revenue per customer -----------------------------------------------------------------------------------------


def test_a_customer_without_arr_is_left_out_and_not_counted_as_nothing(org: Any) -> None:
    won(org, "D1", "2026-08-01", arr=1200)
    won(org, "D2", "2026-08-01", account="A2", arr=None)
    org.file("spend", SPEND)
    assert org.show("ltv") == "3600 money, n=2, low n, missing_arr=1"  # 1,200 × 3 years
    # CAC 900 ÷ 2 = 450; a month brings 1,200 ÷ 12 = 100
    assert org.show("cac_payback_months", "gross") == "4.5 months, n=2, low n, missing_arr=1"
    assert org.show("cac_payback_months") == "6 months, n=2, low n, missing_arr=1"
    assert org.show("ltv_cac_ratio") == "8 x, n=2, low n, missing_arr=1"


def test_without_any_known_arr_the_value_is_unknown(org: Any) -> None:
    won(org, "D1", "2026-08-01", arr=None)
    org.file("spend", SPEND)
    for kpi, unit in (("ltv", "money"), ("ltv_cac_ratio", "x"), ("cac_payback_months", "months"), ("cac_ratio", "x")):
        assert org.show(kpi) == f"None {unit}, n=1, low n, missing_arr=1, missing_input"


def test_an_arr_of_0_is_0(org: Any) -> None:
    won(org, "D1", "2026-08-01", arr=0)
    org.file("spend", SPEND)
    assert org.show("ltv") == "0 money, n=1, low n"
    assert org.show("cac_payback_months") == "None months, n=1, low n, no_denominator"


def test_a_deal_s_own_contract_years_come_first(org: Any) -> None:
    won(org, "D1", "2026-08-01", arr=100, contract_years=5)
    won(org, "D2", "2026-08-01", account="A2", arr=300)
    assert org.show("ltv") == "800 money, n=2, low n"  # 200 × (5 + 3) ÷ 2
    assert org.measure("ltv", "gross_margin").value == 600
    org.set("money.contract_years", None)
    assert org.show("ltv") == "1000 money, n=2, low n, unknown=1"
    org.set("money.gross_margin", None)
    assert org.measure("ltv", "gross_margin").reason == "missing_input"
    assert org.measure("ltv").value == 1000


def test_without_contract_years_there_is_no_lifetime_value(org: Any) -> None:
    won(org, "D1", "2026-08-01", contract_years=0)
    org.set("money.contract_years", None).file("spend", SPEND)
    assert org.show("ltv", window="T12M") == "None money, n=1, low n, unknown=1, missing_input"
    assert org.show("ltv_cac_ratio", window="FY2026-Q4") == "None x, n=0, low n, missing_input"


def test_the_year_of_the_books_need_not_be_the_calendar_s(org: Any) -> None:
    """A fiscal year from July: FY2027 began on 2026-07-01."""
    org.set("calendar.fiscal_year_starts", 7)
    won(org, "D1", "2026-06-30")
    won(org, "D2", "2026-07-01", account="A2")
    org.file("spend", SPEND | {"month": "2026-06", "amount": 10}, SPEND | {"month": "2026-07", "amount": 70})
    assert (org.measure("cac", window="FY2027").value, org.measure("cac", window="FY2026").value) == (70, 10)


# -- opportunities ------------------------------------------------------------------------------------------------


def opportunities(org: Any, window: str) -> list[str]:
    org.given["windows"] = [window]
    for measure, evidence in REGISTRY["cost_per_opportunity"].evidenced(org.book()):
        if measure.window == window:
            assert evidence is not None
            ids = [row["opportunity"] for row in evidence.iter_rows(named=True) if row.get("opportunity")]
            assert measure.n == len(ids)
            return ids
    raise LookupError(window)


def test_a_deal_is_open_from_creation_to_the_day_of_its_close(org: Any) -> None:
    org.file("spend", SPEND)
    won(org, "D1", "2026-08-01", created="2026-05-01", created_at="2026-03-15T15:00:00Z")
    assert opportunities(org, "2026-03") == ["D1"]
    assert opportunities(org, "2026-02") == []
    assert opportunities(org, "2026-08") == ["D1"]
    assert opportunities(org, "2026-09") == []


def test_a_reopened_deal_was_not_open_while_it_was_closed(org: Any) -> None:
    org.file("spend", SPEND)
    org.deal("D1", "demo 2026-03-01", "closed_lost 2026-04-15", "demo 2026-08-15", created_at="2026-03-01T15:00:00Z")
    assert [opportunities(org, month) for month in ("2026-04", "2026-06", "2026-08", "2026-12")] == [["D1"], [], ["D1"], ["D1"]]


def test_parked_and_unmapped_deals_are_open_and_void_and_renewal_deals_none(org: Any) -> None:
    org.file("spend", SPEND)
    org.deal("D1", "demo 2026-03-01", "on_hold 2026-04-01").deal("D2", (None, "2026-03-01")).deal("D3", "demo 2026-03-01", "closed_void 2026-12-01")
    org.deal("D4", "demo 2026-03-01", deal_type="renewal").deal("D5", "closed_won 2026-06-10").deal("D6", created_at="2026-06-20T15:00:00Z")
    assert opportunities(org, "2026-06") == ["D1", "D2", "D5", "D6"]
    assert opportunities(org, "2026-07") == ["D1", "D2", "D6"]


# -- margin by product --------------------------------------------------------------------------------------------


def test_margin_by_product_over_the_months_of_the_window(org: Any) -> None:
    row = {"product": "P1", "month": "2026-03", "revenue": 100, "cogs": 150}
    org.file("product_finance", row, row | {"month": "2026-02", "revenue": 900}, row | {"month": "2027-03", "revenue": 900},
             row | {"product": "P2", "revenue": 0}, row | {"product": "P3", "revenue": -10})  # fmt: skip
    shown = {m.subject: (m.value, m.n, m.reason) for m in REGISTRY["gross_margin_by_product"].measures(org.book())}
    assert shown == {"product=P1": (-0.5, 1, None), "product=P2": (None, 1, "no_denominator"), "product=P3": (None, 1, "negative")}


def test_none_can_be_divided_by_the_deals_of_an_owner() -> None:
    """Whom another rep won before is no new customer: the deals of one rep do not tell."""
    assert not any(REGISTRY[kpi].divisible for kpi in KPIS)


def test_without_its_input_each_says_so(org: Any) -> None:
    org.set("money.contract_years", None)
    for kpi in KPIS:
        measures = list(REGISTRY[kpi].measures(org.book()))
        assert {(m.subject, m.value, m.reason) for m in measures} == {("company", None, "missing_input")}
    assert len(list(REGISTRY["gross_margin_by_product"].measures(org.book()))) == 1


def test_evidence_names_every_record_behind_a_number(golden_book: Any) -> None:
    for name in KPIS:
        for measure, evidence in REGISTRY[name].evidenced(golden_book):
            named = [] if evidence is None else [identity(row) for row in evidence.iter_rows(named=True)]
            assert len(set(named)) == len(named)
            deals = [id for kind, id in named if kind == "opportunity"]
            assert len(deals) == (0 if name == "gross_margin_by_product" else measure.n)
            if measure.value and name != "ltv":
                assert {kind for kind, _ in named} >= {"input"}
