"""What each job of the daemon is doing, since when, and how its last run ended."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

from warning.domain.jobs import (
    CYCLE_JOB,
    DELIVERY_JOB,
    HEALTH_JOB,
    HEARTBEAT_JOB,
    POLL_JOB,
    RELOAD_JOB,
    RETRAINING_JOB,
)
from warning.domain.troubles import Trouble, TroubleKind
from warning.errors import DamWarningError

IN_WORDS: Final = {
    CYCLE_JOB: "the forecast cycle",
    DELIVERY_JOB: "the sending of messages",
    POLL_JOB: "the look for new readings",
    HEALTH_JOB: "the daemon's look at its own health",
    HEARTBEAT_JOB: "the daily heartbeat message",
    RETRAINING_JOB: "the training of a new model",
    RELOAD_JOB: "the reload of the configuration",
}


@dataclass(frozen=True, slots=True)
class Overrun:
    """A job that has been running longer than its own limits allow."""

    job_id: str
    running_s: float
    limit_s: float


class JobBook:
    """Kept by the service, read by its main thread; instants are on the monotonic clock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, float] = {}
        self._began: dict[str, float] = {}
        self._failures: dict[str, str] = {}

    def began(self, job_id: str, at_s: float) -> None:
        with self._lock:
            self._running[job_id] = self._began[job_id] = at_s

    def armed(self, job_id: str, at_s: float) -> None:
        """Note that a job that has never begun will begin soon."""
        with self._lock:
            self._began.setdefault(job_id, at_s)

    def goes_on(self, job_id: str, at_s: float) -> None:
        """Note that a running job goes on: its limit counts from here."""
        with self._lock:
            if job_id in self._running:
                self._running[job_id] = at_s

    def ended(self, job_id: str) -> None:
        with self._lock:
            self._running.pop(job_id, None)

    def failed(self, job_id: str, error: str) -> bool:
        """Note how a run failed; say whether that is news."""
        with self._lock:
            news = self._failures.get(job_id) != error
            self._failures[job_id] = error
            return news

    def succeeded(self, job_id: str) -> bool:
        """Note that a run ended well; say whether that ends a failure."""
        with self._lock:
            return self._failures.pop(job_id, None) is not None

    def is_running(self, job_id: str) -> bool:
        with self._lock:
            return job_id in self._running

    def running(self) -> frozenset[str]:
        with self._lock:
            return frozenset(self._running)

    def since_began_s(self, job_id: str, at_s: float) -> float:
        """Return how long ago a job last began, or was armed for the first time; for ever where neither."""
        with self._lock:
            return at_s - self._began.get(job_id, -inf)

    def failures(self) -> dict[str, str]:
        """Return what each job whose last run failed failed of."""
        with self._lock:
            return dict(self._failures)

    def overruns(self, at_s: float, limits_s: Mapping[str, float]) -> tuple[Overrun, ...]:
        """Return the jobs that have been running beyond their limits; one without a limit never is."""
        with self._lock:
            running = dict(self._running)
        return tuple(
            Overrun(job_id, at_s - began_s, limits_s[job_id])
            for job_id, began_s in running.items()
            if job_id in limits_s and not at_s - began_s <= limits_s[job_id]
        )


def job_troubles(book: JobBook, at_s: float, limits_s: Mapping[str, float]) -> tuple[Trouble, ...]:
    """Return what people should know of the jobs: those that failed last time, and those that hang."""
    failed = [
        Trouble(
            TroubleKind.JOB_FAILED,
            job_id,
            f"{_capital(IN_WORDS.get(job_id, job_id))} failed: {error.rstrip('.')}. It is tried again by "
            "itself; if this message comes back, look at `journalctl -u dam-warning`.",
        )
        for job_id, error in sorted(book.failures().items())
    ]
    hanging = [
        Trouble(
            TroubleKind.JOB_HANGS,
            overrun.job_id,
            f"{_capital(IN_WORDS.get(overrun.job_id, overrun.job_id))} should take no longer than "
            f"{_minutes(overrun.limit_s)} and has not come to its end for {_minutes(overrun.running_s)}. "
            "systemd restarts the daemon where that can help; otherwise `systemctl restart dam-warning`.",
        )
        for overrun in book.overruns(at_s, limits_s)
    ]
    return (*failed, *hanging)


def cause_of(error: BaseException) -> str:
    """Return what people may read of an error: our own words, or where a surprise arose and never its text.

    The text of an exception that we do not know may hold an address or a password.
    """
    if isinstance(error, DamWarningError):
        return str(error)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return f"unexpected {type(error).__name__}"
    file = trace.tb_frame.f_code.co_filename.rpartition("/")[2]
    return f"unexpected {type(error).__name__} at {file}:{trace.tb_lineno}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
