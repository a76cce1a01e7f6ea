"""The schedule of the daemon, on a real scheduler with duties that only note that they were called."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from zoneinfo import ZoneInfo

from warning.clock import SystemClock
from warning.service import Duties, Service

LIMIT_S = 20.0
ZONE = ZoneInfo("UTC")


def duties(cycle: Callable[[], object], **changes: object) -> Duties:
    """Duties whose daily cycle has just been done, due again in twelve hours."""
    now = datetime.now(UTC)
    idle = Duties(
        cycle=cycle,
        deliver=lambda: None,
        last_cycle_at=lambda: now,
        new_readings=lambda: False,
        daily_at=(now + timedelta(hours=12)).time().replace(microsecond=0),
        time_zone=ZONE,
        poll_every_s=None,
        delivery_every_s=0.1,
    )
    return replace(idle, **changes)  # type: ignore[arg-type]


@contextmanager
def running(these: Duties) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=Service(these, SystemClock(), stop).run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(LIMIT_S)
        assert not thread.is_alive(), "the service did not stop"


def comes(condition: Callable[[], bool]) -> bool:
    limit = time.monotonic() + LIMIT_S
    while not condition() and time.monotonic() < limit:
        time.sleep(0.02)
    return condition()


def test_a_cycle_missed_while_the_program_was_down_runs_at_once() -> None:
    calls: list[str] = []
    with running(duties(lambda: calls.append("cycle"), last_cycle_at=lambda: None)):
        assert comes(lambda: calls == ["cycle"])


def test_a_cycle_that_has_run_since_it_was_due_is_not_repeated_at_start() -> None:
    calls: list[str] = []
    delivered = threading.Event()
    with running(duties(lambda: calls.append("cycle"), deliver=delivered.set)):
        assert delivered.wait(LIMIT_S)
        time.sleep(0.3)
    assert calls == []


def test_new_readings_bring_the_next_cycle_forward_once() -> None:
    calls: list[str] = []
    with running(duties(lambda: calls.append("cycle"), poll_every_s=0.1, new_readings=lambda: not calls)):
        assert comes(lambda: calls == ["cycle"])
        time.sleep(0.4)
    assert calls == ["cycle"]


def test_a_cycle_that_fails_ends_neither_deliveries_nor_later_cycles() -> None:
    calls: list[str] = []
    deliveries: list[str] = []

    def fail() -> None:
        calls.append("cycle")
        raise RuntimeError("unforeseen")

    with running(
        duties(
            fail,
            deliver=lambda: deliveries.append("delivery"),
            poll_every_s=0.1,
            new_readings=lambda: len(calls) < 3,
        )
    ):
        assert comes(lambda: len(calls) == 3)
        after = len(deliveries)
        assert comes(lambda: len(deliveries) > after)


def test_the_cycle_runs_when_its_time_comes() -> None:
    calls: list[str] = []
    soon = (datetime.now(UTC) + timedelta(seconds=2)).replace(microsecond=0)
    at = time_of_day(soon.hour, soon.minute, soon.second)
    with running(duties(lambda: calls.append("cycle"), daily_at=at)):
        assert comes(lambda: calls == ["cycle"])


def test_a_job_that_does_not_end_cannot_hold_up_the_stop() -> None:
    begun, hang = threading.Event(), threading.Event()

    def forecast_for_ever() -> None:
        begun.set()
        hang.wait(LIMIT_S)

    stop = threading.Event()
    answers: list[bool] = []
    service = Service(
        duties(forecast_for_ever, last_cycle_at=lambda: None), SystemClock(), stop, stop_deadline_s=0.2
    )
    thread = threading.Thread(target=lambda: answers.append(service.run()))
    thread.start()
    assert begun.wait(LIMIT_S)
    stop.set()
    thread.join(LIMIT_S)
    hang.set()
    assert answers == [False]
