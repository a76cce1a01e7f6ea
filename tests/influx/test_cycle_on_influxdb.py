"""From a real InfluxDB server to a recorded warning, and what is said when the server is gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from configured import write_configuration

from warning.cli.main import main
from warning.sources.line_protocol import line, noon_ns

from .conftest import InfluxServer

ZONE = ZoneInfo("America/Los_Angeles")
LAST = date(2020, 3, 1)
FOOT_M = 0.3048


def levels(dam: str, last_ft: float) -> str:
    """Return sixty days of a level that slowly rises to `last_ft`, with the storage beside it."""
    points = (
        line(
            "reservoir",
            {"dam": dam},
            {"level": last_ft - 0.3 * back + 0.02 * (back % 3), "inflow": 900.0},
            noon_ns(LAST - timedelta(days=back), ZONE),
        )
        for back in range(60)
    )
    return "\n".join(point for point in points if point)


def test_a_crossing_in_feet_is_a_warning_in_metres_and_a_lost_server_leaves_nobody_calm(
    make_influxd: Callable[..., InfluxServer], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = make_influxd()
    server.ask("CREATE DATABASE dams")
    server.put("dams", levels("oroville", 985.0) + "\n" + levels("FOL", 700.0))
    folder = write_configuration(tmp_path / "config", server.url, "dams", "oroville", "folsom:FOL")
    main(["cycle", "--at", str(LAST), "--json", "--config", str(folder)])
    dams = json.loads(capsys.readouterr().out.splitlines()[-1])["dams"]
    assert dams["oroville"]["severity"] == "emergency"  # 300 m are 984.25 ft
    assert dams["oroville"]["evidence"] == "observed"
    assert dams["oroville"]["observed_value"] == pytest.approx(985.0 * FOOT_M)
    assert dams["oroville"]["observed_day"] == str(LAST)
    assert (dams["folsom"]["severity"], dams["folsom"]["unwatched"]) == (None, None)

    server.stop()
    main(["cycle", "--at", str(LAST + timedelta(days=1)), "--json", "--config", str(folder)])
    dams = json.loads(capsys.readouterr().out.splitlines()[-1])["dams"]
    for dam in dams.values():
        assert "the source could not be read" in dam["unwatched"]
        assert "no connection" in dam["unwatched"]
        assert dam["alerts"]
