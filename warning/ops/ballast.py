"""Room kept on a disk for the day when it is full: enough to record the warnings of many cycles."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import Final

from warning.events import pairs

log = logging.getLogger(__name__)
SIZE_BYTES: Final = 16 << 20
NAME: Final = "reserve-for-a-full-disk"
_TAKEN_BACK_AT: Final = 4  # times its size must be free, or it would be let go of again at once


class Ballast:
    """A file that does nothing but occupy room, until that room is needed."""

    def __init__(self, folder: Path, size_bytes: int = SIZE_BYTES) -> None:
        self._file = folder / NAME
        self._size_bytes = size_bytes

    def keep(self) -> bool:
        """Occupy the room, where that is not done yet and the disk has plenty; say whether it is occupied."""
        try:
            if self._is_whole():
                return True
            room = os.statvfs(self._file.parent)
            if room.f_bavail * room.f_frsize < _TAKEN_BACK_AT * self._size_bytes:
                return False
            self._occupy()
        except OSError as error:  # a share of the disk that is used up, or a folder that cannot be written
            log.warning(pairs("ballast-not-kept", file=self._file, cause=error.strerror))
            self._remove()
            return False
        return True

    def release(self) -> bool:
        """Give the room back to the disk; say whether there was any."""
        released = self._remove()
        if released:
            log.error(pairs("ballast-released", file=self._file, bytes=self._size_bytes))
        return released

    def _is_whole(self) -> bool:
        return self._file.is_file() and self._file.stat().st_size >= self._size_bytes

    def _occupy(self) -> None:
        file = os.open(self._file, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            os.posix_fallocate(file, 0, self._size_bytes)
            os.fsync(file)
        finally:
            os.close(file)

    def _remove(self) -> bool:
        with contextlib.suppress(OSError):
            self._file.unlink()
            return True
        return False
