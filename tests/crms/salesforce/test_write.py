"""Writing to an org: batches, order, locks, governors, refusals. Answers are written by hand where the sandbox has no switch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from connector.clock import FixedClock
from connector.crms.base import Update, WriteResult
from connector.crms.salesforce import SalesforceCrm, SalesforceSettings
from connector.crms.salesforce.soql import to18
from connector.errors import AuthenticationError, OutsideManifest
from connector.sandbox.salesforce.org import RowError
from tests.crms.salesforce.bench import MANIFEST, START, SalesforceBench
from tests.crms.scripted import Answer, Asked, Server, serving

FIELD = "KPI_Stale_Reason__c"
Rows = list[dict[str, Any]]


def ids(count: int) -> list[str]:
    return [to18(f"006{n:012}") for n in range(1, count + 1)]


def updates(count: int, **more: Any) -> list[Update]:
    return [Update("Opportunity", id_, {FIELD: f"no activity since week {n}"}, **more) for n, id_ in enumerate(ids(count))]


def good(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": row["id"], "success": True, "errors": []}


def bad(code: str, message: str) -> dict[str, Any]:
    return {"success": False, "errors": [{"statusCode": code, "message": message, "fields": []}]}


@contextmanager
def org(answer: Callable[[Rows], Answer]) -> Iterator[tuple[Server, SalesforceCrm, FixedClock]]:
    """An org that answers a collection of rows as told."""

    def respond(asked: Asked) -> Answer:
        if asked.path.endswith("/token"):
            return Answer({"access_token": "t", "instance_url": f"https://{asked.headers['host']}"})
        assert asked.json["allOrNone"] is False
        return answer(asked.json["records"])

    clock = FixedClock(START)
    with serving(respond) as server:
        crm = SalesforceCrm(SalesforceSettings(server.url, flow="sandbox"), clock, MANIFEST)
        yield server, crm, clock
        crm.close()


def sizes(server: Server) -> list[int]:
    return [len(asked.json["records"]) for asked in server.asked if asked.method == "PATCH"]


def by_status(results: list[WriteResult]) -> dict[str, int]:
    return {status: sum(r.status == status for r in results) for status in {r.status for r in results}}


def each(refuse: Callable[[Mapping[str, Any]], dict[str, Any] | None]) -> Callable[[Rows], Answer]:
    return lambda rows: Answer([refuse(row) or good(row) for row in rows])


def test_batches_of_two_hundred_neighbours_of_one_account_together() -> None:
    accounts = ["001B", "001A", "001C"]
    wanted = [Update("Opportunity", id_, {FIELD: "x"}, group=accounts[n % 3]) for n, id_ in enumerate(ids(450))]
    with org(each(lambda _: None)) as (server, crm, _):
        results = list(crm.write(wanted))
    assert sizes(server) == [200, 200, 50]
    assert by_status(results) == {"written": 450}
    group = {update.id: update.group for update in wanted}
    sent = [group[row["id"]] for asked in server.asked if asked.method == "PATCH" for row in asked.json["records"]]
    assert sent == sorted(sent, key=str)


def test_a_record_is_sent_as_the_contract_shows_it() -> None:
    with org(each(lambda _: None)) as (server, crm, _):
        list(crm.write([Update("Opportunity", ids(1)[0], {FIELD: None, "KPI_Pace__c": "Stuck"})]))
    [asked] = [asked for asked in server.asked if asked.method == "PATCH"]
    assert asked.path == "/services/data/v68.0/composite/sobjects"
    assert asked.body.index(b'"attributes"') < asked.body.index(b'"id"')
    assert asked.json == {
        "allOrNone": False,
        "records": [{"attributes": {"type": "Opportunity"}, "id": ids(1)[0], FIELD: None, "KPI_Pace__c": "Stuck"}],
    }


def test_results_are_matched_by_position_since_a_refused_row_has_no_id() -> None:
    wanted = updates(6)
    with org(each(lambda row: bad("STRING_TOO_LONG", "too long") if row["id"] in ids(6)[1::2] else None)) as (_, crm, _clock):
        results = {r.id: r for r in crm.write(wanted)}
    assert [results[id_].status for id_ in ids(6)] == ["written", "rejected"] * 3


@pytest.mark.parametrize(
    ("code", "message", "status", "ours"),
    [
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "Close date must be in the future", "rejected", "SC-E121"),
        ("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "bad value for restricted picklist field", "rejected", "SC-E123"),
        ("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id", "rejected", "SC-E124"),
        ("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "insufficient access rights: 0017h00000doU3R", "rejected", "SC-E124"),
        ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "DealTrigger: execution of BeforeUpdate", "rejected", "SC-E125"),
        ("REQUIRED_FIELD_MISSING", "Required fields are missing: [Region__c]", "rejected", "SC-E126"),
        ("DUPLICATES_DETECTED", "Use one of these records?", "rejected", "SC-E127"),
        ("NUMBER_OUTSIDE_VALID_RANGE", "value outside of valid range", "rejected", "SC-E129"),
        ("INVALID_FIELD_FOR_INSERT_UPDATE", "Unable to create/update fields: KPI_X__c", "rejected", "SC-E153"),
        ("INVALID_FIELD", "No such column 'KPI_X__c'", "rejected", "SC-E154"),
        ("SOMETHING_NEW", "of next year", "rejected", "SC-E129"),
        ("ENTITY_IS_DELETED", "entity is deleted", "gone", "SC-E128"),
        ("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", "gone", "SC-E128"),
        ("MALFORMED_ID", "id value of incorrect type", "gone", "SC-E128"),
        ("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", "deferred", "SC-E078"),
    ],
)
def test_a_refused_row_has_its_class_and_the_orgs_own_words(code: str, message: str, status: str, ours: str) -> None:
    with org(each(lambda row: bad(code, message) if row["id"] == ids(3)[1] else None)) as (server, crm, _):
        results = {r.id: r for r in crm.write(updates(3))}
    refused = results[ids(3)[1]]
    assert (refused.status, refused.code, refused.crm_code, refused.message) == (status, ours, code, message)
    assert {results[id_].status for id_ in (ids(3)[0], ids(3)[2])} == {"written"}
    assert sizes(server) == [3]


def test_the_orgs_words_come_without_the_value_that_was_sent() -> None:
    with org(each(lambda row: bad("FIELD_CUSTOM_VALIDATION_EXCEPTION", f"not allowed: {row[FIELD]}!"))) as (_, crm, _clock):
        [result] = crm.write(updates(1))
    assert result.message == "not allowed: …!"


@pytest.mark.fault
def test_a_locked_row_is_tried_again_alone_three_times() -> None:
    locked = ids(5)[2]
    with org(each(lambda row: bad("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access") if row["id"] == locked else None)) as (
        server,
        crm,
        clock,
    ):
        results = {r.id: r for r in crm.write(updates(5))}
    assert sizes(server) == [5, 1, 1, 1]
    assert (results[locked].status, results[locked].code) == ("rejected", "SC-E122")
    assert by_status(list(results.values())) == {"written": 4, "rejected": 1}
    assert clock.now() > START


@pytest.mark.fault
def test_a_lock_that_is_let_go_is_written(bench: SalesforceBench) -> None:
    deals = bench.create(3)
    bench.org.locked.add(deals[1])
    alone: list[str] = []

    def let_go(line: str) -> None:
        if line.startswith("PATCH"):
            alone.append(line)
            if len(alone) == 3:
                bench.org.locked.clear()

    bench.server.recorder.intercept = let_go
    results = list(bench.open().write([Update("Opportunity", deal, {FIELD: "x"}) for deal in deals]))
    assert by_status(results) == {"written": 3}
    assert bench.truth(FIELD) == dict.fromkeys(deals, "x")
    assert len(alone) == 3


@pytest.mark.fault
def test_governor_errors_halve_the_batch_for_the_rest_of_the_run() -> None:
    too_many = bad("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "DealTrigger: System.LimitException: Too many SOQL queries: 101")

    def answer(rows: Rows) -> Answer:
        return Answer([too_many if len(rows) > 60 else good(row) for row in rows])

    with org(answer) as (server, crm, _):
        results = list(crm.write(updates(450)))
    assert by_status(results) == {"written": 450}
    assert sizes(server) == [200, 100, *[50] * 9]


@pytest.mark.fault
def test_a_record_that_breaks_the_governor_alone_is_rejected() -> None:
    too_slow = bad("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "Apex CPU time limit exceeded")
    with org(each(lambda row: too_slow if row["id"] == ids(4)[3] else None)) as (_, crm, _clock):
        results = {r.id: r for r in crm.write(updates(4))}
    assert (results[ids(4)[3]].status, results[ids(4)[3]].code) == ("rejected", "SC-E125")
    assert by_status(list(results.values())) == {"written": 3, "rejected": 1}


def test_a_field_that_the_org_lacks_rejects_the_updates_that_name_it_and_no_others() -> None:
    def answer(rows: Rows) -> Answer:
        if any("KPI_Pace__c" in row for row in rows):
            return Answer([{"errorCode": "INVALID_FIELD", "message": "No such column 'KPI_Pace__c' on sobject of type Opportunity"}], 400)
        return Answer([good(row) for row in rows])

    wanted = updates(5)
    wanted[1] = Update("Opportunity", ids(5)[1], {"KPI_Pace__c": "Slow"})
    with org(answer) as (server, crm, _):
        results = {r.id: r for r in crm.write(wanted)}
    assert (results[ids(5)[1]].status, results[ids(5)[1]].code) == ("rejected", "SC-E154")
    assert by_status(list(results.values())) == {"written": 4, "rejected": 1}
    assert sizes(server) == [5, 4]


def test_one_value_that_cannot_be_parsed_costs_only_its_own_record() -> None:
    def answer(rows: Rows) -> Answer:
        if any(row["id"] == ids(8)[5] for row in rows):
            return Answer([{"errorCode": "JSON_PARSER_ERROR", "message": "Cannot deserialize instance of date from VALUE_STRING"}], 400)
        return Answer([good(row) for row in rows])

    with org(answer) as (server, crm, _):
        results = {r.id: r for r in crm.write(updates(8))}
    assert (results[ids(8)[5]].status, results[ids(8)[5]].code) == ("rejected", "SC-E129")
    assert by_status(list(results.values())) == {"written": 7, "rejected": 1}
    assert len(sizes(server)) == 7


@pytest.mark.fault
def test_limits_reached_in_the_middle_defer_the_rest_without_another_call() -> None:
    calls: list[int] = []

    def answer(rows: Rows) -> Answer:
        calls.append(len(rows))
        if len(calls) == 2:
            return Answer([{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}], 403)
        return Answer([good(row) for row in rows])

    with org(answer) as (_, crm, _clock):
        results = list(crm.write(updates(700)))
    assert by_status(results) == {"written": 200, "deferred": 500}
    assert {r.code for r in results if r.status == "deferred"} == {"SC-E078"}
    assert calls == [200, 200]


@pytest.mark.fault
def test_an_org_that_falls_silent_defers_the_rest() -> None:
    calls: list[int] = []

    def answer(rows: Rows) -> Answer:
        calls.append(len(rows))
        return Answer([good(row) for row in rows]) if len(calls) == 1 else Answer("", 503)

    with org(answer) as (_, crm, _clock):
        results = list(crm.write(updates(700)))
    assert by_status(results) == {"written": 200, "deferred": 500}
    assert calls == [200] * 6  # the second batch five times, the third and fourth never


@pytest.mark.fault
def test_a_fault_of_the_moment_during_a_write_is_tried_again() -> None:
    calls: list[int] = []

    def answer(rows: Rows) -> Answer:
        calls.append(len(rows))
        return Answer(fault="reset") if len(calls) == 1 else Answer([good(row) for row in rows])

    with org(answer) as (_, crm, _clock):
        assert by_status(list(crm.write(updates(3)))) == {"written": 3}
    assert calls == [3, 3]


@pytest.mark.fault
def test_a_refused_session_defers_what_is_left_and_then_stops_the_push() -> None:
    calls: list[int] = []

    def answer(rows: Rows) -> Answer:
        calls.append(len(rows))
        if len(calls) > 1:
            return Answer([{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}], 401)
        return Answer([good(row) for row in rows])

    results: list[WriteResult] = []

    def push(count: int) -> None:
        for result in crm.write(updates(count)):
            results.append(result)

    with org(answer) as (server, crm, _):
        push(10)
        with pytest.raises(AuthenticationError):
            push(450)
    assert by_status(results) == {"written": 10, "deferred": 450}
    assert server.count("/token") == 2


def test_answers_that_do_not_match_the_request_are_no_success() -> None:
    with org(lambda rows: Answer([good(row) for row in rows][:-1])) as (_, crm, _clock):
        assert by_status(list(crm.write(updates(3)))) == {"deferred": 3}
    with org(lambda rows: Answer([good(row) for row in reversed(rows)])) as (_, crm, _clock):
        assert by_status(list(crm.write(updates(2)))) == {"deferred": 2}


def test_two_updates_of_one_record_are_both_made_in_their_order(bench: SalesforceBench) -> None:
    deals = bench.create(2)
    wanted = [
        Update("Opportunity", deals[0], {FIELD: "first"}),
        Update("Opportunity", deals[1], {FIELD: "x"}),
        Update("Opportunity", deals[0], {FIELD: "second"}),
    ]
    results = list(bench.open().write(wanted))
    assert by_status(results) == {"written": 3}
    assert bench.truth(FIELD) == {deals[0]: "second", deals[1]: "x"}


def test_the_same_update_twice_has_two_results(bench: SalesforceBench) -> None:
    [deal] = bench.create(1)
    update = Update("Opportunity", deal, {FIELD: "x"})
    assert by_status(list(bench.open().write([update, update]))) == {"written": 2}


def test_an_update_of_nothing_is_not_sent() -> None:
    with org(each(lambda _: None)) as (server, crm, _):
        assert by_status(list(crm.write([Update("Opportunity", ids(1)[0], {})]))) == {"written": 1}
    assert server.asked == []


def test_the_manifest_is_checked_at_the_call_and_not_at_the_first_result(bench: SalesforceBench) -> None:
    with pytest.raises(OutsideManifest, match="StageName"):
        bench.open().write([Update("Opportunity", ids(1)[0], {FIELD: "x", "StageName": "Closed Won"})])
    assert bench.server.asked == []


@pytest.mark.parametrize("field", ["Amount", "StageName", "Kpi", "X_KPI_Pace__c"])
def test_a_manifest_can_never_open_a_field_of_the_company(bench: SalesforceBench, field: str) -> None:
    with pytest.raises(OutsideManifest, match=field):
        SalesforceCrm(bench.settings(), bench.clock, {"Opportunity": frozenset({"KPI_Pace__c", field})})


def test_a_validation_rule_of_the_org_rejects_one_record_in_its_own_words(bench: SalesforceBench) -> None:
    deals = bench.create(3)

    def rule(name: str, row: Mapping[str, Any], values: Mapping[str, Any], user: str) -> RowError | None:
        return RowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", "A closed deal needs a reason") if row["Id"] == deals[1] else None

    bench.org.rules.append(rule)
    results = {r.id: r for r in bench.open().write([Update("Opportunity", deal, {FIELD: "x"}) for deal in deals])}
    assert (results[deals[1]].code, results[deals[1]].message) == ("SC-E121", "A closed deal needs a reason")
    assert bench.truth(FIELD) == {deals[0]: "x", deals[1]: None, deals[2]: "x"}


def test_a_smaller_batch_can_be_set(bench: SalesforceBench) -> None:
    deals = bench.create(5)
    list(bench.open(write_batch=2).write([Update("Opportunity", deal, {FIELD: "x"}) for deal in deals]))
    assert bench.paths().count("PATCH sobjects") == 3
