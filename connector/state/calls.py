"""Our own API calls by quarter of an hour: what every connection to one account spent, running processes included."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, or_, select
from sqlalchemy.dialects.sqlite import insert

from connector.state.database import Database, Now
from connector.state.tables.columns import table
from connector.state.tables.control import Calls, Connections

CALLS = table(Calls)
CONNECTIONS = table(Connections)
SLOT = timedelta(minutes=15)
"""Every time zone is a whole number of these from UTC, so that a local day begins with a slot."""
KEPT = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Budget:
    """An account's day in calls: ``used`` of our own ``cap``; ``allocation_*`` is the CRM's own gauge, by everyone, where it shows one.

    Reads stop at ``share`` of either: the rest is the reserve of write-back.
    """

    used: int
    cap: int
    share: float
    allocation_used: int | None = None
    allocation_max: int | None = None

    @property
    def reserve(self) -> int:
        """Calls of our own cap that only a push may spend."""
        return self.cap - int(self.cap * self.share)

    @property
    def left(self) -> int:
        """Calls that reads may still spend today, by the measure that is nearer its end."""
        ours = self.cap - self.reserve - self.used
        if self.allocation_used is not None and self.allocation_max:
            ours = min(ours, int(self.allocation_max * self.share) - self.allocation_used)
        return max(ours, 0)

    @property
    def left_to_push(self) -> int:
        """Calls that a push may still spend today: what is kept for it too, to the end of either measure."""
        ours = self.cap - self.used
        if self.allocation_used is not None and self.allocation_max:
            ours = min(ours, self.allocation_max - self.allocation_used)
        return max(ours, 0)

    @property
    def used_share(self) -> float:
        """0–1 and beyond: the fuller of the two measures."""
        shares = [self.used / self.cap if self.cap else 1.0]
        if self.allocation_used is not None and self.allocation_max:
            shares.append(self.allocation_used / self.allocation_max)
        return max(shares)

    def text(self) -> str:
        """Both measures, as a person reads them."""
        ours = f"ours today {self.used:,} of {self.cap:,} calls, {self.reserve:,} kept for write-back"
        if self.allocation_used is None or not self.allocation_max:
            return f"{ours} · the CRM shows no gauge"
        return f"{self.allocation_used:,} of {self.allocation_max:,} calls used today by everyone · {ours}"


class CallBook:
    """Add what was called, ask what an account's day has cost so far."""

    def __init__(self, database: Database, clock: Now) -> None:
        self._database = database
        self._clock = clock

    def add(self, connection: str, calls: int) -> None:
        """So many more calls, now. Cheap enough for every page; what nobody asks for any more goes when a new slot begins."""
        if calls <= 0:
            return
        now = self._clock.now()
        fresh = insert(CALLS).values(connection=connection, slot=_slot(now), calls=calls)
        statement = fresh.on_conflict_do_update(index_elements=["connection", "slot"], set_={"calls": CALLS.c.calls + fresh.excluded.calls})
        with self._database.write() as db:
            if db.scalar(statement.returning(CALLS.c.calls)) == calls:
                db.execute(delete(CALLS).where(CALLS.c.connection == connection, CALLS.c.slot < now - KEPT))

    def used(self, connection: str, since: datetime) -> int:
        """Calls since then through every connection that leads to the same account as this one.

        A slot that had begun before ``since`` counts whole: the careful reading. An account that no connection has proved yet is nobody else's.
        """
        account = select(CONNECTIONS.c.org_id).where(CONNECTIONS.c.connection == connection).scalar_subquery()
        siblings = select(CONNECTIONS.c.connection).where(CONNECTIONS.c.org_id == account)
        query = select(func.coalesce(func.sum(CALLS.c.calls), 0)).where(
            or_(CALLS.c.connection == connection, CALLS.c.connection.in_(siblings)), CALLS.c.slot >= _slot(since)
        )
        with self._database.read() as db:
            return int(db.scalar(query) or 0)


def _slot(at: datetime) -> datetime:
    return at.replace(minute=at.minute - at.minute % 15, second=0, microsecond=0)
