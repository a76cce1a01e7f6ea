"""A record in a file: made whole or not at all, for its owner alone, and copied before it is migrated."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from warning.clock import SystemClock
from warning.errors import DiskFullError, JournalError
from warning.journal import migrate
from warning.journal.copying import OWNER_ONLY, copy_record
from warning.journal.failing import BUSY_TIMEOUT_S, damaged, is_full
from warning.journal.tables import SCHEMA_REVISION

_WAL_KEPT_BYTES = 16 << 20  # a log that once grew longer is cut back to this


def sqlite_engine(url: URL, *, create: bool) -> Engine:
    """Return an engine for the record in a file; a missing one is made, if `create`."""
    path = Path(url.database or "")
    try:
        _make_ready(path, create)
    except OSError as error:
        kind = DiskFullError if is_full(error) else JournalError
        raise kind(
            f"the record {path} could not be opened: {error.strerror}. "
            "Check that its folder exists and belongs to this user."
        ) from error
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def keep_copy(path: Path) -> Path:
    """Copy the record before it is migrated; the caller keeps others from writing meanwhile."""
    for cut_off in path.parent.glob(f"{path.name}.before-*.part"):
        cut_off.unlink(missing_ok=True)
    now = SystemClock().now()
    copy = path.with_name(f"{path.name}.before-{SCHEMA_REVISION}-{now:%Y%m%dT%H%M%S.%fZ}")
    copy_record(path, copy)
    return copy


def _make_ready(path: Path, create: bool) -> None:
    if not path.exists():
        if not create:
            raise JournalError(f"there is no record at {path} yet; the first cycle makes one")
        _make(path)
    found = path.stat()
    if found.st_size == 0:  # SQLite would begin a new record in it
        raise damaged(str(path), "the file is empty")
    if found.st_mode & 0o077:
        path.chmod(OWNER_ONLY)  # SQLite gives its side files the same mode
    os.close(os.open(path, os.O_RDWR))


def _make(path: Path) -> None:
    """Make a new record beside its place and link it there: whoever sees the file sees all of it."""
    if Path(f"{path}-wal").exists():  # SQLite would take it for the new record's
        raise damaged(str(path), f"the file is gone, but {path.name}-wal is there")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.new-", dir=path.parent)  # readable by us alone
    os.close(handle)
    made = Path(name)
    if os.geteuid() == 0:  # a command that sudo runs must not make a record that the daemon cannot write
        owner = path.parent.stat()
        os.chown(made, owner.st_uid, owner.st_gid)
    try:
        engine = create_engine(URL.create("sqlite", database=name))
        event.listen(engine, "connect", _leave_transactions_to_us)
        event.listen(engine, "begin", _begin)
        with contextlib.closing(_Disposing(engine)), engine.begin() as connection:
            migrate.create(connection)
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.link(made, path)
    finally:
        made.unlink(missing_ok=True)


class _Disposing:
    def __init__(self, engine: Engine) -> None:
        self.close = engine.dispose


def _leave_transactions_to_us(connection: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver would begin on its own, and leave DDL outside


def _prepare(connection: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
    _leave_transactions_to_us(connection, entry)
    settings = ("journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL")
    for pragma in (*settings, f"journal_size_limit={_WAL_KEPT_BYTES}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    # a writer takes the lock at once: turning a read into a write could fail without waiting
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
