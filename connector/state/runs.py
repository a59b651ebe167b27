"""What ran, when, and what it moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from sqlalchemy import insert, select, update

from connector.errors import StateError
from connector.state.database import Database, Now, upsert
from connector.state.tables.columns import table
from connector.state.tables.control import Runs, RunStreams

RUNS = table(Runs)
STREAMS = table(RunStreams)
Kind = Literal["pull", "push", "sync", "rollback"]
Status = Literal["running", "ok", "partial", "failed", "blocked", "interrupted"]


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """What one stream did in one run. ``complete``: it was read from nothing, not from a bookmark. ``seconds`` of wall time."""

    stream: str
    complete: bool = False
    pages: int = 0
    records: int = 0
    upserts: int = 0
    deleted: int = 0
    dead_letters: int = 0
    calls: int = 0
    seconds: float = 0.0


class Counted(Protocol):
    """What :meth:`RunBook.count` needs to know of a stream's work; :class:`StreamCounts` is one such."""

    @property
    def stream(self) -> str: ...
    @property
    def pages(self) -> int: ...
    @property
    def records(self) -> int: ...
    @property
    def upserts(self) -> int: ...
    @property
    def deleted(self) -> int: ...
    @property
    def dead_letters(self) -> int: ...
    @property
    def calls(self) -> int: ...
    @property
    def seconds(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one connection. ``trigger``: who or what started it; ``summary``: what its kind found worth keeping."""

    id: int
    connection: str
    kind: str
    status: str
    started_at: datetime
    ended_at: datetime | None
    trigger: str
    as_of: datetime | None
    summary: Mapping[str, Any] | None
    error_code: str | None
    error_message: str | None
    streams: tuple[StreamCounts, ...] = ()


class RunBook:
    """Start, finish and look up runs."""

    def __init__(self, database: Database, clock: Now) -> None:
        self._database = database
        self._clock = clock

    def start(self, connection: str, kind: Kind, trigger: str, *, as_of: datetime | None = None) -> int:
        """The number of a new run, status running."""
        values = {"connection": connection, "kind": kind, "status": "running", "started_at": self._clock.now(), "trigger": trigger, "as_of": as_of}
        with self._database.write() as db:
            key = db.execute(insert(RUNS).values(values)).inserted_primary_key
        assert key is not None
        return int(key[0])

    def finish(
        self,
        run: int,
        status: Status,
        *,
        summary: Mapping[str, Any] | None = None,
        error_code: str | None = None,
        error_message: str | None = None,
    ) -> None:
        """Close it. ``summary`` is JSON. Raises StateError SC-E184 for an unknown run."""
        values = {
            "status": status, "ended_at": self._clock.now(), "summary": None if summary is None else dict(summary),
            "error_code": error_code, "error_message": error_message,
        }  # fmt: skip
        with self._database.write() as db:
            if db.execute(update(RUNS).where(RUNS.c.id == run).values(values)).rowcount != 1:
                raise StateError(f"no run {run}", code="SC-E184")

    def count(self, run: int, counts: Counted, *, complete: bool = False) -> None:
        """Set the counts of one stream of a run; the last word counts. ``complete``: the stream was read from nothing."""
        row = {name: getattr(counts, name) for name in StreamCounts.__slots__ if name != "complete"}
        row["complete"] = complete
        with self._database.write() as db:
            upsert(db, STREAMS, [{"run": run, **row}])

    def interrupt_dead(self, connection: str, *, before: int | None = None) -> list[int]:
        """Mark runs that never finished as interrupted. Call it only while holding the connection's lease: whoever holds it knows
        that the others are gone. ``before``: only runs with a smaller number. Returns their numbers."""
        where = [RUNS.c.connection == connection, RUNS.c.status == "running"]
        if before is not None:
            where.append(RUNS.c.id < before)
        with self._database.write() as db:
            dead = list(db.scalars(select(RUNS.c.id).where(*where).order_by(RUNS.c.id)))
            db.execute(update(RUNS).where(*where).values(status="interrupted", ended_at=self._clock.now()))
        return dead

    def get(self, run: int) -> Run:
        """Raises StateError SC-E184 for an unknown number."""
        found = self._read(select(RUNS).where(RUNS.c.id == run))
        if not found:
            raise StateError(f"no run {run}", code="SC-E184", next_step="connector runs")
        return found[0]

    def recent(self, connection: str | None = None, *, kinds: Sequence[Kind] = (), limit: int = 20) -> list[Run]:
        """Newest first."""
        query = select(RUNS).order_by(RUNS.c.id.desc()).limit(limit)
        if connection is not None:
            query = query.where(RUNS.c.connection == connection)
        if kinds:
            query = query.where(RUNS.c.kind.in_(kinds))
        return self._read(query)

    def last(self, connection: str, *, kinds: Sequence[Kind] = (), statuses: Sequence[Status] = ()) -> Run | None:
        """The newest run of these kinds and statuses (any, where none is named)."""
        query = select(RUNS).where(RUNS.c.connection == connection).order_by(RUNS.c.id.desc()).limit(1)
        if kinds:
            query = query.where(RUNS.c.kind.in_(kinds))
        if statuses:
            query = query.where(RUNS.c.status.in_(statuses))
        found = self._read(query)
        return found[0] if found else None

    def first(self, connection: str, *, kinds: Sequence[Kind] = ()) -> Run | None:
        """The oldest run of these kinds (any, where none is named)."""
        query = select(RUNS).where(RUNS.c.connection == connection).order_by(RUNS.c.id).limit(1)
        found = self._read(query.where(RUNS.c.kind.in_(kinds)) if kinds else query)
        return found[0] if found else None

    def row_counts(self, connection: str, stream: str, *, complete: bool, before: int | None = None, limit: int = 10) -> list[int]:
        """Records read by the last like runs, newest first: same stream, same completeness, ended ok or partial."""
        query = (
            select(STREAMS.c.records)
            .join(RUNS, RUNS.c.id == STREAMS.c.run)
            .where(RUNS.c.connection == connection, RUNS.c.status.in_(("ok", "partial")), STREAMS.c.stream == stream, STREAMS.c.complete == complete)
            .order_by(RUNS.c.id.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(RUNS.c.id < before)
        with self._database.read() as db:
            return list(db.scalars(query))

    def call_counts(self, connection: str, stream: str, *, complete: bool, limit: int = 5) -> list[int]:
        """API calls of the last like runs, newest first: same stream, same completeness, ended ok or partial."""
        query = (
            select(STREAMS.c.calls)
            .join(RUNS, RUNS.c.id == STREAMS.c.run)
            .where(RUNS.c.connection == connection, RUNS.c.status.in_(("ok", "partial")), STREAMS.c.stream == stream, STREAMS.c.complete == complete)
            .order_by(RUNS.c.id.desc())
            .limit(limit)
        )
        with self._database.read() as db:
            return list(db.scalars(query))

    def summaries(self, connection: str, kind: Kind, *, limit: int = 5) -> list[Mapping[str, Any]]:
        """What the last runs of a kind that ended ok or partial found worth keeping, newest first."""
        query = (
            select(RUNS.c.summary)
            .where(RUNS.c.connection == connection, RUNS.c.kind == kind, RUNS.c.status.in_(("ok", "partial")), RUNS.c.summary.is_not(None))
            .order_by(RUNS.c.id.desc())
            .limit(limit)
        )
        with self._database.read() as db:
            return list(db.scalars(query))

    def _read(self, query: Any) -> list[Run]:
        with self._database.read() as db:
            rows = db.execute(query).mappings().all()
            streams: dict[int, list[StreamCounts]] = {}
            counted = select(STREAMS).where(STREAMS.c.run.in_([row["id"] for row in rows])).order_by(STREAMS.c.stream)
            for row in db.execute(counted).mappings():
                values = dict(row)
                streams.setdefault(values.pop("run"), []).append(StreamCounts(**values))
        return [Run(**row, streams=tuple(streams.get(row["id"], ()))) for row in rows]
