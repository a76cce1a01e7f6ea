"""Outlooks in files: one CSV file per dam, `ID.outlook.csv`, beside the readings or in a folder of its own.

Columns: `issued_on`, `valid_on`, and `rain_mm` or `outflow_m3s` or both. Lines that cannot be read cost
themselves and are complained about; only a header that cannot be understood costs the file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np

from warning.domain.ahead import FleetOutlooks, Outlooks
from warning.domain.readings import AHEAD_VARIABLES
from warning.domain.variables import Variable
from warning.errors import SourceError

OUTLOOK_SUFFIX: Final = ".outlook.csv"
ISSUED, VALID = "issued_on", "valid_on"


class OutlookFolder:
    """Reads `<folder>/<id>.outlook.csv`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, reservoir_ids: Sequence[str], last_day: date) -> FleetOutlooks:
        """Read the dams' files; one that cannot be read, or whose header is not understood, costs itself.

        Raises SourceError where there is no such folder.
        """
        if not self.folder.is_dir():
            raise SourceError(
                f"{self.folder}: there is no such folder; make it, or correct outlook_folder in warning.toml"
            )
        found: dict[str, Outlooks] = {}
        failures: dict[str, str] = {}
        for reservoir_id in reservoir_ids:
            try:
                outlooks = self._of(reservoir_id)
            except SourceError as error:
                failures[reservoir_id] = str(error)
                continue
            if outlooks is not None:
                found[reservoir_id] = outlooks.until(last_day)
        if found or failures:
            return FleetOutlooks(found, failures)
        trouble = (
            f"{self.folder}: no dam has an outlook there, expected ID{OUTLOOK_SUFFIX} for each that has one; "
            "see to what writes them, or remove outlook_folder from warning.toml"
        )
        return FleetOutlooks({}, troubles=(trouble,))

    def _of(self, reservoir_id: str) -> Outlooks | None:
        path = self.folder / f"{reservoir_id}{OUTLOOK_SUFFIX}"
        try:
            text = path.read_text(encoding="utf-8-sig", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error
        return _outlooks(path, text)


def _outlooks(path: Path, text: str) -> Outlooks:
    lines = text.split("\n")
    header = _cells(lines[0])
    known = {ISSUED, VALID, *AHEAD_VARIABLES}
    variables = [name for name in header if name in set(AHEAD_VARIABLES)]
    if set(header) - known or len(set(header)) < len(header) or not {ISSUED, VALID} <= set(header):
        variables = []
    if not variables:
        raise SourceError(
            f"{path}: the header is {lines[0].strip()[:200]!r}, expected {ISSUED},{VALID} and "
            f"{' or '.join(AHEAD_VARIABLES)}, each once"
        )
    days: list[tuple[date, date]] = []
    rows: list[list[float]] = []
    complaints = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        try:
            cells = dict(zip(header, _cells(line), strict=True))
            values = [_number(cells[name]) for name in variables]
            days.append((day_in(cells[ISSUED]), day_in(cells[VALID])))
            rows.append(values)
        except ValueError as error:
            complaints.append(f"{path.name}:{number}: {error}")
    pairs = np.array(days, dtype="datetime64[D]").reshape(-1, 2)
    table = np.array(rows, dtype=np.float64).reshape(-1, len(variables))
    columns = {Variable(name): table[:, i].copy() for i, name in enumerate(variables)}
    return Outlooks(pairs[:, 0], pairs[:, 1], columns, tuple(complaints))


def _cells(line: str) -> Sequence[str]:
    return [cell.strip().strip('"').strip() for cell in line.split(",")]


def day_in(cell: str) -> date:
    """Return the day that is written YYYY-MM-DD; raises ValueError for anything else."""
    if len(cell) != 10 or cell[4:8:3] != "--":  # fromisoformat alone would also take 20240101 and 2024-W01-1
        raise ValueError(f"{cell!r} is no date, expected YYYY-MM-DD")
    return date.fromisoformat(cell)


def _number(cell: str) -> float:
    value = float(cell) if cell else math.nan
    if math.isinf(value) or "_" in cell:
        raise ValueError(f"{cell!r} is not a finite number")
    return value
