"""Queries of the record for the next decision and for people."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import Connection, RowMapping, func, select

from warning.domain.alert import THE_SERVICE, Alert, Standing
from warning.domain.assessment import Assessment
from warning.domain.delivery import DeliveryState, Message, MessageForm
from warning.domain.findings import Finding, FindingKind
from warning.domain.forecast import Forecast
from warning.domain.readings import ReadingSeries
from warning.domain.variables import Variable
from warning.journal.entries import (
    EARLY,
    AlertRecord,
    AlertRow,
    AttemptRow,
    CycleRow,
    DeliveryRow,
    RecordedEntry,
    RunRow,
    StandingRow,
)
from warning.journal.serial import from_json
from warning.journal.tables import (
    alerts,
    announced_findings,
    assessments,
    attempts,
    cycles,
    deliveries,
    entries,
    findings,
    forecasts,
    messages,
    readings,
    runs,
    standings,
)

OPEN_STATES = (DeliveryState.PENDING, DeliveryState.FAILED)
T = TypeVar("T")


def entry_id(connection: Connection, cycle_id: int, reservoir_id: str) -> int | None:
    """Return the key of a dam's entry in a cycle, None where there is none."""
    query = select(entries.c.id).where(entries.c.cycle_id == cycle_id, entries.c.reservoir_id == reservoir_id)
    return connection.execute(query).scalar_one_or_none()


def _findings_of(connection: Connection, key: int) -> list[Finding]:
    query = select(findings.c.body).where(findings.c.entry_id == key).order_by(findings.c.id)
    return [from_json(Finding, body) for body in connection.execute(query).scalars()]


def findings_announced(
    connection: Connection, reservoir_id: str, now: datetime
) -> dict[tuple[FindingKind, Variable | None], datetime]:
    """When a finding of each kind and variable was last part of an alert on this dam, `now` at the latest."""
    table = announced_findings
    query = (
        select(table.c.kind, table.c.variable, func.max(table.c.announced_at))
        .where(table.c.reservoir_id == reservoir_id, table.c.announced_at <= now)
        .group_by(table.c.kind, table.c.variable)
    )
    return {
        (FindingKind(kind), Variable(variable) if variable else None): announced_at
        for kind, variable, announced_at in connection.execute(query)
    }


def recent_cycles(connection: Connection, limit: int) -> list[CycleRow]:
    """The newest cycles, newest first."""
    query = select(cycles).order_by(cycles.c.id.desc()).limit(limit)
    return [CycleRow(**row) for row in connection.execute(query).mappings()]


def last_finished_cycle(connection: Connection, now: datetime) -> CycleRow | None:
    """The newest cycle up to `now` that ended and was not an early look."""
    ended = select(cycles).where(
        cycles.c.ended_at.is_not(None), cycles.c.outcome != EARLY, cycles.c.started_at <= now
    )
    row = connection.execute(ended.order_by(cycles.c.id.desc()).limit(1)).mappings().first()
    return None if row is None else CycleRow(**row)


def last_run(connection: Connection) -> RunRow | None:
    """The newest run of the daemon."""
    row = connection.execute(select(runs).order_by(runs.c.id.desc()).limit(1)).mappings().first()
    return None if row is None else RunRow(**row)


def recent_alerts(
    connection: Connection, limit: int, reservoir_id: str | None, of_dams: bool
) -> list[AlertRow]:
    """The newest alerts with their subjects, newest first; `of_dams`: none about the service."""
    query = (
        select(*_columns(alerts.c, AlertRow, without=("subject",)), messages.c.subject)
        .join_from(alerts, messages)
        .order_by(alerts.c.number.desc())
        .limit(limit)
    )
    if reservoir_id is not None:
        query = query.where(alerts.c.reservoir_id == reservoir_id)
    if of_dams:
        query = query.where(alerts.c.reservoir_id != THE_SERVICE)
    return [AlertRow(**row) for row in connection.execute(query).mappings()]


def recent_deliveries(connection: Connection, limit: int, unsettled: bool) -> list[DeliveryRow]:
    """The newest deliveries, newest first; `unsettled`: only those neither sent nor given up."""
    query = select(deliveries).order_by(deliveries.c.id.desc()).limit(limit)
    if unsettled:
        query = query.where(deliveries.c.state.in_(OPEN_STATES))
    return [_delivery(row) for row in connection.execute(query).mappings()]


def all_standings(connection: Connection) -> list[StandingRow]:
    """What stands at every dam on record, by id."""
    query = (
        select(standings.c.reservoir_id, standings.c.updated_at, entries.c.cycle_id, standings.c.body)
        .join_from(standings, entries)
        .order_by(standings.c.reservoir_id)
    )
    return [
        StandingRow(
            reservoir_id=reservoir_id,
            updated_at=updated_at,
            cycle_id=cycle_id,
            standing=from_json(Standing, body),
        )
        for reservoir_id, updated_at, cycle_id, body in connection.execute(query)
    ]


def newest_reading_days(connection: Connection) -> dict[str, date]:
    """The day of the newest reading, of whatever variable, that the last look at each dam found."""
    query = select(standings.c.reservoir_id, readings.c.body).join_from(standings, entries).join(readings)
    found: dict[str, date] = {}
    for reservoir_id, body in connection.execute(query):
        series = from_json(ReadingSeries, body)
        rows = [
            int(np.flatnonzero(known)[-1]) for v in series.values.values() if (known := ~np.isnan(v)).any()
        ]
        if rows:
            found[reservoir_id] = series.first_day + timedelta(days=max(rows))
    return found


def alert_record(connection: Connection, number: int) -> AlertRecord | None:
    """Everything about one alert, None where there is no such number."""
    query = (
        select(alerts.c.body, alerts.c.entry_id, messages)
        .join_from(alerts, messages)
        .where(alerts.c.number == number)
    )
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    kept = select(deliveries).where(deliveries.c.alert_number == number).order_by(deliveries.c.id)
    rows = [_delivery(delivery) for delivery in connection.execute(kept).mappings()]
    return AlertRecord(
        alert=replace(from_json(Alert, row["body"]), number=number),
        message=message_of(row),
        plot_data=row["plot_data"],
        entry=None if row["entry_id"] is None else _entry(connection, row["entry_id"]),
        deliveries=tuple((delivery, _attempts(connection, delivery.id)) for delivery in rows),
    )


def message_of(row: RowMapping) -> Message:
    """The message in a row that holds the columns of `messages`."""
    return Message(subject=row["subject"], text=row["text"], html=row["html"], sms=row["sms"])


def _entry(connection: Connection, key: int) -> RecordedEntry:
    row = connection.execute(select(entries).where(entries.c.id == key)).mappings().one()
    return RecordedEntry(
        cycle_id=row["cycle_id"],
        reservoir_id=row["reservoir_id"],
        recorded_at=row["recorded_at"],
        series=_body(connection, readings, key, ReadingSeries),
        forecast=_body(connection, forecasts, key, Forecast),
        assessment=_body(connection, assessments, key, Assessment),
        findings=tuple(_findings_of(connection, key)),
    )


def _body(connection: Connection, table: Any, key: int, kind: type[T]) -> T | None:
    body = connection.execute(select(table.c.body).where(table.c.entry_id == key)).scalar_one_or_none()
    return None if body is None else from_json(kind, body)


def _attempts(connection: Connection, delivery_id: int) -> tuple[AttemptRow, ...]:
    query = (
        select(*_columns(attempts.c, AttemptRow))
        .where(attempts.c.delivery_id == delivery_id)
        .order_by(attempts.c.id)
    )
    return tuple(AttemptRow(**row) for row in connection.execute(query).mappings())


def _columns(columns: Any, kind: Any, without: tuple[str, ...] = ()) -> list[Any]:
    """The columns that a row type names."""
    return [columns[field.name] for field in fields(kind) if field.name not in without]


def _delivery(row: RowMapping) -> DeliveryRow:
    return DeliveryRow(
        id=row["id"],
        alert_number=row["alert_number"],
        recipient_id=row["recipient_id"],
        channel_id=row["channel_id"],
        form=MessageForm(row["form"]),
        state=DeliveryState(row["state"]),
        created_at=row["created_at"],
        next_attempt_at=row["next_attempt_at"],
        expires_at=row["expires_at"],
        settled_at=row["settled_at"],
        claims=row["claim"],
        attempts=row["attempts"],
        detail=row["detail"],
    )
