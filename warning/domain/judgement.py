"""Hold the observations and the forecast of one dam against its thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from warning.domain.assessment import Assessment, Evidence, ThresholdOutlook
from warning.domain.forecast import Forecast
from warning.domain.observation import Observation, sight
from warning.domain.outlook import Outlook, usable_outlook
from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import LevelThreshold, Reservoir, RiseThreshold, Severity

HOLDING_SHARE = 0.5  # of a forecast rule's probability: below it, the forecast holds nothing up any more
NOT_AWAITED = (
    "sent on the observation, without waiting for the forecast: an update follows where it adds to this"
)
_STRENGTH = {Evidence.FORECAST: 0, Evidence.RISE: 1, Evidence.OBSERVED: 2}


@dataclass(frozen=True, slots=True)
class _Ground:
    """One reason to warn: a threshold and what speaks for it."""

    threshold: LevelThreshold | RiseThreshold
    evidence: Evidence
    observation: Observation | None
    first_day: date
    probability: float | None = None

    @property
    def unconfirmed(self) -> bool:
        return self.observation is not None and not self.observation.confirmed

    @property
    def weight(self) -> tuple[Severity, int, bool, float]:
        """The higher severity decides; of equals the observed, then the believed, then the higher value."""
        value = self.observation.value if self.observation else self.probability or 0.0
        return self.threshold.severity, _STRENGTH[self.evidence], not self.unconfirmed, value


def assess(
    reservoir: Reservoir,
    series: ReadingSeries | None,
    forecast: Forecast | None,
    *,
    now: datetime,
    unwatched_reason: str | None = None,
    before_forecast: bool = False,
) -> Assessment:
    """Judge one dam as of `now` (aware); possible with anything missing.

    Raising: an observation at or above a level threshold, with or without a forecast; a rise per day
    at or above a rise threshold's while the value is at or above its arming value; a probability at or
    above the rule's on a day from today to `within_days` after today. A doubted reading counts as an
    observation here, marked unconfirmed, unless it is what a gauge reports that has nothing to say.

    Holding: an observation, doubted or not, at or above the clear value; a probability of
    `HOLDING_SHARE` of the rule's or more; above the arming value, a rise that is not known to be
    below the clearing one. Evidence that has become stale stays evidence: the dam is then
    unwatched as well. `unwatched_reason` is what the caller knows, such as a source that failed;
    `before_forecast` that no forecast has been asked for yet, which is then not called lost.
    """
    if now.tzinfo is None:
        raise ValueError(f"{reservoir.id}: an assessment needs an aware instant, found {now.isoformat()}")
    today = now.astimezone(reservoir.time_zone).date()
    sighting = sight(series, reservoir.forecast_variable, today, reservoir.stale_after_days)
    outlook, lost = (
        (None, (NOT_AWAITED,)) if before_forecast else usable_outlook(forecast, reservoir.id, today)
    )
    grounds = list(_grounds(reservoir, sighting.observations, outlook))
    ground = max(grounds, key=lambda g: g.weight, default=None)
    shown = ground.observation if ground and ground.observation else sighting.believed
    peak = _peak(shown, outlook)
    held = _held(reservoir, sighting.observations, outlook)
    return Assessment(
        reservoir_id=reservoir.id,
        assessed_at=now,
        severity=ground.threshold.severity if ground else None,
        holding=max([*held, *(g.threshold.severity for g in grounds)], default=None),
        evidence=ground.evidence if ground else None,
        threshold=ground.threshold if ground else None,
        unwatched=unwatched_reason if unwatched_reason is not None else sighting.unwatched,
        observed_value=shown.value if shown else None,
        observed_day=shown.day if shown else None,
        unconfirmed=ground.unconfirmed if ground else False,
        rise_per_day=shown.rise_per_day if shown else None,
        probability=ground.probability if ground else None,
        first_day=ground.first_day if ground else None,
        peak_value=peak[0] if peak else None,
        peak_day=peak[1] if peak else None,
        outlooks=_outlooks(reservoir, sighting.observations, outlook),
        skill=_skill(ground, peak, outlook),
        degraded=(*lost, *([sighting.remark] if sighting.remark else [])),
        newest_doubted=sighting.remark is not None,
        variable=reservoir.forecast_variable,
    )


def _grounds(
    reservoir: Reservoir, observations: tuple[Observation, ...], outlook: Outlook | None
) -> Iterator[_Ground]:
    """Every reason to warn that the evidence gives."""
    for threshold in reservoir.level_thresholds:
        for seen in observations:
            if seen.value >= threshold.value:
                yield _Ground(threshold, Evidence.OBSERVED, seen, seen.day)
        crossing = outlook.rule_crossing(threshold) if outlook else None
        if crossing is not None:
            yield _Ground(threshold, Evidence.FORECAST, None, crossing.first_day, crossing.probability)
    for rise in reservoir.rise_thresholds:
        for seen in observations:
            risen = seen.rise_per_day is not None and seen.rise_per_day >= rise.rise_per_day
            if risen and seen.value >= rise.arming_value:
                yield _Ground(rise, Evidence.RISE, seen, seen.day)


def _held(
    reservoir: Reservoir, observations: tuple[Observation, ...], outlook: Outlook | None
) -> Iterator[Severity]:
    """Severities that may not be called off yet."""
    for threshold in reservoir.level_thresholds:
        observed = any(seen.value >= threshold.clear_value for seen in observations)
        if observed or (outlook is not None and outlook.rule_holds(threshold, HOLDING_SHARE)):
            yield threshold.severity
    for rise in reservoir.rise_thresholds:
        if any(seen.value >= rise.arming_value and not _settled(seen, rise) for seen in observations):
            yield rise.severity


def _settled(seen: Observation, rise: RiseThreshold) -> bool:
    """Whether the rise is known and below the clearing one; an unknown rise is not."""
    return seen.rise_per_day is not None and seen.rise_per_day < rise.clear_rise_per_day


def _outlooks(
    reservoir: Reservoir, observations: tuple[Observation, ...], outlook: Outlook | None
) -> tuple[ThresholdOutlook, ...]:
    """How each level threshold stands, in the configured order."""
    result = []
    for threshold in reservoir.level_thresholds:
        reached = next((seen for seen in observations if seen.value >= threshold.value), None)
        expected = outlook.first_day(threshold) if outlook else None
        result.append(
            ThresholdOutlook(
                threshold=threshold,
                observed=reached is not None,
                probabilities=outlook.probabilities(threshold.value) if outlook else (),
                first_day=reached.day if reached else expected,
            )
        )
    return tuple(result)


def _peak(seen: Observation | None, outlook: Outlook | None) -> tuple[float, date] | None:
    """The highest of the observation and the remaining days' medians; of equals the earliest."""
    points = [(seen.value, seen.day)] if seen else []
    if outlook is not None:
        points += outlook.medians()
    return max(points, key=lambda point: point[0], default=None)


def _skill(ground: _Ground | None, peak: tuple[float, date] | None, outlook: Outlook | None) -> float | None:
    """Skill at the lead of the first forecast crossing, or else of a forecast peak."""
    if outlook is None:
        return None
    if ground is not None and ground.evidence is Evidence.FORECAST:
        return outlook.skill(ground.first_day)
    return outlook.skill(peak[1]) if peak else None
