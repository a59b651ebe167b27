"""The golden org, and small orgs of one's own."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connector.kpis.book import Book
from connector.kpis.compute import compute, from_inputs
from connector.kpis.definition import Measure

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


class Org:
    """A small org: the golden ladder and settings, sections of its own. ``today`` is 2027-02-15 in New York unless said otherwise."""

    def __init__(self) -> None:
        source = copy.deepcopy(GOLDEN["inputs"])
        self.given: dict[str, Any] = {**{k: source[k] for k in ("as_of", "stages", "kpis")}, "crm": {}, "files": {}, "state": {}, "windows": []}
        self.add("accounts", id="A1", segment="hospital", territory="East", region="US")
        self.add("owners", id="R1", active=True)
        self.add("owners", id="R2", active=True)

    def add(self, section: str, **row: Any) -> Org:
        self.given["crm"].setdefault(section, []).append(row)
        return self

    def file(self, name: str, *rows: dict[str, Any]) -> Org:
        self.given["files"][f"{name}.csv"] = list(rows)
        return self

    def deal(self, id: str, *stages: tuple[str | None, str], **values: Any) -> Org:
        """A deal created when it entered its first stage: (stage or None for unmapped, date or instant)."""
        at = [when if "T" in when else f"{when}T15:00:00Z" for _, when in stages]
        base = {
            "account": "A1",
            "owner": "R1",
            "deal_type": "new_business",
            "amount": 1000,
            "arr": 1000,
            "currency": "USD",
            "closes_on": "2027-03-15",
        }
        self.add("opportunities", id=id, **(base | {"created_at": at[0] if at else "2026-06-01T15:00:00Z"} | values))
        for (stage, _), when in zip(stages, at, strict=True):
            self.add("stage_history", opportunity=id, raw_stage=stage or "Whatever", stage=stage, entered_at=when)
        return self

    def set(self, path: str, value: Any) -> Org:
        place = self.given["kpis"]
        *parents, last = path.split(".")
        for part in parents:
            place = place[part]
        place[last] = value
        return self

    def book(self) -> Book:
        return from_inputs(copy.deepcopy(self.given))

    def measure(self, kpi: str, variant: str = "", subject: str = "company", window: str | None = None) -> Measure:
        found = [m for m in compute(self.book(), [kpi]) if m.variant == variant and m.subject == subject and window in (None, m.window)]
        assert found, f"no row {kpi}.{variant} of {subject}"
        return found[0]


@pytest.fixture
def org() -> Org:
    return Org()
