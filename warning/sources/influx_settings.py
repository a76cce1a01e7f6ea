"""What the program must know to read its dams from an InfluxDB server."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time
from enum import StrEnum
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from warning.domain.readings import AHEAD_VARIABLES
from warning.domain.variables import Variable

Dialect = Literal["auto", "flux", "influxql"]


class Daily(StrEnum):
    """How the readings of one day become that day's value."""

    LAST = "last"
    MEAN = "mean"
    MAX = "max"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldMapping:
    """Where a variable is stored: value in our unit = `factor` × value as stored."""

    field: str
    factor: float = 1.0
    daily: Daily = Daily.LAST

    def __post_init__(self) -> None:
        if not (math.isfinite(self.factor) and self.factor > 0):
            raise ValueError(f"the factor of field {self.field!r} must be above 0, found {self.factor}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DamMapping:
    """Which series on the server are a dam's: the value its tag has, and a field per variable."""

    reservoir_id: str
    tag_value: str
    time_zone: ZoneInfo
    fields: Mapping[Variable, FieldMapping]

    def __post_init__(self) -> None:
        if not self.fields:
            raise ValueError(f"{self.reservoir_id} is mapped to no field")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlookMapping:
    """Where forecast rain and planned release are stored, beside the readings and under their dam tag.

    A point stands in the day that it speaks of; its tag `issued_tag` holds the day of issue, YYYY-MM-DD.
    """

    measurement: str
    issued_tag: str
    fields: Mapping[Variable, FieldMapping]

    def __post_init__(self) -> None:
        if not self.fields or not self.fields.keys() <= set(AHEAD_VARIABLES):
            found = ", ".join(self.fields) or "nothing"
            raise ValueError(f"an outlook is mapped to {' or '.join(AHEAD_VARIABLES)}, found {found}")


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluxSettings:
    """One InfluxDB server, how to ask it, and what its names mean.

    `bucket` and `org` are for Flux, `database` and `retention_policy` for InfluxQL; None is "the
    server's default", except that the dialect in use needs its own of bucket and database. A token
    goes before user and password. `day_starts_at` is the local clock at which a dam's day begins:
    a reading belongs to the day named by the date of that beginning. `first_day` is how far back a
    reading goes when its caller names no first day. `deadline_s` limits one whole reading,
    `read_timeout_s` each silence within it.
    """

    url: str
    dialect: Dialect = "auto"
    token: str | None = field(default=None, repr=False)
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    org: str | None = None
    bucket: str | None = None
    database: str | None = None
    retention_policy: str | None = None
    measurement: str
    dam_tag: str
    day_starts_at: time = time(0)
    dams: tuple[DamMapping, ...]
    read_timeout_s: float = 30.0
    deadline_s: float = 300.0
    retries: int = 3
    verify_tls: bool = True
    ca_file: Path | None = None
    proxy: str | None = field(default=None, repr=False)  # may carry a password
    first_day: date
    outlook: OutlookMapping | None = None

    def __post_init__(self) -> None:
        if not all(math.isfinite(limit) and limit > 0 for limit in (self.read_timeout_s, self.deadline_s)):
            raise ValueError(
                f"time limits must be above 0 s, found {self.read_timeout_s} and {self.deadline_s}"
            )
        if self.retries < 0:
            raise ValueError(f"retries must be 0 or more, found {self.retries}")
        if self.day_starts_at.tzinfo is not None:
            raise ValueError("day_starts_at is local clock time and takes no time zone")
        for what in ("reservoir_id", "tag_value"):
            counts = Counter(getattr(dam, what) for dam in self.dams)
            twice = sorted(name for name, count in counts.items() if count > 1)
            if twice:
                raise ValueError(f"each dam needs its own {what}, found {', '.join(twice)} more than once")

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field that some dam is mapped to, sorted."""
        return tuple(sorted({m.field for dam in self.dams for m in dam.fields.values()}))

    def dam(self, reservoir_id: str) -> DamMapping | None:
        """Return the mapping of a dam, or None where the source has none for it."""
        return next((dam for dam in self.dams if dam.reservoir_id == reservoir_id), None)
