"""Bring a record to the schema of this program. alembic is imported only when there is something to do."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from warning.errors import JournalError
from warning.journal.tables import SCHEMA_REVISION

_FOLDER = Path(__file__).parent / "migrations"


def is_current(connection: Connection) -> bool:
    """Say whether the record has exactly the schema that this program was written for."""
    return _revision(connection) == SCHEMA_REVISION


def upgrade(connection: Connection) -> None:
    """Create or migrate the schema inside the caller's transaction.

    Raises JournalError for a record that a newer program wrote: reading it by guesswork could lose a warning.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    found = _revision(connection)
    if found == SCHEMA_REVISION:
        return  # another process was faster
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise JournalError(
            f"the record has schema {found}, which this program (schema {SCHEMA_REVISION}) does not know: "
            "a newer dam-warning wrote it. Install that version again, or give this one a record of its own."
        )
    config.attributes["connection"] = connection
    command.upgrade(config, SCHEMA_REVISION)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
