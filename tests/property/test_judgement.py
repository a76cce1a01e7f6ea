"""What holds for every series, forecast and order of events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from warning.domain.alert import CALM, Alert, AlertKind, Standing
from warning.domain.assessment import Assessment
from warning.domain.decision import decide
from warning.domain.forecast import HORIZON_DAYS, QUANTILE_LEVELS, Forecast
from warning.domain.judgement import assess
from warning.domain.readings import Flag, ReadingSeries
from warning.domain.reservoir import (
    AlertPolicy,
    Bounds,
    ForecastRule,
    LevelThreshold,
    Reservoir,
    RiseThreshold,
    Severity,
)
from warning.domain.variables import Variable

SEVERITIES = [
    Severity(rank, name) for rank, name in enumerate(("advisory", "watch", "warning", "emergency"), 1)
]
FIRST = date(2020, 1, 1)
LEVEL = Variable.LEVEL_M
DAM = Reservoir(
    id="dam",
    name="A dam",
    time_zone=ZoneInfo("Asia/Kolkata"),
    datum="MSL",
    forecast_variable=LEVEL,
    limits={LEVEL: Bounds(0.0, 50.0)},
    level_thresholds=(
        LevelThreshold("low", SEVERITIES[0], 10.0, 9.5),
        LevelThreshold("middle", SEVERITIES[2], 12.0, 11.0, ForecastRule(0.5, 4)),
        LevelThreshold("high", SEVERITIES[3], 14.0, 13.5, ForecastRule(0.3, 2)),
    ),
    rise_thresholds=(RiseThreshold("fast", SEVERITIES[1], 1.5, 0.5, 8.0),),
)
STEADY = settings(deadline=None)  # how fast the machine is decides nothing
LEVELS = st.floats(min_value=5.0, max_value=20.0, allow_nan=False)
FLAGS = st.sampled_from([0, 0, 0, 0, Flag.SPIKE, Flag.FLAT_LINE, Flag.SENTINEL, Flag.PHYSICAL_RANGE])


@dataclass(frozen=True)
class Reading:
    """A day: its value (NaN is missing), its flag, and the forecast medians made on it, if any."""

    value: float
    flag: int
    medians: tuple[float, ...] | None


READINGS = st.builds(
    Reading,
    st.one_of(LEVELS, LEVELS, LEVELS, st.just(float("nan"))),
    FLAGS,
    st.one_of(st.none(), st.lists(LEVELS, min_size=7, max_size=7).map(tuple)),
)
RECORDS = st.lists(READINGS, min_size=1, max_size=25)


def readings_until(record: list[Reading], last: int) -> ReadingSeries:
    values = np.array([r.value for r in record[: last + 1]])
    flags = np.array([int(r.flag) for r in record[: last + 1]], dtype=np.uint16)
    return ReadingSeries(FIRST, {LEVEL: values}, {LEVEL: flags}, {LEVEL: flags})


def noon(day: int) -> datetime:
    return datetime(2020, 1, 1, 6, 30, tzinfo=UTC) + timedelta(days=day)


def forecast_of(medians: tuple[float, ...] | None, day: int) -> Forecast | None:
    if medians is None:
        return None
    centre = np.array(medians)
    quantiles = centre[:, None] + 2.0 * (np.array(QUANTILE_LEVELS) - 0.5)
    return Forecast(
        reservoir_id="dam",
        basis_day=FIRST + timedelta(days=day),
        issued_at=noon(day),
        method="pool",
        model_id=None,
        mean=centre,
        quantiles=quantiles,
    )


def judge(record: list[Reading], day: int) -> Assessment:
    return assess(DAM, readings_until(record, day), forecast_of(record[day].medians, day), now=noon(day))


def live(
    record: list[Reading], policy: AlertPolicy, cycles_a_day: int = 1
) -> list[tuple[Assessment, Standing, tuple[Alert, ...]]]:
    """Run the judgement day by day: each cycle's assessment, what stood before it, and its alerts."""
    standing, history = CALM, []
    for cycle in range(len(record) * cycles_a_day):
        day, part = divmod(cycle, cycles_a_day)
        assessment = judge(record, day)
        now = noon(day) + timedelta(hours=part)
        decision = decide(assessment, standing, policy, now)
        history.append((assessment, standing, decision.alerts))
        standing = decision.standing
    return history


def rank(severity: Severity | None) -> int:
    return 0 if severity is None else severity.rank


POLICIES = st.builds(
    AlertPolicy,
    remind_after_hours=st.sampled_from([6.0, 24.0, 1000.0]),
    update_peak_change=st.sampled_from([None, 0.5]),
    clear_after_days=st.integers(1, 3),
)
ON_SEVERITY = set(AlertKind) - {AlertKind.UNWATCHED, AlertKind.WATCHED_AGAIN, AlertKind.FINDING}


@STEADY
@given(RECORDS, st.floats(0.0, 10.0), st.sampled_from([0, Flag.SPIKE, Flag.RATE_OF_CHANGE]))
def test_raising_the_observation_never_lowers_the_severity(
    record: list[Reading], more: float, flag: int
) -> None:
    last = record[-1]
    value = last.value if np.isfinite(last.value) else 5.0
    lower = [*record[:-1], Reading(value, flag, last.medians)]
    higher = [*record[:-1], Reading(value + more, flag, last.medians)]
    day = len(record) - 1
    assert rank(judge(higher, day).severity) >= rank(judge(lower, day).severity)
    assert rank(judge(higher, day).holding) >= rank(judge(lower, day).holding)


@STEADY
@given(RECORDS)
def test_a_severity_is_always_held_by_what_raised_it(record: list[Reading]) -> None:
    found = judge(record, len(record) - 1)
    assert rank(found.holding) >= rank(found.severity)


@STEADY
@given(RECORDS, st.integers(0, HORIZON_DAYS - 1), st.integers(0, len(QUANTILE_LEVELS) - 1))
def test_a_nan_in_a_forecast_is_never_full_calm(record: list[Reading], lead: int, level: int) -> None:
    day = len(record) - 1
    broken = forecast_of((8.0,) * 7, day)
    assert broken is not None
    broken.quantiles[lead, level] = np.nan
    found = assess(DAM, readings_until(record, day), broken, now=noon(day))
    alone = assess(DAM, readings_until(record, day), None, now=noon(day))
    assert any("not all numbers" in reason for reason in found.degraded)
    assert (found.severity, found.holding) == (alone.severity, alone.holding)


@STEADY
@given(RECORDS, st.integers(3, 10))
def test_missing_readings_are_never_calm(record: list[Reading], missing: int) -> None:
    gone = [*record, *[Reading(float("nan"), 0, (6.0,) * 7)] * missing]
    assert not judge(gone, len(gone) - 1).calm


@STEADY
@given(RECORDS)
def test_a_judgement_without_a_forecast_says_so(record: list[Reading]) -> None:
    day = len(record) - 1
    assert assess(DAM, readings_until(record, day), None, now=noon(day)).degraded


@STEADY
@given(RECORDS, POLICIES, st.integers(1, 3))
def test_every_rise_of_severity_is_told_in_the_same_cycle(
    record: list[Reading], policy: AlertPolicy, cycles: int
) -> None:
    for assessment, before, alerts in live(record, policy, cycles):
        if rank(assessment.severity) > rank(before.severity):
            told = [a for a in alerts if a.kind in (AlertKind.RAISE, AlertKind.ESCALATE)]
            assert [a.severity for a in told] == [assessment.severity]


@STEADY
@given(RECORDS, POLICIES, st.integers(1, 3))
def test_nothing_is_lowered_while_it_is_held_unwatched_or_doubted(
    record: list[Reading], policy: AlertPolicy, cycles: int
) -> None:
    for assessment, before, alerts in live(record, policy, cycles):
        for alert in alerts:
            if alert.kind in (AlertKind.DOWNGRADE, AlertKind.ALL_CLEAR):
                assert rank(assessment.holding) < rank(before.severity)
                assert assessment.unwatched is None
                assert not assessment.newest_doubted
                assert rank(alert.severity) >= rank(assessment.holding)


@STEADY
@given(RECORDS, POLICIES, st.integers(1, 3))
def test_a_cycle_speaks_at_most_once_of_severity_and_once_of_the_watch(
    record: list[Reading], policy: AlertPolicy, cycles: int
) -> None:
    for assessment, before, alerts in live(record, policy, cycles):
        assert sum(a.kind in ON_SEVERITY for a in alerts) <= 1
        assert sum(a.kind not in ON_SEVERITY for a in alerts) <= 1
        assert before.unwatched or assessment.unwatched is None or alerts


@STEADY
@given(RECORDS, POLICIES)
def test_decisions_depend_on_their_arguments_alone(record: list[Reading], policy: AlertPolicy) -> None:
    assert live(record, policy) == live(record, policy)


@STEADY
@given(RECORDS, POLICIES)
def test_deciding_again_at_once_says_nothing(record: list[Reading], policy: AlertPolicy) -> None:
    standing = CALM
    for day in range(len(record)):
        assessment = judge(record, day)
        decision = decide(assessment, standing, policy, noon(day))
        again = decide(assessment, decision.standing, policy, noon(day))
        assert (again.alerts, again.standing) == ((), decision.standing)
        standing = decision.standing


@settings(STEADY, max_examples=40)
@given(st.lists(st.floats(9.6, 10.4), min_size=30, max_size=60), st.integers(1, 6))
def test_flapping_within_the_hysteresis_raises_once(levels: list[float], cycles: int) -> None:
    record = [Reading(value, 0, (9.0,) * 7) for value in levels]
    kinds = [alert.kind for _, _, alerts in live(record, AlertPolicy(), cycles) for alert in alerts]
    assert kinds.count(AlertKind.RAISE) <= 1
    assert AlertKind.ALL_CLEAR not in kinds
    assert len(kinds) <= len(levels)


@settings(STEADY, max_examples=40)
@given(st.lists(LEVELS, min_size=20, max_size=40), st.integers(1, 6))
def test_cycles_without_a_new_reading_do_not_flap(levels: list[float], cycles: int) -> None:
    record = [Reading(value, 0, (9.0,) * 7) for value in levels]
    changes = {AlertKind.RAISE, AlertKind.ESCALATE, AlertKind.DOWNGRADE, AlertKind.ALL_CLEAR}
    kinds = [
        a.kind for _, _, alerts in live(record, AlertPolicy(), cycles) for a in alerts if a.kind in changes
    ]
    assert len(kinds) <= len(levels)
