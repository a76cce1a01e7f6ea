"""Screening: which readings are doubted, why, and what was known about each on its own day.

Rules run in an order in which none needs what a later one finds. All but the jumps and the spikes
judge a reading from its own day and the days before; a jump is judged again when the next reading
of its variable has come. Nothing looks further ahead, so a record cut after any day is screened
exactly as the whole one was up to there.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from warning.domain.readings import Flag, RawReadings, ReadingSeries
from warning.domain.reservoir import Bounds, ScreeningLimits
from warning.domain.screening_flat import flag_flat_lines
from warning.domain.screening_jumps import flag_jumps
from warning.domain.screening_limits import STOCKS
from warning.domain.screening_rating import flag_level_against_storage
from warning.domain.screening_scale import flag_scale_steps
from warning.domain.screening_sheet import Sheet, sheet_of
from warning.domain.variables import BoolArray, Variable


def screen(raw: RawReadings, bounds: Mapping[Variable, Bounds], limits: ScreeningLimits) -> ReadingSeries:
    """Return the daily series of `raw`, from its first day to its last, with flags.

    `bounds` may lack variables and `limits` fields (see `derive_bounds`, `derive_limits`); a rule
    without its limit rests. Raises ValueError for a record without a single row.
    """
    sheet = sheet_of(raw, bounds, limits)
    _flag_range_and_sentinels(sheet)
    _flag_zeros(sheet)
    flag_level_against_storage(sheet)
    flag_flat_lines(sheet)
    flag_scale_steps(sheet)
    flag_jumps(sheet)
    return sheet.series()


def _flag_range_and_sentinels(sheet: Sheet) -> None:
    for variable, column in sheet.values.items():
        if sheet.limits.sentinels:
            sheet.mark(variable, np.isin(column, sheet.limits.sentinels), Flag.SENTINEL)
        range_ = sheet.bounds.get(variable)
        if range_ is not None:
            inside = (column >= range_.lower) & (column <= range_.upper)
            sheet.mark(variable, ~inside, Flag.PHYSICAL_RANGE)


def _flag_zeros(sheet: Sheet) -> None:
    """Flag zeros that mean "no reading": impossible, fallen from a height, or too many in a row.

    Flows and rain may be 0; they are doubted only where a doubted level or storage stands in
    a row of nothing but zeros, which is what a dead feed reports.
    """
    doubted = np.zeros(len(next(iter(sheet.values.values()))), dtype=np.bool_)
    for variable in (v for v in STOCKS if v in sheet.values):
        zeros = _doubtful_zeros(sheet, variable)
        sheet.mark(variable, zeros, Flag.ZERO_RUN)
        doubted |= zeros
    only_zeros = np.all([(c == 0) | ~np.isfinite(c) for c in sheet.values.values()], axis=0)
    for variable, column in sheet.values.items():
        if variable not in STOCKS:
            sheet.mark(variable, doubted & only_zeros & (column == 0), Flag.ZERO_RUN)


def _doubtful_zeros(sheet: Sheet, variable: Variable) -> BoolArray:
    column = sheet.values[variable]
    zero = column == 0
    range_ = sheet.bounds.get(variable)
    if range_ is not None and 0.0 not in range_:
        impossible: BoolArray = zero
        return impossible
    least_fall = sheet.limits.spike.get(variable, np.inf)
    doubtful = np.zeros(column.size, dtype=np.bool_)
    reported = np.flatnonzero(np.isfinite(column) & (zero | (sheet.at_once[variable] == 0)))
    run, height = 0, np.inf  # a record that begins with zeros has never shown that it can be empty
    for row in reported:
        if not zero[row]:
            run, height = 0, column[row]
            continue
        run += 1
        doubtful[row] = height > least_fall or run > (sheet.limits.zero_run_days or np.inf)
    return doubtful
