"""A project on a freshly seeded sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.cli.init import create
from connector.clock import SystemClock
from connector.sandbox.server import serving
from connector.sandbox.world import World
from tests.acceptance.harness import Project


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rate budgets are believed to have been slept off: what they cost in time is the adapters' tests' business."""
    monkeypatch.setattr(SystemClock, "sleep", lambda clock, seconds: None)


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Project]:
    """A new world and an empty project on it."""
    world = World()
    world.seed()
    world.portal.limits_on = False
    with serving(world) as base_url:
        root = tmp_path / "project"
        create(root, "sandbox", "medtech", port=int(base_url.rpartition(":")[2]))
        yield Project(root, base_url, world, capsys.readouterr)
