"""How each fault is made and mended, and the book of what is touched by faults and since when."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from installation import EVERYONE
from plan import CLOCK_STEPS_S, ROW, Fault

if TYPE_CHECKING:
    from harness import Soak

_WORKER = b"warning.forecasting.worker"
_BROKEN: dict[str, tuple[str, Callable[[str], str]]] = {
    "a bracket is missing": ("reservoirs.toml", lambda text: text.replace("]", "", 1)),
    "a key is misspelt": ("reservoirs.toml", lambda text: text.replace("clear_value", "claer_value", 1)),
    "a threshold is not a number": (
        "reservoirs.toml",
        lambda text: text.replace("value = 4", "value = nan # 4", 1),
    ),
    "thresholds do not rise": ("reservoirs.toml", lambda text: text.replace("value = 42", "value = 12", 1)),
    "half of it was saved": ("warning.toml", lambda text: text[: len(text) // 2]),
    "an unknown time zone": ("warning.toml", lambda text: text.replace("Europe/Vienna", "Europe/Viena")),
    "nobody is left to tell": ("recipients.toml", lambda text: ""),
    "bytes that are no text": ("recipients.toml", lambda text: text.replace("name", "n\x00me", 1)),
}


class Troubles:
    """What faults touch: how many hold it now, and when the last one let go."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._held: dict[str, dict[str, datetime]] = {}
        self._free_since: dict[str, datetime] = {}

    def begin(self, what: str, who: str) -> None:
        self._held.setdefault(what, {}).setdefault(who, self._now())

    def end(self, what: str, who: str) -> None:
        if self._held.get(what, {}).pop(who, None) is not None:
            self._free_since[what] = self._now()

    def quiet(self, what: str, span: timedelta) -> bool:
        """Whether nothing has touched it for so long."""
        if self._held.get(what):
            return False
        since = self._free_since.get(what)
        return since is None or self._now() - since >= span

    def lasting(self, what: str, span: timedelta) -> bool:
        """Whether one fault has touched it for so long without a break."""
        return any(self._now() - since >= span for since in self._held.get(what, {}).values())


class Befalling:
    """Makes faults and plans their end. Where two would touch the same thing, the later one waits."""

    def __init__(self, soak: Soak) -> None:
        self._soak = soak
        self.row_faults: dict[str, str] = {}
        self._downtime: timedelta | None = None
        self._busy: Counter[str] = Counter()
        self._killer: _WorkerKiller | None = None

    def close(self) -> None:
        if self._killer is not None:
            self._killer.close()

    def expected_death(self) -> timedelta | None:
        """How long the daemon stays dead; None where nobody killed it."""
        downtime, self._downtime = self._downtime, None
        return downtime

    def begin(self, fault: Fault) -> None:
        rng = random.Random(fault.seed)
        kind = fault.kind
        if kind.startswith(ROW):
            self._begin_row(fault, rng)
        elif kind.startswith("smtp-"):
            self._alone("mail", fault, lambda: self._begin_smtp(fault, rng))
        elif kind.startswith("kill-") or kind in ("host-down", "stop-start"):
            self._begin_death(fault, rng)
        elif kind.startswith("clock-"):
            self._alone("clock", fault, lambda: self._begin_clock(fault, rng))
        elif kind.startswith("disk-"):
            self._alone("disk", fault, lambda: self._begin_disk(fault))
        elif kind == "config-edit":
            self._alone("config", fault, lambda: self._begin_edit(fault, rng))
        elif kind == "config-broken":
            self._alone("config", fault, lambda: self._begin_broken(fault, rng))
        elif kind == "suspend":
            self._begin_suspend(fault)
        elif kind == "worker-killed":
            self._alone("model", fault, lambda: self._begin_worker(fault, rng))
        else:
            self._alone("source", fault, lambda: self._begin_source(fault, rng))

    def _alone(self, what: str, fault: Fault, begin: Callable[[], None]) -> None:
        """Begin it, or look again three hours later where another one of its kind goes on."""
        if self._busy[what]:
            self._soak.at(self._soak.now + timedelta(hours=3), lambda: self._alone(what, fault, begin))
            return
        self._busy[what] += 1
        begin()

    def _until(self, fault: Fault, what: str, end: Callable[[], None]) -> None:
        """Mend it as long after its beginning as planned."""

        def mend() -> None:
            end()
            self._busy[what] -= 1
            self._soak.note(f"fault {fault.number} is over")

        self._soak.at(self._soak.now + (fault.until - fault.at), mend)

    # the gauges

    def _begin_row(self, fault: Fault, rng: random.Random) -> None:
        gauge = rng.choice(self._soak.gauges)
        dam, how = gauge.dam.id, fault.kind.removeprefix(ROW)
        self._soak.note(f"  at {dam}")
        self.row_faults[dam] = how

        def end() -> None:
            if self.row_faults.get(dam) == how:
                del self.row_faults[dam]
            if rng.random() < 0.6:
                self._mend(gauge)

        self._soak.at(self._soak.now + max(fault.until - fault.at, timedelta(hours=25)), end)

    def _begin_source(self, fault: Fault, rng: random.Random) -> None:
        gauge = rng.choice(self._soak.gauges)
        self._soak.note(f"  at {gauge.dam.id}" if fault.kind != "source-down" else "  at every dam")
        days = fault.until - fault.at
        match fault.kind:
            case "frozen":
                gauge.frozen_until = (self._soak.now + days).date()
                mended = rng.random() < 0.5
                self._until(fault, "source", lambda: self._mend(gauge) if mended else None)
            case "rows-late":
                gauge.silent_until = (self._soak.now + days).date()
                self._until(fault, "source", lambda: self._end_late(gauge))
            case _:
                self._hide_files(
                    fault, [gauge] if fault.kind != "source-down" else list(self._soak.gauges), rng
                )

    def _mend(self, gauge: object) -> None:
        gauge.mend()
        gauge.write(self._soak.site.readings)

    def _end_late(self, gauge: object) -> None:
        gauge.silent_until = None
        day = max(gauge.rows)
        while gauge.arrival(day + timedelta(days=1)) <= self._soak.now:
            day += timedelta(days=1)
            gauge.report(day, None, random.Random(0))
        gauge.write(self._soak.site.readings)

    def _hide_files(self, fault: Fault, gauges: list[object], rng: random.Random) -> None:
        """Take files away, or the whole folder, or put something unreadable in their place."""
        folder: Path = self._soak.site.readings
        who = str(fault.number)
        for gauge in gauges:
            self._soak.troubles.begin(f"source:{gauge.dam.id}", who)
            self._soak.troubles.begin(f"gone:{gauge.dam.id}", who)
        aside = folder.with_name("readings-aside")
        if fault.kind == "source-down":
            folder.rename(aside)
        else:
            for gauge in gauges:
                gauge.lost = True
                path = folder / f"{gauge.dam.id}.csv"
                path.unlink()
                if fault.kind == "file-garbage":
                    path.write_bytes(rng.randbytes(3000))

        def end() -> None:
            if fault.kind == "source-down":
                aside.rename(folder)
            for gauge in gauges:
                gauge.lost = False
                gauge.write(folder)
                self._soak.troubles.end(f"source:{gauge.dam.id}", who)
                self._soak.troubles.end(f"gone:{gauge.dam.id}", who)

        self._until(fault, "source", end)

    # the mail

    def _begin_smtp(self, fault: Fault, rng: random.Random) -> None:
        how = fault.kind.removeprefix("smtp-").removesuffix("-one")
        one = (
            rng.choice(EVERYONE)
            if fault.kind.endswith("-one") or (how == "hang" and rng.random() < 0.5)
            else None
        )
        what = "mail" if one is None else f"mail:{one}"
        self._soak.note(f"  for {one or 'everyone'}")
        self._soak.troubles.begin(what, str(fault.number))
        self._soak.post.set_fault(how, one)
        self._soak.make_hasty(how == "hang")

        def end() -> None:
            self._soak.post.set_fault(None)
            self._soak.make_hasty(False)
            self._soak.troubles.end(what, str(fault.number))

        self._until(fault, "mail", end)

    # the process and its machine

    def _begin_death(self, fault: Fault, rng: random.Random) -> None:
        soak, downtime = self._soak, fault.until - fault.at
        if not soak.daemon.alive or soak.asleep or self._downtime is not None:
            soak.note("  but the daemon is down already")
            return
        if fault.kind == "stop-start":
            soak.stop_gently(downtime)
            return
        self._downtime = downtime
        if fault.kind in ("kill-rcpt", "kill-data"):
            self._kill_at_step(fault.kind.removeprefix("kill-"), rng.randint(1, 4))
            soak.at(soak.now + timedelta(hours=30), lambda: self._kill_now(downtime))
        elif fault.kind == "kill-cycle":
            timer = threading.Timer(rng.uniform(0.0, 0.5), self._signal_kill)
            timer.start()
            soak.drive(soak.now + timedelta(hours=2))
            timer.cancel()  # or else it kills whoever is started next
            timer.join()
            self._kill_now(downtime)
        else:
            self._kill_now(downtime)

    def _kill_at_step(self, step: str, turns: int) -> None:
        left = turns

        def at_step(reached: str) -> None:
            nonlocal left
            left -= reached == step
            if left == 0:
                self._signal_kill()
                time.sleep(0.05)  # the signal is on its way; the answer must not be quicker

        self._soak.post.at_step = at_step

    def _signal_kill(self) -> None:
        pid = self._soak.daemon.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _kill_now(self, downtime: timedelta) -> None:
        if self._downtime is downtime and self._soak.daemon.alive:
            self._soak.daemon.kill()
            self._soak._died()

    def _begin_suspend(self, fault: Fault) -> None:
        soak = self._soak
        if soak.asleep or not soak.daemon.alive or self._downtime is not None:
            soak.note("  but the daemon is down already")
            return
        soak.asleep = True
        soak.troubles.begin("down", "suspend")

        def wake() -> None:
            soak.asleep = False
            if soak.daemon.alive:
                soak.daemon.command(f"sleep {soak.now.isoformat()}")
            soak.troubles.end("down", "suspend")
            soak.note(f"fault {fault.number} is over")

        soak.at(soak.now + (fault.until - fault.at), wake)

    def _begin_clock(self, fault: Fault, rng: random.Random) -> None:
        sign = 1 if fault.kind == "clock-ahead" else -1
        step_s = sign * rng.choice(CLOCK_STEPS_S)
        self._soak.note(f"  by {step_s} s")
        self._soak.troubles.begin("clock", str(fault.number))
        self._set_clock(step_s)

        def end() -> None:
            self._set_clock(0)
            self._soak.troubles.end("clock", str(fault.number))

        self._until(fault, "clock", end)

    def _set_clock(self, offset_s: float) -> None:
        soak = self._soak
        soak.offset_s = offset_s
        if soak.daemon.alive:
            soak.daemon.command(f"offset {offset_s}")

    def _begin_disk(self, fault: Fault) -> None:
        soak = self._soak
        soak.troubles.begin("disk", str(fault.number))
        soak.site.fill(soak.daemon.pid)
        over = soak.now + (fault.until - fault.at)

        def fill_again() -> None:
            if soak.site.full and soak.now < over:
                soak.site.fill(soak.daemon.pid)
                soak.at(soak.now + timedelta(hours=1), fill_again)

        if fault.kind == "disk-fuller":  # whatever is given up is used up too
            soak.at(soak.now + timedelta(hours=1), fill_again)

        def end() -> None:
            soak.site.free(soak.daemon.pid)
            soak.troubles.end("disk", str(fault.number))

        self._until(fault, "disk", end)

    # the forecast

    def hide_model(self) -> None:
        """Take the model out of force: without one, a cycle is quick."""
        active = self._soak.site.state / "models" / "active.json"
        if active.exists():
            active.rename(active.with_suffix(".hidden"))

    def _begin_worker(self, fault: Fault, rng: random.Random) -> None:
        """The model is in force for a day, and its child is killed or left alone."""
        hidden = self._soak.site.state / "models" / "active.hidden"
        hidden.rename(hidden.with_suffix(".json"))
        self._show_whole_records(True)
        if rng.random() < 0.7:
            self._soak.note("  and killed")
            self._killer = _WorkerKiller(lambda: self._soak.daemon.pid, rng)

        def end() -> None:
            self.hide_model()
            self._show_whole_records(False)
            if self._killer is not None:
                self._killer.close()
                self._soak.counts["workers killed"] += self._killer.killed
                self._killer = None

        self._until(fault, "model", end)

    def _show_whole_records(self, whole: bool) -> None:
        for gauge in self._soak.gauges:
            gauge.whole = whole
            gauge.write(self._soak.site.readings)

    # the configuration

    def _begin_edit(self, fault: Fault, rng: random.Random) -> None:
        """A sound edit: one dam's thresholds move."""
        soak = self._soak
        dam = rng.choice(sorted(soak.dams))
        by = rng.choice((-0.2, -0.1, 0.1, 0.2))
        soak.note(f"  {dam} by {by}")
        soak.troubles.begin(f"config:{dam}", str(fault.number))
        soak.dams[dam] = soak.dams[dam].moved(by)
        soak.site.write_configuration(tuple(soak.dams.values()))
        soak.counts["thresholds edited"] += 1
        self._until(fault, "config", lambda: soak.troubles.end(f"config:{dam}", str(fault.number)))

    def _begin_broken(self, fault: Fault, rng: random.Random) -> None:
        soak = self._soak
        how = rng.choice(sorted(_BROKEN))
        name, broken = _BROKEN[how]
        soak.note(f"  {name}: {how}")
        soak.site.write(name, broken(soak.site.texts(tuple(soak.dams.values()))[name]))
        by_signal = rng.random() < 0.5
        if by_signal:
            soak.daemon.hang_up()

        def end() -> None:
            soak.site.write_configuration(tuple(soak.dams.values()))
            if by_signal:
                soak.daemon.hang_up()

        self._until(fault, "config", end)


class _WorkerKiller:
    """Kills the daemon's forecast children, each after a moment of its own."""

    def __init__(self, daemon: Callable[[], int | None], rng: random.Random) -> None:
        self.killed = 0
        self._daemon = daemon
        self._rng = rng
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            for pid in _workers_of(self._daemon()):
                self._stop.wait(self._rng.uniform(0.0, 1.5))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.killed += 1


def _workers_of(parent: int | None) -> list[int]:
    """The forecast children of a process: from /proc, whichever thread started them."""
    found: list[int] = []
    if parent is None:
        return found
    with contextlib.suppress(OSError):
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            for pid in children.read_text().split():
                if _WORKER in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(int(pid))
    return found
