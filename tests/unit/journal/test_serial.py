"""What goes into the record comes out the same."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warning.domain.alert import Alert, AlertKind, Standing
from warning.domain.assessment import Assessment, Evidence, ThresholdOutlook
from warning.domain.findings import Finding, FindingKind
from warning.domain.forecast import HORIZON_DAYS, QUANTILE_LEVELS, Forecast
from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import ForecastRule, LevelThreshold, RiseThreshold, Severity
from warning.domain.variables import Variable
from warning.errors import JournalError
from warning.journal.serial import from_json, to_json

names = st.text(max_size=20)
numbers = st.floats(-1e9, 1e9)
days = st.dates(date(1990, 1, 1), date(2100, 1, 1))
instants = st.datetimes(timezones=st.just(UTC))
maybe = st.none
severities = st.builds(Severity, st.integers(1, 9), names)
thresholds = st.builds(
    lambda name, severity, value, gap, rule: LevelThreshold(name, severity, value, value - gap, rule),
    names,
    severities,
    numbers,
    st.floats(0, 100),
    maybe() | st.builds(ForecastRule, st.floats(0.01, 1), st.integers(1, 7)),
)
rises = st.builds(
    lambda name, severity, rise, arming: RiseThreshold(name, severity, rise, rise / 2, arming),
    names,
    severities,
    st.floats(0.01, 10),
    numbers,
)
findings = st.builds(
    Finding,
    st.sampled_from(FindingKind),
    names,
    maybe() | names,
    maybe() | st.sampled_from(Variable),
    maybe() | days,
)
outlooks = st.builds(
    ThresholdOutlook,
    thresholds,
    st.booleans(),
    st.lists(st.floats(0, 1), max_size=7).map(tuple),
    maybe() | days,
)
assessments = st.builds(
    Assessment,
    reservoir_id=names,
    assessed_at=instants,
    severity=maybe() | severities,
    holding=maybe() | severities,
    evidence=maybe() | st.sampled_from(Evidence),
    threshold=maybe() | thresholds | rises,
    unwatched=maybe() | names,
    observed_value=maybe() | numbers,
    observed_day=maybe() | days,
    unconfirmed=st.booleans(),
    rise_per_day=maybe() | numbers,
    probability=maybe() | st.floats(0, 1),
    first_day=maybe() | days,
    peak_value=maybe() | numbers,
    peak_day=maybe() | days,
    outlooks=st.lists(outlooks, max_size=3).map(tuple),
    skill=maybe() | numbers,
    degraded=st.lists(names, max_size=3).map(tuple),
    newest_doubted=st.booleans(),
    variable=maybe() | st.sampled_from(Variable),
)
standings = st.builds(
    Standing,
    severity=maybe() | severities,
    evidence=maybe() | st.sampled_from(Evidence),
    unconfirmed=st.booleans(),
    unwatched=st.booleans(),
    first_day=maybe() | days,
    peak_value=maybe() | numbers,
    announced_at=maybe() | instants,
    alert_number=maybe() | st.integers(1),
    clear_days=st.integers(0, 9),
    last_clear_day=maybe() | days,
)
alerts = st.builds(
    Alert,
    kind=st.sampled_from(AlertKind),
    reservoir_id=names,
    created_at=instants,
    severity=maybe() | severities,
    previous_severity=maybe() | severities,
    follows=maybe() | st.integers(1),
    reasons=st.lists(names, max_size=3).map(tuple),
    assessment=maybe() | assessments,
    findings=st.lists(findings, max_size=3).map(tuple),
    number=maybe() | st.integers(1),
)


def column(seed: int, shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(seed).normal(270.0, 3.0, shape)


@st.composite
def series(draw: st.DrawFn) -> ReadingSeries:
    length = draw(st.integers(1, 70))
    values, at_once, settled = {}, {}, {}
    for variable in draw(st.sets(st.sampled_from(Variable), min_size=1)):
        column = draw(st.lists(numbers | st.just(math.nan), min_size=length, max_size=length))
        values[variable] = np.array(column)
        at_once[variable] = np.arange(length, dtype=np.uint16) % 512
        settled[variable] = np.arange(length, dtype=np.uint16) % 7
    return ReadingSeries(draw(days), values, at_once, settled)


@st.composite
def forecasts(draw: st.DrawFn) -> Forecast:
    seed = draw(st.integers(0, 2**32))
    experts = draw(st.lists(names, unique=True, max_size=3))
    skill = column(seed, (HORIZON_DAYS,))
    skill[draw(st.integers(0, 6))] = np.nan
    return Forecast(
        reservoir_id=draw(names),
        basis_day=draw(days),
        issued_at=draw(instants),
        method=draw(names),
        model_id=draw(maybe() | names),
        mean=column(seed, (HORIZON_DAYS,)),
        quantiles=np.sort(column(seed, (HORIZON_DAYS, len(QUANTILE_LEVELS))), axis=1),
        members={name: column(seed + i, (HORIZON_DAYS,)) for i, name in enumerate(experts)},
        weights={name: column(seed + 50 + i, (HORIZON_DAYS,)) for i, name in enumerate(experts)},
        skill=skill,
        degraded=tuple(draw(st.lists(names, max_size=2))),
        out_of_range=draw(st.booleans()),
    )


def same(one: Any, other: Any) -> bool:
    """Equality to the last bit, through arrays and with NaN equal to NaN."""
    if type(one) is not type(other):
        return False
    if dataclasses.is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@settings(max_examples=150, deadline=None)
@given(st.one_of(findings, standings, assessments, alerts, series(), forecasts()))
def test_what_is_recorded_is_read_back_to_the_last_bit(value: Any) -> None:
    assert same(from_json(type(value), to_json(value)), value)


def test_nan_is_null_and_an_infinity_does_not_stop_the_record() -> None:
    values = {Variable.LEVEL_M: np.array([1.5, math.nan, math.inf, -math.inf])}
    flags = {Variable.LEVEL_M: np.zeros(4, dtype=np.uint16)}
    text = to_json(ReadingSeries(date(2026, 1, 1), values, flags, flags))
    assert '[1.5,null,"inf","-inf"]' in text
    back = from_json(ReadingSeries, text)
    assert np.array_equal(back.values[Variable.LEVEL_M], values[Variable.LEVEL_M], equal_nan=True)


def test_a_record_from_before_a_field_was_added_takes_its_default() -> None:
    assert from_json(Standing, '{"unwatched":true}') == Standing(unwatched=True)


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"severity":{"rank":"high","name":"x"}}', '{"newer_field":1}', '{"announced_at":"tomorrow"}'],
)
def test_what_cannot_be_read_is_refused_and_not_guessed(text: str) -> None:
    with pytest.raises(JournalError, match="Standing"):
        from_json(Standing, text)


def test_an_instant_keeps_its_offset() -> None:
    at = datetime(2026, 3, 1, 3, 0, tzinfo=UTC) + timedelta(microseconds=5)
    assert from_json(Standing, to_json(Standing(announced_at=at))).announced_at == at
