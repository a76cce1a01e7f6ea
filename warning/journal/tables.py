"""The tables of the record, for any database that SQLAlchemy knows.

Recipients and channels stand here by id only: no address, URL or secret is ever recorded.
Domain objects are kept whole as JSON (`serial`), beside the few columns that queries need.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Date,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
)
from sqlalchemy.types import TypeDecorator

SCHEMA_REVISION = "0002"  # of the newest file in migrations/versions

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware instant in Python, a UTC one without a zone in the database."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"an instant needs a time zone, found the naive {value.isoformat()}")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


configurations = Table(
    "configurations",
    metadata,
    Column("digest", String(128), primary_key=True),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("files", Text, nullable=False),  # JSON: file name → text, addresses left out
)

cycles = Table(
    "cycles",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("configuration_digest", String(128), nullable=False),
    Column("model_id", String(200)),
    Column("outcome", String(20), nullable=False),
    Column("reservoirs", Integer),
    Column("forecasts", Integer),
    Column("unwatched", Integer),
    Column("alerts", Integer),
    Column("failures", Integer),
    sqlite_autoincrement=True,
)

entries = Table(
    "entries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("cycle_id", ForeignKey("cycles.id"), nullable=False),
    Column("reservoir_id", String(200), nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    UniqueConstraint("cycle_id", "reservoir_id"),
    Index(None, "reservoir_id", "id"),
)

readings = Table(
    "readings",
    metadata,
    Column("entry_id", ForeignKey("entries.id"), primary_key=True),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("body", Text, nullable=False),
)

forecasts = Table(
    "forecasts",
    metadata,
    Column("entry_id", ForeignKey("entries.id"), primary_key=True),
    Column("basis_day", Date, nullable=False),
    Column("issued_at", UtcDateTime, nullable=False),
    Column("method", String(100), nullable=False),
    Column("model_id", String(200)),
    Column("body", Text, nullable=False),
)

assessments = Table(
    "assessments",
    metadata,
    Column("entry_id", ForeignKey("entries.id"), primary_key=True),
    Column("severity_rank", Integer),
    Column("severity_name", String(100)),
    Column("unwatched", Text),
    Column("body", Text, nullable=False),
)

findings = Table(
    "findings",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("entry_id", ForeignKey("entries.id"), nullable=False, index=True),
    Column("kind", String(50), nullable=False),
    Column("variable", String(50)),
    Column("day", Date),
    Column("message", Text, nullable=False),
    Column("body", Text, nullable=False),
)

standings = Table(
    "standings",
    metadata,
    Column("reservoir_id", String(200), primary_key=True),
    Column("entry_id", ForeignKey("entries.id"), nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("severity_name", String(100)),
    Column("unwatched", Integer, nullable=False),
    Column("body", Text, nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("entry_id", ForeignKey("entries.id"), index=True),  # none where a delivery's expiry caused it
    Column("reservoir_id", String(200), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("severity_rank", Integer),
    Column("severity_name", String(100)),
    Column("follows", ForeignKey("alerts.number")),
    Column("body", Text, nullable=False),
    Index(None, "reservoir_id", "number"),
    sqlite_autoincrement=True,  # a number is never used again, not even that of a deleted row
)

announced_findings = Table(
    "announced_findings",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("alert_number", ForeignKey("alerts.number"), nullable=False, index=True),
    Column("reservoir_id", String(200), nullable=False),
    Column("kind", String(50), nullable=False),
    Column("variable", String(50)),
    Column("announced_at", UtcDateTime, nullable=False),
    Index(None, "reservoir_id", "kind", "variable"),
)

messages = Table(
    "messages",
    metadata,
    Column("alert_number", ForeignKey("alerts.number"), primary_key=True),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("html", Text, nullable=False),
    Column("sms", Text, nullable=False),
    Column("plot_data", Text),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("alert_number", ForeignKey("alerts.number"), nullable=False),
    Column("recipient_id", String(200), nullable=False),
    Column("channel_id", String(200), nullable=False),
    Column("form", String(20), nullable=False),
    Column("urgency", Integer, nullable=False),  # rank of the severity it speaks of; 0: of none
    Column("state", String(20), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("next_attempt_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column(
        "claim", Integer, nullable=False
    ),  # how often it was claimed; more than attempts: some were cut off
    Column("claimed_until", UtcDateTime),
    Column("attempts", Integer, nullable=False),
    Column("settled_at", UtcDateTime),  # when it was sent or given up
    Column("detail", Text, nullable=False),  # of the last attempt
    UniqueConstraint("alert_number", "recipient_id", "channel_id"),
    Index(None, "state", "next_attempt_at"),
    sqlite_autoincrement=True,
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("delivery_id", ForeignKey("deliveries.id"), nullable=False, index=True),
    Column("begun_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime, nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("detail", Text, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),  # none: it runs still, or it was killed
    Column("version", String(50), nullable=False),
    Column("configuration_digest", String(128), nullable=False),
    sqlite_autoincrement=True,
)

troubles = Table(
    "troubles",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(50), nullable=False),
    Column("key", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("told_at", UtcDateTime, nullable=False),
    Column("gone_since", UtcDateTime),  # not found from here on, and not yet over
    Column("again", Integer, nullable=False),  # 1: it came back soon after it was over
    Column("ended_at", UtcDateTime, index=True),  # none: it stands
)

changes = Table(
    "changes",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("who", String(200), nullable=False),
    Column("note", Text),
    Column("configuration_digest", String(128), nullable=False),
    Column("reservoir_id", String(200)),  # none where it concerns no dam or all of them
    Column("key", Text, nullable=False),
    Column("before", Text),
    Column("after", Text),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    sqlite_autoincrement=True,
)


def _refuse_tampering(table: Table, connection: Connection, **options: Any) -> None:
    """What was changed once was changed. Where someone goes round this, the hashes show it."""
    if connection.dialect.name != "sqlite":
        return
    for refused in ("update", "delete"):
        connection.exec_driver_sql(
            f"CREATE TRIGGER changes_refuse_{refused} BEFORE {refused.upper()} ON changes "
            "BEGIN SELECT RAISE(ABORT, 'changes are only ever added'); END"
        )


event.listen(changes, "after_create", _refuse_tampering)
