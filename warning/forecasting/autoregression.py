"""A ridge autoregression per dam: tomorrow's changes from the last ones, the flows, the rain and the season.

Fitted in closed form under absolute errors, either once on a part of the record or again every eight
weeks on the ten years known by then, which follows a dam whose regime changes. numpy alone.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from warning.domain.forecast import HORIZON_DAYS
from warning.domain.readings import ReadingSeries
from warning.domain.variables import FloatArray, IndexArray, Variable
from warning.forecasting.joined import AnyScale, ordinals_of
from warning.forecasting.known import known_column
from warning.forecasting.model import SiteScale
from warning.forecasting.scaling import (
    FLOWS,
    LONGEST_BASE_AGE_DAYS,
    day_angle,
    lead_scale,
    part_known_before,
    robust_ridge,
)

REFIT_DAYS = 56
LONGEST_MEMORY_DAYS = 3653
LEAST_ROWS = 200
_LAGS = 10
_PACE_DAYS = 5
_FLOW_LAGS, _FLOW_DAYS = 3, 10
_RAIN_LAGS, _RAIN_DAYS = 4, 30
_LARGEST_CHANGE = 30.0  # daily changes; a wilder day counts as this one
_LARGEST_EFFECT = 60.0
_PENALTY = 3e-4
_Z_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class RidgeFits:
    """Coefficients (features, 7), None where too little was known: of the part before the networks' and of
    blocks of eight weeks, by the ordinal of the block's first day."""

    once: FloatArray | None
    again: Mapping[int, FloatArray | None]


def fitted_once(series: ReadingSeries, scale: SiteScale, end_row: int, issue_rows: IndexArray) -> FloatArray:
    """Return z (N, 7) of the fit on what was known before `end_row`; NaN where that is too little."""
    design = design_of(series, scale, np.arange(max(min(end_row, len(series)), _rows_needed(issue_rows))))
    return _answers(_fitted(_examples(series, scale, design, end_row)), design[issue_rows])


def fitted_again(series: ReadingSeries, scale: SiteScale, issue_rows: IndexArray) -> FloatArray:
    """Return z (N, 7), each block of eight weeks of the calendar fitted on what was known before it."""
    design = design_of(series, scale, np.arange(_rows_needed(issue_rows)))
    origin = series.first_day.toordinal()
    starts = block_starts(scale, issue_rows + origin) - origin
    z = np.full((issue_rows.size, HORIZON_DAYS), np.nan)
    for start in np.unique(starts):
        chosen = starts == start
        coefficients = _fitted(_examples(series, scale, design, int(start)))
        z[chosen] = _answers(coefficients, design[issue_rows[chosen]])
    return z


def block_starts(scale: SiteScale, ordinals: IndexArray) -> IndexArray:
    """Return the ordinal on which the block of each day began.

    Each dam has a phase of its own, made from its scale, so that a fleet does not refit on one day.
    """
    phase = zlib.crc32(struct.pack("<d", scale.daily_change)) % REFIT_DAYS
    starts: IndexArray = (ordinals + phase) // REFIT_DAYS * REFIT_DAYS - phase
    return starts


def coefficients_before(series: ReadingSeries, scale: SiteScale, end_row: int) -> FloatArray | None:
    """Return the fit (features, 7) on what was known before `end_row`, None where that is too little."""
    design = design_of(series, scale, np.arange(min(max(end_row, 0), len(series))))
    return _fitted(_examples(series, scale, design, end_row))


def answers_of(fits: RidgeFits, design: FloatArray, blocks: IndexArray) -> tuple[FloatArray, FloatArray]:
    """Return what `fitted_once` and `fitted_again` return, from fits made before.

    `design` is that of the issue rows, `blocks` are the ordinals that their blocks began on.
    """
    again = np.full((blocks.size, HORIZON_DAYS), np.nan)
    for start in sorted({*blocks.tolist()}):
        again[blocks == start] = _answers(fits.again[start], design[blocks == start])
    return _answers(fits.once, design), again


def _rows_needed(issue_rows: IndexArray) -> int:
    return int(issue_rows.max(initial=-1)) + 1


def design_of(series: ReadingSeries, scale: AnyScale, rows: IndexArray) -> FloatArray:
    """What the autoregression sees (rows, features); the first column is the constant.

    A row whose lagged changes are not all known is NaN; a missing flow or rain is 0.
    """
    values, _ = known_column(series, scale.variable).windows(rows, _LAGS + 1)
    change = np.clip(np.diff(values, axis=1) / scale.daily_change, -_LARGEST_CHANGE, _LARGEST_CHANGE)
    today, pace = change[:, -1], change[:, -_PACE_DAYS:].mean(axis=1)
    place = np.clip((values[:, -1:] - scale.low) / (scale.high - scale.low) - 0.5, -1.0, 1.0)[:, 0]
    angle = day_angle(ordinals_of(series, rows))
    columns = [np.ones(rows.size), *change.T, *np.arcsinh((change[:, -2], today, pace))]
    columns += [place, place * today, place * pace, np.sin(angle), np.cos(angle)]
    for flow in FLOWS:
        columns += _flow_design(series, scale, flow, rows)
    return np.column_stack([*columns, *_rain_design(series, scale, rows)])


def _flow_design(
    series: ReadingSeries, scale: AnyScale, flow: Variable, rows: IndexArray
) -> list[FloatArray]:
    """The change that the flow makes: of the last days, of their mean, squashed, and while it rises."""
    if flow not in scale.flow_gain or flow not in series.values:
        return []
    values, _ = known_column(series, flow).windows(rows, _FLOW_DAYS)
    effect = np.clip(values * scale.flow_gain[flow] / scale.daily_change, -_LARGEST_EFFECT, _LARGEST_EFFECT)
    effect = np.nan_to_num(effect)
    rise = np.maximum(effect[:, -1] - effect[:, -2], 0.0)
    logarithm = np.nan_to_num(np.log1p(np.maximum(values[:, -1], 0.0)))
    return [*effect[:, -_FLOW_LAGS:].T, effect.mean(axis=1), np.arcsinh(effect[:, -1]), rise, logarithm]


def _rain_design(series: ReadingSeries, scale: AnyScale, rows: IndexArray) -> list[FloatArray]:
    """The rain of the last days, each as a logarithm, and of ten days and a month together."""
    if Variable.RAIN_MM not in series.values or not np.all(scale.rain_mm > 0):
        return []
    values, age = known_column(series, Variable.RAIN_MM).windows(rows, _RAIN_DAYS)
    rain = np.where(age == 0, np.maximum(values, 0.0) / scale.rain_mm, 0.0)
    sums = [np.log1p(rain[:, -10:].sum(axis=1)), np.log1p(rain.sum(axis=1))]
    return [*np.log1p(rain[:, -_RAIN_LAGS:]).T, *sums, rain[:, -1], rain[:, -2]]


@dataclass(frozen=True, slots=True)
class _Examples:
    """What a fit learns from: the design (M, features) of M days and their z (M, 7) with NaN."""

    design: FloatArray
    z: FloatArray


def _examples(series: ReadingSeries, scale: SiteScale, design: FloatArray, end_row: int) -> _Examples:
    """The complete rows of the ten years before `end_row`, with the truth that was known just before it.

    `design` is that of the series' first rows; what lies beyond it cannot be learnt from.
    """
    end = min(max(end_row, 0), len(design))
    rows = np.arange(max(end - LONGEST_MEMORY_DAYS, 0), end)
    truth = part_known_before(series, scale.variable, end)
    ahead = rows[:, None] + np.arange(1, HORIZON_DAYS + 1)
    found = np.where(ahead < end, truth[np.minimum(ahead, end - 1)], np.nan) if end else ahead * np.nan
    base = known_column(series, scale.variable).base(rows, LONGEST_BASE_AGE_DAYS)
    z = (found - base[:, None]) / lead_scale(scale)
    usable = np.isfinite(z).any(axis=1) & np.isfinite(design[rows]).all(axis=1)
    return _Examples(design[rows[usable]], z[usable])


def _fitted(examples: _Examples) -> FloatArray | None:
    """Coefficients (features, 7), None from fewer than 200 rows."""
    if len(examples.z) < LEAST_ROWS:
        return None
    return robust_ridge(examples.design, examples.z, _PENALTY)


def _answers(coefficients: FloatArray | None, design: FloatArray) -> FloatArray:
    """z (N, 7), rounded, so that the answer for a row does not depend on the rows it is computed with."""
    if coefficients is None:
        return np.full((len(design), HORIZON_DAYS), np.nan)
    return np.round(design @ coefficients, _Z_DECIMALS)
