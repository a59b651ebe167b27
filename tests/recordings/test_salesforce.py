"""The sandbox's org judged by recorded traffic of real orgs: every exchange it can serve is replayed over HTTP and held against the answer."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import requests

from connector.sandbox.salesforce.org import Org
from connector.sandbox.salesforce.schema import ID, FieldDef, sobject
from connector.sandbox.server import serving
from connector.sandbox.world import World
from tests.recordings.comparison import Recorded, Rules, Tally, differences, header_differences, load

AT_LEAST = 250
VERSION = "68.0"
IDS = re.compile(r"\b(?:001|003|005|006|00D|00Q|00U|012)[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?\b")
VERSIONED = re.compile(r"\bv(?:\d\d|xx)\.[0x](?=/|$|\")")
CONDITION = re.compile(r"(\w+)\s*(?:=|IN)\s*\(?'([^']+)'", re.IGNORECASE)
SELECTED = re.compile(r"SELECT ([\w, ]+) FROM (\w+).*", re.IGNORECASE | re.DOTALL)
UNKNOWN = ("INVALID_CROSS_REFERENCE_KEY", "NOT_FOUND", "JSON_PARSER_ERROR")
VENDOR_HEADERS = ("server", "x-sfdc-request-id", "queryid")
TRANSPORT_HEADERS = ("content-length", "content-encoding", "transfer-encoding", "connection", "date")
NOT_SERVED = {
    "/services/async/": "Bulk API v1, which the connector does not use",
    "/connect/": "endpoint not served",
    "/quickActions": "endpoint not served",
    "/recent": "endpoint not served",
    "/parameterizedSearch": "endpoint not served",
}
OTHER_OBJECTS = re.compile(r"(?:sobjects\[\]\.)?urls\.(\w*ArticleSuggestions|event\w+|push|passwordUtilities|namedLayouts)")
"""Addresses that only objects have which the sandbox does not."""
SYSTEM = frozenset({"Id", "CreatedDate", "LastModifiedDate", "SystemModstamp", "CreatedById", "LastModifiedById", "IsDeleted", "OwnerId", "Name"})
NEEDED: dict[str, dict[str, Any]] = {
    "Account": {"Name": "Somebody", "BillingCity": "Boston"},
    "Contact": {"LastName": "Somebody"},
    "Lead": {"LastName": "Somebody", "Company": "Somewhere"},
    "Opportunity": {"Name": "Something", "StageName": "Prospect", "CloseDate": "2027-01-01", "Amount": 1},
    "Event": {"Subject": "Something", "StartDateTime": datetime(2026, 11, 1, 15, tzinfo=UTC), "DurationInMinutes": 30},
}


class Replay:
    """One folder's exchanges against one org that is given the fields and the records that the recorded org had."""

    def __init__(self, org: Org, base: str, rows: list[Recorded], types: dict[tuple[str, str], str]) -> None:
        self.org, self.base, self.types = org, base, types
        self.known: dict[str, str] = {}
        self.next_page: str | None = None
        self.session = requests.Session()
        for row in rows:
            self._provision(row.body)
            self._provision(row.request)
            selected = SELECTED.fullmatch(dict(row.query).get("q", ""))
            if selected is not None:  # an empty answer shows no fields, but the query names them
                names = [name for name in re.split(r"\s*,\s*", selected[1]) if (selected[2], name) in types]
                self._provision({"attributes": {"type": selected[2]}, **dict.fromkeys(names)})

    def ask(self, row: Recorded) -> requests.Response:
        """The recorded request, with versions and ids of this org."""
        body, expected = row.request, json.dumps(row.body)
        if not any(code in expected for code in UNKNOWN):
            self._records_of(row)
        else:
            self.known = {}
        path = VERSIONED.sub(f"v{VERSION}", row.path)
        if re.search(r"/query/\w+-\d+$", path) and self.next_page:
            path = self.next_page
        url = self.base + self._mapped(path, expected)
        params = {name: self._mapped(value, expected) for name, value in row.query}
        sent = None if body is None else json.loads(self._mapped(VERSIONED.sub(f"v{VERSION}", json.dumps(body)), expected))
        answer = self.session.request(
            row.method, url, params=params, json=sent, headers={"Authorization": "Bearer sandbox-replay"}, timeout=20
        )  # fmt: skip
        if "/query" in path and answer.ok:
            self.next_page = answer.json().get("nextRecordsUrl")
        return answer

    # -- the recorded org's fields and records -------------------------------------------------------------------------

    def _provision(self, body: Any) -> None:
        """Fields that the recorded records have and this org has not."""
        if isinstance(body, list):
            for part in body:
                self._provision(part)
        if not isinstance(body, dict):
            return
        if "fields" in body and "keyPrefix" in body and body["name"] not in self.org.schema:
            self.org.add_object(sobject(body["name"], body["keyPrefix"] or "a0Z", (ID,)))
        kind = (body.get("attributes") or {}).get("type")
        definition = self.org.schema.get(kind or "")
        for name, value in body.items():
            if definition is None or name == "attributes" or definition.find(name) or definition.parent(name) or name in ("Opportunities",):
                if not isinstance(value, str):
                    self._provision(value)
                continue
            found = self.types.get((definition.name, name)) or _guess(value)
            external = name == "Custom_External_ID__c"
            self.org.add_field(definition.name, FieldDef(
                name, found, name, 255, 18, 2, external_id=external, default=False if found == "boolean" else None, nillable=found != "boolean",
            ))  # fmt: skip
            definition = self.org.schema[definition.name]

    def _records_of(self, row: Recorded) -> None:
        """The records that the answer shows exist here too, and meet the query's condition."""
        body = row.body
        if not isinstance(body, dict) or row.method != "GET":
            return
        shown = body.get("records") or ([body] if "attributes" in body else [])
        where = dict(CONDITION.findall(dict(row.query).get("q", "").partition("WHERE")[2]))
        many = body.get("totalSize", 0) if body.get("nextRecordsUrl") else 0
        for record in shown[:3]:
            kind = record["attributes"]["type"]
            if kind in NEEDED:
                key = self._ours(record["attributes"]["url"].rsplit("/", 1)[-1])
                held = {**{k: v for k, v in where.items() if self.org.schema[kind].find(k)}, **record}
                values = {k: self._value(v) for k, v in held.items() if isinstance(v, str | int | float) and k not in SYSTEM - {"Name"}}
                fields = self.org.schema[kind].fields
                self.org.set_silently(kind, key, {k: v for k, v in values.items() if k in fields and fields[k].compute is None and k != "Id"})
            elif kind == "RecordType":
                self.org.insert("RecordType", {"Name": "x", "DeveloperName": "x", "SobjectType": "Account"})
        for number in range(len(self.org.tables["Account"].rows), many):
            self.org.insert("Account", {"Name": f"Account {number}"})

    def _value(self, value: Any) -> Any:
        return self._mapped(value, "") if isinstance(value, str) else value

    def _mapped(self, text: str, expected: str) -> str:
        if any(code in expected for code in UNKNOWN):
            return text
        return IDS.sub(lambda match: self._ours(match[0]), text)

    def _ours(self, key: str) -> str:
        kind = self.org.prefixes.get(key[:3], "")
        if key[:3] == "005":
            return self.org.api_user
        if key[:3] == "00D":
            return self.org.org_id
        if kind not in NEEDED:
            return key
        if key not in self.known or (self.org.find(self.known[key]) or {"IsDeleted": True}).get("IsDeleted"):
            self.known[key] = self.org.insert(kind, NEEDED[kind])
        return self.known[key]


def _guess(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "double"
    return "datetime" if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT.*", value) else "string"


def _rules(row: Recorded) -> Rules:
    """Where an org's own names stand, and where an older version had fewer keys."""
    described = row.path.endswith(("/describe", "/sobjects")) or "composite" in row.path
    single = "/sobjects/" in row.path and row.method == "GET" and not described
    limits = row.path.endswith("/limits")
    return Rules(
        free=lambda path: limits or path.startswith("results[].result.") or OTHER_OBJECTS.fullmatch(path) is not None,
        open=lambda path: limits and not path,
        extra=lambda path: described or single or path.endswith(("nextRecordsUrl", "httpHeaders.ETag", "httpHeaders.Last-Modified")),
    )


def _codes(body: Any) -> set[str]:
    return set(re.findall(r'"(?:statusCode|errorCode)": "(\w+)"', json.dumps(body)))


def _compare(row: Recorded, answer: requests.Response) -> list[str]:
    found = []
    if row.status_trusted and row.status is not None and answer.status_code != row.status:
        found.append(f"status {row.status} recorded, {answer.status_code} here: {answer.text[:200]}")
    if row.headers_trusted and row.headers and "response-headers" not in row.headers:  # a recorder's own bundle
        few = set(row.headers) <= {"content-type"}  # the recorder kept no more
        extra = set(answer.headers) if few else {*TRANSPORT_HEADERS}
        found += header_differences(row, answer.headers, extra=extra, theirs=VENDOR_HEADERS)
        if "json" in row.headers.get("content-type", ""):
            pair = [kind.lower().replace(" ", "") for kind in (row.headers["content-type"], answer.headers.get("Content-Type", ""))]
            found += [] if pair[0] == pair[1] else [f"content type {pair[0]} recorded, {pair[1]} here"]
    if answer.status_code == 204 or not answer.content:
        return found + ([] if row.body in ("", None) else ["no body here"])
    ours = answer.json()
    found += differences(row.body, ours, _rules(row))
    if _codes(row.body) != _codes(ours):
        found.append(f"codes {sorted(_codes(row.body))} recorded, {sorted(_codes(ours))} here")
    if isinstance(row.body, dict) and row.body.get("records") and not ours.get("records"):
        found.append("records recorded, none here")
    return found


def _kind(row: Recorded) -> str:
    path = re.sub(r"[A-Za-z0-9]{15,18}(-\d+)?(?=/|$)", "{id}", VERSIONED.sub("v", row.path)).removeprefix("/services/data/v/")
    return f"{row.method} {path.rstrip('/')}"


def _reason(row: Recorded) -> str | None:
    if row.handmade:
        return "written by hand, proves nothing"
    if row.body_only:
        return "body only: the request is unknown"
    return next((reason for part, reason in NOT_SERVED.items() if part in row.path), None)


def test_recorded_exchanges(shared, capsys):
    lines = load(shared / "recordings", "salesforce")
    types = {
        (body["name"], field["name"]): field["type"]
        for row in lines
        if isinstance(body := row.body, dict) and "fields" in body and "keyPrefix" in body
        for field in body["fields"]
    }
    tally = Tally()
    for folder in sorted({row.folder for row in lines}):
        rows = [row for row in lines if row.folder == folder]
        for row in rows:
            if (reason := _reason(row)) is not None:
                tally.leave(reason)
        rows = [row for row in rows if _reason(row) is None]
        if not rows:
            continue
        world = World()
        world.clock.advance_to(datetime(2026, 11, 20, 18, tzinfo=UTC))
        with serving(world) as base:
            replay = Replay(world.org, base, rows, types)
            for row in rows:
                tally.hold(row, _kind(row), _compare(row, replay.ask(row)))
            replay.session.close()
    with capsys.disabled():
        print(f"\nSalesforce recordings: {tally.report()}")
    assert tally.wrong == []
    assert tally.pairs >= AT_LEAST
    assert tally.pairs + sum(tally.left_out.values()) == len(lines)


def test_a_difference_is_found(shared):
    """The comparison itself: a changed status, a missing key, a number as text and another spelling of an instant are all told."""
    row = next(r for r in load(shared / "recordings", "salesforce") if r.folder.startswith("nango") and "/query" in r.path)
    assert differences(row.body, row.body) == []
    bent = json.loads(json.dumps(row.body))
    del bent["totalSize"]
    for record in bent["records"]:
        record["SystemModstamp"] = record["SystemModstamp"].replace("+0000", "Z")
        record["Name"] = 7
    assert len(differences(row.body, bent)) == 3
    silent = replace(row, headers={**row.headers, "x-new": "1"})
    assert header_differences(silent, row.headers) == ["header x-new: only recorded"]


def test_bodies_without_requests(shared, capsys):
    """Bodies whose request is unknown, brought about here: the same kind of request, the same words."""
    bodies = {f"{row.folder}/{row.file}": row.body for row in load(shared / "recordings", "salesforce") if row.body_only}
    world = World()
    world.clock.advance_to(datetime(2026, 11, 20, 18, tzinfo=UTC))
    org = world.org
    org.add_field("Opportunity", FieldDef("external_id__c", "string", "External", 80, external_id=True))
    gone = org.insert("Account", {"Name": "gone"})
    org.delete("Account", gone)
    there = org.insert("Account", {"Name": "there"})
    contact: dict[str, Any] = {"attributes": {"type": "Contact"}, "FirstName": "A"}
    with serving(world) as base, requests.Session() as session:

        def ask(method: str, path: str, body: Any = None, **more: Any) -> Any:
            headers = {"Authorization": "Bearer sandbox-replay"}
            answer = session.request(method, f"{base}/services/data/v60.0/{path}", json=body, headers=headers, timeout=20, **more)
            return answer.json() if "json" in answer.headers.get("Content-Type", "") else answer.text

        found = {
            "test/create-ok.json": ask("POST", "sobjects/Account", {"Name": "x"}),
            "create/contacts/success.json": ask("POST", "composite/sobjects", {"records": [contact | {"LastName": "L"}] * 2}),
            "partial-but-allOrNone.json": ask("POST", "composite/sobjects", {"allOrNone": True, "records": [contact, contact | {"LastName": "L"}]}),
            "err-each-no-ids.json": ask("PATCH", "composite/sobjects", {"records": [contact, contact]}),
            "crm/delete/not-found.json": ask("DELETE", f"sobjects/Account/{gone}"),
            "invalid-field-upsert.json": ask("PATCH", f"sobjects/Account/{there}", {"MasterRecordId": None}),
            "bulk/write/launch-job-opportunity.json": (job := ask("POST", "jobs/ingest", {
                "object": "Opportunity", "operation": "upsert", "externalIdFieldName": "external_id__c", "contentType": "CSV",
            })),
        }  # fmt: skip
        path = f"jobs/ingest/{job['id']}"
        data = "Name,StageName,external_id__c,CloseDate\na,GENERATED,e1,2026-01-01\nb,GENERATED,e2,2003-04-9\n"
        ask("PUT", f"{path}/batches", data=data.encode())
        found["bulk/write/update-job-opportunity.json"] = ask("PATCH", path, {"state": "UploadComplete"})
        ask("GET", path)
        found["bulk/info/partial-failure.json"] = ask("GET", path)
        csv_text = ask("GET", f"{path}/failedResults")
    told: list[str] = []
    for ending, ours in found.items():
        (theirs,) = [body for name, body in bodies.items() if name.endswith(ending)]
        told += [f"{ending}: {what}" for what in differences(theirs, ours)]
        if isinstance(theirs, list):
            told += [f"{ending}: words" for one, other in zip(theirs, ours, strict=True) if one.get("errors") != other.get("errors")]
        if _codes(theirs) != _codes(ours):
            told.append(f"{ending}: codes {_codes(ours)}")
    (table,) = [body for name, body in bodies.items() if name.endswith("bulk/info/partial-failure.csv")]
    assert [line.split(",")[:2] for line in csv_text.splitlines()[:1]] == [line.split(",")[:2] for line in table.splitlines()[:1]]
    assert csv_text.splitlines()[1].startswith('"","INVALID_FIELD:Failed to deserialize field at col 3. Due to, \'2003-04-9\' is not a valid value')
    with capsys.disabled():
        print(f"\nSalesforce bodies without a request: {len(found) + 1} brought about and compared, {len(told)} differences")
    assert told == []
