"""The protocol a CRM implements, and its value types. Everything above this line of the house is vendor-neutral."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, Protocol

import orjson

FieldType = Literal[
    "text", "long_text", "number", "percent", "money", "integer", "boolean", "date", "datetime",
    "picklist", "multipicklist", "reference", "id", "other",
]  # fmt: skip
Grain = Literal["opportunity", "account", "contact", "rep", "snapshot", "companion"]
"""What a scorecard is of. ``companion``: a deal, on a record of ours beside it."""
WriteAction = Literal["update", "create", "remove"]
Value = str | int | float | bool | None
"""A field's value as the CRM sent it: JSON scalar. Empty string and null both occur on HubSpot; dates are text."""


@dataclass(frozen=True, slots=True)
class Option:
    value: str
    label: str
    active: bool = True


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the live schema, as the connection's user sees it. ``precision``: digits in all that a number may have, ``scale`` of them after
    the point; None where the CRM sets no such bound."""

    name: str
    label: str
    type: FieldType
    writable: bool
    calculated: bool = False
    options: tuple[Option, ...] = ()
    restricted: bool = False  # a picklist that refuses values outside its options
    length: int | None = None
    precision: int | None = None
    scale: int | None = None
    sensitive: bool = False

    @property
    def digits(self) -> int | None:
        """Digits before the point; None: no bound is known."""
        return None if self.precision is None else self.precision - (self.scale or 0)


@dataclass(frozen=True, slots=True)
class Stage:
    """``id`` is the identity that mappings use: ApiName on Salesforce, stage id on HubSpot."""

    id: str
    label: str
    active: bool = True
    closed: bool = False
    won: bool = False
    probability: float | None = None  # 0–1


@dataclass(frozen=True, slots=True)
class Pipeline:
    """``id``: record type developer name (``Master`` without record types) or pipeline id.

    ``options``: field → options that records of this pipeline may hold, of our own fields, where the CRM grants options by record type.
    """

    id: str
    label: str
    stages: tuple[Stage, ...]
    active: bool = True
    options: Mapping[str, frozenset[str]] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class OrgInfo:
    """What the credentials prove. ``calls_used`` and ``calls_max`` are the org's own gauge, by everyone, for its day."""

    org_id: str
    name: str
    user_id: str
    api_version: str
    time_zone: str
    currency: str
    now: datetime
    calls_used: int | None = None
    calls_max: int | None = None
    sandbox: bool = False
    fiscal_year_starts: int | None = None  # month; None where the CRM keeps no fiscal year


@dataclass(frozen=True, slots=True)
class Rate:
    """What one unit of a currency is worth in the CRM's own currency (OrgInfo.currency) from a moment on: a date, or an aware instant."""

    currency: str
    since: date | datetime
    value: Decimal


@dataclass(frozen=True, slots=True)
class Version:
    """One historical value of one field."""

    value: str | None
    at: datetime
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """One associated record: its id and the labels the association carries (by name)."""

    id: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """One record as the CRM has it now.

    ``values``: field name as mapped (``Account.Customer_Type__c`` with its dot) → value as received.
    ``history``: field → versions, oldest first (HubSpot). ``links``: object → associated records (HubSpot).
    """

    id: str
    values: Mapping[str, Value]
    version: str | None = None
    modified_at: datetime | None = None
    deleted: bool = False
    merged_into: str | None = None
    history: Mapping[str, tuple[Version, ...]] = field(default_factory=dict)
    links: Mapping[str, tuple[Link, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """One stream of one CRM, with exactly the fields that the mapping names: nothing else is ever requested.

    ``history``: fields whose versions are wanted; ``links``: objects whose associations are wanted;
    ``presence``: denied fields of which only *is it filled?* may be asked (answered as a boolean under that name).
    ``refresh``: those of ``fields`` whose value may change without moving the record's stamp (formulas, roll-ups, calculated
    properties): read again over open records once a day.
    """

    name: str  # opportunities, stage_history, contact_roles, tasks, events, calls, emails, meetings, accounts, contacts, owners
    object: str  # Opportunity, deals …
    fields: tuple[str, ...] = ()
    history: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    presence: tuple[str, ...] = ()
    refresh: tuple[str, ...] = ()


Bookmark = Mapping[str, str]
"""How far a stream has been read: opaque to everyone but the adapter that wrote it. Text to text, so that it can be stored."""


@dataclass(frozen=True, slots=True)
class Window:
    """What to read: everything after ``bookmark`` (None: everything), up to ``until`` on the CRM's clock.

    ``open_ids`` answers with the ids of open deals that the state holds, ``deal_ids`` with those of all its live deals, for sweeps of
    what moves no stamp: daily and weekly. ``linked`` answers with the records of the stream that the state holds linked with each of
    these deals.
    ``known_versions`` answers with the versions that the state holds of the ids asked for: an adapter that finds a
    record unchanged (our own write coming back, the overlap) need not read its history and associations again.
    """

    bookmark: Bookmark | None
    until: datetime
    open_ids: Callable[[], Sequence[str]] = tuple
    deal_ids: Callable[[], Sequence[str]] = tuple
    linked: Callable[[Sequence[str]], Mapping[str, Collection[str]]] = lambda deals: {}
    known_versions: Callable[[Sequence[str]], Mapping[str, str]] = lambda ids: {}


@dataclass(frozen=True, slots=True)
class Page:
    """Records that belong together, and the bookmark to commit *with* them: a crash after the commit repeats nothing,
    a crash before it repeats this page. ``complete_for``: parents of which the page holds the whole set of children."""

    records: tuple[Record, ...]
    bookmark: Bookmark
    complete_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Update:
    """Values to set on one record, in JSON wire form (see scorecard.fields.wire): None clears.

    ``group``: what the record shares a lock with (its account); updates of one group travel side by side. ``action``: records of objects that
    are ours are also made, under the key ``id`` in the field ``key_field`` (a second time the same: nothing is made twice), and removed.
    """

    object: str
    id: str
    values: Mapping[str, Value]
    group: str | None = None
    action: WriteAction = "update"
    key_field: str | None = None


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What became of one update. ``status``: written; rejected (the CRM refused it, ``code`` and the CRM's own
    ``crm_code`` and ``message`` say why); gone (deleted or merged); deferred (limits: try again). ``made``: id of the record that was made.

    ``took``: of a rejected update the fields that the CRM holds as they were sent, all the same: a write can take in part."""

    id: str
    status: Literal["written", "rejected", "gone", "deferred"]
    code: str | None = None
    crm_code: str | None = None
    message: str | None = None
    version: str | None = None
    made: str | None = None
    took: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Count:
    """How many records the CRM itself says a stream has: ``live`` ones, and those in its bin where it can tell."""

    live: int
    deleted: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the CRM's administrator that may refuse a write. ``field``: whose values it is about; ``text``: the rule as the CRM words it."""

    field: str
    text: str


class RefreshTokens(Protocol):
    """Where a refresh token that changes with each use survives a restart. One per connection."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Hold this while refreshing: one refresher at a time, over all processes. Raises LeaseTaken."""
        ...

    def load(self) -> str | None:
        """The newest token, None before the first refresh."""
        ...

    def save(self, token: str) -> None:
        """Durable when it returns: called before the access token that came with it is used."""
        ...


@dataclass(frozen=True, slots=True)
class PushPart:
    """What a push writes alike: so many records of an object, re-read and written ``batch`` at a time; ``keyed``: found by their key."""

    object: str
    records: int
    batch: int
    keyed: bool = False

    @property
    def batches(self) -> list[int]:
        """How many records each batch holds."""
        return [min(self.batch, self.records - start) for start in range(0, self.records, self.batch)]


@dataclass(frozen=True, slots=True)
class PushCost:
    """Calls of a push: ``reads``, to sign in and to read again what is to be written, and ``writes``."""

    reads: int
    writes: int

    @property
    def calls(self) -> int:
        return self.reads + self.writes


@dataclass
class Meter:
    """Calls made through a connection since it was opened, and the CRM's own gauge where it shows one.

    ``elsewhere``: calls that the account's day has cost otherwise: earlier runs, other connections, other processes; None:
    as the settings said when the connection was opened. ``pushing``: a push runs, whose own reads may use what is kept for it.
    """

    calls: int = 0
    allocation_used: int | None = None
    allocation_max: int | None = None
    elsewhere: int | None = None
    pushing: bool = False


class Crm(Protocol):
    """One connection to one CRM. Raises only classes of connector.errors."""

    kind: str
    meter: Meter

    def now(self) -> datetime:
        """The CRM's clock (its Date header), aware UTC."""
        ...

    def check(self) -> OrgInfo:
        """Prove the credentials. Raises AuthenticationError, MissingScope, Transient."""
        ...

    def discover(self, object: str) -> Mapping[str, Field]:
        """The live schema of one object, as the connection's user sees it. Raises CrmConfigError for an unknown object."""
        ...

    def pipelines(self) -> tuple[Pipeline, ...]:
        """Pipelines (record types) with the stages that are legal in each, inactive ones included."""
        ...

    def rules(self, object: str) -> tuple[Rule, ...]:
        """Rules that may refuse what the connector writes on the object, as far as the CRM lists any. Raises MissingScope."""
        ...

    def rates(self) -> tuple[Rate, ...]:
        """Every exchange rate the CRM knows, dated where it dates them; empty for one with a single currency. A few calls."""
        ...

    def read(self, stream: StreamSpec, window: Window) -> Iterator[Page]:
        """Pages of records changed in the window, deleted and merged ones included. The last page carries the final bookmark, even if empty."""
        ...

    def count(self, stream: StreamSpec) -> Count | None:
        """How many records the stream has now, by the CRM's own counting; None where the CRM cannot count them."""
        ...

    def ids(self, stream: StreamSpec) -> Iterator[Sequence[str]]:
        """The ids of every live record of the stream, in batches: what is not among them is gone for good."""
        ...

    def again(self, stream: StreamSpec, ids: Sequence[str]) -> Iterator[Sequence[Record]]:
        """Records of a stream by id, as whole as :meth:`read` brings them; of a stream of what belongs to deals (their history, their
        contact roles) that of these deals. Those that are gone are absent, or come as tombstones."""
        ...

    def cost(self, stream: StreamSpec, records: int) -> int:
        """Calls that reading so many changed records takes, beforehand and roughly; 0 records: what an idle read takes."""
        ...

    def push_cost(self, parts: Sequence[PushPart], fields: Sequence[str]) -> PushCost:
        """Calls of a push on a connection opened for it, beforehand, where nothing is refused. ``fields``: those re-read of each record. Refused
        batches and locked records cost more. Makes no call."""
        ...

    def fetch(self, object: str, ids: Sequence[str], fields: Sequence[str], key_field: str | None = None) -> Mapping[str, Record]:
        """Re-read known records now, by the id asked for; ids that are gone or merged away are absent. ``key_field``: the ids are keys, those of
        records of an object of ours."""
        ...

    def write(self, updates: Sequence[Update]) -> Iterator[WriteResult]:
        """Exactly one result per update, under its id, whatever the batches did. Refuses with OutsideManifest fields outside the manifest, and
        to make or remove a record of an object that is not ours."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


def inputs_hash(values: Mapping[str, Value], names: Iterable[str]) -> str:
    """A hash of the named fields of a record as received, null and "" alike.

    Two reads of an unchanged record agree; an edit of a field that is not named does not change it.
    """
    inputs = {name: values.get(name) if values.get(name) != "" else None for name in names}
    return hashlib.sha256(orjson.dumps(inputs, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
