"""What a trained model is, as plain arrays and values: no torch, no file format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from warning.domain.reservoir import Bounds, ScreeningLimits
from warning.domain.variables import Variable
from warning.forecasting.weights import WeightRule


@dataclass(frozen=True, slots=True)
class SiteScale:
    """How one dam's values are scaled for the networks, from the model's training part only.

    `daily_change` is the typical size of a day's change and `low`..`high` the range seen, in the
    unit of `variable`; `log_flow` holds centre and spread of log1p of each flow; `rain_mm` a rain scale.
    `flow_gain` is the daily change of `variable` that one m³/s makes; `other_change` the daily change of
    the other of level and storage (0: not reported). `season` holds the harmonics of the usual daily
    change over the year and `traits` the dam's temper, both in daily changes. `greatest` is the largest
    daily change of `variable`, flow and rain seen, in their own units.
    """

    variable: Variable
    daily_change: float
    low: float
    high: float
    log_flow: Mapping[Variable, tuple[float, float]]
    rain_mm: float
    flow_gain: Mapping[Variable, float] = field(default_factory=dict)
    other_change: float = 0.0
    season: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)
    traits: tuple[float, ...] = (0.0, 0.0, 0.0)
    greatest: Mapping[Variable, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """The architecture of one network; `options` are the arguments it is rebuilt from."""

    name: str
    kind: str
    options: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SiteFit:
    """What the model knows about one dam: scales, split days, screening as derived from the training part.

    `train_end` and `validation_end` are the first days after the two parts. `skill` is
    MAE / MAE(persistence) of the pool per lead on the validation part.
    """

    scale: SiteScale
    train_end: date
    validation_end: date
    bounds: Mapping[Variable, Bounds]
    limits: ScreeningLimits
    skill: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class StandingFile:
    """Where the standings of some dams lie: `sites` gives their order, each with its day and fingerprint.

    `experts` are those of the pool, and `rule` the one that their weights follow.
    """

    path: Path
    sha256: str
    experts: tuple[str, ...]
    rule: WeightRule
    sites: Mapping[str, tuple[date, str]]


@dataclass(frozen=True, slots=True)
class Model:
    """A trained fleet model. `states` holds each network's parameters by name, float32."""

    model_id: str
    created_at: datetime
    specs: tuple[NetworkSpec, ...]
    states: Mapping[str, Mapping[str, NDArray[np.float32]]]
    sites: Mapping[str, SiteFit]
    settings: Mapping[str, float | int | str]
    versions: Mapping[str, str]
    standings: tuple[StandingFile, ...] = ()
