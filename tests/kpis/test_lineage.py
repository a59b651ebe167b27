"""From a number to its records and back, without a command line."""

from __future__ import annotations

from typing import Any

import pytest

from connector.kpis.compute import known
from connector.kpis.evidence import identity, together
from connector.kpis.lineage import Record, counted, find, told, why_not

Org = Any


def kpi(name: str) -> Any:
    return known([name])[0]


def test_a_number_tells_its_records(golden_book: Any) -> None:
    (value,) = told(kpi("open_pipeline_value"), golden_book, variant="")
    assert value.measure.value == 625_000
    assert {row["opportunity"] for row in value.records if row["amount"] is not None} == {"O2", "O6", "O7"}
    assert [row["left_out"] for row in value.records if row["amount"] is None] == ["missing_amount"]


def test_columns_that_nothing_fills_are_left_out(org: Org) -> None:
    org.deal("D1", "demo 2026-12-01")
    (value,) = told(kpi("open_pipeline_value"), org.book(), variant="")
    assert ["left_out" in row for row in value.records] == [False]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, {("company", "", "asof"), ("company", "in_period", "FY2027-Q1")}),
        ({"variant": "in_period"}, {("company", "in_period", "FY2027-Q1")}),
        ({"subject": "segment=clinic"}, {("segment=clinic", "", "asof")}),
        ({"subject": None, "window": "FY2027-Q1"}, {("company", "in_period", "FY2027-Q1")}),
        ({"window": "T12M"}, set()),
    ],
)
def test_filters_are_exact(filters: dict[str, Any], expected: set[tuple[str, str, str]], golden_book: Any) -> None:
    found = told(kpi("open_pipeline_value"), golden_book, **filters)
    assert {(value.measure.subject, value.measure.variant, value.measure.window) for value in found} == expected


def test_a_kpi_without_a_company_row_shows_what_it_has(golden_book: Any) -> None:
    assert {value.measure.subject for value in told(kpi("customer_sentiment_score"), golden_book)} == {"account=A9", "account=A11"}


def test_a_record_finds_the_values_about_it_first_and_those_it_counts_in(golden_book: Any) -> None:
    found = list(counted(kpi("data_health_score"), golden_book, Record("opportunity", "O7")))
    assert [(value.own, value.measure.subject) for value in found] == [(True, "opportunity=O7"), (False, "company"), (False, "owner=R2")]
    assert [row["opportunity"] for value in found for row in value.records] == ["O7", "O7", "O7"]
    assert found[0].records[0]["missing"] == ["closes_on", "next_step"]


@pytest.mark.parametrize(
    ("name", "record", "subjects"),
    [
        ("product_adoption_score", Record("account", "A9"), ["account=A9", "account=A9,role=administrator", "account=A9,role=clinician"]),
        ("support_ticket_volume_by_severity", Record("ticket", "T5"), ["severity=critical", "account=A11,severity=critical"]),
        ("data_health_score", Record("owner", "R1"), ["owner=R1"]),
        ("reference_accounts", Record("account", "A9"), ["company"]),
        ("implementation_success_rate", Record("input", "milestones.csv:4"), ["company"]),
        ("reference_accounts", Record("account", "A2"), []),
    ],
)
def test_any_record_can_be_asked_for(name: str, record: Record, subjects: list[str], golden_book: Any) -> None:
    assert [value.measure.subject for value in counted(kpi(name), golden_book, record)] == subjects


@pytest.mark.parametrize(
    ("id", "record"),
    [
        ("sf-prod:O2", Record("opportunity", "O2")), ("A2", Record("account", "A2")), ("C1", Record("contact", "C1")), ("R1", Record("owner", "R1")),
        ("T5", Record("ticket", "T5")), ("quotas.csv:1", Record("input", "quotas.csv:1")), ("nobody", None), ("sf-prod:quotas.csv:1", None),
    ],
)  # fmt: skip
def test_an_id_names_a_record(id: str, record: Record | None, golden_book: Any) -> None:
    assert find(golden_book, id) == record


def test_a_long_salesforce_id_is_the_short_one_and_a_merged_account_its_survivor(org: Org) -> None:
    org.add("accounts", id="A2", merged_into="A1").deal("006000000000001AAA", "demo 2026-12-01")
    org.deal("7", "demo 2026-12-01").add("contacts", id="7")
    book = org.book()
    assert find(book, "006000000000001") == Record("opportunity", "006000000000001AAA")
    assert find(book, "A2") == Record("account", "A1")
    assert (find(book, "7"), find(book, "7", "contact")) == (Record("opportunity", "7"), Record("contact", "7"))


@pytest.mark.parametrize(
    ("stays", "values", "said"),
    [
        (["demo 2026-12-01", "closed_void 2027-01-05"], {}, ["void since 2027-01-05: void deals count nowhere"]),
        (["demo 2026-12-01"], {"deal_type": "renewal", "amount": 0}, ["open", "its type is renewal: not new business", "missing amount"]),
        (["demo 2026-12-01", "closed_lost 2027-01-05"], {}, ["lost since 2027-01-05"]),
        ([("demo", "2026-12-01"), (None, "2027-01-05")], {}, ["open", "its stage is not mapped"]),
        (["demo 2026-12-01", "on_hold 2027-01-05"], {"arr": None}, ["open", "parked", "missing arr"]),
        ([], {"stage": "demo"}, ["open", "no stage history"]),
    ],
)  # fmt: skip
def test_a_deal_that_counts_nowhere_says_what_is_known_of_it(stays: list[Any], values: dict[str, Any], said: list[str], org: Org) -> None:
    assert why_not(org.deal("D1", *stays, **values).book(), Record("opportunity", "D1")) == said


def test_accounts_and_owners_say_how_many_deals_they_have(org: Org) -> None:
    book = org.deal("D1", "demo 2026-12-01").book()
    assert why_not(book, Record("account", "A1")) == ["1 deal of it is in the book"]
    assert why_not(book, Record("owner", "R2")) == ["no deals of it are in the book"]
    assert why_not(book, Record("ticket", "T1")) == []


def test_evidence_of_several_kinds_names_the_narrower_record(golden_book: Any) -> None:
    import polars as pl

    both = together([None, pl.DataFrame({"account": ["A1"], "on": [1]}), pl.DataFrame({"ticket": ["T1"], "account": ["A2"]})])
    assert both is not None
    assert both.columns == ["ticket", "account", "on"]
    assert [identity(row) for row in both.to_dicts()] == [("account", "A1"), ("ticket", "T1")]
    assert together([None]) is None
    with pytest.raises(ValueError, match="no identity among amount"):
        identity({"amount": 1})
