"""The golden org, and small orgs of one's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connector.kpis.book import Book
from connector.kpis.compute import from_inputs
from connector.kpis.definition import Measure
from connector.kpis.example import Example

GOLDEN_FILE = Path(__file__).with_name("golden.json")
GOLDEN: dict[str, Any] = json.loads(GOLDEN_FILE.read_text(encoding="utf-8"))
FIELDS = {"value": None, "unit": None, "n": None, "low_n": False, "ci_low": None, "ci_high": None, "pending": None, "excluded": {}, "reason": None}


def _agree(ours: Any, theirs: Any) -> bool:
    """R17: |a − b| ≤ 5·10⁻⁶ · max(1, |b|) for numbers; everything else exactly."""
    numbers = all(isinstance(side, (int, float)) and not isinstance(side, bool) for side in (ours, theirs))
    return abs(ours - theirs) <= 5e-6 * max(1, abs(theirs)) if numbers else isinstance(ours, bool) == isinstance(theirs, bool) and ours == theirs


def _differences(measure: Measure, expected: dict[str, Any]) -> list[str]:
    ours = measure.as_dict()
    place = "{kpi}.{variant} {subject} {window}".format(**expected)
    wanted = {name: expected.get(name, default) for name, default in FIELDS.items()}
    return [f"{place} {name}: {ours[name]!r}, expected {value!r}" for name, value in wanted.items() if not _agree(ours[name], value)]


@pytest.fixture(scope="session")
def agree() -> Callable[[Any, Any], bool]:
    return _agree


@pytest.fixture(scope="session")
def differences() -> Callable[[Measure, dict[str, Any]], list[str]]:
    return _differences


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    return GOLDEN


@pytest.fixture(scope="session")
def golden_book() -> Book:
    return from_inputs(GOLDEN["inputs"])


class Org(Example):
    """A small company with the golden ladder and settings."""

    def __init__(self) -> None:
        source = GOLDEN["inputs"]
        super().__init__(source["stages"], source["kpis"], source["as_of"])


@pytest.fixture
def org() -> Org:
    return Org()
