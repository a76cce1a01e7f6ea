"""Troubles are on record with the message that tells of them, in one transaction, across restarts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from warning.domain.alert import THE_SERVICE, Alert, AlertKind, Standing
from warning.domain.delivery import Composed, SendResult
from warning.domain.readings import ReadingSeries
from warning.domain.troubles import Trouble, TroubleKind, TroubleNews
from warning.journal.entries import CycleEntry
from warning.journal.journal import Journal

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DISK = Trouble(TroubleKind.DISK_LOW, "/var", "210 MB left", "210 MB free")
Tell = Callable[..., TroubleNews]


@pytest.fixture
def tell(journal: Journal, alert: Callable[..., Alert], compose: Callable[..., Any]) -> Tell:
    """Tell the journal what was found."""

    def telling(at: datetime, *found: Trouble, through: Journal = journal) -> TroubleNews:
        return through.tell_troubles(
            found,
            at,
            lambda news: alert(AlertKind.SERVICE, None, reservoir_id=THE_SERVICE, created_at=at),
            lambda numbered, news: compose()(numbered),
        )

    return telling


def test_a_trouble_stands_on_record_with_its_alert_and_deliveries(journal: Journal, tell: Tell) -> None:
    tell(NOW, DISK)
    (standing,) = journal.standing_troubles()
    assert (standing.trouble, standing.since) == (replace(DISK, detail=""), NOW)
    (row,) = journal.recent_alerts(9)
    assert (row.reservoir_id, row.kind) == (THE_SERVICE, "service")
    assert len(journal.recent_deliveries(9, unsettled=True)) == 2


def test_looking_again_writes_nothing_until_something_is_told(journal: Journal, tell: Tell) -> None:
    for minutes in (0, 1, 2):
        tell(NOW + timedelta(minutes=minutes), DISK)
    assert len(journal.recent_alerts(9)) == 1
    tell(NOW + 24 * HOUR, DISK)
    assert len(journal.recent_alerts(9)) == 2


def test_what_stood_before_a_restart_stands_after_it_and_is_not_told_anew(
    journal: Journal, url: str, tell: Tell
) -> None:
    tell(NOW, DISK)
    journal.close()
    again = Journal.open(url)
    try:
        assert not tell(NOW + HOUR, DISK, through=again).any
        tell(NOW + 2 * HOUR, through=again)
        assert again.standing_troubles()[0].gone_since == NOW + 2 * HOUR
        assert tell(NOW + 3 * HOUR, through=again).over
        assert again.standing_troubles() == ()
        assert tell(NOW + 4 * HOUR, DISK, through=again).fresh[0].again
    finally:
        again.close()


def test_a_message_that_cannot_be_composed_leaves_the_trouble_untold(
    journal: Journal, alert: Callable[..., Alert], tell: Tell
) -> None:
    def broken(numbered: Alert, news: TroubleNews) -> Composed:
        raise ValueError("no words")

    with pytest.raises(ValueError, match="no words"):
        journal.tell_troubles((DISK,), NOW, lambda news: alert(AlertKind.SERVICE, None), broken)
    assert journal.standing_troubles() == ()
    assert journal.recent_alerts(9) == []
    assert tell(NOW, DISK).fresh


def test_an_alert_about_the_service_touches_no_dam(
    journal: Journal,
    alert: Callable[..., Alert],
    compose: Callable[..., Any],
    entry: Callable[..., CycleEntry],
    tell: Tell,
) -> None:
    journal.record(entry(alert(), standing=Standing(unwatched=False)), compose())
    before = journal.all_standings(), journal.recent_alerts(9, "oroville")
    tell(NOW, DISK)
    numbered = journal.announce(alert(AlertKind.HEARTBEAT, None, reservoir_id=THE_SERVICE), compose())
    assert numbered.number == 3
    assert (journal.all_standings(), journal.recent_alerts(9, "oroville")) == before
    assert [row.number for row in journal.recent_alerts(9, of_dams=True)] == [1]
    assert journal.alert_record(3) is not None


def test_waiting_counts_by_recipient_what_is_neither_sent_nor_given_up(
    journal: Journal, alert: Callable[..., Alert], compose: Callable[..., Any]
) -> None:
    for hours in (0, 1, 5):
        journal.announce(alert(created_at=NOW + hours * HOUR), compose())
    first = next(d for d in journal.claim_due(NOW + HOUR, 9, 60) if d.recipient_id == "jane")
    journal.mark_sent(first, NOW + HOUR, "sent")
    other = next(d for d in journal.claim_due(NOW + 2 * HOUR, 9, 60) if d.recipient_id == "jane")
    journal.mark_failed(other, SendResult(False, "refused"), NOW + HOUR, NOW + 9 * HOUR)
    assert [(w.recipient_id, w.deliveries, w.oldest_at) for w in journal.waiting(NOW + 2 * HOUR)] == [
        ("omar", 2, NOW),
        ("jane", 1, NOW + HOUR),
    ]
    assert journal.waiting(NOW - HOUR) == ()


def test_a_dam_is_seen_as_its_newest_cycle_saw_it(
    journal: Journal, entry: Callable[..., CycleEntry], compose: Callable[..., Any], series: ReadingSeries
) -> None:
    journal.record(entry(series=series), compose())
    assert journal.sights()["oroville"].last_day == date(2026, 11, 22)
    journal.record(entry(standing=Standing(unwatched=True), recorded_at=NOW + HOUR), compose())
    sight = journal.sights()["oroville"]
    assert (sight.unwatched, sight.last_day) == (True, None)
    assert journal.newest_assessments() == {}
