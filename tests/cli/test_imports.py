"""What each command loads. Exact sets, from ``-X importtime`` in a fresh process: speed is a matter of imports, and imports do not vary."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from connector.app import App
from connector.cli.init import create
from tests.cli.conftest import CLEAN

HEAVY = {
    "sqlalchemy", "polars", "scipy", "requests", "hubspot", "simple_salesforce", "starlette", "rich", "pydantic", "ruamel", "apscheduler", "alembic",
}  # fmt: skip
BOOK = Path(__file__).parent.parent / "kpis" / "golden.json"
SETTINGS = {"pydantic"}
FILES = SETTINGS | {"ruamel"}
STATE = SETTINGS | {"sqlalchemy"}

TABLE: list[tuple[str, set[str]]] = [  # words → the heavy packages they load, no more and no fewer
    ("--help", set()),
    ("--version", set()),
    ("sandbox --help", set()),
    ("sync --help", set()),
    ("kpis compute --help", set()),
    ("bogus", set()),
    ("plans bogus", set()),
    ("status --bogus", set()),
    ("sync --connection", set()),
    ("plans show", {"pydantic"}),  # Typer reads the other parameters with it before it misses this one
    ("init {new}", SETTINGS),
    ("mapping schema", FILES),
    ("mapping check", FILES | {"polars"}),  # targets are checked against the units of their KPIs
    ("mapping check --bogus", set()),
    ("status", STATE),
    ("plans list", STATE),
    ("dead-letters list", STATE),
    ("connections list", STATE),
    ("connections pause sf-demo --reason test", STATE),
    ("mapping show", FILES | STATE),
    ("connections check sf-demo", FILES | STATE | {"simple_salesforce", "requests"}),
    ("connections check hs-demo", FILES | STATE | {"hubspot"}),
    ("kpis compute --from-file {book} --kpi win_rate", SETTINGS | {"polars", "scipy"}),
    ("sandbox down", SETTINGS),
    ("explain nope", STATE | {"polars"}),
    ("run --bogus", set()),
]


class Refuses(BaseHTTPRequestHandler):
    """A CRM that refuses every credential."""

    def do_GET(self) -> None:
        said = b'{"error": "invalid_client", "error_description": "invalid client credentials", "status": "error", "message": "no"}'
        self.send_response(400 if self.command == "POST" else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose state is migrated, so that no process has to load alembic, and whose CRMs answer at once."""
    place = tmp_path_factory.mktemp("imports") / "project"
    with ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        create(place, "sandbox", "medtech", port=server.server_port)
        with App(place) as app:
            app.store.counts("sf-demo")
        yield place
        server.shutdown()


@pytest.mark.parametrize(("words", "expected"), TABLE, ids=[words for words, _ in TABLE])
def test_a_command_loads_what_it_needs(words: str, expected: set[str], root: Path, tmp_path: Path) -> None:
    filled = words.format(new=tmp_path / "new", book=BOOK).split()
    assert loaded("--project", str(root), *filled) == expected


def test_a_first_start_loads_alembic_once(tmp_path: Path) -> None:
    create(tmp_path / "project", "sandbox", "medtech", port=9)
    assert "alembic" in loaded("--project", str(tmp_path / "project"), "status")
    assert "alembic" not in loaded("--project", str(tmp_path / "project"), "status")


def loaded(*words: str) -> set[str]:
    """The heavy top-level packages that a process loads for these words."""
    line = [sys.executable, "-X", "importtime", "-m", "connector.cli", *words]
    done = subprocess.run(line, capture_output=True, text=True, env=CLEAN, timeout=120, check=False)
    names = re.findall(r"^import time:.*\|\s+(\S+)$", done.stderr, re.M)
    assert "connector.cli.main" in names, done.stderr[-2000:]
    assert "SC-E001" not in done.stderr, done.stderr[-500:]
    return {name.split(".")[0] for name in names} & HEAVY
