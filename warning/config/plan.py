"""When the daemon's jobs are due under a configuration, and how long each may take."""

from __future__ import annotations

from typing import Final

from warning.config.configuration import Configuration, CsvSource
from warning.domain.jobs import (
    CYCLE_JOB,
    DELIVERY_JOB,
    HEALTH_JOB,
    HEARTBEAT_JOB,
    POLL_JOB,
    RELOAD_JOB,
    RETRAINING_JOB,
    Plan,
)

CSV_LIMIT_S: Final = 300.0  # a folder has no deadline of its own
MARGIN_S: Final = 300.0
PER_DAM_S: Final = 6.0  # without networks a dam of twenty years takes 3 s of a free processor
SILENT_DELIVERY_S: Final = 120.0  # a delivery gives sends up after a minute and looks around all the time
SHORT_JOB_S: Final = 600.0


def plan_of(configuration: Configuration) -> Plan:
    """Return when the daemon works under `configuration`."""
    schedule = configuration.schedule
    return Plan(
        daily_at=schedule.daily_at,
        time_zone=schedule.time_zone,
        heartbeat_at=configuration.health.heartbeat_at,
        poll_every_s=None if schedule.poll_minutes is None else 60.0 * schedule.poll_minutes,
        delivery_every_s=schedule.delivery_every_s,
        limits_s=limits_of(configuration),
    )


def limits_of(configuration: Configuration) -> dict[str, float]:
    """Return how long each job may take where everything it waits for uses its own limit up."""
    source, forecast = configuration.source, configuration.forecast
    read_s = CSV_LIMIT_S if isinstance(source, CsvSource) else source.deadline_s
    margin_s = MARGIN_S + PER_DAM_S * len(configuration.reservoirs)
    return {
        # a cycle notes what has arrived before it reads, and the forecast may fall back from GPU to CPU
        CYCLE_JOB: 2 * read_s + 2 * forecast.time_limit_s + margin_s,
        POLL_JOB: read_s + margin_s,
        DELIVERY_JOB: SILENT_DELIVERY_S,
        RETRAINING_JOB: read_s + forecast.train_time_limit_s + margin_s,
        HEALTH_JOB: SHORT_JOB_S,
        HEARTBEAT_JOB: SHORT_JOB_S,
        RELOAD_JOB: SHORT_JOB_S,
    }
