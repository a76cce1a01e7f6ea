"""Limits and ranges derived from a record, and their way through JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from warning.domain.readings import RawReadings
from warning.domain.reservoir import ScreeningLimits
from warning.domain.screening_limits import (
    bounds_from_json,
    bounds_to_json,
    derive_bounds,
    derive_limits,
    limits_from_json,
    limits_to_json,
)
from warning.domain.variables import FloatArray, Variable

LEVEL, STORAGE, RAIN, INFLOW = (
    Variable.LEVEL_M,
    Variable.STORAGE_M3,
    Variable.RAIN_MM,
    Variable.INFLOW_M3S,
)
DAYS = np.datetime64("2015-01-01") + np.arange(1000)
LEVELS = 250.0 + 8.0 * np.sin(np.arange(1000) / 60.0) + 0.05 * np.sin(np.arange(1000) * 1.7)


def raw(**columns: FloatArray) -> RawReadings:
    return RawReadings(DAYS, {Variable(name): column for name, column in columns.items()})


@pytest.mark.parametrize("wrong", [-999999.0, 0.0, 25.0, 2500.0, 99999.0])
@pytest.mark.parametrize("rows", [slice(500, 501), slice(500, 560)])
def test_a_range_does_not_reach_for_codes_zeros_and_typos(wrong: float, rows: slice) -> None:
    level = LEVELS.copy()
    level[rows] = wrong
    bounds = derive_bounds(raw(level_m=level))[LEVEL]
    assert LEVELS.min() in bounds
    assert LEVELS.max() + 10.0 in bounds
    assert wrong not in bounds


def test_typos_do_not_widen_the_limits_of_change() -> None:
    level = LEVELS.copy()
    level[[100, 300, 700]] += [20.0, -15.0, 30.0]
    sound, spoilt = raw(level_m=LEVELS), raw(level_m=level)
    expected = derive_limits(sound, derive_bounds(sound))
    found = derive_limits(spoilt, derive_bounds(spoilt))
    assert found.rate_per_day[LEVEL] == pytest.approx(expected.rate_per_day[LEVEL], rel=0.1)
    assert found.spike[LEVEL] == pytest.approx(expected.spike[LEVEL], rel=0.1)


def test_a_storage_is_never_negative_and_rain_never_beyond_the_record_of_the_world() -> None:
    bounds = derive_bounds(raw(storage_m3=LEVELS * 1e6, rain_mm=np.zeros(1000)))
    assert bounds[STORAGE].lower == 0.0
    assert 475.0 in bounds[RAIN]
    assert 2000.0 not in bounds[RAIN]


def test_a_flow_may_reach_many_times_what_it_ever_was() -> None:
    bounds = derive_bounds(raw(inflow_m3s=20.0 + 10.0 * np.sin(np.arange(1000.0))))
    assert 500.0 in bounds[INFLOW]


def test_a_dead_or_constant_feed_derives_no_range() -> None:
    assert LEVEL not in derive_bounds(raw(level_m=np.zeros(1000)))
    assert LEVEL not in derive_bounds(raw(level_m=np.full(1000, 97.0)))
    assert LEVEL not in derive_bounds(raw(level_m=np.full(1000, np.nan)))


def test_every_field_is_filled_and_what_is_configured_wins() -> None:
    record = raw(level_m=LEVELS)
    configured = ScreeningLimits(rate_per_day={LEVEL: 3.25}, flat_line_days=9, sentinels=(-1.0,))
    limits = derive_limits(record, derive_bounds(record), configured)
    assert limits.rate_per_day[LEVEL] == 3.25
    assert limits.flat_line_days == 9
    assert limits.sentinels == (-1.0,)
    assert None not in (limits.zero_run_days, limits.gap_days, limits.scale_step_factor)
    assert limits.level_storage_tolerance_m is not None
    assert 0 < limits.spike[LEVEL] <= limits.rate_per_day[LEVEL]


def test_no_configured_sentinel_at_all_is_a_choice_too() -> None:
    record = raw(level_m=LEVELS)
    assert derive_limits(record, derive_bounds(record), ScreeningLimits(sentinels=())).sentinels == ()


def test_a_short_record_has_wider_limits_than_a_long_one() -> None:
    long = raw(level_m=LEVELS)
    short = long.until(DAYS[500].item())
    wide = derive_limits(short, derive_bounds(short)).rate_per_day[LEVEL]
    assert wide > derive_limits(long, derive_bounds(long)).rate_per_day[LEVEL]


def test_an_empty_part_derives_limits_without_variables() -> None:
    record = raw(level_m=LEVELS).until(np.datetime64("2000-01-01").item())
    limits = derive_limits(record, derive_bounds(record))
    assert limits.rate_per_day == {}
    assert limits.zero_run_days == 7


def test_limits_and_bounds_go_through_json_text() -> None:
    record = raw(level_m=LEVELS, inflow_m3s=np.abs(LEVELS - 250.0))
    bounds = derive_bounds(record)
    limits = derive_limits(record, bounds)
    assert limits_from_json(json.loads(json.dumps(limits_to_json(limits)))) == limits
    assert bounds_from_json(json.loads(json.dumps(bounds_to_json(bounds)))) == bounds
    assert limits_from_json(json.loads(json.dumps(limits_to_json(ScreeningLimits())))) == ScreeningLimits()


@pytest.mark.parametrize(
    "wrong",
    [{"rate_per_day": [1.0]}, {"spike": {"depth_m": 1.0}}, {"sentinels": 3.0}, {"unheard_of": 1}],
)
def test_limits_that_are_none_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        limits_from_json(wrong)
