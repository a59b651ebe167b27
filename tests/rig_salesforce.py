"""A rig on a Salesforce org: what people do there, and what its tables hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from connector.sandbox import events
from connector.sandbox.salesforce import story
from connector.sandbox.salesforce.org import TIME_ZONE, Org
from tests.rig import TITLES, Rig
from tests.rows import Row, Rows, followed, ordered

SEGMENTS = {"ASC": "clinic", "Medical Practice": "clinic", "General Hospital": "hospital", "University Hospital": "hospital", "IDN": "health_system"}
TYPES = {"New Business": "new_business", "Expansion": "expansion", "Renewal": "renewal"}
GATES: dict[str, tuple[str | None, str | None, dict[str, Any], dict[str, Any]]] = {
    "clinical": ("Evaluation_Start__c", "Evaluation_End__c", {"Evaluation_Result__c": {"Successful": "approved", "Unsuccessful": "denied"}}, {}),
    "security": (
        "Security_Questionnaire_Received__c", "Security_Questionnaire_Returned__c",
        {"Security_Status__c": {"Passed": "approved", "Failed": "denied", "On hold": "tabled"}},
        {"Connects_To_Network__c": {True: "required", False: "not_required"}},
    ),
    "legal": ("Contract_Docs_Sent__c", "Contract_Signed__c", {}, {}),
    "vac": (
        "VAC_Submitted_On__c", "VAC_Decision_On__c", {"VAC_Status__c": {"Approved": "approved", "Denied": "denied", "Tabled": "tabled"}},
        {"VAC_Needed__c": {"Y": "required", "NA": "not_required"}},
    ),
    "procurement": (None, None, {"GPO_Status__c": {"On contract": "approved", "Off contract": "denied"}}, {}),
    "budget": (None, None, {"Budget_Approved__c": {True: "approved"}}, {}),
}  # fmt: skip
"""Gate → opened on, decided on, result (field → its words), required (the same)."""
DAYS = {
    "proposal_sent_on": "Proposal_Sent_On__c", "loi_signed_on": "LOI_Signed_On__c", "secq_received_on": "Security_Questionnaire_Received__c",
    "secq_returned_on": "Security_Questionnaire_Returned__c", "legal_sent_on": "Contract_Docs_Sent__c", "legal_signed_on": "Contract_Signed__c",
    "pilot_started_on": "Evaluation_Start__c", "pilot_ended_on": "Evaluation_End__c",
}  # fmt: skip
OBJECT = {"account": "Account", "contact": "Contact", "opportunity": "Opportunity", "deal": "Opportunity"}
KINDS = {"owner": "owner", "account": "account", "contact": "contact", "deal": "deal"}
SUBTYPES = {"Call": "call", "Email": "email"}


class SalesforceRig(Rig):
    crm = "salesforce"

    @property
    def org(self) -> Org:
        return self.world.org

    def tell(self, event: events.Event) -> None:
        story.tell(self.org, event)

    def id_of(self, kind: str, key: str) -> str:
        return self.org.keys[KINDS.get(kind, "activity"), key]

    def is_live(self, id: str, kind: str = "deal") -> bool:
        row = self.org.find(id)
        return row is not None and not row.get("IsDeleted")

    def is_binned(self, id: str, kind: str = "deal") -> bool:
        row = self.org.find(id)
        return row is not None and bool(row.get("IsDeleted")) and "MasterRecordId" not in row

    # -- people ------------------------------------------------------------------------------------------------------

    def set(self, object: str, id: str, **values: Any) -> None:
        """Any fields of any record, by API name."""
        self.tick()
        self.org.update(object, id, values)

    def _remove(self, id: str) -> None:
        self.tick()
        self.org.delete(self.org.prefixes[id[:3]], id)

    def delete(self, deal: str) -> None:
        self._remove(deal)

    def restore(self, deal: str) -> None:
        self.tick()
        self.org.undelete(self.org.prefixes[deal[:3]], deal)

    def purge(self, deal: str) -> None:
        self.tick()
        row = self.org.find(deal)
        assert row is not None
        if not row.get("IsDeleted"):
            self.org.delete(self.org.prefixes[deal[:3]], deal)
        self.org.purge(deal)

    def purge_contact(self, contact: str) -> None:
        self.purge(contact)

    def remove_role(self, deal: str, contact: str) -> None:
        for id in list(self.org.tables["OpportunityContactRole"].ids_with("OpportunityId", (deal,))):
            if self.org.tables["OpportunityContactRole"].rows[id]["ContactId"] == contact:
                self._remove(id)

    def delete_contact(self, contact: str) -> None:
        self._remove(contact)

    def merge_accounts(self, loser: str, winner: str) -> str:
        self.tick()
        self.org.merge("Account", loser, winner)
        return winner

    def merge_contacts(self, loser: str, winner: str) -> str:
        self.tick()
        self.org.merge("Contact", loser, winner)
        return winner

    def edit_activity(self, activity: str, subject: str) -> None:
        self.set(self.org.prefixes[activity[:3]], activity, Subject=subject)

    def file(self, activity: str, deal: str | None) -> None:
        self.set(self.org.prefixes[activity[:3]], activity, WhatId=deal)

    def delete_activity(self, activity: str) -> None:
        self._remove(activity)

    def edit_account(self, account: str, *, name: str | None = None, territory: str | None = None) -> None:
        values = {"Name": name, "Sales_Region__c": territory}
        self.set("Account", account, **{key: value for key, value in values.items() if value is not None})

    def rename_stage(self, stage: str, label: str, pipeline: str = "capital") -> None:
        self.tell(events.StageRenamed(self.tick(), pipeline, stage, label))

    @contextmanager
    def committed_late(self, seconds: float) -> Iterator[None]:
        """What people do inside is stamped ``seconds`` ago: a transaction that began then and commits now."""
        before = self.now - timedelta(seconds=seconds)
        plain = self.org._at
        self.org._at = lambda at: plain(at or before)  # type: ignore[method-assign]
        try:
            yield
        finally:
            self.org._at = plain  # type: ignore[method-assign]

    # -- truth -------------------------------------------------------------------------------------------------------

    def truth(self, stream: str) -> Rows:
        return ordered(list(getattr(self, f"_{stream}")()))

    def merged(self, stream: str) -> dict[str, str]:
        name = {"accounts": "Account", "contacts": "Contact", "opportunities": "Opportunity"}[stream]
        into = {id: row["MasterRecordId"] for id, row in self.org.tables[name].rows.items() if row.get("MasterRecordId")}
        return {id: followed(id, into) for id in into}

    def _live(self, name: str) -> Iterator[Row]:
        return (row for row in self.org.tables[name].rows.values() if not row.get("IsDeleted"))

    def _there(self, id: str | None) -> str | None:
        row = self.org.find(id) if id else None
        return None if row is None or row.get("IsDeleted") else id

    def _owners(self) -> Iterator[Row]:
        for row in self._live("User"):
            yield {"id": row["Id"], "name": row["Name"], "active": row["IsActive"]}

    def _accounts(self) -> Iterator[Row]:
        for row in self._live("Account"):
            segment = SEGMENTS.get(row.get("Customer_Type__c", ""))
            yield {"id": row["Id"], "name": row["Name"], "segment": segment, "territory": row.get("Sales_Region__c"), "region": row.get("Region__c")}

    def _contacts(self) -> Iterator[Row]:
        for row in self._live("Contact"):
            title = row.get("Title")
            persona = TITLES.get(title or "")
            yield {"id": row["Id"], "account": self._there(row.get("AccountId")), "title": title, "persona": persona, "kol": bool(row.get("KOL__c"))}

    def _opportunities(self) -> Iterator[Row]:
        records = {id: name for name, id in self.org.record_types.items()}
        for row in self._live("Opportunity"):
            chance = row.get("Probability")
            yield {
                "id": row["Id"], "name": row["Name"], "account": self._there(row.get("AccountId")), "owner": row["OwnerId"],
                "native_pipeline": records.get(row.get("RecordTypeId", ""), "Master"), "raw_stage": row["StageName"],
                "deal_type": TYPES.get(row.get("Type", "")), "amount": _money(row.get("Amount")), "currency": row["CurrencyIsoCode"],
                "probability": None if chance is None else Decimal(str(chance)) / 100, "created_at": _instant(row["CreatedDate"]),
                "closes_on": _day(row.get("CloseDate")), "lead_source": row.get("LeadSource"), "product": row.get("Primary_Product__c"),
                "has_next_step": bool(row.get("NextStep")), **{key: _day(row.get(name)) for key, name in DAYS.items()},
                "standard_terms": bool(row.get("Standard_Terms__c")), "baa": bool(row.get("BAA_Signed__c")), "observed": self._scorecard(row),
            }  # fmt: skip

    def _scorecard(self, row: Row) -> dict[str, str | None]:
        names = [name for name in self.org.schema["Opportunity"].fields if name.startswith("KPI_")]
        return {name: _text(row.get(name)) for name in names}

    def _changes(self) -> Iterator[Row]:
        for row in self._live("OpportunityHistory"):
            if self._there(row["OpportunityId"]) is None:
                continue
            amount = _money(row.get("Amount"))
            told = {"stage": row.get("StageName"), "amount": None if amount is None else _plain(amount), "closes_on": row.get("CloseDate")}
            for field, value in told.items():
                at, by = _instant(row["CreatedDate"]), row["CreatedById"]
                yield {"opportunity": row["OpportunityId"], "field": field, "value": value, "at": at, "by": by}

    def _gates(self) -> Iterator[Row]:
        for row in self._live("Opportunity"):
            for gate, (opened, decided, result, required) in GATES.items():
                yield {
                    "opportunity": row["Id"], "gate": gate, "opened_on": _day(row.get(opened or "")), "decided_on": _day(row.get(decided or "")),
                    "result": _word(row, result), "required": _word(row, required),
                }  # fmt: skip

    def _contact_roles(self) -> Iterator[Row]:
        for row in self._live("OpportunityContactRole"):
            if self._there(row["OpportunityId"]) and self._there(row["ContactId"]):
                deal, contact = row["OpportunityId"], row["ContactId"]
                yield {"opportunity": deal, "contact": contact, "id": row["Id"], "role": row.get("Role"), "primary": bool(row.get("IsPrimary"))}

    def _activities(self) -> Iterator[Row]:
        for name in ("Task", "Event"):
            for row in self._live(name):
                if row["CreatedById"] != self.org.api_user and not row.get("IsChild") and not row.get("IsRecurrence"):
                    yield self._activity(name, row)

    def _activity(self, name: str, row: Row) -> Row:
        what = row.get("WhatId")
        account = row.get("AccountId") or (what if what and what.startswith("001") else None)
        done = None if "CompletedDateTime" not in row else self._local(row["CompletedDateTime"])
        due = _day(row.get("ActivityDate"))
        kind = "meeting" if name == "Event" else SUBTYPES.get(row.get("TaskSubtype", ""), "task") if row.get("IsClosed") else "task"
        on = self._local(row["StartDateTime"]) if name == "Event" else (done or due) if kind == "task" else due or done
        direction = (row.get("Direction__c") or row.get("CallType") or "").lower() or None
        return {
            "id": row["Id"], "kind": kind, "topic": _topic(row.get("Subject", "")), "direction": direction, "owner": row["OwnerId"],
            "contact": self._there(row.get("WhoId")), "account": self._there(account), "on": on,
            "due_on": due if kind == "task" else None, "completed_on": done if kind == "task" else None,
        }  # fmt: skip

    def _activity_deals(self) -> Iterator[Row]:
        for name in ("Task", "Event"):
            for row in self._live(name):
                if self.org.prefixes.get(row.get("WhatId", "")[:3]) == "Opportunity" and self._there(row["WhatId"]):
                    yield {"id": row["Id"], "opportunity": row["WhatId"]}

    def _local(self, stamp: str) -> date:
        return _instant(stamp).astimezone(ZoneInfo(TIME_ZONE)).date()


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _money(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return _plain(Decimal(str(value))) if isinstance(value, float) else str(value)


def _word(row: Row, words: dict[str, dict[Any, str]]) -> str | None:
    for name, meaning in words.items():
        return meaning.get(row.get(name))
    return None


def _topic(subject: str) -> str:
    """Of the subjects that the tests use."""
    return "legal" if "redlines" in subject else "security" if "questionnaire" in subject else "other"
