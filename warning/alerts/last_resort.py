"""Tell people directly, without the record: for when the daemon is down or the record cannot be written.

What goes out here is on no record: nothing follows its arrival up and nobody else is told when it does not
arrive. Every message says so.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import escape

from warning.alerts.outbox import Send, guarded
from warning.alerts.plain import plain_message
from warning.alerts.sms import SMS_SEPTETS, septets, shorten, to_gsm7
from warning.alerts.wording import one_line
from warning.clock import monotonic_s
from warning.domain.alert import Alert, AlertKind
from warning.domain.assessment import Assessment
from warning.domain.delivery import Channel, Message, Recipient, SendResult, recipients_of
from warning.domain.reservoir import Reservoir, Severity

Crossing = tuple[Reservoir, Assessment]

UNRECORDED = (
    "This message was sent directly and is on no record: nobody is told if it does not arrive. "
    "Pass it on to everyone who has to act."
)
SILENCE = timedelta(hours=6)
_PLACES = 16  # sends that run at once while they answer; those that hang give their places up
_SLOW_S = 5.0
_DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class Told:
    """Who was reached by at least one channel, and each way that failed: (recipient, channel, cause)."""

    reached: tuple[str, ...] = ()
    failures: tuple[tuple[str, str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.reached)


@dataclass(slots=True)
class _Round:
    """The sends of one message: what waits, what is on its way, and what has answered."""

    waiting: list[tuple[str, Channel]]
    running: set[tuple[str, str]] = field(default_factory=set)
    answers: queue.SimpleQueue[tuple[tuple[str, str], SendResult]] = field(default_factory=queue.SimpleQueue)
    results: dict[tuple[str, str], SendResult] = field(default_factory=dict)


def tell_directly(
    recipients: Iterable[Recipient],
    message: Message,
    send: Send,
    *,
    deadline_s: float = _DEADLINE_S,
    slow_after_s: float = _SLOW_S,
) -> Told:
    """Send `message` to every channel of `recipients` and say who was reached, within `deadline_s`.

    Each send has a thread of its own; one that hangs is left behind and holds up no other.
    """
    ways = [(recipient.id, channel) for recipient in recipients for channel in recipient.channels]
    sending = _Round(list(reversed(ways)))
    until_s = monotonic_s() + deadline_s
    places = _PLACES
    while (sending.waiting or sending.running) and (left_s := until_s - monotonic_s()) > 0:
        while sending.waiting and len(sending.running) < places:
            _start(sending, message, send, left_s)
        try:
            key, result = sending.answers.get(timeout=min(slow_after_s, left_s))
        except queue.Empty:
            places += _PLACES
            continue
        sending.running.discard(key)
        sending.results[key] = result
    late = SendResult(ok=False, detail=f"no answer within {deadline_s:g} s")
    results = [(who, channel.id, sending.results.get((who, channel.id), late)) for who, channel in ways]
    return Told(
        tuple(dict.fromkeys(who for who, _, result in results if result.ok)),
        tuple((who, channel, result.detail) for who, channel, result in results if not result.ok),
    )


def _start(sending: _Round, message: Message, send: Send, timeout_s: float) -> None:
    who, channel = sending.waiting.pop()
    key = who, channel.id
    sending.running.add(key)

    def work() -> None:
        result = guarded(lambda: send(channel.url, channel.form, message, None, timeout_s))
        if isinstance(result, str):
            result = SendResult(ok=False, detail=result)
        sending.answers.put((key, result))

    threading.Thread(target=work, name=f"direct-{who}", daemon=True).start()


def direct_message(subject: str, paragraphs: Sequence[str], sms: str) -> Message:
    """Put plain paragraphs into all forms; each says at its end that it is on no record."""
    said = [*(paragraph.rstrip() for paragraph in paragraphs if paragraph.strip()), UNRECORDED]
    html = "".join(f'<p style="white-space:pre-wrap">{escape(paragraph)}</p>' for paragraph in said)
    return Message(
        subject=one_line(subject)[:160],
        text="\n\n".join(said) + "\n",
        html=f'<!DOCTYPE html><html lang="en"><body>{html}</body></html>',
        sms=shorten(to_gsm7(sms), SMS_SEPTETS),
    )


def crossings_message(crossings: Sequence[Crossing], host: str, cause: str, now: datetime) -> Message:
    """Put crossings that could not be recorded into words, the most severe first."""
    ordered = sorted(crossings, key=lambda crossing: crossing[1].severity or _LEAST, reverse=True)
    plain = [plain_message(_alert(dam, found, now), dam.id, dam.name, now) for dam, found in ordered]
    worst = plain[0]
    more = f" and {len(plain) - 1} more" if len(plain) > 1 else ""
    tail = " NOT ON RECORD"
    return direct_message(
        f"{worst.subject}{more} (not on record)",
        [
            *(words.text for words in plain),
            f"dam-warning on {host} saw this by observation alone and could not put it on record: "
            f"{one_line(cause)} Until that is mended, warnings reach people only like this, each dam and "
            f"severity at most once in {SILENCE // timedelta(hours=1)} hours, and no forecast is looked at.",
        ],
        shorten(to_gsm7(worst.sms) + to_gsm7(more), SMS_SEPTETS - septets(tail)) + tail,
    )


_LEAST = Severity(0, "none")


def _alert(dam: Reservoir, found: Assessment, now: datetime) -> Alert:
    """The alert that would have been recorded; it has no number, since only the record gives one."""
    return Alert(
        kind=AlertKind.RAISE,
        reservoir_id=dam.id,
        created_at=now,
        severity=found.severity,
        previous_severity=None,
        follows=None,
        reasons=(),
        assessment=found,
    )


class LastResort:
    """Tells people of crossings that the record cannot hold; remembers what it told while it lives."""

    def __init__(self, send: Send, host: str) -> None:
        self._send = send
        self._host = host
        self._told_at: dict[tuple[str, Severity], datetime] = {}

    def tell(
        self, crossings: Iterable[Crossing], recipients: Iterable[Recipient], cause: str, now: datetime
    ) -> Told:
        """Tell whoever would hear of each crossing, unless the same was told in the last six hours.

        `cause` says why nothing could be recorded. What reached nobody counts as not told.
        """
        fresh = [(dam, found) for dam, found in crossings if not self._lately(dam, found.severity, now)]
        groups: dict[tuple[str, ...], list[Recipient]] = {}
        for recipient in recipients:
            heard = tuple(
                dam.id for dam, found in fresh if recipients_of(_alert(dam, found, now), (recipient,))
            )
            if heard:
                groups.setdefault(heard, []).append(recipient)
        told = [self._tell_group(heard, group, fresh, cause, now) for heard, group in groups.items()]
        return Told(
            tuple(who for one in told for who in one.reached),
            tuple(failure for one in told for failure in one.failures),
        )

    def _tell_group(
        self,
        heard: tuple[str, ...],
        group: Iterable[Recipient],
        fresh: Iterable[Crossing],
        cause: str,
        now: datetime,
    ) -> Told:
        theirs = [(dam, found) for dam, found in fresh if dam.id in heard]
        told = tell_directly(group, crossings_message(theirs, self._host, cause, now), self._send)
        if told:
            for dam, found in theirs:
                if found.severity is not None:
                    self._told_at[dam.id, found.severity] = now
        return told

    def _lately(self, dam: Reservoir, severity: Severity | None, now: datetime) -> bool:
        """Whether this was told; a time in the future, after a clock went wrong, silences nothing."""
        if severity is None:
            return True  # nothing was crossed
        told_at = self._told_at.get((dam.id, severity))
        return told_at is not None and timedelta(0) <= now - told_at < SILENCE
