"""Contact roles by their own id: a contact may have several on one deal.

Roles of HubSpot and contacts named by lookups keep their rows. Salesforce's role records go, since their ids were never kept; so do
the bookmarks of their streams, so that the next pull reads them all again.

Revision ID: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

LOOKUP = "role LIKE '% of ' || opportunity"
NUMERIC = "contact NOT GLOB '*[^0-9]*'"
"""HubSpot's ids are numbers, Salesforce's are not."""


def upgrade() -> None:
    op.rename_table("contact_roles", "contact_roles_before")
    _table("id")
    op.execute(
        f"""INSERT INTO contact_roles (connection, opportunity, id, contact, role, persona, stance, "primary", added_on, first_seen)
        SELECT connection, opportunity, CASE WHEN {LOOKUP} THEN role ELSE contact END, contact, role, persona, stance, "primary", added_on, first_seen
        FROM contact_roles_before WHERE {LOOKUP} OR {NUMERIC}"""
    )
    op.execute(
        f"""DELETE FROM bookmarks WHERE stream = 'contact_roles' AND connection IN
        (SELECT connection FROM contact_roles_before WHERE NOT ({NUMERIC}))"""
    )
    op.drop_table("contact_roles_before")


def downgrade() -> None:
    op.rename_table("contact_roles", "contact_roles_after")
    _table("contact")
    op.execute(
        """INSERT OR IGNORE INTO contact_roles (connection, opportunity, contact, role, persona, stance, "primary", added_on, first_seen)
        SELECT connection, opportunity, contact, role, persona, stance, "primary", added_on, first_seen FROM contact_roles_after"""
    )
    op.drop_table("contact_roles_after")


def _table(key: str) -> None:
    """The table with this last part of its key: ``id``, or ``contact`` as it was."""
    own = [sa.Column("id", sa.String(), nullable=False)] if key == "id" else []
    op.create_table(
        "contact_roles",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("opportunity", sa.String(), nullable=False),
        *own,
        sa.Column("contact", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=True),
        sa.Column("persona", sa.String(), nullable=True),
        sa.Column("stance", sa.String(), nullable=True),
        sa.Column("primary", sa.Boolean(), nullable=True),
        sa.Column("added_on", sa.Date(), nullable=True),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("connection", "opportunity", key),
    )
