"""Business events → records of the org, as its users and robots would have entered them. The clock stands at the event's instant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from connector.sandbox import events
from connector.sandbox.salesforce.org import Org
from connector.sandbox.salesforce.schema import Row
from connector.sandbox.salesforce.stages import NAMES, RECORD_TYPES

FACILITIES = {
    "clinic": "Medical Practice", "asc": "ASC", "hospital": "General Hospital", "university_hospital": "University Hospital", "idn": "IDN",
}  # fmt: skip
DEAL_TYPES = {"new_business": "New Business", "expansion": "Expansion", "renewal": "Renewal"}
ROLES: Mapping[str, str | None] = {
    "surgeon": "Surgeon", "champion": "Champion", "economic_buyer": "Economic Buyer", "it_security": "Technical Buyer",
    "vac_chair": "Value Analysis", "executive_sponsor": "Executive Sponsor", "blocker": "Blocker", "none": None,
}  # fmt: skip
MEETING_OUTCOMES = {"held": "Held", "no_show": "No Show", "canceled": "Canceled", "rescheduled": "Rescheduled"}
CALL_RESULTS = {"connected": "Connected", "not_connected": "Not connected"}
MEETING_MINUTES = 60

FIELDS = {
    "amount": "Amount", "closes_on": "CloseDate", "owner": "OwnerId", "next_step": "NextStep", "loi_signed_on": "LOI_Signed_On__c",
    "secq_received_on": "Security_Questionnaire_Received__c", "secq_returned_on": "Security_Questionnaire_Returned__c",
    "evaluation_started_on": "Evaluation_Start__c", "evaluation_ended_on": "Evaluation_End__c", "evaluation_result": "Evaluation_Result__c",
    "contract_sent_on": "Contract_Docs_Sent__c", "contract_signed_on": "Contract_Signed__c", "vac_needed": "VAC_Needed__c",
    "vac_submitted_on": "VAC_Submitted_On__c", "vac_decided_on": "VAC_Decision_On__c", "vac_status": "VAC_Status__c",
    "security_status": "Security_Status__c", "connects_to_network": "Connects_To_Network__c", "gpo_status": "GPO_Status__c",
    "budget_approved": "Budget_Approved__c", "first_case_on": "First_Case_On__c", "go_live_on": "Go_Live_On__c",
    "proposal_sent_on": "Proposal_Sent_On__c", "first_order_on": "First_Order_On__c", "standard_terms": "Standard_Terms__c", "baa": "BAA_Signed__c",
}  # fmt: skip
CHOICES: Mapping[str, Mapping[str, str]] = {
    "vac_needed": {"yes": "Y", "no": "NA"},
    "vac_status": {"approved": "Approved", "denied": "Denied", "tabled": "Tabled"},
    "security_status": {"passed": "Passed", "failed": "Failed", "waiting": "On hold"},
    "evaluation_result": {"success": "Successful", "failure": "Unsuccessful"},
    "gpo_status": {"on_contract": "On contract", "off_contract": "Off contract"},
}


def tell(org: Org, event: events.Event) -> None:
    """Write one event down. Events come in time order, with the clock already at ``event.at``.

    Raises KeyError for a deal, account or contact that no earlier event brought.
    """
    _TELLERS[type(event)](org, event)


def stage_name(org: Org, pipeline: str, stage: str) -> str:
    """What a neutral stage is called in the org now; a later renaming counts."""
    return org.renamed.get(NAMES[pipeline][stage], NAMES[pipeline][stage])


def _user(org: Org, owner: str) -> str:
    return org.keys.get(("owner", owner), org.admin)


def _owner_joined(org: Org, event: events.OwnerJoined) -> None:
    first, _, last = event.name.rpartition(" ")
    login = f"{event.owner}@beacon-surgical.example"
    org.keys["owner", event.owner] = org.insert("User", {
        "FirstName": first, "LastName": last, "Username": login, "Email": login, "IsActive": event.active,
        "UserType": "AutomatedProcess" if event.robot else "Standard", "TimeZoneSidKey": "America/New_York", "DefaultCurrencyIsoCode": "USD",
    })  # fmt: skip


def _owner_left(org: Org, event: events.OwnerLeft) -> None:
    org.update("User", org.keys["owner", event.owner], {"IsActive": False})


def _account_found(org: Org, event: events.AccountFound) -> None:
    european = event.region == "EU"
    org.keys["account", event.account] = org.insert("Account", {
        "Name": event.name, "Customer_Type__c": FACILITIES[event.facility], "Sales_Region__c": event.territory, "Region__c": event.region,
        "Industry": "Hospital & Health Care", "BillingCountry": "Germany" if european else "United States",
        "CurrencyIsoCode": "EUR" if european else "USD",
    })  # fmt: skip


def _accounts_merged(org: Org, event: events.AccountsMerged) -> None:
    winner = org.keys["account", event.winner]
    org.merge("Account", org.keys["account", event.loser], winner)
    org.keys["account", event.loser] = winner


def _contact_found(org: Org, event: events.ContactFound) -> None:
    org.keys["contact", event.contact] = org.insert("Contact", {
        "LastName": f"Contact {event.contact}", "AccountId": org.keys["account", event.account], "Title": event.title, "KOL__c": event.kol,
    })  # fmt: skip


def _deal_opened(org: Org, event: events.DealOpened) -> None:
    owner = _user(org, event.owner)
    for field, value in (("Primary_Product__c", event.product), ("LeadSource", event.lead_source)):
        if value is not None:
            org.add_option("Opportunity", field, value)
    org.pipelines[event.deal] = event.pipeline
    org.keys["deal", event.deal] = org.insert("Opportunity", {
        "Name": event.name, "AccountId": org.keys["account", event.account], "OwnerId": owner,
        "RecordTypeId": org.record_types[RECORD_TYPES[event.pipeline][0]], "StageName": stage_name(org, event.pipeline, event.stage),
        "Type": DEAL_TYPES[event.deal_type], "Amount": event.amount, "CurrencyIsoCode": event.currency, "CloseDate": event.closes_on,
        "Primary_Product__c": event.product, "LeadSource": event.lead_source, "Recurring_ARR__c": event.arr, "Capital_Portion__c": event.capital,
    }, by=owner)  # fmt: skip


def _stage_moved(org: Org, event: events.StageMoved) -> None:
    stage = stage_name(org, org.pipelines[event.deal], event.stage)
    org.update("Opportunity", org.keys["deal", event.deal], {"StageName": stage}, by=_user(org, event.by))


def _deal_edited(org: Org, event: events.DealEdited) -> None:
    values = {FIELDS[key]: _value(org, key, value) for key, value in event.values.items()}
    org.update("Opportunity", org.keys["deal", event.deal], values, by=_user(org, event.by))


def _value(org: Org, key: str, value: Any) -> Any:
    if value is None:
        return None
    if key == "owner":
        return _user(org, value)
    return CHOICES[key][value] if key in CHOICES else value


def _role_added(org: Org, event: events.RoleAdded) -> None:
    deal = org.keys["deal", event.deal]
    owner = (org.find(deal) or {}).get("OwnerId")
    values = {"OpportunityId": deal, "ContactId": org.keys["contact", event.contact], "Role": ROLES[event.role], "IsPrimary": event.primary}
    org.insert("OpportunityContactRole", values, by=owner)


def _activity_logged(org: Org, event: events.ActivityLogged) -> None:
    """Told again under the same key, the activity is changed: a task done, a meeting held."""
    name = "Event" if event.kind == "meeting" else "Task"
    values = _meeting(event) if name == "Event" else _task(org, event)
    known = org.keys.get(("activity", event.activity))
    if known is not None:
        fixed = ("TaskSubtype", "StartDateTime", "DurationInMinutes")
        org.update(name, known, {k: v for k, v in values.items() if k not in fixed}, by=_user(org, event.by))
        return
    deal, account, contact = (
        None if key is None else org.keys[kind, key] for kind, key in (("deal", event.deal), ("account", event.account), ("contact", event.contact))
    )
    links = {"WhatId": deal or account, "WhoId": contact, "OwnerId": _user(org, event.owner), "Subject": event.subject, "Type": event.type}
    org.keys["activity", event.activity] = org.insert(name, {**links, **values}, by=_user(org, event.by))


def _meeting(event: events.ActivityLogged) -> Row:
    outcome = None if event.outcome is None else MEETING_OUTCOMES.get(event.outcome)
    return {"StartDateTime": event.at, "DurationInMinutes": MEETING_MINUTES, "Meeting_Outcome__c": outcome, "EventSubtype": "Event"}


def _task(org: Org, event: events.ActivityLogged) -> Row:
    done = event.done or event.kind in ("call", "email")
    day: date | str = event.due_on or org.local_day(event.at)
    direction = None if event.direction is None else event.direction.capitalize()
    values: Row = {
        "TaskSubtype": event.kind.capitalize(), "ActivityDate": day, "Status": "Completed" if done else "Not Started", "Priority": "Normal",
        "Direction__c": direction,
    }  # fmt: skip
    if event.kind == "call":
        values |= {"CallType": direction, "CallDisposition": CALL_RESULTS.get(event.outcome or "")}
    return values


def _deal_deleted(org: Org, event: events.DealDeleted) -> None:
    org.delete("Opportunity", org.keys["deal", event.deal])


def _deal_restored(org: Org, event: events.DealRestored) -> None:
    org.undelete("Opportunity", org.keys["deal", event.deal])


def _deals_merged(org: Org, event: events.DealsMerged) -> None:
    """Opportunities cannot be merged: somebody deletes the duplicate."""
    org.delete("Opportunity", org.keys["deal", event.loser])


def _stage_renamed(org: Org, event: events.StageRenamed) -> None:
    """The list is the org's, not the record type's: the value changes for all processes that offer it."""
    old = stage_name(org, event.pipeline, event.stage)
    if old != event.label:
        org.rename_stage(old, event.label)


_TELLERS: Mapping[type[Any], Callable[[Org, Any], None]] = {
    events.OwnerJoined: _owner_joined, events.OwnerLeft: _owner_left, events.AccountFound: _account_found,
    events.AccountsMerged: _accounts_merged, events.ContactFound: _contact_found, events.DealOpened: _deal_opened,
    events.StageMoved: _stage_moved, events.DealEdited: _deal_edited, events.RoleAdded: _role_added,
    events.ActivityLogged: _activity_logged, events.DealDeleted: _deal_deleted, events.DealRestored: _deal_restored,
    events.DealsMerged: _deals_merged, events.StageRenamed: _stage_renamed,
}  # fmt: skip
