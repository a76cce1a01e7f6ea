"""What crosses to the child and back: nothing is lost on the way, and training gives a model that works."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import Bounds, ScreeningLimits
from warning.domain.variables import Variable
from warning.errors import ForecastError, ModelError
from warning.forecasting import sibling
from warning.forecasting.asking import ForecasterSettings, ForecastRequest
from warning.forecasting.batches import Batch, SiteJob, pack_batch, unpack_batch
from warning.forecasting.exchange import (
    ForecastAnswer,
    ForecastJob,
    TrainAnswer,
    TrainJob,
    TrainSite,
    pack_answer,
    pack_forecast_job,
    pack_train_answer,
    pack_train_job,
    read_folder,
    take_folder,
    unpack_answer,
    unpack_forecast_job,
    unpack_train_answer,
    unpack_train_job,
    write_folder,
)
from warning.forecasting.forecaster import Forecaster, hindcast
from warning.forecasting.model import NetworkSpec, StandingFile
from warning.forecasting.pool import PoolResult, operational
from warning.forecasting.process import WorkerCommand, ask_child
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


def test_a_forecast_job_survives_the_journey(tmp_path: Path) -> None:
    job = ForecastJob(SPECS, STATES, WeightRule(decay=0.9), "cpu", last_only=True, shared=True, batches=7)
    write_folder(tmp_path, "job", *pack_forecast_job(job))
    arrived = unpack_forecast_job(*read_folder(tmp_path, "job"))
    np.testing.assert_array_equal(
        arrived.states["lstm_05"]["head.linear.bias"], STATES["lstm_05"]["head.linear.bias"]
    )
    assert replace(arrived, states=STATES) == job


@pytest.mark.parametrize("file", [None, StandingFile(Path("x"), "0f", ("drift",), WeightRule(), {})])
def test_a_batch_survives_the_journey_and_is_gone(
    site: SiteJob, file: StandingFile | None, tmp_path: Path
) -> None:
    sites = {"alder": site, "dam with ümlaut / slash": replace(site, bounds=None)}
    batch = Batch(sites, file, file and Path("memory"), whole=False)
    write_folder(tmp_path, "batch-3", *pack_batch(batch))
    arrived = unpack_batch(*take_folder(tmp_path, "batch-3"))
    assert list(arrived.sites) == list(sites)
    for name, sent in sites.items():
        assert_same_series(sent.series, arrived.sites[name].series)
        assert replace(arrived.sites[name], series=sent.series) == sent
    assert replace(arrived, sites=sites) == batch
    assert list(tmp_path.iterdir()) == []


def test_an_answer_survives_the_journey_to_the_last_digit(site: SiteJob, tmp_path: Path) -> None:
    result = operational(site.series, site.scale, site.fit_end, None)
    write_folder(tmp_path, "result", *pack_answer(ForecastAnswer({"alder": result}, {"birch": "a reason"})))
    arrived = unpack_answer(*read_folder(tmp_path, "result"))
    assert arrived.failures == {"birch": "a reason"}
    back = arrived.results["alder"]
    assert list(back.experts) == list(result.experts)
    assert_same_result(back, result)


def assert_same_result(one: PoolResult, other: PoolResult) -> None:
    assert list(one.experts) == list(other.experts)
    for name in ("rows", "base", "weights", "pooled", "mean", "quantiles", "skill", "out_of_range"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("last_only", [False, True])
@pytest.mark.parametrize("name", ["rows", "mean", "quantiles", "weights", "experts"])
def test_a_dam_whose_answer_is_incomplete_is_a_failure_and_the_others_stand(
    site: SiteJob, name: str, last_only: bool
) -> None:
    result = operational(site.series, site.scale, site.fit_end, None, last_only=last_only)
    plain, arrays = pack_answer(ForecastAnswer({"alder": result, "birch": result}, {}))
    for part in ("", ".shape", ".owner"):
        column = arrays[f"result/{name}{part}"]
        arrays[f"result/{name}{part}"] = column[: len(column) // 2]
    arrived = unpack_answer(plain, arrays)
    assert arrived.results.keys() == {"alder"}
    assert name in arrived.failures["birch"]
    assert_same_result(arrived.results["alder"], result)


@pytest.mark.parametrize("name", ["mean", "quantiles", "weights"])
def test_a_dam_whose_answer_is_misshapen_is_a_failure_and_the_others_stand(site: SiteJob, name: str) -> None:
    result = operational(site.series, site.scale, site.fit_end, None)
    spoilt = replace(result, **{name: getattr(result, name)[:-1]})
    arrived = unpack_answer(*pack_answer(ForecastAnswer({"alder": result, "birch": spoilt}, {})))
    assert arrived.results.keys() == {"alder"}
    assert "shape" in arrived.failures["birch"]


def test_a_training_job_survives_the_journey(site: SiteJob, tmp_path: Path) -> None:
    split = SiteSplit(site.scale, date(2021, 1, 1), date(2021, 6, 1))
    sites = {"alder": TrainSite(site.series, split, None)}
    job = TrainJob(sites, TrainingSettings(seed=5), WeightRule())
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


def test_two_workers_forecast_what_one_does(
    tiny_registry: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real second worker takes tickets from the same pipe."""
    model = Registry(tiny_registry).active()
    assert model is not None
    settings = ForecasterSettings(device="cpu", time_limit_s=60)
    heard: list[object] = []
    alone = hindcast(model, fleet, settings)
    monkeypatch.setattr(sibling, "cores", lambda: 2)
    monkeypatch.setattr(sibling, "DAYS_WORTH_SHARING", 1)
    shared = hindcast(model, fleet, settings, heard.append)
    assert {"device": "cpu"} in heard
    assert shared.failures == {}
    assert list(shared.results) == list(alone.results) == list(fleet)
    for name, result in alone.results.items():
        assert_same_result(shared.results[name], result)


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


TINY = TrainingSettings(
    max_epochs=2, lengths=(3, 5), cnn_steps=6, cnn_channels=4, cnn_cells=4, cnn_twins=1, device="cpu"
)


def train_job(fleet: Fleet) -> TrainJob:
    sites = {}
    for name, request in fleet.items():
        train_end, validation_end = OPERATION.ends(request.series.days)
        scale = fit_scale(request.series, request.variable, train_end)
        split = SiteSplit(scale, train_end, validation_end)
        sites[name] = TrainSite(request.series, split, request.bounds)
    return TrainJob(sites, TINY, WeightRule())


SHARING = """
# FAKE: the real worker, but it believes that there are {cores} cores and that any work is worth sharing
import sys
from warning.forecasting import sibling, worker
sibling.cores = lambda: {cores}
sibling.DAYS_WORTH_SHARING = 1
sys.exit(worker.main(sys.argv[1:]))
"""


def test_two_workers_train_what_one_does_and_find_the_same_skill(fleet: Fleet, tmp_path: Path) -> None:
    """A real second worker; the networks agree to the last bit, whichever worker trained them."""
    answers = []
    told: list[list[object]] = []
    for cores in (1, 2):
        script = tmp_path / f"worker_{cores}.py"
        script.write_text(SHARING.format(cores=cores), encoding="utf-8")
        told.append([])
        answered = ask_child(
            *pack_train_job(train_job(fleet)),
            command=WorkerCommand((sys.executable, str(script))),
            time_limit_s=120,
            folder=tmp_path,
            on_message=lambda message: told[-1].append(message.get("doing")),
        )
        answers.append(unpack_train_answer(*answered))
    alone, shared = answers
    assert any("training cnn_lstm" in str(doing) for doing in told[0])  # by the one that worked alone
    assert not any("training cnn_lstm" in str(doing) for doing in told[1])
    assert shared.skill == alone.skill
    assert list(shared.skill) == list(fleet)
    assert shared.networks.log == alone.networks.log
    assert shared.networks.specs == alone.networks.specs
    for name, state in alone.networks.states.items():
        for parameter, values in state.items():
            np.testing.assert_array_equal(values, shared.networks.states[name][parameter])
    assert {path.suffix for path in tmp_path.iterdir()} == {".py"}


def test_two_trainings_with_one_seed_give_equal_forecasts(
    fleet: Fleet, tiny_registries: tuple[Path, Path], now: datetime
) -> None:
    settings = ForecasterSettings(device="cpu", time_limit_s=60)
    registries = [Registry(directory) for directory in tiny_registries]
    first, again = (registry.active() for registry in registries)
    assert first is not None
    assert again is not None
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda registry: Forecaster(registry, settings)(fleet, now), registries)
    assert one.forecasts.keys() == other.forecasts.keys() == fleet.keys()
    assert {forecast.model_id for forecast in one.forecasts.values()} == {again.model_id}
    for name, forecast in one.forecasts.items():
        np.testing.assert_array_equal(forecast.quantiles, other.forecasts[name].quantiles)
        np.testing.assert_array_equal(forecast.mean, other.forecasts[name].mean)


def first_worker(doing: str, beside: str) -> subprocess.Popen[str]:
    """A process of one thread that does something while its second worker does something else."""
    program = (
        "import os, sys, time\n"
        "from warning.errors import ForecastError\n"
        "from warning.forecasting.sibling import Sibling\n"
        "def beside():\n"
        f"    {beside}\n"
        "with Sibling(beside) as sibling:\n"
        "    print(sibling.pid, flush=True)\n"
        f"    {doing}\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def is_gone(pid: int) -> bool:
    for _ in range(600):  # at most a minute on a busy machine
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] == "Z":
            return True
        signal.sigtimedwait([], 0.1)
    return False


def test_a_second_worker_that_fails_is_said() -> None:
    words = first_worker("sibling.wait()", "raise ForecastError('what went wrong')").communicate()[1]
    assert "what went wrong" in words
    assert "second worker ended with status 1" in words


def test_a_second_worker_ends_with_the_first_ones_failure() -> None:
    out, words = first_worker("raise ForecastError('my own')", "time.sleep(600)").communicate()
    assert "my own" in words
    assert is_gone(int(out))


def test_a_second_worker_does_not_outlive_a_first_that_is_killed() -> None:
    with first_worker("time.sleep(600)", "time.sleep(600)") as first:
        assert first.stdout is not None
        second = int(first.stdout.readline())
        first.kill()
        assert is_gone(second)


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
