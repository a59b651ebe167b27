"""What an answer of HubSpot, or its absence, means: the table of errors and actions as code.

Bodies may be JSON with any key missing, HTML, or empty. Nothing of the vendor's exceptions passes this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from hubspot.crm.objects import ApiException
from urllib3 import exceptions as net

from connector import errors

TEN_SECONDS = 10.0
LOCKED_SECONDS = 2.0
PASSING = frozenset({408, 423, 477, 500, 502, 503, 504, 521, 522, 523, 524})


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


def raise_for(problem: Problem, method: str, path: str, inputs: int) -> None:
    """Raise the class of connector.errors that tells the caller what to do. ``inputs``: ids in the request's body."""
    status, where = problem.status, f"{method} {path}"
    if status == 401:
        raise errors.AuthenticationError(f"HubSpot refuses the credential: {problem.message}")
    if status == 403:
        raise missing_scope(problem, where)
    if status == 429:
        raise_limited(problem)
    if status in (413, 414) or (status == 504 and inputs > 1):
        raise errors.TooLarge(f"{where}: HTTP {status} with {inputs} ids")
    if status in PASSING:
        raise errors.Transient(f"{where}: {problem.message}", wait=asked_wait(problem) or (LOCKED_SECONDS if status == 423 else None))
    if status == 400 and path.endswith("/search") and ("10,000" in problem.message or "10000" in problem.message):
        raise errors.NoProgress(f"{where}: {problem.message}")
    if status in (400, 409):
        raise errors.CrmConfigError(f"{where}: {problem.message}")
    if status in (404, 405, 415):
        raise errors.CrmConfigError(f"{where}: HTTP {status}: the path or API version is not served", code="SC-E055")
    raise errors.ConnectorError(f"{where}: {problem.message}")


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
    if "daily" in words:
        raise errors.BudgetReached("HubSpot's daily limit is reached; it resets at midnight in the portal's time zone")
    asked = asked_wait(problem)
    if asked is not None:
        raise errors.Transient("HubSpot limits the rate", wait=asked)
    short = "secondly" in words and "ten_secondly" not in words and "ten secondly" not in words
    raise errors.Transient("HubSpot limits the rate", wait=1.0 if short else TEN_SECONDS)


def asked_wait(problem: Problem) -> float | None:
    """Seconds of Retry-After, where it is sent as a number."""
    text = str(problem.headers.get("Retry-After") or "")
    return float(text) if text.replace(".", "", 1).isdigit() else None


def network(error: net.HTTPError, where: str) -> errors.ConnectorError:
    """A failure below HTTP: unreachable (SC-E050), timed out, reset, or a body that was cut off."""
    inner = error.reason if isinstance(error, net.MaxRetryError) and error.reason else error
    if isinstance(inner, net.SSLError):
        return errors.SettingsError(f"{where}: TLS failed: {type(inner).__name__}", code="SC-E050")
    unreachable = isinstance(inner, net.NewConnectionError | net.ConnectTimeoutError | net.NameResolutionError)
    return errors.Transient(f"{where}: {type(inner).__name__}", code="SC-E050" if unreachable else "SC-E070")
