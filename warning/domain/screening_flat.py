"""Frozen gauges: the same value day after day where the water cannot stand still."""

from __future__ import annotations

import numpy as np

from warning.domain.readings import Flag
from warning.domain.screening_limits import STOCKS
from warning.domain.screening_sheet import Sheet
from warning.domain.variables import BoolArray, FloatArray, IndexArray, Variable

_RAIN_DAYS = 5
_TOP_SHARE = 0.05
_EMPTY_SHARE = 0.01
_OTHER_STOCK = {Variable.LEVEL_M: Variable.STORAGE_M3, Variable.STORAGE_M3: Variable.LEVEL_M}


def flag_flat_lines(sheet: Sheet) -> None:
    """Flag the n-th equal reading in a row and those after it.

    A full pool and an empty one stand still for weeks, and so does a coarsely read gauge while the
    other stock moves a little; a constant release and days without rain are normal.
    """
    days = sheet.limits.flat_line_days
    for variable in (v for v in STOCKS if v in sheet.values):
        if days is None:
            continue
        column = sheet.clean(variable)
        rows = np.flatnonzero(np.isfinite(column))
        values = column[rows]
        lengths = _equal_so_far(values)
        flat = (
            (lengths >= days)
            & ~_near_the_top(values)
            & ~_nearly_empty(sheet)[rows]
            & ~_other_moves_a_little(sheet, variable, rows, lengths)
        )
        sheet.mark(variable, rows[flat], Flag.FLAT_LINE)
    if Variable.RAIN_MM in sheet.values:
        column = sheet.clean(Variable.RAIN_MM)
        rows = np.flatnonzero(np.isfinite(column))
        flat = (_equal_so_far(column[rows]) >= _RAIN_DAYS) & (column[rows] > 0)
        sheet.mark(Variable.RAIN_MM, rows[flat], Flag.FLAT_LINE)


def _equal_so_far(values: FloatArray) -> IndexArray:
    """Return for each reading how many equal ones end with it."""
    index = np.arange(values.size)
    changed = np.concatenate(([True], np.diff(values) != 0))[: values.size]
    return index - np.maximum.accumulate(np.where(changed, index, 0)) + 1


def _near_the_top(values: FloatArray) -> BoolArray:
    """Say for each reading whether it lies near the highest that was seen up to then."""
    highest, lowest = np.maximum.accumulate(values), np.minimum.accumulate(values)
    return values >= highest - _TOP_SHARE * (highest - lowest)


def _nearly_empty(sheet: Sheet) -> BoolArray:
    """Say for each row whether the storage was down to a hundredth of the highest seen up to then."""
    storage = np.nan_to_num(sheet.clean(Variable.STORAGE_M3), nan=np.inf)
    highest = np.maximum.accumulate(np.where(np.isfinite(storage), storage, 0.0))
    return storage <= _EMPTY_SHARE * highest


def _other_moves_a_little(
    sheet: Sheet, variable: Variable, rows: IndexArray, lengths: IndexArray
) -> BoolArray:
    """Say for each reading whether the other stock moved since the run began, but by no more than a tick.

    If it moved by more than its own spike limit, this gauge is frozen while the water moves.
    """
    other = _OTHER_STOCK[variable]
    moves = np.zeros(rows.size, dtype=np.bool_)
    most = sheet.limits.spike.get(other)
    if most is None or other not in sheet.values:
        return moves
    column = sheet.clean(other)
    for i in np.flatnonzero(lengths >= (sheet.limits.flat_line_days or 0)):
        run = column[rows[i - lengths[i] + 1] : rows[i] + 1]
        run = run[np.isfinite(run)]
        moves[i] = run.size > 0 and 0 < run.max() - run.min() <= most
    return moves
