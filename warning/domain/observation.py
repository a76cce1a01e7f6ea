"""What the newest readings of a dam say, which of them are believed, and when nobody is watching it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from warning.domain.readings import Flag, ReadingSeries
from warning.domain.variables import IndexArray, Variable
from warning.domain.wording import days, quantity

NO_READING = Flag.SENTINEL | Flag.ZERO_RUN  # what gauges say when they have nothing to say
LONGEST_RISE_GAP_DAYS = 3


@dataclass(frozen=True, slots=True)
class Observation:
    """One reading of the forecast variable; `doubt` says in words why it is not believed, None if it is.

    `rise_per_day` is counted from the believed reading before it, None where there is none within
    `LONGEST_RISE_GAP_DAYS`.
    """

    value: float
    day: date
    rise_per_day: float | None
    doubt: str | None

    @property
    def confirmed(self) -> bool:
        return self.doubt is None


@dataclass(frozen=True, slots=True)
class Sighting:
    """What stands at the end of a dam's record, as seen on one of the dam's days.

    `believed` is the newest believed reading not dated later than that day; `doubted` are those
    after it that may be true all the same. `remark` says why the newest value is not believed, None
    when it is; `unwatched` why nobody can be said to watch the dam, None when it is watched.
    """

    believed: Observation | None
    doubted: tuple[Observation, ...]
    remark: str | None
    unwatched: str | None

    @property
    def observations(self) -> tuple[Observation, ...]:
        """Everything that can be evidence of a crossing, believed first."""
        return self.doubted if self.believed is None else (self.believed, *self.doubted)


def sight(series: ReadingSeries | None, variable: Variable, today: date, stale_after_days: int) -> Sighting:
    """Look at the end of the record of `variable` on the dam's local day `today`.

    A sentinel or a run of zeros is no observation. Any other doubted reading may be true, even one
    above the physical limits, which an overtopped dam shows first: those since the last believed one
    count for `stale_after_days`, so that yesterday's doubted crossing is not forgotten because
    today's reading is doubted too. A reading dated after `today` is doubted whatever its flags say.
    """
    if series is None or not series.has(variable):
        return Sighting(
            None, (), None, f"there is no {variable.noun} reading: check the source and the gauge"
        )
    record = _Record.of(series, variable, today)
    past = record.trusted[record.trusted <= record.today_row]
    believed = record.observation(int(past[-1]), past) if past.size else None
    in_doubt = record.rows_in_doubt(past, stale_after_days)
    doubted = tuple(record.observation(row, past) for row in in_doubt if not record.says_nothing(row))
    remark = record.remark(int(record.reported[-1]))
    return Sighting(believed, doubted, remark, record.why_unwatched(past, stale_after_days))


@dataclass(frozen=True, slots=True)
class _Record:
    """The rows of one variable that hold a value, and those whose value is believed."""

    series: ReadingSeries
    variable: Variable
    today: date
    reported: IndexArray
    trusted: IndexArray

    @classmethod
    def of(cls, series: ReadingSeries, variable: Variable, today: date) -> _Record:
        reported = np.flatnonzero(series.reported(variable))
        trusted = np.flatnonzero(np.isfinite(series.trusted(variable)))
        return cls(series, variable, today, reported, trusted)

    @property
    def today_row(self) -> int:
        return self.series.row(self.today)

    def flags(self, row: int) -> Flag:
        return Flag(int(self.series.settled[self.variable][row]))

    def says_nothing(self, row: int) -> bool:
        return bool(self.flags(row) & NO_READING)

    def value(self, row: int) -> float:
        return float(self.series.values[self.variable][row])

    def observation(self, row: int, past: IndexArray) -> Observation:
        """Describe the reading at `row`; its rise counts from the newest of the rows `past` before it."""
        before = past[past < row]
        gap_days = row - int(before[-1]) if before.size else None
        rise = None
        if gap_days is not None and gap_days <= LONGEST_RISE_GAP_DAYS:
            rise = (self.value(row) - self.value(row - gap_days)) / gap_days
        return Observation(self.value(row), self.series.day(row), rise, self.doubt(row))

    def doubt(self, row: int) -> str | None:
        reasons = [_flag_words(self.flags(row))] if self.flags(row) else []
        if row > self.today_row:
            reasons.append("dated in the future")
        return ", ".join(reasons) or None

    def rows_in_doubt(self, past: IndexArray, stale_after_days: int) -> list[int]:
        """Rows after the newest believed one of `past` that are recent or lie in the future."""
        known = self.reported[self.reported <= self.today_row]
        newest = int(known[-1]) if known.size else -1
        after = max(int(past[-1]) if past.size else -1, newest - stale_after_days)
        return [int(row) for row in self.reported[self.reported > after]]

    def remark(self, row: int) -> str | None:
        """Say why the value at `row` is not believed."""
        doubt = self.doubt(row)
        if doubt is None:
            return None
        what = quantity(self.value(row), self.variable)
        return f"the newest {self.variable.noun}, {what} on {self.series.day(row)}, is doubted: {doubt}"

    def why_unwatched(self, past: IndexArray, stale_after_days: int) -> str | None:
        """Say in words a person can act on why the record cannot be said to watch the dam."""
        noun, newest = self.variable.noun, int(self.reported[-1])
        if newest > self.today_row:
            return (
                f"a {noun} is dated {self.series.day(newest)}, after today ({self.today}): "
                "check the dates of the feed, the clock of this machine and the dam's time zone"
            )
        believed_row = int(past[-1]) if past.size else None
        if believed_row is not None and self.today_row - believed_row <= stale_after_days:
            return None
        since = "ever" if believed_row is None else f"since {self.series.day(believed_row)}"
        later = [int(row) for row in self.reported if believed_row is None or row > believed_row]
        if not later:
            age = days(self.today_row - newest)
            return f"no {noun} reading {since}, {age} ago: check the gauge, its link and the feed"
        doubts = Flag(0)
        for row in later:
            doubts |= self.flags(row)
        last = f"the last is {quantity(self.value(newest), self.variable)} on {self.series.day(newest)}"
        return f"no {noun} reading is believed {since} ({_flag_words(doubts)}; {last}): check the gauge"


def _flag_words(flags: Flag) -> str:
    return ", ".join(_FLAG_WORDS[flag] for flag in Flag if flag in flags)


_FLAG_WORDS = {
    Flag.PHYSICAL_RANGE: "outside the physical limits",
    Flag.SENTINEL: "a sentinel for a missing value",
    Flag.ZERO_RUN: "zero",
    Flag.SPIKE: "a spike",
    Flag.RATE_OF_CHANGE: "changed faster than it can",
    Flag.FLAT_LINE: "does not move, as if frozen",
    Flag.DUPLICATE_DAYS: "several values for one day",
    Flag.LEVEL_AGAINST_STORAGE: "level and storage contradict each other",
    Flag.SCALE_STEP: "a step in the scale",
}
