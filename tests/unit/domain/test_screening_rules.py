"""Each screening rule on a simulated reservoir whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from warning.domain.readings import Flag, RawReadings, ReadingSeries
from warning.domain.reservoir import Bounds, ScreeningLimits
from warning.domain.screening import screen
from warning.domain.screening_limits import derive_bounds, derive_limits
from warning.domain.variables import BoolArray, FloatArray, Variable

LEVEL, STORAGE, RAIN = Variable.LEVEL_M, Variable.STORAGE_M3, Variable.RAIN_MM
INFLOW, OUTFLOW = Variable.INFLOW_M3S, Variable.OUTFLOW_M3S
DAYS = np.datetime64("2010-01-01") + np.arange(1500)
FLOOD = slice(1300, 1306)


def reservoir() -> RawReadings:
    """Simulate a lake with seasons, freshets and one flood far above all others; the balance closes."""
    draw = np.random.default_rng(7)
    season = 1.0 + 0.8 * np.sin(2 * np.pi * np.arange(DAYS.size) / 365.25)
    rain = draw.gamma(0.15, 25.0, DAYS.size).round(1)
    inflow = 40.0 * season + 2.0 * np.convolve(rain, [0.5, 0.3, 0.2])[: DAYS.size]
    rain[FLOOD] += [90, 160, 200, 80, 30, 10]
    inflow[FLOOD] += [300, 900, 1800, 1200, 700, 300]
    storage, outflow = np.empty(DAYS.size), np.empty(DAYS.size)
    held = 5e8
    for day in range(DAYS.size):
        outflow[day] = 45.0 + 120.0 * (held - 5e8) / 5e8
        held += (inflow[day] - outflow[day]) * 86_400
        storage[day] = held
    level = 100.0 + 40.0 * np.sqrt(storage / 1e9)
    values = {LEVEL: level, STORAGE: storage, INFLOW: inflow, OUTFLOW: outflow, RAIN: rain}
    return RawReadings(DAYS, {v: column.round(4) for v, column in values.items()})


WHOLE = reservoir()
PART = WHOLE.until(DAYS[999].item())
BOUNDS = derive_bounds(PART)
LIMITS = derive_limits(PART, BOUNDS)


def only(*variables: Variable) -> RawReadings:
    return RawReadings(WHOLE.days, {v: WHOLE.values[v].copy() for v in variables})


def put(raw: RawReadings, variable: Variable, rows: int | slice | BoolArray, values: object) -> RawReadings:
    column = raw.values[variable].copy()
    column[rows] = values
    return RawReadings(raw.days, {**raw.values, variable: column})


def screened(raw: RawReadings, limits: ScreeningLimits = LIMITS) -> ReadingSeries:
    return screen(raw, BOUNDS, limits)


def has(series: ReadingSeries, variable: Variable, row: int, flag: Flag) -> bool:
    return bool(Flag(int(series.settled[variable][row])) & flag)


def test_a_sound_record_with_a_great_flood_gets_no_flag_at_all() -> None:
    series = screened(WHOLE)
    for variable in series.values:
        assert not series.at_once[variable].any(), variable
        assert not series.settled[variable].any(), variable


@pytest.mark.parametrize("variable", [LEVEL, STORAGE])
def test_the_flood_is_believed_without_any_other_column(variable: Variable) -> None:
    series = screened(only(variable))
    assert not series.settled[variable].any()
    # its first day is beyond all experience and waits for the second; from then on it is under way
    assert np.count_nonzero(series.at_once[variable]) <= 1


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_value_is_missing_and_never_a_reading(value: float) -> None:
    series = screened(put(WHOLE, LEVEL, 700, value))
    assert np.isnan(series.values[LEVEL][700])
    assert series.settled[LEVEL][700] == 0


def test_a_missing_value_carries_no_flag() -> None:
    series = screened(put(WHOLE, LEVEL, slice(700, 705), np.nan))
    assert not series.reported(LEVEL)[700:705].any()
    assert not series.settled[LEVEL][695:710].any()


@pytest.mark.parametrize(
    ("variable", "value"), [(LEVEL, 1e4), (LEVEL, -40.0), (STORAGE, -44e6), (RAIN, -1.0), (INFLOW, 1e9)]
)
def test_what_lies_outside_the_physical_range_is_refused_at_once(variable: Variable, value: float) -> None:
    series = screened(put(WHOLE, variable, 700, value))
    assert has(series, variable, 700, Flag.PHYSICAL_RANGE)
    assert series.at_once[variable][700] & Flag.PHYSICAL_RANGE


@pytest.mark.parametrize("value", [-999999.0, -99999.0, -9999.0])
def test_a_code_for_no_value_is_a_sentinel(value: float) -> None:
    assert has(screened(put(WHOLE, LEVEL, 700, value)), LEVEL, 700, Flag.SENTINEL)


def test_a_configured_sentinel_counts_even_inside_the_range() -> None:
    series = screened(put(WHOLE, LEVEL, 700, 127.0), replace(LIMITS, sentinels=(127.0,)))
    assert has(series, LEVEL, 700, Flag.SENTINEL)


def test_zeros_of_a_dead_feed_are_no_readings_in_any_column() -> None:
    raw = WHOLE
    for variable in WHOLE.values:
        raw = put(raw, variable, slice(700, 720), 0.0)
    series = screened(raw)
    for variable in series.values:
        assert (series.settled[variable][700:720] & Flag.ZERO_RUN.value).all(), variable


def test_a_flow_or_a_dry_day_may_be_zero() -> None:
    raw = put(put(WHOLE, RAIN, slice(700, 760), 0.0), OUTFLOW, slice(700, 760), 0.0)
    series = screened(raw)
    assert not (series.settled[RAIN] & Flag.ZERO_RUN.value).any()
    assert not (series.settled[OUTFLOW] & Flag.ZERO_RUN.value).any()


def test_a_storage_that_runs_dry_slowly_may_be_zero_for_a_while() -> None:
    storage = np.concatenate((np.linspace(5e7, 1e4, 500), np.zeros(10), np.linspace(1e4, 5e7, 500)))
    raw = RawReadings(np.datetime64("2010-01-01") + np.arange(storage.size), {STORAGE: storage})
    limits = ScreeningLimits(rate_per_day={STORAGE: 1e6}, zero_run_days=7)
    series = screen(raw, {STORAGE: Bounds(0.0, 1e9)}, limits)
    flagged = np.flatnonzero(series.settled[STORAGE] & Flag.ZERO_RUN.value)
    np.testing.assert_array_equal(flagged, [507, 508, 509])


def test_a_fall_to_zero_within_a_day_is_refused_at_once() -> None:
    series = screened(put(only(STORAGE), STORAGE, 700, 0.0))
    assert series.at_once[STORAGE][700] & Flag.ZERO_RUN


def test_a_jump_away_and_back_is_a_spike() -> None:
    level = WHOLE.values[LEVEL]
    series = screened(put(only(LEVEL), LEVEL, 700, level[700] + 12.0))
    assert has(series, LEVEL, 700, Flag.SPIKE)
    assert series.at_once[LEVEL][700] & Flag.RATE_OF_CHANGE
    assert not series.settled[LEVEL][701:].any()
    assert not series.at_once[LEVEL][701 : FLOOD.start].any()


def test_a_spike_below_the_rate_limit_is_found_when_the_next_reading_has_come() -> None:
    step = 0.5 * (LIMITS.spike[LEVEL] + LIMITS.rate_per_day[LEVEL])
    assert LIMITS.spike[LEVEL] < step < LIMITS.rate_per_day[LEVEL]
    raw = put(only(LEVEL), LEVEL, 700, WHOLE.values[LEVEL][700] - step)
    series = screened(raw)
    assert has(series, LEVEL, 700, Flag.SPIKE)
    assert series.at_once[LEVEL][700] == 0


def test_a_jump_that_stays_is_doubted_on_its_day_and_believed_the_day_after() -> None:
    level = WHOLE.values[LEVEL].copy()
    level[700:] += 8.0
    series = screened(put(only(LEVEL), LEVEL, slice(None), level))
    assert series.at_once[LEVEL][700] & Flag.RATE_OF_CHANGE
    assert not series.settled[LEVEL].any()
    assert not series.at_once[LEVEL][701 : FLOOD.start].any()


def test_a_lasting_step_that_no_flow_explains_stays_doubted_on_its_day() -> None:
    storage = WHOLE.values[STORAGE].copy()
    storage[700:] += 1.8e8
    raw = put(only(STORAGE, INFLOW, OUTFLOW), STORAGE, slice(None), storage)
    series = screened(raw)
    assert has(series, STORAGE, 700, Flag.RATE_OF_CHANGE)
    assert not series.settled[STORAGE][701:].any()


def test_the_last_reading_is_judged_without_waiting_for_tomorrow() -> None:
    raw = put(only(LEVEL), LEVEL, 700, WHOLE.values[LEVEL][700] + 12.0).until(DAYS[700].item())
    series = screened(raw)
    assert series.settled[LEVEL][-1] == series.at_once[LEVEL][-1] != 0


@pytest.mark.parametrize("step", [12.0, -0.25])
def test_a_refused_reading_settles_nothing_about_the_one_before(step: float) -> None:
    raw = put(only(LEVEL), LEVEL, slice(700, 702), [WHOLE.values[LEVEL][700] + step, -999999.0])
    whole, cut = screened(raw), screened(raw.until(DAYS[701].item()))
    assert whole.settled[LEVEL][700] == cut.settled[LEVEL][700] == whole.at_once[LEVEL][700]
    assert has(whole, LEVEL, 700, Flag.RATE_OF_CHANGE) == (step == 12.0)


def test_a_jump_that_inflow_and_rain_explain_is_believed_at_once() -> None:
    limits = replace(LIMITS, rate_per_day={**LIMITS.rate_per_day, LEVEL: 1.0, STORAGE: 3e7})
    assert (np.diff(WHOLE.values[LEVEL])[FLOOD] > 1.0).any()
    series = screened(WHOLE, limits)
    assert not series.at_once[LEVEL][FLOOD].any()


def test_a_frozen_gauge_is_flagged_from_the_limit_on_and_not_before() -> None:
    level = WHOLE.values[LEVEL].copy()
    level[700:760] = level[700]
    series = screened(put(only(LEVEL), LEVEL, slice(None), level), replace(LIMITS, flat_line_days=14))
    flagged = np.flatnonzero(series.at_once[LEVEL] & Flag.FLAT_LINE.value)
    np.testing.assert_array_equal(flagged, np.arange(713, 760))


def test_a_full_pool_is_not_a_frozen_gauge() -> None:
    level = WHOLE.values[LEVEL].copy()
    level[700:760] = level[:760].max() + 0.1
    series = screened(put(only(LEVEL), LEVEL, slice(None), level))
    assert not (series.settled[LEVEL] & Flag.FLAT_LINE.value).any()


def test_a_coarse_gauge_is_not_frozen_while_the_storage_moves_a_little() -> None:
    still = slice(700, 740)
    raw = put(only(LEVEL, STORAGE), LEVEL, still, WHOLE.values[LEVEL][700])
    ripple = WHOLE.values[STORAGE][700] + 1e4 * np.arange(40)
    series = screened(put(raw, STORAGE, still, ripple))
    assert not (series.settled[LEVEL] & Flag.FLAT_LINE.value).any()


def test_a_gauge_is_frozen_where_the_storage_moves_much() -> None:
    raw = put(only(LEVEL, STORAGE), LEVEL, slice(700, 760), WHOLE.values[LEVEL][700])
    series = screened(raw)
    assert (series.settled[LEVEL][730:760] & (Flag.FLAT_LINE | Flag.LEVEL_AGAINST_STORAGE).value).any()


def test_a_constant_release_is_normal_and_five_equal_wet_days_are_not() -> None:
    raw = put(put(WHOLE, OUTFLOW, slice(700, 712), 60.0), RAIN, slice(700, 706), 12.5)
    series = screened(raw)
    assert not (series.settled[OUTFLOW] & Flag.FLAT_LINE.value).any()
    np.testing.assert_array_equal(np.flatnonzero(series.settled[RAIN] & Flag.FLAT_LINE.value), [704, 705])


@pytest.mark.parametrize(("variable", "step"), [(LEVEL, 6.0), (LEVEL, -6.0), (STORAGE, 3e8)])
def test_of_level_and_storage_the_one_that_jumped_is_flagged(variable: Variable, step: float) -> None:
    raw = put(only(LEVEL, STORAGE), variable, 700, WHOLE.values[variable][700] + step)
    series = screened(raw)
    other = STORAGE if variable is LEVEL else LEVEL
    assert has(series, variable, 700, Flag.LEVEL_AGAINST_STORAGE)
    assert series.settled[other][700] == 0
    assert not series.settled[variable][701:].any()


def test_a_storage_not_updated_in_a_flood_is_flagged_and_the_level_is_believed() -> None:
    raw = put(only(LEVEL, STORAGE), STORAGE, 1302, WHOLE.values[STORAGE][1301])
    series = screened(raw)
    assert has(series, STORAGE, 1302, Flag.LEVEL_AGAINST_STORAGE)
    assert not series.settled[LEVEL][FLOOD].any()


def test_another_capacity_table_is_doubted_until_it_is_taken_back() -> None:
    shifted = WHOLE.values[STORAGE][700:760] * 1.5
    series = screened(put(only(LEVEL, STORAGE), STORAGE, slice(700, 760), shifted))
    assert (series.settled[STORAGE][700:760] & Flag.LEVEL_AGAINST_STORAGE.value).all()
    assert not series.settled[STORAGE][760:].any()
    assert not series.settled[LEVEL].any()


@pytest.mark.parametrize("flows", [(INFLOW, OUTFLOW), (INFLOW,)])
def test_a_silent_change_of_a_flows_unit_is_found_within_weeks(flows: tuple[Variable, ...]) -> None:
    raw = WHOLE
    for variable in flows:
        raw = put(raw, variable, slice(900, 1100), WHOLE.values[variable][900:1100] / 11.574)
    series = screened(raw)
    for variable in flows:
        found = np.flatnonzero(series.settled[variable] & Flag.SCALE_STEP.value)
        assert 900 < found[0] < 930
        assert (series.settled[variable][940:1100] & Flag.SCALE_STEP.value).mean() > 0.9
        assert not (series.settled[variable][1130:] & Flag.SCALE_STEP.value).any()


def test_a_column_that_holds_another_quantity_is_found_and_one_wrong_day_is_no_step() -> None:
    wrong = put(WHOLE, INFLOW, slice(900, 1000), 1500.0 + np.arange(100.0))
    found = screened(wrong).settled[INFLOW] & Flag.SCALE_STEP.value
    assert found[930:1000].all()
    assert not found[:900].any()
    assert not found[1030:].any()
    once = screened(put(WHOLE, INFLOW, 900, 1500.0))
    assert has(once, INFLOW, 900, Flag.RATE_OF_CHANGE)
    assert not (once.settled[INFLOW] & Flag.SCALE_STEP.value).any()


def test_flows_that_never_closed_the_balance_are_not_accused_of_a_step() -> None:
    partial = put(WHOLE, OUTFLOW, slice(None), np.full(DAYS.size, 3.0))
    series = screened(partial)
    assert not (series.settled[OUTFLOW] & Flag.SCALE_STEP.value).any()


def test_a_flow_ten_times_too_large_is_refuted_by_the_storage() -> None:
    series = screened(put(WHOLE, OUTFLOW, 700, WHOLE.values[OUTFLOW][700] * 60))
    assert series.settled[OUTFLOW][700] != 0
    assert series.settled[OUTFLOW][701] == 0


class TestDuplicateDays:
    @staticmethod
    def doubled(row: int, **changes: float) -> RawReadings:
        """Repeat a row with some values changed; the changed copy comes first."""
        at = np.concatenate((np.arange(row), [row], np.arange(row, DAYS.size)))
        values: dict[Variable, FloatArray] = {v: column[at].copy() for v, column in WHOLE.values.items()}
        for name, value in changes.items():
            values[Variable(name)][row] = value
        return RawReadings(DAYS[at], values)

    def test_equal_rows_merge_in_silence(self) -> None:
        series = screened(self.doubled(700))
        assert len(series) == DAYS.size
        assert not any(flags.any() for flags in series.settled.values())

    def test_a_row_with_a_gap_is_filled_from_the_other(self) -> None:
        series = screened(self.doubled(700, rain_mm=np.nan))
        assert series.values[RAIN][700] == WHOLE.values[RAIN][700]
        assert series.settled[RAIN][700] == 0

    def test_the_row_that_continues_the_days_before_is_used_when_the_other_cannot(self) -> None:
        series = screened(self.doubled(700, level_m=0.0, storage_m3=0.0))
        assert series.values[LEVEL][700] == WHOLE.values[LEVEL][700]
        assert series.settled[LEVEL][700] == 0

    def test_rows_that_are_equally_likely_are_no_truth(self) -> None:
        level = WHOLE.values[LEVEL][700]
        series = screened(self.doubled(700, level_m=level + 0.02))
        assert has(series, LEVEL, 700, Flag.DUPLICATE_DAYS)
        assert series.settled[STORAGE][700] == 0

    def test_flows_that_disagree_are_doubted_alone(self) -> None:
        series = screened(self.doubled(700, inflow_m3s=77.0))
        assert has(series, INFLOW, 700, Flag.DUPLICATE_DAYS)
        assert series.settled[LEVEL][700] == 0


def test_rows_in_any_order_give_the_same_series() -> None:
    order = np.random.default_rng(3).permutation(DAYS.size)
    shuffled = RawReadings(DAYS[order], {v: column[order] for v, column in WHOLE.values.items()})
    one, other = screened(shuffled), screened(WHOLE)
    for variable in other.values:
        np.testing.assert_array_equal(one.values[variable], other.values[variable])
        np.testing.assert_array_equal(one.settled[variable], other.settled[variable])


def test_missing_days_become_rows_without_readings() -> None:
    keep = np.r_[0:100, 130:200]
    raw = RawReadings(DAYS[keep], {v: column[keep] for v, column in WHOLE.values.items()})
    series = screened(raw)
    assert len(series) == 200
    assert series.first_day == date(2010, 1, 1)
    assert not series.reported(LEVEL)[100:130].any()


def test_a_record_without_a_row_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one reading"):
        screened(WHOLE.until(date(2000, 1, 1)))


def test_without_limits_and_bounds_the_rules_rest_and_nothing_fails() -> None:
    series = screen(WHOLE, {}, ScreeningLimits())
    assert not any(flags.any() for flags in series.settled.values())


@pytest.mark.parametrize("length", [1, 2, 3, 25, 60])
def test_a_short_record_is_screened_too(length: int) -> None:
    series = screened(WHOLE.until(DAYS[length - 1].item()))
    assert len(series) == length
