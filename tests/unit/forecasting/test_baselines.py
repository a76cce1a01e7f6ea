"""The cheap experts: always an answer, honest about time, and worth having."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from warning.domain.forecast import PERSISTENCE
from warning.domain.readings import ReadingSeries
from warning.domain.variables import Variable
from warning.forecasting.baselines import DRIFT, RIDGE, RIDGE_REFITTED, cheap_experts
from warning.forecasting.scaling import fit_scale

SeriesMaker = Callable[..., ReadingSeries]
LEVEL = Variable.LEVEL_M


def test_persistence_says_the_base_and_drift_goes_on_ever_more_slowly(make_flagged: SeriesMaker) -> None:
    series = make_flagged({LEVEL: 100 + 0.2 * np.arange(60)})
    row = np.array([59])
    experts = cheap_experts(series, fit_scale(series, LEVEL, series.last_day), series.last_day, row)
    np.testing.assert_allclose(experts[PERSISTENCE], 111.8)
    steps = np.diff(experts[DRIFT][0], prepend=111.8)
    assert (steps > 0).all()
    assert (np.diff(steps) < 0).all()
    assert steps[0] < 0.2


def test_a_short_history_leaves_persistence_and_drift(make_flagged: SeriesMaker) -> None:
    series = make_flagged({LEVEL: 100 + np.sin(np.arange(60.0))})
    scale = fit_scale(series, LEVEL, series.last_day)
    experts = cheap_experts(series, scale, series.last_day, np.arange(40, 60))
    assert np.isfinite(experts[PERSISTENCE]).all()
    assert np.isfinite(experts[DRIFT]).all()
    assert np.isnan(experts[RIDGE]).all()
    assert np.isnan(experts[RIDGE_REFITTED]).all()


def test_without_a_base_no_expert_says_a_number(make_flagged: SeriesMaker) -> None:
    level = 100 + np.sin(np.arange(400.0))
    level[300:350] = np.nan
    series = make_flagged({LEVEL: level})
    scale = fit_scale(series, LEVEL, series.day(300))
    experts = cheap_experts(series, scale, series.day(300), np.array([310, 340]))
    for name, values in experts.items():
        assert np.isnan(values[1]).all(), name
    assert np.isfinite(experts[PERSISTENCE][0]).all()


def test_ridge_beats_persistence_where_tomorrow_follows_from_today(make_series: SeriesMaker) -> None:
    series = make_series(days=900)
    end = series.day(600)
    rows = np.arange(600, 890)
    experts = cheap_experts(series, fit_scale(series, LEVEL, end), end, rows)
    truth = np.stack([series.values[LEVEL][row + 1 : row + 8] for row in rows])
    mae = {name: np.abs(values - truth).mean() for name, values in experts.items()}
    assert mae[RIDGE] < 0.9 * mae[PERSISTENCE]
    assert mae[RIDGE_REFITTED] < 0.9 * mae[PERSISTENCE]


def test_cutting_the_record_at_the_issue_day_changes_no_expert_to_the_last_digit(
    make_series: SeriesMaker, cut_series: SeriesMaker
) -> None:
    series = make_series()
    end = series.day(400)
    scale = fit_scale(series, LEVEL, end)
    rows = np.arange(380, 690)
    whole = cheap_experts(series, scale, end, rows)
    for row in (400, 447, 560, 689):
        alone = cheap_experts(cut_series(series, row + 1), scale, end, np.array([row]))
        for name, values in alone.items():
            np.testing.assert_array_equal(values[0], whole[name][row - 380], err_msg=f"{name}, row {row}")


def test_the_ridge_learns_nothing_after_its_fit_end(make_series: SeriesMaker) -> None:
    series = make_series()
    end = series.day(400)
    scale = fit_scale(series, LEVEL, end)
    changed = {variable: column.copy() for variable, column in series.values.items()}
    changed[LEVEL][401:600] -= 5.0
    other = ReadingSeries(series.first_day, changed, series.at_once, series.settled)
    late = np.arange(640, 690)
    same, alike = (cheap_experts(s, scale, end, late) for s in (series, other))
    np.testing.assert_array_equal(same[RIDGE], alike[RIDGE])
    assert (same[RIDGE_REFITTED] != alike[RIDGE_REFITTED]).any()
