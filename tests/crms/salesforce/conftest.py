"""A sandbox org for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crms.salesforce import bench as benches


@pytest.fixture
def bench() -> Iterator[benches.SalesforceBench]:
    with benches.bench() as found:
        yield found
