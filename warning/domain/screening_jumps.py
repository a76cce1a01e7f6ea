"""Jumps and spikes: a change too fast to be believed on its own day, judged again a reading later.

On its own day a jump is doubted unless something else speaks for it (see `screening_witness`).
When the next reading has come, it is a spike if the series went back, and the truth if it stayed,
unless the water balance says that it cannot be.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

import numpy as np

from warning.domain.readings import Flag
from warning.domain.screening_limits import FLOWS, STOCKS
from warning.domain.screening_sheet import Sheet
from warning.domain.screening_witness import FlowWitness, StockWitness, Surroundings, Witness
from warning.domain.variables import BoolArray, FloatArray, IndexArray, Variable


class _Turn(Enum):
    """What the reading after a jump did."""

    BACK = auto()
    STAYED = auto()
    WENT_ON = auto()
    ELSEWHERE = auto()


def flag_jumps(sheet: Sheet) -> None:
    """Flag jumps and spikes of every variable but rain; call it last, it leaves flags that look ahead."""
    clean = {variable: sheet.clean(variable) for variable in Variable}
    around = Surroundings.of(clean)
    for variable in (v for v in (*STOCKS, *FLOWS) if v in sheet.values):
        rate, spike = sheet.limits.rate_per_day.get(variable), sheet.limits.spike.get(variable)
        if rate is None or spike is None:
            continue
        rows = np.flatnonzero(np.isfinite(clean[variable]))
        witness: Witness = (
            StockWitness(around, variable) if variable in STOCKS else FlowWitness(around, variable)
        )
        clean_next = _next_is_clean(sheet.values[variable], rows)
        _Judge(sheet, variable, rows, clean[variable][rows], clean_next, rate, spike, witness).run()


def _next_is_clean(reported: FloatArray, rows: IndexArray) -> BoolArray:
    """Say for each clean reading whether the next reading of its variable, doubted or not, is clean."""
    ordinal = np.cumsum(np.isfinite(reported))[rows]
    return np.concatenate((np.diff(ordinal) == 1, [False]))[: rows.size]


@dataclass(slots=True)
class _Judge:
    """Goes over the suspects of one variable; indices count its readings, not the calendar's rows."""

    sheet: Sheet
    variable: Variable
    rows: IndexArray
    values: FloatArray
    next_is_clean: BoolArray
    rate: float
    spike: float
    witness: Witness

    def run(self) -> None:
        if self.values.size < 2:
            return
        steps = np.diff(self.values)
        jumps = np.flatnonzero(np.abs(steps) > self.rate * np.diff(self.rows)) + 1
        peaks = self._peaks(steps)
        standing_out = set(peaks.tolist())
        done = 0
        for now in np.union1d(jumps, peaks).tolist():
            if now <= done:
                continue
            if self._leaps(now - 1, now):
                done = self._follow(now)
            elif now in standing_out and not self.witness.excuses_peak(
                *self.rows[now - 1 : now + 1].tolist()
            ):
                self.sheet.settled[self.variable][self.rows[now]] |= Flag.SPIKE.value

    def _peaks(self, steps: FloatArray) -> IndexArray:
        """Find readings that stand out from both neighbours, which agree with each other."""
        there, back = steps[:-1], steps[1:]
        least = np.minimum(np.abs(there), np.abs(back))
        stands_out = (there * back < 0) & (least > self.spike) & (np.abs(there + back) < 0.5 * least)
        peaks: IndexArray = np.flatnonzero(stands_out) + 1
        return peaks[self.next_is_clean[peaks]]

    def _allowed(self, before: int, now: int) -> float:
        return self.rate * float(self.rows[now] - self.rows[before])

    def _leaps(self, before: int, now: int) -> bool:
        """Say whether the change is too fast and nothing speaks for it."""
        change = float(self.values[now] - self.values[before])
        excess = abs(change) / self._allowed(before, now)
        if not excess > 1.0:
            return False
        return not self.witness.supports(int(self.rows[before]), int(self.rows[now]), change, excess)

    def _follow(self, now: int) -> int:
        """Judge the jump at `now` and what follows until a reading is believed; return that one's index."""
        believed = now - 1
        while self._leaps(believed, now):
            row = self.rows[now]
            self.sheet.at_once[self.variable][row] |= Flag.RATE_OF_CHANGE.value
            if now + 1 == self.values.size:
                self.sheet.settled[self.variable][row] |= Flag.RATE_OF_CHANGE.value
                return now
            turn = self._turn(believed, now)
            self.sheet.settled[self.variable][row] |= self._verdict(turn, believed, now)
            if turn is _Turn.STAYED:
                return now + 1
            if turn is _Turn.WENT_ON:
                believed = now
            now += 1
        return now

    def _turn(self, believed: int, now: int) -> _Turn:
        before, here, after = self.values[believed], self.values[now], self.values[now + 1]
        step, on = here - before, after - here
        if abs(after - before) < 0.5 * abs(step):
            return _Turn.BACK
        if abs(on) <= self._allowed(now, now + 1) and abs(on) < 0.5 * abs(step):
            return _Turn.STAYED
        if step * on > 0:
            return _Turn.WENT_ON
        return _Turn.ELSEWHERE

    def _verdict(self, turn: _Turn, believed: int, now: int) -> int:
        """Return the settled flags of a jump; a next reading that is itself refused settles nothing."""
        if not self.next_is_clean[now]:
            return Flag.RATE_OF_CHANGE.value
        if turn is _Turn.BACK:
            return (Flag.SPIKE | Flag.RATE_OF_CHANGE).value
        rows = int(self.rows[believed]), int(self.rows[now])
        change = float(self.values[now] - self.values[believed])
        if turn is _Turn.ELSEWHERE or self.witness.refutes(*rows, change):
            return Flag.RATE_OF_CHANGE.value
        return 0
