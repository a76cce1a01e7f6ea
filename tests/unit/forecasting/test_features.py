"""Scales, inputs and targets: right by hand, finite, causal, and the same whatever is asked beside them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest

from warning.domain.readings import ReadingSeries
from warning.domain.variables import Variable
from warning.errors import ForecastError
from warning.forecasting.features import (
    FEATURE_COUNT,
    FEATURE_NAMES,
    base_values,
    network_inputs,
    out_of_range,
    targets,
    z_to_values,
)
from warning.forecasting.scaling import fit_scale, robust_ridge

SeriesMaker = Callable[..., ReadingSeries]
LEVEL = Variable.LEVEL_M
ROWS = np.array([3, 250, 400, 401, 560, 640])


def rich_series(make_series: SeriesMaker) -> ReadingSeries:
    """The synthetic dam with gaps, a doubted spike, rain and storage added."""
    plain = make_series()
    random = np.random.default_rng(3)
    size = len(plain)
    values = {variable: column.copy() for variable, column in plain.values.items()}
    values[LEVEL][100:109] = np.nan
    values[LEVEL][400] += 40.0
    values[Variable.RAIN_MM] = np.where(random.random(size) < 0.3, random.exponential(9.0, size), 0.0)
    values[Variable.STORAGE_M3] = 1e6 * (values[LEVEL] - 80.0) ** 2
    at_once = {variable: np.zeros(size, np.uint16) for variable in values}
    settled = {variable: np.zeros(size, np.uint16) for variable in values}
    at_once[LEVEL][[400, 560]] = 8
    settled[LEVEL][400] = 8
    return ReadingSeries(plain.first_day, values, at_once, settled)


def test_the_scale_is_learnt_before_its_end_and_from_nothing_after(make_series: SeriesMaker) -> None:
    series = rich_series(make_series)
    changed = {variable: column.copy() for variable, column in series.values.items()}
    for column in changed.values():
        column[500:] *= 7.0
    end = series.day(500)
    other = ReadingSeries(series.first_day, changed, series.at_once, series.settled)
    assert fit_scale(series, LEVEL, end) == fit_scale(other, LEVEL, end)


def test_the_daily_change_is_the_mean_absolute_change(make_flagged: SeriesMaker) -> None:
    zigzag = make_flagged({LEVEL: np.tile([10.0, 10.5], 60)})
    assert fit_scale(zigzag, LEVEL, zigzag.last_day).daily_change == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("level", "says"),
    [
        (np.arange(20.0), "too little history: 19 daily changes"),
        (np.full(200, 5.0), "does not change at all"),
        (np.full(200, np.nan), "too little history: 0 daily changes"),
    ],
    ids=["twenty days", "never moves", "no reading"],
)
def test_too_little_history_is_refused_in_words(
    make_flagged: SeriesMaker, level: np.ndarray, says: str
) -> None:
    series = make_flagged({LEVEL: level})
    with pytest.raises(ForecastError, match=says):
        fit_scale(series, LEVEL, series.last_day + timedelta(days=1))


def test_inputs_are_finite_and_in_the_promised_shape_whatever_a_dam_reports(
    make_series: SeriesMaker, make_flagged: SeriesMaker
) -> None:
    rich = rich_series(make_series)
    poor = make_flagged({LEVEL: rich.values[LEVEL]}, {LEVEL: [400]})
    for series in (rich, poor):
        scale = fit_scale(series, LEVEL, series.day(400))
        inputs = network_inputs(series, scale, ROWS, 30)
        assert inputs.shape == (ROWS.size, 30, FEATURE_COUNT)
        assert np.isfinite(inputs).all()


def test_what_a_dam_does_not_report_is_masked(make_series: SeriesMaker, make_flagged: SeriesMaker) -> None:
    series = make_flagged({LEVEL: rich_series(make_series).values[LEVEL]}, {LEVEL: [400]})
    inputs = network_inputs(series, fit_scale(series, LEVEL, series.day(400)), ROWS, 30)
    for name in ("other_mask", "inflow_mask", "inflow_log", "outflow_mask", "rain", "rain_mask"):
        assert not inputs[..., FEATURE_NAMES.index(name)].any(), name


def test_cutting_the_record_at_the_issue_day_changes_no_input(
    make_series: SeriesMaker, cut_series: SeriesMaker
) -> None:
    series = rich_series(make_series)
    scale = fit_scale(series, LEVEL, series.day(400))
    whole = network_inputs(series, scale, ROWS, 30)
    for row, expected in zip(ROWS, whole, strict=True):
        alone = network_inputs(cut_series(series, row + 1), scale, np.array([row]), 30)[0]
        np.testing.assert_allclose(alone, expected, rtol=0, atol=1e-12)
        assert out_of_range(cut_series(series, row + 1), scale, np.array([row])) == out_of_range(
            series, scale, np.array([row])
        )


def test_short_windows_are_the_tails_of_long_ones(make_series: SeriesMaker) -> None:
    series = rich_series(make_series)
    scale = fit_scale(series, LEVEL, series.day(400))
    long, short = (network_inputs(series, scale, ROWS, steps) for steps in (30, 5))
    np.testing.assert_array_equal(long[:, -5:], short)


def test_targets_and_values_are_each_other_s_inverse(make_series: SeriesMaker) -> None:
    series = rich_series(make_series)
    scale = fit_scale(series, LEVEL, series.day(400))
    base = base_values(series, LEVEL, ROWS)
    truth = series.trusted(LEVEL)
    expected = np.stack([truth[row + 1 : row + 8] for row in ROWS])
    np.testing.assert_allclose(z_to_values(targets(series, scale, ROWS), base, scale), expected)


def test_a_doubted_truth_and_a_day_not_yet_come_are_no_targets(make_series: SeriesMaker) -> None:
    series = rich_series(make_series)
    scale = fit_scale(series, LEVEL, series.day(400))
    assert np.isnan(targets(series, scale, np.array([398]))[0, 1])
    last = np.array([len(series) - 3])
    np.testing.assert_array_equal(np.isnan(targets(series, scale, last))[0], [False, False, *[True] * 5])


def test_inputs_beyond_the_training_part_are_out_of_range(make_flagged: SeriesMaker) -> None:
    level = 100 + np.sin(np.arange(400) / 9.0)
    flow = np.full(400, 20.0) + np.arange(400) % 7
    level[350:] += 3.0
    flow[320] = 900.0
    series = make_flagged({LEVEL: level, Variable.INFLOW_M3S: flow})
    scale = fit_scale(series, LEVEL, series.day(300))
    rows = np.array([310, 320, 322, 323, 360])
    np.testing.assert_array_equal(out_of_range(series, scale, rows), [False, True, True, False, True])


def test_a_row_without_a_base_is_out_of_range(make_flagged: SeriesMaker) -> None:
    level = 100 + np.sin(np.arange(400) / 9.0)
    scale = fit_scale(make_flagged({LEVEL: level}), LEVEL, make_flagged({LEVEL: level}).day(300))
    late = make_flagged({LEVEL: np.r_[np.full(300, np.nan), level[:100]]})
    assert np.isnan(base_values(late, LEVEL, np.array([10]))).all()
    assert out_of_range(late, scale, np.array([10])).all()


def test_the_robust_ridge_finds_the_median_line_that_outliers_hide() -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=500)
    y = 2.0 + 3.0 * x + random.normal(0, 0.1, 500)
    y[:60] += 50.0
    found = robust_ridge(np.column_stack([np.ones(500), x]), y[:, None], penalty=1e-6)
    np.testing.assert_allclose(found[:, 0], [2.0, 3.0], atol=0.05)
