"""Which daily cycle is owed, after downtime, failures and clocks that were set.

Wall-clock instants come with seconds on a clock that never jumps: what is due is a matter of the
calendar, how long to wait before another try is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

from warning.domain.schedule import dues_between, last_due

RETRY_AFTER_S = 300.0
TRIES_OF_A_PARTIAL = 3


@dataclass(frozen=True, slots=True)
class Owed:
    """A cycle that is to run now. `due_at` is when it was due, `unmade` how many before it were not run."""

    due_at: datetime
    last_at: datetime | None
    unmade: int


class DueCycles:
    """Keeps account of the cycles; `ask` says when the newest one on record began, None for none."""

    def __init__(self, ask: Callable[[], datetime | None], *, cut_off: bool) -> None:
        self._ask = ask
        self._last_at: datetime | None = None
        self._again = cut_off
        self._partial_tries = 0
        self._failed_at_s: float | None = None

    def owed(self, now: datetime, at: time, zone: ZoneInfo) -> Owed | None:
        """Return the cycle that must be run as of `now`, None where none must.

        The record is asked only where this process does not know of a cycle since the last due instant;
        one dated after `now` counts for nothing.
        """
        due_at = last_due(now, (at,), zone)
        if not self._again and not self._covers(due_at, now):
            self._last_at = self._ask()
        if not self._again and self._covers(due_at, now):
            return None
        unmade = 0
        if self._last_at is not None and self._last_at < due_at:
            unmade = len(dues_between(self._last_at, due_at, (at,), zone))
        return Owed(due_at, self._last_at, unmade)

    def must_wait(self, at_s: float) -> bool:
        """Say whether the last try failed so short a time ago that the next one should wait."""
        return self._failed_at_s is not None and at_s - self._failed_at_s < RETRY_AFTER_S

    def forget(self) -> None:
        """Ask the record anew: the clock was set, or somebody else may have run a cycle."""
        self._last_at = None

    def began(self) -> None:
        """Note that a cycle begins: until it has ended, it counts as cut off."""
        self._again, self._failed_at_s = True, None

    def ended(self, began_at: datetime, complete: bool, at_s: float) -> None:
        """Note that a cycle came to its end; one that could not judge every dam is tried a few times."""
        self._last_at = began_at
        self._partial_tries = 0 if complete else (self._partial_tries + 1) % TRIES_OF_A_PARTIAL
        self._again = self._partial_tries > 0
        self._failed_at_s = at_s if self._again else None

    def failed(self, at_s: float) -> None:
        """Note that a cycle broke off; it is tried until one ends."""
        self._failed_at_s = at_s

    def _covers(self, due_at: datetime, now: datetime) -> bool:
        return self._last_at is not None and due_at <= self._last_at <= now
