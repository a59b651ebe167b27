"""What the connector keeps of its own doing: connections, runs, plans, writes, what was told to whom."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, Index, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from connector.state.tables.columns import json_column, key_column, wire_column


class Connections(SQLModel, table=True):
    """What is known of a connection as such. ``latched_*``: the CRM refused the credential for good; ``latched_credential``
    is a hash of the credential that was refused, so that another one may try. ``time_zone``: the account's own."""

    __tablename__ = "connections"
    connection: str = key_column()
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
    connection: str = key_column()
    token: str
    initial: str
    saved_at: datetime


class Calls(SQLModel, table=True):
    """Our own API calls by quarter of an hour (``slot``: its begin, UTC), running processes included."""

    __tablename__ = "calls"
    connection: str = key_column()
    slot: datetime = key_column()
    calls: int


class Bookmarks(SQLModel, table=True):
    """How far a stream has been read, and under which mapping (``fingerprint``)."""

    __tablename__ = "bookmarks"
    connection: str = key_column()
    stream: str = key_column()
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
    summary: dict[str, Any] | None = json_column()
    error_code: str | None = None
    error_message: str | None = None


class RunStreams(SQLModel, table=True):
    """What one stream did in one run. ``complete``: it was read from nothing, so its row count compares with such reads only."""

    __tablename__ = "run_streams"
    run: int = key_column()
    stream: str = key_column()
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
    connection: str = key_column()
    stream: str = key_column()
    record: str = key_column()


class Reconciliations(SQLModel, table=True):
    """The last comparison of a stream with the CRM's own count, on the CRM's clock. ``held``: what the state had of ``live``;
    ``gone``: tombstones it led to; ``missing``: records that the CRM has and the state has not; ``vanished``: so many gone at once
    that they were left alone; ``examples``: ids of some."""

    __tablename__ = "reconciliations"
    connection: str = key_column()
    stream: str = key_column()
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
    connection: str = key_column()
    object: str = key_column()
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
    connection: str = key_column()
    number: int = key_column()
    code: str
    severity: str
    message: str
    next: str | None = None


class Leases(SQLModel, table=True):
    """Who works on a stream. Rows stay after release (``owner`` empty), so that ``fence`` only ever rises."""

    __tablename__ = "leases"
    connection: str = key_column()
    stream: str = key_column()
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
    id: str = key_column()
    created_at: datetime
    as_of: datetime | None = None
    status: str
    path: str
    sha256: str
    summary: dict[str, Any] | None = json_column()
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
    before: Any = wire_column()
    after: Any = wire_column()
    status: str = "pending"
    code: str | None = None
    message: str | None = None
    at: datetime
    scrubbed: bool = False


class Observations(SQLModel, table=True):
    """Our own history of fields that have none in the CRM. ``source``: baseline (there when the gate was first read) or sync."""

    __tablename__ = "observations"
    __table_args__ = (Index("observations_by_field", "connection", "field", "first_seen"),)
    connection: str = key_column()
    opportunity: str = key_column()
    field: str = key_column()
    first_seen: datetime = key_column()
    value: str | None = None
    source: str


class Snapshots(SQLModel, table=True):
    """Own measures of past days. ``variant`` and ``window`` are empty text where a measure has none."""

    __tablename__ = "snapshots"
    connection: str = key_column()
    kpi: str = key_column()
    variant: str = key_column()
    subject: str = key_column()
    window: str = key_column()
    on: date = key_column()
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    n: int | None = None


class Breaches(SQLModel, table=True):
    """Targets that are missed now, as the last book said. ``place``: 0 is the worst."""

    __tablename__ = "breaches"
    connection: str = key_column()
    target: str = key_column()
    subject: str = key_column()
    place: int
    content: dict[str, Any] = Field(sa_type=JSON)


class AlertsTold(SQLModel, table=True):
    """What a channel of alerts was last told of a missed target, or of a plan that waits (``target``: plan; ``subject``: its number);
    ``over``: that it is missed, or waits, no longer."""

    __tablename__ = "alerts_told"
    channel: str = key_column()
    connection: str = key_column()
    target: str = key_column()
    subject: str = key_column()
    over: bool
    at: datetime
    content: dict[str, Any] = Field(sa_type=JSON)


class Pauses(SQLModel, table=True):
    """Connections that may not be written to until somebody resumes them."""

    __tablename__ = "pauses"
    connection: str = key_column()
    reason: str
    since: datetime


class Audit(SQLModel, table=True):
    """Who did what: only ever added to, each row with the hash of the one before. Text throughout, so that every byte is under the hash."""

    __tablename__ = "audit"
    seq: int = key_column()
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
    name: str = key_column()
    digest: str
    at: datetime
