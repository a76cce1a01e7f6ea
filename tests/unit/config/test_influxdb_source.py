"""What an admin writes of an InfluxDB server arrives as written; every mistake is refused at its own key."""

from __future__ import annotations

import re
import shutil
from dataclasses import asdict
from datetime import date, time
from pathlib import Path

import pytest

from warning.config.configuration import InfluxdbSource, OutlookFields, StoredField
from warning.config.loading import load_configuration, load_service
from warning.config.problems import InvalidConfigurationError
from warning.config.summary import summary
from warning.domain.variables import Variable

from .conftest import CSV_SOURCE, ENVIRONMENT, INFLUXDB_SOURCE, Refused

SAMPLE = Path(__file__).resolve().parents[3] / "config" / "warning.toml"
TOKEN = "t0ken-of-the-readings"


@pytest.fixture
def folder(folder: Path) -> Path:
    """The small sound configuration, with an InfluxDB server in place of the folder."""
    path = folder / "warning.toml"
    path.write_text(path.read_text().replace(CSV_SOURCE, INFLUXDB_SOURCE))
    assert "influxdb" in path.read_text()
    dams = folder / "reservoirs.toml"
    dams.write_text(dams.read_text().replace("limits =", "capacity_m3 = 4.36e9\nlimits =", 1))
    (folder / "influxdb-token").write_text(TOKEN)
    (folder / "influxdb-token").chmod(0o600)
    return folder


def source_of(folder: Path) -> InfluxdbSource:
    source = load_configuration(folder, ENVIRONMENT).source
    assert isinstance(source, InfluxdbSource)
    return source


def replace_in(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def test_what_is_written_arrives(folder: Path) -> None:
    source = source_of(folder)
    assert (source.url, source.dialect, source.bucket, source.org, source.token) == (
        "https://influxdb.example.org:8086",
        "auto",
        "readings",
        "dams",
        TOKEN,
    )
    assert source.capacities_m3 == {"oroville": 4.36e9}
    assert source.tags == {}


def test_what_is_left_out_has_its_default(folder: Path) -> None:
    source = source_of(folder)
    assert (source.day_starts_at, source.first_day) == (time(0), date(1900, 1, 1))
    assert (source.read_timeout_s, source.deadline_s, source.retries) == (30.0, 300.0, 3)
    assert (source.verify_tls, source.ca_file, source.proxy) == (True, None, None)


def test_a_day_has_the_last_level_the_mean_flow_and_the_highest_rain_unless_said(folder: Path) -> None:
    extra = (
        '[source.fields.inflow_m3s]\nfield = "q"\nunit = "cfs"\n[source.fields.outflow_m3s]\nfield = "r"\n'
    )
    extra += 'unit = "cusec"\ndaily = "max"\n[source.fields.rain_mm]\nfield = "p"\nunit = "in"\n'
    replace_in(folder / "warning.toml", "[schedule]", f"{extra}\n[schedule]")
    fields = source_of(folder).fields
    assert {variable: stored.daily for variable, stored in fields.items()} == {
        Variable.LEVEL_M: "last",
        Variable.STORAGE_M3: "last",
        Variable.INFLOW_M3S: "mean",
        Variable.OUTFLOW_M3S: "max",
        Variable.RAIN_MM: "max",
    }
    assert fields[Variable.LEVEL_M] == StoredField(field="level", unit="ft", daily="last")


def test_a_dam_may_have_a_tag_of_its_own(folder: Path) -> None:
    replace_in(folder / "reservoirs.toml", "limits =", 'source_tag = "ORO"\nlimits =')
    assert source_of(folder).tags == {"oroville": "ORO"}


OUTLOOK = '[source.outlook.rain_mm]\nfield = "p"\nunit = "in"\n\n[schedule]'


def test_outlooks_have_names_of_their_own_unless_said(folder: Path) -> None:
    assert source_of(folder).outlook is None
    replace_in(folder / "warning.toml", "[schedule]", OUTLOOK)
    rain = {Variable.RAIN_MM: StoredField(field="p", unit="in", daily="last")}
    expected = OutlookFields(measurement="outlook", issued_tag="issued_on", fields=rain)
    assert source_of(folder).outlook == expected
    said = '[source.outlook]\nmeasurement = "gfs"\nissued_tag = "run"\n' + OUTLOOK
    replace_in(folder / "warning.toml", OUTLOOK, said)
    assert source_of(folder).outlook == OutlookFields(measurement="gfs", issued_tag="run", fields=rain)


def test_the_summary_says_where_outlooks_come_from(folder: Path) -> None:
    path = folder / "warning.toml"
    replace_in(path, "[schedule]", OUTLOOK)
    assert 'forecast rain: field "p" in in of outlook' in summary(load_configuration(folder, ENVIRONMENT))
    replace_in(path, OUTLOOK, '[forecast]\noutlook_folder = "outlooks"\n\n[schedule]')
    text = summary(load_configuration(folder, ENVIRONMENT))
    assert f"forecast rain and planned release: files in {folder / 'outlooks'}" in text


@pytest.mark.parametrize(
    ("written", "key", "found"),
    [
        ("[source.outlook]", "source.outlook", "no field"),
        ('measurement = "reservoir"', "source.outlook.measurement", "where the readings are"),
        ('measurement = "dam_forecast"', "source.outlook.measurement", "where forecasts are written back"),
        ('issued_tag = "dam"', "source.outlook.issued_tag", "which is dam_tag"),
        ('rain_mm = { field = "p", unit = "m3/s" }', "source.outlook.rain_mm.unit", '"m3/s"'),
        ('rain_mm = { field = "p", unit = "mm", daily = "max" }', "source.outlook.rain_mm.daily", "unknown"),
        ('level_m = { field = "p", unit = "m" }', "source.outlook.level_m", "unknown key"),
    ],
)
def test_a_mistake_about_outlooks_is_refused_at_its_key(
    folder: Path, written: str, key: str, found: str
) -> None:
    sound = (
        ""
        if "rain_mm" in written or written == "[source.outlook]"
        else ('outflow_m3s = { field = "q", unit = "cfs" }\n')
    )
    table = "" if written == "[source.outlook]" else "[source.outlook]\n"
    replace_in(folder / "warning.toml", "[schedule]", f"{table}{written}\n{sound}[schedule]")
    with pytest.raises(InvalidConfigurationError) as caught:
        load_configuration(folder, ENVIRONMENT)
    (problem,) = caught.value.problems
    assert problem.key == key
    assert found in problem.found


def test_a_folder_of_outlooks_beside_those_on_the_server_is_refused(folder: Path) -> None:
    both = '[forecast]\noutlook_folder = "outlooks"\n\n' + OUTLOOK
    replace_in(folder / "warning.toml", "[schedule]", both)
    with pytest.raises(InvalidConfigurationError, match=r"forecast\.outlook_folder"):
        load_configuration(folder, ENVIRONMENT)


def test_no_secret_is_shown(folder: Path) -> None:
    configuration = load_configuration(folder, ENVIRONMENT)
    assert TOKEN not in repr(configuration) + summary(configuration)


def test_the_summary_names_the_server_and_the_units(folder: Path) -> None:
    text = summary(load_configuration(folder, ENVIRONMENT))
    assert "readings from reservoir in readings at https://influxdb.example.org:8086" in text
    assert 'level_m: field "level" in ft, the last of each day that begins at 00:00' in text


def test_the_source_is_known_before_there_are_dams(folder: Path) -> None:
    (folder / "reservoirs.toml").unlink()
    service = load_service(folder, ENVIRONMENT)
    assert isinstance(service.source, InfluxdbSource)
    assert [severity.name for severity in service.severities][-1] == "emergency"


def test_a_broken_file_is_refused_before_there_are_dams(folder: Path) -> None:
    replace_in(folder / "warning.toml", "06:30", "6:30")
    with pytest.raises(InvalidConfigurationError, match=r"schedule\.daily_at"):
        load_service(folder, ENVIRONMENT)


def test_the_commented_sample_is_sound_as_it_stands(folder: Path) -> None:
    table = SAMPLE.read_text().partition("[source]")[2].partition("\n[")[0]
    block = "".join(re.findall(r"^#   (.*\n)", table, re.MULTILINE))
    path = folder / "warning.toml"
    path.write_text(path.read_text().replace(INFLUXDB_SOURCE, f"\n[source]\n{block}\n"))
    (folder / "secrets").mkdir()
    shutil.copy(folder / "influxdb-token", folder / "secrets")
    source = source_of(folder)
    assert source.fields.keys() == set(Variable)
    assert source.token == TOKEN


@pytest.mark.parametrize("line", re.findall(r"^#   # ([a-z][a-z_0-9]* = .*)$", SAMPLE.read_text(), re.M))
def test_each_option_of_the_commented_sample_is_a_key(line: str, folder: Path) -> None:
    key = line.partition(" = ")[0]
    replace_in(folder / "warning.toml", "[source]", f"[source]\n{line}")
    try:
        words = str(asdict(source_of(folder)))
    except InvalidConfigurationError as error:
        words = str(error)  # it goes with other keys only, or names a file that is not here
    assert key in words
    assert "unknown key" not in words


# what is edited, the edit, the key that is complained about, and words that must occur
CASES = {
    "no server": ("warning", 'url = "https://influxdb.example.org:8086"\n', "", "source.url", "add: url"),
    "an address without scheme": ("warning", "https://", "", "source.url", "not shown"),
    "an impossible port": ("warning", ":8086", ":80860", "source.url", "port"),
    "a password in the address": ("warning", "https://", "https://me:pw@", "source.url", "user and password"),
    "no measurement": (
        "warning",
        'measurement = "reservoir"\n',
        "",
        "source.measurement",
        "add: measurement",
    ),
    "no tag": ("warning", 'dam_tag = "dam"\n', "", "source.dam_tag", "add: dam_tag"),
    "no place": (
        "warning",
        'bucket = "readings"\norg = "dams"\n',
        "",
        "source.bucket",
        "neither a bucket nor a database",
    ),
    "a bucket of nobody": ("warning", 'org = "dams"\n', "", "source.org", "organisation"),
    "InfluxQL without database": (
        "warning",
        'bucket = "readings"\norg = "dams"',
        'dialect = "influxql"',
        "source.database",
        "add: database",
    ),
    "Flux without bucket": (
        "warning",
        'bucket = "readings"\norg = "dams"',
        'dialect = "flux"\ndatabase = "x"',
        "source.bucket",
        "add: bucket",
    ),
    "an unknown dialect": ("warning", "[source]", '[source]\ndialect = "sql"', "source.dialect", "influxql"),
    "a folder beside a server": ("warning", "[source]", '[source]\nfolder = "x"', "source.folder", "csv"),
    "a token in clear text": ("warning", "file:influxdb-token", "t0ken", "source.token", "no reference"),
    "a token that is nowhere": ("warning", "file:influxdb-token", "file:nowhere", "source.token", "nowhere"),
    "a user without password": (
        "warning",
        'token = "file:influxdb-token"',
        'user = "me"',
        "source.password",
        "neither",
    ),
    "an unknown unit": ("warning", 'unit = "ft"', 'unit = "feet"', "source.fields.level_m.unit", "m, ft"),
    "no unit": ("warning", 'unit = "ft"\n', "", "source.fields.level_m.unit", "m, ft"),
    "a unit of something else": (
        "warning",
        'unit = "%"',
        'unit = "cfs"',
        "source.fields.storage_m3.unit",
        "acre-ft",
    ),
    "a sum": ("warning", 'unit = "ft"', 'unit = "ft"\ndaily = "sum"', "source.fields.level_m.daily", "mean"),
    "a field for no variable": (
        "warning",
        "fields.storage_m3",
        "fields.storage",
        "source.fields.storage",
        "storage_m3",
    ),
    "no field for what is forecast": (
        "warning",
        'fields.level_m]\nfield = "level"\nunit = "ft"',
        'fields.rain_mm]\nfield = "rain"\nunit = "in"',
        "source.fields.level_m",
        "oroville is forecast by level_m",
    ),
    "a limit longer than the whole": (
        "warning",
        "[source]",
        "[source]\nread_timeout_s = 400",
        "source.deadline_s",
        "400",
    ),
    "a first day of no calendar": (
        "warning",
        "[source]",
        "[source]\nfirst_day = 1700-01-01",
        "source.first_day",
        "1800",
    ),
    "an hour as first day": (
        "warning",
        "[source]",
        "[source]\nfirst_day = 1990-01-01T00:00:00",
        "source.first_day",
        "1990-01-01",
    ),
    "certificates that are not there": (
        "warning",
        "[source]",
        '[source]\nca_file = "none.pem"',
        "source.ca_file",
        "no such file",
    ),
    "certificates that nobody looks at": (
        "warning",
        "[source]",
        '[source]\nca_file = "influxdb-token"\nverify_tls = false',
        "source.ca_file",
        "verify_tls",
    ),
    "a proxy with a password": (
        "warning",
        "[source]",
        '[source]\nproxy = "http://me:pw@proxy:3128"',
        "source.proxy",
        "file:PATH",
    ),
    "a proxy that is no URL": ("warning", "[source]", '[source]\nproxy = "proxy"', "source.proxy", "proxy"),
    "per cent of nothing": (
        "reservoirs",
        "capacity_m3 = 4.36e9\n",
        "",
        "reservoirs.oroville.capacity_m3",
        "100 %",
    ),
    "a capacity of nothing": (
        "reservoirs",
        "4.36e9",
        "0",
        "reservoirs.oroville.capacity_m3",
        "above 0",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_at_its_own_key(case: str, refused: Refused) -> None:
    file, old, new, key, words = CASES[case]
    problems = refused(file, old, new)
    assert [problem.key for problem in problems] == [key]
    assert words in str(problems[0])


def test_a_server_without_any_field_is_refused(refused: Refused) -> None:
    tables = INFLUXDB_SOURCE[INFLUXDB_SOURCE.index("[source.fields.level_m]") :]
    problems = refused("warning", tables, "[source.fields]\n")
    assert [problem.key for problem in problems] == ["source.fields", "source.fields.level_m"]
    assert "at least one variable's field" in problems[0].expected


def test_two_dams_of_one_tag_are_refused(folder: Path) -> None:
    path = folder / "reservoirs.toml"
    dam = (
        path.read_text().partition("[reservoirs.oroville]")[2].replace("reservoirs.oroville", "reservoirs.b")
    )
    path.write_text(
        path.read_text() + "\n[reservoirs.b]" + dam.replace("limits", 'source_tag = "oroville"\nlimits')
    )
    with pytest.raises(InvalidConfigurationError, match="which names oroville too") as caught:
        load_configuration(folder, ENVIRONMENT)
    assert [problem.key for problem in caught.value.problems] == ["reservoirs.b.source_tag"]


def test_no_password_of_the_server_is_repeated(folder: Path) -> None:
    replace_in(folder / "warning.toml", "https://", "https://me:hunter2@")
    with pytest.raises(InvalidConfigurationError) as caught:
        load_configuration(folder, ENVIRONMENT)
    assert "hunter2" not in str(caught.value)
