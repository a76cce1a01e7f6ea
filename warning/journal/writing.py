"""Rows for one dam's cycle: inputs, forecast, judgement, alerts, messages, deliveries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Table, delete, insert

from warning.domain.alert import Alert, AlertKind, Standing
from warning.domain.delivery import Composed, DeliveryState
from warning.domain.findings import Finding
from warning.journal.entries import CycleEntry, last_days
from warning.journal.serial import to_json
from warning.journal.tables import (
    alerts,
    announced_findings,
    assessments,
    deliveries,
    entries,
    findings,
    forecasts,
    messages,
    readings,
    standings,
)


def inserted_key(connection: Connection, table: Table, row: Mapping[str, Any]) -> int:
    """Insert `row` and return the integer key that the database gave it."""
    key = connection.execute(insert(table).values(row)).inserted_primary_key
    if key is None:
        raise AssertionError(f"{table.name} gave no key")  # the driver's fault, never the data's
    return int(key[0])


def write_entry(
    connection: Connection, entry: CycleEntry, compose: Callable[[Alert], Composed]
) -> tuple[Alert, ...]:
    """Insert everything of `entry` and return its alerts with their numbers."""
    row = {
        "cycle_id": entry.cycle_id,
        "reservoir_id": entry.reservoir_id,
        "recorded_at": entry.recorded_at,
    }
    key = inserted_key(connection, entries, row)
    _write_evidence(connection, key, entry)
    for finding in entry.findings:
        connection.execute(insert(findings).values(entry_id=key, **_finding_row(finding)))
    numbered = tuple(write_alert(connection, key, alert, compose) for alert in entry.alerts)
    _write_standing(connection, key, entry, _with_number(entry.standing, numbered))
    return numbered


def _write_evidence(connection: Connection, key: int, entry: CycleEntry) -> None:
    if entry.series is not None:
        series = last_days(entry.series)
        row = {"first_day": series.first_day, "last_day": series.last_day, "body": to_json(series)}
        connection.execute(insert(readings).values(entry_id=key, **row))
    if entry.forecast is not None:
        forecast = entry.forecast
        row = {
            "basis_day": forecast.basis_day,
            "issued_at": forecast.issued_at,
            "method": forecast.method,
            "model_id": forecast.model_id,
            "body": to_json(forecast),
        }
        connection.execute(insert(forecasts).values(entry_id=key, **row))
    if entry.assessment is not None:
        severity = entry.assessment.severity
        row = {
            "severity_rank": severity.rank if severity else None,
            "severity_name": severity.name if severity else None,
            "unwatched": entry.assessment.unwatched,
            "body": to_json(entry.assessment),
        }
        connection.execute(insert(assessments).values(entry_id=key, **row))


def _finding_row(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "variable": finding.variable,
        "day": finding.day,
        "message": finding.message,
        "body": to_json(finding),
    }


def _with_number(standing: Standing, numbered: tuple[Alert, ...]) -> Standing:
    """What stands refers to the newest alert about the dam's water or watch, not to one about findings."""
    numbers = [alert.number for alert in numbered if alert.kind is not AlertKind.FINDING]
    return replace(standing, alert_number=numbers[-1]) if numbers else standing


def _write_standing(connection: Connection, key: int, entry: CycleEntry, standing: Standing) -> None:
    connection.execute(delete(standings).where(standings.c.reservoir_id == entry.reservoir_id))
    row = {
        "reservoir_id": entry.reservoir_id,
        "entry_id": key,
        "updated_at": entry.recorded_at,
        "severity_name": standing.severity.name if standing.severity else None,
        "unwatched": int(standing.unwatched),
        "body": to_json(standing),
    }
    connection.execute(insert(standings).values(row))


def write_alert(
    connection: Connection, entry_id: int | None, alert: Alert, compose: Callable[[Alert], Composed]
) -> Alert:
    """Insert `alert`, let `compose` word it under its new number, and insert message and deliveries."""
    row = {
        "entry_id": entry_id,
        "reservoir_id": alert.reservoir_id,
        "kind": alert.kind,
        "created_at": alert.created_at,
        "severity_rank": alert.severity.rank if alert.severity else None,
        "severity_name": alert.severity.name if alert.severity else None,
        "follows": alert.follows,
        "body": to_json(replace(alert, number=None)),
    }
    number = inserted_key(connection, alerts, row)
    numbered = replace(alert, number=number)
    for finding in alert.findings:
        announced = {
            "alert_number": number,
            "reservoir_id": alert.reservoir_id,
            "announced_at": alert.created_at,
        }
        announced |= {"kind": finding.kind, "variable": finding.variable}
        connection.execute(insert(announced_findings).values(announced))
    _write_message(connection, numbered, compose(numbered))
    return numbered


def _write_message(connection: Connection, alert: Alert, composed: Composed) -> None:
    message = composed.message
    row = {
        "subject": message.subject,
        "text": message.text,
        "html": message.html,
        "sms": message.sms,
        "plot_data": composed.plot_data,
    }
    connection.execute(insert(messages).values(alert_number=alert.number, **row))
    once = {(recipient_id, channel_id): form for recipient_id, channel_id, form in composed.deliveries}
    for (recipient_id, channel_id), form in once.items():
        delivery = {
            "recipient_id": recipient_id,
            "channel_id": channel_id,
            "form": form,
            "urgency": _urgency(alert),
            "state": DeliveryState.PENDING,
            "created_at": alert.created_at,
            "next_attempt_at": alert.created_at,
            "expires_at": composed.expires_at,
            "claim": 0,
            "attempts": 0,
            "detail": "",
        }
        connection.execute(insert(deliveries).values(alert_number=alert.number, **delivery))


def _urgency(alert: Alert) -> int:
    """The rank of the severity that the alert speaks of, be it that it rises or that it ends."""
    return max((s.rank for s in (alert.severity, alert.previous_severity) if s is not None), default=0)
