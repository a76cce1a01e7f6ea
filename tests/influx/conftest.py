"""A real InfluxDB 1.6 server on loopback, in a folder that goes when the tests end."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
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
def database(influxd: InfluxServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of the test's own."""
    name = f"dams_{abs(hash(request.node.nodeid)):x}"
    influxd.ask(f'CREATE DATABASE "{name}"')
    yield name
    influxd.ask(f'DROP DATABASE "{name}"')
