"""From a real InfluxDB server to a recorded warning, and what is said when the server is gone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from configured import write_configuration

from warning.cli.main import main
from warning.clock import FixedClock
from warning.config.loading import load_configuration
from warning.cycle import run_cycle
from warning.domain.findings import FindingKind
from warning.domain.variables import Variable
from warning.forecasting.asking import ForecasterSettings, ForecastRequest
from warning.forecasting.forecaster import FleetForecast, Forecaster
from warning.sources.line_protocol import line, noon_ns
from warning.wiring import wired

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


OUTLOOK = """
[source.outlook.rain_mm]
field = "rain"
unit = "in"

[source.outlook.outflow_m3s]
field = "release"
unit = "cfs"
"""
RAIN, RELEASE = Variable.RAIN_MM, Variable.OUTFLOW_M3S


def issue(dam: str, issued: date, valid: date, fields: Mapping[str, Any]) -> str:
    tags = {"dam": dam, "issued_on": str(issued)}
    return line("outlook", tags, fields, noon_ns(valid, ZONE)) or ""


class Asked(Forecaster):
    """The real forecaster, which keeps what it is asked."""

    def __call__(self, histories: Mapping[str, ForecastRequest], now: datetime) -> FleetForecast:
        self.histories = histories
        return super().__call__(histories, now)


def cycle(folder: Path) -> tuple[dict[str, ForecastRequest], dict[str, list[str]]]:
    """Run a cycle at noon of the last day; return what was forecast from, and the findings on outlooks."""
    noon = datetime(LAST.year, LAST.month, LAST.day, 12, tzinfo=ZONE)
    with wired(load_configuration(folder), FixedClock(noon)) as parts:
        forecaster = Asked(parts.watch.registry, ForecasterSettings(device="cpu"))
        outcomes = run_cycle(replace(parts.watch, forecaster=forecaster))
    assert all(outcome.forecast is not None for outcome in outcomes)
    kinds = (FindingKind.OUTLOOK_STALE, FindingKind.OUTLOOK_UNUSABLE)
    findings = {o.reservoir.id: [f.message for f in o.findings if f.kind in kinds] for o in outcomes}
    return dict(forecaster.histories), findings


def test_what_the_server_holds_of_the_days_ahead_is_forecast_with_in_our_units(
    influxd: InfluxServer, database: str, tmp_path: Path
) -> None:
    day = timedelta(days=1)
    issues = [
        issue("oroville", LAST - day, LAST + day, {"rain": 1.0, "release": 900.0}),
        issue("oroville", LAST, LAST + day, {"rain": 2.0}),
        issue("oroville", LAST + day, LAST + 2 * day, {"rain": 3.0}),
    ]
    influxd.put(database, "\n".join([levels("oroville", 900.0), levels("FOL", 700.0), *issues]))
    folder = write_configuration(
        tmp_path / "config", influxd.url, database, "oroville", "folsom:FOL", more=OUTLOOK
    )
    asked, findings = cycle(folder)
    assert findings == {"oroville": [], "folsom": []}
    series = asked["oroville"].series
    assert series.ahead[RAIN][-1, 0] == pytest.approx(2 * 25.4)
    assert series.ahead[RELEASE][-1, 0] == pytest.approx(900 * FOOT_M**3)
    assert series.ahead_issued == {RAIN: LAST, RELEASE: LAST - day}
    assert series.ahead[RAIN][-2, 1] == pytest.approx(25.4)
    assert not (series.ahead[RAIN] > 2.5 * 25.4).any()
    assert asked["folsom"].series.ahead == {}


def test_outlooks_that_cannot_be_read_cost_neither_readings_nor_forecast(
    influxd: InfluxServer, database: str, tmp_path: Path
) -> None:
    broken = issue("oroville", LAST, LAST + timedelta(days=1), {"rain": "heavy", "release": 1.0})
    influxd.put(database, "\n".join([levels("oroville", 900.0), levels("FOL", 700.0), broken]))
    folder = write_configuration(
        tmp_path / "config", influxd.url, database, "oroville", "folsom:FOL", more=OUTLOOK
    )
    asked, findings = cycle(folder)
    assert asked.keys() == {"oroville", "folsom"}
    for texts in findings.values():
        (text,) = texts
        assert "the outlooks could not be read" in text
        assert "'rain' is stored as string, expected numbers" in text
