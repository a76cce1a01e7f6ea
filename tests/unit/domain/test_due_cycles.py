"""Which cycle is owed, whatever the clock and the record say."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from warning.domain.due_cycles import RETRY_AFTER_S, TRIES_OF_A_PARTIAL, DueCycles
from warning.domain.schedule import dues_between

SIX, ZONE = time(6), ZoneInfo("UTC")
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def never() -> None:
    return None


def test_a_record_without_a_cycle_owes_one() -> None:
    owed = DueCycles(never, cut_off=False).owed(NOON, SIX, ZONE)
    assert owed is not None
    assert (owed.due_at, owed.unmade) == (datetime(2026, 3, 10, 6, tzinfo=UTC), 0)


def test_a_cycle_since_the_last_due_time_owes_none() -> None:
    done = DueCycles(lambda: NOON - timedelta(hours=6), cut_off=False)
    assert done.owed(NOON, SIX, ZONE) is None
    assert done.owed(NOON + DAY, SIX, ZONE) is not None


def test_a_cycle_dated_in_the_future_counts_for_nothing() -> None:
    assert DueCycles(lambda: NOON + timedelta(days=300), cut_off=False).owed(NOON, SIX, ZONE) is not None


def test_days_that_were_slept_through_are_counted() -> None:
    owed = DueCycles(lambda: NOON - 3 * DAY, cut_off=False).owed(NOON, SIX, ZONE)
    assert owed is not None
    assert owed.unmade == 2


def test_a_cycle_that_broke_off_is_owed_again_after_a_pause_however_often_it_fails() -> None:
    cycles = DueCycles(lambda: NOON, cut_off=False)
    at_s = 0.0
    for _ in range(5):
        cycles.began()
        cycles.failed(at_s)
        assert cycles.owed(NOON, SIX, ZONE) is not None
        assert cycles.must_wait(at_s + RETRY_AFTER_S - 1)
        at_s += RETRY_AFTER_S
        assert not cycles.must_wait(at_s)
    cycles.began()
    cycles.ended(NOON, True, at_s)
    assert cycles.owed(NOON, SIX, ZONE) is None


def test_a_cycle_that_left_dams_out_is_tried_a_few_times_and_then_left_until_the_next_day() -> None:
    cycles = DueCycles(never, cut_off=False)
    tries = 0
    for day in range(2):
        now = NOON + day * DAY
        while cycles.owed(now, SIX, ZONE) is not None:
            cycles.began()
            cycles.ended(now, False, 0.0)
            tries += 1
            assert tries <= 2 * TRIES_OF_A_PARTIAL
    assert tries == 2 * TRIES_OF_A_PARTIAL


def test_a_cycle_that_an_earlier_process_left_cut_off_is_owed() -> None:
    assert DueCycles(lambda: NOON, cut_off=True).owed(NOON, SIX, ZONE) is not None


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/Santiago", "Africa/Cairo", "Asia/Beirut"])
@pytest.mark.parametrize("at", [time(0), time(0, 30), time(2, 30)])
def test_no_day_of_a_year_is_lost_or_done_twice_where_clocks_change(name: str, at: time) -> None:
    assert name in available_timezones()
    zone, now = ZoneInfo(name), datetime(2026, 1, 1, tzinfo=UTC)
    done = [now]
    cycles = DueCycles(lambda: done[-1], cut_off=False)
    assert cycles.owed(now, at, zone) is None
    days: list[date] = []
    while now < datetime(2027, 1, 1, tzinfo=UTC):
        now += timedelta(hours=3)
        owed = cycles.owed(now, at, zone)
        if owed is not None:
            assert owed.unmade == 0
            cycles.began()
            cycles.ended(now, True, 0.0)
            done.append(now)
            days.append(now.astimezone(zone).date())
    assert days == [days[0] + timedelta(days=n) for n in range(365)]


def test_the_due_times_between_two_instants_exclude_both() -> None:
    sixes = [datetime(2026, 3, day, 6, tzinfo=UTC) for day in (1, 2, 3, 4)]
    assert dues_between(sixes[0], sixes[3], (SIX,), ZONE) == sixes[1:3]
    assert dues_between(sixes[0], sixes[0], (SIX,), ZONE) == []
