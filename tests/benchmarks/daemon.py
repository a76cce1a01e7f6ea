"""The daemon's memory and start, beside a bare interpreter and one that has imported torch.

    python tests/benchmarks/daemon.py

Starts the real daemon on the demo's simulated dams, first without a model, then with one, then reading
from a stand-in for InfluxDB, and reads its memory from /proc once its first cycle and deliveries are done.
Times are the best of five.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "influx"))

from annotated_server import StandIn, readings

from warning.clock import SystemClock
from warning.config.loading import load_configuration
from warning.demo.configuration import write_configuration
from warning.demo.dams import DAMS
from warning.demo.files import write_fleet
from warning.demo.mailbox import Mailbox
from warning.demo.simulation import SimulatedFleet, simulate_fleet
from warning.domain.variables import Variable
from warning.wiring import open_journal, train_fleet

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


def daemon(config: Path) -> tuple[float, float, float]:
    """Seconds from start to ready, memory at rest and peak memory of the real daemon after its cycle."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "warning", "run", "--config", str(config)]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    while "event=ready" not in child.stderr.readline():
        pass
    ready_s = time.perf_counter() - begin
    while "event=armed" not in child.stderr.readline():
        pass
    journal = open_journal(load_configuration(config))
    while journal.recent_deliveries(1, unsettled=True):
        time.sleep(0.2)
    journal.close()
    time.sleep(2.0)
    now, peak = resident_mib(child.pid)
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=60)
    return ready_s, now, peak


def measure(folder: Path, mailbox: Mailbox) -> dict[str, tuple[float, float, float]]:
    """Run the daemon without a model, then with one, then on a server; each time on a fresh record."""
    fleet = simulate_fleet()
    files = write_fleet(fleet, folder).readings
    figures = {}
    for name in ("first start, no model", "with a model"):
        write_configuration(
            folder / "config",
            readings=files,
            state_directory=folder / "state",
            mail_port=mailbox.port,
            max_epochs=1,
        )
        if name == "with a model":
            configuration = load_configuration(folder / "config")
            train_fleet(configuration, fleet.eve, SystemClock().now(), lambda what, share: None)
            _begin_anew(folder / "state")
        figures[name] = daemon(folder / "config")
    with StandIn(_tables(fleet)) as server:
        _read_from(server.url, folder / "config")
        _begin_anew(folder / "state")
        figures["with a model, reading from InfluxDB"] = daemon(folder / "config")
    return figures


def _tables(fleet: SimulatedFleet) -> list[object]:
    """The levels of all dams as a server answers with them."""
    tables: list[object] = []
    for dam in DAMS:
        level = fleet[dam.id].values[Variable.LEVEL_M]
        last = fleet[dam.id].row(fleet.eve)
        days = [fleet.eve - timedelta(days=last - row) for row in range(last + 1)]
        rows = [(f"{day}T06:00:00Z", float(level[row])) for row, day in enumerate(days)]
        tables.append(readings(dam.id, "level", rows))
    return tables


def _read_from(url: str, config: Path) -> None:
    path = config / "warning.toml"
    head, _, rest = path.read_text().partition("[source]")
    path.write_text(
        f'{head}[source]\nkind = "influxdb"\nurl = "{url}"\ndialect = "flux"\ntoken = "env:BENCHMARK_TOKEN"\n'
        'org = "o"\nbucket = "b"\nmeasurement = "dams"\ndam_tag = "dam"\nwrite_back.enabled = false\n'
        'fields.level_m = { field = "level", unit = "m" }\n\n[schedule]' + rest.partition("[schedule]")[2]
    )


def _begin_anew(state: Path) -> None:
    """Take the record away, so that the next start runs a cycle and sends the same mails again."""
    for path in state.glob("journal.sqlite3*"):
        path.unlink()


def main() -> None:
    os.environ["BENCHMARK_TOKEN"] = "token"
    bare_s, help_s = seconds("-c", "pass"), seconds("-m", "warning", "--help")
    print(f"--help: {help_s:.3f} s, a bare interpreter {bare_s:.3f} s ({help_s / bare_s:.1f} times)")
    bare, with_torch = memory_after("pass"), memory_after("import torch")
    print(f"memory of a bare interpreter {bare:.0f} MiB, of one with torch {with_torch:.0f} MiB")
    with tempfile.TemporaryDirectory() as name, Mailbox(Path(name) / "mailbox") as mailbox:
        for case, (ready_s, now, peak) in measure(Path(name), mailbox).items():
            print(
                f"daemon, {case}: ready after {ready_s:.2f} s; {now:.0f} MiB at rest after a cycle and mails "
                f"({with_torch / now:.1f} times less than torch alone), {peak:.0f} MiB at its peak"
            )


if __name__ == "__main__":
    main()
