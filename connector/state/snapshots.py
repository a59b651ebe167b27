"""Schema snapshots: the part of a CRM's schema that a connection rests on, as last accepted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select

from connector.state.database import Database, upsert
from connector.state.tables.columns import table
from connector.state.tables.control import SchemaSnapshots

SNAPSHOTS = table(SchemaSnapshots)


class SnapshotBook:
    """Per connection and object one JSON document, canonical and sorted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, connection: str) -> dict[str, dict[str, Any]]:
        """Object → what was accepted."""
        query = select(SNAPSHOTS.c.object, SNAPSHOTS.c.content).where(SNAPSHOTS.c.connection == connection)
        with self._database.read() as db:
            return {row.object: row.content for row in db.execute(query)}

    def accept(self, connection: str, contents: Mapping[str, Mapping[str, Any]], at: datetime) -> None:
        """From now on this is what is compared with. Objects that are not named keep theirs."""
        rows = [{"connection": connection, "object": object, "taken_at": at, "content": dict(content)} for object, content in contents.items()]
        with self._database.write() as db:
            upsert(db, SNAPSHOTS, rows)

    def forget(self, connection: str) -> None:
        """The next look is a first look."""
        with self._database.write() as db:
            db.execute(delete(SNAPSHOTS).where(SNAPSHOTS.c.connection == connection))
