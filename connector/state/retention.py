"""What goes when its time is over. Nothing that the connector still works with does: the last value that we wrote to a field stays (without what
was there before), and so do the runs that a later one is measured against.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Integer, bindparam, cast, delete, func, select, update

from connector.state.audit import append
from connector.state.database import Database, Now
from connector.state.ledger import HELD
from connector.state.tables.columns import table
from connector.state.tables.control import DeadLetters, Plans, Runs, RunStreams, Writes

RUNS = table(Runs)
STREAMS = table(RunStreams)
WRITES = table(Writes)
PLANS = table(Plans)
LETTERS = table(DeadLetters)
LIKE_RUNS = 10
"""Complete pulls of a connection that stay, however old: a pull is held against their mean."""
WAITING = ("awaiting", "approved")


@dataclass(frozen=True, slots=True)
class Spans:
    """How long each is kept after it ended: a run; a before-image (and a plan after it was decided on); a dead letter once resolved."""

    runs: timedelta
    before_images: timedelta
    dead_letters: timedelta


@dataclass(frozen=True, slots=True)
class Gone:
    """How many went. ``before_images``: values of records kept to roll back to; ``plans``: rows about plans whose file went before."""

    runs: int = 0
    before_images: int = 0
    dead_letters: int = 0
    plans: int = 0

    def __bool__(self) -> bool:
        return any(asdict(self).values())


class _Undone(Exception):
    pass


class RetentionBook:
    """Purge the state, or say what a purge would take."""

    def __init__(self, database: Database, clock: Now) -> None:
        self._database = database
        self._clock = clock

    def purge(self, spans: Spans, *, dry_run: bool = False) -> Gone:
        """In one transaction, with its row in the audit. ``dry_run``: the very same, taken back."""
        now, gone = self._clock.now(), Gone()
        try:
            with self._database.write_durably() as db:
                gone = Gone(
                    before_images=_before_images(db, now - spans.before_images),
                    runs=_runs(db, now - spans.runs),
                    dead_letters=_dead_letters(db, now - spans.dead_letters),
                    plans=_plans(db, now - spans.runs),
                )
                if gone:
                    kept = {name: str(span) for name, span in asdict(spans).items()}
                    append(db, now, "state.purged", "state", {**asdict(gone), "kept": kept})
                if dry_run:
                    raise _Undone
        except _Undone:
            pass
        if gone and not dry_run:
            self._database.checkpoint()
        return gone


def _before_images(db: Connection, cutoff: datetime) -> int:
    """Runs go as a whole, those whose results nobody knows yet never."""
    pending = func.sum(cast(WRITES.c.status == "pending", Integer))
    old = select(WRITES.c.run).group_by(WRITES.c.run).having(func.max(WRITES.c.at) < cutoff, pending == 0)
    newest = (
        select(func.max(WRITES.c.id))
        .where(WRITES.c.status.in_(HELD), WRITES.c.scrubbed.is_(False))
        .group_by(WRITES.c.connection, WRITES.c.object, WRITES.c.record, WRITES.c.field)
    )
    stay = set(db.scalars(newest))
    found = db.execute(select(WRITES.c.id, WRITES.c.status).where(WRITES.c.run.in_(old))).all()
    gone = [{"gone": row.id} for row in found if row.id not in stay]
    expired = [{"old": row.id} for row in found if row.id in stay and row.status == "written"]
    if gone:
        db.execute(delete(WRITES).where(WRITES.c.id == bindparam("gone")), gone)
    if expired:
        db.execute(update(WRITES).where(WRITES.c.id == bindparam("old")).values(status="expired", before=None), expired)
    return len(gone) + len(expired)


def _runs(db: Connection, cutoff: datetime) -> int:
    newest = select(func.max(RUNS.c.id)).group_by(RUNS.c.connection, RUNS.c.kind)
    first = select(func.min(RUNS.c.id)).where(RUNS.c.kind == "pull").group_by(RUNS.c.connection)  # since when a connection has been watched
    reversible = select(WRITES.c.run).where(WRITES.c.status != "expired")
    stay = {*db.scalars(newest), *db.scalars(first), *db.scalars(reversible)}
    for connection in db.scalars(select(RUNS.c.connection).distinct()).all():
        like = (
            select(STREAMS.c.run)
            .join(RUNS, RUNS.c.id == STREAMS.c.run)
            .where(RUNS.c.connection == connection, STREAMS.c.complete.is_(True))
            .distinct()
            .order_by(STREAMS.c.run.desc())
            .limit(LIKE_RUNS)
        )
        stay |= set(db.scalars(like))
    ended = func.coalesce(RUNS.c.ended_at, RUNS.c.started_at)
    gone = [{"gone": id} for id in db.scalars(select(RUNS.c.id).where(ended < cutoff, RUNS.c.status != "running")) if id not in stay]
    if gone:
        db.execute(delete(STREAMS).where(STREAMS.c.run == bindparam("gone")), gone)
        db.execute(delete(RUNS).where(RUNS.c.id == bindparam("gone")), gone)
    return len(gone)


def _dead_letters(db: Connection, cutoff: datetime) -> int:
    resolved = func.coalesce(LETTERS.c.resolved_at, LETTERS.c.last_at)
    return db.execute(delete(LETTERS).where(LETTERS.c.status == "resolved", resolved < cutoff)).rowcount


def _plans(db: Connection, cutoff: datetime) -> int:
    """Rows only, as runs go; the highest stays, so that no number comes twice."""
    highest = db.scalar(select(func.max(cast(PLANS.c.id, Integer)))) or 0
    old = (PLANS.c.status.not_in(WAITING), func.coalesce(PLANS.c.decided_at, PLANS.c.created_at) < cutoff)
    return db.execute(delete(PLANS).where(*old, cast(PLANS.c.id, Integer) < highest)).rowcount
