"""The dead-man ping against real servers on loopback, well and ill behaved."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from warning.ops import deadman
from warning.ops.deadman import Pinger, ping

SECRET = "6f1c9a1e-4c11"


class Server:
    """Answers with what `answer` writes and remembers the paths that were asked for."""

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.paths: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.paths.append(self.path)
                answer(self)

            def log_message(self, format: str, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.root = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{self.root}/{SECRET}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


Serve = Callable[[Callable[[BaseHTTPRequestHandler], None]], Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[Server] = []

    def start(answer: Callable[[BaseHTTPRequestHandler], None]) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """Set at the end, so that what hangs may go; nothing hangs on into the next test."""
    event = threading.Event()
    yield event
    event.set()
    for thread in tuple(deadman._hanging):
        thread.join(10)
    deadman._hanging.clear()


def answering(status: int, location: str | None = None) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        if location is not None:
            handler.send_header("Location", location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


@pytest.mark.parametrize("status", [200, 204])
def test_a_success_is_no_trouble(serve: Serve, status: int) -> None:
    server = serve(answering(status))
    assert ping(server.url) is None
    assert server.paths == [f"/{SECRET}"]


@pytest.mark.parametrize("status", [500, 404, 304])
def test_only_2xx_counts_and_is_asked_for_again(serve: Serve, status: int) -> None:
    server = serve(answering(status))
    trouble = ping(server.url, retries=2)
    assert trouble == f"the dead-man ping failed 3 times: the server answered {status}, expected 2xx"
    assert len(server.paths) == 3


def test_a_retry_that_succeeds_is_no_trouble(serve: Serve) -> None:
    statuses = iter([500, 200])
    assert ping(serve(lambda handler: answering(next(statuses))(handler)).url, retries=1) is None


def test_a_redirect_on_the_web_is_followed(serve: Serve) -> None:
    goal = serve(answering(200))
    assert ping(serve(answering(302, goal.url)).url) is None
    assert goal.paths == [f"/{SECRET}"]


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "https+x://y", "//["]
)
def test_a_redirect_to_another_scheme_is_refused(serve: Serve, location: str) -> None:
    trouble = ping(serve(answering(302, location)).url, retries=0)
    assert trouble is not None


def test_a_redirect_in_a_circle_ends(serve: Serve) -> None:
    server = serve(answering(302, f"/{SECRET}"))
    assert ping(server.url, retries=0) is not None
    assert len(server.paths) <= 4


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/", "data:,x", "", "http://[", "http://"]
)
def test_no_other_url_is_ever_opened(url: str) -> None:
    assert ping(url, retries=0) is not None


def test_a_refused_connection_is_told_without_the_url(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        trouble = ping(f"http://127.0.0.1:{taken.getsockname()[1]}/{SECRET}", retries=0)
    assert trouble is not None
    assert "refused" in trouble
    assert SECRET not in trouble + caplog.text


@pytest.mark.parametrize(
    "head", [b"", b"HTTP/1.0 200 OK\r\n", b"nonsense\r\n\r\n", b"HTTP/1.0 2000 OK\r\n\r\n"]
)
def test_a_broken_answer_is_a_trouble_or_a_success_but_never_an_exception(serve: Serve, head: bytes) -> None:
    trouble = ping(serve(lambda handler: handler.wfile.write(head)).url, retries=0)
    assert SECRET not in (trouble or "")


def test_a_server_that_hangs_is_left_behind(serve: Serve, released: threading.Event) -> None:
    server = serve(lambda handler: released.wait(30) and None)
    assert ping(server.url, timeout_s=0.2, retries=1) is not None


def test_a_server_that_drips_its_answer_is_left_behind(serve: Serve, released: threading.Event) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\nX: ")
        while not released.wait(0.05):
            handler.wfile.write(b"x")

    trouble = ping(serve(drip).url, timeout_s=0.3, retries=0)
    assert trouble == "the dead-man ping failed 1 times: no answer within 0.3 s"


def test_an_endless_body_is_not_read(serve: Serve, released: threading.Event) -> None:
    def flood(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
        released.wait(30)

    assert ping(serve(flood).url, timeout_s=10, retries=0) is None


def test_attempts_that_hang_do_not_pile_up(serve: Serve, released: threading.Event) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        while not released.wait(0.02):
            handler.wfile.write(b"x")

    server = serve(drip)
    troubles = [ping(server.url, timeout_s=0.1, retries=0) or "" for _ in range(5)]
    assert "earlier attempts there still hang" in troubles[-1]
    assert len(deadman._hanging) <= 3


def test_a_ping_holds_nobody_up_and_its_trouble_ends_with_the_next_success(
    serve: Serve, released: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    well = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if not well.is_set():
            released.wait(30)
        answering(200)(handler)

    server, pinger = serve(answer), Pinger(timeout_s=0.5, retries=0)
    assert pinger.ping_soon(server.url)
    assert not pinger.ping_soon(server.url)  # one at a time
    assert pinger.wait(30)
    assert pinger.trouble is not None
    well.set()
    assert pinger.ping_soon(server.url)
    assert pinger.wait(30)
    assert pinger.trouble is None
    assert [r.getMessage().split()[0] for r in caplog.records] == [
        "event=ping-failed",
        "event=ping-well-again",
    ]
    assert SECRET not in caplog.text
