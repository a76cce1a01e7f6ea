"""The newest value of a column is found wherever the column ends."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from warning.domain.readings import ReadingSeries
from warning.domain.variables import Variable

NAN = float("nan")


@pytest.mark.parametrize(
    ("column", "row"),
    [
        ([1.0, 2.0, 3.0], 2),
        ([1.0, 2.0, NAN], 1),
        ([1.0, NAN, float("inf")], 0),
        ([NAN, NAN, NAN], None),
        ([0.0], 0),
    ],
)
def test_the_newest_value_is_found_whatever_follows_it(column: list[float], row: int | None) -> None:
    flags = np.ones(len(column), np.uint16)
    level = Variable.LEVEL_M
    series = ReadingSeries(date(2026, 1, 1), {level: np.array(column)}, {level: flags}, {level: flags})
    assert series.last_reported_row(level) == row
    assert series.last_reported_row(Variable.RAIN_MM) is None
