"""Each kind of alert says what its reader must know, in every form; scenes are also kept as golden files."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from warning.alerts.messages import compose_message, has_plot, plain_message, without_plot
from warning.alerts.sms import SMS_SEPTETS, septets
from warning.domain.alert import Alert, AlertKind
from warning.domain.assessment import Assessment, Evidence, ThresholdOutlook
from warning.domain.delivery import Message
from warning.domain.findings import Finding, FindingKind
from warning.domain.forecast import HORIZON_DAYS, QUANTILE_LEVELS, Forecast
from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import ForecastRule, LevelThreshold, Reservoir, RiseThreshold, Severity
from warning.domain.variables import Variable

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "messages"
NOW = datetime(2017, 2, 9, 11, 4, tzinfo=UTC)  # 03:04 at the dam
DAY = date(2017, 2, 8)
TOLD = ("Ana Ruiz", "Bell Okoro", "Control room")
ADVISORY, WATCH, WARNING, EMERGENCY = (
    Severity(rank, name) for rank, name in enumerate(("advisory", "watch", "warning", "emergency"), 1)
)
CREST = LevelThreshold("emergency spillway crest", EMERGENCY, 274.62, 274.32, ForecastRule(0.5, 7))
FULL = LevelThreshold("full pool", WARNING, 274.32, 274.0, ForecastRule(0.5, 7))
HIGH = LevelThreshold("high pool", WATCH, 271.5, 271.0, ForecastRule(0.5, 7))
RISE = RiseThreshold("fast rise", WATCH, 1.0, 0.5, 260.0)
RESERVOIR = Reservoir(
    id="oroville",
    name="Lake Oroville",
    time_zone=ZoneInfo("America/Los_Angeles"),
    datum="NGVD 29",
    forecast_variable=Variable.LEVEL_M,
    limits={},
    level_thresholds=(HIGH, FULL, CREST),
    rise_thresholds=(RISE,),
    instructions={
        "emergency": "Open gate 3; call the control room +1 530 555 0100.",
        "watch": "Staff the gates.",
    },
)


def _series(values: Any, variable: Variable = Variable.LEVEL_M) -> ReadingSeries:
    column = np.asarray(values, dtype=float)
    flags = np.zeros(column.size, dtype=np.uint16)
    first = DAY - timedelta(days=column.size - 1)
    return ReadingSeries(first, {variable: column}, {variable: flags}, {variable: flags})


def _forecast(medians: Any, width: float = 0.3, **more: Any) -> Forecast:
    middle = np.asarray(medians, dtype=float)
    steps = np.array([math.log(level / (1 - level)) for level in QUANTILE_LEVELS])
    quantiles = middle[:, None] + width * np.sqrt(np.arange(1, HORIZON_DAYS + 1))[:, None] * steps
    return Forecast(
        reservoir_id="oroville", basis_day=DAY, issued_at=NOW, method="pool", model_id="m1",
        mean=middle, quantiles=quantiles, **more,
    )  # fmt: skip


SERIES = _series(np.linspace(255, 272.1, 80))
SKILL = np.array([0.5, 0.52, 0.55, 0.6, 0.7, 0.9, 1.1])
FORECAST = _forecast([272.9, 273.9, 274.7, 275.1, 275.0, 274.8, 274.5], skill=SKILL)


def _outlooks(forecast: Forecast | None) -> tuple[ThresholdOutlook, ...]:
    def chances(value: float) -> tuple[float, ...]:
        return tuple(map(float, forecast.exceedance_probabilities(value))) if forecast else ()

    return tuple(ThresholdOutlook(t, False, chances(t.value), None) for t in RESERVOIR.level_thresholds)


def _assessment(**changes: Any) -> Assessment:
    base: dict[str, Any] = {
        "reservoir_id": "oroville", "assessed_at": NOW, "severity": None, "holding": None, "evidence": None,
        "threshold": None, "unwatched": None, "observed_value": 272.1, "observed_day": DAY,
        "unconfirmed": False, "rise_per_day": 0.22, "probability": None, "first_day": None,
        "peak_value": 272.1, "peak_day": DAY, "outlooks": _outlooks(FORECAST), "skill": None, "degraded": (),
        "variable": Variable.LEVEL_M,
    }  # fmt: skip
    return Assessment(**{**base, **changes})


BY_FORECAST = _assessment(
    severity=EMERGENCY, holding=EMERGENCY, evidence=Evidence.FORECAST, threshold=CREST, probability=0.72,
    first_day=date(2017, 2, 11), peak_value=275.1, peak_day=date(2017, 2, 12), skill=0.55,
)  # fmt: skip
BY_OBSERVATION = _assessment(
    severity=EMERGENCY, holding=EMERGENCY, evidence=Evidence.OBSERVED, threshold=CREST, first_day=DAY,
    observed_value=274.9, peak_value=275.1, peak_day=date(2017, 2, 12),
)  # fmt: skip
BY_RISE = _assessment(
    severity=WATCH,
    holding=WATCH,
    evidence=Evidence.RISE,
    threshold=RISE,
    first_day=DAY,
    rise_per_day=1.4,
    peak_value=275.1,
    peak_day=date(2017, 2, 12),
)
RECEDING = _forecast([270.0, 269.8, 269.5, 269.3, 269.1, 269.0, 268.9], skill=SKILL)
CALM = _assessment(observed_value=270.2, peak_value=270.2, outlooks=_outlooks(RECEDING))
UNWATCHED = _assessment(
    observed_day=date(2017, 2, 4), unwatched="no believed reading of the level for 5 days", outlooks=()
)


def _alert(
    kind: AlertKind, severity: Severity | None, former: Severity | None, found: Assessment | None, **more: Any
) -> Alert:
    base: dict[str, Any] = {"follows": 16, "number": 17, "reasons": ("What changed since.",), **more}
    return Alert(
        kind=kind, reservoir_id="oroville", created_at=NOW, severity=severity, previous_severity=former,
        assessment=found, **base,
    )  # fmt: skip


def _compose(
    alert: Alert,
    *,
    forecast: Forecast | None = FORECAST,
    series: ReadingSeries | None = SERIES,
    reservoir: Reservoir = RESERVOIR,
) -> Message:
    return compose_message(alert, reservoir, series=series, forecast=forecast, told=TOLD, now=NOW)


FINDINGS = (
    Finding(FindingKind.GAP, "The level is missing on 4 days since 2017-01-30."),
    Finding(FindingKind.SPIKE, "2017-02-01: 41.90 m stands alone between 261.00 m and 261.20 m."),
)
STORAGE = replace(
    RESERVOIR, name="Embalse de São João", datum="", forecast_variable=Variable.STORAGE_M3,
    level_thresholds=(LevelThreshold("capacity", EMERGENCY, 4364058741.0, 4.3e9, ForecastRule(0.5, 7)),),
    rise_thresholds=(),
)  # fmt: skip
STORAGE_FOUND = _assessment(
    severity=EMERGENCY, evidence=Evidence.OBSERVED, threshold=STORAGE.level_thresholds[0], first_day=DAY,
    observed_value=4.4e9, peak_value=4.45e9, peak_day=date(2017, 2, 10), outlooks=(),
)  # fmt: skip
SCENES: Mapping[str, Message] = {
    "raise_forecast": _compose(
        _alert(AlertKind.RAISE, EMERGENCY, None, BY_FORECAST, follows=None),
    ),
    "raise_forecast_below_median": _compose(
        _alert(AlertKind.RAISE, EMERGENCY, None, replace(BY_FORECAST, probability=0.3, peak_value=274.0)),
    ),
    "escalate_observed": _compose(_alert(AlertKind.ESCALATE, EMERGENCY, WARNING, BY_OBSERVATION)),
    "raise_unconfirmed_degraded": _compose(
        _alert(
            AlertKind.RAISE, EMERGENCY, None,
            replace(BY_OBSERVATION, unconfirmed=True, degraded=("the networks failed",), outlooks=()),
            findings=FINDINGS,
        ),
        forecast=None,
    ),
    "raise_rise": _compose(_alert(AlertKind.RAISE, WATCH, None, BY_RISE)),
    "update_forecast": _compose(_alert(AlertKind.UPDATE, EMERGENCY, EMERGENCY, BY_FORECAST)),
    "remind_held": _compose(_alert(AlertKind.REMIND, EMERGENCY, EMERGENCY, CALM), forecast=RECEDING),
    "downgrade": _compose(_alert(AlertKind.DOWNGRADE, WATCH, EMERGENCY, BY_RISE)),
    "all_clear": _compose(_alert(AlertKind.ALL_CLEAR, None, EMERGENCY, CALM), forecast=RECEDING),
    "unwatched": _compose(_alert(AlertKind.UNWATCHED, WATCH, WATCH, UNWATCHED), forecast=None),
    "watched_again": _compose(_alert(AlertKind.WATCHED_AGAIN, None, None, CALM), forecast=RECEDING),
    "finding": _compose(
        _alert(AlertKind.FINDING, None, None, None, findings=FINDINGS, follows=None), forecast=None
    ),
    "storage": _compose(
        _alert(AlertKind.RAISE, EMERGENCY, None, STORAGE_FOUND),
        reservoir=STORAGE, forecast=None, series=_series(np.linspace(4e9, 4.4e9, 70), Variable.STORAGE_M3),
    ),
    "plain": plain_message(
        _alert(AlertKind.ESCALATE, EMERGENCY, WARNING, BY_FORECAST), "oroville", "Lake Oroville", NOW
    ),
}  # fmt: skip


@pytest.mark.parametrize("scene", SCENES)
def test_a_scene_reads_as_its_golden_files(scene: str) -> None:
    message = SCENES[scene]
    forms = {
        "txt": f"Subject: {message.subject}\n\n{message.text}",
        "html": message.html,
        "sms": f"{message.sms}\n",
    }
    if os.environ.get("UPDATE_GOLDEN"):
        for suffix, content in forms.items():
            (GOLDEN / f"{scene}.{suffix}").write_text(content, encoding="utf-8")
    for suffix, content in forms.items():
        assert content == (GOLDEN / f"{scene}.{suffix}").read_text(encoding="utf-8")


@pytest.mark.parametrize("scene", SCENES)
def test_every_form_names_dam_and_number(scene: str) -> None:
    message = SCENES[scene]
    assert "17" in message.subject
    assert "#17" in message.text
    assert "#17" in message.html
    assert message.sms.endswith("#17")
    for form in (message.subject, message.text, message.html, message.sms):
        assert "Oroville" in form or "João" in form or "Joao" in form
    assert septets(message.sms) <= SMS_SEPTETS


@pytest.mark.parametrize(
    ("scene", "facts"),
    [
        (
            "raise_forecast",
            [
                "Forecast, not observed", "EMERGENCY", "274.62 m (NGVD 29)", "72 %",
                "Sat 11 Feb (2 days ahead)",
                "275.10 m", "Sun 12 Feb (3 days ahead)", "Open gate 3", "03:04 (UTC-08:00", "0.48 m above",
                "At 3 days this forecast's error is 0.55 of simply repeating today's value",
                "Ana Ruiz, Bell Okoro, Control room",
            ],
        ),
        ("raise_forecast_below_median", ["may reach", "30 %", "274.62 m"]),
        (
            "escalate_observed",
            [
                "Observed: Lake Oroville stands at 274.90 m (NGVD 29)", "0.28 m above", "Raised from WARNING",
                "follows #16", "Wed 8 Feb (1 day ago)", "Forecast peak",
            ],
        ),
        (
            "raise_unconfirmed_degraded",
            [
                "UNCONFIRMED", "Read the gauge at once", "There is no forecast", "the networks failed",
                "The level is missing on 4 days", "rests on observation alone",
            ],
        ),
        ("raise_rise", ["1.40 m a day", "1.00 m a day", "fast rise", "Staff the gates", "272.10 m (NGVD"]),
        ("update_forecast", ["UPDATE", "What changed since.", "before: EMERGENCY"]),
        ("remind_held", ["Reminder: EMERGENCY still stands", "below 274.32 m", "before: EMERGENCY"]),
        ("downgrade", ["Lowered from EMERGENCY to WATCH", "before: EMERGENCY"]),
        (
            "all_clear",
            [
                "EMERGENCY at Lake Oroville is over", "270.20 m (NGVD 29)", "0.80 m below the lowest clear",
                "the lowest threshold, is 4 %", "before: EMERGENCY",
            ],
        ),
        (
            "unwatched",
            [
                "Nobody is watching Lake Oroville by machine: read the gauge yourself",
                "no believed reading of the level for 5 days", "Sat 4 Feb (5 days ago)", "WATCH still stands",
            ],
        ),
        ("watched_again", ["is watched by machine again", "270.20 m", "no warning stands"]),
        ("finding", ["No flood warning by itself", "41.90 m stands alone", "missing on 4 days"]),
        ("storage", ["4400.0 Mm³", "4364.1 Mm³", "35.9 Mm³ above", "Forecast peak (median): 4450.0 Mm³"]),
        ("plain", ["EMERGENCY forecast", "274.62 m", "72 %", "Before: WARNING", "UTC+00:00", "follows #16"]),
    ],
)  # fmt: skip
def test_text_and_html_say_what_must_be_known(scene: str, facts: list[str]) -> None:
    message = SCENES[scene]
    as_html = message.html.replace("&#39;", "'").replace("&#x27;", "'")
    for fact in facts:
        assert fact in message.text
        assert fact in as_html


@pytest.mark.parametrize("scene", ["raise_forecast", "raise_forecast_below_median", "update_forecast"])
def test_a_forecast_is_never_worded_as_an_observation(scene: str) -> None:
    message = SCENES[scene]
    assert "EMERGENCY forecast" in message.subject
    assert "EMERGENCY FORECAST" in message.sms
    for sentence in re.split(r"(?<=[.;\n])\s", message.text):
        if "275.10 m" in sentence or "274.00 m" in sentence:
            assert "orecast" in sentence
            assert not re.search(r"observed 27[45]", sentence)


def test_the_subject_puts_the_most_important_first() -> None:
    assert SCENES["raise_forecast"].subject == (
        "EMERGENCY forecast: Lake Oroville 275.10 m on Sun 12 Feb (>= 274.62 m from Sat 11 Feb, 72 %) [#17]"
    )
    assert SCENES["unwatched"].subject.startswith("UNWATCHED: Lake Oroville - read the gauge yourself")
    assert SCENES["escalate_observed"].subject == (
        "EMERGENCY observed, raised from WARNING: Lake Oroville 274.90 m on Wed 8 Feb (>= 274.62 m) [#17]"
    )


@pytest.mark.parametrize(
    ("skill", "words"),
    [
        (0.996, "error is 0.99 of"),
        (1.0, "no better than persistence at this dam: treat as indication only"),
        (math.nan, "not yet known"),
    ],
)
def test_skill_is_told_in_words(skill: float, words: str) -> None:
    forecast = replace(FORECAST, skill=np.full(HORIZON_DAYS, skill))
    message = _compose(_alert(AlertKind.RAISE, EMERGENCY, None, BY_FORECAST), forecast=forecast)
    assert words in message.text


def test_a_forecast_that_is_wholly_past_is_not_shown() -> None:
    stale = replace(FORECAST, basis_day=DAY - timedelta(days=7))
    text = _compose(_alert(AlertKind.RAISE, EMERGENCY, None, BY_OBSERVATION), forecast=stale).text
    assert "probability of reaching" not in text
    assert "rests on observation alone" in text


def test_the_table_has_seven_days_with_band_and_probabilities() -> None:
    text = SCENES["raise_forecast"].text
    table = text[text.index("probability of reaching") :]
    for day in range(9, 16):
        assert len(re.findall(rf"^\w{{3}} {day} Feb\b.* to .*%", table, re.MULTILINE)) == 1
    assert "emergency ≥ 274.62" in table


def test_names_stay_text_in_html() -> None:
    reservoir = replace(RESERVOIR, name='<b>x</b>&"', instructions={"emergency": "<script>alert(1)</script>"})
    message = _compose(_alert(AlertKind.RAISE, EMERGENCY, None, BY_FORECAST), reservoir=reservoir)
    assert "<b>x" not in message.html
    assert "<script" not in message.html
    assert "&lt;b&gt;x&lt;/b&gt;" in message.html
    assert "<b>x</b>" in message.text
    assert "<b>x" not in plain_message(_alert(AlertKind.RAISE, EMERGENCY, None, None), "d", "<b>x", NOW).html


def test_no_name_can_start_a_mail_header_of_its_own() -> None:
    reservoir = replace(RESERVOIR, name="Dam\r\nBcc: all@example.org\x00\u2028X")
    alert = _alert(AlertKind.FINDING, None, None, None, reasons=("a\nb",))
    for message in (_compose(alert, reservoir=reservoir), plain_message(alert, "d", reservoir.name, NOW)):
        assert "Bcc" in message.subject
        assert not re.search(r"[\r\n\x00\u2028]", message.subject)


def test_a_long_name_leaves_the_number_in_the_subject() -> None:
    alert = _alert(AlertKind.RAISE, EMERGENCY, None, BY_FORECAST)
    assert _compose(alert, reservoir=replace(RESERVOIR, name="Long " * 100)).subject.endswith("[#17]")


def test_the_picture_can_be_taken_out() -> None:
    message = SCENES["raise_forecast"]
    bare = without_plot(message)
    assert has_plot(message)
    assert 'src="cid:plot.png"' in message.html
    assert not has_plot(bare)
    assert "<img" not in bare.html
    assert "No picture could be drawn" in bare.html
    assert (bare.text, bare.sms, bare.subject) == (message.text, message.sms, message.subject)


def test_the_alt_text_says_what_the_picture_shows() -> None:
    alt = re.findall(r'alt="([^"]*)"', SCENES["raise_forecast"].html)
    assert len(alt) == 1
    for fact in (
        "Lake Oroville",
        "level in m (NGVD 29)",
        "272.10 on Wed 8 Feb",
        "274.62 m",
        "275.10",
        "72 %",
    ):
        assert fact in alt[0]


def test_without_readings_and_forecast_there_is_no_picture() -> None:
    alert = _alert(AlertKind.FINDING, None, None, None, findings=FINDINGS)
    assert not has_plot(_compose(alert, series=None, forecast=None))


def test_the_dates_do_not_depend_on_the_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert (
        _compose(_alert(AlertKind.RAISE, EMERGENCY, None, BY_FORECAST, follows=None))
        == SCENES["raise_forecast"]
    )


_MISSING: tuple[dict[str, Any], ...] = (
    {},
    {"observed_value": None, "observed_day": None, "rise_per_day": None},
    {"observed_value": math.nan, "rise_per_day": math.nan, "peak_value": math.nan, "probability": math.nan},
    {"probability": None, "first_day": None, "peak_value": None, "peak_day": None, "skill": math.nan},
    {"threshold": None, "evidence": None, "severity": None, "outlooks": ()},
)


@pytest.mark.parametrize("kind", AlertKind)
@pytest.mark.parametrize("missing", _MISSING)
@pytest.mark.parametrize("base", [BY_FORECAST, BY_OBSERVATION, BY_RISE, CALM, UNWATCHED, None])
def test_nothing_missing_is_ever_written_as_nan(
    kind: AlertKind, missing: dict[str, Any], base: Assessment | None
) -> None:
    found = replace(base, **missing) if base is not None else None
    for severity, number in ((EMERGENCY, 17), (None, None)):
        alert = _alert(kind, severity, WARNING if severity else None, found, number=number)
        for forecast, series in ((FORECAST, SERIES), (None, None), (None, _series([math.nan] * 5))):
            composed = _compose(alert, forecast=forecast, series=series)
            for message in (composed, plain_message(alert, "oroville", "Lake Oroville", NOW)):
                forms = (message.subject, message.text, message.html, message.sms)
                assert not any(re.search(r"\b(nan|None|inf)\b", form) for form in forms)
                assert not any("nan" in form.lower() for form in forms)
                assert septets(message.sms) <= SMS_SEPTETS
