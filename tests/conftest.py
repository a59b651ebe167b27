"""Shared by all tests: where outside data lies, and the rule that CI may not skip."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = os.environ.get("CONNECTOR_SHARED_DATA")
OPTIONAL = {"live", "peers", "vendor"}
_skipped: list[str] = []


@pytest.fixture(scope="session")
def shared() -> Path:
    """The directory of shared test data, or a skip that says so."""
    if not SHARED:
        pytest.skip("CONNECTOR_SHARED_DATA is not set: the shared data is not on this machine")
    return Path(SHARED)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not OPTIONAL & set(report.keywords):
        _skipped.append(report.nodeid)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Optional groups run only when asked for by name: ``-m live``, ``-m peers``, ``-m vendor``."""
    asked = config.option.markexpr or ""
    left_out = {group for group in OPTIONAL if group not in asked}
    items[:] = [item for item in items if not left_out & {marker.name for marker in item.iter_markers()}]


def pytest_sessionfinish(session: pytest.Session) -> None:
    if os.environ.get("CONNECTOR_NO_SKIPS") and _skipped:
        print(f"\nskipped where nothing may be skipped: {', '.join(_skipped)}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
