"""Tables, migrations and schema.sql say the same; the canonical tables hold the fields of the records."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, select

import connector
from connector.clock import FixedClock
from connector.errors import StateError
from connector.model.records import KEYS, TABLES, Mapped, Opportunity, columns
from connector.state import schema
from connector.state.store import Store
from connector.state.tables import METADATA
from connector.state.tables.canonical import CANONICAL

PROJECT = Path(connector.__file__).parents[1]


@pytest.mark.parametrize("name", TABLES)
def test_canonical_tables_hold_the_fields_of_the_records(name: str) -> None:
    added = {"connection"} | ({"first_seen"} if name == "contact_roles" else set())
    assert set(CANONICAL[name].columns.keys()) == {*columns(name), *added}


@pytest.mark.parametrize("name", TABLES)
def test_the_connection_is_first_in_every_key(name: str) -> None:
    assert [column.name for column in CANONICAL[name].primary_key] == ["connection", *KEYS[name]]


def test_migrations_make_what_the_tables_declare(tmp_path: Path) -> None:
    path = tmp_path / "state" / "connector.db"
    assert schema.migrate(path) is True
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def test_a_missing_column_would_be_found(tmp_path: Path) -> None:
    path = tmp_path / "state" / "connector.db"
    schema.migrate(path)
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        connection.exec_driver_sql("ALTER TABLE owners DROP COLUMN name")
        difference = compare_metadata(MigrationContext.configure(connection), METADATA)
    engine.dispose()
    assert [(step[0], step[2], step[3].name) for step in difference] == [("add_column", "owners", "name")]


def test_the_head_named_in_the_code_is_the_newest_revision() -> None:
    assert schema.scripts().get_heads() == [schema.HEAD]


def test_every_revision_goes_down_again(tmp_path: Path) -> None:
    from alembic.operations import Operations

    engine = create_engine("sqlite://")
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        newest_first = list(schema.scripts().walk_revisions())
        for revision in reversed(newest_first):
            revision.module.upgrade()
        for revision in newest_first:
            revision.module.downgrade()
        assert connection.exec_driver_sql("SELECT name FROM sqlite_master").all() == []
    engine.dispose()


def test_roles_of_an_older_state_are_kept_or_read_again() -> None:
    """Salesforce's had no id: they go with their bookmark. HubSpot's and those of lookups stay, on the way down too."""
    from alembic.operations import Operations

    engine = create_engine("sqlite://")
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        *older, newest = [r for r in reversed(list(schema.scripts().walk_revisions())) if r.revision <= "0004"]
        for revision in older:
            revision.module.upgrade()
        assert (older[-1].revision, newest.revision) == ("0003", "0004")
        rows = [("hs", "11", "21", "Champion"), ("sf", "006A", "003A", "Champion"), ("sf", "006A", "003B", "Buyer__c of 006A")]
        for row in rows:
            connection.exec_driver_sql("INSERT INTO contact_roles (connection, opportunity, contact, role) VALUES (?, ?, ?, ?)", row)
        for name, stream in (("hs", "contact_roles"), ("sf", "contact_roles"), ("sf", "opportunities")):
            connection.exec_driver_sql("INSERT INTO bookmarks VALUES (?, ?, '{}', NULL, '2026-11-01')", (name, stream))
        newest.module.upgrade()
        assert connection.exec_driver_sql("SELECT connection, opportunity, id, contact, role FROM contact_roles ORDER BY 1").all() == [
            ("hs", "11", "21", "21", "Champion"), ("sf", "006A", "Buyer__c of 006A", "003B", "Buyer__c of 006A"),
        ]  # fmt: skip
        assert connection.exec_driver_sql("SELECT connection, stream FROM bookmarks ORDER BY 1, 2").all() == [
            ("hs", "contact_roles"), ("sf", "opportunities"),
        ]  # fmt: skip
        newest.module.downgrade()
        assert connection.exec_driver_sql("SELECT connection, opportunity, contact, role FROM contact_roles ORDER BY 1").all() == [rows[0], rows[2]]
    engine.dispose()


def test_schema_sql_is_what_the_migrations_make() -> None:
    assert (PROJECT / "state" / "schema.sql").read_text() == schema.schema_sql()


def test_migrating_twice_does_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state"
    assert schema.migrate(path) is True
    assert schema.migrate(path) is False


def test_a_current_database_opens_without_alembic(folder: Path) -> None:
    schema.migrate(folder)
    code = (
        "import sys; from connector.clock import SystemClock; from connector.state.store import Store\n"
        f"Store.open({str(folder)!r}, SystemClock()).close(); print('alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_database_of_a_newer_version_is_refused(folder: Path, clock: FixedClock) -> None:
    schema.migrate(folder)
    with sqlite3.connect(folder / "connector.db") as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    db.close()
    with pytest.raises(StateError, match="9999") as caught:
        Store.open(folder, clock)
    assert caught.value.code == "SC-E183"


def test_an_older_database_is_left_alone_where_asked(folder: Path, clock: FixedClock) -> None:
    schema.migrate(folder)
    with sqlite3.connect(folder / "connector.db") as db:
        db.execute("UPDATE alembic_version SET version_num = '0000'")
    db.close()
    with pytest.raises(StateError) as caught:
        Store.open(folder, clock, migrate=False)
    assert caught.value.code == "SC-E183"


def test_a_file_that_is_no_database_is_said_to_be_none(folder: Path, clock: FixedClock) -> None:
    folder.mkdir(mode=0o700)
    path = folder / "connector.db"
    path.write_bytes(b"not a database at all" * 100)
    path.chmod(0o600)
    with pytest.raises(StateError, match="not a database"):
        Store.open(folder, clock)


def test_two_processes_may_open_an_empty_directory_at_once(folder: Path) -> None:
    code = "import sys; from connector.clock import SystemClock; from connector.state.store import Store\n" + (
        f"s = Store.open({str(folder)!r}, SystemClock()); s.runs.start('c', 'pull', 'test'); s.close()"
    )
    started = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(3)]
    errors = [process.communicate()[1].decode() for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], errors
    with sqlite3.connect(folder / "connector.db") as db:
        assert db.execute("SELECT count(*) FROM runs").fetchone() == (3,)
    db.close()


# -- modes (C4) and pragmas (D6) -----------------------------------------------------------------------------------


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}


def test_nobody_else_may_read_the_state(folder: Path, clock: FixedClock) -> None:
    before = os.umask(0o000)
    try:
        with Store.open(folder, clock) as store:
            store.runs.start("c", "pull", "test")
            found = modes(folder)
    finally:
        os.umask(before)
    assert found == {"state": 0o700, "connector.db": 0o600, "connector.db-wal": 0o600, "connector.db-shm": 0o600}


@pytest.mark.parametrize(("name", "mode"), [("", 0o750), ("connector.db", 0o640), ("connector.db-wal", 0o604)])
def test_looser_modes_are_refused(folder: Path, clock: FixedClock, name: str, mode: int) -> None:
    with Store.open(folder, clock) as store:
        store.runs.start("c", "pull", "test")
        (folder / name).chmod(mode)
        with pytest.raises(StateError, match="readable by others") as caught:
            Store.open(folder, clock)
    assert caught.value.code == "SC-E013"


def test_a_directory_fresh_from_a_checkout_is_closed(folder: Path, clock: FixedClock) -> None:
    folder.mkdir()
    folder.chmod(0o755)
    for name in ("README.md", "schema.sql"):
        (folder / name).write_text("")
    Store.open(folder, clock).close()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_directory_with_other_things_in_it_is_not_touched(folder: Path, clock: FixedClock) -> None:
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "notes.txt").write_text("")
    with pytest.raises(StateError, match="readable") as caught:
        Store.open(folder, clock)
    assert caught.value.code == "SC-E013"
    assert folder.stat().st_mode & 0o777 == 0o755


def test_only_sqlite_addresses_are_taken(clock: FixedClock) -> None:
    with pytest.raises(StateError, match="postgresql"):
        Store.open("postgresql://db/connector", clock)


def test_pages_may_be_lazy_the_ledger_may_not(store: Store) -> None:
    with store.database.write() as db:
        assert db.exec_driver_sql("PRAGMA synchronous").scalar() == 1
        assert db.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert db.exec_driver_sql("PRAGMA secure_delete").scalar() == 1
    with store.database.write_durably() as db:
        assert db.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_a_deleted_deal_leaves_no_trace_in_the_file(folder: Path, clock: FixedClock) -> None:
    from connector.model.records import Tombstone

    with Store.open(folder, clock) as store:
        for number in range(200):
            deal = Opportunity(f"d{number}", name=f"CANARY-{number}-of-a-name")
            store.save_page("c", "opportunities", [Mapped((deal,))], [], {}, run=None, fence=None)
        gone = [Mapped(tombstones=(Tombstone("opportunities", f"d{number}"),)) for number in range(200)]
        store.save_page("c", "opportunities", gone, [], {}, run=None, fence=None)
    assert [path.name for path in folder.iterdir() if b"CANARY" in path.read_bytes()] == []


# -- values come back as they went in ------------------------------------------------------------------------------


def test_money_keeps_its_digits_and_instants_their_zone(store: Store) -> None:
    table = CANONICAL["opportunities"]
    deal = Opportunity(
        "d",
        amount=Decimal("12345678901234567890.1200"),
        probability=Decimal("0.10"),
        created_at=datetime(2026, 3, 1, 15, 0, 0, 123000, tzinfo=UTC),
        observed={"kpi_stage": "pilot", "kpi_age": None},
    )
    store.save_page("c", "opportunities", [Mapped((deal,))], [], {}, run=None, fence=None)
    with store.database.read() as db:
        row = db.execute(select(table)).one()
    assert str(row.amount) == "12345678901234567890.1200"
    assert str(row.probability) == "0.10"
    assert row.created_at == deal.created_at
    assert row.created_at.tzinfo is UTC
    assert row.observed == {"kpi_stage": "pilot", "kpi_age": None}


def test_a_naive_instant_is_refused(store: Store) -> None:
    deal = Opportunity("d", created_at=datetime(2026, 3, 1))
    with pytest.raises(Exception, match=r"timezone|naive"):
        store.save_page("c", "opportunities", [Mapped((deal,))], [], {"at": "1"}, run=None, fence=None)
    assert store.bookmark("c", "opportunities") is None
