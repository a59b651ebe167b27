"""Limits and size: what a CRM refuses to answer, or answers in part, is asked in another way, later, or not at all, and never lost."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest

from connector import app as composition
from connector.crms.hubspot import records as hubspot_records
from connector.crms.hubspot import search as hubspot_search
from connector.crms.hubspot import stream as hubspot_stream
from connector.crms.salesforce import soql
from connector.errors import BudgetReached, TooLarge, Transient
from connector.sandbox.hubspot import search as portal_search
from connector.sandbox.salesforce.schema import FieldDef
from tests.pitfalls.catalogue import BOTH, HS, SF
from tests.pitfalls.requests_seen import asked, requested, selected, watched
from tests.rig import NAME

both = pytest.mark.parametrize("crm", BOTH)
hubspot = pytest.mark.parametrize("crm", [HS])
salesforce = pytest.mark.parametrize("crm", [SF])
JOB = re.compile(r"/jobs/query/\w+$")
SMALL_CAP = 2_000  # results a query
TRIES = 5
FOR_EVER = 10_000  # looks that a job stays in progress


@hubspot
@pytest.mark.pitfall("23")
def test_search_offset_stays_below_cap(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """2,600 tasks at 13 instants, in a portal whose cap is a fifth of the real one: the search goes up to the cap, never beyond it, starts
    again, and brings each task once. (At the real size: test_beyond_10000_is_not_dropped.)"""
    assert hubspot_search.RESTART_AT + hubspot_search.PAGE <= portal_search.RESULTS_MAX == 10_000
    monkeypatch.setattr(portal_search, "RESULTS_MAX", SMALL_CAP)
    monkeypatch.setattr(hubspot_search, "RESTART_AT", SMALL_CAP - hubspot_search.PAGE)
    for _ in range(13):
        rig.advance(0.25)
        rig.portal.create_many("tasks", ({"hs_timestamp": "2026-11-01T12:00:00Z", "hs_task_status": "NOT_STARTED"} for _ in range(200)))
    rig.world.journal.clear()
    rig.pull(stream="tasks")
    searches = [body for body in _bodies(rig, "/tasks/search") if body["filterGroups"]]
    ends = [int(body["after"]) + body["limit"] for body in searches]
    assert SMALL_CAP - hubspot_search.PAGE <= max(ends) <= SMALL_CAP
    begun = {body["filterGroups"][0]["filters"][0]["value"] for body in searches if body["after"] == "0"}
    assert len(begun) >= 2, "a search that is never begun again has not passed the cap"
    ids = [row["id"] for row in rig.rows("activities") if row["kind"] == "task"]
    assert len(ids) == len(set(ids)) == 2_600


@hubspot
@pytest.mark.pitfall("24")
def test_429_on_post_is_retried(rig: Any) -> None:
    """Searches, batch reads, associations and the write itself are refused twice each, and one of them for good: the sync goes through,
    the pull gives up after five tries and loses nothing. Left alone, the portal's own limits are never reached."""
    add = rig.world.faults.add
    posts = ("/crm/objects/*/search", "/crm/objects/*/batch/read", "/crm/associations/*/batch/read", "/crm/objects/*/batch/update")
    faults = [add(HS, "secondly-limit", method="POST", path=path, times=2) for path in posts]
    done = rig.sync()
    assert [fault.struck for fault in faults] == [2] * len(faults)
    counts = done.pushes[0].counts
    assert counts["written"] == counts["planned"] == len(rig.deals)
    assert [path for path, times in _repeated(rig).items() if times >= 3 and path.endswith("/batch/update")]
    rig.advance(600)
    rig.edit(rig.deals[0], amount=None)
    stuck = add(HS, "secondly-limit", method="POST", object="deals", path="*/search", times=None)
    with pytest.raises(Transient):
        rig.pull()
    assert stuck.struck == TRIES
    rig.world.faults.clear()
    refused = _own_limits(rig)
    rig.pull(full=True)
    assert refused == []
    assert rig.portal.limits.used_today > 30
    rig.assert_same()


@hubspot
@pytest.mark.pitfall("25")
def test_429_without_retry_after_waits_the_window(rig: Any) -> None:
    """Retry-After is obeyed; without it the window that is full is waited for, by what the body calls it. No two waits are alike."""
    cases = [
        ("secondly-limit", "/crm/objects/*/tasks/search", "tasks", None, 1.0),
        ("secondly-limit", "/crm/objects/*/tasks/search", "tasks", 4, 4.0),
        ("ten-secondly-limit", "/crm/owners/*", "owners", None, 10.0),
        ("ten-secondly-limit", "/crm/owners/*", "owners", 7, 7.0),
    ]
    for kind, path, stream, told, least in cases:
        rig.clock.slept.clear()
        given = {} if told is None else {"parameters": {"retry_after": str(told)}}
        fault = rig.world.faults.add(HS, kind, path=path, times=3, **given)
        rig.pull(stream=stream, full=True)
        waits = [seconds for seconds in rig.clock.slept if seconds >= 1]
        assert fault.struck == 3
        assert len(waits) == len(set(waits)) == 3, (kind, told, rig.clock.slept)
        assert all(least <= seconds <= least + 1 for seconds in waits), (kind, told, waits)


@salesforce
@pytest.mark.pitfall("26")
def test_bulk_poll_backs_off_and_is_budgeted(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at a job lie 2, 4, 8, 16, then 30 seconds apart, each is a call of the day. A job that takes too long is left to the next run,
    one for which the day holds no more calls too: neither is made twice."""
    _tuned(monkeypatch, bulk_above=2)
    rig.org.bulk.polls = 7
    rig.world.journal.clear()
    rig.pull(stream="opportunities")
    jobs, looks = _jobs_made(rig), _looks(rig)
    assert jobs
    assert rig.clock.slept == [2, 4, 8, 16, 30, 30, 30, 30] * len(jobs)
    assert set(looks.values()) == {8}
    assert rig.app.calls_today(NAME) >= sum(looks.values()) + len(jobs)
    signed = sum(request.path.endswith("/token") for request in rig.world.journal)
    assert len(rig.world.journal) - signed <= rig.app.calls_today(NAME) <= len(rig.world.journal)

    rig.org.bulk.polls = FOR_EVER
    rig.clock.slept.clear()
    rig.world.journal.clear()
    with pytest.raises(Transient, match="still runs"):
        rig.pull(stream="opportunities", full=True)
    assert sum(rig.clock.slept) <= 3_600
    assert list(_looks(rig).values()) == [len(rig.clock.slept)]

    rig.world.journal.clear()
    rig.org.calls_max = 10 * (rig.org.calls_used + 60)
    rig.org.calls_used = int(rig.org.calls_max * 0.8) - 60
    with pytest.raises(BudgetReached):
        rig.pull(stream="opportunities")
    assert not _jobs_made(rig), "the job of the run before is gone on with"
    assert 20 < sum(_looks(rig).values()) <= 60

    rig.org.bulk.polls, rig.org.calls_max = 1, 1_000_000
    rig.pull()
    rig.assert_same()


@salesforce
@pytest.mark.pitfall("27")
def test_small_windows_use_rest(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window of a few rows is read by REST, and a short one is not even counted; one of very many rows is read by a job."""
    _tuned(monkeypatch, bulk_above=20)
    rig.world.journal.clear()
    rig.pull()
    assert not _jobs_made(rig)
    rig.assert_same()

    rig.advance(600)
    rig.edit(rig.deals[0], amount=None)
    rig.world.journal.clear()
    rig.pull(stream="opportunities")
    assert not [request for request in asked(rig) if "COUNT()" in request or "/jobs/" in request]

    rig.advance(days=3)
    for _ in range(40):
        rig.open_deal()
    rig.world.journal.clear()
    rig.pull()
    made = _jobs_made(rig)
    assert any("FROM Opportunity " in f"{query} " for query in made), made
    assert not [query for query in made if "FROM Account" in query or "FROM Contact" in query], made
    rig.assert_same()


@salesforce
@pytest.mark.pitfall("28")
def test_wide_object_is_split_over_one_id_range(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A selection too wide for an address is asked in parts, all of them about the very ids of the first. A deal saved in between is
    asked again in every part: no row is dropped, none is patched together from two versions."""
    limit, moved = 1_000, rig.deals[0]
    monkeypatch.setattr(soql, "LONGEST_QUERY", limit)
    seen: list[str] = []

    def save_between(request: Any) -> None:
        if request.path.endswith("/composite/sobjects/Opportunity") and not seen:
            seen.append(request.path)
            rig.edit(moved, amount=777_000, by=rig.owners[1])

    with watched(rig, save_between) as journal:
        rig.pull(stream="opportunities")
        posts = [json.loads(request.body) for request in journal if request.path.endswith("/composite/sobjects/Opportunity")]
        queries = [request.query for request in journal if "/query" in request.path and request.query]
    assert seen
    assert max(map(len, queries)) <= limit
    asked_for = [set(body["ids"]) for body in posts]
    assert asked_for[0] == set(rig.deals)
    assert {moved} in asked_for, "the deal that moved, and it alone, is asked again"
    parts = {tuple(fields) for object, fields in selected(queries) if object == "Opportunity"} | {tuple(body["fields"]) for body in posts}
    assert len(parts) >= 3
    assert _mapped(rig, own=False)["Opportunity"] <= {name for part in parts for name in part}
    held = {row["id"]: row for row in rig.rows("opportunities")}
    assert set(held) == set(rig.deals)
    assert held[moved]["amount"] == 777_000
    rig.advance(600)
    rig.pull()
    rig.assert_same()


@both
@pytest.mark.pitfall("29")
def test_only_mapped_fields_are_requested(rig: Any) -> None:
    """Every request names its fields, none of them beyond the mapping; what else the CRM holds never travels, and however many fields
    an admin adds, no address grows."""
    deal, contact = rig.deals[0], rig.contacts[0]
    if rig.crm == SF:
        rig.set("Opportunity", deal, Description="canary-of-a-deal")
        rig.set("Contact", contact, Email="canary@hospital.example")
    else:
        rig.set("deals", deal, description="canary-of-a-deal")
        rig.set("contacts", contact, email="canary@hospital.example")
    rig.world.journal.clear()
    rig.pull()
    longest = max(len(request.query) for request in rig.world.journal)
    for number in range(200):
        if rig.crm == SF:
            rig.org.add_field("Opportunity", FieldDef(f"A_Rather_Long_Name_{number}__c", "string"))
        else:
            rig.portal.define_property("deals", f"a_rather_long_name_{number}", "string")
    rig.advance(days=2)
    rig.pull(full=True)
    assert max(len(request.query) for request in rig.world.journal) == longest
    mapped, named = _mapped(rig), requested(rig)
    assert {"Opportunity", "deals"} & set(named)
    beyond = {object: names - mapped[object] for object, names in named.items() if object in mapped}
    assert not any(beyond.values()), beyond
    assert not any(b"canary" in part.read_bytes() for part in (rig.root / "state").iterdir() if part.is_file())
    rig.assert_same()


@both
@pytest.mark.pitfall("30")
def test_no_property_is_dropped_to_fit_a_url(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an address is too long the same fields are asked in another way, all of them. Where no way is left the pull fails aloud, and
    what is held stays as it is."""
    about, where = {
        SF: ("Opportunity", {"object": "Opportunity", "path": "/services/data/v*/queryAll"}),
        HS: ("deals", {"object": "deals", "method": "GET"}),
    }[rig.crm]
    word = {SF: "StageName", HS: "dealname"}[rig.crm]
    refused = rig.world.faults.add(rig.crm, "uri-too-long", **where, body=word, times=1)
    rig.world.journal.clear()
    rig.pull()
    assert refused.struck == 1
    del rig.world.journal[next(place for place, request in enumerate(rig.world.journal) if word in request.query)]  # the one refused
    assert _mapped(rig, own=False)[about] <= requested(rig)[about]
    rig.assert_same()
    if rig.crm == HS:  # and where the selection is known beforehand to be too wide, for a list and for a search
        monkeypatch.setattr(hubspot_stream, "LONGEST_QUERY", 300)
        monkeypatch.setattr(hubspot_records, "WIDEST_SEARCH", 200)
        rig.world.journal.clear()
        rig.pull(full=True)
        assert _mapped(rig, own=False)[about] <= requested(rig)[about]
        assert max(len(request.query) for request in rig.world.journal) <= 300
        rig.assert_same()
        monkeypatch.undo()
    stamp = {SF: "SystemModstamp", HS: "hs_lastmodifieddate"}[rig.crm]
    rig.world.faults.add(rig.crm, "uri-too-long", **where, body=stamp, times=None)
    failed = rig.pull(full=True).failures
    assert {type(failure.error) for failure in failed} == {TooLarge}
    rig.assert_same()


@hubspot
@pytest.mark.pitfall("31")
def test_associations_page_per_record(rig: Any) -> None:
    """A deal with 231 contacts: its own pages are followed to their end, beside deals with one page or none, which are not asked again.
    A contact that leaves the last page leaves the deal."""
    deal, other = rig.deals[:2]
    people = rig.portal.create_many("contacts", ({"jobtitle": "Surgeon", "is_kol": "false"} for _ in range(230)))
    for person in people:
        rig.portal.associate(rig.record("deals", deal), person)
    rig.portal.associate(rig.record("deals", other), people[0])
    rig.world.journal.clear()
    rig.pull()
    assert len(_contacts_of(rig, deal)) == 231
    assert _contacts_of(rig, other) == {people[0].id}
    told = [body["inputs"] for body in _bodies(rig, "/deals/contacts/batch/read")]
    further = [[one["id"] for one in inputs if "after" in one] for inputs in told]
    assert further == [[], [deal], [deal]] * (len(told) // 3)
    assert told
    rig.assert_same()
    rig.portal.dissociate(rig.record("deals", deal), people[-1])
    rig.advance(days=1, seconds=60)
    rig.pull()
    assert len(_contacts_of(rig, deal)) == 230
    rig.assert_same()


@salesforce
@pytest.mark.pitfall("32")
def test_total_and_concurrent_limits_differ(rig: Any) -> None:
    """One code, two meanings: too many requests at once is waited out in seconds; a day that is used up is waited for by a later run."""
    busy = [rig.world.faults.add(SF, kind, object="Opportunity", times=2) for kind in ("concurrent-limit", "long-transactions")]
    rig.pull()
    assert [fault.struck for fault in busy] == [2, 2]
    assert len(rig.clock.slept) == 4
    assert max(rig.clock.slept) < 60
    rig.assert_same()

    rig.advance(600)
    late = rig.open_deal()
    before = rig.rows("opportunities")
    rig.clock.slept.clear()
    spent = rig.world.faults.add(SF, "calls-used-up", object="Opportunity", path="/services/data/v*/queryAll", times=None)
    rig.world.journal.clear()
    with pytest.raises(BudgetReached) as caught:
        rig.pull()
    assert (caught.value.code, caught.value.exit_code) == ("SC-E078", 4)
    assert spent.struck == 1, "nothing is tried again today"
    assert "FROM Opportunity" in asked(rig)[-1], "and nothing else is asked"
    assert rig.clock.slept == []
    assert rig.app.store.connections.latched(NAME) is None
    assert rig.rows("opportunities") == before
    rig.world.faults.clear()
    rig.advance(days=1)
    rig.pull()
    assert late in {row["id"] for row in rig.rows("opportunities")}
    rig.assert_same()


@salesforce
@pytest.mark.pitfall("33")
def test_aggregate_needs_limit(rig: Any) -> None:
    """The org answers no aggregate of more than one page: the only one asked for is a bare COUNT(), whose number is right whatever the
    size of a page."""
    for _ in range(120):
        rig.open_deal()
    rig.org.page_size = 50
    rig.world.journal.clear()
    rig.pull()
    queries = [parse_qs(request.query)["q"][0] for request in rig.world.journal if request.query.startswith("q=")]
    folded = [query for query in queries if re.search(r"\b(COUNT|COUNT_DISTINCT|SUM|AVG|MIN|MAX)\s*\(|\bGROUP BY\b", query, re.IGNORECASE)]
    assert folded
    assert all(re.match(r"SELECT COUNT\(\) FROM \w+( WHERE |$)", query) for query in folded), folded
    assert [request for request in asked(rig) if re.search(r"/query(All)?/0r8", request)], "pages were in use"
    compared = rig.app.store.census.compared(NAME)["opportunities"]
    assert (compared.live, compared.held) == (123, 123)
    rig.assert_same()


# -- hands on both CRMs ------------------------------------------------------------------------------------------------


def _tuned(monkeypatch: pytest.MonkeyPatch, **settings: object) -> None:
    """Other settings for Salesforce's adapter than connector.toml can give."""
    plain = composition._SETTINGS[SF]
    monkeypatch.setitem(composition._SETTINGS, SF, lambda *given: replace(plain(*given), **settings))


def _bodies(rig: Any, end: str) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in rig.world.journal if request.path.endswith(end)]


def _repeated(rig: Any) -> dict[str, int]:
    """Path → how often the request that was repeated most often came."""
    came = Counter((request.path, request.body) for request in rig.world.journal if request.method == "POST")
    most: dict[str, int] = {}
    for (path, _), times in came.items():
        most[path] = max(times, most.get(path, 0))
    return most


def _own_limits(rig: Any) -> list[str]:
    """The portal counts, by a clock on which pretended sleep passes. What it refused stands in the list."""
    refused: list[str] = []
    limits = rig.portal.limits
    rig.clock.slept.clear()
    limits.monotonic = lambda: time.monotonic() + sum(rig.clock.slept)
    plain = limits.take

    def take(**given: Any) -> Any:
        found = plain(**given)
        if found is not None:
            refused.append(found.policy)
        return found

    limits.take = take
    rig.portal.limits_on = True
    return refused


def _jobs_made(rig: Any) -> list[str]:
    """Queries of the jobs that were made."""
    return [json.loads(request.body)["query"] for request in rig.world.journal if request.method == "POST" and request.path.endswith("/jobs/query")]


def _looks(rig: Any) -> Counter[str]:
    """Job → how often it was looked at."""
    return Counter(request.path for request in rig.world.journal if request.method == "GET" and JOB.search(request.path))


def _contacts_of(rig: Any, deal: str) -> set[str]:
    return {row["contact"] for row in rig.rows("contact_roles") if row["opportunity"] == deal}


def _mapped(rig: Any, *, own: bool = True) -> dict[str, set[str]]:
    """Object → fields that the mapping names. ``own``: and what any record is told apart, ordered and followed by."""
    found: dict[str, set[str]] = {}
    keys = {
        SF: {"Id", "SystemModstamp", "CreatedDate", "IsDeleted", "MasterRecordId"},
        HS: {"hs_object_id", "hs_lastmodifieddate", "lastmodifieddate", "hs_merged_object_ids", "hs_calculated_merged_vids"},
    }[rig.crm]
    for spec in rig.app.mapped(NAME).mapper.streams():
        found.setdefault(spec.object, set(keys if own else ())).update(spec.fields, spec.history)
    if rig.crm == SF:
        found["Opportunity"].add("AccountId")
    return found
