"""Outlooks: forecast rain and planned release as issued, screened, and laid beside the readings.

An outlook counts from the day it was issued on and through the next, no longer: a row of a series holds
what was known on its day, so that a hindcast sees no outlook before it was issued.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from warning.domain.findings import Finding, FindingKind
from warning.domain.forecast import HORIZON_DAYS
from warning.domain.readings import AHEAD_VARIABLES, AheadColumns, ReadingSeries
from warning.domain.reservoir import Bounds
from warning.domain.variables import BoolArray, DayArray, FloatArray, Variable

OLDEST_DAYS: Final = 1
MOST_RAIN_MM: Final = 2000.0
"""In a day: more than has ever been measured anywhere."""
WHAT: Final = {Variable.RAIN_MM: "rain", Variable.OUTFLOW_M3S: "release"}
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


def ahead_of(
    outlooks: Outlooks, series: ReadingSeries, bounds: Mapping[Variable, Bounds]
) -> dict[Variable, FloatArray]:
    """Return what was known on each day of `series` of the seven after it, absurd values left out.

    Of two outlooks the one issued later counts, of one issue day the line further down.
    """
    found = {}
    for variable, column in outlooks.values.items():
        sound = _sound(variable, column, bounds)
        table = np.full((len(series), HORIZON_DAYS), np.nan)
        for age in range(OLDEST_DAYS, -1, -1):
            rows = (outlooks.issued - np.datetime64(series.first_day, "D")).astype(np.int64) + age
            leads = (outlooks.valid - outlooks.issued).astype(np.int64) - age
            used = sound & (rows >= 0) & (rows < len(series)) & (leads >= 1) & (leads <= HORIZON_DAYS)
            table[rows[used], leads[used] - 1] = column[used]
        if np.isfinite(table).any():
            found[variable] = table
    return found


def outlook_findings(
    reservoir_id: str,
    outlooks: Outlooks,
    bounds: Mapping[Variable, Bounds],
    today: date,
) -> tuple[Finding, ...]:
    """Say what is wrong with the outlooks that could matter today: too old, unreadable, or absurd."""
    texts = []
    issued = outlooks.issued[outlooks.issued <= np.datetime64(today, "D")]
    newest = issued.max().astype(object) if issued.size else None
    if newest is None or (today - newest).days > OLDEST_DAYS:
        said = "holds none issued so far" if newest is None else f"was issued on {newest}"
        text = f"the newest outlook {said}: the forecast goes without; see to what writes the file"
        return (Finding(FindingKind.OUTLOOK_STALE, text, reservoir_id),)
    recent = (outlooks.issued >= newest) & (outlooks.issued <= np.datetime64(today, "D"))
    for variable, column in outlooks.values.items():
        absurd = recent & np.isfinite(column) & ~_sound(variable, column, bounds)
        if absurd.any():
            shown = ", ".join(
                f"{value:g} {variable.unit} for {day}"
                for value, day in zip(column[absurd][:_SHOWN], outlooks.valid[absurd][:_SHOWN], strict=True)
            )
            texts.append(f"forecast {WHAT[variable]} that cannot be is left out: {shown}; check the outlook")
    if outlooks.complaints:
        shown = "; ".join(outlooks.complaints[-_SHOWN:])
        texts.append(f"{len(outlooks.complaints)} lines of the outlook could not be read: {shown}")
    return tuple(Finding(FindingKind.OUTLOOK_UNUSABLE, text, reservoir_id) for text in texts)


def words_ahead(ahead: AheadColumns, row: int) -> tuple[str, ...]:
    """Say in words what was known on `row`: one line for rain and one for release, none where nothing."""
    return tuple(
        f"the forecast counts on {WHAT[variable]} that has not come yet, day by day: "
        + ", ".join("-" if np.isnan(value) else f"{value:.4g}" for value in table[row])
        + f" {variable.unit}"
        for variable, table in ahead.items()
        if np.isfinite(table[row]).any()
    )


def _sound(variable: Variable, column: FloatArray, bounds: Mapping[Variable, Bounds]) -> BoolArray:
    """Say which values can be: a release is held against the dam's limits, given or derived."""
    given = bounds.get(variable)
    most = MOST_RAIN_MM if variable is Variable.RAIN_MM else given.upper if given else np.inf
    sound: BoolArray = (column >= 0) & (column <= most)
    return sound
