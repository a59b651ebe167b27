"""Refresh tokens that change with each use: the newest one of each connection, encrypted, on the disk before it is used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import delete, select

from connector.errors import LeaseHeld, SettingsError
from connector.state.database import Database, upsert
from connector.state.leases import Lease, LeaseBook, signature
from connector.state.tables.columns import table
from connector.state.tables.control import RefreshTokens

TOKENS = table(RefreshTokens)
STREAM = "refresh token"
"""The lease under which one process at a time refreshes."""
PAUSE = 0.25
"""Seconds between two looks at a lease that somebody else holds."""
TRIES = 120


class Time(Protocol):
    """As much of a clock as waiting for a turn needs."""

    def now(self) -> datetime: ...
    def sleep(self, seconds: float) -> None: ...


class StoredTokens:
    """The refresh token of one connection, as ``crms.base.RefreshTokens`` wants it kept.

    ``initial``: the token in the environment, with which everything began; another one there makes what is stored worthless.
    ``keys``: Fernet keys, the first encrypts, each decrypts. Raises SettingsError for a key that is none.
    """

    def __init__(self, database: Database, clock: Time, connection: str, *, initial: str, keys: Sequence[str]) -> None:
        self._database = database
        self._clock = clock
        self._connection = connection
        self._initial = hashlib.sha256(initial.encode()).hexdigest()
        self._leases = LeaseBook(database, clock)
        try:
            self._cipher = MultiFernet([Fernet(key.encode()) for key in keys])
        except ValueError:  # its text may quote the key
            raise SettingsError(
                "CONNECTOR_SECRETS_KEY holds no Fernet key (32 bytes, URL-safe base64)",
                next_step='python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"',
            ) from None

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """One refresher at a time, over all threads and processes; waits half a minute for its turn. Raises LeaseHeld after that."""
        with self._lease():
            yield

    def load(self) -> str | None:
        """The newest token; None before the first refresh, and after the environment got another one.

        Raises SettingsError where none of the keys decrypts it.
        """
        row = self._row()
        if row is None or row.initial != self._initial:
            return None
        try:
            return self._cipher.decrypt(row.token.encode()).decode()
        except InvalidToken:
            raise SettingsError(
                f"the stored refresh token of {self._connection} was encrypted with another CONNECTOR_SECRETS_KEY",
                next_step=f"restore that key, or authorise anew and set another refresh token for {self._connection}",
            ) from None

    def save(self, token: str) -> None:
        """On the disk when it returns."""
        values = {
            "connection": self._connection, "token": self._cipher.encrypt(token.encode()).decode(), "initial": self._initial,
            "saved_at": self._clock.now(),
        }  # fmt: skip
        with self._database.write_durably() as db:
            upsert(db, TOKENS, [values])

    def forget(self) -> None:
        """What is stored goes; the environment's token counts again."""
        with self._database.write_durably() as db:
            db.execute(delete(TOKENS).where(TOKENS.c.connection == self._connection))

    def _lease(self) -> Lease:
        for _ in range(TRIES):
            try:
                return self._leases.take(self._connection, STREAM, signature())
            except LeaseHeld:
                self._clock.sleep(PAUSE)
        return self._leases.take(self._connection, STREAM, signature())

    def _row(self) -> Any:
        with self._database.read() as db:
            return db.execute(select(TOKENS).where(TOKENS.c.connection == self._connection)).first()
