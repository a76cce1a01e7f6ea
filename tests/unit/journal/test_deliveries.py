"""A delivery in the record: claimed by one at a time, lapsing, settled once, and never dropped unseen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from warning.domain.alert import Alert, AlertKind
from warning.domain.delivery import Composed, DeliveryState, ExpiredDeliveries, MessageForm, SendResult
from warning.errors import JournalError
from warning.journal.entries import CycleEntry
from warning.journal.journal import Journal

MakeAlert = Callable[..., Alert]
MakeEntry = Callable[..., CycleEntry]
Compose = Callable[..., Callable[[Alert], Composed]]
Put = Callable[..., tuple[Alert, ...]]

LEASE_S = 120.0
REFUSED = SendResult(ok=False, detail="451 later")


@pytest.fixture
def put(journal: Journal, alert: MakeAlert, entry: MakeEntry, compose: Compose) -> Put:
    """Record one alert for Jane's mail and Omar's SMS."""

    def make(*to: tuple[str, str, MessageForm], **fields: object) -> tuple[Alert, ...]:
        return journal.record(entry(alert(**fields)), compose(*to))

    return make


def no_notice(expired: ExpiredDeliveries) -> None:
    return None


def no_words(alert: Alert, expired: ExpiredDeliveries) -> Composed:
    raise AssertionError("nothing is to be said")


def test_a_claimed_delivery_is_handed_out_once_until_its_claim_lapses(
    journal: Journal, put: Put, now: datetime
) -> None:
    put()
    claimed = journal.claim_due(now, 10, LEASE_S)
    assert [(d.recipient_id, d.form, d.alert_number) for d in claimed] == [
        ("jane", MessageForm.EMAIL, 1),
        ("omar", MessageForm.SMS, 1),
    ]
    assert claimed[0].message.subject == "Alert 1"
    assert journal.claim_due(now + timedelta(seconds=LEASE_S - 1), 10, LEASE_S) == []
    again = journal.claim_due(now + timedelta(seconds=LEASE_S), 10, LEASE_S)
    assert [(d.id, d.claim) for d in again] == [(d.id, 2) for d in claimed]


def test_no_two_of_many_threads_ever_claim_the_same_delivery(
    journal: Journal, put: Put, now: datetime
) -> None:
    put(*((f"r{i}", "mail", MessageForm.EMAIL) for i in range(40)))
    claimed: list[int] = []
    start = threading.Barrier(6)

    def claim() -> None:
        start.wait()
        while due := journal.claim_due(now, 3, LEASE_S):
            claimed.extend(d.id for d in due)

    threads = [threading.Thread(target=claim) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == list(range(1, 41))


def test_the_most_severe_goes_first_then_the_least_tried(journal: Journal, put: Put, now: datetime) -> None:
    jane = ("jane", "mail", MessageForm.EMAIL)
    put(jane, rank=1)
    put(jane, rank=None, kind=AlertKind.FINDING)
    put(jane, rank=4)
    put(jane, rank=4)
    put(jane, rank=None, previous_severity=None, kind=AlertKind.UNWATCHED)
    first = journal.claim_due(now, 1, LEASE_S)[0]
    assert first.alert_number == 3
    journal.mark_failed(first, REFUSED, now, now)
    assert [d.alert_number for d in journal.claim_due(now, 9, LEASE_S)] == [4, 3, 1, 2, 5]


def test_what_was_sent_is_never_handed_out_again(journal: Journal, put: Put, now: datetime) -> None:
    put()
    for delivery in journal.claim_due(now, 10, LEASE_S):
        journal.mark_sent(delivery, now + timedelta(seconds=2), "accepted")
    assert journal.claim_due(now + timedelta(days=400), 10, LEASE_S) == []
    shown = journal.alert_record(1)
    assert shown is not None
    for delivery, attempts in shown.deliveries:
        assert (delivery.state, delivery.attempts, delivery.claims) == (DeliveryState.SENT, 1, 1)
        assert [(a.begun_at, a.outcome, a.detail) for a in attempts] == [(now, "sent", "accepted")]


def test_a_failed_delivery_waits_for_its_next_attempt(journal: Journal, put: Put, now: datetime) -> None:
    put(("jane", "mail", MessageForm.EMAIL))
    again_at = now + timedelta(seconds=30)
    journal.mark_failed(journal.claim_due(now, 1, LEASE_S)[0], REFUSED, now, again_at)
    assert journal.claim_due(again_at - timedelta(seconds=1), 1, LEASE_S) == []
    (due,) = journal.claim_due(again_at, 1, LEASE_S)
    assert due.attempts == 1
    journal.mark_sent(due, again_at, "accepted")
    shown = journal.alert_record(1)
    assert shown is not None
    ((delivery, attempts),) = shown.deliveries
    assert [a.outcome for a in attempts] == ["failed", "sent"]
    assert (delivery.state, delivery.attempts) == (DeliveryState.SENT, 2)


def test_who_lost_a_claim_can_report_success_but_not_failure(
    journal: Journal, put: Put, now: datetime
) -> None:
    put(("jane", "mail", MessageForm.EMAIL))
    (slow,) = journal.claim_due(now, 1, LEASE_S)
    later = now + timedelta(seconds=LEASE_S)
    (quick,) = journal.claim_due(later, 1, LEASE_S)
    journal.mark_failed(slow, REFUSED, later, now)
    assert journal.claim_due(later, 1, LEASE_S) == []  # the newer claim still holds
    journal.mark_sent(slow, later, "accepted")
    journal.mark_failed(quick, REFUSED, later, later)
    assert journal.recent_deliveries(1)[0].state is DeliveryState.SENT


def try_and_fail(journal: Journal, now: datetime, next_attempt_at: datetime) -> None:
    """Let every delivery that is due at `now` be refused."""
    for delivery in journal.claim_due(now, 9, LEASE_S):
        journal.mark_failed(delivery, REFUSED, now, next_attempt_at)


def test_after_days_of_downtime_each_delivery_is_tried_once_more_before_it_is_given_up(
    journal: Journal, put: Put, now: datetime
) -> None:
    put()
    back = now + timedelta(days=3)
    assert journal.mark_expired(back, no_notice, no_words) == []
    jane, omar = journal.claim_due(back, 9, LEASE_S)
    journal.mark_sent(jane, back, "accepted")
    journal.mark_failed(omar, REFUSED, back, back + timedelta(seconds=30))
    assert journal.claim_due(back + timedelta(minutes=1), 9, LEASE_S) == []
    (expired,) = journal.mark_expired(back, no_notice, no_words)
    assert expired.recipient_ids == {"omar"}


def test_what_is_overdue_is_given_up_and_someone_else_is_told_in_the_same_breath(
    journal: Journal, put: Put, alert: MakeAlert, compose: Compose, now: datetime
) -> None:
    put()
    over = now + timedelta(hours=24)
    try_and_fail(journal, now, next_attempt_at=over + timedelta(seconds=1))
    assert journal.claim_due(over, 10, LEASE_S) == []
    told: list[ExpiredDeliveries] = []

    def notice(expired: ExpiredDeliveries) -> Alert:
        told.append(expired)
        return alert(AlertKind.FINDING, follows=expired.alert.number, created_at=over)

    words = compose(("tom", "mail", MessageForm.EMAIL))
    assert journal.mark_expired(over, notice, lambda numbered, _: words(numbered)) == told
    assert told[0].missed == (("jane", "mail", "451 later"), ("omar", "sms", "451 later"))
    assert [(a.number, a.follows) for a in journal.recent_alerts(1)] == [(2, 1)]
    assert [d.recipient_id for d in journal.claim_due(over, 10, LEASE_S)] == ["tom"]
    assert journal.mark_expired(over, no_notice, no_words) == []


def test_a_permanent_failure_expires_at_once(journal: Journal, put: Put, now: datetime) -> None:
    put()
    (jane,) = journal.claim_due(now, 1, LEASE_S)
    gone = SendResult(ok=False, detail="no such channel", permanent=True)
    journal.mark_failed(jane, gone, now, now + timedelta(seconds=30))
    (expired,) = journal.mark_expired(now, no_notice, no_words)
    assert expired.missed == (("jane", "mail", "no such channel"),)
    assert [d.recipient_id for d in journal.claim_due(now, 9, LEASE_S)] == ["omar"]


def test_a_delivery_that_is_being_sent_is_not_given_up_meanwhile(
    journal: Journal, put: Put, now: datetime
) -> None:
    put(("jane", "mail", MessageForm.EMAIL))
    last_minute = now + timedelta(hours=24) - timedelta(seconds=10)
    (delivery,) = journal.claim_due(last_minute, 1, LEASE_S)
    over = now + timedelta(hours=24)
    assert journal.mark_expired(over, no_notice, no_words) == []
    journal.mark_failed(delivery, REFUSED, over, over + timedelta(seconds=30))
    assert len(journal.mark_expired(over, no_notice, no_words)) == 1


def test_a_notice_that_cannot_be_recorded_leaves_the_delivery_open_and_other_alerts_alone(
    journal: Journal, put: Put, alert: MakeAlert, compose: Compose, now: datetime
) -> None:
    put(("jane", "mail", MessageForm.EMAIL))
    put(("omar", "sms", MessageForm.SMS))
    over = now + timedelta(hours=24)
    try_and_fail(journal, now, next_attempt_at=over + timedelta(seconds=1))

    def notice(expired: ExpiredDeliveries) -> Alert | None:
        if expired.alert.number == 1:
            raise JournalError("disk full")
        return None

    assert [e.alert.number for e in journal.mark_expired(over, notice, no_words)] == [2]
    assert [d.recipient_id for d in journal.recent_deliveries(9, unsettled=True)] == ["jane"]


def test_a_delivery_that_another_process_sends_just_now_is_not_claimed(
    journal: Journal, put: Put, url: str, now: datetime
) -> None:
    put(("jane", "mail", MessageForm.EMAIL))
    other = Journal.open(url)
    assert len(other.claim_due(now, 1, LEASE_S)) == 1
    assert journal.claim_due(now, 1, LEASE_S) == []
    other.close()


def test_a_claim_by_someone_quicker_is_noticed_by_the_row_count(
    journal: Journal, put: Put, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warning.journal import delivering

    put(("jane", "mail", MessageForm.EMAIL))
    claim = delivering._claim

    def beaten(connection, row, at, until):  # type: ignore[no-untyped-def]
        assert claim(connection, row, at, until)  # somebody else's update, after our query
        return claim(connection, row, at, until)

    monkeypatch.setattr(delivering, "_claim", beaten)
    assert journal.claim_due(now, 1, LEASE_S) == []


def test_a_recipient_named_twice_gets_one_delivery_a_channel(journal: Journal, put: Put) -> None:
    jane = ("jane", "mail", MessageForm.EMAIL)
    put(jane, jane, ("jane", "sms", MessageForm.SMS))
    assert [d.channel_id for d in journal.recent_deliveries(9)] == ["sms", "mail"]
