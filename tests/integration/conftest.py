"""A small configured world: two dams, a folder of readings, and a mailbox on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from warning.clock import FixedClock
from warning.config.configuration import Configuration
from warning.config.loading import load_configuration
from warning.cycle import Outcome
from warning.demo.mailbox import Mailbox
from warning.wiring import wired

ZONE = ZoneInfo("Asia/Kolkata")
FIRST_DAY = date(2024, 1, 1)
DAYS = 200
TODAY = FIRST_DAY + timedelta(days=DAYS - 1)

WARNING_TOML = """\
state_directory = "state"

[source]
kind = "csv"
folder = "readings"

[schedule]
daily_at = 06:00:00
time_zone = "Asia/Kolkata"
delivery_every_s = 1

[mail]
host = "127.0.0.1"
port = {port}
security = "none"
from_address = "dam-warning@example.org"

[health]
listen = "off"
"""

DAM_TOML = """\
[reservoirs.{id}]
name = "{name}"
time_zone = "Asia/Kolkata"
datum = "local gauge"
forecast_variable = "level_m"

[reservoirs.{id}.limits]
level_m = [0.0, 60.0]

[[reservoirs.{id}.thresholds]]
name = "full"
severity = "warning"
value = 40.0
clear_value = 39.0

[[reservoirs.{id}.thresholds]]
name = "crest"
severity = "emergency"
value = 42.0
clear_value = 41.0

[reservoirs.{id}.instructions]
warning = "Open gate 3."
emergency = "Clear the valley."
"""

RECIPIENTS_TOML = """\
[recipients.control_room]
name = "Control room"
email = "control.room@example.org"
least_severity = "warning"
reservoirs = "all"
findings = true
"""


@dataclass(frozen=True)
class World:
    """The folder of the world and its mailbox; cycles run as of noon of a day."""

    folder: Path
    mailbox: Mailbox
    today: date = TODAY

    @property
    def config(self) -> Path:
        return self.folder / "config"

    def crossing(self, level_m: float, days: int = 3) -> dict[date, object]:
        """Calm readings that rise to `level_m` over the last `days`."""
        levels = calm_levels()
        for step in range(days):
            share = (step + 1) / days
            levels[TODAY - timedelta(days=days - 1 - step)] = f"{30.0 + share * (level_m - 30.0):.2f}"
        return levels

    def load(self) -> Configuration:
        return load_configuration(self.config)

    def write_readings(self, dam: str, levels: Mapping[date, object]) -> None:
        rows = "".join(f"{day.isoformat()},{value}\n" for day, value in sorted(levels.items()))
        (self.config / "readings" / f"{dam}.csv").write_text("date,level_m\n" + rows)

    def cycle(self, day: date = TODAY, *, deliver: bool = True) -> dict[str, Outcome]:
        clock = FixedClock(datetime(day.year, day.month, day.day, 12, tzinfo=ZONE))
        with wired(self.load(), clock) as parts:
            outcomes = parts.run_cycle()
            if deliver:
                parts.deliver(threading.Event())
        return {outcome.reservoir.id: outcome for outcome in outcomes}

    def subjects(self) -> list[str]:
        return [mail.subject for mail in self.mailbox.messages()]


def calm_levels(level_m: float = 30.0, days: int = DAYS) -> dict[date, object]:
    """Readings that wander a little around `level_m`, the same every time."""
    wander = np.cumsum(np.random.default_rng(5).normal(0.0, 0.05, days))
    wander -= np.linspace(0.0, wander[-1], days)
    return {FIRST_DAY + timedelta(days=i): f"{level_m + wander[i]:.2f}" for i in range(days)}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Mailbox(tmp_path / "mailbox") as mailbox:
        config = tmp_path / "config"
        (config / "readings").mkdir(parents=True)
        (config / "warning.toml").write_text(WARNING_TOML.format(port=mailbox.port))
        dams = [DAM_TOML.format(id=i, name=n) for i, n in (("upper", "Upper dam"), ("lower", "Lower dam"))]
        (config / "reservoirs.toml").write_text("\n".join(dams))
        (config / "recipients.toml").write_text(RECIPIENTS_TOML)
        made = World(tmp_path, mailbox)
        for dam in ("upper", "lower"):
            made.write_readings(dam, calm_levels())
        yield made


@pytest.fixture(scope="session", autouse=True)
def quick_pictures(drawn_once: None) -> None:
    """Cycles that run in this process spend no second on each picture."""
