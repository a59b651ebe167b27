"""What the CRMs really send when they refuse: status, headers, body. One function a CRM."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime

import orjson

from connector.sandbox.faults.kinds import SALESFORCE
from connector.sandbox.faults.rules import Fault
from connector.sandbox.hubspot.errors import NOT_FOUND_HTML, Failure
from connector.sandbox.hubspot.portal import Portal
from connector.sandbox.salesforce.frames import JSON, http_date

_HTML = "text/html; charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Canned:
    """An answer in place of the CRM's. ``body``: bytes as they are."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def page(title: str, text: str) -> bytes:
    """An HTML page as proxies send it."""
    return f"<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n<p>{text}</p>\n</body>\n</html>\n".encode()


MAINTENANCE = page("Scheduled maintenance", "We are down for maintenance. Sorry for the inconvenience. We'll be back shortly.")
_PAGES: Mapping[str, tuple[int, bytes]] = {
    "bad-gateway": (502, page("502 Bad Gateway", "The proxy server received an invalid response from an upstream server.")),
    "gateway-timeout": (504, page("504 Gateway Timeout", "The upstream server did not answer in time.")),
    "origin-down": (521, page("Error 521", "Web server is down")),
    "overloaded": (420, page("420", "Too many requests are waiting at the edge.")),
    "maintenance-page": (200, MAINTENANCE),
    "uri-too-long": (414, b"<h1>URI Too Long</h1>"),
}
_SALESFORCE: Mapping[str, tuple[int, str, str]] = {
    "calls-used-up": (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
    "concurrent-limit": (403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."),
    "long-transactions": (403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."),
    "query-timeout": (400, "QUERY_TIMEOUT", "Your query request was running for too long."),
    "query-complicated": (400, "QUERY_TOO_COMPLICATED", "Query is either selecting too many fields or the filter conditions are too complicated."),
    "locator-lost": (400, "INVALID_QUERY_LOCATOR", "invalid query locator"),
    "version-retired": (410, "UNSUPPORTED_API_VERSION", "The requested version is retired and no longer supported"),
    "missing-scopes": (403, "INSUFFICIENT_ACCESS", "insufficient access rights on cross-reference id"),
    "not-found": (404, "NOT_FOUND", "The requested resource does not exist"),
    "server-error": (
        500,
        "UNKNOWN_EXCEPTION",
        "An unexpected error occurred. Please include this ErrorId if you contact support: 1234567-89012 (1912345678)",
    ),
    "unavailable": (503, "SERVER_UNAVAILABLE", "Server is busy. Please try again later."),
}
_HUBSPOT: Mapping[str, tuple[int, str, dict[str, str]]] = {
    "request-timeout": (408, "Request timed out", {}),
    "too-large": (413, "Request entity too large", {}),
    "locked": (423, "The resource is locked. Please wait at least 2 seconds between calls.", {"category": "LOCKED"}),
    "migrating": (477, "This HubSpot account is being migrated to another data hosting location.", {"category": "MIGRATION_IN_PROGRESS"}),
    "server-error": (500, "internal error", {}),
    "unavailable": (503, "Service Unavailable", {}),
    "login-down": (503, "Service Unavailable", {}),
    "secondly-limit": (429, "You have reached your secondly limit.", {"category": "RATE_LIMITS"}),
    "ten-secondly-limit": (
        429,
        "You have reached your ten_secondly_rolling limit.",
        {"errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY_ROLLING"},
    ),
    "daily-limit-answer": (429, "You have reached your daily limit.", {"errorType": "RATE_LIMIT", "policyName": "DAILY"}),
}


def canned(fault: Fault, now: datetime, portal: Portal) -> Canned:
    """The answer of an ``answer`` fault."""
    return _salesforce(fault, now) if fault.crm == SALESFORCE else _hubspot(fault, now, portal)


def _salesforce(fault: Fault, now: datetime) -> Canned:
    dated = {"Date": http_date(now)}
    if fault.kind in _PAGES:
        status, body = _PAGES[fault.kind]
        return Canned(status, body, dated | {"Content-Type": _HTML})
    if fault.kind == "login-refused":
        return Canned(
            400, orjson.dumps({"error": "invalid_grant", "error_description": "expired access/refresh token"}), dated | {"Content-Type": JSON}
        )
    if fault.kind == "login-down":
        return Canned(503, page("503 Service Unavailable", "The login service is not available."), dated | {"Content-Type": _HTML})
    status, code, message = _SALESFORCE[fault.kind]
    return Canned(status, orjson.dumps([{"message": message, "errorCode": code}]), dated | {"Content-Type": JSON})


def _hubspot(fault: Fault, now: datetime, portal: Portal) -> Canned:
    correlation = f"00000000-0000-4000-8000-{next(portal.correlations):012d}"
    headers = {"Date": format_datetime(now, usegmt=True), "X-HubSpot-Correlation-Id": correlation}
    if fault.kind in _PAGES:
        status, body = _PAGES[fault.kind]
        return Canned(status, body, headers | {"Content-Type": _HTML})
    if fault.kind in ("not-found", "version-retired"):
        return Canned(404, NOT_FOUND_HTML, headers | {"Content-Type": "text/html;charset=iso-8859-1", "X-HubSpot-NotFound": "true"})
    failure = _SPECIAL[fault.kind](fault) if fault.kind in _SPECIAL else _plain(fault, portal)
    retry = {"Retry-After": fault.parameters["retry_after"]} if "retry_after" in fault.parameters else {}
    body = orjson.dumps(failure.body(correlation))
    return Canned(failure.status, body, headers | {"Content-Type": "application/json;charset=utf-8"} | failure.headers | retry)


def _plain(fault: Fault, portal: Portal) -> Failure:
    status, message, extra = _HUBSPOT[fault.kind]
    headers = {}
    if fault.kind in ("ten-secondly-limit", "daily-limit-answer"):  # a search's refusal has no limit header at all
        extra = extra | {"groupName": "publicapi:private-apps:api-calls"}
        headers = portal.limits.headers(search=False, oauth=False)
        spent = "X-HubSpot-RateLimit-" + ("Daily-Remaining" if fault.kind == "daily-limit-answer" else "Remaining")
        headers = headers | {spent: "0"}
    return Failure(status, message, headers=headers, **extra)


def _expired(fault: Fault) -> Failure:
    message = "The OAuth token used to make this call expired 1 second(s) ago."
    return Failure(401, message, category="EXPIRED_AUTHENTICATION")


def _scopes(fault: Fault) -> Failure:
    scope = fault.parameters.get("scope", "crm.objects.deals.read")
    context = {"requiredGranularScopes": [scope], "links": ["https://developers.hubspot.com/scopes"]}
    return Failure(403, "One or more of the following scopes are required.", context=context, category="MISSING_SCOPES")


def _bad_refresh(fault: Fault) -> Failure:
    failure = Failure(400, "missing or invalid refresh token", error="invalid_grant", error_description="missing or invalid refresh token")
    failure.extra["status"] = "BAD_REFRESH_TOKEN"
    return failure


_SPECIAL: Mapping[str, Callable[[Fault], Failure]] = {"session-ended": _expired, "missing-scopes": _scopes, "login-refused": _bad_refresh}
