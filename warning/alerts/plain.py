"""The plain form of an alert: no template, no configuration of the dam, nothing that could fail."""

from __future__ import annotations

import html
from datetime import datetime

from warning.alerts.sms import compose_sms
from warning.alerts.wording import day_text, known, one_line, percent_text, utc_time_text, value_text
from warning.domain.alert import Alert, AlertKind
from warning.domain.assessment import Assessment, Evidence
from warning.domain.delivery import Message
from warning.domain.reservoir import LevelThreshold
from warning.domain.variables import Variable

_READ_THE_GAUGE = "read the gauge yourself"
_WITHOUT_SEVERITY = {
    AlertKind.ALL_CLEAR: "ALL CLEAR",
    AlertKind.UNWATCHED: "UNWATCHED",
    AlertKind.WATCHED_AGAIN: "WATCHED AGAIN",
    AlertKind.FINDING: "FINDING",
    AlertKind.SERVICE: "SERVICE",
    AlertKind.HEARTBEAT: "HEARTBEAT",
}


def plain_message(alert: Alert, reservoir_id: str, reservoir_name: str, now: datetime) -> Message:
    """Put `alert` into plain words when the full message could not be composed; times in UTC."""
    dam = one_line(reservoir_name) or one_line(reservoir_id)
    title, basis = _title(alert), _basis(alert)
    opening = f"{title} {basis}".strip()
    tag = f" [#{alert.number}]" if alert.number is not None else ""
    facts = _facts(alert.assessment)
    gist = _gist(alert, facts)
    lines = [
        opening,
        f"Dam: {dam} ({one_line(reservoir_id)})",
        _before(alert),
        *facts,
        *(one_line(reason) for reason in alert.reasons),
        *(f"Finding: {one_line(finding.message)}" for finding in alert.findings),
        *([f"Nobody is watching this dam by machine: {_READ_THE_GAUGE}."] if _unwatched(alert) else []),
        _number(alert),
        f"Time: {utc_time_text(now)}",
        "This is the short form: the full one could not be put together. Act by the dam's emergency plan.",
    ]
    text = "\n".join(line for line in lines if line) + "\n"
    return Message(
        subject=one_line(f"{opening}: {dam} {gist}")[:160].rstrip() + tag,
        text=text,
        html=f'<!DOCTYPE html><html lang="en"><body><pre>{html.escape(text)}</pre></body></html>',
        sms=compose_sms(
            severity=title,
            basis=basis.upper(),
            dam=(reservoir_name, reservoir_id),
            facts=[gist] if gist else [],
            action="",
            number=alert.number,
        ),
    )


def _before(alert: Alert) -> str:
    former = alert.previous_severity
    return f"Before: {one_line(former.name).upper()}" if former is not None else ""


def _unwatched(alert: Alert) -> bool:
    return alert.kind is AlertKind.UNWATCHED


def _title(alert: Alert) -> str:
    if alert.kind in _WITHOUT_SEVERITY:
        return _WITHOUT_SEVERITY[alert.kind]
    return one_line(alert.severity.name).upper() if alert.severity is not None else "WARNING"


def _basis(alert: Alert) -> str:
    """What a warning rests on today; one that is only held from before "still stands"."""
    if alert.kind in _WITHOUT_SEVERITY:
        return ""
    found = alert.assessment
    if found is None or found.evidence is None or found.severity != alert.severity:
        return "still stands"
    return found.evidence.value + (", UNCONFIRMED" if found.unconfirmed else "")


def _gist(alert: Alert, facts: list[str]) -> str:
    if _unwatched(alert):
        return _READ_THE_GAUGE
    if facts:
        return facts[0]
    reasons = [*alert.reasons, *(finding.message for finding in alert.findings)]
    return one_line(reasons[0]) if reasons else ""


def _facts(found: Assessment | None) -> list[str]:
    """Values, threshold, probability and days as far as they are known, the deciding one first."""
    if found is None:
        return []
    facts = []
    observed, peak, chance = known(found.observed_value), known(found.peak_value), known(found.probability)
    if observed is not None and found.observed_day is not None:
        facts.append(f"observed {_quantity(observed, found.variable)} on {day_text(found.observed_day)}")
    if found.evidence is Evidence.FORECAST and isinstance(found.threshold, LevelThreshold):
        limit = f"forecast to reach {_quantity(found.threshold.value, found.variable)}"
        day = f" from {day_text(found.first_day)}" if found.first_day is not None else ""
        facts.insert(0, limit + day + (f" ({percent_text(chance)})" if chance is not None else ""))
    elif isinstance(found.threshold, LevelThreshold):
        facts.append(f"threshold {_quantity(found.threshold.value, found.variable)}")
    ahead = found.peak_day is not None and (found.observed_day is None or found.peak_day > found.observed_day)
    if peak is not None and found.peak_day is not None and ahead:
        facts.append(f"forecast peak {_quantity(peak, found.variable)} on {day_text(found.peak_day)}")
    return facts


def _quantity(value: float, variable: Variable | None) -> str:
    return value_text(value, variable) if variable is not None else f"{value:.6g}"


def _number(alert: Alert) -> str:
    number = f"Alert #{alert.number}" if alert.number is not None else "Alert not yet numbered"
    return number + (f", follows #{alert.follows}" if alert.follows is not None else "")
