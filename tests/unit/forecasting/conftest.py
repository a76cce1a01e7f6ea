"""Three synthetic dams and a tiny model trained on them once, for the tests of the forecast."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import Bounds, ScreeningLimits
from warning.domain.variables import Variable
from warning.forecasting.asking import ForecastRequest
from warning.forecasting.registry import Registry
from warning.forecasting.split import OPERATION
from warning.forecasting.trainer import TrainingHistory, train_model
from warning.forecasting.training_plan import TrainingSettings

FIRST_DAY = date(2020, 1, 1)
NOW = datetime(2021, 12, 1, 6, tzinfo=UTC)
BOUNDS = Bounds(80.0, 130.0)

SeriesMaker = Callable[..., ReadingSeries]


def synthetic_series(days: int = 700, seed: int = 0) -> ReadingSeries:
    """A level that follows the season and storms that fill the dam for some days."""
    random = np.random.default_rng(seed)
    storms = random.exponential(1.0, days) * (random.random(days) < 0.05)
    inflow = np.convolve(storms, 0.6 ** np.arange(10))[:days]
    season = 5 * np.sin(2 * np.pi * np.arange(days) / 365.25 + seed)
    stored = np.convolve(inflow, 0.95 ** np.arange(90))[:days]
    level = 100 + season + 0.3 * stored + random.normal(0, 0.01, days)
    values = {Variable.LEVEL_M: level, Variable.INFLOW_M3S: 20 + 100 * inflow}
    return flagged(values)


def flagged(
    values: Mapping[Variable, np.ndarray], doubted: Mapping[Variable, list[int]] | None = None
) -> ReadingSeries:
    """A series in which only the `doubted` rows carry a flag."""
    flags = {variable: np.zeros(column.size, np.uint16) for variable, column in values.items()}
    for variable, rows in (doubted or {}).items():
        flags[variable][rows] = 8
    return ReadingSeries(FIRST_DAY, dict(values), flags, flags)


def cut(series: ReadingSeries, days: int) -> ReadingSeries:
    """The first `days` rows, as they would have been screened then."""
    parts = [{v: c[:days] for v, c in p.items()} for p in (series.values, series.at_once, series.settled)]
    return ReadingSeries(series.first_day, *parts)


@pytest.fixture(scope="session")
def make_series() -> SeriesMaker:
    return synthetic_series


@pytest.fixture(scope="session")
def make_flagged() -> SeriesMaker:
    return flagged


@pytest.fixture(scope="session")
def cut_series() -> SeriesMaker:
    return cut


@pytest.fixture(scope="session")
def now() -> datetime:
    return NOW


@pytest.fixture(scope="session")
def fleet() -> dict[str, ForecastRequest]:
    """Three dams of 700 days."""
    return {
        name: ForecastRequest(name, synthetic_series(seed=seed), Variable.LEVEL_M, BOUNDS)
        for seed, name in enumerate(("alder", "birch", "cedar"))
    }


@pytest.fixture(scope="session")
def tiny_registries(
    fleet: dict[str, ForecastRequest], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Two registries with one tiny model each, really trained in a child for two epochs from one seed.

    What the training of the first left for the first forecast is kept in its folder "as-trained".
    """
    directories = tmp_path_factory.mktemp("registry"), tmp_path_factory.mktemp("registry-again")
    histories = {}
    for name, request in fleet.items():
        train_end, validation_end = OPERATION.ends(request.series.days)
        histories[name] = TrainingHistory(
            series=request.series,
            variable=request.variable,
            bounds={Variable.LEVEL_M: BOUNDS},
            limits=ScreeningLimits(),
            train_end=train_end,
            validation_end=validation_end,
        )
    settings = TrainingSettings(
        max_epochs=2, lengths=(3, 5), cnn_steps=6, cnn_channels=4, cnn_cells=4, cnn_twins=1, device="cpu"
    )

    def train(directory: Path) -> None:
        train_model(histories, settings, Registry(directory), NOW, time_limit_s=240)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(train, directories))
    shutil.copytree(directories[0] / "recent", directories[0] / "as-trained")
    return directories


@pytest.fixture(scope="session")
def tiny_registry(tiny_registries: tuple[Path, Path]) -> Path:
    """A registry with one tiny model. Do not write to it."""
    return tiny_registries[0]
