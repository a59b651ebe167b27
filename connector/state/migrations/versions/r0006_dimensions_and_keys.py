"""Dimensions that a mapping adds to deals, and the keys by which input files name records.

Revision ID: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
KEYED = ("owners", "accounts", "contacts", "opportunities")


def upgrade() -> None:
    op.add_column("opportunities", sa.Column("dimensions", sa.JSON(), nullable=False, server_default="{}"))
    for table in KEYED:
        op.add_column(table, sa.Column("key", sa.String(), nullable=True))


def downgrade() -> None:
    for table in KEYED:
        op.drop_column(table, "key")
    op.drop_column("opportunities", "dimensions")
