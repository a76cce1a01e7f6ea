"""The bands of many dams' newest forecasts at once: `calibration`'s quantiles, a fleet at a time.

Tables of scores lie end to end, one for each forecast, with their sizes beside them: what is computed
for each score is computed for all at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from warning.domain.variables import BoolArray, FloatArray, IndexArray
from warning.forecasting.calibration import (
    DEFAULT_SCORES,
    FEWEST_SCORES,
    LEVELS,
    LONGEST_MEMORY_DAYS,
    ScoreTable,
    Whole,
    likeness,
    raised,
    ranked_levels,
    recency,
)


@dataclass(frozen=True, slots=True)
class Issued:
    """K forecasts that await their bands, each of one dam and lead. Arrays are (K,).

    They were issued on `rows` under conditions of the kinds `positions` and `spreads`; where `means` or
    `spread` is NaN, so is the band. `flood_values` (K, 2) say where the flood guard sets in and is complete.
    """

    leads: IndexArray
    rows: IndexArray
    means: FloatArray
    spread: FloatArray
    positions: Whole
    spreads: Whole
    flood_values: FloatArray


def end_to_end(tables: Sequence[ScoreTable]) -> tuple[ScoreTable, IndexArray]:
    """Return many tables as one, and how many scores each has."""
    columns = (np.concatenate([getattr(one, name) for one in tables]) for name in ScoreTable.__slots__)
    return ScoreTable(*columns), np.array([one.scores.size for one in tables])


def bands(issued: Issued, *parts: tuple[ScoreTable, IndexArray]) -> FloatArray:
    """Return the quantiles (K, levels), each forecast's from the scores of its own dam and lead.

    Each of `parts` holds a table for every forecast, end to end, and their sizes (K,); what a later part
    holds was issued later.
    """
    known = [_Known.of(issued, *part) for part in parts]
    scores = _merged([(one.sizes, one.table.scores, w) for one, w in zip(known, _firm(known), strict=True)])
    found = _placed(issued, _weighted_quantiles(*scores))
    reaching = found[:, -1] >= issued.flood_values[:, 0]
    floods = _merged([one.floods(reaching) for one in known])
    enough = _effective_sizes(floods[2], floods[0]) >= FEWEST_SCORES
    if enough.any():
        flooded = _placed(issued, _weighted_quantiles(*floods))[enough]
        low, high = issued.flood_values[enough].T[:, :, None]
        found[enough] = raised(found[enough], flooded, low, high)
    wide = _placed(issued, DEFAULT_SCORES)
    return np.where((scores[0] >= FEWEST_SCORES)[:, None], found, wide)


Weighted = tuple[IndexArray, NDArray[np.floating[Any]], FloatArray]
"""The sizes (K,) of stretches that lie end to end, the ascending scores of each, and what they count."""


@dataclass(frozen=True, slots=True)
class _Known:
    """The scores that were known when each forecast was issued, and what each counts."""

    table: ScoreTable
    sizes: IndexArray
    recency: FloatArray
    weights: FloatArray

    @classmethod
    def of(cls, issued: Issued, table: ScoreTable, sizes: IndexArray) -> _Known:
        # what is not known yet must go, not get weight 0: interpolation would still look at it
        age = np.repeat(issued.rows - issued.leads, sizes) - table.issued
        known = (age >= 0) & (age <= LONGEST_MEMORY_DAYS)
        if not known.all():
            sizes, table = _sums(known, sizes), table.taken(known)
        recent = _RECENCY.take(table.issued)
        weights = recent * likeness(np.repeat(issued.positions, sizes), table.positions)
        weights *= likeness(np.repeat(issued.spreads, sizes), table.spreads)
        return cls(table, sizes, recent, weights)

    def floods(self, which: BoolArray) -> Weighted:
        """The scores of past floods, of the forecasts chosen."""
        floods = np.flatnonzero(self.table.flood_share)
        owners = np.cumsum(self.sizes).searchsorted(floods, side="right")
        floods, owners = floods[which[owners]], owners[which[owners]]
        weights: FloatArray = self.recency[floods] * self.table.flood_share[floods]
        return np.bincount(owners, minlength=which.size), self.table.scores[floods], weights


def _placed(issued: Issued, scores: FloatArray) -> FloatArray:
    """Scores (…, levels) as values around each forecast's mean."""
    values: FloatArray = issued.means[:, None] + issued.spread[:, None] * scores
    return values


def _firm(known: Sequence[_Known]) -> list[FloatArray]:
    """The weights of each part, or their recency alone for a forecast that too few scores resemble."""
    total = sum(_sums(one.weights, one.sizes) for one in known)
    squares = sum(_sums(one.weights**2, one.sizes) for one in known)
    firm = np.asarray(total**2 >= FEWEST_SCORES * squares) & np.asarray(squares > 0)
    if firm.all():
        return [one.weights for one in known]
    return [np.where(np.repeat(firm, one.sizes), one.weights, one.recency) for one in known]


def _merged(parts: Sequence[Weighted]) -> Weighted:
    """Each forecast's scores together, still ascending; the older first among equals."""
    sizes, scores, weights = parts[0]
    for more, newer, own in parts[1:]:
        at = np.empty(newer.size, np.intp)
        some = np.flatnonzero(more)
        places = (place[some].tolist() for place in (*_ranges(sizes), *_ranges(more)))
        for first, last, begin, end in zip(*places, strict=True):
            at[begin:end] = first + scores[first:last].searchsorted(newer[begin:end], side="right")
        at += np.arange(newer.size)
        old = np.ones(scores.size + newer.size, np.bool_)
        old[at] = False
        all_scores, all_weights = np.empty(old.size, scores.dtype), np.empty(old.size)
        all_scores[old], all_weights[old] = scores, weights
        all_scores[at], all_weights[at] = newer, own
        sizes, scores, weights = sizes + more, all_scores, all_weights
    return sizes, scores, weights


def _weighted_quantiles(
    sizes: IndexArray, ascending: NDArray[np.floating[Any]], weights: FloatArray
) -> FloatArray:
    """`weighted_quantiles` (K, levels) of each stretch, to the last digit; NaN of an empty one."""
    quantiles = np.full((sizes.size, LEVELS.size), np.nan)
    some = sizes > 0
    if not some.any():
        return quantiles
    begins, ends = (place[some] for place in _ranges(sizes))
    stretches = [slice(*both) for both in zip(begins.tolist(), ends.tolist(), strict=True)]
    cumulated = np.empty(weights.size)
    for own in stretches:
        np.add.accumulate(weights[own], out=cumulated[own])
    middles = cumulated - 0.5 * weights
    total = cumulated[ends - 1, None]
    squares = weights * weights
    sums = np.array([(np.add.reduce(weights[own]), np.add.reduce(squares[own])) for own in stretches])
    levels = ranked_levels(sums[:, :1] ** 2 / sums[:, 1:])
    places = np.array(
        [
            middles[own].searchsorted(wanted, side="right")
            for own, wanted in zip(stretches, levels * total, strict=True)
        ]
    )
    first, last = begins[:, None], ends[:, None] - 1
    below = np.clip(first + places - 1, first, last)
    above = np.minimum(below + 1, last)
    left, right = middles[below] / total, middles[above] / total
    low, high = ascending[below].astype(np.float64), ascending[above].astype(np.float64)
    steep = np.divide(high - low, right - left, out=np.zeros(left.shape), where=right > left)
    quantiles[some] = np.clip(steep * (levels - left) + low, low, high)  # as numpy.interp does
    return quantiles


def _effective_sizes(weights: FloatArray, sizes: IndexArray) -> FloatArray:
    squares = _sums(weights**2, sizes)
    found: FloatArray = np.zeros(sizes.size)
    np.divide(_sums(weights, sizes) ** 2, squares, out=found, where=squares > 0)
    return found


def _sums(values: FloatArray | BoolArray, sizes: IndexArray) -> Any:
    """The sum of each stretch."""
    kind = np.intp if values.dtype == np.bool_ else np.float64
    sums = np.zeros(sizes.size, kind)
    if values.size:
        sums[sizes > 0] = np.add.reduceat(values, _ranges(sizes)[0][sizes > 0], dtype=kind)
    return sums


def _ranges(sizes: IndexArray) -> tuple[IndexArray, IndexArray]:
    """Where each stretch begins and ends."""
    ends: IndexArray = np.cumsum(sizes)
    return ends - sizes, ends


_RECENCY: Final = recency(np.arange(2**16 + LONGEST_MEMORY_DAYS))
"""What a score counts by its issue row; a standing's are below 2**16."""
