"""What a cycle came to, as points for InfluxDB: one measurement, told apart by the tag `kind`.

| kind        | tags beside dam and kind | time               | fields                                       |
|-------------|--------------------------|--------------------|----------------------------------------------|
| forecast    | lead                     | noon of valid day  | mean, q01 … q99, skill, method, issued_at, … |
| probability | lead, threshold          | noon of valid day  | probability, value, rank, issued_at          |
| weight      | lead, pool               | noon of valid day  | weight_EXPERT for each expert, issued_at     |
| severity    |                          | of the assessment  | state, rank, watched, evidence, peak, …      |
| threshold   | threshold                | of the assessment  | value, clear_value, rank, severity           |
| alert       | alert                    | of the alert       | number, title, text, rank                    |

Values are in the unit of the dam's forecast variable. A lead's valid day belongs to one issue day
alone, so what a later cycle of the same issue day writes replaces what stood there. `method` is
therefore a field: as a tag, a degraded forecast and the full one would both stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time

from warning.domain.alert import Alert
from warning.domain.assessment import Assessment
from warning.domain.forecast import HORIZON_DAYS, QUANTILE_LEVELS, Forecast
from warning.domain.reservoir import Reservoir, Severity
from warning.domain.wording import quantity
from warning.sources.line_protocol import FieldValue, instant_ns, line, noon_ns

QUANTILE_FIELDS = tuple("q" + str(level).removeprefix("0.").ljust(2, "0") for level in QUANTILE_LEVELS)
UNWATCHED = "UNWATCHED"
CALM = "calm"
_NO_EVIDENCE: Mapping[str, FieldValue | None] = dict.fromkeys(
    ("severity", "evidence", "threshold", "detail", "degraded", "observed_day", "first_day", "peak_day"), ""
)


@dataclass(frozen=True, slots=True)
class Judged:
    """What one cycle came to for one dam, as the record holds it; `assessment` is None where it failed."""

    reservoir: Reservoir
    assessment: Assessment | None
    forecast: Forecast | None
    alerts: tuple[Alert, ...]


def lines_of(
    judged: Judged, dam: str, measurement: str, now: datetime, day_starts_at: time = time(0)
) -> Iterator[str]:
    """Yield every point of one dam.

    `dam` is what the server calls it, `now` stands in for the assessment of a failed dam, and
    `day_starts_at` is the local clock at which the dam's day begins.
    """
    points = _Points(measurement, dam, day_starts_at)
    yield from points.severity(judged, now)
    yield from points.alerts(judged)
    if judged.assessment is not None:
        yield from points.thresholds(judged.reservoir, judged.assessment)
    if judged.forecast is not None:
        yield from points.forecast(judged.reservoir, judged.forecast)
        yield from points.weights(judged.reservoir, judged.forecast)
        if judged.assessment is not None:
            yield from points.probabilities(judged.reservoir, judged.forecast, judged.assessment)


class _Points:
    def __init__(self, measurement: str, dam: str, day_starts_at: time) -> None:
        self._measurement = measurement
        self._dam = dam
        self._day_starts_at = day_starts_at

    def forecast(self, reservoir: Reservoir, forecast: Forecast) -> Iterator[str]:
        common: dict[str, FieldValue | None] = {
            "method": forecast.method,
            "model": forecast.model_id or "",
            "degraded": "; ".join(forecast.degraded),
            "variable": reservoir.forecast_variable.value,
            "issued_at": _iso(forecast.issued_at),
        }
        for row, (lead, time_ns) in enumerate(self._leads(reservoir, forecast)):
            quantiles = map(float, forecast.quantiles[row])
            values = dict(zip(QUANTILE_FIELDS, quantiles, strict=True))
            numbers = {"mean": float(forecast.mean[row]), "skill": float(forecast.skill[row])}
            yield from self._point("forecast", {"lead": lead}, {**numbers, **values, **common}, time_ns)

    def probabilities(
        self, reservoir: Reservoir, forecast: Forecast, assessment: Assessment
    ) -> Iterator[str]:
        for outlook in assessment.outlooks:
            if len(outlook.probabilities) != HORIZON_DAYS:
                continue
            threshold = outlook.threshold
            for row, (lead, time_ns) in enumerate(self._leads(reservoir, forecast)):
                fields: dict[str, FieldValue | None] = {
                    "probability": float(outlook.probabilities[row]),
                    "value": threshold.value,
                    "rank": threshold.severity.rank,
                    "issued_at": _iso(forecast.issued_at),
                }
                yield from self._point(
                    "probability", {"lead": lead, "threshold": threshold.name}, fields, time_ns
                )

    def weights(self, reservoir: Reservoir, forecast: Forecast) -> Iterator[str]:
        if not forecast.weights:
            return
        for row, (lead, time_ns) in enumerate(self._leads(reservoir, forecast)):
            fields: dict[str, FieldValue | None] = {
                f"weight_{expert}": float(weights[row]) for expert, weights in forecast.weights.items()
            }
            fields["issued_at"] = _iso(forecast.issued_at)
            yield from self._point("weight", {"lead": lead, "pool": forecast.method}, fields, time_ns)

    def severity(self, judged: Judged, now: datetime) -> Iterator[str]:
        """One point for how the dam stands. Texts are never left out, so that the last of each is current."""
        assessment = judged.assessment
        stands = None if assessment is None else assessment.holding or assessment.severity
        reason = "it could not be judged" if assessment is None else assessment.unwatched
        rank = _rank(stands)
        fields: dict[str, FieldValue | None] = {
            "state": _state(stands, watched=reason is None),
            "rank": rank,
            "watched": reason is None,
            "unwatched": reason or "",
            # sorts dams: by severity, and a dam that nobody watches above every calm one
            "urgency": 2 * rank + (reason is not None),
            "name": judged.reservoir.name,
            "reservoir": judged.reservoir.id,
            "variable": judged.reservoir.forecast_variable.value,
        }
        fields |= _NO_EVIDENCE if assessment is None else _evidence(assessment)
        at = now if assessment is None else assessment.assessed_at
        yield from self._point("severity", {}, fields, instant_ns(at))

    def thresholds(self, reservoir: Reservoir, assessment: Assessment) -> Iterator[str]:
        observed = {o.threshold.name for o in assessment.outlooks if o.observed}
        for threshold in reservoir.level_thresholds:
            fields: dict[str, FieldValue | None] = {
                "value": threshold.value,
                "clear_value": threshold.clear_value,
                "rank": threshold.severity.rank,
                "severity": threshold.severity.name,
                "observed": threshold.name in observed,
            }
            tags = {"threshold": threshold.name}
            yield from self._point("threshold", tags, fields, instant_ns(assessment.assessed_at))

    def alerts(self, judged: Judged) -> Iterator[str]:
        for alert in judged.alerts:
            severity = "" if alert.severity is None else f" {alert.severity.name.upper()}"
            fields: dict[str, FieldValue | None] = {
                "number": alert.number,
                "title": f"{alert.kind.value}{severity}: {judged.reservoir.name}",
                "text": "; ".join(alert.reasons),
                "rank": _rank(alert.severity),
            }
            yield from self._point("alert", {"alert": alert.kind.value}, fields, instant_ns(alert.created_at))

    def _leads(self, reservoir: Reservoir, forecast: Forecast) -> Iterator[tuple[str, int]]:
        """Yield each lead as a tag, with the time of its valid day."""
        for lead in range(1, HORIZON_DAYS + 1):
            yield str(lead), noon_ns(forecast.valid_day(lead), reservoir.time_zone, self._day_starts_at)

    def _point(
        self, kind: str, tags: Mapping[str, str], fields: Mapping[str, FieldValue | None], time_ns: int
    ) -> Iterator[str]:
        point = line(self._measurement, {"dam": self._dam, "kind": kind, **tags}, fields, time_ns)
        if point is not None:
            yield point


def _evidence(assessment: Assessment) -> dict[str, FieldValue | None]:
    texts = {
        "severity": "" if assessment.severity is None else assessment.severity.name,
        "evidence": "" if assessment.evidence is None else assessment.evidence.value,
        "threshold": "" if assessment.threshold is None else assessment.threshold.name,
        "detail": _detail(assessment),
        "degraded": "; ".join(assessment.degraded),
    }
    days = {
        "observed_day": assessment.observed_day,
        "first_day": assessment.first_day,
        "peak_day": assessment.peak_day,
    }
    return {
        **texts,
        **{name: "" if day is None else day.isoformat() for name, day in days.items()},
        "unconfirmed": assessment.unconfirmed,
        "observed_value": assessment.observed_value,
        "probability": assessment.probability,
        "peak_value": assessment.peak_value,
    }


def _detail(assessment: Assessment) -> str:
    """What the severity rests on, in one line."""
    words = []
    if assessment.evidence is not None and assessment.threshold is not None:
        words.append(f"{assessment.evidence.value}: {assessment.threshold.name}")
    if assessment.unconfirmed:
        words.append("unconfirmed")
    if assessment.probability is not None:
        words.append(f"{assessment.probability:.0%} likely")
    if assessment.observed_value is not None and assessment.observed_day is not None:
        words.append(
            f"{quantity(assessment.observed_value, assessment.variable)} on {assessment.observed_day}"
        )
    if assessment.peak_value is not None and assessment.peak_day is not None:
        words.append(f"peak {quantity(assessment.peak_value, assessment.variable)} on {assessment.peak_day}")
    return ", ".join(words)


def _state(stands: Severity | None, *, watched: bool) -> str:
    if watched:
        return CALM if stands is None else stands.name.upper()
    return UNWATCHED if stands is None else f"{UNWATCHED}, last known {stands.name.upper()}"


def _rank(severity: Severity | None) -> int:
    return 0 if severity is None else severity.rank


def _iso(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
