"""What each job of the daemon is doing, since when, and how its last run ended."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass


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

    def signs_of_life(self, job_id: str, at_s: float) -> None:
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

    def since_began_s(self, job_id: str, at_s: float) -> float | None:
        """Return how long ago a job last began; None where it never did."""
        with self._lock:
            began = self._began.get(job_id)
        return None if began is None else at_s - began

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
