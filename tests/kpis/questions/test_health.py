"""Customer health beyond the golden org: several projects, merged accounts, parts that are not known, later rows."""

from __future__ import annotations

from typing import Any

import pytest

from connector.kpis.compute import compute, known
from connector.kpis.evidence import identity

Org = Any


def milestone(name: str, due: str, done: str | None, **more: Any) -> dict[str, Any]:
    return {"account_key": "A1", "name": name, "due_on": due, "done_on": done, **more}


def seats(date: str, active: int, licensed: int, account: str = "A1", role: str | None = None) -> dict[str, Any]:
    return {"account_key": account, "date": date, "active": active, "licensed": licensed, "role": role}


def evidence(org: Org, kpi: str, variant: str = "", subject: str = "company") -> list[dict[str, Any]]:
    for measure, rows in known([kpi])[0].evidenced(org.book()):
        if (measure.variant, measure.subject) == (variant, subject):
            return [] if rows is None else rows.to_dicts()
    raise LookupError(subject)


# -- 92 ----------------------------------------------------------------------------------------------------------------


def test_go_live_before_the_signature_is_negative_and_a_lost_deal_no_longer_waits(org: Org) -> None:
    org.deal("D1", "closed_won 2026-08-01", contract_signed_on="2026-08-10", go_live_on="2026-08-01")
    org.deal("D2", "demo 2026-06-01", "closed_lost 2026-10-01", contract_signed_on="2026-09-01")
    org.deal("D3", "closed_won 2027-01-01", contract_signed_on="2027-01-16")
    mean = org.measure("contract_to_go_live", "mean")
    assert (mean.value, mean.reason, mean.pending, mean.excluded) == (None, "only_running", 1, {"negative": 1})
    assert org.measure("contract_to_go_live", "km_median").n == 2
    days = {row["opportunity"]: (row["days"], row["live"]) for row in evidence(org, "contract_to_go_live", "km_median")}
    assert days == {"D2": (30, False), "D3": (30, False)}


def test_a_go_live_after_today_has_not_happened(org: Org) -> None:
    org.deal("D1", "closed_won 2027-01-01", contract_signed_on="2027-01-01", go_live_on="2027-02-16")
    assert org.measure("contract_to_go_live", "mean").pending == 1
    with pytest.raises(LookupError):
        org.measure("contract_to_go_live", subject="opportunity=D1")


# -- 93, 94 ------------------------------------------------------------------------------------------------------------


def test_a_budget_belongs_to_the_project(org: Org) -> None:
    """Two projects of one account: 8 + 5 against 10 is over, 9 against 10 is within; the third has no actual."""
    org.deal("D1", "closed_won 2026-07-01").deal("D2", "closed_won 2026-07-01")
    org.file(
        "milestones",
        milestone("go_live", "2026-10-01", "2026-09-30", opportunity_key="D1", budget=10, actual=8),
        milestone("training", "2026-10-05", None, opportunity_key="D1", actual=5),
        milestone("go_live", "2026-10-01", "2026-10-01", opportunity_key="D2", budget=10, actual=9),
        milestone("go_live", "2026-10-01", "2026-10-01", budget=10),
        milestone("go_live", "2026-10-02", "2026-10-03", account_key="A9", budget=10, actual=9),
    )
    rate = org.measure("implementation_success_rate")
    assert (rate.value, rate.n, rate.excluded) == (1 / 3, 3, {"missing_budget": 1})
    told = evidence(org, "implementation_success_rate")
    assert [(row["input"], row["on_time"], row["succeeded"]) for row in told] == [
        ("milestones.csv:1", True, False), ("milestones.csv:3", True, True), ("milestones.csv:5", False, False),
    ]  # fmt: skip


def test_milestones_of_a_merged_account_are_its_survivor_s(org: Org) -> None:
    org.add("accounts", id="A2", merged_into="A1")
    org.file("milestones", milestone("kickoff", "2026-10-01", "2026-10-01"), milestone("kickoff", "2026-10-01", None, account_key="A2"))
    customer = org.measure("implementation_milestone_completion_rate", "customer")
    assert (customer.value, customer.n) == (0, 1)


def test_milestones_due_later_are_pending_and_long_ago_are_out(org: Org) -> None:
    org.file("milestones", milestone("a", "2027-02-15", None), milestone("b", "2027-02-16", None), milestone("c", "2026-02-15", "2026-01-01"))
    rate = org.measure("implementation_milestone_completion_rate")
    assert (rate.value, rate.n, rate.pending) == (0, 1, 1)


# -- 95, 97 ------------------------------------------------------------------------------------------------------------


def test_adoption_is_that_of_the_latest_date_all_rows_together(org: Org) -> None:
    org.add("accounts", id="A2", merged_into="A1")
    org.file(
        "adoption", seats("2027-01-01", 1, 100), seats("2027-01-31", 4, 10, role="clinician"), seats("2027-01-31", 2, 10, "A2"),
        seats("2027-02-16", 0, 10), seats("2027-01-31", 0, 0, "A3"),
    )  # fmt: skip
    found = {m.subject: (m.value, m.n, m.reason) for m in compute(org.book(), ["product_adoption_score"])}
    assert found == {
        "account=A1": (0.3, 20, None), "account=A1,role=clinician": (0.4, 10, None), "account=A1,role=unknown": (0.2, 10, None),
        "account=A3": (None, 0, "no_denominator"), "account=A3,role=unknown": (None, 0, "no_denominator"),
    }  # fmt: skip


def test_sentiment_is_the_mean_of_what_was_said_last(org: Org) -> None:
    org.file("sentiment", {"account_key": "A1", "date": "2026-12-01", "nps": 100}, {"account_key": "A1", "date": "2027-01-01", "support_csat": 62.5})
    assert [(m.subject, m.value, m.n) for m in compute(org.book(), ["customer_sentiment_score"])] == [("account=A1", 62.5, 1)]
    assert [row["input"] for row in evidence(org, "customer_sentiment_score", subject="account=A1")] == ["sentiment.csv:2"]


# -- 96 ----------------------------------------------------------------------------------------------------------------


def test_tickets_of_ninety_days_by_severity(org: Org) -> None:
    """T90D: 2026-11-18 … 2027-02-15."""
    org.add("accounts", id="A2", merged_into="A1")
    for id, account, day, severity in [
        ("T1", "A2", "2026-11-17", "high"), ("T2", "A2", "2026-11-18", "high"), ("T3", "A1", "2027-02-15", "high"), ("T4", None, "2027-02-16", "low"),
        ("T5", None, "2027-01-01", None),
    ]:  # fmt: skip
        org.add("tickets", id=id, account=account, opened_on=day, severity=severity)
    found = {m.subject: m.value for m in compute(org.book(), ["support_ticket_volume_by_severity"])}
    assert found == {"severity=high": 2, "severity=unknown": 1, "account=A1,severity=high": 2, "account=unknown,severity=unknown": 1}


# -- 98, 99, 100 -------------------------------------------------------------------------------------------------------


def test_triggers_count_once_a_day_and_unknown_seats_add_nothing(org: Org) -> None:
    event = {"account_key": "A1", "date": "2027-01-10", "event": "hiring"}
    org.add("accounts", id="A2", merged_into="A1")
    org.file("expansion_events", event, event | {"account_key": "A2"}, event | {"date": "2027-01-11"}, event | {"date": "2026-11-17", "event": "x"})
    count, seat = (org.measure("expansion_trigger_events", variant, "account=A1") for variant in ("", "seat_threshold"))
    assert (count.value, count.n) == (2, 2)
    assert (seat.value, seat.reason) == (None, "missing_input")


def test_without_the_file_of_events_only_the_seats_are_known(org: Org) -> None:
    org.file("adoption", seats("2027-01-31", 8, 10), seats("2027-01-31", 0, 0, "A3"))
    count, seat = (org.measure("expansion_trigger_events", variant, "account=A1") for variant in ("", "seat_threshold"))
    assert (count.value, count.reason) == (None, "missing_input")
    assert (seat.value, seat.n) == (True, 1)
    assert org.measure("expansion_trigger_events", "seat_threshold", "account=A3").reason == "no_denominator"


def test_a_part_that_is_not_known_fires_no_rule(org: Org) -> None:
    org.file("sentiment", {"account_key": "A1", "date": "2027-01-01", "qbr": 5}, {"account_key": "A3", "date": "2027-01-01", "qbr": 5})
    for id in ("T1", "T2"):
        org.add("tickets", id=id, account="A3", opened_on="2027-01-01", severity="critical")
    found = {(m.variant, m.subject): m.value for m in compute(org.book(), ["customer_health_tier"])}
    assert found == {
        ("", "account=A1"): "healthy", ("rules", "account=A1"): [], ("", "account=A3"): "at_risk", ("rules", "account=A3"): ["critical_tickets"],
    }  # fmt: skip
    assert [identity(row) for row in evidence(org, "customer_health_tier", subject="account=A3")] == [
        ("input", "sentiment.csv:2"), ("ticket", "T1"), ("ticket", "T2"),
    ]  # fmt: skip


def test_references_are_unknown_until_somebody_fills_the_flag(org: Org) -> None:
    assert org.measure("reference_accounts").reason == "missing_input"
    org.add("accounts", id="A2", reference=False)
    assert (org.measure("reference_accounts").value, org.measure("reference_accounts").n) == (0, 1)
    org.add("accounts", id="A3", reference=True, merged_into="A2")
    assert (org.measure("reference_accounts").value, org.measure("reference_accounts").n) == (0, 1)


@pytest.mark.parametrize(
    ("kpi", "rows"),
    [
        ("implementation_success_rate", 1), ("implementation_milestone_completion_rate", 2), ("product_adoption_score", 1),
        ("customer_sentiment_score", 1), ("expansion_trigger_events", 1), ("customer_health_tier", 1), ("reference_accounts", 1),
    ],
)  # fmt: skip
def test_without_its_input_a_kpi_says_so(kpi: str, rows: int, org: Org) -> None:
    found = compute(org.book(), [kpi])
    assert [(m.subject, m.value, m.reason, m.n) for m in found] == [("company", None, "missing_input", 0)] * rows


@pytest.mark.parametrize(("kpi", "file"), [("product_adoption_score", "adoption"), ("customer_sentiment_score", "sentiment")])
def test_an_empty_file_is_no_missing_one(kpi: str, file: str, org: Org) -> None:
    assert compute(org.file(file).book(), [kpi]) == []
