"""What to say about a dam now, given the judgement of this cycle and what was said before.

The rules, in this order; at most one alert on severity and one on being watched comes out of a cycle:

- A severity above what stands is raised or escalated at once.
- A severity that still stands is updated when it matters, else reminded of.
- Nothing is lowered while a hold criterion is met, the dam is unwatched, its newest value is doubted, or
  the forecast that raised it is missing. Otherwise each *new* reading day counts once, and
  `clear_after_days` of them in a row bring the downgrade or the all-clear.
- Being unwatched is said once, then reminded of, until the dam is watched again.

Deciding a second time on the same judgement adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from warning.domain.alert import CALM, Alert, AlertKind, Decision, Standing
from warning.domain.assessment import Assessment, Evidence
from warning.domain.findings import Finding, FindingKind
from warning.domain.reservoir import AlertPolicy, Severity
from warning.domain.update_reasons import ground_in_words, update_reasons
from warning.domain.variables import Variable

FindingKey = tuple[FindingKind, Variable | None]
FINDING_SILENCE = timedelta(days=7)
SUSPECT_SILENCE = timedelta(hours=20)  # a doubted newest reading is told of every day, once


@dataclass(frozen=True, slots=True)
class _Step:
    """What one half of the decision came to: an alert's kind and reasons, or none, and what stands after."""

    standing: Standing
    kind: AlertKind | None = None
    reasons: tuple[str, ...] = ()


def decide(assessment: Assessment, standing: Standing, policy: AlertPolicy, now: datetime) -> Decision:
    """Return the alerts to make now and what stands after them; see the module for the rules."""
    on_severity = _severity_step(assessment, standing, policy, now)
    on_watch = _watch_step(assessment, standing, on_severity.standing, policy, now)
    alerts = [
        Alert(
            kind=step.kind,
            reservoir_id=assessment.reservoir_id,
            created_at=now,
            severity=on_severity.standing.severity,
            previous_severity=standing.severity,
            follows=standing.alert_number if _in_thread(standing) else None,
            reasons=step.reasons,
            assessment=assessment,
        )
        for step in (on_severity, on_watch)
        if step.kind is not None
    ]
    return Decision(tuple(alerts), on_watch.standing)


def finding_alert(
    reservoir_id: str,
    findings: Iterable[Finding],
    previously_announced: Mapping[FindingKey, datetime],
    now: datetime,
) -> Alert | None:
    """Return one alert on the findings that were not announced lately, None if all were.

    Lately is seven days, and less than one for a doubted newest reading: the next day brings another.

    `previously_announced` says when a finding of that kind and variable was last announced for this
    dam. Findings that another alert of this cycle carries need none: leave them out.
    """
    fresh = tuple(f for f in findings if not _told(f, previously_announced, now))
    if not fresh:
        return None
    return Alert(
        kind=AlertKind.FINDING,
        reservoir_id=reservoir_id,
        created_at=now,
        severity=None,
        previous_severity=None,
        follows=None,
        reasons=tuple(dict.fromkeys(finding.message for finding in fresh)),
        assessment=None,
        findings=fresh,
    )


def _told(finding: Finding, announced: Mapping[FindingKey, datetime], now: datetime) -> bool:
    """An announcement dated in the future, after a clock went wrong, silences nothing."""
    announced_at = announced.get((finding.kind, finding.variable))
    suspect = finding.kind is FindingKind.SUSPECT_LAST_READING
    silence = SUSPECT_SILENCE if suspect else FINDING_SILENCE
    return announced_at is not None and timedelta(0) <= now - announced_at < silence


def _in_thread(standing: Standing) -> bool:
    return standing.severity is not None or standing.unwatched


def _severity_step(assessment: Assessment, standing: Standing, policy: AlertPolicy, now: datetime) -> _Step:
    found, stood = assessment.severity, standing.severity
    if found is not None and (stood is None or found > stood):
        kind = AlertKind.RAISE if stood is None else AlertKind.ESCALATE
        return _Step(_announced(assessment, standing, found, now), kind, (ground_in_words(assessment),))
    if stood is None:
        return _Step(standing)
    weighed = _weigh_reading(assessment, standing, stood)
    if weighed.clear_days >= max(policy.clear_after_days, 1):
        return _lowered(assessment, weighed, stood, now)
    changed = update_reasons(assessment, standing, policy) if found == stood else ()
    if changed:
        return _Step(_announced(assessment, weighed, stood, now), AlertKind.UPDATE, changed)
    if _overdue(standing, policy, now):
        return _Step(replace(weighed, announced_at=now), AlertKind.REMIND, (_reminder(assessment, stood),))
    return _Step(weighed)


def _weigh_reading(assessment: Assessment, standing: Standing, stood: Severity) -> Standing:
    """Count the newest reading towards the all-clear, or start the count again."""
    day, last = assessment.observed_day, standing.last_clear_day
    if assessment.holding is not None and assessment.holding >= stood:
        return replace(standing, clear_days=0, last_clear_day=_weighed_until(assessment, standing))
    if day is None or _blind(assessment, standing):
        return replace(standing, clear_days=0)
    if last is not None and day <= last:
        return standing
    return replace(standing, clear_days=standing.clear_days + 1, last_clear_day=day)


def _weighed_until(assessment: Assessment, standing: Standing) -> date | None:
    """The newest day whose reading counts towards no all-clear any more, because it held a severity.

    The day of an unconfirmed reading stays open: the next look may show that it was calm.
    """
    day = assessment.observed_day
    if day is not None and assessment.unconfirmed:
        day -= timedelta(days=1)
    return max((d for d in (day, standing.last_clear_day) if d is not None), default=None)


def _blind(assessment: Assessment, standing: Standing) -> bool:
    """Whether this cycle cannot tell that the danger is over: what is missing is not calm."""
    forecast_lost = bool(assessment.outlooks) and not any(o.probabilities for o in assessment.outlooks)
    return (
        assessment.unwatched is not None
        or assessment.newest_doubted
        or (standing.evidence is Evidence.FORECAST and forecast_lost)
    )


def _lowered(assessment: Assessment, standing: Standing, stood: Severity, now: datetime) -> _Step:
    """Come down to what is still held, or call the warning off."""
    left = max((s for s in (assessment.severity, assessment.holding) if s is not None), default=None)
    if left is None:
        calm = replace(
            CALM, announced_at=now, alert_number=standing.alert_number, unwatched=standing.unwatched
        )
        calm = replace(calm, last_clear_day=standing.last_clear_day)
        return _Step(calm, AlertKind.ALL_CLEAR, (_all_clear_in_words(assessment, standing, stood),))
    reason = f"{stood.name} no longer holds. {ground_in_words(assessment)}"
    if assessment.severity != left:
        reason = f"{stood.name} no longer holds; the values are not yet below what clears {left.name}."
    after = _announced(assessment, standing, left, now)
    return _Step(replace(after, last_clear_day=standing.last_clear_day), AlertKind.DOWNGRADE, (reason,))


def _all_clear_in_words(assessment: Assessment, standing: Standing, stood: Severity) -> str:
    count = standing.clear_days
    readings = f"The last {count} daily readings" if count > 1 else "The newest reading"
    forecast = " and the forecast" if any(o.probabilities for o in assessment.outlooks) else ""
    return f"{readings}{forecast} met every criterion for calling {stood.name} off."


def _announced(assessment: Assessment, standing: Standing, severity: Severity, now: datetime) -> Standing:
    """What stands after an alert that tells of this assessment."""
    return replace(
        standing,
        severity=severity,
        evidence=assessment.evidence if assessment.severity == severity else standing.evidence,
        unconfirmed=assessment.unconfirmed,
        first_day=assessment.first_day,
        peak_value=assessment.peak_value,
        announced_at=now,
        clear_days=0,
        last_clear_day=_weighed_until(assessment, standing),
    )


def _watch_step(
    assessment: Assessment, before: Standing, standing: Standing, policy: AlertPolicy, now: datetime
) -> _Step:
    if assessment.unwatched is None:
        if not before.unwatched:
            return _Step(standing)
        after = replace(standing, unwatched=False, announced_at=now)
        return _Step(after, AlertKind.WATCHED_AGAIN, ("Believed readings arrive again.",))
    after = replace(standing, unwatched=True, announced_at=now)
    if not before.unwatched:
        return _Step(after, AlertKind.UNWATCHED, (assessment.unwatched,))
    if _overdue(before, policy, now):
        return _Step(after, AlertKind.UNWATCHED, (f"Still unwatched: {assessment.unwatched}",))
    return _Step(standing)


def _overdue(standing: Standing, policy: AlertPolicy, now: datetime) -> bool:
    """Whether the last alert lies outside the time that it may stand alone for; one in the future does."""
    if standing.announced_at is None:
        return True
    age = now - standing.announced_at
    return not timedelta(0) <= age < timedelta(hours=policy.remind_after_hours)


def _reminder(assessment: Assessment, stood: Severity) -> str:
    if assessment.severity == stood:
        return f"{stood.name} still stands. {ground_in_words(assessment)}"
    if assessment.holding is not None and assessment.holding >= stood:
        return f"{stood.name} still stands: the values are not yet below what clears it."
    return f"{stood.name} still stands: it is called off only on believed readings that say so."
