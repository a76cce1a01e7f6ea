"""A second worker beside the first, so that long work uses two cores; each computes on one thread.

It is handed its work in a folder as the first one is, complains where the first one does, and ends with
it, however that ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Final

from warning.child import PARENT
from warning.errors import ForecastError

DAYS_WORTH_SHARING: Final = 20_000
"""Of all dams together; for less the start of a second worker takes longer than it saves."""
BESIDE: Final = "--beside"


class Sibling:
    """A worker at the job in a folder; leaving the context ends it."""

    def __init__(self, folder: Path, tickets: int | None = None) -> None:
        """Start it; raises OSError where that fails.

        With `tickets`, a pipe, it takes its part of the batches in the folder, and says on stdout which
        it has answered, as the first worker does. Without it says nothing.
        """
        alone = tickets is None
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "warning.forecasting.worker", str(folder)]
            + ([] if alone else [BESIDE]),
            stdin=subprocess.DEVNULL if alone else tickets,
            stdout=subprocess.DEVNULL if alone else None,
            env={**os.environ, PARENT: str(os.getpid())},
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self) -> None:
        """Wait until it has done its work; raises ForecastError where it failed."""
        status = self._process.wait()
        if status != 0:
            raise ForecastError(
                f"the second worker ended with status {status}; what it said stands before this"
            )

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


def worth_sharing(days: int) -> bool:
    """Say whether two workers are better than one for records of so many days together."""
    return days >= DAYS_WORTH_SHARING and cores() > 1


def cores() -> int:
    """Return how many cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
