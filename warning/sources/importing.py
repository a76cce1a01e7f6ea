"""Bring a CSV file of readings into the folder source without losing a line.

Readable rows join the record in order of their days. A row that the record already holds is
dropped, one that fills its empty cells completes it, one that disagrees is kept beside it for
screening to judge. Lines that cannot be read are kept as they stood in `<id>.rejected.csv`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np

from warning.domain.readings import RawReadings
from warning.domain.variables import Variable
from warning.sources.csv_folder import CsvFolderSource, replace_file
from warning.sources.tidy_csv import RejectedLine, TidyFile, read_tidy

_REJECTED_HEADER = "file,line,reason,text"
_SHOWN_MESSAGES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What became of each line of an imported file; `messages` name lines, in the file's order."""

    file: Path
    reservoir_id: str
    record: Path
    lines: int
    added: int
    completed: int
    identical: int
    disagreeing: int
    rejected: int
    rejected_file: Path | None
    unordered: bool
    messages: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every line could be read whole."""
        return self.rejected == 0

    def text(self) -> str:
        """Return the report for a person."""
        head = (
            f"{self.reservoir_id}: {self.lines} lines of {self.file} read into {self.record}: "
            f"{self.added} added, {self.completed} completed a day, {self.identical} already there, "
            f"{self.disagreeing} disagree with another row of their day (both kept), "
            f"{self.rejected} not or not wholly readable"
        )
        lines = [head]
        if self.unordered:
            lines.append("the rows were not in order of their days; they are now")
        lines += self.messages[:_SHOWN_MESSAGES]
        if len(self.messages) > _SHOWN_MESSAGES:
            lines.append(f"... and {len(self.messages) - _SHOWN_MESSAGES} more lines like these")
        if self.rejected_file is not None:
            lines.append(f"what could not be read is kept in {self.rejected_file}")
        return "\n".join(lines)


def import_csv(file: Path, reservoir_id: str, source: CsvFolderSource) -> ImportReport:
    """Merge `file` into the record of `reservoir_id`; importing it again changes nothing.

    Raises SourceError, before anything is written, when the file or the record cannot be read.
    """
    new = read_tidy(file)
    record = source.path(reservoir_id)
    old = source.tidy(reservoir_id) if record.exists() else None
    merge = _Merge(tuple(v for v in Variable if v in new.variables or (old and v in old.variables)))
    if old is not None:
        merge.take_record(old)
    merge.take_file(new)
    # the rejects first: were the record replaced first, a crash could lose its unreadable lines
    rejected_file = source.rejected_path(reservoir_id)
    files = [old, new] if old is not None else [new]
    keep_rejected(rejected_file, [(tidy.path.name, bad) for tidy in files for bad in tidy.rejected])
    source.write(reservoir_id, merge.readings())
    days = [row.day for row in new.rows]
    return ImportReport(
        file=file,
        reservoir_id=reservoir_id,
        record=record,
        lines=len({row.line for row in new.rows} | {bad.line for bad in new.rejected}),
        added=merge.added,
        completed=merge.completed,
        identical=merge.identical,
        disagreeing=merge.disagreeing,
        rejected=len(new.rejected),
        rejected_file=rejected_file if new.rejected else None,
        unordered=any(later < earlier for earlier, later in pairwise(days)),
        messages=_messages(new.rejected, merge.messages),
    )


@dataclass(slots=True)
class _Held:
    """A row of the record to be, and the line of the imported file it came from, if it did."""

    values: list[float]
    line: int | None


@dataclass(slots=True)
class _Merge:
    """The record to be, by day; rows of one day stay in the order they came in."""

    variables: tuple[Variable, ...]
    days: dict[date, list[_Held]] = field(default_factory=dict)
    added: int = 0
    completed: int = 0
    identical: int = 0
    disagreeing: int = 0
    messages: list[tuple[int, str]] = field(default_factory=list)

    def take_record(self, record: TidyFile) -> None:
        for row in record.rows:
            self.days.setdefault(row.day, []).append(_Held(self._aligned(record, row.values), None))

    def take_file(self, file: TidyFile) -> None:
        for row in file.rows:
            self._take(row.line, row.day, self._aligned(file, row.values))

    def readings(self) -> RawReadings:
        ordered = [(day, held) for day in sorted(self.days) for held in self.days[day]]
        days = np.array([day for day, _ in ordered], dtype="datetime64[D]")
        table = np.array([held.values for _, held in ordered], dtype=np.float64)
        table = table.reshape(-1, len(self.variables))
        return RawReadings(days, {variable: table[:, i] for i, variable in enumerate(self.variables)})

    def _aligned(self, file: TidyFile, values: Sequence[float]) -> list[float]:
        by_variable = dict(zip(file.variables, values, strict=True))
        return [by_variable.get(variable, math.nan) for variable in self.variables]

    def _take(self, line: int, day: date, values: list[float]) -> None:
        held_rows = self.days.setdefault(day, [])
        if any(_holds(held.values, values) for held in held_rows):
            self.identical += 1
            return
        for held in held_rows:
            if _compatible(held.values, values):
                held.values = [b if math.isnan(a) else a for a, b in zip(held.values, values, strict=True)]
                self.completed += 1
                return
        if held_rows:
            self.disagreeing += 1
            self.messages.append((line, self._disagreement(line, day, values, held_rows[0])))
        self.added += 1
        held_rows.append(_Held(values, line))

    def _disagreement(self, line: int, day: date, values: Sequence[float], held: _Held) -> str:
        where = "the record" if held.line is None else f"line {held.line}"
        cells = [
            f"{variable} {new!r} against {old!r}"
            for variable, new, old in zip(self.variables, values, held.values, strict=True)
            if _differ(new, old)
        ]
        return f"line {line}: {day} disagrees with {where}: {', '.join(cells)}; both are kept"


def _differ(one: float, other: float) -> bool:
    return one != other and not math.isnan(one) and not math.isnan(other)


def _compatible(held: Sequence[float], new: Sequence[float]) -> bool:
    return not any(_differ(a, b) for a, b in zip(held, new, strict=True))


def _holds(held: Sequence[float], new: Sequence[float]) -> bool:
    return all(math.isnan(b) or a == b for a, b in zip(held, new, strict=True))


def _messages(rejected: Iterable[RejectedLine], others: Iterable[tuple[int, str]]) -> tuple[str, ...]:
    numbered = [(bad.line, f"line {bad.line}: {bad.reason}") for bad in rejected]
    return tuple(text for _, text in sorted([*numbered, *others]))


def keep_rejected(path: Path, rejected: Sequence[tuple[str, RejectedLine]]) -> None:
    """Add unreadable lines, each with its file's name, to those already kept at `path`, each once."""
    if not rejected:
        return
    lines = [f"{name},{bad.line},{_quoted(bad.reason)},{_quoted(bad.text)}" for name, bad in rejected]
    kept = [_REJECTED_HEADER]
    if path.exists():
        kept = path.read_text("utf-8", "surrogateescape").removesuffix("\n").split("\n")
    new = [line for line in dict.fromkeys(lines) if line not in set(kept)]
    if new:
        replace_file(path, "\n".join([*kept, *new]) + "\n")


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
