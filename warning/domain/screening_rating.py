"""Level against storage: both are one water surface, so a change of one implies a change of the other.

The relation is read from the pairs of the days before, near the storage in question, so that
another table, another datum or a silted bed moves it without an alarm. What is tested is the
*change* since the last pair that agreed: a step of one without the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warning.domain.readings import Flag
from warning.domain.screening_sheet import Sheet
from warning.domain.variables import FloatArray, IndexArray, Variable

LEVEL, STORAGE = Variable.LEVEL_M, Variable.STORAGE_M3

_HISTORY_PAIRS = 720
_NEAREST = 25
_FEWEST = 10
_RELATIVE_TOLERANCE = 0.4
_TOLERANCE_BEYOND = 0.8  # a pool higher than ever before spreads: a line carried on is off by a factor
# A step of the storage alone is doubted until the two agree again, or until a year's readings
# have made the new table the rule. A level is doubted for one reading only: were it in
# truth the storage's table that ended in a flood, a longer doubt would hide the flood.
_RETURN_DAYS = 30
_LONGEST_DOUBT = {STORAGE: 365, LEVEL: 1}


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the water surface as the gauge has it and as the storage implies it, in metres."""

    observed_m: float
    implied_m: float
    known_ground: bool  # whether the storage lies within what the relation was read from

    def agrees(self, tolerance_m: float, in_doubt: bool = False) -> bool:
        """Say whether the two differ by no more than a tolerance or a share of the larger.

        Once they are in doubt, new ground no longer excuses a difference.
        """
        larger = max(abs(self.observed_m), abs(self.implied_m))
        share = _RELATIVE_TOLERANCE if self.known_ground or in_doubt else _TOLERANCE_BEYOND
        return abs(self.observed_m - self.implied_m) <= max(tolerance_m, share * larger)


class Pairs:
    """The days on which level and storage both stand, with the relation between them."""

    def __init__(self, level: FloatArray, storage: FloatArray) -> None:
        self.rows: IndexArray = np.flatnonzero(np.isfinite(level) & np.isfinite(storage))
        self.level, self.storage = level[self.rows], storage[self.rows]
        self.doubted = np.zeros(self.rows.size, dtype=np.bool_)

    def change(self, before: int, now: int) -> Change | None:
        """Compare pair `now` with the earlier pair `before`; None where too little is known to judge."""
        first = max(before + 1 - _HISTORY_PAIRS, 0)
        kept = first + np.flatnonzero(~self.doubted[first : before + 1])
        storage, picks = np.unique(self.storage[kept], return_index=True)
        level = self.level[kept][picks]
        if storage.size < _FEWEST:
            return None
        implied = _implied(storage, level, self.storage[now]) - _implied(storage, level, self.storage[before])
        observed = float(self.level[now] - self.level[before])
        known = storage[0] <= self.storage[now] <= storage[-1]
        return Change(observed, implied, known)


def change_between(pairs: Pairs, row_before: int, row: int) -> Change | None:
    """Compare two rows of the calendar; None unless both hold a pair."""
    before, now = np.searchsorted(pairs.rows, (row_before, row))
    if now >= pairs.rows.size or pairs.rows[before] != row_before or pairs.rows[now] != row:
        return None
    return pairs.change(int(before), int(now))


def flag_level_against_storage(sheet: Sheet) -> None:
    """Flag the one of level and storage that moved without the other."""
    tolerance_m = sheet.limits.level_storage_tolerance_m
    least_m3 = sheet.limits.spike.get(STORAGE)
    if tolerance_m is None or least_m3 is None or not {LEVEL, STORAGE} <= sheet.values.keys():
        return
    pairs = Pairs(sheet.clean(LEVEL), sheet.clean(STORAGE))
    moved = np.abs(np.diff(pairs.level)) > tolerance_m
    moved |= np.abs(np.diff(pairs.storage)) > 0.5 * least_m3
    done, undoubted = 0, None
    for now in (np.flatnonzero(moved) + 1).tolist():
        if now <= done or _returns(pairs, undoubted, now, tolerance_m):
            continue
        done = _follow(sheet, pairs, now, tolerance_m)
        undoubted = now - 1 if done > now else undoubted


def _returns(pairs: Pairs, undoubted: int | None, now: int, tolerance_m: float) -> bool:
    """Say whether pair `now` is back on the relation that the last doubtful step had left."""
    if undoubted is None or pairs.rows[now] - pairs.rows[undoubted] > _RETURN_DAYS:
        return False
    change = pairs.change(undoubted, now)
    return change is not None and change.agrees(tolerance_m)


def _follow(sheet: Sheet, pairs: Pairs, now: int, tolerance_m: float) -> int:
    """Judge pair `now` against the one before, and its successors for as long as the two disagree.

    Return the first pair that is not doubted, which is `now` itself where the two agree.
    """
    agreed = now - 1
    change = pairs.change(agreed, now)
    if change is None or change.agrees(tolerance_m):
        return now
    moved = _suspect(pairs, agreed, change, sheet.limits.rate_per_day.get(LEVEL, 0.0))
    last = min(now + _LONGEST_DOUBT[moved], pairs.rows.size)
    while now < last and change is not None and not change.agrees(tolerance_m, in_doubt=True):
        sheet.mark(moved, int(pairs.rows[now]), Flag.LEVEL_AGAINST_STORAGE)
        pairs.doubted[now] = True
        now += 1
        change = pairs.change(agreed, now) if now < last else None
    return now


def _suspect(pairs: Pairs, agreed: int, change: Change, most_m: float) -> Variable:
    """Name the one to doubt: a level not read anew while the storage moves as far as it may, else
    the one that leaves the course of the day before by more, as a flood has begun before it jumps.
    """
    trend = pairs.change(agreed - 1, agreed) if agreed else None
    days = int(pairs.rows[agreed] - pairs.rows[agreed - 1]) if agreed else 0
    usual = trend if trend is not None and days == 1 else Change(0.0, 0.0, True)
    if (
        change.observed_m == 0
        and 0 < abs(change.implied_m) <= most_m
        and usual.observed_m * change.implied_m > 0
    ):
        return LEVEL
    level_departs = abs(change.observed_m - usual.observed_m)
    storage_departs = abs(change.implied_m - usual.implied_m)
    return LEVEL if level_departs > storage_departs else STORAGE


def _implied(storage: FloatArray, level: FloatArray, at: float) -> float:
    """Return the level that belongs to storage `at`, by a Theil-Sen line through the nearest pairs."""
    near = np.argsort(np.abs(storage - at), kind="stable")[:_NEAREST]
    volumes, heights = storage[near], level[near]
    rise, run = heights[:, None] - heights[None, :], volumes[:, None] - volumes[None, :]
    apart = run > 0
    slope = max(_middle(rise[apart] / run[apart]), 0.0)
    return _middle(heights - slope * (volumes - at))


def _middle(values: FloatArray) -> float:
    """Return the upper median; np.median costs ten times as much on so few values."""
    return float(np.sort(values)[values.size // 2])
