"""The life of a delivery in the record: claimed, then sent, failed or given up; every attempt a row."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, insert, not_, or_, select, update

from warning.domain.alert import Alert
from warning.domain.delivery import DeliveryState, DueDelivery, ExpiredDeliveries, MessageForm, SendResult
from warning.journal.reading import OPEN_STATES, message_of
from warning.journal.serial import from_json
from warning.journal.tables import alerts, attempts, deliveries, messages

_table = deliveries.c


def _free(now: datetime) -> ColumnElement[bool]:
    """Open, and in nobody's hands at `now`."""
    unclaimed = or_(_table.claimed_until.is_(None), _table.claimed_until <= now)
    return and_(_table.state.in_(OPEN_STATES), unclaimed)


def _attempt_owed() -> ColumnElement[bool]:
    """An attempt fell due before the time was over; it is made, however late, as after days of downtime."""
    return _table.next_attempt_at < _table.expires_at


def _overdue(now: datetime) -> ColumnElement[bool]:
    return and_(_free(now), _table.expires_at <= now, not_(_attempt_owed()))


def claim_due(connection: Connection, now: datetime, limit: int, lease_s: float) -> list[DueDelivery]:
    """Claim due deliveries that have not expired: most severe first, then the least tried."""
    query = (
        select(deliveries, alerts.c.reservoir_id, messages)
        .join_from(deliveries, alerts)
        .join(messages, messages.c.alert_number == alerts.c.number)
        .where(_free(now), _table.next_attempt_at <= now, _attempt_owed())
        .order_by(_table.urgency.desc(), _table.attempts, _table.id)
        .limit(limit)
    )
    rows = connection.execute(query).mappings().all()
    until = now + timedelta(seconds=lease_s)
    return [_due(row, now) for row in rows if _claim(connection, row, now, until)]


def _claim(connection: Connection, row: RowMapping, now: datetime, until: datetime) -> bool:
    """Take one delivery; False when another process took it between the query and now."""
    claimed = connection.execute(
        update(deliveries)
        .where(_table.id == row["id"], _table.claim == row["claim"], _free(now))
        .values(claim=_table.claim + 1, claimed_until=until)
    )
    return claimed.rowcount == 1


def _due(row: RowMapping, now: datetime) -> DueDelivery:
    return DueDelivery(
        id=row["id"],
        claim=row["claim"] + 1,
        claimed_at=now,
        alert_number=row["alert_number"],
        reservoir_id=row["reservoir_id"],
        recipient_id=row["recipient_id"],
        channel_id=row["channel_id"],
        form=MessageForm(row["form"]),
        message=message_of(row),
        plot_data=row["plot_data"],
        attempts=row["attempts"],
        expires_at=row["expires_at"],
    )


def mark_sent(connection: Connection, delivery: DueDelivery, now: datetime, detail: str) -> None:
    """Settle a delivery as sent, whoever holds it now."""
    _settle(connection, _table.id == delivery.id, DeliveryState.SENT, now, detail)
    _add_attempt(connection, delivery, now, DeliveryState.SENT, detail)


def _settle(
    connection: Connection, which: ColumnElement[bool], state: DeliveryState, now: datetime, detail: str
) -> bool:
    made = 1 if state is DeliveryState.SENT else 0
    values: dict[str, Any] = {
        "state": state,
        "claimed_until": None,
        "settled_at": now,
        "attempts": _table.attempts + made,
        "detail": detail,
    }
    return connection.execute(update(deliveries).where(which).values(values)).rowcount == 1


def mark_failed(
    connection: Connection,
    delivery: DueDelivery,
    result: SendResult,
    now: datetime,
    next_attempt_at: datetime,
) -> None:
    """Note a failed attempt; the delivery itself changes only while this claim is the newest."""
    values: dict[str, Any] = {
        "state": DeliveryState.FAILED,
        "claimed_until": None,
        "next_attempt_at": next_attempt_at,
        "attempts": _table.attempts + 1,
        "detail": result.detail,
    }
    if result.permanent:
        values["expires_at"] = now
    held = and_(_table.id == delivery.id, _table.claim == delivery.claim, _table.state.in_(OPEN_STATES))
    connection.execute(update(deliveries).where(held).values(values))
    _add_attempt(connection, delivery, now, DeliveryState.FAILED, result.detail)


def _add_attempt(
    connection: Connection, delivery: DueDelivery, now: datetime, outcome: DeliveryState, detail: str
) -> None:
    row = {
        "delivery_id": delivery.id,
        "begun_at": delivery.claimed_at,
        "ended_at": now,
        "outcome": outcome,
        "detail": detail,
    }
    connection.execute(insert(attempts).values(row))


def overdue_alerts(connection: Connection, now: datetime) -> list[int]:
    """The numbers of alerts that have open, unclaimed deliveries whose time is over and that were tried."""
    query = select(_table.alert_number).where(_overdue(now)).distinct().order_by(_table.alert_number)
    return list(connection.execute(query).scalars())


def expire(connection: Connection, number: int, now: datetime) -> ExpiredDeliveries | None:
    """Give up the overdue deliveries of one alert; None when another process was faster."""
    overdue = and_(_table.alert_number == number, _overdue(now))
    rows = connection.execute(select(deliveries).where(overdue).order_by(_table.id)).mappings().all()
    missed = []
    for row in rows:
        if not _settle(
            connection, and_(_table.id == row["id"], overdue), DeliveryState.EXPIRED, now, row["detail"]
        ):
            continue
        ended = {"begun_at": now, "ended_at": now, "outcome": DeliveryState.EXPIRED, "detail": "given up"}
        connection.execute(insert(attempts).values(delivery_id=row["id"], **ended))
        missed.append((row["recipient_id"], row["channel_id"], row["detail"]))
    if not missed:
        return None
    query = select(alerts.c.body, messages).join_from(alerts, messages).where(alerts.c.number == number)
    told = connection.execute(query).mappings().one()
    alert = replace(from_json(Alert, told["body"]), number=number)
    return ExpiredDeliveries(alert=alert, message=message_of(told), missed=tuple(missed))
