"""The readings since a dam's standing: which are needed, and what the ridge makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Final

import numpy as np

from warning.domain.readings import ReadingSeries
from warning.domain.variables import FloatArray, IndexArray
from warning.forecasting.autoregression import (
    LONGEST_MEMORY_DAYS,
    RidgeFits,
    block_starts,
    coefficients_before,
)
from warning.forecasting.model import SiteScale
from warning.forecasting.standing import Standing, context_start, fingerprint, from_row

FRESH_DAYS: Final = 3


def holds(series: ReadingSeries, scale: SiteScale, day: date, mark: str) -> bool:
    """Say whether a standing of `day` with this fingerprint is of this past, and readings followed."""
    last = series.last_reported_row(scale.variable)
    return last is not None and last >= series.row(day) and fingerprint(series, day) == mark


def readings_since(series: ReadingSeries, scale: SiteScale, day: date, refits_known: bool) -> ReadingSeries:
    """Return what of a record a standing of `day` that holds needs beside it.

    That is ten years more where the ridge was to be refitted since; with `refits_known` only where that
    was so lately that hardly anyone has done it.
    """
    last = series.last_day.toordinal()
    newest = int(block_starts(scale, np.array([last]))[0])
    unknown = newest > day.toordinal() and (newest > last - FRESH_DAYS or not refits_known)
    return from_row(series, context_start(series, day - timedelta(LONGEST_MEMORY_DAYS if unknown else 0)))


def fits_needed(blocks: IndexArray, standing: Standing) -> list[int]:
    """Return which of the blocks, by their first ordinals, began after the standing's day."""
    return sorted(start for start in {*blocks.tolist()} if start > standing.day.toordinal())


def ridge_fits(
    series: ReadingSeries,
    scale: SiteScale,
    standing: Standing,
    needed: Sequence[int],
    known: Mapping[int, FloatArray | None],
) -> RidgeFits:
    """Return the ridge as fitted up to the standing, and anew for each block of `needed` not in `known`."""
    block = int(block_starts(scale, np.array([standing.day.toordinal()]))[0])
    again: dict[int, FloatArray | None] = {block: _or_none(standing.again)}
    origin = series.first_day.toordinal()
    for start in needed:
        again[start] = known[start] if start in known else coefficients_before(series, scale, start - origin)
    return RidgeFits(_or_none(standing.once), again)


def _or_none(coefficients: FloatArray) -> FloatArray | None:
    return coefficients if len(coefficients) else None
