"""Touches by visit, what buyers answer, who is at the table, and counts of activity."""

from __future__ import annotations

from typing import Any

import pytest

from connector.kpis.book.book import Book
from connector.kpis.catalogue import BY_QUESTION
from connector.kpis.definition import REGISTRY
from connector.kpis.evidence import IDENTITIES, parted

Org = Any
D1 = "opportunity=D1"


def touch(org: Org, id: str, kind: str, on: str, deal: str | None = "D1", **more: Any) -> None:
    given = {"owner": "R1"} | ({"outcome": "held"} if kind == "meeting" else {"direction": "inbound"} if kind == "email" else {})
    org.add("activities", id=id, kind=kind, on=on, opportunity=deal, **(given | more))


def rows(org: Org, kpi: str) -> dict[tuple[str, str], Any]:
    return {(m.subject, m.variant): m.value for m in REGISTRY[kpi].measures(org.book())}


@pytest.mark.parametrize("name", BY_QUESTION["engagement"])
def test_what_was_counted_is_shown(name: str, golden_book: Book) -> None:
    for measure, evidence in REGISTRY[name].evidenced(golden_book):
        assert measure.n == 0 or evidence is not None
        if evidence is not None:
            assert evidence.columns[0] in IDENTITIES
            if name != "missing_personas":  # n is what the segment requires; the deal says who is there
                assert evidence.height == measure.n


def test_parts_keep_the_order_of_the_rows_and_all_of_them(golden_book: Book) -> None:
    parts = parted(golden_book.activities, "opportunity", "kind", show=["id"])
    assert sum(part.height for part in parts.values()) == golden_book.activities.height
    assert parts["O6", "meeting"]["id"].to_list() == ["a1", "a4", "a7", "a11"]


# -- density -------------------------------------------------------------------------------------------------------------


def test_a_touch_on_the_day_of_a_move_is_the_new_stages_and_gaps_have_none(org: Org) -> None:
    org.deal("D1", "demo 2026-11-17", "pilot 2026-12-17", "closed_lost 2027-01-06", "demo 2027-01-16")
    for number, on in enumerate(["2026-11-16", "2026-11-17", "2026-12-17", "2027-01-06", "2027-01-10", "2027-01-16", "2027-01-20"]):
        touch(org, f"T{number}", "email", on)
    found = rows(org, "touchpoint_density")
    assert found["stage=demo", ""] == 3 / 60 * 30  # 30 + 30 days, the first day of each and one more
    assert found["stage=pilot", ""] == 1 / 20 * 30
    assert found[D1, ""] == 2 / 30 * 30
    assert found[f"{D1},stage=demo", ""] == 3 / 60 * 30
    assert "stage=closed_lost" not in {subject for subject, _ in found}


def test_only_calls_emails_and_held_meetings_touch(org: Org) -> None:
    org.deal("D1", "demo 2027-01-16")
    touch(org, "call", "call", "2027-01-20", outcome="not_connected")
    touch(org, "mail", "email", "2027-01-20", direction="outbound")
    touch(org, "missed", "meeting", "2027-01-20", outcome="no_show")
    touch(org, "past", "meeting", "2027-01-20", outcome=None)
    touch(org, "task", "task", "2027-01-20")
    touch(org, "robot", "call", "2027-01-20", created_by="INTEGRATION")
    touch(org, "late", "call", "2027-02-16")
    assert rows(org, "touchpoint_density")[D1, ""] == 2


def test_no_density_on_the_first_day_without_history_and_for_unmapped_stages_by_stage(org: Org) -> None:
    org.deal("D1", "demo 2027-02-15").deal("D2", created_at="2026-06-01T15:00:00Z", stage="demo").deal("D3", (None, "2027-01-16"))
    touch(org, "T1", "call", "2027-01-20", deal="D3")
    reasons = {m.subject: m.reason for m in REGISTRY["touchpoint_density"].measures(org.book())}
    assert (reasons[D1], reasons["opportunity=D2"], reasons["opportunity=D3"]) == ("no_denominator", "no_history", None)
    assert not [subject for subject in reasons if "stage=" in subject and "demo" not in subject]


def test_the_touches_of_the_present_visit_are_shown(org: Org) -> None:
    org.deal("D1", "demo 2026-11-17", "pilot 2026-12-17")
    touch(org, "before", "call", "2026-12-16")
    touch(org, "after", "call", "2026-12-17")
    told = {m.subject: e["activity"].to_list() for m, e in REGISTRY["touchpoint_density"].evidenced(org.book()) if e is not None}
    assert told == {"stage=demo": ["before"], "stage=pilot": ["after"], f"{D1},stage=demo": ["before"], f"{D1},stage=pilot": ["after"], D1: ["after"]}


# -- answers -------------------------------------------------------------------------------------------------------------


def test_the_score_is_capped_and_counts_personas_of_those_who_answered(org: Org) -> None:
    org.deal("D1", "demo 2026-11-17").deal("D2", "demo 2026-11-17")
    for contact, persona in {"C1": "cfo", "C2": "cmio", "C3": None}.items():
        org.add("contacts", id=contact, persona=persona)
    org.add("opportunity_contacts", opportunity="D1", contact="C1", persona="legal")  # on this deal; elsewhere CFO
    for number in range(3):
        touch(org, f"M{number}", "meeting", "2027-02-01", contact="C1")
    touch(org, "E1", "email", "2027-01-17", contact="C2")
    touch(org, "E0", "email", "2027-01-16", contact="C2")  # a day before the 30 days
    touch(org, "call", "call", "2027-02-02", contact="C3")
    touch(org, "out", "email", "2027-02-10", direction="outbound")
    found = org.measure("buyer_engagement_score", "", D1)
    assert (found.value, found.n) == (pytest.approx(100 * (0.4 * 1 + 0.3 * 1 / 4 + 0.3 * 2 / 3)), 5)
    assert org.measure("buyer_engagement_score", "days_since_last", D1).value == 13
    silent = org.measure("buyer_engagement_score", "", "opportunity=D2"), org.measure("buyer_engagement_score", "days_since_last", "opportunity=D2")
    assert [(m.value, m.n, m.reason) for m in silent] == [(0, 0, None), (None, 0, "no_activity")]


def test_closed_deals_have_no_score_and_other_types_do(org: Org) -> None:
    org.deal("D1", "demo 2026-11-17", "closed_won 2027-01-04").deal("D2", "demo 2026-11-17", deal_type="renewal")
    assert {subject for subject, _ in rows(org, "buyer_engagement_score")} == {"opportunity=D2"}


# -- at the table --------------------------------------------------------------------------------------------------------


def test_personas_count_once_and_unknown_ones_are_not_guessed(org: Org) -> None:
    org.deal("D1", "demo 2026-11-17").deal("D2", "demo 2026-11-17").deal("D3", "demo 2026-11-17", deal_type="renewal")
    for contact, persona, added in [("C1", "cfo", None), ("C2", "cfo", "2027-01-04"), ("C3", None, None), ("C4", "legal", "2027-02-16")]:
        org.add("contacts", id=contact, persona=persona, title="Director").add(
            "opportunity_contacts", opportunity="D1", contact=contact, added_on=added
        )
        org.add("opportunity_contacts", opportunity="D3", contact=contact)
    found = rows(org, "personas_engaged")
    assert (found[D1, ""], found["opportunity=D2", ""], found["opportunity=D3", ""]) == (["cfo"], [], ["cfo", "legal"])
    assert found["company", "mean"] == 0.5  # new business only
    shown = next(e for m, e in REGISTRY["personas_engaged"].evidenced(org.book()) if m.subject == D1)
    assert shown is not None
    assert shown["contact"].to_list() == ["C1", "C2"]


def test_engaged_asks_for_an_answer_too(org: Org) -> None:
    org.set("populations.persona_evidence", "engaged").set("required_personas", {"hospital": ["cfo", "cmio"]}).deal("D1", "demo 2026-11-17")
    for contact, persona in {"C1": "cfo", "C2": "cmio"}.items():
        org.add("contacts", id=contact, persona=persona).add("opportunity_contacts", opportunity="D1", contact=contact)
    touch(org, "M1", "meeting", "2027-01-20", contact="C1")
    assert rows(org, "personas_engaged")[D1, ""] == ["cfo"]
    assert rows(org, "missing_personas")[D1, ""] == ["cmio"]


def test_nothing_required_is_not_nothing_missing(org: Org) -> None:
    org.set("required_personas", {"clinic": ["cfo"]}).deal("D1", "demo 2026-11-17").deal("D2", "demo 2026-11-17", segment="clinic")
    org.add("opportunity_contacts", opportunity="D2", contact="C1", persona="cfo")
    found = {m.subject: (m.value, m.n, m.reason) for m in REGISTRY["missing_personas"].measures(org.book())}
    assert found == {D1: (None, 0, "not_applicable"), "opportunity=D2": ([], 1, None)}


def test_ratings_up_to_today_and_several_a_day_are_averaged(org: Org) -> None:
    assert [(m.subject, m.reason) for m in REGISTRY["influence_score_per_persona"].measures(org.book())] == [("company", "missing_input")]
    given = [("cfo", "2027-02-15", 4), ("cfo", "2027-02-15", 7.5), ("cfo", "2027-02-16", 0), ("legal", "2027-03-01", 9)]
    org.file("persona_ratings", *({"persona": persona, "date": date, "score": score} for persona, date, score in given))
    assert rows(org, "influence_score_per_persona") == {("persona=cfo", ""): 5.75}


# -- activity ------------------------------------------------------------------------------------------------------------


def test_touches_are_counted_once_by_type_and_owner(org: Org) -> None:
    org.deal("D1", "demo 2026-11-17").deal("D2", "demo 2026-11-17")
    for deal in ("D1", "D2"):
        touch(org, "both", "meeting", "2027-01-20", deal=deal)
    touch(org, "missed", "meeting", "2027-01-20", outcome="no_show")
    touch(org, "free", "call", "2026-11-18", deal=None)  # the first of the 90 days
    touch(org, "old", "call", "2026-11-17", deal=None)
    touch(org, "odd", "email", "2027-01-20", direction=None)
    touch(org, "nobody", "email", "2027-01-20", direction="outbound", owner=None)
    found = {m.subject: (m.value, m.excluded) for m in REGISTRY["activity_counts"].measures(org.book()) if m.value or m.excluded}
    assert found == {
        "owner=R1,type=call": (1, {}), "owner=R1,type=meeting": (1, {}), "owner=R1,type=email_out": (0, {"unknown": 1}),
        "owner=R1,type=email_in": (0, {"unknown": 1}), "owner=unknown,type=email_out": (1, {}),
    }  # fmt: skip
    assert len(rows(org, "activity_counts")) == 3 * 4
