"""Who is calling: access tokens, refresh tokens, and the query cursors that belong to a session."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

OPEN = "sandbox-"  # any bearer token that begins with this is taken
AS_USER = "sandbox-as-"  # … and with a user after it (see Org.login), acts as that user
LOCATOR_LIFE = timedelta(days=2)
MOST_LOCATORS = 500


@dataclass(frozen=True, slots=True)
class Locator:
    """A query's result kept for its next pages: ids, not values. ``size``: rows a page."""

    id: str
    token: str
    ids: Sequence[str]
    project: Callable[[Sequence[str]], list[Mapping[str, Any]]]
    size: int
    made_at: datetime


class Sessions:
    """Tokens in use. ``rotate``: each refresh gives a new refresh token and ends the old one and its sessions."""

    def __init__(self, org_id: str, api_user: str) -> None:
        self.org_id = org_id
        self.api_user = api_user
        self.rotate = False
        self._live: dict[str, str] = {}
        self._ended: set[str] = set()
        self._refresh: dict[str, str] = {}
        self._used_refresh: set[str] = set()
        self._made = 0
        self._ends_in: int | None = None
        self._locators: dict[str, Locator] = {}

    def issue(self, user_id: str) -> str:
        """A new access token of a user."""
        token = f"{self.org_id[:15]}!AQ{self._secret()}"
        self._live[token] = user_id
        return token

    def issue_refresh(self, user_id: str) -> str:
        """A new refresh token of a user."""
        token = f"5Aep{self._secret()}"
        self._refresh[token] = user_id
        return token

    def refreshed_by(self, refresh_token: str) -> str | None:
        """The user of a refresh token, or None where it is unknown or used up."""
        if refresh_token in self._used_refresh:
            return None
        if refresh_token.startswith(OPEN):
            return self.api_user
        return self._refresh.get(refresh_token)

    def retire_refresh(self, refresh_token: str) -> str:
        """Rotate: this refresh token has been used; returns its successor."""
        user_id = self.refreshed_by(refresh_token) or self.api_user
        self._used_refresh.add(refresh_token)
        self._end(user_id)
        return self.issue_refresh(user_id)

    def user_of(self, token: str) -> str | None:
        """The user of a live access token, or None. Asked once a call: see :meth:`expire`."""
        if self._ends_in is not None:
            self._ends_in -= 1
            if self._ends_in < 0:
                self.expire()
        if token in self._live:
            return self._live[token]
        if token in self._ended or not token.startswith(OPEN):
            return None
        self._live[token] = token.removeprefix(AS_USER) if token.startswith(AS_USER) else self.api_user
        return self._live[token]

    def expire(self, after_calls: int = 0) -> None:
        """End every session, and with it its query cursors, now or after so many more calls. Open tokens that have been used end too."""
        if after_calls:
            self._ends_in = after_calls
            return
        self._ends_in = None
        self._ended.update(self._live)
        self._live.clear()
        self._locators.clear()

    def keep(self, locator: Locator) -> None:
        """Remember a result; the oldest is dropped when there are too many."""
        self._locators[locator.id] = locator
        while len(self._locators) > MOST_LOCATORS:
            self._locators.pop(next(iter(self._locators)))

    def locator(self, locator_id: str, token: str, now: datetime) -> Locator | None:
        """A kept result of this very session that is not older than two days."""
        found = self._locators.get(locator_id)
        if found is None or found.token != token or now - found.made_at > LOCATOR_LIFE:
            return None
        return found

    def opened(self, locator_id: str) -> Sequence[str]:
        """The ids of a kept result, whosever it is; none for an unknown one."""
        found = self._locators.get(locator_id)
        return () if found is None else found.ids

    def _end(self, user_id: str) -> None:
        gone = [token for token, owner in self._live.items() if owner == user_id]
        for token in gone:
            del self._live[token]
            self._ended.add(token)
        self._locators = {key: kept for key, kept in self._locators.items() if kept.token not in self._ended}

    def _secret(self) -> str:
        self._made += 1
        return hashlib.sha256(f"{self.org_id}/{self._made}".encode()).hexdigest()[:40]
