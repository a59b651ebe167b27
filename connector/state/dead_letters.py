"""Records and updates that did not get through, until they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, case, select, update
from sqlalchemy.dialects.sqlite import insert

from connector.errors import StateError
from connector.model.records import DeadLetter
from connector.state.audit import append
from connector.state.database import Database, Now, chunks
from connector.state.tables.columns import table
from connector.state.tables.control import DeadLetters

LETTERS = table(DeadLetters)


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter as stored. ``status``: open, ignored (until ``ignored_until``, for ``reason``), resolved."""

    id: int
    connection: str
    stream: str
    record: str
    code: str
    field: str | None
    message: str
    run: int | None
    first_at: datetime
    last_at: datetime
    count: int
    status: str
    ignored_until: datetime | None
    reason: str | None
    attempt: str | None = None
    refusals: int = 0
    resolved_at: datetime | None = None


def put(connection: Connection, name: str, letters: Sequence[DeadLetter], run: int | None, now: datetime) -> None:
    """Insert or count up. A resolved one, or one whose time of being ignored has passed, is open again."""
    rows = [
        {
            "connection": name, "stream": letter.stream, "record": letter.record, "code": letter.code, "field": letter.field,
            "message": letter.message, "run": run, "first_at": now, "last_at": now, "count": 1, "status": "open",
            "attempt": letter.attempt, "refusals": 0 if letter.attempt is None else 1,
        }
        for letter in letters
    ]  # fmt: skip
    if not rows:
        return
    statement = insert(LETTERS)
    still_ignored = (LETTERS.c.status == "ignored") & (LETTERS.c.ignored_until > now)
    changing = {
        "field": statement.excluded.field,
        "message": statement.excluded.message,
        "run": statement.excluded.run,
        "last_at": statement.excluded.last_at,
        "count": LETTERS.c.count + 1,
        "status": case((still_ignored, "ignored"), else_="open"),
        "resolved_at": None,
        "attempt": statement.excluded.attempt,
        "refusals": case((LETTERS.c.attempt == statement.excluded.attempt, LETTERS.c.refusals + 1), else_=statement.excluded.refusals),
    }
    connection.execute(statement.on_conflict_do_update(index_elements=["connection", "stream", "record", "code"], set_=changing), rows)


def settle(connection: Connection, name: str, stream: str, records: set[str], failing: Sequence[DeadLetter], now: datetime) -> int:
    """Resolve what stood against records that now get through, or that now fail for another reason. Returns how many."""
    now_failing = {(letter.record, letter.code) for letter in failing}
    touched = records | {record for record, _ in now_failing}
    if not touched - {""}:
        return 0
    query = select(LETTERS.c.id, LETTERS.c.record, LETTERS.c.code).where(LETTERS.c.connection == name, LETTERS.c.stream == stream)
    standing = connection.execute(query.where(LETTERS.c.status != "resolved")).all()
    mended = [row.id for row in standing if row.record in touched and (row.record, row.code) not in now_failing]
    for some in chunks(mended):
        values = {"status": "resolved", "resolved_at": now, "ignored_until": None, "reason": None, "refusals": 0}
        connection.execute(update(LETTERS).where(LETTERS.c.id.in_(some)).values(values))
    return len(mended)


def scrub(connection: Connection, name: str, streams: Sequence[str], records: Sequence[str], now: datetime) -> None:
    """Records that are gone: whatever was said of them is closed, and its words go."""
    for some in chunks(records):
        where = (LETTERS.c.connection == name, LETTERS.c.stream.in_(streams), LETTERS.c.record.in_(some))
        values = {"message": "the record is gone", "reason": None, "attempt": None, "refusals": 0, "ignored_until": None}
        connection.execute(update(LETTERS).where(*where).values(values))
        connection.execute(update(LETTERS).where(*where, LETTERS.c.status != "resolved").values(status="resolved", resolved_at=now))


class DeadLetterBook:
    """What a person does with dead letters, and what a push adds."""

    def __init__(self, database: Database, clock: Now) -> None:
        self._database = database
        self._clock = clock

    def add(self, connection: str, letters: Sequence[DeadLetter], *, run: int | None = None) -> None:
        """Dead letters that do not belong to a page: updates that the CRM refused."""
        with self._database.write() as db:
            put(db, connection, letters, run, self._clock.now())

    def mended(self, connection: str, stream: str, records: Sequence[str]) -> int:
        """These records of a stream got through: resolve what stood against them."""
        with self._database.write() as db:
            return settle(db, connection, stream, set(records), (), self._clock.now())

    def gone(self, connection: str, stream: str, records: Sequence[str]) -> None:
        """These records of a stream are gone: see :func:`scrub`."""
        with self._database.write() as db:
            scrub(db, connection, (stream,), records, self._clock.now())

    def find(self, connection: str | None = None, *, status: str | None = "open", stream: str | None = None, limit: int = 1000) -> list[Letter]:
        """Newest first. One whose time of being ignored has passed counts as open. ``status`` None: all."""
        query = select(LETTERS).order_by(LETTERS.c.last_at.desc(), LETTERS.c.id.desc())
        over = (LETTERS.c.status == "ignored") & (LETTERS.c.ignored_until <= self._clock.now())
        if connection is not None:
            query = query.where(LETTERS.c.connection == connection)
        if stream is not None:
            query = query.where(LETTERS.c.stream == stream)
        if status == "open":
            query = query.where((LETTERS.c.status == "open") | over)
        elif status == "ignored":
            query = query.where((LETTERS.c.status == "ignored") & ~over)
        elif status is not None:
            query = query.where(LETTERS.c.status == status)
        with self._database.read() as db:
            return [Letter(**row) for row in db.execute(query.limit(limit)).mappings()]

    def show(self, number: int) -> Letter:
        """Raises StateError SC-E184 for an unknown number."""
        with self._database.read() as db:
            row = db.execute(select(LETTERS).where(LETTERS.c.id == number)).mappings().first()
        if row is None:
            raise StateError(f"no dead letter {number}", code="SC-E184", next_step="connector dead-letters list")
        return Letter(**row)

    def ignore(self, number: int, *, until: datetime, reason: str) -> None:
        """Leave it alone until then. Raises StateError SC-E184."""
        self._set(number, "dead_letter.ignored", status="ignored", ignored_until=until, reason=reason)

    def resolve(self, number: int, *, reason: str | None = None) -> None:
        """Close it by hand; it opens again if the record fails again. Raises StateError SC-E184."""
        done = {"status": "resolved", "resolved_at": self._clock.now()}
        self._set(number, "dead_letter.resolved", **done, ignored_until=None, reason=reason, refusals=0)

    def quarantined(self, connection: str, stream: str, after: int) -> dict[str, Letter]:
        """Record → what stands against it, of updates that were refused ``after`` times or more, each time the very same."""
        return {x.record: x for x in self.find(connection, status=None, stream=stream, limit=-1) if x.refusals >= after and x.status != "resolved"}

    def _set(self, number: int, action: str, **values: object) -> None:
        with self._database.write() as db:
            if db.execute(update(LETTERS).where(LETTERS.c.id == number).values(**values)).rowcount != 1:
                raise StateError(f"no dead letter {number}", code="SC-E184", next_step="connector dead-letters list")
            letter = db.execute(select(LETTERS.c.connection, LETTERS.c.record, LETTERS.c.code).where(LETTERS.c.id == number)).one()
            detail = {"code": letter.code, "record": letter.record, "reason": values.get("reason"), "until": values.get("ignored_until")}
            append(db, self._clock.now(), action, f"{letter.connection} dead letter {number}", detail)
