"""Each guard trips at its own figure and names it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connector.crms.base import PushCost
from connector.errors import Finding
from connector.scorecard import guards
from connector.scorecard.guards import Facts, Limits
from connector.scorecard.plan import ChangeKind, FieldChange, PlannedUpdate, Scope

SCOPE = Scope("sf", "salesforce", "00D", "abc", "2026-11-20T18:00:00+00:00", population=100, unchanged=0, held=0)
PACE, REASON, STAMP = "KPI_Pace__c", "KPI_Stale_Reason__c", "KPI_Updated_At__c"
KEYS = {PACE: "pace", REASON: "stale_reason", STAMP: "updated_at"}


def updates(count: int, kind: ChangeKind, *fields: str) -> list[PlannedUpdate]:
    changes = tuple(FieldChange(KEYS[name], name, "Slow", "Stuck", kind) for name in fields or (PACE,))
    return [PlannedUpdate("sf", "Opportunity", str(n), None, "v", "h", changes) for n in range(count)]


def trips(planned: list[PlannedUpdate], facts: Facts | None = None, *, scope: Scope = SCOPE, limits: Limits | None = None) -> list[tuple[str, str]]:
    return [(t.code, t.message) for t in guards.check(scope, planned, limits or Limits(), facts or Facts())]


def codes(planned: list[PlannedUpdate], *, scope: Scope = SCOPE, facts: Facts | None = None) -> list[str]:
    return [code for code, _ in trips(planned, facts, scope=scope)]


def test_first_fills_trip_nothing_outside_production() -> None:
    assert codes(updates(100, "set")) == []


SHARE = ("SC-E102", "26 of 100 open deals (26%) would change; the limit is 25%")
FIELD = ("SC-E102", "KPI_Pace__c would change on 51 of 100 open deals; the limit is 50%")
NEW = "never written before, and now to be filled: KPI_Stale_Reason__c on 6 of 100 open deals; the limit is 5%"
FIRST = "first push of this connection: 2 records would be filled for the first time (KPI_Pace__c on 2, KPI_Stale_Reason__c on 2)"
DAY = "writing 2 records takes 9 calls (4 to write, 5 to sign in and to re-read) and 8 are left today: 92 of 100 used"
PROD = Facts(production=True, written=frozenset({PACE}))


@pytest.mark.parametrize(
    ("planned", "facts", "expected"),
    [
        # share of records, of one field; clears
        (updates(25, "change"), Facts(), []),
        (updates(26, "change"), Facts(), [SHARE]),
        (updates(51, "change"), Facts(), [("SC-E102", "51 of 100 open deals (51%) would change; the limit is 25%"), FIELD]),
        (updates(51, "change", STAMP), Facts(), []),
        (updates(1, "empty"), Facts(), []),
        (updates(1, "clear"), Facts(), [("SC-E103", "1 values can no longer be computed and would be cleared (0 KPI_Pace__c); the limit is 0")]),
        # a first push, and later a field that nobody has seen filled
        (updates(2, "set", PACE, REASON, STAMP), Facts(production=True), [("SC-E107", FIRST)]),
        (updates(2, "set", PACE, REASON), Facts(production=False), []),
        (updates(5, "set", REASON), PROD, []),
        (updates(6, "set", REASON), PROD, [("SC-E107", NEW)]),
        (updates(6, "set", PACE, REASON), PROD, [("SC-E107", NEW)]),
        (updates(6, "set", REASON), replace(PROD, production=False), []),
        (updates(60, "set", PACE, STAMP), PROD, []),
        ([], Facts(production=True), []),
        # calls: our own limit of writes, and the account's day
        (updates(2, "set"), Facts(cost=PushCost(5, 500)), []),
        (updates(2, "set"), Facts(cost=PushCost(5, 501)), [("SC-E105", "501 write calls needed for 2 records; the limit is 500")]),
        (updates(2, "set"), Facts(cost=PushCost(5, 4), left=9), []),
        (updates(2, "set"), Facts(cost=PushCost(5, 4), left=8, day="92 of 100 used"), [("SC-E078", DAY)]),
        ([], Facts(cost=PushCost(5, 0), left=0), []),
        # quiet hours, and a short pull
        (updates(1, "set"), Facts(quiet="09:00 lies in 08:30-11:30"), [("SC-E106", "reps are at work: 09:00 lies in 08:30-11:30")]),
        ([], Facts(quiet="09:00 lies in 08:30-11:30"), []),
        (updates(1, "set"), Facts(pulled=50, usual=100.0), []),
        (
            [],
            Facts(pulled=49, usual=100.0),
            [("SC-E104", "the pull brought 49 deals where like runs bring 100 in the mean (49%); the limit is 50%")],
        ),
        ([], Facts(pulled=0, usual=None), []),
    ],
)
def test_each_guard_at_its_figure(planned: list[PlannedUpdate], facts: Facts, expected: list[tuple[str, str]]) -> None:
    assert trips(planned, facts) == expected


def test_the_limits_are_those_of_the_settings() -> None:
    wide = Limits(max_records_share=1.0, max_field_share=1.0, max_clears=100, max_backfill_share=1.0, max_write_calls=1_000, min_pull_vs_mean=0.0)
    facts = replace(PROD, cost=PushCost(1, 999), pulled=1, usual=100.0)
    assert trips(updates(100, "clear"), facts, limits=wide) == []
    assert trips(updates(100, "set", REASON), facts, limits=wide) == []
    assert [code for code, _ in trips(updates(1, "set", REASON), PROD, limits=Limits(max_backfill_share=0.0))] == ["SC-E107"]


def test_an_unmapped_stage_blocks_even_an_empty_plan() -> None:
    found = replace(SCOPE, findings=(Finding(code="SC-E024", message='stage "X" is live'),))
    assert codes([], scope=found) == ["SC-E024"]
    assert codes([], scope=replace(SCOPE, set_aside=1)) == ["SC-E024"]


def test_what_the_pull_found_blocks_each_kind_once_and_warnings_do_not() -> None:
    told = tuple(Finding(code=code, message=message) for code, message in (
        ("SC-E021", "a field is gone"), ("SC-E071", "1 missing"), ("SC-E071", "2 missing"), ("SC-E024", 'stage "X" is live'),
    ))  # fmt: skip
    warned = Finding(code="SC-W035", message="a new option", severity="warning")
    found = trips([], scope=replace(SCOPE, findings=(*told, warned)))
    assert found == [("SC-E021", "a field is gone"), ("SC-E071", "1 missing"), ("SC-E024", 'stage "X" is live')]
    assert {code for code, _ in found} <= guards.BLOCKING
    assert codes([], scope=replace(SCOPE, findings=(warned,))) == []
