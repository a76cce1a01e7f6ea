"""Troubles of a moment: they stand for an hour, and for as long as nobody could be told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from warning.domain.troubles import Trouble, TroubleKind
from warning.ops.passing import STANDS_FOR, PassingTroubles, clock_jumped

NOW = datetime(2026, 3, 10, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
JUMP = clock_jumped(7200.0, NOW)


def noted(*, told: bool) -> PassingTroubles:
    passing = PassingTroubles()
    assert passing.note(JUMP, NOW)
    if told:
        passing.told(passing.standing(NOW))
    return passing


def test_what_was_told_stands_for_an_hour() -> None:
    passing = noted(told=True)
    assert passing.standing(NOW + STANDS_FOR - MINUTE) == (JUMP,)
    assert passing.standing(NOW + STANDS_FOR) == ()


def test_what_a_clock_that_was_set_back_dates_later_is_over_once_it_was_told() -> None:
    assert noted(told=True).standing(NOW - timedelta(days=40)) == ()


def test_what_could_not_be_told_stands_until_it_is() -> None:
    passing, day_later = noted(told=False), NOW + timedelta(days=1)
    assert passing.standing(day_later) == (JUMP,)
    passing.told(passing.standing(day_later))
    assert passing.standing(day_later) == ()


def test_what_happens_again_while_the_first_is_told_is_not_taken_for_told() -> None:
    passing = noted(told=False)
    first = passing.standing(NOW)
    again = clock_jumped(-3600.0, NOW + MINUTE)
    assert not passing.note(again, NOW + MINUTE)
    passing.told(first)
    assert passing.standing(NOW + timedelta(days=1)) == (again,)


def test_what_others_have_found_is_none_of_its_business() -> None:
    passing = noted(told=False)
    passing.told([Trouble(TroubleKind.DISK_LOW, "/", "210 MB are free.")])
    assert passing.standing(NOW + timedelta(days=1)) == (JUMP,)
