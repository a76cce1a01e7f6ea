"""The picture holds what the alert says, and is drawn from recorded JSON whatever is missing."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from warning.alerts.plot_data import HISTORY_DAYS, plot_content, plot_data, plot_description
from warning.alerts.plots import draw
from warning.domain.assessment import Assessment, Evidence
from warning.domain.forecast import HORIZON_DAYS, QUANTILE_LEVELS, Forecast
from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import LevelThreshold, Reservoir, Severity
from warning.domain.variables import Variable

DAY = date(2017, 2, 8)
NOW = datetime(2017, 2, 9, 11, tzinfo=UTC)
SEVERITIES = [Severity(rank, f"step {rank}") for rank in range(1, 5)]


def _reservoir(*values: float, name: str = "Lake", variable: Variable = Variable.LEVEL_M) -> Reservoir:
    thresholds = tuple(
        LevelThreshold(f"mark {i}", severity, value, value - 0.1)
        for i, (severity, value) in enumerate(zip(SEVERITIES, values, strict=False))
    )
    return Reservoir(
        id="lake", name=name, time_zone=ZoneInfo("UTC"), datum="NGVD 29", forecast_variable=variable,
        limits={}, level_thresholds=thresholds,
    )  # fmt: skip


def _series(
    values: Any, doubted: tuple[int, ...] = (), variable: Variable = Variable.LEVEL_M
) -> ReadingSeries:
    column = np.asarray(values, dtype=float)
    flags = np.zeros(column.size, dtype=np.uint16)
    flags[list(doubted)] = 8
    first = DAY - timedelta(days=column.size - 1)
    return ReadingSeries(first, {variable: column}, {variable: flags}, {variable: flags})


def _forecast(medians: Any, width: float) -> Forecast:
    middle = np.asarray(medians, dtype=float)
    steps = np.array([math.log(level / (1 - level)) for level in QUANTILE_LEVELS])
    return Forecast(
        reservoir_id="lake", basis_day=DAY, issued_at=NOW, method="pool", model_id=None, mean=middle,
        quantiles=middle[:, None] + width * steps,
    )  # fmt: skip


def _found(reservoir: Reservoir, evidence: Evidence, day: date, **changes: Any) -> Assessment:
    threshold = reservoir.level_thresholds[-1]
    base: dict[str, Any] = {
        "reservoir_id": "lake", "assessed_at": NOW, "severity": threshold.severity, "holding": None,
        "evidence": evidence, "threshold": threshold, "unwatched": None, "observed_value": 100.0,
        "observed_day": DAY, "unconfirmed": False, "rise_per_day": None, "probability": 0.72,
        "first_day": day, "peak_value": 106.0, "peak_day": DAY + timedelta(days=4), "outlooks": (),
        "skill": None, "degraded": (),
    }  # fmt: skip
    return Assessment(**{**base, **changes})


RISING = _series(np.linspace(80, 100, 90))
AHEAD = _forecast([101, 102, 104, 106, 106, 105, 104], 0.6)
MARKS = _reservoir(98.0, 103.0, 105.0)
CROSSING = _found(MARKS, Evidence.FORECAST, DAY + timedelta(days=3))


def test_the_data_hold_sixty_days_the_fan_and_the_crossing() -> None:
    content = json.loads(plot_data(MARKS, RISING, AHEAD, CROSSING))
    assert len(content["readings"]) == HISTORY_DAYS
    assert content["readings"][-1] == [DAY.isoformat(), 100.0]
    assert len(content["fan"]) == HORIZON_DAYS
    assert all(row[1] < row[2] < row[3] < row[4] < row[5] for row in content["fan"])
    assert content["fan"][3][3] == 106.0
    assert content["basis_day"] == DAY.isoformat()
    assert content["crossing"]["day"] == "2017-02-11"
    assert content["crossing"]["value"] == 105.0
    assert "72 %" in content["crossing"]["label"]
    assert [t["value"] for t in content["thresholds"]] == [98.0, 103.0, 105.0]
    assert content["axis"] == "level in m (NGVD 29)"


def test_everything_shown_lies_inside_the_view() -> None:
    content = plot_content(MARKS, RISING, AHEAD, CROSSING)
    low, high = content["view"]
    assert all(low <= value <= high for row in content["fan"] for value in row[1:])
    near = [row[1] for row in content["readings"] if row[0] >= content["days"][1]]
    assert all(low <= value <= high for value in near)


def test_the_next_threshold_is_drawn_when_near_and_named_when_far() -> None:
    near = plot_content(_reservoir(103.0), _series([100.0, 102.0]), None, None)
    assert [t["value"] for t in near["thresholds"]] == [103.0]
    assert near["next_above"] is None
    far = plot_content(_reservoir(150.0, 151.0), _series([100.0, 102.0]), None, None)
    assert far["thresholds"] == []
    assert far["next_above"]["value"] == 150.0


def test_storage_is_shown_in_millions_of_cubic_metres() -> None:
    reservoir = _reservoir(4.3e9, variable=Variable.STORAGE_M3)
    series = _series([4.1e9, 4.2e9], variable=Variable.STORAGE_M3)
    content = plot_content(reservoir, series, None, None)
    assert content["readings"][-1][1] == pytest.approx(4200.0)
    assert content["axis"].startswith("storage in Mm³")
    assert content["thresholds"][0]["label"] == "4300.0 Mm³"


def test_a_doubted_reading_is_kept_apart_and_does_not_flatten_the_picture() -> None:
    content = plot_content(MARKS, _series([99, 99.5, 41.9, 100, 100.5], doubted=(2,)), None, None)
    assert [row[1] for row in content["doubted"]] == [41.9]
    assert 41.9 not in [row[1] for row in content["readings"]]
    assert content["view"][0] > 90


def test_missing_readings_leave_no_trace_in_the_data() -> None:
    text = plot_data(MARKS, _series([99.0, math.nan, math.nan, 100.0]), None, None)
    assert "NaN" not in text
    assert len(json.loads(text)["readings"]) == 2


def test_an_observed_crossing_is_marked_at_the_reading() -> None:
    found = _found(MARKS, Evidence.OBSERVED, DAY, observed_value=105.4)
    content = plot_content(MARKS, _series([104.0, 105.4]), None, found)
    assert content["crossing"]["value"] == 105.4
    assert content["crossing"]["label"].startswith("observed at or above 105.00 m")


def test_a_picture_of_nothing_is_not_described() -> None:
    assert plot_description(plot_content(MARKS, None, None, None), MARKS) is None


CASES: dict[str, tuple[Reservoir, ReadingSeries | None, Forecast | None, Assessment | None]] = {
    "rising": (MARKS, RISING, AHEAD, CROSSING),
    "no forecast": (MARKS, RISING, None, None),
    "no readings": (MARKS, None, AHEAD, CROSSING),
    "nothing at all": (_reservoir(), None, None, None),
    "constant pool": (MARKS, _series([100.0] * 70), _forecast([100.0] * 7, 0.0), None),
    "high lake": (_reservoir(3812.0), _series([3811.37, *[3811.42] * 69]), None, None),
    "one reading": (MARKS, _series([100.0]), AHEAD, CROSSING),
    "gaps": (MARKS, _series([99, math.nan, 98, 41.9, math.nan, 100, 900.0], doubted=(3, 6)), AHEAD, CROSSING),
    "stale": (MARKS, _series([*[100.0] * 30, *[math.nan] * 40]), None, None),
    "close thresholds": (_reservoir(105.0, 105.01, 105.02, 105.03), RISING, AHEAD, CROSSING),
    "names": (_reservoir(105.0, name="<b>$x_1$</b> \\frac{" + "WIDE " * 40), RISING, AHEAD, CROSSING),
    "storage": (
        _reservoir(4.36e9, variable=Variable.STORAGE_M3),
        _series(np.linspace(3.9e9, 4.2e9, 70), variable=Variable.STORAGE_M3),
        _forecast(np.linspace(4.2e9, 4.5e9, 7), 2e7),
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_picture_can_be_drawn_of(case: str) -> None:
    from matplotlib.image import imread

    png = draw(plot_data(*CASES[case]))
    pixels = imread(io.BytesIO(png))
    assert pixels.shape[:2] == (900, 1080)
    assert len(png) < 160_000
    # nothing touches the edge: a label that is cut off would
    edges = np.concatenate(
        [pixels[:2].ravel(), pixels[-2:].ravel(), pixels[:, :2].ravel(), pixels[:, -2:].ravel()]
    )
    assert (edges == 1.0).all()


def test_the_same_data_give_the_same_picture() -> None:
    text = plot_data(*CASES["rising"])
    assert draw(text) == draw(text)


def test_messages_and_plots_do_not_import_matplotlib_until_one_is_drawn() -> None:
    code = (
        "import sys, warning.alerts.messages, warning.alerts.plots, warning.alerts.plot_data;"
        "sys.exit('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
