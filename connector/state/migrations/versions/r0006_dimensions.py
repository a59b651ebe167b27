"""Dimensions that a mapping adds to deals.

Revision ID: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("opportunities", sa.Column("dimensions", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    op.drop_column("opportunities", "dimensions")
