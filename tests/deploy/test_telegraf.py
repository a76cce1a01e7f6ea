"""Telegraf writes what the sample configuration reads."""

from __future__ import annotations

import csv
import re
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def sample_source(deploy: Path) -> dict[str, Any]:
    """The block on InfluxDB in config/warning.toml, with the "#" in front removed as it says."""
    text = (deploy.parent / "config" / "warning.toml").read_text(encoding="utf-8")
    block = text[text.index('#   kind = "influxdb"') : text.index("[schedule]")]
    lines = [line[4:] for line in block.splitlines() if line.startswith("#   ")]
    source: dict[str, Any] = tomllib.loads("[source]\n" + "\n".join(lines))["source"]
    return source


@pytest.fixture(scope="module")
def over_http(deploy: Path) -> dict[str, Any]:
    """The input that stands there commented out."""
    text = (deploy / "telegraf.conf").read_text(encoding="utf-8")
    lines = [line[1:] for line in text[text.index("#[[inputs.http]]") :].splitlines()]
    (found,) = tomllib.loads("\n".join(lines))["inputs"]["http"]
    content: dict[str, Any] = found
    return content


def test_the_sample_and_the_containers_configuration_read_the_same_names(
    sample_source: dict[str, Any], service_toml: dict[str, Any]
) -> None:
    ours = service_toml["source"]
    for key in ("kind", "measurement", "dam_tag", "org", "bucket"):
        assert sample_source[key] == ours[key], key
    for variable, stored in sample_source["fields"].items():
        assert (stored["field"], stored["unit"]) == (
            ours["fields"][variable]["field"],
            ours["fields"][variable]["unit"],
        )
    assert sample_source["fields"].keys() == ours["fields"].keys()
    assert sample_source["write_back"]["measurement"] == ours["write_back"]["measurement"]


def test_files_become_the_measurement_the_tag_and_the_fields_that_are_read(
    telegraf: dict[str, Any], sample_source: dict[str, Any]
) -> None:
    (tail,) = telegraf["inputs"]["tail"]
    assert tail["name_override"] == sample_source["measurement"]
    assert tail["csv_tag_columns"] == [sample_source["dam_tag"]]
    types = dict(zip(tail["csv_column_names"], tail["csv_column_types"], strict=True))
    fields = {stored["field"] for stored in sample_source["fields"].values()}
    assert set(types) - {tail["csv_timestamp_column"], *tail["csv_tag_columns"]} == fields
    assert {types[name] for name in fields} == {"float"}


def test_the_http_input_writes_the_same(over_http: dict[str, Any], sample_source: dict[str, Any]) -> None:
    assert over_http["name_override"] == sample_source["measurement"]
    (parser,) = over_http["json_v2"]
    (readings,) = parser["object"]
    assert readings["tags"] == [sample_source["dam_tag"]]
    fields = {stored["field"] for stored in sample_source["fields"].values()}
    assert set(readings["included_keys"]) >= fields
    assert readings["fields"] == dict.fromkeys(sorted(fields), "float")


def test_no_tag_but_the_dams_is_written(telegraf: dict[str, Any], over_http: dict[str, Any]) -> None:
    assert telegraf["agent"]["omit_hostname"] is True
    assert telegraf["inputs"]["tail"][0]["path_tag"] == ""
    assert over_http["tagexclude"] == ["url"]
    assert "global_tags" not in telegraf


def test_the_line_shown_as_an_example_is_what_the_columns_say(telegraf: dict[str, Any], deploy: Path) -> None:
    text = (deploy / "telegraf.conf").read_text(encoding="utf-8")
    (example,) = re.findall(r"^#   (\d{4}-.*)$", text, flags=re.MULTILINE)
    (tail,) = telegraf["inputs"]["tail"]
    row = dict(zip(tail["csv_column_names"], next(csv.reader([example])), strict=True))
    assert datetime.fromisoformat(row["time"]).tzinfo is not None
    assert all(float(row[name]) >= 0 for name in ("level", "storage", "inflow", "release", "rain"))


def test_the_files_are_where_compose_mounts_them(telegraf: dict[str, Any], compose: dict[str, Any]) -> None:
    mounts = [mount.split(":") for mount in compose["services"]["telegraf"]["volumes"]]
    (pattern,) = telegraf["inputs"]["tail"][0]["files"]
    assert str(Path(pattern).parent) in {target for _, target, *_ in mounts}
