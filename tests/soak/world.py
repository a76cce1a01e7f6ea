"""What is true at the soak's dams, and the files in which their gauges report it, rightly or not.

Nothing here comes from the program: levels, thresholds and file format follow README and the sample files.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

FIRST_DAY = date(2021, 3, 1)
HISTORY_DAYS = 420  # what the record holds when the soak begins
REPORTED_AT = time(5)  # by the dam's clock
SEVERITIES = ("watch", "warning", "emergency")
SHOWN_DAYS = 120  # of a record, unless a trained model asks for more
BAD_ROWS = ("nan", "empty", "sentinel", "typo", "letters", "duplicate")


@dataclass(frozen=True, slots=True)
class Threshold:
    """One severity of a dam: raised at or above `value`, over below `clear_value`."""

    severity: str
    value: float
    clear_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Dam:
    """One dam. `forecast` gives it forecast rules too, which may raise early and hold up longer."""

    id: str
    name: str
    zone: ZoneInfo
    column: str
    unit: float  # so much of the column's unit is one step of the simulated water
    thresholds: tuple[Threshold, ...]
    forecast: bool
    clear_after_days: int

    def severity_of(self, value: float) -> str | None:
        reached = [t.severity for t in self.thresholds if value >= t.value]
        return reached[-1] if reached else None

    def below_clear(self, value: float, severity: str) -> bool:
        return all(value < t.clear_value for t in self.thresholds if t.severity == severity)

    def moved(self, by: float) -> Dam:
        """The dam with all thresholds moved by `by` simulated steps."""
        moved = tuple(
            Threshold(
                t.severity, round(t.value + by * self.unit, 3), round(t.clear_value + by * self.unit, 3)
            )
            for t in self.thresholds
        )
        return replace(self, thresholds=moved)


def _thresholds(unit: float) -> tuple[Threshold, ...]:
    levels = {"watch": (40.0, 39.6), "warning": (41.0, 40.6), "emergency": (42.0, 41.6)}
    return tuple(Threshold(name, value * unit, clear * unit) for name, (value, clear) in levels.items())


DAMS = (
    Dam(
        id="alder",
        name="Alder dam",
        zone=ZoneInfo("Europe/Vienna"),
        column="level_m",
        unit=1.0,
        thresholds=_thresholds(1.0),
        forecast=False,
        clear_after_days=1,
    ),
    Dam(
        id="birch",
        name="Birch dam",
        zone=ZoneInfo("America/Denver"),
        column="level_m",
        unit=1.0,
        thresholds=_thresholds(1.0),
        forecast=True,
        clear_after_days=1,
    ),
    Dam(
        id="cedar",
        name="Cedar dam",
        zone=ZoneInfo("Asia/Kolkata"),
        column="storage_m3",
        unit=1e6,
        thresholds=_thresholds(1e6),
        forecast=False,
        clear_after_days=2,
    ),
)


def simulate(days: int, rng: random.Random) -> list[float]:
    """A year's wave, a little unrest and storms that fill the dam for some days, most of them floods."""
    water = [0.0] * days
    for day in range(days):
        if rng.random() < 20 / 365:
            peak, rise, fall = rng.uniform(2.5, 9.0), rng.randint(1, 3), rng.uniform(1.5, 4.0)
            for after in range(min(40, days - day)):
                share = (after + 1) / rise if after < rise else 0.5 ** ((after - rise + 1) / fall)
                water[day + after] = max(water[day + after], peak * share)
    season = [1.5 * ((day % 365) / 182.5 - 1) ** 2 for day in range(days)]
    return [round(34.0 + s + w + rng.uniform(-0.03, 0.03), 3) for s, w in zip(season, water, strict=True)]


@dataclass(slots=True)
class Gauge:
    """One dam's gauge: what it truly measures, and the rows of the file that it writes."""

    dam: Dam
    truth: list[float]
    rows: dict[date, list[str]] = field(default_factory=dict)
    dirty: set[date] = field(default_factory=set)
    mended: set[date] = field(
        default_factory=set
    )  # said something else at first, which may have alarmed people
    frozen_until: date | None = None
    silent_until: date | None = None
    lost: bool = False  # the file is away, or something else lies in its place
    whole: bool = False  # the file goes back to the beginning

    def true_value(self, day: date) -> float:
        return self.truth[(day - FIRST_DAY).days] * self.dam.unit

    def reported_value(self, day: date) -> float | None:
        """The one number that the file holds of a day, if it is one that may be true."""
        cells = self.rows.get(day, [])
        try:
            value = float(cells[0]) if len(cells) == 1 else float("nan")
        except ValueError:
            return None
        return value if value > 0 else None

    def arrival(self, day: date) -> datetime:
        return datetime.combine(day, REPORTED_AT, tzinfo=self.dam.zone).astimezone(UTC)

    def report(self, day: date, how: str | None, rng: random.Random) -> None:
        """Write a day's row, in one of the ways that gauges have."""
        value = self.true_value(day)
        if self.silent_until is not None and day <= self.silent_until:
            return
        if self.frozen_until is not None and day <= self.frozen_until:
            self.rows[day] = list(self.rows[max(self.rows)])
            self.dirty.add(day)
            return
        self.rows[day] = _cells(value, how, rng)
        if how is not None:
            self.dirty.add(day)

    def mend(self) -> None:
        """Correct every row that does not say the truth, and add those that are missing."""
        last = max(self.rows)
        day = FIRST_DAY
        while day <= last:
            if day in self.dirty or day not in self.rows:
                self.rows[day] = _cells(self.true_value(day), None, random.Random(0))
            day += timedelta(days=1)
        self.mended |= self.dirty
        self.dirty.clear()

    def write(self, folder: Path) -> None:
        """Write the file as a logger's export would: whole, then moved into place."""
        if self.lost or not folder.is_dir():
            return
        lines = [f"date,{self.dam.column},inflow_m3s"]
        shown = sorted(self.rows.items())[0 if self.whole else -SHOWN_DAYS :]
        lines += [f"{day},{cell},{_flow(day)}" for day, cells in shown for cell in cells]
        path = folder / f"{self.dam.id}.csv"
        unfinished = path.with_suffix(".part")
        unfinished.write_text("\n".join(lines) + "\n")
        os.replace(unfinished, path)


def _cells(value: float, how: str | None, rng: random.Random) -> list[str]:
    text = f"{value:.3f}"
    return {
        None: [text],
        "nan": ["NaN"],
        "empty": [""],
        "sentinel": ["-9999"],
        "typo": [text.replace(".", "", 1) if rng.random() < 0.5 else f"{value * 10:.3f}"],
        "letters": [text.replace("3", "E", 1).replace("4", "O", 1) + "?"],
        "duplicate": [text, f"{value * 1.01:.3f}"],
    }[how]


def _flow(day: date) -> str:
    return f"{20 + (day.toordinal() * 7919 % 100) / 50:.2f}"


def gauges(days: int, rng: random.Random) -> tuple[Gauge, ...]:
    """All gauges with the record that the soak begins with."""
    made = tuple(Gauge(dam, simulate(HISTORY_DAYS + days + 2, rng)) for dam in DAMS)
    for gauge in made:
        for day in days_from(FIRST_DAY, HISTORY_DAYS):
            gauge.report(day, None, rng)
    return made


def days_from(first: date, count: int) -> Iterator[date]:
    return (first + timedelta(days=n) for n in range(count))
