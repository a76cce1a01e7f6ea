"""From the configured source to one that reads, and a look at what lies in it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from warning.clock import local_day
from warning.config.configuration import Configuration, CsvSource, InfluxdbSource, OutlookFields
from warning.config.first_dams import FirstDam, forecast_variable
from warning.domain.ahead import WHAT
from warning.domain.readings import RawReadings
from warning.domain.reservoir import Reservoir
from warning.domain.units import PERCENT, factor
from warning.domain.variables import Variable
from warning.errors import SourceError
from warning.sources.csv_folder import CsvFolderSource
from warning.sources.influx_child import InfluxInChild
from warning.sources.influx_settings import Daily, DamMapping, FieldMapping, InfluxSettings, OutlookMapping
from warning.sources.source import ReadingSource

Source = CsvSource | InfluxdbSource
Zones = Mapping[str, ZoneInfo]

_RECENT_DAYS = 60  # a dam that reported in these days need not be asked for its whole record
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def reading_source(source: Source, zones: Zones) -> ReadingSource:
    """Return what reads the dams of `zones` (by id) from the configured source."""
    if isinstance(source, CsvSource):
        return CsvFolderSource(source.folder)
    return InfluxInChild(influx_settings(source, zones))


def zones_of(reservoirs: Sequence[Reservoir]) -> Zones:
    """Return the dams' time zones by id."""
    return {reservoir.id: reservoir.time_zone for reservoir in reservoirs}


def influx_settings(source: InfluxdbSource, zones: Zones) -> InfluxSettings:
    """Return what must be known to read the dams of `zones` (by id) from the configured server."""
    return InfluxSettings(
        url=source.url,
        dialect=source.dialect,
        token=source.token,
        user=source.user,
        password=source.password,
        org=source.org,
        bucket=source.bucket,
        database=source.database,
        retention_policy=source.retention_policy,
        measurement=source.measurement,
        dam_tag=source.dam_tag,
        day_starts_at=source.day_starts_at,
        dams=tuple(_dam_mapping(source, dam_id, zone) for dam_id, zone in zones.items()),
        read_timeout_s=source.read_timeout_s,
        deadline_s=source.deadline_s,
        retries=source.retries,
        verify_tls=source.verify_tls,
        ca_file=source.ca_file,
        proxy=source.proxy,
        first_day=source.first_day,
        outlook=None if source.outlook is None else _outlook_mapping(source.outlook),
    )


def _dam_mapping(source: InfluxdbSource, dam_id: str, zone: ZoneInfo) -> DamMapping:
    capacity_m3 = source.capacities_m3.get(dam_id)
    fields = {
        variable: FieldMapping(
            field=stored.field,
            factor=factor(stored.unit, variable, capacity_m3),
            daily=Daily(stored.daily),
        )
        for variable, stored in source.fields.items()
    }
    tag = source.tags.get(dam_id, dam_id)
    return DamMapping(reservoir_id=dam_id, tag_value=tag, time_zone=zone, fields=fields)


def _outlook_mapping(outlook: OutlookFields) -> OutlookMapping:
    fields = {
        variable: FieldMapping(field=stored.field, factor=factor(stored.unit, variable))
        for variable, stored in outlook.fields.items()
    }
    return OutlookMapping(measurement=outlook.measurement, issued_tag=outlook.issued_tag, fields=fields)


@dataclass(frozen=True, slots=True)
class DamSeen:
    """One configured dam in the source: the newest day of each variable, and what is wrong, if anything."""

    id: str
    newest: Mapping[Variable, date]
    trouble: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What was found where the readings should come from; `troubles` are what an admin must see to."""

    server: str | None
    dams: tuple[DamSeen, ...]
    troubles: tuple[str, ...]
    not_configured: tuple[str, ...]  # names in the source that no dam is configured for

    @property
    def sound(self) -> bool:
        """Whether every dam's readings are there and fresh."""
        return not self.troubles and all(dam.trouble is None for dam in self.dams)


def inspect_source(configuration: Configuration, now: datetime) -> Inspection:
    """Look at everything that reading the fleet needs; what fails is said in the Inspection."""
    source, reservoirs = configuration.source, configuration.reservoirs
    try:
        server, names, troubles = _names_in(source)
    except SourceError as error:
        return Inspection(server=None, dams=(), troubles=(str(error),), not_configured=())
    tags = source.tags if isinstance(source, InfluxdbSource) else {}
    known = {tags.get(reservoir.id, reservoir.id) for reservoir in reservoirs}
    try:
        seen = _seen(reading_source(source, zones_of(reservoirs)), reservoirs, now)
    except SourceError as error:
        seen, troubles = (), (*troubles, str(error))
    return Inspection(
        server=server,
        dams=seen,
        troubles=troubles,
        not_configured=tuple(name for name in names if name not in known),
    )


def _names_in(source: Source) -> tuple[str | None, tuple[str, ...], tuple[str, ...]]:
    """Return the server, the names that it holds dams under, and which fields are missing there."""
    if isinstance(source, CsvSource):
        return None, CsvFolderSource(source.folder).reservoir_ids(), ()
    from warning.sources.influx_check import holdings  # only here: it carries the client of a server

    held = holdings(influx_settings(source, {}))
    if not held.fields:
        remedy = "check measurement, and bucket or database with its retention_policy, of the source"
        return held.server, (), (f"the measurement {source.measurement!r} holds nothing there; {remedy}",)
    troubles = tuple(
        f"the field {stored.field!r} of {variable} does not exist; {source.measurement!r} has "
        f"{', '.join(held.fields)}; correct source.fields.{variable}.field or remove that table"
        for variable, stored in source.fields.items()
        if stored.field not in held.fields
    )
    if not held.tag_values:
        troubles += (f"the tag {source.dam_tag!r} does not exist there; correct dam_tag of the source",)
    return held.server, held.tag_values, troubles + _outlook_troubles(source)


def _outlook_troubles(source: InfluxdbSource) -> tuple[str, ...]:
    """Say which fields of the outlooks are missing on the server."""
    from warning.sources.influx_check import holdings

    outlook = source.outlook
    if outlook is None:
        return ()
    held = holdings(replace(influx_settings(source, {}), measurement=outlook.measurement)).fields
    there = f"has {', '.join(held)}" if held else "holds nothing there"
    return tuple(
        f"the field {stored.field!r} of forecast {WHAT[variable]} does not exist; {outlook.measurement!r} "
        f"{there}; correct source.outlook, or remove source.outlook.{variable}"
        for variable, stored in outlook.fields.items()
        if stored.field not in held
    )


def _seen(source: ReadingSource, reservoirs: Sequence[Reservoir], now: datetime) -> tuple[DamSeen, ...]:
    """Read what is recent of every dam, and the whole record of those that have nothing recent."""
    today = max(local_day(now, reservoir.time_zone) for reservoir in reservoirs)
    ids = [reservoir.id for reservoir in reservoirs]
    fleet = source.read(ids, today, today - timedelta(days=_RECENT_DAYS))
    found = {dam_id: _newest(fleet.readings.get(dam_id)) for dam_id in ids}
    failures = dict(fleet.failures)
    silent = [dam_id for dam_id in ids if not found[dam_id]]
    if silent:
        whole = source.read(silent, today)
        found |= {dam_id: _newest(whole.readings.get(dam_id)) for dam_id in silent}
        failures |= whole.failures
    return tuple(
        DamSeen(dam.id, found[dam.id], _trouble(dam, found[dam.id], failures.get(dam.id), now))
        for dam in reservoirs
    )


def _newest(raw: RawReadings | None) -> dict[Variable, date]:
    if raw is None:
        return {}
    return {
        variable: raw.days[np.isfinite(column)].max().astype("datetime64[D]").item()
        for variable, column in raw.values.items()
        if np.isfinite(column).any()
    }


def _trouble(
    dam: Reservoir, newest: Mapping[Variable, date], failure: str | None, now: datetime
) -> str | None:
    if not newest:
        return failure or "the source holds no readings of it"
    if dam.forecast_variable not in newest:
        return f"it has no {dam.forecast_variable}, its forecast variable"
    age_days = (local_day(now, dam.time_zone) - newest[dam.forecast_variable]).days
    if age_days > dam.stale_after_days:
        return f"its newest {dam.forecast_variable} is {age_days:,} days old: it is unwatched"
    return None


@dataclass(frozen=True, slots=True)
class Found:
    """The dams that a source holds a record of, and why other names in it make none."""

    dams: tuple[FirstDam, ...]
    left_out: Mapping[str, str]


def find_dams(source: Source) -> Found:
    """Read the whole record of every dam in the source; raises SourceError where that cannot be had."""
    _, names, _ = _names_in(source)
    ids = dict(zip(_ids(names), names, strict=True))
    if isinstance(source, InfluxdbSource):
        # 100 m³ are 100 %: what is in % stays in % until somebody says what the capacity is
        capacities = dict.fromkeys(ids, 100.0)
        source = replace(source, tags=ids, capacities_m3=capacities)
    else:
        ids = {name: name for name in names}
    percent = isinstance(source, InfluxdbSource) and any(s.unit == PERCENT for s in source.fields.values())
    fleet = reading_source(source, dict.fromkeys(ids, ZoneInfo("UTC"))).read(list(ids))
    left_out = {ids[dam_id]: reason for dam_id, reason in fleet.failures.items()}
    dams = []
    for dam_id, raw in fleet.readings.items():
        tag = ids[dam_id]
        in_percent = percent and Variable.STORAGE_M3 in raw.values
        dam = FirstDam(dam_id, tag, None if tag == dam_id else tag, raw, in_percent)
        if not _ID.fullmatch(dam_id):
            left_out[tag] = "its name is no id: small letters, digits, _ and -; rename the file"
        elif forecast_variable(dam) is None:
            left_out[tag] = "it has neither a level nor a storage to be forecast by"
        else:
            dams.append(dam)
    return Found(tuple(dams), left_out)


def _ids(names: Sequence[str]) -> list[str]:
    """Make an id of its own from each name: small letters, digits, _ and -."""
    ids: list[str] = []
    for name in names:
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
        stem = re.sub(r"[^a-z0-9_-]+", "_", plain).strip("_-")[:56] or "dam"
        number = 1
        while (dam_id := stem if number == 1 else f"{stem}-{number}") in ids:
            number += 1
        ids.append(dam_id)
    return ids
