"""A reading means the same water, whatever unit it was stored in."""

from __future__ import annotations

import math

import pytest

from warning.domain.units import factor, units_of
from warning.domain.variables import Variable


@pytest.mark.parametrize(
    ("value", "unit", "variable", "expected"),
    [
        # Lake Oroville's full pool, 900 ft and 3,537,577 acre-feet (California DWR)
        (900.0, "ft", Variable.LEVEL_M, 274.32),
        (3_537_577.0, "acre-ft", Variable.STORAGE_M3, 4.36354e9),
        # Hirakud: 1 TMC is 28.317 million m³ (Central Water Commission)
        (1.0, "TMC", Variable.STORAGE_M3, 28_316_846.592),
        (1000.0, "mcft", Variable.STORAGE_M3, 28_316_846.592),
        (5.0, "Ml", Variable.STORAGE_M3, 5000.0),
        (2.5, "Mm3", Variable.STORAGE_M3, 2.5e6),
        (100_000.0, "cfs", Variable.OUTFLOW_M3S, 2831.6846592),
        (100_000.0, "cusec", Variable.INFLOW_M3S, 2831.6846592),
        (8.64, "Mm3/day", Variable.INFLOW_M3S, 100.0),
        (2.0, "in", Variable.RAIN_MM, 50.8),
    ],
)
def test_a_unit_converts_as_published(value: float, unit: str, variable: Variable, expected: float) -> None:
    assert value * factor(unit, variable) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("variable", Variable)
def test_our_own_unit_changes_nothing(variable: Variable) -> None:
    assert factor(units_of(variable)[0], variable) == 1.0


def test_per_cent_are_of_the_dam_s_own_capacity() -> None:
    assert 80 * factor("%", Variable.STORAGE_M3, 4.36e9) == pytest.approx(3.488e9)


@pytest.mark.parametrize("capacity", [None, 0.0, -1.0, math.nan, math.inf])
def test_per_cent_of_no_capacity_are_refused(capacity: float | None) -> None:
    with pytest.raises(ValueError, match="capacity"):
        factor("%", Variable.STORAGE_M3, capacity)


@pytest.mark.parametrize(("unit", "variable"), [("ft", Variable.RAIN_MM), ("furlong", Variable.LEVEL_M)])
def test_a_unit_that_does_not_fit_is_refused_with_those_that_do(unit: str, variable: Variable) -> None:
    with pytest.raises(ValueError, match=f"{units_of(variable)[0]}, {units_of(variable)[1]}"):
        factor(unit, variable)


@pytest.mark.parametrize("variable", Variable)
def test_every_unit_listed_is_one_that_converts(variable: Variable) -> None:
    assert all(factor(unit, variable, 1.0) > 0 for unit in units_of(variable))
