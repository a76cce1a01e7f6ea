"""Troubles of a moment that people should hear of once: they stand for an hour and until they are told."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from warning.domain.due_cycles import Owed
from warning.domain.troubles import Trouble, TroubleKind

STANDS_FOR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Noted:
    trouble: Trouble
    at: datetime
    told: bool = False


class PassingTroubles:
    """What happened in the last hour, and what happened before and has not been told yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted: dict[tuple[TroubleKind, str], _Noted] = {}

    def note(self, trouble: Trouble, now: datetime) -> bool:
        """Let `trouble` stand from `now` on; say whether it is news."""
        with self._lock:
            news = trouble.identity not in self._noted
            self._noted[trouble.identity] = _Noted(trouble, now)
            return news

    def told(self, troubles: Iterable[Trouble]) -> None:
        """Take it that `troubles` are on record to be told; one noted anew since then is not."""
        with self._lock:
            for trouble in troubles:
                noted = self._noted.get(trouble.identity)
                if noted is not None and noted.trouble == trouble:
                    self._noted[trouble.identity] = replace(noted, told=True)

    def standing(self, now: datetime) -> tuple[Trouble, ...]:
        """Return what stands as of `now`; what a clock that was set back dates later is over, too.

        What could not be told, with the disk full for longer than an hour, stands until it is.
        """
        with self._lock:
            self._noted = {
                identity: noted
                for identity, noted in self._noted.items()
                if not noted.told or abs(now - noted.at) < STANDS_FOR
            }
            return tuple(noted.trouble for noted in self._noted.values())


def clock_jumped(jump_s: float, now: datetime) -> Trouble:
    """Say that the clock was set, or that the machine slept: from inside that looks the same."""
    how = "forwards, or the machine slept" if jump_s > 0 else "backwards"
    return Trouble(
        TroubleKind.CLOCK,
        "jump",
        f"The machine's clock went {_span(jump_s)} {how}; it now says {now:%Y-%m-%d %H:%M} UTC. What was "
        "due has been looked up and is done. Check that the time is right: `timedatectl`.",
    )


def cycles_unmade(owed: Owed, now: datetime, zone: ZoneInfo) -> Trouble:
    """Say that days went by without their cycle."""
    since = owed.last_at.astimezone(zone) if owed.last_at else None
    return Trouble(
        TroubleKind.CYCLE_OVERDUE,
        "unmade",
        f"{owed.unmade + 1} daily cycles were due since the last one"
        + (f" on {since:%Y-%m-%d %H:%M %Z}" if since else "")
        + f"; one was run at {now.astimezone(zone):%Y-%m-%d %H:%M %Z} in place of them all. Nobody "
        "looked at the dams in between: the machine was off or asleep, or its clock was set.",
    )


def record_unreadable(error: Exception) -> Trouble:
    """Say that the record could not be asked."""
    return Trouble(TroubleKind.RECORD_FAILED, "reading", f"The record cannot be read: {error}")


def restarted(started_at: datetime, version: str) -> Trouble:
    """Say that the run before this one was cut off."""
    return Trouble(
        TroubleKind.RESTARTED,
        "run",
        f"The daemon was cut off and has started again: the run of {started_at:%Y-%m-%d %H:%M} UTC (version "
        f"{version}) did not come to an end in order. What it owed is on record and goes on. The cause is in "
        "`journalctl -u dam-warning`: a crash, the watchdog, lack of memory, or loss of power.",
    )


def _span(seconds: float) -> str:
    minutes = abs(seconds) / 60
    return f"{minutes / 60:.1f} hours" if minutes >= 120 else f"{minutes:.0f} minutes"
