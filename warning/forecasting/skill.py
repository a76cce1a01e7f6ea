"""How well the pool did of late at one dam: its mean absolute error over that of persistence.

Over the targets of the last 52 weeks of the calendar, the running one counted as a whole, so that what a
model keeps of the past is one sum a week.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from warning.domain.variables import FloatArray, IndexArray
from warning.forecasting.weights import known_errors

SKILL_WEEKS: Final = 52
_WEEK_DAYS: Final = 7


def skill_of_rows(pooled: FloatArray, persistence: FloatArray, truth: FloatArray, origin: int) -> FloatArray:
    """Return MAE / MAE(persistence) (rows, 7) as known on each row; NaN before the first known target.

    `pooled` and `persistence` are (rows, 7) by issue row, `truth` (rows,); `origin` is the ordinal of row 0.
    """
    losses = known_losses(pooled, persistence, truth)
    total = np.concatenate((np.zeros((1, *losses.shape[1:])), np.cumsum(losses, axis=0)))
    rows = np.arange(len(losses))
    first = np.maximum((week_of(rows + origin) - SKILL_WEEKS + 1) * _WEEK_DAYS - origin, 0)
    return ratio(total[rows + 1] - total[first])


def known_losses(pooled: FloatArray, persistence: FloatArray, truth: FloatArray) -> FloatArray:
    """Return both absolute errors (rows, 7, 2) on the rows that made them known; 0 where either is not."""
    errors = np.abs(known_errors(np.stack((pooled, persistence), axis=2), truth))
    both = np.isfinite(errors).all(axis=2, keepdims=True)
    losses: FloatArray = np.where(both, errors, 0.0)
    return losses


def weekly(losses: FloatArray, origin: int, last_ordinal: int) -> FloatArray:
    """Return the sums (52, 7, 2) of the weeks up to that of `last_ordinal`, oldest first."""
    weeks = week_of(np.arange(len(losses)) + origin) - week_of(np.array(last_ordinal)) + SKILL_WEEKS - 1
    sums = np.zeros((SKILL_WEEKS, *losses.shape[1:]))
    counted = (weeks >= 0) & (weeks < SKILL_WEEKS)
    np.add.at(sums, weeks[counted], losses[counted])
    return sums


def week_of(ordinals: IndexArray) -> IndexArray:
    """Return the number of the week that each day belongs to."""
    weeks: IndexArray = ordinals // _WEEK_DAYS
    return weeks


def ratio(sums: FloatArray) -> FloatArray:
    """Return the first of the two sums over the second, NaN where that is 0."""
    ours, theirs = sums[..., 0], sums[..., 1]
    found: FloatArray = np.divide(ours, theirs, out=np.full(ours.shape, np.nan), where=theirs > 0)
    return found
