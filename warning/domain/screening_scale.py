"""A silent change of a flow's unit, found by the water balance.

Over some weeks the storage's changes must equal inflow less outflow. Where they used to, and
now equal them only after one or both flows are multiplied by a large factor, the unit changed.
"""

from __future__ import annotations

import numpy as np

from warning.domain.readings import Flag
from warning.domain.screening_balance import SECONDS_PER_DAY
from warning.domain.screening_sheet import Sheet
from warning.domain.variables import BoolArray, FloatArray, IndexArray, Variable

_WINDOW_ROWS = 21
_FEWEST_ROWS = 12
_FEWEST_CLOSED_ROWS = 20
_USUALLY_CLOSED = 0.6
_MEMORY_ROWS = 730
_CONFIRMING_ROWS = 5
_CLOSED = 0.3  # unexplained share of the storage's movement at which the balance counts as closed
_BETTER = 0.3  # the scaled flows must leave less than this share of what the flows as given leave
_SUSPECTS = (
    (Variable.INFLOW_M3S, Variable.OUTFLOW_M3S),
    (Variable.INFLOW_M3S,),
    (Variable.OUTFLOW_M3S,),
)
_INFLOW_ALONE, _OUTFLOW_ALONE = 1, 2
_FEWEST_WILD_DAYS = 6  # over which the misfit must spread: one wrong day is a spike and no step
_WILD = 4.0  # so many times what was ever left unexplained, and what moved: another quantity's column


def flag_scale_steps(sheet: Sheet) -> None:
    """Flag the flows whose scale the balance refutes, from the day it is sure until they fit again."""
    factor = sheet.limits.scale_step_factor
    needed = {Variable.STORAGE_M3, Variable.INFLOW_M3S, Variable.OUTFLOW_M3S}
    if factor is None or not needed <= sheet.values.keys():
        return
    change, inflow, outflow = _daily_volumes(sheet)
    total, as_given, scaled, factors = _unexplained(change, inflow, outflow)
    closed = as_given < _CLOSED * total
    closed_before = _usually_closed(closed, total > 0)
    best = np.argmin(scaled, axis=0)
    columns = np.arange(closed.size)
    least, by = scaled[best, columns], factors[best, columns]
    far = (by > factor) | ((by > 0) & (by < 1.0 / factor))
    scaled_off = far & (least < _BETTER * as_given) & (least < _CLOSED * total) & closed_before
    worst = _worst_closed_before(as_given, closed)
    spread = as_given**2 >= _FEWEST_WILD_DAYS * _windowed((change - inflow + outflow) ** 4)
    wild = (as_given > _WILD * np.maximum(worst, total)) & spread & closed_before & ~scaled_off
    larger = np.where(
        _windowed(inflow * inflow) > _windowed(outflow * outflow), _INFLOW_ALONE, _OUTFLOW_ALONE
    )
    fits = closed | (as_given <= worst)
    _mark_while_off(sheet, scaled_off | wild, np.where(wild, larger, best), closed, fits)


def _worst_closed_before(as_given: FloatArray, closed: BoolArray) -> FloatArray:
    """Return for each row the most that flows left unexplained in a closed window that had ended by then."""
    worst = np.maximum.accumulate(np.where(closed, as_given, 0.0))
    return np.concatenate((np.zeros(_WINDOW_ROWS), worst))[: worst.size]


def _usually_closed(closed: BoolArray, judged: BoolArray) -> BoolArray:
    """Say for each row whether the balance closed on most days of the two years before its window."""
    shut: IndexArray = np.cumsum(closed & judged)
    open_: IndexArray = np.cumsum(judged)
    rows = np.arange(closed.size)
    last, first = rows - _WINDOW_ROWS, rows - _WINDOW_ROWS - _MEMORY_ROWS
    count, of = _difference(shut, first, last), _difference(open_, first, last)
    return (count >= _FEWEST_CLOSED_ROWS) & (count >= _USUALLY_CLOSED * of)


def _difference(running: IndexArray, first: IndexArray, last: IndexArray) -> IndexArray:
    """Return running[last] - running[first], taking what lies before the record as 0."""
    padded = np.concatenate(([0], running))
    difference: IndexArray = padded[np.maximum(last + 1, 0)] - padded[np.maximum(first + 1, 0)]
    return difference


def _mark_while_off(
    sheet: Sheet, off: BoolArray, which: IndexArray, closed: BoolArray, fits: BoolArray
) -> None:
    confirming = 0
    suspects: tuple[Variable, ...] = ()
    for row in range(off.size):
        if closed[row] or (fits[row] and not off[row] and len(suspects) == 1):
            confirming, suspects = 0, ()
        elif off[row]:
            confirming += 1
            if confirming >= _CONFIRMING_ROWS:
                suspects = _SUSPECTS[int(which[row])]
        for variable in suspects:
            sheet.mark(variable, row, Flag.SCALE_STEP)


def _daily_volumes(sheet: Sheet) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return storage change, inflow and outflow in m³ a day; 0 in all three where one is unknown."""
    # a storage from another table, doubted for its step, still moves with the flows
    doubted = sheet.at_once[Variable.STORAGE_M3] & ~np.uint16(Flag.LEVEL_AGAINST_STORAGE)
    storage = np.where(doubted == 0, sheet.values[Variable.STORAGE_M3], np.nan)
    change = np.concatenate(([np.nan], np.diff(storage)))
    inflow = sheet.clean(Variable.INFLOW_M3S) * SECONDS_PER_DAY
    outflow = sheet.clean(Variable.OUTFLOW_M3S) * SECONDS_PER_DAY
    most = sheet.limits.rate_per_day.get(Variable.STORAGE_M3, np.inf)
    known = np.isfinite(change) & np.isfinite(inflow) & np.isfinite(outflow) & (np.abs(change) <= most)
    zero = np.zeros_like(change)
    return np.where(known, change, zero), np.where(known, inflow, zero), np.where(known, outflow, zero)


def _unexplained(
    change: FloatArray, inflow: FloatArray, outflow: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return sums of squares over the window that ends with each row, and the best factors.

    In order: of the storage's changes; of what the flows leave unexplained as given; (3, rows) of
    what they leave when both, the inflow, or the outflow are scaled best; (3, rows) those factors.
    """
    net = inflow - outflow
    total, as_given = _windowed(change * change), _windowed((change - net) ** 2)
    scaled, factors = [], []
    for known, suspect in ((change, net), (change + outflow, inflow), (inflow - change, outflow)):
        products, squares = _windowed(known * suspect), _windowed(suspect * suspect)
        usable = squares > 0
        by = np.divide(products, squares, out=np.zeros_like(products), where=usable)
        factors.append(by)
        scaled.append(np.maximum(_windowed(known * known) - by * products, 0.0))
    few = _windowed((change != 0).astype(np.float64)) < _FEWEST_ROWS
    total = np.where(few, 0.0, total)
    return total, as_given, np.array(scaled), np.array(factors)


def _windowed(values: FloatArray) -> FloatArray:
    """Sum over the last rows up to each row; each sum is made of its own window alone.

    A running total would carry the rounding of all the days before into every later sum.
    """
    total = values.copy()
    for lag in range(1, _WINDOW_ROWS):
        total[lag:] += values[:-lag]
    return total
