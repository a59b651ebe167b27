"""What an org fills in by itself when a record is saved: stage flags, expected amount, names, an activity's account and end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from connector.sandbox.salesforce.rows import Table, stamp, unstamp
from connector.sandbox.salesforce.schema import Moment, Row

HISTORY_TYPES = {
    "boolean": "Boolean", "currency": "Currency", "date": "DateOnly", "datetime": "DateTime", "double": "Double", "percent": "Percent",
    "picklist": "DynamicEnum", "int": "Integer",
}  # fmt: skip
"""How OpportunityFieldHistory calls the type of a value; unverified."""
STANDARD_USER = "Standard User"
HISTORY_FIELDS = ("Amount", "Probability", "StageName", "CloseDate")


class Records(Protocol):
    """What a save needs to know of the org around it. ``stages``: StageName → its OpportunityStage row."""

    tables: dict[str, Table]
    stages: dict[str, Row]
    tracked: set[str]
    category_of: dict[str, str]
    profiles: dict[str, str]
    owned_sets: dict[str, str]

    def find(self, record_id: str) -> Row | None: ...
    def moment(self) -> Moment: ...
    def local_day(self, at: datetime) -> str: ...
    def append(self, name: str, values: Row, at: str, by: str) -> str: ...
    def insert(self, name: str, values: Mapping[str, Any]) -> str: ...


def opportunity(org: Records, row: Row, values: Row, at: str) -> None:
    """Stage → probability, flags, forecast category (an explicit value wins); expected amount; the stage change's instant."""
    new = "Id" not in row
    stage_name = str(values.get("StageName", row.get("StageName")))
    moved = stage_name != row.get("StageName")
    if moved:
        stage = org.stages.get(stage_name, {})
        if stage or new:
            values.setdefault("Probability", stage.get("DefaultProbability", 0.0))
        values["IsClosed"] = stage.get("IsClosed", False)
        values["IsWon"] = stage.get("IsWon", False)
        values.setdefault("ForecastCategoryName", stage.get("ForecastCategoryName", "Omitted"))
        if not new:
            values["LastStageChangeDate"] = at
    if "ForecastCategoryName" in values:
        values["ForecastCategory"] = org.category_of.get(values["ForecastCategoryName"], "Omitted")
    if moved or "Amount" in values or "Probability" in values:
        amount, chance = (values.get(name, row.get(name)) for name in ("Amount", "Probability"))
        values["ExpectedRevenue"] = None if amount is None or chance is None else round(amount * chance / 100, 2)


def person(org: Records, row: Row, values: Row, at: str) -> None:
    """Contact and User: the full name."""
    parts = [values.get(name, row.get(name)) for name in ("FirstName", "LastName")]
    values["Name"] = " ".join(part for part in parts if part)


def user(org: Records, row: Row, values: Row, at: str) -> None:
    """The full name; whom nobody gave a profile has the reps'."""
    person(org, row, values, at)
    if "Id" not in row:
        values.setdefault("ProfileId", org.profiles.get(STANDARD_USER))


def grantee(org: Records, row: Row, values: Row, at: str) -> None:
    """A permission set made through the API is nobody's profile; an assignment is active."""
    if "Id" not in row and "AssigneeId" in values:
        values["IsActive"] = True
    elif "Id" not in row:
        values.setdefault("IsCustom", True)


def entity_access(org: Records, row: Row, values: Row, at: str) -> None:
    """What kind of thing access is given to."""
    values.setdefault("SetupEntityType", "CustomPermission")


def case(org: Records, row: Row, values: Row, at: str) -> None:
    """The number of a new case; status → closed and when; the contact's account."""
    if "Id" not in row:
        values["CaseNumber"] = f"{org.tables['Case'].made:08d}"
    closed = values.get("Status", row.get("Status")) == "Closed"
    if closed != row.get("IsClosed", False):
        values["IsClosed"], values["ClosedDate"] = closed, at if closed else None
    if values.get("ContactId") and "AccountId" not in values:
        values["AccountId"] = (org.find(values["ContactId"]) or {}).get("AccountId")


def line_item(org: Records, row: Row, values: Row, at: str) -> None:
    """Price × quantity, and the name that the product gives."""
    price, count = (values.get(name, row.get(name)) for name in ("UnitPrice", "Quantity"))
    if price is not None and count is not None and ("UnitPrice" in values or "Quantity" in values):
        values["TotalPrice"] = round(price * count, 2)
    product = org.find(values.get("Product2Id") or "")
    if product is not None:
        values["Name"], values["ProductCode"] = product.get("Name"), product.get("ProductCode")


def task(org: Records, row: Row, values: Row, at: str) -> None:
    """Status → closed and when; the account behind what or who it is about."""
    status = values.get("Status", row.get("Status"))
    closed = status == "Completed"
    values["IsClosed"] = closed
    if closed and not row.get("IsClosed"):
        values.setdefault("CompletedDateTime", at)
    elif not closed:
        values["CompletedDateTime"] = None
    _account(org, row, values)


def event(org: Records, row: Row, values: Row, at: str) -> None:
    """Start and length → end and day (an all-day event keeps its date as it is); the account."""
    start = values.get("StartDateTime", row.get("StartDateTime"))
    minutes = values.get("DurationInMinutes", row.get("DurationInMinutes")) or 0
    if start is not None and ("StartDateTime" in values or "DurationInMinutes" in values):
        end = unstamp(start) + timedelta(minutes=minutes)
        values["EndDateTime"] = stamp(end)
        all_day = values.get("IsAllDayEvent", row.get("IsAllDayEvent"))
        values["ActivityDate"] = start[:10] if all_day else org.local_day(unstamp(start))
        values["EndDate"] = values["ActivityDate"] if all_day else org.local_day(end)
    _account(org, row, values)


def _account(org: Records, row: Row, values: Row) -> None:
    if "WhatId" not in values and "WhoId" not in values:
        return
    what, who = (values.get(name, row.get(name)) for name in ("WhatId", "WhoId"))
    account = None
    if what is not None:
        account = what if what.startswith("001") else (org.find(what) or {}).get("AccountId")
    if account is None and who is not None:
        account = (org.find(who) or {}).get("AccountId")
    values["AccountId"] = account


Derive = Callable[[Records, Row, Row, str], None]
ON_SAVE: Mapping[str, Derive] = {
    "Opportunity": opportunity, "Contact": person, "User": user, "PermissionSet": grantee, "PermissionSetAssignment": grantee,
    "SetupEntityAccess": entity_access, "Task": task, "Event": event,
    "Lead": person, "Case": case, "OpportunityLineItem": line_item,
}  # fmt: skip
"""Object → what to add to ``values`` before they are stored in ``row`` (empty for a new record) at an instant."""


def after_save(org: Records, name: str, row: Row, before: Mapping[str, Any], at: str, by: str) -> None:
    """What a save leaves elsewhere. ``before``: old values of the fields that changed; for a new record, empty."""
    if name == "Opportunity":
        _history(org, row, before, at, by)
    elif name in ("Task", "Event"):
        _last_activity(org, row)
    elif name == "OpportunityLineItem":
        roll_up(org, row["OpportunityId"], at, by)
    elif name == "User" and not before and row.get("ProfileId") in org.owned_sets:
        org.insert("PermissionSetAssignment", {"PermissionSetId": org.owned_sets[row["ProfileId"]], "AssigneeId": row["Id"]})


def roll_up(org: Records, deal_id: str, at: str, by: str) -> None:
    """The deal's total over its products. The child's save saves the parent: its stamp moves."""
    deal, items = org.find(deal_id), org.tables["OpportunityLineItem"]
    if deal is None:
        return
    prices = [items.rows[key].get("TotalPrice", 0.0) for key in items.ids_with("OpportunityId", (deal_id,)) if not items.rows[key].get("IsDeleted")]
    deal["HasOpportunityLineItem"] = bool(prices)
    org.tables["Opportunity"].set(deal, {"Products_Total__c": round(sum(prices), 2) if prices else None})
    deal["SystemModstamp"] = deal["LastModifiedDate"] = at
    deal["LastModifiedById"] = by


def _history(org: Records, row: Row, before: Mapping[str, Any], at: str, by: str) -> None:
    made = not before
    if made or any(name in before for name in HISTORY_FIELDS):
        snapshot = {
            name: row.get(name)
            for name in ("Amount", "Probability", "StageName", "CloseDate", "ExpectedRevenue", "ForecastCategory", "CurrencyIsoCode")
        }
        previous = (
            {} if made else {"PrevAmount": before.get("Amount", row.get("Amount")), "PrevCloseDate": before.get("CloseDate", row.get("CloseDate"))}
        )
        created = row["CreatedDate"] if made else at
        history_id = org.append("OpportunityHistory", {"OpportunityId": row["Id"], **snapshot, **previous}, created, by)
        if "Amount" in before:
            row["LastAmountChangedHistoryId"] = history_id
        if "CloseDate" in before:
            row["LastCloseDateChangedHistoryId"] = history_id
    for field in before:
        if field in org.tracked:
            _field_history(org, row, field, before[field], at, by)


def _field_history(org: Records, row: Row, field: str, old: Any, at: str, by: str) -> None:
    """One row for a change of a tracked field; two for a reference: the names, then the ids. Long texts are not stored."""
    found, new = org.tables["Opportunity"].definition.fields[field], row.get(field)
    rows: list[tuple[str, Any, Any]] = [(HISTORY_TYPES.get(found.type, "Text"), old, new)]
    if found.type == "reference":
        names = [(org.find(key or "") or {}).get("Name") for key in (old, new)]
        rows = [("Text", names[0], names[1]), ("EntityId", old, new)]
    if found.long_text:
        rows = [("TextArea", None, None)]
    label = field.removesuffix("Id") if found.type == "reference" and not found.custom else field
    for kind, first, second in rows:
        values = {"OpportunityId": row["Id"], "Field": label, "DataType": kind, "OldValue": first, "NewValue": second}
        org.append("OpportunityFieldHistory", values, at, by)


def _last_activity(org: Records, row: Row) -> None:
    """The deal shows its latest finished activity; that moves no stamp."""
    on, deal = row.get("ActivityDate"), org.find(row.get("WhatId") or "")
    if on is None or deal is None or "StageName" not in deal:
        return
    past = row.get("IsClosed", date.fromisoformat(on) <= date.fromisoformat(org.moment().today))
    if past and on > deal.get("LastActivityDate", ""):
        deal["LastActivityDate"] = on
