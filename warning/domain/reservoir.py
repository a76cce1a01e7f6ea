"""A reservoir as its own staff configured it: limits, thresholds, policy, words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from warning.domain.variables import FORECAST_VARIABLES, Variable


@dataclass(frozen=True, slots=True, order=True)
class Severity:
    """A step of the admin's ordered list of severities; rank 1 is the least."""

    rank: int
    name: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """A closed range that values must lie inside."""

    lower: float
    upper: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lower) and math.isfinite(self.upper) and self.lower < self.upper):
            raise ValueError(f"bounds must be finite and rise, found {self.lower} to {self.upper}")

    def __contains__(self, value: float) -> bool:
        return self.lower <= value <= self.upper  # NaN is in no range


@dataclass(frozen=True, slots=True)
class ForecastRule:
    """Forecast evidence: the exceedance probability of some lead day ≤ `within_days` is ≥ `probability`."""

    probability: float
    within_days: int

    def __post_init__(self) -> None:
        if not 0 < self.probability <= 1:
            raise ValueError(
                f"the probability of a rule must lie above 0 and up to 1, found {self.probability}"
            )
        if not self.within_days >= 1:
            raise ValueError(f"a forecast rule must look at least 1 day ahead, found {self.within_days}")


@dataclass(frozen=True, slots=True)
class LevelThreshold:
    """A value of the forecast variable that must not be reached without a warning.

    An observation at or above `value` is always evidence; a forecast only where `forecast`
    says so. The threshold is left again below `clear_value` (hysteresis).
    """

    name: str
    severity: Severity
    value: float
    clear_value: float
    forecast: ForecastRule | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.clear_value) and self.clear_value <= self.value < math.inf):
            raise ValueError(
                f"threshold {self.name}: the value must be finite and not below the clear value, "
                f"found {self.value} and {self.clear_value}"
            )


@dataclass(frozen=True, slots=True)
class RiseThreshold:
    """A rise of the forecast variable per day that is evidence above an arming value."""

    name: str
    severity: Severity
    rise_per_day: float
    clear_rise_per_day: float
    arming_value: float

    def __post_init__(self) -> None:
        rises = (
            math.isfinite(self.clear_rise_per_day) and self.clear_rise_per_day <= self.rise_per_day < math.inf
        )
        if not (rises and math.isfinite(self.arming_value)):
            raise ValueError(
                f"threshold {self.name}: the rise must be finite and not below the clearing one, found "
                f"{self.rise_per_day} and {self.clear_rise_per_day} above {self.arming_value}"
            )


@dataclass(frozen=True, slots=True)
class ScreeningLimits:
    """Limits of the screening rules; None means "derive it from the record".

    Mappings are by variable; the unit of `rate_per_day` is the variable's own unit per day.
    """

    rate_per_day: Mapping[Variable, float] = field(default_factory=dict)
    spike: Mapping[Variable, float] = field(default_factory=dict)
    sentinels: tuple[float, ...] | None = None
    flat_line_days: int | None = None
    zero_run_days: int | None = None
    gap_days: int | None = None
    level_storage_tolerance_m: float | None = None
    scale_step_factor: float | None = None


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """When a standing warning speaks again, and when it is called off."""

    remind_after_hours: float = 24.0
    update_peak_change: float | None = (
        None  # forecast variable's unit; None: a tenth of the step between thresholds
    )
    update_first_day_change_days: int = 1
    clear_after_days: int = 1  # consecutive daily readings below every clear value before the all-clear


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservoir:
    """One dam. Thresholds and values are in the unit of `forecast_variable`; `datum` names its zero."""

    id: str
    name: str
    time_zone: ZoneInfo
    datum: str
    forecast_variable: Variable
    limits: Mapping[Variable, Bounds]
    level_thresholds: tuple[LevelThreshold, ...]
    rise_thresholds: tuple[RiseThreshold, ...] = ()
    stale_after_days: int = 2
    instructions: Mapping[str, str] = field(default_factory=dict)  # by severity name
    screening: ScreeningLimits = ScreeningLimits()
    policy: AlertPolicy = AlertPolicy()

    def __post_init__(self) -> None:
        if self.forecast_variable not in FORECAST_VARIABLES:
            raise ValueError(f"{self.id}: the forecast variable must be level_m or storage_m3")
        if not self.stale_after_days >= 1:
            raise ValueError(f"{self.id}: stale_after_days must be at least 1")
