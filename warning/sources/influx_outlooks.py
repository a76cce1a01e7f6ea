"""Outlooks from an InfluxDB server: forecast rain and planned release, in a measurement of their own.

A point stands in the day that it speaks of, by the dam's own calendar as readings do, and a tag holds the
day of issue: with a field in its place, each issue would replace the one before. One query for the whole
fleet, its answer reduced on the way to what can ever be used, and used only after a clean end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache, partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from warning.domain.ahead import OLDEST_DAYS, FleetOutlooks, Outlooks
from warning.domain.forecast import HORIZON_DAYS
from warning.domain.variables import DayArray, FloatArray, Variable
from warning.sources import annotated_csv, flux, influxql
from warning.sources.blocks import Block
from warning.sources.daily import day_start_ns, days_of
from warning.sources.influx_asking import ask_flux, flux_bucket, take_in_spans
from warning.sources.influx_dialect import Dialect, dialect_of
from warning.sources.influx_settings import DamMapping, InfluxSettings, OutlookMapping
from warning.sources.influx_transport import InfluxTransport
from warning.sources.outlook_folder import day_in

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_DAY: Final = np.iinfo(np.int64).min
_FARTHEST: Final = HORIZON_DAYS + OLDEST_DAYS
_SHOWN: Final = 3
_MOST_TEXTS: Final = 100

Ordinals = NDArray[np.int64]  # days since 1970-01-01


class InfluxOutlooks:
    """Reads the outlooks of the dams that the settings map to a server's series."""

    def __init__(self, settings: InfluxSettings) -> None:
        self.settings = settings

    def read(self, reservoir_ids: Sequence[str], last_day: date) -> FleetOutlooks:
        """Read what was issued up to `last_day` for the dams asked for, since the settings' first day.

        Raises SourceError when the answer as a whole is not to be trusted.
        """
        mapping = self.settings.outlook
        dams = [dam for dam in self.settings.dams if dam.reservoir_id in set(reservoir_ids)]
        if mapping is None or not dams:
            return FleetOutlooks({})
        # the question is that for readings, of another measurement
        asked = replace(self.settings, measurement=mapping.measurement)
        with InfluxTransport(asked) as transport:
            return _Reading(transport, mapping, dams, last_day).gather()


class _Reading:
    """One reading of a fleet's outlooks."""

    def __init__(
        self, transport: InfluxTransport, mapping: OutlookMapping, dams: Sequence[DamMapping], last_day: date
    ) -> None:
        self._transport = transport
        self._settings = transport.settings
        self._mapping = mapping
        self._dams = dams
        self._last_day = last_day
        self._ends_at = transport.deadline()
        self._fields = sorted({one.field for one in mapping.fields.values()})
        self._held = {dam.tag_value: _DamOutlooks(dam, mapping, self._settings, last_day) for dam in dams}
        self._where = f"{transport.where}: the measurement {mapping.measurement!r}"

    def gather(self) -> FleetOutlooks:
        """Ask the server; raises SourceError unless every row has come."""
        dialect = dialect_of(self._transport)
        absent: list[str] = []
        if dialect.flux:
            self._take(self._flux_blocks())
        else:
            types = influxql.field_types(self._transport, self._settings, self._ends_at)
            influxql.refuse_mixed_types(self._where, self._fields, types)
            absent = sorted(set(self._fields) - types.keys())
            take_in_spans(self._begin_ns(), self._until_ns, partial(self._take_span, dialect))
        found = {
            held.dam.reservoir_id: outlooks
            for held in self._held.values()
            if (outlooks := held.outlooks(self._where)) is not None
        }
        return FleetOutlooks(found, troubles=tuple(self._troubles(found.keys() != set(), absent)))

    def _troubles(self, anything: bool, absent: Sequence[str]) -> Iterator[str]:
        if absent:
            names = " or ".join(map(repr, absent))
            yield f"{self._where} has no field {names}; correct source.outlook, or see to what writes it"
        elif not anything:
            yield (
                f"{self._where} holds no outlook of any dam since {self._settings.first_day}; see to what "
                "writes them, or remove source.outlook from warning.toml"
            )

    def _take_span(self, dialect: Dialect, begin_ns: int, after_ns: int | None) -> None:
        statement = influxql.select_readings(
            self._settings,
            self._fields,
            [dam.tag_value for dam in self._dams],
            from_ns=begin_ns,
            until_ns=self._until_ns() if after_ns is None else after_ns,
            bind=dialect.binds_params,
            issued_tag=self._mapping.issued_tag,
        )
        series = influxql.ask(
            self._transport,
            self._settings,
            statement,
            empty_body=dialect.says_nothing_when_empty,
            ends_at=self._ends_at,
        )
        where = f"{self._transport.where}/query"
        self._take(influxql.read_blocks(series, self._settings.dam_tag, where, self._mapping.issued_tag))

    def _flux_blocks(self) -> Iterator[Block]:
        query = flux.fleet_query(
            bucket=flux_bucket(self._transport),
            measurement=self._mapping.measurement,
            fields=self._fields,
            dam_tag=self._settings.dam_tag,
            dams=[dam.tag_value for dam in self._dams],
            start=_EPOCH + timedelta(microseconds=self._begin_ns() // 1000),
            stop=_EPOCH + timedelta(microseconds=self._until_ns() // 1000),
            issued_tag=self._mapping.issued_tag,
        )
        pieces = ask_flux(self._transport, query, self._ends_at)
        where = f"{self._transport.where}{flux.QUERY_PATH}"
        return annotated_csv.read_blocks(pieces, self._settings.dam_tag, where, self._mapping.issued_tag)

    def _take(self, blocks: Iterable[Block]) -> None:
        """Add what `blocks` hold, or nothing where they end in an error; dams not asked for are skipped."""
        staged = {tag: held.empty() for tag, held in self._held.items()}
        for block in blocks:
            if block.dam in staged:
                staged[block.dam].add(block)
        for tag, fresh in staged.items():
            self._held[tag].absorb(fresh)

    def _begin_ns(self) -> int:
        return min(self._starts_ns(self._settings.first_day))

    def _until_ns(self) -> int:
        last_day = max(self._last_day, self._settings.first_day)
        return max(self._starts_ns(last_day + timedelta(days=_FARTHEST + 1)))

    def _starts_ns(self, day: date) -> list[int]:
        zones = {dam.time_zone for dam in self._dams}
        return [day_start_ns(day, zone, self._settings.day_starts_at) for zone in zones]


@dataclass(slots=True)
class _DamOutlooks:
    """One dam's outlooks as far as they have come: those alone that a forecast can ever use."""

    dam: DamMapping
    mapping: OutlookMapping
    settings: InfluxSettings
    last_day: date
    pieces: dict[Variable, list[tuple[Ordinals, Ordinals, FloatArray]]] = field(default_factory=dict)
    no_days: dict[str, int] = field(default_factory=dict)

    def empty(self) -> _DamOutlooks:
        return _DamOutlooks(self.dam, self.mapping, self.settings, self.last_day)

    def absorb(self, other: _DamOutlooks) -> None:
        for variable, pieces in other.pieces.items():
            self.pieces.setdefault(variable, []).extend(pieces)
        for text, count in other.no_days.items():
            self.no_days[text] = self.no_days.get(text, 0) + count

    def add(self, block: Block) -> None:
        texts = block.issued or ("",) * block.values.size
        issued = np.array([_ordinal(text) for text in texts], np.int64)
        held = ~np.isnan(block.values)
        for row in np.flatnonzero(held & (issued == _NO_DAY)).tolist():
            text = texts[row] if texts[row] in self.no_days or len(self.no_days) < _MOST_TEXTS else "…"
            self.no_days[text] = self.no_days.get(text, 0) + 1
        held &= (issued != _NO_DAY) & (issued <= _ordinal(self.last_day.isoformat()))
        if not held.any():
            return
        issued = issued[held]
        valid = days_of(block.times_ns[held], self.dam.time_zone, self.settings.day_starts_at)
        usable = (valid >= issued) & (valid <= issued + _FARTHEST)
        for variable, stored in self.mapping.fields.items():
            if stored.field == block.field and usable.any():
                values = block.values[held][usable] * stored.factor
                self.pieces.setdefault(variable, []).append((issued[usable], valid[usable], values))

    def outlooks(self, where: str) -> Outlooks | None:
        """Return what came, None where nothing did."""
        tag = self.mapping.issued_tag
        complaints = [
            f"{count} values of {where} whose tag {tag!r} says {text!r}, expected a day of issue, YYYY-MM-DD"
            for text, count in self.no_days.items()
        ]
        columns = []
        for variable, pieces in self.pieces.items():
            one, doubled = _one_a_day(*(np.concatenate(part) for part in zip(*pieces, strict=True)))
            columns.append((variable, *one))
            if doubled:
                complaints.append(
                    f"{len(doubled)} days of {variable} with more than one value of one issue, left out: "
                    f"{', '.join(doubled[-_SHOWN:])}; write one point a day, with the sum of its rain"
                )
        if not columns and not complaints:
            return None
        return _together(columns, tuple(complaints))


def _one_a_day(
    issued: Ordinals, valid: Ordinals, values: FloatArray
) -> tuple[tuple[Ordinals, Ordinals, FloatArray], list[str]]:
    """Return the values that stand alone in their day and issue, and in words the days where others do."""
    order = np.lexsort((valid, issued))
    issued, valid, values = issued[order], valid[order], values[order]
    starts = np.flatnonzero((np.diff(issued, prepend=issued[:1] - 1) != 0) | (np.diff(valid, prepend=0) != 0))
    alike = np.minimum.reduceat(values, starts) == np.maximum.reduceat(values, starts)
    days = np.datetime64("1970-01-01", "D") + valid[starts[~alike]]
    kept = starts[alike]
    return (issued[kept], valid[kept], values[kept]), [str(day) for day in days]


def _together(
    columns: Sequence[tuple[Variable, Ordinals, Ordinals, FloatArray]], complaints: tuple[str, ...]
) -> Outlooks:
    """Put the variables below one another: where one has a value, the other has none."""
    sizes = [issued.size for _, issued, _, _ in columns]
    values = {variable: np.full(sum(sizes), np.nan) for variable, *_ in columns}
    ends = np.cumsum(sizes)
    for end, (variable, issued, _, own) in zip(ends.tolist(), columns, strict=True):
        values[variable][end - issued.size : end] = own
    days = [np.concatenate([column[i] for column in columns] or [np.empty(0, np.int64)]) for i in (1, 2)]
    return Outlooks(_dates(days[0]), _dates(days[1]), values, complaints)


def _dates(ordinals: Ordinals) -> DayArray:
    return ordinals.astype("datetime64[D]")


@lru_cache(maxsize=65_536)
def _ordinal(text: str) -> int:
    try:
        return (day_in(text) - _EPOCH.date()).days
    except ValueError:
        return int(_NO_DAY)
