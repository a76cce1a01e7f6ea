"""The daily cycle runs once on every local day, whatever the clocks do."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from warning.domain.schedule import due_instant, last_due, next_due

ZONES = (
    "America/Los_Angeles",
    "America/Santiago",
    "Africa/Cairo",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
)
HALF_HOURS = [time(h, m) for h in range(24) for m in (0, 30)]


@pytest.mark.parametrize("zone_name", ZONES)
def test_every_local_day_has_exactly_one_cycle_at_any_half_hour(zone_name: str) -> None:
    zone = ZoneInfo(zone_name)
    for at in HALF_HOURS:
        now = datetime(2025, 12, 31, 0, 0, tzinfo=UTC)
        days = []
        for _ in range(366):
            now = next_due(now, [at], zone)
            days.append(now.astimezone(zone).date())
        first = days[0]
        assert days == [first + timedelta(days=n) for n in range(366)], f"{zone_name} at {at}"


def test_a_time_in_the_spring_gap_is_due_when_the_gap_ends() -> None:
    zone = ZoneInfo("America/Los_Angeles")
    due = due_instant(date(2026, 3, 8), time(2, 30), zone)
    assert due == datetime(2026, 3, 8, 10, 0, tzinfo=UTC)
    assert due.astimezone(zone).time() == time(3, 0)


def test_a_repeated_time_is_due_at_its_first_pass() -> None:
    due = due_instant(date(2026, 11, 1), time(1, 30), ZoneInfo("America/Los_Angeles"))
    assert due == datetime(2026, 11, 1, 8, 30, tzinfo=UTC)


def test_last_due_and_next_due_enclose_the_present() -> None:
    zone = ZoneInfo("Asia/Kolkata")
    times = [time(6, 0), time(18, 0)]
    now = datetime(2026, 5, 5, 0, 30, tzinfo=UTC)  # 06:00 in India, to the minute
    assert last_due(now, times, zone) == now
    assert next_due(now, times, zone) == now + timedelta(hours=12)


def test_a_schedule_without_times_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one time"):
        next_due(datetime(2026, 1, 1, tzinfo=UTC), [], ZoneInfo("UTC"))
