"""Pilots kept as deals of their own, linked to the deal they serve by account and product."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def company(org: Any) -> Any:
    org.set("pilot_link", ["account", "product"])
    return org.deal("D1", "demo 2026-05-04", "contracting 2026-09-01", product="P1")


def test_a_pilot_of_the_same_account_and_product_serves_the_deal(company: Any) -> None:
    company.deal("P", "pilot 2026-06-01", "closed_won 2026-08-10", deal_type="pilot", product="P1", amount=None)
    assert company.show("demo_to_trial_conversion") == "1 ratio, n=1, 0.21–1.00, low n"
    assert company.measure("average_pilot_duration", subject="opportunity=D1").value == 70
    assert company.measure("average_pilot_duration", "mean").n == 1


@pytest.mark.parametrize(
    "other", [{"product": "P2"}, {"product": None}, {"product": "P1", "account": "A2"}], ids=["another product", "no product", "another account"]
)
def test_a_pilot_of_something_else_serves_nobody(company: Any, other: dict[str, Any]) -> None:
    company.add("accounts", id="A2", segment="clinic")
    company.deal("P", "pilot 2026-06-01", "closed_won 2026-08-10", deal_type="pilot", **other)
    assert company.show("demo_to_trial_conversion") == "0 ratio, n=1, 0.00–0.79, low n"
    assert company.book().deals.filter(id="D1")["pilot_started_on"].to_list() == [None]


def test_while_one_of_two_pilots_runs_none_has_ended(company: Any) -> None:
    company.deal("PA", "pilot 2026-06-01", "closed_lost 2026-07-01", deal_type="pilot", product="P1")
    company.deal("PB", "pilot 2027-01-16", deal_type="pilot", product="P1")
    row = company.book().deals.filter(id="D1").row(0, named=True)
    assert (str(row["pilot_started_on"]), row["pilot_ended_on"]) == ("2026-06-01", None)
    assert company.measure("average_pilot_duration", subject="opportunity=D1").reason == "censored"


def test_of_two_deals_the_one_open_when_it_began_is_served(company: Any) -> None:
    company.deal("D0", "demo 2025-05-04", "closed_lost 2026-02-01", product="P1").deal("D2", "demo 2026-11-01", product="P1")
    company.deal("P", "pilot 2026-06-01", "closed_won 2026-08-10", deal_type="pilot", product="P1")
    company.deal("Q", "pilot 2026-04-01", "closed_lost 2026-04-20", deal_type="pilot", product="P1")
    started = dict(company.book().deals.select("id", "pilot_started_on").iter_rows())
    assert {id: str(day) for id, day in started.items() if day} == {"D1": "2026-04-01"}


def test_a_deals_own_dates_win_and_void_pilots_do_not_count(company: Any) -> None:
    company.given["crm"]["opportunities"][0]["pilot_started_on"] = "2026-06-15"
    company.deal("P", "pilot 2026-06-01", "closed_won 2026-08-10", deal_type="pilot", product="P1")
    company.deal("D2", "demo 2026-05-04", product="P2").deal("V", "pilot 2026-06-01", "closed_void 2026-06-02", deal_type="pilot", product="P2")
    started = dict(company.book().deals.select("id", "pilot_started_on").iter_rows())
    assert (str(started["D1"]), started["D2"]) == ("2026-06-15", None)


def test_without_the_setting_nothing_is_linked(org: Any) -> None:
    org.deal("D1", "demo 2026-05-04", product="P1").deal("P", "pilot 2026-06-01", deal_type="pilot", product="P1")
    assert org.book().deals["pilot_started_on"].null_count() == 2
