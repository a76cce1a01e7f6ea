"""The first reservoirs.toml is TOML whatever the dams are called, and its limits never cut the record."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warning.config.first_dams import FirstDam, first_reservoirs, forecast_variable
from warning.domain.readings import RawReadings
from warning.domain.reservoir import Severity
from warning.domain.variables import FloatArray, Variable

SEVERITIES = (Severity(1, "watch"), Severity(2, 'the "worst"'))
DAYS = np.arange("2020-01-01", "2020-07-01", dtype="datetime64[D]")
NAMES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=60)


def dam(name: str = "Oroville", **columns: FloatArray) -> FirstDam:
    values = {Variable(variable): column for variable, column in columns.items()}
    return FirstDam("oroville", name, name, RawReadings(DAYS, values))


def read(first: FirstDam) -> dict[str, object]:
    text = first_reservoirs([first], SEVERITIES, "a folder\nof files")
    table: dict[str, object] = tomllib.loads(text)["reservoirs"]["oroville"]
    return table


@given(NAMES)
def test_a_dam_may_have_any_name(name: str) -> None:
    table = read(dam(name, level_m=np.linspace(260, 270, DAYS.size)))
    assert table["source_tag"] == name
    assert str(table["name"]).isprintable()
    assert [threshold["severity"] for threshold in table["thresholds"]] == ["watch", 'the "worst"']  # type: ignore[attr-defined]


@settings(deadline=None)
@given(st.floats(-400, 4000), st.floats(0.001, 300))
def test_no_limit_cuts_the_record(lowest: float, width: float) -> None:
    levels = lowest + width * (1 + np.sin(np.arange(DAYS.size) / 20)) / 2
    lower, upper = read(dam(level_m=levels))["limits"]["level_m"]  # type: ignore[index]
    assert lower < levels.min()
    assert upper > levels.max()


def test_a_record_too_short_for_limits_leaves_them_open() -> None:
    levels = np.full(DAYS.size, np.nan)
    levels[:3] = 270.0
    assert read(dam(level_m=levels))["limits"] == {"level_m": "FILL IN"}


@pytest.mark.parametrize(
    ("level_days", "storage_days", "variable"),
    [
        (180, 180, Variable.LEVEL_M),
        (0, 180, Variable.STORAGE_M3),
        (20, 180, Variable.STORAGE_M3),
        (100, 180, Variable.LEVEL_M),
        (0, 0, None),
    ],
)
def test_a_dam_is_forecast_by_its_level_unless_its_storage_is_far_better_known(
    level_days: int, storage_days: int, variable: Variable | None
) -> None:
    counts = {"level_m": level_days, "storage_m3": storage_days}
    columns = {name: np.where(np.arange(DAYS.size) < days, 1.0, np.nan) for name, days in counts.items()}
    assert forecast_variable(dam(**columns)) is variable
