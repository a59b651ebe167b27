"""The table of error classes (contract page, errors and actions): every code, in every frame, leads to the action it stands for."""

from __future__ import annotations

import pytest
import requests

from connector.crms.base import Update
from connector.crms.salesforce.faults import UrlTooLong, classify, network, problems
from connector.crms.salesforce.write import _result
from connector.errors import (
    BudgetReached,
    ConnectorError,
    CrmConfigError,
    CursorExpired,
    MissingScope,
    TooLarge,
    Transient,
)
from tests.crms.salesforce.test_transport import EXPIRED, HTML, Script, client_of
from tests.crms.scripted import Answer, serving

BACKOFF = [
    ("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.", 403),
    ("REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded.", 403),
    ("ConcurrentPerOrgLongTxn", "", 403),
    ("SERVER_UNAVAILABLE", "", 503),
    ("UNKNOWN_EXCEPTION", "An unexpected error occurred.", 500),
    ("SOMETHING_OF_NEXT_YEAR", "", 500),
    ("SOMETHING_OF_NEXT_YEAR", "", 420),
    ("SOMETHING_OF_NEXT_YEAR", "", 429),
]
SHRINK = ["QUERY_TIMEOUT", "QUERY_TOO_COMPLICATED", "OPERATION_TOO_LARGE", "EXCEEDED_ID_LIMIT"]
CONFIG = [
    ("INVALID_FIELD", "\nSELECT X FROM Opportunity\n ^\nERROR at Row:1:Column:8\nNo such column 'X' on entity 'Opportunity'.", 400, "SC-E021"),
    ("INVALID_TYPE", "sObject type 'Nope' is not supported.", 400, "SC-E021"),
    ("MALFORMED_QUERY", "unexpected token: FORM", 400, "SC-E021"),
    ("JSON_PARSER_ERROR", "Unexpected character", 400, "SC-E021"),
    ("SOMETHING_OF_NEXT_YEAR", "", 400, "SC-E021"),
    ("API_DISABLED_FOR_ORG", "", 403, "SC-E053"),
    ("API_CURRENTLY_DISABLED", "", 403, "SC-E053"),
    ("UNSUPPORTED_API_VERSION", "", 400, "SC-E055"),
    ("UNSUPPORTED_API_VERSION", "", 410, "SC-E055"),
    ("INVALID_FIELD_FOR_INSERT_UPDATE", "Unable to create/update fields: X", 400, "SC-E153"),
    ("URL_NOT_RESET", "", 404, "SC-E050"),
    ("INVALIDVERSION", "Job was created with another version", 409, "SC-E021"),
]
STATUSES: list[tuple[int, type[ConnectorError]]] = [
    (300, CrmConfigError),
    (301, CrmConfigError),
    (400, Transient),
    (403, Transient),
    (404, CrmConfigError),
    (405, CrmConfigError),
    (409, CrmConfigError),
    (410, CrmConfigError),
    (412, CrmConfigError),
    (413, TooLarge),
    (414, UrlTooLong),
    (415, CrmConfigError),
    (420, Transient),
    (431, UrlTooLong),
    (500, Transient),
    (502, Transient),
    (503, Transient),
    (504, Transient),
]


def array(code: str, message: str) -> object:
    return [{"message": message, "errorCode": code}]


@pytest.mark.parametrize(("code", "message", "status"), BACKOFF)
def test_back_off(code: str, message: str, status: int) -> None:
    found = classify(status, array(code, message))
    assert type(found) is Transient
    assert found.wait is None


def test_the_two_limits_differ() -> None:
    day = classify(403, array("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."))
    moment = classify(403, array("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."))
    assert (type(day), day.code, type(moment)) == (BudgetReached, "SC-E078", Transient)


@pytest.mark.parametrize("code", SHRINK)
def test_shrink(code: str) -> None:
    assert type(classify(400, array(code, "too much"))) is TooLarge


def test_restart() -> None:
    found = classify(400, array("INVALID_QUERY_LOCATOR", "invalid query locator"))
    assert (type(found), found.code) == (CursorExpired, "SC-E075")


@pytest.mark.parametrize(("code", "message", "status", "ours"), CONFIG)
def test_configuration(code: str, message: str, status: int, ours: str) -> None:
    found = classify(status, array(code, message))
    assert (type(found), found.code) == (CrmConfigError, ours)
    assert "SELECT" not in found.message


@pytest.mark.parametrize("code", ["INSUFFICIENT_ACCESS", "INSUFFICIENT_ACCESS_OR_READONLY", "OPERATION_NOT_ALLOWED"])
def test_a_right_that_is_missing(code: str) -> None:
    found = classify(403, array(code, ""))
    assert (type(found), found.code, found.exit_code) == (MissingScope, "SC-E052", 5)


@pytest.mark.parametrize(("status", "kind"), STATUSES)
@pytest.mark.parametrize("body", ["", "<html><body>proxy</body></html>", "[]", "null", '[{"message": "cut of'])
def test_without_a_readable_body_the_status_decides(status: int, kind: type[ConnectorError], body: str) -> None:
    assert type(classify(status, body)) is kind


@pytest.mark.parametrize(
    "body",
    [
        [{"errorCode": "INVALID_FIELD", "message": "m"}],
        [{"message": "m", "errorCode": "INVALID_FIELD", "fields": ["X"]}],
        [{"statusCode": "INVALID_FIELD", "message": "m", "fields": []}],
        {"error": "INVALID_FIELD", "error_description": "m"},
        b'[{"errorCode": "INVALID_FIELD", "message": "m"}]',
    ],
    ids=["array", "array with fields", "collections", "oauth", "bytes"],
)
def test_every_frame_is_read(body: object) -> None:
    assert [(problem.code, problem.message) for problem in problems(body)] == [("INVALID_FIELD", "m")]


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (requests.exceptions.SSLError("x"), CrmConfigError, "SC-E050"),
        (requests.TooManyRedirects("x"), CrmConfigError, "SC-E050"),
        (requests.ReadTimeout("x"), Transient, "SC-E070"),
        (requests.ConnectTimeout("x"), Transient, "SC-E070"),
        (requests.ConnectionError("https://x/query?q=SELECT"), Transient, "SC-E050"),
        (requests.exceptions.ChunkedEncodingError("x"), Transient, "SC-E070"),
        (requests.exceptions.ContentDecodingError("x"), Transient, "SC-E070"),
    ],
)
def test_failures_below_http(error: requests.RequestException, kind: type[ConnectorError], code: str) -> None:
    found = network(error)
    assert (type(found), found.code) == (kind, code)
    assert "SELECT" not in found.message


@pytest.mark.fault
@pytest.mark.parametrize("wrong", [EXPIRED, Answer([{"errorCode": "INVALID_AUTH_HEADER", "message": "INVALID_HEADER_TYPE"}], 401), Answer("", 401)])
def test_reauthenticate_once_and_replay(wrong: Answer) -> None:
    with serving(Script(wrong, Answer({"ok": True}))) as server:
        client = client_of(server)
        assert client.get("limits") == {"ok": True}
        assert len(server.asked) == 4
        client.close()


@pytest.mark.fault
@pytest.mark.parametrize(
    "bad", [Answer(""), HTML, Answer('{"records": [{"Id": "0061', 200), Answer({"records": []}, 200, fault="cut"), Answer("", fault="reset")]
)
def test_what_breaks_off_is_asked_again_five_times_at_most(bad: Answer) -> None:
    with serving(Script(bad)) as server:
        client = client_of(server)
        with pytest.raises(Transient):
            client.get("limits")
        assert server.count("limits") == 5
        client.close()
    with serving(Script(bad, bad, Answer({"ok": True}))) as server:
        client = client_of(server)
        assert client.get("limits") == {"ok": True}
        client.close()


PER_RECORD = {
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": ("rejected", "SC-E121"),
    "UNABLE_TO_LOCK_ROW": ("rejected", "SC-E122"),
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": ("rejected", "SC-E123"),
    "INSUFFICIENT_ACCESS_OR_READONLY": ("rejected", "SC-E124"),
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": ("rejected", "SC-E124"),
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": ("rejected", "SC-E125"),
    "REQUIRED_FIELD_MISSING": ("rejected", "SC-E126"),
    "DUPLICATES_DETECTED": ("rejected", "SC-E127"),
    "STRING_TOO_LONG": ("rejected", "SC-E129"),
    "NUMBER_OUTSIDE_VALID_RANGE": ("rejected", "SC-E129"),
    "INVALID_EMAIL_ADDRESS": ("rejected", "SC-E129"),
    "CANNOT_UPDATE_CONVERTED_LEAD": ("rejected", "SC-E129"),
    "A_CODE_OF_NEXT_YEAR": ("rejected", "SC-E129"),
    "ENTITY_IS_DELETED": ("gone", "SC-E128"),
    "INVALID_CROSS_REFERENCE_KEY": ("gone", "SC-E128"),
    "MALFORMED_ID": ("gone", "SC-E128"),
    "NOT_FOUND": ("gone", "SC-E128"),
}


@pytest.mark.parametrize("code", PER_RECORD)
def test_per_record(code: str) -> None:
    [problem] = problems([{"statusCode": code, "message": "as told", "fields": []}])
    found = _result(Update("Opportunity", "006000000000001AAA", {"KPI_Pace__c": "Slow"}), problem)
    assert (found.status, found.code) == PER_RECORD[code]
    assert (found.crm_code, found.message) == (code, "as told")
