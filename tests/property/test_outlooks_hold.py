"""No row of a series ever holds an outlook issued after its day, one grown old, or an absurd number."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from warning.domain.ahead import (
    OLDEST_DAYS,
    FleetOutlooks,
    Outlooks,
    ahead_of,
    knowing,
    labelled,
    words_ahead,
)
from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import Bounds
from warning.domain.variables import Variable

LEVEL, RAIN, RELEASE = Variable.LEVEL_M, Variable.RAIN_MM, Variable.OUTFLOW_M3S
FIRST_DAY = date(2024, 2, 20)
DAYS = 30
BOUNDS = {RELEASE: Bounds(0.0, 500.0)}
NUMBERS = st.one_of(
    st.floats(0, 500), st.sampled_from([float("nan"), -1.0, -999999.0, 2001.0, 1e30, float("inf")])
)
LINES = st.lists(st.tuples(st.integers(-5, 40), st.integers(-3, 12), NUMBERS, NUMBERS), max_size=60)


def series() -> ReadingSeries:
    flags = {LEVEL: np.zeros(DAYS, np.uint16)}
    return ReadingSeries(FIRST_DAY, {LEVEL: np.full(DAYS, 100.0)}, flags, flags)


def outlooks(lines: list[tuple[int, int, float, float]]) -> Outlooks:
    first = np.datetime64(FIRST_DAY, "D")
    issued = first + np.array([line[0] for line in lines], dtype=np.int64)
    valid = issued + np.array([line[1] for line in lines], dtype=np.int64)
    rain, release = (np.array([line[i] for line in lines], dtype=np.float64) for i in (2, 3))
    return Outlooks(issued, valid, {RAIN: rain, RELEASE: release})


@given(LINES, st.integers(0, DAYS - 1))
def test_outlooks_issued_after_a_day_change_nothing_up_to_it(
    lines: list[tuple[int, int, float, float]], day: int
) -> None:
    whole = ahead_of(outlooks(lines), series(), BOUNDS)
    cut = ahead_of(outlooks([line for line in lines if line[0] <= day]), series(), BOUNDS)
    nothing = np.full((DAYS, 7), np.nan)
    for variable in (RAIN, RELEASE):
        one, other = (found.get(variable, nothing)[: day + 1] for found in (whole, cut))
        np.testing.assert_array_equal(one, other)


@given(LINES)
def test_each_number_is_the_newest_sound_one_of_an_outlook_no_older_than_a_day(
    lines: list[tuple[int, int, float, float]],
) -> None:
    found = ahead_of(outlooks(lines), series(), BOUNDS)
    for place, variable, most in ((2, RAIN, 2000.0), (3, RELEASE, 500.0)):
        expected = np.full((DAYS, 7), np.nan)
        for row in range(DAYS):
            for issued, after, *values in sorted(lines, key=lambda line: line[0]):
                lead = issued + after - row
                usable = 0 <= row - issued <= OLDEST_DAYS and 1 <= lead <= 7
                if usable and 0 <= values[place - 2] <= most:
                    expected[row, lead - 1] = values[place - 2]
        np.testing.assert_array_equal(found.get(variable, np.full((DAYS, 7), np.nan)), expected)


@given(LINES, st.integers(0, 4))
def test_the_newest_row_alone_holds_what_is_known_today_and_never_what_is_issued_later(
    lines: list[tuple[int, int, float, float]], late: int
) -> None:
    today = FIRST_DAY + timedelta(days=DAYS - 1 + late)
    found = ahead_of(outlooks(lines), series(), BOUNDS, today)
    plain = ahead_of(outlooks(lines), series(), BOUNDS)
    nothing = np.full((DAYS, 7), np.nan)
    for place, variable, most in ((2, RAIN, 2000.0), (3, RELEASE, 500.0)):
        table = found.get(variable, nothing)
        np.testing.assert_array_equal(table[:-1], plain.get(variable, nothing)[:-1])
        expected = np.full(7, np.nan)
        for issued, after, *values in sorted(lines, key=lambda line: line[0]):
            age, lead = DAYS - 1 + late - issued, issued + after - (DAYS - 1)
            if 0 <= age <= OLDEST_DAYS and 1 <= lead <= 7 and 0 <= values[place - 2] <= most:
                expected[lead - 1] = values[place - 2]
        np.testing.assert_array_equal(table[-1], expected)


def test_a_reading_of_yesterday_is_forecast_from_with_the_outlook_of_today() -> None:
    lines = [
        (DAYS - 1, 1, 5.0, 9.0),
        (DAYS - 1, 2, 6.0, 9.0),
        (DAYS, 1, 7.0, float("nan")),
        (DAYS + 1, 1, 8.0, 0.0),
    ]
    today = FIRST_DAY + timedelta(days=DAYS)
    known, findings = knowing("dam", series(), FleetOutlooks({"dam": outlooks(lines)}), BOUNDS, today)
    assert findings == ()
    np.testing.assert_array_equal(known.ahead[RAIN][-1, :3], [5.0, 7.0, np.nan])
    assert known.ahead_issued == {RAIN: today, RELEASE: today - timedelta(days=1)}
    rain, release = words_ahead(known.ahead, DAYS - 1, known.ahead_issued)
    assert f"rain that has not come yet, by the outlook issued on {today}, day by day: 5, 7, -" in rain
    assert f"issued on {today - timedelta(days=1)}, day by day: 9, 9, -" in release


def test_the_words_give_each_day_and_a_dash_where_nothing_is_known() -> None:
    lines = [(9, lead, float(lead), float("nan")) for lead in (1, 2, 7)]
    ahead = ahead_of(outlooks(lines), series(), BOUNDS)
    (text,) = words_ahead(ahead, 9)
    assert text == "the forecast counts on rain that has not come yet, day by day: 1, 2, -, -, -, -, 7 mm"
    assert labelled(text) == ("outlook", text)
    assert labelled("the GPU failed")[0] == "degraded"
    assert words_ahead(ahead, 11) == ()
    assert outlooks(lines).valid[0] == np.datetime64(FIRST_DAY + timedelta(days=10))
