"""Readings as they came, and the daily series with flags that the rest of the program works on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import IntFlag
from typing import Final

import numpy as np

from warning.domain.forecast import HORIZON_DAYS
from warning.domain.variables import BoolArray, DayArray, FlagArray, FloatArray, Variable

AheadColumns = Mapping[Variable, FloatArray]
AHEAD_VARIABLES: Final = (Variable.RAIN_MM, Variable.OUTFLOW_M3S)


@dataclass(frozen=True, slots=True)
class RawReadings:
    """One dam's readings exactly as a source gave them: any order, days may repeat.

    `days` is datetime64[D]; each array in `values` has its length; NaN is missing.
    `complaints` are cells the source could not read, each with its line, for findings.
    """

    days: DayArray
    values: Mapping[Variable, FloatArray]
    complaints: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for variable, column in self.values.items():
            if column.shape != self.days.shape:
                raise ValueError(f"{variable} has {column.size} values for {self.days.size} days")

    def until(self, last_day: date) -> RawReadings:
        """Return the readings as they stood when `last_day` was the newest day."""
        keep = self.days <= np.datetime64(last_day, "D")
        columns = {variable: column[keep] for variable, column in self.values.items()}
        return RawReadings(self.days[keep], columns, self.complaints)


class Flag(IntFlag):
    """Why a reading is doubted; several may stand on one reading. Any flag means "not truth"."""

    PHYSICAL_RANGE = 1
    SENTINEL = 2
    ZERO_RUN = 4
    SPIKE = 8
    RATE_OF_CHANGE = 16
    FLAT_LINE = 32
    DUPLICATE_DAYS = 64
    LEVEL_AGAINST_STORAGE = 128
    SCALE_STEP = 256


@dataclass(frozen=True, slots=True)
class ReadingSeries:
    """One dam's readings on an unbroken daily calendar, one row a day, flags beside values.

    All arrays have one length, row i being `first_day` + i days; NaN is missing, never 0.
    `at_once` holds the verdict on each reading from nothing later than its own day;
    `settled` the verdict once the next reading of that variable had come. For a variable's
    last reading the two are equal. Cutting the record after any day changes neither array
    before that variable's last remaining reading: this is what makes hindcasts honest.

    `ahead` holds forecast rain and planned release, (days, 7) each: row i is what was known on its
    day of the seven days after it, NaN where nothing was. Most dams have none. `ahead_issued` says on
    which day the newest outlook in the last row was issued.
    """

    first_day: date
    values: Mapping[Variable, FloatArray]
    at_once: Mapping[Variable, FlagArray]
    settled: Mapping[Variable, FlagArray]
    ahead: AheadColumns = field(default_factory=dict)
    ahead_issued: Mapping[Variable, date] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("a reading series needs at least one variable")
        lengths = {a.size for m in (self.values, self.at_once, self.settled) for a in m.values()}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(f"the columns of a series need one common length, found {lengths}")
        if not (self.values.keys() == self.at_once.keys() == self.settled.keys()):
            raise ValueError("each variable needs its flags beside its values")
        for variable, table in self.ahead.items():
            if variable not in AHEAD_VARIABLES or table.shape != (len(self), HORIZON_DAYS):
                raise ValueError(
                    f"{variable} ahead of shape {table.shape}, expected {(len(self), HORIZON_DAYS)} of "
                    f"{' or '.join(AHEAD_VARIABLES)}"
                )

    def __len__(self) -> int:
        return next(iter(self.values.values())).size

    @property
    def last_day(self) -> date:
        return self.day(len(self) - 1)

    @property
    def days(self) -> DayArray:
        """All days of the calendar, datetime64[D]."""
        return np.datetime64(self.first_day, "D") + np.arange(len(self))

    def day(self, row: int) -> date:
        """Return the day of `row`."""
        return self.first_day + timedelta(days=row)

    def row(self, day: date) -> int:
        """Return the row of `day`; it lies outside 0..len-1 when the calendar does not hold it."""
        return (day - self.first_day).days

    def has(self, variable: Variable) -> bool:
        """Say whether the dam ever reported `variable`."""
        return variable in self.values and bool(np.isfinite(self.values[variable]).any())

    def reported(self, variable: Variable) -> BoolArray:
        """Say for each day whether a value stands there, doubted or not."""
        return np.isfinite(self.values[variable])

    def trusted_at_once(self, variable: Variable) -> FloatArray:
        """Values that were believed on their own day; NaN elsewhere."""
        return np.where(self.at_once[variable] == 0, self.values[variable], np.nan)

    def trusted(self, variable: Variable) -> FloatArray:
        """Values that are believed with the next reading known; NaN elsewhere. The truth to score against."""
        return np.where(self.settled[variable] == 0, self.values[variable], np.nan)

    def last_reported_row(self, variable: Variable) -> int | None:
        """Return the row of the newest value of `variable`, doubted or not."""
        return last_reported(self.values[variable]) if variable in self.values else None

    def last_trusted_row(self, variable: Variable) -> int | None:
        """Return the row of the newest value of `variable` that is believed."""
        if variable not in self.values:
            return None
        rows = np.flatnonzero(np.isfinite(self.trusted(variable)))
        return int(rows[-1]) if rows.size else None


def last_reported(values: FloatArray) -> int | None:
    """Return where the last value of a column stands; None where there is none."""
    if math.isfinite(values[-1]):  # nearly always
        return values.size - 1
    rows = np.flatnonzero(np.isfinite(values))
    return int(rows[-1]) if rows.size else None


@dataclass(frozen=True, slots=True)
class FleetReadings:
    """What one reading of the source gave: readings by reservoir id, and why others have none."""

    readings: Mapping[str, RawReadings]
    failures: Mapping[str, str]
