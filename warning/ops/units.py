"""What systemd says about a unit, asked through systemctl; nothing where there is no systemd."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime

_PATIENCE_S = 10
_PROPERTIES = ("ActiveState", "Result", "ExecMainStatus", "NRestarts", "ActiveExitTimestamp")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitState:
    """`active`: active, activating, failed …; `left_at` is when it last stopped being active."""

    active: str
    result: str
    exit_status: str
    restarts: int
    left_at: datetime | None


def unit_state(unit: str) -> UnitState | None:
    """Return the state of `unit`, None where systemctl is missing, fails or does not know it."""
    command = ["systemctl", "show", unit, "--timestamp=unix", *(f"--property={name}" for name in _PROPERTIES)]
    try:
        shown = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    pairs = (line.partition("=") for line in shown.stdout.splitlines())
    values = {name: value for name, _, value in pairs}
    if shown.returncode != 0 or not values.get("ActiveState"):
        return None
    restarts = values.get("NRestarts", "")
    return UnitState(
        active=values["ActiveState"],
        result=values.get("Result", ""),
        exit_status=values.get("ExecMainStatus", ""),
        restarts=int(restarts) if restarts.isdecimal() else 0,
        left_at=_instant(values.get("ActiveExitTimestamp", "")),
    )


def _instant(text: str) -> datetime | None:
    """Read `@1763830000`; 0 and nothing mean that it never happened."""
    seconds = text.removeprefix("@")
    return datetime.fromtimestamp(int(seconds), UTC) if seconds.isdecimal() and int(seconds) > 0 else None
