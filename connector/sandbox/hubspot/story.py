"""How HubSpot writes down what happens in the business. The caller moves the clock to ``event.at`` first; stamps are the clock's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, cast
from zoneinfo import ZoneInfo

from connector.sandbox import events
from connector.sandbox.hubspot.associations import PRIMARY
from connector.sandbox.hubspot.portal import Portal
from connector.sandbox.hubspot.records import ADMIN, Record, Source, millis, person, stamp

CONNECTED = "f240bbac-87c9-4f6e-bf70-924b57d47db7"
NO_ANSWER = "73a0d17f-1163-4015-bdd5-ec830791da20"

FIELDS: dict[str, str] = {
    "amount": "amount", "closes_on": "closedate", "owner": "hubspot_owner_id", "next_step": "hs_next_step", "loi_signed_on": "loi_signed",
    "secq_received_on": "sec_q_sent", "secq_returned_on": "sec_q_done", "evaluation_started_on": "evaluation_start",
    "evaluation_ended_on": "evaluation_end", "evaluation_result": "evaluation_outcome", "contract_sent_on": "contract_docs_sent",
    "contract_signed_on": "contract_signed", "vac_needed": "vac_required", "vac_submitted_on": "vac_submitted", "vac_decided_on": "vac_decision",
    "vac_status": "vac_status", "security_status": "security_status", "connects_to_network": "connects_to_network", "gpo_status": "gpo_status",
    "budget_approved": "budget_approved", "first_case_on": "first_case_date", "go_live_on": "go_live_date", "proposal_sent_on": "proposal_sent_date",
    "standard_terms": "standard_terms", "baa": "baa_flag",
}  # fmt: skip
"""Key of ``DealEdited.values`` → deal property."""

DEAL_TYPES = {"new_business": "newbusiness", "expansion": "existingbusiness", "renewal": "renewal"}
ROLES: dict[str, str | None] = {
    "surgeon": "Clinical champion", "economic_buyer": "Economic buyer", "it_security": "IT / security", "vac_chair": "VAC chair",
    "executive_sponsor": "Executive sponsor", "blocker": "Blocker", "champion": None, "none": None,
}  # fmt: skip
"""Neutral role → association label. A champion is not labelled: HubSpot keeps that on the contact."""

MEETING_OUTCOMES = {"held": "COMPLETED", "no_show": "NO_SHOW", "canceled": "CANCELED", "rescheduled": "RESCHEDULED", None: "SCHEDULED"}
KINDS = {"meeting": "meetings", "call": "calls", "email": "emails", "task": "tasks"}


def tell(portal: Portal, event: events.Event) -> None:
    """Write one event into the portal. Events come in order of time; one that names an unknown key raises KeyError."""
    _TELLERS[type(event)](portal, event)


# -- reading the business's words --------------------------------------------------------------------------------------------


def _found(portal: Portal, kind: str, key: str) -> Record:
    record = portal.resolve(kind, portal.keys[kind, key])
    if record is None:
        raise KeyError(f"{kind} {key}")
    return record


def _by(portal: Portal, owner: str | None) -> Source:
    """The person as history names one; somebody who is no owner is the portal's admin."""
    id_ = portal.keys.get(("owners", owner or ""))
    return person(portal.owners[id_].user_id) if id_ else ADMIN


def _owner(portal: Portal, owner: object) -> str:
    return portal.keys["owners", str(owner)]


def _noon(portal: Portal, day: date) -> str:
    """A close date as the screen stores it: noon of that day in the portal's zone, as an instant."""
    return stamp(millis(datetime.combine(day, time(12), ZoneInfo(portal.time_zone)).astimezone(UTC)))


def _text(portal: Portal, key: str, value: object) -> str:
    """A value of ``DealEdited`` as text; None clears."""
    if value is None:
        return ""
    if key == "owner":
        return _owner(portal, value)
    if key == "closes_on":
        return _noon(portal, cast("date", value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _money(value: Decimal | None) -> str:
    return "" if value is None else f"{value:f}"


# -- people and companies ------------------------------------------------------------------------------------------------------


def _owner_joined(portal: Portal, event: events.OwnerJoined) -> None:
    first, _, last = event.name.partition(" ")
    email = f"{event.owner.lower().replace(' ', '.').replace('_', '.')}@beacon-surgical.example"
    portal.keys["owners", event.owner] = portal.add_owner(first, last, email, active=event.active).id


def _owner_left(portal: Portal, event: events.OwnerLeft) -> None:
    portal.archive_owner(portal.keys["owners", event.owner])


def _account_found(portal: Portal, event: events.AccountFound) -> None:
    domain = "".join(letter for letter in event.name.lower() if letter.isascii() and letter.isalnum()) + ".example"
    values = {"name": event.name, "domain": domain, "facility_type": event.facility, "sales_territory": event.territory, "sales_region": event.region}
    portal.keys["companies", event.account] = portal.create("companies", values).id


def _accounts_merged(portal: Portal, event: events.AccountsMerged) -> None:
    portal.merge(_found(portal, "companies", event.winner), _found(portal, "companies", event.loser))


def _contact_found(portal: Portal, event: events.ContactFound) -> None:
    n = portal.next_id["contacts"] % 10**6
    values = {"jobtitle": event.title, "is_kol": "true" if event.kol else "false",
              "firstname": "Contact", "lastname": f"No. {n}", "email": f"contact{n}@customers.example"}  # fmt: skip
    contact = portal.create("contacts", values)
    portal.keys["contacts", event.contact] = contact.id
    portal.associate(contact, _found(portal, "companies", event.account), PRIMARY)


def _role_added(portal: Portal, event: events.RoleAdded) -> None:
    contact = _found(portal, "contacts", event.contact)
    portal.associate(_found(portal, "deals", event.deal), contact, ROLES[event.role])
    if event.role == "champion":
        held = [role for role in contact.values.get("hs_buying_role", "").split(";") if role]
        portal.update(contact, {"hs_buying_role": ";".join(dict.fromkeys([*held, "CHAMPION"]))})


# -- deals -----------------------------------------------------------------------------------------------------------------------


def _deal_opened(portal: Portal, event: events.DealOpened) -> None:
    pipeline, stage = portal.neutral_stage(event.pipeline, event.stage)
    if event.product:
        portal.add_option("deals", "primary_product", event.product)
    values = {
        "dealname": event.name, "pipeline": pipeline.id, "dealstage": stage.id, "hubspot_owner_id": _owner(portal, event.owner),
        "closedate": _noon(portal, event.closes_on), "amount": _money(event.amount), "deal_currency_code": event.currency,
        "dealtype": DEAL_TYPES[event.deal_type], "primary_product": event.product or "", "hs_analytics_source": event.lead_source or "",
        "hs_arr": _money(event.arr), "capital_amount": _money(event.capital),
    }  # fmt: skip
    deal = portal.create("deals", values, _by(portal, event.owner))
    portal.keys["deals", event.deal] = deal.id
    portal.associate(deal, _found(portal, "companies", event.account), PRIMARY)


def _stage_moved(portal: Portal, event: events.StageMoved) -> None:
    deal = _found(portal, "deals", event.deal)
    neutral = next(pipeline.neutral for pipeline in portal.pipelines if pipeline.id == deal.values["pipeline"])
    _, stage = portal.neutral_stage(neutral, event.stage)
    portal.update(deal, {"dealstage": stage.id}, _by(portal, event.by))


def _deal_edited(portal: Portal, event: events.DealEdited) -> None:
    wanted = {FIELDS[key]: _text(portal, key, value) for key, value in event.values.items()}
    portal.update(_found(portal, "deals", event.deal), wanted, _by(portal, event.by))


def _deal_deleted(portal: Portal, event: events.DealDeleted) -> None:
    portal.archive(_found(portal, "deals", event.deal))


def _deal_restored(portal: Portal, event: events.DealRestored) -> None:
    portal.restore(_found(portal, "deals", event.deal))


def _deals_merged(portal: Portal, event: events.DealsMerged) -> None:
    portal.merge(_found(portal, "deals", event.winner), _found(portal, "deals", event.loser))


def _stage_renamed(portal: Portal, event: events.StageRenamed) -> None:
    portal.rename_stage(portal.neutral_stage(event.pipeline, event.stage)[1].id, event.label)


# -- activities ------------------------------------------------------------------------------------------------------------------


def _meeting(portal: Portal, event: events.ActivityLogged) -> dict[str, str]:
    at = millis(event.at)
    return {
        "hs_meeting_title": event.subject, "hs_timestamp": stamp(at), "hs_meeting_start_time": stamp(at),
        "hs_meeting_end_time": stamp(at + int(timedelta(minutes=30).total_seconds()) * 1000),
        "hs_meeting_outcome": MEETING_OUTCOMES[event.outcome], "hs_activity_type": event.type or "",
    }  # fmt: skip


def _call(portal: Portal, event: events.ActivityLogged) -> dict[str, str]:
    connected = {"connected": True, "not_connected": False}.get(event.outcome or "")
    known = {} if connected is None else {"hs_call_disposition": CONNECTED if connected else NO_ANSWER}
    return known | {
        "hs_call_title": event.subject, "hs_timestamp": stamp(millis(event.at)), "hs_call_direction": (event.direction or "outbound").upper(),
        "hs_call_status": "NO_ANSWER" if connected is False else "COMPLETED", "hs_call_duration": "0" if connected is False else "600000",
        "hs_activity_type": event.type or "",
    }  # fmt: skip


def _email(portal: Portal, event: events.ActivityLogged) -> dict[str, str]:
    return {
        "hs_email_subject": event.subject, "hs_timestamp": stamp(millis(event.at)), "hs_email_status": "SENT",
        "hs_email_direction": "INCOMING_EMAIL" if event.direction == "inbound" else "EMAIL",
    }  # fmt: skip


def _task(portal: Portal, event: events.ActivityLogged) -> dict[str, str]:
    done = {"hs_task_completion_date": stamp(portal.now)} if event.done else {}
    return done | {
        "hs_task_subject": event.subject, "hs_timestamp": _noon(portal, event.due_on) if event.due_on else stamp(millis(event.at)),
        "hs_task_status": "COMPLETED" if event.done else "NOT_STARTED", "hs_task_is_completed": "1" if event.done else "0",
        "hs_task_type": "TODO", "hs_task_priority": "MEDIUM",
    }  # fmt: skip


_WRITERS: dict[str, Callable[[Portal, events.ActivityLogged], dict[str, str]]] = {
    "meeting": _meeting,
    "call": _call,
    "email": _email,
    "task": _task,
}


def _activity_logged(portal: Portal, event: events.ActivityLogged) -> None:
    """A second telling of one activity (a task that gets done, a meeting that gets an outcome) changes the record."""
    kind, values = KINDS[event.kind], _WRITERS[event.kind](portal, event)
    values["hubspot_owner_id"] = _owner(portal, event.owner)
    source = _by(portal, event.by)
    if (kind, event.activity) in portal.keys:
        portal.update(_found(portal, kind, event.activity), values, source)
        return
    if values.get("hs_activity_type"):
        portal.add_option(kind, "hs_activity_type", values["hs_activity_type"])
    record = portal.create(kind, values | {"hs_created_by_user_id": str(source.user)}, source)
    portal.keys[kind, event.activity] = record.id
    for to, key in (("deals", event.deal), ("companies", event.account), ("contacts", event.contact)):
        if key is not None:
            portal.associate(record, _found(portal, to, key))


_TELLERS: dict[type, Callable[[Portal, Any], None]] = {
    events.OwnerJoined: _owner_joined,
    events.OwnerLeft: _owner_left,
    events.AccountFound: _account_found,
    events.AccountsMerged: _accounts_merged,
    events.ContactFound: _contact_found,
    events.RoleAdded: _role_added,
    events.DealOpened: _deal_opened,
    events.StageMoved: _stage_moved,
    events.DealEdited: _deal_edited,
    events.DealDeleted: _deal_deleted,
    events.DealRestored: _deal_restored,
    events.DealsMerged: _deals_merged,
    events.StageRenamed: _stage_renamed,
    events.ActivityLogged: _activity_logged,
}
