"""Leases: one process at a time works on a connection and stream, and a fence number shuts out one that lost its turn.

Numbers rise over all leases together and never come back, so a number alone names one holding.
"""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from sqlalchemy import ColumnElement, Connection, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from connector.errors import ConnectorError, LeaseHeld
from connector.state.database import Database, Now
from connector.state.tables.columns import table
from connector.state.tables.control import Leases

LEASES = table(Leases)
TTL = 60.0
"""Seconds for which a lease stands without renewal."""
HEARTBEAT = 20.0
"""Seconds between renewals."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease, and until when."""

    connection: str
    stream: str
    owner: str
    fence: int
    until: datetime


def check_fence(connection: Connection, name: str, fence: int | None, now: datetime) -> None:
    """Inside a write transaction: does this fence number still hold anything of the connection? If so the work done renews it.

    None: no lease is used. Raises LeaseHeld where another process has taken over, so that the transaction is rolled back.
    """
    if fence is None:
        return
    mine = (LEASES.c.connection == name, LEASES.c.fence == fence, LEASES.c.owner.is_not(None))
    until = connection.scalar(select(LEASES.c.expires_at).where(*mine))
    if until is None:
        raise LeaseHeld(f"the lease on {name} was lost to another process; nothing of this step was saved")
    if until < (later := now + timedelta(seconds=TTL)):
        connection.execute(update(LEASES).where(*mine).values(expires_at=later))


class LeaseBook:
    """Take, renew and release leases. Expiry goes by the injected clock."""

    def __init__(self, database: Database, clock: Now) -> None:
        self._database = database
        self._clock = clock

    def take(self, connection: str, stream: str, owner: str, *, ttl: float = TTL, heartbeat: float | None = HEARTBEAT) -> Lease:
        """The lease, under a new fence number. A released or expired one is free, and one whose process on this host is dead;
        any other is not, not even for its own owner: two threads of one process are two.

        ``heartbeat``: seconds of wall time between renewals by a thread, None for none (then work that saves renews it, or
        :meth:`Lease.renew`). Raises LeaseHeld, naming who holds it and until when.
        """
        now = self._clock.now()
        until = now + timedelta(seconds=ttl)
        with self._database.write() as db:
            mine = (LEASES.c.connection == connection) & (LEASES.c.stream == stream)
            left, fence = db.execute(select(func.max(LEASES.c.owner).filter(mine), func.coalesce(func.max(LEASES.c.fence), 0) + 1)).one()
            values = {"owner": owner, "fence": fence, "expires_at": until}
            statement = insert(LEASES).values(connection=connection, stream=stream, **values)
            free = or_(LEASES.c.owner.is_(None), LEASES.c.expires_at <= now)
            if left is not None and died(left):
                free = or_(free, LEASES.c.owner == left)
            taken = db.execute(statement.on_conflict_do_update(index_elements=["connection", "stream"], set_=values, where=free))
            if taken.rowcount != 1:
                held = db.execute(select(LEASES).where(mine)).one()
                raise LeaseHeld(f"{connection} {stream} is held by {held.owner} until {held.expires_at:%Y-%m-%d %H:%M:%S} UTC")
        return Lease(self, Holder(connection, stream, owner, int(fence), until), ttl, heartbeat)

    def renew(self, held: Holder, ttl: float = TTL) -> Holder:
        """The same lease with a later end. Raises LeaseHeld if somebody took it over in the meantime."""
        until = self._clock.now() + timedelta(seconds=ttl)
        with self._database.write() as db:
            if db.execute(update(LEASES).where(*_is(held)).values(expires_at=until)).rowcount != 1:
                raise LeaseHeld(f"the lease on {held.connection} {held.stream} was lost to another process")
        return Holder(held.connection, held.stream, held.owner, held.fence, until)

    def release(self, held: Holder) -> bool:
        """Give it up. False if it was lost already."""
        with self._database.write() as db:
            return db.execute(update(LEASES).where(*_is(held)).values(owner=None, expires_at=self._clock.now())).rowcount == 1

    def held(self, connection: str | None = None) -> list[Holder]:
        """Leases that stand now, of one connection or of all."""
        query = select(LEASES).where(LEASES.c.owner.is_not(None), LEASES.c.expires_at > self._clock.now())
        if connection is not None:
            query = query.where(LEASES.c.connection == connection)
        with self._database.read() as db:
            rows = db.execute(query.order_by(LEASES.c.connection, LEASES.c.stream)).all()
        return [Holder(row.connection, row.stream, row.owner, row.fence, row.expires_at) for row in rows]


def signature() -> str:
    """How this process signs its leases: ``host:pid``."""
    return f"{socket.gethostname()}:{os.getpid()}"


def died(owner: str) -> bool:
    """True if the owner was a process of this very host that runs no longer: nobody waits for a lease to expire after a kill."""
    host, _, pid = owner.rpartition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _is(held: Holder) -> tuple[ColumnElement[bool], ...]:
    return (LEASES.c.connection == held.connection, LEASES.c.stream == held.stream, LEASES.c.fence == held.fence, LEASES.c.owner == held.owner)


class Lease:
    """A lease as a context: released at the end, renewed by a thread in between if asked for."""

    def __init__(self, book: LeaseBook, held: Holder, ttl: float, heartbeat: float | None) -> None:
        self._book = book
        self._held = held
        self._ttl = ttl
        self._ended = threading.Event()
        self._lost: ConnectorError | None = None
        self._thread: threading.Thread | None = None
        if heartbeat is not None:
            self._thread = threading.Thread(target=self._beat, args=(heartbeat,), name=f"lease {held.connection} {held.stream}", daemon=True)
            self._thread.start()

    @property
    def fence(self) -> int:
        """Hand this to ``Store.save_page`` and to the ledger."""
        return self._held.fence

    @property
    def until(self) -> datetime:
        return self._held.until

    @property
    def lost(self) -> bool:
        """Has the heartbeat met an error? :meth:`check` raises it."""
        return self._lost is not None

    def renew(self) -> None:
        """Raises LeaseHeld if the lease was lost."""
        self.check()
        self._held = self._book.renew(self._held, self._ttl)

    def check(self) -> None:
        """Raises what the heartbeat met, if it met something."""
        if self._lost is not None:
            raise self._lost

    def release(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        self._book.release(self._held)

    def _beat(self, every: float) -> None:
        while not self._ended.wait(every):
            try:
                self._held = self._book.renew(self._held, self._ttl)
            except ConnectorError as error:
                self._lost = error
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()
