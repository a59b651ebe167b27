"""Both adapters against recorded answers, with nothing listening and no way out; and what may not stand in a recording."""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from vcr.cassette import Cassette
from vcr.errors import CannotOverwriteExistingCassetteException

from connector.clock import FixedClock
from connector.crms.base import Crm, Field, Link, Option, OrgInfo, Record, Update, WriteResult
from connector.errors import Transient
from connector.sandbox import events
from tests.crms.conversations import API, CONVERSATIONS, NOW, Conversation, connect
from tests.crms.recorder import CASSETTES, HOST, findings, recorder, scrub

FILES = sorted(path.relative_to(CASSETTES).as_posix() for path in CASSETTES.rglob("*") if path.is_file() and path.name != "README.md")
LARGEST = 200_000  # bytes
ROW = re.compile(
    r"^\| `(?P<file>[^`]+)` \| (?P<about>.+?) \| (?P<origin>.+?) \| (?P<on>.+?) \| (?P<api>.+?) \| (?P<edited>.+?) \| `(?P<digest>\w+)` \|$", re.M
)
BY_FILE = {conversation.file: conversation for conversation in CONVERSATIONS}


@dataclass
class Tape:
    """Time passes for the connector; what happened meanwhile is on the tape."""

    clock: FixedClock

    def wait(self, span: timedelta) -> None:
        self.clock.sleep(span.total_seconds())

    def business(self, told: Sequence[events.Event]) -> None: ...


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The machine without a net: nobody is looked up or called, and every attempt is noted here."""
    made: list[object] = []

    def refuse(*args: object, **_: object) -> Any:
        made.append(args[-1])
        raise OSError("no net in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    return made


@contextmanager
def replaying(file: str) -> Iterator[tuple[Crm, Cassette, Tape]]:
    """A connection whose other side is the cassette."""
    conversation, clock = BY_FILE[file], FixedClock(NOW)
    with recorder().use_cassette(file) as cassette:
        crm = connect(conversation, f"https://{HOST}", clock, "nobody")
        try:
            yield crm, cassette, Tape(clock)
        finally:
            crm.close()


def replay(file: str, attempts: list[object]) -> Any:
    """What the conversation gives. Every recorded answer was asked for, once, and nothing else."""
    with replaying(file) as (crm, cassette, tape):
        result = BY_FILE[file].talk(crm, tape)
        assert cassette.all_played
        assert cassette.play_count == len(cassette) == crm.meter.calls
    assert attempts == []
    return result


def named(records: Sequence[Record], field: str) -> dict[str, Record]:
    return {str(record.values[field]): record for record in records}


# -- replaying: Salesforce -----------------------------------------------------------------------------------------------


def test_salesforce_check(attempts: list[object]) -> None:
    user = "005Sb0000000002IAA"
    assert replay("salesforce/check.yaml", attempts) == OrgInfo(
        "000000000000000AAA",
        "Beacon Surgical",
        user,
        "68.0",
        "America/New_York",
        "USD",
        NOW,
        calls_used=3,
        calls_max=100_000,
        sandbox=True,
        fiscal_year_starts=1,
    )


def test_salesforce_discover(attempts: list[object]) -> None:
    fields = replay("salesforce/discover.yaml", attempts)
    assert len(fields) == 86
    assert fields["Name"] == Field("Name", "Name", "text", writable=True, length=120)
    assert fields["Amount"] == Field("Amount", "Amount", "money", writable=True, scale=2, precision=18)
    assert fields["KPI_Pace__c"].options == (Option("On pace", "On pace"), Option("Slow", "Slow"), Option("Stuck", "Stuck"))
    assert [option.value for option in fields["StageName"].options if not option.active] == ["Trial", "4 - VAC Approval", "InfoSec"]
    assert not fields["LastModifiedDate"].writable


def test_salesforce_pipelines(attempts: list[object]) -> None:
    pipelines = {pipeline.id: pipeline for pipeline in replay("salesforce/pipelines.yaml", attempts)}
    assert {id_: sum(stage.active for stage in pipeline.stages) for id_, pipeline in pipelines.items()} == {
        "Capital_Equipment": 15, "Disposables": 8, "Software": 12, "Renewals": 4,
    }  # fmt: skip
    capital = {stage.id: stage for stage in pipelines["Capital_Equipment"].stages}
    assert capital["30-Day Pilot"].probability == 0.45
    assert (capital["Closed Won"].closed, capital["Closed Won"].won) == (True, True)
    assert (capital["Stopped - No Decision"].closed, capital["Stopped - No Decision"].won) == (True, False)
    assert [stage.id for stage in pipelines["Renewals"].stages if not stage.active] == ["Trial", "4 - VAC Approval", "InfoSec"]


def test_salesforce_deals(attempts: list[object]) -> None:
    first, idle, changed, fetched = replay("salesforce/deals.yaml", attempts)
    assert [(r.id[14], r.values["Name"], r.values["StageName"], r.values["Amount"], r.deleted) for r in first] == [
        ("2", "Lahn – Cloud", "Prospect", 96_000.0, False),
        ("5", "Mercy – Upgrade", "Demo Complete", 88_000.0, False),
        ("1", "Mercy – Navigator", "Demo Complete", 465_000.0, False),
        ("4", "Mercy – Navigator (2)", "Prospect", 420_000.0, True),
        ("3", "Mercy – Kits", "Closed Won", 31_000.5, False),
    ]
    navigator = named(first, "Name")["Mercy – Navigator"]
    assert navigator.values == {
        "Name": "Mercy – Navigator", "StageName": "Demo Complete", "RecordType.DeveloperName": "Capital_Equipment", "Amount": 465_000.0,
        "CurrencyIsoCode": "USD", "CloseDate": "2027-01-29", "OwnerId": "005Sb0000000003IAA", "Account.Customer_Type__c": "General Hospital",
        "NextStep": True,
    }  # fmt: skip
    assert navigator.version == "2026-11-12T15:00:00.000+0000"
    assert [r.values["NextStep"] for r in first] == [False, False, True, False, False]
    assert idle == []
    assert [(r.id[14], r.values["StageName"], r.deleted, r.modified_at) for r in changed] == [
        ("2", "Discover", False, NOW + timedelta(minutes=40)),
        ("5", "Demo Complete", True, NOW + timedelta(minutes=45)),
    ]
    assert {id_: (r.values, r.version) for id_, r in fetched.items()} == {
        "006Sb0000000002IAA": ({"Name": "Lahn – Cloud"}, "2026-11-20T18:40:00.000+0000")
    }


def test_salesforce_streams(attempts: list[object]) -> None:
    streams = replay("salesforce/streams.yaml", attempts)
    assert [r.values["Name"] for r in streams["owners"]] == ["System Administrator", "KPI Connector", "Anna Reyes", "Ben Ode"]
    assert {r.values["Name"]: r.values["Region__c"] for r in streams["accounts"]} == {"Mercy Hospital": "US", "Universitätsklinikum Lahn": "EU"}
    history = [r.values for r in streams["stage_history"] if r.values["OpportunityId"] == "006Sb0000000001IAA"]
    assert [(v["CreatedDate"], v["StageName"], v["Amount"]) for v in history] == [
        ("2026-11-03T15:00:00.000+0000", "Prospect", 420_000.0),
        ("2026-11-10T15:00:00.000+0000", "Discover", 420_000.0),
        ("2026-11-11T17:00:00.000+0000", "Demo Complete", 420_000.0),
        ("2026-11-12T15:00:00.000+0000", "Demo Complete", 465_000.0),
    ]
    assert [r.id[14] for r in streams["stage_history"]] == list("123567849")  # the deleted deal's row carries the stamp of its deletion
    assert [r.id[14] for r in streams["stage_history"] if r.deleted] == ["4"]
    assert [(r.values["Role"], r.values["IsPrimary"]) for r in streams["contact_roles"]] == [("Surgeon", True), ("Economic Buyer", False)]


def test_salesforce_write(attempts: list[object]) -> None:
    assert replay("salesforce/write.yaml", attempts) == {
        "good": WriteResult("006Sb0000000001IAA", "written"),
        "refused": WriteResult(
            "006Sb0000000002IAA", "rejected", "SC-E129", "STRING_TOO_LONG", "Canonical stage: data value too large: … (max length=40)"
        ),
        "missing": WriteResult("006000000099999AAA", "gone", "SC-E128", "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"),
    }


# -- replaying: HubSpot --------------------------------------------------------------------------------------------------

PORTAL = OrgInfo("10000001", "HubSpot portal 10000001", "10000001", "2026-03", "US/Eastern", "USD", NOW, calls_used=1, calls_max=650_000)


def test_hubspot_check(attempts: list[object]) -> None:
    assert replay("hubspot/check.yaml", attempts) == PORTAL


def test_hubspot_oauth(attempts: list[object]) -> None:
    """The token request; an OAuth app has no daily limit, so its gauge is unknown."""
    assert replay("hubspot/oauth.yaml", attempts) == replace(PORTAL, calls_used=None, calls_max=None)


def test_hubspot_discover(attempts: list[object]) -> None:
    fields = replay("hubspot/discover.yaml", attempts)
    assert len(fields) == 223
    assert fields["dealname"] == Field("dealname", "Deal name", "text", writable=True, length=65_536)
    assert fields["kpi_pace"] == Field(
        "kpi_pace", "Pace", "picklist", writable=True, restricted=True,
        options=(Option("on_pace", "On pace"), Option("slow", "Slow"), Option("stuck", "Stuck")),
    )  # fmt: skip
    assert fields["connects_to_network"].type == "boolean"
    assert fields["hubspot_owner_id"].type == "reference"
    assert not fields["hs_lastmodifieddate"].writable


def test_hubspot_pipelines(attempts: list[object]) -> None:
    pipelines = {pipeline.id: pipeline for pipeline in replay("hubspot/pipelines.yaml", attempts)}
    assert {id_: (p.label, len(p.stages)) for id_, p in pipelines.items()} == {
        "default": ("Devices", 14), "77120044": ("Disposables", 7), "88213305": ("Software", 11), "90417722": ("Renewals", 4),
    }  # fmt: skip
    devices = {stage.id: stage for stage in pipelines["default"].stages}
    assert (devices["presentationscheduled"].label, devices["presentationscheduled"].probability) == ("30-day evaluation", 0.5)
    assert [stage.id for stage in devices.values() if stage.won] == ["closedwon"]
    assert [stage.id for stage in devices.values() if stage.closed] == ["closedwon", "closedlost", "168402340", "168402341"]


def test_hubspot_deals(attempts: list[object]) -> None:
    first, idle, changed, fetched = replay("hubspot/deals.yaml", attempts)
    assert [(r.id, r.values.get("dealname"), r.values.get("dealstage"), r.values.get("amount"), r.deleted) for r in first] == [
        ("30000000001", "Mercy – Navigator", "qualifiedtobuy", "465000.00", False),
        ("30000000002", "Lahn – Cloud", "171000101", "96000.00", False),
        ("30000000003", "Mercy – Kits", "172000105", "31000.50", False),
        ("30000000005", "Mercy – Upgrade", "qualifiedtobuy", "88000.00", False),
        ("30000000004", None, None, None, True),
    ]
    navigator = first[0]
    assert [(v.value, v.at.isoformat(), v.by) for v in navigator.history["dealstage"]] == [
        ("168402300", "2026-11-03T15:00:00+00:00", "1000002"),
        ("appointmentscheduled", "2026-11-10T15:00:00+00:00", "1000002"),
        ("qualifiedtobuy", "2026-11-11T17:00:00+00:00", "1000002"),
    ]
    assert [v.value for v in navigator.history["amount"]] == ["420000.00", "465000.00"]
    assert navigator.links == {
        "companies": (Link("10000000001", ("Primary",)),),
        "contacts": (Link("20000000001", ("Clinical champion",)), Link("20000000002", ("Economic buyer",))),
    }
    assert (navigator.values["hs_next_step"], first[1].values["hs_next_step"]) == (True, False)
    assert idle == []
    assert [(r.id, r.deleted, r.modified_at) for r in changed] == [
        ("30000000002", False, NOW + timedelta(minutes=40)),
        ("30000000005", True, NOW + timedelta(minutes=45)),
    ]
    assert [v.value for v in changed[0].history["dealstage"]] == ["171000101", "171000110"]
    assert {id_: (r.values, r.version) for id_, r in fetched.items()} == {
        "30000000001": ({"dealname": "Mercy – Navigator"}, "2026-11-12T15:00:00.000Z")
    }


def test_hubspot_streams(attempts: list[object]) -> None:
    streams = replay("hubspot/streams.yaml", attempts)
    assert [(r.values["firstName"], r.values["lastName"]) for r in streams["owners"]] == [("Anna", "Reyes"), ("Ben", "Ode")]
    assert {r.values["name"]: r.values["sales_region"] for r in streams["accounts"]} == {"Mercy Hospital": "US", "Universitätsklinikum Lahn": "EU"}
    [meeting] = streams["meetings"]
    assert meeting.values == {"hs_timestamp": "2026-11-11T15:00:00Z", "hs_activity_type": "Demo", "hs_meeting_outcome": "COMPLETED"}
    assert meeting.links == {"deals": (Link("30000000001"),)}


def test_hubspot_write(attempts: list[object]) -> None:
    results = replay("hubspot/write.yaml", attempts)
    assert results["good"] == WriteResult("30000000001", "written", version="2026-11-20T18:00:00.000Z")
    assert results["missing"] == WriteResult("99999999", "gone", "SC-E128", "OBJECT_NOT_FOUND", "deleted")
    refused = results["refused"]
    assert (refused.status, refused.code, refused.crm_code) == ("rejected", "SC-E123", "INVALID_OPTION")
    assert refused.message.startswith("… was not one of the allowed options: [lead, qualified_meeting,")


# -- replaying: what it is worth -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["salesforce/write.yaml", "hubspot/write.yaml"])
def test_a_request_with_another_body_is_not_answered(file: str, attempts: list[object]) -> None:
    object_, id_, field = (
        ("Opportunity", "006Sb0000000001IAA", "KPI_Stale_Reason__c") if "sales" in file else ("deals", "30000000001", "kpi_stale_reason")
    )
    with replaying(file) as (crm, _, _), pytest.raises(CannotOverwriteExistingCassetteException):
        list(crm.write([Update(object_, id_, {field: "something else"})]))
    assert attempts == []


@pytest.mark.parametrize("file", ["salesforce/check.yaml", "hubspot/check.yaml"])
def test_without_a_cassette_there_is_no_way_out(file: str, attempts: list[object]) -> None:
    """That no attempt is noted above means something."""
    crm = connect(BY_FILE[file], f"https://{HOST}", FixedClock(NOW), "nobody")
    with pytest.raises(Transient):
        crm.check()
    crm.close()
    assert attempts


def test_every_cassette_is_replayed() -> None:
    """By a test of its own, named after the file."""
    tests = {name.removeprefix("test_") for name in globals()}
    assert {file.replace("/", "_").removesuffix(".yaml") for file in FILES} <= tests
    assert sorted(BY_FILE) == FILES


# -- the files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", FILES)
def test_nothing_stands_in_a_cassette_that_may_not(file: str) -> None:
    text = (CASSETTES / file).read_text(encoding="utf-8")
    assert findings(text) == []
    assert "authorization" not in text.lower()
    assert {re.match(r"https://([^/]+)/", said["request"]["uri"])[1] for said in yaml.safe_load(text)["interactions"]} == {HOST}
    assert len(text.encode()) < LARGEST


def test_the_readme_lists_every_cassette_and_no_other() -> None:
    rows = {row["file"]: row for row in ROW.finditer((CASSETTES / "README.md").read_text(encoding="utf-8"))}
    assert sorted(rows) == FILES
    for file, row in rows.items():
        conversation: Conversation = BY_FILE[file]
        assert row["about"] == conversation.about
        assert re.fullmatch(r"sandbox of this project, \d+\.\d+\.\d+", row["origin"])
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", row["on"])
        assert row["api"] == API[conversation.crm]
        assert hashlib.sha256((CASSETTES / file).read_bytes()).hexdigest().startswith(row["digest"]), f"{file} was edited by hand"
        assert row["edited"] == "no" or row["edited"].startswith("yes, ")


POISON = {
    "bearer token": "headers:\n  X-Copied: ['Bearer AQEAQKx9']\n",
    "basic credential": "note: Basic c2VjcmV0OnNlY3JldA==\n",
    "credential header": "headers:\n  Authorization: ['scrubbed']\n",
    "org id": "url: /services/data/v68.0/sobjects/Organization/00D5g00000XyZ12EAF\n",
    "portal id": "string: '{\"portalId\": 4711004}'\n",
    "portal address": 'string: \'{"url":"https://app-eu1.hubspot.com/contacts/4711004/record/0-3/1"}\'\n',
    "HubSpot key": "string: pat-na1-0b9a7a52-7b1c\n",
    "refresh token": "string: 5Aep861TSESvWeug_xvFHRBTTbf_YrTWgEyjBJrfgHn\n",
    "JSON web token": "string: eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln\n",
    "private key": "string: |\n  -----BEGIN RSA PRIVATE KEY-----\n",
    "secret value": 'string: "{\\"access_token\\":\\"AQ1234\\"}"\n',
    "secret in a form": "body: grant_type=refresh_token&refresh_token=na1-4711\n",
    "e-mail address": 'string: \'{"email":"anna.reyes@beacon-surgical.example"}\'\n',
    "server address": "uri: http://127.0.0.1/services/data\n",
    "port": "uri: https://sandbox.example.com:8425/services/data\n",
    "instance address": "uri: https://acme--dev.sandbox.my.salesforce.com/services/data\n",
}


@pytest.mark.parametrize("kind", POISON)
def test_a_poisoned_cassette_is_found(kind: str) -> None:
    """In its own place, and in the middle of a file that is fine otherwise."""
    clean = (CASSETTES / "hubspot/check.yaml").read_text(encoding="utf-8")
    for text in (POISON[kind], clean + POISON[kind]):
        assert kind in {found.partition(":")[0] for found in findings(text)}


def test_what_yaml_escapes_is_found() -> None:
    assert findings('string: "anna\\x40acme.example"\n') == ["e-mail address: anna@acme.example"]
    assert findings("string: !!binary |\n  UGF0\n") == ["binary: a body that nobody can look through"]
    assert findings("string: [\n")[0].startswith("not YAML: ")


def test_addresses_that_are_nobodys_are_let_through() -> None:
    assert findings("a: anna@example.com\nb: ben@mail.example.com\nc: 'https://login.salesforce.com/id/000000000000000AAA'\n") == []


@pytest.mark.parametrize("kind", ["org id", "portal id", "portal address", "secret value", "e-mail address", "server address", "instance address"])
def test_scrubbing_takes_out_what_would_be_found(kind: str) -> None:
    text = "\n".join(value for value in yaml.safe_load(POISON[kind]).values())
    assert findings(text)
    assert findings(scrub(text)) == []
    assert scrub(scrub(text)) == scrub(text)


def test_scrubbing_takes_ports_out_wherever_they_stand() -> None:
    said = "http://127.0.0.1:41235/a http://localhost:8425/b [::1]:9 https://127.0.0.1/c"
    assert scrub(said) == f"https://{HOST}/a https://{HOST}/b {HOST} https://{HOST}/c"


def test_recording_needs_a_file_that_is_not_there(tmp_path: Path, attempts: list[object]) -> None:
    """A file that exists is never added to: in both modes an unknown request is refused."""
    path = tmp_path / "check.yaml"
    path.write_bytes((CASSETTES / "hubspot/check.yaml").read_bytes())
    for mode in ("none", "once"):
        with recorder(mode).use_cassette(str(path)):
            crm = connect(BY_FILE["hubspot/check.yaml"], f"https://{HOST}", FixedClock(NOW), "nobody")
            with pytest.raises(CannotOverwriteExistingCassetteException):
                crm.pipelines()
            crm.close()
    assert path.read_bytes() == (CASSETTES / "hubspot/check.yaml").read_bytes()
    assert attempts == []
