"""A project on one small sandbox CRM whose guard on the share of records trips at every change, driven through the command line."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connector.cli.main import main
from tests.rig import opened

Call = Callable[..., tuple[int, dict[str, Any]]]


@contextmanager
def project(crm: str, folder: Path, *, guarded: bool = True) -> Iterator[Any]:
    """A rig whose first push is through. ``guarded``: from now on no share of records may change."""
    with opened(crm, folder) as rig:
        rig.advance(600)
        rig.own_mappings()
        if guarded:
            rig.sync()
            settings = rig.root / "connector.toml"
            settings.write_text(settings.read_text().replace("max_records_share = 1.0", "max_records_share = 0.0"), encoding="utf-8")
            rig.reopen()
        yield rig


def caller(rig: Any, run: Call) -> Call:
    """``run`` of the command line in this project."""
    return lambda *words: run("--project", str(rig.root), *words)


def turn(rig: Any) -> int:
    """What the scheduler does at its next turn: each job once, now."""
    return main(["--project", str(rig.root), "run", "--once"])


def move(rig: Any, deal: str, stage: str) -> None:
    rig.advance(3600)
    rig.move(deal, stage)
    rig.advance(60)


def chain_holds(say: Call) -> list[str]:
    """Verifies the audit; its actions in order."""
    code, document = say("audit", "verify")
    assert code == 0, document
    code, exported = say("audit", "export")
    assert code == 0
    return [row["action"] for row in exported["result"]]


def tamper(rig: Any) -> None:
    """Somebody edits a row of the audit."""
    with sqlite3.connect(rig.root / "state" / "connector.db") as db:
        db.execute("update audit set detail = replace(detail, '\"plan\"', '\"plam\"') where action = 'plan.saved'")
