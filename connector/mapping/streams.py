"""Which streams a mapping asks for, and exactly which fields of each: the mapped ones and a few fixed keys, never a denied one."""

from __future__ import annotations

from collections.abc import Iterable

from connector.crms.base import Grain, StreamSpec
from connector.mapping import names
from connector.mapping.places import OURS, places
from connector.mapping.schema import CrmMapping
from connector.mapping.uses import MAIL, FieldUse, allowed, field_uses, is_denied

Uses = tuple[FieldUse, ...]
"""All that a mapping names."""

RECORD_TYPE = "RecordType.DeveloperName"
HISTORY = {"dealstage": "stage", "pipeline": "pipeline", "closedate": "closes_on", "amount": "amount", "hubspot_owner_id": "owner"}
"""HubSpot property → field of the change log. Stage and pipeline are always read, the others if mapped."""
HISTORY_COLUMNS = {"StageName": "stage", "Amount": "amount", "CloseDate": "closes_on"}
"""The same of a row of OpportunityHistory."""

TASK_KEYS = ("WhatId", "WhoId", "AccountId", "OwnerId", "CreatedById", "Status", "IsClosed", "TaskSubtype", "ActivityDate", "CompletedDateTime",
             "IsRecurrence")  # fmt: skip
EVENT_KEYS = ("WhatId", "WhoId", "AccountId", "OwnerId", "CreatedById", "ActivityDate", "StartDateTime", "IsAllDayEvent", "IsChild", "IsRecurrence")
MAIL_KEYS = ("RelatedToId", "MessageDate", "Incoming", "Status", "CreatedById", "ActivityId")
ENGAGEMENT_KEYS = ("hs_timestamp", "hubspot_owner_id", "hs_created_by_user_id")
SUBJECT = {"Task": "Subject", "Event": "Subject", "calls": "hs_call_title", "emails": "hs_email_subject", "meetings": "hs_meeting_title",
           "tasks": "hs_task_subject"}  # fmt: skip
"""Read only if a rule asks for words of the subject; classified in memory, never kept."""


def streams(mapping: CrmMapping) -> tuple[StreamSpec, ...]:
    """Parents before children: owners, accounts, contacts, opportunities, stage_history, contact_roles, activities, mapped sections, and what is
    ours."""
    uses = field_uses(mapping)
    of_crm = _salesforce(mapping, uses) if mapping.crm == "salesforce" else _hubspot(mapping, uses)
    made = (*of_crm, *_sections(mapping), *_of_objects_of_ours(mapping))
    return tuple(_without_denied(mapping, uses, spec) for spec in made)


def input_fields(mapping: CrmMapping, specs: Iterable[StreamSpec]) -> tuple[str, ...]:
    """Fields of a deal that a scorecard is computed from and that can be read again by id: neither ours nor a parent's. ``specs``: the streams."""
    spec, ours = next(s for s in specs if s.name == "opportunities"), _ours(mapping, "opportunity")
    return tuple(f for f in spec.fields if "." not in f and f not in ours)


def _ours(mapping: CrmMapping, grain: Grain) -> tuple[str, ...]:
    """The fields that the connector writes at a grain, to see what the CRM holds of them."""
    place = places(mapping).get(grain)
    return () if place is None else place.read


def has_people(mapping: CrmMapping) -> bool:
    """Contacts are read only where somebody wants personas, or writes to them."""
    people = mapping.personas
    if any(mapping.scorecard.contact.values()):
        return True
    return bool(people.roles or people.labels or people.titles or people.contact_field or people.buying_role or people.kol or people.lookups)


def _unique(fields: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(fields))


def _without_denied(mapping: CrmMapping, uses: Uses, spec: StreamSpec) -> StreamSpec:
    """The last gate: whatever led to a name, a denied one is not asked for."""

    def keep(fields: Iterable[str]) -> tuple[str, ...]:
        return _unique(f for f in fields if not is_denied(mapping, spec.object, f.rpartition(".")[2]))

    fields = keep(spec.fields)
    return StreamSpec(spec.name, spec.object, fields, keep(spec.history), spec.links, spec.presence, _refreshed(uses, spec.object, fields))


def _refreshed(uses: Uses, object: str, fields: Iterable[str]) -> tuple[str, ...]:
    """Those of the fields that the mapping wants read again daily."""
    daily = {use.field for use in uses if use.object == object and use.source is not None and use.source.refresh == "daily"}
    return tuple(f for f in fields if f in daily)


def _mapped(mapping: CrmMapping, uses: Uses, object: str) -> tuple[str, ...]:
    """Mapped inputs of one object that may be read, but for those of sections: a contact that is a lead is read twice, each time for its own."""
    own = (use for use in uses if use.object == object and use.path[0] not in names.SECTION_FIELDS)
    return _unique(use.field for use in own if use.role == "input" and not use.presence and allowed(mapping, use))


def _presence(uses: Uses, object: str) -> tuple[str, ...]:
    return _unique(use.field for use in uses if use.object == object and use.presence)


def _subject(mapping: CrmMapping, object: str) -> tuple[str, ...]:
    wanted = any(rule.subject_any and (not rule.objects or object in rule.objects) for rule in mapping.activities.rules)
    return (SUBJECT[object],) if wanted else ()


def _salesforce(mapping: CrmMapping, uses: Uses) -> Iterable[StreamSpec]:
    deal = mapping.opportunities.object
    record_type = () if set(mapping.opportunities.pipelines) == {"Master"} else (RECORD_TYPE,)
    inputs = _mapped(mapping, uses, deal)
    yield StreamSpec("owners", "User", _unique(("Name", "IsActive", *_mapped(mapping, uses, "User"))))
    yield StreamSpec("accounts", "Account", ("Name", *_mapped(mapping, uses, "Account"), *_ours(mapping, "account")))
    if has_people(mapping):
        yield StreamSpec("contacts", "Contact", ("AccountId", "Title", *_mapped(mapping, uses, "Contact"), *_ours(mapping, "contact")))
    deal_fields = ("StageName", *record_type, *inputs, *_ours(mapping, "opportunity"))
    yield StreamSpec("opportunities", deal, deal_fields, history=_gate_history(mapping), presence=_presence(uses, deal))
    columns = [c for c in HISTORY_COLUMNS if c == "StageName" or c in inputs]
    yield StreamSpec("stage_history", "OpportunityHistory", ("OpportunityId", *columns, "CreatedDate", "CreatedById"))
    if has_people(mapping):
        yield StreamSpec("contact_roles", "OpportunityContactRole", ("OpportunityId", "ContactId", "Role", "IsPrimary", "CreatedDate"))
    for object, name, keys in (("Task", "tasks", TASK_KEYS), ("Event", "events", EVENT_KEYS)):
        if object in mapping.activities.objects:
            yield StreamSpec(name, object, (*keys, *_mapped(mapping, uses, object), *_subject(mapping, object)))
    if MAIL in mapping.activities.objects:
        yield StreamSpec("emails", MAIL, (*MAIL_KEYS, *_mapped(mapping, uses, MAIL)))


def _gate_history(mapping: CrmMapping) -> tuple[str, ...]:
    """Results of gates that have no date of their own: where the org tracks them, their history does."""
    return _unique(g.result.field for g in mapping.gates.values() if g.dated_by == "observation" and g.result is not None and g.result.from_)


def _sections(mapping: CrmMapping) -> Iterable[StreamSpec]:
    """Leads, tickets and line items, where they are mapped. Of a line item always the deal it is on, and whatever its parents tell."""
    for name, section in mapping.sections.items():
        fixed = ("OpportunityId",) if name == "line_items" else ()
        sources = section.fields.values()
        asked = tuple(s.from_ for s in sources if s.from_ is not None and not is_denied(mapping, s.parent or section.object, s.field))
        links = _unique(s.association for s in sources if s.association is not None)
        yield StreamSpec(name, section.object, (*fixed, *asked), links=links)


def _of_objects_of_ours(mapping: CrmMapping) -> Iterable[StreamSpec]:
    """Rows that the connector made, so that it sees what became of them."""
    for place in places(mapping).values():
        if place.grain in OURS:
            yield StreamSpec(place.stream, place.object, place.read)


def _hubspot(mapping: CrmMapping, uses: Uses) -> Iterable[StreamSpec]:
    deal = mapping.opportunities.object
    inputs = _mapped(mapping, uses, deal)
    people = has_people(mapping)
    yield StreamSpec("owners", "owners", _unique(("firstName", "lastName", "archived", *_mapped(mapping, uses, "owners"))))
    yield StreamSpec("accounts", "companies", ("name", *_mapped(mapping, uses, "companies"), *_ours(mapping, "account")))
    if people:
        told = ("jobtitle", *_mapped(mapping, uses, "contacts"), *_ours(mapping, "contact"))
        yield StreamSpec("contacts", "contacts", told, links=("companies",))
    yield StreamSpec(
        "opportunities", deal, ("dealstage", "pipeline", *inputs, *_ours(mapping, "opportunity")),
        history=tuple(p for p in HISTORY if p in ("dealstage", "pipeline") or p in inputs),
        links=("companies", "contacts") if people else ("companies",), presence=_presence(uses, deal),
    )  # fmt: skip
    if people:
        yield StreamSpec("contact_roles", deal, links=("contacts",))
    extra = {"meetings": ("hs_meeting_start_time",), "tasks": ("hs_task_status", "hs_task_completion_date")}
    for object in names.ACTIVITY_OBJECTS["hubspot"]:
        if object in mapping.activities.objects:
            fields = (*ENGAGEMENT_KEYS, *extra.get(object, ()), *_mapped(mapping, uses, object), *_subject(mapping, object))
            yield StreamSpec(object, object, fields, links=("deals", "contacts", "companies"))
