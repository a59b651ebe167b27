"""Endpoints of the account itself: details, usage, tokens, properties, pipelines, labels, owners, limits, money."""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from starlette.datastructures import FormData

from connector.sandbox.hubspot.call import Answer, Call
from connector.sandbox.hubspot.errors import Failure, NotFound, invalid
from connector.sandbox.hubspot.records import stamp
from connector.sandbox.hubspot.schema import TYPES

TOKEN_SECONDS = 1800
CUSTOM_MAX = 1000
BORN = "2025-01-10T09:00:00.000Z"
SCOPES = (
    "crm.objects.companies.read", "crm.objects.contacts.read", "crm.objects.deals.read", "crm.objects.deals.write", "crm.objects.owners.read",
    "crm.schemas.companies.read", "crm.schemas.contacts.read", "crm.schemas.deals.read", "oauth", "settings.currencies.read",
)  # fmt: skip


def account(call: Call) -> Answer:
    """GET /account-info/{v}/details."""
    portal = call.portal
    offset = portal.clock.now.astimezone(ZoneInfo(portal.time_zone)).utcoffset() or timedelta()
    minutes = int(offset.total_seconds()) // 60
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    return Answer({
        "portalId": portal.portal_id, "accountType": "STANDARD", "timeZone": portal.time_zone, "companyCurrency": portal.currency,
        "additionalCurrencies": sorted(set(portal.rates) - {portal.currency}), "utcOffset": f"{sign}{hours:02d}:{rest:02d}",
        "utcOffsetMilliseconds": minutes * 60_000, "uiDomain": "app.hubspot.com", "dataHostingLocation": "na1",
    })  # fmt: skip


def usage(call: Call) -> Answer:
    """GET /account-info/{v}/api-usage/daily/private-apps: several entries come back, told apart by name."""
    portal = call.portal
    local = portal.clock.now.astimezone(ZoneInfo(portal.time_zone))
    midnight = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    common = {"usageLimit": portal.limits.daily, "collectedAt": stamp(portal.now), "fetchStatus": "SUCCESS",
              "resetsAt": midnight.astimezone(ZoneInfo("UTC")).strftime("%Y-%m-%dT%H:%M:%SZ")}  # fmt: skip
    rows = (("webhooks-private-apps-api-calls-daily", 0), ("private-apps-api-calls-daily", portal.limits.used_today))
    return Answer({"results": [{"name": name, "currentUsage": used} | common for name, used in rows]})


def token(call: Call) -> Answer:
    """POST /oauth/{v}/token: grant refresh_token, a form. Any client and refresh token that are not empty will do."""
    form = call.form if call.form is not None else FormData()
    if form.get("grant_type") != "refresh_token":
        raise Failure(400, "unsupported grant_type", error="unsupported_grant_type", error_description="use refresh_token")
    lacking = [name for name in ("client_id", "client_secret", "refresh_token") if not form.get(name)]
    if lacking:
        raise Failure(400, f"missing or invalid {lacking[0]}", error="invalid_request", error_description=f"missing {lacking[0]}")
    portal = call.portal
    issued = f"oauth-{len(portal.tokens) + 1:04d}-{portal.now:x}"
    portal.tokens[issued] = portal.now + TOKEN_SECONDS * 1000
    return Answer({
        "access_token": issued, "refresh_token": str(form["refresh_token"]), "expires_in": TOKEN_SECONDS, "token_type": "bearer",
        "token_use": "access_token", "hub_id": portal.portal_id, "scopes": [scope for scope in SCOPES if scope not in portal.denied_scopes],
        "user_id": 1_000_001,
    })  # fmt: skip


def properties(call: Call) -> Answer:
    """GET /crm/properties/{v}/{object}: not paged. No property is archived, so ``archived=true`` is empty."""
    kind = call.kind()
    call.allow(f"crm.schemas.{kind.scope}.read")
    table = {} if call.flag("archived") else call.portal.properties[kind.name]
    return Answer({"results": [table[name].wire() for name in sorted(table)]})


def pipelines(call: Call) -> Answer:
    """GET /crm/pipelines/{v}/deals; other objects have none here."""
    kind = call.kind()
    call.allow(f"crm.schemas.{kind.scope}.read")
    known = call.portal.pipelines if kind.name == "deals" else []
    return Answer({"results": [pipeline.wire(n) for n, pipeline in enumerate(known)]})


def labels(call: Call) -> Answer:
    """GET /crm/associations/{v}/{from}/{to}/labels."""
    kind, to = call.kind("from"), call.kind("to")
    call.allow(f"crm.objects.{kind.scope}.read")
    offered = call.portal.associations.labels.get((kind.name, to.name), [])
    return Answer({"results": [label.wire() for label in offered]})


def owners(call: Call) -> Answer:
    """GET /crm/owners/{v}: active ones, or those who left with ``archived=true``."""
    call.allow("crm.objects.owners.read")
    limit = call.number("limit", 100, 100)
    rows = [owner for owner in call.portal.owners.values() if owner.archived is call.flag("archived")]
    try:
        start = int(base64.b64decode(call.query.get("after", "MA=="), validate=True))
    except (ValueError, binascii.Error):
        raise invalid("after is not a valid cursor") from None
    body: dict[str, Any] = {"results": [owner.wire() for owner in rows[start : start + limit]]}
    if start + limit < len(rows):
        after = base64.b64encode(str(start + limit).encode()).decode()
        body["paging"] = {"next": {"after": after, "link": f"https://api.hubapi.com/crm/v3/owners?after={after}"}}
    return Answer(body)


def owner(call: Call) -> Answer:
    """GET /crm/owners/{v}/{id}."""
    call.allow("crm.objects.owners.read")
    found = call.portal.owners.get(call.path["id"])
    if found is None or found.archived is not call.flag("archived"):
        raise NotFound
    return Answer(found.wire())


def _by_type(counts: dict[str, int]) -> list[dict[str, object]]:
    return [
        {"objectTypeId": kind.type_id, "singularLabel": kind.labels[0], "pluralLabel": kind.labels[1], "usage": counts[kind.name]}
        for kind in TYPES.values()
        if counts.get(kind.name)
    ]


def calculated_limits(call: Call) -> Answer:
    """GET /crm/limits/{v}/calculated-properties."""
    tables = call.portal.properties
    made = {kind: sum(not prop.native and prop.calculated for prop in table.values()) for kind, table in tables.items()}
    used = sum(made.values())
    return Answer({"overallLimit": 25, "overallUsage": used, "overallPercentage": used * 4.0, "byObjectType": _by_type(made)})


def custom_limits(call: Call) -> Answer:
    """GET /crm/limits/{v}/custom-properties: a limit for each object type."""
    made = {kind: sum(not prop.native for prop in table.values()) for kind, table in call.portal.properties.items()}
    return Answer({"byObjectType": [row | {"limit": CUSTOM_MAX} for row in _by_type(made)]})


def company_currency(call: Call) -> Answer:
    """GET /settings/currencies/{v}/company-currency."""
    call.allow("settings.currencies.read")
    return Answer({"id": call.portal.currency, "createdAt": BORN})


def exchange_rates(call: Call) -> Answer:
    """GET /settings/currencies/{v}/exchange-rates/current."""
    call.allow("settings.currencies.read")
    portal = call.portal
    foreign = [(code, rate) for code, rate in sorted(portal.rates.items()) if code != portal.currency]
    return Answer({"results": [
        {"id": str(8801 + n), "fromCurrencyCode": code, "toCurrencyCode": portal.currency, "conversionRate": float(rate),
         "effectiveAt": "2026-11-01T00:00:00Z", "visibleInUI": True, "createdAt": BORN, "updatedAt": BORN}
        for n, (code, rate) in enumerate(foreign)
    ]})  # fmt: skip
