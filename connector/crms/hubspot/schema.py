"""The live schema of a portal: properties, pipelines, labels and the account as values of crms.base."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connector.clock import parse_instant
from connector.crms.base import Field, FieldType, Option, OrgInfo, Pipeline, Rate, Rule, Stage
from connector.crms.hubspot.lists import cursor
from connector.crms.hubspot.transport import Transport
from connector.crms.hubspot.wire import OBJECTS
from connector.errors import CrmConfigError, MissingScope, NoProgress, Transient

TEXT_LENGTH = 65_536
PRIVATE_APPS = "private-apps-api-calls-daily"
PRIMARY_TYPES = frozenset({1, 2, 5, 6})  # HUBSPOT_DEFINED: contact→company, company→contact, deal→company, company→deal
BY_TYPE: Mapping[str, FieldType] = {
    "bool": "boolean", "date": "date", "datetime": "datetime", "number": "number", "string": "text", "phone_number": "text",
}  # fmt: skip
OWNER_FIELDS: Mapping[str, FieldType] = {
    "id": "id", "userId": "text", "type": "text", "firstName": "text", "lastName": "text", "email": "text", "archived": "boolean",
}  # fmt: skip


ACCOUNT_CALLS = 2
"""What :func:`account` calls: details, and today's calls."""


def account(transport: Transport) -> OrgInfo:
    """Who the credential belongs to. Raises AuthenticationError, MissingScope, Transient; CrmConfigError for an unknown time zone."""
    version = transport.settings.api_version
    details = transport.get(f"/account-info/{version}/details").body
    if not details.get("portalId"):
        raise Transient("HubSpot's account details name no portal")
    zone = str(details.get("timeZone") or "UTC")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise CrmConfigError(f"the portal's time zone {zone!r} is not known here") from None
    used, allowed = usage(transport)
    portal = str(details["portalId"])
    return OrgInfo(
        org_id=portal,
        name=f"HubSpot portal {portal}",
        user_id=portal,  # a service key belongs to the portal, not to a person
        api_version=version,
        time_zone=zone,
        currency=str(details.get("companyCurrency") or "USD"),
        now=_heard(transport),
        calls_used=used,
        calls_max=allowed,
        sandbox=details.get("accountType") in ("SANDBOX", "DEVELOPER_TEST"),
    )


def _heard(transport: Transport) -> datetime:
    return transport.heard or transport.now()


def rates(transport: Transport) -> tuple[Rate, ...]:
    """What one unit of each currency is worth in the company's currency, from the instant each rate took effect."""
    path, found, after = f"/settings/currencies/{transport.settings.api_version}/exchange-rates", [], None
    while True:
        answer = transport.get(path, [("after", after)] if after else []).body
        found += [
            Rate(str(row["fromCurrencyCode"]), parse_instant(row["effectiveAt"]), Decimal(str(row["conversionRate"]))) for row in answer["results"]
        ]
        following = cursor(answer)
        if following is None:
            return tuple(found)
        if following == after:
            raise NoProgress("exchange rates: the list gave the same cursor twice")
        after = following


def usage(transport: Transport) -> tuple[int | None, int | None]:
    """Calls used and allowed today: from the headers, else from the usage endpoint, picked by name. OAuth apps have neither."""
    meter = transport.meter
    if meter.allocation_max is not None:
        return meter.allocation_used, meter.allocation_max
    try:
        reply = transport.get(f"/account-info/{transport.settings.api_version}/api-usage/daily/private-apps", accept=(400, 404))
    except MissingScope:
        return None, None
    for entry in reply.body.get("results", ()):
        if entry.get("name") == PRIVATE_APPS and entry.get("usageLimit") is not None:
            return int(entry.get("currentUsage") or 0), int(entry["usageLimit"])
    return None, None


def fields(transport: Transport, object: str) -> Mapping[str, Field]:
    """Properties by name. Owners have none: their fixed keys stand for them. Raises CrmConfigError for an unknown object."""
    if object == "owners":
        return {name: Field(name=name, label=name, type=type_, writable=False) for name, type_ in OWNER_FIELDS.items()}
    reply = transport.get(f"/crm/properties/{transport.settings.api_version}/{object}")
    return {str(raw["name"]): field(raw) for raw in reply.body["results"]}


def field(raw: Mapping[str, Any]) -> Field:
    """One property. ``calculated`` is false on HubSpot's own roll-ups, so the fieldType decides."""
    calculated = bool(raw.get("calculated")) or str(raw.get("fieldType", "")).startswith("calculation_")
    read_only = bool((raw.get("modificationMetadata") or {}).get("readOnlyValue", False))
    type_ = field_type(raw)
    return Field(
        name=str(raw["name"]),
        label=str(raw.get("label") or raw["name"]),
        type=type_,
        writable=not read_only and not calculated,
        calculated=calculated,
        options=tuple(Option(str(o["value"]), str(o.get("label") or o["value"]), not o.get("hidden", False)) for o in raw.get("options") or ()),
        restricted=raw.get("type") == "enumeration" and not raw.get("externalOptions", False),
        length=TEXT_LENGTH if type_ in ("text", "long_text") else None,
        sensitive=raw.get("dataSensitivity") not in (None, "non_sensitive"),
    )


def field_type(raw: Mapping[str, Any]) -> FieldType:
    """HubSpot's (type, fieldType) pair in our words; a boolean may be an enumeration of true and false."""
    type_, control, hint = str(raw.get("type")), str(raw.get("fieldType")), raw.get("numberDisplayHint")
    if raw.get("name") == "hs_object_id":
        return "id"
    if type_ == "enumeration":
        if control == "booleancheckbox":
            return "boolean"
        if raw.get("referencedObjectType") or raw.get("name") == "hubspot_owner_id":
            return "reference"
        return "multipicklist" if control == "checkbox" else "picklist"
    if type_ == "number" and (hint == "currency" or raw.get("showCurrencySymbol")):
        return "money"
    if type_ == "number" and hint in ("percentage", "probability"):
        return "percent"
    if type_ == "string" and control in ("textarea", "html"):
        return "long_text"
    return BY_TYPE.get(type_, "other")


def probe(transport: Transport, object: str) -> None:
    """One record of an object type. Raises MissingScope."""
    version = transport.settings.api_version
    if object == "owners":
        transport.get(f"/crm/owners/{version}", [("limit", "1")])
    else:
        transport.get(f"/crm/objects/{version}/{object}", [("limit", "1"), ("properties", "hs_object_id")])  # else names and addresses come


def pipelines(transport: Transport) -> tuple[Pipeline, ...]:
    """Deal pipelines with their stages, archived ones inactive. Metadata are text; only probability tells won from lost."""
    reply = transport.get(f"/crm/pipelines/{transport.settings.api_version}/deals")
    return tuple(
        Pipeline(str(raw["id"]), str(raw["label"]), tuple(stage(s) for s in raw.get("stages") or ()), not raw.get("archived", False))
        for raw in reply.body["results"]
    )


def stage(raw: Mapping[str, Any]) -> Stage:
    metadata = raw.get("metadata") or {}
    text = metadata.get("probability")
    probability = float(text) if text not in (None, "") else None
    closed = str(metadata.get("isClosed", "false")).lower() == "true"
    return Stage(str(raw["id"]), str(raw["label"]), not raw.get("archived", False), closed, closed and probability == 1.0, probability)


def rules(transport: Transport, object: str) -> tuple[Rule, ...]:
    """The administrator's rules on values of an object's properties. A portal that does not serve them lists none."""
    path = f"/crm/property-validations/{transport.settings.api_version}/{OBJECTS[object][1] if object in OBJECTS else object}"
    reply = transport.get(path, accept=(404,))
    return tuple(
        Rule(str(held["propertyName"]), " ".join([str(rule.get("ruleType")), *map(str, rule.get("ruleArguments") or ())]))
        for held in reply.body.get("results", ())
        for rule in held.get("propertyValidationRules") or ()
    )


def labels(transport: Transport, source: str, target: str) -> tuple[str, ...]:
    """Names of the association labels between two objects; type ids differ per portal and are never stored."""
    reply = transport.get(f"/crm/associations/{transport.settings.api_version}/{source}/{target}/labels")
    named = [name for name in (label_name(raw) for raw in reply.body["results"]) if name]
    return tuple(dict.fromkeys(named))


def label_name(raw: Mapping[str, Any]) -> str | None:
    """The label's name; the unlabelled default has none, and HubSpot's own primary association is called Primary."""
    if raw.get("category") == "HUBSPOT_DEFINED" and raw.get("typeId") in PRIMARY_TYPES:
        return "Primary"
    return str(raw["label"]) if raw.get("label") else None
