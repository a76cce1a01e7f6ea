"""Outlooks: forecast rain and planned release as issued, screened, and laid beside the readings.

An outlook counts from the day it was issued on and through the next, no longer: a row of a series holds
what was known on its day, so that a hindcast sees no outlook before it was issued. Only the newest row,
from which today's forecast is made, may hold what was issued since, up to today.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

import numpy as np

from warning.domain.findings import Finding, FindingKind
from warning.domain.forecast import HORIZON_DAYS
from warning.domain.readings import AHEAD_VARIABLES, AheadColumns, ReadingSeries
from warning.domain.reservoir import Bounds
from warning.domain.variables import BoolArray, DayArray, FloatArray, IndexArray, Variable

OLDEST_DAYS: Final = 1
MOST: Final = {Variable.RAIN_MM: 2000.0, Variable.OUTFLOW_M3S: 1e6}
"""More than has ever been measured anywhere in a day, for dams whose own limits say nothing."""
WHAT: Final = {Variable.RAIN_MM: "rain", Variable.OUTFLOW_M3S: "release"}
_COUNTS_ON: Final = "the forecast counts on "
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Outlooks:
    """One dam's outlooks as a source gave them: on which day issued, for which day, what; NaN is nothing.

    `complaints` are lines that the source could not read.
    """

    issued: DayArray
    valid: DayArray
    values: Mapping[Variable, FloatArray]
    complaints: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for variable, column in self.values.items():
            if variable not in AHEAD_VARIABLES:
                raise ValueError(f"an outlook is of {' or '.join(AHEAD_VARIABLES)}, found {variable}")
            if not column.shape == self.issued.shape == self.valid.shape:
                raise ValueError(f"{variable} has {column.size} values for {self.issued.size} issue days")

    def until(self, last_day: date) -> Outlooks:
        """Return the outlooks as they stood on `last_day`."""
        keep = self.issued <= np.datetime64(last_day, "D")
        columns = {variable: column[keep] for variable, column in self.values.items()}
        return Outlooks(self.issued[keep], self.valid[keep], columns, self.complaints)


@dataclass(frozen=True, slots=True)
class FleetOutlooks:
    """What one reading of the outlooks gave, by reservoir id; a dam that is in neither has none.

    `failures` say why a dam's could not be read, `troubles` what is wrong with the outlooks as a whole.
    """

    outlooks: Mapping[str, Outlooks]
    failures: Mapping[str, str] = field(default_factory=dict)
    troubles: tuple[str, ...] = ()


def knowing(
    reservoir_id: str,
    series: ReadingSeries,
    fleet: FleetOutlooks,
    bounds: Mapping[Variable, Bounds],
    today: date,
) -> tuple[ReadingSeries, tuple[Finding, ...]]:
    """Return the series with what is known today of the days ahead, and what is wrong with that."""
    findings = [Finding(FindingKind.OUTLOOK_UNUSABLE, text) for text in fleet.troubles]
    if reservoir_id in fleet.failures:
        text = fleet.failures[reservoir_id]
        findings.append(Finding(FindingKind.OUTLOOK_UNUSABLE, text, reservoir_id))
    found = fleet.outlooks.get(reservoir_id)
    if found is None:
        return series, tuple(findings)
    findings += outlook_findings(reservoir_id, found, bounds, today)
    ahead = ahead_of(found, series, bounds, today)
    issued = {variable: _newest_used(found, variable, series, bounds, today) for variable in ahead}
    series = replace(series, ahead=ahead, ahead_issued={v: day for v, day in issued.items() if day})
    return series, tuple(findings)


def ahead_of(
    outlooks: Outlooks,
    series: ReadingSeries,
    bounds: Mapping[Variable, Bounds],
    today: date | None = None,
) -> dict[Variable, FloatArray]:
    """Return what was known on each day of `series` of the seven after it, absurd values left out.

    Of two outlooks the one issued later counts, of one issue day the line further down. The newest row
    holds what is known on `today`, which is its own day where nothing is said.
    """
    found = {}
    for variable, column in outlooks.values.items():
        table = np.full((len(series), HORIZON_DAYS), np.nan)
        for rows, leads, used in _places(outlooks, variable, series, bounds, today):
            table[rows[used], leads[used] - 1] = column[used]
        if np.isfinite(table).any():
            found[variable] = table
    return found


def _places(
    outlooks: Outlooks,
    variable: Variable,
    series: ReadingSeries,
    bounds: Mapping[Variable, Bounds],
    today: date | None,
) -> Iterator[tuple[IndexArray, IndexArray, BoolArray]]:
    """Yield for each age of an outlook, the greatest first, each value's row and lead, and if it is used."""
    sound = _sound(variable, outlooks.values[variable], bounds)
    first, last = np.datetime64(series.first_day, "D"), len(series) - 1
    late = 0 if today is None else max((today - series.last_day).days, 0)
    valid = (outlooks.valid - first).astype(np.int64)
    for age in range(OLDEST_DAYS, -1, -1):
        known = (outlooks.issued - first).astype(np.int64) + age
        rows = np.where(known == last + late, last, np.where(known < last, known, -1))
        leads = valid - rows
        yield rows, leads, sound & (rows >= 0) & (leads >= 1) & (leads <= HORIZON_DAYS)


def _newest_used(
    outlooks: Outlooks,
    variable: Variable,
    series: ReadingSeries,
    bounds: Mapping[Variable, Bounds],
    today: date,
) -> date | None:
    """Return the day of issue of the newest outlook that the newest row holds a value of."""
    newest = None
    for rows, _, used in _places(outlooks, variable, series, bounds, today):
        issued = outlooks.issued[used & (rows == len(series) - 1)]
        newest = issued.max().astype(object) if issued.size else newest
    return newest


def outlook_findings(
    reservoir_id: str,
    outlooks: Outlooks,
    bounds: Mapping[Variable, Bounds],
    today: date,
) -> tuple[Finding, ...]:
    """Say what is wrong with the outlooks that matter today: too old, unreadable, absurd, or of no use."""
    day = np.datetime64(today, "D")
    issued = outlooks.issued[outlooks.issued <= day]
    newest = issued.max().astype(object) if issued.size else None
    found = [] if not outlooks.complaints else [_unreadable(outlooks.complaints)]
    if newest is None or (today - newest).days > OLDEST_DAYS:
        said = "holds none issued so far" if newest is None else f"was issued on {newest}"
        text = f"the newest outlook {said}: the forecast goes without; see to what issues the outlooks"
        stale = Finding(FindingKind.OUTLOOK_STALE, text, reservoir_id)
        return (stale, *(Finding(FindingKind.OUTLOOK_UNUSABLE, text, reservoir_id) for text in found))
    recent = (outlooks.issued >= np.datetime64(newest, "D")) & (outlooks.issued <= day)
    absurd = [_absurd(outlooks, variable, recent, bounds) for variable in outlooks.values]
    texts = [text for text in absurd if text]
    ahead = (outlooks.valid >= day) & (outlooks.valid <= day + HORIZON_DAYS)
    if not texts and not any((recent & ahead & np.isfinite(c)).any() for c in outlooks.values.values()):
        texts.append(
            f"the outlook issued on {newest} says nothing of the {HORIZON_DAYS} days from {today} on; "
            "see to what issues the outlooks"
        )
    return tuple(Finding(FindingKind.OUTLOOK_UNUSABLE, text, reservoir_id) for text in (*texts, *found))


def _absurd(
    outlooks: Outlooks, variable: Variable, recent: BoolArray, bounds: Mapping[Variable, Bounds]
) -> str | None:
    column = outlooks.values[variable]
    absurd = recent & ~np.isnan(column) & ~_sound(variable, column, bounds)
    if not absurd.any():
        return None
    shown = ", ".join(
        f"{value:g} {variable.unit} for {day}"
        for value, day in zip(column[absurd][:_SHOWN], outlooks.valid[absurd][:_SHOWN], strict=True)
    )
    return f"forecast {WHAT[variable]} that cannot be is left out: {shown}; check the outlook"


def _unreadable(complaints: tuple[str, ...]) -> str:
    entries = "1 entry" if len(complaints) == 1 else f"{len(complaints)} entries"
    return f"{entries} of the outlook could not be read: {'; '.join(complaints[-_SHOWN:])}"


def words_ahead(
    ahead: AheadColumns, row: int, issued: Mapping[Variable, date] | None = None
) -> tuple[str, ...]:
    """Say in words what was known on `row`: one line for rain and one for release, none where nothing.

    `issued` are the days of issue of what the newest row holds.
    """
    return tuple(
        f"{_COUNTS_ON}{WHAT[variable]} that has not come yet"
        f"{_of_day(issued, variable, table, row)}, day by day: "
        + ", ".join("-" if np.isnan(value) else f"{value:.4g}" for value in table[row])
        + f" {variable.unit}"
        for variable, table in ahead.items()
        if np.isfinite(table[row]).any()
    )


def labelled(remark: str) -> tuple[str, str]:
    """Return the heading that a remark on a forecast belongs under: a used outlook degrades nothing."""
    return ("outlook" if remark.startswith(_COUNTS_ON) else "degraded"), remark


def _of_day(issued: Mapping[Variable, date] | None, variable: Variable, table: FloatArray, row: int) -> str:
    day = (issued or {}).get(variable) if row == len(table) - 1 else None
    return "" if day is None else f", by the outlook issued on {day}"


def _sound(variable: Variable, column: FloatArray, bounds: Mapping[Variable, Bounds]) -> BoolArray:
    """Say which values can be, by the dam's own limits, given or derived."""
    given = bounds.get(variable)
    most = min(given.upper, MOST[variable]) if given else MOST[variable]
    sound: BoolArray = (column >= 0) & (column <= most)
    return sound
