"""Which records the state knows of, to be compared with the CRM's own count; and what the last comparison and the last pull said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select

from connector.errors import Finding
from connector.model.records import Tombstone
from connector.state import dead_letters, pages
from connector.state.database import Database, Now, chunks, upsert
from connector.state.leases import check_fence
from connector.state.tables.canonical import CANONICAL
from connector.state.tables.columns import table
from connector.state.tables.control import DeadLetters, FindingsKept, Reconciliations, SetAside

SET_ASIDE = table(SetAside)
LETTERS = table(DeadLetters)
COMPARED = table(Reconciliations)
KEPT = table(FindingsKept)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One comparison of a stream with its CRM, at an instant of the CRM's clock. ``live``: what the CRM counts; ``held``: what the state
    held; ``gone``: records that left no trace, now tombstones; ``missing``: records that the state lacks; ``vanished``: so many gone at
    once that they were left alone. ``examples``: ids of some. ``brought``: records that it lacked and that were read by id (not kept)."""

    stream: str
    at: datetime
    live: int
    held: int
    gone: int = 0
    missing: int = 0
    vanished: int = 0
    examples: tuple[str, ...] = ()
    brought: int = 0


def set_aside(connection: Connection, name: str, stream: str, page: Iterable[str], aside: Iterable[str]) -> None:
    """Of the records of a page, those in ``aside`` become no row by the mapping's will; the others do, or failed."""
    for some in chunks(sorted(set(page))):
        connection.execute(delete(SET_ASIDE).where(SET_ASIDE.c.connection == name, SET_ASIDE.c.stream == stream, SET_ASIDE.c.record.in_(some)))
    rows = [{"connection": name, "stream": stream, "record": record} for record in sorted(set(aside))]
    if rows:
        connection.execute(insert(SET_ASIDE), rows)


class Census:
    """What is held of a stream, record by record."""

    def __init__(self, database: Database, clock: Now) -> None:
        self._database = database
        self._clock = clock

    def held(self, connection: str, stream: str, table_name: str, prefix: str = "") -> set[str]:
        """Stored ids that are alive or set aside, and those of dead letters, as the canonical table spells them (with ``prefix``)."""
        target = CANONICAL[table_name]
        where = [target.c.connection == connection, target.c.deleted.is_(False)]
        if "merged_into" in target.c:
            where.append(target.c.merged_into.is_(None))
        if prefix:
            where.append(target.c.id.startswith(prefix, autoescape=True))
        aside = select(SET_ASIDE.c.record).where(SET_ASIDE.c.connection == connection, SET_ASIDE.c.stream == stream)
        failed = select(LETTERS.c.record).where(LETTERS.c.connection == connection, LETTERS.c.stream == stream, LETTERS.c.status != "resolved")
        own = prefix if prefix.endswith(":") else ""
        with self._database.read() as db:
            return {*db.scalars(select(target.c.id).where(*where)), *(own + id for id in (*db.scalars(aside), *db.scalars(failed)))}

    def deleted(self, connection: str, table_name: str) -> int:
        """Tombstones of a canonical table, merged records among them."""
        target = CANONICAL[table_name]
        with self._database.read() as db:
            return db.scalar(select(func.count()).where(target.c.connection == connection, target.c.deleted.is_(True))) or 0

    def gone(self, connection: str, table_name: str) -> set[str]:
        """Ids of the tombstones of a canonical table: what was deleted, and what was merged away."""
        target = CANONICAL[table_name]
        with self._database.read() as db:
            return set(db.scalars(select(target.c.id).where(target.c.connection == connection, target.c.deleted.is_(True))))

    def bury(self, connection: str, stream: str, table_name: str, ids: Sequence[str], records: Sequence[str], *, fence: int | None) -> None:
        """Records that the CRM no longer knows: tombstones and scrubbed values, as for any other delete, in one transaction.

        ``ids`` as the table spells them, ``records`` the same as the CRM does. Raises LeaseHeld where the fence is lost.
        """
        with self._database.write() as db:
            check_fence(db, connection, fence, self._clock.now())
            pages.entomb(db, connection, [Tombstone(table_name, id) for id in ids], self._clock.now())
            set_aside(db, connection, stream, records, ())
            dead_letters.settle(db, connection, stream, set(records), (), self._clock.now())

    # -- what comparisons said -------------------------------------------------------------------------------------------

    def compared(self, connection: str) -> dict[str, Reconciled]:
        """Stream → its last comparison."""
        query = select(COMPARED).where(COMPARED.c.connection == connection).order_by(COMPARED.c.stream)
        with self._database.read() as db:
            rows = db.execute(query).all()
        numbers = (Reconciled(r.stream, r.at, r.live, r.held, r.gone, r.missing, r.vanished, tuple(r.examples)) for r in rows)
        return {one.stream: one for one in numbers}

    def note(self, connection: str, found: Reconciled) -> None:
        row = {
            "connection": connection, "stream": found.stream, "at": found.at, "live": found.live, "held": found.held, "gone": found.gone,
            "missing": found.missing, "vanished": found.vanished, "examples": list(found.examples),
        }  # fmt: skip
        with self._database.write() as db:
            upsert(db, COMPARED, [row])

    # -- what the last pull had to say -------------------------------------------------------------------------------------

    def keep(self, connection: str, findings: Sequence[Finding]) -> None:
        """Replace what is kept of a connection."""
        rows = [
            {"connection": connection, "number": number, "code": f.code, "severity": f.severity, "message": _placed(f), "next": f.next}
            for number, f in enumerate(findings)
        ]
        with self._database.write() as db:
            db.execute(delete(KEPT).where(KEPT.c.connection == connection))
            if rows:
                db.execute(insert(KEPT), rows)

    def kept(self, connection: str) -> list[Finding]:
        query = select(KEPT).where(KEPT.c.connection == connection).order_by(KEPT.c.number)
        with self._database.read() as db:
            return [Finding(row.code, row.message, row.severity, next=row.next) for row in db.execute(query)]


def _placed(finding: Finding) -> str:
    where = ":".join(str(part) for part in (finding.file, finding.line, finding.column) if part is not None)
    return f"{where} {finding.message}" if where else finding.message
