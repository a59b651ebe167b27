"""The database file itself: modes, pragmas, transactions. Everything above works through :class:`Database`."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

import orjson
from sqlalchemy import Connection, Engine, Table, event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlmodel import create_engine

from connector.errors import StateError

FILE = "connector.db"
IN_EVERY_CHECKOUT = frozenset({"README.md", "schema.sql"})
CHUNK = 900  # ids in one IN list
Item = TypeVar("Item")


class Now(Protocol):
    """As much of a clock as the state needs."""

    def now(self) -> datetime: ...


def locate(path_or_url: str | Path) -> Path:
    """The database file meant: a ``sqlite:///`` URL, a file (it has a suffix), or a directory that holds ``connector.db``."""
    text = str(path_or_url)
    if "://" in text:
        scheme, _, rest = text.partition("://")
        if scheme != "sqlite" or not rest.startswith("/") or rest == "/":
            raise StateError(f"a database address of kind {scheme!r} is not supported", next_step="use sqlite:///path/to/connector.db")
        text = rest[1:]
    path = Path(text)
    return path if path.suffix else path / FILE


def secure(path: Path) -> None:
    """Make or check directory (0700) and file (0600); ``-wal`` and ``-shm`` take the mode of the file from SQLite.

    A directory as it comes out of a checkout is closed to others on first use. Anything else that others may read is refused
    with SC-E013: it may have been read already, so a person should know.
    """
    folder = path.parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _open_to_others(folder) and not path.exists() and {entry.name for entry in folder.iterdir()} <= IN_EVERY_CHECKOUT:
            folder.chmod(0o700)
        found = [folder, *(Path(f"{path}{suffix}") for suffix in ("", "-wal", "-shm"))]
        loose = [entry for entry in found if _open_to_others(entry)]
        if loose:
            raise StateError(
                f"{', '.join(map(str, loose))}: readable by others",
                code="SC-E013",
                next_step=f"chmod 700 {folder} && chmod 600 {path}*",
            )
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}") from error


def _open_to_others(path: Path) -> bool:
    try:
        return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
    except FileNotFoundError:
        return False


def _to_json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _engine(path: Path, synchronous: str) -> Engine:
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30}, json_serializer=_to_json, json_deserializer=orjson.loads)

    @event.listens_for(engine, "connect")
    def _connect(dbapi: Any, _record: Any) -> None:
        dbapi.isolation_level = None  # transactions begin below
        for pragma in ("busy_timeout=30000", "journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON", "secure_delete=ON"):
            dbapi.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer takes its lock at once: a reader that turns writer half-way may find that it cannot.
        read_only = connection.get_execution_options().get("read_only", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


class Database:
    """One file, two ways in: pages may lose the last commit at a power failure (it is read again), the ledger may not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pages = _engine(path, "NORMAL")
        self._ledger = _engine(path, "FULL")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view; never waits for a writer."""
        with _plain(self.path), self._pages.connect() as connection:
            connection.execution_options(read_only=True)
            with connection.begin():
                yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, all or nothing."""
        with _plain(self.path), self._pages.begin() as connection:
            yield connection

    @contextmanager
    def write_durably(self) -> Iterator[Connection]:
        """The same, on the disk when it returns."""
        with _plain(self.path), self._ledger.begin() as connection:
            yield connection

    def checkpoint(self) -> None:
        """What was deleted leaves the write-ahead file too, as far as nobody reads from it just now."""
        with _plain(self.path), self._pages.connect() as connection:
            raw = connection.connection.dbapi_connection
            assert raw is not None
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        self._pages.dispose()
        self._ledger.dispose()


@contextmanager
def _plain(path: Path) -> Iterator[None]:
    """What the file or the disk does wrong leaves as StateError; a broken constraint is our own mistake and stays visible."""
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        raise StateError(f"{path}: {error.orig}") from error


def upsert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]], *, keep: Sequence[str] = ()) -> None:
    """Insert rows or overwrite those with the same primary key, all with the same keys; columns in ``keep`` keep their first value."""
    if not rows:
        return
    statement = insert(table)
    keys = [column.name for column in table.primary_key]
    changing = {name: statement.excluded[name] for name in rows[0] if name not in keys and name not in keep}
    if changing:
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changing), rows)
    else:
        connection.execute(statement.on_conflict_do_nothing(index_elements=keys), rows)


def chunks(items: Sequence[Item], size: int = CHUNK) -> Iterator[Sequence[Item]]:
    """The items in pieces that fit one statement."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
