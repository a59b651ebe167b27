"""Gates as intervals, questionnaires as pairs, contracts with and without an answer, and what gates go with."""

from __future__ import annotations

from typing import Any

import pytest

from connector.kpis.book.book import Book
from connector.kpis.catalogue import BY_QUESTION
from connector.kpis.compute import computable
from connector.kpis.definition import REGISTRY
from connector.kpis.evidence import IDENTITIES

Org = Any
RECEIVED, COMPLETED = "security_questionnaire_received_on", "security_questionnaire_completed_on"


def gate(org: Org, deal: str, gate: str, opened: str, decided: str | None = None, result: str | None = None) -> None:
    org.add("gates", opportunity=deal, gate=gate, opened_on=opened, decided_on=decided, result=result)


@pytest.mark.parametrize("name", BY_QUESTION["compliance"])
def test_as_many_records_are_shown_as_were_counted(name: str, golden_book: Book) -> None:
    for measure, evidence in REGISTRY[name].evidenced(golden_book):
        assert measure.n == 0 or evidence is not None
        if evidence is not None:
            assert evidence.columns[0] in IDENTITIES
            left_out = sum(measure.excluded.get(why, 0) for why in ("missing_amount", "missing_fx"))
            assert evidence.height == measure.n + left_out  # money shows what is missing from the sum too


# -- letters and questionnaires ------------------------------------------------------------------------------------------


def test_a_questionnaire_before_the_letter_is_negative_and_one_without_a_letter_is_nothing(org: Org) -> None:
    org.deal("D1", "demo 2026-05-04", loi_signed_on="2026-09-01", **{COMPLETED: "2026-08-31"})
    org.deal("D2", "demo 2026-05-04", **{COMPLETED: "2026-08-31"})
    org.deal("D3", "demo 2026-05-04", loi_signed_on="2026-09-01", **{COMPLETED: "2026-09-01"})
    found = org.measure("loi_to_security_questionnaire_time", "mean")
    assert (found.value, found.n, found.excluded) == (0, 1, {"negative": 1})


def test_a_completion_after_today_is_still_running_and_one_of_a_closed_deal_can_not_complete(org: Org) -> None:
    org.deal("D1", "demo 2026-05-04", **{RECEIVED: "2027-01-16", COMPLETED: "2027-02-16"})  # 30 days so far
    org.deal("D2", "demo 2026-05-04", "closed_lost 2026-07-01", **{RECEIVED: "2026-06-01"})  # censored after 30
    org.deal("D3", "demo 2026-05-04", **{RECEIVED: "2026-06-01", COMPLETED: "2026-07-01"})
    org.deal("D4", "demo 2026-05-04", deal_type="renewal", **{RECEIVED: "2026-06-01", COMPLETED: "2026-06-02"})
    mean, curve = (org.measure("time_to_complete_security_questionnaire", variant) for variant in ("mean", "km_median"))
    assert (mean.value, mean.n, mean.pending) == (30, 1, 1)
    assert (curve.value, curve.n, curve.pending, curve.reason) == (None, 3, 1, "not_reached")  # S(30) = 2/3


def test_the_curve_looks_back_further_than_the_mean_and_leaves_out_what_is_out_of_order(org: Org) -> None:
    org.deal("D1", "demo 2025-05-04", **{RECEIVED: "2025-06-01", COMPLETED: "2025-06-21"})
    org.deal("D2", "demo 2025-05-04", **{RECEIVED: "2025-06-01", COMPLETED: "2025-05-31"})
    assert org.measure("time_to_complete_security_questionnaire", "mean").reason == "no_denominator"
    found = org.measure("time_to_complete_security_questionnaire", "km_median")
    assert (found.value, found.n, found.window, found.excluded) == (20, 1, "ALL", {"negative": 1})


# -- reviews -------------------------------------------------------------------------------------------------------------


def test_intervals_side_by_side_nested_apart_and_open_make_one_union(org: Org) -> None:
    org.deal("D1", "vac 2026-09-01", deal_type="expansion")
    gate(org, "D1", "security", "2026-09-01", "2026-10-01", "approved")  # 30
    gate(org, "D1", "compliance", "2026-09-11", "2026-09-21", "approved")  # inside it, 10
    gate(org, "D1", "vac", "2026-10-01", "2026-10-11", "tabled")  # touches it, 10
    gate(org, "D1", "vac", "2027-02-05")  # apart, 10 so far
    gate(org, "D1", "legal", "2026-01-01")  # no compliance gate here
    gate(org, "D1", "security", "2026-12-01", "2026-11-01", "approved")  # decided before it was opened
    values = [org.measure("time_in_compliance_review", variant, "opportunity=D1").value for variant in ("", "sum", "overlap")]
    assert values == [50, 60, 10]
    assert org.measure("time_in_compliance_review", "", "opportunity=D1").n == 4


def test_a_deal_is_finished_when_no_gate_of_it_is_open_and_gates_end_with_their_deal(org: Org) -> None:
    org.deal("D1", "vac 2026-09-01", "closed_lost 2026-10-01")
    gate(org, "D1", "vac", "2026-09-01")  # ends with the deal: 30
    org.deal("D2", "vac 2026-09-01")
    gate(org, "D2", "security", "2026-09-01", "2026-09-11", "approved")
    gate(org, "D2", "vac", "2026-09-11")
    org.deal("D3", "vac 2025-09-01")
    gate(org, "D3", "vac", "2025-09-01", "2026-02-15", "approved")  # ended before T12M
    found = org.measure("time_in_compliance_review", "mean")
    assert (found.value, found.n, found.pending) == (30, 1, 1)


def test_a_deal_with_two_late_gates_is_stuck_once_and_a_gate_without_limit_is_not_judged(org: Org) -> None:
    org.set("thresholds.gate_limit_days", {"security": 30, "vac": 30})
    org.deal("D1", "vac 2026-09-01", amount=None).deal("D2", "vac 2026-09-01").deal("D3", "vac 2026-09-01", deal_type="renewal")
    for deal in ("D1", "D3"):
        gate(org, deal, "security", "2026-09-01")
        gate(org, deal, "vac", "2026-09-01")
    gate(org, "D2", "compliance", "2026-09-01")
    rows = {m.variant: (m.value, m.n, m.excluded) for m in REGISTRY["deals_stuck_in_compliance_review"].measures(org.book())}
    assert rows == {
        "in_review": (2, 2, {}), "in_review_value": (1000, 1, {"missing_amount": 1}),
        "stuck": (1, 1, {"no_benchmark": 1}), "stuck_value": (0, 0, {"missing_amount": 1, "no_benchmark": 1}),
    }  # fmt: skip


def test_a_gate_is_late_after_its_limit_not_on_it(org: Org) -> None:
    org.set("thresholds.gate_limit_days", {"vac": 30}).deal("D1", "vac 2026-09-01")
    gate(org, "D1", "vac", "2027-01-16")
    assert org.measure("deals_stuck_in_compliance_review", "stuck").value == 0
    org.set("thresholds.gate_limit_days", {"vac": 29})
    assert org.measure("deals_stuck_in_compliance_review", "stuck").value == 1


def test_every_attempt_has_its_own_length_and_only_the_first_decision_passes(org: Org) -> None:
    org.deal("D1", "vac 2026-03-02", "closed_lost 2026-08-01").deal("D2", "vac 2026-03-02").deal("D3", "vac 2027-01-04")
    gate(org, "D1", "vac", "2026-03-02", "2026-03-12", "tabled")  # 10
    gate(org, "D1", "vac", "2026-04-01", "2026-05-01", "approved")  # 30
    gate(org, "D1", "vac", "2026-07-02")  # censored at the close after 30
    gate(org, "D2", "vac", "2026-03-02", "2026-03-22", "withdrawn")  # 20, no decision
    gate(org, "D2", "vac", "2026-04-01", "2026-05-11", "approved")  # 40
    gate(org, "D3", "vac", "2027-01-04")
    cycle, passed = org.measure("vac_cycle_time", "median"), org.measure("vac_first_pass_rate")
    assert (cycle.value, cycle.n, cycle.pending) == (25, 4, 1)
    assert (passed.value, passed.n, passed.pending) == (0.5, 2, 1)
    assert org.measure("vac_cycle_time", "km_median").pending == 1
    # at risk 6, 5, 4, 1: S(10) = 5/6, S(20) = 4/6, S(30) = 3/6
    assert [org.measure("vac_cycle_time", f"km_{q}").value for q in ("median", "p75")] == [30, 40]


def test_without_a_vac_gate_there_is_neither_cycle_nor_pass(org: Org) -> None:
    org.given["stages"]["gates"] = [row for row in org.given["stages"]["gates"] if row["key"] != "vac"]
    reasons = {m.reason for name in ("vac_cycle_time", "vac_first_pass_rate") for m in REGISTRY[name].measures(org.book())}
    assert reasons == {"missing_input"}


# -- gatekeepers ---------------------------------------------------------------------------------------------------------


def test_a_gatekeeper_counts_once_met_on_this_deal(org: Org) -> None:
    org.deal("D1", "demo 2026-05-04", deal_type="renewal").deal("D2", "demo 2026-05-04")
    people = {"met": "security", "other": "legal", "written": "compliance", "called": "value_analysis", "cfo": "cfo", "later": "legal"}
    for contact, persona in people.items():
        org.add("contacts", id=contact, persona=persona)
        org.add("opportunity_contacts", opportunity="D1", contact=contact, added_on="2027-02-16" if contact == "later" else None)
    org.add("opportunity_contacts", opportunity="D1", contact="met", added_on="2026-06-01")  # twice on the deal
    org.add("activities", id="M1", kind="meeting", on="2026-06-01", outcome="held", opportunity="D1", contact="met")
    org.add("activities", id="M2", kind="meeting", on="2026-06-01", outcome="held", opportunity="D2", contact="other")
    org.add("activities", id="E1", kind="email", on="2026-06-01", direction="outbound", opportunity="D1", contact="written")
    org.add("activities", id="C1", kind="call", on="2026-06-01", outcome="not_connected", opportunity="D1", contact="called")
    for contact in ("cfo", "later"):
        org.add("activities", id=f"M{contact}", kind="meeting", on="2026-06-01", outcome="held", opportunity="D1", contact=contact)
    assert org.measure("compliance_gatekeepers_engaged", subject="opportunity=D1").value == 1
    assert org.measure("compliance_gatekeepers_engaged", subject="opportunity=D2").value == 0


def test_without_gatekeeper_personas_nobody_knows(org: Org) -> None:
    org.set("gatekeeper_personas", []).deal("D1", "demo 2026-05-04")
    found = org.measure("compliance_gatekeepers_engaged", subject="opportunity=D1")
    assert (found.value, found.reason) == (None, "missing_input")
    told = computable(org.book(), ["compliance_gatekeepers_engaged"])
    assert told == [("compliance_gatekeepers_engaged", False, "gatekeeper_personas in kpis.yaml")]


# -- contracts, readiness, friction --------------------------------------------------------------------------------------


def test_contracts_count_deals_of_any_type_won_in_the_window_with_an_answer(org: Org) -> None:
    org.deal("D1", "demo 2026-05-04", "closed_won 2026-08-02", deal_type="renewal", standard_terms=True, baa=False)
    org.deal("D2", "demo 2025-05-04", "closed_won 2026-02-15", standard_terms=False)  # before T12M
    org.deal("D3", "demo 2026-05-04", "closed_lost 2026-08-02", standard_terms=False)
    org.deal("D4", "demo 2026-05-04", "closed_won 2026-08-02", "go_live 2026-10-01", baa=True)
    terms, baa = org.measure("contract_compliance_rate"), org.measure("contract_compliance_rate", "baa")
    assert (terms.value, terms.n, terms.excluded) == (1, 1, {"unknown": 1})
    assert (baa.value, baa.n, baa.excluded) == (0.5, 2, {})


def test_readiness_is_the_latest_entry_that_has_come(org: Org) -> None:
    assert [(m.subject, m.reason) for m in REGISTRY["hipaa_readiness_score"].measures(org.book())] == [("company", "missing_input")]
    entries = [("P1", "2027-02-15", 4), ("P1", "2026-01-01", 9), ("P1", "2027-02-16", 1), ("P2", "2027-03-01", 5)]
    org.file("readiness", *({"product": product, "date": date, "score": score} for product, date, score in entries))
    assert [(m.subject, m.value) for m in REGISTRY["hipaa_readiness_score"].measures(org.book())] == [("product=P1", 4)]


def test_the_smaller_side_marks_a_difference(org: Org) -> None:
    org.set("thresholds.low_n", 2)
    for number, closed in enumerate(["2026-07-03", "2026-07-13", "2026-07-23"]):  # 60, 70, 80 days
        org.deal(f"D{number}", "demo 2026-05-04", f"closed_lost {closed}")
    org.deal("D9", "demo 2026-05-04", "closed_won 2026-08-02")  # 90 days
    gate(org, "D9", "security", "2026-06-01", "2026-07-01", "approved")
    found = org.measure("compliance_friction_delta")
    assert (found.value, found.n, found.low_n) == (20, 4, True)
    org.deal("D8", "demo 2026-05-04", "closed_won 2026-08-02")
    gate(org, "D8", "vac", "2026-06-01")
    found = org.measure("compliance_friction_delta")
    assert (found.value, found.n, found.low_n) == (20, 5, False)


def test_a_gate_that_is_no_compliance_gate_makes_no_friction_and_a_missing_amount_has_no_band(org: Org) -> None:
    org.deal("D1", "demo 2026-05-04", "closed_won 2026-08-02", amount=None)
    gate(org, "D1", "legal", "2026-06-01", "2026-07-01", "approved")
    org.deal("D2", "demo 2026-05-04", "closed_won 2026-08-02", deal_type="renewal")
    rows = {(m.subject, m.variant): m.value for m in REGISTRY["compliance_friction_delta"].measures(org.book())}
    assert {subject for subject, _ in rows} == {"company", "size=unknown"}
    assert rows["company", "without_gate_mean"] == 90
    assert rows["company", ""] is None
