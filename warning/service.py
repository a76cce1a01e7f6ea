"""The daemon: APScheduler runs the jobs until told to stop, a tick watches over them.

The cycle's next run is armed as an instant in UTC from our own rule (`domain.schedule`), because a
cron trigger on a local clock loses a day when its time falls into the spring gap. The memory job
store forgets downtime, and timers know nothing of a clock that is set: so every tick compares what is
due with what has been done, and asks the record where it does not know.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    JobExecutionEvent,
    SchedulerEvent,
)
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler

from warning.clock import RunningClock
from warning.domain.schedule import last_due, next_due
from warning.duties import (
    CYCLE_JOB,
    DELIVERY_JOB,
    HEALTH_JOB,
    POLL_JOB,
    Duties,
)
from warning.errors import JournalError
from warning.ops.jobs import JobBook
from warning.ops.logs import pairs
from warning.ops.notify import Notifier

log = logging.getLogger(__name__)

TICK_S = 2.0
STOP_DEADLINE_S = 30.0
RETRY_AFTER_S = 300.0
TRIES_OF_A_PARTIAL = 3
HEALTH_EVERY_S = 60.0
LATE_S = 300.0  # a job that is due and has not begun by then: the scheduler stands still
JUMP_S = 60.0


class Service:
    """Runs its duties on a scheduler until `stop` is set.

    A `scheduler` that is handed in brings its executor and its own idea of the present.
    """

    def __init__(
        self,
        duties: Duties,
        clock: RunningClock,
        stop: threading.Event,
        *,
        notifier: Notifier,
        scheduler: BaseScheduler | None = None,
        reload_asked: threading.Event | None = None,
        stop_deadline_s: float = STOP_DEADLINE_S,
    ) -> None:
        self._duties = duties
        self._clock = clock
        self._stop = stop
        self._notifier = notifier
        self._scheduler = scheduler or BackgroundScheduler(timezone=UTC)
        self._reload_asked = reload_asked or threading.Event()
        self._stop_deadline_s = stop_deadline_s
        self._plan = duties.plan()
        self._book = JobBook()
        self._wanted = threading.Event()  # a cycle before the next one is due
        self._last_cycle_at: datetime | None = None
        self._last_turns = 0
        self._failed_at_s: float | None = None
        self._again = False  # the last cycle failed or was cut off
        self._partial_tries = 0
        self._owed_since_s: float | None = None
        self._seen_at: tuple[datetime, float] | None = None
        self._stuck: str | None = None
        self._told_status = ""

    def run(self) -> bool:
        """Work until the stop event is set; then say whether all jobs ended within the deadline.

        Where they did not, a thread of theirs still lives, and the process must be left by force: the
        record is written so that this loses nothing, and the forecast's child dies with its parent.
        """
        self.start()
        feed_s = self._notifier.watchdog_every_s
        while not self._stop.wait(TICK_S if feed_s is None else min(TICK_S, feed_s)):
            self.tick()
        return self.shut_down()

    def start(self) -> None:
        """Start the scheduler with what is due, and say that the service is ready."""
        self._duties.begin()
        now, at_s = self._clock.now(), self._clock.monotonic_s()
        self._seen_at = now, at_s
        self._scheduler.add_listener(self._heard_success, EVENT_JOB_EXECUTED)
        self._scheduler.add_listener(self._heard_error, EVENT_JOB_ERROR | EVENT_JOB_MISSED)
        self._scheduler.add_listener(self._heard_overrun, EVENT_JOB_MAX_INSTANCES)
        self._arm_regular_jobs(now)
        self._arm_cycle(next_due(now, (self._plan.daily_at,), self._plan.time_zone))
        self._arm_what_is_owed(now, at_s)
        self._scheduler.start()
        self._book.began(HEALTH_JOB, at_s)
        self._book.ended(HEALTH_JOB)
        self._notifier.ready()
        log.info(pairs("ready", next_cycle=self._next_cycle_text()))
        self._tell_status()

    def tick(self) -> None:
        """Look after the jobs once: what is owed, what hangs, whether the clock was set."""
        now, at_s = self._clock.now(), self._clock.monotonic_s()
        self._notice_jump(now, at_s)
        self._arm_what_is_owed(now, at_s)
        self._note_turns(at_s)
        stuck = self._what_is_stuck(at_s)
        if stuck is None:
            self._notifier.watchdog()
        elif stuck != self._stuck:
            log.error(pairs("stuck", what=stuck))
        self._stuck = stuck
        self._tell_status()

    def shut_down(self) -> bool:
        """End jobs in a thread of its own: the library's own waiting has no limit."""
        self._notifier.stopping()
        log.info(pairs("stopping"))
        ending = threading.Thread(target=self._scheduler.shutdown, name="shutdown", daemon=True)
        ending.start()
        ending.join(self._stop_deadline_s)
        ended = not ending.is_alive()
        self._duties.end()
        log.info(pairs("stopped", jobs="ended" if ended else "cut off; the record holds what is due"))
        return ended

    # what is due

    def _arm_regular_jobs(self, now: datetime) -> None:
        """Arm what recurs, from `now` on; a job that runs goes on."""
        self._arm_every(DELIVERY_JOB, self._plan.delivery_every_s, self._duties.deliver, now)
        if self._plan.poll_every_s is not None:
            first = now + timedelta(seconds=self._plan.poll_every_s)
            self._arm_every(POLL_JOB, self._plan.poll_every_s, self._poll, first)

    def _arm_every(self, job_id: str, every_s: float, work: Callable[[], object], first: datetime) -> None:
        self._add_job(job_id, work, trigger="interval", seconds=every_s, next_run_time=first)

    def _arm_cycle(self, at: datetime) -> None:
        self._add_job(CYCLE_JOB, self._cycle, trigger="date", run_date=at)

    def _add_job(self, job_id: str, work: Callable[[], object], **when: object) -> None:
        self._scheduler.add_job(
            self._noted,
            args=(job_id, work),
            id=job_id,
            replace_existing=True,
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1,
            **when,
        )

    def _noted(self, job_id: str, work: Callable[[], object]) -> None:
        self._book.began(job_id, self._clock.monotonic_s())
        try:
            work()
        finally:
            self._book.ended(job_id)

    def _arm_what_is_owed(self, now: datetime, at_s: float) -> None:
        """Arm the cycle at once where the last one due has not been done, none runs, and none is about to."""
        if self._book.is_running(CYCLE_JOB) or self._owed(now) is None or self._backing_off(at_s):
            self._owed_since_s = None
            return
        if self._owed_since_s is None:
            self._owed_since_s = at_s
        armed = self._armed_for(CYCLE_JOB)
        if armed is None or armed > now:
            last = self._last_cycle_at
            log.info(pairs("catch-up", last=last.isoformat() if last else "never"))
            self._arm_cycle(now)

    def _owed(self, now: datetime) -> datetime | None:
        """Return the due instant of a cycle that must be run now, None where none must."""
        due = last_due(now, (self._plan.daily_at,), self._plan.time_zone)
        if self._again:
            return due
        if not self._covers(due, now):
            self._ask_the_record()
        return None if self._covers(due, now) else due

    def _covers(self, due: datetime, now: datetime) -> bool:
        return self._last_cycle_at is not None and due <= self._last_cycle_at <= now

    def _ask_the_record(self) -> None:
        try:
            self._last_cycle_at = self._duties.last_cycle_at()
        except JournalError as error:  # what this process knows itself has to do
            if self._book.failed("record", str(error)):
                log.error(pairs("record-unreadable", error=str(error)))
        else:
            self._book.succeeded("record")

    def _backing_off(self, at_s: float) -> bool:
        return self._failed_at_s is not None and at_s - self._failed_at_s < RETRY_AFTER_S

    def _armed_for(self, job_id: str) -> datetime | None:
        job = self._scheduler.get_job(job_id)
        return None if job is None else getattr(job, "next_run_time", None)

    # the jobs

    def _cycle(self) -> None:
        """Run the cycle if it is owed or wanted; one that fails is owed still, and is tried again."""
        wanted = self._wanted.is_set()
        self._wanted.clear()
        try:
            if wanted or self._owed(self._clock.now()) is not None:
                self._run_cycle()
        finally:
            if not self._stop.is_set():
                now = self._clock.now()
                self._arm_cycle(next_due(now, (self._plan.daily_at,), self._plan.time_zone))
                log.info(pairs("armed", next_cycle=self._next_cycle_text()))

    def _run_cycle(self) -> None:
        """Run a cycle. One that raised is tried until it ends; one that left dams out, a few times."""
        self._again, self._failed_at_s = True, None
        began_at = self._clock.now()
        try:
            complete = self._duties.cycle()
            self._last_cycle_at = began_at
            self._partial_tries = 0 if complete else (self._partial_tries + 1) % TRIES_OF_A_PARTIAL
            self._again = self._partial_tries > 0
        finally:
            self._failed_at_s = self._clock.monotonic_s() if self._again else None

    def _poll(self) -> None:
        """Bring the next cycle forward when readings have arrived, unless one runs already."""
        if not self._book.is_running(CYCLE_JOB) and self._duties.new_readings():
            log.info(pairs("new-readings"))
            self._wanted.set()
            self._arm_cycle(self._clock.now())

    # whether it goes on

    def _notice_jump(self, now: datetime, at_s: float) -> None:
        """Where the clock was set, or the machine slept, arm everything anew."""
        before, before_s = self._seen_at or (now, at_s)
        self._seen_at = now, at_s
        jump_s = (now - before).total_seconds() - (at_s - before_s)
        if abs(jump_s) < JUMP_S:
            return
        log.warning(pairs("clock-jumped", seconds=f"{jump_s:+.0f}"))
        self._last_cycle_at = None
        self._arm_regular_jobs(now)
        self._arm_cycle(next_due(now, (self._plan.daily_at,), self._plan.time_zone))
        self._scheduler.wakeup()

    def _note_turns(self, at_s: float) -> None:
        turns = self._duties.delivery_turns()
        if turns != self._last_turns:
            self._book.signs_of_life(DELIVERY_JOB, at_s)
        self._last_turns = turns

    def _what_is_stuck(self, at_s: float) -> str | None:
        """Say what makes no progress that a restart could mend; None where all goes on."""
        for overrun in self._book.overruns(at_s, self._plan.limits_s):
            if overrun.job_id in (CYCLE_JOB, DELIVERY_JOB, HEALTH_JOB):
                return f"the job {overrun.job_id}, for {overrun.running_s:.0f} s"
        if self._owed_since_s is not None and at_s - self._owed_since_s > LATE_S:
            return "a cycle that is due does not begin"
        return None

    def _tell_status(self) -> None:
        text = f"next cycle {self._next_cycle_text()}"
        if text != self._told_status:
            self._notifier.status(text)
            self._told_status = text

    def _next_cycle_text(self) -> str:
        at = self._armed_for(CYCLE_JOB)
        if at is None:
            return "running"
        return at.astimezone(self._plan.time_zone).isoformat(timespec="minutes")

    # what the scheduler says

    def _heard_success(self, event: JobExecutionEvent) -> None:
        if self._book.succeeded(event.job_id):
            log.info(pairs("job-well-again", job=event.job_id))

    def _heard_error(self, event: JobExecutionEvent) -> None:
        error = "it was missed" if event.exception is None else repr(event.exception)
        news = self._book.failed(event.job_id, error)
        log.error(pairs("job-failed", job=event.job_id, error=error))
        if news and event.traceback:
            log.error("%s", event.traceback)

    def _heard_overrun(self, event: SchedulerEvent) -> None:
        log.info(pairs("job-still-running", job=event.job_id))
