"""How one dam's values are brought to the scale that the fleet shares; learnt from its training part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date

import numpy as np

from warning.domain.forecast import HORIZON_DAYS
from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import Bounds
from warning.domain.variables import FloatArray, IndexArray, Variable
from warning.errors import ForecastError
from warning.forecasting.joined import AnyScale, ordinals_of
from warning.forecasting.known import known_column
from warning.forecasting.model import SiteScale

FLOWS = (Variable.INFLOW_M3S, Variable.OUTFLOW_M3S)
LEAST_CHANGES = 30
LONGEST_BASE_AGE_DAYS = 14
_YEAR_DAYS = 365.2425
_LONGEST_GAP_DAYS = 7
_OUTLIER_QUANTILE = 0.995
_LEAST_ERROR_SHARE = 0.05  # errors below this share of the mean |target| count alike
_FIRST_TURNS, _LATER_TURNS = 10, 4
_SEASON_PRIOR_DAYS = 200.0  # a record this short halves the seasonal signal


def fit_scale(series: ReadingSeries, variable: Variable, end: date) -> SiteScale:
    """Return the scale of one dam from the readings before `end`.

    Raises ForecastError where fewer than 30 daily changes are known or the readings never move.
    """
    rows = min(max(series.row(end), 0), len(series))
    level = part_known_before(series, variable, rows)
    change = daily_changes(level)
    known: FloatArray = change[np.isfinite(change)]
    if known.size < LEAST_CHANGES:
        raise ForecastError(
            f"too little history: {known.size} daily changes of {variable} before {end}, "
            f"at least {LEAST_CHANGES} are needed; give the dam more readings or wait"
        )
    typical = _typical_size(known)
    if not typical > 0:
        raise ForecastError(f"{variable} does not change at all before {end}: nothing to scale a forecast by")
    believed = level[np.isfinite(level)]
    return SiteScale(
        variable=variable,
        daily_change=typical,
        low=float(believed.min()),
        high=float(believed.max()),
        log_flow={f: _log_scale(c) for f in FLOWS if (c := _flow(series, f, rows)) is not None},
        rain_mm=_rain_scale(series, rows),
        flow_gain=_flow_gain(series, change, rows),
        other_change=_other_change(series, variable, rows),
        season=_season(series, change / typical),
        traits=_traits(change / typical, typical / float(np.ptp(believed))),
        greatest=_greatest(series, variable, known, rows),
    )


def rough_scale(series: ReadingSeries, variable: Variable, bounds: Bounds | None) -> SiteScale:
    """Return a scale from next to nothing: the mean change so far, else a hundredth of what is possible.

    Raises ForecastError where no reading is believed, or nothing says how far the readings may move.
    """
    values = series.trusted_at_once(variable)
    known = values[np.isfinite(values)]
    if known.size == 0:
        raise ForecastError(f"none of its readings of {variable} is believed")
    changes = np.abs(np.diff(known))
    low, high = float(known.min()), float(known.max())
    if bounds is not None:
        low, high = min(low, bounds.lower), max(high, bounds.upper)
    typical = float(changes.mean()) if changes.any() else 0.01 * (high - low)
    if not typical > 0:
        raise ForecastError(
            f"{known.size} equal readings of {variable} and no physical limits: nothing says how far "
            "it may move; configure its limits"
        )
    greatest = {variable: max(float(changes.max(initial=0.0)), typical)}
    return SiteScale(variable, typical, low, high + typical, log_flow={}, rain_mm=0.0, greatest=greatest)


def lead_scale(scale: AnyScale) -> FloatArray:
    """Return the unit of z for each lead (7,), or (rows, 7), in the variable's unit."""
    unit: FloatArray = scale.daily_change * np.sqrt(np.arange(1, HORIZON_DAYS + 1))
    return unit


def day_angle(ordinals: IndexArray) -> FloatArray:
    """Return the day of the year of each day as an angle."""
    days = ordinals % _YEAR_DAYS
    return np.asarray(2 * np.pi * days / _YEAR_DAYS, dtype=np.float64)


def season_basis(angle: FloatArray) -> tuple[FloatArray, ...]:
    """Return a constant and two harmonics of the year, each of the shape of `angle`."""
    return np.ones(angle.shape), np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)


def seasonal_change(scale: AnyScale, angle: FloatArray) -> FloatArray:
    """Return the usual daily change at `angle`, in daily changes."""
    change: FloatArray = np.zeros(angle.shape)
    shares: Sequence[float | FloatArray] = scale.season
    for share, wave in zip(shares, season_basis(angle), strict=True):
        change += share * wave
    return change


def daily_changes(values: FloatArray) -> FloatArray:
    """Return for each row the change per day since the last value, NaN where there is none in a week."""
    rows = np.flatnonzero(np.isfinite(values))
    change = np.full(values.size, np.nan)
    gap = np.diff(rows)
    change[rows[1:]] = np.where(gap <= _LONGEST_GAP_DAYS, np.diff(values[rows]) / gap, np.nan)
    return change


def part_known_before(series: ReadingSeries, variable: Variable, rows: int) -> FloatArray:
    """Return what was believed of the first `rows` rows on the last of them, NaN elsewhere."""
    if rows == 0:
        return np.empty(0)
    values, age = known_column(series, variable).windows(np.array([rows - 1]), rows)
    return np.where(age[0] == 0, values[0], np.nan)


def _flow(series: ReadingSeries, flow: Variable, rows: int) -> FloatArray | None:
    """The flow's believed values, None where they say nothing."""
    if flow not in series.values:
        return None
    column = part_known_before(series, flow, rows)
    known = column[np.isfinite(column)]
    return column if known.size >= LEAST_CHANGES and np.ptp(known) > 0 else None


def _typical_size(change: FloatArray) -> float:
    """Mean absolute change, single wild days cut to the size of large ones."""
    size: FloatArray = np.abs(change)
    return float(np.minimum(size, np.quantile(size, _OUTLIER_QUANTILE)).mean())


def _log_scale(flow: FloatArray) -> tuple[float, float]:
    logs: FloatArray = np.log1p(np.maximum(flow[np.isfinite(flow)], 0.0))
    return float(logs.mean()), max(float(logs.std()), 1e-3)


def _rain_scale(series: ReadingSeries, rows: int) -> float:
    """Mean rain of the wet days, 0 where there are none."""
    if Variable.RAIN_MM not in series.values:
        return 0.0
    rain = part_known_before(series, Variable.RAIN_MM, rows)
    wet = rain[np.isfinite(rain) & (rain > 0)]
    return float(wet.mean()) if wet.size >= LEAST_CHANGES else 0.0


def _other_change(series: ReadingSeries, variable: Variable, rows: int) -> float:
    other = Variable.STORAGE_M3 if variable is Variable.LEVEL_M else Variable.LEVEL_M
    if other not in series.values:
        return 0.0
    change = daily_changes(part_known_before(series, other, rows))
    known = change[np.isfinite(change)]
    return _typical_size(known) if known.size >= LEAST_CHANGES else 0.0


def _flow_gain(series: ReadingSeries, change: FloatArray, rows: int) -> dict[Variable, float]:
    """Least absolute deviations of the daily change on the flows, with a constant."""
    flows = {f: c for f in FLOWS if (c := _flow(series, f, rows)) is not None}
    if not flows:
        return {}
    design = np.column_stack([np.ones(rows), *flows.values()])
    usable = np.isfinite(design).all(axis=1) & np.isfinite(change)
    if usable.sum() < LEAST_CHANGES:
        return {}
    slopes = robust_ridge(design[usable], change[usable][:, None], penalty=1e-6)[1:, 0]
    return {flow: float(slope) for flow, slope in zip(flows, slopes, strict=True)}


def robust_ridge(design: FloatArray, target: FloatArray, penalty: float) -> FloatArray:
    """Return coefficients (features, targets) of a ridge regression under absolute errors.

    Reweighted least squares; the first column of `design` (rows, features) is the constant and goes
    unpunished, the others are scaled to unit size first. `target` (rows, targets) may hold NaN; each
    target starts from the solution of the one before, so neighbours should be alike.
    """
    size = np.sqrt((design**2).mean(axis=0))
    size = np.where(size > 0, size, 1.0)
    unit = design / size
    result = np.zeros((design.shape[1], target.shape[1]))
    previous: FloatArray | None = None
    for column in range(target.shape[1]):
        known = np.isfinite(target[:, column])
        if known.sum() >= LEAST_CHANGES:
            previous = _reweighted(unit[known], target[known, column], penalty, previous)
            result[:, column] = previous / size
    return result


def _reweighted(
    design: FloatArray, target: FloatArray, penalty: float, start: FloatArray | None
) -> FloatArray:
    floor = max(_LEAST_ERROR_SHARE * float(np.abs(target).mean()), 1e-12)
    punish = np.diag(np.r_[1e-9, np.full(design.shape[1] - 1, penalty + 1e-9)])
    coefficients = np.zeros(design.shape[1]) if start is None else start
    weight = np.ones(target.size)
    for turn in range(_FIRST_TURNS if start is None else _LATER_TURNS):
        if turn or start is not None:
            weight = 1.0 / np.maximum(np.abs(target - design @ coefficients), floor)
        root = np.sqrt(weight / weight.sum())
        weighted = design * root[:, None]
        # a matrix times its own transpose costs half as much as times another
        coefficients = np.linalg.solve(weighted.T @ weighted + punish, weighted.T @ (root * target))
    return coefficients


def _season(series: ReadingSeries, change: FloatArray) -> tuple[float, ...]:
    """Harmonics of the change through the year, shrunk towards none where the record is short."""
    rows = np.flatnonzero(np.isfinite(change))
    basis = np.column_stack(season_basis(day_angle(ordinals_of(series, rows))))
    target = np.clip(change[rows], -10.0, 10.0)
    prior = _SEASON_PRIOR_DAYS * np.eye(basis.shape[1])
    share = np.linalg.solve(basis.T @ basis + prior, basis.T @ target)
    return tuple(float(value) for value in share)


def _traits(change: FloatArray, pace: float) -> tuple[float, float, float]:
    """Flashiness (log of daily change over range), inertia (from one day to the next), stillness."""
    clipped = np.clip(change, -10.0, 10.0)
    today, tomorrow = clipped[:-1], clipped[1:]
    both = np.isfinite(today) & np.isfinite(tomorrow)
    power = float((clipped[np.isfinite(clipped)] ** 2).sum())
    inertia = float((today[both] * tomorrow[both]).sum()) / power if power > 0 else 0.0
    still = float((clipped[np.isfinite(clipped)] == 0).mean())
    return (math.log(pace) + 5.0) / 2.0, inertia, still


def _greatest(
    series: ReadingSeries, variable: Variable, change: FloatArray, rows: int
) -> dict[Variable, float]:
    greatest = {variable: float(np.abs(change).max())}
    for other in (*FLOWS, Variable.RAIN_MM):
        if other in series.values:
            part = part_known_before(series, other, rows)
            if np.isfinite(part).any():
                greatest[other] = float(np.nanmax(part))
    return greatest
