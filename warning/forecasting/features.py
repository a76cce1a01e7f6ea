"""What the networks see of a dam and what they are asked for: scales, inputs, targets.

All inputs are "as known on the issue day" (see `known`); a step's features do not depend on how many
steps are asked for, so that members with short sequences read the tail of the longest one. Series and
scale may be those of many dams that are alike (see `joined`).
"""

from __future__ import annotations

import numpy as np

from warning.domain.forecast import HORIZON_DAYS
from warning.domain.readings import ReadingSeries
from warning.domain.variables import BoolArray, FloatArray, IndexArray, Variable
from warning.forecasting.joined import AnyScale, ordinals_of
from warning.forecasting.known import known_column
from warning.forecasting.scaling import (
    FLOWS,
    LONGEST_BASE_AGE_DAYS,
    day_angle,
    lead_scale,
    seasonal_change,
)

LONGEST_INPUT_AGE_DAYS = 7
FEATURE_NAMES = (
    "change",
    "departure",
    "position",
    "age",
    "other_change",
    "other_mask",
    "inflow_log",
    "inflow_gain",
    "inflow_mask",
    "outflow_log",
    "outflow_gain",
    "outflow_mask",
    "rain",
    "rain_mask",
    "day_sin",
    "day_cos",
    "season",
    "season_ahead",
    "flashiness",
    "inertia",
    "stillness",
)
FEATURE_COUNT = len(FEATURE_NAMES)


def base_values(series: ReadingSeries, variable: Variable, issue_rows: IndexArray) -> FloatArray:
    """Return the last believed value (N,) as known on each issue row; NaN if none in two weeks."""
    return known_column(series, variable).base(issue_rows, LONGEST_BASE_AGE_DAYS)


def targets(series: ReadingSeries, scale: AnyScale, issue_rows: IndexArray) -> FloatArray:
    """Return z (N, 7) = (truth − base) / (daily change · √lead); NaN where no believed truth or base."""
    truth = series.trusted(scale.variable)
    rows = issue_rows[:, None] + np.arange(1, HORIZON_DAYS + 1)
    ahead = np.where(rows < truth.size, truth[np.minimum(rows, truth.size - 1)], np.nan)
    base = base_values(series, scale.variable, issue_rows)
    z: FloatArray = (ahead - base[:, None]) / lead_scale(scale)
    return z


def z_to_values(z: FloatArray, base: FloatArray, scale: AnyScale) -> FloatArray:
    """Return the forecasts (N, 7) in the variable's unit."""
    values: FloatArray = base[:, None] + z * lead_scale(scale)
    return values


def network_inputs(series: ReadingSeries, scale: AnyScale, issue_rows: IndexArray, steps: int) -> FloatArray:
    """Return the inputs (N, steps, FEATURE_COUNT), float64, finite; the last step is the issue day.

    A variable that the dam does not report, or has not for a week, is 0 with its mask 0.
    """
    values, age = known_column(series, scale.variable).windows(issue_rows, steps + 1)
    change = np.arcsinh(np.diff(values, axis=1) / scale.daily_change)
    departure = np.arcsinh((values[:, 1:] - values[:, -1:]) / scale.daily_change) / 4
    position = np.clip(2 * (values[:, 1:] - scale.low) / (scale.high - scale.low) - 1, -1.5, 1.5)
    columns = [
        change,
        departure,
        position,
        np.minimum(age[:, 1:], LONGEST_BASE_AGE_DAYS) / LONGEST_BASE_AGE_DAYS,
    ]
    columns += _other_columns(series, scale, issue_rows, steps)
    for flow in FLOWS:
        columns += _flow_columns(series, scale, flow, issue_rows, steps)
    columns += _rain_columns(series, scale, issue_rows, steps)
    columns += _calendar_columns(series, scale, issue_rows, steps)
    columns += [np.full(change.shape, trait) for trait in scale.traits]
    inputs = np.stack(columns, axis=2)
    return np.where(np.isfinite(inputs), inputs, 0.0)


def out_of_range(series: ReadingSeries, scale: AnyScale, issue_rows: IndexArray) -> BoolArray:
    """Say for each issue row whether its inputs lie beyond what the training part saw.

    That is the base outside the range, or one of the last three days' changes, flows or rain above
    the greatest seen; a row without a base is out of range.
    """
    values, _ = known_column(series, scale.variable).windows(issue_rows, 4)
    margin = 0.01 * (scale.high - scale.low)
    newest = values[:, -1:]
    inside = ((newest >= scale.low - margin) & (newest <= scale.high + margin))[:, 0]
    changes = np.abs(np.diff(values, axis=1))
    inside &= ~(changes > scale.greatest[scale.variable]).any(axis=1)
    for variable in (*FLOWS, Variable.RAIN_MM):
        if variable in scale.greatest and variable in series.values:
            recent, _ = known_column(series, variable).windows(issue_rows, 3)
            inside &= ~(recent > scale.greatest[variable]).any(axis=1)
    return ~inside


def _other_columns(
    series: ReadingSeries, scale: AnyScale, issue_rows: IndexArray, steps: int
) -> list[FloatArray]:
    """The change of storage where the level is forecast, and the other way round."""
    other = Variable.STORAGE_M3 if scale.variable is Variable.LEVEL_M else Variable.LEVEL_M
    if other not in series.values or not np.all(scale.other_change > 0):
        return _nothing(len(issue_rows), steps, 2)
    values, age = known_column(series, other).windows(issue_rows, steps + 1)
    change = np.arcsinh(np.diff(values, axis=1) / scale.other_change)
    return _masked([change], age[:, 1:])


def _flow_columns(
    series: ReadingSeries, scale: AnyScale, flow: Variable, issue_rows: IndexArray, steps: int
) -> list[FloatArray]:
    """A flow as standardised logarithm and as the daily change that it makes."""
    if flow not in series.values or flow not in scale.log_flow:
        return _nothing(len(issue_rows), steps, 3)
    values, age = known_column(series, flow).windows(issue_rows, steps)
    centre, spread = scale.log_flow[flow]
    logarithm = np.clip((np.log1p(np.maximum(values, 0.0)) - centre) / spread, -4.0, 6.0)
    effect = np.arcsinh(values * scale.flow_gain.get(flow, 0.0) / scale.daily_change)
    return _masked([logarithm, effect], age)


def _rain_columns(
    series: ReadingSeries, scale: AnyScale, issue_rows: IndexArray, steps: int
) -> list[FloatArray]:
    if Variable.RAIN_MM not in series.values or not np.all(scale.rain_mm > 0):
        return _nothing(len(issue_rows), steps, 2)
    values, age = known_column(series, Variable.RAIN_MM).windows(issue_rows, steps)
    fresh = np.where(age == 0, 0, LONGEST_INPUT_AGE_DAYS + 1)  # yesterday's rain says nothing of today's
    return _masked([np.log1p(np.maximum(values, 0.0) / scale.rain_mm)], fresh)


def _calendar_columns(
    series: ReadingSeries, scale: AnyScale, issue_rows: IndexArray, steps: int
) -> list[FloatArray]:
    """Day of the year, and the change that is usual for it on the day and over the week ahead."""
    days = ordinals_of(series, issue_rows)[:, None] + np.arange(1 - steps, 1)
    angle = day_angle(days)
    ahead = seasonal_change(scale, day_angle(days + 4))
    return [np.sin(angle), np.cos(angle), seasonal_change(scale, angle), ahead]


def _masked(columns: list[FloatArray], age: IndexArray) -> list[FloatArray]:
    """Zero what is older than a week and add the mask that says so."""
    fresh = (age <= LONGEST_INPUT_AGE_DAYS) & np.isfinite(columns[0])
    return [*(np.where(fresh, column, 0.0) for column in columns), fresh.astype(np.float64)]


def _nothing(rows: int, steps: int, count: int) -> list[FloatArray]:
    return [np.zeros((rows, steps)) for _ in range(count)]
