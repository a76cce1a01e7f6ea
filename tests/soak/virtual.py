"""Time that the harness makes: a clock, and APScheduler's real bookkeeping run by it.

The library reads `datetime.now` in three of its modules. Those names are bound to the virtual clock here, in
the soak's own process; everything else of it (stores, triggers, coalescing, events) is its own code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import apscheduler.executors.base
import apscheduler.schedulers.base
import apscheduler.triggers.date
import apscheduler.triggers.interval
from apscheduler.executors.base import BaseExecutor, run_job
from apscheduler.schedulers.base import BaseScheduler


class VirtualClock:
    """True time, the wall clock's error against it, and a monotonic clock that no error touches."""

    def __init__(self, true: datetime, offset_s: float) -> None:
        self.true = true
        self.offset_s = offset_s
        self._slept_s = 0.0
        self._began = true

    def now(self) -> datetime:
        return self.true + timedelta(seconds=self.offset_s)

    def monotonic_s(self) -> float:
        return 1000.0 + (self.true - self._began).total_seconds() - self._slept_s

    def advance_to(self, true: datetime) -> None:
        """Go on to `true`; time never runs backwards, only what a wall clock says of it."""
        self.true = max(self.true, true)

    def sleep_until(self, true: datetime) -> None:
        """Suspend the machine: the wall clock goes on, the monotonic one does not."""
        self._slept_s += max((true - self.true).total_seconds(), 0.0)
        self.advance_to(true)


class DeferringExecutor(BaseExecutor):
    """Keeps the jobs that fall due until the scheduler has let go of its lock, as threads do."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[Any, Sequence[datetime]]] = []

    def _do_submit_job(self, job: Any, run_times: Sequence[datetime]) -> None:
        self.waiting.append((job, run_times))

    def run_waiting(self) -> None:
        while self.waiting:
            job, run_times = self.waiting.pop(0)
            events = run_job(job, job._jobstore_alias, run_times, self._logger.name)
            self._run_job_success(job.id, events)


class VirtualScheduler(BaseScheduler):
    """The library's scheduler without a thread: `step` does once what its loop does for ever."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(timezone=UTC)
        self._virtual = clock
        self._executor = DeferringExecutor()
        self.add_executor(self._executor, "default")

    def shutdown(self, wait: bool = True) -> None:
        super().shutdown(wait)

    def wakeup(self) -> None:
        """Nobody sleeps: the driver steps whenever something may be due."""

    def step(self) -> float | None:
        """Run what is due; return in how many seconds of the wall clock the next job is, None for never."""
        wait_s = self._process_jobs()
        ran = bool(self._executor.waiting)
        self._executor.run_waiting()
        return 0.0 if ran else wait_s


def bind_library(now: Callable[[], datetime]) -> None:
    """Let APScheduler's modules read `now` where they would ask the machine."""

    class Virtual(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return now().astimezone(tz or UTC)

    for module in (
        apscheduler.schedulers.base,
        apscheduler.executors.base,
        apscheduler.triggers.interval,
        apscheduler.triggers.date,
    ):
        module.datetime = Virtual
