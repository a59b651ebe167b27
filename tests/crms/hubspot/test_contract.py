"""The contract suite over HTTP: the adapter against the sandbox's portal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal

import pytest

from connector.clock import FixedClock
from connector.crms.base import Crm, StreamSpec, Value
from connector.crms.hubspot import HubSpotCrm, HubSpotSettings
from connector.sandbox.hubspot.portal import Portal
from connector.sandbox.hubspot.records import Record
from tests.crms.contract import CrmContract
from tests.crms.hubspot.portals import House

MANIFEST = {"deals": frozenset({"kpi_stale_reason", "kpi_definition", "kpi_pace"})}


class HubSpotBench:
    deals = StreamSpec("opportunities", "deals", ("dealname", "dealstage", "pipeline", "amount"), history=("dealstage", "pipeline", "amount"))
    name, managed, other = "dealname", "kpi_stale_reason", "kpi_definition"
    bad: tuple[str, Value] = ("kpi_pace", "sideways")
    foreign, denied, unknown = "primary_product", "hs_next_step", "39999999999"
    idle_calls = 2
    calculated = "amount_in_home_currency"  # moves with the exchange rate

    def __init__(self, house: House, portal: Portal) -> None:
        house.enter(portal)
        self.house = house
        self.portal = portal
        self.clock = FixedClock(self.portal.clock.now)
        self.opened: list[HubSpotCrm] = []

    def _open(self, url: str) -> HubSpotCrm:
        crm = HubSpotCrm(HubSpotSettings(token="sandbox-key", base_url=url, page_size=8), self.clock, MANIFEST)
        self.opened.append(crm)
        return crm

    def open(self) -> Crm:
        return self._open(self.house.url)

    def unreachable(self) -> Crm:
        return self._open("http://127.0.0.1:9")  # the discard port: nobody listens

    def _deal(self, name: str) -> Record:
        given = {"dealname": name, "pipeline": "default", "dealstage": "appointmentscheduled", "hs_next_step": "private"}
        given |= {"amount": "1000", "deal_currency_code": "EUR"}
        return self.portal.create("deals", given)

    def create(self, count: int) -> list[str]:
        return [self._deal(f"Deal {n}").id for n in range(count)]

    def late(self, age: timedelta) -> str:
        """The index shows a deal only now whose stamp is that old."""
        deal = self._deal("late")
        index = self.portal.index["deals"]
        index.remove((deal.stamp, deal.number))
        deal.move_stamp(deal.stamp - age // timedelta(milliseconds=1))
        index.append((deal.stamp, deal.number))
        index.sort()
        return deal.id

    def drift(self, id: str) -> None:
        self.portal.set_rate("EUR", self.portal.rates["EUR"] + Decimal("0.5"))

    def computed(self, id: str) -> Value:
        return self._found(id).values["amount_in_home_currency"]

    def edit(self, id: str, values: Mapping[str, Value]) -> None:
        self.portal.update(self._found(id), {name: str(value) for name, value in values.items()})

    def delete(self, id: str) -> None:
        self.portal.archive(self._found(id))

    def _found(self, id: str) -> Record:
        found = self.portal.resolve("deals", id)
        assert found is not None
        return found

    def merge(self) -> tuple[StreamSpec, str, str]:
        winner, loser = self._deal("one"), self._deal("two")
        return self.deals, loser.id, self.portal.merge(winner, loser).id

    def truth(self, field: str) -> Mapping[str, Value]:
        return {deal.id: deal.values.get(field) or None for deal in self.portal.records["deals"].values() if deal.archived_at is None}

    def wait(self, seconds: float) -> None:
        self.portal.clock.advance_to(self.portal.clock.now + timedelta(seconds=seconds))
        self.clock.sleep(seconds)

    def requested(self) -> str:
        return "\n".join(self.house.asked)


class TestHubSpot(CrmContract):
    @pytest.fixture
    def bench(self, house: House, portal: Portal) -> Iterator[HubSpotBench]:
        bench = HubSpotBench(house, portal)
        yield bench
        for crm in bench.opened:
            crm.close()
