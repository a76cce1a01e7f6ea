"""What goes into the record for one dam in one cycle, and what is read back for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from warning.domain.alert import Alert, Standing
from warning.domain.assessment import Assessment
from warning.domain.delivery import DeliveryState, Message, MessageForm
from warning.domain.findings import Finding
from warning.domain.forecast import Forecast
from warning.domain.readings import ReadingSeries

KEPT_DAYS = 60
EARLY = "early"  # outcome of a look at crossings alone, ahead of the forecast


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleEntry:
    """Everything about one dam in one cycle; `alerts` are without numbers, which the record gives.

    Of `series` the last `KEPT_DAYS` days are kept; None where nothing could be read.
    """

    cycle_id: int
    reservoir_id: str
    recorded_at: datetime
    series: ReadingSeries | None
    forecast: Forecast | None
    assessment: Assessment | None
    findings: tuple[Finding, ...]
    alerts: tuple[Alert, ...]
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleRow:
    """One cycle; `ended_at` and the counts are None while it runs, and for ever if it was cut off."""

    id: int
    started_at: datetime
    ended_at: datetime | None
    configuration_digest: str
    model_id: str | None
    outcome: str
    reservoirs: int | None
    forecasts: int | None
    unwatched: int | None
    alerts: int | None
    failures: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run of the daemon; without `ended_at` it runs still, or it was killed."""

    id: int
    started_at: datetime
    ended_at: datetime | None
    version: str
    configuration_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """One alert as a list shows it."""

    number: int
    reservoir_id: str
    kind: str
    created_at: datetime
    severity_name: str | None
    follows: int | None
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """One attempt to send; `outcome` is sent, failed or expired."""

    begun_at: datetime
    ended_at: datetime
    outcome: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """One delivery as it stands; more claims than attempts mean that an attempt was cut off."""

    id: int
    alert_number: int
    recipient_id: str
    channel_id: str
    form: MessageForm
    state: DeliveryState
    created_at: datetime
    next_attempt_at: datetime
    expires_at: datetime
    settled_at: datetime | None
    claims: int
    attempts: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingRow:
    """What stands at one dam, since when it is on record, and from which cycle."""

    reservoir_id: str
    updated_at: datetime
    cycle_id: int
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEntry:
    """What was seen and judged for one dam in one cycle, as it was recorded."""

    cycle_id: int
    reservoir_id: str
    recorded_at: datetime
    series: ReadingSeries | None
    forecast: Forecast | None
    assessment: Assessment | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRecord:
    """What was sent, and why: an alert, its words, the evidence, and every delivery with its attempts."""

    alert: Alert
    message: Message
    plot_data: str | None
    entry: RecordedEntry | None
    deliveries: tuple[tuple[DeliveryRow, tuple[AttemptRow, ...]], ...]


def last_days(series: ReadingSeries, days: int = KEPT_DAYS) -> ReadingSeries:
    """Return the last `days` days of `series`, or all of it where it is shorter."""
    start = max(len(series) - days, 0)
    first_day: date = series.first_day + timedelta(days=start)
    return ReadingSeries(
        first_day,
        {variable: column[start:] for variable, column in series.values.items()},
        {variable: flags[start:] for variable, flags in series.at_once.items()},
        {variable: flags[start:] for variable, flags in series.settled.items()},
    )
