"""Deliver what the record holds: each delivery by itself, most severe first, until it is sent or given up.

One recipient's trouble never silences another's. A send that takes long gives its place to the next
one after `slow_after_s` and is given up on after `deadline_s`; its thread is left behind, since none can be
stopped from outside. Only the thread that calls `deliver_due` touches the record.
"""

from __future__ import annotations

import logging
import queue
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from warning.alerts.expiry_notice import expiry_alert, expiry_message
from warning.clock import Clock, monotonic_s
from warning.domain.alert import Alert
from warning.domain.delivery import (
    Channel,
    Composed,
    DueDelivery,
    ExpiredDeliveries,
    Message,
    MessageForm,
    RetryPolicy,
    SendResult,
)
from warning.errors import JournalError
from warning.events import pairs

log = logging.getLogger(__name__)
T = TypeVar("T")

Send = Callable[[str, MessageForm, Message, bytes | None, float], SendResult]
WhoElse = Callable[[ExpiredDeliveries], tuple[tuple[str, str, MessageForm], ...]]

NO_PLOT = "The plot could not be drawn."
_PLOT_IMAGE = re.compile(r"<img\b[^>]*cid:plot\.png[^>]*>", re.IGNORECASE)
_LEASE_MARGIN_S = 60.0  # a claim outlives the deadline by this much
_KEPT_PLOTS = 16


class DeliveryRecord(Protocol):
    """What the outbox needs of the record."""

    def claim_due(self, now: datetime, limit: int, lease_s: float) -> list[DueDelivery]: ...

    def mark_sent(self, delivery: DueDelivery, now: datetime, detail: str) -> None: ...

    def mark_failed(
        self, delivery: DueDelivery, result: SendResult, now: datetime, next_attempt_at: datetime
    ) -> None: ...

    def mark_expired(
        self,
        now: datetime,
        notice: Callable[[ExpiredDeliveries], Alert | None],
        compose: Callable[[Alert, ExpiredDeliveries], Composed],
    ) -> list[ExpiredDeliveries]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How many sends run at once and how long each may take.

    `places` are taken by sends younger than `slow_after_s`; `most_threads` bounds all of them, those left
    behind included, and `most_hanging` those of one channel. `stop_grace_s`: how long a stop waits.
    """

    places: int = 8
    most_threads: int = 256
    most_hanging: int = 2
    slow_after_s: float = 5.0
    deadline_s: float = 60.0
    stop_grace_s: float = 5.0
    poll_s: float = 0.25


@dataclass(slots=True)
class DeliveryCount:
    """What one call came to; a delivery that failed will be tried again."""

    sent: int = 0
    failed: int = 0
    expired: int = 0


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One send on its way, and when it began on the monotonic clock."""

    delivery: DueDelivery
    began_s: float

    @property
    def channel(self) -> tuple[str, str]:
        return self.delivery.recipient_id, self.delivery.channel_id


class Outbox:
    """Sends deliveries through `send`. Call `deliver_due` from one thread at a time.

    `find_channel` gives a recipient's channel by ids, None where the configuration has it no more.
    `draw` makes the plot's PNG from recorded data. `who_else` says whom to tell when deliveries are given up.
    """

    def __init__(
        self,
        record: DeliveryRecord,
        send: Send,
        *,
        find_channel: Callable[[str, str], Channel | None],
        draw: Callable[[str], bytes | None],
        who_else: WhoElse,
        clock: Clock,
        retry: RetryPolicy,
        pace: Pace | None = None,
    ) -> None:
        self._record = record
        self._send = send
        self._find_channel = find_channel
        self._draw = draw
        self._who_else = who_else
        self._clock = clock
        self._retry = retry
        self._pace = pace or Pace()
        self._running: list[_Attempt] = []
        self._hanging: list[_Attempt] = []
        self._answers: queue.SimpleQueue[tuple[_Attempt, SendResult]] = queue.SimpleQueue()
        self._plots: dict[int, bytes | None] = {}
        self._drawing = threading.Lock()
        self.turns = (
            0  # rises while `deliver_due` goes on, so that one that hangs can be told from a busy one
        )

    def adopt(
        self, *, find_channel: Callable[[str, str], Channel | None], who_else: WhoElse, retry: RetryPolicy
    ) -> None:
        """Go on with other channels and another retry policy; what is on its way keeps its own."""
        self._find_channel, self._who_else, self._retry = find_channel, who_else, retry

    def deliver_due(self, stop: threading.Event) -> DeliveryCount:
        """Send what is due, and what falls due meanwhile, until nothing is on its way any more.

        Returns soon after `stop` is set: what is unfinished then stays claimed and is due again when
        its claim lapses. Raises JournalError where the record cannot be used; nothing is lost by it.
        """
        count = DeliveryCount()
        while not stop.is_set():
            self.turns += 1
            self._settle_answers(count, 0.0)
            self._leave_behind(count)
            if self._start_due(count):
                continue
            if not self._in_places() and self._give_up(count):
                continue  # the others' notices are due now
            if not self._running:
                return count
            self._settle_answers(count, self._pace.poll_s)
        self._finish(count)
        return count

    def _in_places(self) -> int:
        now_s = monotonic_s()
        return sum(now_s - attempt.began_s < self._pace.slow_after_s for attempt in self._running)

    def _start_due(self, count: DeliveryCount) -> int:
        """Claim as many deliveries as can start at once, so that no claim waits; return how many."""
        left = self._pace.most_threads - len(self._running) - len(self._hanging)
        free = min(self._pace.places - self._in_places(), left)
        if free <= 0:
            return 0
        lease_s = self._pace.deadline_s + _LEASE_MARGIN_S
        due = self._record.claim_due(self._clock.now(), free, lease_s)
        for delivery in due:
            self._start(delivery, count)
        return len(due)

    def _start(self, delivery: DueDelivery, count: DeliveryCount) -> None:
        attempt = _Attempt(delivery, monotonic_s())
        channel = self._find_channel(delivery.recipient_id, delivery.channel_id)
        if channel is None:
            gone = "the configuration has no such recipient or channel any more"
            self._settle(attempt, SendResult(ok=False, detail=gone, permanent=True), count)
            return
        if sum(other.channel == attempt.channel for other in self._hanging) >= self._pace.most_hanging:
            self._settle(attempt, SendResult(ok=False, detail="earlier attempts there still hang"), count)
            return
        self._running.append(attempt)
        threading.Thread(
            target=self._work, args=(attempt, channel), name=f"delivery-{delivery.id}", daemon=True
        ).start()

    def _work(self, attempt: _Attempt, channel: Channel) -> None:
        """Make one attempt, in a thread of its own."""
        result = guarded(lambda: self._make(attempt.delivery, channel))
        if isinstance(result, str):
            result = SendResult(ok=False, detail=result)
        self._answers.put((attempt, result))

    def _make(self, delivery: DueDelivery, channel: Channel) -> SendResult:
        message, png = delivery.message, None
        if delivery.form is MessageForm.EMAIL and delivery.plot_data is not None:
            png = self._plot(delivery.alert_number, delivery.plot_data)
            message = message if png is not None else without_plot(message)
        return self._send(channel.url, delivery.form, message, png, self._pace.deadline_s)

    def _plot(self, alert_number: int, plot_data: str) -> bytes | None:
        """Draw an alert's plot once for all who get it."""
        with self._drawing:
            if alert_number not in self._plots:
                drawn = guarded(lambda: self._draw(plot_data))
                if drawn is None or isinstance(drawn, str):
                    log.error(pairs("plot-failed", alert=alert_number, cause=drawn))
                    drawn = None
                while len(self._plots) >= _KEPT_PLOTS:
                    del self._plots[next(iter(self._plots))]
                self._plots[alert_number] = drawn
            return self._plots[alert_number]

    def _settle_answers(self, count: DeliveryCount, wait_s: float) -> None:
        """Mark what the threads have answered, waiting up to `wait_s` for the first answer."""
        try:
            attempt, result = self._answers.get(timeout=wait_s) if wait_s else self._answers.get_nowait()
            while True:
                self._answered(attempt, result, count)
                attempt, result = self._answers.get_nowait()
        except queue.Empty:
            return

    def _answered(self, attempt: _Attempt, result: SendResult, count: DeliveryCount) -> None:
        if attempt in self._running:
            self._running.remove(attempt)
            self._settle(attempt, result, count)
            return
        self._hanging.remove(attempt)
        if result.ok:  # its failure was marked at the deadline; that it was sent after all is news
            self._settle(attempt, replace(result, detail=f"{result.detail}, after the deadline"), count)

    def _leave_behind(self, count: DeliveryCount) -> None:
        """Mark what is past its deadline as failed; the thread may still come back with an answer."""
        now_s = monotonic_s()
        for attempt in [a for a in self._running if now_s - a.began_s >= self._pace.deadline_s]:
            self._running.remove(attempt)
            self._hanging.append(attempt)
            detail = f"no answer within {self._pace.deadline_s:g} s"
            self._settle(attempt, SendResult(ok=False, detail=detail), count)

    def _settle(self, attempt: _Attempt, result: SendResult, count: DeliveryCount) -> None:
        """Put the end of an attempt on record and into the log."""
        delivery, now = attempt.delivery, self._clock.now()
        known_as = {
            "alert": delivery.alert_number,
            "recipient": delivery.recipient_id,
            "channel": delivery.channel_id,
        }
        try:
            if result.ok:
                self._record.mark_sent(delivery, now, result.detail)
                count.sent += 1
                log.info(pairs("delivery-sent", **known_as))
            else:
                again_at = self._retry.next_attempt_at(delivery.attempts + 1, now)
                self._record.mark_failed(delivery, result, now, again_at)
                count.failed += 1
                log.warning(pairs("delivery-failed", **known_as, cause=result.detail))
        except JournalError as error:  # the claim lapses and the delivery is due again
            log.error(pairs("delivery-unrecorded", **known_as, sent=result.ok, cause=error))

    def _give_up(self, count: DeliveryCount) -> int:
        """Expire what is overdue and record that others are told; return for how many alerts."""
        now = self._clock.now()
        groups = self._record.mark_expired(now, lambda group: expiry_alert(group, now), self._compose_notice)
        for group in groups:
            count.expired += len(group.missed)
            whom = ",".join(sorted(group.recipient_ids))
            log.error(pairs("delivery-expired", alert=group.alert.number, recipients=whom))
        return len(groups)

    def _compose_notice(self, alert: Alert, expired: ExpiredDeliveries) -> Composed:
        told = self._who_else(expired)
        if not told:
            log.critical(
                pairs("nobody-told", alert=expired.alert.number, why="no way is left to tell anyone")
            )
        expires_at = alert.created_at + timedelta(hours=self._retry.expire_after_hours)
        return Composed(message=expiry_message(alert, expired), deliveries=told, expires_at=expires_at)

    def _finish(self, count: DeliveryCount) -> None:
        """Give running sends a moment to end, so that they need not be repeated."""
        until_s = monotonic_s() + self._pace.stop_grace_s
        while self._running and monotonic_s() < until_s:
            self._settle_answers(count, self._pace.poll_s)


def without_plot(message: Message) -> Message:
    """Return `message` saying in one line that its plot is missing."""
    note = f"<p>{NO_PLOT}</p>"
    html, replaced = _PLOT_IMAGE.subn(note, message.html)
    return replace(message, text=f"{message.text}\n\n{NO_PLOT}\n", html=html if replaced else html + note)


def guarded(action: Callable[[], T]) -> T | str:
    """Return what `action` returns, or where it broke; an exception's own text may hold a secret."""
    try:
        return action()
    except Exception as error:  # noqa: BLE001 — one delivery must never take the others with it
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = (
            f" at {trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else ""
        )
        return f"unexpected {type(error).__name__}{where}"
