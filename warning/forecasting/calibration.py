"""Quantiles from the forecast's own past errors: conformal, weighted by likeness, per dam and lead.

The score of a past forecast is its error over the spread that was visible when it was issued. A new
forecast's quantiles are weighted quantiles of the scores known by then, where those count most that
are recent and were issued in like conditions: the water about as high, the dam about as restless.
The finite-sample correction is that of split conformal prediction, for the effective sample size
(Σw)²/Σw² (Barber et al. 2023, Conformal prediction beyond exchangeability).

High water needs more. A band that is right given what is seen on the issue day holds fewer than 90 %
of the days that *became* floods, because those are the surprises. Quantiles that reach into the
highest part of the dam's range are therefore moved halfway towards those of past days that ended
there (label-conditional conformal prediction): better a band too wide than a flood outside it.

Every row is computed from its own past alone, and alike whether one row is asked for or all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from warning.domain.forecast import HORIZON_DAYS, QUANTILE_LEVELS
from warning.domain.variables import BoolArray, FloatArray, IndexArray

LEVELS: Final = np.array(QUANTILE_LEVELS)
HALF_LIFE_DAYS: Final = 2000.0
LONGEST_MEMORY_DAYS: Final = 4000
POSITION_WIDTH: Final = 0.1  # of the dam's range of ranks
SPREAD_WIDTH: Final = 0.7  # of the logarithm of the spread
KIND_STEP: Final = 0.25  # of a width
UNLIKE_SHARE: Final = 0.05  # what conditions quite unlike today's still count
FEWEST_SCORES: Final = 20
FLOOD_RANKS: Final = (0.85, 0.95)  # where the flood guard sets in, and where it is complete
FLOOD_GUARD: Final = 0.5
DEFAULT_SCORES: Final = -2.0 * np.sign(LEVELS - 0.5) * np.log(1 - np.abs(2 * LEVELS - 1))
"""Scores of a wide Laplace distribution, for a dam without enough errors of its own."""


@dataclass(frozen=True, slots=True)
class Hindcast:
    """What calibration learns from; row i is a day, issue row and target row alike.

    `mean` and `spread` are (rows, 7) by issue row, in the unit of the forecast variable; `base`
    (rows,) is the value each forecast starts from, `truth` (rows,) what was believed on its own day.
    `reference` are the dam's values in the model's training part, ascending; they define ranks.
    NaN is missing.
    """

    mean: FloatArray
    spread: FloatArray
    base: FloatArray
    truth: FloatArray
    reference: FloatArray

    def rank(self, values: FloatArray) -> FloatArray:
        """Return the share of the reference at or below each value; NaN stays NaN."""
        ranks = np.searchsorted(self.reference, values, side="right") / max(self.reference.size, 1)
        return np.where(np.isfinite(values), ranks, np.nan)


def calibrated_quantiles(hindcast: Hindcast, rows: IndexArray) -> FloatArray:
    """Return quantiles (len(rows), 7, levels) of the forecasts issued on `rows`; they rise.

    NaN where the row has no forecast. With fewer than `FEWEST_SCORES` known scores the band is the
    wide default.
    """
    quantiles = np.full((rows.size, HORIZON_DAYS, LEVELS.size), np.nan)
    for lead in range(1, HORIZON_DAYS + 1):
        scores = _LeadScores.of(hindcast, lead, int(rows.min()) if rows.size else 0)
        for i, row in enumerate(rows):
            mean, spread = hindcast.mean[row, lead - 1], hindcast.spread[row, lead - 1]
            if np.isfinite(mean) and np.isfinite(spread):
                quantiles[i, lead - 1] = scores.quantiles(int(row), mean, spread)
    return quantiles


@dataclass(frozen=True, slots=True)
class _LeadScores:
    """The scores of one lead, ascending, with what they count for conditions of each kind.

    Conditions are looked up in steps (`_kinds`), so that the weights are made once and not for every row.
    """

    lead: int
    scores: FloatArray
    issued: IndexArray
    recency: FloatArray  # up to a factor that all weights share
    near: FloatArray  # (kinds of position, scores)
    alike: FloatArray  # (kinds of spread, scores)
    positions: IndexArray  # the kind of each row
    spreads: IndexArray
    floods: IndexArray  # the scores whose target lay in the flood ranks …
    flood_share: FloatArray  # … and how far, 0 to 1
    flood_values: tuple[float, float]

    @classmethod
    def of(cls, hindcast: Hindcast, lead: int, first_row: int) -> _LeadScores:
        targets = np.full(hindcast.truth.shape, np.nan)
        targets[:-lead] = hindcast.truth[lead:]
        spread = hindcast.spread[:, lead - 1]
        visible = np.isfinite(hindcast.base) & np.isfinite(spread) & (spread > 0)
        spread = np.where(visible, spread, 1.0)
        scores = (targets - hindcast.mean[:, lead - 1]) / spread
        usable = np.isfinite(scores) & visible
        usable[: max(0, first_row - LONGEST_MEMORY_DAYS - lead)] = False
        issued = np.flatnonzero(usable)
        issued = issued[np.argsort(scores[issued], kind="stable")]
        positions = np.where(visible, hindcast.rank(np.where(visible, hindcast.base, np.inf)), 0.0)
        position_kinds, near = _kinds(positions, issued, POSITION_WIDTH)
        spread_kinds, alike = _kinds(np.log(spread), issued, SPREAD_WIDTH)
        low, high = FLOOD_RANKS
        flood_share = np.clip((hindcast.rank(targets[issued]) - low) / (high - low), 0, 1)
        floods = np.flatnonzero(flood_share)
        return cls(
            lead=lead,
            scores=scores[issued],
            issued=issued,
            recency=2.0 ** (issued / HALF_LIFE_DAYS),
            near=near,
            alike=alike,
            positions=position_kinds,
            spreads=spread_kinds,
            floods=floods,
            flood_share=flood_share[floods],
            flood_values=_flood_values(hindcast.reference),
        )

    def quantiles(self, row: int, mean: float, spread: float) -> FloatArray:
        """Return the quantiles (levels,) of the forecast `mean` issued on `row`."""
        # what is not known yet must go, not get weight 0: interpolation would still look at it
        known = self._known(self.issued, row)
        if np.count_nonzero(known) < FEWEST_SCORES:
            wide: FloatArray = mean + spread * DEFAULT_SCORES
            return wide
        recency = self.recency[known]
        weights = recency * self.near[self.positions[row]][known] * self.alike[self.spreads[row]][known]
        if not _effective_size(weights) >= FEWEST_SCORES:
            weights = recency
        quantiles: FloatArray = mean + spread * _weighted_quantiles(self.scores[known], weights)
        return self._guarded(quantiles, row, mean, spread)

    def _known(self, issued: IndexArray, row: int) -> BoolArray:
        """Which scores were known on `row`, and not too long ago."""
        known: BoolArray = (issued <= row - self.lead) & (issued >= row - self.lead - LONGEST_MEMORY_DAYS)
        return known

    def _guarded(self, quantiles: FloatArray, row: int, mean: float, spread: float) -> FloatArray:
        """Raise the upper quantiles that reach into the flood ranks towards those of past floods."""
        low, high = self.flood_values
        if not quantiles[-1] >= low:
            return quantiles
        known = self._known(self.issued[self.floods], row)
        floods = self.floods[known]
        weights = self.recency[floods] * self.flood_share[known]
        if not _effective_size(weights) >= FEWEST_SCORES:
            return quantiles
        flooded = mean + spread * _weighted_quantiles(self.scores[floods], weights)
        reach = np.clip((flooded - low) / (high - low), 0, 1) if high > low else (flooded >= low) * 1.0
        share = np.where(LEVELS > 0.5, FLOOD_GUARD * reach, 0.0)
        raised = quantiles + share * np.maximum(flooded - quantiles, 0)
        rising: FloatArray = np.maximum.accumulate(raised)
        return rising


def _kinds(values: FloatArray, issued: IndexArray, width: float) -> tuple[IndexArray, FloatArray]:
    """Return the kind of each row's value, and what each score counts for each kind (kinds, scores).

    A kind is a step of a quarter of `width`; the steps are fixed, so that a row's kind and what its past
    counts for it do not depend on other rows.
    """
    steps = np.floor(values / (KIND_STEP * width) + 0.5)
    present = np.unique(steps)
    distances = KIND_STEP * (present[:, None] - steps[issued])
    return np.searchsorted(present, steps), np.exp(-0.5 * distances**2) + UNLIKE_SHARE


def _flood_values(reference: FloatArray) -> tuple[float, float]:
    if reference.size == 0:
        return np.inf, np.inf
    low, high = np.quantile(reference, FLOOD_RANKS)
    return float(low), float(high)


def _effective_size(weights: FloatArray) -> float:
    # sums, not a dot product: its last digit may depend on where the array lies in memory
    squares = float((weights * weights).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def _weighted_quantiles(ascending: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the weighted quantiles at `LEVELS`; for n equal weights the level α falls on rank α(n+1)."""
    cumulated = np.cumsum(weights)
    midpoints = (cumulated - 0.5 * weights) / cumulated[-1]
    levels = np.clip(LEVELS + (LEVELS - 0.5) / _effective_size(weights), 0, 1)
    quantiles: FloatArray = np.interp(levels, midpoints, ascending)
    return quantiles
