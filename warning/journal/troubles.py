"""What troubles the service, in the record: what stands, what was told, what waits for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, insert, or_, select, update

from warning.domain.alert import Alert
from warning.domain.assessment import Assessment
from warning.domain.delivery import Composed
from warning.domain.troubles import (
    REMEMBERED,
    StandingTrouble,
    Trouble,
    TroubleKind,
    TroubleNews,
    weigh_troubles,
)
from warning.journal import writing
from warning.journal.reading import OPEN_STATES
from warning.journal.serial import from_json
from warning.journal.tables import assessments, deliveries, readings, standings, troubles

Announce = Callable[[TroubleNews], Alert]
Compose = Callable[[Alert, TroubleNews], Composed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What one recipient has not got yet: how many deliveries, and since when the oldest waits."""

    recipient_id: str
    deliveries: int
    oldest_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DamSight:
    """How the newest cycle saw a dam: whether it could watch it, and the newest day that it read."""

    unwatched: bool
    last_day: date | None


def standing(connection: Connection) -> tuple[StandingTrouble, ...]:
    """The troubles that people were told of and that are not over, the most pressing first."""
    found = (known for _, known in _known(connection, None) if known.ended_at is None)
    return tuple(sorted(found, key=lambda s: s.trouble.rank))


def weigh(connection: Connection, found: Iterable[Trouble], now: datetime) -> TroubleNews:
    """Say what would be told of `found` at `now`; nothing is written."""
    return weigh_troubles(found, (known for _, known in _known(connection, now)), now)


def is_news(connection: Connection, news: TroubleNews) -> bool:
    """Whether the record has to write anything of `news`."""
    held = {known for _, known in _known(connection, None)}
    return {_without_detail(known) for known in news.kept} != held


def tell(
    connection: Connection, found: Iterable[Trouble], now: datetime, announce: Announce, compose: Compose
) -> TroubleNews:
    """Weigh `found` and write what stands now, and the alert about it if there is something to tell."""
    rows = {known.trouble.identity: key for key, known in _known(connection, None) if known.ended_at is None}
    news = weigh(connection, found, now)
    for known in news.kept:
        key = rows.get(known.trouble.identity)
        if key is None:
            connection.execute(insert(troubles).values(_row(known)))
        else:
            connection.execute(update(troubles).where(troubles.c.id == key).values(_row(known)))
    if news.any:
        writing.write_alert(connection, None, announce(news), lambda alert: compose(alert, news))
    return news


def waiting(connection: Connection, before: datetime) -> tuple[Waiting, ...]:
    """What was to be sent before an instant and is neither sent nor given up, the longest wait first."""
    table = deliveries.c
    oldest = func.min(table.created_at)
    query = (
        select(table.recipient_id, func.count(), oldest)
        .where(table.state.in_(OPEN_STATES), table.created_at <= before)
        .group_by(table.recipient_id)
        .order_by(oldest, table.recipient_id)
    )
    return tuple(
        Waiting(recipient_id=who, deliveries=count, oldest_at=at)
        for who, count, at in connection.execute(query)
    )


def sights(connection: Connection) -> dict[str, DamSight]:
    """How each dam was last seen, without reading a series."""
    query = select(standings.c.reservoir_id, standings.c.unwatched, readings.c.last_day).join_from(
        standings, readings, readings.c.entry_id == standings.c.entry_id, isouter=True
    )
    return {
        reservoir_id: DamSight(unwatched=bool(unwatched), last_day=last_day)
        for reservoir_id, unwatched, last_day in connection.execute(query)
    }


def newest_assessments(connection: Connection) -> dict[str, Assessment]:
    """How each dam was last judged, by its id; a dam whose judgement failed is left out."""
    query = select(standings.c.reservoir_id, assessments.c.body).join_from(
        standings, assessments, assessments.c.entry_id == standings.c.entry_id
    )
    return {dam: from_json(Assessment, body) for dam, body in connection.execute(query)}


def _known(connection: Connection, now: datetime | None) -> list[tuple[int, StandingTrouble]]:
    """The open troubles with their keys, and where `now` is given those that ended lately."""
    kept: ColumnElement[bool] = troubles.c.ended_at.is_(None)
    if now is not None:
        kept = or_(kept, troubles.c.ended_at > now - REMEMBERED)
    query = select(troubles).where(kept, troubles.c.kind.in_(list(TroubleKind))).order_by(troubles.c.id)
    return [
        (
            row["id"],
            StandingTrouble(
                Trouble(TroubleKind(row["kind"]), row["key"], row["message"]),
                since=row["since"],
                told_at=row["told_at"],
                gone_since=row["gone_since"],
                ended_at=row["ended_at"],
                again=bool(row["again"]),
            ),
        )
        for row in connection.execute(query).mappings()
    ]


def _without_detail(known: StandingTrouble) -> StandingTrouble:
    return replace(known, trouble=replace(known.trouble, detail=""))


def _row(known: StandingTrouble) -> dict[str, Any]:
    return {
        "kind": known.trouble.kind,
        "key": known.trouble.key,
        "message": known.trouble.message,
        "since": known.since,
        "told_at": known.told_at,
        "gone_since": known.gone_since,
        "again": int(known.again),
        "ended_at": known.ended_at,
    }
