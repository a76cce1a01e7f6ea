"""A whole copy of a SQLite record, taken while others write to it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from warning.errors import DiskFullError, JournalError
from warning.journal.failing import BUSY_TIMEOUT_S, explained, is_full

OWNER_ONLY = 0o600


def copy_record(record: Path, copy: Path) -> int:
    """Copy `record` as it stands at one moment, check the copy, and return its size in bytes.

    It is written as `copy`.part and gets its name only when it is whole, for its owner alone.
    Raises JournalError where `copy` exists or cannot be written, or the record is damaged.
    """
    if copy.exists():
        raise JournalError(f"{copy} exists already; name a file that does not, nothing is overwritten")
    part = copy.with_name(copy.name + ".part")
    with _claimed(part, copy):
        try:
            _copy_pages(record, part)
            return _put_in_place(part, copy)
        except sqlite3.Error as error:
            raise explained(str(record), part, f"copied to {copy}", error) from error
        except OSError as error:
            raise _not_written(copy, error) from error
        finally:
            for left in (part, Path(f"{part}-journal")):
                with contextlib.suppress(OSError):
                    left.unlink(missing_ok=True)


@contextlib.contextmanager
def _claimed(part: Path, copy: Path) -> Iterator[None]:
    """Make `part` ours; what a copy that was cut off left there is overwritten."""
    try:
        file = os.open(part, os.O_CREAT | os.O_RDWR, OWNER_ONLY)
    except OSError as error:
        raise _not_written(copy, error) from error
    try:  # closed only after SQLite is done with it: closing would drop its locks
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise JournalError(f"another copy to {copy} is being written; wait for it") from error
        os.fchmod(file, OWNER_ONLY)
        os.ftruncate(file, 0)
        yield
    finally:
        os.close(file)


def _copy_pages(record: Path, part: Path) -> None:
    with (
        contextlib.closing(sqlite3.connect(record, timeout=BUSY_TIMEOUT_S)) as source,
        contextlib.closing(sqlite3.connect(part, timeout=BUSY_TIMEOUT_S)) as target,
    ):
        source.backup(target)  # all pages in one step: one moment, and no writer has to wait
        target.execute("PRAGMA journal_mode=DELETE")  # one file, that can be opened read-only
        found = [row[0] for row in target.execute("PRAGMA integrity_check(1)")]
        astray = target.execute("PRAGMA foreign_key_check").fetchone()
    if found != ["ok"] or astray is not None:
        what = f"a row of {astray[0]} refers to none" if found == ["ok"] else "; ".join(found)
        raise JournalError(
            f"the record {record} is damaged: {what}. The copy was thrown away; keep the older backups."
        )


def _put_in_place(part: Path, copy: Path) -> int:
    with part.open("rb") as file:
        os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
    try:
        os.link(part, copy)  # unlike renaming, never over another file
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        part.rename(copy)
    folder = os.open(copy.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return size


def _not_written(copy: Path, error: OSError) -> JournalError:
    kind = DiskFullError if is_full(error) else JournalError
    return kind(
        f"{copy} could not be written: {error.strerror}. "
        "Check that its folder exists, that this user may write there and that the disk is not full."
    )
