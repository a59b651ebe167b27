"""The org's own description of itself: fields, stages per record type, who we are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as default
from datetime import date
from decimal import Decimal
from typing import Any

from connector.crms.base import Field, FieldType, Option, OrgInfo, Pipeline, Rate, Stage
from connector.crms.manifest import PREFIX
from connector.crms.retry import ATTEMPTS
from connector.crms.salesforce import soql
from connector.crms.salesforce.transport import Client
from connector.errors import AuthenticationError, CrmConfigError, CursorExpired, TooLarge, Transient

MASTER = "012000000000000AAA"
TYPES: dict[str, FieldType] = {
    "id": "id",
    "reference": "reference",
    "string": "text",
    "phone": "text",
    "email": "text",
    "url": "text",
    "combobox": "text",
    "textarea": "long_text",
    "picklist": "picklist",
    "multipicklist": "multipicklist",
    "boolean": "boolean",
    "int": "integer",
    "long": "integer",
    "double": "number",
    "currency": "money",
    "percent": "percent",
    "date": "date",
    "datetime": "datetime",
}
REPLICATION_KEYS = ("SystemModstamp", "LastModifiedDate", "CreatedDate", "LoginTime")


@dataclass(frozen=True, slots=True)
class Description:
    """One object as the connection's user sees it. ``key``: the stamp that reads follow, the first filterable one of the ladder.

    ``parents``: relationship (lower case) → the object it leads to, where that is one object only.
    """

    fields: Mapping[str, Field]
    key: str | None
    parents: Mapping[str, str] = default(default_factory=dict)
    last_modified: str | None = None

    def has(self, field: str) -> bool:
        return field in self.fields


class Schema:
    """Descriptions, remembered for the life of the connection and asked again with If-Modified-Since."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, Description] = {}

    def known(self, object_: str) -> Description:
        """The description of this run: a call only if there was none yet."""
        return self._known.get(object_) or self.describe(object_)

    def describe(self, object_: str) -> Description:
        """The description as of now; an unchanged one costs a 304. Raises CrmConfigError for an unknown object."""
        held = self._known.get(object_)
        headers = {"If-Modified-Since": held.last_modified} if held and held.last_modified else None
        try:
            answer, last_modified = self._client.conditional(f"sobjects/{soql.name(object_)}/describe", headers)
        except CrmConfigError as error:
            if not error.message.startswith(("NOT_FOUND", "HTTP 404", "INVALID_TYPE")):
                raise
            raise CrmConfigError(f"{object_}: no such object, or the connection's user may not see it") from None
        if answer is None and held:
            return held
        if not isinstance(answer, dict) or "fields" not in answer:
            raise CrmConfigError(f"{object_}: the org's description cannot be read")
        described = answer["fields"]
        filterable = {f["name"] for f in described if f.get("filterable", True)}
        self._known[object_] = Description(
            fields={f["name"]: field_of(f) for f in described},
            key=next((key for key in REPLICATION_KEYS if key in filterable), None),
            parents={
                f["relationshipName"].lower(): f["referenceTo"][0]
                for f in described
                if f.get("relationshipName") and len(f.get("referenceTo") or ()) == 1
            },
            last_modified=last_modified,
        )
        return self._known[object_]


def field_of(described: Mapping[str, Any]) -> Field:
    """One entry of describe's ``fields``."""
    kind = TYPES.get(described["type"], "other")
    numeric = kind in ("number", "money", "percent", "integer")
    return Field(
        name=described["name"],
        label=described.get("label") or described["name"],
        type=kind,
        writable=bool(described.get("updateable")),
        calculated=bool(described.get("calculated")),
        options=tuple(
            Option(value=o["value"], label=o.get("label") or o["value"], active=bool(o.get("active", True)))
            for o in described.get("picklistValues") or ()
        ),
        restricted=bool(described.get("restrictedPicklist")),
        length=described.get("length") or None,
        precision=described.get("precision") or None if numeric else None,
        scale=described.get("scale") if numeric else None,
        sensitive=bool(described.get("encrypted")),
    )


def pipelines(client: Client) -> tuple[Pipeline, ...]:
    """Record types of Opportunity with the stages legal in each; without record types the one pipeline ``Master``.

    The stage dictionary says nothing of where an inactive stage was legal, so every pipeline lists it as inactive.
    """
    dictionary = {row["ApiName"]: row for row in all_rows(client, STAGES)}
    retired = tuple(_stage(row) for row in dictionary.values() if not row["IsActive"])
    types = all_rows(client, RECORD_TYPES)
    found = []
    for row in types or [{"Id": MASTER, "DeveloperName": "Master", "Name": "Master", "IsActive": True}]:
        answer = client.get(f"ui-api/object-info/Opportunity/picklist-values/{soql.to18(row['Id'])}")
        values = answer["picklistFieldValues"]["StageName"]["values"]
        legal = tuple(_stage(dictionary[v["value"]]) if v["value"] in dictionary else Stage(id=v["value"], label=v["label"]) for v in values)
        offered = {stage.id for stage in legal}
        stages = legal + tuple(stage for stage in retired if stage.id not in offered)
        options = {
            name: frozenset(str(entry["value"]) for entry in told["values"])
            for name, told in answer["picklistFieldValues"].items()
            if name.lower().startswith(PREFIX) and isinstance(told, dict) and isinstance(told.get("values"), list)
        }
        found.append(Pipeline(id=row["DeveloperName"], label=row["Name"], stages=stages, active=bool(row["IsActive"]), options=options))
    return tuple(found)


STAGES = "SELECT Id, ApiName, MasterLabel, IsActive, IsClosed, IsWon, DefaultProbability, SortOrder FROM OpportunityStage"
RECORD_TYPES = "SELECT Id, DeveloperName, Name, IsActive FROM RecordType WHERE SobjectType = 'Opportunity'"
ORGANIZATION = "SELECT Id, Name, IsSandbox, TimeZoneSidKey, FiscalYearStartMonth FROM Organization"
CORPORATE_CURRENCY = "SELECT IsoCode FROM CurrencyType WHERE IsCorporate = true"
DATED_RATES = "SELECT IsoCode, ConversionRate, StartDate FROM DatedConversionRate"
RATES = "SELECT IsoCode, ConversionRate FROM CurrencyType WHERE IsActive = true"
OWN_CURRENCY = "SELECT DefaultCurrencyIsoCode FROM Organization"


CHECK_CALLS = 5
"""What :func:`org_info` calls, once signed in: versions, organization, user, limits, currency."""


def org_info(client: Client) -> OrgInfo:
    """Who the credentials belong to, which org it is, and how much of its calls of the day is used.

    ``currency`` is empty where the org tells neither a corporate nor a default currency.
    """
    versions = {entry["version"] for entry in client.get("/services/data", holds=_lists_versions)}
    if client.settings.api_version not in versions:
        raise CrmConfigError(f"the org does not offer API version {client.settings.api_version}", code="SC-E055")
    rows = all_rows(client, ORGANIZATION)
    if not rows:
        raise AuthenticationError("the connection's user may not see its own organization", code="SC-E052")
    org = rows[0]
    user = client.get("/services/oauth2/userinfo", holds=lambda answer: isinstance(answer, dict) and "user_id" in answer)
    daily = client.get("limits", holds=lambda answer: isinstance(answer, dict)).get("DailyApiRequests") or {}
    most, left = daily.get("Max"), daily.get("Remaining")
    return OrgInfo(
        org_id=soql.to18(org["Id"]),
        name=org["Name"],
        user_id=soql.to18(user["user_id"]),
        api_version=client.settings.api_version,
        time_zone=org["TimeZoneSidKey"],
        currency=_currency(client),
        now=client.heard,
        calls_used=most - left if most is not None and left is not None else None,
        calls_max=most,
        sandbox=bool(org["IsSandbox"]),
        fiscal_year_starts=org["FiscalYearStartMonth"],
    )


def _lists_versions(answer: Any) -> bool:
    return isinstance(answer, list) and all(isinstance(entry, dict) and "version" in entry for entry in answer)


def _currency(client: Client) -> str:
    """An org without several currencies has no CurrencyType at all, one with them may hide its default."""
    for query, field in ((CORPORATE_CURRENCY, "IsoCode"), (OWN_CURRENCY, "DefaultCurrencyIsoCode")):
        try:
            rows = all_rows(client, query)
        except CrmConfigError:
            continue
        if rows and rows[0][field]:
            return str(rows[0][field])
    return ""


def rates(client: Client) -> tuple[Rate, ...]:
    """What one unit of each currency is worth in corporate currency. The org tells units for one corporate unit, so this is the inverse.

    An org without dated rates changes what an amount was worth whenever a rate is edited: then the one rate holds for every day.
    """
    dated = [(str(row["IsoCode"]), date.fromisoformat(row["StartDate"]), row["ConversionRate"]) for row in _told(client, DATED_RATES)]
    known = {code for code, _, _ in dated}
    plain = [(str(row["IsoCode"]), date.min, row["ConversionRate"]) for row in _told(client, RATES) if row["IsoCode"] not in known]
    return tuple(Rate(code, since, 1 / Decimal(str(units))) for code, since, units in (*dated, *plain) if units)


def _told(client: Client, query: str) -> list[dict[str, Any]]:
    """The rows of a dictionary that an org need not have."""
    try:
        return all_rows(client, query)
    except CrmConfigError:
        return []


def all_rows(client: Client, query: str) -> list[dict[str, Any]]:
    """All rows of a dictionary query, page by page. A lost cursor starts it again; what is too much is asked in the smallest pages."""
    headers = None
    for attempt in range(1, ATTEMPTS + 1):
        try:
            answer = client.page("query", params={"q": query}, headers=headers)
            session = client.session
            rows = list(answer["records"])
            while not answer["done"]:
                answer = client.page(answer["nextRecordsUrl"], headers=headers, session=session)
                rows += answer["records"]
        except CursorExpired:
            continue
        except TooLarge:
            if attempt == ATTEMPTS:
                raise
            headers = {"Sforce-Query-Options": "batchSize=200"}
            continue
        return rows
    raise Transient(f"the org lost the page cursor {ATTEMPTS} times")


def _stage(row: Mapping[str, Any]) -> Stage:
    percent = row["DefaultProbability"]
    return Stage(
        id=row["ApiName"],
        label=row["MasterLabel"],
        active=bool(row["IsActive"]),
        closed=bool(row["IsClosed"]),
        won=bool(row["IsWon"]),
        probability=percent / 100 if percent is not None else None,
    )
