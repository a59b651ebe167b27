"""Every table of the state, declared. ``connection`` is the first part of every key: two orgs never share a row.

Canonical tables hold the fields of ``connector.model.records`` under the same names. Instants are aware UTC (naive ones are
refused), dates are ISO text, money is text, so that no digit is lost. Pages are written with Core statements, never as objects.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import JSON, Dialect, Index, Table, Text, TypeDecorator, UniqueConstraint
from sqlmodel import Field, SQLModel


class DecimalText(TypeDecorator[Decimal]):
    """A Decimal, digit for digit. SQLite's own NUMERIC is a float."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class WireText(TypeDecorator[Any]):
    """A JSON scalar as text, so that 10, 10.0 and "10" stay three values. SQLite would read text in a JSON column as a number."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else orjson.loads(value)


def _wire() -> Any:
    return Field(default=None, sa_type=WireText, nullable=True)


def _money() -> Any:
    return Field(default=None, sa_type=DecimalText)


def _json() -> Any:
    return Field(default=None, sa_type=JSON(none_as_null=True))


def _key() -> Any:
    return Field(primary_key=True)


# -- canonical tables: the fields of model.records ---------------------------------------------------------------


class Owners(SQLModel, table=True):
    __tablename__ = "owners"
    connection: str = _key()
    id: str = _key()
    name: str | None = None
    active: bool = True
    key: str | None = None
    deleted: bool = False


class Accounts(SQLModel, table=True):
    __tablename__ = "accounts"
    connection: str = _key()
    id: str = _key()
    name: str | None = None
    segment: str | None = None
    territory: str | None = None
    region: str | None = None
    reference: bool | None = None
    parent: str | None = None
    key: str | None = None
    merged_into: str | None = None
    deleted: bool = False


class Contacts(SQLModel, table=True):
    __tablename__ = "contacts"
    connection: str = _key()
    id: str = _key()
    account: str | None = None
    title: str | None = None
    persona: str | None = None
    stance: str | None = None
    kol: bool | None = None
    key: str | None = None
    merged_into: str | None = None
    deleted: bool = False


class Opportunities(SQLModel, table=True):
    __tablename__ = "opportunities"
    connection: str = _key()
    id: str = _key()
    name: str | None = None
    account: str | None = None
    owner: str | None = None
    native_pipeline: str | None = None
    raw_stage: str | None = None
    deal_type: str | None = None
    amount: Decimal | None = _money()
    arr: Decimal | None = _money()
    capital_amount: Decimal | None = _money()
    projected_pull_through: Decimal | None = _money()
    currency: str | None = None
    probability: Decimal | None = _money()
    created_at: datetime | None = None
    closes_on: date | None = None
    lead_source: str | None = None
    product: str | None = None
    has_next_step: bool | None = None
    primary_contact: bool | None = None
    lost_reason: str | None = None
    contract_years: Decimal | None = _money()
    segment: str | None = None
    territory: str | None = None
    standard_terms: bool | None = None
    baa: bool | None = None
    proposal_sent_on: date | None = None
    loi_signed_on: date | None = None
    secq_received_on: date | None = None
    secq_returned_on: date | None = None
    legal_sent_on: date | None = None
    legal_signed_on: date | None = None
    baa_on: date | None = None
    pilot_started_on: date | None = None
    pilot_ended_on: date | None = None
    go_live_on: date | None = None
    first_order_on: date | None = None
    first_case_on: date | None = None
    cleared_on: date | None = None
    key: str | None = None
    modified_at: datetime | None = None
    version: str | None = None
    inputs_hash: str | None = None
    dimensions: dict[str, str | None] = Field(default_factory=dict, sa_type=JSON, sa_column_kwargs={"server_default": "{}"})
    observed: dict[str, str | None] = Field(default_factory=dict, sa_type=JSON)
    merged_into: str | None = None
    deleted: bool = False


class Changes(SQLModel, table=True):
    __tablename__ = "changes"
    connection: str = _key()
    opportunity: str = _key()
    field: str = _key()
    id: str = _key()
    value: str | None = None
    at: datetime
    by: str | None = None


class Gates(SQLModel, table=True):
    __tablename__ = "gates"
    connection: str = _key()
    opportunity: str = _key()
    gate: str = _key()
    opened_on: date | None = None
    decided_on: date | None = None
    result: str | None = None
    required: str | None = None
    dated_by: str = "fields"
    status: str | None = None


class ContactRoles(SQLModel, table=True):
    """``first_seen``: when a pull first saw this contact on this deal, on the CRM's clock; it survives every later replacement of
    the set. None: it was there when its deal was first read, so that nobody knows since when."""

    __tablename__ = "contact_roles"
    connection: str = _key()
    opportunity: str = _key()
    id: str = _key()
    contact: str
    role: str | None = None
    persona: str | None = None
    stance: str | None = None
    primary: bool | None = None
    added_on: date | None = None
    first_seen: datetime | None = None


class Activities(SQLModel, table=True):
    """``opportunity`` is the empty text where the activity hangs on no deal: it is part of the key."""

    __tablename__ = "activities"
    __table_args__ = (Index("activities_by_opportunity", "connection", "opportunity"),)
    connection: str = _key()
    id: str = _key()
    opportunity: str = _key()
    kind: str
    direction: str | None = None
    topic: str | None = None
    at: datetime | None = None
    on: date | None = None
    owner: str | None = None
    contact: str | None = None
    account: str | None = None
    outcome: str | None = None
    created_by: str | None = None
    due_on: date | None = None
    completed_on: date | None = None
    participants: list[str] = Field(default_factory=list, sa_type=JSON)
    twin: str | None = None
    deleted: bool = False


class Leads(SQLModel, table=True):
    __tablename__ = "leads"
    connection: str = _key()
    id: str = _key()
    lead_source: str | None = None
    mql_on: date | None = None
    sql_on: date | None = None
    sqo_on: date | None = None
    opportunity: str | None = None
    merged_into: str | None = None
    deleted: bool = False


class Tickets(SQLModel, table=True):
    __tablename__ = "tickets"
    connection: str = _key()
    id: str = _key()
    account: str | None = None
    severity: str | None = None
    opened_on: date | None = None
    merged_into: str | None = None
    deleted: bool = False


class LineItems(SQLModel, table=True):
    __tablename__ = "line_items"
    connection: str = _key()
    id: str = _key()
    opportunity: str | None = None
    product: str | None = None
    family: str | None = None
    quantity: Decimal | None = _money()
    amount: Decimal | None = _money()
    on: date | None = None
    deleted: bool = False


class ScorecardRows(SQLModel, table=True):
    __tablename__ = "scorecard_rows"
    __table_args__ = (Index("scorecard_rows_by_key", "connection", "key"),)
    connection: str = _key()
    id: str = _key()
    key: str | None = None
    version: str | None = None
    observed: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    deleted: bool = False


# -- control tables ----------------------------------------------------------------------------------------------


class Connections(SQLModel, table=True):
    """What is known of a connection as such. ``latched_*``: the CRM refused the credential for good; ``latched_credential``
    is a hash of the credential that was refused, so that another one may try. ``time_zone``: the account's own."""

    __tablename__ = "connections"
    connection: str = _key()
    org_id: str | None = None
    checked_at: datetime | None = None
    latched_code: str | None = None
    latched_message: str | None = None
    latched_credential: str | None = None
    latched_at: datetime | None = None
    time_zone: str | None = None


class RefreshTokens(SQLModel, table=True):
    """The newest refresh token, encrypted. ``initial``: hash of the one in the environment from which it descends."""

    __tablename__ = "refresh_tokens"
    connection: str = _key()
    token: str
    initial: str
    saved_at: datetime


class Calls(SQLModel, table=True):
    """Our own API calls by quarter of an hour (``slot``: its begin, UTC), running processes included."""

    __tablename__ = "calls"
    connection: str = _key()
    slot: datetime = _key()
    calls: int


class Bookmarks(SQLModel, table=True):
    """How far a stream has been read, and under which mapping (``fingerprint``)."""

    __tablename__ = "bookmarks"
    connection: str = _key()
    stream: str = _key()
    bookmark: dict[str, str] = Field(sa_type=JSON)
    fingerprint: str | None = None
    updated_at: datetime


class Runs(SQLModel, table=True):
    """``kind``: pull, push, sync, rollback; ``status``: running, ok, partial, failed, blocked, interrupted."""

    __tablename__ = "runs"
    __table_args__ = (Index("runs_by_connection", "connection", "id"),)
    id: int | None = Field(default=None, primary_key=True)
    connection: str
    kind: str
    status: str
    started_at: datetime
    ended_at: datetime | None = None
    trigger: str
    as_of: datetime | None = None
    summary: dict[str, Any] | None = _json()
    error_code: str | None = None
    error_message: str | None = None


class RunStreams(SQLModel, table=True):
    """What one stream did in one run. ``complete``: it was read from nothing, so its row count compares with such reads only."""

    __tablename__ = "run_streams"
    run: int = _key()
    stream: str = _key()
    complete: bool = False
    pages: int = 0
    records: int = 0
    upserts: int = 0
    deleted: int = 0
    dead_letters: int = 0
    calls: int = 0
    seconds: float = 0.0


class SetAside(SQLModel, table=True):
    """Records that were read and become no row, because the mapping leaves them out (robots, copies): ids only, so that counts add up."""

    __tablename__ = "set_aside"
    connection: str = _key()
    stream: str = _key()
    record: str = _key()


class Reconciliations(SQLModel, table=True):
    """The last comparison of a stream with the CRM's own count, on the CRM's clock. ``held``: what the state had of ``live``;
    ``gone``: tombstones it led to; ``missing``: records that the CRM has and the state has not; ``vanished``: so many gone at once
    that they were left alone; ``examples``: ids of some."""

    __tablename__ = "reconciliations"
    connection: str = _key()
    stream: str = _key()
    at: datetime
    live: int
    held: int
    gone: int = 0
    missing: int = 0
    vanished: int = 0
    examples: list[str] = Field(default_factory=list, sa_type=JSON)


class SchemaSnapshots(SQLModel, table=True):
    """The part of a CRM's schema that a connection uses, as last accepted: canonical and sorted. ``object`` is ``pipelines`` for these."""

    __tablename__ = "schema_snapshots"
    connection: str = _key()
    object: str = _key()
    taken_at: datetime
    content: dict[str, Any] = Field(sa_type=JSON)


class ExchangeRates(SQLModel, table=True):
    """The CRM's own exchange rates as last read: [currency, day, units of ``home`` for one unit], the number as text."""

    __tablename__ = "exchange_rates"
    connection: str = Field(primary_key=True)
    taken_at: datetime
    home: str
    content: list[list[str]] = Field(sa_type=JSON)


class FindingsKept(SQLModel, table=True):
    """What the last pull of a connection had to say, for status: one finding a row, in order."""

    __tablename__ = "pull_findings"
    connection: str = _key()
    number: int = _key()
    code: str
    severity: str
    message: str
    next: str | None = None


class Leases(SQLModel, table=True):
    """Who works on a stream. Rows stay after release (``owner`` empty), so that ``fence`` only ever rises."""

    __tablename__ = "leases"
    connection: str = _key()
    stream: str = _key()
    owner: str | None = None
    fence: int
    expires_at: datetime


class DeadLetters(SQLModel, table=True):
    """Records and updates that did not get through: codes and field names, never values. ``status``: open, ignored, resolved.

    ``attempt``: hash of an update that the CRM refused, and of the version it was meant for; ``refusals``: how often it refused just that."""

    __tablename__ = "dead_letters"
    __table_args__ = (UniqueConstraint("connection", "stream", "record", "code", name="one_dead_letter"),)
    id: int | None = Field(default=None, primary_key=True)
    connection: str
    stream: str
    record: str
    code: str
    field: str | None = None
    message: str
    run: int | None = None
    first_at: datetime
    last_at: datetime
    count: int = 1
    status: str = "open"
    ignored_until: datetime | None = None
    reason: str | None = None
    attempt: str | None = None
    refusals: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    resolved_at: datetime | None = None


class Plans(SQLModel, table=True):
    """``status``: saved, awaiting, approved, applied, partial, rejected, superseded. ``sha256`` is that of the file at ``path``."""

    __tablename__ = "plans"
    id: str = _key()
    created_at: datetime
    as_of: datetime | None = None
    status: str
    path: str
    sha256: str
    summary: dict[str, Any] | None = _json()
    reason: str | None = None
    decided_at: datetime | None = None


class Writes(SQLModel, table=True):
    """The ledger: one row per record and field, there with the before-image before the first byte is sent.

    ``record``: its id, or the key of a record of an object of ours; ``action``: update, create, remove.
    ``status``: pending, written, rejected, skipped, unknown (nobody can tell: a crash, and an edit or deletion since), expired (written, and the
    last that was written there; what was there before is kept no longer).
    ``scrubbed``: the record was deleted in the CRM, its values are gone here too.
    """

    __tablename__ = "writes"
    __table_args__ = (Index("writes_by_run", "run", "connection", "record"), Index("writes_by_record", "connection", "record"))
    id: int | None = Field(default=None, primary_key=True)
    run: int
    plan: str
    connection: str
    object: str
    grain: str = Field(default="opportunity", sa_column_kwargs={"server_default": "opportunity"})
    action: str = Field(default="update", sa_column_kwargs={"server_default": "update"})
    record: str
    field: str
    before: Any = _wire()
    after: Any = _wire()
    status: str = "pending"
    code: str | None = None
    message: str | None = None
    at: datetime
    scrubbed: bool = False


class Observations(SQLModel, table=True):
    """Our own history of fields that have none in the CRM. ``source``: baseline (there when the gate was first read) or sync."""

    __tablename__ = "observations"
    __table_args__ = (Index("observations_by_field", "connection", "field", "first_seen"),)
    connection: str = _key()
    opportunity: str = _key()
    field: str = _key()
    first_seen: datetime = _key()
    value: str | None = None
    source: str


class Snapshots(SQLModel, table=True):
    """Own measures of past days. ``variant`` and ``window`` are empty text where a measure has none."""

    __tablename__ = "snapshots"
    connection: str = _key()
    kpi: str = _key()
    variant: str = _key()
    subject: str = _key()
    window: str = _key()
    on: date = _key()
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    n: int | None = None


class Breaches(SQLModel, table=True):
    """Targets that are missed now, as the last book said. ``place``: 0 is the worst."""

    __tablename__ = "breaches"
    connection: str = _key()
    target: str = _key()
    subject: str = _key()
    place: int
    content: dict[str, Any] = Field(sa_type=JSON)


class AlertsTold(SQLModel, table=True):
    """What a channel of alerts was last told of a missed target, or of a plan that waits (``target``: plan; ``subject``: its number);
    ``over``: that it is missed, or waits, no longer."""

    __tablename__ = "alerts_told"
    channel: str = _key()
    connection: str = _key()
    target: str = _key()
    subject: str = _key()
    over: bool
    at: datetime
    content: dict[str, Any] = Field(sa_type=JSON)


class StagesSeen(SQLModel, table=True):
    """Stages that the CRM has offered, with the days between which it did."""

    __tablename__ = "stages_seen"
    connection: str = _key()
    pipeline: str = _key()
    stage: str = _key()
    label: str
    active: bool = True
    first_seen: datetime
    last_seen: datetime


class Pauses(SQLModel, table=True):
    """Connections that may not be written to until somebody resumes them."""

    __tablename__ = "pauses"
    connection: str = _key()
    reason: str
    since: datetime


class Audit(SQLModel, table=True):
    """Who did what: only ever added to, each row with the hash of the one before. Text throughout, so that every byte is under the hash."""

    __tablename__ = "audit"
    seq: int = _key()
    at: str
    actor: str
    address: str | None = None
    action: str
    subject: str
    detail: str = Field(sa_type=Text)
    previous: str
    hash: str


class Witnessed(SQLModel, table=True):
    """What the last run found of what people change outside the state: settings, mapping, secrets. ``digest``: a hash, of secrets a salted one."""

    __tablename__ = "witnessed"
    name: str = _key()
    digest: str
    at: datetime


def table(model: type[SQLModel]) -> Table:
    """The Core table of a declared class."""
    found = SQLModel.metadata.tables[str(model.__tablename__)]
    assert isinstance(found, Table)
    return found


METADATA = SQLModel.metadata
CANONICAL: dict[str, Table] = {
    str(model.__tablename__): table(model)
    for model in (Owners, Accounts, Contacts, Opportunities, Changes, Gates, ContactRoles, Activities, Leads, Tickets, LineItems, ScorecardRows)
}
