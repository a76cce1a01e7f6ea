"""One alert with all that its texts are made from, and the phrases that several of them share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum, auto

import numpy as np

from warning.alerts.wording import (
    datum_suffix,
    day_text,
    days_away_text,
    known,
    margin_text,
    one_line,
    value_text,
)
from warning.domain.alert import Alert, AlertKind
from warning.domain.assessment import Assessment, Evidence
from warning.domain.forecast import HORIZON_DAYS, QUANTILE_LEVELS, Forecast
from warning.domain.reservoir import LevelThreshold, Reservoir, RiseThreshold, Severity
from warning.domain.variables import Variable


class Scene(Enum):
    """What the reader is told; decides the words, where the alert's kind decides why they come now."""

    OBSERVED = auto()
    RISE = auto()
    FORECAST = auto()
    HELD = auto()  # stands from before; today's evidence alone would not raise it
    CLEAR = auto()
    UNWATCHED = auto()
    WATCHED = auto()
    FINDING = auto()


WARNING_SCENES = (Scene.OBSERVED, Scene.RISE, Scene.FORECAST, Scene.HELD)
_SCENE_OF_KIND = {
    AlertKind.ALL_CLEAR: Scene.CLEAR,
    AlertKind.UNWATCHED: Scene.UNWATCHED,
    AlertKind.WATCHED_AGAIN: Scene.WATCHED,
    AlertKind.FINDING: Scene.FINDING,
    AlertKind.SERVICE: Scene.FINDING,
    AlertKind.HEARTBEAT: Scene.FINDING,
}
_SCENE_OF_EVIDENCE = {
    Evidence.OBSERVED: Scene.OBSERVED,
    Evidence.RISE: Scene.RISE,
    Evidence.FORECAST: Scene.FORECAST,
}


@dataclass(frozen=True, slots=True)
class Case:
    """An alert, its dam, what was seen and forecast, who is told, and when it is told."""

    alert: Alert
    reservoir: Reservoir
    forecast: Forecast | None
    told: Sequence[str]
    now: datetime

    @property
    def scene(self) -> Scene:
        settled = _SCENE_OF_KIND.get(self.alert.kind)
        if settled is not None:
            return settled
        found = self.alert.assessment
        if found is None or found.severity is None or found.evidence is None:
            return Scene.HELD
        if self.alert.severity is not None and found.severity < self.alert.severity:
            return Scene.HELD
        return _SCENE_OF_EVIDENCE[found.evidence]

    @property
    def assessment(self) -> Assessment | None:
        return self.alert.assessment

    @property
    def variable(self) -> Variable:
        return self.reservoir.forecast_variable

    @property
    def dam(self) -> str:
        return one_line(self.reservoir.name) or one_line(self.reservoir.id)

    @property
    def today(self) -> date:
        """The calendar day at the dam."""
        return self.now.astimezone(self.reservoir.time_zone).date()

    @property
    def severity(self) -> Severity | None:
        """The severity that stands after the alert."""
        return self.alert.severity or (self.assessment.severity if self.assessment is not None else None)

    @property
    def severity_name(self) -> str:
        """The standing severity in capitals."""
        return one_line(self.severity.name).upper() if self.severity is not None else "WARNING"

    @property
    def former_name(self) -> str | None:
        """The severity that stood before, in capitals."""
        former = self.alert.previous_severity
        return one_line(former.name).upper() if former is not None else None

    @property
    def threshold(self) -> LevelThreshold | RiseThreshold | None:
        """The threshold that is spoken of: the one that was reached, else the standing severity's own."""
        if self.scene in (Scene.OBSERVED, Scene.RISE, Scene.FORECAST) and self.assessment is not None:
            return self.assessment.threshold
        severity = self.alert.severity if self.scene is not Scene.CLEAR else self.alert.previous_severity
        same = [t for t in self.reservoir.level_thresholds if t.severity == severity]
        return min(same, key=lambda t: t.value, default=None)

    @property
    def observed_value(self) -> float | None:
        return known(self.assessment.observed_value) if self.assessment is not None else None

    @property
    def observed_day(self) -> date | None:
        return self.assessment.observed_day if self.assessment is not None else None

    @property
    def peak_forecast(self) -> tuple[float, date] | None:
        """The highest forecast median and its day; None where nothing higher than today is forecast."""
        if self.assessment is None or self.assessment.peak_day is None:
            return None
        peak = known(self.assessment.peak_value)
        ahead = self.observed_day is None or self.assessment.peak_day > self.observed_day
        return (peak, self.assessment.peak_day) if peak is not None and ahead else None

    @property
    def recedes(self) -> bool:
        """Whether the forecast, to the last day, has no median above the observation."""
        if self.forecast is None or self.observed_value is None:
            return False
        median = self.forecast.quantiles[:, QUANTILE_LEVELS.index(0.5)]
        return bool((median <= self.observed_value).all())

    @property
    def lead_days(self) -> int | None:
        """The lead that the message's forecast speaks of: of the first crossing, else of the peak."""
        if self.forecast is None or self.assessment is None:
            return None
        peak = self.peak_forecast
        wanted = self.assessment.first_day if self.scene is Scene.FORECAST else peak[1] if peak else None
        lead = (wanted - self.forecast.basis_day).days if wanted is not None else 3
        return min(max(lead, 1), HORIZON_DAYS)

    @property
    def skill(self) -> float | None:
        """Model skill at `lead_days`; None where it is not known."""
        if self.forecast is not None and self.lead_days is not None:
            return known(float(np.asarray(self.forecast.skill)[self.lead_days - 1]))
        return known(self.assessment.skill) if self.assessment is not None else None

    def value(self, value: float | None) -> str:
        """`value` with unit."""
        return value_text(value, self.variable)

    def value_at_datum(self, value: float | None) -> str:
        """`value` with unit and datum."""
        return self.value(value) + datum_suffix(self.reservoir)

    def day(self, day: date | None) -> str:
        """`day` and how far it is from today: "Sat 11 Feb (2 days ahead)"."""
        if day is None:
            return "a day not known"
        return f"{day_text(day)} ({days_away_text(day, self.today)})"

    def observation(self) -> str:
        """The newest observation in words, or that there is none."""
        if self.observed_value is None or self.observed_day is None:
            return "no usable observation"
        doubt = ", UNCONFIRMED" if self.assessment is not None and self.assessment.unconfirmed else ""
        return f"observed {self.value_at_datum(self.observed_value)} on {self.day(self.observed_day)}{doubt}"

    def against_threshold(self, value: float | None) -> str:
        """`value` against the level threshold that is spoken of: "0.48 m above spillway crest (274.62 m)"."""
        threshold = self.threshold
        if not isinstance(threshold, LevelThreshold):
            return ""
        name = one_line(threshold.name)
        margin = margin_text(value, threshold.value, self.variable)
        return f"{margin} {name} ({self.value(threshold.value)})"
