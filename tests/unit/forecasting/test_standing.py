"""What a standing rests on: the fingerprint of a past, and how far back a forecast looks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import pytest

from warning.domain.readings import ReadingSeries
from warning.domain.variables import FlagArray, FloatArray, Variable
from warning.forecasting.standing import CONTEXT_DAYS, context_start, fingerprint

LEVEL, RAIN = Variable.LEVEL_M, Variable.RAIN_MM
FIRST_DAY = date(2020, 1, 1)
DAYS = 1200


def series_of(
    level: FloatArray | None = None,
    settled: FlagArray | None = None,
    more: Mapping[Variable, FloatArray] | None = None,
) -> ReadingSeries:
    days = np.arange(float(DAYS))
    flags = np.where(days % 50 == 0, 4, 0).astype(np.uint16)
    rain = np.where(days % 9 == 4, days % 7, np.nan)
    values = {LEVEL: 400 + days / 64 if level is None else level, RAIN: rain, **(more or {})}
    verdicts = dict.fromkeys(values, 2 * flags)
    if settled is not None:
        verdicts[LEVEL] = settled
    return ReadingSeries(FIRST_DAY, values, dict.fromkeys(values, flags), verdicts)


def day(row: int) -> date:
    return FIRST_DAY + timedelta(days=row)


@pytest.mark.parametrize(
    ("row", "mark"), [(1150, "00f03422ffbff9c3b44c834ea5637087"), (1151, "e481f3b58a21141467b4ee4696a1d69f")]
)
def test_the_standings_of_models_that_are_in_force_today_still_hold(row: int, mark: str) -> None:
    """As computed when standings were introduced: with another digest every past would be replayed."""
    assert fingerprint(series_of(), day(row)) == mark


@pytest.mark.parametrize(
    ("row", "same"), [(1149, True), (1148, False), (1150, True), (54, False), (53, True)]
)
def test_a_changed_verdict_counts_but_not_that_on_the_newest_reading(row: int, same: bool) -> None:
    settled = series_of().settled[LEVEL].copy()
    settled[row] += 1
    changed = series_of(settled=settled)
    assert (fingerprint(changed, day(1150)) == fingerprint(series_of(), day(1150))) is same
    assert changed.settled[LEVEL][row] == settled[row], "the record itself stays as it is"


def test_a_variable_that_nobody_reported_changes_nothing() -> None:
    more = series_of(more={Variable.INFLOW_M3S: np.full(DAYS, np.nan)})
    assert fingerprint(more, day(1150)) == fingerprint(series_of(), day(1150))


def test_a_forecast_looks_back_to_the_last_believed_reading() -> None:
    first = 1100 - CONTEXT_DAYS
    assert context_start(series_of(), day(1100)) == first - 1  # 1039 = 4 + 9 * 115: rain
    level = series_of().values[LEVEL].copy()
    level[first - 200 : first + 1] = np.nan
    assert context_start(series_of(level), day(1100)) == first - 201
    doubted = series_of().settled[LEVEL].copy()
    doubted[: first + 1] = 1
    assert context_start(series_of(settled=doubted), day(1100)) == 0, "the first reported, none is believed"


def test_a_forecast_of_long_after_the_record_looks_at_its_end() -> None:
    assert context_start(series_of(), day(DAYS + 400)) < DAYS
