"""What the CRM holds of our fields beside those of deals; parents of accounts; grain and action of each write.

Revision ID: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "scorecard_rows",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=True),
        sa.Column("version", sa.String(), nullable=True),
        sa.Column("observed", sa.JSON(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "id"),
    )
    op.create_index("scorecard_rows_by_key", "scorecard_rows", ["connection", "key"])
    op.add_column("accounts", sa.Column("parent", sa.String(), nullable=True))
    op.add_column("writes", sa.Column("grain", sa.String(), nullable=False, server_default="opportunity"))
    op.add_column("writes", sa.Column("action", sa.String(), nullable=False, server_default="update"))


def downgrade() -> None:
    op.drop_column("writes", "action")
    op.drop_column("writes", "grain")
    op.drop_column("accounts", "parent")
    op.drop_index("scorecard_rows_by_key", "scorecard_rows")
    op.drop_table("scorecard_rows")
