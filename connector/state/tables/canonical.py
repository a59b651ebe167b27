"""What was pulled: the fields of ``connector.model.records`` under the same names, and the rows of our own objects as the CRM holds them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, Index, Table
from sqlmodel import Field, SQLModel

from connector.state.tables.columns import key_column, money_column, table


class Owners(SQLModel, table=True):
    __tablename__ = "owners"
    connection: str = key_column()
    id: str = key_column()
    name: str | None = None
    active: bool = True
    key: str | None = None
    deleted: bool = False


class Accounts(SQLModel, table=True):
    __tablename__ = "accounts"
    connection: str = key_column()
    id: str = key_column()
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
    connection: str = key_column()
    id: str = key_column()
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
    connection: str = key_column()
    id: str = key_column()
    name: str | None = None
    account: str | None = None
    owner: str | None = None
    native_pipeline: str | None = None
    raw_stage: str | None = None
    deal_type: str | None = None
    amount: Decimal | None = money_column()
    arr: Decimal | None = money_column()
    capital_amount: Decimal | None = money_column()
    projected_pull_through: Decimal | None = money_column()
    currency: str | None = None
    probability: Decimal | None = money_column()
    created_at: datetime | None = None
    closes_on: date | None = None
    lead_source: str | None = None
    product: str | None = None
    has_next_step: bool | None = None
    primary_contact: bool | None = None
    lost_reason: str | None = None
    contract_years: Decimal | None = money_column()
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
    connection: str = key_column()
    opportunity: str = key_column()
    field: str = key_column()
    id: str = key_column()
    value: str | None = None
    at: datetime
    by: str | None = None


class Gates(SQLModel, table=True):
    __tablename__ = "gates"
    connection: str = key_column()
    opportunity: str = key_column()
    gate: str = key_column()
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
    connection: str = key_column()
    opportunity: str = key_column()
    id: str = key_column()
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
    connection: str = key_column()
    id: str = key_column()
    opportunity: str = key_column()
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
    connection: str = key_column()
    id: str = key_column()
    lead_source: str | None = None
    mql_on: date | None = None
    sql_on: date | None = None
    sqo_on: date | None = None
    opportunity: str | None = None
    merged_into: str | None = None
    deleted: bool = False


class Tickets(SQLModel, table=True):
    __tablename__ = "tickets"
    connection: str = key_column()
    id: str = key_column()
    account: str | None = None
    severity: str | None = None
    opened_on: date | None = None
    merged_into: str | None = None
    deleted: bool = False


class LineItems(SQLModel, table=True):
    __tablename__ = "line_items"
    connection: str = key_column()
    id: str = key_column()
    opportunity: str | None = None
    product: str | None = None
    family: str | None = None
    quantity: Decimal | None = money_column()
    amount: Decimal | None = money_column()
    on: date | None = None
    deleted: bool = False


class ScorecardRows(SQLModel, table=True):
    __tablename__ = "scorecard_rows"
    __table_args__ = (Index("scorecard_rows_by_key", "connection", "key"),)
    connection: str = key_column()
    id: str = key_column()
    key: str | None = None
    version: str | None = None
    observed: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    deleted: bool = False


CANONICAL: dict[str, Table] = {
    str(model.__tablename__): table(model)
    for model in (Owners, Accounts, Contacts, Opportunities, Changes, Gates, ContactRoles, Activities, Leads, Tickets, LineItems, ScorecardRows)
}
