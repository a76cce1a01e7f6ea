"""What alembic runs; the connection is handed over by `migrate` inside its transaction."""

from __future__ import annotations

from alembic import context

from warning.journal.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
