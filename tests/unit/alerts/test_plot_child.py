"""The picture is drawn outside the daemon, and a failure there is an error and not a picture."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from warning.alerts.plot_child import draw_in_child
from warning.alerts.plot_data import plot_data
from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import Reservoir
from warning.domain.variables import Variable


def test_the_child_draws_a_png() -> None:
    dam = Reservoir(
        id="a",
        name="A dam",
        time_zone=ZoneInfo("UTC"),
        datum="",
        forecast_variable=Variable.LEVEL_M,
        limits={},
        level_thresholds=(),
    )
    level = {Variable.LEVEL_M: np.linspace(1.0, 2.0, 30)}
    fine = {Variable.LEVEL_M: np.zeros(30, dtype=np.uint16)}
    series = ReadingSeries(date(2026, 1, 1), level, fine, fine)
    assert draw_in_child(plot_data(dam, series, None, None)).startswith(b"\x89PNG")


def test_what_cannot_be_drawn_is_an_error_that_says_why() -> None:
    with pytest.raises(RuntimeError, match="Error"):
        draw_in_child("{}")
