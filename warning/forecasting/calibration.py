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
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from warning.domain.forecast import HORIZON_DAYS, QUANTILE_LEVELS
from warning.domain.variables import BoolArray, FloatArray, IndexArray

Whole = NDArray[np.integer[Any]]
LEVELS: Final = np.array(QUANTILE_LEVELS)
HALF_LIFE_DAYS: Final = 1000.0
LONGEST_MEMORY_DAYS: Final = 4000
POSITION_WIDTH: Final = 0.1  # of the dam's range of ranks
SPREAD_WIDTH: Final = 0.7  # of the logarithm of the spread
KIND_STEP: Final = 0.25  # of a width
UNLIKE_SHARE: Final = 0.15  # what conditions quite unlike today's still count
FEWEST_SCORES: Final = 20
FLOOD_RANKS: Final = (0.85, 0.95)  # where the flood guard sets in, and where it is complete
FLOOD_GUARD: Final = 0.25
SHARE_STEPS: Final = 250
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

    def until(self, row: int) -> Hindcast:
        """Return what was known of it before `row`."""
        return Hindcast(self.mean[:row], self.spread[:row], self.base[:row], self.truth[:row], self.reference)

    def rank(self, values: FloatArray) -> FloatArray:
        """Return the share of the reference at or below each value; NaN stays NaN."""
        ranks = np.searchsorted(self.reference, values, side="right") / max(self.reference.size, 1)
        return np.where(np.isfinite(values), ranks, np.nan)

    def visible(self, lead: int) -> BoolArray:
        """Say which rows show the conditions that a score is kept with."""
        spread = self.spread[:, lead - 1]
        return np.isfinite(self.base) & np.isfinite(spread) & (spread > 0)

    def positions(self) -> FloatArray:
        """Return the rank of each row's base, 0 where there is none."""
        return np.where(np.isfinite(self.base), self.rank(self.base), 0.0)

    def kinds(self, lead: int, positions: FloatArray) -> NDArray[np.int16]:
        """Return the kinds (2, rows) of the base's rank and of the spread on each row."""
        visible = self.visible(lead)
        spread = np.where(visible, self.spread[:, lead - 1], 1.0)
        return np.stack(kinds_of(np.where(visible, positions, 0.0), spread))


def kinds_of(positions: FloatArray, spread: FloatArray) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Return the kinds of ranks and of spreads above 0.

    A kind is a step of a quarter of the width; the steps are fixed, so that a row's kind does not depend
    on other rows.
    """
    place = np.floor(positions / (KIND_STEP * POSITION_WIDTH) + 0.5)
    restless = np.floor(np.log(spread) / (KIND_STEP * SPREAD_WIDTH) + 0.5)
    return place.astype(np.int16), restless.astype(np.int16)


def calibrated_quantiles(hindcast: Hindcast, rows: IndexArray) -> FloatArray:
    """Return quantiles (len(rows), 7, levels) of the forecasts issued on `rows`; they rise.

    NaN where the row has no forecast. With fewer than `FEWEST_SCORES` known scores the band is the
    wide default.
    """
    quantiles = np.full((rows.size, HORIZON_DAYS, LEVELS.size), np.nan)
    flood_values = flood_values_of(hindcast.reference)
    positions, first_row = hindcast.positions(), int(rows.min()) if rows.size else 0
    for lead in range(1, HORIZON_DAYS + 1):
        scores = LeadScores(lead, scored(hindcast, lead, first_row, 0, positions), flood_values)
        kinds = hindcast.kinds(lead, positions)
        for i, row in enumerate(rows):
            mean, spread = hindcast.mean[row, lead - 1], hindcast.spread[row, lead - 1]
            if np.isfinite(mean) and np.isfinite(spread):
                quantiles[i, lead - 1] = scores.quantiles(int(row), mean, spread, *kinds[:, row])
    return quantiles


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """The scores of one lead, ascending: what a model keeps of a dam's past for its bands.

    `issued` are issue rows, `positions` and `spreads` the kinds of the conditions then, `flood_share` says
    how far into the flood ranks the target lay, in 250ths. Scores are rounded to single precision. The types
    are those on disk.
    """

    scores: NDArray[np.float32]
    issued: Whole
    positions: Whole
    spreads: Whole
    flood_share: NDArray[np.uint8]

    def taken(self, which: BoolArray) -> ScoreTable:
        """Return some of the scores."""
        return ScoreTable(*(getattr(self, name)[which] for name in self.__slots__))


def scored(hindcast: Hindcast, lead: int, first_row: int, origin: int, positions: FloatArray) -> ScoreTable:
    """Return all scores of `lead` that count for rows from `first_row` on; row 0 is called `origin`."""
    targets = np.full(hindcast.truth.shape, np.nan)
    targets[:-lead] = hindcast.truth[lead:]
    visible = hindcast.visible(lead)
    spread = np.where(visible, hindcast.spread[:, lead - 1], 1.0)
    scores = ((targets - hindcast.mean[:, lead - 1]) / spread).astype(np.float32)
    usable = np.isfinite(scores) & visible
    usable[: max(0, first_row - LONGEST_MEMORY_DAYS - lead)] = False
    issued = np.flatnonzero(usable)
    issued = issued[np.argsort(scores[issued], kind="stable")]
    share = flood_share(hindcast.rank(targets[issued]))
    kinds = hindcast.kinds(lead, positions)[:, issued]
    return ScoreTable(scores[issued], issued + origin, kinds[0], kinds[1], share)


def flood_share(ranks: FloatArray) -> NDArray[np.uint8]:
    """Return how far each rank lies in the flood ranks, in 250ths."""
    low, high = FLOOD_RANKS
    return np.rint(np.clip((ranks - low) / (high - low), 0, 1) * SHARE_STEPS).astype(np.uint8)


class LeadScores:
    """The scores of one lead, with what they count for conditions of each kind, made once per kind."""

    def __init__(self, lead: int, table: ScoreTable, flood_values: tuple[float, float]) -> None:
        self.lead = lead
        self.table = table
        self.scores = table.scores.astype(np.float64)
        self.flood_values = flood_values
        self.recency = recency(table.issued)  # up to a factor that all weights share
        self.floods = np.flatnonzero(table.flood_share)
        self._alike: dict[tuple[str, int], FloatArray] = {}

    def quantiles(self, row: int, mean: float, spread: float, position: int, restless: int) -> FloatArray:
        """Return the quantiles of a forecast issued on `row` under conditions of these kinds."""
        # what is not known yet must go, not get weight 0: interpolation would still look at it
        known = self._known(self.table.issued, row)
        if np.count_nonzero(known) < FEWEST_SCORES:
            wide: FloatArray = mean + spread * DEFAULT_SCORES
            return wide
        recent = self.recency[known]
        near, alike = self._likeness("positions", position), self._likeness("spreads", restless)
        weights = recent * near[known] * alike[known]
        if not _effective_size(weights) >= FEWEST_SCORES:
            weights = recent
        found: FloatArray = mean + spread * weighted_quantiles(self.scores[known], weights)
        return self._guarded(found, row, mean, spread)

    def _likeness(self, condition: str, kind: int) -> FloatArray:
        """What each score counts for a row whose condition is of this kind."""
        found = self._alike.get((condition, kind))
        if found is None:
            found = self._alike[condition, kind] = likeness(kind, getattr(self.table, condition))
        return found

    def _known(self, issued: Whole, row: int) -> BoolArray:
        """Which scores were known on `row`, and not too long ago."""
        known: BoolArray = (issued <= row - self.lead) & (issued >= row - self.lead - LONGEST_MEMORY_DAYS)
        return known

    def _guarded(self, quantiles: FloatArray, row: int, mean: float, spread: float) -> FloatArray:
        """Raise the upper quantiles that reach into the flood ranks towards those of past floods."""
        low, high = self.flood_values
        if not quantiles[-1] >= low:
            return quantiles
        floods = self.floods[self._known(self.table.issued[self.floods], row)]
        weights = self.recency[floods] * self.table.flood_share[floods]
        if not _effective_size(weights) >= FEWEST_SCORES:
            return quantiles
        flooded = mean + spread * weighted_quantiles(self.scores[floods], weights)
        return raised(quantiles, flooded, low, high)


def recency(days: Whole) -> FloatArray:
    """Return what scores of these days count against those of day 0."""
    counted: FloatArray = 2.0 ** (days / HALF_LIFE_DAYS)
    return counted


def likeness(now: Whole | int, then: Whole) -> FloatArray:
    """Return what scores of conditions of the kinds `then` count under conditions of the kind `now`."""
    counted: FloatArray = _LIKENESS.take(np.abs(now - then), mode="clip")
    return counted


def ranked_levels(effective_size: FloatArray | float) -> FloatArray:
    """Return where the levels fall among so many scores: α of n on rank α(n+1)."""
    levels: FloatArray = np.clip(LEVELS + (LEVELS - 0.5) / effective_size, 0, 1)
    return levels


def raised(
    quantiles: FloatArray, flooded: FloatArray, low: FloatArray | float, high: FloatArray | float
) -> FloatArray:
    """Return quantiles (…, levels), the upper ones moved towards those of past floods, `flooded`.

    `low` and `high` are the finite values where that sets in, and where it is complete.
    """
    wide = np.subtract(high, low)
    within = np.clip((flooded - low) / np.where(wide > 0, wide, 1.0), 0, 1)
    reach = np.where(wide > 0, within, flooded >= low)
    share = np.where(LEVELS > 0.5, FLOOD_GUARD * reach, 0.0)
    rising: FloatArray = np.maximum.accumulate(
        quantiles + share * np.maximum(flooded - quantiles, 0), axis=-1
    )
    return rising


_LIKENESS: Final = np.exp(-0.5 * (KIND_STEP * np.arange(256)) ** 2) + UNLIKE_SHARE
"""By how many kinds two conditions are apart; from far off, all count alike."""


def flood_values_of(reference: FloatArray) -> tuple[float, float]:
    """Return the values where the flood guard sets in, and where it is complete; `reference` ascends."""
    if reference.size == 0:
        return np.inf, np.inf
    places = np.array(FLOOD_RANKS) * (reference.size - 1)
    below = places.astype(np.intp)
    above = np.minimum(below + 1, reference.size - 1)
    low, high = reference[below] + (places - below) * (reference[above] - reference[below])
    return float(low), float(high)


def _effective_size(weights: FloatArray) -> float:
    # sums, not a dot product: its last digit may depend on where the array lies in memory
    squares = float((weights * weights).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def weighted_quantiles(ascending: NDArray[np.floating[Any]], weights: FloatArray) -> FloatArray:
    """Return the weighted quantiles at `LEVELS`; for n equal weights the level α falls on rank α(n+1)."""
    cumulated = np.cumsum(weights)
    midpoints = (cumulated - 0.5 * weights) / cumulated[-1]
    levels = ranked_levels(_effective_size(weights))
    quantiles: FloatArray = np.interp(levels, midpoints, ascending)
    return quantiles
