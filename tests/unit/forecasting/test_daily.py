"""The daily forecast from standings: day after day that of the whole record, and when none is trusted."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from warning.domain.forecast import POOL, Forecast
from warning.domain.readings import ReadingSeries
from warning.domain.variables import Variable
from warning.forecasting.asking import ForecasterSettings, ForecastRequest
from warning.forecasting.forecaster import Forecaster
from warning.forecasting.marks import row_marks
from warning.forecasting.registry import Registry

Fleet = dict[str, ForecastRequest]
SeriesMaker = Callable[..., ReadingSeries]
SETTINGS = ForecasterSettings(device="cpu", time_limit_s=60)


@pytest.fixture
def registry(tiny_registry: Path, tmp_path: Path) -> Registry:
    copy = tmp_path / "registry"
    shutil.copytree(tiny_registry, copy, ignore=shutil.ignore_patterns("recent", "as-trained"))
    return Registry(copy)


@pytest.fixture
def without_standings(registry: Registry, tmp_path: Path) -> Registry:
    model = registry.active()
    assert model is not None
    bare = Registry(tmp_path / "bare")
    bare.promote(bare.save(model))
    return bare


@pytest.fixture
def later_fleet(fleet: Fleet, make_series: SeriesMaker) -> Fleet:
    """The three dams, and their records go on for a hundred days."""
    return {
        name: replace(request, series=_continued(request.series, make_series(800, seed=seed)))
        for seed, (name, request) in enumerate(fleet.items())
    }


def _continued(series: ReadingSeries, longer: ReadingSeries) -> ReadingSeries:
    """`series` and then the days of another that it does not have."""
    values = {
        variable: np.concatenate([column, longer.values[variable][column.size :]])
        for variable, column in series.values.items()
    }
    return ReadingSeries(series.first_day, values, longer.at_once, longer.settled)


def first_days(fleet: Fleet, days: int, cut: SeriesMaker) -> Fleet:
    return {name: replace(request, series=cut(request.series, days)) for name, request in fleet.items()}


def ask(registry: Registry, fleet: Fleet, now: datetime) -> dict[str, Forecast]:
    answer = Forecaster(registry, SETTINGS)(fleet, now)
    assert answer.findings == () or all(f.kind.value == "out-of-range-input" for f in answer.findings)
    assert all(forecast.method == POOL for forecast in answer.forecasts.values())
    return dict(answer.forecasts)


def assert_same(found: dict[str, Forecast], expected: dict[str, Forecast]) -> None:
    assert found.keys() == expected.keys()
    for name, other in expected.items():
        one = found[name]
        assert (one.basis_day, one.model_id, one.degraded, one.out_of_range) == (
            other.basis_day,
            other.model_id,
            other.degraded,
            other.out_of_range,
        )
        for part in ("mean", "quantiles", "skill"):
            np.testing.assert_allclose(getattr(one, part), getattr(other, part), rtol=1e-11, atol=1e-10)
        for parts, others in ((one.members, other.members), (one.weights, other.weights)):
            assert parts.keys() == others.keys()
            for expert, values in others.items():
                np.testing.assert_allclose(parts[expert], values, rtol=1e-11, atol=1e-10, err_msg=expert)


@pytest.mark.timeout(200)
def test_day_after_day_the_forecast_is_that_of_the_whole_record(
    registry: Registry,
    without_standings: Registry,
    later_fleet: Fleet,
    cut_series: SeriesMaker,
    now: datetime,
) -> None:
    """A ridge is refitted on the way, at each dam on another day."""
    for days in (700, 790):
        fleet = first_days(later_fleet, days, cut_series)
        assert_same(ask(registry, fleet, now), ask(without_standings, fleet, now))


@pytest.mark.timeout(200)
def test_corrections_are_seen_whether_they_came_before_the_standing_or_since(
    registry: Registry, without_standings: Registry, fleet: Fleet, now: datetime
) -> None:
    """What the days came to is remembered up to some days ago, and the answers of all days.

    What lies before a standing makes it worthless.
    """
    ask(registry, fleet, now)
    corrected = {
        name: _corrected(fleet[name], row) for name, row in (("alder", -3), ("birch", -9), ("cedar", -100))
    }
    assert_same(ask(registry, corrected, now), ask(without_standings, corrected, now))


def _corrected(request: ForecastRequest, row: int) -> ForecastRequest:
    series = request.series
    level = series.values[Variable.LEVEL_M].copy()
    level[row] += 0.5
    values = {**series.values, Variable.LEVEL_M: level}
    return replace(request, series=ReadingSeries(series.first_day, values, series.at_once, series.settled))


@pytest.mark.timeout(200)
def test_damaged_files_cost_time_and_no_forecast(
    registry: Registry, fleet: Fleet, now: datetime, tmp_path: Path
) -> None:
    expected = ask(registry, fleet, now)
    damaged = [*(tmp_path / "registry").glob("*/*/standings-0000.npz")]
    assert {path.parent.parent.name for path in damaged} == {"models", "recent"}
    for path in damaged:
        path.write_bytes(path.read_bytes()[:-100] + bytes(100))
    assert_same(ask(registry, fleet, now), expected)


def test_a_training_leaves_what_the_first_forecast_would_find_out(
    tiny_registry: Path, registry: Registry, tmp_path: Path, fleet: Fleet, now: datetime
) -> None:
    ask(registry, fleet, now)
    (found,) = (tmp_path / "registry" / "recent").rglob("*.npz")
    (left,) = (tiny_registry / "as-trained").rglob("*.npz")
    with np.load(left) as one, np.load(found) as other:
        assert one.files == other.files
        for name in set(one.files) - {"names"}:
            np.testing.assert_allclose(one[name], other[name], rtol=1e-12, atol=1e-12, err_msg=name)


def test_the_mark_of_a_day_changes_with_each_reading_and_verdict(fleet: Fleet) -> None:
    series = fleet["alder"].series
    before = row_marks(series)
    for part in ("values", "at_once", "settled"):
        for variable in series.values:
            columns = {v: c.copy() for v, c in getattr(series, part).items()}
            columns[variable][10] += 1
            after = row_marks(replace(series, **{part: columns}))
            assert np.flatnonzero(after != before).tolist() == [10]
