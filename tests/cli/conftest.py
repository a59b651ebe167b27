"""A project that nothing answers, a pulled one, and the command line as a process: plain or under a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from connector.cli.init import create
from connector.cli.main import main

Run = Callable[..., tuple[int, dict[str, Any]]]
CLEAN = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS") and not k.startswith("CONNECTOR_")}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of init, its CRMs on a port where nothing listens."""
    root = tmp_path / "project"
    create(root, "sandbox", "medtech", port=9)
    return root


@pytest.fixture
def production(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project on a HubSpot portal whose token nobody has set: it fails before anything is sent."""
    for name in [name for name in os.environ if name.startswith("CONNECTOR_CONNECTIONS__")]:
        monkeypatch.delenv(name)
    root = tmp_path / "production"
    create(root, "hubspot", "medtech")
    return root


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run with --json in this process: (exit code, the document). There is one document and nothing else."""

    def call(*words: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = main([*words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


VERB = '''
from connector.cli.output import Answer, Table
from connector.errors import Finding, StateError

EVIL = "Ward\\x1b]0;owned\\x07 \\x1b[31mB\\x9b\\r\\u202eesrever"


def boom() -> Answer:
    """Fails as a bug would."""
    secret = "patient 4711"
    return Answer(result=[][int(bool(secret))])


def crm() -> Answer:
    """Says what a CRM said."""
    return Answer(text=[EVIL, Table(("deal", ">n"), [(EVIL, 1)])], findings=[Finding("SC-E129", EVIL, severity="warning")])


def refused() -> Answer:
    """Ends with what a CRM said."""
    raise StateError(EVIL)
'''
MAIN = """
import sys
from connector.cli.commands import COMMANDS
from connector.cli.main import run
COMMANDS.update({name: (f"fake_verbs:{name}", "a verb of the tests") for name in ("boom", "crm", "refused")})
run()
"""


@pytest.fixture
def verbs(tmp_path: Path) -> Path:
    """A directory with a module of three verbs of our own, ``fake_verbs``."""
    place = tmp_path / "verbs"
    place.mkdir()
    (place / "fake_verbs.py").write_text(VERB, encoding="utf-8")
    return place


def process(*words: str, verbs: Path | None = None, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command line as a process without a terminal."""
    return subprocess.run(
        _line(words, verbs), capture_output=True, text=True, env=_environment(verbs, environment or {}), timeout=120, check=False
    )  # fmt: skip


def terminal(*words: str, verbs: Path | None = None, environment: Mapping[str, str] | None = None) -> tuple[int, str]:
    """The command line under a pseudo-terminal: (exit code, every byte that the terminal got)."""
    ours, theirs = pty.openpty()
    env = {"TERM": "xterm-256color", "COLUMNS": "120", **(environment or {})}
    child = subprocess.Popen(_line(words, verbs), stdin=theirs, stdout=theirs, stderr=theirs, env=_environment(verbs, env))
    os.close(theirs)
    got = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says EIO when the other end is closed
            break
        if not part:
            break
        got += part
    os.close(ours)
    return child.wait(timeout=120), got.decode()


def _line(words: tuple[str, ...], verbs: Path | None) -> list[str]:
    return [sys.executable, *(("-c", MAIN) if verbs else ("-m", "connector.cli")), *words]


def _environment(verbs: Path | None, more: Mapping[str, str]) -> dict[str, str]:
    return {**CLEAN, **({"PYTHONPATH": str(verbs)} if verbs else {}), **more}
