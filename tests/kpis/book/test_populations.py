"""Named populations of kpis.yaml, and the company divided by dimensions."""

from __future__ import annotations

from typing import Any

import pytest

from connector.errors import MappingError
from connector.kpis.compute import compute_by, indivisible
from connector.kpis.parts import divided


@pytest.fixture
def company(org: Any) -> Any:
    org.add("accounts", id="A2", segment="clinic")
    org.deal("D1", "demo 2026-05-04", "closed_won 2026-08-02", amount=500)
    org.deal("D2", "demo 2026-05-04", "closed_lost 2026-08-02", account="A2", lost_reason="duplicate")
    org.deal("D3", "demo 2026-05-04", "closed_lost 2026-08-02", owner="R2")
    org.deal("D4", "demo 2026-05-04", "closed_won 2026-08-02", deal_type="renewal")
    return org.deal("D5", "demo 2026-05-04", account="A2")


def test_the_default_is_all_new_business(company: Any) -> None:
    assert company.show("win_rate") == "0.3333333333 ratio, n=3, 0.06–0.79, low n"


def test_a_population_leaves_out_what_an_admin_names(company: Any) -> None:
    company.set("populations.win_rate", {"except": {"lost_reason": ["duplicate"]}})
    assert company.show("win_rate") == "0.5 ratio, n=2, 0.09–0.91, low n"
    company.set("populations.win_rate", {"where": {"segment": ["hospital"]}, "amount_at_least": 600})
    assert company.show("win_rate") == "0 ratio, n=1, 0.00–0.79, low n"


def test_pipeline_and_age_have_populations_of_their_own(company: Any) -> None:
    company.set("populations.open_pipeline", {"except": {"segment": ["clinic"]}})
    assert company.measure("open_pipeline_value").n == 0
    assert company.measure("pipeline_aging", "count_share").n == 1
    company.set("populations.ageing", {"where": {"stage": ["pilot"]}})
    assert company.measure("pipeline_aging", "count_share").reason == "no_denominator"


def test_new_business_may_mean_more_than_one_type(company: Any) -> None:
    company.set("populations.new_business", {"where": {"deal_type": ["new_business", "renewal"]}})
    assert company.measure("win_rate").n == 4


def test_an_unknown_field_is_named(company: Any) -> None:
    company.set("populations.win_rate", {"where": {"colour": ["red"]}})
    with pytest.raises(MappingError, match="no field colour; known are segment"):
        company.measure("win_rate")


def test_divided_by_several_dimensions_at_once(company: Any) -> None:
    rows = {
        m.subject: (m.value, m.n) for m in compute_by(company.book(), ["segment", "owner"], ["win_rate"]) if (m.variant, m.window) == ("", "T12M")
    }
    assert rows == {
        "segment=clinic,owner=R1": (0.0, 1), "segment=hospital,owner=R1": (1.0, 1), "segment=hospital,owner=R2": (0.0, 1),
    }  # fmt: skip
    only = compute_by(company.book(), ["owner"], ["win_rate"], {"segment": "clinic"})
    assert {m.subject for m in only} == {"segment=clinic,owner=R1"}


def test_divided_by_type_new_business_is_that_type(company: Any) -> None:
    rows = {m.subject: m.value for m in compute_by(company.book(), ["type"], ["win_rate"]) if (m.variant, m.window) == ("", "T12M")}
    assert rows == {"type=new_business": 1 / 3, "type=renewal": 1.0}


def test_divided_by_persona_a_deal_belongs_to_each_of_its_own(company: Any) -> None:
    company.add("contacts", id="C1", persona="cfo").add("contacts", id="C2", persona="cmio")
    company.add("opportunity_contacts", opportunity="D1", contact="C1").add("opportunity_contacts", opportunity="D1", contact="C2")
    parts = {subject: sorted(book.deals["id"]) for subject, book in divided(company.book(), ["persona"])}
    assert parts == {"persona=cfo": ["D1"], "persona=cmio": ["D1"], "persona=unknown": ["D2", "D3", "D4", "D5"]}


def test_a_mapped_field_is_a_dimension(company: Any) -> None:
    company.given["crm"]["opportunities"][0]["dimensions"] = {"therapy": "ortho"}
    company.given["crm"]["opportunities"][2]["dimensions"] = {"therapy": "spine"}
    company.set("populations.win_rate", {"where": {"therapy": ["ortho", "unknown"]}})
    rows = {m.subject: (m.value, m.n) for m in compute_by(company.book(), ["therapy"], ["win_rate"]) if (m.variant, m.window) == ("", "T12M")}
    assert rows == {"therapy=ortho": (1.0, 1), "therapy=spine": (None, 0), "therapy=unknown": (0.0, 1)}


def test_parts_add_up_to_the_company(golden_book: Any) -> None:
    for dimension in ("segment", "owner", "product", "source"):
        parts = compute_by(golden_book, [dimension], ["open_pipeline_value", "active_opportunity_count"])
        for name, variant in (("open_pipeline_value", ""), ("active_opportunity_count", "")):
            whole = next(m.value for m in compute_by(golden_book, [], [name]) if m.variant == variant)
            assert sum(m.value for m in parts if (m.kpi, m.variant) == (name, variant)) == pytest.approx(whole)


def test_what_needs_more_than_deals_is_not_divided(company: Any) -> None:
    assert indivisible(["win_rate", "nrr", "pipeline_coverage_ratio"]) == ["nrr", "pipeline_coverage_ratio"]
    with pytest.raises(MappingError, match="no dimension colour"):
        compute_by(company.book(), ["colour"], ["win_rate"])


def test_to_date_windows(org: Any) -> None:
    org.deal("D1", "demo 2026-05-04", "closed_won 2027-01-31").deal("D2", "demo 2026-05-04", "closed_won 2026-12-31")
    org.given["windows"] = ["QTD", "YTD"]
    assert (org.measure("closed_won_count", window="QTD").value, org.measure("closed_won_count", window="YTD").value) == (1, 1)
