"""A state in a fresh directory, on a clock that stands still until told otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.clock import FixedClock
from connector.state.store import Store


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2026, 11, 20, 18, tzinfo=UTC))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def store(folder: Path, clock: FixedClock) -> Iterator[Store]:
    with Store.open(folder, clock) as opened:
        yield opened
