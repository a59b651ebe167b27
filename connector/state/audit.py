"""The audit: who or what did what, when. Rows are only added, and each carries the hash of the one before, so that none can be changed unseen.

Values of records are not in it: they live in the before-images, where they can be scrubbed without breaking the chain.
"""

from __future__ import annotations

import getpass
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, insert, select

from connector.errors import StateError
from connector.state.database import Database, Now
from connector.state.tables import Audit, table

AUDIT = table(Audit)
FIRST = "0" * 64
"""What the first row names as the hash before it."""
_actor: ContextVar[str | None] = ContextVar("actor", default=None)


@contextmanager
def acting(actor: str) -> Iterator[None]:
    """What is recorded inside was done by ``actor``: ``schedule``, ``console:ada`` …; the default is the login name behind the command line."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


def actor() -> str:
    """Who acts now."""
    set_ = _actor.get()
    if set_ is not None:
        return set_
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container's user without a name
        return "cli"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. ``at``: ISO 8601, UTC; ``detail``: canonical JSON text; ``previous``, ``hash``: SHA-256 in hex."""

    seq: int
    at: str
    actor: str
    action: str
    subject: str
    detail: str
    previous: str
    hash: str

    def as_dict(self) -> dict[str, Any]:
        """With the detail as JSON."""
        return {name: getattr(self, name) for name in self.__slots__} | {"detail": orjson.loads(self.detail)}

    def right(self) -> bool:
        """The hash is that of this row behind the row before."""
        return self.hash == _hash(self.previous, self.seq, self.at, self.actor, self.action, self.subject, self.detail)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a walk over the chain found. ``broken``: the first row that is not what was written, and why; None: every row is."""

    rows: int
    head: str
    broken: int | None = None
    why: str | None = None


def _hash(previous: str, *parts: object) -> str:
    return hashlib.sha256(previous.encode() + b"\n" + orjson.dumps(parts)).hexdigest()


def append(db: Connection, at: Any, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> None:
    """One more row, in the transaction of what it records. ``at``: an aware instant; ``detail``: JSON without values of records."""
    last = db.execute(select(AUDIT.c.seq, AUDIT.c.hash).order_by(AUDIT.c.seq.desc()).limit(1)).first()
    seq, previous = (1, FIRST) if last is None else (last.seq + 1, last.hash)
    text = orjson.dumps(dict(detail or {}), option=orjson.OPT_SORT_KEYS).decode()
    row = {"seq": seq, "at": at.isoformat(), "actor": actor(), "action": action, "subject": subject, "detail": text}
    hash_ = _hash(previous, seq, row["at"], row["actor"], action, subject, text)
    db.execute(insert(AUDIT).values(**row, previous=previous, hash=hash_))


class AuditBook:
    """Read the audit, and add what belongs to no other transaction."""

    def __init__(self, database: Database, clock: Now) -> None:
        self._database = database
        self._clock = clock

    def add(self, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> None:
        """On the disk when it returns."""
        with self._database.write_durably() as db:
            append(db, self._clock.now(), action, subject, detail)

    def tail(self, limit: int = 20) -> list[Entry]:
        """The last rows, oldest of them first."""
        with self._database.read() as db:
            found = [Entry(**row) for row in db.execute(select(AUDIT).order_by(AUDIT.c.seq.desc()).limit(limit)).mappings()]
        return found[::-1]

    def after(self, seq: int) -> list[Entry]:
        """Every row behind this number, in order."""
        with self._database.read() as db:
            return [Entry(**row) for row in db.execute(select(AUDIT).where(AUDIT.c.seq > seq).order_by(AUDIT.c.seq)).mappings()]

    def verify(self, head: str | None = None) -> Verdict:
        """Walk the whole chain. ``head``: a hash noted earlier, which must be in it; without one nobody can see that the tail was cut."""
        rows = self.after(0)
        found = _walk(rows)
        if found.broken is None and head is not None and head not in {row.hash for row in rows}:
            return Verdict(found.rows, found.head, found.rows + 1, f"no row carries the head {head}: the tail was cut, or the chain written anew")
        return found


def _walk(rows: Sequence[Entry]) -> Verdict:
    previous = FIRST
    for number, row in enumerate(rows, 1):
        if row.seq != number:
            return Verdict(len(rows), previous, number, f"row {number} is missing")
        if row.previous != previous:
            return Verdict(len(rows), previous, number, f"row {number} does not follow the row before it")
        if not row.right():
            return Verdict(len(rows), previous, number, f"row {number} is not what was written")
        previous = row.hash
    return Verdict(len(rows), previous)


def proven(verdict: Verdict) -> Verdict:
    """The verdict itself. Raises StateError SC-E185 where the chain is broken."""
    if verdict.broken is not None:
        raise StateError(f"the audit chain is broken at row {verdict.broken}: {verdict.why}", code="SC-E185")
    return verdict
