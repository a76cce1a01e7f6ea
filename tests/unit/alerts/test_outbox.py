"""Delivering what is on record, with a real record, real threads and real mail servers."""

from __future__ import annotations

import email
import email.policy
import logging
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from warning.alerts import apprise_sender
from warning.alerts.outbox import NO_PLOT, Outbox, Pace, without_plot
from warning.clock import FixedClock, SystemClock
from warning.domain.alert import CALM, Alert, AlertKind
from warning.domain.delivery import (
    Channel,
    Composed,
    DeliveryState,
    ExpiredDeliveries,
    Message,
    MessageForm,
    Recipient,
    RetryPolicy,
    SendResult,
    others_to_tell,
)
from warning.domain.findings import FindingKind
from warning.domain.reservoir import Severity
from warning.journal.entries import CycleEntry
from warning.journal.journal import Journal

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
LOW, HIGH = Severity(1, "advisory"), Severity(4, "emergency")
PNG = b"\x89PNG"
QUICK = Pace(places=4, poll_s=0.02)
IMPATIENT = Pace(places=4, slow_after_s=0.1, deadline_s=0.4, poll_s=0.02)


class Post:
    """Keeps what was sent, and answers by recipient as told."""

    def __init__(self, **answers: Callable[[], SendResult] | SendResult) -> None:
        self.answers = answers
        self.sent: list[tuple[str, MessageForm, Message, bytes | None]] = []

    def __call__(
        self, url: str, form: MessageForm, message: Message, png: bytes | None, timeout_s: float
    ) -> SendResult:
        self.sent.append((url, form, message, png))
        answer = self.answers.get(url, SendResult(ok=True, detail="accepted"))
        return answer() if callable(answer) else answer

    def to(self, url: str) -> list[Message]:
        return [message for sent_to, _, message, _ in self.sent if sent_to == url]


class Office:
    """A record, recipients who each have one channel whose URL is their id, and the outbox between."""

    def __init__(self, url: str, *recipients: str, form: MessageForm = MessageForm.EMAIL) -> None:
        self.url = url
        self.journal = Journal.open(url)
        self.recipients = [
            Recipient(id=name, name=name, channels=(Channel("mail", form, name),), least_severity=LOW)
            for name in recipients
        ]
        self.clock: Any = FixedClock(NOW)
        self.drawn: list[str] = []

    def channel(self, recipient_id: str, channel_id: str) -> Channel | None:
        found = {(r.id, c.id): c for r in self.recipients for c in r.channels}
        return found.get((recipient_id, channel_id))

    def draw(self, plot_data: str) -> bytes | None:
        self.drawn.append(plot_data)
        return PNG

    def outbox(self, send: Any, pace: Pace = QUICK, **parts: Any) -> Outbox:
        defaults: dict[str, Any] = {
            "find_channel": self.channel,
            "draw": self.draw,
            "who_else": self.who_else,
            "clock": self.clock,
            "retry": RetryPolicy(),
        }
        return Outbox(self.journal, send, pace=pace, **(defaults | parts))

    def who_else(self, expired: ExpiredDeliveries) -> tuple[tuple[str, str, MessageForm], ...]:
        return others_to_tell(expired, self.recipients)

    def raise_alert(
        self, *to: str, severity: Severity = HIGH, dam: str = "oroville", at: datetime = NOW
    ) -> int:
        """Record an alert for the given recipients, by default all, and return its number."""
        alert = Alert(
            kind=AlertKind.RAISE,
            reservoir_id=dam,
            created_at=at,
            severity=severity,
            previous_severity=None,
            follows=None,
            reasons=(),
            assessment=None,
        )
        entry = CycleEntry(
            cycle_id=self.journal.begin_cycle(at, "digest", None),
            reservoir_id=dam,
            recorded_at=at,
            series=None,
            forecast=None,
            assessment=None,
            findings=(),
            alerts=(alert,),
            standing=CALM,
        )
        told = [r for r in self.recipients if not to or r.id in to]

        def compose(numbered: Alert) -> Composed:
            return Composed(
                message=Message(f"Alert {numbered.number}", "text", '<p><img src="cid:plot.png"></p>', "sms"),
                deliveries=tuple((r.id, c.id, c.form) for r in told for c in r.channels),
                expires_at=at + timedelta(hours=24),
                plot_data='{"plot":1}',
            )

        (made,) = self.journal.record(entry, compose)
        assert made.number is not None
        return made.number

    def states(self) -> dict[str, DeliveryState]:
        return {d.recipient_id: d.state for d in self.journal.recent_deliveries(999) if d.alert_number == 1}


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Callable[..., Office]]:
    with ExitStack() as opened:

        def make(*recipients: str, **options: Any) -> Office:
            made = Office(f"sqlite:///{tmp_path / 'record.db'}", *recipients, **options)
            opened.callback(made.journal.close)
            return made

        yield make


MakeOffice = Callable[..., Office]
NEVER = threading.Event()
REFUSED = SendResult(ok=False, detail="451 later")


def test_everything_due_is_sent_once_and_marked(office: MakeOffice) -> None:
    at, post = office("jane", "omar", "tom"), Post()
    at.raise_alert()
    outbox = at.outbox(post)
    assert outbox.deliver_due(NEVER).sent == 3
    assert outbox.deliver_due(NEVER).sent == 0
    assert sorted(url for url, *_ in post.sent) == ["jane", "omar", "tom"]
    assert set(at.states().values()) == {DeliveryState.SENT}


def test_one_recipients_trouble_touches_no_other(office: MakeOffice) -> None:
    def crash() -> SendResult:
        raise RuntimeError("with mailto://user:password@host in its text")

    at = office("jane", "omar", "tom")
    at.raise_alert()
    post = Post(jane=crash, omar=REFUSED)
    count = at.outbox(post).deliver_due(NEVER)
    assert (count.sent, count.failed) == (1, 2)
    assert at.states() == {
        "jane": DeliveryState.FAILED,
        "omar": DeliveryState.FAILED,
        "tom": DeliveryState.SENT,
    }
    details = {d.recipient_id: d.detail for d in at.journal.recent_deliveries(9)}
    assert details["jane"].startswith("unexpected RuntimeError at test_outbox.py:")
    assert "password" not in details["jane"]


def test_the_most_severe_alert_goes_out_first(office: MakeOffice) -> None:
    at, post = office("jane"), Post()
    at.raise_alert(severity=LOW)
    at.raise_alert(severity=HIGH)
    at.outbox(post, Pace(places=1)).deliver_due(NEVER)
    assert [message.subject for message in post.to("jane")] == ["Alert 2", "Alert 1"]


def test_the_plot_is_drawn_once_for_all_mails_and_never_for_a_short_message(office: MakeOffice) -> None:
    at, post = office("jane", "omar", "tom"), Post()
    at.raise_alert()
    at.outbox(post).deliver_due(NEVER)
    assert at.drawn == ['{"plot":1}']
    assert {png for *_, png in post.sent} == {PNG}


def test_a_short_message_waits_for_no_plot(office: MakeOffice) -> None:
    at, post = office("jane", form=MessageForm.SMS), Post()
    at.raise_alert()
    at.outbox(post).deliver_due(NEVER)
    assert (at.drawn, [png for *_, png in post.sent]) == ([], [None])


@pytest.mark.parametrize("draw", [lambda plot_data: None, lambda plot_data: 1 / 0])
def test_without_a_plot_the_mail_goes_out_and_says_so(office: MakeOffice, draw: Any) -> None:
    at, post = office("jane"), Post()
    at.raise_alert()
    assert at.outbox(post, draw=draw).deliver_due(NEVER).sent == 1
    ((_, _, message, png),) = post.sent
    assert png is None
    assert message.text == f"text\n\n{NO_PLOT}\n"
    assert message.html == f"<p><p>{NO_PLOT}</p></p>"


def test_a_mail_that_shows_no_picture_still_says_that_the_plot_is_missing() -> None:
    assert without_plot(Message("s", "t", "<b>h</b>", "s")).html == f"<b>h</b><p>{NO_PLOT}</p>"


def test_a_failed_delivery_is_tried_again_after_its_wait_and_not_before(office: MakeOffice) -> None:
    at = office("jane")
    at.raise_alert()
    post = Post(jane=REFUSED)
    outbox_at = lambda s: at.outbox(post, clock=FixedClock(NOW + timedelta(seconds=s)))  # noqa: E731
    sent = [outbox_at(s).deliver_due(NEVER).failed for s in (0, 29, 30, 89, 90, 209, 210)]
    assert sent == [1, 0, 1, 0, 1, 0, 1]


def test_what_expires_was_tried_is_not_tried_again_and_the_others_are_told(office: MakeOffice) -> None:
    at = office("jane", "omar")
    at.raise_alert("jane")
    post = Post(jane=REFUSED)
    late = FixedClock(NOW + timedelta(hours=24))
    count = at.outbox(post, clock=late).deliver_due(NEVER)
    assert (count.failed, count.expired, count.sent) == (1, 1, 1)
    assert len(post.to("jane")) == 1
    assert at.outbox(post, clock=FixedClock(NOW + timedelta(hours=25))).deliver_due(NEVER).sent == 0
    assert len(post.to("jane")) == 1
    (notice,) = post.to("omar")
    assert notice.subject == "NOT DELIVERED to jane: Alert 1"
    assert "Alert 1 could not be delivered to jane." in notice.text
    assert notice.text.endswith("text")  # the alert itself, so that Omar can act
    assert notice.sms.startswith("NOT DELIVERED alert 1 to jane.")
    assert notice.sms.endswith("#2")
    kept = at.journal.alert_record(2)
    assert kept is not None
    assert (kept.alert.kind, kept.alert.follows, kept.alert.severity) == (AlertKind.FINDING, 1, HIGH)
    assert [f.kind for f in kept.alert.findings] == [FindingKind.DELIVERY_EXPIRED]


def test_there_is_no_notice_about_a_notice(office: MakeOffice) -> None:
    at = office("jane", "omar", "tom")
    at.raise_alert("jane")
    post = Post()
    for days in range(1, 6):
        clock = FixedClock(NOW + timedelta(days=days))
        # nobody can be reached: each notice expires a day later
        at.outbox(lambda *_: REFUSED, clock=clock).deliver_due(NEVER)
    at.outbox(post, clock=FixedClock(NOW + timedelta(days=9))).deliver_due(NEVER)
    assert [a.number for a in at.journal.recent_alerts(9)] == [2, 1]
    assert post.sent == []


def test_many_that_miss_the_same_alert_make_one_notice(office: MakeOffice) -> None:
    missed = [f"r{i}" for i in range(20)]
    at = office(*missed, "omar", "tom")
    at.raise_alert(*missed)
    post = Post(**dict.fromkeys(missed, REFUSED))
    at.outbox(post, clock=FixedClock(NOW + timedelta(days=1))).deliver_due(NEVER)
    assert sorted(url for url, *_ in post.sent) == sorted([*missed, "omar", "tom"])


def test_a_channel_that_is_gone_expires_at_once_and_the_others_are_told(office: MakeOffice) -> None:
    at = office("jane", "omar")
    at.raise_alert("jane")
    del at.recipients[0]
    post = Post()
    count = at.outbox(post).deliver_due(NEVER)
    assert (count.failed, count.expired, count.sent) == (1, 1, 1)
    assert "the configuration has no such recipient" in post.to("omar")[0].text


def test_a_permanent_failure_expires_at_once(office: MakeOffice) -> None:
    at = office("jane", "omar")
    at.raise_alert("jane")
    post = Post(jane=SendResult(ok=False, detail="no valid address", permanent=True))
    at.outbox(post).deliver_due(NEVER)
    assert at.states() == {"jane": DeliveryState.EXPIRED}
    assert "no valid address" in post.to("omar")[0].text


def test_when_nobody_is_left_to_tell_the_log_says_so_loudly(
    office: MakeOffice, caplog: pytest.LogCaptureFixture
) -> None:
    at = office("jane")
    at.raise_alert()
    at.outbox(Post(jane=REFUSED), clock=FixedClock(NOW + timedelta(days=2))).deliver_due(NEVER)
    critical = [r.getMessage() for r in caplog.records if r.levelno == logging.CRITICAL]
    assert critical == ['event=nobody-told alert=1 why="no way is left to tell anyone"']
    assert [a.kind for a in at.journal.recent_alerts(1)] == ["finding"]  # and the record does


def test_a_stop_leaves_unfinished_deliveries_claimed_and_they_are_due_again(office: MakeOffice) -> None:
    at, held, stop = office("jane", "omar"), threading.Event(), threading.Event()
    at.raise_alert()

    def hold() -> SendResult:
        stop.set()
        held.wait(20)
        return SendResult(ok=True, detail="accepted")

    pace = Pace(places=1, slow_after_s=10, deadline_s=10, stop_grace_s=0.05, poll_s=0.02)
    count = at.outbox(Post(jane=hold), pace).deliver_due(stop)
    held.set()
    assert (count.sent, count.failed) == (0, 0)
    post = Post()
    assert at.outbox(post).deliver_due(NEVER).sent == 1  # Omar's, which had not begun
    lapsed = FixedClock(NOW + timedelta(seconds=71))
    assert at.outbox(post, clock=lapsed).deliver_due(NEVER).sent == 1
    assert [url for url, *_ in post.sent] == ["omar", "jane"]


def test_what_ends_soon_after_a_stop_is_still_marked(office: MakeOffice) -> None:
    at, stop = office("jane"), threading.Event()
    at.raise_alert()

    def slow() -> SendResult:
        stop.set()
        time.sleep(0.05)
        return SendResult(ok=True, detail="accepted")

    pace = Pace(stop_grace_s=20, poll_s=0.02)
    assert at.outbox(Post(jane=slow), pace).deliver_due(stop).sent == 1


def test_a_success_after_the_deadline_is_recorded_and_not_repeated(office: MakeOffice) -> None:
    at, held = office("jane"), threading.Event()
    at.raise_alert()

    def hold() -> SendResult:
        held.wait(20)
        return SendResult(ok=True, detail="accepted")

    post = Post(jane=hold)
    outbox = at.outbox(post, IMPATIENT)
    assert outbox.deliver_due(NEVER).failed == 1
    held.set()
    while at.states()["jane"] is not DeliveryState.SENT:
        outbox.deliver_due(NEVER)
    record = at.journal.alert_record(1)
    assert record is not None
    ((_, attempts),) = record.deliveries
    assert [(a.outcome, a.detail) for a in attempts] == [
        ("failed", "no answer within 0.4 s"),
        ("sent", "accepted, after the deadline"),
    ]
    assert len(post.sent) == 1


def test_a_channel_that_always_hangs_gathers_no_threads(office: MakeOffice) -> None:
    at, held = office("jane"), threading.Event()
    at.raise_alert()
    post = Post(jane=lambda: SendResult(ok=held.wait(20), detail=""))
    outbox = at.outbox(
        post, IMPATIENT, clock=SystemClock(), retry=RetryPolicy(first_wait_s=0, expire_after_hours=1e6)
    )
    with sqlite3.connect(at.url.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE deliveries SET expires_at = '2999-01-01 00:00:00'")
    stopped = threading.Event()
    threading.Timer(2.0, stopped.set).start()
    outbox.deliver_due(stopped)
    held.set()
    assert len(post.sent) == 2


# real servers


class Mailbox:
    """Takes every mail."""

    def __init__(self) -> None:
        self.subjects: list[str] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.subjects.append(str(mail["Subject"]))
        return "250 ok"


class LoopbackController(Controller):
    """A controller that takes whatever port is free."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


def drip(connection: socket.socket, done: threading.Event) -> None:
    """Answer so slowly, a byte now and then, that no socket timeout ever fires."""
    try:
        while not done.wait(0.05):
            connection.sendall(b"2")
    except OSError:
        return
    finally:
        connection.close()


@pytest.fixture
def bad_server() -> Iterator[Callable[[bool], int]]:
    """Start a server that hangs, or drips; return its port."""
    done = threading.Event()
    with ExitStack() as running:

        def start(dripping: bool) -> int:
            listener = socket.create_server(("127.0.0.1", 0), backlog=128)
            running.callback(listener.close)

            def accept() -> None:
                while not done.is_set():
                    try:
                        connection, _ = listener.accept()
                    except OSError:
                        return
                    running.callback(connection.close)
                    if dripping:
                        threading.Thread(target=drip, args=(connection, done), daemon=True).start()

            threading.Thread(target=accept, daemon=True).start()
            return int(listener.getsockname()[1])

        yield start
        done.set()


@pytest.mark.parametrize("dripping", [False, True])
def test_twenty_bad_servers_do_not_keep_a_good_one_waiting(
    office: MakeOffice, bad_server: Callable[[bool], int], dripping: bool
) -> None:
    names = [f"bad{i}" for i in range(20)]
    at = office(*names, "good")  # the good one is last
    box = Mailbox()
    controller = LoopbackController(box, hostname="127.0.0.1", port=0)
    controller.start()
    ports = dict.fromkeys(names, bad_server(dripping)) | {"good": controller.port}
    at.recipients = [
        Recipient(
            id=name,
            name=name,
            channels=(
                Channel(
                    "mail",
                    MessageForm.EMAIL,
                    f"mailto://127.0.0.1:{port}/?from=dam@example.org&to=x@example.org",
                ),
            ),
            least_severity=LOW,
        )
        for name, port in ports.items()
    ]
    at.raise_alert()
    pace = Pace(places=4, slow_after_s=0.2, deadline_s=30, stop_grace_s=0, poll_s=0.05)
    stop = threading.Event()
    worker = threading.Thread(target=at.outbox(apprise_sender.send, pace).deliver_due, args=(stop,))
    worker.start()
    while at.states()["good"] is not DeliveryState.SENT:
        assert worker.is_alive()
        time.sleep(0.05)
    # the good one is through while the bad ones are still on their way
    assert {at.states()[name] for name in names} == {DeliveryState.PENDING}
    assert box.subjects == ["Alert 1"]
    stop.set()
    worker.join()
    controller.stop()


def test_no_secret_is_anywhere_in_the_record(office: MakeOffice, tmp_path: Path) -> None:
    at = office("jane", "omar")
    url = "mailto://dam:hunter2%21@127.0.0.1:9/?from=dam@example.org&to=jane@secret.example.org&cto=1"
    mail = Channel("mail", MessageForm.EMAIL, url)
    at.recipients[0] = Recipient(id="jane", name="Jane", channels=(mail,), least_severity=LOW)
    at.journal.keep_configuration("digest", {"recipients.toml": f'url = "{url}"'}, NOW)
    at.raise_alert()
    at.outbox(apprise_sender.send).deliver_due(NEVER)
    at.outbox(apprise_sender.send, clock=FixedClock(NOW + timedelta(days=2))).deliver_due(NEVER)
    assert at.states()["jane"] is DeliveryState.EXPIRED
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    at.journal.close()
    kept += b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"oroville" in kept
    for secret in (b"hunter2", b"secret.example.org"):
        assert secret not in kept
