"""The daemon of the soak: the real service with its real parts and files, in time that the harness makes.

    python tests/soak/driver.py CONFIG TRUE_TIME CLOCK_ERROR_S

Reads commands from standard input, one a line, and answers each with `done JSON`. While it works it says
`t TIME` before every step, so that the harness knows what time it is when a mail arrives.

Nothing of the program is replaced but: the clock, the scheduler's thread, how often the health is looked at,
how long a send may take, and, for all but a few mails, the child process that draws the plot.
"""

from __future__ import annotations

import gc
import itertools
import json
import logging
import os
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from virtual import VirtualClock, VirtualScheduler, bind_library

import warning.alerts.last_resort
import warning.alerts.outbox
import warning.duties
import warning.service
import warning.wiring
from warning.alerts.outbox import Pace
from warning.config.last_good import load_or_last_good
from warning.duties import Duties
from warning.ops.logs import configure_logs
from warning.ops.memory import keep_memory_together
from warning.ops.notify import Notifier
from warning.ops.signals import heed_signals
from warning.service import Service
from warning.wiring import wired

TICK = timedelta(minutes=20)
HEALTH_EVERY_S = 2700.0  # within the hour for which a passing trouble stands
DRAWN_OF = 40  # so many mails share one real drawing
HANDED_OF = 4  # after so many cycles memory is handed back
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


class HastyPace:
    """The outbox's pace; `hasty` while the mail server hangs, so that this costs no minutes."""

    hasty = False
    places, most_threads, most_hanging = 8, 256, 2
    slow_after_s, stop_grace_s, poll_s = 0.3, 0.5, 0.01

    @property
    def deadline_s(self) -> float:
        return 1.0 if HastyPace.hasty else Pace().deadline_s


def hasten() -> None:
    """Shorten what is measured in real seconds."""
    warning.alerts.outbox.Pace = HastyPace
    warning.alerts.last_resort.tell_directly.__kwdefaults__.update(deadline_s=1.5, slow_after_s=0.3)
    warning.service.HEALTH_EVERY_S = HEALTH_EVERY_S
    warning.service.LATE_S = HEALTH_EVERY_S  # what is late is so against the pace of the looks
    draw, turns = warning.wiring.draw_in_child, itertools.count(1)

    def drawn(plot_data: str) -> bytes | None:
        return draw(plot_data) if not HastyPace.hasty and next(turns) % DRAWN_OF == 0 else PNG

    warning.wiring.draw_in_child = drawn
    hand_back, cycles = warning.duties.hand_memory_back, itertools.count(1)
    warning.duties.hand_memory_back = lambda: hand_back() if next(cycles) % HANDED_OF == 0 else None


class Driver:
    """Steps the service through the harness's time."""

    def __init__(self, clock: VirtualClock, service: Service, scheduler: VirtualScheduler) -> None:
        self._clock = clock
        self._service = service
        self._scheduler = scheduler

    def run_until(self, until: datetime) -> None:
        """Do everything that is due up to `until`."""
        while True:
            wait_s = self._settle()
            if self._clock.true >= until:
                return
            due = self._clock.true + timedelta(seconds=max(wait_s, 0.001))
            self._clock.advance_to(min(due, self._clock.true + TICK, until))

    def _settle(self) -> float:
        """Run what is due now, a tick before every step; return in how many seconds the next job is due."""
        say("t", self._clock.true.isoformat())
        for _ in range(50):
            self._service.tick()
            wait_s = self._scheduler.step()
            if wait_s != 0.0:
                return TICK.total_seconds() if wait_s is None else wait_s
        raise RuntimeError(f"the jobs do not come to rest at {self._clock.now()}")

    def command(self, words: list[str]) -> dict[str, int]:
        """Do what one line of the harness says."""
        match words:
            case ["run", until]:
                self.run_until(datetime.fromisoformat(until))
            case ["offset", seconds]:
                self._clock.offset_s = float(seconds)
            case ["sleep", until]:
                self._clock.sleep_until(datetime.fromisoformat(until))
            case ["hasty", "yes" | "no" as answer]:
                HastyPace.hasty = answer == "yes"
            case ["look"]:
                return vitals()
            case _:
                raise ValueError(f"no such command: {words}")
        return {}

    def serve(self, stop: threading.Event) -> None:
        for line in sys.stdin:
            words = line.split()
            if words == ["stop"]:
                stop.set()
                ended = self._service.shut_down()
                say("done", json.dumps({"ended": ended}))
                return
            say("done", json.dumps(self.command(words)))


def vitals() -> dict[str, int]:
    """What this process holds."""
    gc.collect()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "rss_kib": int(status["VmRSS"].split()[0]),
        "files": len(os.listdir("/proc/self/fd")) - 1,
        "threads": int(status["Threads"]),
    }


def say(*words: str) -> None:
    print(*words, flush=True)


def main() -> None:
    config, true, offset = sys.argv[1:]
    keep_memory_together()
    configure_logs()
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    hasten()
    clock = VirtualClock(datetime.fromisoformat(true), float(offset))
    bind_library(clock.now)
    scheduler = VirtualScheduler(clock)
    stop, reload_asked = threading.Event(), threading.Event()
    heed_signals(stop, reload_asked)
    serve(Path(config), clock, scheduler, stop, reload_asked)


def serve(
    config: Path,
    clock: VirtualClock,
    scheduler: VirtualScheduler,
    stop: threading.Event,
    reload_asked: threading.Event,
) -> None:
    """What `dam-warning run` does, with the harness's clock and scheduler."""
    configuration, refusal = load_or_last_good(config)
    with wired(configuration, clock) as parts:
        duties = Duties(parts, clock, stop, refusal)
        service = Service(
            duties,
            clock,
            stop,
            notifier=Notifier.from_environment(os.environ),
            scheduler=scheduler,
            reload_asked=reload_asked,
        )
        service.start()
        say("done", "{}")
        Driver(clock, service, scheduler).serve(stop)


if __name__ == "__main__":
    main()
