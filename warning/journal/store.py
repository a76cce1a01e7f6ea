"""How the database is opened and how a transaction is run; the only place that knows of SQLite."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from warning.errors import JournalError
from warning.journal import migrate

_BUSY_TIMEOUT_S = 30.0  # another process may be writing: the daemon, or a command beside it
_OWNER_ONLY = 0o600


class Store:
    """A database with the record's schema; many threads may use it, each call in a transaction of its own."""

    def __init__(self, url: str) -> None:
        self._url = _parsed(url)
        self.name = self._url.render_as_string(hide_password=True)
        self._engine = self._connected()
        self._writing_engine = self._engine.execution_options(writes=True)
        with ExitStack() as undo:
            undo.callback(self.close)
            self._bring_up_to_date()
            undo.pop_all()

    def _bring_up_to_date(self) -> None:
        with self.reading() as connection:
            current = migrate.is_current(connection)
        if not current:
            with self.writing() as connection:
                migrate.upgrade(connection)

    def _connected(self) -> Engine:
        if self._url.get_backend_name() == "sqlite":
            return _sqlite(self._url)
        try:
            return create_engine(self._url)
        except (SQLAlchemyError, ImportError) as error:
            raise JournalError(
                f"no driver for the record {self.name}: {error}. Install the database's Python driver."
            ) from error

    def close(self) -> None:
        """Release every connection."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Run queries on one state of the record."""
        with self._failures("read"), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Run one transaction: all of it is on disk when the block ends, or none of it if it raises."""
        with self._failures("written"), self._writing_engine.begin() as connection:
            yield connection

    @contextmanager
    def _failures(self, done: str) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            raise JournalError(
                f"the record {self.name} could not be {done}: {cause}. "
                "Check that it exists, that this user may write it and that the disk is not full."
            ) from error


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise JournalError(
            "the journal's URL cannot be read; expected one like sqlite:////var/lib/dam-warning/record.db"
        ) from error
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise JournalError(
            "a record in memory is lost with the process; expected a file: sqlite:////path/record.db"
        )
    return parsed


def _sqlite(url: URL) -> Engine:
    _make_private(Path(url.database or ""))
    engine = create_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_S})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_private(path: Path) -> None:
    """Create the file readable by its owner alone; SQLite gives its side files the same mode."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, _OWNER_ONLY))
        if path.stat().st_mode & 0o077:
            path.chmod(_OWNER_ONLY)
    except OSError as error:
        raise JournalError(
            f"the record {path} could not be opened: {error.strerror}. "
            "Check that its folder exists and belongs to this user."
        ) from error


def _prepare_sqlite(connection: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver would begin on its own, and leave DDL outside
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # a writer takes the lock at once: turning a read into a write could fail without waiting
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
