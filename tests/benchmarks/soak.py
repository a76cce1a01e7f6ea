"""At least 1,000 simulated days of the daemon's life, with faults of every kind, every mail checked.

    python tests/benchmarks/soak.py [--days 1000] [--seed 1]

Takes about half a second of one core per day and needs no network; run by root, it makes a disk of its own
that it can fill. Prints what happened, and each violation with the faults of the days before it; the same
seed brings the same faults. Ends with 1 where anything was violated.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HARNESS = Path(__file__).resolve().parents[1] / "soak" / "harness.py"


def main() -> None:
    os.execv(sys.executable, [sys.executable, str(HARNESS), *sys.argv[1:]])


if __name__ == "__main__":
    main()
