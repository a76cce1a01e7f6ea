"""The daemon's jobs: their names, and when each is due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from typing import Final
from zoneinfo import ZoneInfo

CYCLE_JOB: Final = "cycle"
DELIVERY_JOB: Final = "delivery"
POLL_JOB: Final = "poll"
HEALTH_JOB: Final = "health"
HEARTBEAT_JOB: Final = "heartbeat"
RETRAINING_JOB: Final = "retraining"
RELOAD_JOB: Final = "reload"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """When each job is due, and for how long each may run before it counts as hanging.

    `heartbeat_at` is None for no heartbeat, `poll_every_s` for no look between the daily cycles.
    """

    daily_at: time
    time_zone: ZoneInfo
    heartbeat_at: time | None
    poll_every_s: float | None
    delivery_every_s: float
    limits_s: Mapping[str, float]
