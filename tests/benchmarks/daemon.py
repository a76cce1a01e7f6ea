"""The daemon's memory and start, beside a bare interpreter and one that has imported torch.

    python tests/benchmarks/daemon.py

Starts the real daemon on the demo's simulated dams, without a model, and reads its memory from /proc
once its first cycle and delivery are done. Times are the best of five. Prints figures and ratios.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from warning.config.loading import load_configuration
from warning.demo.configuration import write_configuration
from warning.demo.files import write_fleet
from warning.demo.mailbox import Mailbox
from warning.demo.simulation import simulate_fleet
from warning.wiring import open_journal

ROUNDS = 5
MIB = 1024.0


def seconds(*words: str) -> float:
    """The best wall time of a command over `ROUNDS` runs."""
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        subprocess.run([sys.executable, *words], capture_output=True, check=True)
        best = min(best, time.perf_counter() - begin)
    return best


def resident_mib(pid: int) -> tuple[float, float]:
    """Resident memory now and at its peak."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return tuple(int(fields[name].split()[0]) / MIB for name in ("VmRSS", "VmHWM"))  # type: ignore[return-value]


def memory_after(code: str) -> float:
    """Resident memory of an interpreter that has run `code`."""
    script = f"{code}\nimport time; print('ready', flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    resident, _ = resident_mib(child.pid)
    child.kill()
    child.wait()
    return resident


def daemon(folder: Path) -> tuple[float, float, float]:
    """Seconds from start to ready, memory at rest and peak memory of the real daemon."""
    with Mailbox(folder / "mailbox") as mailbox:
        readings = write_fleet(simulate_fleet(), folder).readings
        write_configuration(
            folder / "config",
            readings=readings,
            state_directory=folder / "state",
            mail_port=mailbox.port,
            max_epochs=1,
        )
        begin = time.perf_counter()
        command = [sys.executable, "-m", "warning", "run", "--config", str(folder / "config")]
        child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert child.stderr is not None
        while "event=ready" not in child.stderr.readline():
            pass
        ready_s = time.perf_counter() - begin
        while "event=armed" not in child.stderr.readline():
            pass
        journal = open_journal(load_configuration(folder / "config"))
        while journal.recent_deliveries(1, unsettled=True):
            time.sleep(0.2)
        journal.close()
        time.sleep(2.0)
        now, peak = resident_mib(child.pid)
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=60)
    return ready_s, now, peak


def main() -> None:
    bare_s, help_s = seconds("-c", "pass"), seconds("-m", "warning", "--help")
    print(f"--help: {help_s:.3f} s, a bare interpreter {bare_s:.3f} s ({help_s / bare_s:.1f} times)")
    with tempfile.TemporaryDirectory() as name:
        ready_s, now, peak = daemon(Path(name))
    with_torch = memory_after("import torch")
    bare = memory_after("pass")
    print(f"daemon: ready after {ready_s:.2f} s")
    print(f"memory: {now:.0f} MiB at rest after a cycle with mails, {peak:.0f} MiB at its peak;")
    print(f"        a bare interpreter {bare:.0f} MiB ({now / bare:.1f} times),")
    print(f"        an interpreter with torch {with_torch:.0f} MiB ({with_torch / now:.1f} times the daemon)")


if __name__ == "__main__":
    main()
