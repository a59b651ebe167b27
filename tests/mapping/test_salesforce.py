"""Salesforce records as the API sends them, through the repository's own mapping."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from connector.clock import Calendar
from connector.crms.base import Record, Value
from connector.errors import RecordError
from connector.mapping.apply import Mapper
from connector.mapping.load import MappingSet
from connector.model.records import (
    Account,
    Activity,
    Change,
    Contact,
    ContactRole,
    GateEvidence,
    Mapped,
    Opportunity,
    Owner,
    Replace,
    Tombstone,
)

DEAL = "006000000000001AAA"


def _deal(mapper: Mapper, **values: Value) -> Mapped:
    base: dict[str, Value] = {
        "StageName": "VAC Submitted", "RecordType.DeveloperName": "Capital_Equipment", "Name": "Navigator", "AccountId": "001000000000004AAA",
        "OwnerId": "005000000000003AAA", "CreatedDate": "2026-05-01T07:25:37.000+0000", "CloseDate": "2026-12-31", "Amount": 950000000.0,
        "CurrencyIsoCode": "USD", "Probability": 60.0, "NextStep": True, "Type": "New Business",
    }  # fmt: skip
    record = Record(DEAL, base | values, "2026-11-20T10:00:00.000+0000", datetime(2026, 11, 20, 10, tzinfo=UTC))
    return mapper.map("opportunities", record)


def _opportunity(mapper: Mapper, **values: Value) -> Opportunity:
    (row,) = [row for row in _deal(mapper, **values).rows if isinstance(row, Opportunity)]
    return row


def test_streams_ask_for_mapped_fields_and_fixed_keys_only(salesforce: Mapper) -> None:
    by_name = {spec.name: spec for spec in salesforce.streams()}
    assert list(by_name) == ["owners", "accounts", "contacts", "opportunities", "stage_history", "contact_roles", "tasks", "events"]
    deals = by_name["opportunities"]
    assert deals.object == "Opportunity"
    assert deals.presence == ("NextStep",)
    assert "NextStep" not in deals.fields
    assert not [f for f in deals.fields if "." in f and f != "RecordType.DeveloperName"]
    assert set(salesforce.mapping.written.values()) <= set(deals.fields)
    assert by_name["accounts"].fields == ("Name", "Sales_Region__c", "Region__c", "Customer_Type__c")
    assert by_name["contacts"].fields == ("AccountId", "Title", "Buying_Function__c", "KOL__c")
    assert "Subject" in by_name["tasks"].fields
    assert all(len(set(spec.fields)) == len(spec.fields) for spec in salesforce.streams())


def test_streams_of_a_minimal_mapping(own: MappingSet) -> None:
    whole = own.by_connection["salesforce"]
    small = whole.model_copy(
        update={"personas": type(whole.personas)(), "activities": type(whole.activities)(), "scorecard": type(whole.scorecard)()}
    )  # fmt: skip
    names = [spec.name for spec in Mapper(small, own.ladder, Calendar()).streams()]
    assert names == ["owners", "accounts", "opportunities", "stage_history"]


def test_a_deal(salesforce: Mapper) -> None:
    row = _opportunity(salesforce)
    assert row == Opportunity(
        id=DEAL, name="Navigator", account="001000000000004AAA", owner="005000000000003AAA", native_pipeline="Capital_Equipment",
        raw_stage="VAC Submitted", deal_type="new_business", amount=Decimal("950000000.0"), currency="USD", probability=Decimal("0.6"),
        created_at=datetime(2026, 5, 1, 7, 25, 37, tzinfo=UTC), closes_on=date(2026, 12, 31), has_next_step=True,
        modified_at=datetime(2026, 11, 20, 10, tzinfo=UTC), version="2026-11-20T10:00:00.000+0000", inputs_hash=row.inputs_hash,
        observed=dict.fromkeys(salesforce.mapping.written.values()),
    )  # fmt: skip


@pytest.mark.parametrize(
    "spelt", ["2026-05-01T07:25:37.000+0000", "2026-05-01T07:25:37Z", "2026-05-01T07:25:37.000Z", "2026-05-01T09:25:37+02:00", "1777620337000"]
)
def test_spellings_of_an_instant(salesforce: Mapper, spelt: str) -> None:
    assert _opportunity(salesforce, CreatedDate=spelt).created_at == datetime(2026, 5, 1, 7, 25, 37, tzinfo=UTC)


def test_unknown_is_none_and_never_nought(salesforce: Mapper) -> None:
    row = _opportunity(
        salesforce, Amount=None, Recurring_ARR__c="", AccountId=None, Type=None, LeadSource="", CloseDate=None, NextStep=False, Standard_Terms__c=None
    )  # fmt: skip
    told = (row.amount, row.arr, row.account, row.deal_type, row.lead_source, row.closes_on, row.standard_terms)
    assert told == (None,) * 7
    assert row.has_next_step is False
    assert _opportunity(salesforce, Amount=0).amount == Decimal(0)


def test_booleans_in_either_form(salesforce: Mapper) -> None:
    assert _opportunity(salesforce, BAA_Signed__c="false").baa is False
    assert _opportunity(salesforce, BAA_Signed__c=False).baa is False
    assert _opportunity(salesforce, BAA_Signed__c="TRUE").baa is True


def test_a_value_that_nobody_listed_is_unknown_and_case_does_not_matter(salesforce: Mapper) -> None:
    assert _opportunity(salesforce, Type="Barter").deal_type is None
    assert _opportunity(salesforce, Type="new business").deal_type == "new_business"


def test_na_is_text(salesforce: Mapper) -> None:
    assert _opportunity(salesforce, Name="NA").name == "NA"
    gates = {row.gate: row for row in _deal(salesforce, VAC_Needed__c="NA").rows if isinstance(row, GateEvidence)}
    assert gates["vac"].required == "not_required"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Amount", "60,000"), ("Amount", "NaN"), ("Amount", True), ("Recurring_ARR__c", "much"), ("CloseDate", "31.12.2026"),
        ("CloseDate", "2026-02-30"), ("CreatedDate", "2026-05-01T07:25:37"), ("Probability", 1000), ("Standard_Terms__c", "maybe"),
        ("VAC_Submitted_On__c", "soon"), ("LOI_Signed_On__c", "20261231"), ("CreatedDate", "20261231"),
    ],
)  # fmt: skip
def test_a_bad_value_is_a_record_error_that_names_the_field_and_hides_the_value(salesforce: Mapper, field: str, value: Value) -> None:
    with pytest.raises(RecordError) as caught:
        _deal(salesforce, **{field: value})
    assert caught.value.field == field
    assert str(value) not in str(caught.value)
    assert caught.value.code == "SC-E079"


def test_short_ids_become_long_ones(salesforce: Mapper) -> None:
    row = _opportunity(salesforce, AccountId="0017h00000doU3R", OwnerId="005000000000003")
    assert row.account == "0017h00000doU3RAAU"
    assert row.owner == "005000000000003AAA"


def test_pipeline_without_record_type_is_master_and_raw_names_stay(salesforce: Mapper) -> None:
    row = _opportunity(salesforce, **{"RecordType.DeveloperName": None, "StageName": "sam"})
    assert (row.native_pipeline, row.raw_stage) == ("Master", "sam")
    assert salesforce.stage_map.canonical(row.native_pipeline, row.raw_stage) is None


def test_gates_as_the_fields_have_them(salesforce: Mapper) -> None:
    mapped = _deal(
        salesforce, Evaluation_Start__c="2026-06-01", Evaluation_End__c="2026-07-01", Evaluation_Result__c="Unsuccessful",
        Connects_To_Network__c=False,
        VAC_Needed__c="Y", VAC_Submitted_On__c="2026-08-01", VAC_Status__c="Tabled", Budget_Approved__c=True, GPO_Status__c="Off contract",
        Security_Status__c="Revised",
    )  # fmt: skip
    gates = {row.gate: row for row in mapped.rows if isinstance(row, GateEvidence)}
    assert set(gates) == {"clinical", "security", "legal", "vac", "procurement", "budget"}
    assert gates["clinical"] == GateEvidence(DEAL, "clinical", date(2026, 6, 1), date(2026, 7, 1), "denied", None, "fields", "Unsuccessful")
    assert gates["security"] == GateEvidence(DEAL, "security", None, None, None, "not_required", "fields", "Revised")
    assert gates["vac"] == GateEvidence(DEAL, "vac", date(2026, 8, 1), None, "tabled", "required", "fields", "Tabled")
    assert gates["budget"] == GateEvidence(DEAL, "budget", None, None, "approved", None, "observation", "true")
    assert gates["procurement"] == GateEvidence(DEAL, "procurement", None, None, "denied", None, "observation", "Off contract")
    assert gates["legal"] == GateEvidence(DEAL, "legal")


def test_observed_scorecard_values_in_wire_text(salesforce: Mapper) -> None:
    row = _opportunity(
        salesforce, KPI_Stage_Benchmark_Days__c=29.0, KPI_Touch_Density__c=2.5, KPI_Stage__c="VAC review", KPI_Pace__c="", KPI_Open_Gates__c=None,
        KPI_Definition__c="007", KPI_Regressions__c="0.0",
    )  # fmt: skip
    assert {key: row.observed[f"KPI_{key}__c"] for key in ("Stage_Benchmark_Days", "Touch_Density", "Stage", "Pace", "Open_Gates", "Definition")} == {
        "Stage_Benchmark_Days": "29", "Touch_Density": "2.5", "Stage": "VAC review", "Pace": None, "Open_Gates": None, "Definition": "007",
    }  # fmt: skip
    assert row.observed["KPI_Regressions__c"] == "0"


def test_inputs_hash_moves_with_inputs_and_not_with_our_own_writes(salesforce: Mapper) -> None:
    base = _opportunity(salesforce).inputs_hash
    assert _opportunity(salesforce, KPI_Pace__c="Stuck").inputs_hash == base
    assert _opportunity(salesforce, Amount=1).inputs_hash != base


def test_the_hash_is_of_fields_that_can_be_read_again_by_id(salesforce: Mapper) -> None:
    assert "StageName" in salesforce.input_fields
    assert not [f for f in salesforce.input_fields if "." in f or f.startswith("KPI_") or f == "NextStep"]


def test_a_stream_is_read_anew_when_its_mapping_or_the_zone_changes_and_not_for_a_stage(own: MappingSet, salesforce: Mapper) -> None:
    mapping = own.by_connection["salesforce"]

    def fingerprint(zone: str = "America/New_York", **update: object) -> str:
        return Mapper(mapping.model_copy(update=update), own.ladder, Calendar(zone)).fingerprint("opportunities")

    base = salesforce.fingerprint("opportunities")
    assert fingerprint() == base
    assert fingerprint(stages={}) == base
    assert fingerprint("UTC") != base
    assert fingerprint(gates={}) != base
    assert salesforce.fingerprint("accounts") != base


def test_deleted_and_merged(salesforce: Mapper) -> None:
    for stream, table, key in (("opportunities", "opportunities", DEAL), ("accounts", "accounts", "001A"), ("contacts", "contacts", "003A"),
                               ("tasks", "activities", "00T1"), ("events", "activities", "00U1"), ("stage_history", "changes", "008A")):  # fmt: skip
        assert salesforce.map(stream, Record(key, {}, deleted=True)) == Mapped(tombstones=(Tombstone(table, key),))
    merged = Record("001LOSER", {}, deleted=True, merged_into="001WINNER")
    assert salesforce.map("accounts", merged) == Mapped(tombstones=(Tombstone("accounts", "001LOSER", "001WINNER"),))
    gone = salesforce.map("contact_roles", Record("00K1", {"OpportunityId": DEAL, "ContactId": "003A"}, deleted=True))
    assert gone == Mapped(replaces=(Replace("contact_roles", "id", "00K1"),))


def test_accounts_carry_segment_territory_and_region(salesforce: Mapper) -> None:
    values = {"Name": "Mercy", "Customer_Type__c": "University Hospital", "Sales_Region__c": "East", "Region__c": "US"}
    assert salesforce.map("accounts", Record("001A", values)).rows == (Account("001A", "Mercy", "hospital", "East", "US"),)
    assert salesforce.map("accounts", Record("001B", {"Name": "Lab", "Customer_Type__c": "Lab"})).rows == (Account("001B", "Lab"),)


def test_owners(salesforce: Mapper) -> None:
    assert salesforce.map("owners", Record("005A", {"Name": "Ada", "IsActive": False})).rows == (Owner("005A", "Ada", active=False),)
    assert salesforce.map("owners", Record("005B", {"Name": "Bo", "IsActive": "true"})).rows == (Owner("005B", "Bo"),)


def test_a_history_row_is_three_changes_of_one_id(salesforce: Mapper) -> None:
    values: dict[str, Value] = {
        "OpportunityId": "006000000000001", "StageName": "Trial", "Amount": 1000.50, "CloseDate": "2026-12-31",
        "CreatedDate": "2026-05-01T07:25:37.000+0000", "CreatedById": "005000000000003",
    }  # fmt: skip
    at = datetime(2026, 5, 1, 7, 25, 37, tzinfo=UTC)
    assert salesforce.map("stage_history", Record("008A", values)).rows == (
        Change("008A", DEAL, "stage", "Trial", at, "005000000000003AAA"),
        Change("008A", DEAL, "amount", "1000.5", at, "005000000000003AAA"),
        Change("008A", DEAL, "closes_on", "2026-12-31", at, "005000000000003AAA"),
    )
    rows = salesforce.map("stage_history", Record("008B", values | {"Amount": None})).rows
    assert [row.value for row in rows if isinstance(row, Change)] == ["Trial", None, "2026-12-31"]
    with pytest.raises(RecordError):
        salesforce.map("stage_history", Record("008C", values | {"CreatedDate": None}))


# -- people ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "persona"),
    [
        ("Professor of Neurosurgery, Chief of Surgery", "surgeon_champion"), ("Chief Medical Information Officer", "cmio"), ("CMIO", "cmio"),
        ("Chief Medical Officer", "clinical_leader"), ("CISO", "security"), ("Chief Information Security Officer", "security"), ("cio", "vp_it"),
        ("VP Finance", "cfo"), ("Director, Value Analysis", "value_analysis"), ("OR Director", "clinical_leader"), ("Director", None),
        ("Head of Scion Labs", None), ("", None), (None, None), ("VAC Chair", "value_analysis"), ("Privacy  OFFICER", "compliance"),
        ("<b>General&nbsp;Counsel</b>", "legal"),
    ],
)  # fmt: skip
def test_titles_by_the_longest_whole_phrase(salesforce: Mapper, title: str | None, persona: str | None) -> None:
    (contact,) = salesforce.map("contacts", Record("003A", {"Title": title, "AccountId": "001000000000004AAA"})).rows
    assert isinstance(contact, Contact)
    assert contact.persona == persona


def test_a_field_on_the_contact_comes_before_the_title(salesforce: Mapper) -> None:
    values: dict[str, Value] = {"Title": "Surgeon", "Buying_Function__c": "Economic Buyer", "KOL__c": True, "AccountId": "001000000000004"}
    (contact,) = salesforce.map("contacts", Record("003A", values)).rows
    assert contact == Contact("003A", "001000000000004AAA", "Surgeon", "cfo", None, True)
    (other,) = salesforce.map("contacts", Record("003B", values | {"Buying_Function__c": "Nobody", "KOL__c": False})).rows
    assert other == Contact("003B", "001000000000004AAA", "Surgeon", "surgeon_champion", None, False)


@pytest.mark.parametrize(
    ("role", "persona", "stance"),
    [("Surgeon", "surgeon_champion", None), ("Champion", None, "champion"), ("Blocker", None, "blocker"), ("Decision Maker", None, None),
     (None, None, None), ("", None, None), ("technical buyer", "vp_it", None)],
)  # fmt: skip
def test_roles_set_function_and_stance(salesforce: Mapper, role: str | None, persona: str | None, stance: str | None) -> None:
    values = {"OpportunityId": DEAL, "ContactId": "003000000000002", "Role": role, "IsPrimary": "true", "CreatedDate": "2026-05-02T02:00:00.000+0000"}
    assert salesforce.map("contact_roles", Record("00K1", values)).rows == (
        ContactRole(DEAL, "003000000000002AAA", role or None, persona, stance, True, date(2026, 5, 1), "00K1"),
    )


def test_lookups_on_the_deal_replace_what_they_said_before(worked: MappingSet) -> None:
    mapper = Mapper(worked.by_connection["sf-prod"], worked.ladder, Calendar("America/New_York"))
    mapped = _deal(mapper, Clinical_Champion__c="003000000000002", Economic_Buyer__c=None)
    role = f"Clinical_Champion__c of {DEAL}"
    assert [row for row in mapped.rows if isinstance(row, ContactRole)] == [
        ContactRole(DEAL, "003000000000002AAA", role, "surgeon_champion", id=role)
    ]
    assert mapped.replaces == (
        Replace("contact_roles", "role", f"Clinical_Champion__c of {DEAL}"),
        Replace("contact_roles", "role", f"Economic_Buyer__c of {DEAL}"),
    )


# -- activities -----------------------------------------------------------------------------------------------------------


def _activity(mapper: Mapper, stream: str, **values: Value) -> Activity:
    base: dict[str, Value] = {"WhatId": DEAL, "WhoId": "003000000000002AAA", "AccountId": "001000000000004AAA", "OwnerId": "005000000000003AAA",
                              "CreatedById": "005000000000003AAA"}  # fmt: skip
    mapped = mapper.map(stream, Record("00T000000000001AAA", base | values))
    (row,) = mapped.rows
    assert mapped.replaces == (Replace("activities", "id", "00T000000000001AAA"),)
    assert isinstance(row, Activity)
    return row


def _event(mapper: Mapper, **values: Value) -> Activity:
    return _activity(mapper, "events", **{"StartDateTime": "2026-11-19T01:30:00.000+0000", "ActivityDate": "2026-11-19", **values})


def test_a_meeting(salesforce: Mapper) -> None:
    row = _event(salesforce, Type="Demo", Meeting_Outcome__c="No Show", Subject="Secret words")
    assert row == Activity(
        "00T000000000001AAA", DEAL, "meeting", None, "demo", datetime(2026, 11, 19, 1, 30, tzinfo=UTC), date(2026, 11, 18), "005000000000003AAA",
        "003000000000002AAA", "001000000000004AAA", "no_show", "005000000000003AAA",
    )  # fmt: skip
    assert "Secret" not in repr(row)


def test_a_meeting_without_or_with_an_unlisted_outcome(salesforce: Mapper) -> None:
    assert _event(salesforce, Meeting_Outcome__c=None).outcome is None
    assert _event(salesforce, Meeting_Outcome__c="Postponed").outcome == "unknown"


def test_an_all_day_event_keeps_its_date(salesforce: Mapper) -> None:
    row = _event(salesforce, IsAllDayEvent=True, StartDateTime="2026-11-19T00:00:00.000+0000")
    assert (row.at, row.on) == (None, date(2026, 11, 19))
    row = _event(salesforce, IsAllDayEvent="true", StartDateTime="2026-11-19T00:00:00.000+0000", ActivityDate=None)
    assert (row.at, row.on) == (None, date(2026, 11, 19))


@pytest.mark.parametrize("mark", ["IsChild", "IsRecurrence"])
def test_copies_and_series_parents_are_dropped(salesforce: Mapper, mark: str) -> None:
    record = Record("00U1", {"WhatId": DEAL, mark: True, "StartDateTime": "2026-11-19T01:30:00.000+0000"})
    assert salesforce.map("events", record) == Mapped(replaces=(Replace("activities", "id", "00U1"),))


def test_a_finished_call(salesforce: Mapper) -> None:
    row = _activity(
        salesforce, "tasks", TaskSubtype="Call", Status="Completed", IsClosed=True, ActivityDate="2026-11-18", CallDisposition="connected",
        CompletedDateTime="2026-11-18T20:15:00.000+0000", Direction__c="Inbound",
    )  # fmt: skip
    assert (row.kind, row.direction, row.outcome) == ("call", "inbound", "connected")
    assert (row.at, row.on, row.due_on, row.completed_on) == (datetime(2026, 11, 18, 20, 15, tzinfo=UTC), date(2026, 11, 18), None, None)
    late = _activity(salesforce, "tasks", TaskSubtype="Call", IsClosed=True, ActivityDate="2026-11-16", CompletedDateTime="2026-11-18T20:15:00Z")
    assert (late.at, late.on) == (None, date(2026, 11, 16))


def test_a_call_that_is_still_open_is_a_plan(salesforce: Mapper) -> None:
    row = _activity(salesforce, "tasks", TaskSubtype="Call", Status="Not Started", IsClosed=False, ActivityDate="2026-12-01")
    assert (row.kind, row.due_on, row.completed_on) == ("task", date(2026, 12, 1), None)


def test_tasks_have_a_due_and_a_completed_day(salesforce: Mapper) -> None:
    row = _activity(salesforce, "tasks", TaskSubtype="Task", Status="Completed", ActivityDate="2026-11-18", CompletedDateTime="2026-11-21T03:00:00Z")
    assert (row.kind, row.due_on, row.completed_on, row.on) == ("task", date(2026, 11, 18), date(2026, 11, 20), date(2026, 11, 20))


def test_mails(salesforce: Mapper) -> None:
    for subtype in ("Email", "ListEmail"):
        row = _activity(salesforce, "tasks", TaskSubtype=subtype, IsClosed="true", ActivityDate="2026-11-18", Direction__c="Outbound")
        assert (row.kind, row.direction, row.at, row.on) == ("email", "outbound", None, date(2026, 11, 18))


def test_what_an_activity_hangs_on(salesforce: Mapper) -> None:
    row = _event(salesforce, WhatId="001000000000009", AccountId=None, WhoId="00Q000000000001AAA")
    assert (row.opportunity, row.account, row.contact) == (None, "001000000000009AAA", None)
    row = _event(salesforce, WhatId=None, WhoId=None, AccountId="001000000000004AAA")
    assert (row.opportunity, row.account, row.contact) == (None, "001000000000004AAA", None)
    assert _event(salesforce, WhatId="006000000000001").opportunity == DEAL


@pytest.mark.parametrize(
    ("values", "topic"),
    [
        ({"Type": "First meeting"}, "discovery"), ({"Type": "first MEETING"}, "discovery"), ({"Type": "HCP presentation"}, "presentation"),
        ({"Type": "Follow-up", "Subject": "VAC"}, "follow_up"), ({"Subject": "Re: value-analysis packet"}, "vac"),
        ({"Subject": "<p>P&amp;T next week</p>"}, "vac"), ({"Subject": "The vacuum pump"}, "other"), ({"Subject": "SOC 2 report"}, "security"),
        ({"Subject": "診療の予定"}, "other"), ({"Subject": None}, "other"), ({}, "other"),
    ],
)  # fmt: skip
def test_topics_first_match_wins(salesforce: Mapper, values: dict[str, Any], topic: str) -> None:
    assert _event(salesforce, **values).topic == topic


def test_robots_named_later_change_nothing_else(salesforce: Mapper) -> None:
    task = Record("00T1", {"WhatId": DEAL, "CreatedById": "005000000000007AAA", "Status": "Completed", "ActivityDate": "2026-05-01"})
    other = salesforce.with_robots(["005000000000007"])
    assert salesforce.map("tasks", task).rows
    assert not other.map("tasks", task).rows
    assert (other.streams(), other.fingerprint("tasks")) == (salesforce.streams(), salesforce.fingerprint("tasks"))


def test_robots_are_ignored_in_either_spelling(salesforce: Mapper) -> None:
    for author in ("005000000000009AAA", "005000000000009"):
        record = Record("00T1", {"WhatId": DEAL, "CreatedById": author, "TaskSubtype": "Email"})
        assert salesforce.map("tasks", record) == Mapped(replaces=(Replace("activities", "id", "00T1"),))


def test_ignored_types(worked: MappingSet) -> None:
    mapper = Mapper(worked.by_connection["sf-prod"], worked.ladder, Calendar("America/New_York"))
    record = Record("00T1", {"WhatId": DEAL, "TaskSubtype": "Email", "Type": "Mass Email", "CreatedById": "005000000000003AAA"})
    assert mapper.map("tasks", record).rows == ()


def test_an_unknown_stream_is_a_mistake_of_the_caller(salesforce: Mapper) -> None:
    with pytest.raises(KeyError):
        salesforce.map("calls", Record("1", {}))
