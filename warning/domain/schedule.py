"""When the daily cycle is due, on local clocks that jump twice a year.

A cron trigger in local time loses a day when its time falls into the spring gap and fires twice
in the repeated autumn hour. The rule here: each local day has each of its times exactly once; a
time inside the spring gap is due at the first instant after it, a repeated one at its first pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def due_instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Return the UTC instant at which `at` on the local `day` is due."""
    wall = datetime.combine(day, at)
    instant = wall.replace(tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    # PEP 495: inside a gap fold=0 maps past the jump and fold=1 before it
    return _first_instant_after_jump(wall.replace(tzinfo=zone, fold=1).astimezone(UTC), instant, zone)


def _first_instant_after_jump(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Bisect for the instant of the offset change between two UTC instants, to the second."""
    offset_before = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == offset_before:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)


def next_due(now: datetime, times: Sequence[time], zone: ZoneInfo) -> datetime:
    """Return the first due instant strictly after `now` (aware)."""
    return min(instant for instant in _due_around(now, times, zone) if instant > now)


def last_due(now: datetime, times: Sequence[time], zone: ZoneInfo) -> datetime:
    """Return the newest due instant at or before `now` (aware)."""
    return max(instant for instant in _due_around(now, times, zone) if instant <= now)


def dues_between(after: datetime, before: datetime, times: Sequence[time], zone: ZoneInfo) -> list[datetime]:
    """Return the due instants strictly between two instants, oldest first, of one year at most."""
    first = max(after, before - timedelta(days=366)).astimezone(zone).date() - timedelta(days=1)
    days = [first + timedelta(days=n) for n in range((before.astimezone(zone).date() - first).days + 2)]
    return sorted(i for day in days for at in times if after < (i := due_instant(day, at, zone)) < before)


def _due_around(now: datetime, times: Sequence[time], zone: ZoneInfo) -> list[datetime]:
    if not times:
        raise ValueError("a schedule needs at least one time of day")
    today = now.astimezone(zone).date()
    days = [today + timedelta(days=offset) for offset in range(-2, 3)]
    return [due_instant(day, at, zone) for day in days for at in times]
