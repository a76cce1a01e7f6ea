"""`/healthz` and `/metrics` over HTTP on loopback, for whoever watches the watcher.

Whatever a client does, the daemon's own work is not touched: each request has a few seconds and few
bytes, few are answered at once, and a port that is taken is asked for again while the daemon goes on.
"""

from __future__ import annotations

import io
import json
import logging
import socket
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Final, cast

from warning.clock import monotonic_s
from warning.errors import DamWarningError
from warning.events import pairs
from warning.ops.logs import masked
from warning.ops.metrics import CONTENT_TYPE, HealthView, exposition

log = logging.getLogger(__name__)

REQUEST_S: Final = 5.0  # for the whole of a request, and again for its answer
MOST_AT_ONCE: Final = 8
AGAIN_S: Final = 30.0
FRESH_S: Final = 2.0  # a view this old is shown again, so that many requests cost the record one look
_MOST_BYTES: Final = 8192
_END: Final = (b"\r\n\r\n", b"\n\n")


class Endpoints:
    """Serves what `view` sees. `view` is called in a thread of its own and may raise DamWarningError."""

    def __init__(
        self,
        listen: tuple[str, int],
        view: Callable[[], HealthView],
        *,
        again_s: float = AGAIN_S,
        request_s: float = REQUEST_S,
    ) -> None:
        self._listen, self._again_s, self._request_s = listen, again_s, request_s
        self._view = _Fresh(view)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="endpoints", daemon=True)
        self._server: _Server | None = None
        self._settled = threading.Event()
        self.trouble: str | None = None

    def start(self) -> None:
        """Begin to listen; where the port is taken, `trouble` says so until it is free."""
        self._thread.start()
        self._settled.wait(self._request_s)

    @property
    def address(self) -> tuple[str, int] | None:
        """Return where requests are answered, None while they are not."""
        server = self._server
        return None if server is None else cast("tuple[str, int]", server.server_address[:2])

    def close(self) -> None:
        """Stop listening; requests under way may end by themselves."""
        self._stop.set()
        if (server := self._server) is not None:
            server.shutdown()
        if self._thread.is_alive():
            self._thread.join(self._request_s)

    def _serve(self) -> None:
        while not self._stop.is_set():
            server = self._bound()
            self._settled.set()
            if server is None:
                self._stop.wait(self._again_s)
                continue
            with server:
                self._server = server
                if not self._stop.is_set():
                    server.serve_forever(poll_interval=0.2)
                self._server = None

    def _bound(self) -> _Server | None:
        host, port = self._listen
        try:
            server = _Server(self._listen, self._view, self._request_s, self._stop)
        except OSError as error:
            trouble = (
                f"the health endpoint cannot listen on {host}:{port}: {error.strerror or error}; the dams "
                "are watched all the same; end the other program, or give [health] listen a free port, or off"
            )
            if self.trouble is None:
                log.error(pairs("endpoint-unavailable", error=trouble))
            self.trouble = trouble
            return None
        if self.trouble is not None:
            log.info(pairs("endpoint-available", host=host, port=port))
        self.trouble = None
        return server


def serve(listen: tuple[str, int], view: Callable[[], HealthView]) -> Endpoints:
    """Start serving on `listen` and return what can be closed."""
    endpoints = Endpoints(listen, view)
    endpoints.start()
    return endpoints


class _Fresh:
    """A view that is asked for anew when the last one is older than `FRESH_S`, by one thread at a time."""

    def __init__(self, view: Callable[[], HealthView]) -> None:
        self._view = view
        self._lock = threading.Lock()
        self._kept: tuple[float, HealthView] | None = None

    def __call__(self) -> HealthView:
        with self._lock:
            if self._kept is None or monotonic_s() - self._kept[0] > FRESH_S:
                self._kept = None
                view = self._view()
                self._kept = monotonic_s(), view
            return self._kept[1]


class _Server(ThreadingMixIn, TCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 16

    def __init__(
        self, listen: tuple[str, int], view: Callable[[], HealthView], request_s: float, stop: threading.Event
    ) -> None:
        self.view, self.metrics = view, exposition(view)
        self.request_s, self._closing = request_s, stop
        self.host = listen[0]
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        if ":" in listen[0]:
            self.address_family = socket.AF_INET6
        super().__init__(listen, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            return super().get_request()
        except OSError:  # out of file descriptors, say: asking again at once would take the whole processor
            self._closing.wait(0.2)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread could be started
            self._places.release()
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):  # a client that went away is no news
            log.error(pairs("endpoint-failed", error=type(error).__name__), exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server_version = "dam-warning"
    sys_version = ""
    error_message_format = "%(code)d %(message)s\n"
    error_content_type = "text/plain; charset=utf-8"

    @property
    def _ours(self) -> _Server:
        return cast("_Server", self.server)

    def setup(self) -> None:
        """Read the head of the request ourselves: the library's own limit begins anew with every byte."""
        super().setup()
        self.rfile.close()
        self.rfile = io.BytesIO(self._head())
        self.connection.settimeout(self._ours.request_s)

    def _head(self) -> bytes:
        until_s, head = monotonic_s() + self._ours.request_s, b""
        while len(head) <= _MOST_BYTES and not any(end in head for end in _END):
            if (left_s := until_s - monotonic_s()) <= 0:
                raise TimeoutError("the request took too long")
            self.connection.settimeout(left_s)
            data = self.connection.recv(_MOST_BYTES)
            if not data:
                break
            head += data
        if len(head) <= _MOST_BYTES:
            return head
        self.connection.settimeout(self._ours.request_s)
        self.connection.sendall(b"HTTP/1.0 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n")
        return b""  # which the library takes for a client that has gone

    def do_GET(self) -> None:
        if not self._host_is_ours():
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "The Host header names another host")
            return
        path = self.path.partition("?")[0]
        if path == "/healthz":
            self._answer(*self._healthz(), "application/json")
        elif path == "/metrics":
            self._answer(*self._metrics(), CONTENT_TYPE)
        else:
            self.send_error(HTTPStatus.NOT_FOUND, "There are /healthz and /metrics")

    do_HEAD = do_GET  # noqa: N815 — the library's own name

    def _only_get(self) -> None:
        self.send_error(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET and HEAD are answered")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_CONNECT = do_TRACE = _only_get  # noqa: N815

    def _host_is_ours(self) -> bool:
        """A page from the web could have its own name resolve to loopback; its requests then name it here."""
        hosts = self.headers.get_all("Host") or []
        if not hosts:
            return self.request_version in ("HTTP/0.9", "HTTP/1.0")
        name = hosts[0].strip().lower()
        name = name.partition("]")[0].lstrip("[") if name.startswith("[") else name.partition(":")[0]
        return len(hosts) == 1 and name in {"localhost", "127.0.0.1", "::1", self._ours.host}

    def _healthz(self) -> tuple[HTTPStatus, bytes]:
        try:
            view = self._ours.view()
        except (DamWarningError, OSError) as error:
            body: dict[str, object] = {"well": False, "troubles": [masked(str(error))]}
            return HTTPStatus.SERVICE_UNAVAILABLE, _json(body)
        cycle = view.last_cycle
        body = {
            "well": view.well,
            "troubles": [masked(trouble) for trouble in view.troubles],
            "last_cycle": cycle and {"started_at": cycle.started_at.isoformat(), "complete": cycle.complete},
            "digest": view.digest,
            "version": view.version,
        }
        return HTTPStatus.OK if view.well else HTTPStatus.SERVICE_UNAVAILABLE, _json(body)

    def _metrics(self) -> tuple[HTTPStatus, bytes]:
        try:
            return HTTPStatus.OK, self._ours.metrics()
        except (DamWarningError, OSError) as error:
            return HTTPStatus.SERVICE_UNAVAILABLE, f"# {json.dumps(masked(str(error)))}\n".encode()

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: whoever asks must not be able to fill the log."""


def _json(body: dict[str, object]) -> bytes:
    return (json.dumps(body, allow_nan=False) + "\n").encode()
