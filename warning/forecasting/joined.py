"""Many dams' records end to end, so that what is computed for every row is computed for all at once.

Only dams that are alike are joined: their records and scales have the same parts.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from warning.domain.readings import ReadingSeries
from warning.domain.variables import FloatArray, IndexArray, Variable
from warning.forecasting.model import SiteScale


@dataclass(frozen=True, slots=True)
class JoinedSeries(ReadingSeries):
    """Records end to end. `begins` (rows,) is the row that each row's record begins with, `ordinals` its day.

    `starts` (dams,) is where each dam's record begins; `first_day` is that of the first alone.
    """

    starts: IndexArray = field(kw_only=True)
    begins: IndexArray = field(kw_only=True)
    ordinals: IndexArray = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Scales:
    """The scales of the dams that a number of rows belong to: a `SiteScale` whose numbers are (rows, 1)."""

    variable: Variable
    daily_change: FloatArray
    low: FloatArray
    high: FloatArray
    log_flow: Mapping[Variable, tuple[FloatArray, FloatArray]]
    rain_mm: FloatArray
    flow_gain: Mapping[Variable, FloatArray]
    other_change: FloatArray
    season: tuple[FloatArray, ...]
    traits: tuple[FloatArray, ...]
    greatest: Mapping[Variable, FloatArray]


AnyScale: TypeAlias = SiteScale | Scales


def likeness_key(series: ReadingSeries, scale: SiteScale) -> Hashable:
    """Return what must be equal for two dams to be joined."""
    parts = (series.values, series.ahead, scale.log_flow, scale.flow_gain, scale.greatest)
    return scale.variable, scale.rain_mm > 0, scale.other_change > 0, *(frozenset(part) for part in parts)


def joined(records: Sequence[ReadingSeries]) -> JoinedSeries:
    """Return the records of dams that are alike end to end."""
    sizes = np.array([len(record) for record in records])
    starts = np.cumsum(sizes) - sizes
    begins = np.repeat(starts, sizes)
    shift = np.repeat([record.first_day.toordinal() for record in records], sizes) - begins

    def column(part: str) -> dict[Variable, Any]:
        mappings = [getattr(record, part) for record in records]
        return {v: np.concatenate([own[v] for own in mappings]) for v in mappings[0]}

    return JoinedSeries(
        records[0].first_day,
        column("values"),
        column("at_once"),
        column("settled"),
        column("ahead"),
        starts=starts,
        begins=begins,
        ordinals=np.arange(begins.size) + shift,
    )


def scales_of_rows(scales: Sequence[SiteScale], counts: IndexArray) -> Scales:
    """Return the scales of dams that are alike for so many rows of each."""

    def of(values: Sequence[float]) -> FloatArray:
        return np.repeat(np.array(values, np.float64), counts)[:, None]

    first = scales[0]
    return Scales(
        variable=first.variable,
        daily_change=of([s.daily_change for s in scales]),
        low=of([s.low for s in scales]),
        high=of([s.high for s in scales]),
        log_flow={
            v: (of([s.log_flow[v][0] for s in scales]), of([s.log_flow[v][1] for s in scales]))
            for v in first.log_flow
        },
        rain_mm=of([s.rain_mm for s in scales]),
        flow_gain={v: of([s.flow_gain[v] for s in scales]) for v in first.flow_gain},
        other_change=of([s.other_change for s in scales]),
        season=tuple(of([s.season[i] for s in scales]) for i in range(len(first.season))),
        traits=tuple(of([s.traits[i] for s in scales]) for i in range(len(first.traits))),
        greatest={v: of([s.greatest[v] for s in scales]) for v in first.greatest},
    )


def begins_of(series: ReadingSeries) -> IndexArray:
    """Return for each row the row that its dam's record begins with."""
    return series.begins if isinstance(series, JoinedSeries) else np.zeros(len(series), np.intp)


def ordinals_of(series: ReadingSeries, rows: IndexArray) -> IndexArray:
    """Return the ordinals of the days of these rows."""
    if isinstance(series, JoinedSeries):
        return series.ordinals[rows]
    ordinals: IndexArray = rows + series.first_day.toordinal()
    return ordinals
