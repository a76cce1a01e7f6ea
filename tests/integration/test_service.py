"""The daemon as a real process: it catches up, delivers, and stops cleanly on SIGTERM."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from warning.wiring import open_journal

LIMIT_S = 60.0


def start(config: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "warning", "run", "--config", str(config)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds; the limit only ends a test that would never end."""
    limit = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.1)


def fresh_readings(world: Any) -> None:
    """Readings that end today by the machine's clock, so that the running daemon finds them fresh."""
    today = datetime.now(UTC).date()
    for dam, last in (("upper", 42.5), ("lower", 30.0)):
        days = [today - timedelta(days=n) for n in range(120, -1, -1)]
        levels = {day: 30.0 + 0.01 * (n % 7) for n, day in enumerate(days)}
        levels[days[-2]], levels[days[-1]] = 30.0 + (last - 30.0) / 2, last
        world.write_readings(dam, levels)


def last_cycle(world: Any) -> Any:
    journal = open_journal(world.load())
    try:
        return journal.last_cycle()
    finally:
        journal.close()


def test_what_was_cut_off_is_run_again_and_after_a_kill_nothing_is_repeated(world: Any) -> None:
    fresh_readings(world)
    journal = open_journal(world.load())
    cut_off = journal.begin_cycle(datetime.now(UTC), "digest", None)
    journal.close()
    first = start(world.config)
    try:
        wait_for(lambda: any("EMERGENCY" in subject for subject in world.subjects()))
        wait_for(lambda: last_cycle(world).ended_at is not None)
    finally:
        first.kill()
        first.communicate()
    done = last_cycle(world).id
    assert done > cut_off
    log = log_until_ready(world, signal.SIGINT)
    assert last_cycle(world).id == done
    assert sum("EMERGENCY observed:" in subject for subject in world.subjects()) == 1
    assert "event=restarted" in log
    assert "event=stopped" in log
    assert "Traceback" not in log


def test_a_refused_configuration_ends_the_daemon_with_78(world: Any) -> None:
    (world.config / "recipients.toml").write_text("")
    daemon = start(world.config)
    _, log = daemon.communicate(timeout=LIMIT_S)
    assert daemon.returncode == 78
    assert "recipients.toml" in log
    assert "Traceback" not in log


class Systemd:
    """The socket that systemd would bind, and what it has heard there."""

    def __init__(self, address: str) -> None:
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(0.2)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                self.heard.append(self._socket.recv(4096).decode())
            except TimeoutError:
                continue

    def count(self, begins: str) -> int:
        return sum(state.startswith(begins) for state in self.heard)

    def close(self) -> None:
        self._over.set()
        self._thread.join(LIMIT_S)
        self._socket.close()


@contextmanager
def under_systemd(world: Any, *, abstract: bool = False) -> Iterator[tuple[subprocess.Popen[str], Systemd]]:
    """The daemon as systemd would run it, with a watchdog in a hurry; killed at the end if it still runs."""
    address = f"@dam-warning-{os.getpid()}-{id(world)}" if abstract else str(world.folder / "notify")
    systemd = Systemd(address)
    daemon = start(world.config, NOTIFY_SOCKET=address, WATCHDOG_USEC="400000")
    try:
        yield daemon, systemd
    finally:
        daemon.kill()
        daemon.communicate()
        systemd.close()


def edit(world: Any, name: str, old: str, new: str) -> None:
    text = (world.config / name).read_text()
    assert old in text
    (world.config / name).write_text(text.replace(old, new))


def test_systemd_hears_ready_status_watchdog_a_reload_and_the_end(world: Any) -> None:
    fresh_readings(world)
    with under_systemd(world) as (daemon, systemd):
        wait_for(lambda: systemd.count("WATCHDOG=1") >= 3)
        assert systemd.heard[0] == "READY=1"
        assert systemd.heard[1].startswith("STATUS=next cycle ")
        daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: systemd.count("READY=1") == 2)
        reloading = next(n for n, state in enumerate(systemd.heard) if state.startswith("RELOADING=1"))
        at_us = int(systemd.heard[reloading].partition("MONOTONIC_USEC=")[2])
        assert 0 < at_us <= time.monotonic() * 1e6
        assert systemd.heard.index("READY=1", 1) > reloading
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(LIMIT_S) == 0
        wait_for(lambda: systemd.heard[-1] == "STOPPING=1")


def test_a_daemon_that_is_frozen_no_longer_feeds_the_watchdog(world: Any) -> None:
    fresh_readings(world)
    with under_systemd(world, abstract=True) as (daemon, systemd):
        wait_for(lambda: systemd.count("WATCHDOG=1") >= 3)
        daemon.send_signal(signal.SIGSTOP)
        state = Path(f"/proc/{daemon.pid}/stat")
        wait_for(lambda: state.read_text().rpartition(")")[2].split()[0] == "T")
        time.sleep(0.5)  # what was on its way has arrived
        frozen = systemd.count("WATCHDOG=1")
        time.sleep(1.0)
        assert systemd.count("WATCHDOG=1") == frozen
        daemon.send_signal(signal.SIGCONT)
        wait_for(lambda: systemd.count("WATCHDOG=1") > frozen)


def test_an_edited_threshold_is_adopted_and_judged_by_at_once(world: Any) -> None:
    world.write_readings("upper", {})
    fresh_readings(world)
    edit(world, "reservoirs.toml", "value = 42.0\nclear_value = 41.0", "value = 50.0\nclear_value = 49.0")
    with under_systemd(world) as (_, systemd):
        wait_for(lambda: any("Upper dam" in subject for subject in world.subjects()))
        wait_for(lambda: last_cycle(world).ended_at is not None)
        assert not any("EMERGENCY" in subject for subject in world.subjects())
        edit(world, "reservoirs.toml", "value = 50.0\nclear_value = 49.0", "value = 42.0\nclear_value = 41.0")
        wait_for(lambda: any("EMERGENCY" in subject for subject in world.subjects()))
        assert systemd.count("RELOADING=1") == 1
    journal = open_journal(world.load())
    try:
        assert journal.last_cycle().configuration_digest == world.load().digest  # type: ignore[union-attr]
        assert any("value" in change.change.key for change in journal.changes(5, "upper"))
    finally:
        journal.close()


def test_an_invalid_edit_leaves_the_last_good_configuration_in_force_at_a_reload_and_at_a_start(
    world: Any,
) -> None:
    fresh_readings(world)
    with under_systemd(world) as (daemon, systemd):
        wait_for(lambda: any("EMERGENCY" in subject for subject in world.subjects()))
        edit(world, "reservoirs.toml", 'severity = "warning"', 'severity = "wraning"')
        daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: any("edited configuration is refused" in subject for subject in world.subjects()))
        fed = systemd.count("WATCHDOG=1")
        wait_for(lambda: systemd.count("WATCHDOG=1") > fed)
        assert daemon.poll() is None
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(LIMIT_S) == 0
    log = log_until_ready(world)
    assert "event=configuration-refused" in log
    assert "wraning" in log
    assert "event=restarted" not in log  # the run before came to its end


def test_a_state_directory_moves_only_with_a_restart(world: Any) -> None:
    fresh_readings(world)
    with under_systemd(world) as (daemon, systemd):
        wait_for(lambda: systemd.count("READY=1") == 1)
        edit(world, "warning.toml", 'state_directory = "state"', 'state_directory = "elsewhere"')
        daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: systemd.count("READY=1") == 2)
        daemon.send_signal(signal.SIGTERM)
        _, log = daemon.communicate(timeout=LIMIT_S)
    assert "restart the service" in log
    assert not (world.config / "elsewhere").exists()


def log_until_ready(world: Any, number: signal.Signals = signal.SIGTERM) -> str:
    """Start the daemon, stop it in order when it is ready, and return what it said."""
    daemon = start(world.config)
    log: list[str] = []
    try:
        assert daemon.stderr is not None
        while not log or "event=ready" not in log[-1]:
            log.append(daemon.stderr.readline())
            assert log[-1], "the daemon ended before it was ready"
        daemon.send_signal(number)
        log.append(daemon.communicate(timeout=LIMIT_S)[1])
    finally:
        daemon.kill()
    assert daemon.returncode == 0
    return "".join(log)
