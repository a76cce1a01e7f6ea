"""Alerts: what is said about a dam, when it is said again, and when it is called off."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from warning.domain.assessment import Assessment, Evidence
from warning.domain.findings import Finding
from warning.domain.reservoir import Severity


class AlertKind(StrEnum):
    """Why an alert is sent."""

    RAISE = "raise"
    ESCALATE = "escalate"
    UPDATE = "update"
    REMIND = "remind"
    DOWNGRADE = "downgrade"
    ALL_CLEAR = "all-clear"
    UNWATCHED = "unwatched"
    WATCHED_AGAIN = "watched-again"
    FINDING = "finding"
    SERVICE = "service"  # of the service itself, not of a dam
    HEARTBEAT = "heartbeat"


THE_SERVICE = "*"  # stands where a dam's id stands in an alert about the service; never a dam's id


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What has been announced about a dam and still stands; the memory that `decide` works on.

    `decide` leaves `alert_number` as it was; the record puts the number of the newest alert there.
    """

    severity: Severity | None = None
    evidence: Evidence | None = None
    unconfirmed: bool = False
    unwatched: bool = False
    first_day: date | None = None
    peak_value: float | None = None
    announced_at: datetime | None = None  # when the last alert about it was made
    alert_number: int | None = None  # of that alert
    clear_days: int = 0  # consecutive reading days that met every clear criterion
    last_clear_day: date | None = None  # readings up to this day count towards no all-clear any more


CALM = Standing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One thing to be said about one dam, or about the service. The record gives it its `number`.

    `severity` is what stands after it, `previous_severity` what stood before, `follows` the number
    of the alert it continues. `reasons` say in words what changed. `assessment` is None only where
    the dam could not be assessed at all; `findings` are what else the reader should know.
    """

    kind: AlertKind
    reservoir_id: str
    created_at: datetime
    severity: Severity | None
    previous_severity: Severity | None
    follows: int | None
    reasons: tuple[str, ...]
    assessment: Assessment | None
    findings: tuple[Finding, ...] = ()
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What `decide` answers: the alerts to make now and what stands after them."""

    alerts: tuple[Alert, ...]
    standing: Standing
