"""What a cycle came to, dam by dam, for a terminal and for machines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from warning.cycle import Outcome
from warning.domain.ahead import labelled
from warning.domain.assessment import Assessment
from warning.domain.variables import Variable
from warning.domain.wording import quantity


def outcomes_text(outcomes: Iterable[Outcome]) -> str:
    """Return one paragraph a dam: how it stands, what was said, what was found."""
    return "\n".join(line for outcome in outcomes for line in _lines(outcome))


def _lines(outcome: Outcome) -> list[str]:
    reservoir, assessment = outcome.reservoir, outcome.assessment
    if assessment is None:
        return [f"{reservoir.name}: COULD NOT BE JUDGED: {outcome.failure}"]
    lines = [f"{reservoir.name}: {_judgement(assessment, reservoir.forecast_variable)}"]
    lines += [f"    alert #{a.number} {a.kind.value}: {' '.join(a.reasons)}" for a in outcome.alerts]
    lines += [f"    {heading}: {text}" for heading, text in map(labelled, assessment.degraded)]
    lines += [f"    found: {finding.message}" for finding in outcome.findings]
    return lines


def _judgement(assessment: Assessment, variable: Variable) -> str:
    if assessment.unwatched is not None:
        return f"UNWATCHED: {assessment.unwatched}"
    observed = assessment.observed_value
    words = [assessment.severity.name.upper() if assessment.severity else "calm"]
    if assessment.evidence is not None:
        words.append(f"({assessment.evidence.value}{', unconfirmed' if assessment.unconfirmed else ''})")
    if observed is not None:
        words.append(f"{quantity(observed, variable)} on {assessment.observed_day}")
    if assessment.peak_value is not None and assessment.peak_day is not None:
        words.append(f"peak {quantity(assessment.peak_value, variable)} on {assessment.peak_day}")
    if assessment.probability is not None and assessment.threshold is not None:
        words.append(f"{assessment.probability:.0%} to reach {assessment.threshold.name}")
    return " · ".join(
        (" ".join(words[:2]) if assessment.evidence else words[0], *words[2 if assessment.evidence else 1 :])
    )


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """Return one dam's outcome as plain JSON values; instants and days in ISO 8601."""
    assessment = outcome.assessment
    plain: dict[str, Any] = {
        "failure": outcome.failure,
        "alerts": [{"number": a.number, "kind": a.kind.value} for a in outcome.alerts],
        "findings": [{"kind": f.kind.value, "message": f.message} for f in outcome.findings],
    }
    if assessment is None:
        return plain
    return plain | {
        "severity": assessment.severity.name if assessment.severity else None,
        "evidence": assessment.evidence.value if assessment.evidence else None,
        "unwatched": assessment.unwatched,
        "unconfirmed": assessment.unconfirmed,
        "observed_value": assessment.observed_value,
        "observed_day": assessment.observed_day.isoformat() if assessment.observed_day else None,
        "first_day": assessment.first_day.isoformat() if assessment.first_day else None,
        "peak_value": assessment.peak_value,
        "peak_day": assessment.peak_day.isoformat() if assessment.peak_day else None,
        "probability": assessment.probability,
        "thresholds": {
            outlook.threshold.name: {
                "observed": outlook.observed,
                "probabilities": list(outlook.probabilities),
                "first_day": outlook.first_day.isoformat() if outlook.first_day else None,
            }
            for outlook in assessment.outlooks
        },
        "degraded": list(assessment.degraded),
    }
