"""Leads, tickets, line items and e-mails: read only where mapped, checked like the rest, and nothing of a person kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connector import privacy
from connector.clock import Calendar
from connector.crms.base import Field, Link, Pipeline, Record
from connector.errors import Finding, MappingError, RecordError
from connector.mapping.apply import Kept, Mapper
from connector.mapping.check import check_live, unasked
from connector.mapping.load import MappingSet, load
from connector.mapping.schema import CrmMapping
from connector.model.ladder import Ladder
from connector.model.records import Activity, Lead, LineItem, Ticket, Tombstone

ROOT = Path(__file__).parents[2]
LiveSchema = Callable[[CrmMapping], dict[str, dict[str, Field]]]
LivePipelines = Callable[[CrmMapping, Ladder], tuple[Pipeline, ...]]

SALESFORCE = """
leads:
  object: Lead
  fields:
    lead_source: {from: LeadSource}
    mql_on: {from: MQL_On__c, type: date}
    sqo_on: {from: ConvertedDate}
    opportunity: {from: ConvertedOpportunityId}
tickets:
  object: Case
  fields:
    account: {from: AccountId}
    opened_on: {from: CreatedDate}
    severity: {from: Priority, values: {High: critical, Medium: high, Low: low}}
line_items:
  object: OpportunityLineItem
  fields:
    product: {from: Product2.Name}
    family: {from: Product2.Family}
    quantity: {from: Quantity}
    amount: {from: TotalPrice}
    on: {from: ServiceDate}
"""
HUBSPOT = """
leads:
  object: contacts
  fields:
    lead_source: {from: hs_analytics_source}
    mql_on: {from: hs_lifecyclestage_marketingqualifiedlead_date}
    opportunity: {association: deals}
tickets:
  object: tickets
  fields:
    account: {association: companies}
    opened_on: {from: createdate}
    severity: {from: hs_ticket_priority, values: {URGENT: critical, HIGH: high, LOW: low}, when_null: low}
"""


def written(folder: Path, crm: str, more: str, *, mails: bool = False) -> Path:
    """The repository's own mappings with more at the end of one file."""
    folder.mkdir(exist_ok=True)
    for name in ("stages", "kpis", crm):
        text = (ROOT / "mappings" / f"{name}.yaml").read_text().replace("inputs:", "inputs:")
        if name == crm:
            text += more
            text = text.replace("objects: [Task, Event]", "objects: [Task, Event, EmailMessage]", int(mails))
        (folder / f"{name}.yaml").write_text(text)
    return folder


def mapper(folder: Path, crm: str, more: str, *, mails: bool = False) -> Mapper:
    found = load(written(folder, crm, more, mails=mails))
    return Mapper(found.by_connection[crm], found.ladder, Calendar("America/New_York"))


def findings(folder: Path) -> tuple[Finding, ...]:
    try:
        return load(folder).findings
    except MappingError as error:
        return error.findings


def record(values: dict[str, Any], id: str = "1", **more: Any) -> Record:
    return Record(id, values, "v", datetime(2026, 11, 20, tzinfo=UTC), **more)


def test_nothing_of_it_is_read_where_it_is_not_mapped(own: MappingSet, salesforce: Mapper, hubspot: Mapper) -> None:
    for mapped in (salesforce, hubspot):
        assert not {"leads", "tickets", "line_items"} & {spec.name for spec in mapped.streams()}
    assert "emails" not in {spec.name for spec in salesforce.streams()}


def test_streams_ask_for_the_mapped_fields_only(tmp_path: Path) -> None:
    specs = {spec.name: spec for spec in mapper(tmp_path, "salesforce", SALESFORCE, mails=True).streams()}
    assert list(specs)[-4:] == ["emails", "leads", "tickets", "line_items"]
    assert specs["leads"].fields == ("LeadSource", "MQL_On__c", "ConvertedDate", "ConvertedOpportunityId")
    assert specs["tickets"].fields == ("AccountId", "CreatedDate", "Priority")
    assert specs["line_items"].fields == ("OpportunityId", "Product2.Name", "Product2.Family", "Quantity", "TotalPrice", "ServiceDate")
    assert specs["emails"].fields == ("RelatedToId", "MessageDate", "Incoming", "Status", "CreatedById", "ActivityId")
    specs = {spec.name: spec for spec in mapper(tmp_path / "h", "hubspot", HUBSPOT).streams()}
    assert (specs["leads"].object, specs["leads"].links) == ("contacts", ("deals",))
    assert (specs["tickets"].fields, specs["tickets"].links) == (("createdate", "hs_ticket_priority"), ("companies",))


def test_of_a_mail_nothing_but_the_list_may_be_asked() -> None:
    for field in ("Subject", "TextBody", "HtmlBody", "FromAddress", "ToAddress", "FromName", "Headers", "Case_Notes__c"):
        assert privacy.denied("EmailMessage", field)
    for field in ("RelatedToId", "MessageDate", "Incoming", "ActivityId"):
        assert not privacy.denied("EmailMessage", field)


def test_rows(tmp_path: Path) -> None:
    mapped = mapper(tmp_path, "salesforce", SALESFORCE, mails=True)
    lead = record({"LeadSource": "Web", "MQL_On__c": "2026-02-18", "ConvertedDate": None, "ConvertedOpportunityId": "006000000000001"})
    assert mapped.map("leads", lead).rows == (Lead("1", "Web", date(2026, 2, 18), None, None, "006000000000001AAA"),)
    case = record({"AccountId": "001000000000004AAA", "CreatedDate": "2026-12-11T03:30:00.000+0000", "Priority": "High"})
    assert mapped.map("tickets", case).rows == (Ticket("1", "001000000000004AAA", "critical", date(2026, 12, 10)),)  # New York
    line = record({
        "OpportunityId": "006000000000001AAA", "Product2.Name": "00123", "Product2.Family": "NA", "Quantity": 2.0, "TotalPrice": None,
        "ServiceDate": "2026-11-01",
    })  # fmt: skip
    assert mapped.map("line_items", line).rows == (LineItem("1", "006000000000001AAA", "00123", "NA", Decimal("2.0"), None, date(2026, 11, 1)),)
    for stream, table in (("leads", "leads"), ("tickets", "tickets"), ("line_items", "line_items"), ("emails", "activities")):
        assert mapped.map(stream, record({}, deleted=True)).tombstones == (Tombstone(table, "1"),)


def test_a_bad_value_is_a_record_error_that_names_the_field(tmp_path: Path) -> None:
    mapped = mapper(tmp_path, "salesforce", SALESFORCE)
    with pytest.raises(RecordError) as caught:
        mapped.map("line_items", record({"OpportunityId": "006000000000001AAA", "TotalPrice": "twelve"}))
    assert caught.value.field == "TotalPrice"
    assert "twelve" not in caught.value.message


def test_hubspot_rows(tmp_path: Path) -> None:
    mapped = mapper(tmp_path, "hubspot", HUBSPOT)
    links = {"deals": (Link("30"), Link("4"))}
    contact = record({"hs_analytics_source": "OFFLINE", "hs_lifecyclestage_marketingqualifiedlead_date": "2026-03-01T04:30:00Z"}, links=links)
    assert mapped.map("leads", contact).rows == (Lead("1", "OFFLINE", date(2026, 2, 28), None, None, "4"),)
    ticket = record({"createdate": "2026-03-01T14:30:00Z", "hs_ticket_priority": ""}, links={"companies": (Link("7", ("Primary",)), Link("8"))})
    assert mapped.map("tickets", ticket).rows == (Ticket("1", "7", "low", date(2026, 3, 1)),)


@pytest.mark.parametrize(("incoming", "direction"), [(True, "inbound"), (False, "outbound"), (None, None)])
def test_a_mail(tmp_path: Path, incoming: bool | None, direction: str | None) -> None:
    mapped = mapper(tmp_path, "salesforce", "", mails=True)
    values = {
        "RelatedToId": "006000000000001AAA", "MessageDate": "2026-11-20T04:00:00.000+0000", "Incoming": incoming, "Status": "3",
        "CreatedById": "005000000000003AAA", "ActivityId": "00T000000000009",
    }  # fmt: skip
    (row,) = mapped.map("emails", record(values)).rows
    assert isinstance(row, Activity)
    assert (row.kind, row.direction, row.opportunity, row.topic) == ("email", direction, "006000000000001AAA", "other")
    assert (row.at, row.on) == (datetime(2026, 11, 20, 4, tzinfo=UTC), date(2026, 11, 19))
    assert row.twin == "00T000000000009EAA"
    assert not mapped.map("emails", record(values | {"Status": "5"})).rows  # a draft was never sent
    assert not mapped.map("emails", record(values | {"CreatedById": "005Sb000000000FIAQ"})).rows  # a robot


def test_mapping_a_section_reads_no_other_stream_again(tmp_path: Path, own: MappingSet, salesforce: Mapper) -> None:
    plain = Mapper(own.by_connection["salesforce"], own.ladder, Calendar("America/New_York"))
    with_them = mapper(tmp_path, "salesforce", SALESFORCE)
    assert with_them.fingerprint("opportunities") == plain.fingerprint("opportunities")
    other = mapper(tmp_path / "o", "salesforce", SALESFORCE.replace("High: critical", "High: low"))
    assert other.fingerprint("tickets") != with_them.fingerprint("tickets")
    assert other.fingerprint("leads") == with_them.fingerprint("leads")


@pytest.mark.parametrize(
    ("crm", "old", "new", "code", "place", "near"),
    [
        ("salesforce", "object: Case", "object: Cases", "SC-E021", "tickets.object", "Case"),
        ("salesforce", "mql_on: {", "mql_no: {", "SC-E022", "leads.fields", "mql_on"),
        ("salesforce", "High: critical", "High: critcal", "SC-E022", "tickets.fields.severity.values", "critical"),
        ("salesforce", "{from: MQL_On__c, type: date}", "{from: MQL_On__c, type: money}", "SC-E020", "leads.fields.mql_on.type", None),
        ("salesforce", "{from: LeadSource}}", "{from: LeadSource}}", None, None, None),
        ("salesforce", "mql_on: {from: MQL_On__c, type: date}", "mql_on: {from: Account.MQL__c}", "SC-E020", "leads.fields.mql_on.from", None),
        ("salesforce", "lead_source: {from: LeadSource}", "lead_source: {from: Email}", "SC-E190", "leads.fields.lead_source.from", None),
        ("salesforce", ", values: {High: critical, Medium: high, Low: low}}", "}", "SC-E025", "tickets.fields.severity", None),
        ("hubspot", "{association: deals}", "{association: companies}", "SC-E020", "leads.fields.opportunity.association", "deals"),
        ("hubspot", "object: contacts", "object: contact", "SC-E021", "leads.object", "contacts"),
    ],
)  # fmt: skip
def test_a_slip_has_its_place(tmp_path: Path, crm: str, old: str, new: str, code: str | None, place: str | None, near: str | None) -> None:
    text = {"salesforce": SALESFORCE, "hubspot": HUBSPOT}[crm]
    if code is None:
        assert findings(written(tmp_path, crm, text)) == ()
        return
    assert text.count(old) == 1
    found = [f for f in findings(written(tmp_path, crm, text.replace(old, new))) if f.severity == "error"]
    assert [(f.code, f.path, f.suggestion) for f in found] == [(code, place, near)]
    assert found[0].line
    assert found[0].column


def test_line_items_of_hubspot_are_said_not_to_be_read(tmp_path: Path) -> None:
    more = "\nline_items:\n  object: line_items\n  fields:\n    product: {from: name}\n"
    (found,) = [f for f in findings(written(tmp_path, "hubspot", more)) if f.severity == "error"]
    assert (found.code, found.path) == ("SC-E020", "line_items")


def test_check_asks_for_rights_only_where_mapped(tmp_path: Path, own: MappingSet, live_schema: LiveSchema, live_pipelines: LivePipelines) -> None:
    mapped = mapper(tmp_path, "salesforce", SALESFORCE, mails=True)
    mapping, ladder = mapped.mapping, own.ladder
    schema = live_schema(mapping)
    assert {"Lead", "Case", "OpportunityLineItem", "Product2"} <= set(schema)
    assert not {"Lead", "Case", "OpportunityLineItem", "EmailMessage"} & set(live_schema(own.by_connection["salesforce"]))
    del schema["Case"]["Priority"]
    schema["Lead"]["MQL_On__c"] = Field("MQL_On__c", "MQL on", "text", True)
    found = check_live(mapping, ladder, schema, live_pipelines(mapping, ladder))
    assert [(f.code, f.path) for f in found] == [("SC-E020", "leads.fields.mql_on.from"), ("SC-E021", "tickets.fields.severity.from")]
    hidden = [f.message for f in unasked(mapping, [s for s in mapped.streams() if s.name == "emails"], schema)]
    assert hidden == ["EmailMessage is not there, or hidden from the connection's user: emails cannot be read"]


def test_where_records_stand_one_by_one(tmp_path: Path) -> None:
    mapped = mapper(tmp_path, "salesforce", SALESFORCE, mails=True)
    kept = {spec.name: mapped.kept(spec.name) for spec in mapped.streams()}
    assert kept["leads"] == Kept("leads")
    assert kept["emails"] == Kept("activities", "02s")
    assert kept["stage_history"] is None
    other = mapper(tmp_path / "h", "hubspot", HUBSPOT).kept("calls")
    assert other == Kept("activities", "calls:")
    assert (other.stored("7"), other.record("calls:7")) == ("calls:7", "7")
