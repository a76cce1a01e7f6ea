"""The operational pool: what it starts from, what it does without, and that it never looks ahead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pytest

from warning.domain.forecast import LSTM_ENSEMBLE, PERSISTENCE, POOL
from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import Bounds
from warning.domain.variables import FloatArray, Variable
from warning.errors import ForecastError
from warning.forecasting.model import SiteScale
from warning.forecasting.pool import (
    PoolResult,
    forecast_of,
    issue_rows,
    operational,
    validation_skill,
)
from warning.forecasting.scaling import fit_scale, lead_scale

SeriesMaker = Callable[..., ReadingSeries]
LEVEL = Variable.LEVEL_M


@pytest.fixture(scope="module")
def series(make_series: SeriesMaker) -> ReadingSeries:
    return make_series(600, seed=3)


@pytest.fixture(scope="module")
def fit_end(series: ReadingSeries) -> date:
    return series.day(400)


@pytest.fixture(scope="module")
def scale(series: ReadingSeries, fit_end: date) -> SiteScale:
    return fit_scale(series, LEVEL, fit_end)


def fake_networks(
    series: ReadingSeries, scale: SiteScale, fit_end: date, seed: int = 0
) -> dict[str, FloatArray]:
    """FAKE answers in place of networks: the truth with noise for one, plain noise for another."""
    random = np.random.default_rng(seed)
    rows = issue_rows(series, LEVEL, fit_end)
    level = series.values[LEVEL]
    ahead = np.minimum(rows[:, None] + np.arange(1, 8), len(series) - 1)
    z = (level[ahead] - level[rows][:, None]) / lead_scale(scale)
    noise = random.normal(size=(len(series), 7))[rows]
    return {
        "lstm_05": np.round(z + 0.05 * noise, 6),
        "lstm_10": np.round(3 * noise, 6),
        "cnn_lstm": np.round(z - 0.3 * noise, 6),
    }


@pytest.fixture(scope="module")
def result(series: ReadingSeries, scale: SiteScale, fit_end: date) -> PoolResult:
    return operational(series, scale, fit_end, fake_networks(series, scale, fit_end))


def test_a_forecast_is_issued_on_every_day_since_the_training_part_with_a_reading(
    series: ReadingSeries, fit_end: date, make_flagged: SeriesMaker
) -> None:
    level = series.values[LEVEL].copy()
    level[[450, 599]] = np.nan
    gappy = make_flagged({LEVEL: level}, {LEVEL: [500]})
    rows = issue_rows(gappy, LEVEL, fit_end)
    assert rows[0] == 400
    assert not {450, 599} & set(rows)
    assert 500 in rows


def test_a_better_network_gets_more_weight_than_a_worse_one(result: PoolResult) -> None:
    names = list(result.experts)
    good, bad = (result.weights[-1, :, names.index(n)] for n in ("lstm_05", "lstm_10"))
    assert (good > 3 * bad).all()
    np.testing.assert_allclose(result.weights.sum(axis=2), 1.0)


def test_before_any_error_is_known_the_weights_are_the_priors(result: PoolResult) -> None:
    """Two LSTMs share 1; CNN-LSTM and ridge count 1 each, the refitted ridge 3, the rest 0.1 each."""
    weights = dict(zip(result.experts, result.weights[0, 0], strict=True))
    total = 1 + 1 + 1 + 3 + 0.2
    expected = {"lstm_05": 0.5, "lstm_10": 0.5, "cnn_lstm": 1, "ridge": 1, "persistence": 0.1, "drift": 0.1}
    assert all(np.isfinite(values[0]).all() for values in result.experts.values())
    for name, prior in expected.items():
        assert weights[name] == pytest.approx(prior / total)


def test_the_newest_row_alone_and_the_whole_hindcast_give_the_same_digits(
    series: ReadingSeries, scale: SiteScale, fit_end: date, result: PoolResult
) -> None:
    last = operational(series, scale, fit_end, fake_networks(series, scale, fit_end), last_only=True)
    assert last.rows.tolist() == [599]
    for name in ("base", "ensemble", "weights", "pooled", "mean", "quantiles", "skill", "out_of_range"):
        np.testing.assert_array_equal(getattr(last, name)[-1], getattr(result, name)[-1])


def test_cutting_the_record_at_the_issue_day_changes_no_digit(
    series: ReadingSeries, scale: SiteScale, fit_end: date, cut_series: SeriesMaker
) -> None:
    z = fake_networks(series, scale, fit_end)
    whole = operational(series, scale, fit_end, z)
    for row in (400, 401, 430, 520):
        early = cut_series(series, row + 1)
        part = operational(early, scale, fit_end, {n: v[: row - 399] for n, v in z.items()}, last_only=True)
        for name in ("ensemble", "weights", "pooled", "mean", "quantiles", "skill"):
            np.testing.assert_array_equal(
                getattr(part, name)[0], getattr(whole, name)[row - 400], err_msg=name
            )


def test_the_mean_lies_within_the_band_and_is_its_median(result: PoolResult) -> None:
    np.testing.assert_array_equal(result.mean, result.quantiles[:, :, 7])
    assert (result.mean >= result.quantiles[:, :, 0]).all()
    assert (result.mean <= result.quantiles[:, :, -1]).all()


def test_a_network_that_is_nan_drops_out_of_its_rows_only(
    series: ReadingSeries, scale: SiteScale, fit_end: date, result: PoolResult
) -> None:
    z = fake_networks(series, scale, fit_end)
    z["lstm_05"][150] = np.nan
    gappy = operational(series, scale, fit_end, z)
    index = list(gappy.experts).index("lstm_05")
    assert (gappy.weights[150, :, index] == 0).all()
    assert np.isfinite(gappy.mean[150]).all()
    np.testing.assert_array_equal(gappy.pooled[:150], result.pooled[:150])


def test_without_networks_the_cheap_experts_make_the_forecast(
    series: ReadingSeries, scale: SiteScale, fit_end: date
) -> None:
    cheap = operational(series, scale, fit_end, None)
    assert PERSISTENCE in cheap.experts
    assert np.isfinite(cheap.mean).all()
    assert np.isnan(cheap.ensemble).all()


def test_forecasts_stay_inside_the_physical_bounds(
    series: ReadingSeries, scale: SiteScale, fit_end: date
) -> None:
    level = series.values[LEVEL]
    bounds = Bounds(float(level[400:].min()), float(level[400:].max()))
    bounded = operational(series, scale, fit_end, None, bounds=bounds)
    assert bounded.quantiles.min() >= bounds.lower
    assert bounded.quantiles.max() <= bounds.upper


def test_bounds_never_pull_a_forecast_away_from_what_was_read(
    series: ReadingSeries, scale: SiteScale, fit_end: date
) -> None:
    """A flood above the "possible" is still forecast from where it stands."""
    bounded = operational(series, scale, fit_end, None, bounds=Bounds(0.0, 1.0))
    np.testing.assert_array_equal(bounded.quantiles.max(axis=(1, 2)) <= bounded.base, True)
    assert bounded.quantiles[:, :, -1].min() > 1.0


def test_a_forecast_holds_members_weights_and_skill(result: PoolResult, now: datetime) -> None:
    forecast = forecast_of(result, "alder", now, "model-1", ("a note",))
    assert forecast.method == POOL
    assert forecast.basis_day == result.first_day + timedelta(days=599)
    assert forecast.degraded == ("a note",)
    assert {LSTM_ENSEMBLE, POOL, "cnn_lstm", PERSISTENCE} <= forecast.members.keys()
    np.testing.assert_allclose(np.sum(list(forecast.weights.values()), axis=0), 1.0)
    assert (forecast.skill < 1).all()


def test_after_two_weeks_without_a_believed_reading_there_is_no_forecast(
    series: ReadingSeries, scale: SiteScale, fit_end: date, make_flagged: SeriesMaker, now: datetime
) -> None:
    doubted = make_flagged(series.values, {LEVEL: list(range(580, 600))})
    result = operational(doubted, scale, fit_end, None)
    with pytest.raises(ForecastError, match="no recent reading is believed"):
        forecast_of(result, "alder", now, None)


def test_without_a_reading_since_the_training_part_there_is_no_forecast(
    series: ReadingSeries, scale: SiteScale
) -> None:
    with pytest.raises(ForecastError, match="no reading of level_m since"):
        operational(series, scale, series.last_day + timedelta(days=1), None)


def test_answers_that_do_not_fit_the_rows_are_refused(
    series: ReadingSeries, scale: SiteScale, fit_end: date
) -> None:
    with pytest.raises(ForecastError, match="cnn_lstm answered with shape"):
        operational(series, scale, fit_end, {"cnn_lstm": np.zeros((3, 7))})


def test_the_skill_is_the_ratio_of_mean_absolute_errors_of_known_targets(
    series: ReadingSeries, result: PoolResult
) -> None:
    """Row 599, lead 3: forecasts issued on rows 400..596 have a known target."""
    level = series.values[LEVEL]
    ours = np.abs(level[403:600] - result.pooled[: 600 - 403, 2])
    theirs = np.abs(level[403:600] - level[400:597])
    assert result.skill[-1, 2] == pytest.approx(ours.sum() / theirs.sum(), rel=1e-9)
    assert np.isnan(result.skill[0]).all()


def test_the_validation_skill_counts_the_forecasts_as_issued(
    series: ReadingSeries, result: PoolResult
) -> None:
    level = series.values[LEVEL]
    skill = validation_skill(result, level)
    ours = np.abs(level[401:600] - result.mean[:199, 0]).mean()
    theirs = np.abs(level[401:600] - level[400:599]).mean()
    assert skill[0] == pytest.approx(ours / theirs)
    assert all(np.isnan(validation_skill(result, np.full(600, np.nan))))


def test_unseen_conditions_widen_the_band_until_they_have_been_lived_through(
    series: ReadingSeries, scale: SiteScale, fit_end: date
) -> None:
    narrow = replace(scale, high=scale.low + 0.3 * (scale.high - scale.low))
    wide = operational(series, narrow, fit_end, None)
    usual = operational(series, replace(narrow, high=1e3), fit_end, None)
    assert wide.out_of_range.sum() > 40
    first, last = np.flatnonzero(wide.out_of_range)[[0, -1]]
    assert not usual.out_of_range.any()
    ratio = [np.ptp(wide.quantiles[i], axis=1) / np.ptp(usual.quantiles[i], axis=1) for i in (first, last)]
    assert (ratio[0] > 1.3).all()
    assert (ratio[1] < 1.3).all()
