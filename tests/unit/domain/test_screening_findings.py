"""Screening in words: findings stand alone, name value, day and limit, and only speak of late."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from warning.domain.findings import Finding, FindingKind
from warning.domain.readings import Flag, RawReadings
from warning.domain.reservoir import Bounds, ScreeningLimits
from warning.domain.screening import screen
from warning.domain.screening_findings import flag_report, rule_words, screening_findings
from warning.domain.variables import FloatArray, Variable

LEVEL, INFLOW = Variable.LEVEL_M, Variable.INFLOW_M3S
DAYS = np.datetime64("2024-05-01") + np.arange(40)
BOUNDS = {LEVEL: Bounds(90.0, 130.0)}
LIMITS = ScreeningLimits(rate_per_day={LEVEL: 1.5}, spike={LEVEL: 0.5}, gap_days=2, sentinels=(-999999.0,))


def sound() -> FloatArray:
    return 100.0 + 0.1 * np.arange(40.0)


def found(
    level: FloatArray, days: np.ndarray = DAYS, complaints: tuple[str, ...] = ()
) -> dict[FindingKind, Finding]:
    raw = RawReadings(days, {LEVEL: level, INFLOW: np.ones(level.size)}, complaints)
    series = screen(raw, BOUNDS, LIMITS)
    findings = screening_findings("alto", raw, series, LEVEL, bounds=BOUNDS, limits=LIMITS)
    assert all(finding.message.startswith("alto: ") for finding in findings)
    return {finding.kind: finding for finding in findings}


def test_a_sound_record_finds_nothing() -> None:
    assert found(sound()) == {}


def test_a_suspect_last_reading_says_value_day_rule_base_and_what_to_do() -> None:
    level = sound()
    level[-1] += 8.0
    message = found(level)[FindingKind.SUSPECT_LAST_READING].message
    for part in ("111.90 m on 2024-06-09", "rate of change", "103.80 m on 2024-06-08", "Confirm"):
        assert part in message


def test_a_suspect_last_reading_says_when_nothing_is_believed() -> None:
    message = found(np.full(40, -999999.0))[FindingKind.SUSPECT_LAST_READING].message
    assert "no earlier reading is believed" in message


def test_a_flag_becomes_one_finding_per_rule_with_its_limit() -> None:
    level = sound()
    level[36:38] = -999999.0
    findings = found(level)
    assert findings[FindingKind.SENTINEL].day == date(2024, 6, 7)
    assert findings[FindingKind.SENTINEL].variable is LEVEL
    assert "90.00 m to 130.00 m" in findings[FindingKind.PHYSICAL_RANGE].message
    assert FindingKind.SUSPECT_LAST_READING not in findings


def test_a_spike_names_the_limit_it_passed() -> None:
    level = sound()
    level[35] += 0.9
    assert "limit 0.50 m" in found(level)[FindingKind.SPIKE].message


def test_old_flags_are_no_news() -> None:
    level = sound()
    level[10:12] = -999999.0
    assert found(level) == {}


def test_a_gap_is_told_once_its_end_is_known() -> None:
    keep = np.r_[0:30, 35:40]
    finding = found(sound()[keep], DAYS[keep])[FindingKind.GAP]
    assert "5 days before 2024-06-05" in finding.message
    keep = np.r_[0:33, 35:40]
    assert FindingKind.GAP not in found(sound()[keep], DAYS[keep])


def test_days_that_disagree_are_told_even_where_one_row_is_believed() -> None:
    at = np.r_[0:39, 38, 39]
    level = sound()[at]
    level[38] = 0.0
    assert "2024-06-08" in found(level, DAYS[at])[FindingKind.DUPLICATE_DAYS].message


def test_unreadable_cells_are_summed_up() -> None:
    complaints = tuple(f"alto.csv:{line}: level_m: 'x' is not a finite number" for line in range(2, 12))
    message = found(sound(), complaints=complaints)[FindingKind.BAD_CELL].message
    assert "10 lines" in message
    assert "alto.csv:11" in message
    assert "7 more" in message


def test_the_report_lists_what_stays_doubted_by_day() -> None:
    level = sound()
    level[[5, 20]] = -999999.0
    series = screen(RawReadings(DAYS, {LEVEL: level}), BOUNDS, LIMITS)
    report = flag_report(series)
    assert [row.day for row in report] == [date(2024, 5, 6), date(2024, 5, 21)]
    assert report[0].flags == Flag.PHYSICAL_RANGE | Flag.SENTINEL
    assert report[0].rules == "physical range, sentinel"
    assert report[0].value == -999999.0


@pytest.mark.parametrize("flag", list(Flag))
def test_every_flag_has_words_and_a_kind_of_finding(flag: Flag) -> None:
    assert rule_words(flag)
    assert FindingKind[flag.name or ""].value == rule_words(flag).replace(" ", "-")


def test_findings_need_no_limits_to_speak() -> None:
    level = sound()
    level[-1] = 500.0
    raw = RawReadings(DAYS, {LEVEL: level})
    findings = screening_findings("alto", raw, screen(raw, BOUNDS, LIMITS), LEVEL)
    assert {finding.kind for finding in findings} >= {
        FindingKind.SUSPECT_LAST_READING,
        FindingKind.PHYSICAL_RANGE,
    }
