"""Screening over invented records: what was known on a day never depends on what came after it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from warning.domain.readings import RawReadings, ReadingSeries
from warning.domain.reservoir import Bounds, ScreeningLimits
from warning.domain.screening import screen
from warning.domain.screening_limits import (
    bounds_from_json,
    bounds_to_json,
    derive_bounds,
    derive_limits,
    limits_from_json,
    limits_to_json,
)
from warning.domain.variables import Variable

LEVEL, STORAGE, RAIN = Variable.LEVEL_M, Variable.STORAGE_M3, Variable.RAIN_MM
INFLOW, OUTFLOW = Variable.INFLOW_M3S, Variable.OUTFLOW_M3S
START = np.datetime64("2020-01-01")

BOUNDS = {
    LEVEL: Bounds(50.0, 200.0),
    STORAGE: Bounds(0.0, 5e9),
    INFLOW: Bounds(-50.0, 5e3),
    OUTFLOW: Bounds(-50.0, 5e3),
    RAIN: Bounds(0.0, 1825.0),
}
LIMITS = ScreeningLimits(
    rate_per_day={LEVEL: 1.5, STORAGE: 2e7, INFLOW: 200.0, OUTFLOW: 200.0},
    spike={LEVEL: 0.6, STORAGE: 8e6, INFLOW: 80.0, OUTFLOW: 80.0},
    sentinels=(-999999.0, -9999.0),
    flat_line_days=8,
    zero_run_days=3,
    gap_days=2,
    level_storage_tolerance_m=0.5,
    scale_step_factor=4.0,
)

_FAULTS = st.lists(
    st.tuples(
        st.sampled_from([LEVEL, STORAGE, INFLOW, OUTFLOW]),
        st.integers(60, 80),  # close together, so that faults meet
        st.integers(1, 4),
        st.sampled_from(["jump", "step", "zero", "freeze", "sentinel", "missing", "scale", "typo"]),
        st.floats(-3.0, 3.0),
    ),
    min_size=1,
    max_size=10,
)


@st.composite
def records(draw: st.DrawFn) -> RawReadings:
    """Invent 140 days of a reservoir with faults of every kind, missing days and repeated days."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    inflow = random.gamma(1.0, 60.0, 140)
    outflow = np.full(140, 55.0) + random.normal(0, 3, 140)
    storage = 1e9 + np.cumsum((inflow - outflow) * 86_400)
    values = {LEVEL: 80 + storage / 4e7, STORAGE: storage, INFLOW: inflow, OUTFLOW: outflow}
    for variable, row, length, fault, size in draw(_FAULTS):
        _spoil(values[variable], slice(row, row + length), fault, size, LIMITS.rate_per_day[variable])
    values[RAIN] = random.gamma(0.2, 20.0, 140)
    kept = draw(st.lists(st.sampled_from(list(Variable)), min_size=1, max_size=5, unique=True))
    rows = [row for row in range(140) if random.random() > 0.05 for _ in range(1 + (random.random() < 0.05))]
    take = np.array(rows or [0])
    columns = {v: values[v][take] * np.where(random.random(take.size) < 0.02, 1.1, 1.0) for v in kept}
    return RawReadings(START + take, columns)


def _spoil(column: np.ndarray, rows: slice, fault: str, size: float, rate: float) -> None:
    if fault == "jump":
        column[rows] += size * 3 * rate
    elif fault == "step":
        column[rows.start :] += size * 3 * rate
    elif fault == "scale":
        column[rows.start :] *= 11.574
    elif fault == "typo":
        column[rows] /= 10.0
    else:
        frozen = column[rows.start]
        column[rows] = {"zero": 0.0, "freeze": frozen, "sentinel": -999999.0, "missing": np.nan}[fault]


@settings(max_examples=60, deadline=None)
@given(record=records(), data=st.data())
def test_cutting_a_record_after_any_day_changes_no_verdict_before(
    record: RawReadings, data: st.DataObject
) -> None:
    whole = screen(record, BOUNDS, LIMITS)
    flagged = np.flatnonzero(np.any([whole.at_once[v] | whole.settled[v] for v in whole.values], axis=0))
    near_flags = np.unique(np.concatenate((flagged, flagged + 1, [len(whole) // 2])))
    rows = st.sampled_from(near_flags[near_flags < len(whole)].tolist()) | st.integers(0, len(whole) - 1)
    for row in data.draw(st.lists(rows, min_size=1, max_size=8, unique=True)):
        assert_same_until(whole, screen(record.until(whole.day(row)), BOUNDS, LIMITS))


def assert_same_until(whole: ReadingSeries, cut: ReadingSeries) -> None:
    """Compare `cut` with what `whole` must have known at the end of `cut`."""
    count = len(cut)
    for variable in whole.values:
        np.testing.assert_array_equal(cut.values[variable], whole.values[variable][:count])
        np.testing.assert_array_equal(cut.at_once[variable], whole.at_once[variable][:count])
        expected = whole.settled[variable][:count].copy()
        rows = np.flatnonzero(cut.reported(variable))
        if rows.size:
            expected[rows[-1]] = whole.at_once[variable][rows[-1]]
        np.testing.assert_array_equal(cut.settled[variable], expected)


@settings(max_examples=40, deadline=None)
@given(record=records())
def test_flags_stand_only_on_readings_and_the_last_verdicts_agree(record: RawReadings) -> None:
    series = screen(record, BOUNDS, LIMITS)
    for variable in series.values:
        missing = ~series.reported(variable)
        assert not series.at_once[variable][missing].any()
        assert not series.settled[variable][missing].any()
        last = series.last_reported_row(variable)
        assert last is None or series.at_once[variable][last] == series.settled[variable][last]


@settings(max_examples=40, deadline=None)
@given(record=records())
def test_limits_can_be_derived_from_anything_and_survive_json(record: RawReadings) -> None:
    bounds = derive_bounds(record)
    limits = derive_limits(record, bounds)
    assert bounds_from_json(bounds_to_json(bounds)) == bounds
    assert limits_from_json(limits_to_json(limits)) == limits
    assert all(limit > 0 for limit in (*limits.rate_per_day.values(), *limits.spike.values()))
    assert limits.flat_line_days is not None
    assert limits.flat_line_days > 0
    screen(record, bounds, limits)
