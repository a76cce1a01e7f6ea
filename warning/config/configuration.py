"""The whole configuration as plain values, after every check: what the rest of the program is wired from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from warning.domain.delivery import Recipient, RetryPolicy
from warning.domain.reservoir import Reservoir, Severity
from warning.domain.variables import Variable

Device = Literal["auto", "cpu", "cuda"]
WeightRuleName = Literal["published", "decay"]
WeightError = Literal["absolute", "squared"]
Dialect = Literal["auto", "flux", "influxql"]
DailyValue = Literal["last", "mean", "max"]


@dataclass(frozen=True, slots=True)
class CsvSource:
    """Readings come from a folder with one tidy CSV file per dam, named after the dam's id."""

    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredField:
    """The field that holds a variable, the unit it is stored in, and which of a day's readings counts."""

    field: str
    unit: str
    daily: DailyValue


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteBackSettings:
    """Whether what a cycle came to is written back to InfluxDB, and to which measurement."""

    enabled: bool = True
    measurement: str = "dam_forecast"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlookFields:
    """Where forecast rain and planned release stand: one value a day, under the tag of its day of issue."""

    measurement: str = "outlook"
    issued_tag: str = "issued_on"
    fields: Mapping[Variable, StoredField]


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluxdbSource:
    """Readings come from an InfluxDB server; None is the server's own default.

    A reading belongs to the day that begins at `day_starts_at` by the dam's clock; nothing before
    `first_day` is read. `tags` (what the dam tag says) and `capacities_m3` (what 100 % of storage is)
    are by the dam's id; a dam without a tag of its own has its id for one.
    """

    url: str
    dialect: Dialect = "auto"
    token: str | None = field(default=None, repr=False)
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    org: str | None = None
    bucket: str | None = None
    database: str | None = None
    retention_policy: str | None = None
    measurement: str
    dam_tag: str
    fields: Mapping[Variable, StoredField]
    day_starts_at: time = time(0)
    first_day: date = date(1900, 1, 1)
    read_timeout_s: float = 30.0
    deadline_s: float = 300.0
    retries: int = 3
    verify_tls: bool = True
    ca_file: Path | None = None
    proxy: str | None = field(default=None, repr=False)
    write_back: WriteBackSettings = WriteBackSettings()
    outlook: OutlookFields | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    capacities_m3: Mapping[str, float] = field(default_factory=dict)


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

    The daemon trains anew when the model in force is `retrain_every_days` old, never where that is 0.
    `weight_rule` "published" is rule (2)-(6) as printed, where `weight_decay` is 1; "decay" forgets
    old weights by `weight_decay` per known error. Time limits hold for the child process.
    Forecast rain and planned release lie in `outlook_folder`, None where there are none.
    """

    device: Device = "auto"
    time_limit_s: float = 300.0
    train_time_limit_s: float = 7200.0
    weight_rule: WeightRuleName = "decay"
    weight_decay: float = 0.95
    weight_error: WeightError = "squared"
    seed: int = 0
    max_epochs: int = 30
    retrain_every_days: int = 30
    outlook_folder: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """How the daemon says how it is: over HTTP on loopback, by a ping after each cycle, and by mail.

    `listen` is None for nowhere, `heartbeat_at` for no heartbeat. Less free disk, an older model or a
    message that waits longer than said here is told to people.
    """

    listen: tuple[str, int] | None = ("127.0.0.1", 9797)
    ping_url: str | None = field(default=None, repr=False)
    heartbeat_at: time | None = None
    least_free_disk_mb: int = 500
    oldest_model_days: int = 60
    undelivered_minutes: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """For how long the record keeps cycles and forecasts that no alert rests on."""

    cycles_days: int = 730


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What the admin configured. Made by `load_configuration` only; holds secrets, which no repr shows.

    `severities` rise in rank from 1. `digest` is the SHA-256 over the bytes
    of the three files, and `files` their texts by name, which hold references to secrets and never a secret.
    """

    directory: Path
    state_directory: Path
    source: CsvSource | InfluxdbSource
    schedule: Schedule
    forecast: ForecastSettings
    journal_url: str = field(repr=False)
    retry: RetryPolicy
    health: HealthSettings
    retention: RetentionSettings
    severities: tuple[Severity, ...]
    reservoirs: tuple[Reservoir, ...]
    recipients: tuple[Recipient, ...]
    digest: str
    files: Mapping[str, str] = field(repr=False)
