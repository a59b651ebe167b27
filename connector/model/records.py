"""Canonical records, one class per canonical table. A class's fields are the columns of its table in the state.

Instants are aware UTC, dates are local to the org, money is Decimal in the record's own currency, unknown is None.
``id`` is the CRM's id; the state adds the connection in front of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar, Literal

DealType = Literal["new_business", "expansion", "renewal", "pilot", "other"]
Segment = str
Topic = Literal[
    "discovery", "demo", "presentation", "workshop", "clinical", "case", "vac", "security", "legal",
    "procurement", "executive", "follow_up", "kol", "internal", "other",
]  # fmt: skip
Outcome = Literal["held", "no_show", "canceled", "rescheduled", "connected", "not_connected", "unknown"]
GateResult = Literal["approved", "denied", "tabled", "withdrawn"]
Requirement = Literal["required", "not_required", "unknown"]
Severity = Literal["critical", "high", "low"]
ChangedField = Literal["stage", "pipeline", "closes_on", "amount", "owner"]

PERSONAS: Mapping[str, str] = {
    "surgeon_champion": "Surgeon champion",
    "clinical_leader": "Clinical leader",
    "cmio": "CMIO",
    "vp_it": "VP IT / CIO",
    "security": "Security",
    "compliance": "Compliance",
    "legal": "Legal",
    "cfo": "CFO",
    "value_analysis": "Value analysis",
    "procurement": "Procurement",
    "gpo": "GPO",
    "executive_sponsor": "Executive sponsor",
    "reimbursement": "Reimbursement",
    "end_user": "End user",
    "partner": "Partner",
}
STANCES = ("champion", "coach", "blocker", "neutral")


@dataclass(frozen=True, slots=True)
class Owner:
    TABLE: ClassVar[str] = "owners"
    id: str
    name: str | None = None
    active: bool = True
    key: str | None = None  # how input files name the record, where the mapping says so
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    TABLE: ClassVar[str] = "accounts"
    id: str
    name: str | None = None
    segment: str | None = None
    territory: str | None = None
    region: str | None = None
    reference: bool | None = None
    parent: str | None = None
    key: str | None = None
    merged_into: str | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Contact:
    """No name, no address: id, account, title, resolved persona and flags are all that is kept."""

    TABLE: ClassVar[str] = "contacts"
    id: str
    account: str | None = None
    title: str | None = None
    persona: str | None = None
    stance: str | None = None
    kol: bool | None = None
    key: str | None = None
    merged_into: str | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Opportunity:
    TABLE: ClassVar[str] = "opportunities"
    id: str
    name: str | None = None
    account: str | None = None
    owner: str | None = None
    native_pipeline: str | None = None  # record type developer name or pipeline id, as the CRM has it
    raw_stage: str | None = None  # stage ApiName or stage id, as the CRM has it
    deal_type: str | None = None
    amount: Decimal | None = None
    arr: Decimal | None = None
    capital_amount: Decimal | None = None
    projected_pull_through: Decimal | None = None
    currency: str | None = None
    probability: Decimal | None = None  # 0–1
    created_at: datetime | None = None
    closes_on: date | None = None
    lead_source: str | None = None
    product: str | None = None
    has_next_step: bool | None = None
    primary_contact: bool | None = None
    lost_reason: str | None = None
    contract_years: Decimal | None = None
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
    version: str | None = None  # SystemModstamp or updatedAt as received
    inputs_hash: str | None = None  # of the mapped input fields as received, see crms.base.inputs_hash
    dimensions: Mapping[str, str | None] = field(default_factory=dict)  # name of the mapping's own → value
    observed: Mapping[str, str | None] = field(default_factory=dict)  # scorecard field → value in wire text, as the CRM holds it
    merged_into: str | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One version of one deal field as the CRM's history tells it. Stage and pipeline stay raw: maps are applied when a book is built."""

    TABLE: ClassVar[str] = "changes"
    id: str  # history row id, or property@timestamp
    opportunity: str
    field: str  # ChangedField
    value: str | None
    at: datetime
    by: str | None = None


@dataclass(frozen=True, slots=True)
class GateEvidence:
    """What the deal's own fields say of one gate now. ``observed``: result is dated by the sync that first saw it."""

    TABLE: ClassVar[str] = "gates"
    opportunity: str
    gate: str
    opened_on: date | None = None
    decided_on: date | None = None
    result: str | None = None
    required: str | None = None
    dated_by: str = "fields"  # fields | observation
    status: str | None = None  # the mapped status as received, for the observation log


@dataclass(frozen=True, slots=True)
class ContactRole:
    """A contact's part in a deal; a contact may have several. ``added_on`` is None where the CRM keeps no date; the state then keeps ``first_seen``.

    ``id`` tells the roles of a deal apart: the CRM's id of the role, ``field of deal`` for a lookup, the contact's own id where nothing is given.
    """

    TABLE: ClassVar[str] = "contact_roles"
    opportunity: str
    contact: str
    role: str | None = None  # label or labels as received, joined by "; "
    persona: str | None = None  # from the role or label; None: the contact's own
    stance: str | None = None
    primary: bool | None = None
    added_on: date | None = None
    id: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", self.contact)


@dataclass(frozen=True, slots=True)
class Activity:
    """One activity on one deal: an activity linked to two deals is two rows with one id. Subjects and bodies are never kept.

    ``twin``: id of the other record that the CRM keeps of the same thing (Salesforce: the task beside an e-mail).
    """

    TABLE: ClassVar[str] = "activities"
    id: str
    opportunity: str | None
    kind: str  # meeting | call | email | task
    direction: str | None = None  # inbound | outbound
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
    participants: tuple[str, ...] = ()
    twin: str | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Lead:
    """How far a lead came, by local dates, and the deal it led to. Nothing of the person is kept."""

    TABLE: ClassVar[str] = "leads"
    id: str
    lead_source: str | None = None
    mql_on: date | None = None
    sql_on: date | None = None
    sqo_on: date | None = None
    opportunity: str | None = None
    merged_into: str | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Ticket:
    """A support case: whose, since when, how bad. Its subject and body are never read."""

    TABLE: ClassVar[str] = "tickets"
    id: str
    account: str | None = None
    severity: str | None = None
    opened_on: date | None = None
    merged_into: str | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class LineItem:
    """One product on a deal; ``amount`` in the deal's currency."""

    TABLE: ClassVar[str] = "line_items"
    id: str
    opportunity: str | None = None
    product: str | None = None
    family: str | None = None
    quantity: Decimal | None = None
    amount: Decimal | None = None
    on: date | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class ScorecardRow:
    """What the CRM holds of our fields on a record that is no deal: an account, a contact, a record of an object of ours.

    ``id``: object and id of the record (``Account:001…``); ``key``: what records of our objects are found by; ``observed``: see Opportunity.
    """

    TABLE: ClassVar[str] = "scorecard_rows"
    id: str
    key: str | None = None
    version: str | None = None
    observed: Mapping[str, str | None] = field(default_factory=dict)
    deleted: bool = False


CanonicalRecord = Owner | Account | Contact | Opportunity | Change | GateEvidence | ContactRole | Activity | Lead | Ticket | LineItem | ScorecardRow
CLASSES = (Owner, Account, Contact, Opportunity, Change, GateEvidence, ContactRole, Activity, Lead, Ticket, LineItem, ScorecardRow)
TABLES: Mapping[str, type[CanonicalRecord]] = {cls.TABLE: cls for cls in CLASSES}
KEYS: Mapping[str, tuple[str, ...]] = {
    "owners": ("id",),
    "accounts": ("id",),
    "contacts": ("id",),
    "opportunities": ("id",),
    "changes": ("opportunity", "field", "id"),
    "gates": ("opportunity", "gate"),
    "contact_roles": ("opportunity", "id"),
    "activities": ("id", "opportunity"),
    "leads": ("id",),
    "tickets": ("id",),
    "line_items": ("id",),
    "scorecard_rows": ("id",),
}


def columns(table: str) -> tuple[str, ...]:
    """The column names of a canonical table, in order."""
    return tuple(f.name for f in fields(TABLES[table]))


@dataclass(frozen=True, slots=True)
class Replace:
    """Before the rows of this mapping are stored, rows of ``table`` whose ``column`` equals ``value`` go: the new set is the whole set."""

    table: str
    column: str
    value: str


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The CRM says this record is gone, or merged into another one."""

    table: str
    id: str
    merged_into: str | None = None


@dataclass(frozen=True, slots=True)
class Mapped:
    """What one CRM record becomes: rows to upsert, sets to replace first, tombstones."""

    rows: tuple[CanonicalRecord, ...] = ()
    replaces: tuple[Replace, ...] = ()
    tombstones: tuple[Tombstone, ...] = ()


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record or update that did not get through. Codes and field names, never values. ``attempt``: hash of a refused update."""

    stream: str
    record: str
    code: str
    message: str
    field: str | None = None
    attempt: str | None = None
