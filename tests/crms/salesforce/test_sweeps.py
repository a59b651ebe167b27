"""What no window brings: field history beside records, daily sweeps, counts and ids by REST, objects of every kind."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connector.crms.base import Count, StreamSpec, Window
from connector.crms.salesforce import SalesforceCrm, lookup, soql
from connector.crms.salesforce.history import text_of
from connector.crms.salesforce.ranges import Range
from connector.errors import CrmConfigError, NoProgress
from tests.crms.contract import MANY, Held, delivered
from tests.crms.salesforce.bench import SalesforceBench


@pytest.fixture
def crm(bench: SalesforceBench) -> SalesforceCrm:
    return bench.open()


def error(code: str, status: int = 400) -> tuple[int, object]:
    return status, [{"errorCode": code, "message": "as told"}]


def asked(bench: SalesforceBench, part: str) -> list[str]:
    return [line for line in bench.server.asked if part in line]


# -- field history -------------------------------------------------------------------------------------------------

TRACKED = StreamSpec("opportunities", "Opportunity", ("Name", "LeadSource", "OwnerId"), history=("LeadSource", "OwnerId"))


def test_tracked_fields_bring_their_versions_oldest_first(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    bench.org.track_field("LeadSource")
    [one, two] = bench.create(2)
    others = [id_ for id_, row in bench.org.tables["User"].rows.items() if row["IsActive"]][:2]
    for source in ("Referral", "Web"):
        bench.wait(3_600)
        bench.edit(one, {"LeadSource": source})
    bench.edit(one, {"OwnerId": others[1]})
    bench.wait(3_600)
    held = Held()
    held.pull(crm, TRACKED)
    assert [version.value for version in held.records[one].history["LeadSource"]] == ["Referral", "Web"]
    assert [version.value for version in held.records[one].history["OwnerId"]] == [others[1]]
    first = held.records[one].history["LeadSource"][0]
    assert first.at.utcoffset() == timedelta(0)
    assert first.by
    assert held.records[two].history == {}
    assert len(asked(bench, "FROM OpportunityFieldHistory")) == 1


def test_an_unchanged_record_is_not_asked_for_its_history_again(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    bench.org.track_field("LeadSource")
    [one] = bench.create(1)
    bench.wait(60)
    held = Held()
    held.pull(crm, TRACKED)
    bench.wait(60)
    held.pull(crm, TRACKED)  # the overlap repeats it in the same version
    assert len(asked(bench, "FROM OpportunityFieldHistory")) == 1
    bench.edit(one, {"LeadSource": "Web"})
    bench.wait(60)
    held.pull(crm, TRACKED)
    assert [version.value for version in held.records[one].history["LeadSource"]] == ["Web"]


def test_where_no_history_is_kept_nothing_is_claimed(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    bench.create(1)
    bench.wait(60)
    bench.server.recorder.intercept = lambda line: error("NOT_FOUND", 404) if "OpportunityFieldHistory" in line else None
    held = Held()
    held.pull(crm, TRACKED)
    assert [record.history for record in held.records.values()] == [{}]


def test_past_values_of_any_type_become_text() -> None:
    assert [text_of(value) for value in (True, False, 12, 1.5, "a", "", None)] == ["true", "false", "12", "1.5", "a", None, None]


# -- sweeps --------------------------------------------------------------------------------------------------------

FORMULA = StreamSpec("opportunities", "Opportunity", ("Name", "Days_To_Close__c"), refresh=("Days_To_Close__c",))


def test_open_deals_without_fields_of_parents_are_swept_by_collections(
    bench: SalesforceBench, crm: SalesforceCrm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "RETRIEVE", 10)
    ids = bench.create(MANY)
    held = Held()
    bench.wait(3_600)
    held.pull(crm, FORMULA)
    bench.wait(90_000)
    bench.delete(ids[4])
    bench.org.purge(ids[4])
    before = len(bench.server.asked)
    pages = held.pull(crm, FORMULA)
    sizes = [len(re.findall(r'"006\w{15}"', line)) for line in bench.server.asked[before:] if "composite" in line]
    assert sizes == [10, 10, 3]
    assert held.alive() == sorted(set(ids) - {ids[4]})
    assert {held.records[id_].values["Days_To_Close__c"] for id_ in held.alive()} == {bench.computed(ids[0])}
    assert not any(page.complete_for for page in pages)


def test_formulas_of_closed_deals_are_swept_weekly_and_none_of_them_is_buried(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    """A user who may suddenly see less must not lose the past: what is gone for good, the guarded count finds."""
    ids = bench.create(3)
    held = Held()
    bench.wait(3_600)
    held.pull(crm, FORMULA)
    bench.delete(ids[2])
    bench.org.purge(ids[2])

    def swept() -> list[tuple[str, bool]]:
        window = Window(held.bookmark, crm.now(), open_ids=lambda: ids[:1], deal_ids=lambda: ids)
        pages = list(crm.read(FORMULA, window))
        held.bookmark = pages[-1].bookmark
        return [(record.id, record.deleted) for record in delivered(pages)]

    bench.wait(90_000)
    assert swept() == [(ids[0], False)]
    bench.wait(6 * 86_400)
    assert swept() == [(ids[0], False), (ids[1], False)]


def test_a_wide_sweep_brings_every_field(bench: SalesforceBench, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = replace(FORMULA, fields=(*FORMULA.fields, "StageName", "Amount", "CloseDate", "OwnerId", "LeadSource", "Type"))
    ids = bench.create(3)
    bench.wait(3_600)
    monkeypatch.setattr(soql, "LONGEST_QUERY", 260)
    held, crm = Held(), bench.open(bulk_above=None)
    held.pull(crm, wide)
    bench.wait(90_000)
    pages = held.pull(crm, wide)
    assert sorted(record.id for record in delivered(pages)) == sorted(ids)
    assert all(set(record.values) == set(wide.fields) for record in delivered(pages))
    assert {held.records[id_].values["Days_To_Close__c"] for id_ in ids} == {bench.computed(ids[0])}


def test_accounts_of_open_deals_are_swept_where_a_calculated_field_of_theirs_is_mapped(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    deals = bench.create(3)
    stranger = bench.org.insert("Account", {"Name": "Nobody's"})
    stream = StreamSpec("accounts", "Account", ("Name", "Customer_Type__c"), refresh=("Customer_Type__c",))
    bench.wait(3_600)
    held = Held()
    held.pull(crm, stream)
    bench.org.tables["Account"].rows[bench.account]["Customer_Type__c"] = "ASC"  # as a formula would: no stamp moves
    bench.wait(90_000)
    window = Window(held.bookmark, crm.now(), open_ids=lambda: deals)
    swept = delivered(list(crm.read(stream, window)))
    assert [(record.id, record.values["Customer_Type__c"]) for record in swept] == [(bench.account, "ASC")]
    assert stranger in held.alive()


def test_accounts_without_calculated_fields_are_not_swept(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    held = Held()
    stream = StreamSpec("accounts", "Account", ("Name",))
    held.pull(crm, stream)
    bench.wait(90_000)
    before = crm.meter.calls
    list(crm.read(stream, Window(held.bookmark, bench.clock.now(), open_ids=lambda: ["006000000000001AAA"])))
    assert crm.meter.calls - before == 1


# -- presence ------------------------------------------------------------------------------------------------------


def test_presence_of_a_page_inside_a_tie_asks_for_that_page_only(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    ids = bench.create(MANY)  # all in one second, ten a page
    bench.org.update("Opportunity", ids[20], {"NextStep": None})
    bench.wait(3_600)
    held = Held()
    held.pull(crm, replace(bench.deals, presence=("NextStep",)))
    assert {id_ for id_ in ids if not held.records[id_].values["NextStep"]} == {ids[20]}
    questions = asked(bench, "NextStep != null")
    assert len(questions) == 3
    assert len([line for line in bench.server.asked if "/query/0r8" in line]) == 2  # of the read itself: no question needed a second page


def test_the_ends_of_a_page_are_those_of_the_orgs_own_order() -> None:
    """An org may sort ids in another way than their characters do; and a record saved meanwhile stands out of order."""
    at, later = datetime(2026, 11, 20, 16, tzinfo=UTC), datetime(2026, 11, 20, 17, tzinfo=UTC)
    tied = Range.of_page([(at, "b"), (at, "A"), (at, "C")], "SystemModstamp")
    assert "Id >= 'b'" in tied
    assert "Id <= 'C'" in tied
    disordered = Range.of_page([(at, "a"), (later, "b"), (at, "c")], "SystemModstamp")
    assert disordered == "SystemModstamp >= 2026-11-20T16:00:00Z AND SystemModstamp <= 2026-11-20T17:00:00Z"


@pytest.mark.fault
def test_presence_that_is_too_much_for_a_range_is_asked_by_id(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    ids = bench.create(4)
    bench.org.update("Opportunity", ids[1], {"NextStep": None})
    bench.wait(3_600)
    bench.server.recorder.intercept = lambda line: error("QUERY_TIMEOUT") if "NextStep != null AND (" in line else None
    held = Held()
    held.pull(crm, replace(bench.deals, presence=("NextStep",)))
    assert {id_: held.records[id_].values["NextStep"] for id_ in ids} == {id_: id_ != ids[1] for id_ in ids}


# -- lists of ids --------------------------------------------------------------------------------------------------


@pytest.mark.fault
@pytest.mark.parametrize("refusal", [error("QUERY_TIMEOUT"), (414, "<html>"), (431, "<html>")], ids=["timeout", "414", "431"])
def test_a_list_of_ids_that_is_too_much_is_halved(bench: SalesforceBench, crm: SalesforceCrm, refusal: tuple[int, object]) -> None:
    ids = bench.create(9)
    bench.server.recorder.intercept = lambda line: refusal if " IN (" in line and len(re.findall(r"'006\w{15}'", line)) > 3 else None
    found = crm.fetch("Opportunity", ids, ("Name", "Account.Region__c"))
    assert set(found) == set(ids)


@pytest.mark.fault
def test_a_collections_read_that_is_too_much_is_halved(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    ids = bench.create(9)

    def too_much(line: str) -> tuple[int, object] | None:
        return error("OPERATION_TOO_LARGE") if "composite" in line else None

    bench.server.recorder.intercept = too_much
    original, sizes = crm._client.json, []

    def counted(method: str, path: str, **more: object) -> object:
        sizes.append(len(re.findall(rb'"006\w{15}"', more["data"])))  # type: ignore[arg-type]
        if sizes[-1] <= 4:
            bench.server.recorder.intercept = lambda _: None
        return original(method, path, **more)  # type: ignore[arg-type]

    crm._client.json = counted  # type: ignore[method-assign]
    assert set(crm.fetch("Opportunity", ids, ("Name",))) == set(ids)
    assert sizes == [9, 4, 4, 1]


# -- counts and ids ------------------------------------------------------------------------------------------------


def test_archived_activities_count_as_live(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    old, new, gone = (bench.org.insert("Task", {"Subject": "x", "Status": "Completed", "ActivityDate": day})
                      for day in ("2025-01-02", "2026-11-02", "2026-11-03"))  # fmt: skip
    bench.org.delete("Task", gone)
    bench.wait(3_600)
    stream = StreamSpec("tasks", "Task", ("Status",))
    held = Held()
    held.pull(crm, stream)
    assert held.alive() == sorted((old, new))
    assert crm.count(stream) == Count(2, 1)
    assert sorted(id_ for batch in crm.ids(stream) for id_ in batch) == sorted((old, new))


def test_an_object_without_a_bin_is_counted_as_it_is(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    counted = crm.count(StreamSpec("owners", "User", ("Name",)))
    assert counted == Count(len(bench.org.tables["User"].rows))


def test_what_the_org_cannot_count_is_unknown(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    bench.server.recorder.intercept = lambda line: error("QUERY_TIMEOUT") if "COUNT()" in line else None
    assert crm.count(bench.deals) is None


@pytest.mark.fault
def test_ids_go_on_after_the_last_one_in_a_new_session(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    ids = bench.create(MANY)
    got: list[str] = []
    for batch in crm.ids(bench.deals):
        got += batch
        bench.org.expire_sessions()
    assert got == ids
    assert asked(bench, f"AND Id > '{ids[9]}' ORDER BY Id")


@pytest.mark.fault
def test_ids_that_make_no_progress_stop(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    bench.create(MANY)
    same = {"totalSize": 3, "done": False, "nextRecordsUrl": "/services/data/v68.0/query/0r8-1", "records": [{"Id": "006000000000001AAA"}]}
    bench.server.recorder.intercept = lambda line: (200, same) if "query/0r8" in line or "ORDER BY Id" in line else None
    with pytest.raises(NoProgress):
        list(crm.ids(bench.deals))


# -- any object ----------------------------------------------------------------------------------------------------

OTHERS = [
    (StreamSpec("leads", "Lead", ("Status", "LeadSource", "IsConverted", "ConvertedOpportunityId", "OwnerId")), {"LastName": "Grey", "Company": "M"}),
    (StreamSpec("cases", "Case", ("AccountId", "Status", "Priority", "IsClosed", "ClosedDate")), {"Status": "New"}),
    (StreamSpec("email_messages", "EmailMessage", ("RelatedToId", "Incoming", "MessageDate")), {"Incoming": True, "Status": "New"}),
]


@pytest.mark.parametrize(("stream", "values"), OTHERS, ids=lambda v: v.name if isinstance(v, StreamSpec) else "")
@pytest.mark.parametrize("bulk", [None, 0])
def test_any_object_can_be_a_stream(bench: SalesforceBench, stream: StreamSpec, values: dict[str, object], bulk: int | None) -> None:
    one, two = (bench.org.insert(stream.object, values) for _ in range(2))
    bench.wait(3_600)
    held, crm = Held(), bench.open(bulk_above=bulk)
    held.pull(crm, stream)
    assert held.alive() == sorted((one, two))
    assert set(held.records[one].values) == set(stream.fields)
    bench.org.delete(stream.object, two)
    bench.wait(1_200)
    held.pull(crm, stream)
    if bench.org.schema[stream.object].undeletable:
        assert held.alive() == [one]
    assert [id_ for batch in crm.ids(stream) for id_ in batch] == [one]  # where a delete leaves no row, the ids tell
    assert bool(asked(bench, "/jobs/")) is (bulk == 0)
    assert not re.search(r"TextBody|HtmlBody|Subject|FromAddress|ToAddress", bench.requested())


def test_line_items_of_a_deal_are_a_stream(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    [deal] = bench.create(1)
    product = bench.org.insert("Product2", {"Name": "Pump", "Family": "Capital"})
    item = bench.org.insert("OpportunityLineItem", {"OpportunityId": deal, "Product2Id": product, "Quantity": 2.0, "UnitPrice": 50.0})
    bench.wait(3_600)
    held = Held()
    held.pull(crm, StreamSpec("line_items", "OpportunityLineItem", ("OpportunityId", "Product2.Family", "Quantity", "TotalPrice")))
    assert (held.records[item].values["Product2.Family"], held.records[item].values["TotalPrice"]) == ("Capital", 100.0)


def test_field_history_can_be_a_stream_of_its_own(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    """It has no SystemModstamp: its key is the next of the ladder that can be filtered."""
    bench.org.track_field("LeadSource")
    [deal] = bench.create(1)
    stream = StreamSpec("field_history", "OpportunityFieldHistory", ("OpportunityId", "Field", "NewValue", "CreatedDate", "CreatedById"))
    held = Held()
    held.pull(crm, stream)
    bench.wait(3_600)
    bench.edit(deal, {"LeadSource": "Web"})
    bench.wait(600)
    held.pull(crm, stream)
    assert [(r.values["OpportunityId"], r.values["Field"], r.values["NewValue"]) for r in held.records.values()] == [(deal, "LeadSource", "Web")]
    assert asked(bench, "FROM OpportunityFieldHistory WHERE CreatedDate >= ")


# -- what the connection's user may not see ------------------------------------------------------------------------


def test_a_hidden_field_is_named_and_not_discovered(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    bench.org.hide_field("Opportunity", "Amount")
    assert "Amount" not in crm.discover("Opportunity")
    with pytest.raises(CrmConfigError, match=r"'Amount' on Opportunity, as the connection's user sees it") as caught:
        list(crm.read(bench.deals, Window(None, crm.now())))
    assert caught.value.code == "SC-E021"


def test_a_hidden_field_of_a_parent_is_named_by_the_org(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    bench.org.hide_field("Account", "Customer_Type__c")
    with pytest.raises(CrmConfigError, match="Customer_Type__c"):
        list(crm.read(bench.deals, Window(None, crm.now())))


def test_a_hidden_object_is_named(bench: SalesforceBench, crm: SalesforceCrm) -> None:
    bench.server.recorder.intercept = lambda line: error("NOT_FOUND", 404) if "/Case/describe" in line else None
    for attempt in (lambda: crm.discover("Case"), lambda: crm.count(StreamSpec("cases", "Case", ("Status",)))):
        with pytest.raises(CrmConfigError, match="Case: no such object, or the connection's user may not see it"):
            attempt()
