"""The audit: who or what did what, when. Rows are only added, and each carries the hash of the one before, so that none can be changed unseen.

Values of records are not in it: they live in the before-images, where they can be scrubbed without breaking the chain.
"""

from __future__ import annotations

import getpass
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, insert, select

from connector.errors import StateError
from connector.state.database import Database, Now
from connector.state.tables.columns import table
from connector.state.tables.control import Audit

AUDIT = table(Audit)
PURGED = "audit.purged"
FIRST = "0" * 64
"""What the first row names as the hash before it."""
_actor: ContextVar[tuple[str, str | None] | None] = ContextVar("actor", default=None)


@contextmanager
def acting(actor: str, address: str | None = None) -> Iterator[None]:
    """What is recorded inside was done by ``actor``: ``schedule``, ``console:ada`` …; the default is the login name behind the command line.
    ``address``: where from, None for what came over no network."""
    token = _actor.set((actor, address))
    try:
        yield
    finally:
        _actor.reset(token)


def actor() -> str:
    """Who acts now."""
    set_ = _actor.get()
    if set_ is not None:
        return set_[0]
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container's user without a name
        return "cli"


def address() -> str | None:
    """Where from. On the command line that of the person's own machine, as the remote shell names it; None at the machine itself: its own
    name would be no address, and the same in every row."""
    set_ = _actor.get()
    if set_ is not None:
        return set_[1]
    return os.environ.get("SSH_CONNECTION", "").partition(" ")[0] or None


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. ``at``: ISO 8601, UTC; ``address``: where the actor was, None where that is no network address; ``detail``: canonical JSON text;
    ``previous``, ``hash``: SHA-256 in hex."""

    seq: int
    at: str
    actor: str
    address: str | None
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
        return self.hash == _hash(self.previous, self.seq, self.at, self.actor, self.address, self.action, self.subject, self.detail)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a walk over the chain found. ``broken``: the first row that is not what was written, and why; None: every row is."""

    rows: int
    head: str
    broken: int | None = None
    why: str | None = None


def _hash(previous: str, seq: int, at: str, actor: str, address: str | None, *about: str) -> str:
    """Rows without an address are hashed as they were before there were any."""
    parts = (seq, at, actor, *about) if address is None else (seq, at, actor, *about, address)
    return hashlib.sha256(previous.encode() + b"\n" + orjson.dumps(parts)).hexdigest()


def append(db: Connection, at: Any, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> None:
    """One more row, in the transaction of what it records. ``at``: an aware instant; ``detail``: JSON without values of records."""
    last = db.execute(select(AUDIT.c.seq, AUDIT.c.hash).order_by(AUDIT.c.seq.desc()).limit(1)).first()
    seq, previous = (1, FIRST) if last is None else (last.seq + 1, last.hash)
    text = orjson.dumps(dict(detail or {}), option=orjson.OPT_SORT_KEYS).decode()
    who, where, when = actor(), address(), at.isoformat()
    hash_ = _hash(previous, seq, when, who, where, action, subject, text)
    row = {"seq": seq, "at": when, "actor": who, "address": where, "action": action, "subject": subject, "detail": text}
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

    def hash_of(self, seq: int) -> str | None:
        """The hash of a row; of one that was purged where the audit still names it, None where nobody knows."""
        with self._database.read() as db:
            found: str | None = db.scalar(select(AUDIT.c.hash).where(AUDIT.c.seq == seq))
            purges = [orjson.loads(text) for text in db.scalars(select(AUDIT.c.detail).where(AUDIT.c.action == PURGED))]
        return found or next((str(purge["hash"]) for purge in purges if purge["through"] == seq), None)

    def old(self, before: datetime) -> int:
        """Rows older than that, the last row of all not among them."""
        with self._database.read() as db:
            return self._through(db, before)[0]

    def purge(self, before: datetime) -> int:
        """Drop them. A row about it names the last one dropped and its hash, by which the chain is proven from then on. Returns how many."""
        with self._database.write_durably() as db:
            rows, last = self._through(db, before)
            if last is not None:
                db.execute(delete(AUDIT).where(AUDIT.c.seq <= last.seq))
                append(db, self._clock.now(), PURGED, "audit", {"rows": rows, "through": last.seq, "hash": last.hash})
        return rows

    def _through(self, db: Connection, before: datetime) -> tuple[int, Any]:
        kept = db.scalar(select(func.min(AUDIT.c.seq)).where(AUDIT.c.at >= before.astimezone(UTC).isoformat()))
        if kept is None:
            kept = db.scalar(select(func.max(AUDIT.c.seq)))
        older = AUDIT.c.seq < (kept or 0)
        last = db.execute(select(AUDIT.c.seq, AUDIT.c.hash).where(older).order_by(AUDIT.c.seq.desc()).limit(1)).first()
        return db.scalar(select(func.count()).select_from(AUDIT).where(older)) or 0, last

    def verify(self, head: str | None = None) -> Verdict:
        """Walk the whole chain, from its first row or from where it was last purged. ``head``: a hash noted earlier, which must be in it;
        without one nobody can see that the tail was cut."""
        rows = self.after(0)
        found = _walk(rows)
        known = {row.hash for row in rows} | {_purge(row)["hash"] for row in rows if row.action == PURGED}
        if found.broken is None and head is not None and head not in known:
            after = rows[-1].seq + 1 if rows else 1
            return Verdict(found.rows, found.head, after, f"no row carries the head {head}: the tail was cut, or the chain written anew")
        return found


def _purge(row: Entry) -> Mapping[str, Any]:
    found: Mapping[str, Any] = orjson.loads(row.detail)
    return found


def _walk(rows: Sequence[Entry]) -> Verdict:
    first, previous = (rows[0].seq, rows[0].previous) if rows else (1, FIRST)
    if first != 1:
        last = next((_purge(row) for row in reversed(rows) if row.action == PURGED), None)
        if last is None or (last["through"], last["hash"]) != (first - 1, previous):
            return Verdict(len(rows), FIRST, first - 1, f"row {first - 1} is missing, and no purge of the audit explains it")
    elif previous != FIRST:
        return Verdict(len(rows), FIRST, 1, "row 1 does not begin a chain")
    for number, row in enumerate(rows, first):
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
