"""Outlooks through the cycle: laid beside the readings, told when useless, never in a forecast's way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from warning.domain.ahead import Outlooks, ahead_of
from warning.domain.findings import FindingKind
from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import ScreeningLimits
from warning.domain.variables import Variable
from warning.forecasting.forecaster import (
    FleetForecast,
    Forecaster,
    ForecasterSettings,
    ForecastRequest,
    hindcast,
)
from warning.forecasting.model import Model
from warning.forecasting.registry import Registry
from warning.forecasting.split import OPERATION
from warning.forecasting.trainer import TrainingHistory, train_model
from warning.forecasting.training_plan import TrainingSettings

LEVEL, RAIN = Variable.LEVEL_M, Variable.RAIN_MM
NOW = datetime(2025, 1, 1, tzinfo=UTC)
FIRST_DAY = date(2022, 1, 1)
DAYS = 800
QUICK = TrainingSettings(max_epochs=2, lengths=(3,), cnn_steps=4, cnn_channels=3, cnn_cells=3, cnn_twins=1)
SETTINGS = ForecasterSettings(device="cpu")


def wet_series() -> ReadingSeries:
    random = np.random.default_rng(8)
    rain = random.exponential(20.0, DAYS) * (random.random(DAYS) < 0.2)
    level = 100 + np.cumsum(0.02 * (rain - rain.mean()))
    flags = {variable: np.zeros(DAYS, np.uint16) for variable in (LEVEL, RAIN)}
    return ReadingSeries(FIRST_DAY, {LEVEL: level, RAIN: rain}, flags, flags)


def cut(series: ReadingSeries, size: int) -> ReadingSeries:
    parts = [
        {v: c[:size] for v, c in part.items()} for part in (series.values, series.at_once, series.settled)
    ]
    return ReadingSeries(series.first_day, *parts)


def storms(days: range) -> Outlooks:
    """Every day of `days` an outlook of the three days after it, each with another number."""
    first = np.datetime64(FIRST_DAY, "D")
    issued = first + np.repeat(np.arange(days.start, days.stop), 3)
    valid = issued + np.tile([1, 2, 3], len(days))
    return Outlooks(issued, valid, {RAIN: 50.0 + np.arange(issued.size) % 37})


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    registry, series = Registry(tmp_path_factory.mktemp("models")), wet_series()
    ends = OPERATION.ends(series.days)
    history = TrainingHistory(
        series=series, variable=LEVEL, bounds={}, limits=ScreeningLimits(), train_end=ends[0],
        validation_end=ends[1],
    )  # fmt: skip
    train_model({"dam": history}, QUICK, registry, NOW)
    return registry


def model_of(registry: Registry) -> Model:
    model = registry.active()
    assert model is not None
    return model


def asked(registry: Registry, series: ReadingSeries, outlooks: Outlooks) -> FleetForecast:
    told = replace(series, ahead=ahead_of(outlooks, series, {}))
    return Forecaster(registry, SETTINGS)({"dam": ForecastRequest("dam", told, LEVEL)}, NOW)


def test_the_forecast_of_a_day_is_that_of_the_hindcast_and_no_later_outlook_changes_it(
    registry: Registry,
) -> None:
    series, day = wet_series(), DAYS - 30
    told = replace(series, ahead=ahead_of(storms(range(DAYS - 60, DAYS)), series, {}))
    whole = hindcast(model_of(registry), {"dam": ForecastRequest("dam", told, LEVEL)}, SETTINGS).results[
        "dam"
    ]
    row = int(np.flatnonzero(whole.rows == day)[0])
    for newest in (day + 1, DAYS):  # with nothing issued later, and with what is issued later in the files
        forecast = asked(registry, cut(series, day + 1), storms(range(DAYS - 60, newest))).forecasts["dam"]
        np.testing.assert_array_equal(forecast.mean, whole.mean[row])
        np.testing.assert_array_equal(forecast.quantiles, whole.quantiles[row])


def test_a_forecast_says_what_rain_it_counts_on_and_is_another_without(registry: Registry) -> None:
    series = wet_series()
    told = asked(registry, series, storms(range(DAYS - 2, DAYS))).forecasts["dam"]
    silent = asked(registry, series, storms(range(0))).forecasts["dam"]
    assert silent.degraded == ()
    (text,) = told.degraded
    assert text.startswith("the forecast counts on rain that has not come yet, day by day: 53, 54, 55, -, ")
    assert any((told.members[name] != silent.members[name]).any() for name in ("lstm_03", "cnn_lstm"))
    assert (told.members["persistence"] == silent.members["persistence"]).all()


def test_an_outlook_of_what_the_dam_never_reported_is_told_to_be_unused(registry: Registry) -> None:
    outlooks = storms(range(DAYS - 1, DAYS))
    plans = replace(outlooks, values={Variable.OUTFLOW_M3S: outlooks.values[RAIN]})
    answer = asked(registry, wet_series(), plans)
    assert answer.forecasts["dam"].degraded == ()
    assert [f.kind for f in answer.findings] == [FindingKind.OUTLOOK_UNUSABLE]


def outlook(world: Any, text: str) -> dict[FindingKind, str]:
    folder = world.config / "outlooks"
    folder.mkdir(exist_ok=True)
    (folder / "upper.outlook.csv").write_text(text)
    settings: Path = world.config / "warning.toml"
    if "outlook_folder" not in settings.read_text():
        settings.write_text(settings.read_text() + '\n[forecast]\noutlook_folder = "outlooks"\n')
    outcomes = world.cycle()
    assert outcomes["upper"].forecast is not None
    assert not any("outlook" in f.kind for f in outcomes["lower"].findings), "a dam without a file needs none"
    return {f.kind: f.message for f in outcomes["upper"].findings if "outlook" in f.kind}


def test_a_stale_broken_or_absurd_outlook_is_a_finding_and_costs_no_forecast(world: Any) -> None:
    header, today = "issued_on,valid_on,rain_mm\n", world.today
    old, tomorrow = today - timedelta(days=2), today + timedelta(days=1)
    assert outlook(world, f"{header}{today},{tomorrow},12\n") == {}
    assert outlook(world, f"{header}{old},{today},12\n").keys() == {FindingKind.OUTLOOK_STALE}
    assert "expected issued_on" in outlook(world, "rain\n1\n")[FindingKind.OUTLOOK_UNUSABLE]
    absurd = outlook(world, f"{header}{today},{tomorrow},-12\n")
    assert f"-12 mm for {tomorrow}" in absurd[FindingKind.OUTLOOK_UNUSABLE]
