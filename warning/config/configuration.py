"""The whole configuration as plain values, after every check: what the rest of the program is wired from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from warning.domain.delivery import Recipient, RetryPolicy
from warning.domain.reservoir import Reservoir, Severity

Device = Literal["auto", "cpu", "cuda"]
WeightRuleName = Literal["published", "decay"]
WeightError = Literal["absolute", "squared"]


@dataclass(frozen=True, slots=True)
class CsvSource:
    """Readings come from a folder with one tidy CSV file per dam, named after the dam's id."""

    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When the daemon works: a cycle at `daily_at` local time, and after each arrival of new readings.

    `poll_minutes` is how often the source is asked for new readings between the daily cycles;
    None asks only once a day. Deliveries that are due are sent every `delivery_every_s` seconds.
    """

    daily_at: time
    time_zone: ZoneInfo
    poll_minutes: int | None
    delivery_every_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastSettings:
    """How the networks are run and trained, and how the experts are weighed.

    `weight_rule` "published" is rule (2)-(6) as printed, where `weight_decay` is 1; "decay" forgets
    old weights by `weight_decay` per known error. Time limits hold for the child process.
    """

    device: Device = "auto"
    time_limit_s: float = 300.0
    train_time_limit_s: float = 7200.0
    weight_rule: WeightRuleName = "decay"
    weight_decay: float = 0.95
    weight_error: WeightError = "squared"
    seed: int = 0
    max_epochs: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What the admin configured. Made by `load_configuration` only; holds secrets, which no repr shows.

    `severities` rise in rank from 1. `digest` is the SHA-256 over the bytes
    of the three files, and `files` their texts by name, which hold references to secrets and never a secret.
    """

    directory: Path
    state_directory: Path
    source: CsvSource
    schedule: Schedule
    forecast: ForecastSettings
    journal_url: str = field(repr=False)
    retry: RetryPolicy
    severities: tuple[Severity, ...]
    reservoirs: tuple[Reservoir, ...]
    recipients: tuple[Recipient, ...]
    digest: str
    files: Mapping[str, str] = field(repr=False)
