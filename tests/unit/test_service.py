"""The daemon's schedule and its watch over itself.

The scheduler is APScheduler's own, its thread replaced by steps in a time that the test makes; some tests run
it with its real thread. The duties are fakes that only note that they were called.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from datetime import time as time_of_day
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import apscheduler.executors.base
import apscheduler.schedulers.base
import apscheduler.triggers.date
import apscheduler.triggers.interval
import pytest
from apscheduler.executors.base import BaseExecutor, run_job
from apscheduler.schedulers.base import BaseScheduler

from warning.clock import SystemClock
from warning.domain.due_cycles import RETRY_AFTER_S
from warning.domain.jobs import CYCLE_JOB, DELIVERY_JOB, HEALTH_JOB, Plan
from warning.domain.troubles import Trouble, TroubleKind
from warning.duties import Adopted
from warning.errors import JournalError, SourceError
from warning.ops.notify import Notifier
from warning.service import HEALTH_EVERY_S, LATE_S, Service

LIMIT_S = 20.0
START = datetime(2026, 3, 10, 12, tzinfo=UTC)
PLAN = Plan(
    daily_at=time_of_day(6),
    time_zone=ZoneInfo("UTC"),
    heartbeat_at=None,
    poll_every_s=None,
    delivery_every_s=10.0,
    limits_s={CYCLE_JOB: 1800.0, DELIVERY_JOB: 120.0, HEALTH_JOB: 600.0},
)


@dataclass
class MadeClock:
    """A present that the test sets, and a monotonic clock beside it."""

    present: datetime = START
    passed_s: float = 1000.0

    def now(self) -> datetime:
        return self.present

    def monotonic_s(self) -> float:
        return self.passed_s

    def pass_by(self, seconds: float) -> None:
        self.present += timedelta(seconds=seconds)
        self.passed_s += seconds


@dataclass
class FakeDuties:
    """Notes what was called; the record is the list of instants at which cycles began."""

    clock: Any
    settings: Plan = PLAN
    recorded: list[datetime] = field(default_factory=list)
    on_cycle: Callable[[], bool] = lambda: True
    on_deliver: Callable[[], None] = lambda: None
    arrived: Callable[[], bool] = lambda: False
    on_reload: Callable[[], Adopted | None] = lambda: None
    changed: bool = False
    cut_off: bool = False
    turns: int = 0
    calls: list[str] = field(default_factory=list)
    cycles: list[datetime] = field(default_factory=list)
    told: list[tuple[Trouble, ...]] = field(default_factory=list)

    def plan(self) -> Plan:
        return self.settings

    def begin(self) -> None:
        self.calls.append("begin")

    def end(self) -> None:
        self.calls.append("end")

    def last_cycle_at(self) -> datetime | None:
        now = self.clock.now()
        if self.recorded and self.recorded[-1] > now + timedelta(minutes=1):
            return None
        return self.recorded[-1] if self.recorded else None

    def was_cut_off(self) -> bool:
        return self.cut_off

    def cycle(self) -> bool:
        began = self.clock.now()
        self.cycles.append(began)
        complete = self.on_cycle()
        self.recorded.append(began)
        return complete

    def new_readings(self) -> bool:
        return self.arrived()

    def deliver(self) -> None:
        self.calls.append("deliver")
        self.on_deliver()

    def delivery_turns(self) -> int:
        return self.turns

    def retrain(self) -> None:
        self.calls.append("retrain")

    def heartbeat(self) -> None:
        self.calls.append("heartbeat")

    def look_after(self, found: tuple[Trouble, ...]) -> None:
        self.told.append(found)

    def troubles_standing(self) -> int:
        return len(self.told[-1]) if self.told else 0

    def files_changed(self, at_s: float) -> bool:
        changed, self.changed = self.changed, False
        return changed

    def reload(self) -> Adopted | None:
        self.calls.append("reload")
        return self.on_reload()

    def open_endpoints(self, progress: Callable[[], tuple[bool, Mapping[str, Any]]]) -> None:
        self.calls.append("endpoints")


class WaitingExecutor(BaseExecutor):
    """Keeps what falls due until the scheduler has let go of its lock, as a pool of threads does."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[Any, Sequence[datetime]]] = []

    def _do_submit_job(self, job: Any, run_times: Sequence[datetime]) -> None:
        self.waiting.append((job, run_times))

    def run_all(self) -> None:
        while self.waiting:
            job, run_times = self.waiting.pop(0)
            self._run_job_success(job.id, run_job(job, job._jobstore_alias, run_times, self._logger.name))


class SteppedScheduler(BaseScheduler):
    """The library's scheduler without its thread: `step` does once what the thread does for ever."""

    woken = 0

    def __init__(self) -> None:
        super().__init__(timezone=UTC)
        self.executor = WaitingExecutor()
        self.add_executor(self.executor)

    def shutdown(self, wait: bool = True) -> None:
        super().shutdown(wait)

    def wakeup(self) -> None:
        self.woken += 1

    def step(self) -> None:
        self._process_jobs()
        self.executor.run_all()


class Notes(Notifier):
    """Keeps what systemd would have heard."""

    def __init__(self) -> None:
        super().__init__(None)
        self.heard: list[str] = []

    def _send(self, state: str) -> None:
        self.heard.append(state)


@dataclass
class Stage:
    """A service in made time."""

    clock: MadeClock
    duties: FakeDuties
    scheduler: SteppedScheduler
    notes: Notes
    service: Service
    stop: threading.Event
    reload_asked: threading.Event

    def turn(self) -> bool:
        """Let the scheduler and the tick work once; say whether the watchdog was fed."""
        self.scheduler.step()
        before = self.notes.heard.count("WATCHDOG=1")
        self.service.tick()
        self.scheduler.step()
        return self.notes.heard.count("WATCHDOG=1") > before

    def run_for(self, seconds: float, step_s: float = 30.0) -> None:
        passed = 0.0
        while passed < seconds:
            self.clock.pass_by(step_s)
            passed += step_s
            self.turn()

    def kinds(self) -> set[tuple[TroubleKind, str]]:
        """What the newest look at the health was told."""
        self.run_for(HEALTH_EVERY_S + 30)
        return {(trouble.kind, trouble.key) for trouble in self.duties.told[-1]}


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Stage]]:
    made: list[Stage] = []

    def make(start: datetime = START, **changes: Any) -> Stage:
        clock = MadeClock(start)

        class Made(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:
                return clock.now().astimezone(tz or UTC)

        for module in (
            apscheduler.schedulers.base,
            apscheduler.executors.base,
            apscheduler.triggers.interval,
            apscheduler.triggers.date,
        ):
            monkeypatch.setattr(module, "datetime", Made)
        changes.setdefault("recorded", [start - timedelta(hours=1)])
        duties = FakeDuties(clock, **changes)
        scheduler = SteppedScheduler()
        notes, stop, asked = Notes(), threading.Event(), threading.Event()
        service = Service(
            duties,  # type: ignore[arg-type]
            clock,
            stop,
            notifier=notes,
            scheduler=scheduler,
            reload_asked=asked,
            stop_deadline_s=0.2,
        )
        made.append(Stage(clock, duties, scheduler, notes, service, stop, asked))
        service.start()
        return made[-1]

    yield make
    for one in made:
        if one.scheduler.running:
            one.service.shut_down()


def test_a_cycle_missed_while_the_program_was_down_runs_at_once(stage: Callable[..., Stage]) -> None:
    running = stage(recorded=[START - timedelta(hours=20)])
    running.turn()
    assert running.duties.cycles == [START]


def test_a_record_without_any_cycle_gets_one_at_once(stage: Callable[..., Stage]) -> None:
    running = stage(recorded=[])
    running.turn()
    assert running.duties.cycles == [START]


def test_a_cycle_that_was_cut_off_is_run_again_at_start(stage: Callable[..., Stage]) -> None:
    running = stage(cut_off=True)
    running.turn()
    running.run_for(3600)
    assert running.duties.cycles == [START]


def test_a_cycle_that_has_run_since_it_was_due_is_not_repeated(stage: Callable[..., Stage]) -> None:
    running = stage()
    running.run_for(3600)
    assert running.duties.cycles == []


@pytest.mark.parametrize("first", [datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)])
@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("Europe/Berlin", time_of_day(2, 15)),
        ("America/New_York", time_of_day(2, 15)),
        ("Asia/Beirut", time_of_day(0, 30)),
        ("Australia/Lord_Howe", time_of_day(1, 45)),
    ],
)
def test_every_local_day_has_one_cycle_where_clocks_change(
    stage: Callable[..., Stage], name: str, at: time_of_day, first: datetime
) -> None:
    zone = ZoneInfo(name)
    running = stage(first, settings=replace(PLAN, time_zone=zone, daily_at=at, delivery_every_s=86400.0))
    running.run_for(45 * 86400.0, step_s=5400.0)
    days = [cycle.astimezone(zone).date() for cycle in running.duties.cycles]
    assert len(days) >= 44
    assert days == [days[0] + timedelta(days=n) for n in range(len(days))]


def test_a_clock_that_jumps_over_two_due_times_brings_one_cycle_and_says_so(
    stage: Callable[..., Stage],
) -> None:
    running = stage()
    running.turn()
    running.clock.present += timedelta(hours=47)
    running.turn()
    assert len(running.duties.cycles) == 1
    assert running.scheduler.woken > 0
    assert {(TroubleKind.CLOCK, "jump"), (TroubleKind.CYCLE_OVERDUE, "unmade")} <= running.kinds()
    (unmade,) = [t for t in running.duties.told[-1] if t.key == "unmade"]
    assert "2 daily cycles were due" in unmade.message
    running.run_for(3700)
    assert running.duties.told[-1] == ()


def test_after_a_jump_backwards_today_is_looked_at_and_tomorrow_is_not_taken_for_done(
    stage: Callable[..., Stage],
) -> None:
    running = stage()
    running.clock.present += timedelta(days=2)  # the clock is wrong, and the cycle of a false day runs
    running.turn()
    assert len(running.duties.cycles) == 1
    running.run_for(600)
    running.clock.present -= timedelta(days=2)
    running.turn()
    assert len(running.duties.cycles) == 2
    running.run_for(2 * 86400.0, step_s=600.0)
    assert [c.date() for c in running.duties.cycles[2:]] == [START.date() + timedelta(days=n) for n in (1, 2)]


def test_deliveries_go_on_at_once_after_a_jump_backwards(stage: Callable[..., Stage]) -> None:
    running = stage()
    running.run_for(60)
    running.clock.present -= timedelta(days=300)
    running.turn()
    before = running.duties.calls.count("deliver")
    running.run_for(60)
    assert running.duties.calls.count("deliver") > before


def test_a_clock_that_keeps_jumping_puts_no_look_at_the_health_off_for_ever(
    stage: Callable[..., Stage],
) -> None:
    running = stage()
    for _ in range(40):
        running.clock.pass_by(50.0)
        running.clock.present -= timedelta(minutes=10)
        assert running.turn(), running.service.progress()
    assert len(running.duties.told) >= 5


def test_a_machine_that_slept_over_the_due_time_makes_up_for_it(stage: Callable[..., Stage]) -> None:
    running = stage()
    running.turn()
    running.clock.present += timedelta(hours=20)  # the monotonic clock stands still in sleep
    running.turn()
    assert running.duties.cycles == [START + timedelta(hours=20)]


def test_a_record_dated_in_the_future_loses_no_day(stage: Callable[..., Stage]) -> None:
    running = stage(recorded=[START + timedelta(days=400)])
    running.turn()
    running.run_for(2 * 86400.0, step_s=600.0)
    assert [c.date() for c in running.duties.cycles] == [START.date() + timedelta(days=n) for n in range(3)]


def test_a_cycle_that_raises_every_time_is_retried_told_and_no_reason_to_restart(
    stage: Callable[..., Stage],
) -> None:
    def fail() -> bool:
        raise SourceError("the disk is full")

    running = stage(recorded=[], on_cycle=fail)
    running.turn()
    assert len(running.duties.cycles) == 1
    running.run_for(RETRY_AFTER_S - 60)
    assert len(running.duties.cycles) == 1
    fed = []
    for _ in range(40):
        running.clock.pass_by(60)
        fed.append(running.turn())
    assert all(fed)
    assert len(running.duties.cycles) == 9
    (trouble,) = running.duties.told[-1]
    assert (trouble.kind, trouble.key) == (TroubleKind.JOB_FAILED, CYCLE_JOB)
    assert "the disk is full" in trouble.message
    running.duties.on_cycle = lambda: True
    running.run_for(RETRY_AFTER_S + 60)
    assert running.kinds() == set()


def test_what_a_surprise_says_is_not_sent_to_people(stage: Callable[..., Stage]) -> None:
    def fail() -> None:
        raise RuntimeError("mailto://user:secret@host")

    running = stage(on_deliver=fail)
    running.run_for(120)
    (trouble,) = running.duties.told[-1]
    assert "secret" not in trouble.message
    assert "unexpected RuntimeError at test_service.py" in trouble.message


def test_a_cycle_that_could_not_judge_every_dam_is_tried_three_times(stage: Callable[..., Stage]) -> None:
    running = stage(recorded=[], on_cycle=lambda: False)
    running.run_for(3600)
    assert len(running.duties.cycles) == 3


def test_a_record_that_cannot_be_read_is_told_and_a_cycle_is_tried(
    stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(_: FakeDuties) -> datetime | None:
        raise JournalError("no such table")

    monkeypatch.setattr(FakeDuties, "last_cycle_at", unreadable)
    running = stage()
    running.run_for(600)
    assert (TroubleKind.RECORD_FAILED, "reading") in running.kinds()
    assert len(running.duties.cycles) == 1  # it ended, so this process knows of it


def test_a_jump_that_no_record_took_is_told_once_one_does(
    stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = stage()
    look_after, full = FakeDuties.look_after, [True]

    def kept(duties: FakeDuties, found: tuple[Trouble, ...]) -> None:
        if full:
            raise JournalError("the disk is full")
        look_after(duties, found)

    monkeypatch.setattr(FakeDuties, "look_after", kept)
    running.turn()
    running.clock.present += timedelta(hours=2)
    running.run_for(3 * 3600)
    full.clear()
    running.run_for(2 * HEALTH_EVERY_S)
    told = [{trouble.identity for trouble in found} for found in running.duties.told]
    assert (TroubleKind.CLOCK, "jump") in told[0]
    assert (TroubleKind.CLOCK, "jump") not in told[-1]


def hanging(running: Stage, job_id: str) -> None:
    """As if a thread had begun the job and never came back."""
    running.service._book.began(job_id, running.clock.monotonic_s())


@pytest.mark.parametrize("job_id", [DELIVERY_JOB, CYCLE_JOB])
def test_a_job_beyond_its_limit_is_told_and_starves_the_watchdog(
    stage: Callable[..., Stage], job_id: str
) -> None:
    running = stage(settings=replace(PLAN, delivery_every_s=1e6))
    running.turn()
    hanging(running, job_id)
    assert running.turn()
    running.run_for(PLAN.limits_s[job_id] - 30)
    assert running.turn()
    running.clock.pass_by(60)
    assert not running.turn()
    assert running.service.progress()[0] is False
    assert (TroubleKind.JOB_HANGS, job_id) in running.kinds()
    running.service._book.ended(job_id)
    assert running.turn()
    assert running.service.progress()[0] is True


def test_a_delivery_that_takes_long_and_goes_on_is_no_hanging_one(stage: Callable[..., Stage]) -> None:
    running = stage(settings=replace(PLAN, delivery_every_s=1e6))
    running.turn()
    hanging(running, DELIVERY_JOB)
    for _ in range(60):
        running.duties.turns += 1
        running.clock.pass_by(60)
        assert running.turn()


def test_a_scheduler_that_stands_still_starves_the_watchdog(stage: Callable[..., Stage]) -> None:
    running = stage()
    running.turn()
    fed = 0
    for _ in range(20):
        running.clock.pass_by(60)
        before = len(running.notes.heard)
        running.service.tick()  # and no step: the thread has died
        fed += "WATCHDOG=1" in running.notes.heard[before:]
    assert fed <= (HEALTH_EVERY_S + LATE_S) / 60
    assert "WATCHDOG=1" not in running.notes.heard[-1:]


def test_a_due_cycle_that_does_not_begin_starves_the_watchdog(stage: Callable[..., Stage]) -> None:
    running = stage(recorded=[])
    running.service._book.began(HEALTH_JOB, running.clock.monotonic_s())  # as if the health job ran on
    running.service.tick()
    running.clock.pass_by(LATE_S + 60)
    before = len(running.notes.heard)
    running.service.tick()
    assert "WATCHDOG=1" not in running.notes.heard[before:]
    assert "does not begin" in str(running.service.progress()[1])


def test_new_readings_bring_the_next_cycle_forward_once(stage: Callable[..., Stage]) -> None:
    running = stage(settings=replace(PLAN, poll_every_s=300.0))
    running.duties.arrived = lambda: not running.duties.cycles
    running.run_for(3600)
    assert running.duties.cycles == [START + timedelta(seconds=300)]


def test_readings_that_arrive_while_a_cycle_runs_bring_another_one(stage: Callable[..., Stage]) -> None:
    running = stage(recorded=[])

    def meanwhile() -> bool:
        if len(running.duties.cycles) == 1:
            running.service._wanted.set()
        return True

    running.duties.on_cycle = meanwhile
    running.run_for(60)
    assert len(running.duties.cycles) == 2


def test_a_wanted_cycle_that_was_overtaken_by_a_reload_is_run_all_the_same(
    stage: Callable[..., Stage],
) -> None:
    running = stage()
    running.service._want_cycle()
    running.service._arm_all(running.clock.present)  # as a reload does, before the scheduler got to it
    running.turn()
    assert running.duties.cycles == [START]


def test_a_refused_edit_is_told_at_once(stage: Callable[..., Stage]) -> None:
    running = stage()
    running.run_for(120)
    looks = len(running.duties.told)
    running.duties.changed = True
    running.turn()
    running.turn()
    assert len(running.duties.told) == looks + 1


@pytest.mark.parametrize(
    ("error", "traced"), [(JournalError("the disk is full."), False), (RuntimeError("never seen"), True)]
)
def test_a_failure_that_comes_back_is_logged_once_and_only_a_surprise_with_its_place(
    stage: Callable[..., Stage], caplog: pytest.LogCaptureFixture, error: Exception, traced: bool
) -> None:
    def fail() -> None:
        raise error

    running = stage(on_deliver=fail)
    running.run_for(300)
    lines = [r for r in caplog.records if r.name == "warning.service" and r.levelname == "ERROR"]
    assert len(lines) == 1
    assert bool(lines[0].exc_info) is traced
    assert ".. " not in running.duties.told[-1][0].message


def test_the_model_s_age_is_asked_after_each_cycle(stage: Callable[..., Stage]) -> None:
    running = stage(recorded=[])
    running.run_for(60)
    assert running.duties.calls.count("retrain") == 1


def test_the_heartbeat_comes_once_a_day(stage: Callable[..., Stage]) -> None:
    running = stage(settings=replace(PLAN, heartbeat_at=time_of_day(7), delivery_every_s=86400.0))
    running.run_for(5 * 86400.0, step_s=900.0)
    assert running.duties.calls.count("heartbeat") == 5


def test_ready_is_said_when_the_scheduler_runs_and_stopping_at_the_end(stage: Callable[..., Stage]) -> None:
    running = stage()
    assert running.scheduler.running
    assert running.notes.heard[0] == "READY=1"
    assert running.notes.heard[1].startswith("STATUS=next cycle 2026-03-11T06:00")
    running.service.shut_down()
    assert running.notes.heard[-1] == "STOPPING=1"
    assert running.duties.calls[0] == "begin"
    assert running.duties.calls[-1] == "end"


@pytest.mark.parametrize("how", ["signal", "files"])
def test_a_reload_is_announced_to_systemd_and_the_new_times_hold(
    stage: Callable[..., Stage], how: str
) -> None:
    running = stage()

    def adopt() -> Adopted:
        running.duties.settings = replace(PLAN, daily_at=time_of_day(13))
        return Adopted(judged_anew=False)

    running.duties.on_reload = adopt
    if how == "signal":
        running.reload_asked.set()
    else:
        running.duties.changed = True
    running.run_for(60)
    assert running.duties.calls.count("reload") == 1
    reloading = running.notes.heard.index(f"RELOADING=1\nMONOTONIC_USEC={1030 * 1000000}")
    assert running.notes.heard[reloading + 1] == "READY=1"
    running.run_for(3600)
    assert [cycle.hour for cycle in running.duties.cycles] == [13]


def test_dams_that_may_be_judged_otherwise_are_looked_at_at_once(stage: Callable[..., Stage]) -> None:
    running = stage(on_reload=lambda: Adopted(judged_anew=True))
    running.reload_asked.set()
    running.run_for(60)
    assert len(running.duties.cycles) == 1


def test_a_refused_reload_says_ready_again(stage: Callable[..., Stage]) -> None:
    running = stage()
    running.reload_asked.set()
    running.run_for(60)
    assert running.notes.heard.count("READY=1") == 2
    assert running.duties.cycles == []


# with the library's own thread


@contextmanager
def live(**changes: Any) -> Iterator[FakeDuties]:
    now = datetime.now(UTC)
    plan = replace(PLAN, delivery_every_s=0.1, daily_at=(now + timedelta(hours=12)).time())
    duties = FakeDuties(SystemClock(), settings=plan, recorded=[now], **changes)
    stop = threading.Event()
    service = Service(duties, SystemClock(), stop, notifier=Notifier(None), stop_deadline_s=0.4)  # type: ignore[arg-type]
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield duties
    finally:
        stop.set()
        thread.join(LIMIT_S)
        assert not thread.is_alive(), "the service did not stop"


def comes(condition: Callable[[], bool]) -> bool:
    limit = time.monotonic() + LIMIT_S
    while not condition() and time.monotonic() < limit:
        time.sleep(0.02)
    return condition()


def test_a_cycle_that_fails_ends_no_deliveries() -> None:
    def fail() -> bool:
        raise RuntimeError("unforeseen")

    with live(on_cycle=fail, cut_off=True) as duties:
        assert comes(lambda: len(duties.cycles) == 1)
        after = duties.calls.count("deliver")
        assert comes(lambda: duties.calls.count("deliver") > after)


def test_a_job_that_does_not_end_cannot_hold_up_the_stop() -> None:
    begun, hang = threading.Event(), threading.Event()

    def forecast_for_ever() -> bool:
        begun.set()
        return hang.wait(LIMIT_S)

    with live(on_cycle=forecast_for_ever, cut_off=True):
        assert begun.wait(LIMIT_S)
    hang.set()


def test_a_watchdog_in_a_hurry_is_fed_in_time(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        server.settimeout(LIMIT_S)
        notifier = Notifier(str(tmp_path / "notify"), watchdog_every_s=0.05)
        stop = threading.Event()
        duties = FakeDuties(SystemClock(), recorded=[datetime.now(UTC)])
        service = Service(duties, SystemClock(), stop, notifier=notifier)  # type: ignore[arg-type]
        thread = threading.Thread(target=service.run)
        thread.start()
        heard: list[str] = []
        while heard.count("WATCHDOG=1") < 5:
            heard.append(server.recv(4096).decode())
        stop.set()
        thread.join(LIMIT_S)
    assert heard[0] == "READY=1"
