"""When a dam is spoken of, and when it is left in peace."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from warning.domain.alert import CALM, AlertKind, Standing
from warning.domain.assessment import Assessment, Evidence, ThresholdOutlook
from warning.domain.decision import decide, finding_alert
from warning.domain.findings import Finding, FindingKind
from warning.domain.reservoir import AlertPolicy, LevelThreshold, Severity
from warning.domain.variables import Variable

ADVISORY, WATCH, WARNING, EMERGENCY = (
    Severity(rank, name) for rank, name in enumerate(("advisory", "watch", "warning", "emergency"), 1)
)
THRESHOLDS = {
    ADVISORY: LevelThreshold("flood guide", ADVISORY, 260.0, 259.0),
    WARNING: LevelThreshold("full pool", WARNING, 270.0, 269.0),
    EMERGENCY: LevelThreshold("crest", EMERGENCY, 274.62, 274.0),
}
DAY = date(2017, 2, 8)
NOW = datetime(2017, 2, 8, 20, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
POLICY = AlertPolicy()
OUTLOOKS = tuple(ThresholdOutlook(t, False, (0.1,) * 7, None) for t in THRESHOLDS.values())
BLIND_OUTLOOKS = tuple(ThresholdOutlook(t, False, (), None) for t in THRESHOLDS.values())


def judged(severity: Severity | None = None, **changes: object) -> Assessment:
    settings: dict[str, object] = {
        "reservoir_id": "oroville",
        "assessed_at": NOW,
        "severity": severity,
        "holding": severity,
        "evidence": Evidence.OBSERVED if severity else None,
        "threshold": THRESHOLDS.get(severity) if severity else None,
        "unwatched": None,
        "observed_value": 262.0,
        "observed_day": DAY,
        "unconfirmed": False,
        "rise_per_day": 0.1,
        "probability": None,
        "first_day": DAY if severity else None,
        "peak_value": 262.0,
        "peak_day": DAY,
        "outlooks": OUTLOOKS,
        "skill": None,
        "degraded": (),
        "variable": Variable.LEVEL_M,
    }
    return Assessment(**(settings | changes))  # type: ignore[arg-type]


def forecast_says(
    severity: Severity, first_day: date = DAY + timedelta(days=3), **more: object
) -> Assessment:
    found = {"evidence": Evidence.FORECAST, "first_day": first_day, "probability": 0.7}
    return judged(severity, **(found | more))


def stood(severity: Severity | None, **changes: object) -> Standing:
    settings: dict[str, object] = {
        "severity": severity,
        "evidence": Evidence.OBSERVED if severity else None,
        "first_day": DAY if severity else None,
        "peak_value": 262.0,
        "announced_at": NOW,
        "alert_number": 41,
        "last_clear_day": DAY - timedelta(days=1),
    }
    return Standing(**(settings | changes))  # type: ignore[arg-type]


FORECAST_STOOD = {"evidence": Evidence.FORECAST, "first_day": DAY + timedelta(days=3)}
CASES: dict[str, tuple[Assessment, Standing, AlertKind | None]] = {
    "calm stays silent": (judged(), CALM, None),
    "the first crossing": (judged(ADVISORY), CALM, AlertKind.RAISE),
    "a forecast crossing": (forecast_says(EMERGENCY), CALM, AlertKind.RAISE),
    "a higher one": (judged(EMERGENCY), stood(ADVISORY), AlertKind.ESCALATE),
    "a higher one, forecast": (forecast_says(EMERGENCY), stood(ADVISORY), AlertKind.ESCALATE),
    "the same again": (judged(WARNING), stood(WARNING), None),
    "the forecast has come true": (judged(WARNING), stood(WARNING, **FORECAST_STOOD), AlertKind.UPDATE),
    "now forecast only": (
        forecast_says(WARNING, first_day=DAY),
        stood(WARNING),
        None,
    ),
    "the doubted reading is confirmed": (judged(WARNING), stood(WARNING, unconfirmed=True), AlertKind.UPDATE),
    "still doubted": (judged(WARNING, unconfirmed=True), stood(WARNING, unconfirmed=True), None),
    "the peak is a tenth of a step higher": (
        judged(WARNING, peak_value=263.0),
        stood(WARNING),
        AlertKind.UPDATE,
    ),
    "the peak is a little higher": (judged(WARNING, peak_value=262.9), stood(WARNING), None),
    "the first day comes nearer": (
        forecast_says(WARNING, first_day=DAY + timedelta(days=2)),
        stood(WARNING, **FORECAST_STOOD),
        AlertKind.UPDATE,
    ),
    "an observed crossing goes on": (
        judged(WARNING, first_day=DAY + timedelta(days=1)),
        stood(WARNING),
        None,
    ),
    "held by hysteresis": (judged(None, holding=WARNING), stood(WARNING), None),
    "held by a lower evidence": (judged(ADVISORY, holding=WARNING), stood(WARNING), None),
    "fallen to a lower threshold": (judged(ADVISORY), stood(WARNING), AlertKind.DOWNGRADE),
    "fallen, a lower one held": (judged(None, holding=ADVISORY), stood(WARNING), AlertKind.DOWNGRADE),
    "over": (judged(), stood(WARNING), AlertKind.ALL_CLEAR),
    "over, but the reading was weighed already": (judged(), stood(WARNING, last_clear_day=DAY), None),
    "over, but the newest value is doubted": (judged(newest_doubted=True), stood(WARNING), None),
    "over, but there is no reading at all": (
        judged(observed_value=None, observed_day=None),
        stood(WARNING),
        None,
    ),
    "a forecast warning without a forecast": (
        judged(outlooks=BLIND_OUTLOOKS, degraded=("no forecast",)),
        stood(WARNING, **FORECAST_STOOD),
        None,
    ),
    "an observed warning without a forecast": (
        judged(outlooks=BLIND_OUTLOOKS, degraded=("no forecast",)),
        stood(WARNING),
        AlertKind.ALL_CLEAR,
    ),
    "nobody watches": (judged(unwatched="the feed is dead"), CALM, AlertKind.UNWATCHED),
    "still nobody watches": (judged(unwatched="the feed is dead"), stood(None, unwatched=True), None),
    "watched again": (judged(), stood(None, unwatched=True), AlertKind.WATCHED_AGAIN),
}


@pytest.mark.parametrize("name", CASES)
def test_each_change_has_its_alert(name: str) -> None:
    assessment, standing, kind = CASES[name]
    alerts = decide(assessment, standing, POLICY, LATER).alerts
    assert [alert.kind for alert in alerts] == ([kind] if kind else [])


@pytest.mark.parametrize("name", CASES)
def test_deciding_twice_says_nothing_twice(name: str) -> None:
    assessment, standing, _ = CASES[name]
    first = decide(assessment, standing, POLICY, LATER)
    second = decide(assessment, first.standing, POLICY, LATER)
    assert second.alerts == ()
    assert second.standing == first.standing


def test_an_alert_tells_what_stood_what_stands_and_what_it_follows() -> None:
    decision = decide(judged(EMERGENCY), stood(ADVISORY), POLICY, LATER)
    (alert,) = decision.alerts
    assert (alert.previous_severity, alert.severity, alert.follows) == (ADVISORY, EMERGENCY, 41)
    assert (alert.created_at, alert.number) == (LATER, None)
    assert "262.00 m on 2017-02-08, at or above crest (274.62 m)" in alert.reasons[0]
    after = decision.standing
    assert (after.severity, after.evidence, after.announced_at) == (EMERGENCY, Evidence.OBSERVED, LATER)


def test_a_new_warning_follows_nothing() -> None:
    ended = stood(None, alert_number=17)
    assert decide(judged(ADVISORY), ended, POLICY, LATER).alerts[0].follows is None


def test_a_standing_warning_is_reminded_of_after_its_hours() -> None:
    standing = stood(WARNING)
    early = decide(judged(WARNING), standing, POLICY, NOW + timedelta(hours=23, minutes=59))
    assert early.alerts == ()
    due = decide(judged(WARNING), standing, POLICY, NOW + timedelta(hours=24))
    assert [alert.kind for alert in due.alerts] == [AlertKind.REMIND]
    assert due.standing.announced_at == NOW + timedelta(hours=24)


def test_an_announcement_dated_in_the_future_silences_no_reminder() -> None:
    standing = stood(WARNING, announced_at=NOW + timedelta(days=3650))
    assert decide(judged(WARNING), standing, POLICY, NOW).alerts[0].kind is AlertKind.REMIND


def test_an_unwatched_dam_is_reminded_of_until_it_is_watched() -> None:
    blind = judged(unwatched="the feed is dead")
    due = decide(blind, stood(None, unwatched=True), POLICY, NOW + timedelta(hours=24))
    assert [alert.kind for alert in due.alerts] == [AlertKind.UNWATCHED]
    assert due.alerts[0].reasons == ("Still unwatched: the feed is dead",)


def test_a_warning_on_an_unwatched_dam_is_two_alerts() -> None:
    both = decide(judged(WARNING, unwatched="the feed is dead"), CALM, POLICY, NOW)
    assert [alert.kind for alert in both.alerts] == [AlertKind.RAISE, AlertKind.UNWATCHED]
    assert {alert.severity for alert in both.alerts} == {WARNING}


def test_nothing_is_called_off_while_nobody_watches() -> None:
    standing, days = stood(WARNING, unwatched=True), 0
    for days in range(1, 30):
        blind = judged(unwatched="dead", observed_day=DAY + timedelta(days=days))
        decision = decide(blind, standing, POLICY, NOW + timedelta(days=days))
        standing = decision.standing
        assert standing.severity == WARNING
    assert days == 29


def test_several_readings_in_a_row_call_a_warning_off_and_each_counts_once() -> None:
    policy, standing = AlertPolicy(clear_after_days=3), stood(WARNING)
    kinds = []
    for hours in range(0, 96, 6):  # four cycles a day, one reading a day
        reading = judged(observed_day=DAY + timedelta(days=hours // 24))
        decision = decide(reading, standing, policy, NOW + timedelta(hours=hours))
        standing = decision.standing
        kinds += [(hours, alert.kind) for alert in decision.alerts if alert.kind is not AlertKind.REMIND]
    assert kinds == [(48, AlertKind.ALL_CLEAR)]


def test_a_reading_that_holds_starts_the_count_again() -> None:
    policy, standing = AlertPolicy(clear_after_days=2), stood(WARNING)
    days = [
        judged(),
        judged(None, holding=WARNING),
        judged(),
        judged(newest_doubted=True),
        judged(),
        judged(),
    ]
    ended = []
    for later, assessment in enumerate(days):
        reading = replace(assessment, observed_day=DAY + timedelta(days=later))
        decision = decide(reading, standing, policy, NOW + timedelta(hours=later))
        standing = decision.standing
        ended += [later for alert in decision.alerts if alert.kind is AlertKind.ALL_CLEAR]
    assert ended == [5]


def test_a_false_spike_is_called_off_when_its_day_is_corrected() -> None:
    raised = decide(judged(EMERGENCY, unconfirmed=True), CALM, POLICY, NOW)
    assert "unconfirmed" in raised.alerts[0].reasons[0]
    corrected = decide(judged(), raised.standing, POLICY, LATER)
    assert [alert.kind for alert in corrected.alerts] == [AlertKind.ALL_CLEAR]


def test_the_reading_that_raised_a_warning_never_calls_it_off() -> None:
    raised = decide(forecast_says(WARNING), CALM, POLICY, NOW)
    same_day = decide(judged(), raised.standing, POLICY, LATER)
    assert same_day.alerts == ()
    next_day = judged(observed_day=DAY + timedelta(days=1))
    assert decide(next_day, same_day.standing, POLICY, LATER).alerts[0].kind is AlertKind.ALL_CLEAR


def test_a_configured_peak_change_replaces_the_derived_one() -> None:
    policy = AlertPolicy(update_peak_change=0.5)
    assert decide(judged(WARNING, peak_value=262.4), stood(WARNING), policy, LATER).alerts == ()
    assert decide(judged(WARNING, peak_value=262.5), stood(WARNING), policy, LATER).alerts


@pytest.mark.parametrize(
    ("peak", "enough"), [(250.0, 1.0), (265.0, 1.0), (270.0, 0.462), (272.0, 0.462), (280.0, 0.462)]
)
def test_the_peak_matters_by_a_tenth_of_the_step_that_it_lies_in(peak: float, enough: float) -> None:
    found = judged(WARNING, peak_value=peak)
    nearer, farther = (stood(WARNING, peak_value=peak - share * enough) for share in (0.99, 1.01))
    assert decide(found, nearer, POLICY, LATER).alerts == ()
    assert decide(found, farther, POLICY, LATER).alerts


def test_with_one_threshold_its_clear_value_measures_the_peak() -> None:
    one = judged(WARNING, peak_value=271.0, outlooks=OUTLOOKS[1:2])
    assert decide(one, stood(WARNING, peak_value=270.89), POLICY, LATER).alerts
    assert decide(one, stood(WARNING, peak_value=270.91), POLICY, LATER).alerts == ()


def test_a_downgrade_leaves_the_lower_severity_standing() -> None:
    standing = decide(judged(None, holding=ADVISORY), stood(EMERGENCY), POLICY, LATER).standing
    assert (standing.severity, standing.clear_days) == (ADVISORY, 0)


def test_after_the_all_clear_nothing_stands() -> None:
    standing = decide(judged(), stood(WARNING), POLICY, LATER).standing
    assert (standing.severity, standing.evidence, standing.peak_value) == (None, None, None)


SPIKE = Finding(FindingKind.SPIKE, "level 275.00 m on 2017-02-08 is a spike", "oroville", Variable.LEVEL_M)
GAP = Finding(FindingKind.GAP, "no level for 9 days", "oroville", Variable.LEVEL_M)


def test_new_findings_make_one_alert() -> None:
    alert = finding_alert("oroville", [SPIKE, GAP], {}, NOW)
    assert alert is not None
    assert (alert.kind, alert.findings, alert.severity) == (AlertKind.FINDING, (SPIKE, GAP), None)


def test_a_finding_is_repeated_after_seven_days_and_not_before() -> None:
    announced = {(FindingKind.SPIKE, Variable.LEVEL_M): NOW, (FindingKind.GAP, Variable.RAIN_MM): NOW}
    assert finding_alert("oroville", [SPIKE], announced, NOW + timedelta(days=6, hours=23)) is None
    assert finding_alert("oroville", [SPIKE], announced, NOW + timedelta(days=7)) is not None
    of_another_variable = finding_alert("oroville", [SPIKE, GAP], announced, NOW)
    assert of_another_variable is not None
    assert of_another_variable.findings == (GAP,)


def test_without_findings_there_is_no_alert() -> None:
    assert finding_alert("oroville", [], {}, NOW) is None


def test_a_doubted_newest_reading_is_told_of_on_each_of_its_days() -> None:
    suspect = replace(SPIKE, kind=FindingKind.SUSPECT_LAST_READING)
    announced = {(suspect.kind, suspect.variable): NOW}
    assert finding_alert("oroville", [suspect], announced, NOW + timedelta(hours=6)) is None
    assert finding_alert("oroville", [suspect], announced, NOW + timedelta(days=1)) is not None
