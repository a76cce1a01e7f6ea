"""A second worker beside the first, so that long work uses two cores; each computes on one thread.

What it is given and leaves are folders as between the daemon and its child. It writes its complaints
where the first one's go, says nothing else, and ends with the first one, however that ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from warning.child import PARENT
from warning.errors import ForecastError
from warning.forecasting.exchange import Arrays, read_folder, write_folder


class Sibling:
    """A worker at its job; leaving the context ends it."""

    def __init__(self, folder: Path, plain: Mapping[str, Any], arrays: Arrays) -> None:
        """Start on a job that lies in a fresh folder inside `folder`; raises OSError where that fails.

        `arrays` is empty afterwards.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="sibling-", dir=folder)
        write_folder(Path(self._folder.name), "job", plain, arrays)
        arrays.clear()  # a large fleet's would take memory while both work
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "warning.forecasting.worker", self._folder.name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, PARENT: str(os.getpid())},
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def answer(self) -> tuple[dict[str, Any], Arrays]:
        """Wait for the result; raises ForecastError where the worker ended without one."""
        status = self._process.wait()
        if status != 0:
            raise ForecastError(
                f"the second worker ended with status {status}; what it said stands before this"
            )
        return read_folder(Path(self._folder.name), "result")

    def __enter__(self) -> Sibling:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()  # nothing, where it has ended
        self._process.wait()
        self._folder.cleanup()


def cores() -> int:
    """Return how many cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
