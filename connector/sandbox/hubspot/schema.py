"""Object types and properties of the portal, as tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from connector.sandbox.events import LEAD_SOURCES, PRODUCTS
from connector.sandbox.hubspot import schema_stock

Options = tuple[tuple[str, str], ...]
"""(value, label) pairs in order."""


@dataclass(frozen=True, slots=True)
class ObjectType:
    """``created`` and ``modified`` name the stamps, which differ by object; ``defaults`` come unasked when no properties are named."""

    name: str
    singular: str
    type_id: str
    created: str
    modified: str
    first_id: int
    defaults: tuple[str, ...] = ()
    labels: tuple[str, str] = ("", "")  # singular, plural
    scope: str = "contacts"
    stages: tuple[str, str] | None = None  # properties that hold the pipeline and the stage

    def needs(self, what: str) -> str:
        """The scope that reading (``read``) or writing (``write``) records takes."""
        return "tickets" if self.name == "tickets" else f"crm.objects.{self.scope}.{what}"

    def schema_needs(self, what: str) -> str:
        """The scope that reading or writing properties and pipelines takes."""
        return "tickets" if self.name == "tickets" else f"crm.schemas.{self.scope}.{what}"


TYPES: dict[str, ObjectType] = {
    kind.name: kind
    for kind in (
        ObjectType("deals", "deal", "0-3", "createdate", "hs_lastmodifieddate", 30_000_000_001,
                   ("amount", "closedate", "dealname", "dealstage", "pipeline"), ("Deal", "Deals"), "deals", ("pipeline", "dealstage")),
        ObjectType("contacts", "contact", "0-1", "createdate", "lastmodifieddate", 20_000_000_001,
                   ("email", "firstname", "lastname"), ("Contact", "Contacts")),
        ObjectType("companies", "company", "0-2", "createdate", "hs_lastmodifieddate", 10_000_000_001,
                   ("domain", "name"), ("Company", "Companies"), "companies"),
        # Ids are unique within a type only: the activities start from one number on purpose.
        ObjectType("calls", "call", "0-48", "hs_createdate", "hs_lastmodifieddate", 40_000_000_001, labels=("Call", "Calls")),
        ObjectType("emails", "email", "0-49", "hs_createdate", "hs_lastmodifieddate", 40_000_000_001, labels=("Email", "Emails")),
        ObjectType("meetings", "meeting", "0-47", "hs_createdate", "hs_lastmodifieddate", 40_000_000_001, labels=("Meeting", "Meetings")),
        ObjectType("tasks", "task", "0-27", "hs_createdate", "hs_lastmodifieddate", 40_000_000_001, labels=("Task", "Tasks")),
        ObjectType("notes", "note", "0-46", "hs_createdate", "hs_lastmodifieddate", 40_000_000_001, labels=("Note", "Notes")),
        ObjectType("communications", "communication", "0-18", "hs_createdate", "hs_lastmodifieddate", 40_000_000_001,
                   labels=("Communication", "Communications")),
        ObjectType("tickets", "ticket", "0-5", "createdate", "hs_lastmodifieddate", 50_000_000_001,
                   ("content", "hs_pipeline", "hs_pipeline_stage", "hs_ticket_category", "hs_ticket_priority", "subject"),
                   ("Ticket", "Tickets"), "tickets", ("hs_pipeline", "hs_pipeline_stage")),
        ObjectType("leads", "lead", "0-136", "hs_createdate", "hs_lastmodifieddate", 60_000_000_001,
                   (), ("Lead", "Leads"), "leads", ("hs_pipeline", "hs_pipeline_stage")),
        ObjectType("products", "product", "0-7", "createdate", "hs_lastmodifieddate", 70_000_000_001,
                   ("description", "name", "price"), ("Product", "Products"), "products"),
        *(ObjectType(name, singular, type_id, "hs_createdate", "hs_lastmodifieddate", 80_000_000_001, (), labels)  # empty in this portal
          for name, singular, type_id, labels in (
              ("line_items", "line_item", "0-8", ("Line item", "Line items")), ("quotes", "quote", "0-14", ("Quote", "Quotes")),
              ("feedback_submissions", "feedback_submission", "0-19", ("Feedback submission", "Feedback submissions")),
              ("goal_targets", "goal_target", "0-74", ("Goal", "Goals")), ("postal_mail", "postal_mail", "0-116", ("Postal mail", "Postal mail")),
          )),
    )
}  # fmt: skip


def object_type(word: str) -> ObjectType | None:
    """The type that a path means: name or singular in any case, or the type id."""
    word = word.lower()
    return next((kind for kind in TYPES.values() if word in (kind.name, kind.singular, kind.type_id)), None)


@dataclass(frozen=True, slots=True)
class Property:
    """One property definition. ``native``: HubSpot's own. ``external``: its options live elsewhere (stages, owners)."""

    name: str
    label: str
    type: str  # string | number | date | datetime | bool | enumeration
    field_type: str
    group: str
    options: Options = ()
    external: bool = False
    read_only: bool = False
    calculated: bool = False
    native: bool = True
    hidden: bool = False
    sensitivity: str = "non_sensitive"
    description: str = ""
    display_order: int = -1
    form_field: bool = False
    unique: bool = False
    formula: str | None = None
    created: str = "2025-01-10T09:00:00.000Z"
    updated: str = "2026-11-01T09:00:00.000Z"
    hidden_options: frozenset[str] = frozenset()
    number_hint: str | None = None  # numberDisplayHint: formatted, unformatted, currency, percentage, duration, probability
    currency_symbol: bool = False

    def wire(self) -> dict[str, object]:
        """The definition as the properties API shows it. Keys vary: HubSpot's own lack ``archived`` and ``createdUserId``."""
        shown: dict[str, object] = {
            "updatedAt": self.updated, "createdAt": self.created, "name": self.name, "label": self.label,
            "type": self.type, "fieldType": self.field_type, "description": self.description, "groupName": self.group,
            "options": [
                {"label": label, "value": value, "displayOrder": n, "hidden": value in self.hidden_options}
                for n, (value, label) in enumerate(self.options)
            ],
            "displayOrder": self.display_order, "calculated": self.calculated, "externalOptions": self.external,
            "hasUniqueValue": self.unique, "hidden": self.hidden,
            "modificationMetadata": {"archivable": not self.native, "readOnlyDefinition": self.native, "readOnlyValue": self.read_only},
            "formField": self.form_field, "dataSensitivity": self.sensitivity,
        }  # fmt: skip
        if self.formula is not None:
            shown["calculationFormula"] = self.formula
        if self.number_hint is not None:
            shown["numberDisplayHint"] = self.number_hint
        if self.currency_symbol:
            shown["showCurrencySymbol"] = True
        if self.native:
            shown["hubspotDefined"] = True
        else:
            shown |= {"archived": False, "createdUserId": "1000001", "updatedUserId": "1000001"}
        return shown


FIELD_TYPES = {"string": "text", "number": "number", "date": "date", "datetime": "date", "bool": "booleancheckbox", "enumeration": "select"}
_YES_NO: Options = (("true", "Yes"), ("false", "No"))


def _words(text: str) -> Options:
    """``"a=Label a, b=Label b"``; without ``=`` the value is its own label."""
    pairs = (part.strip().partition("=") for part in text.split(",")) if text else ()
    return tuple((value, label or value) for value, _, label in pairs)


def _own(name: str, label: str, kind: str, options: str = "", *, group: str = "dealinformation", field_type: str | None = None) -> Property:
    """A property that the portal's admin made."""
    choices = _YES_NO if kind == "bool" else _words(options)
    return Property(name, label, kind, field_type or FIELD_TYPES[kind], group, choices, native=False)


def _hub(name: str, label: str, kind: str, options: str = "", *, group: str, read_only: bool = False,
         field_type: str | None = None, external: bool = False) -> Property:  # fmt: skip
    """A property of HubSpot's own. Its roll-ups and timers say ``calculated: false`` all the same: only ``fieldType`` tells."""
    choices = _YES_NO if kind == "bool" else _words(options)
    return Property(name, label, kind, field_type or FIELD_TYPES[kind], group, choices, external=external, read_only=read_only)


def _stamps(kind: ObjectType, group: str) -> tuple[Property, ...]:
    return (
        _hub(kind.created, "Create date", "datetime", group=group, read_only=kind.created == "hs_createdate"),
        _hub(kind.modified, "Last modified date", "datetime", group=group, read_only=True),
        _hub("hs_object_id", "Record ID", "number", group=group, read_only=True),
        _hub("hs_merged_object_ids", "Merged record IDs", "enumeration", group=group, read_only=True, field_type="checkbox", external=True),
        _hub("hubspot_owner_id", "Owner", "enumeration", group=group, external=True),
    )


_KPI_STAGES = (
    "lead=Lead, qualified_meeting=Qualified meeting, demo=Demo, clinical_validation=Clinical validation, pilot=Pilot, "
    "security_review=Security review, compliance_legal=Compliance and legal, vac=VAC review, procurement=Procurement, "
    "contracting=Contracting, verbal=Verbal / LOI, closed_won=Closed won, closed_lost=Closed lost, closed_no_decision=No decision, "
    "closed_void=Void, on_hold=On hold, go_live=Go-live, adoption=Adoption, expansion_renewal=Expansion / renewal"
)


def _scorecard() -> tuple[Property, ...]:
    rows = (
        ("kpi_stage", "Canonical stage", "enumeration", _KPI_STAGES),
        ("kpi_stage_entered_on", "In stage since", "date", ""), ("kpi_stage_benchmark_days", "Usual days", "number", ""),
        ("kpi_pace", "Pace", "enumeration", "on_pace=On pace, slow=Slow, stuck=Stuck"), ("kpi_open_gates", "Open gates", "string", ""),
        ("kpi_gate_progress", "Gate progress", "number", ""), ("kpi_compliance_since", "In compliance since", "date", ""),
        ("kpi_secq_received_on", "Questionnaire received", "date", ""), ("kpi_pilot_limit_on", "Pilot limit", "date", ""),
        ("kpi_personas", "Buyers engaged", "string", ""), ("kpi_personas_missing", "Buyers missing", "string", ""),
        ("kpi_last_buyer_activity", "Last buyer activity", "date", ""), ("kpi_touch_density", "Touches / 30 d", "number", ""),
        ("kpi_regressions", "Times moved back", "number", ""), ("kpi_close_pushes", "Close date pushes", "number", ""),
        ("kpi_stale_reason", "Stale reason", "string", ""), ("kpi_win_chance", "Win chance from here", "number", ""),
        ("kpi_win_chance_n", "Win chance: deals behind it", "number", ""), ("kpi_data_gaps", "Missing data", "string", ""),
        ("kpi_blended_arr", "Blended ARR (company currency)", "number", ""), ("kpi_updated_at", "Updated", "datetime", ""),
        ("kpi_definition", "Definition", "string", ""),
    )  # fmt: skip
    return tuple(_own(name, label, kind, options, group="kpi_scorecard") for name, label, kind, options in rows)


def _deal_facts() -> tuple[Property, ...]:
    """What the medical-device company added to its deals."""
    dates = (
        ("loi_signed", "LOI signed"), ("sec_q_sent", "Security questionnaire received"), ("sec_q_done", "Security questionnaire returned"),
        ("evaluation_start", "Evaluation start"), ("evaluation_end", "Evaluation end"), ("contract_docs_sent", "Contract documents sent"),
        ("contract_signed", "Contract signed"), ("vac_submitted", "VAC submitted"), ("vac_decision", "VAC decision"),
        ("first_case_date", "First case"), ("go_live_date", "Go-live"), ("proposal_sent_date", "Proposal sent"), ("first_order_date", "First order"),
    )  # fmt: skip
    flags = (("connects_to_network", "Connects to the network"), ("budget_approved", "Budget approved"),
             ("standard_terms", "Standard terms"), ("baa_flag", "BAA signed"))  # fmt: skip
    return (
        *(_own(name, label, "date") for name, label in dates),
        *(_own(name, label, "bool") for name, label in flags),
        _own("capital_amount", "Capital portion", "number"),
        _own("primary_product", "Primary product", "enumeration", ", ".join(PRODUCTS)),
        _own("evaluation_outcome", "Evaluation outcome", "enumeration", "success=Success, failure=Failure", field_type="radio"),
        _own("vac_required", "VAC needed", "enumeration", "yes=Yes, no=No", field_type="radio"),
        _own("vac_status", "VAC status", "enumeration", "approved=Approved, denied=Denied, tabled=Tabled"),
        _own("security_status", "Security status", "enumeration", "passed=Passed, failed=Failed, waiting=Waiting"),
        _own("gpo_status", "GPO status", "enumeration", "on_contract=On contract, off_contract=Off contract"),
    )


def _deals() -> tuple[Property, ...]:
    group = "dealinformation"
    calculated = (
        ("hs_deal_stage_probability", "Deal probability", "number", "number"), ("hs_is_closed", "Is closed", "bool", "calculation_equation"),
        ("hs_is_closed_won", "Is closed won", "bool", "calculation_equation"),
        ("hs_is_closed_lost", "Is closed lost", "bool", "calculation_equation"),
        ("amount_in_home_currency", "Amount in company currency", "number", "number"), ("hs_exchange_rate", "Exchange rate", "number", "number"),
        ("hs_projected_amount", "Weighted amount", "number", "calculation_equation"),
        ("hs_projected_amount_in_home_currency", "Weighted amount in company currency", "number", "calculation_equation"),
        ("days_to_close", "Days to close", "number", "calculation_equation"),
        ("num_associated_contacts", "Number of associated contacts", "number", "calculation_rollup"),
        ("hs_v2_date_entered_current_stage", "Date entered current stage", "datetime", "calculation_read_time"),
        ("hs_v2_time_in_current_stage", "Time in current stage", "datetime", "calculation_read_time"),
    )  # fmt: skip
    return (
        *_stamps(TYPES["deals"], group),
        _hub("dealname", "Deal name", "string", group=group), _hub("amount", "Amount", "number", group=group),
        _hub("closedate", "Close date", "datetime", group=group),
        _hub("dealstage", "Deal stage", "enumeration", group=group, external=True, field_type="radio"),
        _hub("pipeline", "Pipeline", "enumeration", group=group, external=True),
        _hub("deal_currency_code", "Currency", "enumeration", "USD, EUR", group=group),
        _hub("dealtype", "Deal type", "enumeration", "newbusiness=New business, existingbusiness=Existing business, renewal=Renewal",
             group=group, field_type="radio"),
        _hub("hs_next_step", "Next step", "string", group=group), _hub("hs_arr", "ARR", "number", group=group),
        _hub("hs_analytics_source", "Original source", "enumeration", ", ".join(f"{key}={key.replace('_', ' ')}" for key in LEAD_SOURCES),
             group="analyticsinformation", read_only=True),
        *(_hub(name, label, kind, group=group, read_only=True, field_type=field_type) for name, label, kind, field_type in calculated),
        *_deal_facts(),
        *_scorecard(),
    )  # fmt: skip


_BUYING = ("BLOCKER=Blocker, BUDGET_HOLDER=Budget holder, CHAMPION=Champion, DECISION_MAKER=Decision maker, END_USER=End user, "
           "EXECUTIVE_SPONSOR=Executive sponsor, INFLUENCER=Influencer, LEGAL_AND_COMPLIANCE=Legal and compliance, OTHER=Other")  # fmt: skip
_ACTIVITY_TYPES = "First meeting, Demo, Evaluation visit, HCP presentation, Workshop, Follow-up"


def _contacts() -> tuple[Property, ...]:
    group = "contactinformation"
    return (
        *_stamps(TYPES["contacts"], group),
        *(_hub(name, label, "string", group=group) for name, label in
          (("email", "Email"), ("firstname", "First name"), ("lastname", "Last name"), ("jobtitle", "Job title"))),
        _hub("hs_buying_role", "Buying role", "enumeration", _BUYING, group=group, field_type="checkbox"),
        _own("is_kol", "Key opinion leader", "bool", group=group),
    )  # fmt: skip


def _companies() -> tuple[Property, ...]:
    group = "companyinformation"
    return (
        *_stamps(TYPES["companies"], group),
        _hub("name", "Company name", "string", group=group), _hub("domain", "Company domain name", "string", group=group),
        _own("facility_type", "Facility type", "enumeration",
             "asc=Surgery centre, clinic=Clinic, hospital=Hospital, university_hospital=University hospital, idn=Health system", group=group),
        _own("sales_territory", "Sales territory", "enumeration", "East, West, Central, EMEA", group=group),
        _own("sales_region", "Sales region", "enumeration", "US, EU", group=group),
    )  # fmt: skip


def _activity(kind: str, *rows: tuple[str, str, str, str]) -> tuple[Property, ...]:
    group = "engagement"
    return (
        *_stamps(TYPES[kind], group),
        _hub("hs_timestamp", "Activity date", "datetime", group=group),
        _hub("hs_created_by_user_id", "Created by user ID", "number", group=group, read_only=True),
        *(_hub(name, label, type_, options, group=group) for name, label, type_, options in rows),
    )


def properties() -> dict[str, dict[str, Property]]:
    """Object type → property name → definition, as seeded. Stage timers are added by the portal, one set a stage."""
    return {kind: dict(table) for kind, table in _seeded().items()}


@cache
def _seeded() -> dict[str, dict[str, Property]]:
    stock = schema_stock.tables()
    tables = {
        "deals": _deals(),
        "contacts": _contacts(),
        "companies": _companies(),
        "calls": _activity(
            "calls", ("hs_call_title", "Call title", "string", ""), ("hs_call_direction", "Call direction", "enumeration", "INBOUND, OUTBOUND"),
            ("hs_call_status", "Call status", "enumeration", "COMPLETED, NO_ANSWER, BUSY, CANCELED, FAILED"),
            ("hs_call_duration", "Call duration", "number", ""), ("hs_call_disposition", "Call outcome", "string", ""),
            ("hs_activity_type", "Call and meeting type", "enumeration", _ACTIVITY_TYPES)),
        "emails": _activity(
            "emails", ("hs_email_subject", "Email subject", "string", ""),
            ("hs_email_direction", "Email direction", "enumeration", "EMAIL, INCOMING_EMAIL, FORWARDED_EMAIL"),
            ("hs_email_status", "Email send status", "enumeration", "SENT, BOUNCED, FAILED, SCHEDULED, SENDING")),
        "meetings": _activity(
            "meetings", ("hs_meeting_title", "Meeting name", "string", ""), ("hs_meeting_start_time", "Meeting start time", "datetime", ""),
            ("hs_meeting_end_time", "Meeting end time", "datetime", ""),
            ("hs_meeting_outcome", "Meeting outcome", "enumeration", "SCHEDULED, COMPLETED, RESCHEDULED, NO_SHOW, CANCELED"),
            ("hs_activity_type", "Call and meeting type", "enumeration", _ACTIVITY_TYPES)),
        "tasks": _activity(
            "tasks", ("hs_task_subject", "Task title", "string", ""),
            ("hs_task_status", "Task status", "enumeration", "NOT_STARTED, IN_PROGRESS, WAITING, COMPLETED, DEFERRED"),
            ("hs_task_type", "Task type", "enumeration", "TODO, CALL, EMAIL"),
            ("hs_task_priority", "Priority", "enumeration", "NONE, LOW, MEDIUM, HIGH"),
            ("hs_task_completion_date", "Completed at", "datetime", ""), ("hs_task_is_completed", "Is completed", "number", "")),
        "notes": _activity("notes"),
        "communications": _activity("communications"),
        "tickets": _stamps(TYPES["tickets"], "ticketinformation"),
        "leads": _stamps(TYPES["leads"], "leadinformation"),
        "products": _stamps(TYPES["products"], "productinformation"),
    }  # fmt: skip
    unused = {kind: _stamps(made, "hubspot") for kind, made in TYPES.items() if kind not in tables}
    return {kind: {prop.name: prop for prop in (*table, *stock_of(kind, stock))} for kind, table in (tables | unused).items()}


def stock_of(kind: str, rows: dict[str, str]) -> list[Property]:
    """Properties of HubSpot's own from a text table: ``name type [fieldType][!] | label | options``; ``!``: read-only."""
    made = []
    for line in rows.get(kind, "").strip().splitlines():
        head, label, options = (part.strip() for part in f"{line}||".split("|")[:3])
        name, type_, *rest = head.split()
        read_only, field_type = bool(rest) and rest[0].endswith("!"), rest[0].rstrip("!") if rest else None
        made.append(_hub(name, label, type_, options, group="hubspot", read_only=read_only, field_type=field_type or None,
                         external=type_ == "enumeration" and not options))  # fmt: skip
    return made
