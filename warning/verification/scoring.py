"""Score one dam's hindcast on its test part: every method beside persistence, and the pool's band."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from warning.domain.forecast import (
    CNN_LSTM,
    HORIZON_DAYS,
    LSTM_ENSEMBLE,
    PERSISTENCE,
    POOL,
    QUANTILE_LEVELS,
    exceedance_probabilities,
)
from warning.domain.readings import Flag
from warning.domain.variables import BoolArray, FloatArray, IndexArray, Variable
from warning.errors import ForecastError
from warning.forecasting.pool import PoolResult
from warning.verification.scores import (
    ReliabilityRow,
    brier_score,
    counts_below,
    crps_from_losses,
    mae,
    mae_ratio,
    pinball_losses,
    reliability_table,
)
from warning.verification.sites import Site

BAND = (QUANTILE_LEVELS.index(0.05), QUANTILE_LEVELS.index(0.95))
HIGH_QUANTILE = 0.95
_LEADS = np.arange(1, HORIZON_DAYS + 1)


@dataclass(frozen=True, slots=True)
class Band:
    """How many targets the 90 % band held, of how many, per lead (7,)."""

    inside: tuple[int, ...]
    count: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DamScores:
    """The scores of one dam on its test part; tuples are per lead (7,), in the variable's unit.

    `ratios` holds MAE / MAE(persistence) by method. `pinball` is the mean loss and `below` the number of
    targets at or below, per lead and level of QUANTILE_LEVELS, of `band.count` targets. A target is high
    at or above `high_value`, the 95 % quantile of the dam's believed readings: `high_band` counts high
    targets only, `brier` scores the probability of one and `reliability` holds it against what happened.
    `flags` counts doubted readings by variable and rule. `upper_bounds` are the pool's ratios had the days
    ahead been known, by what had been known of them.
    """

    id: str
    variable: Variable
    inferred: str
    first_day: date
    last_day: date
    train_end: date
    validation_end: date
    issue_days: int
    targets: tuple[int, ...]
    persistence_mae: tuple[float, ...]
    ratios: Mapping[str, tuple[float, ...]]
    crps: tuple[float, ...]
    pinball: tuple[tuple[float, ...], ...]
    below: tuple[tuple[int, ...], ...]
    band: Band
    high_band: Band
    high_value: float
    brier: tuple[float, ...]
    persistence_brier: tuple[float, ...]
    reliability: tuple[ReliabilityRow, ...]
    flags: Mapping[str, Mapping[str, int]]
    upper_bounds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


def methods_of(result: PoolResult) -> dict[str, FloatArray]:
    """Return each method's forecasts (N, 7): the pool, both networks' systems, then every expert."""
    first = {POOL: result.mean, LSTM_ENSEMBLE: result.ensemble}
    if CNN_LSTM in result.experts:
        first[CNN_LSTM] = result.experts[CNN_LSTM]
    methods = first | {name: values for name, values in result.experts.items() if name not in first}
    return {name: values for name, values in methods.items() if np.isfinite(values).any()}


def test_rows(site: Site, result: PoolResult) -> BoolArray:
    """Say which rows of `result` are issued in the test part. Raises ForecastError if none is."""
    inside: BoolArray = result.rows >= site.series.row(site.validation_end)
    if not inside.any():
        raise ForecastError(
            f"{site.id}: no forecast was issued in the test part, from {site.validation_end} on"
        )
    return inside


def score_site(site: Site, result: PoolResult, knowing: Mapping[str, PoolResult]) -> DamScores:
    """Score the test part of `result` against the readings that are believed once settled.

    `knowing` are the same forecasts with the days ahead known, by what was known of them.
    """
    inside = test_rows(site, result)
    settled = site.series.trusted(site.variable)
    truth = _truth_ahead(settled, result.rows[inside])
    methods = {name: values[inside] for name, values in methods_of(result).items()}
    persistence, quantiles = result.experts[PERSISTENCE][inside], result.quantiles[inside]
    high_value = float(np.nanquantile(settled, HIGH_QUANTILE))
    happened = _reached(truth, high_value)
    probability = _high_probabilities(quantiles, high_value)
    said = _reached(persistence, high_value)
    losses = [pinball_losses(quantiles[:, h], truth[:, h], QUANTILE_LEVELS) for h in range(HORIZON_DAYS)]
    return DamScores(
        id=site.id,
        variable=site.variable,
        inferred=site.inferred,
        first_day=site.series.first_day,
        last_day=site.series.last_day,
        train_end=site.train_end,
        validation_end=site.validation_end,
        issue_days=int(inside.sum()),
        targets=tuple(int(n) for n in (np.isfinite(truth) & np.isfinite(persistence)).sum(axis=0)),
        persistence_mae=tuple(mae(persistence[:, h], truth[:, h]) for h in range(HORIZON_DAYS)),
        ratios={
            name: tuple(mae_ratio(v[:, h], persistence[:, h], truth[:, h]) for h in range(HORIZON_DAYS))
            for name, v in methods.items()
        },
        crps=tuple(crps_from_losses(of_lead, QUANTILE_LEVELS) for of_lead in losses),
        pinball=tuple(tuple(map(float, of_lead)) for of_lead in losses),
        below=tuple(counts_below(quantiles[:, h], truth[:, h]) for h in range(HORIZON_DAYS)),
        band=_band(quantiles, truth),
        high_band=_band(quantiles, np.where(happened == 1, truth, math.nan)),
        high_value=high_value,
        brier=tuple(brier_score(probability[:, h], happened[:, h]) for h in range(HORIZON_DAYS)),
        persistence_brier=tuple(brier_score(said[:, h], happened[:, h]) for h in range(HORIZON_DAYS)),
        reliability=reliability_table(probability.ravel(), happened.ravel()),
        flags=_flag_counts(site),
        upper_bounds={
            known: tuple(
                mae_ratio(better.mean[inside, h], persistence[:, h], truth[:, h]) for h in range(HORIZON_DAYS)
            )
            for known, better in knowing.items()
        },
    )


def _truth_ahead(settled: FloatArray, rows: IndexArray) -> FloatArray:
    """The believed values (N, 7) that the forecasts of `rows` speak of; NaN past the record's end."""
    ahead = rows[:, None] + _LEADS
    inside = ahead < settled.size
    return np.where(inside, settled[np.where(inside, ahead, 0)], np.nan)


def _reached(values: FloatArray, threshold: float) -> FloatArray:
    """1 where the value lies at or above the threshold, 0 where below, NaN where it is not known."""
    return np.where(np.isfinite(values), (values >= threshold).astype(np.float64), np.nan)


def _high_probabilities(quantiles: FloatArray, value: float) -> FloatArray:
    """The probability (N, 7) that warnings would go by."""
    rows = quantiles.reshape(-1, quantiles.shape[2])
    known = np.isfinite(rows).all(axis=1)
    probability = np.full(known.size, np.nan)
    probability[known] = exceedance_probabilities(value, rows[known])
    return probability.reshape(quantiles.shape[:2])


def _band(quantiles: FloatArray, truth: FloatArray) -> Band:
    lower, upper = quantiles[:, :, BAND[0]], quantiles[:, :, BAND[1]]
    known = np.isfinite(truth) & np.isfinite(lower) & np.isfinite(upper)
    inside = known & (lower <= truth) & (truth <= upper)
    return Band(tuple(int(n) for n in inside.sum(axis=0)), tuple(int(n) for n in known.sum(axis=0)))


def _flag_counts(site: Site) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for variable, flags in site.series.settled.items():
        by_rule = {flag.name or "": int(((flags & int(flag)) != 0).sum()) for flag in Flag}
        counts[variable.value] = {name.lower(): n for name, n in by_rule.items() if n}
    return counts
