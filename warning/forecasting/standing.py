"""What a dam's past comes to on one day, so that a daily forecast need not live through it again.

A standing is made where the whole past is replayed anyway, at the end of a training, and is kept with the
model. From it and the readings since, `resume` makes the forecast that the whole record would give. It
ends some days before the record does: late and corrected readings are mostly of the last days, and a
past that was changed has no standing any more (`fingerprint`).
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from warning.domain.forecast import HORIZON_DAYS, NETWORK_PREFIX_LSTM, PERSISTENCE
from warning.domain.readings import ReadingSeries, last_reported
from warning.domain.variables import BoolArray, FloatArray
from warning.errors import ForecastError
from warning.forecasting.autoregression import block_starts, coefficients_before
from warning.forecasting.calibration import ScoreTable, scored
from warning.forecasting.model import SiteScale, StandingFile
from warning.forecasting.pool import Replayed, restlessness
from warning.forecasting.ragged import Arrays, pack, unpack
from warning.forecasting.skill import known_losses, weekly
from warning.forecasting.weights import PUBLISHED, WeightRule, WeightState, known_errors, weight_state

SETTLING_DAYS: Final = 14
"""Days at the end of a record that a standing leaves out."""
FINGERPRINT_DAYS: Final = 1096
"""Days before a standing's end that must be unchanged for it to hold; older readings count little by then."""
CONTEXT_DAYS: Final = 60  # more than any input looks back, were every day reported
_TABLE_TYPES: Final = {
    "scores": np.float32, "issued": np.uint16, "positions": np.int8, "spreads": np.int16,
    "flood_share": np.uint8,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One dam's past before `day`, which is row `row` of the calendar it was replayed on; `mark` is its
    fingerprint.

    `once` and `again` are the ridge's coefficients in force (features, 7), empty where there are none;
    `pool` and `published` where the two weight rules stand. `pending` (7, 7, M) are the forecasts of the
    M `experts` issued on the last seven days, by issue day and lead, `pooled`, `spread` (7, 7) and `base`
    (7,) those days' pooled forecasts, their spread and what they started from. `restless` holds the mean, the
    last base, and its age in days on `day`. `unseen` counts the issue days whose inputs were new,
    `losses` are the weekly sums of `skill`, `reference` the values that define ranks, `tables` the scores.
    """

    day: date
    row: int
    mark: str
    experts: tuple[str, ...]
    once: FloatArray
    again: FloatArray
    pool: WeightState
    published: WeightState
    pending: FloatArray
    pooled: FloatArray
    spread: FloatArray
    base: FloatArray
    restless: FloatArray
    unseen: int
    losses: FloatArray
    reference: FloatArray
    tables: tuple[ScoreTable, ...]

    @property
    def members(self) -> int:
        """How many of the experts, the first ones, make up the ensemble."""
        return sum(name.startswith(NETWORK_PREFIX_LSTM) for name in self.experts)


def standing_row(past: Replayed) -> int | None:
    """Return the row that a standing of this past should end before; None where it is too short for one."""
    row = int(past.rows[-1]) + 1 - SETTLING_DAYS
    longest = int(np.iinfo(np.uint16).max)  # as the tables hold rows
    return row if past.networks and int(past.rows[0]) + HORIZON_DAYS <= row <= longest else None


def standing_at(
    row: int, series: ReadingSeries, scale: SiteScale, fit_end: date, past: Replayed, rule: WeightRule
) -> Standing:
    """Return what the rows before `row` come to; `row` is at least a week after the first of `past.rows`."""
    start, origin = int(past.rows[0]), series.first_day.toordinal()
    hindcast = past.hindcast.until(row)
    positions = hindcast.positions()
    experts = np.stack([values[:row] for values in past.experts.values()], axis=2)
    count = sum(name.startswith(NETWORK_PREFIX_LSTM) for name in past.networks)
    errors = known_errors(experts[start:], hindcast.truth[start:])
    block = int(block_starts(scale, np.array([row + origin]))[0]) - origin
    newest = slice(row - HORIZON_DAYS, row)
    losses = known_losses(hindcast.mean[start:], past.cheap[PERSISTENCE][start:row], hindcast.truth[start:])
    return Standing(
        day=series.day(row),
        row=row,
        mark=fingerprint(series, series.day(row)) or "",
        experts=tuple(past.experts),
        once=_or_empty(coefficients_before(series, scale, series.row(fit_end))),
        again=_or_empty(coefficients_before(series, scale, block)),
        pool=weight_state(errors, rule),
        published=weight_state(errors[:, :, :count], PUBLISHED),
        pending=experts[newest],
        pooled=hindcast.mean[newest],
        spread=hindcast.spread[newest],
        base=hindcast.base[newest],
        restless=_restless_at(hindcast.base, row, scale),
        unseen=int(past.unseen[past.rows < row].sum()),
        losses=weekly(losses, start + origin, row - 1 + origin),
        reference=hindcast.reference,
        tables=tuple(scored(hindcast, lead, row, 0, positions) for lead in range(1, HORIZON_DAYS + 1)),
    )


def context_start(series: ReadingSeries, day: date) -> int:
    """Return the first row that forecasts issued from `day` on can look at.

    That is two months before, and further back to the last believed reading of a variable without any there.
    """
    first = min(max(series.row(day) - CONTEXT_DAYS, 0), len(series) - 1)
    return min((_last_believed(series, variable, first) for variable in series.values), default=first)


def from_row(series: ReadingSeries, row: int) -> ReadingSeries:
    """Return the rows from `row` on."""
    return ReadingSeries(
        series.day(row),
        {variable: column[row:] for variable, column in series.values.items()},
        {variable: column[row:] for variable, column in series.at_once.items()},
        {variable: column[row:] for variable, column in series.settled.items()},
        {variable: table[row:] for variable, table in series.ahead.items()},
    )


def fingerprint(series: ReadingSeries, day: date) -> str | None:
    """Return a digest of the readings and verdicts of the three years before `day`; None before the record.

    Verdicts as they stood the day before `day`: that on a variable's newest reading may yet change.
    """
    end = min(series.row(day), len(series))
    if end <= 0:
        return None
    begin = max(end - FINGERPRINT_DAYS, 0)
    digest = hashlib.blake2b(series.day(begin).isoformat().encode(), digest_size=16)
    for variable in sorted(series.values):
        values, settled = series.values[variable][begin:end], series.settled[variable][begin:end]
        newest = last_reported(values)
        if newest is not None:
            if settled[newest]:
                settled = settled.copy()
                settled[newest] = 0
            digest.update(variable.encode())
            for column in (values, series.at_once[variable][begin:end], settled):
                digest.update(np.ascontiguousarray(column).data)
    for variable, table in sorted(series.ahead.items()):
        if np.isfinite(table[begin:end]).any():
            digest.update(variable.encode())
            digest.update(np.ascontiguousarray(table[begin:end]).data)
    return digest.hexdigest()


def to_arrays(standing: Standing) -> Arrays:
    """Take a standing apart."""
    arrays: Arrays = {name: getattr(standing, name) for name in _PLAIN}
    arrays["numbers"] = np.array([standing.day.toordinal(), standing.row, standing.unseen])
    arrays["mark"] = np.frombuffer(bytes.fromhex(standing.mark), np.uint8)
    for name in ("pool", "published"):
        state = getattr(standing, name)
        arrays |= {f"{name}_weight": state.weight, f"{name}_losses": state.losses}
    arrays["sizes"] = np.array([table.scores.size for table in standing.tables])
    for name, kind in _TABLE_TYPES.items():
        column = np.concatenate([getattr(table, name) for table in standing.tables])
        arrays[f"table_{name}"] = column.astype(kind, copy=False)
    return arrays


def from_arrays(experts: tuple[str, ...], arrays: Mapping[str, NDArray[Any]]) -> Standing:
    """Put a standing together; raises KeyError, TypeError or ValueError where that is impossible."""
    ordinal, row, unseen = (int(number) for number in arrays["numbers"])
    ends = np.cumsum(arrays["sizes"])
    columns = {name: arrays[f"table_{name}"] for name in _TABLE_TYPES}
    parts = [slice(int(end - size), int(end)) for size, end in zip(arrays["sizes"], ends, strict=True)]
    tables = [ScoreTable(**{name: column[part] for name, column in columns.items()}) for part in parts]
    if len(tables) != HORIZON_DAYS or arrays["pending"].shape != (HORIZON_DAYS, HORIZON_DAYS, len(experts)):
        raise ValueError("a standing does not fit its experts")
    return Standing(
        day=date.fromordinal(ordinal),
        row=row,
        mark=arrays["mark"].tobytes().hex(),
        experts=experts,
        unseen=unseen,
        pool=WeightState(arrays["pool_weight"], arrays["pool_losses"]),
        published=WeightState(arrays["published_weight"], arrays["published_losses"]),
        tables=tuple(tables),
        **{name: arrays[name] for name in _PLAIN},
    )


def write_standings(standings: Sequence[Standing]) -> bytes:
    """Return a file of standings, in the order given."""
    data = io.BytesIO()
    np.savez(data, allow_pickle=False, **pack("standing", [to_arrays(one) for one in standings]))
    return data.getvalue()


def read_standings(file: StandingFile, wanted: Collection[str]) -> dict[str, Standing]:
    """Return the standings of the wanted dams; raises ForecastError where the file is not what it was."""
    with file.path.open("rb") as data:
        found = hashlib.file_digest(data, "sha256").hexdigest()
        if found != file.sha256:
            raise ForecastError(f"{file.path} is damaged: its SHA-256 is {found}, expected {file.sha256}")
        data.seek(0)
        with np.load(data, allow_pickle=False) as arrays:
            sets = unpack("standing", {key: arrays[key] for key in arrays.files})
    owners = zip(file.sites, sets, strict=True)
    return {name: from_arrays(file.experts, own) for name, own in owners if name in wanted}


_PLAIN: Final = (
    "once", "again", "pending", "pooled", "spread", "base", "restless", "losses", "reference",
)  # fmt: skip


def _or_empty(coefficients: FloatArray | None) -> FloatArray:
    return np.empty((0, HORIZON_DAYS)) if coefficients is None else coefficients


def _restless_at(base: FloatArray, row: int, scale: SiteScale) -> FloatArray:
    known = np.flatnonzero(np.isfinite(base))
    if known.size == 0:
        return np.array([scale.daily_change, np.nan, 0.0])
    mean = restlessness(base[known], known, scale)[-1]
    return np.array([mean, base[known[-1]], row - known[-1]])


def _last_believed(series: ReadingSeries, variable: Any, row: int) -> int:
    """The newest row ≤ `row` whose reading is believed for good, else the first reported; else `row`."""
    values, settled = series.values[variable], series.settled[variable]
    if math.isfinite(values[row]) and not settled[row]:  # mostly
        return row
    for begin in (max(row - CONTEXT_DAYS, 0), 0):
        reported: BoolArray = np.isfinite(values[begin : row + 1])
        believed = np.flatnonzero(reported & (settled[begin : row + 1] == 0))
        if believed.size:
            return begin + int(believed[-1])
    found = np.flatnonzero(reported)
    return int(found[0]) if found.size else row
