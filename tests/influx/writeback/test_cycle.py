"""Cycles on readings in a real InfluxDB: the warning goes out whatever becomes of the write-back."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from warning.cli.main import main
from warning.clock import FixedClock
from warning.config.loading import load_configuration
from warning.config.problems import InvalidConfigurationError
from warning.demo.mailbox import Mailbox
from warning.sources.writeback_note import trouble_in
from warning.wiring import wired

TODAY = date(2024, 7, 18)
DAYS = 120
NOON = datetime(2024, 7, 18, 12, tzinfo=UTC)
LIMIT_S = 20.0
RAISED = {"WARNING observed", "WARNING observed, update"}  # the crossing, then what the forecast adds

WARNING_TOML = """\
state_directory = "state"
[source]
kind = "influxdb"
url = "{url}"
database = "{database}"
measurement = "reservoir"
dam_tag = "dam"
read_timeout_s = 20
deadline_s = 20
retries = 0
[source.fields.level_m]
field = "level"
unit = "m"
[source.write_back]
enabled = {enabled}
[schedule]
daily_at = "06:00"
time_zone = "UTC"
[mail]
host = "127.0.0.1"
port = {port}
security = "none"
from_address = "dam-warning@example.org"
"""

RESERVOIRS_TOML = """\
[reservoirs.upper]
name = "Upper dam"
time_zone = "UTC"
datum = "local gauge"
forecast_variable = "level_m"
limits = { level_m = [0.0, 60.0] }
[[reservoirs.upper.thresholds]]
name = "full"
severity = "warning"
value = 40.0
clear_value = 39.0
"""

RECIPIENTS_TOML = """\
[recipients.control_room]
name = "Control room"
email = "control.room@example.org"
least_severity = "warning"
reservoirs = "all"
"""


class Relay:
    """Passes everything on to the real server but points to be written, which meet `fate` instead."""

    def __init__(self, server_url: str, fate: str) -> None:
        self.write_came = threading.Event()
        self.release = threading.Event()
        relay = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._pass_on(None)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if not self.path.startswith("/write"):
                    self._pass_on(body)
                    return
                relay.write_came.set()
                if fate == "silence":
                    relay.release.wait(LIMIT_S)
                if fate == "refusal":
                    self._answer(401, b'{"error":"no write permission"}', {})
                self.close_connection = True

            def _pass_on(self, body: bytes | None) -> None:
                request = urllib.request.Request(server_url + self.path, data=body)
                request.add_header("Content-Type", self.headers.get("Content-Type") or "text/plain")
                with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
                    self._answer(answer.status, answer.read(), dict(answer.headers))

            def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name in ("Content-Type", "X-Influxdb-Version"):
                    if name in headers:
                        self.send_header(name, headers[name])
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Relay:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()


@dataclass(frozen=True)
class World:
    """A configured dam whose level crosses its threshold today, and who is told."""

    folder: Path
    database: str
    mailbox: Mailbox

    def configure(self, url: str, *, enabled: bool = True) -> Path:
        name = f"config{len(list(self.folder.iterdir()))}"
        config = self.folder / name
        config.mkdir()
        (config / "warning.toml").write_text(
            WARNING_TOML.format(
                url=url, database=self.database, port=self.mailbox.port, enabled=str(enabled).lower()
            )
        )
        (config / "reservoirs.toml").write_text(RESERVOIRS_TOML)
        (config / "recipients.toml").write_text(RECIPIENTS_TOML)
        return config

    def subjects(self) -> list[str]:
        return [mail.subject for mail in self.mailbox.messages()]


@pytest.fixture
def world(tmp_path: Path, influxd: Any, database: str) -> Iterator[World]:
    levels = 30.0 + np.cumsum(np.random.default_rng(3).normal(0.0, 0.05, DAYS))
    levels[-3:] = (34.0, 38.0, 40.6)
    lines = []
    for position, level in enumerate(levels):
        day = TODAY - timedelta(days=DAYS - 1 - position)
        at = int(datetime(day.year, day.month, day.day, 6, tzinfo=UTC).timestamp()) * 10**9
        lines.append(f"reservoir,dam=upper level={level:.3f} {at}")
    influxd.put(database, "\n".join(lines))
    (tmp_path / "configs").mkdir()
    with Mailbox(tmp_path / "mailbox") as mailbox:
        yield World(tmp_path / "configs", database, mailbox)


def written_kinds(influxd: Any, database: str) -> set[str]:
    result = influxd.ask('SHOW TAG VALUES FROM dam_forecast WITH KEY = "kind"', database)["results"][0]
    return {value for series in result.get("series", []) for _, value in series["values"]}


@contextmanager
def a_cycle(config: Path) -> Iterator[Any]:
    """Run a cycle; what is being written back is waited for at the end."""
    with wired(load_configuration(config), FixedClock(NOON)) as parts:
        (outcome,) = parts.run_cycle()
        yield parts, outcome


def test_a_cycle_warns_and_what_it_came_to_stands_in_the_database(world: World, influxd: Any) -> None:
    config = world.configure(influxd.url)
    with a_cycle(config) as (parts, outcome):
        parts.deliver(threading.Event())
    assert outcome.assessment.severity.name == "warning"
    assert {subject.partition(":")[0] for subject in world.subjects()} == RAISED
    kinds = written_kinds(influxd, world.database)
    assert kinds == {"forecast", "probability", "weight", "severity", "threshold", "alert"}
    assert trouble_in(load_configuration(config).state_directory) is None


def test_nothing_is_written_where_the_admin_wants_nothing_written(world: World, influxd: Any) -> None:
    with a_cycle(world.configure(influxd.url, enabled=False)):
        pass
    assert written_kinds(influxd, world.database) == set()


def test_forecasts_are_never_written_among_the_readings(world: World, influxd: Any) -> None:
    config = world.configure(influxd.url)
    path = config / "warning.toml"
    path.write_text(path.read_text().replace("enabled = true", 'measurement = "reservoir"'))
    with pytest.raises(InvalidConfigurationError, match=r"source\.write_back\.measurement") as refused:
        load_configuration(config)
    assert "where the readings are" in str(refused.value)


def test_what_was_written_does_not_come_back_as_readings(world: World, influxd: Any) -> None:
    with a_cycle(world.configure(influxd.url)) as (_, first):
        pass
    with a_cycle(world.configure(influxd.url)) as (_, second):
        pass
    assert first.assessment == second.assessment


def test_the_warning_is_out_before_a_silent_server_has_answered(world: World, influxd: Any) -> None:
    with Relay(influxd.url, "silence") as relay:
        config = world.configure(relay.url)
        with a_cycle(config) as (parts, outcome):
            assert relay.write_came.wait(LIMIT_S)
            parts.deliver(threading.Event())
            assert {subject.partition(":")[0] for subject in world.subjects()} == RAISED
            assert not relay.release.is_set()  # the warning is out, and the server still says nothing
            relay.release.set()
    assert outcome.failure is None
    trouble = trouble_in(load_configuration(config).state_directory)
    assert trouble is not None


@pytest.mark.parametrize(("fate", "words"), [("refusal", "401"), ("hanging up", "no connection")])
def test_a_failed_write_back_changes_no_outcome_and_is_in_the_status(
    world: World, influxd: Any, fate: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with a_cycle(world.configure(influxd.url, enabled=False)) as (_, undisturbed):
        pass
    with Relay(influxd.url, fate) as relay:
        config = world.configure(relay.url)
        with a_cycle(config) as (parts, outcome):
            parts.deliver(threading.Event())
        assert relay.write_came.is_set()
    assert outcome.assessment == undisturbed.assessment
    assert [alert.kind for alert in outcome.alerts] == [alert.kind for alert in undisturbed.alerts]
    assert {subject.partition(":")[0] for subject in world.subjects()} == RAISED
    assert main(["status", "--json", "--config", str(config)]) == 1
    troubles = json.loads(capsys.readouterr().out)["troubles"]
    assert any("not in InfluxDB" in trouble and words in trouble for trouble in troubles)


def test_with_the_server_down_the_dam_is_unwatched_and_that_is_said(world: World) -> None:
    config = world.configure("http://127.0.0.1:9")
    with a_cycle(config) as (parts, outcome):
        parts.deliver(threading.Event())
    assert outcome.assessment.unwatched
    assert ["UNWATCHED" in subject for subject in world.subjects()] == [True]
    trouble = trouble_in(load_configuration(config).state_directory)
    assert trouble is not None
    assert "no connection" in trouble
