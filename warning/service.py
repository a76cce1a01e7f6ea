"""The daemon: APScheduler runs the jobs until told to stop, a tick watches over them.

The cycle's next run is armed as an instant in UTC from our own rule (`domain.schedule`), because a
cron trigger on a local clock loses a day when its time falls into the spring gap. The memory job
store forgets downtime, and timers know nothing of a clock that is set: so every tick compares what is
due with what has been done, and asks the record where it does not know.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

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
from warning.domain.due_cycles import DueCycles, Owed
from warning.domain.jobs import (
    CYCLE_JOB,
    DELIVERY_JOB,
    HEALTH_JOB,
    HEARTBEAT_JOB,
    POLL_JOB,
    RELOAD_JOB,
    RETRAINING_JOB,
)
from warning.domain.schedule import next_due
from warning.domain.troubles import Trouble
from warning.duties import Duties
from warning.errors import DamWarningError, JournalError
from warning.events import pairs
from warning.ops.jobs import JobBook, cause_of, job_troubles
from warning.ops.notify import Notifier
from warning.ops.passing import PassingTroubles, clock_jumped, cycles_unmade, record_unreadable

log = logging.getLogger(__name__)

TICK_S = 2.0
STOP_DEADLINE_S = 30.0
HEALTH_EVERY_S = 60.0
LATE_S = 300.0  # a job that is due and has not begun by then: the scheduler stands still
JUMP_S = 60.0
MUST_GO_ON = (CYCLE_JOB, DELIVERY_JOB, HEALTH_JOB)
_LOOK_S = 0.2


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
        self._passing = PassingTroubles()
        self._cycles = DueCycles(duties.last_cycle_at, cut_off=False)
        self._wanted = threading.Event()  # a cycle before the next one is due
        self._owed_since_s: float | None = None
        self._seen_at: tuple[datetime, float] | None = None
        self._last_turns = 0
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
        self._cycles = DueCycles(self._duties.last_cycle_at, cut_off=self._duties.was_cut_off())
        self._seen_at = now, at_s
        self._scheduler.add_listener(self._heard_success, EVENT_JOB_EXECUTED)
        self._scheduler.add_listener(self._heard_error, EVENT_JOB_ERROR | EVENT_JOB_MISSED)
        self._scheduler.add_listener(self._heard_overrun, EVENT_JOB_MAX_INSTANCES)
        self._book.armed(HEALTH_JOB, at_s)
        self._arm_all(now)
        self._arm_what_is_owed(now, at_s)
        self._scheduler.start()
        self._duties.open_endpoints(self.progress)
        self._notifier.ready()
        log.info(pairs("ready", next_cycle=self._next_cycle_text()))
        self._tell_status()

    def tick(self) -> None:
        """Look after the jobs once: what is owed, what hangs, whether the clock or the files changed."""
        now, at_s = self._clock.now(), self._clock.monotonic_s()
        self._notice_jump(now, at_s)
        self._arm_what_is_owed(now, at_s)
        if self._reload_asked.is_set() or self._duties.files_changed(at_s):
            self._reload_asked.clear()
            self._add_job(RELOAD_JOB, self._reload, trigger="date", run_date=now)
        self._note_turns(at_s)
        stuck = self._what_is_stuck(at_s)
        if stuck is None:
            self._notifier.watchdog()
        elif stuck != self._stuck:
            log.error(pairs("stuck", what=stuck, consequence="systemd's watchdog is not fed"))
        self._stuck = stuck
        self._tell_status()

    def shut_down(self) -> bool:
        """Begin nothing more, and give what runs until the deadline; say whether all of it ended.

        The library's own waiting has no limit, and holds the lock that a job needs to end by. Nobody
        waits for hours of training: its child dies with this process.
        """
        self._notifier.stopping()
        log.info(pairs("stopping"))
        ending = threading.Thread(
            target=self._scheduler.shutdown, kwargs={"wait": False}, name="shutdown", daemon=True
        )
        ending.start()
        ending.join(self._stop_deadline_s)
        pause = threading.Event()
        for _ in range(max(1, round(self._stop_deadline_s / _LOOK_S))):
            if self._book.running() <= {RETRAINING_JOB}:
                break
            pause.wait(_LOOK_S)
        ended = not ending.is_alive() and not self._book.running()
        self._duties.end()
        log.info(pairs("stopped", jobs="ended" if ended else "cut off; the record holds what is due"))
        return ended

    def progress(self) -> tuple[bool, Mapping[str, Any]]:
        """Say whether the jobs make progress, and in words why not; for `/healthz`."""
        if self._stuck is not None:
            return False, {"stuck": self._stuck}
        return True, {"next_cycle": self._next_cycle_text()}

    # what is due

    def _arm_all(self, now: datetime) -> None:
        """Arm everything from `now` on, by the plan in force; a job that runs goes on."""
        plan, duties = self._plan, self._duties
        self._arm_every(DELIVERY_JOB, plan.delivery_every_s, duties.deliver, now)
        # what is owed begins before people are told that it is not done; a clock that jumps on and on cannot
        # put the look off for ever
        waited_s = self._book.since_began_s(HEALTH_JOB, self._clock.monotonic_s())
        first_look = now + timedelta(seconds=HEALTH_EVERY_S if waited_s <= LATE_S / 2 else 0)
        self._arm_every(HEALTH_JOB, HEALTH_EVERY_S, self._look_after_health, first_look)
        if plan.poll_every_s is not None:
            first = now + timedelta(seconds=plan.poll_every_s)
            self._arm_every(POLL_JOB, plan.poll_every_s, self._poll, first)
        elif self._scheduler.get_job(POLL_JOB) is not None:
            self._scheduler.remove_job(POLL_JOB)
        self._arm_next_cycle(now)
        self._arm_heartbeat(now)

    def _arm_every(self, job_id: str, every_s: float, work: Callable[[], object], first: datetime) -> None:
        self._add_job(job_id, work, trigger="interval", seconds=every_s, next_run_time=first)

    def _arm_next_cycle(self, now: datetime) -> None:
        self._arm_cycle(next_due(now, (self._plan.daily_at,), self._plan.time_zone))

    def _arm_cycle(self, at: datetime) -> None:
        self._add_job(CYCLE_JOB, self._cycle, trigger="date", run_date=at)

    def _arm_heartbeat(self, now: datetime) -> None:
        if self._plan.heartbeat_at is not None:
            at = next_due(now, (self._plan.heartbeat_at,), self._plan.time_zone)
            self._add_job(HEARTBEAT_JOB, self._heartbeat, trigger="date", run_date=at)
        elif self._scheduler.get_job(HEARTBEAT_JOB) is not None:
            self._scheduler.remove_job(HEARTBEAT_JOB)

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
        if self._stop.is_set():
            return
        self._book.began(job_id, self._clock.monotonic_s())
        try:
            work()
        finally:
            self._book.ended(job_id)

    def _arm_what_is_owed(self, now: datetime, at_s: float) -> None:
        """Arm the cycle at once where one is owed or wanted, none runs, and none is about to."""
        running = self._book.is_running(CYCLE_JOB)
        if self._wanted.is_set() and not running and not self._cycle_is_about_to_run(now):
            self._arm_cycle(now)  # what armed it before was overtaken, by a reload or by the run's own end
        owed = None if running or self._cycles.must_wait(at_s) else self._owed(now)
        if owed is None:
            self._owed_since_s = None
            return
        if self._owed_since_s is None:
            self._owed_since_s = at_s
        if not self._cycle_is_about_to_run(now):
            last = owed.last_at.isoformat() if owed.last_at else "never"
            log.info(pairs("catch-up", due=owed.due_at.isoformat(), last=last))
            self._arm_cycle(now)

    def _owed(self, now: datetime) -> Owed | None:
        """Return the cycle to run now. A record that cannot be asked owes one: nobody knows of any."""
        try:
            owed = self._cycles.owed(now, self._plan.daily_at, self._plan.time_zone)
        except JournalError as error:
            if self._passing.note(record_unreadable(error), now):
                log.error(pairs("record-unreadable", error=str(error)))
            return Owed(now, None, 0)
        return owed

    def _cycle_is_about_to_run(self, now: datetime) -> bool:
        armed = self._armed_for(CYCLE_JOB)
        return armed is not None and armed <= now

    def _armed_for(self, job_id: str) -> datetime | None:
        job = self._scheduler.get_job(job_id)
        return None if job is None else getattr(job, "next_run_time", None)

    # the jobs

    def _cycle(self) -> None:
        """Run the cycle if it is owed or wanted; one that fails is owed still, and is tried again."""
        now, wanted = self._clock.now(), self._wanted.is_set()
        self._wanted.clear()
        owed = self._owed(now)
        try:
            if wanted or owed:
                self._run_cycle(now)
                if owed is not None and owed.unmade > 0:
                    self._passing.note(cycles_unmade(owed, now, self._plan.time_zone), now)
                self._add_job(RETRAINING_JOB, self._duties.retrain, trigger="date", run_date=now)
        finally:
            if self._wanted.is_set():  # while this one ran
                self._arm_cycle(self._clock.now())
            else:
                self._arm_next_cycle(self._clock.now())
                log.info(pairs("armed", next_cycle=self._next_cycle_text()))

    def _run_cycle(self, now: datetime) -> None:
        self._cycles.began()
        self._cycles.failed(self._clock.monotonic_s())  # so it stands where the next line raises
        complete = self._duties.cycle()
        self._cycles.ended(now, complete, self._clock.monotonic_s())

    def _poll(self) -> None:
        """Bring the next cycle forward when readings have arrived, unless one runs already."""
        if not self._book.is_running(CYCLE_JOB) and self._duties.new_readings():
            log.info(pairs("new-readings"))
            self._want_cycle()

    def _want_cycle(self) -> None:
        self._wanted.set()
        self._arm_cycle(self._clock.now())

    def _heartbeat(self) -> None:
        try:
            self._duties.heartbeat()
        finally:
            self._arm_heartbeat(self._clock.now())

    def _look_after_health(self) -> None:
        self._duties.look_after(found := self._troubles())
        self._passing.told(found)

    def _troubles(self) -> tuple[Trouble, ...]:
        """Return what only this process knows to be wrong."""
        found = job_troubles(self._book, self._clock.monotonic_s(), self._plan.limits_s)
        return (*found, *self._passing.standing(self._clock.now()))

    def _reload(self) -> None:
        """Take the configuration over; READY is said again even where it was refused.

        Whoever edited it waits for a word, so the health job tells it at once.
        """
        self._notifier.reloading(round(self._clock.monotonic_s() * 1e6))
        try:
            adopted = self._duties.reload()
            if adopted is not None:
                self._plan = self._duties.plan()
                self._arm_all(self._clock.now())
                self._duties.open_endpoints(self.progress)
                if adopted.judged_anew:
                    self._want_cycle()
        finally:
            self._notifier.ready()
            self._arm_every(HEALTH_JOB, HEALTH_EVERY_S, self._look_after_health, self._clock.now())

    # whether it goes on

    def _notice_jump(self, now: datetime, at_s: float) -> None:
        """Where the clock was set, or the machine slept, arm everything anew."""
        before, before_s = self._seen_at or (now, at_s)
        self._seen_at = now, at_s
        jump_s = (now - before).total_seconds() - (at_s - before_s)
        if abs(jump_s) < JUMP_S:
            return
        log.warning(pairs("clock-jumped", seconds=f"{jump_s:+.0f}"))
        self._passing.note(clock_jumped(jump_s, now), now)
        self._cycles.forget()
        self._arm_all(now)
        self._scheduler.wakeup()

    def _note_turns(self, at_s: float) -> None:
        turns = self._duties.delivery_turns()
        if turns != self._last_turns:
            self._book.goes_on(DELIVERY_JOB, at_s)
        self._last_turns = turns

    def _what_is_stuck(self, at_s: float) -> str | None:
        """Say what makes no progress that a restart could mend; None where all goes on.

        That jobs end counts, not that they succeed: a restart mends no source and no mail server.
        """
        for overrun in self._book.overruns(at_s, self._plan.limits_s):
            if overrun.job_id in MUST_GO_ON:
                return f"the job {overrun.job_id} does not come to its end"
        owed_s = 0.0 if self._owed_since_s is None else at_s - self._owed_since_s
        if min(owed_s, self._book.since_began_s(CYCLE_JOB, at_s)) > LATE_S:
            return "a cycle that is due does not begin"
        if not self._book.is_running(HEALTH_JOB) and not self._book.since_began_s(HEALTH_JOB, at_s) <= (
            HEALTH_EVERY_S + LATE_S
        ):
            return "the scheduler begins no jobs"
        return None

    def _tell_status(self) -> None:
        standing = self._duties.troubles_standing()
        count = "1 trouble stands" if standing == 1 else f"{standing} troubles stand"
        words = f"{count}: `dam-warning status`" if standing else "no trouble stands"
        text = f"next cycle {self._next_cycle_text()}; {self._stuck or words}"
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
        """Log a failure once, however often it comes back; where it broke only if it is none of ours."""
        error = event.exception
        cause = "its time was missed" if error is None else cause_of(error)
        if not self._book.failed(event.job_id, cause):
            log.debug(pairs("job-failed-again", job=event.job_id, error=cause))
            return
        surprise = error if error is not None and not isinstance(error, DamWarningError) else None
        log.error(pairs("job-failed", job=event.job_id, error=cause), exc_info=surprise)

    def _heard_overrun(self, event: SchedulerEvent) -> None:
        """A job is due while it runs still: no news in itself, its limit decides when it hangs."""
        log.debug(pairs("job-still-running", job=event.job_id))
