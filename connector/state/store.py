"""The state as one object: open it, save pages, ask what it holds. Runs, leases, ledger and the rest hang on it by job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from sqlalchemy import Table, delete, func, select

from connector.errors import StateError
from connector.model.records import DeadLetter, Mapped
from connector.state import census, dead_letters, pages, schema
from connector.state.alerts import AlertBook
from connector.state.audit import AuditBook
from connector.state.calls import CallBook
from connector.state.census import Census
from connector.state.connections import ConnectionBook
from connector.state.database import Database, Now, chunks, locate, secure
from connector.state.dead_letters import DeadLetterBook
from connector.state.leases import LeaseBook, check_fence, signature
from connector.state.ledger import Ledger
from connector.state.measures import MeasureBook
from connector.state.pages import PageCounts
from connector.state.plans import PlanBook
from connector.state.rates import RateBook
from connector.state.retention import RetentionBook
from connector.state.runs import RunBook
from connector.state.snapshots import SnapshotBook
from connector.state.survivors import aliases
from connector.state.tables import METADATA
from connector.state.tables.canonical import CANONICAL, Changes, Opportunities, Owners, ScorecardRows
from connector.state.tables.columns import table
from connector.state.tables.control import Bookmarks, Runs, RunStreams
from connector.state.witness import WitnessBook

BOOKMARKS = table(Bookmarks)
DEALS = table(Opportunities)
SCORECARD_ROWS = table(ScorecardRows)
CHANGES = table(Changes)


class Seen(NamedTuple):
    """A live deal as last pulled. ``observed``: scorecard field → wire text; ``group``: what it shares a lock with in the CRM (its account);
    ``pipeline``: as the CRM has it."""

    version: str | None
    inputs_hash: str | None
    name: str | None
    observed: dict[str, str | None]
    group: str | None = None
    pipeline: str | None = None


class Store:
    """Everything that survives a restart. Safe to share between threads, and between processes that open the same file."""

    def __init__(self, database: Database, clock: Now) -> None:
        self.database = database
        self.owner = signature()
        self.clock = clock
        self.runs = RunBook(database, clock)
        self.leases = LeaseBook(database, clock)
        self.ledger = Ledger(database, clock)
        self.plans = PlanBook(database, clock)
        self.dead_letters = DeadLetterBook(database, clock)
        self.measures = MeasureBook(database)
        self.connections = ConnectionBook(database, clock)
        self.census = Census(database, clock)
        self.schemas = SnapshotBook(database)
        self.rates = RateBook(database)
        self.calls = CallBook(database, clock)
        self.alerts = AlertBook(database)
        self.audit = AuditBook(database, clock)
        self.witness = WitnessBook(database, clock)
        self.retention = RetentionBook(database, clock)

    @classmethod
    def open(cls, path_or_url: str | Path, clock: Now, *, migrate: bool = True) -> Store:
        """A directory (it then holds ``connector.db``), a file, or a ``sqlite:///`` URL; made where it does not exist.

        Raises StateError: SC-E013 where others may read it, SC-E183 where the schema is newer than this version (or older,
        with ``migrate`` False), SC-E180 where it is no database.
        """
        path = locate(path_or_url)
        secure(path)
        found = schema.revision(path)
        if found != schema.HEAD:
            if found is not None and not migrate:
                raise StateError(f"{path} is at revision {found}, this version works with {schema.HEAD}", code="SC-E183")
            schema.migrate(path)
        return cls(Database(path), clock)

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # -- pages ---------------------------------------------------------------------------------------------------

    def save_page(
        self,
        connection: str,
        stream: str,
        mapped: Sequence[Mapped],
        dead: Sequence[DeadLetter],
        bookmark: Mapping[str, str],
        *,
        run: int | None,
        fence: int | None,
        complete_for: Sequence[str] = (),
        fingerprint: str | None = None,
        records: Sequence[str] = (),
        seen_at: datetime | None = None,
        aside: Sequence[str] | None = None,
    ) -> PageCounts:
        """Rows, replaced sets, tombstones, dead letters, observations and the bookmark, in one transaction.

        ``complete_for``: deals whose contact roles are exactly those of this page. ``fingerprint``: that of the mapping the page
        was mapped with. ``records``: ids that mapped, where the rows do not carry them, so that their dead letters are resolved.
        ``seen_at``: the CRM's clock at the start of the run, by which first sights are dated (default: our clock).
        ``aside``: those of ``records`` that the mapping leaves out by its rules; None where nobody counts the stream.
        A deal older (modified_at) than the stored one is left alone with all its rows. Raises LeaseHeld where the fence is lost.
        """
        now = self.clock.now()
        with self.database.write() as db:
            check_fence(db, connection, fence, now)
            known = pages.echoes(db, connection, mapped)
            batch = pages.Batch.of(mapped, complete_for, pages.stored_stamps(db, connection, mapped))
            done = pages.store(db, connection, batch, run, seen_at or now)
            dead_letters.put(db, connection, dead, run, now)
            resolved = dead_letters.settle(db, connection, stream, batch.records | set(records), dead, now)
            if aside is not None:
                census.set_aside(db, connection, stream, records, aside)
            pages.set_bookmark(db, connection, stream, bookmark, fingerprint, now)
        return PageCounts(batch.size, done.gone, batch.stale, len(dead), resolved, done.logged, known, done.changed)

    def bookmark(self, connection: str, stream: str, *, fingerprint: str | None = None) -> dict[str, str] | None:
        """How far the stream has been read; None: from nothing. So too where it was mapped under another fingerprint than this one."""
        query = select(BOOKMARKS).where(BOOKMARKS.c.connection == connection, BOOKMARKS.c.stream == stream)
        with self.database.read() as db:
            row = db.execute(query).first()
        if row is None or (fingerprint is not None and row.fingerprint != fingerprint):
            return None
        return dict(row.bookmark)

    def reading_under(self, connection: str) -> dict[str, str | None]:
        """Stream → fingerprint of the mapping under which its bookmark stands; streams that were never read are absent."""
        query = select(BOOKMARKS.c.stream, BOOKMARKS.c.fingerprint).where(BOOKMARKS.c.connection == connection)
        with self.database.read() as db:
            return {row.stream: row.fingerprint for row in db.execute(query)}

    def reset_bookmark(self, connection: str, stream: str | None = None) -> int:
        """Forget how far a stream, or every stream, has been read; the rows stay. Returns how many bookmarks went."""
        query = delete(BOOKMARKS).where(BOOKMARKS.c.connection == connection)
        if stream is not None:
            query = query.where(BOOKMARKS.c.stream == stream)
        with self.database.write() as db:
            return db.execute(query).rowcount

    # -- what it holds -------------------------------------------------------------------------------------------

    def deal_stages(self, connection: str) -> list[tuple[str, str | None, str | None]]:
        """(id, native pipeline, raw stage) of live deals, by id: what is open is for the mapping to say."""
        query = select(DEALS.c.id, DEALS.c.native_pipeline, DEALS.c.raw_stage).where(*_live(DEALS, connection)).order_by(DEALS.c.id)
        with self.database.read() as db:
            return [(row.id, row.native_pipeline, row.raw_stage) for row in db.execute(query)]

    def linked(self, connection: str, name: str, deals: Sequence[str], prefix: str = "") -> dict[str, set[str]]:
        """Deal → ids of the live rows of a table that hang on it, or on a deal merged into it. ``prefix``: how the ids wanted begin."""
        target = CANONICAL[name]
        found: dict[str, set[str]] = {deal: set() for deal in deals}
        if "opportunity" not in target.c:
            return found
        merged = select(DEALS.c.id, DEALS.c.merged_into).where(DEALS.c.connection == connection, DEALS.c.merged_into.is_not(None))
        with self.database.read() as db:
            heirs = {id: heir for id, heir in aliases(map(dict, db.execute(merged).mappings())).items() if heir in found}
            for some in chunks([*deals, *heirs]):
                where = (*_live(target, connection), target.c.opportunity.in_(some), target.c.id.startswith(prefix, autoescape=True))
                for row in db.execute(select(target.c.id, target.c.opportunity).where(*where)):
                    found[heirs.get(row.opportunity, row.opportunity)].add(row.id)
        return found

    def versions(self, connection: str, name: str, ids: Sequence[str]) -> dict[str, str]:
        """id → version as received, of those deals that the state holds alive. Tables without versions answer with nothing."""
        found: dict[str, str] = {}
        target = CANONICAL[name]
        if "version" not in target.c:
            return found
        with self.database.read() as db:
            for some in chunks(ids):
                where = (*_live(target, connection), target.c.id.in_(some), target.c.version.is_not(None))
                found.update({row.id: row.version for row in db.execute(select(target.c.id, target.c.version).where(*where))})
        return found

    def observed(self, connection: str) -> dict[str, Seen]:
        """id → what is known of the scorecard of live deals."""
        of = DEALS.c
        query = select(of.id, of.version, of.inputs_hash, of.name, of.observed, of.account, of.native_pipeline).where(*_live(DEALS, connection))
        with self.database.read() as db:
            return {row[0]: Seen(*row[1:]) for row in db.execute(query.order_by(of.id))}

    def scorecard_rows(self, connection: str, object: str) -> dict[str, Seen]:
        """Key, or id where records have none → what is known of our fields on the live records of an object that are no deals."""
        of, prefix = SCORECARD_ROWS.c, f"{object}:"
        where = (*_live(SCORECARD_ROWS, connection), of.id.startswith(prefix, autoescape=True))
        query = select(of.id, of.key, of.version, of.observed).where(*where).order_by(of.id)
        with self.database.read() as db:
            return {row.key or row.id.removeprefix(prefix): Seen(row.version, None, None, row.observed) for row in db.execute(query)}

    def owner_names(self, connection: str) -> dict[str, str]:
        """Deal → the name of its owner, of live deals whose owner is known by name."""
        owners = table(Owners)
        on = (owners.c.connection == DEALS.c.connection) & (owners.c.id == DEALS.c.owner)
        query = select(DEALS.c.id, owners.c.name).join(owners, on).where(*_live(DEALS, connection), owners.c.name.is_not(None))
        with self.database.read() as db:
            return {row.id: row.name for row in db.execute(query)}

    def fate(self, connection: str, id: str) -> str | None:
        """What became of a record by its exact id: ``live``, ``deleted`` or ``merged into ID``; None where the state never saw it."""
        with self.database.read() as db:
            for target in CANONICAL.values():
                if not {"id", "deleted"} <= set(target.c.keys()):
                    continue
                row = db.execute(select(target).where(target.c.connection == connection, target.c.id == id)).mappings().first()
                if row is not None:
                    merged = row.get("merged_into")
                    return f"merged into {merged}" if merged else "deleted" if row["deleted"] else "live"
        return None

    def counts(self, connection: str) -> dict[str, int]:
        """Canonical table → live rows."""
        with self.database.read() as db:
            return {name: db.scalar(select(func.count()).where(*_live(target, connection))) or 0 for name, target in CANONICAL.items()}

    # -- short cuts ----------------------------------------------------------------------------------------------

    def remember_org(self, connection: str, org_id: str, time_zone: str | None = None) -> None:
        """The credential proved itself against this org; see :meth:`ConnectionBook.checked`."""
        self.connections.checked(connection, org_id, time_zone)

    def is_paused(self, connection: str) -> bool:
        return self.connections.paused(connection) is not None

    def snapshots(self, connection: str) -> list[dict[str, Any]]:
        """Own measures of past days; see :meth:`MeasureBook.read`."""
        return self.measures.read(connection)

    def holds(self, connection: str) -> bool:
        """Is there anything of a connection beside its leases?"""
        with self.database.read() as db:
            return any(
                db.scalar(select(target.c.connection).where(target.c.connection == connection).limit(1)) is not None
                for target in METADATA.sorted_tables
                if "connection" in target.c and target.name != "leases"
            )

    def forget(self, connection: str) -> int:
        """Delete everything of a connection. Its leases stay, so that fence numbers never come back. Returns how many rows went."""
        gone = 0
        with self.database.write() as db:
            of_runs = select(table(Runs).c.id).where(table(Runs).c.connection == connection)
            gone += db.execute(delete(table(RunStreams)).where(table(RunStreams).c.run.in_(of_runs))).rowcount
            for target in METADATA.sorted_tables:
                if "connection" in target.c and target.name != "leases":
                    gone += db.execute(delete(target).where(target.c.connection == connection)).rowcount
        return gone


def _live(target: Table, connection: str) -> tuple[Any, ...]:
    of_connection: tuple[Any, ...] = (target.c.connection == connection,)
    if "deleted" in target.c:
        of_connection += (target.c.deleted.is_(False),)
    if "merged_into" in target.c:
        of_connection += (target.c.merged_into.is_(None),)
    return of_connection
