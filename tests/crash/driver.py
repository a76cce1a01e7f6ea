"""Records a warning and delivers it, in a child that kills itself at a given step.

Reads lines `record-url smtp-port seconds step` from standard input, forks for each, and answers with the
child's fate: `killed`, or the number of steps it took. A step is taken before every SQL statement, before
every commit, before every reply of the mail server is read, and around every send.
"""

from __future__ import annotations

import itertools
import os
import signal
import smtplib
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, event

from warning.alerts.apprise_sender import problem_with, send
from warning.alerts.outbox import Outbox, Pace
from warning.clock import FixedClock
from warning.domain.alert import Alert, AlertKind, Standing
from warning.domain.delivery import (
    Channel,
    Composed,
    ExpiredDeliveries,
    Message,
    MessageForm,
    Recipient,
    RetryPolicy,
    SendResult,
    others_to_tell,
)
from warning.domain.reservoir import Severity
from warning.journal.entries import CycleEntry
from warning.journal.journal import Journal

EPOCH = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
HIGH = Severity(4, "emergency")
GHOST = "ghost"  # was told to be warned, and is in the configuration no more


class Steps:
    """Counts the steps and kills the process at one of them."""

    def __init__(self, last: int) -> None:
        self._last = last
        self._numbers = itertools.count(1)
        self.taken = 0

    def take(self, *anything: Any) -> None:
        self.taken = next(self._numbers)
        if self.taken == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


def recipient(name: str, port: int) -> Recipient:
    url = f"mailto://127.0.0.1:{port}/?from=dam@example.org&to={name}@example.org"
    return Recipient(
        id=name, name=name, channels=(Channel("mail", MessageForm.EMAIL, url),), least_severity=HIGH
    )


def record_once(journal: Journal, recipients: list[Recipient], now: datetime) -> None:
    """What a cycle does on a flood: raise the warning, unless it stands already."""
    if journal.standing("oroville").severity is not None:
        return
    cycle = journal.begin_cycle(now, "digest", None)
    alert = Alert(
        kind=AlertKind.RAISE,
        reservoir_id="oroville",
        created_at=now,
        severity=HIGH,
        previous_severity=None,
        follows=None,
        reasons=(),
        assessment=None,
    )
    entry = CycleEntry(
        cycle_id=cycle,
        reservoir_id="oroville",
        recorded_at=now,
        series=None,
        forecast=None,
        assessment=None,
        findings=(),
        alerts=(alert,),
        standing=Standing(severity=HIGH, announced_at=now),
    )

    def compose(numbered: Alert) -> Composed:
        told = [(r.id, "mail", MessageForm.EMAIL) for r in recipients]
        return Composed(
            message=Message(f"Alert {numbered.number}", "text", "<p>html</p>", "sms"),
            deliveries=((GHOST, "mail", MessageForm.EMAIL), *told),
            expires_at=now + timedelta(hours=24),
        )

    journal.record(entry, compose)
    journal.close_cycle(cycle, now, reservoirs=1, forecasts=0, unwatched=0, alerts=1, failures=0)


def run(url: str, port: int, now: datetime, steps: Steps) -> None:
    """Record and deliver, as the daemon does after every start."""
    event.listen(Engine, "before_cursor_execute", steps.take)
    event.listen(Engine, "commit", steps.take)
    read_reply = smtplib.SMTP.getreply

    def getreply(self: smtplib.SMTP) -> tuple[int, bytes]:
        steps.take()
        return read_reply(self)

    smtplib.SMTP.getreply = getreply  # type: ignore[method-assign]

    def stepping_send(*arguments: Any) -> SendResult:
        steps.take()
        result = send(*arguments)
        steps.take()
        return result

    recipients = [recipient("jane", port), recipient("omar", port)]
    channels = {(r.id, c.id): c for r in recipients for c in r.channels}
    journal = Journal.open(url)
    record_once(journal, recipients, now)

    def who_else(expired: ExpiredDeliveries) -> tuple[tuple[str, str, MessageForm], ...]:
        return others_to_tell(expired, recipients)

    outbox = Outbox(
        journal,
        stepping_send,
        find_channel=lambda recipient_id, channel_id: channels.get((recipient_id, channel_id)),
        draw=lambda plot_data: None,
        who_else=who_else,
        clock=FixedClock(now),
        retry=RetryPolicy(first_wait_s=0),
        pace=Pace(places=1, slow_after_s=60),
    )
    outbox.deliver_due(threading.Event())
    journal.close()
    steps.take()


def fate(url: str, port: int, now: datetime, last: int) -> str:
    """Run in a child and say how it ended."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        steps = Steps(last)
        try:
            run(url, port, now, steps)
            os.write(writable, str(steps.taken).encode())
        finally:
            os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as answer:
        said = answer.read()
    _, status = os.waitpid(child, 0)
    return "killed" if os.WIFSIGNALED(status) else said or "failed"


def main() -> None:
    """Answer line by line."""
    problem_with(recipient("anyone", 25).channels[0].url)  # loads Apprise's plugins once for all children
    for line in sys.stdin:
        url, port, seconds, last = line.split()
        print(fate(url, int(port), EPOCH + timedelta(seconds=int(seconds)), int(last)), flush=True)


if __name__ == "__main__":
    main()
