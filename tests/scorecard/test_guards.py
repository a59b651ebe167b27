"""Each guard trips at its own figure and names it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connector.errors import Finding
from connector.scorecard import guards
from connector.scorecard.guards import Facts, Limits
from connector.scorecard.plan import ChangeKind, FieldChange, PlannedUpdate, Scope

SCOPE = Scope("sf", "salesforce", "00D", "abc", "2026-11-20T18:00:00+00:00", population=100, unchanged=0, held=0)


def updates(count: int, kind: ChangeKind) -> list[PlannedUpdate]:
    change = FieldChange("pace", "KPI_Pace__c", "Slow", "Stuck", kind)
    return [PlannedUpdate("sf", "Opportunity", str(n), None, "v", "h", (change,)) for n in range(count)]


def codes(planned: list[PlannedUpdate], *, scope: Scope = SCOPE, facts: Facts | None = None, allow_large: bool = False) -> list[str]:
    return [t.code for t in guards.check(scope, planned, Limits(), facts or Facts(), allow_large=allow_large)]


def test_first_fills_trip_nothing() -> None:
    assert codes(updates(100, "set")) == []


@pytest.mark.parametrize(("count", "tripped"), [(25, []), (26, ["SC-E102"]), (51, ["SC-E102", "SC-E102"])])
def test_shares_of_records_and_of_one_field(count: int, tripped: list[str]) -> None:
    assert codes(updates(count, "change")) == tripped
    assert codes(updates(count, "change"), allow_large=True) == []


def test_one_lost_value_trips_and_an_empty_answer_does_not() -> None:
    assert codes(updates(1, "clear")) == ["SC-E103"]
    assert codes(updates(1, "empty")) == []


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (Facts(in_quiet_hours=True), "SC-E106"),
        (Facts(production=True, first_fill=True), "SC-E107"),
        (Facts(pull_vs_mean=0.4), "SC-E104"),
        (Facts(write_batch=1), None),
    ],
)
def test_what_the_run_knows(facts: Facts, code: str | None) -> None:
    assert codes(updates(2, "set"), facts=facts) == ([code] if code else [])


def test_an_unmapped_stage_blocks_even_an_empty_plan() -> None:
    found = replace(SCOPE, findings=(Finding(code="SC-E024", message='stage "X" is live'),))
    assert codes([], scope=found) == ["SC-E024"]
    assert codes([], scope=replace(SCOPE, set_aside=1)) == ["SC-E024"]


def test_what_the_pull_found_blocks_each_kind_once_and_warnings_do_not() -> None:
    told = tuple(Finding(code=code, message=message) for code, message in (
        ("SC-E021", "a field is gone"), ("SC-E071", "1 missing"), ("SC-E071", "2 missing"), ("SC-E024", 'stage "X" is live'),
    ))  # fmt: skip
    warned = Finding(code="SC-W035", message="a new option", severity="warning")
    trips = guards.check(replace(SCOPE, findings=(*told, warned)), [], Limits(), Facts())
    assert [(t.code, t.message) for t in trips] == [("SC-E021", "a field is gone"), ("SC-E071", "1 missing"), ("SC-E024", 'stage "X" is live')]
    assert {t.code for t in trips} <= guards.BLOCKING
    assert codes([], scope=replace(SCOPE, findings=(warned,))) == []


def test_too_many_calls() -> None:
    trips = guards.check(replace(SCOPE, population=10_000), updates(501, "set"), Limits(), Facts(write_batch=1))
    assert [t.code for t in trips] == ["SC-E105"]
    assert "501" in trips[0].message
