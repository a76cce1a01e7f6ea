"""What both dialects' parsers hand on: readings in long form, a stretch of one dam's one field at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from warning.domain.variables import FloatArray

TimeArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Block:
    """Some readings of one field at one dam, as the database holds them.

    `dam` is the value of the tag that names the dam, "" where the rows carry none; `times_ns` are
    nanoseconds since 1970 UTC, `values` finite or NaN for null, in the field's own unit; both of
    one length. A dam's field may come in several blocks, in any order of time. `issued` is what the
    tag of the day of issue says of each value, where it was asked for.
    """

    dam: str
    field: str
    times_ns: TimeArray
    values: FloatArray
    issued: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.times_ns.shape != self.values.shape:
            raise ValueError(
                f"{self.dam}/{self.field} has {self.values.size} values for {self.times_ns.size} times"
            )
        if self.issued is not None and len(self.issued) != self.values.size:
            raise ValueError(
                f"{self.dam}/{self.field} has {self.values.size} values for {len(self.issued)} days of issue"
            )
