"""What was known on an issue day: worked by hand, and against a naive walk through random records."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from warning.domain.readings import ReadingSeries
from warning.domain.variables import FloatArray, Variable
from warning.forecasting.known import known_column

NAN = np.nan
LEVEL = Variable.LEVEL_M


def series_of(values: list[float], at_once: list[int], settled: list[int]) -> ReadingSeries:
    flags = {LEVEL: np.array(at_once, np.uint16)}, {LEVEL: np.array(settled, np.uint16)}
    return ReadingSeries(date(2020, 1, 1), {LEVEL: np.array(values)}, *flags)


def random_series(seed: int) -> ReadingSeries:
    random = np.random.default_rng(seed)
    values = np.where(random.random(60) < 0.3, NAN, random.normal(size=60).cumsum())
    at_once, settled = (random.random((2, 60)) < 0.2).astype(int)
    last = np.flatnonzero(np.isfinite(values))[-1]
    settled[last] = at_once[last]
    return series_of(list(values), list(at_once), list(settled))


def naive_window(series: ReadingSeries, row: int, steps: int) -> FloatArray:
    """Walk to `row`, judge each reading as it then stood, and interpolate."""
    values = series.values[LEVEL][: row + 1]
    reported = [d for d in range(row + 1) if np.isfinite(values[d])]
    believed = [
        d for d in reported if (series.at_once if d == reported[-1] else series.settled)[LEVEL][d] == 0
    ]
    days = np.arange(row - steps + 1, row + 1)
    if not believed:
        return np.full(steps, NAN)
    return np.where(days >= believed[0], np.interp(days, believed, values[believed]), NAN)


@pytest.mark.parametrize("seed", range(8))
def test_windows_hold_what_a_naive_walk_to_the_issue_day_finds(seed: int) -> None:
    series = random_series(seed)
    rows = np.arange(60)
    windows, _ = known_column(series, LEVEL).windows(rows, 9)
    naive = np.stack([naive_window(series, row, 9) for row in rows])
    np.testing.assert_allclose(windows, naive, rtol=0, atol=1e-12)


def test_the_newest_reading_is_judged_at_once_and_the_earlier_ones_as_settled() -> None:
    series = series_of([1.0, 2.0, 3.0, 4.0], at_once=[0, 0, 1, 0], settled=[0, 1, 0, 0])
    base = known_column(series, LEVEL).base(np.arange(4), 14)
    # day 2: its reading is doubted at once, day 1's has been doubted since; day 3: both are settled
    np.testing.assert_array_equal(base, [1.0, 2.0, 1.0, 4.0])


def test_a_base_that_is_too_old_is_no_base() -> None:
    series = series_of([1.0, *[NAN] * 5], [0] * 6, [0] * 6)
    base = known_column(series, LEVEL).base(np.arange(6), 3)
    np.testing.assert_array_equal(base, [1.0, 1.0, 1.0, 1.0, NAN, NAN])


def test_ages_count_the_days_since_the_last_believed_reading() -> None:
    series = series_of([NAN, 1.0, NAN, 2.0, NAN], [0] * 5, [0] * 5)
    _, ages = known_column(series, LEVEL).windows(np.array([4]), 5)
    np.testing.assert_array_equal(ages, [[1, 0, 1, 0, 1]])


def test_a_record_without_any_reading_knows_nothing() -> None:
    column = known_column(series_of([NAN] * 4, [0] * 4, [0] * 4), LEVEL)
    assert np.isnan(column.base(np.arange(4), 14)).all()
    assert np.isnan(column.windows(np.arange(4), 3)[0]).all()
