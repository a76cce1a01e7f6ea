"""A second worker beside the first, so that long work uses two cores; each computes on one thread.

It is a copy of the first, and so has torch and all that was read already. It complains where the first one
does, and ends with it, however that ends.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Final

from warning.child import PARENT, die_with_parent
from warning.errors import ForecastError

DAYS_WORTH_SHARING: Final = 20_000
"""Of all dams together; for less a second worker costs more than it saves."""


class Sibling:
    """A copy of this process that does `work` and ends; leaving the context ends it.

    To be made where no other thread runs: a lock that one holds would stay locked in the copy.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        from multiprocessing import get_context  # the daemon asks only whether to share

        self._process = get_context("fork").Process(target=_beside, args=(os.getpid(), work))
        self._process.start()

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def wait(self) -> None:
        """Wait until it has done its work; raises ForecastError where it failed."""
        self._process.join()
        status = self._process.exitcode
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
        self._process.join()


def worth_sharing(days: int) -> bool:
    """Say whether two workers are better than one for records of so many days together."""
    return days >= DAYS_WORTH_SHARING and cores() > 1


def cores() -> int:
    """Return how many cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _beside(first: int, work: Callable[[], object]) -> None:
    os.environ[PARENT] = str(first)
    die_with_parent()
    work()
