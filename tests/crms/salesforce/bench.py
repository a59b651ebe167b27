"""The sandbox org as a bench: what people do in it, done through the org's own low-level methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, date, datetime, timedelta

from starlette.routing import Router

from connector.clock import FixedClock
from connector.crms.base import Crm, StreamSpec, Value
from connector.crms.salesforce import SalesforceCrm, SalesforceSettings
from connector.sandbox.clock import VirtualClock
from connector.sandbox.salesforce.api import routes
from connector.sandbox.salesforce.org import Org
from tests.crms.sandboxed import Served, served

START = datetime(2026, 11, 20, 18, tzinfo=UTC)
MANIFEST = {"Opportunity": frozenset({"KPI_Stale_Reason__c", "KPI_Open_Gates__c", "KPI_Stage__c", "KPI_Pace__c"})}


class SalesforceBench:
    deals = StreamSpec("opportunities", "Opportunity", ("Name", "StageName", "Amount", "AccountId", "Account.Customer_Type__c"))
    name, managed, other = "Name", "KPI_Stale_Reason__c", "KPI_Open_Gates__c"
    bad: tuple[str, Value] = ("KPI_Stage__c", "far longer than the forty characters of the field")
    foreign, denied, unknown = "LeadSource", "Description", "006000000099999AAA"
    idle_calls = 1
    calculated = "Days_To_Close__c"  # a formula over today

    def __init__(self, server: Served, org: Org) -> None:
        self.server, self.org = server, org
        self.clock = FixedClock(START)
        self.opened: list[SalesforceCrm] = []
        org.page_size = 10
        self.account = org.insert("Account", {"Name": "Mercy Hospital", "Customer_Type__c": "General Hospital"})

    def settings(self, **more: object) -> SalesforceSettings:
        return SalesforceSettings(self.server.url, flow="sandbox", **more)  # type: ignore[arg-type]

    def open(self, **more: object) -> SalesforceCrm:
        self.opened.append(SalesforceCrm(self.settings(**more), self.clock, MANIFEST))
        return self.opened[-1]

    def unreachable(self) -> Crm:
        return SalesforceCrm(SalesforceSettings("http://127.0.0.1:9", flow="sandbox"), self.clock, MANIFEST)

    def deal(self, name: str, **more: object) -> dict[str, object]:
        found = {"Name": name, "StageName": "Discover", "CloseDate": "2027-01-29", "AccountId": self.account, "Amount": 420000.0}
        return {
            **found,
            "LeadSource": "Conference",
            "NextStep": "call the surgeon",
            "RecordTypeId": self.org.record_types["Capital_Equipment"],
            **more,
        }

    def create(self, count: int) -> list[str]:
        return [self.org.insert("Opportunity", self.deal(f"Deal {n}")) for n in range(count)]

    def late(self, age: timedelta) -> str:
        return self.org.insert("Opportunity", self.deal("late"), at=self.org.clock.now - age)

    def drift(self, id: str) -> None:
        """Time that passes is enough."""

    def computed(self, id: str) -> Value:
        closes, today = self.org.tables["Opportunity"].rows[id]["CloseDate"], self.org.local_day(self.org.clock.now)
        return float((date.fromisoformat(closes) - date.fromisoformat(today)).days)

    def edit(self, id: str, values: Mapping[str, Value]) -> None:
        self.org.update("Opportunity", id, values)

    def delete(self, id: str) -> None:
        self.org.delete("Opportunity", id)

    def merge(self) -> tuple[StreamSpec, str, str]:
        loser, winner = (self.org.insert("Account", {"Name": name}) for name in ("Mercy Hosp.", "Mercy General"))
        self.org.merge("Account", loser, winner)
        return StreamSpec("accounts", "Account", ("Name", "Region__c")), loser, winner

    def truth(self, field: str) -> Mapping[str, Value]:
        return {id_: row.get(field) for id_, row in self.org.tables["Opportunity"].rows.items() if not row.get("IsDeleted")}

    def wait(self, seconds: float) -> None:
        self.org.clock.advance_to(self.org.clock.now + timedelta(seconds=seconds))
        self.clock.sleep(seconds)

    def requested(self) -> str:
        return self.server.recorder.text()

    def paths(self) -> list[str]:
        """Method and the last part of the path of every request."""
        return [f"{line.split(' ')[0]} {line.split(' ')[1].partition('?')[0].rsplit('/', 1)[1]}" for line in self.server.asked]


@contextmanager
def bench(server: Served | None = None) -> Iterator[SalesforceBench]:
    """A new org. ``server``: one that is up already and is moved into, since starting one takes longer than most tests."""
    org = Org(VirtualClock(START))
    with nullcontext(server) if server else served([]) as house:
        house.recorder.app, house.recorder.asked, house.recorder.intercept = Router(routes(org)), [], lambda _: None
        found = SalesforceBench(house, org)
        yield found
        for crm in found.opened:
            crm.close()
