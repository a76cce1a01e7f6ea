"""Those outside who watch over the daemon: a dead-man service that it pings, and a monitor that asks it."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from post import HOST, free_port


class DeadMan:
    """Counts the pings that arrive."""

    def __init__(self) -> None:
        self.pings = 0
        watcher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                watcher.pings += 1
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_HEAD = do_POST = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_address[1]}/ping"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Monitor:
    """Asks the daemon's endpoints, as Prometheus would."""

    def __init__(self, mail_port: int) -> None:
        self.port = free_port(besides=mail_port)
        self.answers: Counter[str] = Counter()
        self.trouble = ""

    def ask(self) -> tuple[int | None, int]:
        """Return the status of /healthz, None for no answer, and the number of metrics."""
        try:
            status, _ = self._get("healthz")
            _, metrics = self._get("metrics")
        except OSError as error:
            self.trouble = repr(error)
            self.answers["none"] += 1
            return None, 0
        self.answers[str(status)] += 1
        return status, sum(bool(line) and not line.startswith("#") for line in metrics.splitlines())

    def _get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.port}/{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
