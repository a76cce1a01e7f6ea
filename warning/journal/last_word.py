"""The record's last word, read without writing: for when the daemon that keeps it is down.

Nothing is migrated, created or locked, so neither a broken record nor a missing right makes matters worse.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, create_engine, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from warning.errors import JournalError
from warning.journal import reading
from warning.journal.entries import CycleRow, StandingRow

_PATIENCE_S = 10


@dataclass(frozen=True, slots=True)
class LastWord:
    """The newest cycle, None if none ever ran, and what stands at every dam on record."""

    cycle: CycleRow | None
    standings: tuple[StandingRow, ...]


def last_word(url: str) -> LastWord:
    """Return what the record at the SQLAlchemy `url` says last; raises JournalError."""
    try:
        with _connection(url) as connection:
            cycle = next(iter(reading.recent_cycles(connection, 1)), None)
            return LastWord(cycle, tuple(reading.all_standings(connection)))
    except (SQLAlchemyError, sqlite3.Error, ImportError, OSError, ValueError) as error:
        cause = getattr(error, "orig", None) or type(error).__name__
        raise JournalError(f"the record could not be read: {cause}") from error


@contextmanager
def _connection(url: str) -> Iterator[Connection]:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        engine = create_engine(parsed, poolclass=NullPool)
        with closing(engine.connect()) as connection:
            yield connection
        return
    path = Path(parsed.database or "")
    engine = create_engine("sqlite://", creator=lambda: _opened(path), poolclass=NullPool)
    with closing(engine.connect()) as connection:
        yield connection


def _opened(path: Path) -> sqlite3.Connection:
    """Open a SQLite file that this user may perhaps only read.

    SQLite reads a WAL file only beside an index that it can open or make; where all was written back at a
    clean end there is neither, and the file alone holds everything.
    """
    whole = not Path(f"{path}-wal").exists()
    options = "mode=ro&immutable=1" if whole else "mode=ro"
    return sqlite3.connect(f"file:{quote(str(path))}?{options}", uri=True, timeout=_PATIENCE_S)
