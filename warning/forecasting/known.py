"""A variable's readings as they were known on each issue day: what makes every hindcast honest.

On the issue day, the newest reading is judged from the past alone (`at_once`); every reading before
it has been judged with its successor at hand (`settled`). Nothing later than the issue day is looked
at, so that cutting the record there changes nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from warning.domain.readings import ReadingSeries
from warning.domain.variables import BoolArray, FloatArray, IndexArray, Variable
from warning.forecasting.joined import begins_of


@dataclass(frozen=True, slots=True)
class KnownColumn:
    """One variable of a series, indexed so that its state of knowledge on any day is a look-up.

    Rows are those of the series; -1 stands for "none so far". Where records of many dams lie end to end,
    none is seen from another.
    """

    values: FloatArray
    newest: IndexArray  # the newest reported row ≤ each row
    settled_before: IndexArray  # the newest row ≤ each row that is believed with its successor known
    settled_after: IndexArray  # the oldest such row ≥ each row
    believed_now: IndexArray  # the newest row believed by someone who knows nothing after each row
    believed_at_once: BoolArray
    begins: IndexArray  # the row that the record of each row begins with

    def base(self, rows: IndexArray, longest_age_days: int) -> FloatArray:
        """Return the last believed value on each issue row, NaN where it is older than the age or none."""
        found = self.believed_now[rows]
        fresh = (found >= 0) & (rows - found <= longest_age_days)
        return np.where(fresh, self.values[found], np.nan)

    def windows(self, rows: IndexArray, steps: int) -> tuple[FloatArray, IndexArray]:
        """Return what was known on each issue row of the `steps` days that end there.

        Values (N, steps) are linear between believed readings and constant after the last, NaN
        before the first; ages (N, steps) count the days since the last believed reading, and are
        the step's distance from the record's start plus one where there was none.
        """
        days = rows[:, None] + np.arange(1 - steps, 1)
        begins = self.begins[rows][:, None]
        inside = days >= begins
        clipped = np.maximum(days, begins)
        newest = self.newest[rows][:, None]
        tail = clipped >= newest
        before = np.where(tail, self.believed_now[clipped], self.settled_before[clipped])
        after = self._next_believed(clipped, newest)
        values = self._between(clipped, before, after)
        known = inside & (before >= 0)
        return np.where(known, values, np.nan), np.where(known, clipped - before, clipped - begins + 1)

    def _next_believed(self, days: IndexArray, newest: IndexArray) -> IndexArray:
        """Return the oldest row ≥ each day that is believed on the issue day, or -1."""
        after = self.settled_after[days]
        newest_counts = (newest >= days) & self.believed_at_once[newest]
        return np.where(after < newest, after, np.where(newest_counts, newest, -1))

    def _between(self, days: IndexArray, before: IndexArray, after: IndexArray) -> FloatArray:
        left = self.values[before]
        gap = after - before
        bridged = (after >= 0) & (before >= 0) & (gap > 0)
        share = np.where(bridged, (days - before) / np.where(bridged, gap, 1), 0.0)
        right = np.where(bridged, self.values[np.where(bridged, after, before)], left)
        bridge: FloatArray = left + share * (right - left)
        return bridge


_LATELY: Final[deque[tuple[ReadingSeries, Variable, KnownColumn]]] = deque(maxlen=6)
"""The last columns that were indexed: one dam's are asked for again and again, by every expert."""


def known_column(series: ReadingSeries, variable: Variable) -> KnownColumn:
    """Index `variable` of `series`; it must be among the series' columns, which nobody changes in place."""
    for known_series, known_variable, column in _LATELY:
        if known_series is series and known_variable is variable:
            return column
    column = _indexed(series, variable)
    _LATELY.append((series, variable, column))
    return column


def _indexed(series: ReadingSeries, variable: Variable) -> KnownColumn:
    values = series.values[variable]
    begins = begins_of(series)
    at_once = np.isfinite(series.trusted_at_once(variable))
    settled = np.isfinite(series.trusted(variable))
    newest = _last_true(np.isfinite(values), begins)
    settled_before = _last_true(settled, begins)
    fallback = np.where(newest > begins, settled_before[np.maximum(newest - 1, 0)], -1)
    return KnownColumn(
        values=values,
        newest=newest,
        settled_before=settled_before,
        settled_after=_first_true_from(settled),
        believed_now=np.where((newest >= 0) & at_once[newest], newest, fallback),
        believed_at_once=at_once,
        begins=begins,
    )


def _last_true(mask: BoolArray, begins: IndexArray) -> IndexArray:
    """Return for each row the newest row ≤ it of its record where `mask` holds, -1 if none."""
    last = np.maximum.accumulate(np.where(mask, np.arange(mask.size), -1))
    return np.where(last >= begins, last, -1)


def _first_true_from(mask: BoolArray) -> IndexArray:
    """Return for each row the oldest row ≥ it where `mask` holds, if in its record; else one beyond that."""
    marked = np.where(mask, np.arange(mask.size), mask.size)
    first: IndexArray = np.minimum.accumulate(marked[::-1])[::-1]
    return first
