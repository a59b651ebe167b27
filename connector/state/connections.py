"""What is known of a connection as such: its org, its latch, its pause, the stages its CRM offers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.sqlite import insert

from connector.state.audit import append
from connector.state.database import Database, Now, upsert
from connector.state.tables.columns import table
from connector.state.tables.control import Connections, Pauses

CONNECTIONS = table(Connections)
PAUSES = table(Pauses)


@dataclass(frozen=True, slots=True)
class Latch:
    """The CRM refused the credential for good: no further sign-in with it. ``credential`` is a hash, never the thing itself."""

    code: str
    message: str
    credential: str | None
    since: datetime


@dataclass(frozen=True, slots=True)
class Pause:
    """No push on this connection until resumed."""

    connection: str
    reason: str
    since: datetime


class ConnectionBook:
    """Org, latch and pauses, per connection."""

    def __init__(self, database: Database, clock: Now) -> None:
        self._database = database
        self._clock = clock

    def checked(self, connection: str, org_id: str, time_zone: str | None = None) -> None:
        """The credential proved itself against this org: noted with the time and the org's zone, and a latch opens."""
        opened = {"latched_code": None, "latched_message": None, "latched_credential": None, "latched_at": None}
        zone = {"time_zone": time_zone} if time_zone else {}
        known = self._row(connection)
        about: list[tuple[str, dict[str, Any]]] = []
        if known is not None and known.latched_code is not None:
            about.append(("connection.unlatched", {"code": known.latched_code}))
        if known is not None and known.org_id not in (None, org_id):
            about.append(("connection.other_org", {"before": known.org_id, "after": org_id}))
        self._set(connection, {"org_id": org_id, "checked_at": self._clock.now(), **zone, **opened}, about)

    def time_zone(self, connection: str) -> str | None:
        """The account's own time zone as it last named it, None before the first time."""
        row = self._row(connection)
        return None if row is None else row.time_zone

    def org_id(self, connection: str) -> str | None:
        """The org that the credential last proved, None before the first time."""
        row = self._row(connection)
        return None if row is None else row.org_id

    def checked_at(self, connection: str) -> datetime | None:
        row = self._row(connection)
        return None if row is None else row.checked_at

    def latch(self, connection: str, code: str, message: str, *, credential: str | None = None) -> None:
        """Remember a refusal for good. The same credential refused again stays latched since the first time."""
        held = self.latched(connection, credential=credential)
        since = self._clock.now() if held is None else held.since
        values = {"latched_code": code, "latched_message": message, "latched_credential": credential, "latched_at": since}
        self._set(connection, values, [("connection.latched", {"code": code})] if held is None else [])

    def latched(self, connection: str, *, credential: str | None = None) -> Latch | None:
        """The latch, None where there is none or where it was another credential that was refused."""
        row = self._row(connection)
        if row is None or row.latched_code is None:
            return None
        if credential is not None and row.latched_credential is not None and credential != row.latched_credential:
            return None
        return Latch(row.latched_code, row.latched_message, row.latched_credential, row.latched_at)

    def unlatch(self, connection: str) -> None:
        self._set(connection, {"latched_code": None, "latched_message": None, "latched_credential": None, "latched_at": None})

    def pause(self, connection: str, reason: str) -> None:
        """Takes effect before the next batch of a push that runs now. A second pause gives the newer reason, since the first."""
        now = self._clock.now()
        row = {"connection": connection, "reason": reason, "since": now}
        with self._database.write() as db:
            upsert(db, PAUSES, [row], keep=("since",))
            append(db, now, "connection.paused", connection, {"reason": reason})

    def resume(self, connection: str) -> bool:
        """False if it was not paused."""
        with self._database.write() as db:
            resumed = db.execute(delete(PAUSES).where(PAUSES.c.connection == connection)).rowcount == 1
            if resumed:
                append(db, self._clock.now(), "connection.resumed", connection)
        return resumed

    def paused(self, connection: str) -> Pause | None:
        with self._database.read() as db:
            row = db.execute(select(PAUSES).where(PAUSES.c.connection == connection)).first()
        return None if row is None else Pause(row.connection, row.reason, row.since)

    def _row(self, connection: str) -> Any:
        with self._database.read() as db:
            return db.execute(select(CONNECTIONS).where(CONNECTIONS.c.connection == connection)).first()

    def _set(self, connection: str, values: dict[str, Any], about: Iterable[tuple[str, dict[str, Any]]] = ()) -> None:
        """``about``: (action, detail) of what the audit is told of it."""
        statement = insert(CONNECTIONS).values(connection=connection, **values)
        with self._database.write() as db:
            db.execute(statement.on_conflict_do_update(index_elements=["connection"], set_=values))
            for action, detail in about:
                append(db, self._clock.now(), action, connection, detail)
