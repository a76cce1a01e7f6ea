"""Writes the simulated world to disk as an operator's gauges would have reported it."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from warning.demo.dams import FLOOD_DETENTION, MONSOON, SNOW_FED
from warning.demo.simulation import SimulatedDam, SimulatedFleet
from warning.domain.variables import Variable

_COLUMNS = ["date", *(v.value for v in Variable)]
_DECIMALS = {
    Variable.LEVEL_M: 3,
    Variable.STORAGE_M3: 1,
    Variable.INFLOW_M3S: 3,
    Variable.OUTFLOW_M3S: 3,
    Variable.RAIN_MM: 1,
}


@dataclass(frozen=True, slots=True)
class FleetFolders:
    """Where the fleet lies: what was reported up to the eve, and what truly happened after it."""

    readings: Path
    truth: Path


@dataclass(frozen=True, slots=True)
class _Oddity:
    """A slip of a gauge `days_before` the eve: another text in a cell, or no row at all."""

    dam_id: str
    days_before: int
    variable: Variable | None = None
    cell: str = ""


_ODDITIES = (
    _Oddity(FLOOD_DETENTION.id, 23),
    _Oddity(SNOW_FED.id, 9, Variable.LEVEL_M, "-9999"),
    _Oddity(MONSOON.id, 40, Variable.INFLOW_M3S, ""),
)


def write_fleet(fleet: SimulatedFleet, folder: Path) -> FleetFolders:
    """Write `readings/DAM.csv` up to the eve and `truth/DAM.csv` after it, in the tidy format.

    The readings have what real ones have: a day without a row, an empty cell, a sentinel.
    """
    folders = FleetFolders(folder / "readings", folder / "truth")
    for path in (folders.readings, folders.truth):
        path.mkdir(parents=True, exist_ok=True)
    for simulated in fleet.dams:
        eve_row = simulated.row(fleet.eve)
        reported = _rows(simulated, 0, eve_row + 1)
        for oddity in _ODDITIES:
            if oddity.dam_id == simulated.dam.id:
                _slip(reported, eve_row - oddity.days_before, oddity)
        _write(folders.readings / f"{simulated.dam.id}.csv", reported)
        _write(folders.truth / f"{simulated.dam.id}.csv", _rows(simulated, eve_row + 1, len(simulated)))
    return folders


def append_day(fleet: SimulatedFleet, folders: FleetFolders, day: date) -> None:
    """Let the gauges report `day`, the next after those already in `folders.readings`."""
    for simulated in fleet.dams:
        row = simulated.row(day)
        with (folders.readings / f"{simulated.dam.id}.csv").open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, _COLUMNS, lineterminator="\n").writerows(_rows(simulated, row, row + 1))


def _rows(simulated: SimulatedDam, start: int, stop: int) -> list[dict[str, str]]:
    """Return days `start` to `stop` as cells."""
    return [
        {"date": (simulated.first_day + timedelta(days=row)).isoformat()}
        | {v.value: f"{simulated.values[v][row]:.{_DECIMALS[v]}f}" for v in Variable}
        for row in range(start, stop)
    ]


def _slip(rows: list[dict[str, str]], row: int, oddity: _Oddity) -> None:
    if oddity.variable is None:
        del rows[row]
    else:
        rows[row][oddity.variable.value] = oddity.cell


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
