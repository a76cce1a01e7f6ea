"""What each job of the daemon does, with the parts that are in force."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from warning.arrivals import Arrivals
from warning.clock import RunningClock
from warning.config.configuration import Configuration, CsvSource
from warning.wiring import Parts

log = logging.getLogger(__name__)

CYCLE_JOB = "cycle"
DELIVERY_JOB = "delivery"
POLL_JOB = "poll"
HEALTH_JOB = "health"
HEARTBEAT_JOB = "heartbeat"
RETRAINING_JOB = "retraining"
RELOAD_JOB = "reload"

CSV_LIMIT_S = 300.0  # a folder has no deadline of its own
MARGIN_S = 300.0
PER_DAM_S = 2.0
SILENT_DELIVERY_S = 120.0  # the outbox gives sends up after a minute and looks around four times a second
SHORT_JOB_S = 600.0
FUTURE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """When each job is due, and for how long each may run before it counts as hanging."""

    daily_at: time
    time_zone: ZoneInfo
    heartbeat_at: time | None
    poll_every_s: float | None
    delivery_every_s: float
    limits_s: Mapping[str, float]


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
    source = configuration.source
    read_s = CSV_LIMIT_S if isinstance(source, CsvSource) else source.deadline_s
    margin_s = MARGIN_S + PER_DAM_S * len(configuration.reservoirs)
    forecast = configuration.forecast
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


class Duties:
    """What the service calls. Each method is called by one thread at a time, different ones at once."""

    def __init__(self, parts: Parts, clock: RunningClock, stop: threading.Event) -> None:
        self._parts = parts
        self._clock = clock
        self._stop = stop
        self._arrivals = Arrivals(parts.watch.source, parts.watch.reservoirs)

    def plan(self) -> Plan:
        """Return when each job is due under the configuration in force."""
        return plan_of(self._parts.configuration)

    def begin(self) -> None:
        """Do what comes before the first job."""

    def end(self) -> None:
        """Do what comes after the last job."""

    def last_cycle_at(self) -> datetime | None:
        """Return when the newest cycle that came to its end began, None where today's may be owed.

        A record whose newest cycle is dated in the future was written by a clock that was wrong:
        nothing in it says that today was looked at.
        """
        journal, now = self._parts.watch.journal, self._clock.now()
        newest = journal.last_cycle()
        if newest is not None and newest.started_at > now + FUTURE:
            return None
        finished = journal.last_finished_cycle(now)
        return finished.started_at if finished else None

    def cycle(self) -> bool:
        """Run one cycle; say whether every dam could be judged."""
        parts, arrivals = self._parts, self._arrivals
        arrivals.note(self._clock.now())
        return all(outcome.failure is None for outcome in parts.run_cycle())

    def new_readings(self) -> bool:
        """Say whether the source holds readings that no cycle of this process has seen."""
        return self._arrivals.any_new(self._clock.now())

    def deliver(self) -> None:
        """Send what the record owes."""
        self._parts.deliver(self._stop)

    def delivery_turns(self) -> int:
        """Return a count that rises while the delivery goes on, however long it takes."""
        return self._parts.outbox.turns
