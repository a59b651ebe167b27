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
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
from hubspot.crm.objects import ApiClient, ApiException, Configuration
from urllib3 import exceptions as net

from connector.clock import Clock
from connector.crms.base import Meter
from connector.crms.budget import DailyCap, TokenBucket
from connector.crms.hubspot import faults
from connector.crms.hubspot.settings import HubSpotSettings
from connector.crms.retry import policy
from connector.errors import AuthenticationError, ConnectorError, Transient

Query = Sequence[tuple[str, str]]
JSON = {"Accept": "application/json", "Content-Type": "application/json"}
FORM = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
SEARCH_RATE = 4.0  # five a second are allowed to everybody in the account together: one at once and four a second after it
START_PER_WINDOW = 90.0  # until a header states Max: 90 % of the smallest allowance
SHARE = 0.9
AT_ONCE = 1 / 3  # of a window's calls; the rest is spread over it, so that no window of ten seconds holds more than its share
REFRESH_EARLY = timedelta(minutes=5)
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
    """Requests to one portal. Retries live in crms/retry.py; every answer is counted in ``meter.calls``.

    After a refused credential it is latched: it raises AuthenticationError without another call.
    """

    def __init__(self, settings: HubSpotSettings, clock: Clock, meter: Meter) -> None:
        self.settings = settings
        self.heard: datetime | None = None
        self._clock = clock
        self.meter = meter
        self._lock = threading.RLock()
        self._refused: AuthenticationError | None = None
        self._renewed = False  # by an answer 401, and no success since
        self._refresh_token = settings.refresh_token
        self._expires: datetime | None = None if settings.token else datetime.min.replace(tzinfo=UTC)
        self._cap = DailyCap(meter, cap=settings.daily_calls, used=settings.used_today, stop_at_share=settings.stop_at_share)
        self._search = TokenBucket(SEARCH_RATE, 1, clock)
        self._others = TokenBucket(*_spread(START_PER_WINDOW, faults.TEN_SECONDS), clock)
        self._window = START_PER_WINDOW
        self._config, self._api = _open(settings)

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
        """The Date of a fresh answer; costs one call."""
        self.heard = None
        self.get(f"/account-info/{self.settings.api_version}/details")
        if self.heard is None:
            raise Transient("HubSpot's answers carry no Date")
        return self.heard

    def close(self) -> None:
        self._api.rest_client.pool_manager.clear()
        self._api.close()

    # -- one attempt ------------------------------------------------------------------------------------------------

    def _attempt(self, method: str, path: str, query: Query, body: Mapping[str, Any] | None, accept: tuple[int, ...], writing: bool) -> Reply:
        if self._refused:
            raise self._refused
        self._cap.check(writing=writing)
        self._freshen()
        bucket = self._search if path.endswith("/search") else self._others
        bucket.take()
        inputs = len(body.get("inputs", ())) if body else 0
        try:
            reply = self._send(method, path, list(query), JSON, body)
            self._renewed = False
            return reply
        except ApiException as error:
            problem = faults.problem_of(error)
            if problem.status in accept:
                return Reply(problem.status, problem.body)
            if problem.status == 429:
                bucket.drain()
            self._latch_or_refresh(problem)
            faults.raise_for(problem, method, path, inputs)
            raise AssertionError("unreachable") from error

    def _send(self, method: str, path: str, query: list[tuple[str, str]], headers: Mapping[str, str], body: Any, form: Any = ()) -> Reply:
        where = f"{method} {path}"
        auth = ["oauth2"] if headers is JSON else []
        try:
            answer = self._api.call_api(
                path, method, {}, query, dict(headers), body=body, post_params=list(form), files={}, response_types_map={}, auth_settings=auth,
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
            raise faults.network(error, where) from None
        try:
            parsed = orjson.loads(data) if data else {}
        except orjson.JSONDecodeError:
            raise Transient(f"{where}: HTTP {answer.status} with a body that is not JSON") from None
        if not isinstance(parsed, dict):
            raise Transient(f"{where}: HTTP {answer.status} with JSON of another shape")
        return Reply(answer.status, parsed)

    def _listen(self, headers: Mapping[str, str]) -> None:
        """Count the answer, note the CRM's clock, its gauge of the day and its allowance per ten seconds."""
        date = headers.get("Date")
        limits = {name: headers.get(f"X-HubSpot-RateLimit-{name}") for name in ("Daily", "Daily-Remaining", "Max", "Interval-Milliseconds")}
        with self._lock:
            self.meter.calls += 1
            if date:
                self.heard = parsedate_to_datetime(date).astimezone(UTC)
            if limits["Daily"] and limits["Daily-Remaining"]:
                self.meter.allocation_max = int(limits["Daily"])
                self.meter.allocation_used = int(limits["Daily"]) - int(limits["Daily-Remaining"])
            if limits["Max"]:
                allowed = int(limits["Max"]) * SHARE
                seconds = int(limits["Interval-Milliseconds"] or 10_000) / 1000
                if allowed != self._window:
                    self._window = allowed
                    self._others.adopt(*_spread(allowed, seconds))

    # -- the credential -----------------------------------------------------------------------------------------------

    def _latch_or_refresh(self, problem: faults.Problem) -> None:
        """401: an OAuth token found expired is renewed once and the call repeated; anything else is refused for good."""
        if problem.status != 401:
            return
        with self._lock:
            if self._refresh_token and problem.category == "EXPIRED_AUTHENTICATION" and not self._renewed:
                self._renewed = True
                self._expires = datetime.min.replace(tzinfo=UTC)
                raise Transient("the access token had expired", wait=0.0, code="SC-E051")
            self._refused = AuthenticationError(f"HubSpot refuses the credential: {problem.message}")
            raise self._refused

    def _freshen(self) -> None:
        """Renew an OAuth access token by the clock, five minutes early; the new refresh token is saved before use."""
        if self._expires is None:
            return
        with self._lock:
            if self._clock.now() < self._expires:
                return
            form = [
                ("grant_type", "refresh_token"), ("client_id", self.settings.client_id),
                ("client_secret", self.settings.client_secret), ("refresh_token", self._refresh_token),
            ]  # fmt: skip
            path = f"/oauth/{self.settings.api_version}/token"
            try:
                granted = self._send("POST", path, [], FORM, None, form).body
            except ApiException as error:
                problem = faults.problem_of(error)
                if problem.status in (400, 401, 403):
                    self._refused = AuthenticationError(f"HubSpot refuses the refresh token: {problem.message}")
                    raise self._refused from None
                faults.raise_for(problem, "POST", path, 0)
                raise AssertionError("unreachable") from error
            self._adopt(granted)

    def _adopt(self, granted: Mapping[str, Any]) -> None:
        if not granted.get("access_token"):
            raise ConnectorError("HubSpot's token answer holds no access_token", code="SC-E051")
        renewed = str(granted.get("refresh_token") or self._refresh_token)
        if renewed != self._refresh_token and self.settings.save_refresh_token:
            self.settings.save_refresh_token(renewed)
        self._refresh_token = renewed
        self._config.access_token = str(granted["access_token"])
        lifetime = timedelta(seconds=int(granted.get("expires_in", 1800)))
        self._expires = self._clock.now() + max(lifetime - REFRESH_EARLY, lifetime / 2)


def _spread(allowed: float, seconds: float) -> tuple[float, float]:
    """(rate a second, calls at once) of a bucket that lets at most ``allowed`` calls through in any such window."""
    at_once = max(1.0, allowed * AT_ONCE)
    return max(allowed - at_once, 0.1) / seconds, at_once


def _open(settings: HubSpotSettings) -> tuple[Configuration, ApiClient]:
    """The one kept client. Its Configuration sets logger levels and the debug switch of http.client: both are put back."""
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    config = Configuration(host=settings.base_url.rstrip("/"), ssl_ca_cert=settings.ca_bundle)
    config.access_token = settings.token
    config.retries = False
    config.connection_pool_maxsize = 8
    api = _Client(configuration=config)
    api.set_default_header("Accept-Encoding", "gzip")
    api.user_agent = "scorecard-connector"
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    http.client.HTTPConnection.debuglevel = 0
    return config, api
