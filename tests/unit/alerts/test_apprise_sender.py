"""Sending through Apprise to real servers on loopback."""

from __future__ import annotations

import email
import email.policy
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from warning.alerts.apprise_sender import problem_with, send
from warning.domain.delivery import Message, MessageForm, SendResult

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
SECRET = "s3cret/pass:word"
HTML = (
    '<html><body><table><tr><td>Mon</td><td>274.1 m</td></tr></table><img src="cid:plot.png"></body></html>'
)
MESSAGE = Message(
    subject="WARNING Oroville ≥ 274 m",
    text="Mon  274.1 m\nTue  275.0 m ≥ crest",
    html=HTML,
    sms="WARNING Oroville 274.1 m #7",
)


class Mailbox:
    """Takes every mail, or answers a step of the dialogue as told."""

    def __init__(self, **answers: str) -> None:
        self.answers = answers
        self.mails: list[EmailMessage] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        envelope.rcpt_tos.append(address)
        return self.answers.get("rcpt", "250 ok")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return self.answers.get("data", "250 ok")


class LoopbackController(Controller):
    """A controller that takes whatever port is free."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Start a mail server with a handler and return its Apprise URL."""
    with ExitStack() as running:

        def start(handler: Any, **options: Any) -> str:
            controller = LoopbackController(handler, hostname="127.0.0.1", port=0, **options)
            controller.start()
            running.callback(controller.stop)
            return f"mailto://127.0.0.1:{controller.port}/?from=dam@example.org&to=jane@example.org"

        yield start


@pytest.fixture
def raw_server() -> Iterator[Callable[[Callable[[socket.socket], None]], str]]:
    """Start a server that treats each connection as told and return its Apprise URL."""
    with ExitStack() as running:

        def start(treat: Callable[[socket.socket], None]) -> str:
            listener = socket.create_server(("127.0.0.1", 0))
            running.callback(listener.close)

            def accept() -> None:
                while True:
                    try:
                        connection, _ = listener.accept()
                    except OSError:
                        return
                    running.callback(connection.close)
                    treat(connection)

            threading.Thread(target=accept, daemon=True).start()
            port = listener.getsockname()[1]
            return f"mailto://127.0.0.1:{port}/?from=dam@example.org&to=jane@example.org"

        yield start


def mail_of(box: Mailbox) -> EmailMessage:
    (mail,) = box.mails
    return mail


def body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def send_mail(url: str, png: bytes | None = None, timeout_s: float = 5) -> SendResult:
    return send(url, MessageForm.EMAIL, MESSAGE, png, timeout_s)


def test_a_mail_holds_our_text_our_html_and_the_plot_inside_it(serve: Callable[..., str]) -> None:
    box = Mailbox()
    assert send_mail(serve(box), PNG) == SendResult(ok=True, detail="accepted")
    mail = mail_of(box)
    assert mail["Subject"] == MESSAGE.subject
    assert mail["To"] == "jane@example.org"
    assert body(mail, "plain").strip() == MESSAGE.text
    assert body(mail, "html").strip() == MESSAGE.html
    assert [part.get_content_type() for part in mail.walk()] == [
        "multipart/related",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "image/png",
    ]
    picture = list(mail.walk())[-1]
    assert picture["Content-ID"] == "<plot.png>"
    assert picture.get_content() == PNG


def test_a_mail_without_plot_has_text_and_html_only(serve: Callable[..., str]) -> None:
    box = Mailbox()
    assert send_mail(serve(box)).ok
    assert [part.get_content_type() for part in mail_of(box).walk()] == [
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]


def test_two_mails_at_once_keep_their_own_texts(serve: Callable[..., str]) -> None:
    box = Mailbox()
    url = serve(box)
    messages = [Message(f"subject {i}", f"text {i}", f"<p>html {i}</p>", "") for i in range(12)]
    threads = [
        threading.Thread(target=send, args=(url, MessageForm.EMAIL, message, None, 20))
        for message in messages
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    got = {(m["Subject"], body(m, "plain").strip(), body(m, "html").strip()) for m in box.mails}
    assert got == {(m.subject, m.text, m.html) for m in messages}


def test_a_mail_that_was_configured_as_text_gets_our_text(serve: Callable[..., str]) -> None:
    box = Mailbox()
    assert send_mail(serve(box) + "&format=text").ok
    assert [part.get_content_type() for part in mail_of(box).walk()] == ["text/plain"]
    assert body(mail_of(box), "plain").strip() == MESSAGE.text


def test_a_short_message_goes_out_alone_without_a_title(serve: Callable[..., str]) -> None:
    box = Mailbox()
    assert send(serve(box), MessageForm.SMS, MESSAGE, PNG, 5).ok
    assert body(mail_of(box), "plain").strip() == MESSAGE.sms
    assert not mail_of(box)["Subject"]


@pytest.mark.parametrize(
    ("step", "answer"),
    [("rcpt", "451 later"), ("rcpt", "550 unknown"), ("data", "452 full"), ("data", "554 no")],
)
def test_a_refusal_is_a_failure_that_says_why_and_may_be_tried_again(
    serve: Callable[..., str], step: str, answer: str
) -> None:
    result = send_mail(serve(Mailbox(**{step: answer})))
    assert (result.ok, result.permanent) == (False, False)
    assert answer[:3] in result.detail


def test_nobody_listening_is_a_failure(raw_server: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    result = send_mail(f"mailto://127.0.0.1:{port}/?from=dam@example.org&to=jane@example.org")
    assert (result.ok, result.permanent) == (False, False)
    assert "refused" in result.detail


def test_a_server_that_drops_the_connection_is_a_failure(raw_server: Callable[..., str]) -> None:
    result = send_mail(raw_server(lambda connection: connection.close()))
    assert (result.ok, result.permanent) == (False, False)


def test_a_server_that_never_answers_is_a_failure_after_the_time_limit(
    raw_server: Callable[..., str],
) -> None:
    result = send_mail(raw_server(lambda connection: None), timeout_s=0.2)
    assert (result.ok, result.permanent) == (False, False)
    assert "timed out" in result.detail


class Listener(logging.Handler):
    """Hears what reaches the root logger, as the program's log would."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith("mail.log"):  # the test's own mail server
            self.heard.append(record.getMessage())


@pytest.fixture
def root_log() -> Iterator[Listener]:
    """The root logger at its most talkative."""
    listener, root = Listener(), logging.getLogger()
    before = root.level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    yield listener
    root.removeHandler(listener)
    root.setLevel(before)


def test_what_a_failure_says_and_logs_holds_no_secret(serve: Callable[..., str], root_log: Listener) -> None:
    class Echo(Mailbox):
        async def handle_RCPT(self, *anything: Any) -> str:  # noqa: N802
            return f"550 no entry for jane@example.org with {SECRET} here"

    def authenticate(*anything: Any) -> AuthResult:
        return AuthResult(success=True)

    url = serve(Echo(), authenticator=authenticate, auth_require_tls=False, auth_required=True)
    result = send_mail(url.replace("mailto://", "mailto://dam:s3cret%2Fpass%3Aword@"))
    assert not result.ok
    assert "no entry for" in result.detail  # the refusal itself is told
    for text in (result.detail, *root_log.heard):
        assert "s3cret" not in text
        assert "jane" not in text


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "none that Apprise can use"),
        ("nothing://host", "none that Apprise can use"),
        ("mailto://127.0.0.1/?from=a@example.org&to=jane@@", "not valid"),
        ("json://127.0.0.1/?optional=yes", "optional=yes"),
        ("smpp://user:password@host:2775/+15551234567/+15557654321", "message centre"),
    ],
)
def test_a_url_that_can_never_work_is_a_permanent_failure(url: str, said: str) -> None:
    assert said in (problem_with(url) or "")
    result = send_mail(url)
    assert (result.ok, result.permanent) == (False, True)
    assert said in result.detail


def test_a_usable_url_has_no_problem_and_checking_it_sends_nothing(serve: Callable[..., str]) -> None:
    box = Mailbox()
    assert problem_with(serve(box)) is None
    assert box.mails == []


def test_retries_in_a_url_are_not_made_behind_the_records_back(serve: Callable[..., str]) -> None:
    box = Mailbox(data="451 later")
    assert not send_mail(serve(box) + "&retry=3&wait=0").ok
    assert len(box.mails) == 1


def test_other_services_get_the_text_and_their_status_counts() -> None:
    got: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200 if len(got) == 1 else 500)
            self.end_headers()

        def log_message(self, *anything: Any) -> None:
            """Stay quiet."""

    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"json://127.0.0.1:{server.server_port}/hook"
    results = [send(url, MessageForm.TEXT, MESSAGE, None, 5) for _ in range(2)]
    server.shutdown()
    server.server_close()
    assert [r.ok for r in results] == [True, False]
    assert (got[0]["title"], got[0]["message"]) == (MESSAGE.subject, MESSAGE.text)
