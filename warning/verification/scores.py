"""Scores of forecasts against what happened.

Every function takes arrays of one length, drops the pairs where either side is NaN, and answers NaN
where no pair is left: no score is ever 0 for want of data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from warning.domain.variables import FloatArray


def mae(forecast: FloatArray, truth: FloatArray) -> float:
    """Mean absolute error, (1/n) Σ |f − y|."""
    return _mean(np.abs(forecast - truth))


def mse(forecast: FloatArray, truth: FloatArray) -> float:
    """Mean squared error, (1/n) Σ (f − y)²."""
    return _mean((forecast - truth) ** 2)


def mae_ratio(forecast: FloatArray, reference: FloatArray, truth: FloatArray) -> float:
    """MAE(f) / MAE(reference) on the pairs that both forecast; below 1 is better than the reference.

    NaN where the reference makes no error at all: no forecast can be measured against it.
    """
    both = np.isfinite(forecast) & np.isfinite(reference)
    of_reference = mae(reference[both], truth[both])
    return mae(forecast[both], truth[both]) / of_reference if of_reference > 0 else math.nan


def geometric_mean(ratios: Sequence[float]) -> float:
    """exp of the mean logarithm of the ratios that are known and above 0; NaN if there are none."""
    logs = [math.log(ratio) for ratio in ratios if math.isfinite(ratio) and ratio > 0]
    return math.exp(math.fsum(logs) / len(logs)) if logs else math.nan


def pinball_losses(quantiles: FloatArray, truth: FloatArray, levels: Sequence[float]) -> FloatArray:
    """Mean pinball loss of each level, (levels,), from `quantiles` (n, levels).

    ρ_τ(y, q) = τ (y − q) for y ≥ q, (1 − τ)(q − y) else (Koenker & Bassett 1978, Econometrica 46, 33-50).
    """
    if quantiles.shape != (truth.size, len(levels)):
        raise ValueError(
            f"{truth.size} values and {len(levels)} levels do not fit quantiles {quantiles.shape}"
        )
    known = np.isfinite(truth) & np.isfinite(quantiles).all(axis=1)
    if not known.any():
        return np.full(len(levels), np.nan)
    over = truth[known, None] - quantiles[known]
    tau = np.asarray(levels)
    losses: FloatArray = np.maximum(tau * over, (tau - 1) * over).mean(axis=0)
    return losses


def crps_from_quantiles(quantiles: FloatArray, truth: FloatArray, levels: Sequence[float]) -> float:
    """Continuous ranked probability score, 2 ∫₀¹ ρ_τ dτ, in the unit of the truth.

    The integral is the trapezoidal rule over `levels` (rising, within 0 and 1), with a loss of 0 at the
    ends of the unit interval (Gneiting & Ranjan 2011, J. Bus. Econ. Stat. 29, 411-422, eq. 17).
    """
    return crps_from_losses(pinball_losses(quantiles, truth, levels), levels)


def crps_from_losses(losses: FloatArray, levels: Sequence[float]) -> float:
    """The score of `crps_from_quantiles` from the mean pinball loss of each level (levels,)."""
    ends = np.concatenate([[0.0], losses, [0.0]])
    return float(2 * np.trapezoid(ends, np.concatenate([[0.0], levels, [1.0]])))


def counts_below(quantiles: FloatArray, truth: FloatArray) -> tuple[int, ...]:
    """How many truths (n,) lie at or below the quantile of each level, (levels,).

    `quantiles` are (n, levels); counted where the truth and all quantiles are known. Of n truths whose
    forecasts are calibrated, about τ n lie at or below the quantile of level τ.
    """
    known = np.isfinite(truth) & np.isfinite(quantiles).all(axis=1)
    return tuple(int(n) for n in (truth[known, None] <= quantiles[known]).sum(axis=0))


def coverage(lower: FloatArray, upper: FloatArray, truth: FloatArray) -> float:
    """Share of the truth inside the closed interval."""
    known = np.isfinite(lower) & np.isfinite(upper) & np.isfinite(truth)
    inside = (lower <= truth) & (truth <= upper)
    return _mean(inside[known].astype(np.float64))


def brier_score(probability: FloatArray, happened: FloatArray) -> float:
    """(1/n) Σ (p − o)², o being 1 where it happened and 0 where it did not.

    Brier 1950, Mon. Weather Rev. 78, 1-3, in the one-category form.
    """
    return mse(probability, happened)


@dataclass(frozen=True, slots=True)
class ReliabilityRow:
    """Forecasts whose probability lies in lower..upper: how many, their mean, how often it happened."""

    lower: float
    upper: float
    count: int
    mean_probability: float
    frequency: float


def reliability_table(
    probability: FloatArray, happened: FloatArray, bins: int = 10
) -> tuple[ReliabilityRow, ...]:
    """Hold forecast probabilities against frequencies, bin by bin.

    Murphy & Winkler 1977, Appl. Stat. 26, 41-47. Bins are equally wide and closed below; the last one
    also holds 1. Where a bin is empty its mean and frequency are NaN. A probability outside 0..1 is in
    no bin.
    """
    known = np.isfinite(probability) & np.isfinite(happened) & (probability >= 0) & (probability <= 1)
    p, o = probability[known], happened[known]
    which = np.minimum((p * bins).astype(np.intp), bins - 1)
    return tuple(
        ReliabilityRow(b / bins, (b + 1) / bins, int(in_bin.sum()), _mean(p[in_bin]), _mean(o[in_bin]))
        for b in range(bins)
        for in_bin in [which == b]
    )


def merged_reliability(tables: Sequence[Sequence[ReliabilityRow]]) -> tuple[ReliabilityRow, ...]:
    """Return the table of all forecasts that the `tables`, of equal bins, were made from."""
    return tuple(_merged(rows) for rows in zip(*tables, strict=True))


def _merged(rows: Sequence[ReliabilityRow]) -> ReliabilityRow:
    filled = [row for row in rows if row.count]
    count = sum(row.count for row in filled)
    sums = [
        sum(row.count * part for row, part in zip(filled, parts, strict=True))
        for parts in ([row.mean_probability for row in filled], [row.frequency for row in filled])
    ]
    means = [total / count if count else math.nan for total in sums]
    return ReliabilityRow(rows[0].lower, rows[0].upper, count, *means)


def _mean(values: FloatArray) -> float:
    """Mean of what is finite; NaN of nothing."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else math.nan
