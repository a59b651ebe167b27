"""What an error answer of Salesforce means: errorCode and message → one class of connector.errors.

The HTTP status decides only where the body says nothing. Messages are cleaned before they enter an exception: no caret
drawings, no query text, so that no literal of a query reaches a log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import orjson
import requests

from connector.errors import (
    AuthenticationError,
    BudgetReached,
    ConnectorError,
    CrmConfigError,
    CursorExpired,
    MissingScope,
    TooLarge,
    Transient,
)

SESSION_ENDED = frozenset({"INVALID_SESSION_ID", "INVALID_AUTH_HEADER"})
SHRINK = frozenset({"QUERY_TIMEOUT", "QUERY_TOO_COMPLICATED", "OPERATION_TOO_LARGE", "EXCEEDED_ID_LIMIT"})
BACK_OFF = frozenset({"SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION", "ConcurrentPerOrgLongTxn"})
NO_RIGHT = frozenset({"INSUFFICIENT_ACCESS", "INSUFFICIENT_ACCESS_OR_READONLY", "OPERATION_NOT_ALLOWED"})
SWITCHED_OFF = frozenset({"API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED", "OAUTH_APP_BLOCKED", "FUNCTIONALITY_NOT_ENABLED"})
ELSEWHERE = frozenset({"URL_NOT_RESET"})  # a request sent to the login host instead of the org's own
REFUSED = frozenset({300, 405, 409, 412, 415})  # statuses that say what is wrong even without a body, and stay wrong
PASSING = frozenset({420, 429, 500, 502, 503, 504})  # statuses of the moment, whatever the body calls them
GONE = frozenset({"ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "MALFORMED_ID", "NOT_FOUND"})
GOVERNOR = re.compile(r"Too many (SOQL|DML|query)|CPU time|System\.LimitException", re.IGNORECASE)
DEAD_LETTERS = {
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": "SC-E121",
    "UNABLE_TO_LOCK_ROW": "SC-E122",
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": "SC-E123",
    "INSUFFICIENT_ACCESS_OR_READONLY": "SC-E124",
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": "SC-E124",
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": "SC-E125",
    "REQUIRED_FIELD_MISSING": "SC-E126",
    "DUPLICATES_DETECTED": "SC-E127",
    "INVALID_FIELD_FOR_INSERT_UPDATE": "SC-E153",
    "INVALID_FIELD": "SC-E154",
}


class UrlTooLong(TooLarge):
    """The address of the request is too long (414, 431): ask for fewer fields at once. Never leaves this package."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One entry of an error body. ``code``: errorCode or statusCode."""

    code: str
    message: str
    fields: tuple[str, ...] = ()


def clean(message: str) -> str:
    """One line without the query that Salesforce quotes: what follows the last ``ERROR at Row:1:Column:7``."""
    text = re.split(r"ERROR at Row:\d+:Column:\d+", str(message))[-1]
    return " ".join(text.split())[:300]


def problems(body: bytes | str | object) -> tuple[Problem, ...]:
    """The problems of an error body, however it is framed: array, object, OAuth object; none for HTML and other text."""
    content: object = body
    if isinstance(body, bytes | str):
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError:
            return ()
    entries = content if isinstance(content, list) else [content]
    found = []
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        code = entry.get("errorCode") or entry.get("statusCode") or entry.get("error")
        if code:
            fields = entry.get("fields")
            message = entry.get("message") or entry.get("error_description") or ""
            found.append(Problem(str(code), clean(message), tuple(map(str, fields)) if isinstance(fields, list) else ()))
    return tuple(found)


def classify(status: int, body: object) -> ConnectorError:
    """The class that says what to do next. A session that ended is not here: the client renews it first."""
    found = problems(body)
    if not found:
        return _by_status(status)
    code, message = found[0].code, found[0].message
    said = f"{code}: {message}" if message else code
    if code == "REQUEST_LIMIT_EXCEEDED" and "concurrent" not in message.lower():
        return BudgetReached(f"the org has used up its calls of the day ({message or code})")
    if code in BACK_OFF or code == "REQUEST_LIMIT_EXCEEDED" or "ConcurrentPerOrgLongTxn" in message:
        return Transient(said)
    if code in SHRINK:
        return TooLarge(said)
    if code == "INVALID_QUERY_LOCATOR":
        return CursorExpired(said)
    if code in NO_RIGHT:
        return MissingScope(said)
    if code in SWITCHED_OFF:
        return CrmConfigError(said, code="SC-E053")
    if code == "UNSUPPORTED_API_VERSION" or status == 410:
        return CrmConfigError(said, code="SC-E055")
    if code == "INVALID_FIELD_FOR_INSERT_UPDATE":
        return CrmConfigError(said, code="SC-E153")
    if code in ELSEWHERE:
        return CrmConfigError(said, code="SC-E050", next_step="set base_url to the org's My Domain address")
    if status in (414, 431):
        return UrlTooLong(said)
    if status in PASSING or status >= 500:
        return Transient(said)
    return CrmConfigError(said)


def _by_status(status: int) -> ConnectorError:
    """No body that can be read: a proxy, a maintenance page, a cut answer."""
    if status in (414, 431):
        return UrlTooLong(f"HTTP {status}")
    if status == 413:
        return TooLarge("HTTP 413")
    if status == 410:
        return CrmConfigError("HTTP 410", code="SC-E055")
    if status == 404:
        return CrmConfigError("HTTP 404: no such address")
    if status in REFUSED:
        return CrmConfigError(f"HTTP {status}")
    if 300 < status < 400:
        return CrmConfigError(f"HTTP {status}: redirects are not followed", code="SC-E050")
    return Transient(f"HTTP {status} without a readable body")


def network(error: requests.RequestException) -> ConnectorError:
    """A failure below HTTP. Its own text holds the address with the query, so only its kind goes on."""
    if isinstance(error, requests.exceptions.SSLError):
        return CrmConfigError("the server's certificate cannot be verified", code="SC-E050")
    if isinstance(error, requests.TooManyRedirects):
        return CrmConfigError("the server redirects; redirects are not followed", code="SC-E050")
    kind = type(error).__name__
    if isinstance(error, requests.Timeout):
        return Transient(f"no answer in time ({kind})")
    if isinstance(error, requests.ConnectionError):
        return Transient(f"the CRM cannot be reached ({kind})", code="SC-E050")
    return Transient(f"the answer broke off ({kind})")


GRANTS = (
    ("approved this consumer", "pre-authorise the permission set in the External Client App"),
    ("not supported on this domain", "set base_url to the org's My Domain address: client credentials are refused on login and test"),
    ("audience", "set audience: login for production, test for a sandbox org"),
    ("assertion", "check private_key against the certificate of the app, client_id, and the machine's clock"),
    ("refresh token", "give consent again and set refresh_token to the new token"),
    ("user", "check username: the user must exist and be active"),
    ("expired", "give consent again and set refresh_token to the new token"),
    ("invalid_client_id", "check client_id: the consumer key of the External Client App"),
    ("client", "check client_id and client_secret"),
    ("unsupported_grant_type", "allow the connection's flow in the External Client App, or set another flow"),
    ("grant type", "allow the connection's flow in the External Client App, or set another flow"),
)
STUMBLES = frozenset({"server_error", "temporarily_unavailable", "unknown_error", "SERVER_UNAVAILABLE"})
BY_FLOW = {
    "client-credentials": "check base_url, client_id, client_secret, and that the app names a user to run as",
    "jwt": "check client_id, username, private_key and audience",
    "refresh-token": "check client_id and refresh_token",
}


def refused_grant(error: object, description: object, flow: str = "") -> ConnectorError:
    """A refused token request, with the setting to change as its next step.

    An answer that is no refusal (a status where the error's name belongs) is worth another try.
    """
    if not isinstance(error, str) or error in STUMBLES:
        return Transient(f"the token endpoint did not answer properly ({error})")
    text = clean(str(description or ""))
    step = next((step for part, step in GRANTS if part in text.lower() or part in error.lower()), BY_FLOW.get(flow))
    code = "SC-E053" if "admin" in text.lower() or "blocked" in text.lower() else "SC-E051"
    return AuthenticationError(f"{error}: {text}" if text else error, code=code, next_step=step)
