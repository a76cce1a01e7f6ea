"""A real InfluxDB 1.6 server on loopback, in a folder that goes when the tests end; a stand-in for faults."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import socketserver
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BINARY = Path(__file__).resolve().parents[2] / ".influxd" / "influxd"
_CONFIG = """
reporting-enabled = false
bind-address = "127.0.0.1:{rpc_port}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[coordinator]
  max-select-series = 0
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  auth-enabled = {auth}
  log-enabled = false
  max-row-limit = {max_rows}
[subscriber]
  enabled = false
[continuous_queries]
  enabled = false
"""


class InfluxServer:
    """One influxd process, its address, and a plain way to ask it that the tests trust."""

    user, password = "keeper", "p'a\"s$s:ö"

    def __init__(self, folder: Path, *, auth: bool = False, max_rows: int = 0) -> None:
        self.auth = auth
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._config = folder / "influxdb.conf"
        self._log = folder / "influxd.log"
        text = _CONFIG.format(
            folder=folder, port=self.port, rpc_port=_free_port(), auth=str(auth).lower(), max_rows=max_rows
        )
        self._config.write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([BINARY, "-config", self._config], stdout=log, stderr=log)
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{self.url}/ping", timeout=1).close()
                return
            except OSError:
                assert self._process.poll() is None, self._log.read_text()[-2000:]
                time.sleep(0.02)
        raise AssertionError(f"influxd does not answer: {self._log.read_text()[-2000:]}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(20)
            self._process = None

    def ask(self, statement: str, database: str = "") -> dict[str, Any]:
        """Return the answer to one statement, sent without any code of ours."""
        form = urllib.parse.urlencode({"q": statement, "db": database, "epoch": "ns"}).encode()
        request = urllib.request.Request(f"{self.url}/query", data=form, headers=self._authorization())
        with urllib.request.urlopen(request, timeout=30) as answer:
            result: dict[str, Any] = json.load(answer)
        return result

    def put(self, database: str, lines: str, *, retention_policy: str = "") -> None:
        """Write line protocol, sent without any code of ours."""
        names = urllib.parse.urlencode({"db": database, "precision": "ns", "rp": retention_policy})
        request = urllib.request.Request(
            f"{self.url}/write?{names}", data=lines.encode(), headers=self._authorization()
        )
        urllib.request.urlopen(request, timeout=60).close()

    def databases(self) -> set[str]:
        series = self.ask("SHOW DATABASES")["results"][0]["series"][0]
        return {row[0] for row in series.get("values", [])}

    def _authorization(self) -> dict[str, str]:
        if not self.auth:
            return {}
        pair = f"{self.user}:{self.password}".encode()
        return {"Authorization": "Basic " + base64.b64encode(pair).decode()}


class Exchange:
    """One request as a stand-in received it, and the connection to answer it on."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        head = b""
        while b"\r\n\r\n" not in head:
            got = connection.recv(65536)
            if not got:
                raise ConnectionError
            head += got
        head, _, self.body = head.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = first.split(" ", 2)
        self.headers = {k.lower(): v for k, _, v in (one.partition(": ") for one in lines)}
        address = urllib.parse.urlsplit(self.target)
        self.path, self.query = address.path, dict(urllib.parse.parse_qsl(address.query))
        while len(self.body) < int(self.headers.get("content-length", 0)):
            self.body += connection.recv(65536)

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def answer(self, body: bytes = b"", status: int = 200, **headers: str) -> None:
        """Answer whole, with a length."""
        self.head(status, body, **{"Content-Length": str(len(body)), **headers})

    def head(self, status: int = 200, body: bytes = b"", **headers: str) -> None:
        lines = [f"HTTP/1.1 {status} Stood-In", *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items())]
        self.send("\r\n".join([*lines, "", ""]).encode() + body)

    def chunk(self, data: bytes) -> None:
        self.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")


class StandIn(socketserver.ThreadingTCPServer):
    """A stand-in server that plays `script` for each request: for faults no real server shows on demand."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, script: Callable[[Exchange], None]) -> None:
        super().__init__(("127.0.0.1", 0), _StandInHandler)
        self.script = script
        self.exchanges: list[Exchange] = []
        self.over = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


class _StandInHandler(socketserver.BaseRequestHandler):
    server: StandIn

    def handle(self) -> None:
        try:
            while not self.server.over.is_set():
                exchange = Exchange(self.request)
                self.server.exchanges.append(exchange)
                self.server.script(exchange)
        except (ConnectionError, OSError):
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _require_binary() -> None:
    if BINARY.is_file():
        return
    reason = f"no InfluxDB server at {BINARY}; `sh deploy/get-influxd` fetches Debian's"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def quick_pictures(drawn_once: None) -> None:
    """Cycles that run in this process spend no second on each picture."""


@pytest.fixture(scope="session")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    """A server without authentication, shared by the session; each test makes its own database."""
    _require_binary()
    server = InfluxServer(tmp_path_factory.mktemp("influxd"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def guarded_influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    """A server that asks who is there; `keeper` is its administrator."""
    _require_binary()
    server = InfluxServer(tmp_path_factory.mktemp("guarded"), auth=True)
    server.start()
    quoted = server.password.replace("\\", "\\\\").replace("'", "\\'")
    statement = f"CREATE USER {server.user} WITH PASSWORD '{quoted}' WITH ALL PRIVILEGES"
    form = urllib.parse.urlencode({"q": statement}).encode()
    urllib.request.urlopen(f"{server.url}/query", data=form, timeout=10).close()
    yield server
    server.stop()


@pytest.fixture
def make_influxd(tmp_path: Path) -> Iterator[Callable[..., InfluxServer]]:
    """Start a server of a test's own, which it may kill and start again."""
    _require_binary()
    servers: list[InfluxServer] = []

    def make(*, max_rows: int = 0) -> InfluxServer:
        folder = tmp_path / f"influxd{len(servers)}"
        folder.mkdir()
        servers.append(InfluxServer(folder, max_rows=max_rows))
        servers[-1].start()
        return servers[-1]

    yield make
    for server in servers:
        server.stop(signal.SIGKILL)


@pytest.fixture
def stand_in() -> Iterator[Callable[[Callable[[Exchange], None]], StandIn]]:
    """Start stand-in servers, each with its script."""
    servers: list[StandIn] = []

    def start(script: Callable[[Exchange], None]) -> StandIn:
        servers.append(StandIn(script))
        return servers[-1]

    yield start
    for server in servers:
        server.over.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def database(influxd: InfluxServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of the test's own."""
    name = f"dams_{zlib.crc32(request.node.nodeid.encode()):x}"
    influxd.ask(f'CREATE DATABASE "{name}" WITH DURATION INF SHARD DURATION 520w NAME "autogen"')
    yield name
    influxd.ask(f'DROP DATABASE "{name}"')
