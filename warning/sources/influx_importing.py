"""Bring a CSV file of readings into InfluxDB; what could not be brought in is kept beside the file.

A server holds one value per dam, field and instant. So of two rows of one day that disagree neither
can be told from the other there: the first is brought in, the second is reported and kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from warning.domain.readings import RawReadings
from warning.sources.csv_folder import REJECTED_SUFFIX
from warning.sources.importing import keep_rejected
from warning.sources.influx import InfluxSource
from warning.sources.tidy_csv import RejectedLine, TidyFile, TidyRow, read_tidy

_SHOWN_MESSAGES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluxImportReport:
    """What became of an imported file; `rejected` are in the file's order."""

    file: Path
    reservoir_id: str
    server: str
    rows: int
    values: int
    rejected: tuple[RejectedLine, ...]
    rejected_file: Path | None

    @property
    def complete(self) -> bool:
        """Whether every line could be brought in whole."""
        return not self.rejected

    def text(self) -> str:
        """Return the report for a person."""
        lines = [
            f"{self.reservoir_id}: {self.rows:,} days with {self.values:,} values of {self.file} are now in "
            f"{self.server}; {len(self.rejected):,} lines not or not wholly brought in"
        ]
        lines += [f"line {bad.line}: {bad.reason}" for bad in self.rejected[:_SHOWN_MESSAGES]]
        if len(self.rejected) > _SHOWN_MESSAGES:
            lines.append(f"... and {len(self.rejected) - _SHOWN_MESSAGES:,} more lines like these")
        if self.rejected_file is not None:
            lines.append(f"these lines are kept in {self.rejected_file}")
        return "\n".join(lines)


def import_csv_into_influx(
    file: Path,
    reservoir_id: str,
    source: InfluxSource,
    server: str,
    on_progress: Callable[[str, float], None],
) -> InfluxImportReport:
    """Write the readings of `file` to the server; importing it again changes nothing.

    Raises SourceError when the file cannot be read or the server does not take it whole; what it
    took by then stays, and importing again completes it.
    """
    tidy = read_tidy(file)
    rows, repeated = _one_row_a_day(tidy)
    rejected = tuple(sorted([*tidy.rejected, *repeated], key=lambda bad: bad.line))
    rejected_file = file.with_name(file.name.removesuffix(".csv") + REJECTED_SUFFIX)
    # the rejects first: a server that fails midway must not cost them
    keep_rejected(rejected_file, [(file.name, bad) for bad in rejected])
    raw = _readings(tidy, rows)
    if rows:
        source.write(reservoir_id, raw, lambda share: on_progress(f"writing {reservoir_id}", share))
    return InfluxImportReport(
        file=file,
        reservoir_id=reservoir_id,
        server=server,
        rows=len(rows),
        values=sum(int(np.isfinite(column).sum()) for column in raw.values.values()),
        rejected=rejected,
        rejected_file=rejected_file if rejected else None,
    )


def _readings(tidy: TidyFile, rows: Sequence[TidyRow]) -> RawReadings:
    return TidyFile(tidy.path, tidy.variables, tuple(rows), ()).readings()


def _one_row_a_day(tidy: TidyFile) -> tuple[list[TidyRow], list[RejectedLine]]:
    """Complete each day's first row by the others of that day, and return those that disagree with it."""
    held: dict[date, TidyRow] = {}
    repeated: list[RejectedLine] = []
    for row in tidy.rows:
        first = held.setdefault(row.day, row)
        if first is row:
            continue
        pairs = list(zip(first.values, row.values, strict=True))
        differ = [
            f"{variable} {new!r} against {old!r}"
            for variable, (old, new) in zip(tidy.variables, pairs, strict=True)
            if old != new and not math.isnan(old) and not math.isnan(new)
        ]
        if differ:
            reason = f"{row.day} disagrees with line {first.line}: {', '.join(differ)}; the first is kept"
            cells = ",".join("" if math.isnan(value) else repr(value) for value in row.values)
            repeated.append(RejectedLine(row.line, reason, f"{row.day},{cells}"))
            continue
        values = tuple(new if math.isnan(old) else old for old, new in pairs)
        held[row.day] = TidyRow(first.line, row.day, values)
    return [held[day] for day in sorted(held)], repeated
