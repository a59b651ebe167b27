"""The exported record card against HubSpot's own types: what a developer's ``tsc`` says of it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from connector.crms.hubspot import project
from tests.crms.hubspot.wanted import made

pytestmark = pytest.mark.vendor


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "npm_config_update_notifier": "false", "npm_config_fund": "false", "npm_config_audit": "false"}
    return subprocess.run(command, check=False, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The card's own package.json, installed."""
    root = tmp_path_factory.mktemp("card")
    (root / "package.json").write_text(project.files(made("record"), "2026.03")["src/app/cards/package.json"], encoding="utf-8")
    done = run("npm", "install", "--no-package-lock", cwd=root)
    assert done.returncode == 0, done.stderr
    return root


@pytest.mark.parametrize("mode", ["record", "everything", "anchors", "two_fields"])
def test_the_card_type_checks(installed: Path, mode: str) -> None:
    files = project.files(made(mode), "2026.03")
    for name in ("Card.tsx", "tsconfig.json"):
        (installed / name).write_text(files[f"src/app/cards/{name}"], encoding="utf-8")
    done = run("npx", "--no-install", "tsc", "--strict", "--noEmit", "-p", ".", cwd=installed)
    assert done.returncode == 0, done.stdout


def test_a_wrong_card_would_not(installed: Path) -> None:
    files = project.files(made("two_fields"), "2026.03")
    broken = files["src/app/cards/Card.tsx"].replace('variant="error"', 'variant="broken"')
    (installed / "Card.tsx").write_text(broken, encoding="utf-8")
    (installed / "tsconfig.json").write_text(files["src/app/cards/tsconfig.json"], encoding="utf-8")
    done = run("npx", "--no-install", "tsc", "-p", ".", cwd=installed)
    assert (done.returncode == 0, "is not assignable to type" in done.stdout) == (False, True)
