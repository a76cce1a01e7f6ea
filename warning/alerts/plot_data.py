"""What the picture of an alert shows, as JSON that is recorded with the alert and drawn for the mail."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import numpy as np

from warning.alerts.wording import (
    datum_suffix,
    day_text,
    display_unit,
    display_value,
    known,
    number_text,
    one_line,
    percent_text,
    value_text,
)
from warning.domain.assessment import Assessment, Evidence
from warning.domain.forecast import HORIZON_DAYS, QUANTILE_LEVELS, Forecast
from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import LevelThreshold, Reservoir
from warning.domain.variables import FloatArray, Variable

HISTORY_DAYS = 60
FOCUS_DAYS = 10  # of them beside the forecast, drawn large: on one scale seven days would drown in sixty
_LEAST_VIEW_M = 1.0  # a pool that hardly moves is drawn as flat, not as a storm of centimetres
_LEAST_VIEW_SHARE = 0.02  # of the storage, for the same reason
_REACH = 1.2  # the next threshold is drawn if it lies within this many view heights above the view
_PAD = 0.08
_CAPTION_ROOM = 0.2  # of the view, under the curves, for the words about the crossing


def plot_data(
    reservoir: Reservoir,
    series: ReadingSeries | None,
    forecast: Forecast | None,
    assessment: Assessment | None,
) -> str:
    """Return as JSON what the picture needs; values in the displayed unit, a missing one is left out.

    `readings`, `doubted` and `fan` hold [ISO day, value…] rows. `days` are the first day of all, the
    first of the enlarged part and the last; `view` is the value range of the enlarged part,
    `overview` that of all days; `thresholds` lie inside the view, `next_above` is the nearest above it.
    """
    return json.dumps(plot_content(reservoir, series, forecast, assessment), allow_nan=False)


def plot_content(
    reservoir: Reservoir,
    series: ReadingSeries | None,
    forecast: Forecast | None,
    assessment: Assessment | None,
) -> dict[str, Any]:
    """Return the content of `plot_data` before it becomes text."""
    variable = reservoir.forecast_variable
    readings, doubted = _readings(series, variable)
    fan = _fan(forecast, variable)
    days = _days(readings, doubted, fan)
    near = [[row for row in rows if row[0] >= days[1]] for rows in (readings, doubted)]
    low, high = _view(near[0], near[1], fan, variable)
    thresholds = sorted(reservoir.level_thresholds, key=lambda t: t.value)
    above = [t for t in thresholds if display_value(t.value, variable) > high]
    if above and display_value(above[0].value, variable) <= high + _REACH * (high - low):
        high = display_value(above[0].value, variable) + _PAD * (high - low)
    high += _PAD / 2 * (high - low)  # a line at the very edge would be half cut off
    above = [t for t in above if display_value(t.value, variable) > high]
    crossing = _crossing(assessment, variable, [*readings, *doubted])
    if crossing is not None:
        low -= _CAPTION_ROOM * (high - low)
    shown = [t for t in thresholds if low <= display_value(t.value, variable) <= high]
    return {
        "dam": one_line(reservoir.name),
        "saying": _saying(reservoir, assessment) if assessment is not None else _newest(readings, variable),
        "axis": f"{variable.noun} in {display_unit(variable)}{datum_suffix(reservoir)}",
        "basis_day": forecast.basis_day.isoformat() if forecast is not None else None,
        "readings": readings,
        "doubted": doubted,
        "fan": fan,
        "days": days,
        "view": [low, high],
        "overview": _view(readings, doubted, fan, variable),
        "thresholds": [_threshold(t, variable) for t in shown],
        "next_above": _threshold(above[0], variable) if above else None,
        "crossing": crossing,
    }


def _readings(series: ReadingSeries | None, variable: Variable) -> tuple[list[list[Any]], list[list[Any]]]:
    """Return the believed and the doubted readings of the last days that have a row."""
    if series is None or variable not in series.values:
        return [], []
    first = max(0, len(series) - HISTORY_DAYS)
    values, trusted = series.values[variable], series.trusted(variable)
    rows = [i for i in range(first, len(series)) if np.isfinite(values[i])]
    points = [(i, [series.day(i).isoformat(), display_value(float(values[i]), variable)]) for i in rows]
    believed = [point for i, point in points if np.isfinite(trusted[i])]
    return believed, [point for i, point in points if not np.isfinite(trusted[i])]


def _fan(forecast: Forecast | None, variable: Variable) -> list[list[Any]]:
    """Rows [day, 5 %, 25 %, 50 %, 75 %, 95 %], one per lead day."""
    if forecast is None:
        return []
    bands = np.array([quantile_at(forecast, level) for level in (0.05, 0.25, 0.5, 0.75, 0.95)])
    shown = [[display_value(float(v), variable) for v in bands[:, i]] for i in range(HORIZON_DAYS)]
    return [[forecast.valid_day(i + 1).isoformat(), *row] for i, row in enumerate(shown)]


def quantile_at(forecast: Forecast, level: float) -> FloatArray:
    """Return each lead's quantile (7,) at `level`, linear between the levels that the forecast has."""
    return np.array([np.interp(level, QUANTILE_LEVELS, row) for row in forecast.quantiles])


def _days(*rows: Sequence[Sequence[Any]]) -> list[str]:
    """First day of all, first day of the enlarged part, last day; all equal where there is nothing."""
    days = sorted(row[0] for part in rows for row in part) or [date.min.isoformat()]
    focus = date.fromisoformat(days[-1]).toordinal() - HORIZON_DAYS - FOCUS_DAYS
    return [days[0], max(days[0], date.fromordinal(max(focus, 1)).isoformat()), days[-1]]


def _view(
    readings: Sequence[Sequence[Any]],
    doubted: Sequence[Sequence[Any]],
    fan: Sequence[Sequence[Any]],
    variable: Variable,
) -> tuple[float, float]:
    """Range of what must be seen. A doubted reading far off (a typing error) must not flatten all else."""
    core = [float(row[1]) for row in readings] + [float(v) for row in fan for v in row[1:]]
    core = core or [float(row[1]) for row in doubted] or [0.0]
    low, high = min(core), max(core)
    least = _LEAST_VIEW_M if variable is not Variable.STORAGE_M3 else _LEAST_VIEW_SHARE * max(abs(high), 1e-3)
    grow = max(0.0, least - (high - low)) / 2
    low, high = low - grow, high + grow
    near = [float(row[1]) for row in doubted if abs(float(row[1]) - (low + high) / 2) <= 2 * (high - low)]
    low, high = min([low, *near]), max([high, *near])
    pad = _PAD * (high - low)
    return low - pad, high + pad


def _threshold(threshold: LevelThreshold, variable: Variable) -> dict[str, Any]:
    return {
        "name": one_line(threshold.name),
        "severity": one_line(threshold.severity.name),
        "rank": threshold.severity.rank,
        "value": display_value(threshold.value, variable),
        "label": value_text(threshold.value, variable),
    }


def _crossing(
    assessment: Assessment | None, variable: Variable, readings: Sequence[Sequence[Any]]
) -> dict[str, Any] | None:
    """Where the announced threshold is first reached, observed or forecast."""
    if assessment is None or assessment.first_day is None:
        return None
    if not isinstance(assessment.threshold, LevelThreshold):
        return None
    value, day = assessment.threshold.value, assessment.first_day
    at = display_value(value, variable)
    if assessment.evidence is Evidence.OBSERVED:
        at = next((float(row[1]) for row in readings if row[0] == day.isoformat()), at)
        words = f"observed at or above {value_text(value, variable)}\non {day_text(day)}"
    else:
        chance = known(assessment.probability)
        verb = "forecast to reach" if chance is None or chance >= 0.5 else "forecast: may reach"
        words = f"{verb} {value_text(value, variable)}\nfrom {day_text(day)}"
        if chance is not None:
            words += f" ({percent_text(chance)})"
    return {"day": day.isoformat(), "value": at, "label": words}


def _newest(readings: Sequence[Sequence[Any]], variable: Variable) -> str:
    """The newest believed reading, for a picture that no assessment goes with."""
    if not readings:
        return "no believed reading"
    day, value = readings[-1]
    return f"observed {value_text(value / display_value(1.0, variable), variable)} on {_day(day)}"


def _saying(reservoir: Reservoir, assessment: Assessment) -> str:
    """The picture's second title line: the announced state in a few words."""
    variable = reservoir.forecast_variable
    if assessment.unwatched is not None and assessment.severity is None:
        since = (
            f"last believed reading {day_text(assessment.observed_day)}" if assessment.observed_day else ""
        )
        return f"UNWATCHED: {since or 'no believed reading'}"
    newest = "no observation"
    if assessment.observed_day is not None and known(assessment.observed_value) is not None:
        newest = f"observed {value_text(assessment.observed_value, variable)}"
        newest += f" on {day_text(assessment.observed_day)}"
    if assessment.severity is None:
        return newest
    name = one_line(assessment.severity.name).upper()
    if assessment.evidence is Evidence.OBSERVED:
        doubt = ", UNCONFIRMED" if assessment.unconfirmed else ""
        return f"{name}: {newest}{doubt}"
    if assessment.evidence is Evidence.RISE:
        return f"{name}: rising fast, {newest}"
    peak, threshold = known(assessment.peak_value), assessment.threshold
    if isinstance(threshold, LevelThreshold) and (peak is None or peak < threshold.value):
        chance = percent_text(assessment.probability)
        return f"{name} forecast: may reach {value_text(threshold.value, variable)} ({chance})"
    if peak is None or assessment.peak_day is None:
        return f"{name} forecast"
    return f"{name} forecast: {value_text(peak, variable)} on {day_text(assessment.peak_day)}"


def plot_description(content: dict[str, Any], reservoir: Reservoir) -> str | None:
    """Say in words what the picture shows, for those who cannot see it; None if it would be empty."""
    readings, fan = content["readings"], content["fan"]
    if not readings and not fan and not content["doubted"]:
        return None
    parts = [f"{content['dam']}, {content['axis']}: {content['saying']}."]
    if readings:
        shown = [f"{_shown(row[1], reservoir)} on {_day(row[0])}" for row in (readings[0], readings[-1])]
        highest = max(readings, key=lambda row: float(row[1]))
        parts.append(f"Observed from {shown[0]} to {shown[1]}, highest {_shown(highest[1], reservoir)}.")
    if content["doubted"]:
        parts.append(f"{len(content['doubted'])} doubted readings are drawn as hollow marks.")
    if fan:
        top = max(fan, key=lambda row: float(row[3]))
        band = f"{_shown(top[1], reservoir)} to {_shown(top[5], reservoir)}"
        highest_median = f"{_shown(top[3], reservoir)} on {_day(top[0])}"
        parts.append(f"Forecast median at most {highest_median} (90 % band {band}).")
    if content["crossing"]:
        parts.append(f"Marked: {one_line(content['crossing']['label'])}.")
    parts += _threshold_words(content["thresholds"])
    return " ".join(parts)


def _threshold_words(thresholds: Iterable[dict[str, Any]]) -> list[str]:
    lines = [f"{t['name']} {t['label']} ({t['severity']})" for t in thresholds]
    return [f"Lines drawn: {', '.join(lines)}."] if lines else []


def _shown(value: float, reservoir: Reservoir) -> str:
    """Write a value that is already in the displayed unit."""
    variable = reservoir.forecast_variable
    return number_text(value / display_value(1.0, variable), variable)


def _day(iso_day: str) -> str:
    return day_text(date.fromisoformat(iso_day))
