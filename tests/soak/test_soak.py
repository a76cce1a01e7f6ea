"""A month of the daemon's life with every fault of the soak; `tests/benchmarks/soak.py` runs years."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
KINDS = 31


def long_command(folder: Path) -> list[str]:
    command = [sys.executable, str(HERE / "harness.py"), "--days", "25", "--seed", "106", "--short"]
    return [*command, "--faults-per-day", "1.4"]


def test_a_month_of_every_fault_loses_no_warning_and_repeats_none(long_run: Any) -> None:
    done = long_run.finished()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "violations: 0" in done.stdout
    befell = set(re.findall(r"^  fault (\S+): \d+$", done.stdout, re.M))
    assert len(befell) == KINDS, befell
