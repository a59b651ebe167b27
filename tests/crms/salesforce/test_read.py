"""Reading an org: keyset windows, lost cursors, halving, presence, sweeps. Over HTTP against the sandbox, faults in front of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import count, islice

import pytest

from connector.clock import FixedClock
from connector.crms.base import StreamSpec, Window
from connector.crms.salesforce import SalesforceCrm, SalesforceSettings, lookup, soql
from connector.errors import CrmConfigError, NoProgress, TooLarge
from tests.crms.contract import MANY, Held, delivered
from tests.crms.salesforce.bench import MANIFEST, START, SalesforceBench
from tests.crms.scripted import Answer, Asked, serving

STREAMS = [
    StreamSpec(
        "opportunities", "Opportunity", ("Name", "StageName", "CloseDate", "Amount", "OwnerId", "Account.Region__c", "RecordType.DeveloperName")
    ),
    StreamSpec("stage_history", "OpportunityHistory", ("OpportunityId", "StageName", "Amount", "CloseDate", "CreatedDate", "CreatedById")),
    StreamSpec("contact_roles", "OpportunityContactRole", ("OpportunityId", "ContactId", "Role", "IsPrimary", "CreatedDate")),
    StreamSpec(
        "tasks", "Task", ("WhoId", "WhatId", "AccountId", "OwnerId", "ActivityDate", "TaskSubtype", "Subject", "CompletedDateTime", "IsRecurrence")
    ),
    StreamSpec("events", "Event", ("WhoId", "WhatId", "AccountId", "OwnerId", "StartDateTime", "IsAllDayEvent", "IsChild", "Type", "Subject")),
    StreamSpec("accounts", "Account", ("Name", "Customer_Type__c", "Sales_Region__c")),
    StreamSpec("contacts", "Contact", ("AccountId", "Title", "KOL__c")),
    StreamSpec("owners", "User", ("Name", "IsActive")),
]


@pytest.fixture
def crm(bench: SalesforceBench) -> SalesforceCrm:
    return bench.open()


@pytest.fixture
def plain(bench: SalesforceBench) -> SalesforceCrm:
    """A connection that reads by REST alone and counts nothing beforehand."""
    return bench.open(bulk_above=None)


def filled(bench: SalesforceBench) -> list[str]:
    ids = bench.create(MANY)
    bench.wait(3_600)
    return ids


def error(code: str, status: int = 400) -> tuple[int, object]:
    return status, [{"errorCode": code, "message": "as told"}]


# -- calls ---------------------------------------------------------------------------------------------------------


def test_a_full_read_costs_one_call_a_page_and_one_to_count(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    filled(bench)
    Held().pull(crm, bench.deals)
    found = [re.sub(r"0r8\w+", "0r8", path) for path in bench.paths()]
    assert found == ["POST token", "GET data", "GET describe", "GET queryAll", "GET queryAll", "GET 0r8-10", "GET 0r8-20"]
    assert "SELECT COUNT() FROM Opportunity WHERE SystemModstamp <= " in bench.server.asked[3]


def test_an_idle_stream_costs_one_call(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    filled(bench)
    held = Held()
    held.pull(crm, bench.deals)
    bench.wait(3_600)
    held.pull(crm, bench.deals)
    bench.wait(900)
    window = Window(held.bookmark, crm.now())
    before = crm.meter.calls
    assert delivered(list(crm.read(bench.deals, window))) == []
    assert crm.meter.calls - before == 1


def test_queries_follow_the_recipe(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    filled(bench)
    held = Held()
    held.pull(crm, bench.deals)
    assert held.bookmark == {"through": "2026-11-20T18:55:00Z", "swept": "2026-11-20T19:00:00Z", "swept_all": "2026-11-20T19:00:00Z"}
    bench.wait(3_600)
    held.pull(crm, bench.deals)
    query = next(line for line in reversed(bench.server.asked) if "queryAll" in line)
    assert "WHERE SystemModstamp >= 2026-11-20T18:45:00Z AND SystemModstamp <= 2026-11-20T20:00:00Z ORDER BY SystemModstamp, Id" in query
    assert "OFFSET" not in query
    assert held.bookmark == {"through": "2026-11-20T19:55:00Z", "swept": "2026-11-20T19:00:00Z", "swept_all": "2026-11-20T19:00:00Z"}


def test_a_page_inside_the_window_is_gone_on_from_by_stamp_and_id(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    ids = filled(bench)
    held = Held()
    held.pull(crm, bench.deals, pages=1)
    assert held.bookmark == {
        "until": "2026-11-20T19:00:00Z", "stamp": "2026-11-20T18:00:00Z", "id": ids[9], "swept": "2026-11-20T19:00:00Z",
        "swept_all": "2026-11-20T19:00:00Z",
    }  # fmt: skip
    held.pull(bench.open(), bench.deals)
    query = next(line for line in bench.server.asked if "queryAll" in line and " OR " in line)
    assert f"((SystemModstamp > 2026-11-20T18:00:00Z) OR (SystemModstamp = 2026-11-20T18:00:00Z AND Id > '{ids[9]}'))" in query


@pytest.mark.parametrize("stream", STREAMS, ids=lambda s: s.name)
def test_every_stream_of_the_product_can_be_read(bench: SalesforceBench, crm: SalesforceCrm, stream: StreamSpec) -> None:
    deal = bench.org.insert("Opportunity", bench.deal("one"))
    contact = bench.org.insert("Contact", {"AccountId": bench.account, "LastName": "Grey", "Title": "Chief of Surgery"})
    bench.org.insert("OpportunityContactRole", {"OpportunityId": deal, "ContactId": contact, "Role": "Champion"})
    bench.org.insert("Task", {"WhatId": deal, "WhoId": contact, "Subject": "Call", "TaskSubtype": "Call", "Status": "Completed"})
    bench.org.insert("Event", {"WhatId": deal, "Subject": "Demo", "StartDateTime": START, "EndDateTime": START, "Type": "Demo"})
    bench.wait(60)
    held = Held()
    held.pull(crm, stream)
    assert held.alive()
    for record in held.records.values():
        assert tuple(record.values) == stream.fields
        assert len(record.id) == 18
        assert record.modified_at is not None


def test_parents_are_flattened_and_an_absent_parent_is_none(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    whole = bench.org.insert("Opportunity", bench.deal("with"))
    orphan = bench.org.insert("Opportunity", bench.deal("without", AccountId=None))
    bench.wait(60)
    held = Held()
    held.pull(crm, bench.deals)
    assert held.records[whole].values["Account.Customer_Type__c"] == "General Hospital"
    assert held.records[orphan].values["Account.Customer_Type__c"] is None
    assert held.records[whole].values["Amount"] == 420000.0
    assert held.records[whole].version == "2026-11-20T18:00:00.000+0000"


# -- deletes and merges --------------------------------------------------------------------------------------------


def test_a_restored_deal_comes_back(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    ids = filled(bench)
    held = Held()
    for change in (bench.org.delete, bench.org.undelete):
        change("Opportunity", ids[0])
        bench.wait(1_200)
        held.pull(crm, bench.deals)
    assert not held.records[ids[0]].deleted
    assert len(held.alive()) == MANY


def test_a_merge_loser_is_a_tombstone_that_names_its_master(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    stream, loser, winner = bench.merge()
    bench.wait(60)
    held = Held()
    held.pull(crm, stream)
    assert (held.records[loser].deleted, held.records[loser].merged_into) == (True, winner)
    assert held.records[winner].merged_into is None


# -- what the org does to a read ---------------------------------------------------------------------------------------


@pytest.mark.fault
def test_a_session_that_ends_between_pages_restarts_from_the_keyset(bench: SalesforceBench, plain: SalesforceCrm) -> None:
    filled(bench)
    held = Held()
    for page in plain.read(bench.deals, Window(None, plain.now())):
        held.take(page)
        bench.org.expire_sessions()
    assert [len(page.records) for page in held.pages] == [10, 10, 3]
    assert len(held.alive()) == MANY
    assert bench.paths().count("POST token") == 3
    refused = [line for line in bench.server.asked if "/query/" in line]
    assert len(refused) == len(set(refused)) == 2  # each locator was tried once, in the session that had ended


@pytest.mark.fault
def test_a_lost_locator_restarts_from_the_keyset(bench: SalesforceBench, plain: SalesforceCrm) -> None:
    filled(bench)
    bench.server.recorder.intercept = lambda line: error("INVALID_QUERY_LOCATOR") if "/query/" in line else None
    held = Held()
    held.pull(plain, bench.deals)
    assert sorted(record.id for record in delivered(held.pages)) == sorted(held.alive())
    assert len(held.alive()) == MANY
    assert bench.paths().count("GET queryAll") == 3


@pytest.mark.fault
def test_a_deal_saved_while_its_page_is_read_is_no_place_to_go_on_from(bench: SalesforceBench, plain: SalesforceCrm) -> None:
    """The last row of the first page shows a stamp of after the window; the locator is then lost."""
    ids = filled(bench)
    window = Window(None, plain.now())
    bench.server.recorder.intercept = lambda line: error("INVALID_QUERY_LOCATOR") if "/query/" in line else None
    original = plain._client.get

    def late(path: str, **more: object) -> object:
        answer = original(path, **more)  # type: ignore[arg-type]
        if path == "queryAll" and answer["records"][-1]["Id"] == ids[9] and not answer["done"]:
            answer["records"][-1]["SystemModstamp"] = "2026-11-20T19:00:30.000+0000"
        return answer

    plain._client.get = late  # type: ignore[method-assign]
    held = Held()
    for page in plain.read(bench.deals, window):
        held.take(page)
    assert set(held.alive()) == set(ids)
    assert held.pages[0].bookmark["id"] == ids[8]


@pytest.mark.fault
def test_a_window_that_is_too_much_is_halved(bench: SalesforceBench, plain: SalesforceCrm) -> None:
    for _ in range(6):
        bench.create(4)
        bench.wait(86_400)
    asked: list[str] = []

    def impatient(line: str) -> tuple[int, object] | None:
        if "queryAll" not in line:
            return None
        asked.append(line)
        low, high = line.partition("SystemModstamp >= ")[2][:10], line.partition("SystemModstamp <= ")[2][:10]
        return error("QUERY_TIMEOUT") if low < "2026-11-23" and high > "2026-11-23" else None

    bench.server.recorder.intercept = impatient
    held = Held()
    pages = held.pull(plain, bench.deals)
    assert len(held.alive()) == 24
    assert held.values("Name") == bench.truth("Name")
    assert len(delivered(pages)) == 24
    assert len(asked) > 5
    assert held.bookmark == {"through": "2026-11-26T17:55:00Z", "swept": "2026-11-26T18:00:00Z", "swept_all": "2026-11-26T18:00:00Z"}


@pytest.mark.fault
def test_a_window_halved_and_cut_loses_nothing(bench: SalesforceBench) -> None:
    for _ in range(4):
        bench.create(6)
        bench.wait(86_400)

    def impatient(line: str) -> tuple[int, object] | None:
        low = re.search(r"SystemModstamp >=? (\S{10})", line)
        high = line.partition("SystemModstamp <= ")[2][:10]
        return error("QUERY_TIMEOUT") if "queryAll" in line and (low[1] if low else "") < "2026-11-22" < high else None

    bench.server.recorder.intercept = impatient
    for cut in (1, 2, 3, 4):
        held = Held()
        held.pull(bench.open(bulk_above=None), bench.deals, pages=cut)
        held.pull(bench.open(bulk_above=None), bench.deals)
        assert held.values("Name") == bench.truth("Name"), cut
        assert len(delivered(held.pages)) == 24, cut


@pytest.mark.fault
def test_a_single_second_that_is_too_much_is_given_up(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    bench.create(3)
    bench.wait(60)
    bench.server.recorder.intercept = lambda line: error("QUERY_TIMEOUT") if "queryAll" in line else None
    with pytest.raises(TooLarge):
        list(crm.read(bench.deals, Window({"through": "2026-11-20T18:09:00Z"}, crm.now())))


def page(*rows: tuple[str, str], following: str | None) -> Answer:
    records = [{"attributes": {}, "Id": id_, "SystemModstamp": stamp, "Name": "x", "IsDeleted": False} for id_, stamp in rows]
    return Answer({"totalSize": 9, "done": following is None, "records": records, "nextRecordsUrl": following})


def canned(*pages: Answer) -> Callable[[Asked], Answer]:
    """An org that serves these pages, the last one again and again; ``*`` in the next address is a new number each time."""
    names = ("Id", "SystemModstamp", "Name", "IsDeleted")
    fields = [{"name": name, "type": "string", "updateable": True, "filterable": True} for name in names]
    left, served = list(pages), count()

    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("/token"):
            return Answer({"access_token": "t", "instance_url": f"https://{asked.headers['host']}"})
        if asked.path.endswith("/describe"):
            return Answer({"fields": fields})
        if asked.path == "/services/data":
            return Answer([])
        number = next(served)
        found = left.pop(0) if len(left) > 1 else left[0]
        assert isinstance(found.body, dict)
        following = found.body["nextRecordsUrl"]
        return Answer({**found.body, "nextRecordsUrl": following and following.replace("*", str(number)), "done": found.body["done"] or number > 20})

    return answer


NEXT = "/services/data/v68.0/query/x-"
A, B, C = "006000000000001AAA", "006000000000002AAA", "006000000000003AAA"
OLD, OLDER = "2026-11-20T16:00:01.000+0000", "2026-11-20T16:00:00.000+0000"
NAMES = StreamSpec("opportunities", "Opportunity", ("Name",))


@pytest.mark.parametrize(
    "pages",
    [
        (page((A, OLDER), (B, OLD), following=NEXT + "*"),),
        (page((A, OLD), following=NEXT + "*"), page((B, OLDER), following=NEXT + "*")),
        (page((A, OLD), (B, OLD), following=NEXT + "*"), page((B, OLD), following=NEXT + "*")),
        (page((A, OLDER), following=NEXT + "1"), page(following=NEXT + "1")),
    ],
    ids=["the same page", "going back", "the same records of one second", "the same address"],
)
@pytest.mark.fault
def test_an_org_that_serves_the_same_for_ever_stops_the_read(pages: tuple[Answer, ...]) -> None:
    with serving(canned(*pages)) as server:
        crm = SalesforceCrm(SalesforceSettings(server.url, flow="sandbox", bulk_above=None), FixedClock(START), MANIFEST)
        with pytest.raises(NoProgress) as caught:
            list(crm.read(NAMES, Window(None, crm.now())))
        assert caught.value.code == "SC-E074"
        assert len(server.asked) < 8
        crm.close()


def test_done_ends_a_read_whatever_address_follows_and_an_empty_page_does_not() -> None:
    last = page((C, OLD), following=None)
    assert isinstance(last.body, dict)
    last.body["nextRecordsUrl"] = NEXT + "9"
    pages = (page((A, OLDER), following="/services/data/v68.0/query/x-1"), page(following="/services/data/v68.0/query/x-2"), last)
    with serving(canned(*pages)) as server:
        crm = SalesforceCrm(SalesforceSettings(server.url, flow="sandbox", bulk_above=None), FixedClock(START), MANIFEST)
        found = list(crm.read(NAMES, Window(None, crm.now())))
        crm.close()
    assert [[record.id for record in p.records] for p in found] == [[A], [C]]
    assert server.count("x-9") == 0


def test_ids_of_fifteen_characters_become_eighteen() -> None:
    with serving(canned(page(("006D000000AbCdE", OLD), following=None))) as server:
        crm = SalesforceCrm(SalesforceSettings(server.url, flow="sandbox", bulk_above=None), FixedClock(START), MANIFEST)
        [found] = crm.read(NAMES, Window(None, crm.now()))
        crm.close()
    assert found.records[0].id == soql.to18("006D000000AbCdE")
    assert len(found.records[0].id) == 18


# -- presence ------------------------------------------------------------------------------------------------------


def test_presence_tells_whether_a_field_is_filled_and_never_asks_for_it(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    full = bench.org.insert("Opportunity", bench.deal("full"))
    empty = bench.org.insert("Opportunity", bench.deal("empty", NextStep=None))
    bench.wait(60)
    stream = replace(bench.deals, presence=("NextStep",))
    held = Held()
    held.pull(crm, stream)
    assert {id_: held.records[id_].values["NextStep"] for id_ in (full, empty)} == {full: True, empty: False}
    asked = [line for line in bench.server.asked if "NextStep" in line]
    assert len(asked) == 1
    assert "SELECT Id FROM Opportunity WHERE NextStep != null AND" in asked[0]


def test_presence_costs_nothing_on_an_idle_stream(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    filled(bench)
    stream = replace(bench.deals, presence=("NextStep",))
    held = Held()
    held.pull(crm, stream)
    bench.wait(3_600)
    held.pull(crm, stream)
    bench.wait(900)
    window = Window(held.bookmark, crm.now())
    before = crm.meter.calls
    assert delivered(list(crm.read(stream, window))) == []
    assert crm.meter.calls - before == 1


# -- contact roles -------------------------------------------------------------------------------------------------

ROLES = StreamSpec("contact_roles", "OpportunityContactRole", ("OpportunityId", "ContactId", "Role"))


def roles_of(bench: SalesforceBench, deals: list[str]) -> list[str]:
    contact = bench.org.insert("Contact", {"AccountId": bench.account, "LastName": "Grey"})
    return [bench.org.insert("OpportunityContactRole", {"OpportunityId": deal, "ContactId": contact, "Role": "Champion"}) for deal in deals]


def test_a_removed_role_is_found_by_the_daily_sweep(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    deals = bench.create(3)
    roles = roles_of(bench, deals)
    bench.wait(60)
    held = Held()
    first = held.pull(crm, ROLES)
    assert not any(page.complete_for for page in first)  # a first read is a sweep itself
    bench.org.delete("OpportunityContactRole", roles[1])
    bench.wait(43_200)
    window = Window(held.bookmark, crm.now(), open_ids=lambda: deals)
    half_a_day = list(crm.read(ROLES, window))
    assert not any(page.complete_for for page in half_a_day)
    bench.wait(43_200)
    swept = list(crm.read(ROLES, Window(half_a_day[-1].bookmark, crm.now(), open_ids=lambda: deals)))
    [whole] = [page for page in swept if page.complete_for]
    assert whole.complete_for == tuple(deals)
    assert {record.id for record in whole.records} == {roles[0], roles[2]}
    bench.wait(900)
    assert not any(page.complete_for for page in crm.read(ROLES, Window(swept[-1].bookmark, crm.now(), open_ids=lambda: deals)))


def test_what_belongs_to_deals_is_read_again_by_the_deals(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    deals = bench.create(3)
    roles = roles_of(bench, deals)
    bench.edit(deals[1], {"StageName": "Contracting"})
    bench.wait(60)
    found = [record.id for records in crm.again(ROLES, deals[:2]) for record in records]
    assert sorted(found) == sorted(roles[:2])
    history = StreamSpec("stage_history", "OpportunityHistory", ("OpportunityId", "StageName", "CreatedDate"))
    told = [(record.values["OpportunityId"], record.values["StageName"]) for records in crm.again(history, [deals[1]]) for record in records]
    assert {deal for deal, _ in told} == {deals[1]}
    assert told[-1][1] == "Contracting"


def test_roles_of_closed_deals_are_swept_weekly(bench: SalesforceBench, crm: SalesforceCrm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut and gone on with a day later it is still a sweep over all deals; the next one comes a week after."""
    monkeypatch.setattr(soql, "IN_LIST", 2)
    deals = sorted(bench.create(5))
    roles_of(bench, deals)
    bench.wait(60)
    held = Held()
    held.pull(crm, ROLES)

    def swept(pages: int | None = None) -> list[str]:
        window = Window(held.bookmark, crm.now(), open_ids=lambda: deals[:1], deal_ids=lambda: deals)
        told: list[str] = []
        for page in islice(crm.read(ROLES, window), pages):
            held.take(page)
            told += page.complete_for
        return told

    bench.wait(6 * 86_400)
    assert swept() == deals[:1]
    bench.wait(86_400)
    assert swept(pages=2) == deals[:2]
    bench.wait(86_400)
    assert swept() == deals[2:]
    bench.wait(5 * 86_400)
    assert swept() == deals[:1]
    bench.wait(86_400)
    assert swept() == deals


def test_a_sweep_that_is_cut_goes_on_after_the_last_chunk(bench: SalesforceBench, crm: SalesforceCrm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soql, "IN_LIST", 2)
    deals = bench.create(5)
    roles_of(bench, deals)
    bench.wait(60)
    held = Held()
    held.pull(crm, ROLES)
    bench.wait(90_000)
    reading = crm.read(ROLES, Window(held.bookmark, crm.now(), open_ids=lambda: deals))
    next(reading)
    first = next(reading)
    assert first.complete_for == tuple(deals[:2])
    bench.wait(60)
    rest_ = list(crm.read(ROLES, Window(first.bookmark, crm.now(), open_ids=lambda: deals)))
    assert [page.complete_for for page in rest_ if page.complete_for] == [tuple(deals[2:4]), tuple(deals[4:])]
    assert "sweep_after" not in rest_[-1].bookmark


def test_what_moves_no_stamp_is_found_by_the_daily_sweep_of_open_deals(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    deals = bench.create(4)
    bench.wait(3_600)
    stream = replace(bench.deals, presence=("NextStep",))
    held = Held()
    held.pull(crm, stream)
    bench.org.update("Account", bench.account, {"Customer_Type__c": "ASC"})
    bench.delete(deals[1])
    bench.org.purge(deals[1])
    bench.wait(43_200)
    held.pull(crm, stream)
    assert {held.records[deal].values["Account.Customer_Type__c"] for deal in deals} == {"General Hospital"}
    bench.wait(43_200)
    pages = held.pull(crm, stream)
    assert held.alive() == [deals[0], deals[2], deals[3]]
    assert {held.records[deal].values["Account.Customer_Type__c"] for deal in held.alive()} == {"ASC"}
    assert {held.records[deal].values["NextStep"] for deal in held.alive()} == {True}
    assert not any(page.complete_for for page in pages)
    bench.wait(900)
    assert delivered(held.pull(crm, stream)) == []


def test_lists_of_ids_are_asked_three_hundred_at_a_time(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    asked = [soql.to18(f"006{n:012}") for n in range(650)]
    crm.fetch("Opportunity", asked, ("Name", "Account.Region__c"))
    sizes = [len(re.findall(r"'006\w{15}'", line)) for line in bench.server.asked if "/query?" in line]
    assert sizes == [300, 300, 50]


def test_known_records_are_asked_two_thousand_at_a_time(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    ids = bench.create(3)
    asked = [*(soql.to18(f"006{n:012}") for n in range(10_000, 12_500)), *ids]
    found = crm.fetch("Opportunity", asked, ("Name",))
    assert sorted(found) == sorted(ids)
    sizes = [len(re.findall(r'"006\w{15}"', line)) for line in bench.server.asked if "composite" in line]
    assert sizes == [2000, 503]


def test_fetch_answers_under_the_spelling_that_was_asked(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    [deal] = bench.create(1)
    found = crm.fetch("Opportunity", [deal[:15]], ("Name",))
    assert list(found) == [deal[:15]]
    assert found[deal[:15]].id == deal


# -- wide selections -----------------------------------------------------------------------------------------------

WIDE = StreamSpec(
    "opportunities",
    "Opportunity",
    (
        "Name",
        "StageName",
        "Amount",
        "CloseDate",
        "Probability",
        "OwnerId",
        "AccountId",
        "Account.Region__c",
        "Account.Customer_Type__c",
        "LeadSource",
        "Type",
    ),
)


def test_a_selection_that_does_not_fit_is_split_and_joined(bench: SalesforceBench, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = filled(bench)
    whole = Held()
    whole.pull(bench.open(), WIDE)
    monkeypatch.setattr(soql, "LONGEST_QUERY", 260)
    parts = Held()
    parts.pull(bench.open(), WIDE)
    assert parts.records == whole.records
    assert set(parts.records) == set(ids)
    queries = [line for line in bench.server.asked if "IN (" in line]
    assert queries
    assert all("LeadSource" not in line or "StageName" not in line for line in queries)


def test_an_address_that_the_server_finds_too_long_is_split_as_well(bench: SalesforceBench) -> None:
    filled(bench)
    whole = Held()
    whole.pull(bench.open(), WIDE)
    bench.server.recorder.intercept = lambda line: (414, "<html>") if "queryAll" in line and "Name" in line and "LeadSource" in line else None
    parts = Held()
    parts.pull(bench.open(), WIDE)
    assert parts.records == whole.records


def test_a_record_saved_between_its_parts_is_read_again_in_all_of_them(bench: SalesforceBench, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = filled(bench)
    monkeypatch.setattr(soql, "LONGEST_QUERY", 260)
    saved: list[str] = []

    def save_meanwhile(line: str) -> None:
        if " IN (" in line and not saved:
            saved.append(ids[0])
            bench.org.update("Opportunity", ids[0], {"Name": "both parts are new", "LeadSource": "Referral"})

    bench.server.recorder.intercept = save_meanwhile
    held = Held()
    held.pull(bench.open(), WIDE)
    assert saved
    assert (held.records[ids[0]].values["Name"], held.records[ids[0]].values["LeadSource"]) == ("both parts are new", "Referral")


def test_a_record_that_vanishes_between_its_parts_is_left_out(bench: SalesforceBench, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = filled(bench)
    monkeypatch.setattr(soql, "LONGEST_QUERY", 260)

    def purge_meanwhile(line: str) -> None:
        if " IN (" in line and not bench.org.tables["Opportunity"].rows[ids[0]].get("IsDeleted"):
            for deal in ids[:10]:
                bench.org.delete("Opportunity", deal)
            for deal in ids[1:10]:
                bench.org.purge(deal)

    bench.server.recorder.intercept = purge_meanwhile
    held = Held()
    held.pull(bench.open(), WIDE)
    assert held.alive() == ids[10:]


def test_a_single_field_that_does_not_fit_is_given_up(bench: SalesforceBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soql, "LONGEST_QUERY", 20)
    crm = bench.open()
    with pytest.raises(TooLarge) as caught:
        list(crm.read(WIDE, Window(None, crm.now())))
    assert type(caught.value) is TooLarge


# -- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Id FROM User", "Name,Id", "x'y", "", "1st", "Account..Name", "(SELECT Id FROM Contacts)"])
def test_a_name_that_is_no_name_never_enters_a_query(bench: SalesforceBench, crm: SalesforceCrm, name: str) -> None:
    for stream in (replace(NAMES, fields=(name,)), replace(NAMES, presence=(name,)), replace(NAMES, object=name)):
        with pytest.raises(CrmConfigError):
            list(crm.read(stream, Window(None, START)))
    assert not any("queryAll" in line for line in bench.server.asked)
    assert not any(name in line for line in bench.server.asked if name)


def test_a_bookmark_of_the_clock_set_back_reads_again_rather_than_nothing(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    filled(bench)
    held = Held(bookmark={"through": "2026-11-20T20:00:00Z"})
    held.pull(crm, bench.deals)
    assert held.bookmark == {"through": "2026-11-20T18:55:00Z", "swept": "2026-11-20T19:00:00Z"}


def test_instants_are_cut_to_the_second_and_need_a_zone() -> None:
    assert soql.literal(START + timedelta(microseconds=999_999)) == "2026-11-20T18:00:00Z"
    with pytest.raises(ValueError, match="naive"):
        soql.literal(START.replace(tzinfo=None))


def test_values_are_quoted() -> None:
    assert soql.literal("O'Hare \\ \n") == "'O\\'Hare \\\\ \\n'"
    assert soql.literal(["a", "b'c"]) == "('a','b\\'c')"


def test_the_module_of_reads_keeps_its_limits() -> None:
    assert (soql.IN_LIST, lookup.RETRIEVE) == (300, 2_000)
