"""The write ledger: what was there before every write, on the disk before the write leaves, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, ScalarResult, func, insert, select, update

from connector.state.audit import append
from connector.state.database import Database, Now
from connector.state.leases import check_fence
from connector.state.tables import Opportunities, Writes, table

WRITES = table(Writes)
DEALS = table(Opportunities)
HELD = ("written", "expired")
"""Rows whose value we wrote; of an expired one the before-image is gone (see state.retention)."""
Wire = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Image:
    """One field of one record before it is written: what the CRM holds, and what it will hold. Both in JSON wire form."""

    object: str
    record: str
    field: str
    before: Wire
    after: Wire


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the writes of one record. ``pending``: nobody knows yet, the CRM has to be asked. ``version``: the record's version after
    the write, where the CRM told it."""

    record: str
    status: Literal["written", "rejected", "skipped", "pending"]
    code: str | None = None
    message: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """One row of the ledger. ``scrubbed``: the record was deleted in the CRM, so before and after are gone: never roll it back."""

    id: int
    run: int
    plan: str
    connection: str
    object: str
    record: str
    field: str
    before: Wire
    after: Wire
    status: str
    code: str | None
    message: str | None
    at: datetime
    scrubbed: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """What the CRM said about a row whose result nobody knew. ``status``: written; skipped: nothing of it arrived; unknown: somebody
    has edited the field since, so that nobody can tell."""

    write: Write
    status: Literal["written", "skipped", "unknown"]
    message: str | None = None


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
                "run": run, "plan": plan, "connection": connection, "object": image.object, "record": image.record, "field": image.field,
                "before": image.before, "after": image.after, "status": "pending", "at": now, "scrubbed": False,
            }
            for image in images
        ]  # fmt: skip
        with self._database.write_durably() as db:
            check_fence(db, connection, fence, now)
            if rows:
                db.execute(insert(WRITES), rows)

    def results(self, run: int, connection: str, outcomes: Sequence[Outcome], about: Mapping[str, Any] | None = None) -> None:
        """What became of a batch, in one transaction: ledger rows, for written deals the values that the state believes observed, and the
        row of the audit, with ``about`` (plan, its hash, mapping version) in its detail.

        No fence is asked for: the write has happened, whoever holds the lease now.
        """
        now = self._clock.now()
        with self._database.write_durably() as db:
            for outcome in outcomes:
                mine = (WRITES.c.run == run, WRITES.c.connection == connection, WRITES.c.record == outcome.record, WRITES.c.status == "pending")
                if outcome.status == "written":
                    self._observe(db, connection, outcome, list(db.execute(select(WRITES.c.field, WRITES.c.after).where(*mine))))
                if outcome.status == "pending":
                    continue
                values = {"status": outcome.status, "code": outcome.code, "message": outcome.message, "at": now}
                db.execute(update(WRITES).where(*mine).values(values))
            if outcomes:
                records: dict[str, list[str]] = {}
                for outcome in outcomes:
                    records.setdefault(outcome.status, []).append(outcome.record)
                append(db, now, "batch.written", f"{connection} run {run}", {"run": run, **(about or {}), "records": records})

    def settle(self, run: int, connection: str, settled: Sequence[Settled]) -> None:
        """What the CRM said about pending rows, found by ``run``: the ledger, the values that the state believes observed, the audit."""
        now = self._clock.now()
        counts = {status: sum(one.status == status for one in settled) for status in ("written", "skipped", "unknown")}
        with self._database.write_durably() as db:
            for one in settled:
                db.execute(update(WRITES).where(WRITES.c.id == one.write.id).values(status=one.status, message=one.message, at=now))
                if one.status == "written":
                    set_observed(db, connection, one.write.record, {one.write.field: one.write.after}, None)
            detail = {"run": run, "of_runs": sorted({one.write.run for one in settled}), "values": counts}
            append(db, now, "batch.settled", f"{connection} run {run}", detail)

    def _observe(self, db: Connection, connection: str, outcome: Outcome, written: Iterable[Any]) -> None:
        values = {row.field: row.after for row in written}
        set_observed(db, connection, outcome.record, values, outcome.version)

    def of_run(self, run: int, *, connection: str | None = None, fields: Sequence[str] = ()) -> list[Write]:
        """The rows of one run, in the order of writing."""
        query = select(WRITES).where(WRITES.c.run == run).order_by(WRITES.c.id)
        if connection is not None:
            query = query.where(WRITES.c.connection == connection)
        if fields:
            query = query.where(WRITES.c.field.in_(fields))
        return self._read(query)

    def of_record(self, connection: str, record: str) -> list[Write]:
        """Everything ever written to one record, oldest first."""
        return self._read(select(WRITES).where(WRITES.c.connection == connection, WRITES.c.record == record).order_by(WRITES.c.id))

    def pending(self, connection: str) -> list[Write]:
        """Rows whose result is unknown: a crash fell between before-images and results. The CRM has to be asked."""
        return self._read(select(WRITES).where(WRITES.c.connection == connection, WRITES.c.status == "pending").order_by(WRITES.c.id))

    def last_written(self, connection: str) -> dict[tuple[str, str], Wire]:
        """(record, field) → the value that we wrote there last, in wire form."""
        newest = (
            select(func.max(WRITES.c.id))
            .where(WRITES.c.connection == connection, WRITES.c.status.in_(HELD), WRITES.c.scrubbed.is_(False))
            .group_by(WRITES.c.record, WRITES.c.field)
        )
        with self._database.read() as db:
            rows = db.execute(select(WRITES.c.record, WRITES.c.field, WRITES.c.after).where(WRITES.c.id.in_(newest)))
            return {(row.record, row.field): row.after for row in rows}

    def fields_written(self, connection: str) -> set[str]:
        """Fields that this connection has ever written: the others would be filled for the first time."""
        query = select(WRITES.c.field).distinct().where(WRITES.c.connection == connection, WRITES.c.status.in_(HELD))
        with self._database.read() as db:
            found: ScalarResult[str] = db.scalars(query)
            return set(found)

    def _read(self, query: Any) -> list[Write]:
        with self._database.read() as db:
            return [Write(**row) for row in db.execute(query).mappings()]


def set_observed(db: Connection, connection: str, record: str, values: dict[str, Wire], version: str | None) -> bool:
    """Merge values into what the state believes the CRM to hold of a deal. Numbers and flags become wire text, as a pull gives it.

    A record that is no deal of the state, or is deleted, is left alone: False.
    """
    where = (DEALS.c.connection == connection, DEALS.c.id == record, DEALS.c.deleted.is_(False))
    found = db.execute(select(DEALS.c.observed, DEALS.c.version).where(*where)).first()
    if found is None:
        return False
    observed = {**found.observed, **{field: wire_text(value) for field, value in values.items()}}
    db.execute(update(DEALS).where(*where).values(observed=observed, version=version or found.version))
    return True


def wire_text(value: Wire) -> str | None:
    """The text under which a JSON scalar stands among observed values."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
