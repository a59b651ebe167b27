"""HTTP to one org: sessions, timeouts, error classes, the call gauge. Everything over simple-salesforce in session mode."""

from __future__ import annotations

import re
import threading
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson
import requests
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceAuthenticationFailed, SalesforceError
from simple_salesforce.login import SalesforceLogin

from connector.clock import Clock
from connector.crms import retry
from connector.crms.base import Meter
from connector.crms.budget import DailyCap
from connector.crms.salesforce.faults import SESSION_ENDED, classify, problems, refused_grant
from connector.crms.salesforce.settings import VENDOR_DOMAINS, SalesforceSettings, is_loopback
from connector.errors import AuthenticationError, CrmConfigError, CursorExpired, SettingsError, Transient

USAGE = re.compile(r"(?:^|[;\s])api-usage=(\d+)/(\d+)")
GAUGE = timedelta(seconds=60)


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
    """Requests to one org, for one worker thread at a time.

    ``session`` counts sign-ins: a query locator is good only in the session that opened it. After one refused sign-in
    or a second 401 in a row the client is latched: it raises AuthenticationError without another call.
    """

    def __init__(self, settings: SalesforceSettings, clock: Clock, meter: Meter) -> None:
        self.settings = settings
        self.session = 0
        self._clock = clock
        self._meter = meter
        self._cap = DailyCap(meter, cap=settings.daily_calls, used=settings.used_today, stop_at_share=settings.stop_at_share)
        self._org: Org | None = None
        self._refused: AuthenticationError | None = None
        self._lock = threading.Lock()
        self._gauge: deque[tuple[datetime, int]] = deque()
        self._heard: datetime | None = None
        self._http = requests.Session()
        self._http.auth = _leave_alone
        self._http.max_redirects = 0
        self._http.verify = settings.ca_bundle or True
        base_url = None if settings.vendor_host else settings.base_url
        timeout = (settings.connect_timeout, settings.read_timeout)
        transport = SalesforceTransport(base_url, timeout, self._listen, pool_maxsize=8, max_retries=0)
        self._http.mount("https://", transport)
        self._http.mount("http://", transport)

    def now(self) -> datetime:
        """The org's clock (whole seconds), asked afresh by a call that costs the org's allocation nothing."""
        self.request("GET", "/services/data")
        return self.heard

    @property
    def heard(self) -> datetime:
        """The org's clock as its last answer gave it."""
        if self._heard is None:
            raise Transient("the org's answers carry no Date")
        return self._heard

    def get(self, path: str, *, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None, session: int | None = None) -> Any:
        """The parsed answer. ``session``: the sign-in that the path belongs to; raises CursorExpired in any other."""
        return self.json("GET", path, params=params, headers=headers, session=session)

    def json(self, method: str, path: str, *, session: int | None = None, writing: bool = False, **kwargs: Any) -> Any:
        """The parsed answer, None for an empty one; a body that is not JSON is a fault of the moment."""
        return self._retried(lambda: _parsed(self._attempt(method, path, session, writing, kwargs)))

    def conditional(self, path: str, headers: Mapping[str, str] | None) -> tuple[Any, str | None]:
        """(answer, its Last-Modified); (None, None) if nothing changed since the time that the headers name."""

        def attempt() -> tuple[Any, str | None]:
            response = self._attempt("GET", path, None, False, {"headers": headers})
            return _parsed(response), response.headers.get("Last-Modified") if response is not None else None

        answer: tuple[Any, str | None] = self._retried(attempt)
        return answer

    def request(self, method: str, path: str, **kwargs: Any) -> requests.Response | None:
        """The raw answer; None for 304."""
        response: requests.Response | None = self._retried(lambda: self._attempt(method, path, None, False, kwargs))
        return response

    def close(self) -> None:
        self._http.close()

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
            self._refused = AuthenticationError("the org refuses a token that it has just given")
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
            raise _network(error) from None

    def _signed_in(self, after: int | None = None) -> tuple[Org, int]:
        """The org's session and its number; a new one if there is none, or if the one numbered ``after`` has ended.

        One thread signs in, every waiter uses what it got.
        """
        with self._lock:
            if self._refused is not None:
                raise self._refused
            if self._org is None or self.session == after:
                try:
                    self._org = self._sign_in()
                except AuthenticationError as refused:
                    self._refused = refused
                    raise
                self.session += 1
            return self._org, self.session

    def _sign_in(self) -> Org:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the library warns with the consumer key in its text
                token, instance = SalesforceLogin(session=self._http, sf_version=self.settings.api_version, **_credentials(self.settings))
        except SalesforceAuthenticationFailed as refused:
            raise refused_grant(refused.code, refused.auth_message) from None
        except requests.RequestException as error:
            raise _network(error) from None
        except (AttributeError, TypeError):
            raise Transient("the token endpoint answered with something that is no token") from None
        host = urlsplit(f"//{instance}").hostname or ""
        if not self._trusted(host):
            raise AuthenticationError(f"the token answer names {host}, which is neither the configured host nor one of Salesforce's")
        if not token:
            raise Transient("the token endpoint answered without a token")
        org = Org(session_id=token, instance_url=f"https://{instance}", version=self.settings.api_version, session=self._http)
        org.headers["X-PrettyPrint"] = "0"  # the default asks for indented JSON
        return org

    def _trusted(self, host: str) -> bool:
        return host == self.settings.host or host.endswith(VENDOR_DOMAINS) or (self.settings.loopback and is_loopback(host))

    def _listen(self, response: requests.Response) -> None:
        """Every answer, good or bad: count it, read the org's clock and its gauge."""
        heard_at = self._clock.now()
        self._meter.calls += 1
        date = response.headers.get("Date")
        if date:
            self._heard = parsedate_to_datetime(date).astimezone(UTC)
        usage = USAGE.search(response.headers.get("Sforce-Limit-Info", ""))
        if usage:
            # The gauge falls between consecutive answers and lags: the highest of the last minute is the careful reading.
            self._gauge.append((heard_at, int(usage[1])))
            while self._gauge and heard_at - self._gauge[0][0] > GAUGE:
                self._gauge.popleft()
            self._meter.allocation_used = max(used for _, used in self._gauge)
            self._meter.allocation_max = int(usage[2])


def _leave_alone(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """An auth hook that does nothing: without one, requests would put a .netrc entry in place of our token."""
    return request


def _credentials(settings: SalesforceSettings) -> dict[str, Any]:
    """What SalesforceLogin needs for the flow. Raises SettingsError for a private key that cannot be read."""
    if settings.flow == "jwt":
        try:
            load_pem_private_key((settings.private_key or "").encode(), password=None)
        except (ValueError, TypeError):
            raise SettingsError("private_key is not the PEM text of a private key without a passphrase") from None
        return {
            "username": settings.username,
            "consumer_key": settings.client_id,
            "privatekey": settings.private_key,
            "domain": settings.login_domain,
            "instance_url": settings.domain,
        }
    fallback = "sandbox" if settings.flow == "sandbox" else ""
    return {
        "consumer_key": settings.client_id or fallback,
        "consumer_secret": settings.client_secret or fallback,
        "domain": settings.domain,
    }


def _parsed(response: requests.Response | None) -> Any:
    if response is None or not response.content:
        return None
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError:
        raise Transient(f"HTTP {response.status_code} with a body that is not JSON") from None


def _network(error: requests.RequestException) -> Exception:
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
