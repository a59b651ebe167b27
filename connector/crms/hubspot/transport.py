"""HTTP to one portal over the generic call of hubspot-api-client: one pool, raw JSON, our limits, our error classes.

Facts about the library that shape this module: it knows no dated paths, so only its generic call is used; each
property access of its client builds a new pool, so one ApiClient is kept; it retries by itself unless told not to;
it decodes every error body as UTF-8 and fails on HTML in Latin-1 and on TLS errors, which have no body.
"""

from __future__ import annotations

import http.client
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from hubspot.crm.objects import ApiClient, ApiException, Configuration
from urllib3 import exceptions as net

from connector.clock import Clock
from connector.crms.base import Meter
from connector.crms.budget import DailyCap, TokenBucket
from connector.crms.hubspot import faults
from connector.crms.hubspot.credential import Credential, Form
from connector.crms.hubspot.settings import MAX_PARALLEL, HubSpotSettings
from connector.crms.retry import policy
from connector.errors import Transient

Query = Sequence[tuple[str, str]]
JSON = {"Accept": "application/json", "Content-Type": "application/json"}
FORM = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
SEARCH_RATE = 4.0  # five a second are allowed to everybody in the account together: one at once and four a second after it
START_PER_WINDOW = 90.0  # until a header states Max: 90 % of the smallest allowance
SHARE = 0.9
AT_ONCE = 1 / 5  # of a window's calls; the rest is spread over it, so that no window of ten seconds holds more than its share
REFUSED_GRANT = (400, 401, 403)
LISTS = ("/crm/objects/", "/crm/associations/", "/crm/owners/")
LISTS_READ = ("/crm/properties/", "/crm/pipelines/", "/crm/property-validations/")
LOGGERS = ("urllib3", "hubspot.crm.objects")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that its caller wants to see: a success, or one of the statuses it accepts."""

    status: int
    body: Mapping[str, Any]


class _Client(ApiClient):  # type: ignore[misc]
    """The library's client with error bodies that always decode."""

    def request(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().request(*args, **kwargs)
        except ApiException as error:
            error.body = (error.body or b"").decode("utf-8", "replace").encode()
            raise


class Transport:
    """Requests to one portal. Retries live in crms/retry.py; every call that got there is counted in ``meter.calls``.

    After a refused credential it is latched: it raises AuthenticationError without another call. Threads may share it.
    """

    def __init__(self, settings: HubSpotSettings, clock: Clock, meter: Meter) -> None:
        self.settings = settings
        self.heard: datetime | None = None
        self._clock = clock
        self.meter = meter
        self._lock = threading.RLock()
        self._credential = Credential(settings, clock, self._grant)
        self._cap = DailyCap(meter, cap=settings.daily_calls, used=settings.used_today, stop_at_share=settings.stop_at_share)
        self._search = TokenBucket(SEARCH_RATE, 1, clock)
        self._others = TokenBucket(*_spread(START_PER_WINDOW, faults.TEN_SECONDS), clock)
        self._window = START_PER_WINDOW
        self._api = _open(settings)

    def get(self, path: str, query: Query = (), *, accept: tuple[int, ...] = ()) -> Reply:
        return self.call("GET", path, query=query, accept=accept)

    def post(self, path: str, body: Mapping[str, Any], *, query: Query = (), accept: tuple[int, ...] = (), writing: bool = False) -> Reply:
        return self.call("POST", path, query=query, body=body, accept=accept, writing=writing)

    def call(
        self, method: str, path: str, *, query: Query = (), body: Mapping[str, Any] | None = None, accept: tuple[int, ...] = (), writing: bool = False
    ) -> Reply:
        """One answer, tried again by the policy while the fault may pass. ``accept``: statuses returned instead of raised.

        Raises AuthenticationError, MissingScope, BudgetReached, TooLarge, NoProgress, CrmConfigError, Transient.
        """
        answer: Reply = policy(self._clock.sleep)(self._attempt, method, path, query, body, accept, writing)
        return answer

    def now(self) -> datetime:
        """The Date of a fresh answer; costs one call. An answer without one is asked for again, as after any passing fault."""
        path = f"/account-info/{self.settings.api_version}/details"

        def ask() -> datetime:
            self.heard = None
            self._attempt("GET", path, (), None, (), False)
            if self.heard is None:
                raise Transient("HubSpot's answers carry no Date")
            return self.heard

        told: datetime = policy(self._clock.sleep)(ask)
        return told

    def close(self) -> None:
        self._api.rest_client.pool_manager.clear()
        self._api.close()

    # -- one attempt ------------------------------------------------------------------------------------------------

    def _attempt(self, method: str, path: str, query: Query, body: Mapping[str, Any] | None, accept: tuple[int, ...], writing: bool) -> Reply:
        self._cap.check(writing=writing)
        token = self._credential.bearer()
        bucket = self._search if path.endswith("/search") else self._others
        bucket.take()
        with self._lock:  # several may have waited for their turn: each is counted before the next is allowed
            self._cap.check(writing=writing)
            self.meter.calls += 1
        try:
            reply = self._send(method, path, list(query), JSON | {"Authorization": f"Bearer {token}"}, body)
        except ApiException as error:
            problem = faults.problem_of(error)
            if problem.status in accept:
                return Reply(problem.status, problem.body)
            if problem.status == 429:
                bucket.drain()
            if problem.status == 401:
                self._credential.refuse(token, problem)
            faults.raise_for(problem, method, path, body)
            raise AssertionError("unreachable") from error
        self._credential.worked()
        if _is_list(method, path) and not _has_results(reply.body):
            raise Transient(f"{method} {path}: HTTP {reply.status} with JSON that holds no results")
        return reply

    def _grant(self, form: Form) -> tuple[Mapping[str, Any], faults.Problem | None]:
        """Ask the token endpoint; a refusal for good is answered, what may pass is raised."""
        path = f"/oauth/{self.settings.api_version}/token"
        self._others.take()
        with self._lock:
            self.meter.calls += 1
        try:
            return self._send("POST", path, [], FORM, None, form).body, None
        except ApiException as error:
            problem = faults.problem_of(error)
            if problem.status not in REFUSED_GRANT:
                faults.raise_for(problem, "POST", path, None)
            return {}, problem

    def _send(self, method: str, path: str, query: list[tuple[str, str]], headers: Mapping[str, str], body: Any, form: Any = ()) -> Reply:
        where = f"{method} {path}"
        try:
            answer = self._api.call_api(
                path, method, {}, query, dict(headers), body=body, post_params=list(form), files={}, response_types_map={}, auth_settings=[],
                _preload_content=False, _request_timeout=(self.settings.connect_timeout, self.settings.read_timeout),
            )  # fmt: skip
            self._listen(answer.headers)
            data = answer.data
        except ApiException as error:
            if not error.status:  # TLS failed before an answer: the library hides the cause in the text
                raise faults.network(net.SSLError(str(error.reason)), where) from None
            self._listen(error.headers or {})
            raise
        except net.HTTPError as error:
            failure = faults.network(error, where)
            if failure.code == "SC-E050":  # it never got there
                with self._lock:
                    self.meter.calls -= 1
            raise failure from None
        try:
            parsed = {} if answer.status == 204 else orjson.loads(data)  # any other answer says something
        except orjson.JSONDecodeError:
            raise Transient(f"{where}: HTTP {answer.status} with a body that is not JSON") from None
        if not isinstance(parsed, dict):
            raise Transient(f"{where}: HTTP {answer.status} with JSON of another shape")
        return Reply(answer.status, parsed)

    def _listen(self, headers: Mapping[str, str]) -> None:
        """Note the CRM's clock, its gauge of the day and its allowance per ten seconds. What cannot be read says nothing."""
        date = faults.instant_of(headers.get("Date"))
        daily, left, most, span = (
            _whole(headers.get(f"X-HubSpot-RateLimit-{name}")) for name in ("Daily", "Daily-Remaining", "Max", "Interval-Milliseconds")
        )
        with self._lock:
            self.heard = date or self.heard
            if daily and left is not None:
                self.meter.allocation_max, self.meter.allocation_used = daily, max(daily - left, 0)
            if most and most * SHARE != self._window:
                self._window = most * SHARE
                self._others.adopt(*_spread(self._window, (span or 10_000) / 1000))


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def _is_list(method: str, path: str) -> bool:
    """Whether an answer of this endpoint is a list; making a property is answered with the property itself."""
    return path.startswith(LISTS) or (method == "GET" and path.startswith(LISTS_READ))


def _has_results(body: Mapping[str, Any]) -> bool:
    """Whether this is a list of the CRM at all, and not something else that happens to be JSON."""
    results = body.get("results")
    return isinstance(results, list) and all(isinstance(one, dict) for one in results)


def _spread(allowed: float, seconds: float) -> tuple[float, float]:
    """(rate a second, calls at once) of a bucket that lets at most ``allowed`` calls through in any such window."""
    at_once = max(1.0, allowed * AT_ONCE)
    return max(allowed - at_once, 0.1) / seconds, at_once


def _open(settings: HubSpotSettings) -> ApiClient:
    """The one kept client. Its Configuration sets logger levels and the debug switch of http.client: both are put back."""
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    config = Configuration(host=settings.base_url.rstrip("/"), ssl_ca_cert=settings.ca_bundle)
    config.retries = False
    config.connection_pool_maxsize = MAX_PARALLEL
    api = _Client(configuration=config)
    api.set_default_header("Accept-Encoding", "gzip")
    api.user_agent = "scorecard-connector"
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    http.client.HTTPConnection.debuglevel = 0
    return api
