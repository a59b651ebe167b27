"""Which targets are missed now, and who was told what of them and of the plans that wait: so that each change is told once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, select

from connector.model.standing import Id, Standing, Told
from connector.model.waiting import PLAN, Waiting
from connector.state.database import Database, upsert
from connector.state.tables.columns import table
from connector.state.tables.control import AlertsTold, Breaches

BREACHES = table(Breaches)
TOLD = table(AlertsTold)


class AlertBook:
    """Standing breaches per connection, and what each channel knows of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def stand(self, connection: str, missed: Sequence[Standing], unjudged: Collection[tuple[str, str]] = ()) -> None:
        """These are missed now, the worst first. What cannot be judged (target, subject) stays as it was: unknown is no all-clear."""
        rows = [
            {"connection": connection, "target": s.target, "subject": s.subject, "place": place, "content": s.as_dict()}
            for place, s in enumerate(missed)
        ]
        with self._database.write() as db:
            stood = db.execute(select(BREACHES.c.target, BREACHES.c.subject).where(BREACHES.c.connection == connection)).all()
            for target, subject in {(row.target, row.subject) for row in stood} - set(unjudged):
                where = (BREACHES.c.connection == connection, BREACHES.c.target == target, BREACHES.c.subject == subject)
                db.execute(delete(BREACHES).where(*where))
            upsert(db, BREACHES, rows)

    def standing(self, connection: str) -> list[Standing]:
        """What is missed, the worst first."""
        query = (
            select(BREACHES.c.content).where(BREACHES.c.connection == connection).order_by(BREACHES.c.place, BREACHES.c.target, BREACHES.c.subject)
        )
        with self._database.read() as db:
            return [Standing.of(content) for content in db.scalars(query)]

    def told(self, channel: str, connections: Iterable[str]) -> dict[Id, Told]:
        """What a channel knows of the targets of these connections."""
        rows = self._told(channel, connections, TOLD.c.target != PLAN)
        return {(row.connection, row.target, row.subject): Told(Standing.of(row.content), row.over, row.at) for row in rows}

    def told_to_wait(self, channel: str, connections: Iterable[str]) -> dict[Id, Waiting]:
        """The plans of these connections that wait, as far as a channel knows."""
        rows = self._told(channel, connections, (TOLD.c.target == PLAN) & TOLD.c.over.is_(False))
        found = [Waiting.of(row.content) for row in rows]
        return {waiting.id: waiting for waiting in found}

    def _told(self, channel: str, connections: Iterable[str], which: ColumnElement[bool]) -> Sequence[Any]:
        with self._database.read() as db:
            return db.execute(select(TOLD).where(TOLD.c.channel == channel, TOLD.c.connection.in_(list(connections)), which)).all()

    def tell(self, channel: str, changes: Iterable[tuple[Standing | Waiting, bool]], at: datetime) -> None:
        """A channel was told: (what, whether it is over)."""
        rows = [
            {
                "channel": channel, **dict(zip(("connection", "target", "subject"), told.id, strict=True)), "over": over, "at": at,
                "content": told.as_dict(),
            }
            for told, over in changes
        ]  # fmt: skip
        with self._database.write() as db:
            upsert(db, TOLD, rows)
