"""How the database is opened and how a transaction is run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, inspect, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from warning.errors import DiskFullError, JournalError
from warning.events import pairs
from warning.journal import migrate
from warning.journal.copying import copy_record
from warning.journal.failing import explained
from warning.journal.sqlite import keep_copy, sqlite_engine
from warning.journal.tables import SCHEMA_REVISION

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")


class Store:
    """A database with the record's schema; many threads may use it, each call in a transaction of its own.

    `on_full` is called where the disk is full; it says whether it made room on it.
    """

    def __init__(self, url: str, *, create: bool = True, on_full: Callable[[], bool] | None = None) -> None:
        self._url = _parsed(url)
        self.name = self._url.render_as_string(hide_password=True)
        self.path = record_file(url)
        self._on_full = on_full
        try:
            self._open(create)
        except DiskFullError:
            if not self.make_room():
                raise
            self._open(create)

    def _open(self, create: bool) -> None:
        with self._failures("opened"):
            self._engine = self._connected(create)
        self._writing_engine = self._engine.execution_options(writes=True)
        with ExitStack() as undo:
            undo.callback(self.close)
            self._bring_up_to_date()
            undo.pop_all()

    def _bring_up_to_date(self) -> None:
        with self.reading() as connection:
            found = migrate.revision_of(connection)
        if found == SCHEMA_REVISION:
            return
        with self.writing() as connection:
            found = migrate.revision_of(connection)
            if found is None:
                self._refuse_foreign(connection)
                migrate.create(connection)
            elif found != SCHEMA_REVISION:  # else another process was faster
                migrate.refuse_unknown(found)
                self._upgrade(connection, found)

    def _upgrade(self, connection: Connection, found: str) -> None:
        with ExitStack() as undo:
            copy = None if self.path is None else keep_copy(self.path)
            if copy is not None:
                undo.callback(copy.unlink, missing_ok=True)  # or each try to upgrade would leave one
            migrate.upgrade(connection)
            undo.pop_all()
        log.warning(pairs("record-migrated", from_schema=found, to_schema=SCHEMA_REVISION, copy=copy))

    def _refuse_foreign(self, connection: Connection) -> None:
        tables = inspect(connection).get_table_names()
        if self.path is not None and tables:
            raise JournalError(
                f"{self.path} is no record of dam-warning: it holds other tables ({', '.join(tables[:3])}). "
                "Name another file in warning.toml."
            )

    def _connected(self, create: bool) -> Engine:
        if self.path is not None:
            return sqlite_engine(self._url, create=create)
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

    def backup(self, copy: Path) -> int:
        """Copy the record to a new file while others work with it; return the copy's size in bytes."""
        if self.path is None:
            raise JournalError(
                f"the record is in {self._url.get_backend_name()}, not in a file; back it up with that "
                f"database's own tool, for PostgreSQL: pg_dump --format=custom --file {copy} "
                f"{self._url.database}"
            )
        return copy_record(self.path, copy)

    def make_room(self) -> bool:
        """Let go of what was kept for a full disk; say whether there was anything."""
        return self._on_full is not None and self._on_full()

    @contextmanager
    def _failures(self, done: str) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise explained(self.name, self.path, done, error) from error


class HasStore(Protocol):
    """Whatever keeps its rows in a store."""

    _store: Store


S = TypeVar("S", bound=HasStore)


def again_when_full(write: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Run a writing method once more where the disk was full and room could be made.

    Its first transaction was undone as a whole, so nothing is written twice.
    """

    @wraps(write)
    def writing(self: S, /, *arguments: P.args, **options: P.kwargs) -> T:
        try:
            return write(self, *arguments, **options)
        except DiskFullError:
            if not self._store.make_room():
                raise
            log.error(pairs("record-full", room="made"))
            return write(self, *arguments, **options)

    return writing


def record_file(url: str) -> Path | None:
    """Return the file that the record at `url` lies in, None where a server keeps it."""
    parsed = _parsed(url)
    return Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


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
