"""Scores against naive loops, closed forms and published numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm  # type: ignore[import-untyped]

from warning.domain.forecast import QUANTILE_LEVELS
from warning.verification.scores import (
    brier_score,
    coverage,
    crps_from_quantiles,
    geometric_mean,
    mae,
    mae_ratio,
    merged_reliability,
    mse,
    pinball_losses,
    reliability_table,
)

NAN = float("nan")


@pytest.fixture
def pairs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    forecast, truth = rng.normal(size=200), rng.normal(size=200)
    forecast[[3, 50]] = np.nan
    truth[[50, 51, 120]] = np.nan
    return forecast, truth


def test_mae_and_mse_equal_a_naive_loop(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    forecast, truth = pairs
    errors = [f - y for f, y in zip(forecast, truth, strict=True) if not (math.isnan(f) or math.isnan(y))]
    assert len(errors) == 196
    assert mae(forecast, truth) == pytest.approx(sum(abs(e) for e in errors) / 196)
    assert mse(forecast, truth) == pytest.approx(sum(e * e for e in errors) / 196)


def test_no_pair_gives_no_score() -> None:
    nothing = np.array([NAN, NAN])
    assert all(math.isnan(score(nothing, np.array([1.0, 2.0]))) for score in (mae, mse, brier_score))
    assert math.isnan(coverage(nothing, nothing, nothing))
    assert math.isnan(crps_from_quantiles(np.full((2, 1), NAN), nothing, (0.5,)))
    assert math.isnan(geometric_mean([NAN]))


def test_a_ratio_is_taken_on_the_days_that_both_forecast() -> None:
    truth = np.array([0.0, 0.0, 0.0])
    ratio = mae_ratio(np.array([1.0, NAN, 3.0]), np.array([2.0, 100.0, 6.0]), truth)
    assert ratio == pytest.approx(0.5)


def test_a_faultless_reference_gives_no_ratio() -> None:
    assert math.isnan(mae_ratio(np.ones(2), np.zeros(2), np.zeros(2)))


def test_the_geometric_mean_of_ratios() -> None:
    assert geometric_mean([0.5, 2.0, NAN, 1.0]) == pytest.approx(1.0)


def test_pinball_equals_a_naive_loop(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    _, truth = pairs
    quantiles = np.sort(np.random.default_rng(2).normal(size=(200, 3)), axis=1)
    levels = (0.1, 0.5, 0.95)
    for position, level in enumerate(levels):
        losses = []
        for row, y in enumerate(truth):
            if math.isnan(y):
                continue
            q = quantiles[row, position]
            losses.append(level * (y - q) if y >= q else (1 - level) * (q - y))
        found = pinball_losses(quantiles, truth, levels)[position]
        assert found == pytest.approx(sum(losses) / len(losses))


def test_quantiles_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        pinball_losses(np.zeros((3, 2)), np.zeros(3), (0.5,))


def test_crps_of_a_normal_forecast_meets_the_closed_form() -> None:
    """Gneiting et al. 2005, Mon. Weather Rev. 133, eq. 5: σ [z(2Φ(z) − 1) + 2φ(z) − 1/√π]."""
    levels = tuple(np.linspace(0.0005, 0.9995, 1999))
    for y in (-1.7, 0.0, 0.4, 2.5):
        closed = y * (2 * norm.cdf(y) - 1) + 2 * norm.pdf(y) - 1 / math.sqrt(math.pi)
        found = crps_from_quantiles(norm.ppf(levels)[None, :], np.array([y]), levels)
        assert found == pytest.approx(closed, rel=2e-3)


def test_crps_on_our_levels_is_near_the_closed_form() -> None:
    truth = np.random.default_rng(3).normal(size=4000)
    quantiles = np.tile(norm.ppf(QUANTILE_LEVELS), (4000, 1))
    assert crps_from_quantiles(quantiles, truth, QUANTILE_LEVELS) == pytest.approx(
        1 / math.sqrt(math.pi), rel=0.03
    )


def test_crps_of_a_certain_forecast_is_its_absolute_error() -> None:
    levels = tuple(np.linspace(0.001, 0.999, 999))
    found = crps_from_quantiles(np.full((1, 999), 3.0), np.array([5.0]), levels)
    assert found == pytest.approx(2.0, rel=2e-3)


def test_coverage_counts_the_edges_and_skips_the_missing() -> None:
    lower, upper = np.zeros(5), np.array([1.0, 1.0, 1.0, 1.0, NAN])
    assert coverage(lower, upper, np.array([0.0, 1.0, 1.1, NAN, 0.5])) == pytest.approx(2 / 3)


def test_brier_equals_a_hand_worked_case() -> None:
    found = brier_score(np.array([0.9, 0.2, 0.5]), np.array([1.0, 0.0, 1.0]))
    assert found == pytest.approx((0.01 + 0.04 + 0.25) / 3)


def test_the_reliability_table_equals_a_naive_loop() -> None:
    rng = np.random.default_rng(4)
    probability = rng.uniform(size=1000)
    probability[:3] = (0.0, 1.0, 0.1)
    happened = (rng.uniform(size=1000) < probability).astype(float)
    table = reliability_table(probability, happened)
    assert sum(row.count for row in table) == 1000
    for row in table:
        last = row.upper == 1.0
        inside = [i for i, p in enumerate(probability) if row.lower <= p and (p < row.upper or last)]
        assert row.count == len(inside)
        assert row.mean_probability == pytest.approx(sum(probability[i] for i in inside) / len(inside))
        assert row.frequency == pytest.approx(sum(happened[i] for i in inside) / len(inside))


def test_an_empty_bin_has_no_frequency() -> None:
    table = reliability_table(np.array([0.05, NAN, 1.2]), np.array([1.0, 1.0, 1.0]), bins=2)
    assert [row.count for row in table] == [1, 0]
    assert math.isnan(table[1].frequency)


def test_merged_tables_are_the_table_of_all_forecasts() -> None:
    rng = np.random.default_rng(5)
    probability = rng.uniform(size=300) * 0.7
    happened = (rng.uniform(size=300) < probability).astype(float)
    parts = [reliability_table(probability[p], happened[p]) for p in (slice(0, 90), slice(90, 300))]
    whole = reliability_table(probability, happened)
    for merged, row in zip(merged_reliability(parts), whole, strict=True):
        assert (merged.lower, merged.upper, merged.count) == (row.lower, row.upper, row.count)
        assert merged.frequency == pytest.approx(row.frequency, nan_ok=True)
        assert merged.mean_probability == pytest.approx(row.mean_probability, nan_ok=True)
