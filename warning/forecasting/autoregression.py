"""A ridge autoregression per dam: tomorrow's changes from the last ones, the flows, the rain and the season.

Fitted in closed form under absolute errors, either once on a part of the record or again every eight
weeks on all that was known by then, which follows a dam whose regime changes. numpy alone.
"""

from __future__ import annotations

import numpy as np

from warning.domain.forecast import HORIZON_DAYS
from warning.domain.readings import ReadingSeries
from warning.domain.variables import FloatArray, IndexArray, Variable
from warning.forecasting.known import known_column
from warning.forecasting.model import SiteScale
from warning.forecasting.scaling import (
    FLOWS,
    LONGEST_BASE_AGE_DAYS,
    day_angle,
    lead_scale,
    part_known_before,
    robust_ridge,
    seasonal_change,
)

REFIT_DAYS = 56
LONGEST_MEMORY_DAYS = 3653
LEAST_ROWS = 200
_LAGS = 10
_FLOW_LAGS = 3
_RAIN_LAGS = 4
_LARGEST_CHANGE = 30.0  # daily changes; a wilder day counts as this one
_PENALTY = 3e-3


def fitted_once(series: ReadingSeries, scale: SiteScale, end_row: int, issue_rows: IndexArray) -> FloatArray:
    """Return z (N, 7) of the fit on what was known before `end_row`; NaN where that is too little."""
    design = _design(series, scale, np.arange(_rows_needed(issue_rows)))
    return _answers(series, scale, design, end_row, issue_rows)


def fitted_again(series: ReadingSeries, scale: SiteScale, issue_rows: IndexArray) -> FloatArray:
    """Return z (N, 7), each block of eight weeks of the calendar fitted on what was known before it."""
    design = _design(series, scale, np.arange(_rows_needed(issue_rows)))
    origin = series.first_day.toordinal()
    starts = (issue_rows + origin) // REFIT_DAYS * REFIT_DAYS - origin
    z = np.full((issue_rows.size, HORIZON_DAYS), np.nan)
    for start in np.unique(starts):
        chosen = starts == start
        z[chosen] = _answers(series, scale, design, int(start), issue_rows[chosen])
    return z


def _rows_needed(issue_rows: IndexArray) -> int:
    return int(issue_rows.max(initial=-1)) + 1


def _design(series: ReadingSeries, scale: SiteScale, rows: IndexArray) -> FloatArray:
    """What the autoregression sees (rows, features); the first column is the constant.

    A row whose lagged changes are not all known is NaN; a missing flow or rain is 0.
    """
    values, _ = known_column(series, scale.variable).windows(rows, _LAGS + 1)
    change = np.clip(np.diff(values, axis=1) / scale.daily_change, -_LARGEST_CHANGE, _LARGEST_CHANGE)
    angle = day_angle(series, rows)
    place = np.clip((values[:, -1] - scale.low) / (scale.high - scale.low) - 0.5, -1.0, 1.0)
    columns = [np.ones(rows.size), *change.T, place, place**2, np.sin(angle), np.cos(angle)]
    columns.append(seasonal_change(scale, day_angle(series, rows + 4)))
    for flow in FLOWS:
        if flow in scale.flow_gain and flow in series.values:
            recent, _ = known_column(series, flow).windows(rows, _FLOW_LAGS)
            effect = np.clip(recent * scale.flow_gain[flow] / scale.daily_change, -60.0, 60.0)
            columns += list(np.nan_to_num(effect).T)
            columns += list(np.nan_to_num(np.log1p(np.maximum(recent[:, -1:], 0.0))).T)
    if scale.rain_mm > 0 and Variable.RAIN_MM in series.values:
        rain, age = known_column(series, Variable.RAIN_MM).windows(rows, _RAIN_LAGS)
        columns += list(np.where(age == 0, np.log1p(np.maximum(rain, 0.0) / scale.rain_mm), 0.0).T)
    return np.column_stack(columns)


def _answers(
    series: ReadingSeries, scale: SiteScale, design: FloatArray, end_row: int, issue_rows: IndexArray
) -> FloatArray:
    """Fit on what was known before `end_row` and answer for the issue rows; rounded, so that the answer for
    a row does not depend on its company."""
    coefficients = _fitted(series, scale, design, end_row)
    if coefficients is None:
        return np.full((issue_rows.size, HORIZON_DAYS), np.nan)
    return np.round(design[issue_rows] @ coefficients, 6)


def _fitted(series: ReadingSeries, scale: SiteScale, design: FloatArray, end_row: int) -> FloatArray | None:
    """Coefficients (features, 7), None where fewer than 200 rows are complete."""
    end = min(max(end_row, 0), len(design))
    rows = np.arange(max(end - LONGEST_MEMORY_DAYS, 0), end)
    if rows.size < LEAST_ROWS:
        return None
    truth = part_known_before(series, scale.variable, end)
    ahead = rows[:, None] + np.arange(1, HORIZON_DAYS + 1)
    found = np.where(ahead < end, truth[np.minimum(ahead, end - 1)], np.nan)
    base = known_column(series, scale.variable).base(rows, LONGEST_BASE_AGE_DAYS)
    z = (found - base[:, None]) / lead_scale(scale)
    usable = np.isfinite(z).any(axis=1) & np.isfinite(design[rows]).all(axis=1)
    if usable.sum() < LEAST_ROWS:
        return None
    return robust_ridge(design[rows[usable]], z[usable], _PENALTY)
