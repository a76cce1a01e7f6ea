"""`check-config --connect` says of a real server what an admin must know before the daemon relies on it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from configured import write_configuration

from warning.cli.main import main

from .conftest import InfluxServer

DAY_NS = 86_400 * 10**9
NOW_NS = time.time_ns()


def points(dam: str, days_ago: range, fields: str = "level={value},inflow={value}") -> str:
    """Return a point a day, at this hour of each of the days."""
    lines = (
        f"reservoir,dam={dam} {fields.format(value=700 + day % 7)} {NOW_NS - day * DAY_NS}"
        for day in days_ago
    )
    return "\n".join(lines)


@pytest.fixture
def check(
    influxd: InfluxServer, database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Configure dams, and return what the command ends with and says."""

    def run(*dams: str, more: str = "", json_too: bool = False, name: str = database) -> tuple[int, str]:
        folder = write_configuration(tmp_path / "config", influxd.url, name, *dams, more=more)
        words = ["check-config", "--connect", "--config", str(folder)] + (["--json"] if json_too else [])
        status = main(words)
        return status, capsys.readouterr().out

    return run


Check = Callable[..., tuple[int, str]]


def test_a_fleet_that_reports_is_found_sound(check: Check, influxd: InfluxServer, database: str) -> None:
    influxd.put(database, points("oroville", range(30)) + "\n" + points("FOL", range(30)))
    status, text = check("oroville", "folsom:FOL")
    assert status == 0, text
    assert f"reservoir in {database} at {influxd.url} (InfluxDB 1, asked in InfluxQL)" in text
    assert "Every dam's readings are there and fresh." in text
    assert "TROUBLE" not in text


def test_a_dam_that_nobody_writes_is_named(check: Check, influxd: InfluxServer, database: str) -> None:
    influxd.put(database, points("oroville", range(30)))
    status, text = check("oroville", "folsom")
    assert status == 1
    (line,) = [line for line in text.splitlines() if line.startswith("  folsom: ") and "TROUBLE" in line]
    assert "no readings" in line
    assert "  oroville: newest level_m" in text


def test_a_dam_that_fell_silent_long_ago_is_found_with_its_last_day(
    check: Check, influxd: InfluxServer, database: str
) -> None:
    influxd.put(database, points("oroville", range(400, 430)))
    status, text = check("oroville", json_too=True)
    answer = json.loads(text)
    assert status == 1
    assert answer["ok"] is False
    (dam,) = answer["source"]["reservoirs"].values()
    newest = datetime.now(UTC).date() - timedelta(days=400)
    assert abs(datetime.fromisoformat(dam["newest"]["level_m"]).date() - newest) <= timedelta(days=1)
    assert "days old" in dam["trouble"]


def test_a_field_that_does_not_exist_is_named_beside_those_that_do(
    check: Check, influxd: InfluxServer, database: str
) -> None:
    influxd.put(database, points("oroville", range(30), "level={value},release={value}"))
    status, text = check("oroville")
    assert status == 1
    assert "the field 'inflow' of inflow_m3s does not exist; 'reservoir' has level, release" in text


def test_a_dam_without_what_it_is_forecast_by_is_named(
    check: Check, influxd: InfluxServer, database: str
) -> None:
    influxd.put(
        database, points("oroville", range(30)) + "\n" + points("folsom", range(30), "inflow={value}")
    )
    status, text = check("oroville", "folsom")
    assert status == 1
    assert "folsom: newest inflow_m3s" in text
    assert "TROUBLE: it has no level_m, its forecast variable" in text


def test_dams_of_the_server_that_nobody_configured_are_listed(
    check: Check, influxd: InfluxServer, database: str
) -> None:
    influxd.put(database, points("oroville", range(30)) + "\n" + points("shasta", range(3)))
    status, text = check("oroville")
    assert status == 0
    assert "no dam is configured for: shasta" in text


def test_an_empty_measurement_is_said_to_be_empty(check: Check, influxd: InfluxServer, database: str) -> None:
    influxd.put(database, "weather,dam=oroville rain=1 1")
    status, text = check("oroville")
    assert status == 1
    assert "the measurement 'reservoir' holds nothing there" in text


def test_a_tag_that_does_not_exist_is_named(check: Check, influxd: InfluxServer, database: str) -> None:
    influxd.put(database, points("oroville", range(30)).replace("dam=", "site="))
    status, text = check("oroville")
    assert status == 1
    assert "the tag 'dam' does not exist there" in text


def test_a_database_that_does_not_exist_is_named(check: Check) -> None:
    status, text = check("oroville", name="nowhere")
    assert status == 1
    assert "database not found" in text
    assert "database of the source" in text


def test_a_server_that_is_not_there_is_said_to_be_unreachable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_configuration(tmp_path / "config", "http://127.0.0.1:9", "x", "oroville")
    assert main(["check-config", "--connect", "--json", "--config", str(folder)]) == 1
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert "no connection" in answer["source"]["troubles"][0]


@pytest.mark.parametrize(("password", "status"), [("right", 0), ("wrong", 1), (None, 1)])
def test_a_server_that_asks_who_is_there_is_told(
    password: str | None,
    status: int,
    guarded_influxd: InfluxServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    database = "guarded"
    guarded_influxd.ask(f"CREATE DATABASE {database}")
    guarded_influxd.put(database, points("oroville", range(30)))
    more = f'user = "{guarded_influxd.user}"\npassword = "file:influxdb-password"' if password else ""
    folder = write_configuration(tmp_path / "config", guarded_influxd.url, database, "oroville", more=more)
    secret = folder / "influxdb-password"
    secret.write_text(guarded_influxd.password if password == "right" else "wrong")
    secret.chmod(0o600)
    assert main(["check-config", "--connect", "--config", str(folder)]) == status
    text = capsys.readouterr().out
    if status:
        assert "refused with status 401" in text
        assert "check token, user and password" in text
    assert guarded_influxd.password not in text


def test_a_folder_of_files_is_looked_at_in_the_same_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_configuration(tmp_path / "config", "http://127.0.0.1:9", "x", "oroville", "folsom")
    path = folder / "warning.toml"
    text = path.read_text()
    source = text[text.index("[source]") : text.index("[schedule]")]
    path.write_text(text.replace(source, f'[source]\nkind = "csv"\nfolder = "{tmp_path / "readings"}"\n'))
    assert main(["check-config", "--connect", "--config", str(folder)]) == 1
    assert "TROUBLE" in capsys.readouterr().out
    (tmp_path / "readings").mkdir()
    today = datetime.now(UTC).date()
    (tmp_path / "readings" / "oroville.csv").write_text(f"date,level_m\n{today - timedelta(days=1)},270\n")
    (tmp_path / "readings" / "shasta.csv").write_text(f"date,level_m\n{today},300\n")
    assert main(["check-config", "--connect", "--config", str(folder)]) == 1
    text = capsys.readouterr().out
    assert f"oroville: newest level_m {today - timedelta(days=1)}\n" in text
    assert "folsom: no readings · TROUBLE: " in text
    assert "no dam is configured for: shasta" in text


def test_a_field_of_outlooks_that_nobody_writes_is_named(
    check: Check, influxd: InfluxServer, database: str
) -> None:
    outlook = '\n[source.outlook.rain_mm]\nfield = "rain"\nunit = "mm"\n'
    influxd.put(database, points("oroville", range(30)))
    status, text = check("oroville", more=outlook)
    assert status == 1, text
    assert "the field 'rain' of forecast rain does not exist; 'outlook' holds nothing there" in text
    influxd.put(database, f"outlook,dam=oroville,issued_on=2024-05-02 rain=1 {NOW_NS}")
    status, text = check("oroville", more=outlook)
    assert status == 0, text
    assert (
        'forecast rain: field "rain" in mm of outlook, issued on the day that its tag issued_on says' in text
    )
