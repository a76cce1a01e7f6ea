"""The operational forecast of one dam: networks and cheap experts pooled by their recent errors.

One code path for all uses: the hindcast looks at every issue row, the daily forecast at the last
one, and what stands in a row depends on nothing after its day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np

from warning.domain.forecast import (
    HORIZON_DAYS,
    LSTM_ENSEMBLE,
    NETWORK_PREFIX_LSTM,
    PERSISTENCE,
    POOL,
    Forecast,
    all_finite,
)
from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import Bounds
from warning.domain.variables import BoolArray, FloatArray, IndexArray, Variable
from warning.errors import ForecastError
from warning.forecasting.baselines import DRIFT, RIDGE_REFITTED, cheap_experts
from warning.forecasting.calibration import Hindcast, calibrated_quantiles
from warning.forecasting.features import base_values, out_of_range, z_to_values
from warning.forecasting.model import SiteScale
from warning.forecasting.skill import skill_of_rows
from warning.forecasting.weights import PUBLISHED, WeightRule, adaptive_weights, combine, known_errors

CHEAP_POOL: Final = "cheap_experts"
"""Method of a forecast that had to do without networks."""
SITE_ERRORS: Final = (ForecastError, ValueError, ArithmeticError, LookupError)
"""What one dam's data may raise without costing the others their forecast."""
OPERATIONAL_RULE: Final = WeightRule(squared=True)
PRIORS: Final = {PERSISTENCE: 0.1, DRIFT: 0.1, RIDGE_REFITTED: 3.0}
"""What an expert's weight counts; 1 for all others, of which the LSTM members share one between them.

Without it ten much alike members outvote the rest, and persistence, exact on every calm day, comes to the
flood with more weight than it deserves. Chosen on the validation parts of twenty dams.
"""
RESTLESSNESS_HALF_LIFE: Final = 20.0  # readings
LEAST_SPREAD: Final = 0.1  # daily changes
WILDEST_CHANGE: Final = 30.0  # daily changes; a wilder day counts as this one
UNSEEN_WIDENING: Final = 0.5  # of the band, when inputs lie beyond the training range …
UNSEEN_DAYS: Final = 30  # … until so many such days have been lived through
_LEADS: Final = np.arange(1, HORIZON_DAYS + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolResult:
    """Forecasts of one dam issued on `rows` of its series; N rows, seven leads, M experts, Q quantiles.

    `experts` (N, 7) by name are the members of the pool; `ensemble` (N, 7) is the LSTM ensemble under
    the published rule, all NaN without networks. `weights` (N, 7, M) follow the order of `experts`
    and hold the priors already. `pooled` (N, 7) is rule (2) over the experts, and `mean` (N, 7) is it
    moved by the median of the pool's past errors in like conditions; `quantiles` are (N, 7, Q).
    `skill` (N, 7) is MAE / MAE(persistence) of `pooled` over the last year of known targets, NaN
    before the first.
    Everything is in the unit of the forecast variable; NaN where there is no forecast.
    """

    first_day: date
    rows: IndexArray
    base: FloatArray
    experts: Mapping[str, FloatArray]
    ensemble: FloatArray
    weights: FloatArray
    pooled: FloatArray
    mean: FloatArray
    quantiles: FloatArray
    skill: FloatArray
    out_of_range: BoolArray


def issue_rows(series: ReadingSeries, variable: Variable, fit_end: date) -> IndexArray:
    """Return the rows that forecasts are issued on: those since `fit_end` with a reading, doubted or not."""
    rows: IndexArray = np.flatnonzero(series.reported(variable))
    return rows[rows >= series.row(fit_end)]


def operational(
    series: ReadingSeries,
    scale: SiteScale,
    fit_end: date,
    networks_z: Mapping[str, FloatArray] | None,
    *,
    rule: WeightRule = OPERATIONAL_RULE,
    bounds: Bounds | None = None,
    last_only: bool = False,
) -> PoolResult:
    """Return the operational forecasts from `fit_end`, the end of the networks' training part, on.

    `networks_z` are the networks' answers (N, 7) for `issue_rows(series, scale.variable, fit_end)`,
    None when there are none. The weights start at `fit_end`; before it, the cheap experts alone give
    the errors that calibration begins with. With `last_only` the result holds the newest row only.
    Quantiles and mean are kept inside `bounds` (widened to the base where that lies outside).

    Raises ForecastError where there is no issue row, or the networks' answers do not fit the rows.
    """
    past = replayed(series, scale, fit_end, networks_z, rule)
    return forecasts_of(past, series, bounds, last_only)


def forecasts_of(past: Replayed, series: ReadingSeries, bounds: Bounds | None, last_only: bool) -> PoolResult:
    """Return the forecasts that belong to a dam's past; the arguments are those of `operational`."""
    chosen = past.rows[-1:] if last_only else past.rows
    hindcast, start = past.hindcast, int(past.rows[0])
    lived_through = np.concatenate(([0], np.cumsum(past.unseen)[:-1]))
    newness = newness_of(past.unseen, lived_through)[-chosen.size :]
    quantiles = widened(calibrated_quantiles(hindcast, chosen), newness)
    quantiles = inside(quantiles, hindcast.base[chosen], bounds)
    persistence = past.cheap[PERSISTENCE]
    origin = series.first_day.toordinal() + start
    skill = skill_of_rows(hindcast.mean[start:], persistence[start:], hindcast.truth[start:], origin)
    return PoolResult(
        first_day=series.first_day,
        rows=chosen,
        base=hindcast.base[chosen],
        experts={name: values[chosen] for name, values in past.experts.items()},
        ensemble=_ensemble(past.networks, hindcast.truth, start, hindcast.mean.shape)[chosen],
        weights=past.weights[chosen],
        pooled=hindcast.mean[chosen],
        mean=quantiles[:, :, quantiles.shape[2] // 2],
        quantiles=quantiles,
        skill=skill[chosen - start],
        out_of_range=past.unseen[-chosen.size :],
    )


@dataclass(frozen=True, slots=True)
class Replayed:
    """One dam's past, lived through again, on the calendar of its series.

    `rows` are the issue rows since the networks' training part, `unseen` says of each whether its inputs
    lay beyond what was seen there.
    """

    rows: IndexArray
    networks: Mapping[str, FloatArray]
    cheap: Mapping[str, FloatArray]
    weights: FloatArray
    hindcast: Hindcast
    unseen: BoolArray

    @property
    def experts(self) -> dict[str, FloatArray]:
        return {**self.networks, **self.cheap}


def replayed(
    series: ReadingSeries,
    scale: SiteScale,
    fit_end: date,
    networks_z: Mapping[str, FloatArray] | None,
    rule: WeightRule,
) -> Replayed:
    """Forecast every day of a dam's past; the arguments are those of `operational`."""
    rows = issue_rows(series, scale.variable, fit_end)
    if rows.size == 0:
        raise ForecastError(f"no reading of {scale.variable} since {fit_end}: nothing to forecast from")
    _check_networks(networks_z, rows)
    everything = np.flatnonzero(series.reported(scale.variable))
    base = base_values(series, scale.variable, everything)
    cheap = cheap_experts(series, scale, fit_end, everything)
    networks = {
        name: _spread_out(z_to_values(z, base[-rows.size :], scale), rows, len(series))
        for name, z in (networks_z or {}).items()
    }
    calendar = {name: _spread_out(values, everything, len(series)) for name, values in cheap.items()}
    truth = series.trusted_at_once(scale.variable)
    start = int(rows[0])
    pooled, weights = _pool_all(networks, calendar, truth, start, rule)
    restless = restlessness(base, everything, scale)
    spread = spread_of(
        np.stack(list(cheap.values()), axis=2), pooled[everything], restless, scale.daily_change
    )
    hindcast = Hindcast(
        mean=pooled,
        spread=_spread_out(spread, everything, len(series)),
        base=_spread_out(base, everything, len(series)),
        truth=truth,
        reference=_reference(truth[:start]),
    )
    return Replayed(rows, networks, calendar, weights, hindcast, out_of_range(series, scale, rows))


def forecast_of(
    result: PoolResult,
    reservoir_id: str,
    issued_at: datetime,
    model_id: str | None,
    degraded: tuple[str, ...] = (),
    index: int = -1,
    method: str = POOL,
) -> Forecast:
    """Return the forecast in row `index` of `result`.

    Raises ForecastError where that row has none, as when no reading was believed for two weeks.
    """
    basis_day = result.first_day + timedelta(days=int(result.rows[index]))
    if not (np.isfinite(result.mean[index]).all() and np.isfinite(result.quantiles[index]).all()):
        raise ForecastError(f"no expert can answer for {basis_day}: no recent reading is believed")
    members = {name: values[index] for name, values in result.experts.items()}
    weights = dict(zip(members, result.weights[index].T, strict=True))
    members |= {LSTM_ENSEMBLE: result.ensemble[index], POOL: result.pooled[index]}
    return Forecast(
        reservoir_id=reservoir_id,
        basis_day=basis_day,
        issued_at=issued_at,
        method=method,
        model_id=model_id,
        mean=result.mean[index],
        quantiles=result.quantiles[index],
        members={name: values for name, values in members.items() if all_finite(values)},
        weights=weights,
        skill=result.skill[index],
        degraded=degraded,
        out_of_range=bool(result.out_of_range[index]),
    )


def validation_skill(result: PoolResult, truth: FloatArray) -> tuple[float, ...]:
    """Return MAE / MAE(persistence) of the forecasts in `result` per lead; NaN where nothing is known.

    `truth` (rows,) are the believed values of the whole series that `result` belongs to.
    """
    skill = []
    for lead in range(1, HORIZON_DAYS + 1):
        targets = result.rows + lead
        found = np.where(targets < truth.size, truth[np.minimum(targets, truth.size - 1)], np.nan)
        ours, theirs = np.abs(found - result.mean[:, lead - 1]), np.abs(found - result.base)
        known = np.isfinite(ours) & np.isfinite(theirs)
        persistence = float(theirs[known].sum())
        skill.append(float(ours[known].sum()) / persistence if persistence > 0 else np.nan)
    return tuple(skill)


def _check_networks(networks_z: Mapping[str, FloatArray] | None, rows: IndexArray) -> None:
    for name, z in (networks_z or {}).items():
        if z.shape != (rows.size, HORIZON_DAYS):
            raise ForecastError(
                f"{name} answered with shape {z.shape}, expected {(rows.size, HORIZON_DAYS)}: "
                "the answers do not belong to this series; forecast again"
            )


def priors_of(names: Sequence[str]) -> FloatArray:
    """What the weights of these experts count."""
    members = max(sum(name.startswith(NETWORK_PREFIX_LSTM) for name in names), 1)
    return np.array(
        [1 / members if name.startswith(NETWORK_PREFIX_LSTM) else PRIORS.get(name, 1.0) for name in names]
    )


def _pool_all(
    networks: Mapping[str, FloatArray],
    calendar: Mapping[str, FloatArray],
    truth: FloatArray,
    start: int,
    rule: WeightRule,
) -> tuple[FloatArray, FloatArray]:
    """Pool the cheap experts alone before row `start`, and everyone, with fresh weights, from there on."""
    everyone = {**networks, **calendar}
    experts = np.stack(list(everyone.values()), axis=2)
    pooled, weights = np.full(experts.shape[:2], np.nan), np.full(experts.shape, np.nan)
    cheap_part = np.stack(list(calendar.values()), axis=2)[:start]
    pooled[:start] = _pooled(cheap_part, truth[:start], rule, priors_of([*calendar]))[0]
    pooled[start:], weights[start:] = _pooled(experts[start:], truth[start:], rule, priors_of([*everyone]))
    return pooled, weights


def _pooled(
    experts: FloatArray, truth: FloatArray, rule: WeightRule, priors: FloatArray
) -> tuple[FloatArray, FloatArray]:
    if len(experts) == 0:
        return np.empty(experts.shape[:2]), np.empty(experts.shape)
    return combine(experts, priors * adaptive_weights(known_errors(experts, truth), rule))


def _ensemble(
    networks: Mapping[str, FloatArray], truth: FloatArray, start: int, shape: tuple[int, ...]
) -> FloatArray:
    members = [values for name, values in networks.items() if name.startswith(NETWORK_PREFIX_LSTM)]
    ensemble = np.full(shape, np.nan)
    if members:
        stacked = np.stack(members, axis=2)[start:]
        ensemble[start:] = _pooled(stacked, truth[start:], PUBLISHED, np.ones(len(members)))[0]
    return ensemble


def spread_of(
    cheap: FloatArray, pooled: FloatArray, restless: FloatArray, daily_change: FloatArray | float
) -> FloatArray:
    """How uncertain each forecast looks on its issue day: the dam's restlessness and the experts' quarrel.

    `cheap` is (…, 7, experts), `pooled` (…, 7), `restless` and `daily_change` one number a row.
    """
    distances = cheap - pooled[..., None]
    count = np.isfinite(distances).sum(axis=-1)
    squares = np.where(np.isfinite(distances), distances, 0.0) ** 2
    quarrel = np.sqrt(squares.sum(axis=-1) / np.maximum(count, 1))
    floor = np.asarray(restless + LEAST_SPREAD * daily_change)
    spread: FloatArray = 0.5 * quarrel + floor[..., None] * np.sqrt(_LEADS)
    return spread


def restlessness(base: FloatArray, rows: IndexArray, scale: SiteScale) -> FloatArray:
    """Exponentially weighted mean of the base's absolute change per √day, row by row."""
    keep = 0.5 ** (1 / RESTLESSNESS_HALF_LIFE)
    mean, last_value, last_row = scale.daily_change, np.nan, 0
    result = np.full(base.shape, np.nan)
    for i, (value, row) in enumerate(zip(base, rows, strict=True)):
        if np.isfinite(value):
            if np.isfinite(last_value):
                change = abs(value - last_value) / (row - last_row) ** 0.5
                mean = keep * mean + (1 - keep) * min(change, WILDEST_CHANGE * scale.daily_change)
            last_value, last_row = value, row
            result[i] = mean
    return result


def newness_of(unseen: BoolArray, lived_through: IndexArray) -> FloatArray:
    """Return how new inputs such as were never seen still are, 0 to 1."""
    newness: FloatArray = np.clip(1 - lived_through / UNSEEN_DAYS, 0, 1) * unseen
    return newness


def widened(quantiles: FloatArray, newness: FloatArray) -> FloatArray:
    """Return the quantiles (N, 7, levels), wider around their median where the inputs are new."""
    median = quantiles[:, :, quantiles.shape[2] // 2, None]
    wider: FloatArray = median + (quantiles - median) * (1 + UNSEEN_WIDENING * newness)[:, None, None]
    return wider


def inside(quantiles: FloatArray, base: FloatArray, bounds: Bounds | None) -> FloatArray:
    """Return the quantiles kept inside `bounds`, widened to the base where that lies outside."""
    if bounds is None:
        return quantiles
    lower = np.fmin(bounds.lower, base)[:, None, None]
    upper = np.fmax(bounds.upper, base)[:, None, None]
    return np.clip(quantiles, lower, upper)


def _reference(values: FloatArray) -> FloatArray:
    reference: FloatArray = np.sort(values[np.isfinite(values)])
    return reference


def _spread_out(values: FloatArray, rows: IndexArray, size: int) -> FloatArray:
    """Return `values` (N, …) on the calendar of `size` rows, NaN between."""
    calendar = np.full((size, *values.shape[1:]), np.nan)
    calendar[rows] = values
    return calendar
