"""On a GPU: the same forecasts as on the CPU, and training that works there. Run with `pytest -m gpu`."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import torch

from warning.domain.judgement import assess
from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import ForecastRule, LevelThreshold, Reservoir, ScreeningLimits, Severity
from warning.domain.variables import Variable
from warning.forecasting.ahead import AHEAD_COUNT
from warning.forecasting.asking import ForecasterSettings, ForecastRequest
from warning.forecasting.examples import Examples
from warning.forecasting.features import FEATURE_COUNT
from warning.forecasting.forecaster import Forecaster
from warning.forecasting.model import Model, NetworkSpec
from warning.forecasting.networks import build_twin, load, predict_z
from warning.forecasting.registry import Registry
from warning.forecasting.scaling import fit_scale
from warning.forecasting.stacked import Stack, stacked
from warning.forecasting.trainer import TrainingHistory, train_model
from warning.forecasting.training import Fitting, Rows, run, train
from warning.forecasting.training_plan import (
    Member,
    SiteSplit,
    TrainedNetworks,
    TrainingSettings,
    cnn_lstm_spec,
    lstm_spec,
)

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device"),
]
LEVEL = Variable.LEVEL_M
SEVERE = Severity(2, "warning")


def dam(days: int = 900, seed: int = 2) -> ReadingSeries:
    random = np.random.default_rng(seed)
    storms = random.exponential(1.0, days) * (random.random(days) < 0.05)
    level = 100 + 5 * np.sin(np.arange(days) / 58.0) + 0.3 * np.convolve(storms, 0.95 ** np.arange(90))[:days]
    flags = {LEVEL: np.zeros(days, np.uint16)}
    return ReadingSeries(date(2020, 1, 1), {LEVEL: level}, flags, flags)


@pytest.fixture(scope="module")
def trained() -> TrainedNetworks:
    series = dam()
    split = SiteSplit(fit_scale(series, LEVEL, series.day(600)), series.day(600), series.day(750))
    return train({"alder": (series, split)}, TrainingSettings(max_epochs=3, device="cuda"))


def test_training_on_cuda_ends_with_finite_parameters(trained: TrainedNetworks) -> None:
    assert len(trained.states) == 11
    for state in trained.states.values():
        assert all(np.isfinite(array).all() for array in state.values())


def test_cuda_and_cpu_give_the_same_forecasts(trained: TrainedNetworks) -> None:
    series = dam()
    scale = fit_scale(series, LEVEL, series.day(600))
    model = Model("x", datetime(2026, 1, 1, tzinfo=UTC), trained.specs, trained.states, {}, {}, {})
    rows = np.arange(600, 900)
    on_cpu, on_gpu = (predict_z(load(model, d), series, scale, rows, d) for d in ("cpu", "cuda"))
    leads = np.sqrt(np.arange(1, 8))
    for name, z in on_cpu.items():
        # z·√lead is in daily changes
        np.testing.assert_allclose(z * leads, on_gpu[name] * leads, rtol=0, atol=1e-4, err_msg=name)


def test_a_fleet_is_forecast_and_warned_alike_on_cuda_and_cpu(tmp_path: Path) -> None:
    """Through the child, with thresholds close together across all that is forecast."""
    fleet = {f"dam_{seed}": dam(seed=seed) for seed in range(3)}
    histories = {
        name: TrainingHistory(
            series=series,
            variable=LEVEL,
            bounds={},
            limits=ScreeningLimits(),
            train_end=series.day(700),
            validation_end=series.day(850),
        )
        for name, series in fleet.items()
    }
    now = datetime.combine(fleet["dam_0"].last_day, time(6), UTC)
    train_model(histories, TrainingSettings(max_epochs=3, device="cuda"), Registry(tmp_path / "cpu"), now)
    shutil.copytree(tmp_path / "cpu", tmp_path / "cuda")
    requests = {name: ForecastRequest(name, series, LEVEL) for name, series in fleet.items()}
    on_cpu, on_gpu = (
        Forecaster(Registry(tmp_path / device), ForecasterSettings(device=device))(requests, now)
        for device in ("cpu", "cuda")
    )
    assert on_cpu.findings == on_gpu.findings == ()
    for name, one in on_cpu.forecasts.items():
        other, series = on_gpu.forecasts[name], fleet[name]
        allowed = 1e-4 * float(np.nanstd(np.diff(series.values[LEVEL])))
        np.testing.assert_allclose(other.mean, one.mean, rtol=0, atol=allowed)
        np.testing.assert_allclose(other.quantiles, one.quantiles, rtol=0, atol=allowed)
        values = np.linspace(one.quantiles.min(), one.quantiles.max(), 100)
        found = [
            [assess(watched(name, value), series, forecast, now=now).severity for value in values]
            for forecast in (one, other)
        ]
        assert found[0] == found[1]
        assert {None, SEVERE} <= {*found[0]}


def watched(name: str, value: float) -> Reservoir:
    threshold = LevelThreshold("crest", SEVERE, value, value - 1, ForecastRule(0.2, 7))
    return Reservoir(
        id=name,
        name=name,
        time_zone=ZoneInfo("UTC"),
        datum="gauge zero",
        forecast_variable=LEVEL,
        limits={},
        level_thresholds=(threshold,),
    )


def start(specs: tuple[NetworkSpec, ...]) -> Stack:
    """A stack in float64 with parameters everywhere, from a fixed seed, on the CPU."""
    torch.manual_seed(1)
    networks = [build_twin(spec).double() for spec in specs]
    for network in networks:
        for parameter in network.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    return stacked(networks)


STACKS = pytest.mark.parametrize(
    "specs",
    [tuple(lstm_spec(n, 1, 0.0) for n in (30, 14, 4)), (cnn_lstm_spec(14, 32, 3, 32, 3, 0.0),) * 3],
    ids=["lstms", "cnns"],
)


@STACKS
def test_a_stack_has_the_same_gradients_on_cuda_and_cpu(specs: tuple[NetworkSpec, ...]) -> None:
    inputs = torch.randn(1, 30, FEATURE_COUNT, 64, dtype=torch.float64)
    found = []
    for device in ("cpu", "cuda"):
        stack = start(specs).to(device)
        (stack(inputs.to(device)) - 1).abs().mean().backward()
        found.append([p.grad.cpu() for p in stack.parameters() if p.grad is not None])
    assert found[0]
    for on_cpu, on_gpu in zip(*found, strict=True):
        torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-9, atol=1e-12)


@STACKS
def test_stacked_training_reaches_the_same_losses_on_cuda_and_cpu(specs: tuple[NetworkSpec, ...]) -> None:
    """In float64, where rounding cannot drive the two apart; members stop at different epochs."""
    settings = TrainingSettings(max_epochs=8, patience=2, batch_size=64, learning_rate=0.02)
    random = np.random.default_rng(5)
    inputs = random.normal(size=(400, 30, FEATURE_COUNT))
    z = inputs[:, -1, :7] + random.normal(size=(400, 7))
    ahead = random.normal(size=(400, AHEAD_COUNT)) * (random.random((400, 1)) < 0.7)
    sites = random.integers(0, 2, 400)
    examples = Examples(inputs, z, np.ones((400, 7)), sites, ahead)  # type: ignore[arg-type]
    members = [Member(spec, twin, twin) for twin, spec in enumerate(specs)]
    found = []
    for device in ("cpu", "cuda"):
        rows = Rows(examples, device)
        fitting = Fitting(members, start(specs), rows, rows, 2, settings)
        run(fitting, lambda share: None)
        found.append([best.losses for best in fitting.best])
    for on_cpu, on_gpu in zip(*found, strict=True):
        np.testing.assert_allclose(on_gpu, on_cpu, rtol=1e-6)


def test_two_trainings_on_cuda_with_one_seed_give_equal_parameters(trained: TrainedNetworks) -> None:
    series = dam()
    split = SiteSplit(fit_scale(series, LEVEL, series.day(600)), series.day(600), series.day(750))
    again = train({"alder": (series, split)}, TrainingSettings(max_epochs=3, device="cuda"))
    for name, state in trained.states.items():
        for parameter, values in state.items():
            np.testing.assert_array_equal(
                values, again.states[name][parameter], err_msg=f"{name} {parameter}"
            )
