"""How the daemon is, from its record and machine, as the endpoints show it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from warning import __version__
from warning.config.configuration import Configuration
from warning.domain.delivery import DeliveryState
from warning.domain.reservoir import Reservoir
from warning.domain.troubles import Trouble
from warning.errors import ModelError
from warning.forecasting.registry import Registry
from warning.journal.entries import CycleRow, DeliveryRow, StandingRow
from warning.journal.journal import Journal
from warning.ops.metrics import CycleView, DamView, HealthView, QueueView

COMPLETE = "complete"
_CYCLES = 100  # in which the newest complete one is looked for
_DELIVERIES = 10_000


def vital_signs(
    configuration: Configuration,
    journal: Journal,
    registry: Registry,
    troubles: Iterable[Trouble],
    now: datetime,
) -> HealthView:
    """Read how things stand at `now`; `troubles` are those that stand. Raises JournalError."""
    standing = tuple(troubles)
    finished = journal.last_finished_cycle(now)
    dams = _dams(configuration, journal, now)
    names = {reservoir.id: reservoir.name for reservoir in configuration.reservoirs}
    unwatched = (f"{names[dam.reservoir_id]} is not watched" for dam in dams if dam.unwatched)
    return HealthView(
        version=__version__,
        digest=configuration.digest,
        dams=dams,
        last_cycle=None if finished is None else _cycle(finished),
        last_complete_at=_last_complete_at(journal.recent_cycles(_CYCLES), now),
        queue=_queue(journal.recent_deliveries(_DELIVERIES, unsettled=True), now),
        troubles=(*(trouble.message for trouble in standing), *unwatched),
        trouble_counts=Counter(trouble.kind.value for trouble in standing),
        model_age_s=_model_age_s(registry, now),
        disk_free_bytes=_disk_free_bytes(configuration),
    )


def _dams(configuration: Configuration, journal: Journal, now: datetime) -> tuple[DamView, ...]:
    standings = {row.reservoir_id: row for row in journal.all_standings()}
    newest = journal.newest_reading_days()
    return tuple(
        _dam(reservoir, standings.get(reservoir.id), newest.get(reservoir.id), now)
        for reservoir in configuration.reservoirs
    )


def _dam(reservoir: Reservoir, row: StandingRow | None, newest: date | None, now: datetime) -> DamView:
    severity = row.standing.severity if row else None
    return DamView(
        reservoir_id=reservoir.id,
        severity_rank=severity.rank if severity else 0,
        unwatched=row.standing.unwatched if row else True,  # nobody has ever looked at it
        newest_reading_age_s=None if newest is None else _since_day(newest, reservoir.time_zone, now),
    )


def _since_day(day: date, zone: ZoneInfo, now: datetime) -> float:
    """Seconds since `day` was over by the dam's clock; 0 while it lasts."""
    over = datetime.combine(day + timedelta(days=1), time(), tzinfo=zone)
    return max((now - over).total_seconds(), 0.0)


def _cycle(row: CycleRow) -> CycleView:
    ended_at = row.ended_at or row.started_at
    return CycleView(
        started_at=row.started_at,
        complete=row.outcome == COMPLETE,
        duration_s=max((ended_at - row.started_at).total_seconds(), 0.0),
        forecasts=row.forecasts or 0,
        failures=row.failures or 0,
    )


def _last_complete_at(cycles: Iterable[CycleRow], now: datetime) -> datetime | None:
    done = (row.started_at for row in cycles if row.outcome == COMPLETE and row.started_at <= now)
    return next(done, None)


def _queue(waiting: Iterable[DeliveryRow], now: datetime) -> QueueView:
    rows = tuple(waiting)
    failed = sum(row.state is DeliveryState.FAILED for row in rows)
    ages = [(now - row.created_at).total_seconds() for row in rows]
    return QueueView(
        pending=len(rows) - failed, failed=failed, oldest_age_s=max(max(ages), 0.0) if ages else None
    )


def _model_age_s(registry: Registry, now: datetime) -> float | None:
    """Return the age of the model in force, None where there is none or nobody can tell."""
    try:
        made = [model.created_at for model in registry.list() if model.active and model.created_at]
    except (ModelError, OSError):
        return None
    return max((now - made[0]).total_seconds(), 0.0) if made else None


def _disk_free_bytes(configuration: Configuration) -> int | None:
    try:
        return shutil.disk_usage(configuration.state_directory).free
    except OSError:
        return None
