"""The table of errors and actions, row by row: what each answer of HubSpot makes the connector do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from connector import errors
from connector.clock import FixedClock
from connector.crms.base import Meter
from connector.crms.hubspot import HubSpotSettings
from connector.crms.hubspot.faults import ids_in, names_in
from connector.crms.hubspot.transport import Transport
from tests.crms.scripted import Answer, serving

BEGIN = datetime(2026, 11, 20, 18, tzinfo=UTC)
V = "/crm/objects/2026-03"
HTML = "<html><h2>HTTP ERROR 404</h2></html>"
MANY: Mapping[str, Any] = {"inputs": [{"id": str(n)} for n in range(50)]}
ONE: Mapping[str, Any] = {"inputs": [{"id": "1"}]}
SCOPES = {"status": "error", "message": "One or more of the following scopes are required.", "category": "MISSING_SCOPES",
          "context": {"requiredGranularScopes": ["crm.objects.deals.read", "crm.schemas.deals.read"]}}  # fmt: skip
DAILY = {"status": "error", "message": "You have reached your daily limit.", "errorType": "RATE_LIMIT", "policyName": "DAILY"}
TEN = {"message": "You have reached your ten_secondly_rolling limit.", "errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY_ROLLING"}
OLDER = {"message": "You have reached your secondly limit.", "errorType": "RATE_LIMIT", "policyName": "SECONDLY"}
SECONDLY = {"status": "error", "message": "You have reached your secondly limit.", "category": "RATE_LIMITS"}
UNKNOWN = {"status": "error", "message": "Unable to infer object type from: butterflies", "correlationId": "c-1"}
BEYOND = {"status": "error", "message": "There was a problem with the request."}
HOURS = {"Retry-After": "7200"}
DATED = {"Retry-After": "Fri, 20 Nov 2026 18:00:09 GMT"}
SPENT = {"X-HubSpot-RateLimit-Daily": "650000", "X-HubSpot-RateLimit-Daily-Remaining": "0"}

Sent = Mapping[str, Any] | None
# status, body, headers, path, what was sent | error, code, exit, words
FAILS: list[tuple[str, int, Any, Mapping[str, str], str, Sent, type[errors.ConnectorError], str, int, str]] = [
    ("unknown-key", 401, {"category": "INVALID_AUTHENTICATION"}, {}, "deals", None, errors.AuthenticationError, "SC-E051", 5, "the credential"),
    ("empty-401", 401, "", {}, "deals", None, errors.AuthenticationError, "SC-E051", 5, "HTTP 401"),
    ("scopes", 403, SCOPES, {}, "deals", None, errors.MissingScope, "SC-E052", 5, "crm.objects.deals.read, crm.schemas.deals.read"),
    ("html-403", 403, HTML, {}, "deals", None, errors.MissingScope, "SC-E052", 5, "HTTP 403"),
    ("daily", 429, DAILY, {}, "deals", None, errors.BudgetReached, "SC-E078", 4, "midnight in the portal"),
    ("daily-by-header", 429, "", SPENT, "deals", None, errors.BudgetReached, "SC-E078", 4, "daily limit"),
    ("migration-of-hours", 477, {"message": "migrating"}, HOURS, "deals", None, errors.Transient, "SC-E070", 1, "asks to wait 7200 s"),
    ("too-long", 414, "", {}, "deals/batch/read", MANY, errors.TooLarge, "SC-E073", 1, "50 ids"),
    ("too-much", 413, "", {}, "deals/batch/read", MANY, errors.TooLarge, "SC-E073", 1, "50 ids"),
    ("timeout-of-many", 504, HTML, {}, "deals/batch/read", MANY, errors.TooLarge, "SC-E073", 1, "50 ids"),
    ("beyond-10000", 400, BEYOND, {}, "deals/search", {"after": "9900", "limit": 200}, errors.NoProgress, "SC-E074", 1, "problem with"),
    ("beyond-in-words", 400, {"message": "more than 10,000 results"}, {}, "deals/search", {"after": "0"}, errors.NoProgress, "SC-E074", 1, "10,000"),
    ("bad-search", 400, BEYOND, {}, "deals/search", {"after": "200", "limit": 200}, errors.CrmConfigError, "SC-E021", 4, "problem with"),
    ("unknown-object", 400, UNKNOWN, {}, "butterflies", None, errors.CrmConfigError, "SC-E021", 4, "correlationId c-1"),
    ("json-404", 404, {"category": "OBJECT_NOT_FOUND", "message": "no such"}, {}, "deals", None, errors.CrmConfigError, "SC-E021", 4, "no such"),
    ("conflict", 409, {"category": "CONFLICT", "message": "exists"}, {}, "deals", None, errors.CrmConfigError, "SC-E021", 4, "exists"),
    ("version-retired", 404, HTML, {}, "deals", None, errors.CrmConfigError, "SC-E055", 4, "not served"),
    ("empty-404", 404, "", {}, "deals", None, errors.CrmConfigError, "SC-E055", 4, "not served"),
    ("method", 405, "", {}, "deals", None, errors.CrmConfigError, "SC-E055", 4, "not served"),
    ("media-type", 415, "", {}, "deals", None, errors.CrmConfigError, "SC-E055", 4, "not served"),
    ("teapot", 418, "", {}, "deals", None, errors.ConnectorError, "SC-E001", 1, "HTTP 418"),
]  # fmt: skip

# status, body, headers, sent | seconds waited at the least and at the most
PASSES: list[tuple[str, int, Any, Mapping[str, str], Mapping[str, Any] | None, float, float]] = [
    ("secondly", 429, SECONDLY, {}, None, 1, 2.1),
    ("secondly-older-form", 429, OLDER, {}, None, 1, 2.1),
    ("ten-secondly", 429, TEN, {}, None, 10, 11.1),
    ("limit-without-words", 429, "", {}, None, 10, 11.1),
    ("limit-with-retry-after", 429, TEN, {"Retry-After": "3"}, None, 3, 4.1),
    ("limit-with-a-date", 429, TEN, DATED, None, 9, 10.1),
    ("locked", 423, {"message": "locked"}, {}, None, 2, 3.1),
    ("locked-with-a-shorter-wish", 423, "", {"Retry-After": "1"}, None, 2, 3.1),
    ("locked-with-a-longer-wish", 423, "", {"Retry-After": "20"}, None, 20, 21.1),
    ("migration", 477, {"message": "migrating"}, {"Retry-After": "40"}, None, 40, 41.1),
    ("migration-without-a-word", 477, "", {}, None, 1, 2.1),
    *((f"{status}", status, HTML, {}, None, 1.0, 2.1) for status in (408, 500, 502, 503, 504, 521, 522, 523, 524)),
    ("timeout-of-one", 504, "", {}, ONE, 1, 2.1),
    ("empty-503", 503, "", {}, None, 1, 2.1),
]


def transport_to(url: str, clock: FixedClock) -> Transport:
    return Transport(HubSpotSettings(token="key", base_url=url), clock, Meter())


@pytest.mark.parametrize(
    ("status", "body", "headers", "path", "sent", "error", "code", "exit_code", "words"), [row[1:] for row in FAILS], ids=[r[0] for r in FAILS]
)
def test_what_fails_fails_at_once_and_says_what_to_do(
    status: int, body: Any, headers: Mapping[str, str], path: str, sent: Sent, error: type[errors.ConnectorError],
    code: str, exit_code: int, words: str,
) -> None:  # fmt: skip
    clock = FixedClock(BEGIN)
    with serving(lambda asked: Answer(body, status, dict(headers))) as server:
        transport = transport_to(server.url, clock)
        with pytest.raises(errors.ConnectorError) as caught:
            transport.post(f"{V}/{path}", sent) if sent else transport.get(f"{V}/{path}")
        transport.close()
    assert type(caught.value) is error
    assert (caught.value.code, caught.value.exit_code) == (code, exit_code)
    assert words in caught.value.message
    assert len(server.asked) == 1
    assert clock.now() == BEGIN


@pytest.mark.parametrize("verb", ["GET", "POST"])
@pytest.mark.parametrize(("status", "body", "headers", "sent", "least", "most"), [row[1:] for row in PASSES], ids=[row[0] for row in PASSES])
def test_what_passes_is_waited_out(
    verb: str, status: int, body: Any, headers: Mapping[str, str], sent: Mapping[str, Any] | None, least: float, most: float
) -> None:
    clock = FixedClock(BEGIN)
    told = [Answer(body, status, dict(headers)), Answer({"results": []})]
    with serving(lambda asked: told.pop(0)) as server:
        transport = transport_to(server.url, clock)
        answer = transport.get(f"{V}/deals") if verb == "GET" else transport.post(f"{V}/deals/batch/read", sent or ONE)
        transport.close()
    assert answer.body == {"results": []}
    assert len(server.asked) == 2
    assert server.asked[0].body == server.asked[1].body
    assert least <= (clock.now() - BEGIN).total_seconds() <= most + 0.2  # and the drained bucket's turn
    assert transport.meter.calls == 2


def test_waits_are_spread_by_chance() -> None:
    waits = set()
    for _ in range(4):
        clock = FixedClock(BEGIN)
        told = [Answer(SECONDLY, 429), Answer({"results": []})]
        with serving(lambda asked, told=told: told.pop(0)) as server:  # type: ignore[misc]
            transport = transport_to(server.url, clock)
            transport.get(f"{V}/deals")
            transport.close()
        waits.add(clock.now())
    assert len(waits) == 4


def test_both_shapes_of_an_error_row_are_read() -> None:
    older = {"status": "error", "category": "OBJECT_NOT_FOUND", "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
             "context": {"fromObjectId": ["7"]}}  # fmt: skip
    detail = {"message": "no", "code": "RULE", "subCategory": "DETAIL", "in": "properties", "context": {"objectWriteTraceId": ["7-1"]}}
    newer = {"category": "VALIDATION_ERROR", "subCategory": {"name": "BY_RULE"}, "context": {"ids": "7"}, "links": {}, "errors": [detail]}
    assert names_in(older) == ("crm.associations.NO_ASSOCIATIONS_FOUND", "OBJECT_NOT_FOUND")
    assert names_in(newer) == ("RULE", "DETAIL", "BY_RULE", "VALIDATION_ERROR")
    assert ids_in(older, "ids", "fromObjectId") == ids_in(newer, "ids") == {"7"}
    assert ids_in(newer, "objectWriteTraceId") == {"7-1"}
    assert names_in({}) == ()
    assert ids_in({"context": None, "errors": [None, {"context": "text"}]}, "ids") == frozenset()
