"""What is computed of many dams' records end to end is what is computed of each alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from warning.domain.readings import ReadingSeries
from warning.domain.variables import Variable
from warning.forecasting.autoregression import design_of
from warning.forecasting.baselines import drift
from warning.forecasting.features import base_values, network_inputs, out_of_range
from warning.forecasting.joined import joined, likeness_key, scales_of_rows
from warning.forecasting.model import SiteScale
from warning.forecasting.scaling import fit_scale

LEVEL = Variable.LEVEL_M
Dams = list[tuple[ReadingSeries, SiteScale]]


def with_all_variables(series: ReadingSeries, seed: int) -> ReadingSeries:
    random = np.random.default_rng(seed)
    level, inflow = series.values[LEVEL], series.values[Variable.INFLOW_M3S]
    rain = np.round(random.exponential(9.0, level.size) * (random.random(level.size) < 0.5), 1)
    values = {
        **series.values,
        Variable.STORAGE_M3: 1e6 * level,
        Variable.OUTFLOW_M3S: np.roll(inflow, 3),
        Variable.RAIN_MM: rain,
    }
    believed = {variable: np.zeros(level.size, np.uint16) for variable in values}
    return ReadingSeries(series.first_day, values, believed, believed)


def with_gaps_and_doubts(series: ReadingSeries) -> ReadingSeries:
    values = {variable: column.copy() for variable, column in series.values.items()}
    doubts = {variable: column.copy() for variable, column in series.at_once.items()}
    for column in values.values():
        column[[0, 1, 2, 40, 41, len(series) - 1]] = np.nan
    for flags in doubts.values():
        flags[[3, 50, len(series) - 2]] = 8
    return ReadingSeries(series.first_day, values, doubts, doubts)


@pytest.fixture
def dams(make_series: Callable[..., ReadingSeries]) -> Dams:
    """Records that begin on different days, one with its first and last readings missing or doubted."""
    records = [with_all_variables(make_series(days, seed=days), days) for days in (200, 90, 140)]
    records = [replace(own, first_day=own.day(17 * i)) for i, own in enumerate(records)]
    records[1] = with_gaps_and_doubts(records[1])
    return [(own, fit_scale(own, LEVEL, own.last_day)) for own in records]


def test_no_dam_sees_its_neighbour(dams: Dams) -> None:
    series = joined([own for own, _ in dams])
    counts = np.array([len(own) for own, _ in dams])
    scales = scales_of_rows([scale for _, scale in dams], counts)
    rows = np.arange(len(series))
    assert len({likeness_key(*dam) for dam in dams}) == 1
    for together, alone in (
        (network_inputs(series, scales, rows, 20), lambda s, c, r: network_inputs(s, c, r, 20)),
        (design_of(series, scales, rows), design_of),
        (drift(series, scales, rows), drift),
        (out_of_range(series, scales, rows), out_of_range),
        (base_values(series, LEVEL, rows), lambda s, c, r: base_values(s, LEVEL, r)),
    ):
        parts = np.split(together, np.cumsum(counts)[:-1])
        for part, (own, scale) in zip(parts, dams, strict=True):
            np.testing.assert_array_equal(part, alone(own, scale, np.arange(len(own))))


def test_dams_with_different_parts_are_not_alike(dams: Dams) -> None:
    series, scale = dams[0]
    dry = dict(series.values)
    del dry[Variable.RAIN_MM]
    believed = {v: series.at_once[v] for v in dry}
    others = [
        (ReadingSeries(series.first_day, dry, believed, believed), scale),
        (series, replace(scale, rain_mm=0.0)),
        (series, replace(scale, flow_gain={})),
    ]
    assert likeness_key(series, scale) not in {likeness_key(*other) for other in others}
