"""The fault desk from outside: what a client of the sandbox meets when something was ordered."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import count

import pytest
import requests

from connector.sandbox.errors import SandboxError
from connector.sandbox.faults.kinds import KINDS, kind_of
from connector.sandbox.server import serving
from connector.sandbox.world import World
from tests.rig import BEGIN

SF, HS = "salesforce", "hubspot"
TOKENS = count(1)
SOQL = "SELECT Id, Name FROM Opportunity ORDER BY Id"
STATUS = {
    (SF, "session-ended"): 401, (SF, "calls-used-up"): 403, (SF, "concurrent-limit"): 403, (SF, "long-transactions"): 403,
    (SF, "query-timeout"): 400, (SF, "query-complicated"): 400, (SF, "overloaded"): 420, (SF, "version-retired"): 410,
    (SF, "missing-scopes"): 403, (SF, "not-found"): 404, (SF, "uri-too-long"): 414, (SF, "server-error"): 500, (SF, "bad-gateway"): 502,
    (SF, "unavailable"): 503, (SF, "gateway-timeout"): 504, (SF, "maintenance-page"): 200,
    (HS, "session-ended"): 401, (HS, "version-retired"): 404, (HS, "missing-scopes"): 403, (HS, "not-found"): 404, (HS, "request-timeout"): 408,
    (HS, "uri-too-long"): 414, (HS, "too-large"): 413, (HS, "locked"): 423, (HS, "secondly-limit"): 429, (HS, "ten-secondly-limit"): 429,
    (HS, "daily-limit-answer"): 429, (HS, "migrating"): 477, (HS, "server-error"): 500, (HS, "bad-gateway"): 502, (HS, "unavailable"): 503,
    (HS, "gateway-timeout"): 504, (HS, "origin-down"): 521, (HS, "maintenance-page"): 200,
}  # fmt: skip


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[World, str]]:
    world = World()
    with serving(world) as url:
        yield world, url


@pytest.fixture
def world(served: tuple[World, str]) -> World:
    """Both CRMs with three deals each."""
    world = served[0]
    world.empty()
    world.clock.advance_to(BEGIN)
    for number in range(3):
        world.org.insert("Opportunity", {"Name": f"Deal {number}", "StageName": next(iter(world.org.stages)), "CloseDate": "2027-01-31"})
        world.portal.create("deals", {"dealname": f"Deal {number}"})
    world.portal.limits_on = False
    return world


@pytest.fixture
def url(served: tuple[World, str]) -> str:
    return served[1]


def query(url: str, soql: str = SOQL, **more: object) -> requests.Response:
    return requests.get(f"{url}/services/data/v68.0/query", params={"q": soql}, headers=token(), timeout=5, **more)


def token() -> dict[str, str]:
    return {"Authorization": f"Bearer sandbox-test-{next(TOKENS)}"}


def deals(url: str, **more: object) -> requests.Response:
    return requests.get(f"{url}/crm/objects/2026-03/deals", headers=token(), timeout=5, **more)


def read(crm: str, url: str) -> requests.Response:
    return query(url) if crm == SF else deals(url)


@pytest.mark.parametrize(("crm", "kind"), STATUS)
def test_an_answer_fault_has_its_status_once_and_passes(world: World, url: str, crm: str, kind: str) -> None:
    fault = world.faults.add(crm, kind)
    struck = read(crm, url)
    assert struck.status_code == STATUS[crm, kind]
    assert "Date" in struck.headers
    if kind != "session-ended":  # there the org said so itself
        assert read(crm, url).json()
    assert read(crm, url).status_code == 200
    assert (fault.struck, fault.spent) == (1, True)


def test_every_answer_kind_is_tried_above() -> None:
    tried = set(STATUS) | {(crm, kind) for crm in (SF, HS) for kind in ("login-refused", "login-down")} | {(SF, "locator-lost")}
    assert {(crm, kind.name) for kind in KINDS.values() if kind.family == "answer" for crm in kind.crms} == tried


def test_bodies_are_those_of_the_crm(world: World, url: str) -> None:
    world.faults.add(SF, "concurrent-limit")
    body = query(url).json()
    assert body == [{"message": "ConcurrentRequests (Concurrent API Requests) Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
    world.faults.add(HS, "ten-secondly-limit", parameters={"retry_after": 7})
    limited = deals(url)
    assert limited.json()["policyName"] == "TEN_SECONDLY_ROLLING"
    assert (limited.headers["Retry-After"], limited.headers["X-HubSpot-RateLimit-Remaining"]) == ("7", "0")
    world.faults.add(HS, "secondly-limit")
    limited = deals(url)
    assert not [name for name in limited.headers if name.lower().startswith(("x-hubspot-ratelimit", "retry-after"))]
    world.faults.add(HS, "missing-scopes", parameters={"scope": "tickets"})
    assert deals(url).json()["context"]["requiredGranularScopes"] == ["tickets"]


def test_a_session_really_ends(world: World, url: str) -> None:
    mine = token()
    ask = {"params": {"q": SOQL}, "headers": mine, "timeout": 5}
    assert requests.get(f"{url}/services/data/v68.0/query", **ask).status_code == 200
    world.faults.add(SF, "session-ended")
    answers = [requests.get(f"{url}/services/data/v68.0/query", **ask) for _ in range(2)]
    assert [answer.json()[0]["errorCode"] for answer in answers] == ["INVALID_SESSION_ID"] * 2
    assert query(url).status_code == 200


def test_a_locator_is_lost_on_its_next_page_only(world: World, url: str) -> None:
    mine = token()
    world.faults.add(SF, "small-pages", parameters={"size": 1})
    world.faults.add(SF, "locator-lost", object="Opportunity")
    first = requests.get(f"{url}/services/data/v68.0/query", params={"q": SOQL}, headers=mine, timeout=5).json()
    pages = [requests.get(url + first["nextRecordsUrl"], headers=mine, timeout=5).json() for _ in range(2)]
    assert pages[0] == [{"message": "invalid query locator", "errorCode": "INVALID_QUERY_LOCATOR"}]
    assert len(pages[1]["records"]) == 1


@pytest.mark.parametrize("crm", [SF, HS])
@pytest.mark.parametrize("kind", ["reset", "lost-answer", "cut-body", "short-body"])
def test_the_connection_really_breaks(world: World, url: str, crm: str, kind: str) -> None:
    world.faults.add(crm, kind)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        read(crm, url)
    assert read(crm, url).status_code == 200


def test_a_lost_answer_was_work_done_and_a_reset_was_not(world: World, url: str) -> None:
    deal = world.portal.records["deals"][world.portal.live["deals"][0]]
    for kind, name in (("reset", "Deal 0"), ("lost-answer", "changed")):
        world.faults.add(HS, kind)
        with pytest.raises(requests.ConnectionError):
            requests.patch(f"{url}/crm/objects/2026-03/deals/{deal.id}", json={"properties": {"dealname": "changed"}}, headers=token(), timeout=5)
        assert deal.values["dealname"] == name


@pytest.mark.parametrize("crm", [SF, HS])
@pytest.mark.parametrize("kind", ["truncated-body", "garbage-body", "empty-body"])
def test_a_body_is_wrong_although_http_is_right(world: World, url: str, crm: str, kind: str) -> None:
    world.faults.add(crm, kind)
    struck = read(crm, url)
    assert struck.status_code == 200
    with pytest.raises(ValueError):
        struck.json()
    assert len(struck.content) == int(struck.headers["Content-Length"])


def test_a_truncated_csv_may_end_after_a_whole_line(world: World, url: str) -> None:
    mine = token()
    base = f"{url}/services/data/v68.0/jobs/query"
    job = requests.post(base, json={"operation": "query", "query": "SELECT Id FROM Opportunity"}, headers=mine, timeout=5).json()
    for _ in range(3):
        state = requests.get(f"{base}/{job['id']}", headers=mine, timeout=5).json()["state"]
    assert state == "JobComplete"
    world.faults.add(SF, "truncated-body", object="Opportunity", path="*/results", parameters={"lines": "true", "share": "0.7"})
    struck, after = (requests.get(f"{base}/{job['id']}/results", headers=mine, timeout=5).text for _ in range(2))
    assert struck.endswith("\n")
    assert after.startswith(struck)
    assert (len(struck.splitlines()), len(after.splitlines())) == (3, 4)


def test_slow_answers_and_bodies_take_their_time(world: World, url: str) -> None:
    for kind in ("slow-answer", "slow-body"):
        world.faults.add(HS, kind, seconds=0.1)
        began = time.monotonic()
        assert deals(url).json()["results"]
        assert time.monotonic() - began >= 0.1


def test_headers(world: World, url: str) -> None:
    world.faults.add(SF, "no-date")
    world.faults.add(SF, "wrong-date", after=1, seconds=-3600)
    world.faults.add(HS, "no-limit-headers")
    answers = [query(url), query(url), query(url)]
    assert [answer.headers.get("Date") for answer in answers] == [None, "Mon, 02 Nov 2026 13:00:00 GMT", "Mon, 02 Nov 2026 14:00:00 GMT"]
    world.portal.limits_on = True
    shown = [[name for name in deals(url).headers if "ratelimit" in name.lower()] for _ in range(2)]
    assert not shown[0]
    assert shown[1]


def test_the_gauge_can_fall(world: World, url: str) -> None:
    world.org.calls_used = 1000
    world.faults.add(SF, "falling-limits", times=None, parameters={"by": 100})
    used = [int(query(url).headers["Sforce-Limit-Info"].partition("=")[2].partition("/")[0]) for _ in range(3)]
    assert used == [901, 802, 703]


# -- single records --------------------------------------------------------------------------------------------------------


def write_sf(world: World, url: str) -> list[dict[str, object]]:
    rows = world.org.tables["Opportunity"].rows
    records = [{"attributes": {"type": "Opportunity"}, "id": key, "NextStep": "go"} for key in rows]
    body = {"allOrNone": False, "records": records}
    return list(requests.patch(f"{url}/services/data/v68.0/composite/sobjects", json=body, headers=token(), timeout=5).json())


def write_hs(world: World, url: str) -> requests.Response:
    inputs = [{"id": str(number), "properties": {"dealname": "new"}} for number in world.portal.live["deals"]]
    return requests.post(f"{url}/crm/objects/2026-03/0-3/batch/update", json={"inputs": inputs}, headers=token(), timeout=5)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("row-locked", "UNABLE_TO_LOCK_ROW"), ("row-refused", "FIELD_CUSTOM_VALIDATION_EXCEPTION"), ("row-deleted", "ENTITY_IS_DELETED"),
        ("row-read-only", "INSUFFICIENT_ACCESS_OR_READONLY"), ("row-flow-failed", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"),
        ("row-bad-option", "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
    ],
)  # fmt: skip
def test_one_row_of_a_collection_fails_and_the_others_are_written(world: World, url: str, kind: str, code: str) -> None:
    rows = world.org.tables["Opportunity"].rows
    victim = list(rows)[1]
    world.faults.add(SF, kind, parameters={"ids": victim})
    results = write_sf(world, url)
    assert [result["success"] for result in results] == [True, False, True]
    assert results[1]["errors"][0]["statusCode"] == code
    assert [row.get("NextStep") for row in rows.values()] == ["go", None, "go"]
    assert all(result["success"] for result in write_sf(world, url))


def test_a_row_that_is_known_by_its_key_fails_by_its_key(world: World, url: str) -> None:
    records = [{"attributes": {"type": "Contact"}, "LastName": "Reyes", "Email": f"{name}@x.example"} for name in ("dana", "kim", "lee")]
    world.faults.add(SF, "row-locked", parameters={"ids": "kim@x.example"})

    def upsert() -> list[dict[str, object]]:
        path = f"{url}/services/data/v68.0/composite/sobjects/Contact/Email"
        return list(requests.patch(path, json={"records": records}, headers=token(), timeout=5).json())

    assert [(result["success"], result["created"]) for result in upsert()] == [(True, True), (False, False), (True, True)]
    assert sorted(row["Email"] for row in world.org.tables["Contact"].rows.values()) == ["dana@x.example", "lee@x.example"]
    assert [(result["success"], result["created"]) for result in upsert()] == [(True, False), (True, True), (True, False)]
    world.faults.add(SF, "row-refused")  # whichever comes first
    assert [result["success"] for result in upsert()] == [False, True, True]


@pytest.mark.parametrize(
    ("kind", "code"), [("row-refused", "VALIDATION"), ("row-read-only", "READ_ONLY_VALUE"), ("row-bad-option", "INVALID_OPTION")]
)
def test_one_bad_value_refuses_a_whole_hubspot_batch(world: World, url: str, kind: str, code: str) -> None:
    world.faults.add(HS, kind)
    answer = write_hs(world, url)
    assert answer.status_code == 400
    assert code in answer.json()["errors"][0]["code"]
    assert all(record.values["dealname"] != "new" for record in world.portal.records["deals"].values())
    assert write_hs(world, url).status_code == 200


@pytest.mark.parametrize(("kind", "category"), [("row-deleted", "OBJECT_NOT_FOUND"), ("row-conflict", "CONFLICT")])
def test_a_207_names_the_record_that_failed(world: World, url: str, kind: str, category: str) -> None:
    first, *rest = (str(number) for number in world.portal.live["deals"])
    world.faults.add(HS, kind)
    answer = write_hs(world, url)
    assert answer.status_code == 207
    assert [(error["category"], error["context"]["ids"]) for error in answer.json()["errors"]] == [(category, [first])]
    assert [result["id"] for result in answer.json()["results"]] == rest


# -- switches --------------------------------------------------------------------------------------------------------------


def test_the_days_calls_are_used_up_until_it_is_cleared(world: World, url: str) -> None:
    for crm, status in ((SF, 403), (HS, 429)):
        fault = world.faults.add(crm, "daily-limit")
        assert read(crm, url).status_code == status
        world.faults.clear(fault.number)
        assert read(crm, url).status_code == 200


def test_rules_and_read_only_fields_refuse_writes_until_they_are_cleared(world: World, url: str) -> None:
    for kind, more in (("validation-rule", {}), ("read-only-field", {"parameters": {"field": "NextStep"}})):
        world.faults.add(SF, kind, **more)
        assert not any(result["success"] for result in write_sf(world, url))
        world.faults.clear()
        assert all(result["success"] for result in write_sf(world, url))
    for kind, more in (("validation-rule", {}), ("read-only-field", {"parameters": {"field": "dealname"}})):
        world.faults.add(HS, kind, **more)
        assert write_hs(world, url).status_code == 400
        world.faults.clear()
        assert write_hs(world, url).status_code == 200


def test_late_commits_are_seen_later_with_the_older_stamp(world: World, url: str) -> None:
    key = next(iter(world.org.tables["Opportunity"].rows))
    world.faults.add(SF, "late-commits", seconds=60)
    world.org.update("Opportunity", key, {"NextStep": "late"})
    began = world.clock.now
    asked = f"SELECT NextStep, SystemModstamp FROM Opportunity WHERE Id = '{key}'"
    assert query(url, asked).json()["records"][0]["NextStep"] is None
    world.clock.advance_to(began.replace(minute=began.minute + 2))
    seen = query(url, asked).json()["records"][0]
    assert seen["NextStep"] == "late"
    assert seen["SystemModstamp"].startswith(f"{began:%Y-%m-%dT%H:%M:%S}")


def test_the_search_index_lags(world: World, url: str) -> None:
    world.clock.advance_to(BEGIN.replace(hour=20))
    world.faults.add(HS, "index-lag", seconds=30)
    world.portal.create("deals", {"dealname": "new"})
    body = {"limit": 10, "filterGroups": [], "sorts": []}

    def total() -> int:
        return int(requests.post(f"{url}/crm/objects/2026-03/deals/search", json=body, headers=token(), timeout=5).json()["total"])

    assert total() == 3
    world.faults.clear()
    assert total() == 4


def test_many_records_share_one_instant(world: World) -> None:
    world.faults.add(HS, "same-instant", parameters={"count": 40})
    assert len(world.portal.live["deals"]) == 40
    assert len({record.stamp for record in world.portal.records["deals"].values()}) == 1
    world.faults.add(SF, "same-instant", parameters={"count": 40})
    assert len({row["SystemModstamp"] for row in world.org.tables["Opportunity"].rows.values()}) == 1
    assert len(world.org.tables["Opportunity"].rows) == 40


def test_scopes_tiers_locks_and_rotation(world: World, url: str) -> None:
    world.faults.add(HS, "denied-scope", parameters={"scope": "crm.objects.deals.read"})
    assert deals(url).status_code == 403
    world.faults.add(HS, "rate-tier", parameters={"tier": "starter", "burst": 2})
    assert [world.portal.limits.burst, world.portal.limits.daily] == [2, 250_000]
    key = next(iter(world.org.tables["Opportunity"].rows))
    world.faults.add(SF, "row-locks", parameters={"ids": key})
    world.faults.add(SF, "rotating-tokens")
    assert [result["success"] for result in write_sf(world, url)] == [False, True, True]
    assert world.org.sessions.rotate
    world.faults.clear()
    assert (world.portal.denied_scopes, world.portal.limits.burst, world.org.locked, world.org.sessions.rotate) == (set(), 190, set(), False)


# -- the desk itself -------------------------------------------------------------------------------------------------------


def test_matching_by_method_path_object_and_body(world: World, url: str) -> None:
    fault = world.faults.add(HS, "unavailable", method="post", path="*/search", object="0-3", body='"limit": 7', times=None)
    search = f"{url}/crm/objects/2026-03/deals/search"
    bodies = [{"limit": 7}, {"limit": 8}]
    codes = [requests.post(search, json={**body, "filterGroups": []}, headers=token(), timeout=5).status_code for body in bodies]
    other = requests.post(search.replace("deals", "contacts"), json={"limit": 7, "filterGroups": []}, headers=token(), timeout=5).status_code
    assert ([*codes, other, deals(url).status_code], fault.seen) == ([503, 200, 200, 200], 1)
    world.faults.add(SF, "unavailable", object="account")
    assert [query(url).status_code, query(url, "SELECT Id FROM Account").status_code] == [200, 503]


def test_after_and_times(world: World, url: str) -> None:
    fault = world.faults.add(HS, "server-error", after=2, times=2)
    assert [deals(url).status_code for _ in range(6)] == [200, 200, 500, 500, 200, 200]
    assert (fault.seen, fault.struck) == (4, 2)
    world.empty()
    assert world.faults.list() == ()


def test_the_journal_keeps_what_was_struck(world: World, url: str) -> None:
    world.faults.add(HS, "reset")
    with pytest.raises(requests.ConnectionError):
        deals(url)
    assert world.journal[-1].path == "/crm/objects/2026-03/deals"


def test_the_control_plane_lists_adds_and_clears(world: World, url: str) -> None:
    desk = f"{url}/sandbox/faults"
    made = requests.post(desk, json={"crm": HS, "kind": "locked", "times": None, "object": "deals"}, timeout=5)
    assert made.status_code == 201
    number = made.json()["fault"]["number"]
    assert deals(url).status_code == 423
    listed = requests.get(desk, timeout=5).json()["faults"]
    assert [(one["number"], one["kind"], one["struck"]) for one in listed] == [(number, "locked", 1)]
    assert requests.delete(f"{desk}?number={number}", timeout=5).json()["cleared"] == 1
    assert deals(url).status_code == 200
    refused = requests.delete(f"{desk}?number={number}", timeout=5)
    assert (refused.status_code, refused.json()["error"]) == (400, f"no fault has the number {number}")


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"crm": SF, "kind": "servererror"}, "did you mean server-error?"),
        ({"crm": "salesfroce", "kind": "reset"}, "did you mean salesforce?"),
        ({"crm": SF, "kind": "locked"}, "salesforce has no locked"),
        ({"crm": SF}, "a fault needs crm and kind"),
        ({"crm": SF, "kind": "reset", "tmes": 1}, "a fault has no tmes"),
        ({"crm": SF, "kind": "reset", "times": 0}, "times must be a whole number from 1, or null for ever"),
        ({"crm": SF, "kind": "reset", "after": -1}, "after must be a whole number from 0"),
        ({"crm": SF, "kind": "reset", "path": 7}, "path must be text"),
        ({"crm": HS, "kind": "migrating", "parameters": {"retry": 3}}, "migrating has no parameter retry; it takes retry_after"),
        ({"crm": HS, "kind": "index-lag"}, "index-lag needs seconds"),
        ({"crm": SF, "kind": "read-only-field", "parameters": {"field": "Nope"}}, "the org has no field Opportunity.Nope"),
    ],
)
def test_a_wrong_order_is_refused_in_words(world: World, url: str, order: dict[str, object], words: str) -> None:
    refused = requests.post(f"{url}/sandbox/faults", json=order, timeout=5)
    assert refused.status_code == 400
    assert words in refused.json()["error"]
    assert world.faults.list() == ()


def test_kinds_name_what_is_needed() -> None:
    with pytest.raises(SandboxError, match="no fault is called"):
        kind_of("zzz", SF)
    assert all(kind.text and set(kind.crms) <= {SF, HS} for kind in KINDS.values())
    assert json.dumps(sorted(KINDS))


@pytest.mark.parametrize("kind", ["cut-body", "short-body", "garbage-body", "truncated-body", "slow-body"])
def test_an_answer_without_a_body_stays_one(world: World, url: str, kind: str) -> None:
    describe = f"{url}/services/data/v68.0/sobjects/Opportunity/describe"
    known = requests.get(describe, headers=token(), timeout=5).headers["Last-Modified"]
    ask = {"headers": {**token(), "If-Modified-Since": known}, "timeout": 5}
    world.faults.add(SF, kind)
    if kind in ("cut-body", "short-body"):
        with pytest.raises(requests.ConnectionError):
            requests.get(describe, **ask)
    else:
        assert (requests.get(describe, **ask).status_code, requests.get(describe, **ask).content) == (304, b"")


def test_a_rule_on_an_unrelated_field_refuses_and_a_bypass_lets_through(world: World, url: str) -> None:
    """Whoever holds the custom permission that the rule asks for is spared."""
    org = world.org
    org.insert("CustomPermission", {"DeveloperName": "KPI_Bypass_Automation", "MasterLabel": "Bypass"})
    fault = world.faults.add("salesforce", "validation-rule", parameters={
        "formula": "AND(NOT($Permission.KPI_Bypass_Automation), ISBLANK(LeadSource))", "message": "Lead source is missing",
    })  # fmt: skip
    assert write_sf(world, url)[0]["errors"][0] == {
        "statusCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "Lead source is missing", "fields": [],
    }  # fmt: skip
    assert [row["ErrorMessage"] for row in org.tables["ValidationRule"].rows.values()] == ["Lead source is missing"]
    own = next(key for key, row in org.tables["PermissionSet"].rows.items() if row["Name"] == "KPI_Scorecard_Integration")
    given = org.insert("SetupEntityAccess", {"ParentId": own, "SetupEntityId": next(iter(org.tables["CustomPermission"].rows))})
    assert write_sf(world, url)[0]["success"]
    org.delete("SetupEntityAccess", given)
    assert not write_sf(world, url)[0]["success"]
    world.faults.clear(fault.number)
    assert write_sf(world, url)[0]["success"]
    assert not org.tables["ValidationRule"].rows
    with pytest.raises(SandboxError, match="Field Foo__c does not exist"):
        world.faults.add("salesforce", "validation-rule", parameters={"formula": "ISBLANK(Foo__c)"})


def test_a_flow_touches_another_field_on_update(world: World, url: str) -> None:
    org = world.org
    fault = world.faults.add("salesforce", "flow", parameters={"field": "Description", "value": "by flow"})
    assert write_sf(world, url)[0]["success"]
    deal = next(iter(org.tables["Opportunity"].rows.values()))
    assert deal["Description"] == "by flow"
    assert [row["ApiName"] for row in org.tables["FlowDefinitionView"].rows.values()] == [f"Fault_{fault.number}"]
    world.faults.clear()
    assert not org.flows
    assert not org.tables["FlowDefinitionView"].rows
    for parameters, words in (({}, "needs the parameter field"), ({"field": "IsClosed"}, "no field Opportunity.IsClosed that a flow could set")):
        with pytest.raises(SandboxError, match=words):
            world.faults.add("salesforce", "flow", parameters=parameters)
