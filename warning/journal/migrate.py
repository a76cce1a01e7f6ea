"""Bring a record to the schema of this program. alembic is imported only where an older one is found."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect, text

from warning.errors import JournalError
from warning.journal.tables import SCHEMA_REVISION, metadata

_FOLDER = Path(__file__).parent / "migrations"
_version = Table(  # as alembic makes it
    "alembic_version", MetaData(), Column("version_num", String(32), primary_key=True, nullable=False)
)
_version.primary_key.name = "alembic_version_pkc"


def revision_of(connection: Connection) -> str | None:
    """Return the schema that the record has, None where there is none yet."""
    if not inspect(connection).has_table(_version.name):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def create(connection: Connection) -> None:
    """Make every table of this program's schema inside the caller's transaction."""
    metadata.create_all(connection)
    _version.create(connection, checkfirst=True)
    connection.execute(insert(_version).values(version_num=SCHEMA_REVISION))


def upgrade(connection: Connection) -> None:
    """Create or migrate the schema, version by version, inside the caller's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, SCHEMA_REVISION)


def refuse_unknown(revision: str) -> None:
    """Raise JournalError for a schema that this program cannot bring to its own.

    Reading the record of a newer program by guesswork could lose a warning.
    """
    if revision > SCHEMA_REVISION or not revision.isdigit():
        raise JournalError(
            f"the record has schema {revision}, which this program (schema {SCHEMA_REVISION}) does not know: "
            "a newer dam-warning wrote it. Install that version again, or give this one a record of its own."
        )
