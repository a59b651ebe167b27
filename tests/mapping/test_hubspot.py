"""HubSpot records as the API sends them (every value text or null), through the repository's own mapping."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from connector.clock import Calendar
from connector.crms.base import Link, Record, Value, Version
from connector.errors import RecordError
from connector.mapping.apply import Mapper
from connector.mapping.load import MappingSet
from connector.model.records import Account, Activity, Change, Contact, ContactRole, GateEvidence, Mapped, Opportunity, Owner, Replace, Tombstone

DEAL = "30000000001"


def _deal(
    mapper: Mapper, links: dict[str, tuple[Link, ...]] | None = None, history: dict[str, tuple[Version, ...]] | None = None, **values: Value
) -> Mapped:
    base: dict[str, Value] = {
        "dealstage": "presentationscheduled", "pipeline": "default", "dealname": "Navigator", "hubspot_owner_id": "51000001",
        "createdate": "2026-05-01T07:25:37.412Z", "closedate": "2027-01-01T03:30:00Z", "amount": "3600.0", "deal_currency_code": "EUR",
        "hs_deal_stage_probability": "0.90000000000000002220446049250313080847263336181640625", "hs_next_step": True, "dealtype": "existingbusiness",
    }  # fmt: skip
    record = Record(
        DEAL, base | values, "2026-11-20T16:02:11.204Z", datetime(2026, 11, 20, 16, 2, 11, 204000, UTC), history=history or {}, links=links or {}
    )
    return mapper.map("opportunities", record)


def _opportunity(mapper: Mapper, **values: Value) -> Opportunity:
    (row,) = [row for row in _deal(mapper, **values).rows if isinstance(row, Opportunity)]
    return row


def test_streams(hubspot: Mapper) -> None:
    by_name = {spec.name: spec for spec in hubspot.streams()}
    assert list(by_name) == ["owners", "accounts", "contacts", "opportunities", "contact_roles", "calls", "emails", "meetings", "tasks"]
    deals = by_name["opportunities"]
    assert deals.object == "deals"
    assert deals.history == ("dealstage", "pipeline", "closedate", "amount", "hubspot_owner_id")
    assert deals.links == ("companies", "contacts")
    assert deals.presence == ("hs_next_step",)
    assert "hs_next_step" not in deals.fields
    assert (by_name["contact_roles"].object, by_name["contact_roles"].links, by_name["contact_roles"].fields) == ("deals", ("contacts",), ())
    assert by_name["contacts"].fields == ("jobtitle", "hs_buying_role", "is_kol")
    assert by_name["meetings"].links == ("deals", "contacts", "companies")
    assert "hs_activity_type" not in by_name["emails"].fields


def test_calculated_fields_are_read_again_daily(hubspot: Mapper, salesforce: Mapper, own: MappingSet) -> None:
    """``refresh: daily`` in the mapping, wherever the field is used, ends in the stream that reads it."""
    specs = {spec.name: spec for spec in hubspot.streams()}
    assert specs["opportunities"].refresh == ("hs_arr",)
    assert all(not spec.refresh for name, spec in specs.items() if name != "opportunities")
    assert hubspot.fingerprint("opportunities") != salesforce.fingerprint("opportunities")
    mapping = own.by_connection["salesforce"]
    amount = mapping.opportunities.fields["amount"].model_copy(update={"refresh": "daily"})
    fields = {**mapping.opportunities.fields, "amount": amount}
    changed = mapping.model_copy(update={"opportunities": mapping.opportunities.model_copy(update={"fields": fields})})
    again = Mapper(changed, own.ladder, Calendar("America/New_York"))
    assert {spec.name: spec.refresh for spec in again.streams() if spec.refresh} == {"opportunities": ("Amount",)}


def test_a_deal_of_text_values(hubspot: Mapper) -> None:
    row = _opportunity(hubspot, baa_flag="false", standard_terms="true", capital_amount="")
    assert (row.amount, row.capital_amount, row.currency) == (Decimal("3600.0"), None, "EUR")
    assert row.probability is not None
    assert Decimal("0.9") <= row.probability < Decimal("0.9000001")
    assert (row.baa, row.standard_terms, row.has_next_step, row.deal_type) == (False, True, True, "expansion")
    assert (row.native_pipeline, row.raw_stage, row.owner) == ("default", "presentationscheduled", "51000001")
    assert row.created_at == datetime(2026, 5, 1, 7, 25, 37, 412000, UTC)


def test_the_close_date_is_a_local_day(hubspot: Mapper) -> None:
    assert _opportunity(hubspot).closes_on == date(2026, 12, 31)
    assert _opportunity(hubspot, closedate="2026-12-31T17:00:00.000Z").closes_on == date(2026, 12, 31)
    assert _opportunity(hubspot, loi_signed="2026-03-08").loi_signed_on == date(2026, 3, 8)


def test_blank_text_and_null_are_one_and_deals_without_stage_are_legal(hubspot: Mapper) -> None:
    row = _opportunity(hubspot, hubspot_owner_id="", dealstage=None, pipeline=None, amount="", closedate="")
    assert (row.owner, row.raw_stage, row.native_pipeline, row.amount, row.closes_on) == (None, None, None, None, None)


def test_a_bad_number_is_a_record_error(hubspot: Mapper) -> None:
    with pytest.raises(RecordError) as caught:
        _deal(hubspot, hs_arr="twelve")
    assert caught.value.field == "hs_arr"
    assert "twelve" not in str(caught.value)


def test_observed_numbers_agree_however_they_are_spelt(hubspot: Mapper) -> None:
    row = _opportunity(hubspot, kpi_win_chance="0.6200", kpi_stage_benchmark_days="29.0", kpi_pace="", kpi_definition="1.0", kpi_stage="pilot")
    assert (row.observed["kpi_win_chance"], row.observed["kpi_stage_benchmark_days"], row.observed["kpi_pace"]) == ("0.62", "29", None)
    assert (row.observed["kpi_definition"], row.observed["kpi_stage"]) == ("1.0", "pilot")


def test_the_account_is_the_primary_company_or_the_only_one(hubspot: Mapper) -> None:
    def account(*links: Link) -> str | None:
        (row,) = [row for row in _deal(hubspot, {"companies": links}).rows if isinstance(row, Opportunity)]
        return row.account

    assert account(Link("1"), Link("2", ("Primary",))) == "2"
    assert account(Link("1"), Link("1", ("Primary",))) == "1"
    assert account(Link("7")) == "7"
    assert account(Link("1"), Link("2")) is None
    assert account() is None


def test_history_is_one_change_a_version(hubspot: Mapper) -> None:
    at = datetime(2026, 10, 20, 14, 11, 3, 412000, UTC)
    history = {
        "dealstage": (Version("qualifiedtobuy", at.replace(day=5)), Version("presentationscheduled", at, "1000001")),
        "closedate": (Version("2027-01-01T03:30:00Z", at), Version("", at.replace(day=21)), Version("garbage", at.replace(day=22))),
        "amount": (Version("5000.00", at),),
        "hubspot_owner_id": (Version("51000001", at),),
        "pipeline": (Version("default", at),),
        "hs_arr": (Version("1", at),),
    }
    rows = [row for row in _deal(hubspot, history=history).rows if isinstance(row, Change)]
    assert rows == [
        Change("dealstage@2026-10-05T14:11:03.412Z", DEAL, "stage", "qualifiedtobuy", at.replace(day=5)),
        Change("dealstage@2026-10-20T14:11:03.412Z", DEAL, "stage", "presentationscheduled", at, "1000001"),
        Change("closedate@2026-10-20T14:11:03.412Z", DEAL, "closes_on", "2026-12-31", at),
        Change("closedate@2026-10-21T14:11:03.412Z", DEAL, "closes_on", None, at.replace(day=21)),
        Change("closedate@2026-10-22T14:11:03.412Z", DEAL, "closes_on", None, at.replace(day=22)),
        Change("amount@2026-10-20T14:11:03.412Z", DEAL, "amount", "5000", at),
        Change("hubspot_owner_id@2026-10-20T14:11:03.412Z", DEAL, "owner", "51000001", at),
        Change("pipeline@2026-10-20T14:11:03.412Z", DEAL, "pipeline", "default", at),
    ]


def test_gates(hubspot: Mapper) -> None:
    mapped = _deal(hubspot, vac_required="no", sec_q_sent="2026-06-01", security_status="waiting", connects_to_network="true", budget_approved="")
    gates = {row.gate: row for row in mapped.rows if isinstance(row, GateEvidence)}
    assert gates["vac"].required == "not_required"
    assert gates["security"] == GateEvidence(DEAL, "security", date(2026, 6, 1), None, "tabled", "required", "fields", "waiting")
    assert gates["budget"] == GateEvidence(DEAL, "budget", dated_by="observation")


def test_contacts_on_the_deal_by_label_once_each(hubspot: Mapper) -> None:
    links = (Link("9", ("Clinical champion",)), Link("9", ("Blocker",)), Link("8"), Link("7", ("vac chair", "Somebody")))
    mapped = _deal(hubspot, {"contacts": links})
    roles = [row for row in mapped.rows if isinstance(row, ContactRole)]
    assert roles == [
        ContactRole(DEAL, "9", "Clinical champion; Blocker", "surgeon_champion", "blocker"),
        ContactRole(DEAL, "8"),
        ContactRole(DEAL, "7", "vac chair; Somebody", "value_analysis"),
    ]
    assert mapped.replaces == (Replace("contact_roles", "opportunity", DEAL),)
    assert hubspot.map("contact_roles", Record(DEAL, {}, links={"contacts": links})) == Mapped(tuple(roles), mapped.replaces)


def test_an_empty_set_empties_and_an_unread_one_changes_nothing(hubspot: Mapper) -> None:
    assert hubspot.map("contact_roles", Record(DEAL, {}, links={"contacts": ()})) == Mapped(replaces=(Replace("contact_roles", "opportunity", DEAL),))
    assert hubspot.map("contact_roles", Record(DEAL, {})) == Mapped()
    assert _deal(hubspot).replaces == ()


def test_contacts(hubspot: Mapper) -> None:
    values: dict[str, Value] = {"jobtitle": "Chief Nursing Officer", "hs_buying_role": "CHAMPION;BUDGET_HOLDER", "is_kol": "false"}
    record = Record("9", values, links={"companies": (Link("5", ("Primary",)),)})
    assert hubspot.map("contacts", record).rows == (Contact("9", "5", "Chief Nursing Officer", "cfo", "champion", False),)
    bare = Record("9", {"jobtitle": "", "hs_buying_role": None, "is_kol": ""})
    assert hubspot.map("contacts", bare).rows == (Contact("9"),)


def test_accounts_and_owners(hubspot: Mapper) -> None:
    values = {"name": "Mercy", "facility_type": "idn", "sales_territory": "EMEA", "sales_region": "EU"}
    assert hubspot.map("accounts", Record("5", values)).rows == (Account("5", "Mercy", "health_system", "EMEA", "EU"),)
    assert hubspot.map("owners", Record("51", {"firstName": "Ada", "lastName": "Lee", "archived": False})).rows == (Owner("51", "Ada Lee"),)
    assert hubspot.map("owners", Record("52", {"firstName": None, "lastName": "Lee"}, deleted=True)).rows == (Owner("52", "Lee", active=False),)


def test_merged_deals_leave_a_tombstone(hubspot: Mapper) -> None:
    record = Record("1", {}, deleted=True, merged_into="3")
    assert hubspot.map("opportunities", record) == Mapped(tombstones=(Tombstone("opportunities", "1", "3"),))


# -- engagements ----------------------------------------------------------------------------------------------------------


def _engagement(mapper: Mapper, stream: str, links: dict[str, tuple[Link, ...]] | None = None, **values: Value) -> tuple[Activity, ...]:
    base: dict[str, Value] = {"hs_timestamp": "2026-11-18T15:00:00Z", "hubspot_owner_id": "51000001", "hs_created_by_user_id": "71200001"}
    mapped = mapper.map(stream, Record("40000000001", base | values, links={"deals": (Link(DEAL),)} if links is None else links))
    assert mapped.replaces == (Replace("activities", "id", f"{stream}:40000000001"),)
    return tuple(row for row in mapped.rows if isinstance(row, Activity))


def test_a_meeting_on_two_deals_is_two_rows_of_one_id(hubspot: Mapper) -> None:
    links = {"deals": (Link("1"), Link("2"), Link("1", ("x",))), "contacts": (Link("10"), Link("9")), "companies": (Link("5", ("Primary",)),)}
    rows = _engagement(
        hubspot, "meetings", links, hs_meeting_start_time="2026-11-19T01:00:00.036Z", hs_meeting_outcome="COMPLETED", hs_activity_type="Demo",
        hs_meeting_title="<p>Secret</p>",
    )  # fmt: skip
    assert [row.opportunity for row in rows] == ["1", "2"]
    assert {row.id for row in rows} == {"meetings:40000000001"}
    assert rows[0] == Activity(
        "meetings:40000000001", "1", "meeting", None, "demo", datetime(2026, 11, 19, 1, 0, 0, 36000, UTC), date(2026, 11, 18), "51000001", "9", "5",
        "held", "71200001",
    )  # fmt: skip
    assert "Secret" not in repr(rows)


def test_an_engagement_without_a_deal_is_kept_for_its_account(hubspot: Mapper) -> None:
    (row,) = _engagement(hubspot, "meetings", {"companies": (Link("5"),)})
    assert (row.opportunity, row.account) == (None, "5")


@pytest.mark.parametrize(
    ("stream", "values", "kind", "direction", "outcome"),
    [
        ("calls", {"hs_call_direction": "INBOUND", "hs_call_disposition": "f240bbac-87c9-4f6e-bf70-924b57d47db7"}, "call", "inbound", "connected"),
        (
            "calls",
            {"hs_call_direction": "OUTBOUND", "hs_call_disposition": "73a0d17f-1163-4015-bdd5-ec830791da20"},
            "call",
            "outbound",
            "not_connected",
        ),
        ("calls", {"hs_call_direction": "", "hs_call_disposition": None}, "call", None, None),
        ("emails", {"hs_email_direction": "INCOMING_EMAIL"}, "email", "inbound", None),
        ("emails", {"hs_email_direction": "EMAIL"}, "email", "outbound", None),
        ("meetings", {"hs_meeting_outcome": "SCHEDULED"}, "meeting", None, "unknown"),
        ("meetings", {"hs_meeting_outcome": "NO_SHOW"}, "meeting", None, "no_show"),
        ("meetings", {"hs_meeting_outcome": "SOMETHING"}, "meeting", None, "unknown"),
        ("meetings", {"hs_meeting_outcome": ""}, "meeting", None, None),
    ],
)
def test_kinds_directions_and_outcomes(
    hubspot: Mapper, stream: str, values: dict[str, Value], kind: str, direction: str | None, outcome: str | None
) -> None:
    (row,) = _engagement(hubspot, stream, **values)
    assert (row.kind, row.direction, row.outcome) == (kind, direction, outcome)


def test_tasks(hubspot: Mapper) -> None:
    (row,) = _engagement(hubspot, "tasks", hs_task_status="NOT_STARTED", hs_task_subject="Follow-up on the evaluation")
    assert (row.kind, row.at, row.on, row.due_on, row.completed_on, row.topic) == (
        "task", None, date(2026, 11, 18), date(2026, 11, 18), None, "follow_up",
    )  # fmt: skip
    (row,) = _engagement(hubspot, "tasks", hs_task_status="COMPLETED", hs_task_completion_date="2026-11-21T02:00:00Z")
    assert (row.on, row.due_on, row.completed_on) == (date(2026, 11, 20), date(2026, 11, 18), date(2026, 11, 20))
    (row,) = _engagement(hubspot, "tasks", hs_task_status="DEFERRED", hs_task_completion_date="2026-11-21T02:00:00Z")
    assert row.completed_on is None


def test_ids_of_two_types_never_meet(hubspot: Mapper) -> None:
    (call,), (mail,) = _engagement(hubspot, "calls"), _engagement(hubspot, "emails")
    assert call.id != mail.id
    assert hubspot.map("calls", Record("40000000001", {}, deleted=True)) == Mapped(tombstones=(Tombstone("activities", "calls:40000000001"),))
