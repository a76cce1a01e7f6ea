"""How readings at any hour become daily ones."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warning.domain.variables import Variable
from warning.errors import SourceError
from warning.sources.blocks import Block
from warning.sources.daily import FleetDays, day_start_ns
from warning.sources.influx_settings import Daily, DamMapping, FieldMapping

HOUR_NS = 3_600_000_000_000
BERLIN = ZoneInfo("Europe/Berlin")


def fleet(
    daily: Daily = Daily.LAST, zone: str = "UTC", starts: time = time(0), factor: float = 1.0
) -> FleetDays:
    mapping = FieldMapping(field="h", factor=factor, daily=daily)
    dam = DamMapping(
        reservoir_id="a", tag_value="A", time_zone=ZoneInfo(zone), fields={Variable.LEVEL_M: mapping}
    )
    return FleetDays([dam], starts)


def block(*readings: tuple[datetime, float], dam: str = "A", field: str = "h") -> Block:
    times = [
        (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000 for at, _ in readings
    ]
    return Block(dam, field, np.array(times, np.int64), np.array([value for _, value in readings]))


def days_of(gathered: FleetDays) -> dict[date, float]:
    raw = gathered.readings("a")
    return dict(zip(raw.days.tolist(), raw.values[Variable.LEVEL_M].tolist(), strict=True))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(("daily", "expected"), [(Daily.LAST, 5.0), (Daily.MEAN, 4.0), (Daily.MAX, 6.0)])
def test_a_day_is_its_last_mean_or_highest_reading_in_whatever_order_they_come(daily, expected):
    gathered = fleet(daily)
    gathered.take([block((at("2024-03-01T23:59:59"), 5.0), (at("2024-03-01T00:00"), 1.0))])
    gathered.take([block((at("2024-03-01T12:00"), 6.0), (at("2024-03-02T00:00"), 9.0))])
    assert days_of(gathered) == {date(2024, 3, 1): expected, date(2024, 3, 2): 9.0}


def test_days_with_a_change_of_the_clocks_have_23_and_25_hours():
    gathered = fleet(Daily.MEAN, "Europe/Berlin")
    hours = [at("2024-03-29T23:00") + timedelta(hours=i) for i in range(24 * 220)]
    gathered.take([block(*((hour, 1.0) for hour in hours))])
    counts = dict.fromkeys(days_of(gathered), 0)
    for hour in hours:
        counts[hour.astimezone(BERLIN).date()] += 1
    assert counts[date(2024, 3, 31)] == 23
    assert counts[date(2024, 10, 27)] == 25
    for day in counts:
        begins, ends = (day_start_ns(d, BERLIN, time(0)) for d in (day, day + timedelta(days=1)))
        assert (ends - begins) // HOUR_NS == counts[day] or day == max(counts)


@pytest.mark.parametrize(
    ("zone", "starts"),
    [
        *product(("America/Sao_Paulo", "Asia/Kolkata", "Africa/Cairo"), (time(0), time(2, 30), time(23, 15))),
        ("Pacific/Apia", time(0)),  # left out a whole day, 2011-12-30
    ],
)
def test_every_reading_falls_into_the_day_that_the_calendar_names(zone, starts):
    hours = [at("2011-01-01T00:00") + timedelta(minutes=45 * i) for i in range(12_000)]
    gathered = fleet(Daily.MAX, zone, starts)
    gathered.take([block(*((hour, float(i)) for i, hour in enumerate(hours)))])
    shift = timedelta(hours=starts.hour, minutes=starts.minute)
    offsets = [hour.astimezone(ZoneInfo(zone)) for hour in hours]
    expected: dict[date, float] = {}
    for i, local in enumerate(offsets):
        day = (local.replace(tzinfo=None) - shift).date()
        # within an hour that the clocks repeat, a day that has begun does not end again
        begins = day_start_ns(day + timedelta(days=1), ZoneInfo(zone), starts)
        passed = (hours[i] - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000 >= begins
        expected[day + timedelta(days=1) if passed else day] = float(i)
    assert days_of(gathered) == expected


def test_a_reading_before_the_day_begins_belongs_to_the_day_before():
    gathered = fleet(starts=time(8))
    gathered.take([block((at("2024-01-02T07:59:59"), 1.0), (at("2024-01-02T08:00"), 2.0))])
    assert days_of(gathered) == {date(2024, 1, 1): 1.0, date(2024, 1, 2): 2.0}


def test_null_is_no_reading_of_its_day():
    gathered = fleet()
    gathered.take([block((at("2024-01-01T06:00"), 3.0), (at("2024-01-01T18:00"), np.nan))])
    gathered.take([block((at("2024-01-02T06:00"), np.nan))])
    assert days_of(gathered) == {date(2024, 1, 1): 3.0}


def test_two_series_that_disagree_at_one_instant_repeat_the_day_for_screening_to_judge():
    gathered = fleet()
    noon = at("2024-01-01T12:00")
    gathered.take([block((noon, 3.0), (noon, 7.0), (noon, 3.0), (at("2024-01-01T11:00"), 5.0))])
    raw = gathered.readings("a")
    assert raw.days.tolist() == [date(2024, 1, 1)] * 2
    assert sorted(raw.values[Variable.LEVEL_M].tolist()) == [3.0, 7.0]


def test_a_value_is_converted_and_days_outside_the_period_are_left_out():
    gathered = fleet(factor=0.3048)
    gathered.take([block(*((at(f"2024-01-0{d}T12:00"), 100.0 * d) for d in range(1, 6)))])
    raw = gathered.readings("a", date(2024, 1, 2), date(2024, 1, 3))
    assert raw.days.tolist() == [date(2024, 1, 2), date(2024, 1, 3)]
    assert raw.values[Variable.LEVEL_M].tolist() == [200 * 0.3048, 300 * 0.3048]


def test_variables_that_report_on_different_days_share_one_calendar():
    fields = {Variable.LEVEL_M: FieldMapping(field="h"), Variable.RAIN_MM: FieldMapping(field="r")}
    dam = DamMapping(reservoir_id="a", tag_value="A", time_zone=ZoneInfo("UTC"), fields=fields)
    gathered = FleetDays([dam], time(0))
    gathered.take([block((at("2024-01-01T12:00"), 1.0), (at("2024-01-03T12:00"), 3.0))])
    gathered.take([block((at("2024-01-02T12:00"), 20.0), (at("2024-01-03T12:00"), 30.0), field="r")])
    raw = gathered.readings("a")
    assert [day.day for day in raw.days.tolist()] == [1, 2, 3]
    np.testing.assert_array_equal(raw.values[Variable.LEVEL_M], [1.0, np.nan, 3.0])
    np.testing.assert_array_equal(raw.values[Variable.RAIN_MM], [np.nan, 20.0, 30.0])


def test_one_field_may_feed_several_variables_and_others_series_are_passed_over():
    fields = {
        Variable.LEVEL_M: FieldMapping(field="h"),
        Variable.STORAGE_M3: FieldMapping(field="h", factor=1e6, daily=Daily.MAX),
    }
    dam = DamMapping(reservoir_id="a", tag_value="A", time_zone=ZoneInfo("UTC"), fields=fields)
    gathered = FleetDays([dam], time(0))
    two = (at("2024-01-01T01:00"), 2.0), (at("2024-01-01T02:00"), 1.0)
    gathered.take([block(*two), block(*two, dam="B"), block(*two, field="other")])
    raw = gathered.readings("a")
    assert raw.values[Variable.LEVEL_M].tolist() == [1.0]
    assert raw.values[Variable.STORAGE_M3].tolist() == [2e6]


def test_nothing_of_an_answer_that_ends_in_an_error_is_kept():
    gathered = fleet()
    gathered.take([block((at("2024-01-01T12:00"), 1.0))])

    def broken():
        yield block((at("2024-01-01T13:00"), 2.0), (at("2024-01-02T12:00"), 2.0))
        raise SourceError("cut")

    with pytest.raises(SourceError):
        gathered.take(broken())
    assert days_of(gathered) == {date(2024, 1, 1): 1.0}


@pytest.mark.parametrize("daily", list(Daily))
def test_years_by_the_minute_are_reduced_on_the_way_and_come_out_the_same(daily):
    minutes = np.arange(400_000, dtype=np.int64) * 60_000_000_000
    values = np.sin(minutes / 1e13) + np.arange(minutes.size) * 1e-6
    whole, piecemeal = fleet(daily), fleet(daily)
    whole.take([Block("A", "h", minutes, values)])
    shuffled = np.random.default_rng(3).permutation(minutes.size // 1000)
    parts = [slice(i * 1000, (i + 1) * 1000) for i in shuffled]
    piecemeal.take(Block("A", "h", minutes[part], values[part]) for part in parts)
    one, other = days_of(whole), days_of(piecemeal)
    assert list(one) == sorted(one)
    assert other == pytest.approx(one, abs=1e-12)
    days = minutes // (24 * HOUR_NS)
    expected = {
        Daily.LAST: lambda v: v[-1],
        Daily.MEAN: np.mean,
        Daily.MAX: np.max,
    }[daily]
    assert list(one.values()) == pytest.approx([expected(values[days == d]) for d in np.unique(days)])


@given(
    st.lists(
        st.tuples(st.integers(-4_000_000, 4_000_000), st.integers(-50, 50), st.sampled_from(list(range(4)))),
        min_size=1,
        max_size=60,
    ),
    st.sampled_from(list(Daily)),
)
@settings(max_examples=60, deadline=None)
def test_how_an_answer_is_cut_into_blocks_changes_nothing(readings, daily):
    def gathered(parts: list[list[tuple[int, int, int]]]) -> list[tuple[date, float]]:
        days = fleet(daily, "America/New_York", time(6))
        for part in parts:
            times = np.array([second * 10**9 for second, _, _ in part], np.int64)
            days.take([Block("A", "h", times, np.array([float(value) for _, value, _ in part]))])
        raw = days.readings("a")
        column = raw.values[Variable.LEVEL_M].round(9).tolist()
        return sorted(zip(raw.days.tolist(), column, strict=True))

    parts = [[r for r in readings if r[2] == i] for i in range(4)]
    assert gathered([readings]) == gathered([part for part in parts if part])
