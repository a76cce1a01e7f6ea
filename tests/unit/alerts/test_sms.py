"""A short message is one segment of GSM-7, whatever the names are, and keeps what matters most."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warning.alerts.sms import (
    GSM7_BASIC,
    GSM7_EXTENSION,
    SMS_SEPTETS,
    compose_sms,
    septets,
    shorten,
    to_gsm7,
)
from warning.alerts.wording import number_text, percent_text
from warning.domain.variables import Variable


def _sms(**changes: object) -> str:
    base: dict[str, object] = {
        "severity": "EMERGENCY",
        "basis": "FORECAST",
        "dam": ("Lake Oroville", "oroville"),
        "facts": ("275.10m Sun 12 Feb", ">=274.62m", "72%"),
        "action": "Open gate 3.",
        "number": 17,
    }
    return compose_sms(**{**base, **changes})  # type: ignore[arg-type]


@given(
    severity=st.text(max_size=60),
    names=st.tuples(st.text(max_size=200), st.text(max_size=40)),
    action=st.text(max_size=400),
    values=st.lists(st.floats(), max_size=5),
    probability=st.floats(),
    number=st.integers(0, 10**12),
    basis=st.sampled_from(["", "FORECAST", "OBSERVED, UNCONFIRMED", "OBSERVED RISE, REMINDER"]),
)
def test_any_names_and_numbers_fit_one_segment(
    severity: str,
    names: tuple[str, str],
    action: str,
    values: list[float],
    probability: float,
    number: int,
    basis: str,
) -> None:
    facts = [*(number_text(value, Variable.STORAGE_M3) for value in values), percent_text(probability)]
    text = _sms(severity=severity, dam=names, action=action, facts=facts, number=number, basis=basis)
    assert septets(text) <= SMS_SEPTETS
    assert all(c in GSM7_BASIC or c in GSM7_EXTENSION for c in text)
    assert "\n" not in text
    assert "\r" not in text
    assert text.endswith(f" #{number}")
    shown = to_gsm7(severity) or "WARNING"
    assert text.startswith(shown if septets(shown) <= 24 else shorten(shown, 24))
    dam = to_gsm7(names[0]) or to_gsm7(names[1]) or "dam"
    kept = 8 if septets(dam[:8]) == len(dam[:8]) else 4
    assert dam[:kept].rstrip() in text


def test_all_facts_and_the_whole_instruction_are_kept_where_they_fit() -> None:
    expected = "EMERGENCY FORECAST Lake Oroville: 275.10m Sun 12 Feb, >=274.62m, 72%. Open gate 3. #17"
    assert _sms() == expected


def test_a_long_dam_name_gives_way_before_the_facts() -> None:
    text = _sms(dam=("A very long name of a dam " * 8, "x"), action="")
    assert ".." in text
    assert "275.10m Sun 12 Feb, >=274.62m, 72%" in text
    assert septets(text) == SMS_SEPTETS


def test_the_instruction_gives_way_before_the_dam() -> None:
    text = _sms(action="Call " * 60)
    assert "Lake Oroville" in text
    assert text.endswith(".. #17")


def test_values_are_whole_or_left_out() -> None:
    text = _sms(facts=("275.10m", "x" * 90, "last fact of all"))
    assert "275.10m" in text
    assert "xx" not in text or "x" * 90 in text


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("Théewaterskloof", "Théewaterskloof"),  # é is in the alphabet
        ("São João", "Sao Joao"),
        ("Ömerli İçme", "Ömerli Icme"),
        ("Łódź – 4364 Mm³ ≥ 72 %", "Lodz - 4364 Mm3 >= 72 %"),
        ("三峡 dam", "dam"),
        ("a\r\nb\tc\u2028d\x00e", "a b c d e"),
        ("{x}", "{x}"),
    ],
)
def test_what_the_alphabet_lacks_is_transliterated_or_dropped(written: str, sent: str) -> None:
    assert to_gsm7(written) == sent


def test_extension_characters_count_twice() -> None:
    assert septets("[€]") == 6
    assert septets(_sms(action="€" * 200)) <= SMS_SEPTETS


def test_a_name_without_any_known_letter_falls_back_to_the_id() -> None:
    assert "three_gorges" in _sms(dam=("三峡", "three_gorges"))
