"""What crosses to the child and back: nothing is lost on the way, and training gives a model that works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import Bounds, ScreeningLimits
from warning.domain.variables import Variable
from warning.errors import ForecastError, ModelError
from warning.forecasting.exchange import (
    ForecastAnswer,
    ForecastJob,
    SiteJob,
    TrainAnswer,
    TrainJob,
    TrainSite,
    pack_answer,
    pack_forecast_job,
    pack_train_answer,
    pack_train_job,
    read_folder,
    unpack_answer,
    unpack_forecast_job,
    unpack_train_answer,
    unpack_train_job,
    write_folder,
)
from warning.forecasting.forecaster import ForecasterSettings, ForecastRequest, hindcast
from warning.forecasting.model import NetworkSpec
from warning.forecasting.pool import operational
from warning.forecasting.registry import Registry
from warning.forecasting.scaling import fit_scale
from warning.forecasting.split import BACKTEST, OPERATION, SplitRule
from warning.forecasting.trainer import TrainingHistory, train_model
from warning.forecasting.training_plan import SiteSplit, TrainedNetworks, TrainingLog, TrainingSettings
from warning.forecasting.weights import WeightRule
from warning.forecasting.worker import main

Fleet = dict[str, ForecastRequest]
SeriesMaker = Callable[..., ReadingSeries]
SPECS = (NetworkSpec("lstm_05", "lstm", {"steps": 5, "dropout": 0.5}),)
STATES = {"lstm_05": {"head.linear.bias": np.arange(7, dtype=np.float32)}}


@pytest.fixture
def site(fleet: Fleet) -> SiteJob:
    series = fleet["alder"].series
    end = series.day(500)
    return SiteJob(series, fit_scale(series, Variable.LEVEL_M, end), end, Bounds(80, 130))


def assert_same_series(one: ReadingSeries, other: ReadingSeries) -> None:
    assert one.first_day == other.first_day
    for part in ("values", "at_once", "settled"):
        assert getattr(one, part).keys() == getattr(other, part).keys()
        for variable, column in getattr(one, part).items():
            np.testing.assert_array_equal(getattr(other, part)[variable], column)


def test_a_forecast_job_survives_the_journey(site: SiteJob, tmp_path: Path) -> None:
    sites = {"alder": site, "dam with ümlaut / slash": replace(site, bounds=None)}
    job = ForecastJob(sites, SPECS, STATES, WeightRule(decay=0.9), "cpu", last_only=True)
    write_folder(tmp_path, "job", *pack_forecast_job(job))
    arrived = unpack_forecast_job(*read_folder(tmp_path, "job"))
    assert arrived.sites.keys() == sites.keys()
    for name, sent in sites.items():
        assert_same_series(sent.series, arrived.sites[name].series)
        assert replace(arrived.sites[name], series=sent.series) == sent
    np.testing.assert_array_equal(
        arrived.states["lstm_05"]["head.linear.bias"], STATES["lstm_05"]["head.linear.bias"]
    )
    assert (arrived.specs, arrived.rule, arrived.device, arrived.last_only) == (SPECS, job.rule, "cpu", True)


def test_an_answer_survives_the_journey_to_the_last_digit(site: SiteJob, tmp_path: Path) -> None:
    result = operational(site.series, site.scale, site.fit_end, None)
    write_folder(tmp_path, "result", *pack_answer(ForecastAnswer({"alder": result}, {"birch": "a reason"})))
    arrived = unpack_answer(*read_folder(tmp_path, "result"))
    assert arrived.failures == {"birch": "a reason"}
    back = arrived.results["alder"]
    assert list(back.experts) == list(result.experts)
    for name in ("rows", "base", "weights", "pooled", "mean", "quantiles", "skill", "out_of_range"):
        np.testing.assert_array_equal(getattr(back, name), getattr(result, name))


@pytest.mark.parametrize("name", ["rows", "mean", "quantiles", "weights", "expert/drift"])
def test_a_dam_whose_answer_is_misshapen_is_a_failure_and_the_others_stand(site: SiteJob, name: str) -> None:
    result = operational(site.series, site.scale, site.fit_end, None, last_only=True)
    plain, arrays = pack_answer(ForecastAnswer({"alder": result, "birch": result}, {}))
    arrays[f"result/1/{name}"] = np.zeros((2, 2))
    arrived = unpack_answer(plain, arrays)
    assert arrived.results.keys() == {"alder"}
    assert "shape" in arrived.failures["birch"]
    del arrays[f"result/1/{name}"]
    assert unpack_answer(plain, arrays).results.keys() == {"alder"}


def test_a_training_job_survives_the_journey(site: SiteJob, tmp_path: Path) -> None:
    split = SiteSplit(site.scale, date(2021, 1, 1), date(2021, 6, 1))
    job = TrainJob({"alder": TrainSite(site.series, split, None)}, TrainingSettings(seed=5), WeightRule())
    write_folder(tmp_path, "job", *pack_train_job(job))
    arrived = unpack_train_job(*read_folder(tmp_path, "job"))
    assert arrived.settings == job.settings
    assert arrived.rule == job.rule
    assert arrived.sites["alder"].split == split
    assert_same_series(site.series, arrived.sites["alder"].series)


def test_the_outcome_of_a_training_survives_the_journey(tmp_path: Path) -> None:
    log = (TrainingLog("lstm_05", 0, 3, 0.6),)
    skill = {"alder": (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, float("nan"))}
    answer = TrainAnswer(TrainedNetworks(SPECS, STATES, log), skill, {"torch": "2.13"})
    write_folder(tmp_path, "result", *pack_train_answer(answer))
    arrived = unpack_train_answer(*read_folder(tmp_path, "result"))
    assert (arrived.networks.specs, arrived.networks.log, arrived.versions) == (SPECS, log, {"torch": "2.13"})
    np.testing.assert_array_equal(arrived.skill["alder"], skill["alder"])


def test_networks_with_parameters_that_are_no_numbers_are_refused() -> None:
    states = {"lstm_05": {"head.linear.bias": np.full(7, np.nan, np.float32)}}
    plain, arrays = pack_train_answer(TrainAnswer(TrainedNetworks(SPECS, states), {}, {}))
    with pytest.raises(ForecastError, match="not finite"):
        unpack_train_answer(plain, arrays)


def test_the_trained_model_knows_its_dams_and_its_skill(tiny_registry: Path, fleet: Fleet) -> None:
    model = Registry(tiny_registry).active()
    assert model is not None
    assert model.sites.keys() == fleet.keys()
    assert {"torch", "numpy", "python", "pytorch-lightning"} <= model.versions.keys()
    for site in model.sites.values():
        assert len(site.skill) == 7
        assert np.isfinite(site.skill).all()
        assert site.validation_end == fleet["alder"].series.last_day + timedelta(days=1)


def test_a_hindcast_leaves_out_what_the_model_does_not_know(tiny_registry: Path, fleet: Fleet) -> None:
    model = Registry(tiny_registry).active()
    assert model is not None
    stranger = replace(fleet["alder"], reservoir_id="dogwood")
    answer = hindcast(model, {"dogwood": stranger}, ForecasterSettings(device="cpu", time_limit_s=60))
    assert answer.results == {}
    assert "was not trained on it" in answer.failures["dogwood"]


def test_without_a_dam_to_learn_from_training_says_why(
    make_series: SeriesMaker, now: datetime, tmp_path: Path
) -> None:
    series = make_series(20)
    young = TrainingHistory(
        series=series,
        variable=Variable.LEVEL_M,
        bounds={},
        limits=ScreeningLimits(),
        train_end=series.day(15),
        validation_end=series.day(19),
    )
    with pytest.raises(ModelError, match="young: too little history"):
        train_model({"young": young}, TrainingSettings(), Registry(tmp_path), now)
    assert Registry(tmp_path).active() is None


def test_the_worker_wants_exactly_one_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "JOB_FOLDER" in capsys.readouterr().err


def test_the_split_counts_days_with_a_reading() -> None:
    """100 readings: 60 train, 15 validate; the gap of a year between them counts for nothing."""
    days = np.datetime64("2020-01-01") + np.r_[np.arange(50), 415 + np.arange(50)]
    assert BACKTEST.ends(days) == (days[60].astype(date), days[75].astype(date))
    assert OPERATION.ends(days) == (days[80].astype(date), days[99].astype(date) + timedelta(days=1))


def test_a_record_that_is_too_short_to_split_is_refused() -> None:
    with pytest.raises(ForecastError, match="59 days with a reading"):
        BACKTEST.ends(np.datetime64("2020-01-01") + np.arange(59))


@pytest.mark.parametrize("shares", [(0.0, 0.5), (0.9, 0.2), (float("nan"), 0.1)])
def test_shares_that_do_not_divide_a_record_are_refused(shares: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="do not divide"):
        SplitRule(*shares)
