"""The golden org, and small orgs of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from connector.kpis.book.book import Book
from connector.kpis.compute import from_inputs
from connector.kpis.definition import Measure
from connector.kpis.example import Example
from tests.kpis import golden


@pytest.fixture(scope="session")
def agree() -> Callable[[Any, Any], bool]:
    return golden.agree


@pytest.fixture(scope="session")
def differences() -> Callable[[Measure, dict[str, Any]], list[str]]:
    return golden.differences


@pytest.fixture(scope="session", name="golden")
def golden_org() -> dict[str, Any]:
    return golden.GOLDEN


@pytest.fixture(scope="session")
def golden_book() -> Book:
    return from_inputs(golden.GOLDEN["inputs"])


class Org(Example):
    """A small company with the golden ladder and settings."""

    def __init__(self) -> None:
        source = golden.GOLDEN["inputs"]
        super().__init__(source["stages"], source["kpis"], source["as_of"])


@pytest.fixture
def org() -> Org:
    return Org()
