"""What crosses between the daemon and the child that speaks with an InfluxDB server.

Questions go in as lines of JSON; answers come back as one npz that holds a JSON text and, of a whole
fleet, one array of days and one of values per variable. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import date, time
from pathlib import Path
from typing import IO, Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from warning.domain.ahead import FleetOutlooks, Outlooks
from warning.domain.readings import AHEAD_VARIABLES, FleetReadings, RawReadings
from warning.domain.variables import Variable
from warning.errors import SourceError
from warning.sources.influx_settings import Daily, DamMapping, FieldMapping, InfluxSettings, OutlookMapping

Arrays = dict[str, NDArray[Any]]

_PLAIN: Final = "plain"
_DAYS: Final = "days"
_ISSUED: Final = "issued"
_VALID: Final = "valid"
_NEED_WORDS: Final = (
    "day_starts_at",
    "dams",
    "ca_file",
    "first_day",
    "outlook",
)  # what JSON has no spelling for
_UNUSABLE: Final = (KeyError, TypeError, ValueError, AttributeError, EOFError, OSError, zipfile.BadZipFile)


def pack_settings(settings: InfluxSettings, reservoir_ids: Iterable[str] = ()) -> dict[str, Any]:
    """Put the settings into words, secrets too; of the dams those in `reservoir_ids` alone."""
    wanted, outlook = set(reservoir_ids), settings.outlook
    plain = {f.name: getattr(settings, f.name) for f in fields(settings) if f.name not in _NEED_WORDS}
    return plain | {
        "day_starts_at": settings.day_starts_at.isoformat(),
        "first_day": settings.first_day.isoformat(),
        "ca_file": None if settings.ca_file is None else str(settings.ca_file),
        "dams": [
            [dam.reservoir_id, dam.tag_value, dam.time_zone.key, _pack_fields(dam.fields)]
            for dam in settings.dams
            if dam.reservoir_id in wanted
        ],
        "outlook": None
        if outlook is None
        else [outlook.measurement, outlook.issued_tag, _pack_fields(outlook.fields)],
    }


def unpack_settings(plain: Mapping[str, Any]) -> InfluxSettings:
    """Rebuild the settings from their words."""
    return InfluxSettings(
        **{name: value for name, value in plain.items() if name not in _NEED_WORDS},
        day_starts_at=time.fromisoformat(plain["day_starts_at"]),
        first_day=date.fromisoformat(plain["first_day"]),
        ca_file=None if plain["ca_file"] is None else Path(plain["ca_file"]),
        dams=tuple(
            DamMapping(
                reservoir_id=reservoir_id,
                tag_value=tag_value,
                time_zone=ZoneInfo(zone),
                fields=_unpack_fields(mapped),
            )
            for reservoir_id, tag_value, zone, mapped in plain["dams"]
        ),
        outlook=None if plain["outlook"] is None else _unpack_outlook(*plain["outlook"]),
    )


def _pack_fields(mapped: Mapping[Variable, FieldMapping]) -> dict[str, Any]:
    return {variable.value: [m.field, m.factor, m.daily.value] for variable, m in mapped.items()}


def _unpack_fields(mapped: Mapping[str, Any]) -> dict[Variable, FieldMapping]:
    return {
        Variable(variable): FieldMapping(field=field, factor=factor, daily=Daily(daily))
        for variable, (field, factor, daily) in mapped.items()
    }


def _unpack_outlook(measurement: str, issued_tag: str, mapped: Mapping[str, Any]) -> OutlookMapping:
    return OutlookMapping(measurement=measurement, issued_tag=issued_tag, fields=_unpack_fields(mapped))


def write_answer(out: IO[bytes], plain: Mapping[str, Any], arrays: Arrays) -> None:
    """Write an answer, or `{"error": …}` for why there is none."""
    words = np.frombuffer(json.dumps(plain).encode(), np.uint8)
    np.savez(out, **{_PLAIN: words}, **arrays)  # type: ignore[arg-type]  # its stub takes an option for a name


def read_answer(answer: IO[bytes]) -> tuple[dict[str, Any], Arrays]:
    """Return what the child answered; raises SourceError for its error, and for what is no answer."""
    try:
        with np.load(answer, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
        plain = json.loads(arrays.pop(_PLAIN).tobytes())
        error = plain.get("error")
    except _UNUSABLE as error:
        raise _unusable(error) from error
    if error is not None:
        raise SourceError(str(error))
    return plain, arrays


def written(plain: Mapping[str, Any]) -> int:
    """Return how many points the child wrote."""
    count = plain.get("written")
    if type(count) is not int:
        raise _unusable(ValueError(f"{count!r} points written"))
    return count


def pack_readings(fleet: FleetReadings) -> tuple[dict[str, Any], Arrays]:
    """Take the readings of a fleet apart: each dam's stretch follows the one before."""
    dams = [
        [reservoir_id, raw.days.size, [variable.value for variable in raw.values], list(raw.complaints)]
        for reservoir_id, raw in fleet.readings.items()
    ]
    arrays: Arrays = {}
    if fleet.readings:
        arrays[_DAYS] = np.concatenate([raw.days for raw in fleet.readings.values()])
    for variable in Variable:
        columns = [raw.values[variable] for raw in fleet.readings.values() if variable in raw.values]
        if columns:
            arrays[variable.value] = np.concatenate(columns)
    return {"dams": dams, "failures": dict(fleet.failures)}, arrays


def pack_outlooks(fleet: FleetOutlooks) -> tuple[dict[str, Any], Arrays]:
    """Take the outlooks of a fleet apart, as its readings are."""
    every = fleet.outlooks.values()
    arrays: Arrays = {}
    if every:
        arrays[_ISSUED] = np.concatenate([one.issued for one in every])
        arrays[_VALID] = np.concatenate([one.valid for one in every])
    for variable in AHEAD_VARIABLES:
        columns = [one.values[variable] for one in every if variable in one.values]
        if columns:
            arrays[variable.value] = np.concatenate(columns)
    dams = [
        [reservoir_id, one.issued.size, [variable.value for variable in one.values], list(one.complaints)]
        for reservoir_id, one in fleet.outlooks.items()
    ]
    return {"dams": dams, "failures": dict(fleet.failures), "troubles": list(fleet.troubles)}, arrays


def unpack_outlooks(plain: Mapping[str, Any], arrays: Arrays) -> FleetOutlooks:
    """Rebuild the outlooks of a fleet; raises SourceError for what is no answer."""
    try:
        take = _Takings(arrays, days=(_ISSUED, _VALID))
        outlooks = {}
        for reservoir_id, count, variables, complaints in plain["dams"]:
            issued, valid = take(_ISSUED, count), take(_VALID, count)
            values = {Variable(name): take(name, count) for name in variables}
            outlooks[str(reservoir_id)] = Outlooks(issued, valid, values, tuple(map(str, complaints)))
        take.check_all_taken()
        failures = {str(name): str(why) for name, why in plain["failures"].items()}
        return FleetOutlooks(outlooks, failures, tuple(map(str, plain["troubles"])))
    except _UNUSABLE as error:
        raise _unusable(error) from error


def unpack_readings(plain: Mapping[str, Any], arrays: Arrays, reservoir_ids: Sequence[str]) -> FleetReadings:
    """Rebuild the readings of a fleet; raises SourceError unless each dam asked for is answered for."""
    try:
        fleet = _fleet(plain, arrays)
        answered = [*fleet.readings, *fleet.failures]
        if sorted(answered) != sorted(set(reservoir_ids)):
            raise ValueError(f"{len(answered)} dams for the {len(set(reservoir_ids))} asked for")
    except _UNUSABLE as error:
        raise _unusable(error) from error
    return fleet


class _Takings:
    """Takes from each array one dam's stretch after the other; those named in `days` hold days."""

    def __init__(self, arrays: Arrays, days: Sequence[str]) -> None:
        for name, column in arrays.items():
            expected = "datetime64[D]" if name in days else "float64"
            if column.ndim != 1 or column.dtype != np.dtype(expected):
                raise ValueError(
                    f"{name} is {column.dtype} of {column.ndim} dimensions, expected {expected} of 1"
                )
        self._arrays = arrays
        self._taken = dict.fromkeys(arrays, 0)

    def __call__(self, name: str, count: int) -> NDArray[Any]:
        if type(count) is not int or count < 0:
            raise ValueError(f"{count!r} values of {name}")
        begin, self._taken[name] = self._taken[name], self._taken[name] + count
        return self._arrays[name][begin : begin + count]

    def check_all_taken(self) -> None:
        sizes = {name: column.size for name, column in self._arrays.items()}
        if self._taken != sizes:
            raise ValueError(f"the arrays hold {sizes}, the dams need {self._taken}")


def _fleet(plain: Mapping[str, Any], arrays: Arrays) -> FleetReadings:
    take = _Takings(arrays, days=(_DAYS,))
    readings: dict[str, RawReadings] = {}
    for reservoir_id, count, variables, complaints in plain["dams"]:
        if type(count) is not int or count < 1:
            raise ValueError(f"{reservoir_id} has {count!r} days")
        days = take(_DAYS, count)
        values = {Variable(name): take(name, count) for name in variables}
        readings[str(reservoir_id)] = RawReadings(days, values, tuple(map(str, complaints)))
    take.check_all_taken()
    return FleetReadings(readings, {str(name): str(why) for name, why in plain["failures"].items()})


def _unusable(error: Exception) -> SourceError:
    return SourceError(f"the answer of InfluxDB's child is unusable, and nothing of it is used: {error!r}")
