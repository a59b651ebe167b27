"""Inputs against the records of a CRM."""

from __future__ import annotations

from typing import Any

from connector.kpis.inputs.checks import NewArr, against, new_arr_twice


def said(org: Any) -> list[tuple[str, str | None, str]]:
    return [(f.code, f.file, f.message) for f in against(org.book())]


def test_keys_that_name_no_record_are_counted(org: Any) -> None:
    rows = [{"owner_key": key, "period": "FY2027-Q1", "amount": 1} for key in ("R1", "R8", "R9")]
    org.file("quotas", *rows)
    assert ("SC-W094", "inputs/quotas.csv", "2 of 3 keys name no record: R8, R9") in said(org)


def test_a_month_without_spend_is_a_gap_and_the_running_month_is_none(org: Any) -> None:
    org.file("spend", *({"month": m, "category": "sales", "amount": 1} for m in ("2026-10", "2026-12", "2027-02")))
    (found,) = said(org)
    assert found[:2] == ("SC-W096", "inputs/spend.csv")
    assert found[2].startswith("no spend in 2026-11, 2027-01; it concerns ")


def test_months_that_make_no_quarter_and_a_quota_that_lapsed(org: Any) -> None:
    rows = [("R1", "FY2027-Q1"), ("R1", "2026-10"), ("R2", "FY2026-Q4")]
    org.file("quotas", *({"owner_key": owner, "period": period, "amount": 5} for owner, period in rows))
    messages = [message.split(";")[0] for _, _, message in said(org)]
    assert messages == ["one or two months are no quota of a quarter: R1 FY2026-Q4", "no quota in FY2027-Q1 for R2, who had one in FY2026-Q4"]


def test_a_currency_without_a_rate_names_what_it_costs(org: Any) -> None:
    org.deal("D1", "demo 2026-05-04", currency="CHF").deal("D2", "demo 2026-05-04", currency="CHF")
    org.file("spend", {"month": "2027-01", "category": "sales", "amount": 1, "currency": "JPY"})
    assert [(code, file, message.split(";")[0]) for code, file, message in said(org)] == [
        ("SC-W096", "inputs/fx.csv", "no rate for CHF: 2 deals count in no sum of money"),
        ("SC-W096", "inputs/spend.csv", "no rate for JPY"),
    ]
    org.file("fx", {"currency": "CHF", "date": "2026-01-01", "rate": 1.1}, {"currency": "JPY", "date": "2026-01-01", "rate": 0.007})
    assert said(org) == []


def test_words_nobody_knows(org: Any) -> None:
    org.file("persona_ratings", {"persona": "boss", "date": "2027-01-01", "score": 5})
    org.file("spend", {"month": "2027-01", "category": "sales", "amount": 1, "segment": "hospitl"})
    assert [(code, message) for code, _, message in said(org)] == [("SC-E091", "unknown persona boss"), ("SC-E091", "unknown segment hospitl")]


def test_new_arr_of_ledger_and_deals_side_by_side(org: Any) -> None:
    assert new_arr_twice(org.book()) == []
    org.deal("D1", "demo 2026-05-04", "closed_won 2027-01-08", arr=700).deal("D2", "demo 2026-05-04", "closed_won 2026-11-08", arr=50)
    org.file("arr_ledger", {"account_key": "A1", "date": "2027-01-10", "type": "new", "delta": 600})
    assert new_arr_twice(org.book()) == [NewArr("FY2027-Q1", 600.0, 700.0), NewArr("FY2026-Q4", 0.0, 50.0)]


def test_the_golden_inputs_have_gaps_that_are_meant(golden_book: Any) -> None:
    assert {finding.code for finding in against(golden_book)} <= {"SC-W094", "SC-W096"}
