"""Scores against naive loops, closed forms and published numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm  # type: ignore[import-untyped]

from warning.domain.forecast import QUANTILE_LEVELS
from warning.verification.scores import (
    brier_score,
    counts_below,
    coverage,
    crps_from_losses,
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


def test_crps_of_a_uniform_forecast_meets_the_closed_form() -> None:
    """∫ (F(x) − 1{x ≥ y})² dx = y³/3 + (1 − y)³/3 for the uniform distribution on 0 to 1 and y within."""
    levels = tuple(np.linspace(0.001, 0.999, 999))
    for y in (0.0, 0.1, 0.5, 0.93):
        found = crps_from_quantiles(np.array([levels]), np.array([y]), levels)
        assert found == pytest.approx((y**3 + (1 - y) ** 3) / 3, rel=2e-3)


def test_crps_equals_the_energy_form_of_an_ensemble() -> None:
    """E|X − y| − ½ E|X − X'| (Gneiting & Raftery 2007, eq. 21), in loops over an ensemble's members."""
    members = np.sort(np.random.default_rng(8).gamma(2.0, size=400))
    levels = tuple((np.arange(400) + 0.5) / 400)
    for y in (0.2, 1.9, 7.0):
        to_truth = sum(abs(x - y) for x in members) / 400
        apart = sum(abs(x - other) for x in members for other in members) / 400**2
        found = crps_from_quantiles(members[None, :], np.array([y]), levels)
        assert found == pytest.approx(to_truth - apart / 2, rel=5e-3)


def test_crps_of_losses_is_the_area_under_them() -> None:
    assert crps_from_losses(np.array([0.3, 0.6]), (0.25, 0.75)) == pytest.approx(
        2 * (0.25 * 0.15 + 0.5 * 0.45 + 0.25 * 0.3)
    )


def test_truths_below_each_quantile_equal_a_naive_loop(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    _, truth = pairs
    quantiles = np.sort(np.random.default_rng(6).normal(size=(200, 3)), axis=1)
    quantiles[7, 1] = NAN
    quantiles[9, 0] = truth[9]  # an edge counts
    naive = [0, 0, 0]
    for row, y in enumerate(truth):
        if math.isnan(y) or any(math.isnan(q) for q in quantiles[row]):
            continue
        for level in range(3):
            naive[level] += y <= quantiles[row, level]
    assert counts_below(quantiles, truth) == tuple(naive)
    assert counts_below(quantiles, np.full(200, NAN)) == (0, 0, 0)


def test_coverage_counts_the_edges_and_skips_the_missing() -> None:
    lower, upper = np.zeros(5), np.array([1.0, 1.0, 1.0, 1.0, NAN])
    assert coverage(lower, upper, np.array([0.0, 1.0, 1.1, NAN, 0.5])) == pytest.approx(2 / 3)


def test_brier_equals_a_hand_worked_case() -> None:
    found = brier_score(np.array([0.9, 0.2, 0.5]), np.array([1.0, 0.0, 1.0]))
    assert found == pytest.approx((0.01 + 0.04 + 0.25) / 3)


def test_brier_of_finleys_tornadoes() -> None:
    """Finley 1884: 28 foretold, 72 false alarms, 23 missed and 2680 rightly not foretold, of 2803."""
    said = np.repeat([1.0, 1.0, 0.0, 0.0], (28, 72, 23, 2680))
    came = np.repeat([1.0, 0.0, 1.0, 0.0], (28, 72, 23, 2680))
    assert brier_score(said, came) == pytest.approx((72 + 23) / 2803)
    assert brier_score(np.zeros(2803), came) == pytest.approx(
        51 / 2803
    )  # "never" scores better, as Gilbert saw


def test_brier_is_what_murphys_parts_of_the_reliability_table_add_up_to() -> None:
    """Murphy 1973, J. Appl. Meteor. 12, 595-600: reliability − resolution + uncertainty."""
    rng = np.random.default_rng(7)
    probability = rng.choice([0.05, 0.25, 0.65, 0.95], size=2000)
    happened = (rng.uniform(size=2000) < probability**1.3).astype(float)
    rows = [row for row in reliability_table(probability, happened) if row.count]
    climate = happened.mean()
    reliability = sum(r.count * (r.mean_probability - r.frequency) ** 2 for r in rows) / 2000
    resolution = sum(r.count * (r.frequency - climate) ** 2 for r in rows) / 2000
    expected = reliability - resolution + climate * (1 - climate)
    assert brier_score(probability, happened) == pytest.approx(expected)


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
