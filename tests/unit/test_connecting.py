"""What the admin wrote of a server reaches the reader of it, dam by dam."""

from __future__ import annotations

from datetime import date, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from warning.config.configuration import CsvSource, InfluxdbSource, StoredField
from warning.connecting import find_dams, influx_settings, reading_source
from warning.domain.variables import Variable
from warning.sources.csv_folder import CsvFolderSource
from warning.sources.influx_settings import Daily

SOURCE = InfluxdbSource(
    url="https://influxdb.example.org:8086",
    dialect="flux",
    token="t0ken",
    org="dams",
    bucket="readings",
    measurement="reservoir",
    dam_tag="dam",
    fields={
        Variable.LEVEL_M: StoredField(field="stage", unit="ft", daily="mean"),
        Variable.STORAGE_M3: StoredField(field="filling", unit="%", daily="last"),
    },
    day_starts_at=time(8),
    first_day=date(1990, 1, 1),
    read_timeout_s=10.0,
    deadline_s=90.0,
    retries=7,
    verify_tls=False,
    ca_file=Path("dams.pem"),
    proxy="http://proxy:3128",
    tags={"hirakud": "HKD"},
    capacities_m3={"hirakud": 5.9e9, "oroville": 4.4e9},
)
ZONES = {"hirakud": ZoneInfo("Asia/Kolkata"), "oroville": ZoneInfo("America/Los_Angeles")}


def test_every_setting_of_the_server_arrives() -> None:
    settings = influx_settings(SOURCE, ZONES)
    same = set(InfluxdbSource.__slots__) & set(type(settings).__slots__)
    assert {"url", "dialect", "token", "org", "bucket", "day_starts_at", "retries", "proxy"} <= same
    assert {name: getattr(settings, name) for name in same} == {name: getattr(SOURCE, name) for name in same}


def test_each_dam_has_its_own_tag_zone_and_capacity() -> None:
    hirakud, oroville = influx_settings(SOURCE, ZONES).dams
    assert (hirakud.tag_value, oroville.tag_value) == ("HKD", "oroville")
    assert (hirakud.time_zone.key, oroville.time_zone.key) == ("Asia/Kolkata", "America/Los_Angeles")
    assert hirakud.fields[Variable.STORAGE_M3].factor == pytest.approx(5.9e7)
    assert oroville.fields[Variable.STORAGE_M3].factor == pytest.approx(4.4e7)
    level = oroville.fields[Variable.LEVEL_M]
    assert (level.field, level.factor, level.daily) == ("stage", 0.3048, Daily.MEAN)


def test_a_folder_is_read_as_a_folder(tmp_path: Path) -> None:
    source = reading_source(CsvSource(tmp_path), ZONES)
    assert isinstance(source, CsvFolderSource)
    assert source.folder == tmp_path


def test_a_folder_gives_its_dams_and_says_why_others_are_none(tmp_path: Path) -> None:
    (tmp_path / "oroville.csv").write_text("date,level_m\n2020-01-01,270\n")
    (tmp_path / "canal.csv").write_text("date,inflow_m3s\n2020-01-01,27\n")
    (tmp_path / "Shasta.csv").write_text("date,level_m\n2020-01-01,300\n")
    found = find_dams(CsvSource(tmp_path))
    assert [dam.id for dam in found.dams] == ["oroville"]
    assert found.left_out.keys() == {"canal", "Shasta"}
