"""Why a warning was given, and what has changed enough since to speak of it again."""

from __future__ import annotations

import math
from bisect import bisect_right

from warning.domain.alert import Standing
from warning.domain.assessment import Assessment, Evidence
from warning.domain.reservoir import AlertPolicy, RiseThreshold
from warning.domain.wording import quantity

_STRENGTH = {Evidence.FORECAST: 0, Evidence.RISE: 1, Evidence.OBSERVED: 2}


def ground_in_words(assessment: Assessment) -> str:
    """Say what the severity rests on: values, threshold, day."""
    threshold, severity = assessment.threshold, assessment.severity
    if threshold is None or severity is None:
        return "No threshold is reached."
    variable = assessment.variable
    if assessment.evidence is Evidence.FORECAST or assessment.observed_value is None:
        chance = f"{assessment.probability:.0%}" if assessment.probability is not None else "unknown"
        value = threshold.arming_value if isinstance(threshold, RiseThreshold) else threshold.value
        return (
            f"{severity.name}: forecast to reach {threshold.name} ({quantity(value, variable)}), "
            f"probability up to {chance}, first on {assessment.first_day}."
        )
    seen = f"{quantity(assessment.observed_value, variable)} on {assessment.observed_day}"
    doubt = " This reading is unconfirmed." if assessment.unconfirmed else ""
    if isinstance(threshold, RiseThreshold):
        rise = "unknown" if assessment.rise_per_day is None else quantity(assessment.rise_per_day, variable)
        limit = quantity(threshold.rise_per_day, variable)
        return f"{severity.name}: {threshold.name}, rising {rise} a day (limit {limit}) at {seen}.{doubt}"
    limit = quantity(threshold.value, variable)
    return f"{severity.name}: observed {seen}, at or above {threshold.name} ({limit}).{doubt}"


def update_reasons(assessment: Assessment, standing: Standing, policy: AlertPolicy) -> tuple[str, ...]:
    """Return what makes a standing severity worth another message; empty when nothing does."""
    reasons = [_evidence_change(assessment, standing), _confirmation(assessment, standing)]
    reasons += [_first_day_change(assessment, standing, policy), _peak_change(assessment, standing, policy)]
    return tuple(reason for reason in reasons if reason is not None)


def _evidence_change(assessment: Assessment, standing: Standing) -> str | None:
    now, before = assessment.evidence, standing.evidence
    if now is None or before is None or not _STRENGTH[now] > _STRENGTH[before]:
        return None
    return f"What rested on {before.value} is now {now.value}. {ground_in_words(assessment)}"


def _confirmation(assessment: Assessment, standing: Standing) -> str | None:
    same = assessment.evidence is standing.evidence
    if standing.unconfirmed and not assessment.unconfirmed and same:
        return f"The reading that was doubted is confirmed. {ground_in_words(assessment)}"
    return None


def _first_day_change(assessment: Assessment, standing: Standing, policy: AlertPolicy) -> str | None:
    """Only between forecasts: the day of an observed crossing moves on with every reading."""
    both_forecast = assessment.evidence is Evidence.FORECAST and standing.evidence is Evidence.FORECAST
    if not both_forecast or assessment.first_day is None or standing.first_day is None:
        return None
    if abs((assessment.first_day - standing.first_day).days) < max(policy.update_first_day_change_days, 1):
        return None
    return f"The first day of the crossing is now {assessment.first_day}, it was {standing.first_day}."


def _peak_change(assessment: Assessment, standing: Standing, policy: AlertPolicy) -> str | None:
    now, before = assessment.peak_value, standing.peak_value
    if now is None or before is None:
        return None
    enough = policy.update_peak_change
    if enough is None:
        enough = _step_at(now, assessment) / 10
    if not abs(now - before) >= enough:
        return None
    words = [quantity(value, assessment.variable) for value in (now, before)]
    return f"The peak is now {words[0]} on {assessment.peak_day}, it was {words[1]}."


def _step_at(value: float, assessment: Assessment) -> float:
    """The step between the thresholds that `value` lies between, or else the nearest step.

    With a single threshold its distance to the clear value takes the step's place; infinite without.
    """
    thresholds = [outlook.threshold for outlook in assessment.outlooks]
    values = sorted({threshold.value for threshold in thresholds})
    if len(values) < 2:
        return max((t.value - t.clear_value for t in thresholds), default=math.inf) or math.inf
    above = min(max(bisect_right(values, value), 1), len(values) - 1)
    return values[above] - values[above - 1]
