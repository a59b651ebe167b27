"""The write ledger: what was there before every write, on the disk before the write leaves, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, ScalarResult, delete, func, insert, or_, select, update

from connector.state.audit import append
from connector.state.database import Database, Now, upsert
from connector.state.leases import check_fence
from connector.state.tables.canonical import Opportunities, ScorecardRows
from connector.state.tables.columns import table
from connector.state.tables.control import Writes

WRITES = table(Writes)
DEALS = table(Opportunities)
ROWS = table(ScorecardRows)
OF_A_DEAL = "opportunity"
HELD = ("written", "expired")
"""Rows whose value we wrote; of an expired one the before-image is gone (see state.retention)."""
Wire = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Image:
    """One field of one record before it is written: what the CRM holds, and what it will hold. Both in JSON wire form.

    ``record``: its id, or its key where it is of an object of ours; ``action``: update, create, remove.
    """

    object: str
    record: str
    field: str
    before: Wire
    after: Wire
    grain: str = OF_A_DEAL
    action: str = "update"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the writes of one record. ``pending``: nobody knows yet, the CRM has to be asked. ``version``: the record's version after
    the write, where the CRM told it; ``made``: the id of a record that was made; ``took``: fields that are written although the rest was rejected;
    ``reference``: what tells the record from those of other objects, as the audit calls it (default: its id)."""

    object: str
    record: str
    status: Literal["written", "rejected", "skipped", "pending"]
    code: str | None = None
    message: str | None = None
    version: str | None = None
    made: str | None = None
    took: frozenset[str] = frozenset()
    reference: str | None = None

    @property
    def named(self) -> str:
        return self.reference or self.record


@dataclass(frozen=True, slots=True)
class Write:
    """One row of the ledger. ``scrubbed``: the record was deleted in the CRM, so before and after are gone: never roll it back."""

    id: int
    run: int
    plan: str
    connection: str
    object: str
    grain: str
    action: str
    record: str
    field: str
    before: Wire
    after: Wire
    status: str
    code: str | None
    message: str | None
    at: datetime
    scrubbed: bool


class Last(NamedTuple):
    """What we wrote last to a field, in wire form, and when."""

    value: Wire
    at: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """What the CRM said about a row whose result nobody knew. ``status``: written; skipped: nothing of it arrived; unknown: nobody can tell,
    since somebody has edited the field or deleted the record. ``held``: canonical text that the field holds now, whoever wrote it."""

    write: Write
    status: Literal["written", "skipped", "unknown"]
    message: str | None = None
    held: str | None = None


class Ledger:
    """Before-images, results and what we wrote last."""

    def __init__(self, database: Database, clock: Now) -> None:
        self._database = database
        self._clock = clock

    def before_images(self, run: int, plan: str, connection: str, images: Sequence[Image], *, fence: int | None) -> None:
        """Commit the before-images of one batch, status pending, to the disk. Only after this returns may its first byte be sent.

        Raises LeaseHeld where the lease was lost: then nothing may be sent.
        """
        now = self._clock.now()
        rows = [
            {
                "run": run, "plan": plan, "connection": connection, "object": image.object, "grain": image.grain, "action": image.action,
                "record": image.record, "field": image.field, "before": image.before, "after": image.after, "status": "pending", "at": now,
                "scrubbed": False,
            }
            for image in images
        ]  # fmt: skip
        with self._database.write_durably() as db:
            check_fence(db, connection, fence, now)
            if rows:
                db.execute(insert(WRITES), rows)

    def still_ours(self, connection: str, *, fence: int | None) -> None:
        """Raises LeaseHeld where the lease was lost: what is pending may be settled by now, and nothing of it may be sent."""
        with self._database.write() as db:
            check_fence(db, connection, fence, self._clock.now())

    def results(self, run: int, connection: str, outcomes: Sequence[Outcome], about: Mapping[str, Any] | None = None) -> None:
        """What became of a batch, in one transaction: ledger rows, for written records the values that the state believes observed, and the
        row of the audit, with ``about`` (plan, its hash, mapping version) in its detail.

        No fence is asked for: the write has happened, whoever holds the lease now.
        """
        now = self._clock.now()
        with self._database.write_durably() as db:
            for outcome in outcomes:
                mine = (
                    WRITES.c.run == run, WRITES.c.connection == connection, WRITES.c.object == outcome.object,
                    WRITES.c.record == outcome.record, WRITES.c.status == "pending",
                )  # fmt: skip
                taken = mine if outcome.status == "written" else (*mine, WRITES.c.field.in_(sorted(outcome.took)))
                if outcome.status == "written" or outcome.took:
                    _observe(db, connection, list(db.execute(select(WRITES).where(*taken))), outcome.version, outcome.made)
                    db.execute(update(WRITES).where(*taken).values(status="written", code=outcome.code, message=outcome.message, at=now))
                if outcome.status != "pending":
                    values = {"status": outcome.status, "code": outcome.code, "message": outcome.message, "at": now}
                    db.execute(update(WRITES).where(*mine).values(values))
            if outcomes:
                records: dict[str, list[str]] = {}
                for outcome in outcomes:
                    records.setdefault(outcome.status, []).append(outcome.named)
                took = {outcome.named: sorted(outcome.took) for outcome in outcomes if outcome.took}
                detail = {"run": run, **(about or {}), "records": records, **({"in_part": took} if took else {})}
                append(db, now, "batch.written", f"{connection} run {run}", detail)

    def settle(self, run: int, connection: str, settled: Sequence[Settled]) -> None:
        """What the CRM said about pending rows, found by ``run``: the ledger, the values that the state believes observed, the audit."""
        now = self._clock.now()
        counts = {status: sum(one.status == status for one in settled) for status in ("written", "skipped", "unknown")}
        with self._database.write_durably() as db:
            for one in settled:
                db.execute(update(WRITES).where(WRITES.c.id == one.write.id).values(status=one.status, message=one.message, at=now))
                if one.status == "written":
                    _observe(db, connection, [replace(one.write, after=one.held)], None, None)
            detail = {"run": run, "of_runs": sorted({one.write.run for one in settled}), "values": counts}
            append(db, now, "batch.settled", f"{connection} run {run}", detail)

    def of_run(self, run: int, *, connection: str | None = None, fields: Sequence[str] = ()) -> list[Write]:
        """The rows of one run, in the order of writing."""
        query = select(WRITES).where(WRITES.c.run == run).order_by(WRITES.c.id)
        if connection is not None:
            query = query.where(WRITES.c.connection == connection)
        if fields:
            query = query.where(WRITES.c.field.in_(fields))
        return self._read(query)

    def written_by(self, plan: str, connection: str) -> frozenset[tuple[str, str, str]]:
        """(object, record, field) of what a plan has put into the CRM, or may have."""
        done = WRITES.c.status.in_((*HELD, "unknown"))
        query = select(WRITES.c.object, WRITES.c.record, WRITES.c.field).where(WRITES.c.plan == plan, WRITES.c.connection == connection, done)
        with self._database.read() as db:
            return frozenset((row.object, row.record, row.field) for row in db.execute(query))

    def of_record(self, connection: str, record: str) -> list[Write]:
        """Everything ever written to one record, oldest first."""
        return self._read(select(WRITES).where(WRITES.c.connection == connection, WRITES.c.record == record).order_by(WRITES.c.id))

    def pending(self, connection: str) -> list[Write]:
        """Rows whose result is unknown: a crash fell between before-images and results. The CRM has to be asked."""
        return self._read(select(WRITES).where(WRITES.c.connection == connection, WRITES.c.status == "pending").order_by(WRITES.c.id))

    def last_written(self, connection: str, object: str) -> dict[tuple[str, str], Last]:
        """(record, field) → the value that we wrote there last, and when."""
        mine = (WRITES.c.connection == connection, WRITES.c.object == object, WRITES.c.status.in_(HELD), WRITES.c.scrubbed.is_(False))
        newest = select(func.max(WRITES.c.id)).where(*mine).group_by(WRITES.c.record, WRITES.c.field)
        with self._database.read() as db:
            rows = db.execute(select(WRITES.c.record, WRITES.c.field, WRITES.c.after, WRITES.c.at).where(WRITES.c.id.in_(newest)))
            return {(row.record, row.field): Last(row.after, row.at) for row in rows}

    def fields_written(self, connection: str) -> set[str]:
        """Fields that this connection has ever written: the others would be filled for the first time."""
        query = select(WRITES.c.field).distinct().where(WRITES.c.connection == connection, WRITES.c.status.in_(HELD))
        with self._database.read() as db:
            found: ScalarResult[str] = db.scalars(query)
            return set(found)

    def _read(self, query: Any) -> list[Write]:
        with self._database.read() as db:
            return [Write(**row) for row in db.execute(query).mappings()]


def _observe(db: Connection, connection: str, written: Sequence[Any], version: str | None, made: str | None) -> None:
    """What writes of one record have left in the CRM, until the next pull says so too. Numbers and flags become wire text, as a pull gives it."""
    if not written:
        return
    first = written[0]
    values = {write.field: wire_text(write.after) for write in written}
    target = DEALS if first.grain == OF_A_DEAL else ROWS
    its_own = target.c.id == first.record if target is DEALS else or_(ROWS.c.key == first.record, ROWS.c.id == f"{first.object}:{first.record}")
    where: tuple[Any, ...] = (target.c.connection == connection, its_own, target.c.deleted.is_(False))
    if target is ROWS:
        where += (ROWS.c.id.startswith(f"{first.object}:", autoescape=True),)
    if first.action == "remove":
        db.execute(delete(target).where(*where))
        return
    found = db.execute(select(target.c.observed, target.c.version).where(*where)).first()
    if found is not None:
        db.execute(update(target).where(*where).values(observed={**found.observed, **values}, version=version or found.version))
    elif made is not None:
        row = {
            "connection": connection,
            "id": f"{first.object}:{made}",
            "key": first.record,
            "version": version,
            "observed": values,
            "deleted": False,
        }
        upsert(db, ROWS, [row])


def wire_text(value: Wire) -> str | None:
    """The text under which a JSON scalar stands among observed values."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
