"""Addresses in the audit; when a dead letter was resolved and a plan decided; what was last seen of settings, mapping and secrets.

Revision ID: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("audit", sa.Column("address", sa.String(), nullable=True))
    op.add_column("dead_letters", sa.Column("resolved_at", sa.DateTime(), nullable=True))
    op.add_column("plans", sa.Column("decided_at", sa.DateTime(), nullable=True))
    op.create_table(
        "witnessed",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def downgrade() -> None:
    op.drop_table("witnessed")
    op.drop_column("plans", "decided_at")
    op.drop_column("dead_letters", "resolved_at")
    op.drop_column("audit", "address")
