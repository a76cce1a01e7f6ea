"""What the observations and the forecast mean for a dam: pure, and possible without any forecast."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from warning.domain.reservoir import LevelThreshold, RiseThreshold, Severity
from warning.domain.variables import Variable


class Evidence(StrEnum):
    """What a warning rests on."""

    OBSERVED = "observed"
    RISE = "observed rise"
    FORECAST = "forecast"


@dataclass(frozen=True, slots=True)
class ThresholdOutlook:
    """How one level threshold stands: reached already, or with which probability per lead day.

    `probabilities` has seven entries, or none when there is no forecast. `first_day` is the
    first day on which the value is reached: the observation's day, else the first lead day whose
    probability meets the threshold's rule, else the first whose median lies at or above the value.
    """

    threshold: LevelThreshold
    observed: bool
    probabilities: tuple[float, ...]
    first_day: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """The judgement of one dam in one cycle.

    `severity` is the highest one whose raising evidence is met, None if none is; `holding` the
    highest one that may not be called off yet (hysteresis), never below `severity`. A dam is calm
    only when `severity` is None *and* `unwatched` is None. Values are in the forecast variable's unit.
    `unconfirmed` marks an observation that screening doubts but that stands above a threshold.
    `probability` is the highest one of the days that the deciding forecast rule looks at; None when
    the evidence is observed. `skill` belongs to the lead of `first_day`, or else of the peak.
    `newest_doubted` says that the newest value is doubted or impossible: nothing is called off on it.
    """

    reservoir_id: str
    assessed_at: datetime
    severity: Severity | None
    holding: Severity | None
    evidence: Evidence | None
    threshold: LevelThreshold | RiseThreshold | None
    unwatched: str | None
    observed_value: float | None
    observed_day: date | None
    unconfirmed: bool
    rise_per_day: float | None
    probability: float | None
    first_day: date | None
    peak_value: float | None
    peak_day: date | None
    outlooks: tuple[ThresholdOutlook, ...]
    skill: float | None
    degraded: tuple[str, ...]
    newest_doubted: bool = False
    variable: Variable | None = None

    @property
    def calm(self) -> bool:
        """Whether nobody needs to be told anything: watched, and below everything."""
        return self.severity is None and self.unwatched is None
