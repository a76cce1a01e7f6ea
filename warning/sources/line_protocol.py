"""InfluxDB's line protocol: one line per point, the same for every version of the server."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

FieldValue = float | int | bool | str

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAME = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ ", "\n": r"\ ", "\r": r"\ "})
_MEASUREMENT = str.maketrans({",": r"\,", " ": r"\ ", "\n": r"\ ", "\r": r"\ "})
_TEXT = str.maketrans({'"': r"\"", "\\": r"\\"})


def line(
    measurement: str, tags: Mapping[str, str], fields: Mapping[str, FieldValue | None], time_ns: int
) -> str | None:
    """Return one point; None where no field holds anything, because a point needs one.

    A field that is None, NaN or infinite is left out: line protocol has no word for it. In names
    and tags a line break becomes a space and a backslash at the end goes, as the server has no
    spelling for them; a tag without a value is left out.
    """
    held = [f"{_name(key)}={text}" for key, value in fields.items() if (text := _value(value)) is not None]
    if not held:
        return None
    series = [_bare(measurement).translate(_MEASUREMENT)]
    series += [f"{_name(key)}={_name(value)}" for key, value in sorted(tags.items()) if _bare(value)]
    return f"{','.join(series)} {','.join(held)} {time_ns}"


def instant_ns(instant: datetime) -> int:
    """Return nanoseconds since 1970 of an aware instant."""
    return (instant - _EPOCH) // timedelta(microseconds=1) * 1000


def noon_ns(day: date, zone: ZoneInfo, day_starts_at: time = time(0)) -> int:
    """Return the nanoseconds of the instant that stands for a dam's day: the noon within it."""
    noon = time(12)
    within = day if day_starts_at <= noon else day + timedelta(days=1)
    return instant_ns(datetime.combine(within, noon, tzinfo=zone))


def _bare(name: str) -> str:
    return name.rstrip("\\")


def _name(name: str) -> str:
    return _bare(name).translate(_NAME)


def _value(value: FieldValue | None) -> str | None:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    if isinstance(value, float):
        return repr(float(value))
    return f'"{value.translate(_TEXT)}"'
