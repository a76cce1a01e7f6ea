"""Numbers, days, probabilities and skill as people read them; the same on every machine's locale.

Whatever is missing or not finite is said in words: no function here ever prints a NaN.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from warning.domain.reservoir import Reservoir
from warning.domain.variables import Variable

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
NOT_KNOWN = "not known"
STORAGE_SCALE = 1e-6  # m³ to Mm³


def one_line(text: str) -> str:
    """Return `text` on one line: no control or format characters, no doubled spaces.

    Names come from configuration; a line break in one must not become a mail header of its own.
    """
    kept = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in text)
    return " ".join(kept.split())


def known(value: float | None) -> float | None:
    """Return `value` if it is a finite number, else None."""
    return float(value) if value is not None and math.isfinite(value) else None


def display_unit(variable: Variable) -> str:
    """The unit that values are shown in: storage is told in millions of cubic metres."""
    return "Mm³" if variable is Variable.STORAGE_M3 else variable.unit


def display_value(value: float, variable: Variable) -> float:
    """Return `value` in the unit of `display_unit`."""
    return value * STORAGE_SCALE if variable is Variable.STORAGE_M3 else value


def number_text(value: float | None, variable: Variable) -> str:
    """Write `value` without its unit: a level to the centimetre, a storage in Mm³."""
    found = known(value)
    if found is None:
        return NOT_KNOWN
    shown = display_value(found, variable)
    if abs(shown) >= 1e9:
        return f"{shown:.3g}"
    text = f"{shown:.{_decimals(shown, variable)}f}"
    return text[1:] if text.startswith("-") and float(text) == 0 else text


def _decimals(shown: float, variable: Variable) -> int:
    if variable is not Variable.STORAGE_M3:
        return 2
    return 1 if abs(shown) >= 100 else 2 if abs(shown) >= 10 else 3


def value_text(value: float | None, variable: Variable) -> str:
    """Write `value` with its unit: "275.10 m", "4364.1 Mm³"."""
    text = number_text(value, variable)
    return text if text == NOT_KNOWN else f"{text} {display_unit(variable)}"


def margin_text(value: float | None, threshold: float, variable: Variable) -> str:
    """Say how far `value` is from `threshold`: "0.48 m above", never "0.00 m below"."""
    found = known(value)
    if found is None or not math.isfinite(threshold):
        return "at an unknown distance from"
    if found == threshold:
        return "exactly at"
    side = "above" if found > threshold else "below"
    apart, unit = abs(display_value(found - threshold, variable)), display_unit(variable)
    decimals = _decimals(display_value(threshold, variable), variable)
    if apart < 0.5 * 10**-decimals:
        return f"less than {10**-decimals:.{decimals}f} {unit} {side}"
    return f"{apart:.{decimals}f} {unit} {side}" if apart < 1e9 else f"{apart:.3g} {unit} {side}"


def datum_suffix(reservoir: Reservoir) -> str:
    """The datum in brackets after a value, or nothing where the dam names none."""
    datum = one_line(reservoir.datum)
    return f" ({datum})" if datum else ""


def percent_text(probability: float | None) -> str:
    """Write a probability; the ends are never rounded to certainty."""
    if probability is None or not 0 <= probability <= 1:
        return NOT_KNOWN
    if probability < 0.01:
        return "<1 %"
    return ">99 %" if probability > 0.99 else f"{probability * 100:.0f} %"


def chance_text(probability: float | None) -> str:
    """Write the highest probability of several days: "up to 72 %", "over 99 %", "under 1 %"."""
    text = percent_text(probability)
    if text == NOT_KNOWN:
        return text
    return text.replace("<", "under ").replace(">", "over ") if text[0] in "<>" else f"up to {text}"


def day_text(day: date) -> str:
    """Write a day as "Sat 11 Feb"."""
    return f"{_WEEKDAYS[day.weekday()]} {day.day} {_MONTHS[day.month - 1]}"


def days_away_text(day: date, today: date) -> str:
    """Say where `day` lies from `today`: "today", "2 days ahead", "1 day ago"."""
    away = (day - today).days
    if away == 0:
        return "today"
    return f"{days_text(abs(away))} {'ahead' if away > 0 else 'ago'}"


def days_text(count: int) -> str:
    """Write a number of days: "1 day", "3 days"."""
    return f"{count} day" if count == 1 else f"{count} days"


def local_time_text(instant: datetime, zone: ZoneInfo) -> str:
    """Write an instant on the dam's clock: "Wed 8 Feb 2017, 03:04 (UTC-08:00, America/Los_Angeles)"."""
    local = instant.astimezone(zone)
    return f"{day_text(local.date())} {local.year}, {local:%H:%M} ({offset_text(local)}, {zone.key})"


def utc_time_text(instant: datetime) -> str:
    """Write an instant in UTC, for a dam whose own zone cannot be had."""
    utc = instant.astimezone(UTC)
    return f"{day_text(utc.date())} {utc.year}, {utc:%H:%M} (UTC+00:00)"


def offset_text(local: datetime) -> str:
    """Write the offset of an aware instant: "UTC-08:00"."""
    offset = local.utcoffset() or timedelta(0)
    minutes = round(offset.total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours:02d}:{rest:02d}"


def skill_text(skill: float | None, lead_days: int | None) -> str:
    """Say how much the forecast is worth; `skill` is MAE / MAE(persistence), lower is better."""
    at = f"At {days_text(lead_days)}" if lead_days is not None else "At this lead"
    found = known(skill)
    if found is None or not found >= 0:
        return f"{at} this forecast's skill at this dam is not yet known."
    if found >= 1:
        return f"{at} this forecast is no better than persistence at this dam: treat as indication only."
    return (
        f"{at} this forecast's error is {min(round(found, 2), 0.99):.2f} of simply repeating today's value."
    )


def names_text(names: Sequence[str], most: int = 12) -> str:
    """Name those who are told, at most `most` of them by name."""
    cleaned = [name for name in (one_line(n) for n in names) if name]
    if not cleaned:
        return "no other recipient is known for this alert"
    if len(cleaned) == 1:
        return f"{cleaned[0]} only: nobody else gets this alert"
    shown = ", ".join(cleaned[:most])
    rest = len(cleaned) - most
    return f"{len(cleaned)} get this alert: {shown}" + (f" and {rest} more" if rest > 0 else "")
