"""On a GPU: the same forecasts as on the CPU, and training that works there. Run with `pytest -m gpu`."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pytest
import torch

from warning.domain.readings import ReadingSeries
from warning.domain.variables import Variable
from warning.forecasting.model import Model
from warning.forecasting.networks import load, predict_z
from warning.forecasting.scaling import fit_scale
from warning.forecasting.training import train
from warning.forecasting.training_plan import SiteSplit, TrainedNetworks, TrainingSettings

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device"),
]
LEVEL = Variable.LEVEL_M


def dam(days: int = 900) -> ReadingSeries:
    random = np.random.default_rng(2)
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
