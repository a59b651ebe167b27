"""What a Salesforce connection needs to know, checked when it is built."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal
from urllib.parse import urlsplit

from connector.crms.base import RefreshTokens
from connector.errors import SettingsError

Flow = Literal["sandbox", "client-credentials", "jwt", "refresh-token", "given"]
OLDEST_VERSION = 60.0
VENDOR_DOMAINS = (".salesforce.com", ".force.com", ".salesforce.mil")


@dataclass(frozen=True, slots=True)
class SalesforceSettings:
    """One connection. ``base_url``: the org's My Domain address, or a loopback address for the sandbox.

    Flows: ``client-credentials`` needs client_id and client_secret; ``jwt`` needs client_id, username and private_key
    (PEM text); ``refresh-token`` needs client_id and refresh_token, the first one (the newest is what ``refresh_tokens`` keeps;
    client_secret where the app wants it); ``sandbox`` needs nothing and is allowed on loopback only; ``given`` is an access token that
    somebody hands over for one command: no settings file can name it, and nothing renews it.
    ``audience``: login (production) or test; None takes it from the address. ``used_today``: calls that earlier runs of the day made.
    ``bulk_above``: rows of a window from which on it is read by a Bulk job (None: never); they are counted only for a first load or
    a window of ``count_from`` or longer. ``bulk_page``: rows committed together. ``bulk_wait``: how long a run waits for a job.
    ``bulk_write_above``: updates of one write above which they go through a Bulk job (None: never).
    Raises SettingsError: SC-E014 plain http to a host that is not loopback, SC-E011 a part of the flow is missing, SC-E010 otherwise.
    """

    base_url: str
    api_version: str = "68.0"
    flow: Flow = "client-credentials"
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    refresh_tokens: RefreshTokens | None = field(default=None, repr=False)
    access_token: str | None = field(default=None, repr=False)
    username: str | None = None
    audience: Literal["login", "test"] | None = None
    ca_bundle: str | None = None
    page_size: int = 2_000
    bulk_above: int | None = 20_000
    bulk_page: int = 10_000
    bulk_wait: timedelta = timedelta(hours=1)
    bulk_write_above: int | None = None
    count_from: timedelta = timedelta(days=2)
    write_batch: int = 200
    daily_calls: int | None = None
    used_today: int = 0
    stop_at_share: float = 0.8
    connect_timeout: float = 5.0
    read_timeout: float = 120.0
    overlap: timedelta = timedelta(minutes=10)
    lag: timedelta = timedelta(minutes=5)
    sweep_every: timedelta = timedelta(days=1)
    sweep_all_every: timedelta = timedelta(days=7)

    def __post_init__(self) -> None:
        address = urlsplit(self.base_url)
        if address.scheme not in ("http", "https") or not address.hostname or address.username or address.path.strip("/"):
            raise SettingsError("base_url is not the address of an org: https://<my-domain>.my.salesforce.com")
        if address.scheme != "https" and not self.loopback:
            raise SettingsError(f"base_url: plain http to {address.hostname} is refused; only loopback may go without TLS", code="SC-E014")
        if not re.fullmatch(r"\d{2,3}\.\d", self.api_version) or float(self.api_version) < OLDEST_VERSION:
            raise SettingsError(f"api_version {self.api_version!r}: {OLDEST_VERSION} or later is needed", code="SC-E055")
        if not 200 <= self.page_size <= 2_000:
            raise SettingsError("page_size: Salesforce takes 200 to 2,000")
        if self.bulk_page < 1 or min(self.bulk_above or 0, self.bulk_write_above or 0) < 0:
            raise SettingsError("bulk_above, bulk_write_above and bulk_page: a number of rows is needed")
        if not 1 <= self.write_batch <= 200:
            raise SettingsError("limits.write_batch: Salesforce takes 1 to 200")
        self._check_flow()

    def _check_flow(self) -> None:
        if self.flow == "sandbox":
            if not self.loopback:
                raise SettingsError('flow = "sandbox" is allowed on loopback only')
            return
        wanted = {
            "client-credentials": ("client_id", "client_secret"),
            "jwt": ("client_id", "username", "private_key"),
            "refresh-token": ("client_id", "refresh_token"),
            "given": ("access_token",),
        }
        if self.flow not in wanted:
            raise SettingsError(f"flow {self.flow!r} is not known; known: client-credentials, jwt, refresh-token, sandbox")
        missing = [name for name in wanted[self.flow] if not getattr(self, name)]
        if missing:
            raise SettingsError(f'flow = "{self.flow}" needs {" and ".join(missing)}', code="SC-E011")

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).hostname or ""

    @property
    def loopback(self) -> bool:
        return is_loopback(self.host)

    @property
    def vendor_host(self) -> bool:
        """Whether base_url is an org's own address; any other host stands in front of it and takes every request."""
        return self.host.endswith(VENDOR_DOMAINS)

    @property
    def domain(self) -> str:
        """The My Domain part that simple-salesforce puts before ``.salesforce.com``."""
        return self.host.removesuffix(".salesforce.com") if self.host.endswith(".salesforce.com") else "sandbox.my"

    @property
    def login_domain(self) -> str:
        """Audience of a JWT: ``login`` for production, ``test`` for sandbox orgs."""
        return self.audience or ("test" if ".sandbox." in self.host else "login")


def is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
