"""What a HubSpot connection needs to know, checked when it is built."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

from connector.crms.base import RefreshTokens
from connector.errors import SettingsError

MAX_BATCH = 100
MAX_PARALLEL = 8  # connections that the client keeps open
MAX_PAGE = 1_000  # records a page: one call for the associations of all of them


@dataclass(frozen=True, slots=True)
class HubSpotSettings:
    """One connection to one portal.

    Credential: ``token`` (a service key), or ``client_id``, ``client_secret`` and ``refresh_token`` of an OAuth app. Of the
    latter only the first refresh token stands here: ``refresh_tokens`` keeps each one that follows, and its word counts more.
    ``parallel``: calls under way at once at the most; the token buckets say how many a second.
    ``page_size``: records that are stored together with their bookmark. ``used_today``: calls that earlier runs of the day
    made. ``overlap``: how far each run reads back; ``lag``: how far the bookmark stays behind the run; ``settle``: the age
    at which HubSpot's search index is believed to be complete. ``sweep_every``: how often what moves no stamp is read again over
    the open deals, ``sweep_all_every``: over all deals.
    Raises SettingsError: SC-E014 plain http to a host that is not loopback, SC-E011 no credential, SC-E010 otherwise.
    """

    token: str | None = field(default=None, repr=False)
    base_url: str = "https://api.hubapi.com"
    api_version: str = "2026-03"
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    refresh_tokens: RefreshTokens | None = field(default=None, repr=False)
    ca_bundle: str | None = None
    page_size: int = MAX_PAGE
    write_batch: int = MAX_BATCH
    parallel: int = 6
    daily_calls: int | None = None
    used_today: int = 0
    stop_at_share: float = 0.8
    connect_timeout: float = 5.0
    read_timeout: float = 60.0
    overlap: timedelta = timedelta(minutes=5)
    lag: timedelta = timedelta(minutes=5)
    settle: timedelta = timedelta(hours=1)
    sweep_every: timedelta = timedelta(days=1)
    sweep_all_every: timedelta = timedelta(days=7)

    def __post_init__(self) -> None:
        address = urlsplit(self.base_url)
        if address.scheme not in ("http", "https") or not address.hostname or address.username or address.path.strip("/"):
            raise SettingsError("base_url is not the address of HubSpot's API: https://api.hubapi.com")
        if address.scheme != "https" and not is_loopback(address.hostname):
            raise SettingsError(f"base_url: plain http to {address.hostname} is refused; only loopback may go without TLS", code="SC-E014")
        if not re.fullmatch(r"\d{4}-\d{2}", self.api_version):
            raise SettingsError(f"api_version {self.api_version!r}: a dated version is needed, such as 2026-03", code="SC-E055")
        if not 1 <= self.page_size <= MAX_PAGE:
            raise SettingsError(f"page_size: 1 to {MAX_PAGE}")
        if not 1 <= self.write_batch <= MAX_BATCH:
            raise SettingsError(f"limits.write_batch: HubSpot takes 1 to {MAX_BATCH}")
        if not 1 <= self.parallel <= MAX_PARALLEL:
            raise SettingsError(f"parallel: 1 to {MAX_PARALLEL} calls at once")
        if not self.token and not (self.client_id and self.client_secret and self.refresh_token):
            raise SettingsError("a service key, or client_id, client_secret and refresh_token, are needed", code="SC-E011")


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
