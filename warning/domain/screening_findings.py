"""What screening has to say to people: findings for the operator, rows of flags for a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from warning.domain.findings import Finding, FindingKind
from warning.domain.readings import Flag, RawReadings, ReadingSeries
from warning.domain.reservoir import Bounds, ScreeningLimits
from warning.domain.screening_sheet import disagreeing_days
from warning.domain.variables import IndexArray, Variable
from warning.domain.wording import days as in_days
from warning.domain.wording import quantity

_DEFAULT_GAP_DAYS = 2
_SHOWN = 3

_WHAT: Mapping[Flag, str] = {
    Flag.PHYSICAL_RANGE: "lies outside the physical range",
    Flag.SENTINEL: "is a code for a missing value",
    Flag.ZERO_RUN: "is a zero that means no reading",
    Flag.SPIKE: "stands out from the readings before and after it",
    Flag.RATE_OF_CHANGE: "changed faster than it can, and nothing else explains it",
    Flag.FLAT_LINE: "repeats the same value as a frozen gauge does",
    Flag.DUPLICATE_DAYS: "was reported more than once for the same day with different values",
    Flag.LEVEL_AGAINST_STORAGE: "moved as the other of level and storage did not",
    Flag.SCALE_STEP: "no longer fits the change of storage unless multiplied by a large factor",
}
_REMEDY: Mapping[Flag, str] = {
    Flag.PHYSICAL_RANGE: "Check the gauge and the unit; if the value is right, widen the dam's limits.",
    Flag.SENTINEL: "Check why the gauge sends no value.",
    Flag.ZERO_RUN: "Check whether the feed is dead.",
    Flag.SPIKE: "Correct the value in the record if it was mistyped.",
    Flag.RATE_OF_CHANGE: "Confirm it at the gauge; a new datum or capacity table looks like this too.",
    Flag.FLAT_LINE: "Check that the gauge still moves.",
    Flag.DUPLICATE_DAYS: "Correct the record so that each day stands once.",
    Flag.LEVEL_AGAINST_STORAGE: "Compare gauge and capacity table; correct the one that is wrong.",
    Flag.SCALE_STEP: "Check whether the unit of the flow was changed at its source.",
}


@dataclass(frozen=True, slots=True)
class FlagRow:
    """One doubted reading: its flags with the next reading known, and the rules in words."""

    day: date
    variable: Variable
    value: float
    flags: Flag
    rules: str


def flag_report(series: ReadingSeries) -> list[FlagRow]:
    """Return every reading that is doubted for good, by day, then in the order of the variables."""
    rows = [
        FlagRow(series.day(row), variable, float(series.values[variable][row]), flags, rule_words(flags))
        for variable in series.values
        for row in np.flatnonzero(series.settled[variable]).tolist()
        if (flags := Flag(int(series.settled[variable][row])))
    ]
    order = list(Variable)
    return sorted(rows, key=lambda flagged: (flagged.day, order.index(flagged.variable)))


def rule_words(flags: Flag) -> str:
    """Return the rules behind `flags` in words: "physical range, sentinel"."""
    return ", ".join((flag.name or "").lower().replace("_", " ") for flag in Flag if flag & flags)


def screening_findings(
    reservoir_id: str,
    raw: RawReadings,
    series: ReadingSeries,
    variable: Variable,
    recent_days: int = 7,
    *,
    bounds: Mapping[Variable, Bounds] | None = None,
    limits: ScreeningLimits | None = None,
) -> tuple[Finding, ...]:
    """Return what people should know about the last `recent_days` rows of `series`.

    One finding per rule and variable, and for the forecast `variable` gaps and a doubted newest
    reading. `bounds` and `limits`, those the series was screened with, let the messages name the limit.
    Staleness is not judged here: it needs the present.
    """
    report = _Report(reservoir_id, series, max(len(series) - recent_days, 0), bounds or {}, limits)
    return (
        *report.suspect_last_reading(variable),
        *report.flags(),
        *report.duplicates(raw),
        *report.gaps(variable),
        *report.bad_cells(raw.complaints),
    )


@dataclass(frozen=True, slots=True)
class _Report:
    reservoir_id: str
    series: ReadingSeries
    first_row: int
    bounds: Mapping[Variable, Bounds]
    limits: ScreeningLimits | None

    def suspect_last_reading(self, variable: Variable) -> Iterator[Finding]:
        row = self.series.last_reported_row(variable)
        flags = Flag(int(self.series.settled[variable][row])) if row is not None else Flag(0)
        if row is None or not flags:
            return
        believed = self.series.last_trusted_row(variable)
        base = "no earlier reading is believed, so there is no forecast"
        if believed is not None:
            base = f"the forecast starts from the last believed one, {self._value(variable, believed)}"
        yield self._finding(
            FindingKind.SUSPECT_LAST_READING,
            f"the newest {variable.noun}, {self._value(variable, row)}, is doubted ({rule_words(flags)}): "
            f"{base}. Confirm the reading at the gauge now.",
            variable,
            row,
        )

    def flags(self) -> Iterator[Finding]:
        for variable in self.series.values:
            recent = self.series.settled[variable][self.first_row :]
            # days that disagree have a finding of their own, doubted or not
            for flag in (f for f in Flag if f is not Flag.DUPLICATE_DAYS):
                rows = self.first_row + np.flatnonzero(recent & flag.value)
                if rows.size:
                    yield self._flagged(variable, flag, rows)

    def duplicates(self, raw: RawReadings) -> Iterator[Finding]:
        days = [day for day in disagreeing_days(raw).tolist() if self.series.row(day) >= self.first_row]
        if days:
            shown = ", ".join(day.isoformat() for day in days[-_SHOWN:])
            yield self._finding(
                FindingKind.DUPLICATE_DAYS,
                f"{in_days(len(days))} lately came more than once with different values (last {shown}): "
                f"the row that best continues the days before is used, and doubted unless it alone does. "
                f"{_REMEDY[Flag.DUPLICATE_DAYS]}",
                None,
                self.series.row(days[-1]),
            )

    def gaps(self, variable: Variable) -> Iterator[Finding]:
        most = (self.limits.gap_days if self.limits else None) or _DEFAULT_GAP_DAYS
        if variable not in self.series.values:
            return
        rows = np.flatnonzero(self.series.reported(variable))
        for before, after in zip(rows[:-1].tolist(), rows[1:].tolist(), strict=True):
            missing = after - before - 1
            if after >= self.first_row and missing > most:
                yield self._finding(
                    FindingKind.GAP,
                    f"no {variable.noun} was reported for {in_days(missing)} before {self.series.day(after)} "
                    f"(more than {in_days(most)} is a gap): forecasts after it are less sure. "
                    "Import the missing days if they exist.",
                    variable,
                    after,
                )

    def bad_cells(self, complaints: tuple[str, ...]) -> Iterator[Finding]:
        if complaints:
            shown = "; ".join(complaints[-_SHOWN:])
            more = f" and {len(complaints) - _SHOWN} more" if len(complaints) > _SHOWN else ""
            count = "1 line" if len(complaints) == 1 else f"{len(complaints)} lines"
            yield Finding(
                FindingKind.BAD_CELL,
                f"{self.reservoir_id}: {count} of the readings could not be read and count as missing: "
                f"{shown}{more}. Correct them in the source.",
                self.reservoir_id,
            )

    def _flagged(self, variable: Variable, flag: Flag, rows: IndexArray) -> Finding:
        shown = ", ".join(self._value(variable, row) for row in rows[-_SHOWN:].tolist())
        count = f"{in_days(rows.size)} lately, last " if rows.size > _SHOWN else ""
        limit = self._limit(variable, flag)
        return self._finding(
            FindingKind[flag.name or ""],
            f"{variable.noun} ({count}{shown}) {_WHAT[flag]}{f' ({limit})' if limit else ''}: "
            f"it is not used as truth. {_REMEDY[flag]}",
            variable,
            int(rows[-1]),
        )

    def _limit(self, variable: Variable, flag: Flag) -> str:
        """Return the limit that a flag was set by, as far as it is known."""
        if flag is Flag.PHYSICAL_RANGE and variable in self.bounds:
            range_ = self.bounds[variable]
            return f"{quantity(range_.lower, variable)} to {quantity(range_.upper, variable)}"
        limits = self.limits or ScreeningLimits()
        if flag is Flag.RATE_OF_CHANGE and variable in limits.rate_per_day:
            return f"limit {quantity(limits.rate_per_day[variable], variable)} a day"
        if flag is Flag.SPIKE and variable in limits.spike:
            return f"limit {quantity(limits.spike[variable], variable)}"
        if flag is Flag.LEVEL_AGAINST_STORAGE and limits.level_storage_tolerance_m is not None:
            return f"tolerance {quantity(limits.level_storage_tolerance_m, Variable.LEVEL_M)}"
        if flag is Flag.FLAT_LINE and limits.flat_line_days is not None and variable is not Variable.RAIN_MM:
            return f"limit {in_days(limits.flat_line_days)}"
        if flag is Flag.SCALE_STEP and limits.scale_step_factor is not None:
            return f"limit a factor of {limits.scale_step_factor:g}"
        return ""

    def _value(self, variable: Variable, row: int) -> str:
        return f"{quantity(float(self.series.values[variable][row]), variable)} on {self.series.day(row)}"

    def _finding(self, kind: FindingKind, message: str, variable: Variable | None, row: int) -> Finding:
        day = self.series.day(row)
        return Finding(kind, f"{self.reservoir_id}: {message}", self.reservoir_id, variable, day)
