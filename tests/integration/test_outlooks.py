"""Outlooks through the cycle: laid beside the readings, told when useless, never in a forecast's way."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from warning.cli.outcomes import outcomes_text
from warning.clock import FixedClock
from warning.cycle import run_cycle
from warning.domain.ahead import FleetOutlooks, Outlooks, ahead_of
from warning.domain.alert import AlertKind
from warning.domain.assessment import Assessment
from warning.domain.findings import FindingKind
from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import ScreeningLimits
from warning.domain.variables import Variable
from warning.forecasting.asking import ForecasterSettings, ForecastRequest
from warning.forecasting.forecaster import FleetForecast, Forecaster, hindcast
from warning.forecasting.model import Model
from warning.forecasting.registry import Registry
from warning.forecasting.split import OPERATION
from warning.forecasting.trainer import TrainingHistory, train_model
from warning.forecasting.training_plan import TrainingSettings
from warning.journal.journal import Journal
from warning.wiring import MODELS, wired

LEVEL, RAIN = Variable.LEVEL_M, Variable.RAIN_MM
NOW = datetime(2025, 1, 1, tzinfo=UTC)
FIRST_DAY = date(2022, 1, 1)
DAYS = 800
QUICK = TrainingSettings(max_epochs=2, lengths=(3,), cnn_steps=4, cnn_channels=3, cnn_cells=3, cnn_twins=1)
SETTINGS = ForecasterSettings(device="cpu")


def wet_series() -> ReadingSeries:
    random = np.random.default_rng(8)
    rain = random.exponential(20.0, DAYS) * (random.random(DAYS) < 0.2)
    level = 30 + np.cumsum(0.006 * (rain - rain.mean()))
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
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def registry(models: Path) -> Registry:
    registry, series = Registry(models), wet_series()
    ends = OPERATION.ends(series.days)
    history = TrainingHistory(
        series=series, variable=LEVEL, bounds={}, limits=ScreeningLimits(), train_end=ends[0],
        validation_end=ends[1],
    )  # fmt: skip
    train_model({"upper": history}, QUICK, registry, NOW)
    return registry


def model_of(registry: Registry) -> Model:
    model = registry.active()
    assert model is not None
    return model


def asked(registry: Registry, series: ReadingSeries, outlooks: Outlooks) -> FleetForecast:
    told = replace(series, ahead=ahead_of(outlooks, series, {}))
    return Forecaster(registry, SETTINGS)({"upper": ForecastRequest("upper", told, LEVEL)}, NOW)


def test_the_forecast_of_a_day_is_that_of_the_hindcast_and_no_later_outlook_changes_it(
    registry: Registry,
) -> None:
    series, day = wet_series(), DAYS - 30
    told = replace(series, ahead=ahead_of(storms(range(DAYS - 60, DAYS)), series, {}))
    whole = hindcast(model_of(registry), {"upper": ForecastRequest("upper", told, LEVEL)}, SETTINGS).results[
        "upper"
    ]
    row = int(np.flatnonzero(whole.rows == day)[0])
    for newest in (day + 1, DAYS):  # with nothing issued later, and with what is issued later in the files
        forecast = asked(registry, cut(series, day + 1), storms(range(DAYS - 60, newest))).forecasts["upper"]
        np.testing.assert_array_equal(forecast.mean, whole.mean[row])
        np.testing.assert_array_equal(forecast.quantiles, whole.quantiles[row])


def test_a_forecast_says_what_rain_it_counts_on_and_is_another_without(registry: Registry) -> None:
    series = wet_series()
    told = asked(registry, series, storms(range(DAYS - 2, DAYS))).forecasts["upper"]
    silent = asked(registry, series, storms(range(0))).forecasts["upper"]
    assert silent.degraded == ()
    (text,) = told.degraded
    assert text.startswith("the forecast counts on rain that has not come yet, day by day: 53, 54, 55, -, ")
    assert any((told.members[name] != silent.members[name]).any() for name in ("lstm_03", "cnn_lstm"))
    assert (told.members["persistence"] == silent.members["persistence"]).all()


def test_an_outlook_of_what_the_dam_never_reported_is_told_to_be_unused(registry: Registry) -> None:
    outlooks = storms(range(DAYS - 1, DAYS))
    plans = replace(outlooks, values={Variable.OUTFLOW_M3S: outlooks.values[RAIN]})
    answer = asked(registry, wet_series(), plans)
    assert answer.forecasts["upper"].degraded == ()
    assert [f.kind for f in answer.findings] == [FindingKind.OUTLOOK_UNUSABLE]


def wet_upper(world: Any, models: Path) -> None:
    """The upper dam with the readings that the model was trained on, and that model."""
    series = wet_series()
    columns = (series.values[variable].tolist() for variable in (LEVEL, RAIN))
    rows = zip(series.days.tolist(), *columns, strict=True)
    lines = [f"{day},{level!r},{rain!r}\n" for day, level, rain in rows]
    text = "date,level_m,rain_mm\n" + "".join(lines)
    (world.config / "readings" / "upper.csv").write_text(text)
    shutil.copytree(models, world.load().state_directory / MODELS)


def recorded(world: Any) -> Assessment:
    with wired(world.load(), FixedClock(NOW)) as parts:
        found: Assessment = parts.watch.journal.newest_assessments()["upper"]
        return found


def test_a_cycle_with_an_outlook_forecasts_otherwise_and_the_record_says_by_which_one(
    world: Any, registry: Registry, models: Path
) -> None:
    wet_upper(world, models)
    today = FIRST_DAY + timedelta(days=DAYS - 1)
    tomorrow = today + timedelta(days=1)
    without = world.cycle(today, deliver=False)["upper"].forecast
    assert not any("counts on rain" in text for text in recorded(world).degraded)

    issues = f"issued_on,valid_on,rain_mm\n{today},{tomorrow},180\n{tomorrow},{tomorrow},1\n"
    write_outlook(world, issues)
    told = world.cycle(today, deliver=False)["upper"]
    assert not any("outlook" in finding.kind for finding in told.findings)
    assert told.forecast.basis_day == without.basis_day == today
    assert (told.forecast.mean != without.mean).any()
    words = f"counts on rain that has not come yet, by the outlook issued on {today}, day by day: 180, -, "
    assert any(words in text for text in recorded(world).degraded)
    assert words in outcomes_text([told])

    # the next morning, before the day's readings are in: the outlook of that morning is the one that counts
    next_day = world.cycle(tomorrow, deliver=False)["upper"]
    assert next_day.forecast.basis_day == today
    assert any(f"issued on {tomorrow}, day by day: 1, -" in text for text in recorded(world).degraded)
    assert (next_day.forecast.mean != told.forecast.mean).any()


class Spy:
    """A FAKE source of outlooks, which looks at what is on record by the time that it is asked, and fails."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.on_record: list[str] = []

    def read(self, reservoir_ids: Sequence[str], last_day: date) -> FleetOutlooks:
        self.on_record = [alert.kind for alert in self._journal.recent_alerts(10)]
        raise RuntimeError("a fault that nobody thought of")


def test_an_observed_crossing_waits_for_no_outlook_and_no_fault_of_one_costs_a_forecast(world: Any) -> None:
    world.write_readings("upper", world.crossing(41.0))
    with wired(world.load(), FixedClock(datetime(2024, 7, 18, 8, tzinfo=UTC))) as parts:
        spy = Spy(parts.watch.journal)
        outcomes = run_cycle(replace(parts.watch, outlooks=spy))
    assert spy.on_record == [AlertKind.RAISE]
    assert all(outcome.forecast is not None for outcome in outcomes)
    for outcome in outcomes:
        (finding,) = (f for f in outcome.findings if f.kind is FindingKind.OUTLOOK_UNUSABLE)
        assert finding.reservoir_id is None
        assert "the outlooks could not be read: a fault that nobody thought of" in finding.message


def test_a_folder_that_is_gone_is_told_once_and_costs_no_forecast(world: Any) -> None:
    settings: Path = world.config / "warning.toml"
    settings.write_text(settings.read_text() + '\n[forecast]\noutlook_folder = "nowhere"\n')
    outcomes = world.cycle()
    assert all(outcome.forecast is not None for outcome in outcomes.values())
    told = [text for text in mails(world) if "there is no such folder" in text]
    assert len(told) == 1


def mails(world: Any) -> list[str]:
    return [mail.text.read_text() for mail in world.mailbox.messages()]


def write_outlook(world: Any, text: str) -> None:
    folder = world.config / "outlooks"
    folder.mkdir(exist_ok=True)
    (folder / "upper.outlook.csv").write_text(text)
    settings: Path = world.config / "warning.toml"
    if "outlook_folder" not in settings.read_text():
        settings.write_text(settings.read_text() + '\n[forecast]\noutlook_folder = "outlooks"\n')


def outlook(world: Any, text: str) -> dict[FindingKind, str]:
    write_outlook(world, text)
    outcomes = world.cycle(deliver=False)
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
