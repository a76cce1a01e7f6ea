"""People are told of a trouble at once, daily while it stands, and when it is over; never in a flood."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import pytest

from warning.domain.troubles import (
    StandingTrouble,
    Trouble,
    TroubleKind,
    TroubleNews,
    weigh_troubles,
)

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DISK = Trouble(TroubleKind.DISK_LOW, "/var", "210 MB left", "210 MB free")
CYCLE = Trouble(TroubleKind.CYCLE_OVERDUE, "cycle", "it did not run")


class Teller:
    """Keeps what stands between looks, as the record does."""

    def __init__(self) -> None:
        self.known: tuple[StandingTrouble, ...] = ()
        self.ended: tuple[StandingTrouble, ...] = ()

    def look(self, at: datetime, *found: Trouble) -> TroubleNews:
        news = weigh_troubles(found, (*self.known, *self.ended), at)
        self.known = news.standing
        self.ended += tuple(s for s in news.kept if s.ended_at is not None)
        return news


@pytest.fixture
def look() -> Callable[..., TroubleNews]:
    return Teller().look


def keys(standing: Iterable[StandingTrouble]) -> list[str]:
    return [s.trouble.key for s in standing]


def test_a_trouble_is_told_at_once_and_then_not_again_for_a_day(look: Callable[..., TroubleNews]) -> None:
    assert keys(look(NOW, DISK).fresh) == ["/var"]
    for minutes in (1, 60, 24 * 60 - 1):
        assert not look(NOW + minutes * MINUTE, DISK).any


def test_what_stands_is_told_again_once_a_day(look: Callable[..., TroubleNews]) -> None:
    look(NOW, DISK)
    reminded = [
        hours for hours in range(1, 24 * 5) if keys(look(NOW + hours * HOUR, DISK).reminded) == ["/var"]
    ]
    assert reminded == [24, 48, 72, 96]


def test_the_end_is_told_once_when_it_has_stayed_away_for_an_hour(look: Callable[..., TroubleNews]) -> None:
    look(NOW, DISK)
    assert not look(NOW + 2 * HOUR).any
    assert not look(NOW + 3 * HOUR - MINUTE).any
    news = look(NOW + 3 * HOUR)
    assert keys(news.over) == ["/var"]
    assert news.over[0].gone_since == NOW + 2 * HOUR, "it lasted until it was gone, not until that was told"
    assert not look(NOW + 4 * HOUR).any


def test_one_that_comes_back_within_an_hour_goes_on_in_silence(look: Callable[..., TroubleNews]) -> None:
    look(NOW, DISK)
    look(NOW + HOUR)
    news = look(NOW + HOUR + 59 * MINUTE, DISK)
    assert not news.any
    assert news.standing[0].since == NOW
    assert news.standing[0].gone_since is None


def test_one_that_comes_back_soon_after_it_was_over_is_told_and_must_then_stay_away_for_a_day(
    look: Callable[..., TroubleNews],
) -> None:
    look(NOW, DISK)
    look(NOW + HOUR)
    assert look(NOW + 2 * HOUR).over
    news = look(NOW + 3 * HOUR, DISK)
    assert keys(news.fresh) == ["/var"], "nobody may go on believing that it is over"
    assert news.fresh[0].again
    assert not any(look(NOW + (4 + hours) * HOUR).any for hours in range(24))
    assert look(NOW + 28 * HOUR).over


def test_one_that_comes_back_after_a_day_is_a_new_one(look: Callable[..., TroubleNews]) -> None:
    look(NOW, DISK)
    look(NOW + HOUR)
    look(NOW + 2 * HOUR)
    assert not look(NOW + 27 * HOUR, DISK).fresh[0].again


def test_a_restart_is_told_and_ends_in_silence(look: Callable[..., TroubleNews]) -> None:
    restarted = Trouble(TroubleKind.RESTARTED, "run", "it was cut off")
    assert look(NOW, restarted).fresh
    look(NOW + HOUR)
    news = look(NOW + 3 * HOUR)
    assert not news.any
    assert news.standing == ()
    assert news.kept[0].ended_at == NOW + 3 * HOUR


def test_several_at_once_are_told_together_the_most_pressing_first(look: Callable[..., TroubleNews]) -> None:
    assert keys(look(NOW, DISK, CYCLE, DISK).fresh) == ["cycle", "/var"]


def test_a_new_figure_is_kept_without_a_message(look: Callable[..., TroubleNews]) -> None:
    look(NOW, DISK)
    news = look(NOW + MINUTE, Trouble(DISK.kind, DISK.key, "90 MB left"))
    assert not news.any
    assert news.standing[0].trouble.message == "90 MB left"


@pytest.mark.parametrize("back", [timedelta(hours=5), timedelta(days=400)])
def test_what_a_wrong_clock_wrote_delays_neither_reminder_nor_end(
    look: Callable[..., TroubleNews], back: timedelta
) -> None:
    look(NOW + back, DISK, CYCLE)
    look(NOW + back + MINUTE, CYCLE)
    news = look(NOW, CYCLE)
    assert keys(news.reminded) == ["cycle"]
    assert keys(look(NOW + HOUR, CYCLE).over) == ["/var"]


def test_a_clock_that_was_corrected_by_seconds_brings_no_reminder(look: Callable[..., TroubleNews]) -> None:
    look(NOW, DISK)
    assert not look(NOW - timedelta(seconds=5), DISK).any


@pytest.mark.parametrize(
    ("kind", "key", "blind"),
    [
        (TroubleKind.CYCLE_OVERDUE, "cycle", True),
        (TroubleKind.RECORD_FAILED, "reading", True),
        (TroubleKind.UNDELIVERED, "deliveries", True),
        (TroubleKind.SOURCE_OLD, "source", True),
        (TroubleKind.JOB_HANGS, "delivery", True),
        (TroubleKind.JOB_FAILED, "cycle", True),
        (TroubleKind.JOB_FAILED, "retraining", False),
        (TroubleKind.DISK_LOW, "/var", False),
        (TroubleKind.MODEL_OLD, "model", False),
    ],
)
def test_only_what_keeps_dams_unseen_or_warnings_unheard_blinds(
    kind: TroubleKind, key: str, blind: bool
) -> None:
    assert Trouble(kind, key, "…").blinds is blind


def test_each_edit_that_is_refused_is_told_and_so_at_once_is_the_one_that_is_accepted() -> None:
    first = Trouble(TroubleKind.CONFIGURATION_REFUSED, "/etc/dam-warning", "one key is unknown")
    second = Trouble(TroubleKind.CONFIGURATION_REFUSED, "/etc/dam-warning", "a value is missing")
    told = weigh_troubles([first], [], NOW)
    assert [s.trouble for s in told.fresh] == [first]
    later = weigh_troubles([first], told.standing, NOW + timedelta(minutes=1))
    assert not later.any
    other = weigh_troubles([second], later.standing, NOW + timedelta(minutes=2))
    assert [s.trouble for s in other.reminded] == [second]
    mended = weigh_troubles([], other.standing, NOW + timedelta(minutes=3))
    assert [s.trouble for s in mended.over] == [second]
