"""The sheet that screening works on: the daily calendar, its values, and the flags set so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from warning.domain.readings import Flag, RawReadings, ReadingSeries
from warning.domain.reservoir import Bounds, ScreeningLimits
from warning.domain.screening_limits import STOCKS
from warning.domain.variables import BoolArray, DayArray, FlagArray, FloatArray, IndexArray, Variable

_LOOK_BACK_ROWS = 30
_REFUSED_COST = 1000.0


@dataclass(slots=True)
class Sheet:
    """Values on the calendar with flags beside them; the rules write into the flags."""

    first_day: date
    values: dict[Variable, FloatArray]
    at_once: dict[Variable, FlagArray]
    settled: dict[Variable, FlagArray]
    bounds: Mapping[Variable, Bounds]
    limits: ScreeningLimits

    def mark(self, variable: Variable, rows: BoolArray | IndexArray | int, flag: Flag) -> None:
        """Flag readings both at once and settled."""
        self.at_once[variable][rows] |= flag.value
        self.settled[variable][rows] |= flag.value

    def clean(self, variable: Variable) -> FloatArray:
        """Return the values without a flag so far, NaN elsewhere; all NaN for an unknown variable.

        Only for rules that run before any flag depends on a later reading.
        """
        if variable not in self.values:
            return np.full(next(iter(self.values.values())).size, np.nan)
        return np.where(self.at_once[variable] == 0, self.values[variable], np.nan)

    def series(self) -> ReadingSeries:
        """Return the finished series; flags stand only where a value stands."""
        for variable, column in self.values.items():
            missing = ~np.isfinite(column)
            self.at_once[variable][missing] = 0
            self.settled[variable][missing] = 0
        return ReadingSeries(self.first_day, self.values, self.at_once, self.settled)


def sheet_of(raw: RawReadings, bounds: Mapping[Variable, Bounds], limits: ScreeningLimits) -> Sheet:
    """Lay `raw` out on an unbroken calendar; days that occur twice are resolved and flagged."""
    days = raw.days.astype("datetime64[D]")
    if days.size == 0 or np.isnat(days).any():
        raise ValueError("screening needs at least one reading, and a date on each")
    first = days.min()
    length = int((days.max() - first).astype(int)) + 1
    sheet = Sheet(first.item(), {}, {}, {}, bounds, limits)
    rows = (days - first).astype(np.intp)
    for variable, column in raw.values.items():
        sheet.values[variable] = np.full(length, np.nan)
        # in reverse, so that the first row of a repeated day is the one that stands
        sheet.values[variable][rows[::-1]] = np.where(np.isfinite(column), column, np.nan)[::-1]
        sheet.at_once[variable] = np.zeros(length, dtype=np.uint16)
        sheet.settled[variable] = np.zeros(length, dtype=np.uint16)
    for row, members in _repeated(rows):
        _resolve(sheet, raw, row, members)
    return sheet


def disagreeing_days(raw: RawReadings) -> DayArray:
    """Return the days that stand more than once in `raw` with values that differ, ascending."""
    days = raw.days.astype("datetime64[D]")
    differ = []
    for row, members in _repeated(days.astype(np.intp)):
        if any(_distinct(column[members]).size > 1 for column in raw.values.values()):
            differ.append(row)
    return np.array(differ, dtype=np.int64).astype("datetime64[D]")


def _repeated(rows: IndexArray) -> list[tuple[int, IndexArray]]:
    """Return (row, positions in source order) of each row that occurs more than once, ascending."""
    order = np.argsort(rows, kind="stable")
    starts = np.flatnonzero(np.concatenate(([True], np.diff(rows[order]) != 0)))
    groups = np.split(order, starts[1:]) if starts.size < rows.size else []
    return [(int(rows[group[0]]), group) for group in groups if group.size > 1]


def _distinct(values: FloatArray) -> FloatArray:
    return np.unique(values[np.isfinite(values)])


def _resolve(sheet: Sheet, raw: RawReadings, row: int, members: IndexArray) -> None:
    """Choose among rows of one day the one that best continues the days before, and flag what is open."""
    differing = [v for v, column in raw.values.items() if _distinct(column[members]).size > 1]
    costs = np.array([_cost(sheet, raw, row, int(member), differing) for member in members])
    best = int(np.argmin(costs))
    others = [cost for i, cost in enumerate(costs) if _rows_differ(raw, differing, members[i], members[best])]
    clear = costs[best] < 0.5 and all(cost > 2.0 for cost in others)
    for variable, column in raw.values.items():
        finite = [column[m] for m in (members[best], *members) if np.isfinite(column[m])]
        sheet.values[variable][row] = finite[0] if finite else np.nan
        if variable in differing and not (clear and np.isfinite(column[members[best]])):
            sheet.mark(variable, row, Flag.DUPLICATE_DAYS)


def _rows_differ(raw: RawReadings, variables: list[Variable], one: int, other: int) -> bool:
    return any(raw.values[v][one] != raw.values[v][other] for v in variables)


def _cost(sheet: Sheet, raw: RawReadings, row: int, member: int, differing: list[Variable]) -> float:
    """Return how badly a row's level and storage continue the days before, in daily limits."""
    cost = 0.0
    for variable in (v for v in differing if v in STOCKS):
        value = raw.values[variable][member]
        range_ = sheet.bounds.get(variable)
        if not np.isfinite(value) or value == 0 or (range_ is not None and value not in range_):
            cost += _REFUSED_COST
            continue
        before = sheet.values[variable][max(row - _LOOK_BACK_ROWS, 0) : row]
        usable = np.isfinite(before) & (before != 0)
        rate = sheet.limits.rate_per_day.get(variable)
        if not usable.any() or rate is None:
            cost += 1.0
            continue
        last = int(np.flatnonzero(usable)[-1])
        cost += abs(value - before[last]) / (rate * (before.size - last))
    return cost if any(v in STOCKS for v in differing) else 1.0
