"""Readings from an InfluxDB server, and readings brought into one.

One query for the whole fleet and period. Its answer is staged and used only after a clean end: a
dam's series is either complete or not there. Only InfluxDB 3 Core, which refuses to open many
files at once, is asked in spans of days instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta

from warning.clock import Clock, SystemClock
from warning.domain.readings import FleetReadings, RawReadings
from warning.errors import SourceError
from warning.sources import annotated_csv, flux, influxql
from warning.sources.blocks import Block
from warning.sources.daily import FleetDays, day_start_ns
from warning.sources.influx_asking import DAY_NS, ask_flux, flux_bucket, take_in_spans
from warning.sources.influx_dialect import Dialect, dialect_of
from warning.sources.influx_settings import DamMapping, InfluxSettings
from warning.sources.influx_transport import InfluxTransport
from warning.sources.influx_writing import BATCH_LINES, write_lines
from warning.sources.line_protocol import line, noon_ns

_LAST_STOP = datetime(2200, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOON = time(12)


class InfluxSource:
    """Reads and writes the daily readings of the dams that the settings map to a server's series."""

    def __init__(self, settings: InfluxSettings, clock: Clock | None = None) -> None:
        self.settings = settings
        self._clock = clock or SystemClock()

    def read(
        self, reservoir_ids: Sequence[str], last_day: date | None = None, first_day: date | None = None
    ) -> FleetReadings:
        """Read the dams asked for in one query, within the days given or since the settings' first day.

        Raises SourceError when the answer as a whole is not to be trusted; a dam without readings
        is among the failures.
        """
        known = {dam.reservoir_id: dam for dam in self.settings.dams}
        mapped = {reservoir_id: known.get(reservoir_id) for reservoir_id in reservoir_ids}
        dams = [dam for dam in mapped.values() if dam is not None]
        failures = {i: "the source maps no series to this dam" for i, dam in mapped.items() if dam is None}
        if not dams:
            return FleetReadings({}, failures)
        first_day = self.settings.first_day if first_day is None else first_day
        with InfluxTransport(self.settings) as transport:
            reading = _Reading(transport, dams, first_day, last_day, self._clock)
            reading.gather()
        readings: dict[str, RawReadings] = {}
        for dam in dams:
            raw = reading.of(dam)
            if raw.days.size:
                readings[dam.reservoir_id] = raw
            else:
                failures[dam.reservoir_id] = reading.nothing_of(dam)
        return FleetReadings(readings, failures)

    def write(
        self, reservoir_id: str, readings: RawReadings, on_progress: Callable[[float], None] | None = None
    ) -> None:
        """Bring a dam's readings into the server, each at its day's local noon; again changes nothing.

        A missing value is left out; of a day that repeats, the last value stands. `on_progress`
        hears the share that is written. Raises SourceError for a dam that is not mapped, and when
        the server refuses: what it took by then stays.
        """
        dam = self.settings.dam(reservoir_id)
        if dam is None:
            raise SourceError(
                f"the source maps no series to the dam {reservoir_id}; map it, then import again"
            )
        unmapped = [v for v in readings.values if v not in dam.fields]
        if unmapped:
            raise SourceError(
                f"{reservoir_id}: the source maps no field to {', '.join(unmapped)}; map it, import again"
            )
        lines = self._lines(dam, readings)
        with InfluxTransport(self.settings) as transport:
            asks_flux = dialect_of(transport).flux
            for begin in range(0, len(lines), BATCH_LINES):
                write_lines(transport, lines[begin : begin + BATCH_LINES], flux=asks_flux)
                if on_progress is not None:
                    on_progress(min(1.0, (begin + BATCH_LINES) / len(lines)))

    def _lines(self, dam: DamMapping, readings: RawReadings) -> list[str]:
        names = [self.settings.measurement, self.settings.dam_tag, dam.tag_value]
        for one in [*names, *(mapping.field for mapping in dam.fields.values())]:
            influxql.name(one)
            if one.endswith("\\"):
                raise SourceError(
                    f"the name {one!r} ends with a backslash, which cannot be written; rename it"
                )
        points: dict[date, dict[str, float | None]] = {}
        days: list[date] = readings.days.astype("datetime64[D]").tolist()
        for variable, column in readings.values.items():
            mapping = dam.fields[variable]
            for day, value in zip(days, (column / mapping.factor).tolist(), strict=True):
                if math.isfinite(value):
                    points.setdefault(day, {})[mapping.field] = value
        later = timedelta(days=1 if self.settings.day_starts_at > _NOON else 0)
        tags = {self.settings.dam_tag: dam.tag_value}
        lines = (
            line(self.settings.measurement, tags, points[day], noon_ns(day + later, dam.time_zone))
            for day in sorted(points)
        )
        return [one for one in lines if one is not None]


class _Reading:
    """One reading of a fleet, from its first question to its last row."""

    def __init__(
        self,
        transport: InfluxTransport,
        dams: Sequence[DamMapping],
        first_day: date,
        last_day: date | None,
        clock: Clock,
    ) -> None:
        self._transport = transport
        self._settings = transport.settings
        self._dams = dams
        self._first_day = first_day
        self._last_day = last_day
        self._clock = clock
        self._ends_at = transport.deadline()
        self._days = FleetDays(dams, self._settings.day_starts_at)
        self._fields = sorted({mapping.field for dam in dams for mapping in dam.fields.values()})
        self._absent: frozenset[str] = frozenset()

    def gather(self) -> None:
        """Ask the server; raises SourceError unless every row has come."""
        dialect = dialect_of(self._transport)
        if dialect.flux:
            self._days.take(self._flux_blocks())
        else:
            self._check_types()
            take_in_spans(
                self._begin_ns(),
                self._until_ns,
                lambda begin_ns, after_ns: self._days.take(
                    self._influxql_blocks(dialect, begin_ns, after_ns)
                ),
            )

    def of(self, dam: DamMapping) -> RawReadings:
        """Return a dam's readings, empty where there are none."""
        raw = self._days.readings(dam.reservoir_id, self._first_day, self._last_day)
        absent = sorted({m.field for m in dam.fields.values()} & self._absent)
        complaints = tuple(f"{self._where()} has no field {field!r}; correct the mapping" for field in absent)
        return RawReadings(raw.days, raw.values, complaints)

    def nothing_of(self, dam: DamMapping) -> str:
        """Say that, and where, a dam has no readings."""
        until = "" if self._last_day is None else f" to {self._last_day}"
        text = (
            f"{self._where()} holds no readings where {self._settings.dam_tag!r} is {dam.tag_value!r} from "
            f"{self._first_day}{until}"
        )
        missing = sorted({mapping.field for mapping in dam.fields.values()} & self._absent)
        if missing:
            text += f", and no field {' or '.join(map(repr, missing))} at all"
        return f"{text}; see if the dam still reports, and the mapping with check-config --connect"

    def _where(self) -> str:
        return f"{self._transport.where}: the measurement {self._settings.measurement!r}"

    def _flux_blocks(self) -> Iterator[Block]:
        query = flux.fleet_query(
            bucket=flux_bucket(self._transport),
            measurement=self._settings.measurement,
            fields=self._fields,
            dam_tag=self._settings.dam_tag,
            dams=[dam.tag_value for dam in self._dams],
            start=_EPOCH + timedelta(microseconds=self._begin_ns() // 1000),
            stop=self._stop(),
        )
        pieces = ask_flux(self._transport, query, self._ends_at)
        return annotated_csv.read_blocks(
            pieces, self._settings.dam_tag, f"{self._transport.where}{flux.QUERY_PATH}"
        )

    def _stop(self) -> datetime:
        if self._last_day is None:
            return _LAST_STOP
        return _EPOCH + timedelta(microseconds=self._until_ns() // 1000)

    def _check_types(self) -> None:
        """Refuse fields that a SELECT would give in part, and note those that are not there."""
        types = influxql.field_types(self._transport, self._settings, self._ends_at)
        influxql.refuse_mixed_types(self._where(), self._fields, types)
        self._absent = frozenset(self._fields) - types.keys()

    def _influxql_blocks(self, dialect: Dialect, begin_ns: int, after_ns: int | None) -> Iterator[Block]:
        open_end = after_ns is None and self._last_day is None  # readings ahead of the clock come too
        statement = influxql.select_readings(
            self._settings,
            self._fields,
            [dam.tag_value for dam in self._dams],
            from_ns=begin_ns,
            until_ns=None if open_end else self._until_ns() if after_ns is None else after_ns,
            bind=dialect.binds_params,
        )
        series = influxql.ask(
            self._transport,
            self._settings,
            statement,
            empty_body=dialect.says_nothing_when_empty,
            ends_at=self._ends_at,
        )
        return influxql.read_blocks(series, self._settings.dam_tag, f"{self._transport.where}/query")

    def _begin_ns(self) -> int:
        """When the first day begins at the first of the dams where it does."""
        return min(self._starts_ns(self._first_day))

    def _until_ns(self) -> int:
        """When the last day has ended at every dam; without one, a day that nowhere has begun yet."""
        last_day = self._last_day or self._clock.now().date() + timedelta(days=2)
        return max(self._begin_ns() + DAY_NS, *self._starts_ns(last_day + timedelta(days=1)))

    def _starts_ns(self, day: date) -> list[int]:
        zones = {dam.time_zone for dam in self._dams}
        return [day_start_ns(day, zone, self._settings.day_starts_at) for zone in zones]
