"""The tidy CSV format: `date` and any of the five variables, one row a day, empty cells missing.

A cell that cannot be read costs that cell, a date that cannot be read costs that line, and each
is complained about by line; only a header that cannot be understood costs the file. Lines are
split by hand: a csv module would let one stray quotation mark swallow the rest of the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from warning.domain.readings import RawReadings
from warning.domain.variables import Variable
from warning.errors import SourceError

DATE = "date"
EXPECTED_HEADER = "date," + ",".join(Variable)
_FIRST_YEAR = 1800  # no dam has daily readings from before; 0224 for 2024 would span 1,800 years
_EPOCH = date(1970, 1, 1).toordinal()
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class TidyRow:
    """One readable line: where it stood, its day, and a value per column, NaN where there is none."""

    line: int
    day: date
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class RejectedLine:
    """A line that was not or not wholly readable, exactly as it stood."""

    line: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class TidyFile:
    """What a tidy CSV file holds, in its own order."""

    path: Path
    variables: tuple[Variable, ...]
    rows: tuple[TidyRow, ...]
    rejected: tuple[RejectedLine, ...]

    def readings(self, first_day: date | None = None, last_day: date | None = None) -> RawReadings:
        """Return the rows within the days given, both included, with a complaint per rejected line."""
        first, last = first_day or date.min, last_day or date.max
        rows = [row for row in self.rows if first <= row.day <= last]
        ordinals = np.array([row.day.toordinal() for row in rows], dtype=np.int64)
        days = (ordinals - _EPOCH).astype("datetime64[D]")
        table = np.array([row.values for row in rows], dtype=np.float64).reshape(-1, len(self.variables))
        columns = {variable: table[:, i].copy() for i, variable in enumerate(self.variables)}
        complaints = tuple(f"{self.path.name}:{bad.line}: {bad.reason}" for bad in self.rejected)
        return RawReadings(days, columns, complaints)


def read_tidy(path: Path) -> TidyFile:
    """Read a tidy CSV file; raises SourceError when it is missing, unreadable or has another header."""
    try:
        # surrogates keep bytes that are no UTF-8, so that a rejected line can be written out as it was
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error
    # not splitlines: it would also break a line at form feeds and the like
    lines = text.removeprefix(_BYTE_ORDER_MARK).split("\n")
    header = _cells(lines[0])
    variables, date_column = _columns(path, header)
    rows: list[TidyRow] = []
    rejected: list[RejectedLine] = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        row, reasons = _row(number, line, header, date_column)
        if row is not None:
            rows.append(row)
        if reasons:
            rejected.append(RejectedLine(number, "; ".join(reasons), line))
    return TidyFile(path, variables, tuple(rows), tuple(rejected))


def tidy_text(variables: Sequence[Variable], rows: Iterable[tuple[date, Sequence[float]]]) -> str:
    """Return the text of a tidy CSV file; values are written so that reading them gives the same bits."""
    lines = [",".join((DATE, *variables))]
    lines += [",".join((day.isoformat(), *map(_number, values))) for day, values in rows]
    return "\n".join(lines) + "\n"


def _cells(line: str) -> list[str]:
    if '"' in line:
        return [cell.strip().strip('"').strip() for cell in line.split(",")]
    return [cell.strip() for cell in line.split(",")]


def _columns(path: Path, header: Sequence[str]) -> tuple[tuple[Variable, ...], int]:
    """Return the variables in the order of the columns and the place of the date."""
    remedy = f"the first line must be {DATE} and any of {', '.join(Variable)}, each once"
    if DATE not in header:
        found = ",".join(header)[:200] or "nothing"
        raise SourceError(f"{path}: the header has no column {DATE!r}, found {found!r}; {remedy}")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise SourceError(f"{path}: the header names {', '.join(twice)} more than once; {remedy}")
    unknown = [name for name in header if name != DATE and name not in set(Variable)]
    if unknown:
        raise SourceError(f"{path}: unknown columns {', '.join(map(repr, unknown))} in the header; {remedy}")
    if len(header) == 1:
        raise SourceError(f"{path}: the header names no variable; {remedy}")
    return tuple(Variable(name) for name in header if name != DATE), header.index(DATE)


def _row(number: int, line: str, header: Sequence[str], date_column: int) -> tuple[TidyRow | None, list[str]]:
    """Return what a line says, None where it has no day, and what could not be read of it."""
    cells = _cells(line)
    if len(cells) != len(header):
        return None, [f"{len(cells)} fields where the header has {len(header)}"]
    day = _day(cells[date_column])
    if day is None:
        return None, [f"{DATE}: {cells[date_column]!r} is no date from {_FIRST_YEAR} on, expected YYYY-MM-DD"]
    del cells[date_column]
    values = [_value(cell) for cell in cells]
    readable = tuple(value for value in values if value is not None)
    if len(readable) == len(values):
        return TidyRow(number, day, readable), []
    names = [name for name in header if name != DATE]
    reasons = [
        f"{name}: {cell!r} is not a finite number"
        for name, cell, value in zip(names, cells, values, strict=True)
        if value is None
    ]
    return TidyRow(number, day, tuple(math.nan if value is None else value for value in values)), reasons


def _day(cell: str) -> date | None:
    # fromisoformat alone would also take 20240101 and week dates
    if len(cell) != 10 or cell[4] != "-" or cell[7] != "-":
        return None
    try:
        day = date.fromisoformat(cell)
    except ValueError:
        return None
    return day if day.year >= _FIRST_YEAR else None


def _value(cell: str) -> float | None:
    """Return a cell's number, NaN for an empty one, None for anything else."""
    if not cell:
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in cell else None


def _number(value: float) -> str:
    if math.isnan(value):
        return ""
    return repr(float(value)).removesuffix(".0")
