"""What a failure of the database means, in words that say what to do."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from pathlib import Path

from warning.errors import DiskFullError, JournalError

BUSY_TIMEOUT_S = 30.0  # another process may be writing: the daemon, or a command beside it
_PRIMARY = 0xFF  # the low byte of an extended result code of SQLite
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_PERHAPS_FULL = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
_POSTGRESQL_FULL = "53100"
_PROBE_BYTES = 1 << 16
_WAL_WRITE_LOCK = 120  # the byte of the -shm file that a writer locks


def explained(name: str, path: Path | None, done: str, error: Exception) -> JournalError:
    """Return what `error` means for the record `name`, which lies in the file `path` if it is SQLite."""
    cause = getattr(error, "orig", None) or error
    result = getattr(cause, "sqlite_errorcode", 0) & _PRIMARY
    if _full(cause, result, path):
        return DiskFullError(
            f"the record {name} could not be {done}: its disk is full ({cause}). "
            "Nothing of this was recorded. Make room on that disk; the record then goes on by itself."
        )
    if result in _DAMAGED:
        return damaged(name, str(cause))
    if result in _BUSY:
        return JournalError(
            f"the record {name} could not be {done}: {_holder(path)} has held it locked for more than "
            f"{BUSY_TIMEOUT_S:g} s. End that process, or wait until it is done."
        )
    return JournalError(
        f"the record {name} could not be {done}: {cause}. "
        "Check that it exists, that this user may write it and that the disk is not full."
    )


def damaged(name: str, why: str) -> JournalError:
    """Return the error for a record that is there but cannot be one."""
    return JournalError(
        f"the record {name} is damaged: {why}. No new one is begun in its place, since what was announced "
        "stands in it. Stop the service and move the file away together with those of the same name that "
        "end in -wal and -shm; then put a backup in its place (dam-warning backup, or one that an upgrade "
        "left beside it), or start without: every warning that still holds is then raised anew."
    )


def is_full(error: OSError) -> bool:
    """Say whether the disk, or this user's share of it, is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def _full(cause: Exception, result: int, path: Path | None) -> bool:
    if result == sqlite3.SQLITE_FULL or getattr(cause, "sqlstate", None) == _POSTGRESQL_FULL:
        return True
    # SQLite does not always tell a full disk from a broken one: so ask the disk
    return result in _PERHAPS_FULL and path is not None and not _has_room(path.parent)


def _has_room(folder: Path) -> bool:
    probe = folder / f".room-{os.getpid()}"
    try:
        probe.write_bytes(bytes(_PROBE_BYTES))
    except OSError as error:
        return not is_full(error)
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
    return True


def _holder(path: Path | None) -> str:
    """Name the process that writes, as far as the kernel tells: `process 812 (sqlite3)`."""
    try:
        inode = os.stat(f"{path}-shm").st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            kind, _, mode, pid, file, first = line.split()[1:7]
            if (kind, mode, file.rpartition(":")[2], first) == (
                "POSIX",
                "WRITE",
                str(inode),
                str(_WAL_WRITE_LOCK),
            ):
                command = Path(f"/proc/{pid}/comm").read_text().strip()
                return f"process {pid} ({command})"
    except (OSError, ValueError):
        pass
    return "another process"
