"""414: what the address or the body cannot hold is asked for in smaller portions, until there is nothing to leave out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from connector.crms.base import StreamSpec
from connector.errors import TooLarge
from connector.sandbox.hubspot.portal import Portal
from tests.crms.hubspot.portals import DEALS, House, World, world_of

COMPANIES = StreamSpec("accounts", "companies", ("name", "city"))
OWNERS = StreamSpec("owners", "owners", ("email",))


@pytest.fixture
def small(house: House, portal: Portal) -> Iterator[World]:
    """Pages of four records."""
    with world_of(house, portal, page_size=4) as made:
        yield made


def numbered(part: str, *which: int) -> Callable[[str], bool]:
    """Whether a request is the so-manieth of those that hold ``part``."""
    seen = [0]

    def strikes(asked: str) -> bool:
        seen[0] += part in asked
        return part in asked and seen[0] in which

    return strikes


def bodies(world: World, part: str) -> list[dict[str, Any]]:
    return [json.loads(asked[asked.index("{") :]) for asked in world.house.asked if part in asked]


def test_a_list_whose_address_is_too_long_goes_on_by_ids_and_reads_in_batches(small: World) -> None:
    deals = [small.deal(f"Deal {n}", amount=str(n)) for n in range(10)]
    small.wait(hours=1)
    small.house.too_long = numbered("propertiesWithHistory", 2)  # the first page comes whole, the second does not
    records = small.pull()
    assert {record.id: record.values["amount"] for record in records} == {str(deal.id): str(n) for n, deal in enumerate(deals)}
    assert all(record.history["dealstage"] for record in records)
    lists = [call for call in small.house.log if call.startswith("GET /crm/objects/") and "archived=true" not in call]
    assert ["propertiesWithHistory" in call for call in lists] == [True, True, False, False]
    assert "after" not in lists[0]
    assert all("after=" in call for call in lists[1:])
    assert [len(body["inputs"]) for body in bodies(small, "/batch/read")] == [4, 2]


def test_a_search_that_is_too_much_leaves_the_properties_to_batch_read(small: World) -> None:
    for n in range(10):
        small.portal.create("companies", {"name": f"Hospital {n}", "city": f"City {n}"})
    small.wait(hours=1)
    small.house.too_long = numbered("/search", 2)
    records = small.pull(COMPANIES)
    assert sorted(str(record.values["city"]) for record in records) == [f"City {n}" for n in range(10)]
    searches = bodies(small, "/search")
    assert [("city" in body["properties"], body["after"]) for body in searches] == [(True, "0"), (True, "4"), (False, "4"), (False, "8")]
    assert [len(body["inputs"]) for body in bodies(small, "/batch/read")] == [4, 2]


def test_after_the_properties_the_pages_of_a_search_are_halved(small: World) -> None:
    for n in range(6):
        small.portal.create("companies", {"name": f"Hospital {n}", "city": f"City {n}"})
    small.wait(hours=1)
    small.house.too_long = numbered("/search", 1, 2)
    assert len(small.pull(COMPANIES)) == 6
    assert [(body["limit"], body["after"]) for body in bodies(small, "/search")] == [(4, "0"), (4, "0"), (2, "0"), (2, "2"), (2, "4")]


def test_a_batch_read_that_is_too_much_is_halved(small: World) -> None:
    for n in range(4):
        small.deal(f"Deal {n}")
    small.pull()
    small.wait(hours=2)
    for deal in list(small.portal.records["deals"].values()):
        small.portal.update(deal, {"amount": "7"})
    small.wait(hours=2)
    small.house.asked.clear()
    small.house.too_long = numbered("/batch/read", 1)
    assert {record.values["amount"] for record in small.pull()} == {"7"}
    assert [len(body["inputs"]) for body in bodies(small, "/batch/read")][:3] == [4, 2, 2]


@pytest.mark.parametrize(
    ("spec", "part", "calls"),
    [(DEALS, "GET /crm/objects/", 2), (COMPANIES, "/search", 4), (COMPANIES, "archived=true", 1), (OWNERS, "/crm/owners/", 1)],
    ids=["list", "search", "archived", "owners"],
)
def test_what_cannot_be_less_is_an_error_that_names_what_was_asked(small: World, spec: StreamSpec, part: str, calls: int) -> None:
    small.wait(hours=1)
    small.house.too_long = lambda asked: part in asked
    with pytest.raises(TooLarge, match=spec.object) as caught:
        small.pull(spec)
    assert caught.value.code == "SC-E073"
    assert sum(part in asked for asked in small.house.log) == calls
