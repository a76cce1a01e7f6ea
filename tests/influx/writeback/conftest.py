"""One dam as a cycle judged it: a warning by forecast, an alert, and the forecast it rests on."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from warning.domain.alert import Alert, AlertKind
from warning.domain.forecast import HORIZON_DAYS, QUANTILE_LEVELS, Forecast
from warning.domain.judgement import assess
from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import Bounds, ForecastRule, LevelThreshold, Reservoir, Severity
from warning.domain.variables import Variable
from warning.sources.influx_points import Judged

NOW = datetime(2017, 2, 8, 14, 30, tzinfo=UTC)
TODAY = date(2017, 2, 8)
ADVISORY, WARNING, EMERGENCY = Severity(1, "advisory"), Severity(3, "warning"), Severity(4, "emergency")


@pytest.fixture
def judged() -> Judged:
    dam = Reservoir(
        id="oroville",
        name="Oroville Dam",
        time_zone=ZoneInfo("America/Los_Angeles"),
        datum="NGVD29",
        forecast_variable=Variable.LEVEL_M,
        limits={Variable.LEVEL_M: Bounds(180.0, 285.0)},
        level_thresholds=(
            LevelThreshold("flood guide", ADVISORY, 269.0, 268.0),
            LevelThreshold("full pool", WARNING, 270.0, 269.0, ForecastRule(0.5, 5)),
            LevelThreshold("crest", EMERGENCY, 274.62, 274.0, ForecastRule(0.3, 3)),
        ),
    )
    medians = 268.0 + 0.7 * np.arange(1, HORIZON_DAYS + 1)
    forecast = Forecast(
        reservoir_id=dam.id,
        basis_day=TODAY,
        issued_at=NOW,
        method="pool",
        model_id="m1",
        mean=medians + 0.01,
        quantiles=medians[:, None] + 2.0 * (np.array(QUANTILE_LEVELS) - 0.5),
        weights={"persistence": np.full(HORIZON_DAYS, 0.25), "drift": np.full(HORIZON_DAYS, 0.75)},
        skill=np.full(HORIZON_DAYS, np.nan),
    )
    flags = np.zeros(3, dtype=np.uint16)
    levels = {Variable.LEVEL_M: np.array([267.0, 267.5, 268.0])}
    series = ReadingSeries(
        date(2017, 2, 6), levels, {Variable.LEVEL_M: flags}, {Variable.LEVEL_M: flags.copy()}
    )
    assessment = assess(dam, series, forecast, now=NOW)
    alert = Alert(
        kind=AlertKind.RAISE,
        reservoir_id=dam.id,
        created_at=NOW,
        severity=WARNING,
        previous_severity=None,
        follows=None,
        reasons=('the level is "forecast" to rise', "full pool"),
        assessment=assessment,
        number=17,
    )
    return Judged(dam, assessment, forecast, (alert,))
