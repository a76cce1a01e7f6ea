"""The bands of many forecasts at once are those of each alone."""

from __future__ import annotations

import numpy as np
import pytest

from warning.domain.variables import FloatArray
from warning.forecasting.bands import Issued, bands, end_to_end
from warning.forecasting.calibration import LeadScores, ScoreTable

ROW = 5000
FLOODS = (2.0, 4.0)


def table(random: np.random.Generator, size: int, oldest: int, newest: int) -> ScoreTable:
    return ScoreTable(
        scores=np.sort(np.round(random.standard_t(3, size), 1).astype(np.float32)),
        issued=random.integers(oldest, newest + 1, size),
        positions=random.integers(0, 41, size).astype(np.int8),
        spreads=random.integers(-9, 9, size).astype(np.int16),
        flood_share=(random.integers(0, 251, size) * (random.random(size) < 0.2)).astype(np.uint8),
    )


def both(older: ScoreTable, newer: ScoreTable) -> ScoreTable:
    order = np.argsort(np.concatenate([older.scores, newer.scores]), kind="stable")
    table, _ = end_to_end([older, newer])
    return ScoreTable(*(getattr(table, name)[order] for name in ScoreTable.__slots__))


def issued(leads: list[int], means: list[float], positions: list[int], spreads: list[int]) -> Issued:
    count = len(leads)
    return Issued(
        leads=np.array(leads),
        rows=np.full(count, ROW),
        means=np.array(means),
        spread=np.linspace(0.5, 2.0, count),
        positions=np.array(positions, np.int16),
        spreads=np.array(spreads, np.int16),
        flood_values=np.tile(FLOODS, (count, 1)),
    )


def alone(asked: Issued, k: int, scores: ScoreTable) -> FloatArray:
    own = LeadScores(int(asked.leads[k]), scores, FLOODS)
    mean, spread = float(asked.means[k]), float(asked.spread[k])
    return own.quantiles(int(asked.rows[k]), mean, spread, int(asked.positions[k]), int(asked.spreads[k]))


@pytest.mark.parametrize("seed", range(5))
def test_each_band_is_that_of_the_forecast_alone_whatever_lies_beside_it(seed: int) -> None:
    """Tables that are long, short, empty, too old in part, or not known yet; conditions like and unlike."""
    random = np.random.default_rng(seed)
    older = [table(random, size, 200, ROW - 40) for size in (900, 0, 30, 15, 400, 60)]
    newer = [table(random, size, ROW - 39, ROW) for size in (30, 12, 0, 25, 1, 0)]
    asked = issued(
        [1, 7, 3, 2, 7, 1], [0.0, 3.0, 1.0, 9.0, 3.0, -5.0], [3, 40, 0, 20, 38, 9], [0, 9, -9, 2, 5, 99]
    )
    found = bands(asked, end_to_end(older), end_to_end(newer))
    for k, (old, new) in enumerate(zip(older, newer, strict=True)):
        np.testing.assert_allclose(found[k], alone(asked, k, both(old, new)), rtol=1e-11, atol=1e-11)
    assert (np.diff(found, axis=1) >= 0).all()


def test_a_forecast_without_a_mean_has_no_band_and_costs_no_other_its_own() -> None:
    random = np.random.default_rng(9)
    tables = [table(random, 300, ROW - 900, ROW - 8) for _ in range(2)]
    asked = issued([1, 1], [np.nan, 1.0], [5, 5], [0, 0])
    found = bands(asked, end_to_end(tables))
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1], alone(asked, 1, tables[1]), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("seed", range(3))
def test_where_nothing_is_merged_the_digits_are_the_same(seed: int) -> None:
    """So that the hindcast and the daily forecast do not differ by the last one."""
    random = np.random.default_rng(seed)
    tables = [table(random, size, ROW - 900, ROW - 8) for size in (700, 30, 1100, 21)]
    asked = issued([1, 2, 3, 7], [1.0, 2.0, 0.0, -30.0], [5, 30, 1, 9], [0, 2, -3, 0])
    found = bands(asked, end_to_end(tables))
    for k, own in enumerate(tables):
        np.testing.assert_array_equal(found[k], alone(asked, k, own))
