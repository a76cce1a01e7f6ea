"""Quantiles from past errors: worked ranks, causality, coverage, and the guard at high water."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from warning.domain.forecast import QUANTILE_LEVELS
from warning.domain.variables import FloatArray
from warning.forecasting.calibration import (
    DEFAULT_SCORES,
    FEWEST_SCORES,
    LEVELS,
    Hindcast,
    calibrated_quantiles,
)

MEDIAN = QUANTILE_LEVELS.index(0.5)
LOW, HIGH = QUANTILE_LEVELS.index(0.05), QUANTILE_LEVELS.index(0.95)


def hindcast(truth: FloatArray, mean: FloatArray | None = None, spread: float = 1.0) -> Hindcast:
    """Persistence forecasts of `truth` for all leads, unless `mean` (rows, 7) is given."""
    forecasts = np.repeat(truth[:, None], 7, axis=1) if mean is None else mean
    return Hindcast(forecasts, np.full(forecasts.shape, spread), truth, truth, np.sort(truth))


def test_with_equal_weights_the_quantiles_are_the_conformal_ranks() -> None:
    """Scores 1..99 of one age and one condition: level α falls on rank α(99+1): 0.05 → 5, 0.95 → 95.

    Lead 7 of a forecast on the last row knows the errors of 99 others; all issued with the same base, so
    likeness is equal; the recency differs by at most 2 % over 99 days, which moves no rank by 0.5.
    """
    rows = 99 + 7
    truth = np.zeros(rows)
    mean = np.zeros((rows, 7))
    errors = np.random.default_rng(0).permutation(np.arange(1, 100))
    mean[:99, 6] = -errors  # truth − mean = error
    made = Hindcast(mean, np.ones(mean.shape), np.zeros(rows), truth, np.array([]))
    quantiles = calibrated_quantiles(made, np.array([rows - 1]))[0, 6]
    np.testing.assert_allclose(quantiles[[LOW, MEDIAN, HIGH]], [5, 50, 95], atol=0.5)
    assert quantiles[0] >= 1
    assert quantiles[-1] <= 99


def test_with_too_few_errors_the_band_is_the_wide_default() -> None:
    truth = np.arange(10.0)
    quantiles = calibrated_quantiles(hindcast(truth, spread=2.0), np.array([9]))[0, 0]
    np.testing.assert_allclose(quantiles, 9.0 + 2.0 * DEFAULT_SCORES)
    assert quantiles[MEDIAN] == 9.0
    assert len(truth) - 1 < FEWEST_SCORES


def test_the_default_scores_are_those_of_a_laplace_distribution() -> None:
    """P(|Y| > 2·ln 10) = exp(−ln 10) = 0.1 for scale 2, so the 5 % and 95 % points are ∓2·ln 10."""
    np.testing.assert_allclose(DEFAULT_SCORES[[LOW, HIGH]], [-2 * np.log(10), 2 * np.log(10)])
    assert (np.diff(DEFAULT_SCORES) > 0).all()


def test_a_row_without_a_forecast_has_no_quantiles() -> None:
    made = hindcast(np.random.default_rng(1).normal(size=60))
    made.mean[50] = np.nan
    quantiles = calibrated_quantiles(made, np.array([49, 50]))
    assert np.isfinite(quantiles[0]).all()
    assert np.isnan(quantiles[1]).all()


def test_nothing_after_the_issue_row_moves_a_quantile() -> None:
    random = np.random.default_rng(2)
    truth = np.cumsum(random.normal(size=400))
    whole = hindcast(truth)
    row = 300
    before = calibrated_quantiles(whole, np.array([row]))
    other = truth.copy()
    other[row + 1 :] += random.normal(0, 50, 399 - row)
    changed = replace(whole, truth=other, base=np.where(np.arange(400) > row, other, truth))
    np.testing.assert_array_equal(calibrated_quantiles(changed, np.array([row])), before)
    cut = Hindcast(
        whole.mean[: row + 1],
        whole.spread[: row + 1],
        whole.base[: row + 1],
        whole.truth[: row + 1],
        whole.reference,
    )
    np.testing.assert_array_equal(calibrated_quantiles(cut, np.array([row])), before)


def test_one_row_and_all_rows_give_the_same_digits() -> None:
    made = hindcast(np.cumsum(np.random.default_rng(3).normal(size=200)))
    together = calibrated_quantiles(made, np.arange(200))
    for row in (30, 120, 199):
        np.testing.assert_array_equal(calibrated_quantiles(made, np.array([row]))[0], together[row])


@pytest.mark.parametrize("seed", range(3))
def test_quantiles_rise(seed: int) -> None:
    random = np.random.default_rng(seed)
    made = hindcast(np.cumsum(random.standard_t(2, size=300)))
    quantiles = calibrated_quantiles(made, np.arange(300))
    assert (np.diff(quantiles, axis=2) >= 0).all()


def test_the_ninety_percent_band_holds_ninety_percent_of_a_changing_dam() -> None:
    """Errors whose size swings tenfold, as between drought and flood season, visible in the spread."""
    random = np.random.default_rng(4)
    size = np.exp(np.cumsum(random.normal(0, 0.05, 1500)))
    size = 0.3 + 3 * (size - size.min()) / np.ptp(size)
    mean = np.zeros((1500, 7))
    truth = np.zeros(1500)
    truth[1:] = random.normal(size=1499) * size[:-1]
    spread = np.repeat(size[:, None], 7, axis=1)
    made = Hindcast(mean, spread, np.zeros(1500), truth, np.array([]))
    quantiles = calibrated_quantiles(made, np.arange(500, 1499))[:, 0]
    after = truth[501:]
    inside = (after >= quantiles[:, LOW]) & (after <= quantiles[:, HIGH])
    assert 0.87 <= inside.mean() <= 0.93
    wild = size[500:1499] > np.median(size)
    assert 0.85 <= inside[wild].mean() <= 0.95
    assert 0.85 <= inside[~wild].mean() <= 0.95


def test_near_high_water_the_band_reaches_as_far_as_past_floods_did() -> None:
    """Calm days err by ±0.1; the days that ended in the top of the range came as a rise of 5."""
    random = np.random.default_rng(5)
    truth = 10 + random.normal(0, 0.1, 2000)
    truth[50::40] = 15.0
    mean = np.full((2000, 7), 10.0)
    base = np.full(2000, 10.0)
    reference = np.sort(np.r_[truth, np.full(300, 15.0)])
    made = Hindcast(mean, np.ones(mean.shape), base, truth, reference)
    guarded = calibrated_quantiles(made, np.array([1999]))[0, 0]
    blind = calibrated_quantiles(replace(made, reference=np.array([])), np.array([1999]))[0, 0]
    np.testing.assert_array_equal(guarded[: MEDIAN + 1], blind[: MEDIAN + 1])
    assert guarded[HIGH] > blind[HIGH] + 1
    assert guarded[-1] >= blind[-1]


def test_the_levels_are_symmetric_so_that_the_middle_one_is_the_median() -> None:
    np.testing.assert_allclose(LEVELS + LEVELS[::-1], 1.0)
    assert LEVELS[LEVELS.size // 2] == 0.5
