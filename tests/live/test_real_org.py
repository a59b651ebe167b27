"""Against a real org: reads only. Off by default; ``CONNECTOR_LIVE_PROJECT=DIR pytest -m live`` for the day someone has one.

``DIR`` is a project with connections to a developer org or test portal; its own state is not touched. Nothing is written to a CRM.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from connector.cli.main import main

pytestmark = pytest.mark.live


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """A copy of the live project with an empty state."""
    given = os.environ.get("CONNECTOR_LIVE_PROJECT")
    if not given:
        pytest.fail("CONNECTOR_LIVE_PROJECT does not name a project")
    root = tmp_path / "live"
    shutil.copytree(given, root, ignore=shutil.ignore_patterns("state"))
    return root


def run(root: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    code = main(["--project", str(root), *words, "--json"])
    document = dict(json.loads(capsys.readouterr().out))
    assert code == 0, document
    return document


def test_credentials_fields_stages_and_rights(live: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(live, capsys, "check")["summary"]["failed"] == 0


def test_the_second_pull_is_idle(live: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = run(live, capsys, "sync", "--pull-only")
    second = run(live, capsys, "sync", "--pull-only")
    assert first["summary"]["dead_letters"] == 0
    assert second["summary"]["calls"] <= first["summary"]["calls"]


def test_every_open_deal_has_a_stage(live: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(live, capsys, "sync", "--pull-only")
    assert run(live, capsys, "plan")["findings"] == []
