"""`import` brings years of CSV into a real server, each value where reading finds it again."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from configured import write_configuration

from warning.cli.main import main
from warning.config.loading import load_configuration
from warning.domain.variables import Variable
from warning.wiring import source_of

from .conftest import InfluxServer

FIRST = date(1990, 1, 1)


@pytest.fixture
def folder(influxd: InfluxServer, database: str, tmp_path: Path) -> Path:
    return write_configuration(tmp_path / "config", influxd.url, database, "oroville:ORO", "folsom")


def counted(influxd: InfluxServer, database: str, field: str) -> int:
    series = influxd.ask(f'SELECT count("{field}") FROM reservoir', database)["results"][0].get("series")
    return series[0]["values"][0][1] if series else 0


def test_thirty_years_are_read_back_as_they_were(
    folder: Path, influxd: InfluxServer, database: str, tmp_path: Path
) -> None:
    levels = 200 + 50 * np.random.default_rng(3).random(11_000)
    rows = [f"{FIRST + timedelta(days=i)},{level!r},\n" for i, level in enumerate(levels.tolist())]
    file = tmp_path / "oroville.csv"
    file.write_text("date,level_m,inflow_m3s\n" + "".join(rows))
    assert main(["import", "oroville", str(file), "--config", str(folder)]) == 0
    assert counted(influxd, database, "level") == 11_000
    raw = source_of(load_configuration(folder)).read(["oroville"]).readings["oroville"]
    assert raw.days[0] == np.datetime64(FIRST)
    np.testing.assert_allclose(raw.values[Variable.LEVEL_M], levels, rtol=1e-14)


def test_importing_again_changes_nothing(
    folder: Path, influxd: InfluxServer, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "readings.csv"
    file.write_text("date,level_m\n2020-01-02,271\n2020-01-01,270\n2020-03-08,272\n")
    for _ in range(2):
        assert main(["import", "oroville", str(file), "--to", "influxdb", "--config", str(folder)]) == 0
    assert counted(influxd, database, "level") == 3


def test_what_cannot_be_brought_in_is_told_by_line_and_kept_beside_the_file(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "history.csv"
    file.write_text(
        "date,level_m,inflow_m3s\n2020-01-01,270,\n2020-01-32,271,5\n2020-01-02,27l,6\n2020-01-01,999,7\n"
        "2020-01-01,270,8\n"
    )
    for _ in range(2):
        assert main(["import", "folsom", str(file), "--config", str(folder)]) == 1
    told = capsys.readouterr().out
    assert "line 3: date: '2020-01-32'" in told
    assert "line 4: level_m: '27l' is not a finite number" in told
    assert "line 5: 2020-01-01 disagrees with line 2: level_m 999.0 against 270.0; the first is kept" in told
    kept = tmp_path / "history.rejected.csv"
    assert str(kept) in told
    assert len(kept.read_text().splitlines()) == 4
    raw = source_of(load_configuration(folder)).read(["folsom"]).readings["folsom"]
    assert raw.days.astype(str).tolist() == ["2020-01-01", "2020-01-02"]
    np.testing.assert_allclose(raw.values[Variable.LEVEL_M], [270.0, np.nan])
    np.testing.assert_allclose(raw.values[Variable.INFLOW_M3S], [8.0, 6.0])


def test_a_variable_that_no_field_takes_is_refused_before_anything_is_written(
    folder: Path, influxd: InfluxServer, database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "readings.csv"
    file.write_text("date,level_m,rain_mm\n2020-01-01,270,3\n")
    assert main(["import", "oroville", str(file), "--config", str(folder)]) == 1
    assert "no field to rain_mm" in capsys.readouterr().err
    assert counted(influxd, database, "level") == 0


def test_a_server_that_is_gone_is_said_to_be_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_configuration(tmp_path / "config", "http://127.0.0.1:9", "x", "oroville")
    file = tmp_path / "readings.csv"
    file.write_text("date,level_m\n2020-01-01,270\n")
    assert main(["import", "oroville", str(file), "--config", str(folder)]) == 1
    assert "no connection" in capsys.readouterr().err


def test_readings_for_another_kind_of_source_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_configuration(tmp_path / "config", "http://127.0.0.1:9", "x", "oroville")
    assert main(["import", "oroville", "x.csv", "--to", "csv", "--config", str(folder)]) == 2
    assert 'of kind = "influxdb", not "csv"' in capsys.readouterr().err
