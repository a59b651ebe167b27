"""A sandbox org for every test, all of them behind one server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crms.salesforce import bench as benches
from tests.crms.sandboxed import Served, served


@pytest.fixture(scope="session")
def house() -> Iterator[Served]:
    with served([]) as server:
        yield server


@pytest.fixture
def bench(house: Served) -> Iterator[benches.SalesforceBench]:
    with benches.bench(house) as found:
        yield found
