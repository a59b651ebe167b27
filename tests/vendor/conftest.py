"""The vendors' tools in an environment of their own: made once from the lock, kept in ``.vendor/``. Needs Node 18 or later and npm."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ENVIRONMENT = HERE.parents[1] / ".vendor"
Run = Callable[..., str]


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Installed where it is missing or the lock has changed."""
    ready, wanted = ENVIRONMENT / "ready", hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    if not (ready.is_file() and ready.read_text() == wanted):
        ENVIRONMENT.mkdir(exist_ok=True)
        for name in ("package.json", "package-lock.json", "compile.cjs"):
            shutil.copy(HERE / name, ENVIRONMENT / name)
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"], cwd=ENVIRONMENT, check=True, timeout=900)
        ready.write_text(wanted)
    return ENVIRONMENT / "node_modules"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """What a tool prints. One that complains by its exit code fails the test with what it said."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "SF_DISABLE_TELEMETRY": "true", "SF_AUTOUPDATE_DISABLE": "true", "CI": "true"}

    def told(*words: str | Path, cwd: Path) -> str:
        done = subprocess.run([str(word) for word in words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return told
