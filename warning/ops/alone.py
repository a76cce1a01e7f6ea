"""One daemon for one state directory: two would run every cycle twice and take each other for dead."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from warning.errors import JournalError
from warning.events import pairs

log = logging.getLogger(__name__)

NAME: Final = "daemon.lock"  # the kernel lets go of the lock when its process ends, however it ends


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold `folder` for this daemon. Raises JournalError where another one holds it.

    Where no lock can be had for another reason, a full disk say, the watch goes on without.
    """
    try:
        file = os.open(folder / NAME, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        log.warning(pairs("lock-unavailable", file=folder / NAME, cause=error.strerror))
        yield
        return
    try:
        _hold(file, folder)
        yield
    finally:
        os.close(file)


def _hold(file: int, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(file, 20, 0).decode(errors="replace").strip() or "unknown"
        raise JournalError(
            f"another dam-warning daemon (process {holder}) already watches with the state directory "
            f"{folder}; stop that one first, or give this one a state_directory of its own"
        ) from None
    except OSError as error:  # a file system without locks
        log.warning(pairs("lock-unavailable", file=folder / NAME, cause=error.strerror))
        return
    try:
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:  # only the name of the holder is lost by that
        log.debug(pairs("lock-unnamed", cause=error.strerror))
