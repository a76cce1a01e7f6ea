"""The first version of the record: every table."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the record."""
    op.create_table(
        "configurations",
        sa.Column("digest", sa.String(length=128), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(), nullable=False),
        sa.Column("files", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_configurations")),
    )
    op.create_table(
        "cycles",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        sa.Column("configuration_digest", sa.String(length=128), nullable=False),
        sa.Column("model_id", sa.String(length=200), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("reservoirs", sa.Integer(), nullable=True),
        sa.Column("forecasts", sa.Integer(), nullable=True),
        sa.Column("unwatched", sa.Integer(), nullable=True),
        sa.Column("alerts", sa.Integer(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cycles")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "entries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("cycle_id", sa.Integer(), nullable=False),
        sa.Column("reservoir_id", sa.String(length=200), nullable=False),
        sa.Column("recorded_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["cycle_id"], ["cycles.id"], name=op.f("fk_entries_cycle_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entries")),
        sa.UniqueConstraint("cycle_id", "reservoir_id", name=op.f("uq_entries_cycle_id_reservoir_id")),
    )
    op.create_index(op.f("ix_entries_reservoir_id_id"), "entries", ["reservoir_id", "id"], unique=False)
    op.create_table(
        "alerts",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("entry_id", sa.Integer(), nullable=True),
        sa.Column("reservoir_id", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("severity_rank", sa.Integer(), nullable=True),
        sa.Column("severity_name", sa.String(length=100), nullable=True),
        sa.Column("follows", sa.Integer(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["entries.id"], name=op.f("fk_alerts_entry_id")),
        sa.ForeignKeyConstraint(["follows"], ["alerts.number"], name=op.f("fk_alerts_follows")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_alerts")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_alerts_entry_id"), "alerts", ["entry_id"], unique=False)
    op.create_index(op.f("ix_alerts_reservoir_id_number"), "alerts", ["reservoir_id", "number"], unique=False)
    op.create_table(
        "assessments",
        sa.Column("entry_id", sa.Integer(), nullable=False),
        sa.Column("severity_rank", sa.Integer(), nullable=True),
        sa.Column("severity_name", sa.String(length=100), nullable=True),
        sa.Column("unwatched", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["entries.id"], name=op.f("fk_assessments_entry_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_assessments")),
    )
    op.create_table(
        "findings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("entry_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=50), nullable=False),
        sa.Column("variable", sa.String(length=50), nullable=True),
        sa.Column("day", sa.Date(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["entries.id"], name=op.f("fk_findings_entry_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_findings")),
    )
    op.create_index(op.f("ix_findings_entry_id"), "findings", ["entry_id"], unique=False)
    op.create_table(
        "forecasts",
        sa.Column("entry_id", sa.Integer(), nullable=False),
        sa.Column("basis_day", sa.Date(), nullable=False),
        sa.Column("issued_at", sa.DateTime(), nullable=False),
        sa.Column("method", sa.String(length=100), nullable=False),
        sa.Column("model_id", sa.String(length=200), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["entries.id"], name=op.f("fk_forecasts_entry_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_forecasts")),
    )
    op.create_table(
        "readings",
        sa.Column("entry_id", sa.Integer(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["entries.id"], name=op.f("fk_readings_entry_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_readings")),
    )
    op.create_table(
        "standings",
        sa.Column("reservoir_id", sa.String(length=200), nullable=False),
        sa.Column("entry_id", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("severity_name", sa.String(length=100), nullable=True),
        sa.Column("unwatched", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["entries.id"], name=op.f("fk_standings_entry_id")),
        sa.PrimaryKeyConstraint("reservoir_id", name=op.f("pk_standings")),
    )
    op.create_table(
        "announced_findings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("alert_number", sa.Integer(), nullable=False),
        sa.Column("reservoir_id", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=50), nullable=False),
        sa.Column("variable", sa.String(length=50), nullable=True),
        sa.Column("announced_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["alert_number"], ["alerts.number"], name=op.f("fk_announced_findings_alert_number")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_announced_findings")),
    )
    op.create_index(
        op.f("ix_announced_findings_alert_number"), "announced_findings", ["alert_number"], unique=False
    )
    op.create_index(
        op.f("ix_announced_findings_reservoir_id_kind_variable"),
        "announced_findings",
        ["reservoir_id", "kind", "variable"],
        unique=False,
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("alert_number", sa.Integer(), nullable=False),
        sa.Column("recipient_id", sa.String(length=200), nullable=False),
        sa.Column("channel_id", sa.String(length=200), nullable=False),
        sa.Column("form", sa.String(length=20), nullable=False),
        sa.Column("urgency", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("claim", sa.Integer(), nullable=False),
        sa.Column("claimed_until", sa.DateTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("settled_at", sa.DateTime(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["alert_number"], ["alerts.number"], name=op.f("fk_deliveries_alert_number")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint(
            "alert_number",
            "recipient_id",
            "channel_id",
            name=op.f("uq_deliveries_alert_number_recipient_id_channel_id"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_deliveries_state_next_attempt_at"), "deliveries", ["state", "next_attempt_at"], unique=False
    )
    op.create_table(
        "messages",
        sa.Column("alert_number", sa.Integer(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("sms", sa.Text(), nullable=False),
        sa.Column("plot_data", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["alert_number"], ["alerts.number"], name=op.f("fk_messages_alert_number")),
        sa.PrimaryKeyConstraint("alert_number", name=op.f("pk_messages")),
    )
    op.create_table(
        "attempts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("delivery_id", sa.Integer(), nullable=False),
        sa.Column("begun_at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], name=op.f("fk_attempts_delivery_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
    )
    op.create_index(op.f("ix_attempts_delivery_id"), "attempts", ["delivery_id"], unique=False)
