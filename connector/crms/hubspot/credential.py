"""The bearer token of one connection: a service key as it is, or an OAuth access token renewed by the clock.

HubSpot says that a 401 is no sign to refresh, so a token is renewed five minutes before it ends. Only an answer that calls
the token *expired* renews it ahead of time, once. Whatever else is refused stays refused: the latch makes no second call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from connector.clock import Clock
from connector.crms.hubspot.faults import Problem
from connector.crms.hubspot.settings import HubSpotSettings
from connector.errors import AuthenticationError, ConnectorError, LeaseHeld, Transient

REFRESH_EARLY = timedelta(minutes=5)
LIFETIME = 1_800  # seconds, where an answer does not say
BUSY_SECONDS = 2.0  # before asking again for the refresher's turn
NEVER = datetime.min.replace(tzinfo=UTC)
EXPIRED = "EXPIRED_AUTHENTICATION"

Form = list[tuple[str, str]]
Grant = Callable[[Form], tuple[Mapping[str, Any], Problem | None]]
"""Posts a form to the token endpoint: what it granted, or the problem that refuses the grant (400, 401, 403) for good."""


class Credential:
    """Safe to share between threads: one of them renews, the others wait for it."""

    def __init__(self, settings: HubSpotSettings, clock: Clock, grant: Grant) -> None:
        self._settings = settings
        self._clock = clock
        self._grant = grant
        self._lock = threading.RLock()
        self._token = settings.token or ""
        self._newest = settings.refresh_token or ""
        self._expires = None if settings.token else NEVER
        self._refused: AuthenticationError | None = None
        self._hastened = False  # renewed because of an answer 401, and no success since

    def bearer(self) -> str:
        """A token that is good for the next call. Raises AuthenticationError once refused, Transient while it cannot be renewed."""
        with self._lock:
            if self._refused:
                raise self._refused
            if self._expires is not None and self._clock.now() >= self._expires:
                with self._turn():
                    self._renew()
            return self._token

    def worked(self) -> None:
        """A call was answered: the next token found expired may be renewed ahead of time again."""
        with self._lock:
            self._hastened = False

    def refuse(self, token: str, problem: Problem) -> None:
        """What an answer 401 to a call with this token means; always raises: Transient (call again) or AuthenticationError."""
        with self._lock:
            if self._refused:
                raise self._refused
            if self._expires is not None and token != self._token:  # another thread has renewed it meanwhile
                raise Transient("the access token was renewed meanwhile", wait=0.0, code="SC-E051")
            if self._expires is not None and problem.category == EXPIRED and not self._hastened:
                self._hastened, self._expires = True, NEVER
                raise Transient("the access token had expired", wait=0.0, code="SC-E051")
            raise self._latched(f"HubSpot refuses the credential: {problem.message}")

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One refresher at a time over all processes; a turn that somebody else holds is waited for as any passing fault."""
        tokens = self._settings.refresh_tokens
        with ExitStack() as held:
            if tokens is not None:
                try:
                    held.enter_context(tokens.exclusive())
                except LeaseHeld as error:
                    raise Transient(f"another process renews the access token: {error.message}", wait=BUSY_SECONDS, code="SC-E181") from None
            yield

    def _renew(self) -> None:
        """The newest token of all is traded in, and the one that comes back is on the disk before anything is done with it."""
        tokens = self._settings.refresh_tokens
        held = (tokens.load() if tokens else None) or self._newest
        settings = self._settings
        form = [("grant_type", "refresh_token"), ("client_id", settings.client_id or ""), ("client_secret", settings.client_secret or ""),
                ("refresh_token", held)]  # fmt: skip
        granted, problem = self._grant(form)
        if problem:
            raise self._latched(f"HubSpot refuses the refresh token: {problem.message}")
        if not granted.get("access_token"):
            raise ConnectorError("HubSpot's token answer holds no access_token", code="SC-E051")
        self._newest = str(granted.get("refresh_token") or held)
        if tokens and self._newest != held:
            tokens.save(self._newest)
        lifetime = timedelta(seconds=int(granted.get("expires_in") or LIFETIME))
        self._token = str(granted["access_token"])
        self._expires = self._clock.now() + max(lifetime - REFRESH_EARLY, lifetime / 2)

    def _latched(self, words: str) -> AuthenticationError:
        self._refused = AuthenticationError(words)
        return self._refused
