"""`init` writes a first reservoirs.toml from the source; check-config refuses it until people answered."""

from __future__ import annotations

import re
import tomllib
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from configured import write_configuration

from warning.cli.main import main
from warning.config.loading import load_configuration
from warning.config.problems import InvalidConfigurationError
from warning.domain.reservoir import Bounds
from warning.domain.variables import Variable
from warning.sources.line_protocol import line, noon_ns

from .conftest import InfluxServer

FIRST = date(2015, 1, 1)
DAYS = 800
ANSWERS = {"time_zone": '"America/Los_Angeles"', "datum": '"NGVD29"'}


def season(middle: float, width: float) -> np.ndarray:
    """Return a quiet year's course with a little noise, the same each time."""
    rng = np.random.default_rng(7)
    course = middle + width * np.sin(np.arange(DAYS) * 2 * np.pi / 365.25)
    return course + np.cumsum(rng.normal(0, width / 500, DAYS))


def record(tag: str, **fields: np.ndarray) -> str:
    """Return daily points in line protocol."""
    points = (
        line(
            "reservoir",
            {"dam": tag},
            {name: float(column[day]) for name, column in fields.items()},
            noon_ns(FIRST + timedelta(days=day), ZoneInfo("UTC")),
        )
        for day in range(DAYS)
    )
    return "\n".join(point for point in points if point)


@pytest.fixture
def folder(influxd: InfluxServer, database: str, tmp_path: Path) -> Path:
    """A configuration without dams, and a server with three, one of which has no level."""
    influxd.put(database, record("ORO", level=season(850, 40), inflow=season(5000, 3000)))
    influxd.put(database, record("Lake Två", level=season(300, 5)))
    influxd.put(database, record("canal", inflow=season(500, 100)))
    return write_configuration(tmp_path / "config", influxd.url, database)


def fill_in(path: Path) -> None:
    """Answer every open question as the dam's people would."""
    text = path.read_text()
    for key, answer in ANSWERS.items():
        text = text.replace(f'{key} = "FILL IN"', f"{key} = {answer}")
    values = iter(("271.0", "270.5", "273.0", "272.5") * 9)
    text = re.sub(r'(value|clear_value) = "FILL IN"', lambda found: f"{found[1]} = {next(values)}", text)
    # the second dam stands at 91 m
    head, _, tail = text.partition("[reservoirs.oro]")
    lower = re.sub(r"value = 27(\d)", r"value = 9\1", head)
    path.write_text(lower + "[reservoirs.oro]" + tail)


def test_what_is_written_is_refused_with_its_placeholders_alone_until_they_are_filled_in(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "--config", str(folder)]) == 0
    path = folder / "reservoirs.toml"
    with pytest.raises(InvalidConfigurationError) as caught:
        load_configuration(folder)
    problems = caught.value.problems
    assert len(problems) == path.read_text().count('= "FILL IN"') == 12
    assert {problem.file for problem in problems} == {"reservoirs.toml"}
    assert all('"FILL IN", as `dam-warning init` left it' in problem.found for problem in problems)
    assert {problem.key.rpartition(".")[2] for problem in problems} == {
        "time_zone",
        "datum",
        "value",
        "clear_value",
    }
    fill_in(path)
    dams = load_configuration(folder).reservoirs
    assert [dam.id for dam in dams] == ["lake_tva", "oro"]


def test_what_the_record_says_is_in_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--config", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "left out: canal: it has neither a level nor a storage" in told
    assert "2 dams written: lake_tva, oro" in told
    fill_in(folder / "reservoirs.toml")
    configuration = load_configuration(folder)
    oroville = configuration.reservoirs[1]
    assert oroville.forecast_variable is Variable.LEVEL_M
    level = oroville.limits[Variable.LEVEL_M]
    assert level.lower < (850 - 45) * 0.3048
    assert level.upper > (850 + 45) * 0.3048
    assert isinstance(oroville.limits[Variable.INFLOW_M3S], Bounds)
    assert configuration.source.tags == {"lake_tva": "Lake Två", "oro": "ORO"}
    assert oroville.screening.rate_per_day == {}  # proposals stay comments, so that they follow the record
    text = (folder / "reservoirs.toml").read_text()
    assert "# rate_per_day = { level_m = " in text
    assert "2015-01-01 to 2017-03-10; days with a reading: level_m on 800, inflow_m3s on 800." in text


def test_the_proposed_screening_is_sound_once_uncommented(folder: Path) -> None:
    assert main(["init", "--config", str(folder)]) == 0
    path = folder / "reservoirs.toml"
    fill_in(path)
    path.write_text(
        re.sub(r"^# (\w+ = .*)$", r"\1", path.read_text(), flags=re.MULTILINE).replace(
            'emergency = "Call', '# emergency = "Call'
        )
    )
    assert load_configuration(folder).reservoirs[0].screening.flat_line_days is not None


def test_an_existing_file_is_never_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "reservoirs.toml"
    path.write_text("# years of work")
    assert main(["init", "--config", str(folder)]) == 2
    assert "exists and is not overwritten; name another file with --output" in capsys.readouterr().err
    assert path.read_text() == "# years of work"
    other = folder / "proposal.toml"
    assert main(["init", "--config", str(folder), "--output", str(other)]) == 0
    assert tomllib.loads(other.read_text())["reservoirs"].keys() == {"lake_tva", "oro"}


def test_a_server_without_dams_makes_no_file(
    influxd: InfluxServer, database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_configuration(tmp_path / "config", influxd.url, database)
    assert main(["init", "--config", str(folder)]) == 1
    assert "no dam's readings were found there" in capsys.readouterr().err
    assert not (folder / "reservoirs.toml").exists()


def test_storage_in_per_cent_asks_for_the_capacity(
    influxd: InfluxServer, database: str, tmp_path: Path
) -> None:
    influxd.put(database, record("hirakud", filling=season(60, 30)))
    folder = write_configuration(tmp_path / "config", influxd.url, database)
    path = folder / "warning.toml"
    path.write_text(
        path.read_text().replace("fields.level_m", "fields.storage_m3").replace('"level"', '"filling"')
    )
    path.write_text(path.read_text().replace('unit = "ft"', 'unit = "%"'))
    assert main(["init", "--config", str(folder)]) == 0
    with pytest.raises(InvalidConfigurationError) as caught:
        load_configuration(folder)
    keys = [problem.key.removeprefix("reservoirs.hirakud.") for problem in caught.value.problems]
    assert keys[:3] == ["time_zone", "capacity_m3", "limits.storage_m3"]
    highest = f"the highest storage is {season(60, 30).max():.6g} % of capacity of 20"
    assert highest in (folder / "reservoirs.toml").read_text()


def test_a_folder_of_files_is_looked_into_in_the_same_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_configuration(tmp_path / "config", "http://127.0.0.1:9", "x")
    path = folder / "warning.toml"
    text = path.read_text()
    source = text[text.index("[source]") : text.index("[schedule]")]
    path.write_text(text.replace(source, f'[source]\nkind = "csv"\nfolder = "{tmp_path}"\n\n'))
    rows = "".join(f"{FIRST + timedelta(days=i)},{value:.2f}\n" for i, value in enumerate(season(270, 9)))
    (tmp_path / "oroville.csv").write_text("date,level_m\n" + rows)
    (tmp_path / "Big Dam.csv").write_text("date,level_m\n" + rows)
    (tmp_path / "broken.csv").write_text("day;level\n")
    assert main(["init", "--config", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "left out: Big Dam: its name is no id" in told
    assert "left out: broken: " in told
    assert tomllib.loads((folder / "reservoirs.toml").read_text())["reservoirs"].keys() == {"oroville"}
    assert "source_tag" not in (folder / "reservoirs.toml").read_text()


def test_dams_whose_names_differ_in_signs_alone_get_ids_of_their_own(
    influxd: InfluxServer, database: str, tmp_path: Path
) -> None:
    for tag in ("Big Dam", "Big-Dam", "BIG DAM", "Плотина"):
        influxd.put(database, record(tag, level=season(300, 5)))
    folder = write_configuration(tmp_path / "config", influxd.url, database)
    assert main(["init", "--config", str(folder)]) == 0
    dams = tomllib.loads((folder / "reservoirs.toml").read_text())["reservoirs"]
    assert {dam: table["source_tag"] for dam, table in dams.items()} == {
        "big_dam": "BIG DAM",
        "big_dam-2": "Big Dam",
        "big-dam": "Big-Dam",
        "dam": "Плотина",
    }
