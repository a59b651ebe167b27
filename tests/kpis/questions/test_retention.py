"""Retention beyond the golden org: several currencies, returned and merged customers, late renewals, removed units."""

from __future__ import annotations

from typing import Any

import pytest

from connector.kpis.definition import REGISTRY, Measure
from connector.kpis.evidence import identity


def entry(account: str, day: str, kind: str, delta: float, currency: str | None = None) -> dict[str, Any]:
    return {"account_key": account, "date": day, "type": kind, "delta": delta, "currency": currency}


def renewal(account: str, due: str, available: float = 100, renewed: float | None = None, on: str | None = None, **more: Any) -> dict[str, Any]:
    return {"account_key": account, "due_on": due, "available": available, "renewed": renewed, "renewed_on": on, **more}


def told(org: Any, kpi: str, variant: str = "", subject: str = "company") -> list[dict[str, Any]]:
    """The evidence of one measure, as rows."""
    for measure, evidence in REGISTRY[kpi].evidenced(org.book()):
        if (measure.variant, measure.subject) == (variant, subject):
            return [] if evidence is None else evidence.to_dicts()
    raise LookupError(kpi)


def rows(org: Any, kpi: str) -> list[Measure]:
    return list(REGISTRY[kpi].measures(org.book()))


# -- the cohort ---------------------------------------------------------------------------------------------------


def test_the_cohort_is_of_the_day_before_the_window(org: Any) -> None:
    """T12M begins on 2026-02-16: who came on that day is no customer of the day before it."""
    org.file("arr_ledger", entry("A1", "2026-02-15", "new", 100), entry("A2", "2026-02-16", "new", 900), entry("A2", "2026-05-01", "expansion", 100))
    assert org.show("nrr") == "1 ratio, n=1, low n"
    assert org.show("expansion_revenue_share") == "0 ratio, n=1, low n"


def test_a_returned_customer_is_back_for_nrr_and_logo_and_stays_churned_for_grr(org: Any) -> None:
    org.file(
        "arr_ledger", entry("A1", "2025-01-01", "new", 100), entry("A1", "2026-06-30", "churn", -100), entry("A1", "2026-12-01", "new", 80),
    )  # fmt: skip
    assert org.measure("logo_retention_rate").value == 1
    assert org.measure("nrr").value == pytest.approx(0.8)
    assert (org.measure("grr").value, org.measure("churn_by_segment", "arr", "segment=hospital").value) == (0, 1)


def test_one_customer_s_expansion_does_not_pay_for_another_s_churn(org: Any) -> None:
    org.add("accounts", id="A2", segment="clinic")
    org.file(
        "arr_ledger", entry("A1", "2025-01-01", "new", 100), entry("A1", "2026-03-01", "expansion", 100),
        entry("A1", "2026-04-01", "contraction", -150), entry("A2", "2025-01-01", "new", 300), entry("A2", "2026-05-01", "expansion", 300),
    )  # fmt: skip
    # A1: 100 − 150 is held at 0; A2 keeps its 300: 300 ÷ 400
    assert org.measure("grr").value == pytest.approx(0.75)
    assert org.measure("nrr").value == pytest.approx(650 / 400)
    assert org.measure("expansion_revenue_share").value == pytest.approx(400 / 400)
    assert org.measure("grr", subject="segment=hospital").value == 0


def test_both_sides_are_at_one_rate(org: Any) -> None:
    """The euro fell from 2 to 1 within the year: a customer that stayed as it was retains exactly 100 %."""
    org.file("fx", {"currency": "EUR", "date": "2025-01-01", "rate": 2}, {"currency": "EUR", "date": "2026-07-01", "rate": 1})
    org.file("arr_ledger", entry("A1", "2025-06-01", "new", 100, "EUR"), entry("A2", "2025-06-01", "new", 100, "USD"),
             entry("A2", "2026-08-01", "contraction", -50, "USD"))  # fmt: skip
    assert org.measure("nrr").value == pytest.approx(150 / 200)
    assert told(org, "nrr") == [{"account": "A1", "arr": 100, "arr_now": 100}, {"account": "A2", "arr": 100, "arr_now": 50}]


def test_a_customer_without_a_rate_is_a_customer_of_unknown_revenue(org: Any) -> None:
    org.file("arr_ledger", entry("A1", "2025-06-01", "new", 100, "GBP"), entry("A1", "2025-06-01", "new", 40, "USD"),
             entry("A2", "2025-06-01", "new", 100, "USD"), entry("A2", "2026-08-01", "churn", -100, "USD"))  # fmt: skip
    assert org.show("logo_retention_rate") == "0.5 ratio, n=2, 0.09–0.91, low n"
    for kpi in ("nrr", "grr", "expansion_revenue_share"):
        assert org.show(kpi) == "0 ratio, n=1, low n, missing_fx=1"
    assert org.show("nrr", subject="segment=hospital") == "None ratio, n=0, low n, missing_fx=1, no_denominator"


def test_a_merged_account_is_its_survivor_through_chains(org: Any) -> None:
    org.add("accounts", id="A2", merged_into="A3").add("accounts", id="A3", merged_into="A1")
    org.file("arr_ledger", entry("A2", "2025-06-01", "new", 50), entry("A1", "2025-06-01", "new", 50), entry("A2", "2026-06-01", "churn", -50))
    assert org.show("logo_retention_rate") == "1 ratio, n=1, 0.21–1.00, low n"
    assert org.show("nrr", subject="segment=hospital") == "0.5 ratio, n=1, low n"


def test_an_account_that_the_crm_lacks_is_kept_under_unknown(org: Any) -> None:
    org.file("arr_ledger", entry("X9", "2025-06-01", "new", 50))
    assert org.measure("churn_by_segment", "logo", "segment=unknown").value == 0
    assert told(org, "logo_retention_rate") == [{"account": "X9", "arr": 50, "arr_now": 50, "kept": True}]


def test_an_empty_ledger_is_not_a_missing_one(org: Any) -> None:
    org.file("arr_ledger")
    assert org.measure("nrr").reason == "no_denominator"
    assert rows(org, "churn_by_segment") == []
    assert org.measure("time_to_first_expansion", "mean").reason == "no_denominator"


def test_without_its_input_each_says_so(org: Any) -> None:
    for kpi in ("nrr", "grr", "expansion_revenue_share", "lost_hospital_contracts", "renewal_rate", "consumable_pull_through_per_installed_base"):
        (only,) = rows(org, kpi)
        assert (only.subject, only.value, only.reason, only.window) == ("company", None, "missing_input", "T12M")
    assert [(m.subject, m.variant, m.reason) for m in rows(org, "churn_by_segment")] == [
        ("company", "logo", "missing_input"), ("company", "arr", "missing_input"),
    ]  # fmt: skip
    assert {(m.subject, m.variant, m.reason) for m in rows(org, "time_to_first_expansion")} == {
        ("company", "mean", "missing_input"), ("company", "km_median", "missing_input"),
    }  # fmt: skip
    org.file("installed_base")
    assert org.measure("consumable_pull_through_per_installed_base").reason == "missing_input"


# -- renewals -----------------------------------------------------------------------------------------------------


def outcomes(org: Any) -> dict[str, str]:
    return {row["customer"]: row["outcome"] for row in told(org, "lost_hospital_contracts")}


def test_a_late_renewal_is_no_loss_until_the_ninetieth_day(org: Any) -> None:
    """Due 2026-06-01: 90 days later is 2026-08-30."""
    org.file("renewals", renewal("L1", "2026-06-01", renewed=100, on="2026-08-30"), renewal("L2", "2026-06-01", renewed=100, on="2026-08-31"),
             renewal("L3", "2026-06-01", renewed=100), renewal("L4", "2026-06-01", renewed=0))  # fmt: skip
    assert outcomes(org) == {"L1": "renewed", "L2": "lost", "L3": "renewed", "L4": "lost"}
    assert org.show("renewal_rate") == "0.5 ratio, n=4, low n"
    assert org.show("logo_retention_rate", "renewed_due") == "0.5 ratio, n=4, 0.15–0.85, low n"


def test_undecided_is_pending_within_that_time_and_lost_after_it(org: Any) -> None:
    """Today is 2027-02-15: what was due on 2026-11-17 has its ninetieth day today."""
    org.file("renewals", renewal("A1", "2026-11-17"), renewal("A2", "2026-11-16"), renewal("A3", "2026-12-01", renewed=100, on="2027-02-16"),
             renewal("A4", "2027-02-15", renewed=100, on="2027-02-15"), renewal("A5", "2027-02-16", renewed=0))  # fmt: skip
    assert outcomes(org) == {"A2": "lost", "A4": "renewed"}
    assert org.show("renewal_rate") == "0.5 ratio, n=2, low n, pending=2"
    assert org.show("lost_hospital_contracts") == "0 count, n=2, pending=2"


def test_only_accounts_of_the_named_segments_are_lost_contracts(org: Any) -> None:
    org.add("accounts", id="A2", segment="clinic").add("accounts", id="A3", segment="health_system").add("accounts", id="A4", merged_into="A1")
    org.file("renewals", *(renewal(account, "2026-06-01", renewed=0) for account in ("A2", "A3", "A4", "X9")))
    assert org.show("lost_hospital_contracts") == "2 count, n=4"  # A3, and A4 whose survivor A1 is a hospital
    assert {row["customer"]: row["counted"] for row in told(org, "lost_hospital_contracts")} == {"A1": True, "A2": False, "A3": True, "X9": False}
    org.set("lost_contract_segments", [])
    assert org.show("lost_hospital_contracts") == "0 count, n=4"


def test_a_renewal_is_capped_and_converted_at_its_due_date(org: Any) -> None:
    org.file("fx", {"currency": "EUR", "date": "2026-01-01", "rate": 2}, {"currency": "EUR", "date": "2026-09-01", "rate": 5})
    org.file("renewals", renewal("A1", "2026-08-31", 100, 900, "2026-09-10", currency="EUR"), renewal("A2", "2026-08-31", 100, 50, "2026-08-31"),
             renewal("A3", "2026-08-31", 100, 100, "2026-08-31", currency="GBP"))  # fmt: skip
    # min(900, 100) EUR at 2, and 50 of 100 USD: 250 ÷ 300
    assert org.measure("renewal_rate").value == pytest.approx(250 / 300)
    assert org.show("renewal_rate").endswith("n=2, low n, missing_fx=1")


# -- growth -------------------------------------------------------------------------------------------------------


def months(org: Any, account: str = "A1") -> str:
    return str(org.show("time_to_first_expansion", subject=f"account={account}"))


def test_months_are_whole_and_clamped_to_the_month_s_end(org: Any) -> None:
    org.file("arr_ledger", entry("A1", "2024-08-31", "new", 9), entry("A1", "2025-02-28", "expansion", 1),
             entry("A2", "2024-02-29", "new", 9), entry("A2", "2025-02-27", "expansion", 1))  # fmt: skip
    assert (months(org), months(org, "A2")) == ("6 months, n=1", "11 months, n=1")
    assert org.show("time_to_first_expansion", "mean") == "8.5 months, n=2, low n"
    assert org.show("time_to_first_expansion", "km_median") == "6 months, n=2, low n"


def test_on_one_day_expansion_comes_before_churn(org: Any) -> None:
    org.file(
        "arr_ledger", entry("A1", "2026-06-01", "churn", -110), entry("A1", "2026-06-01", "expansion", 10), entry("A1", "2026-01-01", "new", 100)
    )
    assert months(org) == "5 months, n=1"


def test_who_left_before_it_expanded_stays_censored_there(org: Any) -> None:
    org.file("arr_ledger", entry("A1", "2026-01-01", "new", 100), entry("A1", "2026-05-01", "churn", -100), entry("A1", "2026-06-01", "new", 100),
             entry("A1", "2026-07-01", "expansion", 10))  # fmt: skip
    assert months(org) == "4 months, n=1, pending=1, censored"
    assert org.show("time_to_first_expansion", "mean") == "None months, n=0, low n, pending=1, only_running"


def test_without_a_beginning_there_is_no_time(org: Any) -> None:
    org.file("arr_ledger", entry("A1", "2026-01-01", "expansion", 100), entry("A2", "2027-02-16", "new", 100))
    assert {m.subject for m in rows(org, "time_to_first_expansion")} == {"company"}
    assert org.measure("time_to_first_expansion", "km_median").n == 0


def test_units_count_while_they_are_installed_and_revenue_only_where_there_are_some(org: Any) -> None:
    kpi = "consumable_pull_through_per_installed_base"
    unit = {"product": "P1", "installed_on": "2025-01-01"}
    org.file("installed_base", unit | {"account_key": "A1", "units": 3, "removed_on": "2027-02-16"},
             unit | {"account_key": "A1", "units": 5, "removed_on": "2027-02-15"}, unit | {"account_key": "A3", "units": 1},
             unit | {"account_key": "A2", "units": 2, "installed_on": "2027-02-16"})  # fmt: skip
    sold = {"date": "2026-06-01", "amount": 100}
    org.file("consumables", sold | {"account_key": "A1"}, sold | {"account_key": "A1", "amount": -40}, sold | {"account_key": "A2"},
             sold | {"account_key": "A1", "date": "2026-02-15"}, sold | {"account_key": "A1", "date": "2027-02-16"})  # fmt: skip
    assert org.show(kpi, subject="account=A1") == "20 money_per_unit, n=3"  # (100 − 40) ÷ 3
    assert org.show(kpi, subject="account=A3") == "0 money_per_unit, n=1"
    assert org.show(kpi) == "15 money_per_unit, n=4, no_installed_units=1"
    assert {m.subject for m in rows(org, kpi)} == {"company", "account=A1", "account=A3"}


def test_an_invoice_without_a_rate_is_unknown_and_not_nothing(org: Any) -> None:
    org.file("installed_base", {"account_key": "A1", "product": "P1", "units": 2, "installed_on": "2025-01-01"})
    org.file("consumables", {"account_key": "A1", "date": "2026-06-01", "amount": 100, "currency": "GBP"})
    assert org.show("consumable_pull_through_per_installed_base") == "None money_per_unit, n=2, missing_fx=1, missing_input"
    org.file("fx", {"currency": "GBP", "date": "2026-06-01", "rate": 1.5}, {"currency": "GBP", "date": "2026-06-02", "rate": 9})
    assert org.show("consumable_pull_through_per_installed_base") == "75 money_per_unit, n=2"


def test_evidence_names_every_record_behind_a_number(golden_book: Any) -> None:
    for name in ("logo_retention_rate", "nrr", "grr", "churn_by_segment", "lost_hospital_contracts", "renewal_rate", "expansion_revenue_share",
                 "time_to_first_expansion", "consumable_pull_through_per_installed_base"):  # fmt: skip
        for measure, evidence in REGISTRY[name].evidenced(golden_book):
            assert measure.n
            assert evidence is not None
            assert not evidence.is_empty()
            named = [identity(row) for row in evidence.iter_rows(named=True)]
            assert len(set(named)) == len(named)
            assert named[0][0] == evidence.columns[0]
            if name != "consumable_pull_through_per_installed_base" and measure.variant != "mean":
                assert len(named) == measure.n
