"""The only place that reads the clock; everything else is handed an instant."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from typing import Protocol
from zoneinfo import ZoneInfo


class Clock(Protocol):
    """Where the present comes from: the system, or a day that a command was told to act as."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        ...


class RunningClock(Clock, Protocol):
    """A clock that also measures how much time has passed, whatever the present is set to."""

    def monotonic_s(self) -> float:
        """Return seconds since some instant; it never jumps, and stands still while the machine sleeps."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return monotonic_s()


class FixedClock:
    """A clock that stands still: `cycle --at`, the demo's eve of the flood, and tests."""

    def __init__(self, instant: datetime) -> None:
        if instant.tzinfo is None:
            raise ValueError(f"an instant needs a time zone, found the naive {instant.isoformat()}")
        self._instant = instant.astimezone(UTC)

    def now(self) -> datetime:
        return self._instant


def monotonic_s() -> float:
    """Return seconds on a clock that never jumps, for time limits."""
    return time.monotonic()


def local_day(instant: datetime, zone: ZoneInfo) -> date:
    """Return the calendar day that `instant` falls on in `zone`."""
    return instant.astimezone(zone).date()
