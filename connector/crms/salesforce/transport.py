"""HTTP to one org: sessions, timeouts, error classes, the call gauge. Everything over simple-salesforce in session mode."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import orjson
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceError

from connector.clock import Clock
from connector.crms import retry
from connector.crms.base import Meter
from connector.crms.budget import DailyCap
from connector.crms.salesforce.auth import Granted, sign_in, superseded
from connector.crms.salesforce.faults import SESSION_ENDED, classify, network, problems
from connector.crms.salesforce.settings import SalesforceSettings, is_loopback
from connector.errors import AuthenticationError, CrmConfigError, CursorExpired, SettingsError, Transient

T = TypeVar("T")

USAGE = re.compile(r"(?:^|[;\s])api-usage=(\d+)/(\d+)")
GAUGE = timedelta(seconds=60)
PARALLEL = 4  # requests that wait for an answer at the same time: the org allows five long ones where it is small


class SalesforceTransport(HTTPAdapter):
    """The only place that every request passes, token requests and describes included: timeouts, address, counting.

    ``base_url`` replaces scheme and host of each request, since the library always builds https addresses.
    Raises SettingsError (SC-E014) for plain http to a host that is not loopback.
    """

    def __init__(self, base_url: str | None, timeout: tuple[float, float], on_response: Callable[[requests.Response], None], **kwargs: Any) -> None:
        self._to = urlsplit(base_url) if base_url else None
        if self._to and self._to.scheme != "https" and not is_loopback(self._to.hostname):
            raise SettingsError("plain http is refused except for loopback", code="SC-E014")
        self._timeout = timeout
        self._on_response = on_response
        super().__init__(**kwargs)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        if self._to:
            asked = urlsplit(str(request.url))
            request.url = urlunsplit((self._to.scheme, self._to.netloc, asked.path, asked.query, asked.fragment))
            if is_loopback(self._to.hostname):
                kwargs["proxies"] = {}
        kwargs["timeout"] = kwargs.get("timeout") or self._timeout
        response = super().send(request, *args, **kwargs)
        self._on_response(response)
        return response


class Org(Salesforce):
    """Session mode only: the library never signs in by itself, so one call is one request."""

    def send(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        """``path``: below the versioned root, or from the host's root if it begins with a slash."""
        url = f"https://{self.sf_instance}{path}" if path.startswith("/") else self.base_url + path
        response: requests.Response = self._call_salesforce(method, url, name=path, allow_redirects=False, **kwargs)
        return response


class _SessionEnded(Exception):
    """401: the token is no longer good."""


class Client:
    """Requests to one org. May be used from several threads: each of them has HTTP connections of its own, all share one sign-in.

    ``session`` counts sign-ins: a query locator is good only in the session that opened it. After one refused sign-in
    or a second 401 in a row the client is latched: it raises AuthenticationError without another call.
    """

    def __init__(self, settings: SalesforceSettings, clock: Clock, meter: Meter) -> None:
        self.settings = settings
        self.session = 0
        self._clock = clock
        self._meter = meter
        self._cap = DailyCap(meter, cap=settings.daily_calls, used=settings.used_today, stop_at_share=settings.stop_at_share)
        self._granted: Granted | None = None
        self._refused: AuthenticationError | None = None
        self._lock = threading.Lock()
        self._listening = threading.Lock()
        self._gauge: deque[tuple[datetime, int]] = deque()
        self._heard: datetime | None = None
        self._mine = threading.local()
        self._opened: list[requests.Session] = []
        self._workers: ThreadPoolExecutor | None = None

    @property
    def workers(self) -> ThreadPoolExecutor:
        """Threads that download side by side; made when they are needed first, ended by ``close``."""
        if self._workers is None:
            self._workers = ThreadPoolExecutor(PARALLEL, thread_name_prefix="salesforce")
        return self._workers

    @property
    def _http(self) -> requests.Session:
        """This thread's own connections."""
        http: requests.Session | None = getattr(self._mine, "http", None)
        if http is None:
            http = self._mine.http = _session(self.settings, self._listen)
            with self._listening:
                self._opened.append(http)
        return http

    def now(self) -> datetime:
        """The org's clock (whole seconds), asked afresh by a call that costs the org's allocation nothing.

        An answer without a Date is asked for again, as after any passing fault.
        """

        def ask() -> datetime:
            self._heard = None
            self._attempt("GET", "/services/data", None, False, {})
            if self._heard is None:
                raise Transient("the org's answers carry no Date")
            return self._heard

        told: datetime = self._retried(ask)
        return told

    @property
    def heard(self) -> datetime:
        """The org's clock as its last dated answer gave it; asked for where none has carried a Date yet."""
        return self._heard or self.now()

    def get(
        self, path: str, *, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None, session: int | None = None,
        holds: Callable[[Any], bool] = lambda answer: True,
    ) -> Any:  # fmt: skip
        """The parsed answer. ``session``: the sign-in that the path belongs to; raises CursorExpired in any other."""
        return self.json("GET", path, params=params, headers=headers, session=session, holds=holds)

    def page(
        self, path: str, *, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None, session: int | None = None
    ) -> Any:
        """A page of a query: its ``records`` and whether it is ``done``."""
        return self.get(path, params=params, headers=headers, session=session, holds=_is_page)

    def json(
        self, method: str, path: str, *, session: int | None = None, writing: bool = False,
        holds: Callable[[Any], bool] = lambda answer: True, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """The parsed answer, None for 204; a body that is empty, that is not JSON, or that is not what ``holds`` takes, is a fault of the moment."""

        def attempt() -> Any:
            answer = _parsed(self._attempt(method, path, session, writing, kwargs))
            if not holds(answer):
                raise Transient("the org answered with JSON of another shape")
            return answer

        return self._retried(attempt)

    def conditional(self, path: str, headers: Mapping[str, str] | None) -> tuple[Any, str | None]:
        """(answer, its Last-Modified); (None, None) if nothing changed since the time that the headers name."""

        def attempt() -> tuple[Any, str | None]:
            response = self._attempt("GET", path, None, False, {"headers": headers})
            answer = _parsed(response)
            if response is not None and not isinstance(answer, dict):
                raise Transient("the org answered with JSON of another shape")
            return answer, response.headers.get("Last-Modified") if response is not None else None

        answer: tuple[Any, str | None] = self._retried(attempt)
        return answer

    def request(self, method: str, path: str, **kwargs: Any) -> requests.Response | None:
        """The raw answer; None for 304."""
        response: requests.Response | None = self._retried(lambda: self._attempt(method, path, None, False, kwargs))
        return response

    def read(self, path: str, parse: Callable[[requests.Response], T], *, headers: Mapping[str, str] | None = None) -> T:
        """What ``parse`` makes of the raw answer; a Transient that it raises is worth another request."""

        def attempt() -> T:
            response = self._attempt("GET", path, None, False, {"headers": headers})
            if response is None:
                raise Transient("HTTP 304 where nothing was known")
            return parse(response)

        found: T = self._retried(attempt)
        return found

    def pause(self, seconds: float) -> None:
        """Wait, by the connection's clock."""
        self._clock.sleep(seconds)

    def close(self) -> None:
        if self._workers is not None:
            self._workers.shutdown(wait=True, cancel_futures=True)
            self._workers = None
        for http in self._opened:
            http.close()

    def _retried(self, attempt: Callable[[], Any]) -> Any:
        return retry.policy(self._clock.sleep)(attempt)

    def _attempt(self, method: str, path: str, session: int | None, writing: bool, kwargs: Mapping[str, Any]) -> requests.Response | None:
        if path.startswith("/") and not path.startswith("/services/"):
            raise CrmConfigError("the org named a path outside its services")
        self._cap.check(writing=writing)
        org, current = self._signed_in()
        if session is not None and session != current:
            raise CursorExpired("the query was opened in an earlier session")
        try:
            return self._send(org, method, path, kwargs)
        except _SessionEnded:
            org, _ = self._signed_in(after=current)
        if session is not None:
            raise CursorExpired("the session ended while the query was read")
        try:
            return self._send(org, method, path, kwargs)
        except _SessionEnded:
            if self._granted is not None and superseded(self.settings, self._granted):
                raise Transient("another process signed in meanwhile, which ended this session") from None
            given = self.settings.flow == "given"
            step = "take a new access token; it must belong to this org" if given else None
            said = "the org refuses the token that was handed over" if given else "the org refuses a token that it has just given"
            self._refused = AuthenticationError(said, next_step=step)
            raise self._refused from None

    def _send(self, org: Org, method: str, path: str, kwargs: Mapping[str, Any]) -> requests.Response | None:
        try:
            return org.send(method, path, **{key: value for key, value in kwargs.items() if value is not None})
        except SalesforceError as error:
            if error.status == 304:
                return None
            if error.status == 401 or {problem.code for problem in problems(error.content)} & SESSION_ENDED:
                raise _SessionEnded from None
            raise classify(error.status, error.content) from None
        except requests.RequestException as error:
            raise network(error) from None

    def _signed_in(self, after: int | None = None) -> tuple[Org, int]:
        """The org's session and its number; a new one if there is none, or if the one numbered ``after`` has ended.

        One thread signs in, every waiter uses what it got.
        """
        with self._lock:
            if self._refused is not None:
                raise self._refused
            if self._granted is None or self.session == after:
                try:
                    self._granted = sign_in(self.settings, self._http)
                except AuthenticationError as refused:
                    self._refused = refused
                    raise
                self.session += 1
            return self._org(self._granted, self.session), self.session

    def _org(self, granted: Granted, number: int) -> Org:
        """The session as this thread speaks in it."""
        held: tuple[int, Org] | None = getattr(self._mine, "org", None)
        if held is None or held[0] != number:
            org = Org(session_id=granted.token, instance_url=f"https://{granted.host}", version=self.settings.api_version, session=self._http)
            org.headers["X-PrettyPrint"] = "0"  # the default asks for indented JSON
            held = self._mine.org = (number, org)
        return held[1]

    def _listen(self, response: requests.Response) -> None:
        """Every answer, good or bad: count it, read the org's clock and its gauge."""
        heard_at = self._clock.now()
        date = response.headers.get("Date")
        usage = USAGE.search(response.headers.get("Sforce-Limit-Info", ""))
        with self._listening:
            self._meter.calls += 1
            if date:
                self._heard = parsedate_to_datetime(date).astimezone(UTC)
            if usage:
                # The gauge falls between consecutive answers and lags: the highest of the last minute is the careful reading.
                self._gauge.append((heard_at, int(usage[1])))
                while self._gauge and heard_at - self._gauge[0][0] > GAUGE:
                    self._gauge.popleft()
                self._meter.allocation_used = max(used for _, used in self._gauge)
                self._meter.allocation_max = int(usage[2])


def _session(settings: SalesforceSettings, listen: Callable[[requests.Response], None]) -> requests.Session:
    """Connections of one thread."""
    http = requests.Session()
    http.auth = _leave_alone
    http.max_redirects = 0
    http.verify = settings.ca_bundle or True
    base_url = None if settings.vendor_host else settings.base_url
    transport = SalesforceTransport(base_url, (settings.connect_timeout, settings.read_timeout), listen, pool_maxsize=8, max_retries=0)
    http.mount("https://", transport)
    http.mount("http://", transport)
    return http


def _leave_alone(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """An auth hook that does nothing: without one, requests would put a .netrc entry in place of our token."""
    return request


def _is_page(answer: Any) -> bool:
    if not isinstance(answer, dict) or not isinstance(answer.get("records"), list):
        return False
    return answer.get("done") is True or isinstance(answer.get("nextRecordsUrl"), str)


def _parsed(response: requests.Response | None) -> Any:
    if response is None or response.status_code == 204:
        return None
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError:
        raise Transient(f"HTTP {response.status_code} with a body that is not JSON") from None
