"""Data health, the baseline and the weekly numbers beyond the golden org."""

from __future__ import annotations

from typing import Any

import pytest

from connector.errors import MappingError
from connector.kpis.compute import compute, known
from connector.kpis.evidence import identity

Org = Any
FIELDS = {"lead": ["amount", "closes_on"], "demo": ["next_step", "product", "amount"], "pilot": ["persona"]}


def told(org: Org, kpi: str) -> dict[tuple[str, str], list[dict[str, Any]]]:
    pairs = known([kpi])[0].evidenced(org.book())
    return {(measure.variant, measure.subject): [] if rows is None else rows.to_dicts() for measure, rows in pairs}


def snapshot(kpi: str, value: float | None, date: str = "2026-12-31", **more: Any) -> dict[str, Any]:
    return {"kpi": kpi, "variant": "", "subject": "company", "date": date, "value": value, **more}


def baseline(org: Org, *snapshots: dict[str, Any], on: str = "2026-12-31") -> dict[tuple[str, str], Any]:
    org.set("programme.baseline_on", on)
    org.given["state"] = {"kpi_snapshots": list(snapshots)}
    return {(m.variant, m.subject): m for m in compute(org.book(), ["kpi_delta_vs_baseline"])}


# -- 101 ---------------------------------------------------------------------------------------------------------------


def test_the_evidence_lists_what_is_missing_per_deal(org: Org) -> None:
    org.set("required_fields", FIELDS)
    org.deal("D1", "demo 2026-12-01", amount=0, closes_on="2027-02-14", has_next_step=True)
    org.deal("D2", "lead 2026-12-01", owner="R2")
    org.deal("D3", "demo 2026-12-01", deal_type="renewal", product="P", has_next_step=False)
    rows = told(org, "data_health_score")
    shown = {row["opportunity"]: (row["filled"], row["required"], row["missing"]) for row in rows["", "company"]}
    assert shown == {"D1": (1, 4, ["amount", "closes_on", "product"]), "D2": (2, 2, [])}
    assert [row["opportunity"] for row in rows["", "owner=R2"]] == ["D2"]
    assert rows["", "opportunity=D3"] == [{"opportunity": "D3", "filled": 3, "required": 4, "missing": ["next_step"]}]
    assert org.measure("data_health_score").value == 3 / 6


def test_a_parked_deal_is_asked_what_its_last_ranked_stage_asks_and_an_unmapped_one_too(org: Org) -> None:
    org.set("required_fields", FIELDS)
    org.deal("D1", "demo 2026-12-01", "on_hold 2027-01-01").deal("D2", "lead 2026-12-01", (None, "2027-01-01")).deal("D3", (None, "2027-01-01"))
    required = {subject: m.n for m in compute(org.book(), ["data_health_score"]) if (subject := m.subject).startswith("opp")}
    assert required == {"opportunity=D1": 4, "opportunity=D2": 2, "opportunity=D3": 0}
    assert org.measure("data_health_score", subject="opportunity=D3").reason == "not_applicable"


def test_without_the_setting_nothing_is_judged(org: Org) -> None:
    org.set("required_fields", {})
    org.deal("D1", "demo 2026-12-01")
    assert {m.reason for m in compute(org.book(), ["data_health_score"])} == {"missing_input"}


def test_a_field_that_nobody_knows_is_an_error(org: Org) -> None:
    org.set("required_fields", {"demo": ["amuont"]}).deal("D1", "demo 2026-12-01")
    with pytest.raises(MappingError, match="unknown field amuont"):
        compute(org.book(), ["data_health_score"])


# -- 102 ---------------------------------------------------------------------------------------------------------------


def test_the_last_snapshot_on_or_before_the_day_is_the_baseline(org: Org) -> None:
    org.deal("D1", "demo 2026-12-01").deal("D2", "demo 2026-12-01")
    found = baseline(
        org, snapshot("active_opportunity_count", 9, "2026-11-30"), snapshot("active_opportunity_count", 1, "2026-12-30"),
        snapshot("active_opportunity_count", 7, "2027-01-01"), snapshot("active_opportunity_count", None, "2026-12-31"),
    )  # fmt: skip
    delta = found["", "company,kpi=active_opportunity_count"]
    assert (delta.value, delta.unit, delta.n) == (1, "count", 2)
    assert found["verdict", "company,kpi=active_opportunity_count"].value == "up"
    rows = told(org, "kpi_delta_vs_baseline")["", "company,kpi=active_opportunity_count"]
    assert identity(rows[0]) == ("snapshot", "active_opportunity_count company 2026-12-30")


def test_a_snapshot_after_today_is_not_read(org: Org) -> None:
    org.deal("D1", "demo 2026-12-01")
    found = baseline(org, snapshot("active_opportunity_count", 4, "2027-02-16"), on="2027-03-01")
    assert [(key, m.reason) for key, m in found.items()] == [(("", "company"), "missing_input")]


def test_a_quarter_is_compared_with_the_quarter_that_ran_then(org: Org) -> None:
    """FY2027-Q1 now, FY2026-Q4 then; the row of the quarter before is another thing."""
    org.deal("D1", "demo 2027-01-10", closes_on="2027-03-01", amount=1000)
    found = baseline(
        org, snapshot("open_pipeline_value", 300, variant="in_period", window="FY2026-Q4"),
        snapshot("open_pipeline_value", 7, variant="in_period", window="FY2026-Q3"), snapshot("open_pipeline_value", 1000.0, window="asof"),
    )  # fmt: skip
    assert {key: m.value for key, m in found.items()} == {
        ("", "company,kpi=open_pipeline_value"): 0, ("verdict", "company,kpi=open_pipeline_value"): "no_visible_change",
        ("", "company,kpi=open_pipeline_value.in_period"): 700, ("verdict", "company,kpi=open_pipeline_value.in_period"): "up",
    }  # fmt: skip


def test_intervals_that_do_not_overlap_are_a_change(org: Org) -> None:
    for number in range(10):
        org.deal(f"D{number}", "demo 2026-05-04", "closed_lost 2026-08-02")
    rate = baseline(org, snapshot("win_rate", 0.9, window="T12M", ci_low=0.8, ci_high=0.95))["verdict", "company,kpi=win_rate"]
    assert (rate.value, rate.unit) == ("down", "label")


def test_a_value_that_is_gone_has_no_delta(org: Org) -> None:
    found = baseline(org, snapshot("win_rate", 0.9, window="T12M"))
    assert {(m.value, m.reason) for m in found.values()} == {(None, "no_denominator")}


def test_it_never_measures_itself_nor_what_is_no_longer_declared(org: Org) -> None:
    found = baseline(org, snapshot("kpi_delta_vs_baseline", 1), snapshot("once_declared", 1))
    assert [(m.subject, m.reason) for m in found.values()] == [("company", "missing_input")]


def test_without_a_day_there_is_no_baseline(org: Org) -> None:
    org.given["kpis"]["programme"] = {}
    org.given["state"] = {"kpi_snapshots": [snapshot("active_opportunity_count", 1)]}
    assert [(m.subject, m.reason) for m in compute(org.book(), ["kpi_delta_vs_baseline"])] == [("company", "missing_input")]


# -- 103 ---------------------------------------------------------------------------------------------------------------


def test_the_weekly_numbers_are_those_of_their_kpis(golden_book: Any) -> None:
    weekly = {m.variant: m for m in compute(golden_book, ["weekly_three"])}
    company = {
        (m.kpi, m.variant): m
        for m in compute(golden_book, ["weighted_pipeline_coverage", "deals_stuck_in_compliance_review"])
        if m.subject == "company"
    }
    assert weekly["coverage"].value == company["weighted_pipeline_coverage", ""].value
    assert weekly["in_compliance_review"].value == company["deals_stuck_in_compliance_review", "in_review"].value


def test_without_quotas_the_rest_is_still_there(org: Org) -> None:
    org.deal("D1", "demo 2027-01-10")
    found = {m.variant: (m.value, m.reason) for m in compute(org.book(), ["weekly_three"])}
    assert found["coverage"] == (None, "missing_input")
    assert found["weighted_funnel"] == (200, None)
