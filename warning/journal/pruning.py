"""Forgetting: what cycles saw and judged long ago, except what a warning rests on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, exists, func, select

from warning.journal.entries import EARLY
from warning.journal.store import Store
from warning.journal.tables import (
    alerts,
    assessments,
    cycles,
    entries,
    findings,
    forecasts,
    readings,
    runs,
    standings,
    troubles,
)

BATCH = 50  # rows of a kind in one transaction: the lock is held for milliseconds
MOST = 20_000  # rows of a kind in one call; what is left is for the next
PAUSE_S = 0.1  # longer than SQLite lets a waiting writer sleep between two tries


def prune(store: Store, now: datetime, keep_days: int) -> int:
    """Delete batch by batch, with a pause after each; return the number of entries deleted.

    Where the clock is wrong and the age of everything with it, the newest `keep_days` cycles stay.
    """
    if keep_days < 1:
        raise ValueError(f"expected to keep at least one day, found {keep_days}")
    before = now - timedelta(days=keep_days)
    with store.reading() as connection:
        old = _old_cycles(connection, before, keep_days)
        unneeded = _unneeded_entries(connection, old)
    deleted = _in_batches(store, unneeded, _delete_entries)
    _delete_emptied(store, old, before)
    return deleted


def _in_batches(store: Store, keys: Sequence[int], work: Callable[[Connection, Sequence[int]], int]) -> int:
    done = 0
    for start in range(0, len(keys), BATCH):
        if start:
            time.sleep(PAUSE_S)
        with store.writing() as connection:
            done += work(connection, keys[start : start + BATCH])
    return done


def _old_cycles(connection: Connection, before: datetime, keep_days: int) -> ColumnElement[bool]:
    over_the_fleet = and_(cycles.c.ended_at.is_not(None), cycles.c.outcome != EARLY)
    kept = select(cycles.c.id).where(over_the_fleet).order_by(cycles.c.id.desc()).limit(keep_days)
    oldest_kept = connection.execute(select(func.min(kept.subquery().c.id))).scalar_one_or_none() or 0
    return and_(cycles.c.started_at < before, cycles.c.id < oldest_kept)


def _unneeded_entries(connection: Connection, old: ColumnElement[bool]) -> Sequence[int]:
    query = (
        select(entries.c.id)
        .join_from(entries, cycles)
        .where(
            old,
            ~exists().where(alerts.c.entry_id == entries.c.id),
            ~exists().where(standings.c.entry_id == entries.c.id),
        )
        .order_by(entries.c.id)
        .limit(MOST)
    )
    return connection.execute(query).scalars().all()


def _delete_entries(connection: Connection, keys: Sequence[int]) -> int:
    # an entry that nothing refers to never will be: alerts and standings come with their entry
    for table in (readings, forecasts, assessments, findings):
        connection.execute(delete(table).where(table.c.entry_id.in_(keys)))
    return connection.execute(delete(entries).where(entries.c.id.in_(keys))).rowcount


def _delete_emptied(store: Store, old: ColumnElement[bool], before: datetime) -> None:
    """Delete what is small: cycles that have no entry left, troubles that are over, runs but the newest."""
    without_entry = and_(old, ~exists().where(entries.c.cycle_id == cycles.c.id))
    newest_run = select(func.max(runs.c.id)).scalar_subquery()
    _delete_rows(store, cycles, without_entry)
    _delete_rows(store, troubles, troubles.c.ended_at < before)
    _delete_rows(store, runs, and_(runs.c.started_at < before, runs.c.id != newest_run))


def _delete_rows(store: Store, table: Table, which: ColumnElement[bool]) -> None:
    key = table.primary_key.columns[0]
    with store.reading() as connection:
        keys = connection.execute(select(key).where(which).limit(MOST)).scalars().all()
    _in_batches(
        store, keys, lambda connection, some: connection.execute(delete(table).where(key.in_(some))).rowcount
    )
