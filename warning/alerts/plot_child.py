"""Draws plots in a child process, so that the daemon never carries matplotlib's memory or its faults."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

TIME_LIMIT_S: Final = 60.0
_PACKAGE_PARENT: Final = Path(__file__).resolve().parents[2]


def draw_in_child(plot_json: str) -> bytes:
    """Return the PNG that `plots.draw` makes of `plot_json`.

    Raises RuntimeError where the child fails and subprocess.TimeoutExpired where it takes a minute;
    a mail then goes out without the picture and says so.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", "warning.alerts.plots"],
        input=plot_json.encode(),
        capture_output=True,
        timeout=TIME_LIMIT_S,
        check=False,
        cwd=_PACKAGE_PARENT,
        start_new_session=True,
    )
    if done.returncode != 0 or not done.stdout:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise RuntimeError(f"the plot's child ended with status {done.returncode}: {words[-1:] or 'no word'}")
    return done.stdout
