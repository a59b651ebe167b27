"""What is said in each cassette: the same code talks to the sandbox while recording and to the cassette while replaying.

The world is a small one: five deals, told to both CRMs in a few events.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any, Literal, Protocol

from connector.clock import FixedClock
from connector.crms.base import Bookmark, Crm, Page, Record, StreamSpec, Update, Window
from connector.crms.hubspot import HubSpotCrm, HubSpotSettings
from connector.crms.salesforce import SalesforceCrm, SalesforceSettings
from connector.sandbox import events
from connector.sandbox.hubspot import story as hubspot_story
from connector.sandbox.hubspot.limits import Limits
from connector.sandbox.salesforce import story as salesforce_story
from connector.sandbox.world import World

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
PAUSE = timedelta(minutes=30)
Kind = Literal["salesforce", "hubspot"]


class Meanwhile(Protocol):
    """What happens between two reads. While replaying, time passes for the connector and nothing else happens: it is on the tape."""

    def wait(self, span: timedelta) -> None: ...
    def business(self, told: Sequence[events.Event]) -> None: ...


@dataclass(frozen=True)
class Conversation:
    """``talk`` returns what a test compares. ``oauth``: HubSpot by refresh token in place of a service key."""

    crm: Kind
    name: str
    about: str
    talk: Callable[[Crm, Meanwhile], Any]
    oauth: bool = False

    @property
    def file(self) -> str:
        return f"{self.crm}/{self.name}.yaml"


# -- the world ---------------------------------------------------------------------------------------------------------


def small_world() -> World:
    """Both CRMs have heard the story below; their clock stands at NOW."""
    world = World()
    # Limits by real time would put other numbers into every recording: here each call comes long after the one before.
    seconds = count(0.0, 20.0)
    world.portal.limits = Limits(world.portal.time_zone, monotonic=lambda: next(seconds))
    tell(world, STORY)
    world.clock.advance_to(NOW)
    return world


def tell(world: World, told: Sequence[events.Event]) -> None:
    for event in told:
        world.clock.advance_to(event.at)
        salesforce_story.tell(world.org, event)
        hubspot_story.tell(world.portal, event)


def _at(day: int, hour: int = 15, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def _deal(day: int, key: str, name: str, account: str, owner: str, pipeline: str, stage: str, amount: str, **more: Any) -> events.DealOpened:
    given: dict[str, Any] = {"deal_type": "new_business", "currency": "USD", "product": None, "lead_source": "conference"}
    return events.DealOpened(
        _at(day), key, name, account, owner, pipeline, stage, amount=Decimal(amount), closes_on=date(2027, 1, 29), **given | more
    )


STORY: tuple[events.Event, ...] = (
    events.OwnerJoined(_at(2, 9), "anna", "Anna Reyes"),
    events.OwnerJoined(_at(2, 9, 1), "ben", "Ben Ode"),
    events.AccountFound(_at(2, 10), "mercy", "Mercy Hospital", "hospital", "East", "US"),
    events.AccountFound(_at(2, 10, 1), "lahn", "Universitätsklinikum Lahn", "university_hospital", "EMEA", "EU"),
    events.ContactFound(_at(2, 11), "surgeon", "mercy", "Chief of Surgery", kol=True),
    events.ContactFound(_at(2, 11, 1), "buyer", "mercy", "VP Supply Chain"),
    _deal(3, "navigator", "Mercy – Navigator", "mercy", "anna", "capital", "prospect", "420000.00", product="Beacon Navigator"),
    _deal(4, "cloud", "Lahn – Cloud", "lahn", "ben", "software", "prospect", "96000.00", currency="EUR", arr=Decimal("48000.00")),
    _deal(5, "kits", "Mercy – Kits", "mercy", "anna", "disposables", "pilot", "31000.50"),
    _deal(5, "twin", "Mercy – Navigator (2)", "mercy", "ben", "capital", "prospect", "420000.00"),
    _deal(6, "upgrade", "Mercy – Upgrade", "mercy", "anna", "capital", "demo", "88000.00", deal_type="expansion"),
    events.RoleAdded(_at(9), "navigator", "surgeon", "surgeon", primary=True),
    events.RoleAdded(_at(9, 15, 1), "navigator", "buyer", "economic_buyer"),
    events.StageMoved(_at(10), "navigator", "discovery", "anna"),
    events.ActivityLogged(_at(11), "demo", "meeting", "navigator", "mercy", "surgeon", "anna", "anna", "Demo in the OR", "Demo", outcome="held"),
    events.StageMoved(_at(11, 17), "navigator", "demo", "anna"),
    events.DealEdited(_at(12), "navigator", "anna", {"amount": Decimal("465000.00"), "next_step": "site visit"}),
    events.DealDeleted(_at(13), "twin"),
    events.StageMoved(_at(16), "kits", "won", "anna"),
)
LATER: tuple[events.Event, ...] = (
    events.StageMoved(NOW + timedelta(minutes=40), "cloud", "discovery", "ben"),
    events.DealDeleted(NOW + timedelta(minutes=45), "upgrade"),
)
"""Between the second read of the deals and the third."""

DEALS = {
    "salesforce": {"navigator": "006Sb0000000001IAA", "cloud": "006Sb0000000002IAA"},
    "hubspot": {"navigator": "30000000001", "cloud": "30000000002"},
}
"""Ids that the sandbox gives; the one who records makes sure of it."""


# -- connections -------------------------------------------------------------------------------------------------------

MANIFEST = {
    "salesforce": {"Opportunity": frozenset({"KPI_Pace__c", "KPI_Stale_Reason__c", "KPI_Stage__c"})},
    "hubspot": {"deals": frozenset({"kpi_pace", "kpi_stale_reason", "kpi_stage"})},
}


def connect(conversation: Conversation, base_url: str, clock: FixedClock, secret: str) -> Crm:
    """The adapter under test, with ``secret`` in every credential: no recording may hold it."""
    if conversation.crm == "salesforce":
        settings = SalesforceSettings(base_url, client_id=f"{secret}-client", client_secret=secret)
        return SalesforceCrm(settings, clock, MANIFEST["salesforce"])
    if conversation.oauth:
        app = HubSpotSettings(base_url=base_url, client_id=f"{secret}-client", client_secret=secret, refresh_token=f"{secret}-refresh", parallel=1)
        return HubSpotCrm(app, clock, MANIFEST["hubspot"])
    return HubSpotCrm(HubSpotSettings(token=secret, base_url=base_url, parallel=1), clock, MANIFEST["hubspot"])  # in one order


# -- what is said ------------------------------------------------------------------------------------------------------


@dataclass
class Held:
    """What a state holds of one stream."""

    records: dict[str, Record]
    bookmark: Bookmark | None = None

    def pull(self, crm: Crm, spec: StreamSpec) -> list[Record]:
        window = Window(self.bookmark, crm.now(), open_ids=self._alive, deal_ids=self._alive, known_versions=self._versions)
        pages: list[Page] = list(crm.read(spec, window))
        self.bookmark = pages[-1].bookmark
        brought = [record for page in pages for record in page.records]
        self.records |= {record.id: record for record in brought}
        return brought

    def _alive(self) -> list[str]:
        return sorted(id_ for id_, record in self.records.items() if not record.deleted)

    def _versions(self, ids: Sequence[str]) -> dict[str, str]:
        return {id_: self.records[id_].version or "" for id_ in ids if id_ in self.records}


SF_DEALS = StreamSpec(
    "opportunities", "Opportunity",
    ("Name", "StageName", "RecordType.DeveloperName", "Amount", "CurrencyIsoCode", "CloseDate", "OwnerId", "Account.Customer_Type__c"),
    presence=("NextStep",),
)  # fmt: skip
SF_OTHERS = (
    StreamSpec("owners", "User", ("Name", "IsActive")),
    StreamSpec("accounts", "Account", ("Name", "Region__c")),
    StreamSpec("stage_history", "OpportunityHistory", ("OpportunityId", "StageName", "Amount", "CloseDate", "CreatedDate")),
    StreamSpec("contact_roles", "OpportunityContactRole", ("OpportunityId", "ContactId", "Role", "IsPrimary")),
)
HS_DEALS = StreamSpec(
    "opportunities", "deals", ("dealname", "dealstage", "pipeline", "amount", "deal_currency_code", "closedate", "hubspot_owner_id"),
    history=("dealstage", "amount"), links=("companies", "contacts"), presence=("hs_next_step",),
)  # fmt: skip
HS_OTHERS = (
    StreamSpec("owners", "owners", ("firstName", "lastName", "archived")),
    StreamSpec("accounts", "companies", ("name", "sales_region")),
    StreamSpec("meetings", "meetings", ("hs_timestamp", "hs_activity_type", "hs_meeting_outcome"), links=("deals",)),
)


def _check(crm: Crm, _: Meanwhile) -> Any:
    return crm.check()


def _discover(object_: str) -> Callable[[Crm, Meanwhile], Any]:
    return lambda crm, _: crm.discover(object_)


def _pipelines(crm: Crm, _: Meanwhile) -> Any:
    return crm.pipelines()


def _deals(spec: StreamSpec, unknown: str) -> Callable[[Crm, Meanwhile], Any]:
    """(first read, idle read, read after changes, fetch of a live one, an unknown one and the deleted one)."""

    def talk(crm: Crm, meanwhile: Meanwhile) -> Any:
        held = Held({})
        first = held.pull(crm, spec)
        meanwhile.wait(PAUSE)
        idle = held.pull(crm, spec)
        meanwhile.business(LATER)
        meanwhile.wait(PAUSE)
        changed = held.pull(crm, spec)
        gone = [record.id for record in changed if record.deleted]
        name = spec.fields[0]
        return first, idle, changed, crm.fetch(spec.object, [first[0].id, unknown, *gone], (name,))

    return talk


def _streams(specs: Sequence[StreamSpec]) -> Callable[[Crm, Meanwhile], Any]:
    """Stream → records."""
    return lambda crm, _: {spec.name: Held({}).pull(crm, spec) for spec in specs}


def _write(kind: Kind, object_: str, text: str, choice: str, missing: str) -> Callable[[Crm, Meanwhile], Any]:
    """One good record, one with a value that is refused, one that nobody has. Result by what was sent."""

    def talk(crm: Crm, _: Meanwhile) -> Any:
        sent = {
            "good": Update(object_, DEALS[kind]["navigator"], {text: "no meeting for 9 days"}),
            "refused": Update(object_, DEALS[kind]["cloud"], {choice: "far longer than the forty characters of the field"}),
            "missing": Update(object_, missing, {text: "nobody"}),
        }
        results = {result.id: result for result in crm.write(list(sent.values()))}
        return {what: results[update.id] for what, update in sent.items()}

    return talk


CONVERSATIONS = (
    Conversation("salesforce", "check", "sign in by client credentials; who we are, limits, currency", _check),
    Conversation("salesforce", "discover", "describe of Opportunity", _discover("Opportunity")),
    Conversation("salesforce", "pipelines", "stages, record types and what each offers", _pipelines),
    Conversation("salesforce", "deals", "deals: a first, an idle and a changed read, a fetch", _deals(SF_DEALS, "006000000099999AAA")),
    Conversation("salesforce", "streams", "users, accounts, stage history, contact roles", _streams(SF_OTHERS)),
    Conversation(
        "salesforce", "write", "a good, a refused and a missing record",
        _write("salesforce", "Opportunity", "KPI_Stale_Reason__c", "KPI_Stage__c", "006000000099999AAA"),
    ),
    Conversation("hubspot", "check", "the account behind a service key", _check),
    Conversation("hubspot", "oauth", "the same by refresh token", _check, oauth=True),
    Conversation("hubspot", "discover", "properties of deals", _discover("deals")),
    Conversation("hubspot", "pipelines", "deal pipelines", _pipelines),
    Conversation("hubspot", "deals", "deals: a first, an idle and a changed read, a fetch", _deals(HS_DEALS, "99999999")),
    Conversation("hubspot", "streams", "owners, companies, meetings", _streams(HS_OTHERS)),
    Conversation(
        "hubspot", "write", "a good, a refused and a missing record",
        _write("hubspot", "deals", "kpi_stale_reason", "kpi_stage", "99999999"),
    ),
)  # fmt: skip
API = {"salesforce": SalesforceSettings("http://127.0.0.1", flow="sandbox").api_version, "hubspot": HubSpotSettings(token="none").api_version}
