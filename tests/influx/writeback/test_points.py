"""What a cycle came to, spelled as points; the real server's own reading of them is in test_writeback.py."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest

from warning.domain.forecast import HORIZON_DAYS
from warning.sources.influx_points import QUANTILE_FIELDS, Judged, lines_of
from warning.sources.line_protocol import instant_ns, line, noon_ns

MEASUREMENT = "dam_forecast"
NOW = datetime(2017, 2, 8, 14, 30, tzinfo=UTC)


def points(judged: Judged, kind: str) -> list[str]:
    return [p for p in lines_of(judged, "ORO", MEASUREMENT, NOW) if f",kind={kind}" in p]


def field(point: str, name: str) -> str:
    found = re.search(rf'[ ,]{name}=("(?:[^"\\]|\\.)*"|[^ ,]+)', point)
    assert found is not None, (name, point)
    return found.group(1)


def time_of(point: str) -> int:
    return int(point.rpartition(" ")[2])


def identity(point: str) -> tuple[str, int]:
    """What the server tells points apart by: the series, and the time."""
    return re.split(r"(?<!\\) ", point, maxsplit=1)[0], time_of(point)


def test_a_forecast_is_one_point_per_lead_at_noon_of_its_valid_day(judged: Judged) -> None:
    found = points(judged, "forecast")
    assert judged.forecast is not None
    assert len(found) == HORIZON_DAYS
    for lead, point in enumerate(found, start=1):
        assert point.startswith(f"dam_forecast,dam=ORO,kind=forecast,lead={lead} ")
        day = judged.forecast.basis_day + timedelta(days=lead)
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=judged.reservoir.time_zone)
        assert time_of(point) == int(noon.timestamp()) * 10**9
        assert float(field(point, "mean")) == judged.forecast.mean[lead - 1]
        assert field(point, "issued_at") == '"2017-02-08T14:30:00Z"'
        quantiles = [float(field(point, name)) for name in QUANTILE_FIELDS]
        assert quantiles == list(judged.forecast.quantiles[lead - 1])


def test_quantile_fields_are_named_by_their_level() -> None:
    assert QUANTILE_FIELDS[:4] == ("q01", "q025", "q05", "q10")
    assert QUANTILE_FIELDS[-3:] == ("q95", "q975", "q99")


def test_every_threshold_gets_a_probability_per_lead(judged: Judged) -> None:
    found = points(judged, "probability")
    assert judged.assessment is not None
    assert len(found) == HORIZON_DAYS * len(judged.assessment.outlooks)
    assert r"threshold=full\ pool" in found[HORIZON_DAYS]
    told = judged.assessment.outlooks[1].probabilities[0]
    assert float(field(found[HORIZON_DAYS], "probability")) == told


def test_the_weights_of_a_lead_stand_in_one_point_and_sum_to_one(judged: Judged) -> None:
    found = points(judged, "weight")
    assert len(found) == HORIZON_DAYS
    for point in found:
        assert float(field(point, "weight_persistence")) + float(field(point, "weight_drift")) == 1.0
        assert ",pool=pool " in point


def test_the_severity_says_what_stands_and_what_it_rests_on(judged: Judged) -> None:
    (point,) = points(judged, "severity")
    assert field(point, "rank") == "3i"
    assert field(point, "state") == '"WARNING"'
    assert field(point, "watched") == "true"
    assert field(point, "evidence") == '"forecast"'
    assert "full pool" in field(point, "detail")
    assert judged.assessment is not None
    assert time_of(point) == instant_ns(judged.assessment.assessed_at)


def test_a_dam_that_nobody_watches_is_never_calm_and_sorts_above_calm_dams(judged: Judged) -> None:
    assert judged.assessment is not None
    blind = replace(judged.assessment, severity=None, holding=None, unwatched="no readings", evidence=None)
    calm = replace(blind, unwatched=None)
    failed = replace(judged, assessment=None, forecast=None)
    (unwatched,) = points(replace(judged, assessment=blind), "severity")
    (unjudged,) = points(failed, "severity")
    (quiet,) = points(replace(judged, assessment=calm), "severity")
    assert field(quiet, "state") == '"calm"'
    for point in (unwatched, unjudged):
        assert field(point, "state") == '"UNWATCHED"'
        assert field(point, "watched") == "false"
        assert int(field(point, "urgency")[:-1]) > int(field(quiet, "urgency")[:-1])
    assert field(unwatched, "unwatched") == '"no readings"'


def test_a_dam_that_could_not_be_judged_still_writes_every_text_that_the_dashboard_shows(
    judged: Judged,
) -> None:
    """Else the last of each field would mix two cycles."""
    (whole,) = points(judged, "severity")
    (failed,) = points(replace(judged, assessment=None), "severity")
    texts = set(re.findall(r'[ ,](\w+)="', whole))
    assert texts == set(re.findall(r'[ ,](\w+)="', failed))


def test_a_later_cycle_of_the_same_issue_day_replaces_the_forecast_and_adds_no_second(judged: Judged) -> None:
    assert judged.forecast is not None
    later = replace(
        judged.forecast, issued_at=judged.forecast.issued_at + timedelta(hours=5), method="cheap_experts"
    )
    for kind in ("forecast", "probability"):
        first = [identity(p) for p in points(judged, kind)]
        second = [identity(p) for p in points(replace(judged, forecast=later), kind)]
        assert first == second
        assert len(set(first)) == len(first)


def test_thresholds_are_written_with_or_without_a_forecast(judged: Judged) -> None:
    found = points(replace(judged, forecast=None), "threshold")
    values = [float(field(point, "value")) for point in found]
    assert values == [t.value for t in judged.reservoir.level_thresholds]
    assert points(replace(judged, forecast=None), "probability") == []


def test_an_alert_is_a_point_at_its_own_instant_with_its_number(judged: Judged) -> None:
    (point,) = points(judged, "alert")
    assert field(point, "number") == "17i"
    assert field(point, "title") == '"raise WARNING: Oroville Dam"'
    assert field(point, "text") == '"the level is \\"forecast\\" to rise; full pool"'


@pytest.mark.parametrize("nothing", [float("nan"), float("inf"), None])
def test_what_is_no_number_is_left_out_and_a_point_of_nothing_is_none(nothing: float | None) -> None:
    assert line("m", {"dam": "a"}, {"x": nothing, "y": 1.5}, 7) == "m,dam=a y=1.5 7"
    assert line("m", {"dam": "a"}, {"x": nothing}, 7) is None


def test_noon_is_noon_on_the_dams_clocks_on_both_sides_of_the_change_to_summer_time(judged: Judged) -> None:
    zone = judged.reservoir.time_zone
    for day in (date(2017, 3, 11), date(2017, 3, 12)):
        at = datetime.fromtimestamp(noon_ns(day, zone) / 10**9, zone)
        assert (at.date(), at.hour) == (day, 12)


def test_a_day_that_begins_in_the_evening_is_stood_for_by_the_noon_within_it(judged: Judged) -> None:
    zone = judged.reservoir.time_zone
    evening = time(18)
    assert noon_ns(date(2017, 2, 8), zone, evening) == noon_ns(date(2017, 2, 9), zone)
    morning = [p for p in lines_of(judged, "ORO", MEASUREMENT, NOW) if "kind=forecast" in p]
    shifted = [p for p in lines_of(judged, "ORO", MEASUREMENT, NOW, evening) if "kind=forecast" in p]
    assert [time_of(p) for p in shifted[:-1]] == [time_of(p) for p in morning[1:]]
