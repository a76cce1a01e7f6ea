"""What observations and forecasts mean for a dam, case by case."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from warning.domain.assessment import Assessment, Evidence
from warning.domain.forecast import HORIZON_DAYS, QUANTILE_LEVELS, Forecast
from warning.domain.judgement import assess
from warning.domain.readings import Flag, ReadingSeries
from warning.domain.reservoir import (
    Bounds,
    ForecastRule,
    LevelThreshold,
    Reservoir,
    RiseThreshold,
    Severity,
)
from warning.domain.variables import Variable

ADVISORY, WATCH, WARNING, EMERGENCY = (
    Severity(rank, name) for rank, name in enumerate(("advisory", "watch", "warning", "emergency"), 1)
)
TODAY = date(2017, 2, 8)
NOW = datetime(2017, 2, 8, 20, 0, tzinfo=UTC)  # noon in California
NAN = float("nan")


def dam(**changes: object) -> Reservoir:
    settings: dict[str, object] = {
        "id": "oroville",
        "name": "Oroville Dam",
        "time_zone": ZoneInfo("America/Los_Angeles"),
        "datum": "NGVD29",
        "forecast_variable": Variable.LEVEL_M,
        "limits": {Variable.LEVEL_M: Bounds(180.0, 285.0)},
        "level_thresholds": (
            LevelThreshold("flood guide", ADVISORY, 260.0, 259.0),
            LevelThreshold("full pool", WARNING, 270.0, 269.0, ForecastRule(0.5, 5)),
            LevelThreshold("crest", EMERGENCY, 274.62, 274.0, ForecastRule(0.3, 3)),
        ),
        "rise_thresholds": (RiseThreshold("fast rise", WATCH, 2.0, 1.0, 255.0),),
    }
    return Reservoir(**(settings | changes))  # type: ignore[arg-type]


def series(*values: float, flags: dict[int, Flag] | None = None, last: date = TODAY) -> ReadingSeries:
    """Levels up to `last`; `flags` by position from the end, -1 being the newest."""
    column = np.array(values, dtype=np.float64)
    verdict = np.zeros(column.size, dtype=np.uint16)
    for position, flag in (flags or {}).items():
        verdict[position] = int(flag)
    name = Variable.LEVEL_M
    first = last - timedelta(days=column.size - 1)
    return ReadingSeries(first, {name: column}, {name: verdict.copy()}, {name: verdict})


def forecast(
    medians: list[float], spread: float = 0.5, basis: date = TODAY, skill: float = 0.6, **changes: object
) -> Forecast:
    centre = np.array(medians, dtype=np.float64)
    quantiles = centre[:, None] + spread * 4 * (np.array(QUANTILE_LEVELS) - 0.5)
    settings: dict[str, object] = {
        "reservoir_id": "oroville",
        "basis_day": basis,
        "issued_at": NOW,
        "method": "pool",
        "model_id": "m1",
        "mean": centre,
        "quantiles": quantiles,
        "skill": np.linspace(skill, skill + 0.06, HORIZON_DAYS),
    }
    return Forecast(**(settings | changes))  # type: ignore[arg-type]


def calm_forecast() -> Forecast:
    return forecast([250.0] * 7)


OBSERVED_CASES: dict[str, tuple[ReadingSeries, Severity | None, bool]] = {
    "below everything": (series(250, 250, 250.1), None, False),
    "exactly at a threshold": (series(259.5, 259.5, 260.0), ADVISORY, False),
    "just below a threshold": (series(259.5, 259.5, 259.999), None, False),
    "above the highest": (series(273, 274, 274.7), EMERGENCY, False),
    "a doubted spike above goes out at once": (
        series(250, 250, 275, flags={-1: Flag.SPIKE}),
        EMERGENCY,
        True,
    ),
    "a doubted jump above goes out at once": (
        series(250, 250, 275, flags={-1: Flag.RATE_OF_CHANGE}),
        EMERGENCY,
        True,
    ),
    "a frozen gauge above goes out": (series(271, 271, 271, flags={-1: Flag.FLAT_LINE}), WARNING, False),
    "duplicates that disagree, above": (
        series(250, 250, 271, flags={-1: Flag.DUPLICATE_DAYS}),
        WARNING,
        True,
    ),
    "a doubted value below is no truth": (series(271, 271, 200, flags={-1: Flag.SPIKE}), WARNING, False),
    "a sentinel is no observation": (series(250, 250, 9999, flags={-1: Flag.SENTINEL}), None, False),
    "above the physical limits goes out": (
        series(250, 250, 290, flags={-1: Flag.PHYSICAL_RANGE}),
        EMERGENCY,
        True,
    ),
    "a sentinel is none although it is out of range too": (
        series(250, 250, 9999, flags={-1: Flag.PHYSICAL_RANGE | Flag.SENTINEL}),
        None,
        False,
    ),
    "below the physical limits is below": (
        series(250, 250, -5, flags={-1: Flag.PHYSICAL_RANGE}),
        None,
        False,
    ),
    "a zero run is none": (series(271, 0, 0, flags={-1: Flag.ZERO_RUN, -2: Flag.ZERO_RUN}), WARNING, False),
    "yesterday's doubted crossing is not forgotten": (
        series(250, 275, 251, flags={-1: Flag.FLAT_LINE, -2: Flag.SPIKE}),
        EMERGENCY,
        True,
    ),
    "a believed reading settles a doubted one": (series(250, 275, 250, flags={-2: Flag.SPIKE}), None, False),
    "missing today": (series(250, 271, NAN), WARNING, False),
}


@pytest.mark.parametrize("name", OBSERVED_CASES)
@pytest.mark.parametrize("with_forecast", [True, False])
def test_the_observation_alone_decides_the_severity(name: str, with_forecast: bool) -> None:
    readings, severity, unconfirmed = OBSERVED_CASES[name]
    found = assess(dam(rise_thresholds=()), readings, calm_forecast() if with_forecast else None, now=NOW)
    assert (found.severity, found.unconfirmed) == (severity, unconfirmed)
    assert severity is None or found.evidence is Evidence.OBSERVED


FORECAST_CASES: dict[str, tuple[Forecast, Severity | None]] = {
    "nothing ahead": (calm_forecast(), None),
    "the median reaches full pool on day 5": (forecast([262, 264, 266, 268, 270, 271, 271]), WARNING),
    "only on day 6, later than the rule looks": (forecast([262, 264, 266, 268, 268, 271, 271]), None),
    "the crest with 30 % within 3 days": (forecast([262, 268, 274.3, 274.3, 274.3, 270, 270]), EMERGENCY),
    "the crest with less than 30 %": (forecast([262, 268, 274.1, 274.1, 274.1, 270, 270]), WARNING),
    "a day that is past counts no more": (
        forecast([275, 262, 262, 262, 262, 262, 262], basis=TODAY - timedelta(days=2)),
        None,
    ),
    "today is not past": (
        forecast([275, 262, 262, 262, 262, 262, 262], basis=TODAY - timedelta(days=1)),
        EMERGENCY,
    ),
    "days are counted from today, not from the basis": (
        forecast([262, 264, 266, 268, 268, 271, 271], basis=TODAY - timedelta(days=1)),
        WARNING,
    ),
}


@pytest.mark.parametrize("name", FORECAST_CASES)
def test_a_forecast_rule_is_met_within_its_days_and_only_there(name: str) -> None:
    ahead, severity = FORECAST_CASES[name]
    found = assess(dam(), series(255, 255, 255), ahead, now=NOW)
    assert found.severity == severity
    assert severity is None or found.evidence is Evidence.FORECAST


def test_a_forecast_raises_only_thresholds_that_have_a_rule() -> None:
    found = assess(dam(), series(255, 255, 255), forecast([262] * 7), now=NOW)
    assert found.severity is None
    assert found.outlooks[0].first_day == date(2017, 2, 9)  # the median says so, the rule is what is missing


def test_forecast_evidence_names_its_day_probability_peak_and_skill() -> None:
    ahead = forecast([262, 268, 274.5, 276, 275, 271, 271])
    found = assess(dam(), series(255, 255, 256), ahead, now=NOW)
    assert (found.severity, found.threshold and found.threshold.name) == (EMERGENCY, "crest")
    assert found.first_day == date(2017, 2, 11)
    assert found.probability == pytest.approx(ahead.exceedance_probabilities(274.62)[2])
    assert (found.peak_value, found.peak_day) == (276.0, date(2017, 2, 12))
    assert found.skill == pytest.approx(0.62)
    assert (found.observed_value, found.observed_day) == (256.0, TODAY)


def test_the_observed_is_preferred_at_equal_severity() -> None:
    found = assess(dam(), series(274, 274.7, 274.8), forecast([276] * 7), now=NOW)
    assert (found.severity, found.evidence, found.first_day) == (EMERGENCY, Evidence.OBSERVED, TODAY)
    assert found.probability is None
    assert (found.peak_value, found.peak_day) == (276.0, date(2017, 2, 9))


def test_a_higher_forecast_stands_above_a_lower_observation() -> None:
    found = assess(dam(), series(262, 262, 262), forecast([268, 272, 276, 276, 276, 276, 276]), now=NOW)
    assert (found.severity, found.evidence) == (EMERGENCY, Evidence.FORECAST)


RISE_CASES: dict[str, tuple[ReadingSeries, Severity | None, bool]] = {
    "fast above the arming value": (series(252, 253, 255.5), WATCH, False),
    "fast below the arming value": (series(250, 251, 253.5), None, False),
    "exactly the limit": (series(252, 254, 256), WATCH, False),
    "slow": (series(255, 255, 256.5), None, False),
    "over a gap, per day": (series(252, NAN, NAN, 258), WATCH, False),
    "a gap that is too long": (series(245, NAN, NAN, NAN, 258), None, False),
    "a doubted jump": (series(252, 253, 257.5, flags={-1: Flag.RATE_OF_CHANGE}), WATCH, True),
    "a sentinel's jump": (series(252, 253, 259, flags={-1: Flag.SENTINEL}), None, False),
    "a doubted reading is no base": (series(255, 255, 250, 255.5, flags={-2: Flag.SPIKE}), None, False),
}


@pytest.mark.parametrize("name", RISE_CASES)
def test_a_rise_is_evidence_above_the_arming_value(name: str) -> None:
    readings, severity, unconfirmed = RISE_CASES[name]
    found = assess(dam(), readings, calm_forecast(), now=NOW)
    assert (found.severity, found.unconfirmed) == (severity, unconfirmed)
    assert severity is None or found.evidence is Evidence.RISE


HOLDING_CASES: dict[str, tuple[ReadingSeries, Forecast | None, Severity | None]] = {
    "between the clear value and the value": (series(259, 259, 259.5), calm_forecast(), ADVISORY),
    "at the clear value": (series(258.5, 258.5, 259.0), calm_forecast(), ADVISORY),
    "below it": (series(258, 258, 258.9), calm_forecast(), None),
    "half the rule's probability": (series(258, 258, 258), forecast([269.51] * 7), WARNING),
    "less than half of it": (series(258, 258, 258), forecast([269.4] * 7), None),
    "still rising": (series(256, 256, 257.5), calm_forecast(), WATCH),
    "rising no more": (series(256, 257, 257.9), calm_forecast(), None),
    "an unknown rise is not a small one": (series(256, NAN, NAN, NAN, 257.9), calm_forecast(), WATCH),
    "a doubted value holds": (series(258, 258, 269.5, flags={-1: Flag.SPIKE}), calm_forecast(), WARNING),
    "no forecast": (series(258, 258, 258.5), None, None),
}


@pytest.mark.parametrize("name", HOLDING_CASES)
def test_a_severity_is_held_until_its_clear_criteria_are_met(name: str) -> None:
    readings, ahead, holding = HOLDING_CASES[name]
    assert assess(dam(), readings, ahead, now=NOW).holding == holding


UNWATCHED_CASES: dict[str, tuple[ReadingSeries | None, str | None]] = {
    "a reading of today": (series(250, 250, 250), None),
    "a reading two days old": (series(250, 250, last=TODAY - timedelta(days=2)), None),
    "three days old": (series(250, 250, last=TODAY - timedelta(days=3)), "3 days ago"),
    "no series": (None, "no level reading"),
    "all missing": (series(NAN, NAN, NAN), "no level reading"),
    "missing since": (series(250, NAN, NAN, NAN), "since 2017-02-05"),
    "doubted since": (
        series(250, 251, 251, 251, flags={-1: Flag.FLAT_LINE, -2: Flag.FLAT_LINE, -3: Flag.FLAT_LINE}),
        "frozen",
    ),
    "doubted for less long": (
        series(250, 250, 251, 251, flags={-1: Flag.FLAT_LINE, -2: Flag.FLAT_LINE}),
        None,
    ),
    "sentinels since": (
        series(250, 999, 999, 999, flags=dict.fromkeys((-1, -2, -3), Flag.SENTINEL)),
        "sentinel",
    ),
    "never believed": (series(250, 250, flags={-1: Flag.FLAT_LINE, -2: Flag.FLAT_LINE}), "believed ever"),
    "dated tomorrow": (series(250, 250, 250, last=TODAY + timedelta(days=1)), "after today"),
}


@pytest.mark.parametrize("name", UNWATCHED_CASES)
def test_a_dam_that_nobody_watches_is_named_so(name: str) -> None:
    readings, words = UNWATCHED_CASES[name]
    found = assess(dam(), readings, calm_forecast(), now=NOW)
    if words is None:
        assert found.unwatched is None
        assert found.calm
    else:
        assert found.unwatched is not None
        assert words in found.unwatched
        assert not found.calm


def test_days_are_the_dams_own() -> None:
    after_midnight_utc = datetime(2017, 2, 9, 3, 0, tzinfo=UTC)  # still 8 February in California
    old = series(250, 250, last=TODAY - timedelta(days=2))
    assert assess(dam(), old, calm_forecast(), now=after_midnight_utc).unwatched is None
    in_kerala = dam(time_zone=ZoneInfo("Asia/Kolkata"))
    assert assess(in_kerala, old, calm_forecast(), now=after_midnight_utc).unwatched is not None


def test_a_crossing_that_became_stale_still_stands() -> None:
    found = assess(dam(), series(274, 275, last=TODAY - timedelta(days=9)), None, now=NOW)
    assert (found.severity, found.holding, found.observed_value) == (EMERGENCY, EMERGENCY, 275.0)
    assert found.unwatched is not None


def test_a_crossing_dated_in_the_future_is_told_as_unconfirmed() -> None:
    found = assess(dam(), series(250, 250, 275, last=TODAY + timedelta(days=1)), None, now=NOW)
    assert (found.severity, found.unconfirmed) == (EMERGENCY, True)
    assert found.unwatched is not None


def test_the_reason_of_the_caller_comes_first() -> None:
    found = assess(dam(), series(250, 250), None, now=NOW, unwatched_reason="the source refused the token")
    assert found.unwatched == "the source refused the token"
    assert not found.calm


def nan_forecast() -> Forecast:
    broken = calm_forecast()
    broken.quantiles[3, 5] = np.nan
    return broken


LOST_FORECASTS: dict[str, tuple[Forecast | None, str]] = {
    "none": (None, "no forecast"),
    "not a number": (nan_forecast(), "not all numbers"),
    "of another dam": (forecast([250.0] * 7, reservoir_id="shasta"), "shasta"),
    "all of it past": (forecast([250.0] * 7, basis=TODAY - timedelta(days=8)), "ends on 2017-02-07"),
    "of a lower rung": (forecast([250.0] * 7, degraded=("no torch: cheap experts only",)), "no torch"),
    "outside the training range": (forecast([250.0] * 7, out_of_range=True), "bands are widened"),
}


@pytest.mark.parametrize("name", LOST_FORECASTS)
def test_a_lost_or_weakened_forecast_is_said(name: str) -> None:
    ahead, words = LOST_FORECASTS[name]
    found = assess(dam(), series(250, 250, 250), ahead, now=NOW)
    assert any(words in reason for reason in found.degraded)
    lost = name in ("none", "not a number", "of another dam", "all of it past")
    assert all((outlook.probabilities == ()) is lost for outlook in found.outlooks)


def test_a_full_forecast_on_believed_readings_is_not_degraded() -> None:
    found = assess(dam(), series(250, 250, 250), calm_forecast(), now=NOW)
    assert (found.degraded, found.calm, found.newest_doubted) == ((), True, False)


def test_an_unused_newest_value_is_said_with_its_reason() -> None:
    found = assess(dam(), series(250, 250, 9999, flags={-1: Flag.SENTINEL}), calm_forecast(), now=NOW)
    assert found.newest_doubted
    assert "9999.00 m on 2017-02-08" in found.degraded[0]
    assert (found.observed_value, found.observed_day) == (250.0, date(2017, 2, 7))


def test_an_unknown_skill_is_none_and_not_a_nan() -> None:
    found = assess(dam(), series(250, 250, 250), forecast([276.0] * 7, skill=NAN), now=NOW)
    assert (found.severity, found.skill) == (EMERGENCY, None)


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        assess(dam(), None, None, now=datetime(2017, 2, 8))  # noqa: DTZ001


def test_storage_dams_are_judged_by_storage() -> None:
    column = np.array([4.0e9, 4.4e9])
    none = np.zeros(2, dtype=np.uint16)
    name = Variable.STORAGE_M3
    readings = ReadingSeries(TODAY - timedelta(days=1), {name: column}, {name: none}, {name: none})
    by_storage = dam(
        forecast_variable=name,
        level_thresholds=(LevelThreshold("gross capacity", WARNING, 4.364e9, 4.3e9),),
        rise_thresholds=(),
    )
    found: Assessment = assess(by_storage, readings, None, now=NOW)
    assert (found.severity, found.observed_value, found.variable) == (WARNING, 4.4e9, name)


@pytest.mark.parametrize(("value", "clear_value"), [(NAN, 1.0), (1.0, NAN), (1.0, 1.1), (float("inf"), 1.0)])
def test_a_threshold_that_could_never_be_met_or_left_is_refused(value: float, clear_value: float) -> None:
    with pytest.raises(ValueError, match="must be finite and not below"):
        LevelThreshold("crest", EMERGENCY, value, clear_value)
    with pytest.raises(ValueError, match="must be finite and not below"):
        RiseThreshold("fast", EMERGENCY, value, clear_value, 0.0)


@pytest.mark.parametrize(("probability", "days"), [(NAN, 3), (0.0, 3), (1.1, 3), (0.5, 0)])
def test_a_forecast_rule_that_is_always_or_never_met_is_refused(probability: float, days: int) -> None:
    with pytest.raises(ValueError, match="rule"):
        ForecastRule(probability, days)
