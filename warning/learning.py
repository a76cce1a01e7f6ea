"""Training on the configured fleet: what each dam's networks learn from, and how it is divided in time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np

from warning.domain.ahead import FleetOutlooks, ahead_of
from warning.domain.readings import RawReadings
from warning.domain.reservoir import Reservoir
from warning.domain.screening import screen
from warning.domain.screening_limits import derive_bounds, derive_limits
from warning.errors import ForecastError, SourceError
from warning.events import pairs
from warning.forecasting.registry import Registry
from warning.forecasting.split import OPERATION
from warning.forecasting.trainer import TrainingHistory
from warning.sources.source import OutlookSource, ReadingSource

log = logging.getLogger(__name__)


def training_due(registry: Registry, now: datetime, every_days: int) -> bool:
    """Say whether a model is in force and the newest one trained, in force or beaten, is too old.

    The first model is trained by a person, who looks at what it comes to.
    """
    summaries = registry.list()
    trained = [s.created_at for s in summaries if s.created_at is not None and s.created_at <= now]
    if not any(summary.active for summary in summaries):
        return False
    return not trained or now - max(trained) >= timedelta(days=every_days)


def training_histories(
    reservoirs: tuple[Reservoir, ...],
    source: ReadingSource,
    last_day: date,
    outlooks: OutlookSource | None = None,
) -> tuple[dict[str, TrainingHistory], dict[str, str]]:
    """Return what every dam can be trained on up to `last_day`, and why others cannot.

    Outlooks of the past are laid beside the readings, as the daily forecast sees them.
    """
    fleet = source.read([r.id for r in reservoirs], last_day=last_day)
    histories: dict[str, TrainingHistory] = {}
    left_out = dict(fleet.failures)
    known = _read_outlooks(outlooks, list(fleet.readings), last_day)
    for reservoir in reservoirs:
        raw = fleet.readings.get(reservoir.id)
        if raw is None:
            continue
        try:
            histories[reservoir.id] = _knowing(reservoir.id, training_history(reservoir, raw), known)
        except (ForecastError, ValueError) as error:
            left_out[reservoir.id] = str(error)
    return histories, left_out


def training_history(reservoir: Reservoir, raw: RawReadings) -> TrainingHistory:
    """Divide one dam's readings, derive its screening from the training part, and screen all of it.

    Raises ForecastError where the record is too short to divide.
    """
    variable = reservoir.forecast_variable
    column = raw.values.get(variable)
    if column is None:
        raise ForecastError(f"it has no readings of {variable}, its forecast variable in reservoirs.toml")
    train_end, validation_end = OPERATION.ends(np.unique(raw.days[np.isfinite(column)]))
    before = raw.until(train_end - timedelta(days=1))
    bounds = {**derive_bounds(before), **reservoir.limits}
    limits = derive_limits(before, bounds, reservoir.screening)
    return TrainingHistory(
        series=screen(raw, bounds, limits),
        variable=variable,
        bounds=bounds,
        limits=limits,
        train_end=train_end,
        validation_end=validation_end,
    )


def _read_outlooks(source: OutlookSource | None, reservoir_ids: list[str], last_day: date) -> FleetOutlooks:
    """Read what was known ahead; where that fails it is left out, and the daily cycle tells of it."""
    if source is None or not reservoir_ids:
        return FleetOutlooks({})
    try:
        return source.read(reservoir_ids, last_day)
    except SourceError as error:
        log.warning(pairs("outlooks-unread", error=str(error)))
        return FleetOutlooks({})


def _knowing(reservoir_id: str, history: TrainingHistory, outlooks: FleetOutlooks) -> TrainingHistory:
    """Return the history with what was known ahead on its days."""
    found = outlooks.outlooks.get(reservoir_id)
    if found is None:
        return history
    ahead = ahead_of(found, history.series, history.bounds)
    return replace(history, series=replace(history.series, ahead=ahead))


def mean_skill(skill: Mapping[str, tuple[float, ...]]) -> float:
    """Return the geometric mean over dams and leads of MAE / MAE(persistence); NaN when none is known."""
    ratios = np.array([ratio for row in skill.values() for ratio in row], dtype=np.float64)
    known = ratios[np.isfinite(ratios) & (ratios > 0)]
    return float(np.exp(np.log(known).mean())) if known.size else float("nan")


def tell_progress(on_progress: Callable[[str, float], None], message: Mapping[str, Any]) -> None:
    """Pass on what the child says of its progress; it says other things too."""
    if "doing" in message and "share" in message:
        on_progress(str(message["doing"]), float(message["share"]))
