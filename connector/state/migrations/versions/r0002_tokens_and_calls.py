"""Refresh tokens that change with each use, calls by quarter of an hour, and the account's time zone.

Revision ID: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "refresh_tokens",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("initial", sa.String(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("connection"),
    )
    op.create_table(
        "calls",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("slot", sa.DateTime(timezone=True), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "slot"),
    )
    op.add_column("connections", sa.Column("time_zone", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("connections", "time_zone")
    op.drop_table("calls")
    op.drop_table("refresh_tokens")
