"""The daemon: APScheduler runs the cycle and the deliveries until SIGTERM.

The cycle's next run is armed as an instant in UTC from our own rule (`domain.schedule`), because a
cron trigger on a local clock loses a day when its time falls into the spring gap. The memory job
store forgets downtime, so at start the record is asked whether the last due cycle happened.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.schedulers.background import BackgroundScheduler

from warning.arrivals import Arrivals
from warning.clock import Clock
from warning.domain.schedule import last_due, next_due
from warning.ops.logs import pairs
from warning.wiring import Parts

log = logging.getLogger(__name__)

CYCLE_JOB = "cycle"
DELIVERY_JOB = "delivery"
POLL_JOB = "poll"
STOP_DEADLINE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Duties:
    """What the service does and when.

    `last_cycle_at` asks the record when the newest cycle that came to its end began; None for none.
    `new_readings` says whether the source holds readings that no cycle of this process has seen;
    it is asked every `poll_every_s`, never where that is None.
    """

    cycle: Callable[[], object]
    deliver: Callable[[], object]
    last_cycle_at: Callable[[], datetime | None]
    new_readings: Callable[[], bool]
    daily_at: time
    time_zone: ZoneInfo
    poll_every_s: float | None
    delivery_every_s: float


def duties_of(parts: Parts, stop: threading.Event) -> Duties:
    """Return what the daemon is to do with `parts` until `stop` is set."""
    watch, schedule = parts.watch, parts.configuration.schedule
    arrivals = Arrivals(watch.source, watch.reservoirs)

    def cycle() -> None:
        arrivals.note(watch.clock.now())
        parts.run_cycle()

    def last_cycle_at() -> datetime | None:
        newest = watch.journal.last_finished_cycle()
        return newest.started_at if newest else None

    return Duties(
        cycle=cycle,
        deliver=lambda: parts.deliver(stop),
        last_cycle_at=last_cycle_at,
        new_readings=lambda: arrivals.any_new(watch.clock.now()),
        daily_at=schedule.daily_at,
        time_zone=schedule.time_zone,
        poll_every_s=None if schedule.poll_minutes is None else 60.0 * schedule.poll_minutes,
        delivery_every_s=schedule.delivery_every_s,
    )


class Service:
    """Runs its duties on a scheduler until told to stop."""

    def __init__(
        self,
        duties: Duties,
        clock: Clock,
        stop: threading.Event,
        stop_deadline_s: float = STOP_DEADLINE_S,
    ) -> None:
        self._stop_deadline_s = stop_deadline_s
        self._duties = duties
        self._clock = clock
        self._stop = stop
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        self._scheduler.add_listener(_log_trouble, EVENT_JOB_ERROR | EVENT_JOB_MISSED)

    def run(self) -> bool:
        """Work until the stop event is set; then say whether all jobs ended within the deadline.

        Where they did not, a thread of theirs still lives, and the process must be left by force: the
        record is written so that this loses nothing, and the forecast's child dies with its parent.
        """
        self._scheduler.add_job(
            self._duties.deliver,
            "interval",
            seconds=self._duties.delivery_every_s,
            id=DELIVERY_JOB,
            next_run_time=self._clock.now(),
        )
        if self._duties.poll_every_s is not None:
            self._scheduler.add_job(self._poll, "interval", seconds=self._duties.poll_every_s, id=POLL_JOB)
        self._arm_first_cycle()
        self._scheduler.start()
        log.info(pairs("ready", next_cycle=self._next_cycle_text()))
        self._stop.wait()
        return self._shut_down()

    def _arm_first_cycle(self) -> None:
        """Run at once when the last due cycle did not happen, else at the next due time."""
        now = self._clock.now()
        due = last_due(now, (self._duties.daily_at,), self._duties.time_zone)
        last = self._duties.last_cycle_at()
        missed = last is None or last < due
        if missed:
            log.info(pairs("catch-up", due=due.isoformat(), last=last.isoformat() if last else "never"))
        self._arm_cycle(now if missed else next_due(now, (self._duties.daily_at,), self._duties.time_zone))

    def _arm_cycle(self, at: datetime) -> None:
        self._scheduler.add_job(
            self._cycle_and_rearm, "date", run_date=at, id=CYCLE_JOB, replace_existing=True
        )

    def _cycle_and_rearm(self) -> None:
        try:
            self._duties.cycle()
        finally:
            if not self._stop.is_set():
                self._arm_cycle(next_due(self._clock.now(), (self._duties.daily_at,), self._duties.time_zone))
                log.info(pairs("armed", next_cycle=self._next_cycle_text()))

    def _poll(self) -> None:
        """Bring the next cycle forward when readings have arrived, unless one runs already."""
        if self._scheduler.get_job(CYCLE_JOB) is not None and self._duties.new_readings():
            log.info(pairs("new-readings"))
            self._arm_cycle(self._clock.now())

    def _next_cycle_text(self) -> str:
        job = self._scheduler.get_job(CYCLE_JOB)
        if job is None or job.next_run_time is None:
            return "running"
        return str(job.next_run_time.astimezone(self._duties.time_zone).isoformat(timespec="minutes"))

    def _shut_down(self) -> bool:
        """End jobs in a thread of its own: the library's own waiting has no limit."""
        log.info(pairs("stopping"))
        ending = threading.Thread(target=self._scheduler.shutdown, name="shutdown", daemon=True)
        ending.start()
        ending.join(self._stop_deadline_s)
        ended = not ending.is_alive()
        log.info(pairs("stopped", jobs="ended" if ended else "cut off; the record holds what is due"))
        return ended


def stop_on_signals(stop: threading.Event) -> None:
    """Let SIGTERM and SIGINT set `stop`; call from the main thread."""

    def handler(number: int, _frame: object) -> None:
        log.info(pairs("signal", name=signal.Signals(number).name))
        stop.set()

    signal.signal(signal.SIGTERM, handler)
    signal.signal(signal.SIGINT, handler)


def _log_trouble(event: JobExecutionEvent) -> None:
    if event.exception is not None:
        log.error(pairs("job-failed", job=event.job_id, error=repr(event.exception)))
    else:
        log.error(pairs("job-missed", job=event.job_id, due=event.scheduled_run_time))
