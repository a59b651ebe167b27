"""Credentials: static tokens with the scopes given to them, and an OAuth app's tokens with their grants, expiry and rotation."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

TOKEN_SECONDS = 1800
SCOPES = (
    "crm.objects.companies.read", "crm.objects.contacts.read", "crm.objects.deals.read", "crm.objects.deals.write", "crm.objects.leads.read",
    "crm.objects.owners.read", "crm.schemas.companies.read", "crm.schemas.contacts.read", "crm.schemas.deals.read", "crm.schemas.deals.write",
    "crm.schemas.leads.read", "oauth", "settings.currencies.read", "tickets",
)  # fmt: skip
"""What the sandbox's OAuth app was installed with."""
SYNC = "sandbox-token"
SYNC_SCOPES = frozenset(SCOPES) - {"crm.schemas.deals.write", "oauth"}
"""The key of the daily sync: it reads, writes values on deals, and may not touch a definition."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a call may do. ``app``: whose burst it counts for; ``expires``: ms, None for a static token; ``scopes``: None means every one."""

    app: str
    oauth: bool = False
    expires: int | None = None
    scopes: frozenset[str] | None = None


class Refusal(Exception):
    """The token endpoint says no: HubSpot's own ``status`` word and OAuth's ``error``, both 400."""

    def __init__(self, status: str, message: str, error: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = error


@dataclass
class Tokens:
    """``rotate``: every refresh gives a new refresh token and ends the old one. ``seconds``: life of an access token.

    ``client``: (id, secret) the app must show; None takes any. Any refresh token that was never given out or ended counts as the
    one of the installation, so that a test can choose its own.
    """

    rotate: bool = False
    seconds: int = TOKEN_SECONDS
    client: tuple[str, str] | None = None
    scopes: tuple[str, ...] = SCOPES
    refreshes: int = 0
    _issued: dict[str, Access] = field(default_factory=dict)
    _refresh_of: dict[str, str] = field(default_factory=dict)
    _static: dict[str, Access] = field(default_factory=dict)
    _ended: set[str] = field(default_factory=set)
    _numbers: count[int] = field(default_factory=lambda: count(1))

    # -- what an admin does ------------------------------------------------------------------------------------------

    def grant(self, token: str, *scopes: str) -> None:
        """A static token (service key) that may do only what these scopes allow."""
        self._static[token] = Access(token, scopes=frozenset(scopes))

    def revoke(self, token: str) -> None:
        """A static, access or refresh token is no longer accepted; a refresh token takes its access tokens with it."""
        self._ended.add(token)
        for access, refresh in self._refresh_of.items():
            if refresh == token:
                self._ended.add(access)

    def expire(self, now: int) -> None:
        """Every access token given out so far has expired just now."""
        for token, access in self._issued.items():
            self._issued[token] = Access(access.app, oauth=True, expires=min(access.expires or now, now), scopes=access.scopes)

    # -- what the API asks -------------------------------------------------------------------------------------------

    def access(self, token: str) -> Access | None:
        """What a token stands for, expired or not; None if it is unknown or revoked.

        ``sandbox-token`` is the sync's key, any other ``sandbox-…`` one with every scope, such as an administrator makes for provisioning.
        """
        if token in self._ended:
            return None
        known = self._issued.get(token) or self._static.get(token)
        if known is None and token == SYNC:
            return Access(token, scopes=SYNC_SCOPES)
        return known or (Access(token) if token.startswith("sandbox-") else None)

    def is_refresh_token(self, token: str) -> bool:
        """True for a refresh token that was given out or used and is still good."""
        return token not in self._ended and token in self._refresh_of.values()

    def refresh(self, client_id: str, client_secret: str, token: str, now: int, denied: set[str]) -> tuple[str, str, tuple[str, ...]]:
        """(access token, refresh token, scopes). Raises :class:`Refusal`."""
        if self.client is not None and client_id != self.client[0]:
            raise Refusal("BAD_CLIENT_ID", "missing or unknown client id", "invalid_client")
        if self.client is not None and client_secret != self.client[1]:
            raise Refusal("BAD_CLIENT_SECRET", "missing or invalid client secret", "invalid_client")
        if token in self._ended:
            raise Refusal("BAD_REFRESH_TOKEN", "missing or invalid refresh token", "invalid_grant")
        self.refreshes += 1
        kept = token
        if self.rotate:
            self._ended.add(token)
            kept = f"refresh-{next(self._numbers):04d}"
        issued = f"oauth-{next(self._numbers):04d}-{now:x}"
        scopes = tuple(scope for scope in self.scopes if scope not in denied)
        self._issued[issued] = Access("oauth", oauth=True, expires=now + self.seconds * 1000, scopes=frozenset(scopes))
        self._refresh_of[issued] = kept
        return issued, kept, scopes
