"""Bring a database to the present schema, tell whether it is there, and print it. ``python -m connector.state.schema`` prints schema.sql."""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connector.errors import StateError
from connector.state.database import Database, locate, secure
from connector.state.tables import METADATA

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

HEAD = "0011"
"""The newest revision in ``migrations/versions``. A test compares the two, so that start-up need not import alembic."""
HEADER = "-- Generated from the migrations by `python -m connector.state.schema`; a test compares. Do not edit.\n"


def revision(path: Path) -> str | None:
    """The revision a database file is at; None for an empty one. Raises StateError where the file is no database."""
    connection = sqlite3.connect(path, timeout=30)
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None
        raise StateError(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StateError(f"{path}: {error}") from error
    finally:
        connection.close()
    return None if row is None else str(row[0])


def migrate(path_or_url: str | Path) -> bool:
    """Bring a database to :data:`HEAD` in one transaction, creating it if need be. True if there was something to do.

    Raises StateError SC-E183 for a database that a newer version of the connector has written.
    """
    path = locate(path_or_url)
    secure(path)
    found = revision(path)
    if found == HEAD:
        return False
    script = scripts()
    if found is not None and found not in {step.revision for step in script.walk_revisions()}:
        raise StateError(f"{path} is at revision {found}, this version knows up to {HEAD}", code="SC-E183", next_step="update the connector")
    database = Database(path)
    try:
        _upgrade(database, script)
    finally:
        database.close()
    return True


def scripts() -> ScriptDirectory:
    """The revisions as alembic sees them."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(Path(__file__).parent / "migrations"))


def _upgrade(database: Database, script: ScriptDirectory) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext

    def steps(current: Any, _context: Any) -> Any:
        return script._upgrade_revs("head", current)  # the call that alembic's documentation gives for use without env.py

    with database.write() as connection, EnvironmentContext(Config(), script, fn=steps, destination_rev="head") as environment:
        environment.configure(connection=connection, target_metadata=METADATA, render_as_batch=True)
        environment.run_migrations()


def schema_sql() -> str:
    """The text of ``state/schema.sql``: every table and index of a freshly migrated database."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "connector.db"
        migrate(path)
        connection = sqlite3.connect(path)
        rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY tbl_name, type DESC, name").fetchall()
        connection.close()
    lines = "\n".join(f"{sql};" for (sql,) in rows).replace("\t", "    ").splitlines()
    return HEADER + "\n".join(line.rstrip() for line in lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_sql())
