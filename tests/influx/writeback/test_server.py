"""Writing back to a real InfluxDB 1.6 server, and to ones that are down, silent or refuse."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as trials
from hypothesis import strategies as st

from warning.domain.variables import Variable
from warning.sources import influx_writeback
from warning.sources.influx_points import Judged
from warning.sources.influx_settings import DamMapping, FieldMapping, InfluxSettings
from warning.sources.influx_transport import InfluxTransport
from warning.sources.influx_writeback import WriteBack
from warning.sources.influx_writing import BATCH_LINES, write_lines
from warning.sources.line_protocol import line
from warning.sources.writeback_note import note_in, trouble_in

NOW = datetime(2017, 2, 8, 6, 30, tzinfo=ZoneInfo("America/Los_Angeles"))
MEASUREMENT = "dam_forecast"


def settings_for(url: str, database: str | None, **changes: Any) -> InfluxSettings:
    dam = DamMapping(
        reservoir_id="oroville",
        tag_value="ORO",
        time_zone=ZoneInfo("America/Los_Angeles"),
        fields={Variable.LEVEL_M: FieldMapping(field="level")},
    )
    basis = InfluxSettings(
        url=url,
        database=database,
        measurement="reservoir",
        dam_tag="dam",
        dams=(dam,),
        first_day=date(2016, 1, 1),
        read_timeout_s=20.0,
        deadline_s=20.0,
        retries=0,
    )
    return replace(basis, **changes)


def written(settings: InfluxSettings, judged: list[Judged], times: int = 1) -> list[str | None]:
    """Write and wait; return what was told about each time."""
    told: list[str | None] = []
    back = WriteBack(settings, MEASUREMENT, told.append)
    for number in range(times):
        back.submit(judged, NOW)
        while len(told) <= number:
            threading.Event().wait(0.005)
    back.close()
    return told


def rows(server: Any, database: str, statement: str) -> list[dict[str, Any]]:
    result = server.ask(statement, database)["results"][0]
    return [
        dict(zip(series["columns"], values, strict=True)) | series.get("tags", {})
        for series in result.get("series", [])
        for values in series["values"]
    ]


@contextmanager
def silent_server() -> Iterator[str]:
    """Takes connections and says nothing until the end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_what_was_written_reads_back_to_the_last_digit(influxd: Any, database: str, judged: Judged) -> None:
    assert written(settings_for(influxd.url, database), [judged]) == [None]
    assert judged.forecast is not None
    found = rows(influxd, database, f"SELECT * FROM {MEASUREMENT} WHERE kind = 'forecast' AND dam = 'ORO'")
    assert [row["lead"] for row in found] == [str(lead) for lead in range(1, 8)]
    assert [row["q50"] for row in found] == list(judged.forecast.quantiles[:, 7])
    assert [row["mean"] for row in found] == list(judged.forecast.mean)
    weights = rows(influxd, database, f"SELECT weight_drift FROM {MEASUREMENT} WHERE kind = 'weight'")
    assert [row["weight_drift"] for row in weights] == [0.75] * 7
    (severity,) = rows(influxd, database, f"SELECT * FROM {MEASUREMENT} WHERE kind = 'severity'")
    assert (severity["state"], severity["rank"], severity["watched"]) == ("WARNING", 3, True)
    (alert,) = rows(influxd, database, f"SELECT * FROM {MEASUREMENT} WHERE kind = 'alert'")
    assert (alert["number"], alert["text"]) == (17, 'the level is "forecast" to rise; full pool')
    told = {
        row["threshold"]: row["p"]
        for row in rows(
            influxd,
            database,
            f"SELECT max(probability) AS p FROM {MEASUREMENT} WHERE kind = 'probability' GROUP BY threshold",
        )
    }
    assert judged.assessment is not None
    assert told == {o.threshold.name: max(o.probabilities) for o in judged.assessment.outlooks}


def test_writing_a_cycle_again_changes_nothing(influxd: Any, database: str, judged: Judged) -> None:
    settings = settings_for(influxd.url, database)
    everything = f"SELECT * FROM {MEASUREMENT} GROUP BY *"
    written(settings, [judged])
    once = rows(influxd, database, everything)
    assert written(settings, [judged], times=2) == [None, None]
    assert rows(influxd, database, everything) == once
    assert len(once) == 7 + 7 * 3 + 7 + 3 + 1 + 1  # forecasts, probabilities, weights, thresholds, …


def test_a_second_cycle_of_the_day_replaces_the_days_forecast(
    influxd: Any, database: str, judged: Judged
) -> None:
    assert judged.forecast is not None
    later = replace(
        judged.forecast,
        issued_at=judged.forecast.issued_at + timedelta(hours=6),
        mean=judged.forecast.mean + 0.5,
        method="cheap_experts",
    )
    settings = settings_for(influxd.url, database)
    written(settings, [judged])
    written(settings, [replace(judged, forecast=later)])
    found = rows(influxd, database, f"SELECT mean, method FROM {MEASUREMENT} WHERE kind = 'forecast'")
    assert [row["mean"] for row in found] == list(later.mean)
    assert {row["method"] for row in found} == {"cheap_experts"}


@trials(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(
        st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8)
        .map(str.strip)
        .filter(lambda name: name and not name.endswith("\\")),
        min_size=1,
        max_size=6,
        unique=True,
    )
)
def test_names_and_texts_of_any_letters_arrive_as_they_are(
    influxd: Any, database: str, names: list[str]
) -> None:
    influxd.ask("DROP MEASUREMENT names", database)
    points = [line("names", {"dam": name}, {"text": name}, at) for at, name in enumerate(names)]
    with InfluxTransport(settings_for(influxd.url, database)) as transport:
        assert write_lines(transport, [p for p in points if p], flux=False) == len(names)
    found = rows(influxd, database, "SELECT * FROM names")
    assert [(row["dam"], row["text"]) for row in found] == [(name, name) for name in names]


def test_more_points_than_a_batch_holds_all_arrive(influxd: Any, database: str) -> None:
    count = 2 * BATCH_LINES + 1
    points = (f"many value={at} {at}" for at in range(count))
    with InfluxTransport(settings_for(influxd.url, database)) as transport:
        assert write_lines(transport, points, flux=False) == count
    (row,) = rows(influxd, database, "SELECT count(value) AS n FROM many")
    assert row["n"] == count


def test_a_server_that_asks_who_is_there_takes_the_right_password_and_refuses_others(
    guarded_influxd: Any, judged: Judged
) -> None:
    guarded_influxd.ask("CREATE DATABASE guarded")
    nobody = settings_for(guarded_influxd.url, "guarded")
    keeper = replace(nobody, user=guarded_influxd.user, password=guarded_influxd.password)
    assert written(keeper, [judged]) == [None]
    for intruder in (nobody, replace(keeper, password="wrong")):
        (told,) = written(intruder, [judged])
        assert told is not None
        assert "401" in told
        assert "wrong" not in told


def test_an_unknown_database_is_named_in_words(influxd: Any, judged: Judged) -> None:
    (told,) = written(settings_for(influxd.url, "nowhere"), [judged])
    assert told is not None
    assert "nowhere" in told
    assert "database" in told


def test_without_a_database_nothing_is_sent_and_the_key_is_named(influxd: Any, judged: Judged) -> None:
    settings = settings_for(influxd.url, None, dialect="influxql")
    (told,) = written(settings, [judged])
    assert told is not None
    assert "database of the source" in told


def test_a_server_that_is_down_is_said_and_nothing_is_raised(judged: Judged) -> None:
    (told,) = written(settings_for(closed_port(), "dams"), [judged])
    assert told is not None
    assert "no connection" in told


def test_a_silent_server_costs_its_deadline_and_not_the_caller(judged: Judged) -> None:
    told: list[str | None] = []
    with silent_server() as url:
        back = WriteBack(settings_for(url, "dams", deadline_s=0.3), MEASUREMENT, told.append)
        back.submit([judged], NOW)
        assert told == []  # the caller is back, and nobody has answered
        back.close()
    assert len(told) == 1
    assert "not complete after 0.3 s" in str(told[0])


def test_a_cycle_that_waits_behind_a_slow_server_gives_way_to_a_newer_one(
    judged: Judged, caplog: pytest.LogCaptureFixture
) -> None:
    """Of three the newest is written, last; one between is not, and that is in the log alone."""
    told: list[str | None] = []
    with silent_server() as url:
        back = WriteBack(settings_for(url, "dams", deadline_s=0.5), MEASUREMENT, told.append)
        for _ in range(3):
            back.submit([judged], NOW)
        back.close()
    left_out = [r for r in caplog.records if "write-back-left-out" in r.getMessage()]
    assert left_out
    assert len(told) + len(left_out) == 3
    assert told


def test_the_end_of_the_program_does_not_wait_for_ever(
    judged: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(influx_writeback, "LAST_WAIT_S", 0.2)
    told: list[str | None] = []
    with silent_server() as url:
        back = WriteBack(settings_for(url, "dams", deadline_s=5.0), MEASUREMENT, told.append)
        back.submit([judged], NOW)
        back.close()
        assert told == ["the program ended 0.2 s later, and the server had not taken all of it"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_surprise_in_the_writing_is_told_like_any_failure(judged: Judged) -> None:
    broken = replace(judged, reservoir=None)  # type: ignore[arg-type]
    (told,) = written(settings_for(closed_port(), "dams", dialect="influxql"), [broken])
    assert "the program failed: AttributeError" in str(told)


def test_a_failure_is_kept_until_a_write_succeeds(
    influxd: Any, database: str, judged: Judged, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    on_end = note_in(tmp_path)
    assert trouble_in(tmp_path) is None
    for url, expected in ((closed_port(), "no connection"), (influxd.url, None)):
        back = WriteBack(settings_for(url, database), MEASUREMENT, on_end)
        back.submit([judged], NOW)
        back.close()
        trouble = trouble_in(tmp_path)
        assert trouble is None if expected is None else expected in str(trouble)
    (warned,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "event=write-back-failed" in warned.getMessage()


def test_a_note_that_cannot_be_kept_stops_nothing(tmp_path: Path) -> None:
    not_a_folder = tmp_path / "file"
    not_a_folder.write_text("")
    note_in(not_a_folder)("the server is down")
    note_in(not_a_folder)(None)
    assert "cannot be read" in str(trouble_in(not_a_folder))


@pytest.mark.parametrize(
    ("database", "changes", "path"),
    [
        (None, {"bucket": "b", "org": "o", "dialect": "flux"}, "/api/v2/write?org=o&bucket=b&precision=ns"),
        ("dams", {"bucket": "b", "dialect": "flux"}, "/api/v2/write?bucket=b&precision=ns"),
        (
            "dams",
            {"retention_policy": "short", "dialect": "influxql"},
            "/write?db=dams&rp=short&precision=ns",
        ),
    ],
    ids=["flux with an organisation", "flux without", "a retention policy"],
)
def test_points_go_where_the_dialect_takes_them(
    judged: Judged, database: str | None, changes: dict[str, Any], path: str, asked: tuple[str, list[str]]
) -> None:
    url, paths = asked
    assert written(settings_for(url, database, **changes), [judged]) == [None]
    (found,) = paths
    assert set(found.replace("?", "&").split("&")) == set(path.replace("?", "&").split("&"))


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """A stand-in that takes every write and remembers where it was sent."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            paths.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", paths
    server.shutdown()
    thread.join()
    server.server_close()
