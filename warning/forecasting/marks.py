"""A number for each day of a record that tells whether anything about the day has changed since."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from warning.domain.readings import ReadingSeries


def row_marks(series: ReadingSeries) -> NDArray[np.uint64]:
    """Return for each row a number that changes with any reading or verdict of the day."""
    marks = np.zeros(len(series), np.uint64)
    for variable in sorted(series.values):
        values = np.ascontiguousarray(series.values[variable], np.float64)
        columns = (values.view(np.uint64), series.at_once[variable], series.settled[variable])
        missing = np.isnan(values)
        for column in columns:
            marks = _mixed_in(marks, column, missing)
    for _, table in sorted(series.ahead.items()):
        for column in np.ascontiguousarray(table.T, np.float64):
            marks = _mixed_in(marks, column.view(np.uint64), np.isnan(column))
    return marks


def _mixed_in(
    marks: NDArray[np.uint64], column: NDArray[Any], missing: NDArray[np.bool_]
) -> NDArray[np.uint64]:
    mixed = np.where(missing, np.uint64(0), column.astype(np.uint64) + np.uint64(1))
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    return (marks ^ mixed) * np.uint64(0xBF58476D1CE4E5B9)
