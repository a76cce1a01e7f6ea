"""The daemon as a real process: it catches up, delivers, and stops cleanly on SIGTERM."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from warning.wiring import open_journal

LIMIT_S = 60.0


def start(config: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "warning", "run", "--config", str(config)],
        stderr=subprocess.PIPE,
        text=True,
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_daemon_catches_up_warns_and_stops_cleanly(world: Any, number: signal.Signals) -> None:
    fresh_readings(world)
    daemon = start(world.config)
    try:
        wait_for(lambda: any("EMERGENCY" in subject for subject in world.subjects()))
        wait_for(lambda: last_cycle(world).ended_at is not None)
        daemon.send_signal(number)
        _, log = daemon.communicate(timeout=LIMIT_S)
    finally:
        daemon.kill()
    assert daemon.returncode == 0, log
    assert "event=stopped" in log
    assert "Traceback" not in log


def test_a_daemon_started_again_does_not_repeat_the_cycle_of_the_day(world: Any) -> None:
    fresh_readings(world)
    first = start(world.config)
    try:
        wait_for(lambda: any("EMERGENCY" in subject for subject in world.subjects()))
        wait_for(lambda: last_cycle(world).ended_at is not None)
    finally:
        first.kill()
        first.communicate()
    done = last_cycle(world).id
    second = start(world.config)
    try:
        assert second.stderr is not None
        while "event=ready" not in (line := second.stderr.readline()):
            assert line, "the daemon ended before it was ready"
        second.send_signal(signal.SIGTERM)
        second.communicate(timeout=LIMIT_S)
    finally:
        second.kill()
    assert last_cycle(world).id == done
    assert sum("EMERGENCY observed:" in subject for subject in world.subjects()) == 1


def test_a_cycle_that_was_cut_off_is_run_again_at_the_next_start(world: Any) -> None:
    fresh_readings(world)
    journal = open_journal(world.load())
    cut_off = journal.begin_cycle(datetime.now(UTC), "digest", None)
    journal.close()
    daemon = start(world.config)
    try:
        wait_for(lambda: last_cycle(world).id > cut_off and last_cycle(world).ended_at is not None)
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=LIMIT_S)
    finally:
        daemon.kill()
    assert daemon.returncode == 0


def test_a_refused_configuration_ends_the_daemon_with_78(world: Any) -> None:
    (world.config / "recipients.toml").write_text("")
    daemon = start(world.config)
    _, log = daemon.communicate(timeout=LIMIT_S)
    assert daemon.returncode == 78
    assert "recipients.toml" in log
    assert "Traceback" not in log
