"""Leads, tickets, line items; comparison with the CRM's own count; schema snapshots; what the last pull had to say.

Revision ID: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _sections()
    op.add_column("activities", sa.Column("twin", sa.String(), nullable=True))
    op.create_table(
        "set_aside",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("stream", sa.String(), nullable=False),
        sa.Column("record", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "stream", "record"),
    )
    op.create_table(
        "reconciliations",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("stream", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("live", sa.Integer(), nullable=False),
        sa.Column("held", sa.Integer(), nullable=False),
        sa.Column("gone", sa.Integer(), nullable=False),
        sa.Column("missing", sa.Integer(), nullable=False),
        sa.Column("vanished", sa.Integer(), nullable=False),
        sa.Column("examples", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "stream"),
    )
    op.create_table(
        "schema_snapshots",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("object", sa.String(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "object"),
    )
    op.create_table(
        "pull_findings",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("next", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("connection", "number"),
    )


def _sections() -> None:
    op.create_table(
        "leads",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("lead_source", sa.String(), nullable=True),
        sa.Column("mql_on", sa.Date(), nullable=True),
        sa.Column("sql_on", sa.Date(), nullable=True),
        sa.Column("sqo_on", sa.Date(), nullable=True),
        sa.Column("opportunity", sa.String(), nullable=True),
        sa.Column("merged_into", sa.String(), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "id"),
    )
    op.create_table(
        "tickets",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=True),
        sa.Column("severity", sa.String(), nullable=True),
        sa.Column("opened_on", sa.Date(), nullable=True),
        sa.Column("merged_into", sa.String(), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "id"),
    )
    op.create_table(
        "line_items",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("opportunity", sa.String(), nullable=True),
        sa.Column("product", sa.String(), nullable=True),
        sa.Column("family", sa.String(), nullable=True),
        sa.Column("quantity", sa.Text(), nullable=True),
        sa.Column("amount", sa.Text(), nullable=True),
        sa.Column("on", sa.Date(), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "id"),
    )


def downgrade() -> None:
    for name in ("pull_findings", "schema_snapshots", "reconciliations", "set_aside"):
        op.drop_table(name)
    op.drop_column("activities", "twin")
    for name in ("line_items", "tickets", "leads"):
        op.drop_table(name)
