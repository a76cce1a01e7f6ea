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

from warning.domain.ahead import Outlooks
from warning.domain.readings import AHEAD_VARIABLES
from warning.domain.variables import Variable
from warning.errors import SourceError

OUTLOOK_SUFFIX: Final = ".outlook.csv"
ISSUED, VALID = "issued_on", "valid_on"


class OutlookFolder:
    """Reads `<folder>/<id>.outlook.csv`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, reservoir_id: str) -> Outlooks | None:
        """Return the dam's outlooks, None where it has no file.

        Raises SourceError where the file cannot be read or its header not understood.
        """
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
            days.append((_day(cells[ISSUED]), _day(cells[VALID])))
            rows.append(values)
        except ValueError as error:
            complaints.append(f"{path.name}:{number}: {error}")
    pairs = np.array(days, dtype="datetime64[D]").reshape(-1, 2)
    table = np.array(rows, dtype=np.float64).reshape(-1, len(variables))
    columns = {Variable(name): table[:, i].copy() for i, name in enumerate(variables)}
    return Outlooks(pairs[:, 0], pairs[:, 1], columns, tuple(complaints))


def _cells(line: str) -> Sequence[str]:
    return [cell.strip().strip('"').strip() for cell in line.split(",")]


def _day(cell: str) -> date:
    if len(cell) != 10:  # fromisoformat alone would also take 20240101
        raise ValueError(f"{cell!r} is no date, expected YYYY-MM-DD")
    return date.fromisoformat(cell)


def _number(cell: str) -> float:
    value = float(cell) if cell else math.nan
    if math.isinf(value) or "_" in cell:
        raise ValueError(f"{cell!r} is not a finite number")
    return value
