"""Everything: canonical tables and control tables.

Revision ID: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _records()
    _deals()
    _runs_and_writes()
    _connections()


def _records() -> None:
    op.create_table(
        "accounts",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("segment", sa.String(), nullable=True),
        sa.Column("territory", sa.String(), nullable=True),
        sa.Column("region", sa.String(), nullable=True),
        sa.Column("reference", sa.Boolean(), nullable=True),
        sa.Column("merged_into", sa.String(), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "id"),
    )
    op.create_table(
        "activities",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("opportunity", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("direction", sa.String(), nullable=True),
        sa.Column("topic", sa.String(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("on", sa.Date(), nullable=True),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("contact", sa.String(), nullable=True),
        sa.Column("account", sa.String(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("created_by", sa.String(), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("completed_on", sa.Date(), nullable=True),
        sa.Column("participants", sa.JSON(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "id", "opportunity"),
    )
    op.create_index("activities_by_opportunity", "activities", ["connection", "opportunity"], unique=False)
    op.create_table(
        "contacts",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=True),
        sa.Column("title", sa.String(), nullable=True),
        sa.Column("persona", sa.String(), nullable=True),
        sa.Column("stance", sa.String(), nullable=True),
        sa.Column("kol", sa.Boolean(), nullable=True),
        sa.Column("merged_into", sa.String(), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "id"),
    )
    op.create_table(
        "owners",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "id"),
    )


def _deals() -> None:
    op.create_table(
        "changes",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("opportunity", sa.String(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("connection", "opportunity", "field", "id"),
    )
    op.create_table(
        "contact_roles",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("opportunity", sa.String(), nullable=False),
        sa.Column("contact", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=True),
        sa.Column("persona", sa.String(), nullable=True),
        sa.Column("stance", sa.String(), nullable=True),
        sa.Column("primary", sa.Boolean(), nullable=True),
        sa.Column("added_on", sa.Date(), nullable=True),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("connection", "opportunity", "contact"),
    )
    op.create_table(
        "gates",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("opportunity", sa.String(), nullable=False),
        sa.Column("gate", sa.String(), nullable=False),
        sa.Column("opened_on", sa.Date(), nullable=True),
        sa.Column("decided_on", sa.Date(), nullable=True),
        sa.Column("result", sa.String(), nullable=True),
        sa.Column("required", sa.String(), nullable=True),
        sa.Column("dated_by", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("connection", "opportunity", "gate"),
    )
    op.create_table(
        "opportunities",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("account", sa.String(), nullable=True),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("native_pipeline", sa.String(), nullable=True),
        sa.Column("raw_stage", sa.String(), nullable=True),
        sa.Column("deal_type", sa.String(), nullable=True),
        sa.Column("amount", sa.Text(), nullable=True),
        sa.Column("arr", sa.Text(), nullable=True),
        sa.Column("capital_amount", sa.Text(), nullable=True),
        sa.Column("projected_pull_through", sa.Text(), nullable=True),
        sa.Column("currency", sa.String(), nullable=True),
        sa.Column("probability", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closes_on", sa.Date(), nullable=True),
        sa.Column("lead_source", sa.String(), nullable=True),
        sa.Column("product", sa.String(), nullable=True),
        sa.Column("has_next_step", sa.Boolean(), nullable=True),
        sa.Column("primary_contact", sa.Boolean(), nullable=True),
        sa.Column("lost_reason", sa.String(), nullable=True),
        sa.Column("contract_years", sa.Text(), nullable=True),
        sa.Column("segment", sa.String(), nullable=True),
        sa.Column("territory", sa.String(), nullable=True),
        sa.Column("standard_terms", sa.Boolean(), nullable=True),
        sa.Column("baa", sa.Boolean(), nullable=True),
        sa.Column("proposal_sent_on", sa.Date(), nullable=True),
        sa.Column("loi_signed_on", sa.Date(), nullable=True),
        sa.Column("secq_received_on", sa.Date(), nullable=True),
        sa.Column("secq_returned_on", sa.Date(), nullable=True),
        sa.Column("legal_sent_on", sa.Date(), nullable=True),
        sa.Column("legal_signed_on", sa.Date(), nullable=True),
        sa.Column("baa_on", sa.Date(), nullable=True),
        sa.Column("pilot_started_on", sa.Date(), nullable=True),
        sa.Column("pilot_ended_on", sa.Date(), nullable=True),
        sa.Column("go_live_on", sa.Date(), nullable=True),
        sa.Column("first_order_on", sa.Date(), nullable=True),
        sa.Column("first_case_on", sa.Date(), nullable=True),
        sa.Column("cleared_on", sa.Date(), nullable=True),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.String(), nullable=True),
        sa.Column("inputs_hash", sa.String(), nullable=True),
        sa.Column("observed", sa.JSON(), nullable=False),
        sa.Column("merged_into", sa.String(), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "id"),
    )


def _runs_and_writes() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("stream", sa.String(), nullable=False),
        sa.Column("record", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("field", sa.String(), nullable=True),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=True),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("ignored_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("connection", "stream", "record", "code", name="one_dead_letter"),
    )
    op.create_table(
        "plans",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("summary", sa.JSON(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "run_streams",
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("stream", sa.String(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("upserts", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Integer(), nullable=False),
        sa.Column("dead_letters", sa.Integer(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("run", "stream"),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("trigger", sa.String(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=True),
        sa.Column("summary", sa.JSON(), nullable=True),
        sa.Column("error_code", sa.String(), nullable=True),
        sa.Column("error_message", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("runs_by_connection", "runs", ["connection", "id"], unique=False)
    op.create_table(
        "writes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("plan", sa.String(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("object", sa.String(), nullable=False),
        sa.Column("record", sa.String(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=True),
        sa.Column("message", sa.String(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("scrubbed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("writes_by_record", "writes", ["connection", "record"], unique=False)
    op.create_index("writes_by_run", "writes", ["run", "connection", "record"], unique=False)


def _connections() -> None:
    op.create_table(
        "bookmarks",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("stream", sa.String(), nullable=False),
        sa.Column("bookmark", sa.JSON(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("connection", "stream"),
    )
    op.create_table(
        "connections",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("latched_code", sa.String(), nullable=True),
        sa.Column("latched_message", sa.String(), nullable=True),
        sa.Column("latched_credential", sa.String(), nullable=True),
        sa.Column("latched_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("connection"),
    )
    op.create_table(
        "leases",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("stream", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("connection", "stream"),
    )
    op.create_table(
        "observations",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("opportunity", sa.String(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("value", sa.String(), nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "opportunity", "field", "first_seen"),
    )
    op.create_index("observations_by_field", "observations", ["connection", "field", "first_seen"], unique=False)
    op.create_table(
        "pauses",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("connection"),
    )
    op.create_table(
        "snapshots",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("kpi", sa.String(), nullable=False),
        sa.Column("variant", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("window", sa.String(), nullable=False),
        sa.Column("on", sa.Date(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("ci_low", sa.Float(), nullable=True),
        sa.Column("ci_high", sa.Float(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("connection", "kpi", "variant", "subject", "window", "on"),
    )
    op.create_table(
        "stages_seen",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("pipeline", sa.String(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("connection", "pipeline", "stage"),
    )


def downgrade() -> None:
    for name in (
        "accounts",
        "activities",
        "bookmarks",
        "changes",
        "connections",
        "contact_roles",
        "contacts",
        "dead_letters",
        "gates",
        "leases",
        "observations",
        "opportunities",
        "owners",
        "pauses",
        "plans",
        "run_streams",
        "runs",
        "snapshots",
        "stages_seen",
        "writes",
    ):
        op.drop_table(name)
