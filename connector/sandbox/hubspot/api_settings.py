"""Endpoints of the account itself: details, usage, owners, limits, money."""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from connector.sandbox.hubspot.call import Answer, Call
from connector.sandbox.hubspot.errors import Failure, NotFound, invalid
from connector.sandbox.hubspot.records import stamp
from connector.sandbox.hubspot.schema import TYPES

BORN = "2025-01-10T09:00:00.000Z"
PIPELINES_MAX, LABELS_MAX, RECORDS_MAX = 100, 50, 15_000_000


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
    """GET /account-info/{v}/api-usage/daily/private-apps: several entries come back, told apart by name. Not for an OAuth app."""
    portal = call.portal
    if call.access.oauth:
        raise Failure(403, "This endpoint is only available to private apps.", category="MISSING_SCOPES")
    portal.limits.roll(portal.clock.now)
    local = portal.clock.now.astimezone(ZoneInfo(portal.time_zone))
    midnight = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    common = {"usageLimit": portal.limits.daily, "collectedAt": stamp(portal.now), "fetchStatus": "SUCCESS",
              "resetsAt": midnight.astimezone(ZoneInfo("UTC")).strftime("%Y-%m-%dT%H:%M:%SZ")}  # fmt: skip
    rows = (("webhooks-private-apps-api-calls-daily", 0), ("private-apps-api-calls-daily", portal.limits.used_today))
    return Answer({"results": [{"name": name, "currentUsage": used} | common for name, used in rows]})


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
    used, most = sum(made.values()), call.portal.calculated_allowed
    share = 100.0 * used / most if most else 0.0
    return Answer({"overallLimit": most, "overallUsage": used, "overallPercentage": share, "byObjectType": _by_type(made)})


def _limited(counts: dict[str, int], most: int) -> list[dict[str, object]]:
    return [row | {"limit": most, "percentage": 100.0 * counts[name] / most} for name in counts for row in _by_type({name: counts[name]})]


NO_CUSTOM_OBJECTS: dict[str, object] = {"overallLimit": 10, "overallUsage": 0, "overallPercentage": 0.0, "byObjectType": []}


def custom_limits(call: Call) -> Answer:
    """GET /crm/limits/{v}/custom-properties: a limit for each object type, and one for all."""
    made = {kind: sum(not prop.native for prop in table.values()) for kind, table in call.portal.properties.items()}
    used, most = sum(made.values()), call.portal.custom_max * len(TYPES)
    return Answer({
        "overallLimit": most, "overallUsage": used, "overallPercentage": 100.0 * used / most, "byObjectType": _limited(made, call.portal.custom_max),
    })  # fmt: skip


def pipeline_limits(call: Call) -> Answer:
    """GET /crm/limits/{v}/pipelines: by object type."""
    made = {kind: len(known) for kind, known in call.portal.pipelines_of.items()}
    return Answer({"customObjectTypes": NO_CUSTOM_OBJECTS, "hubspotDefinedObjectTypes": _limited(made, PIPELINES_MAX)})


def record_limits(call: Call) -> Answer:
    """GET /crm/limits/{v}/records: by object type."""
    live = {name: len(numbers) for name, numbers in call.portal.live.items()}
    return Answer({"customObjectTypes": NO_CUSTOM_OBJECTS, "hubspotDefinedObjectTypes": _limited(live, RECORDS_MAX)})


def label_limits(call: Call) -> Answer:
    """GET /crm/limits/{v}/associations/labels: by pair of object types that have labels of the admin's own."""
    rows = []
    for (one, two), held in call.portal.associations.labels.items():
        own = [label.name for label in held if label.category == "USER_DEFINED"]
        if own:
            ends = [
                {"objectTypeId": TYPES[name].type_id, "singularLabel": TYPES[name].labels[0], "pluralLabel": TYPES[name].labels[1]}
                for name in (one, two)
            ]
            rows.append({
                "fromObjectType": ends[0], "toObjectType": ends[1], "limit": LABELS_MAX, "usage": len(own),
                "percentage": 100.0 * len(own) / LABELS_MAX, "allLabels": own,
            })  # fmt: skip
    return Answer({"results": rows})


def company_currency(call: Call) -> Answer:
    """GET /settings/currencies/{v}/company-currency."""
    call.allow("settings.currencies.read")
    return Answer({"id": call.portal.currency, "createdAt": BORN})


def currency_codes(call: Call) -> Answer:
    """GET /settings/currencies/{v}/codes: what the portal could use."""
    call.allow("settings.currencies.read")
    names = {"USD": "US Dollar", "EUR": "Euro", "GBP": "British Pound", "CHF": "Swiss Franc"}
    return Answer({"results": [{"currencyCode": code, "currencyName": name} for code, name in names.items()]})


def _rates(call: Call, changes: list[tuple[str, Decimal, str]]) -> Answer:
    call.allow("settings.currencies.read")
    home = call.portal.currency
    return Answer({"results": [
        {"id": str(8801 + n), "fromCurrencyCode": code, "toCurrencyCode": home, "conversionRate": float(rate), "effectiveAt": at,
         "visibleInUI": True, "createdAt": BORN, "updatedAt": BORN}
        for n, (code, rate, at) in enumerate(changes)
    ]})  # fmt: skip


def exchange_rates(call: Call) -> Answer:
    """GET /settings/currencies/{v}/exchange-rates: every rate there ever was, oldest first."""
    portal = call.portal
    changed = {code for code, _, _ in portal.rate_changes}
    first = [(code, rate, "2026-11-01T00:00:00Z") for code, rate in sorted(portal.rates.items()) if code != portal.currency and code not in changed]
    return _rates(call, [*first, *((code, rate, stamp(at)) for code, rate, at in portal.rate_changes)])


def current_rates(call: Call) -> Answer:
    """GET /settings/currencies/{v}/exchange-rates/current."""
    portal = call.portal
    since = {code: stamp(at) for code, _, at in portal.rate_changes}
    foreign = [(code, rate) for code, rate in sorted(portal.rates.items()) if code != portal.currency]
    return _rates(call, [(code, rate, since.get(code, "2026-11-01T00:00:00Z")) for code, rate in foreign])
