"""Numbers, days and probabilities read the same on every machine, and nothing missing is printed."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from warning.alerts.palette import rank_colour
from warning.alerts.wording import (
    chance_text,
    day_text,
    days_away_text,
    local_time_text,
    margin_text,
    names_text,
    one_line,
    percent_text,
    skill_text,
    value_text,
)
from warning.domain.variables import Variable

LEVEL, STORAGE = Variable.LEVEL_M, Variable.STORAGE_M3


@pytest.mark.parametrize(
    ("value", "variable", "text"),
    [
        (275.104, LEVEL, "275.10 m"),
        (-0.001, LEVEL, "0.00 m"),
        (4364058741.0, STORAGE, "4364.1 Mm³"),
        (69e6, STORAGE, "69.00 Mm³"),
        (0.36e6, STORAGE, "0.360 Mm³"),
        (math.nan, LEVEL, "not known"),
        (math.inf, STORAGE, "not known"),
        (None, LEVEL, "not known"),
    ],
)
def test_values_have_sensible_digits(value: float | None, variable: Variable, text: str) -> None:
    assert value_text(value, variable) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (275.10, "0.48 m above"),
        (272.11, "2.51 m below"),
        (274.62, "exactly at"),
        (274.619, "less than 0.01 m below"),
        (math.nan, "at an unknown distance from"),
    ],
)
def test_a_margin_is_never_zero_unless_it_is(value: float, text: str) -> None:
    assert margin_text(value, 274.62, LEVEL) == text


def test_a_margin_of_storage_has_the_digits_of_its_threshold() -> None:
    assert margin_text(4.4e9, 4364058741.0, STORAGE) == "35.9 Mm³ above"


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.0, "<1 %"),
        (0.009, "<1 %"),
        (0.72, "72 %"),
        (0.994, ">99 %"),
        (1.0, ">99 %"),
        (math.nan, "not known"),
        (1.2, "not known"),
        (None, "not known"),
    ],
)
def test_probabilities_never_claim_certainty(probability: float | None, text: str) -> None:
    assert percent_text(probability) == text


def test_the_highest_of_several_chances_is_a_bound() -> None:
    assert chance_text(0.72) == "up to 72 %"
    assert chance_text(0.999) == "over 99 %"
    assert chance_text(0.001) == "under 1 %"
    assert chance_text(None) == "not known"


def test_days_are_english_and_counted_from_today() -> None:
    assert day_text(date(2017, 2, 11)) == "Sat 11 Feb"
    assert days_away_text(date(2017, 2, 11), date(2017, 2, 9)) == "2 days ahead"
    assert days_away_text(date(2017, 2, 8), date(2017, 2, 9)) == "1 day ago"
    assert days_away_text(date(2017, 2, 9), date(2017, 2, 9)) == "today"


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("America/Los_Angeles", "Thu 9 Feb 2017, 03:04 (UTC-08:00, America/Los_Angeles)"),
        ("Asia/Kolkata", "Thu 9 Feb 2017, 16:34 (UTC+05:30, Asia/Kolkata)"),
        ("America/St_Johns", "Thu 9 Feb 2017, 07:34 (UTC-03:30, America/St_Johns)"),
    ],
)
def test_times_carry_the_dams_own_offset(zone: str, text: str) -> None:
    assert local_time_text(datetime(2017, 2, 9, 11, 4, tzinfo=UTC), ZoneInfo(zone)) == text


def test_skill_speaks_of_persistence() -> None:
    assert skill_text(0.55, 3).startswith("At 3 days this forecast's error is 0.55 of simply repeating")
    assert "treat as indication only" in skill_text(1.0, 1)
    assert "not yet known" in skill_text(math.nan, 1)
    assert "not yet known" in skill_text(None, None)


def test_everyone_who_knows_is_named_up_to_a_dozen() -> None:
    assert names_text(["Ana"]) == "Ana only: nobody else gets this alert"
    assert names_text(["Ana", "B\nob"]) == "2 get this alert: Ana, B ob"
    assert names_text([f"P{i}" for i in range(15)]).endswith("P11 and 3 more")
    assert names_text([" ", ""]) == "no other recipient is known for this alert"


def test_one_line_leaves_no_way_to_break_a_header() -> None:
    assert one_line(" a\r\nBcc: x\u2029\u202eb\x1b[0m ") == "a Bcc: x b [0m"


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_worse_is_darker_and_white_text_stays_legible() -> None:
    tones = [_luminance(rank_colour(rank)) for rank in (1, 2, 3, 4)]
    assert tones == sorted(tones, reverse=True)
    assert all(1.05 / (tone + 0.05) >= 4.5 for tone in tones)
    assert rank_colour(9) == rank_colour(4)
