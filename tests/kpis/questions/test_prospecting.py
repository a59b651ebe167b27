"""Meetings, outreach and leads: who is counted, in which week, and what is pending."""

from __future__ import annotations

from typing import Any

import pytest

from connector.kpis.book.book import Book
from connector.kpis.catalogue import BY_QUESTION
from connector.kpis.definition import REGISTRY
from connector.kpis.evidence import IDENTITIES

Org = Any


def meeting(org: Org, id: str, on: str, outcome: str | None = "held", deal: str | None = "D1", owner: str | None = "R1", **more: Any) -> None:
    org.add("activities", id=id, kind="meeting", on=on, outcome=outcome, opportunity=deal, owner=owner, **more)


@pytest.mark.parametrize("name", BY_QUESTION["prospecting"])
def test_as_many_records_are_shown_as_were_counted(name: str, golden_book: Book) -> None:
    for measure, evidence in REGISTRY[name].evidenced(golden_book):
        assert evidence is not None
        assert evidence.columns[0] in IDENTITIES
        if name != "outreach_to_meeting_rate":  # one line stands for 100 contacts
            assert evidence.height == measure.n


def test_the_file_of_a_sequence_tool_is_shown_by_its_lines(golden_book: Book) -> None:
    shown = {m.subject: e["input"].to_list() for m, e in REGISTRY["outreach_to_meeting_rate"].evidenced(golden_book) if e is not None}
    assert shown == {"company": ["outreach.csv:1"], "owner=R1": ["outreach.csv:1"], "owner=R2": []}


# -- meetings ------------------------------------------------------------------------------------------------------------


def test_the_show_rate_counts_each_meeting_on_a_new_business_deal_once(org: Org) -> None:
    org.deal("D1", "demo 2026-05-04").deal("D2", "demo 2026-05-04").deal("D3", "demo 2026-05-04", deal_type="renewal")
    org.deal("D4", "demo 2026-05-04", "closed_void 2026-05-05").deal("D5", "demo 2026-05-04", deleted=True)
    for deal in ("D1", "D2"):
        meeting(org, "both", "2026-06-01", deal=deal)
    meeting(org, "gone", "2026-06-02", "no_show")
    for number, deal in enumerate(["D3", "D4", "D5", None]):
        meeting(org, f"other{number}", "2026-06-03", "no_show", deal)
    assert (org.measure("meeting_show_rate").value, org.measure("meeting_show_rate").n) == (0.5, 2)


def test_what_is_neither_held_nor_missed_is_counted_beside(org: Org) -> None:
    org.deal("D1", "demo 2026-05-04")
    for number, outcome in enumerate(["held", "canceled", "rescheduled", "rescheduled", None, "unknown", "connected"]):
        meeting(org, f"M{number}", "2026-06-01", outcome)
    meeting(org, "old", "2026-02-15", "no_show")  # T12M begins the day after
    meeting(org, "tomorrow", "2027-02-16", None)
    meeting(org, "robot", "2026-06-01", "no_show", created_by="INTEGRATION")
    found = org.measure("meeting_show_rate")
    assert (found.value, found.n) == (1, 1)
    assert found.excluded == {"canceled": 1, "rescheduled": 2, "unknown": 3}


def test_meetings_of_nobody_are_of_an_unknown_owner_and_every_owner_has_a_row(org: Org) -> None:
    org.deal("D1", "demo 2026-05-04")
    meeting(org, "M1", "2026-06-01", owner=None)
    meeting(org, "M2", "2026-06-01", "no_show", owner="left")
    rows = {m.subject: (m.value, m.reason) for m in REGISTRY["meeting_show_rate"].measures(org.book())}
    nothing = (None, "no_denominator")
    assert rows == {"company": (0.5, None), "owner=R1": nothing, "owner=R2": nothing, "owner=left": (0, None), "owner=unknown": (1, None)}


def test_a_first_meeting_belongs_to_its_local_week(org: Org) -> None:
    org.given["windows"] = ["2027-W05"]
    org.deal("D1", "demo 2026-05-04").deal("D2", "demo 2026-05-04")
    org.add("activities", id="M1", kind="meeting", outcome="held", at="2027-02-08T04:30:00Z", opportunity="D1", owner="R1")  # Sunday in New York
    org.add("activities", id="M2", kind="meeting", outcome="held", at="2027-02-08T05:30:00Z", opportunity="D2", owner="R1")
    assert org.measure("qualified_meetings_per_week", window="2027-W06").value == 1
    assert org.measure("qualified_meetings_per_week", window="2027-W05").value == 1
    assert org.measure("qualified_meetings_per_week", "avg_4w").value == 0.5


def test_only_the_first_held_meeting_of_a_deal_counts(org: Org) -> None:
    org.deal("D1", "demo 2027-02-01").deal("D2", "demo 2027-02-01").deal("D3", "demo 2027-02-01", deal_type="expansion")
    meeting(org, "missed", "2027-01-05", "no_show")
    meeting(org, "first", "2027-02-08")
    meeting(org, "first", "2027-02-08", deal="D2", owner="R1")  # one meeting about two deals
    meeting(org, "second", "2027-02-09", owner="R2")
    meeting(org, "expansion", "2027-02-09", deal="D3", owner="R2")
    weeks = {m.subject: m.value for m in REGISTRY["qualified_meetings_per_week"].measures(org.book()) if m.window == "2027-W06"}
    assert weeks == {"company": 1, "owner=R1": 1, "owner=R2": 0}


def test_of_two_meetings_on_the_first_day_the_earlier_instant_is_first(org: Org) -> None:
    org.deal("D1", "demo 2027-02-01")
    org.add("activities", id="a", kind="meeting", outcome="held", at="2027-02-08T20:00:00Z", opportunity="D1", owner="R1")
    org.add("activities", id="b", kind="meeting", outcome="held", at="2027-02-08T15:00:00Z", opportunity="D1", owner="R2")
    assert org.measure("qualified_meetings_per_week", subject="owner=R2", window="2027-W06").value == 1


def test_the_four_weeks_end_with_the_last_complete_one(org: Org) -> None:
    for number, on in enumerate(["2027-01-17", "2027-01-18", "2027-02-14", "2027-02-15"]):  # Sunday, Monday … Sunday, today
        org.deal(f"D{number}", "demo 2027-01-04")
        meeting(org, f"M{number}", on, deal=f"D{number}")
    found = org.measure("qualified_meetings_per_week", "avg_4w")
    assert (found.value, found.n, found.low_n, found.unit) == (0.5, 2, False, "per_week")


# -- outreach ------------------------------------------------------------------------------------------------------------


def test_outreach_of_the_file_takes_weeks_of_the_window_and_keeps_strangers(org: Org) -> None:
    def line(owner: str, week: str, reached: int, booked: int) -> dict[str, object]:
        return {"owner_key": owner, "week": week, "contacts_reached": reached, "meetings_booked": booked}

    org.file("outreach", line("R1", "2026-11-16", 500, 5), line("R1", "2026-11-23", 100, 1), line("R1", "2027-02-15", 60, 1),
             line("R1", "2027-02-22", 900, 0), line("sf:R9", "2027-01-04", 40, 4))  # fmt: skip
    meeting(org, "M1", "2027-01-05", deal=None)
    rows = {m.subject: (m.value, m.n, m.low_n) for m in REGISTRY["outreach_to_meeting_rate"].measures(org.book())}
    # T90D begins on 18 November
    assert rows == {"company": (6 / 200, 200, False), "owner=R1": (2 / 160, 160, False), "owner=R2": (None, 0, True), "owner=sf:R9": (0.1, 40, False)}


def test_an_empty_outreach_file_is_not_a_missing_one(org: Org) -> None:
    org.file("outreach")
    meeting(org, "M1", "2027-01-05", deal=None)
    org.add("activities", id="E1", kind="email", direction="outbound", on="2027-01-05", owner="R1")
    assert org.measure("outreach_to_meeting_rate").reason == "no_denominator"


def test_without_the_file_meetings_of_any_outcome_stand_over_outbound_emails(org: Org) -> None:
    org.deal("D1", "demo 2026-12-01").deal("D2", "demo 2026-12-01")
    for number in range(4):
        org.add("activities", id=f"E{number}", kind="email", direction="outbound", on="2027-01-05", owner="R1")
    org.add("activities", id="in", kind="email", direction="inbound", on="2027-01-05", owner="R1")
    org.add("activities", id="odd", kind="email", on="2027-01-05", owner="R1")
    for deal in ("D1", "D2"):
        org.add("activities", id="mail", kind="email", direction="outbound", on="2027-01-05", opportunity=deal)
        meeting(org, "M1", "2027-01-05", "canceled", deal)
    meeting(org, "planned", "2027-03-01", None)
    rows = {m.subject: (m.value, m.n, m.reason) for m in REGISTRY["outreach_to_meeting_rate"].measures(org.book())}
    assert rows["company"] == (1 / 5, 5, None)
    assert rows["owner=R1"] == (1 / 4, 4, None)
    assert rows["owner=unknown"] == (0, 1, None)
    assert org.measure("outreach_to_meeting_rate").ci_low is None


# -- leads ---------------------------------------------------------------------------------------------------------------


def test_a_lead_is_mature_after_the_limit_not_on_it(org: Org) -> None:
    org.add("leads", id="L1", mql_on="2026-11-17")  # 90 days ago
    assert org.measure("mql_to_sqo_conversion").pending == 1
    org.add("leads", id="L2", mql_on="2026-11-16")
    found = org.measure("mql_to_sqo_conversion")
    assert (found.value, found.n, found.pending) == (0, 1, 1)
    org.set("thresholds.lead_maturity_days", 89)
    assert org.measure("mql_to_sqo_conversion").n == 2


def test_a_conversion_after_today_has_not_happened_and_old_leads_are_out(org: Org) -> None:
    org.add("leads", id="L1", mql_on="2027-02-01", sqo_on="2027-02-16", lead_source="inbound")
    org.add("leads", id="L2", mql_on="2027-02-01", sqo_on="2027-02-15")
    org.add("leads", id="L3", mql_on="2026-02-15", sqo_on="2026-03-01")
    org.add("leads", id="L4", sqo_on="2026-06-01")
    found = org.measure("mql_to_sqo_conversion")
    assert (found.value, found.n, found.pending) == (1, 1, 1)
    assert org.measure("mql_to_sqo_conversion", "raw").value == 0.5
    assert org.measure("mql_to_sqo_conversion", subject="source=inbound").reason == "no_denominator"
    assert org.measure("mql_to_sqo_conversion", subject="source=unknown").value == 1


def test_leads_of_one_deal_are_one_deal_and_void_ones_are_out(org: Org) -> None:
    org.deal("D1", "demo 2026-05-04", "closed_won 2026-08-02").deal("D2", "demo 2026-05-04", "closed_lost 2026-08-02", "closed_void 2026-08-09")
    org.deal("D3", "demo 2026-05-04").deal("D4", "demo 2026-05-04", "closed_no_decision 2026-09-01")
    for id, deal in {"L1": "D1", "L2": "D1", "L3": "D2", "L4": "D3", "L5": "D4", "L6": None}.items():
        org.add("leads", id=id, sql_on="2026-05-01", opportunity=deal)
    found, raw = org.measure("sql_to_closed_won"), org.measure("sql_to_closed_won", "raw")
    assert (found.value, found.n, found.pending, found.excluded) == (0.5, 2, 2, {"void": 1})
    assert (raw.value, raw.n, raw.pending, raw.excluded) == (2 / 5, 5, 2, {"void": 1})


def test_the_lead_of_a_deleted_or_later_deal_is_pending_and_not_forgotten(org: Org) -> None:
    org.deal("D1", "demo 2026-05-04", "closed_won 2026-08-02", deleted=True).deal("D2", created_at="2027-02-16T15:00:00Z")
    for id, deal in {"L1": "D1", "L2": "D2", "L3": "D404"}.items():
        org.add("leads", id=id, mql_on="2026-04-01", sql_on="2026-05-01", sqo_on="2026-05-04", opportunity=deal)
    found = org.measure("sql_to_closed_won")
    assert (found.value, found.n, found.pending, found.reason) == (None, 0, 3, "no_denominator")
    assert org.measure("mql_to_sqo_conversion").n == 3


def test_a_reopened_deal_behind_a_lead_is_pending_again(org: Org) -> None:
    org.deal("D1", "demo 2026-05-04", "closed_lost 2026-08-02", "demo 2026-11-01")
    org.add("leads", id="L1", sql_on="2026-05-01", opportunity="D1")
    assert org.measure("sql_to_closed_won").pending == 1
