"""A forecast as issued: seven lead days, a mean, quantiles, and what it was made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import numpy as np

from warning.domain.variables import FloatArray

HORIZON_DAYS = 7
QUANTILE_LEVELS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99)

NETWORK_PREFIX_LSTM = "lstm_"
CNN_LSTM = "cnn_lstm"
LSTM_ENSEMBLE = "lstm_ensemble"
POOL = "pool"
PERSISTENCE = "persistence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The operational forecast of one dam; row h-1 belongs to lead day h after `basis_day`.

    `mean` (7,) and `quantiles` (7, len(QUANTILE_LEVELS)) are in the forecast variable's unit;
    quantiles rise along a row. `members` are the experts' own forecasts (7,), `weights` their
    shares per lead (7,), summing to 1 over the experts. `skill` (7,) is MAE / MAE(persistence)
    out of sample at this dam, NaN where not yet known; ≥ 1 is no better than persistence.
    `degraded` says in words which rungs of the ladder were lost; empty is the full forecast.

    Raises ValueError for anything that is not finite, ordered and complete.
    """

    reservoir_id: str
    basis_day: date
    issued_at: datetime
    method: str
    model_id: str | None
    mean: FloatArray
    quantiles: FloatArray
    members: Mapping[str, FloatArray] = field(default_factory=dict)
    weights: Mapping[str, FloatArray] = field(default_factory=dict)
    skill: FloatArray = field(default_factory=lambda: np.full(HORIZON_DAYS, np.nan))
    degraded: tuple[str, ...] = ()
    out_of_range: bool = False

    def __post_init__(self) -> None:
        shape = (HORIZON_DAYS, len(QUANTILE_LEVELS))
        if self.mean.shape != (HORIZON_DAYS,) or self.quantiles.shape != shape:
            raise ValueError(f"{self.reservoir_id}: a forecast needs shapes {shape[:1]} and {shape}")
        if not (all_finite(self.mean) and np.isfinite(self.quantiles).all()):
            raise ValueError(f"{self.reservoir_id}: a forecast must be finite at every lead and quantile")
        if not (self.quantiles[:, 1:] >= self.quantiles[:, :-1]).all():
            raise ValueError(f"{self.reservoir_id}: the quantiles of a forecast must rise")
        if self.issued_at.tzinfo is None:
            raise ValueError(f"{self.reservoir_id}: issued_at needs a time zone")

    def valid_day(self, lead_days: int) -> date:
        """Return the day that lead `lead_days` (1..7) speaks of."""
        return self.basis_day + timedelta(days=lead_days)

    def exceedance_probabilities(self, value: float) -> FloatArray:
        """Return for each lead the probability (7,) that the day's value is at or above `value`.

        Linear between the quantiles; beyond the outermost ones the tail falls off exponentially
        with the scale of the outer two, so a far threshold gets a small probability and not 0.
        """
        if not math.isfinite(value):
            raise ValueError(f"{self.reservoir_id}: a threshold must be finite, found {value}")
        return exceedance_probabilities(value, self.quantiles)


def all_finite(values: FloatArray) -> bool:
    """Say whether a few numbers (N,) are finite; numpy takes several times as long for seven."""
    return all(map(math.isfinite, values.tolist()))


def exceedance_probabilities(value: float, quantiles: FloatArray) -> FloatArray:
    """Return P(Y ≥ value) for each row of `quantiles` (N, len(QUANTILE_LEVELS)), rising and finite."""
    return np.array([1.0 - _cumulative(value, row) for row in quantiles])


def _cumulative(value: float, quantiles: FloatArray) -> float:
    """P(Y < value) for one lead from its quantile row."""
    levels = QUANTILE_LEVELS
    if value > quantiles[-1]:
        scale = _tail_scale(quantiles[-1] - quantiles[-3], (1 - levels[-3]) / (1 - levels[-1]))
        return 1.0 - (1 - levels[-1]) * math.exp(-(value - quantiles[-1]) / scale)
    if value < quantiles[0]:
        scale = _tail_scale(quantiles[2] - quantiles[0], levels[2] / levels[0])
        return levels[0] * math.exp(-(quantiles[0] - value) / scale)
    # left-continuous: where quantiles coincide on `value`, P(Y < value) is the lowest of their levels
    above = int(np.searchsorted(quantiles, value, side="left"))
    if above == 0 or quantiles[above] == value:
        return levels[above]
    low, high = float(quantiles[above - 1]), float(quantiles[above])
    share = (value - low) / (high - low)
    return levels[above - 1] + share * (levels[above] - levels[above - 1])


def _tail_scale(width: float, ratio: float) -> float:
    """Scale of an exponential tail that spans `width` while its probability falls by `ratio`."""
    return max(width, 1e-12) / math.log(ratio)
