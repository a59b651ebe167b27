"""Key opinion leaders: who is one, what counts as contact, and deals they referred."""

from __future__ import annotations

from typing import Any

import pytest

from connector.kpis.book.book import Book
from connector.kpis.catalogue import BY_QUESTION
from connector.kpis.compute import computable
from connector.kpis.definition import REGISTRY
from connector.kpis.evidence import IDENTITIES

Org = Any


def meeting(org: Org, id: str, on: str, contact: str, **more: Any) -> None:
    org.add("activities", **({"id": id, "kind": "meeting", "on": on, "contact": contact, "outcome": "held"} | more))


@pytest.mark.parametrize("name", BY_QUESTION["kol"])
def test_what_was_counted_is_shown(name: str, golden_book: Book) -> None:
    for measure, evidence in REGISTRY[name].evidenced(golden_book):
        assert evidence is not None
        assert evidence.columns[0] in IDENTITIES
        heights = {"contact": 1, "company": 3 + 8 if measure.variant == "touches" else measure.n}
        assert evidence.height == heights[measure.subject.partition("=")[0]]


def test_without_the_list_nothing_is_known(org: Org) -> None:
    found = {(name, m.variant): (m.value, m.reason) for name in BY_QUESTION["kol"][:3] for m in REGISTRY[name].measures(org.book())}
    nothing = (None, "missing_input")
    assert found == {
        ("kol_engagement_score", "mean"): nothing, ("active_kol_count", ""): nothing,
        ("kol_contact_frequency", ""): nothing, ("kol_contact_frequency", "touches"): nothing,
    }  # fmt: skip


def test_an_empty_list_is_nobody_not_nothing_known(org: Org) -> None:
    org.file("kol")
    assert org.measure("active_kol_count").value == 0
    assert org.measure("kol_contact_frequency", "touches").value == 0
    assert org.measure("kol_contact_frequency").reason == "no_denominator"
    assert org.measure("kol_engagement_score", "mean").reason == "no_denominator"


def test_the_score_is_capped_and_a_case_study_counts_from_its_day(org: Org) -> None:
    org.file("kol", {"contact_key": "C1", "advisory_board": True, "published_on": "2027-02-16"}, {"contact_key": "C2", "published_on": "2027-02-15"})
    for number in range(6):
        meeting(org, f"M{number}", "2027-01-20", "C1")
    meeting(org, "old", "2026-11-17", "C2")  # a day before the 90 days
    meeting(org, "missed", "2027-01-20", "C2", outcome="no_show")
    org.add("activities", id="E1", kind="email", direction="outbound", on="2027-01-20", contact="C2")
    scores = {m.subject: (m.value, m.n) for m in REGISTRY["kol_engagement_score"].measures(org.book())}
    assert scores == {"contact=C1": (50 + 25, 6), "contact=C2": (25, 1), "company": (50, 2)}


def test_one_touch_on_two_deals_is_one_and_two_spellings_are_one_person(org: Org) -> None:
    long, short = "0035g00000ABCDEAA1", "0035g00000ABCDE"
    org.add("contacts", id=long).deal("D1", "demo 2026-11-17").deal("D2", "demo 2026-11-17")
    org.file("kol", {"contact_key": long}, {"contact_key": f"sf:{short}"}, {"contact_key": "stranger"})
    for deal in ("D1", "D2"):
        meeting(org, "M1", "2027-01-20", long, opportunity=deal)
    meeting(org, "M2", "2027-01-21", "somebody else")
    assert (org.measure("active_kol_count").value, org.measure("active_kol_count").n) == (1, 2)
    assert org.measure("kol_contact_frequency", "touches").value == 1
    assert org.measure("kol_contact_frequency").value == pytest.approx(1 / 3)  # 90 days are three thirties


def test_referrals_are_new_business_created_in_the_window_with_a_named_source(org: Org) -> None:
    org.set("kol_score.lead_sources", ["kol_referral", "surgeon"])
    org.deal("D1", "demo 2026-05-04", "closed_won 2026-08-02", lead_source="surgeon")
    org.deal("D2", "demo 2026-05-04", "closed_no_decision 2026-08-02", lead_source="kol_referral")
    org.deal("D3", "demo 2026-05-04", lead_source="kol_referral").deal("D4", "demo 2026-05-04", lead_source="inbound")
    org.deal("D5", "demo 2026-02-15", "closed_won 2026-08-02", lead_source="surgeon")
    org.deal("D6", "demo 2026-05-04", "closed_void 2026-08-02", lead_source="surgeon")
    org.deal("D7", "demo 2026-05-04", "closed_won 2026-08-02", lead_source="surgeon", deal_type="renewal")
    assert org.measure("kol_referred_leads").value == 3
    found = org.measure("kol_engagement_conversion")
    assert (found.value, found.n, found.pending) == (0.5, 2, 1)


def test_without_a_named_source_nobody_knows_who_was_referred(org: Org) -> None:
    org.set("kol_score.lead_sources", []).deal("D1", "demo 2026-05-04", lead_source="kol_referral")
    assert org.measure("kol_referred_leads").reason == "missing_input"
    assert org.measure("kol_engagement_conversion").reason == "missing_input"
    assert computable(org.book(), ["kol_referred_leads"]) == [("kol_referred_leads", False, "kol_score.lead_sources in kpis.yaml")]
