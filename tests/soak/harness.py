"""The soak: the daemon lives through simulated years while faults befall it, and every mail is checked.

    python tests/benchmarks/soak.py --days 1000 --seed 1

One process of its own runs the daemon (driver.py) in time that this one makes. This one owns the mail server,
the gauges' files, the configuration and the disk, breaks and mends them as plan.py says, kills the daemon,
and lets oracle.py hold the mailboxes against what is true.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path

from daemon import Daemon
from faults import Befalling, Troubles
from installation import REFUSED, Site, temporary_folder
from oracle import Oracle
from plan import CHECK_AT_UTC, HOURS, Fault, plan
from post import SERVICE, PostOffice
from record import Record
from vitals import Vitals
from watchers import DeadMan, Monitor
from world import FIRST_DAY, HISTORY_DAYS, gauges

RESTART_AFTER = timedelta(minutes=30)  # systemd is quicker; each start costs the harness a second
CALM_END = 5
TRACE_DAYS = 6


class Soak:
    """One run."""

    def __init__(
        self, folder: Path, days: int, seed: int, *, per_day: float, short: bool, without: set[str]
    ) -> None:
        rng = random.Random(seed)
        self.days, self.seed = days, seed
        self.gauges = gauges(days + CALM_END, rng)
        self.dams = {gauge.dam.id: gauge.dam for gauge in self.gauges}
        self.first_day = FIRST_DAY + timedelta(days=HISTORY_DAYS)
        self.now = datetime.combine(self.first_day - timedelta(days=1), time_of_day(CHECK_AT_UTC), tzinfo=UTC)
        self.post = PostOffice(lambda: self.now, frozenset({REFUSED}))
        self.dead_man, self.monitor = DeadMan(), Monitor(self.post.port)
        self.site = Site(
            folder,
            tuple(self.dams.values()),
            mail_port=self.post.port,
            listen=self.monitor.port,
            ping_url=self.dead_man.url,
        )
        self.faults = [
            f for f in plan(self.first_day, days, rng, per_day=per_day, short=short) if f.kind not in without
        ]
        self.troubles = Troubles(lambda: self.now)
        self.oracle = Oracle(self.violated)
        self.record = Record(self.site.record)
        self.vitals = Vitals()
        self.violations: list[str] = []
        self.counts: Counter[str] = Counter()
        self.log: list[tuple[datetime, str]] = []
        self.offset_s = 0.0
        self.asleep = False
        self.daemon = Daemon(self.site, folder / "daemon.log", self._heard_time)
        self._rng = random.Random(seed + 1)
        self._events: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._traced = 0
        self._hasty = False
        self._mails_at_step = 0
        self._befalling = Befalling(self)

    # what happens when

    def at(self, when: datetime, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), action))

    def run(self) -> None:
        self._prepare()
        self.start()
        if not self.daemon.alive:
            raise SystemExit(f"the daemon does not start even without a fault: {self.daemon.last_words()}")
        end = self.now + timedelta(days=self.days + CALM_END)
        while self._events and self._events[0][0] <= end:
            when, _, action = heapq.heappop(self._events)
            self.drive(when)
            action()
        self._finish()

    def _prepare(self) -> None:
        for gauge in self.gauges:
            gauge.write(self.site.readings)
            for day in range(self.days + CALM_END):
                self._plan_row(gauge, self.first_day + timedelta(days=day))
        for day in range(1, self.days + CALM_END + 1):
            self.at(self.now + timedelta(days=day), self.check)
        for fault in self.faults:
            self.at(fault.at, lambda fault=fault: self._befall(fault))
        here = Path(__file__).with_name("model.py")
        day = self.first_day - timedelta(days=1)
        subprocess.run([sys.executable, str(here), str(self.site.config), str(day)], check=True)
        self._befalling.hide_model()

    def _plan_row(self, gauge: object, day: object) -> None:
        def arrive() -> None:
            gauge.report(day, self._befalling.row_faults.get(gauge.dam.id), self._rng)
            gauge.write(self.site.readings)

        self.at(gauge.arrival(day), arrive)

    def _befall(self, fault: Fault) -> None:
        self.log.append((self.now, fault.words))
        self.counts[f"fault {fault.kind}"] += 1
        self._befalling.begin(fault)

    # the daemon

    def _heard_time(self, now: datetime) -> None:
        self.now = max(self.now, now)
        self._mails_at_step = len(self.post.mails)

    def drive(self, until: datetime) -> None:
        """Let the daemon live until then; if it dies on the way, begin what follows from that."""
        if self.daemon.alive and not self.asleep and until > self.now:
            answer = self.daemon.command(f"run {until.isoformat()}")
            if answer is None:
                self._died()
        self.now = max(self.now, until)

    def start(self) -> None:
        """Start the daemon; where it refuses, try again later, as systemd would."""
        answer = self.daemon.start(self.now, self.offset_s)
        self.counts["starts"] += 1
        if answer is None:
            self.counts["starts refused"] += 1
            self.note(f"the daemon did not start: {self.daemon.last_words()}")
            self.at(self.now + RESTART_AFTER, self.start)
            return
        self.vitals.begin_life()
        self.make_hasty(self._hasty)
        self.troubles.end("down", "daemon")

    def make_hasty(self, hasty: bool) -> None:
        """Shorten what the daemon waits for an answer."""
        self._hasty = hasty
        if self.daemon.alive:
            self.daemon.command(f"hasty {'yes' if hasty else 'no'}")

    def _died(self) -> None:
        """Killed, or dead by itself, which is a violation."""
        downtime = self._befalling.expected_death()
        self.post.doubt_since(max(self._mails_at_step, len(self.post.mails) - 8))
        self.post.at_step = lambda step: None
        self.troubles.begin("down", "daemon")
        if downtime is None:
            self.violated(
                f"the daemon ended by itself with {self.daemon.returncode}: {self.daemon.last_words()}"
            )
        self.note("the daemon is dead")
        self.at(self.now + (downtime or RESTART_AFTER), self.start)

    def stop_gently(self, downtime: timedelta) -> None:
        """SIGTERM's way, and a start again."""
        if self.daemon.alive:
            self.troubles.begin("down", "daemon")
            if not self.daemon.stop():
                self.violated(f"the daemon did not stop cleanly: {self.daemon.last_words()}")
            self.at(self.now + downtime, self.start)

    # what is checked

    def check(self) -> None:
        """Hold the day against the oracle."""
        self.counts["days"] += 1
        if self.counts["days"] % 50 == 0:
            print(
                f"seed {self.seed}, day {self.counts['days']}: {len(self.violations)} violations", flush=True
            )
        self.oracle.read(self.post.taken(), self.troubles)
        self.oracle.check(self.now, self.gauges, self.dams, self.troubles)
        self._check_cycle()
        if self.daemon.alive and not self.asleep:
            self._check_endpoints()
            self.vitals.add(self.now, self.daemon.command("look") or {})

    def _check_endpoints(self) -> None:
        """A monitor gets an answer, and the dead-man service no more pings than cycles were complete."""
        status, metrics = self.monitor.ask()
        if status is None or not metrics:
            self.violated(f"no answer to a monitor: {status or self.monitor.trouble}, {metrics} metrics")
        if self.dead_man.pings > self.record.complete:
            self.violated(f"{self.dead_man.pings} pings, but {self.record.complete} complete cycles")

    def _check_cycle(self) -> None:
        """A day has a finished cycle, or somebody is told why not."""
        cycles = self.record.finished_since_last_look()
        self.counts["cycles"] += cycles
        if cycles:
            return
        self.counts["days without a cycle"] += 1
        since = self.now - timedelta(days=1)
        if not self._said_why(since):
            self.at(self.now + timedelta(hours=25), lambda: self._check_explained(since))

    def _check_explained(self, since: datetime) -> None:
        """A day later at the latest, or once the daemon and the mail have been back for so long."""
        settled = timedelta(hours=6)
        if not all(self.troubles.quiet(what, settled) for what in ("down", "mail", "disk", "clock")):
            self.at(self.now + timedelta(hours=6), lambda: self._check_explained(since))
            return
        if not self._said_why(since):
            self.violated(
                f"no cycle was finished on {since + timedelta(days=1):%Y-%m-%d}, and nobody was told why"
            )

    def _said_why(self, since: datetime) -> bool:
        mails = (mail for mail in reversed(self.post.taken()) if mail.at >= since)
        return any(mail.title in (SERVICE, "UNWATCHED", "FINDING") for mail in mails)

    def note(self, text: str) -> None:
        self.log.append((self.now, text))

    def violated(self, what: str) -> None:
        self.violations.append(f"[{self.now:%Y-%m-%d %H:%M}] {what}")
        if len(self.violations) <= 40:
            print(f"VIOLATION seed {self.seed} {self.violations[-1]}", flush=True)
            for when, text in self.log[self._traced :]:
                if self.now - when <= timedelta(days=TRACE_DAYS):
                    print(f"    before that: {when:%Y-%m-%d %H:%M} {text}", flush=True)
            self._traced = len(self.log)

    def _finish(self) -> None:
        self.oracle.read(self.post.taken(), self.troubles)
        if self.oracle.owed():
            self.violated(f"{self.oracle.owed()} warnings are still owed at the end")
        for complaint in self.vitals.complaints():
            self.violated(complaint)
        if self.daemon.alive and not self.daemon.stop():
            self.violated(f"the daemon did not stop cleanly: {self.daemon.last_words()}")
        for complaint in (*self.record.complaints(self.now), *self.daemon.complaints()):
            self.violated(complaint)

    def close(self) -> None:
        self.daemon.kill()
        self._befalling.close()
        self.post.close()
        self.dead_man.close()
        self.site.close()


def summary(soak: Soak, seconds: float) -> str:
    """What the run came to, in words and numbers."""
    lines = [f"seed {soak.seed}: {soak.counts['days']} simulated days in {seconds:.0f} s"]
    lines += [f"  {name}: {count}" for name, count in sorted((soak.counts + soak.oracle.counts).items())]
    lines.append(f"  answers to the monitor: {dict(soak.monitor.answers)}; pings: {soak.dead_man.pings}")
    lines += [f"  {count} x {subject}" for subject, count in soak.oracle.subjects.most_common(25)]
    lines += [f"  {line}" for line in soak.vitals.lines()]
    disk = "of its own" if soak.site.mounted else "limited by RLIMIT_FSIZE"
    lines.append(f"  disk {disk}, {soak.site.used_mb():.0f} MB used at the end")
    lines.append(f"violations: {len(soak.violations)}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--days", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults-per-day", type=float, default=0.7)
    parser.add_argument(
        "--short", action="store_true", help="short faults, so that days between them can be checked"
    )
    parser.add_argument(
        "--without", default="", help=f"kinds to leave out, by comma: {', '.join(sorted(HOURS))}"
    )
    parser.add_argument("--keep", action="store_true", help="keep the folder with the daemon's log")
    options = parser.parse_args()
    began = time.monotonic()
    folder = temporary_folder()
    without = set(filter(None, options.without.split(",")))
    soak = Soak(
        folder,
        options.days,
        options.seed,
        per_day=options.faults_per_day,
        short=options.short,
        without=without,
    )
    try:
        soak.run()
        print(summary(soak, time.monotonic() - began))
    finally:
        soak.close()
        if soak.violations or options.keep:
            print(f"the daemon's log: {folder / 'daemon.log'}")
            shutil.rmtree(folder / "disk", ignore_errors=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if soak.violations else 0


if __name__ == "__main__":
    sys.exit(main())
