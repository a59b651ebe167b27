"""Readers that a user could install instead of us, each in an environment of its own: made once from its lock, kept in ``.peers/``."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from connector.sandbox.server import serving
from connector.sandbox.world import World

HERE = Path(__file__).parent
collect_ignore = ["read_with_hubspot_sdk.py"]  # runs where the package is installed
ENVIRONMENTS = HERE.parents[1] / ".peers"
Ids = Mapping[str, list[str]]


@pytest.fixture(scope="module")
def world() -> World:
    """The seeded company in both CRMs. Nobody writes to it."""
    made = World()
    made.seed()
    made.portal.limits_on = False
    return made


@pytest.fixture(scope="module")
def base_url(world: World) -> Iterator[str]:
    with serving(world) as url:
        yield url


@pytest.fixture(scope="session")
def python() -> Callable[[str], Path]:
    """The interpreter of a peer's environment, which is installed where it is missing or its lock has changed."""
    return _python


def _python(peer: str) -> Path:
    lock, place = HERE / f"{peer}.lock", ENVIRONMENTS / peer
    ready, wanted = place / "ready", hashlib.sha256(lock.read_bytes()).hexdigest()
    python = place / "bin" / "python"
    if not (ready.is_file() and ready.read_text() == wanted):
        subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", lock], check=True)
        ready.write_text(wanted)
    return python


def run(*command: str | Path, cwd: Path) -> str:
    """What the peer prints. A peer that complains by its exit code fails the test with what it said."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    done = subprocess.run([str(word) for word in command], check=False, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-4_000:]
    return done.stdout


def records(text: str, key: Callable[[str], str]) -> Ids:
    """Singer messages → stream → ids in the order they came."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        message = json.loads(line)
        if message["type"] == "RECORD":
            found[message["stream"]].append(str(message["record"][key(message["stream"])]))
    return found
