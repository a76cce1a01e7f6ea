"""Readings at any hour become one value a day, on each dam's own calendar.

A dam's day begins at `day_starts_at` on its own clocks, so that a day with a change of the clocks
has 23 or 25 hours; it is named by the date on which it begins. Readings are gathered block by
block in any order and reduced on the way, so that memory grows with days, not with readings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from warning.domain.readings import RawReadings
from warning.domain.variables import DayArray, FloatArray, IndexArray, Variable
from warning.sources.blocks import Block, TimeArray
from warning.sources.influx_settings import Daily, DamMapping

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1)
_YEAR_NS = 31_556_952_000_000_000
_EARLIEST_NS, _LATEST_NS = -9_223_372_036_854_775_806, 9_223_372_036_854_775_806  # InfluxDB's own
_REDUCE_ABOVE = 1 << 16  # readings of one variable at one dam
_RANKS = 1 << 20  # more readings than this at one instant of one dam cannot be told apart

OrdinalArray = NDArray[np.int64]  # days since 1970-01-01


def day_start_ns(day: date, zone: ZoneInfo, day_starts_at: time) -> int:
    """Return when a dam's day begins, in nanoseconds since 1970 UTC, within what InfluxDB can hold."""
    start = datetime.combine(day, day_starts_at, tzinfo=zone)
    return min(max((start - _EPOCH) // timedelta(microseconds=1) * 1000, _EARLIEST_NS), _LATEST_NS)


class FleetDays:
    """The daily readings of some dams, gathered from blocks."""

    def __init__(self, dams: Sequence[DamMapping], day_starts_at: time) -> None:
        self._day_starts_at = day_starts_at
        self._dams = {dam.reservoir_id: dam for dam in dams}
        self._columns: dict[tuple[str, str], list[_Column]] = {}
        self._by_dam: dict[str, dict[Variable, _Column]] = {}
        for dam in dams:
            columns = {v: _Column(mapping.daily, dam.time_zone) for v, mapping in dam.fields.items()}
            self._by_dam[dam.reservoir_id] = columns
            for variable, mapping in dam.fields.items():
                self._columns.setdefault((dam.tag_value, mapping.field), []).append(columns[variable])

    def take(self, blocks: Iterable[Block]) -> None:
        """Add the readings of all `blocks`, or none where they end in an error; skip dams not asked for."""
        staged: dict[int, tuple[_Column, _Column]] = {}
        for block in blocks:
            for column in self._columns.get((block.dam, block.field), ()):
                _, fresh = staged.setdefault(id(column), (column, _Column(column.daily, column.zone)))
                fresh.add(block, self._day_starts_at)
        for column, fresh in staged.values():
            column.absorb(fresh)

    def readings(
        self, reservoir_id: str, first_day: date | None = None, last_day: date | None = None
    ) -> RawReadings:
        """Return a dam's daily readings in our units; a day repeats where its last readings disagree.

        They disagree where several series stand under one dam's tag and hold different values at one
        instant: screening judges them, as it does a repeated day of a file.
        """
        first = _ordinal(first_day or date.min)
        last = _ordinal(last_day or date.max)
        found: dict[Variable, tuple[OrdinalArray, FloatArray]] = {}
        for variable, column in self._by_dam[reservoir_id].items():
            days, values = column.daily_values(self._day_starts_at)
            inside = (days >= first) & (days <= last)
            if inside.any():
                factor = self._dams[reservoir_id].fields[variable].factor
                found[variable] = days[inside], values[inside] * factor
        return _aligned(found)


@dataclass(slots=True)
class _Column:
    """One variable at one dam: readings, or days already reduced, which are readings with a weight."""

    daily: Daily
    zone: ZoneInfo
    pieces: list[_Readings] = field(default_factory=list)
    count: int = 0

    def add(self, block: Block, day_starts_at: time) -> None:
        held = ~np.isnan(block.values)
        times, values = (
            (block.times_ns, block.values) if held.all() else (block.times_ns[held], block.values[held])
        )
        if times.size == 0:
            return
        self.pieces.append(_Readings(times, values, None))
        self.count += times.size
        if self.count > _REDUCE_ABOVE:
            reduced = self._reduced(day_starts_at)[1]
            self.pieces, self.count = [reduced], 0  # count what comes after: days do not grow on repetition

    def absorb(self, other: _Column) -> None:
        self.pieces += other.pieces
        self.count += other.count

    def daily_values(self, day_starts_at: time) -> tuple[OrdinalArray, FloatArray]:
        if not self.pieces:
            return np.empty(0, np.int64), np.empty(0)
        days, readings = self._reduced(day_starts_at)
        return days, readings.values

    def _reduced(self, day_starts_at: time) -> tuple[OrdinalArray, _Readings]:
        readings = _joined(self.pieces)
        days = days_of(readings.times_ns, self.zone, day_starts_at)
        if _ascending(days):
            return days, readings
        order = np.lexsort((readings.times_ns, days))
        days, readings = days[order], readings.at(order)
        starts = np.flatnonzero(np.diff(days, prepend=days[0] - 1))
        return _REDUCE[self.daily](days, readings, starts)


@dataclass(frozen=True, slots=True)
class _Readings:
    """Readings of one variable; `weights` says of how many each is the mean, None of one."""

    times_ns: TimeArray
    values: FloatArray
    weights: FloatArray | None

    def at(self, rows: IndexArray) -> _Readings:
        weights = None if self.weights is None else self.weights[rows]
        return _Readings(self.times_ns[rows], self.values[rows], weights)

    def weighed(self) -> FloatArray:
        return np.ones(self.values.size) if self.weights is None else self.weights


def _joined(pieces: Sequence[_Readings]) -> _Readings:
    if len(pieces) == 1:
        return pieces[0]
    plain = all(piece.weights is None for piece in pieces)
    return _Readings(
        np.concatenate([piece.times_ns for piece in pieces]),
        np.concatenate([piece.values for piece in pieces]),
        None if plain else np.concatenate([piece.weighed() for piece in pieces]),
    )


def _last(days: OrdinalArray, readings: _Readings, starts: IndexArray) -> tuple[OrdinalArray, _Readings]:
    """Keep each day's last reading, and every other value that was read at the same instant."""
    lengths = np.diff(starts, append=days.size)
    last_times = np.repeat(readings.times_ns[starts + lengths - 1], lengths)
    rows = np.flatnonzero(readings.times_ns == last_times)
    if rows.size > starts.size:
        order = rows[np.lexsort((rows, readings.values[rows], days[rows]))]
        same = (np.diff(days[order]) == 0) & (np.diff(readings.values[order]) == 0)
        rows = np.sort(order[np.concatenate(([True], ~same))])
    return days[rows], readings.at(rows)


def _mean(days: OrdinalArray, readings: _Readings, starts: IndexArray) -> tuple[OrdinalArray, _Readings]:
    weights = readings.weighed()
    totals = np.add.reduceat(weights, starts)
    means = np.add.reduceat(readings.values * weights, starts) / totals
    return days[starts], _Readings(readings.times_ns[starts], means, totals)


def _max(days: OrdinalArray, readings: _Readings, starts: IndexArray) -> tuple[OrdinalArray, _Readings]:
    highest = np.maximum.reduceat(readings.values, starts)
    return days[starts], _Readings(readings.times_ns[starts], highest, None)


_REDUCE = {Daily.LAST: _last, Daily.MEAN: _mean, Daily.MAX: _max}


def days_of(times_ns: TimeArray, zone: ZoneInfo, day_starts_at: time) -> OrdinalArray:
    """Return the day that each instant falls into, in days since 1970-01-01."""
    first_year = 1969 + int(times_ns.min()) // _YEAR_NS  # a year to spare on either side
    last_year = 1971 + int(times_ns.max()) // _YEAR_NS
    first, starts = _starts(first_year, last_year, zone, day_starts_at)
    return np.searchsorted(starts, times_ns, side="right") - 1 + first


@lru_cache(maxsize=256)
def _starts(first_year: int, last_year: int, zone: ZoneInfo, day_starts_at: time) -> tuple[int, TimeArray]:
    """Return the first day of the years, since 1970-01-01, and when each day of them begins."""
    first, last = date(first_year, 1, 1), date(last_year, 12, 31)
    days = (first + timedelta(days=i) for i in range((last - first).days + 1))
    starts = [day_start_ns(day, zone, day_starts_at) for day in days]
    return _ordinal(first), np.array(starts, dtype=np.int64)


def _ordinal(day: date) -> int:
    return (day - _EPOCH_DAY).days


def _aligned(found: Mapping[Variable, tuple[OrdinalArray, FloatArray]]) -> RawReadings:
    """Bring the variables onto one calendar: each day that any has, as often as any has it."""
    if not found:
        return RawReadings(_dates(np.empty(0, np.int64)), {})
    calendars = [days for days, _ in found.values()]
    first = calendars[0]
    if all(np.array_equal(first, days) for days in calendars[1:]) and _ascending(first):
        return RawReadings(_dates(first), {variable: values for variable, (_, values) in found.items()})
    keys = {variable: _keys(days) for variable, (days, _) in found.items()}
    every = np.unique(np.concatenate(list(keys.values())))
    columns: dict[Variable, FloatArray] = {}
    for variable, (_, values) in found.items():
        column = np.full(every.size, np.nan)
        column[np.searchsorted(every, keys[variable])] = values
        columns[variable] = column
    return RawReadings(_dates(every // _RANKS), columns)


def _keys(days: OrdinalArray) -> OrdinalArray:
    """Number the rows of each day, so that a repeated day's rows can be told apart."""
    rows = np.arange(days.size)
    begins = np.diff(days, prepend=days[0] - 1) != 0
    return days * _RANKS + rows - np.maximum.accumulate(np.where(begins, rows, 0))


def _ascending(days: OrdinalArray) -> bool:
    return bool((days[1:] > days[:-1]).all())


def _dates(ordinals: OrdinalArray) -> DayArray:
    return ordinals.astype("datetime64[D]")
