"""Which faults befall the soak, when and for how long: all of it from one seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from world import BAD_ROWS

CYCLE_AT, CYCLE_ZONE = time(6, 30), ZoneInfo("Europe/Vienna")
CHECK_AT_UTC = 22
ROW = "row-"
CLOCK_STEPS_S = (600, 3_600, 7_200, 86_400, 3 * 86_400, 40 * 86_400, 400 * 86_400)

# kind: least and most hours
HOURS: dict[str, tuple[float, float]] = {
    "source-down": (1, 60),
    "file-missing": (2, 72),
    "file-garbage": (2, 30),
    "rows-late": (24, 120),
    "frozen": (48, 400),
    **{ROW + how: (1, 60) for how in BAD_ROWS},
    "worker-killed": (20, 40),
    "smtp-refuse": (0.5, 18),
    "smtp-busy": (0.5, 18),
    "smtp-busy-one": (0.5, 18),
    "smtp-hang": (0.5, 4),
    "smtp-drop": (0.5, 12),
    "smtp-drop-after": (0.5, 3),
    "kill-idle": (0.02, 3),
    "kill-cycle": (0.02, 3),
    "kill-rcpt": (0.02, 3),
    "kill-data": (0.02, 3),
    "host-down": (10, 60),
    "stop-start": (0.02, 1),
    "disk-full": (0.5, 20),
    "disk-fuller": (0.5, 12),
    "clock-ahead": (0.2, 8),
    "clock-behind": (0.2, 8),
    "suspend": (0.5, 40),
    "config-broken": (0.5, 30),
    "config-edit": (0.1, 0.2),
}
LONG = {"source-down", "file-missing", "rows-late", "frozen", "host-down", "suspend"}
DEADLY = {"kill-idle", "kill-cycle", "kill-rcpt", "kill-data", "host-down", "stop-start"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault. `seed` decides everything else about it."""

    number: int
    kind: str
    at: datetime
    until: datetime
    seed: int

    @property
    def words(self) -> str:
        hours = (self.until - self.at).total_seconds() / 3600
        return f"fault {self.number}: {self.kind} at {self.at:%Y-%m-%d %H:%M} for {hours:.1f} h"


def plan(first_day: date, days: int, rng: random.Random, *, per_day: float, short: bool) -> list[Fault]:
    """Deal faults from a shuffled deck, so that each kind comes equally often; `short` ones last hours."""
    faults: list[Fault] = []
    deck: list[str] = []
    spared = (days * 2 // 5, days * 3 // 4) if days >= 200 else (0, 0)  # nothing deadly: a life of its own
    for day in range(1, days - 1):
        begin = datetime.combine(
            first_day + timedelta(days=day - 1), time(CHECK_AT_UTC), tzinfo=ZoneInfo("UTC")
        )
        count = int(per_day) + (rng.random() < per_day % 1)
        for _ in range(count):
            if not deck:
                deck = sorted(HOURS)
                rng.shuffle(deck)
            kind = deck.pop()
            if kind in DEADLY and spared[0] <= day < spared[1]:
                continue
            faults.append(_fault(len(faults), kind, begin, rng, short))
    return sorted(faults, key=lambda fault: (fault.at, fault.number))


def _fault(number: int, kind: str, begin: datetime, rng: random.Random, short: bool) -> Fault:
    least, most = HOURS[kind]
    if short:
        most = min(most, 30.0 if kind in LONG else 6.0)
        least = min(least, most / 2)
    at = begin + timedelta(hours=rng.uniform(0, 22))
    if kind in ("kill-cycle", "worker-killed"):  # begin just before the daily cycle
        cycle = datetime.combine(begin.date() + timedelta(days=1), CYCLE_AT, tzinfo=CYCLE_ZONE)
        at = cycle.astimezone(ZoneInfo("UTC")) - timedelta(minutes=1)
    until = at + timedelta(hours=rng.uniform(least, most))
    return Fault(number=number, kind=kind, at=at, until=until, seed=rng.randrange(1 << 30))
