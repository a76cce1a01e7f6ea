"""A record becomes a dam that can be forecast, without any configuration: what is inferred, and said.

Everything derived (limits, scales) comes from the training part; the rest of the record is screened
with it as it would have been day by day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from warning.domain.readings import RawReadings, ReadingSeries
from warning.domain.reservoir import Bounds, ScreeningLimits
from warning.domain.screening import screen
from warning.domain.screening_limits import derive_bounds, derive_limits
from warning.domain.variables import BoolArray, DayArray, Variable
from warning.errors import ForecastError
from warning.forecasting.split import BACKTEST

LEVEL_SHARE = 0.5  # a level with fewer readings than this share of the storage's is not what is watched


@dataclass(frozen=True, slots=True)
class Split:
    """The first days after the training and the validation part; none given: 60, 15 and 25 % of the days."""

    train_end: date | None = None
    validation_end: date | None = None

    def __post_init__(self) -> None:
        given = (self.train_end, self.validation_end)
        if (given[0] is None) != (given[1] is None):
            raise ValueError("give both the end of training and the end of validation, or neither")
        if self.train_end and self.validation_end and not self.train_end < self.validation_end:
            raise ValueError(f"validation must end after training, found {given[1]} and {given[0]}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One dam of a backtest: its screened record, what is forecast, and the parts it is split into.

    `train_end` and `validation_end` are the first days after the two parts; `inferred` says in words
    what was concluded from the record.
    """

    id: str
    series: ReadingSeries
    variable: Variable
    train_end: date
    validation_end: date
    bounds: Mapping[Variable, Bounds]
    limits: ScreeningLimits
    inferred: str


def site_from_record(reservoir_id: str, raw: RawReadings, split: Split) -> Site:
    """Infer what a backtest needs to know of a dam from its record alone.

    Raises ForecastError where the record holds neither level nor storage, or a part has no reading.
    """
    variable, inferred = infer_variable(reservoir_id, raw)
    known = np.isfinite(raw.values[variable])
    train_end, validation_end = _split_days(raw.days[known], split)
    before = raw.until(train_end - timedelta(days=1))
    _require_readings(reservoir_id, raw, known, train_end, validation_end)
    bounds = derive_bounds(before)
    limits = derive_limits(before, bounds)
    return Site(
        id=reservoir_id,
        series=screen(raw, bounds, limits),
        variable=variable,
        train_end=train_end,
        validation_end=validation_end,
        bounds=bounds,
        limits=limits,
        inferred=inferred,
    )


def infer_variable(reservoir_id: str, raw: RawReadings) -> tuple[Variable, str]:
    """Return what to forecast and why: the level, unless it has far fewer readings than the storage.

    Raises ForecastError where there is neither.
    """
    counts = {
        variable: int(np.isfinite(raw.values[variable]).sum()) if variable in raw.values else 0
        for variable in (Variable.LEVEL_M, Variable.STORAGE_M3)
    }
    level, storage = counts[Variable.LEVEL_M], counts[Variable.STORAGE_M3]
    if level == 0 and storage == 0:
        raise ForecastError(
            f"{reservoir_id}: no level_m and no storage_m3 in {raw.days.size} rows; one of them is needed"
        )
    if level == 0:
        return Variable.STORAGE_M3, f"storage ({storage} readings; no level)"
    if level < LEVEL_SHARE * storage:
        return Variable.STORAGE_M3, f"storage ({storage} readings; the level has only {level})"
    return Variable.LEVEL_M, f"level ({level} readings)"


def _split_days(days: DayArray, split: Split) -> tuple[date, date]:
    """The first days after the two parts: as given, or by shares of the days with a reading."""
    if split.train_end is not None and split.validation_end is not None:
        return split.train_end, split.validation_end
    return BACKTEST.ends(np.unique(days))


def _require_readings(
    reservoir_id: str, raw: RawReadings, known: BoolArray, train_end: date, validation_end: date
) -> None:
    days = raw.days[known]
    parts = {
        f"training part, before {train_end}": days < np.datetime64(train_end, "D"),
        f"test part, from {validation_end} on": days >= np.datetime64(validation_end, "D"),
    }
    for name, inside in parts.items():
        if not inside.any():
            raise ForecastError(
                f"{reservoir_id}: no reading in the {name}; the record runs from {days.min()} "
                f"to {days.max()}: split it at other days, or give the dam a longer record"
            )
