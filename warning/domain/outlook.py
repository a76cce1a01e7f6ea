"""What is left of a forecast on the day it is read, and what it says of a threshold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from warning.domain.forecast import HORIZON_DAYS, QUANTILE_LEVELS, Forecast
from warning.domain.reservoir import LevelThreshold

_MEDIAN = QUANTILE_LEVELS.index(0.5)


@dataclass(frozen=True, slots=True)
class Crossing:
    """A forecast rule that is met: the first day on which, and the highest probability of its days."""

    first_day: date
    probability: float


@dataclass(frozen=True, slots=True)
class Outlook:
    """A usable forecast; its days before `today` are past and no longer say anything."""

    forecast: Forecast
    today: date

    @property
    def leads(self) -> range:
        """The leads whose day is today or later."""
        past = max((self.today - self.forecast.basis_day).days - 1, 0)
        return range(past + 1, HORIZON_DAYS + 1)

    def probabilities(self, value: float) -> tuple[float, ...]:
        """The probability that `value` is reached, for all seven leads."""
        return tuple(float(p) for p in self.forecast.exceedance_probabilities(value))

    def medians(self) -> list[tuple[float, date]]:
        return [(self._median(lead), self.forecast.valid_day(lead)) for lead in self.leads]

    def rule_crossing(self, threshold: LevelThreshold) -> Crossing | None:
        """Return where the threshold's forecast rule is met, None if nowhere or without a rule."""
        rule = threshold.forecast
        if rule is None:
            return None
        by_day = self._rule_days(threshold)
        met = [day for day, probability in by_day if probability >= rule.probability]
        return Crossing(met[0], max(p for _, p in by_day)) if met else None

    def rule_holds(self, threshold: LevelThreshold, share: float) -> bool:
        """Say whether some day of the rule has at least `share` of the rule's probability."""
        rule = threshold.forecast
        if rule is None:
            return False
        return any(p >= share * rule.probability for _, p in self._rule_days(threshold))

    def first_day(self, threshold: LevelThreshold) -> date | None:
        """Return the first day that meets the rule, or else whose median reaches the value."""
        crossing = self.rule_crossing(threshold)
        if crossing is not None:
            return crossing.first_day
        return next((day for median, day in self.medians() if median >= threshold.value), None)

    def skill(self, day: date) -> float | None:
        """Return the skill at the lead of `day`, None where no lead speaks of it or it is not known."""
        lead = (day - self.forecast.basis_day).days
        if lead not in self.leads:
            return None
        skill = float(self.forecast.skill[lead - 1])
        return skill if np.isfinite(skill) else None

    def _median(self, lead: int) -> float:
        return float(self.forecast.quantiles[lead - 1, _MEDIAN])

    def _rule_days(self, threshold: LevelThreshold) -> list[tuple[date, float]]:
        """The days that the threshold's rule looks at, each with its probability."""
        rule = threshold.forecast
        if rule is None:
            return []
        probabilities = self.probabilities(threshold.value)
        days = [(self.forecast.valid_day(lead), probabilities[lead - 1]) for lead in self.leads]
        return [(day, p) for day, p in days if (day - self.today).days <= rule.within_days]


def usable_outlook(
    forecast: Forecast | None, reservoir_id: str, today: date
) -> tuple[Outlook | None, tuple[str, ...]]:
    """Return what can be used of `forecast`, and in words what is lost or weakened.

    Arrays can be written to after a forecast was made, so finiteness is looked at again.
    """
    unusable = _why_unusable(forecast, reservoir_id, today)
    if forecast is None or unusable is not None:
        return None, (*(forecast.degraded if forecast else ()), f"no forecast: {unusable}")
    weakened = list(forecast.degraded)
    if forecast.out_of_range:
        weakened.append("the readings lie outside what the model was trained on; the bands are widened")
    return Outlook(forecast, today), tuple(weakened)


def _why_unusable(forecast: Forecast | None, reservoir_id: str, today: date) -> str | None:
    if forecast is None:
        return "judged by the observation alone"
    if forecast.reservoir_id != reservoir_id:
        return f"the one at hand is of {forecast.reservoir_id}; judged by the observation alone"
    if not (np.isfinite(forecast.quantiles).all() and np.isfinite(forecast.mean).all()):
        return "its values are not all numbers; judged by the observation alone"
    if not forecast.valid_day(HORIZON_DAYS) >= today:
        return f"the last one ends on {forecast.valid_day(HORIZON_DAYS)}; judged by the observation alone"
    return None
