"""A portal of our own over real HTTP, and a connection to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connector.sandbox.hubspot.portal import Portal
from tests.crms.hubspot.portals import House, World, housing, new_portal, world_of


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    with housing() as made:
        yield made


@pytest.fixture
def portal() -> Portal:
    return new_portal()


@pytest.fixture
def world(house: House, portal: Portal) -> Iterator[World]:
    with world_of(house, portal) as made:
        yield made
