"""What an answer of HubSpot, or its absence, means: the table of errors and actions as code.

Bodies may be JSON with any key missing, HTML, or empty. Nothing of the vendor's exceptions passes this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
from hubspot.crm.objects import ApiException
from urllib3 import exceptions as net

from connector import errors

TEN_SECONDS = 10.0
LOCKED_SECONDS = 2.0
SEARCH_CAP = 10_000  # results a query
PASSING = frozenset({408, 423, 477})  # and everything from 500 on: 502, 503, 504, and 521 to 524 of the network in front
NOT_FOUND = "OBJECT_NOT_FOUND"
NO_ASSOCIATIONS = "crm.associations.NO_ASSOCIATIONS_FOUND"


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer that is not a success: its parsed body where it has one, else ``{}``."""

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def category(self) -> str:
        return str(self.body.get("category") or self.body.get("errorType") or "")

    @property
    def message(self) -> str:
        """The CRM's words with the correlation id that its support asks for."""
        words = str(self.body.get("message") or f"HTTP {self.status}")
        correlation = self.body.get("correlationId") or self.headers.get("X-HubSpot-Correlation-Id")
        return f"{words} (correlationId {correlation})" if correlation else words


def problem_of(error: ApiException) -> Problem:
    """Read the exception of the client library; HTML and empty bodies become an empty mapping."""
    try:
        body = orjson.loads(error.body)
    except (orjson.JSONDecodeError, TypeError):
        body = {}
    return Problem(int(error.status), error.headers or {}, body if isinstance(body, dict) else {})


def raise_for(problem: Problem, method: str, path: str, body: Mapping[str, Any] | None) -> None:
    """Raise the class of connector.errors that tells the caller what to do. ``body``: what was asked."""
    status, where = problem.status, f"{method} {path}"
    asked = body or {}
    inputs = len(asked.get("inputs", ()))
    if status == 401:
        raise errors.AuthenticationError(f"HubSpot refuses the credential: {problem.message}")
    if status == 403:
        raise missing_scope(problem, where)
    if status == 429:
        raise_limited(problem)
    if status in (413, 414) or (status == 504 and inputs > 1):
        raise errors.TooLarge(f"{where}: HTTP {status} with {inputs} ids")
    if status in PASSING or status >= 500:
        raise passing(problem, where)
    if status == 400 and path.endswith("/search") and _beyond_cap(problem, asked):
        raise errors.NoProgress(f"{where}: {problem.message}")
    if status in (400, 409) or (status == 404 and problem.category == NOT_FOUND):
        raise errors.CrmConfigError(f"{where}: {problem.message}")
    if status in (404, 405, 415):
        raise errors.CrmConfigError(f"{where}: HTTP {status}: the path or API version is not served", code="SC-E055")
    raise errors.ConnectorError(f"{where}: {problem.message}")


def passing(problem: Problem, where: str) -> errors.Transient:
    """Worth another try: after what HubSpot asks for (a migration may ask for hours), after two seconds where a record is locked."""
    asked = asked_wait(problem)
    if problem.status == 423:
        asked = max(asked or 0.0, LOCKED_SECONDS)
    told = f"; it asks to wait {asked:.0f} s" if asked else ""
    return errors.Transient(f"{where}: {problem.message}{told}", wait=asked)


def _beyond_cap(problem: Problem, asked: Mapping[str, Any]) -> bool:
    """Whether a search is refused because it asked beyond the cap. The answer need not say so."""
    words = problem.message.replace(",", "")
    return str(SEARCH_CAP) in words or int(asked.get("after") or 0) + int(asked.get("limit") or 0) > SEARCH_CAP


def missing_scope(problem: Problem, where: str) -> errors.MissingScope:
    """403 as an error that names the scopes; a stream without its scope is a failure, never an empty result."""
    context = problem.body.get("context")
    wanted = context.get("requiredGranularScopes", []) if isinstance(context, dict) else []
    named = ", ".join(str(scope) for scope in wanted)
    step = f"grant the scope {named} to the service key" if named else None
    return errors.MissingScope(f"{where}: {'missing scope ' + named if named else problem.message}", next_step=step)


def raise_limited(problem: Problem) -> None:
    """429: the day's limit pauses; otherwise wait what is asked, a second, or the rest of the ten-second window.

    Answers of /search carry neither headers nor Retry-After, so the text of the body decides.
    """
    words = f"{problem.body.get('policyName') or ''} {problem.body.get('message') or ''}".lower()
    if "daily" in words or str(problem.headers.get("X-HubSpot-RateLimit-Daily-Remaining") or "") == "0":
        raise errors.BudgetReached("HubSpot's daily limit is reached; it resets at midnight in the portal's time zone")
    asked = asked_wait(problem)
    if asked is not None:
        raise errors.Transient("HubSpot limits the rate", wait=asked)
    short = "secondly" in words and "ten_secondly" not in words and "ten secondly" not in words
    raise errors.Transient("HubSpot limits the rate", wait=1.0 if short else TEN_SECONDS)


def asked_wait(problem: Problem) -> float | None:
    """Seconds of Retry-After, sent as a number or as a date (then by the answer's own clock); None where there is none."""
    text = str(problem.headers.get("Retry-After") or "").strip()
    if text.replace(".", "", 1).isdigit():
        return float(text)
    until, now = instant_of(text), instant_of(problem.headers.get("Date"))
    return max(0.0, (until - now).total_seconds()) if until and now else None


def instant_of(text: str | None) -> datetime | None:
    """An HTTP date as an aware instant; None for none, and for one that cannot be read."""
    try:
        return parsedate_to_datetime(text or "").astimezone(UTC)
    except ValueError:
        return None


def names_in(error: Mapping[str, Any]) -> tuple[str, ...]:
    """Every code that an error carries, most specific first: those of its details, then its subcategory and category.

    Error rows of a 207 have two shapes: category and subCategory as text, or (one schema for all since 2026-09) the same frame
    as a whole answer's error, with ``errors[]`` of their own and a subcategory that may be an object.
    """
    details = [detail for detail in error.get("errors") or () if isinstance(detail, dict)]
    told: list[Any] = [detail.get(key) for detail in details for key in ("code", "subCategory")]
    sub = error.get("subCategory")
    told += [sub.get("name") or sub.get("category") if isinstance(sub, dict) else sub]
    told += [error.get(key) for key in ("category", "errorType")]
    return tuple(dict.fromkeys(str(name) for name in told if name))


def ids_in(error: Mapping[str, Any], *keys: str) -> frozenset[str]:
    """Ids in the context of an error or of its details, under any of these keys; one id may stand without a list."""
    found: set[str] = set()
    for place in (error, *(detail for detail in error.get("errors") or () if isinstance(detail, dict))):
        context = place.get("context")
        if not isinstance(context, dict):
            continue
        for held in (context.get(key) for key in keys):
            found |= {str(id_) for id_ in (held if isinstance(held, list) else [held]) if id_ is not None}
    return frozenset(found)


def network(error: net.HTTPError, where: str) -> errors.ConnectorError:
    """A failure below HTTP: unreachable (SC-E050), timed out, reset, or a body that was cut off."""
    inner = error.reason if isinstance(error, net.MaxRetryError) and error.reason else error
    if isinstance(inner, net.SSLError):
        return errors.SettingsError(f"{where}: TLS failed: {type(inner).__name__}", code="SC-E050")
    unreachable = isinstance(inner, net.NewConnectionError | net.ConnectTimeoutError | net.NameResolutionError)
    return errors.Transient(f"{where}: {type(inner).__name__}", code="SC-E050" if unreachable else "SC-E070")
