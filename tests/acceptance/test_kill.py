"""kill −9 in the middle of a pull, then run again: the same rows as an undisturbed run."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from connector.cli.init import create
from tests.acceptance.harness import Project

TABLES = ("owners", "accounts", "contacts", "opportunities", "changes", "gates", "contact_roles", "activities")
POINTS = 10


def rows(root: Path, connection: str) -> dict[str, list[tuple[object, ...]]]:
    """Every canonical row of a connection, without the moment it was first seen."""
    with sqlite3.connect(f"file:{root / 'state' / 'connector.db'}?mode=ro", uri=True) as db:
        found = {}
        for table in TABLES:
            names = [f'"{r[1]}"' for r in db.execute(f"pragma table_info({table})") if r[1] != "first_seen"]
            found[table] = sorted(db.execute(f"select {', '.join(names)} from {table} where connection = ?", (connection,)), key=repr)
    db.close()
    return found


def pull(root: Path, connection: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "connector.cli", "--project", str(root), "sync", "--pull-only", "--connection", connection, "-q"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def bookmarks(root: Path) -> int:
    """Streams begun so far: how far the pull has come."""
    path = root / "state" / "connector.db"
    if not path.exists():
        return 0
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            return int(db.execute("select count(*) from bookmarks").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        if "db" in locals():
            db.close()


@pytest.mark.fault
@pytest.mark.parametrize("connection", ["sf-demo", "hs-demo"])
def test_a_killed_pull_ends_in_the_same_rows(project: Project, tmp_path: Path, connection: str) -> None:
    port = int(project.base_url.rpartition(":")[2])
    calm = tmp_path / "calm"
    create(calm, "sandbox", "medtech", port=port)
    started = time.monotonic()
    assert pull(calm, connection).wait() == 0
    whole = time.monotonic() - started
    expected = rows(calm, connection)
    assert len(expected["opportunities"]) > 390

    chance = random.Random(7)
    struck = 0
    for point in range(POINTS):
        root = tmp_path / f"struck-{point}"
        create(root, "sandbox", "medtech", port=port)
        victim = pull(root, connection)
        time.sleep(whole * chance.uniform(0.35, 0.95))
        if victim.poll() is None:
            os.kill(victim.pid, signal.SIGKILL)
            struck += 1
        victim.wait()
        begun = bookmarks(root)
        assert pull(root, connection).wait() == 0
        assert rows(root, connection) == expected, f"point {point}, {begun} streams begun"
    assert struck >= POINTS // 2
