"""The units in which dams' readings are stored elsewhere, and what they come to in ours.

Feet are international ones; the US survey foot is longer by half a millimetre in the height of a dam.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from warning.domain.variables import Variable

PERCENT = "%"  # of a dam's capacity

_FOOT_M = 0.3048
_CUBIC_FOOT_M3 = _FOOT_M**3
_DAY_S = 86_400.0

_LENGTHS_M = {"m": 1.0, "ft": _FOOT_M}
_VOLUMES_M3 = {
    "m3": 1.0,
    "Mm3": 1e6,
    "Ml": 1e3,
    "acre-ft": 43_560 * _CUBIC_FOOT_M3,
    "mcft": 1e6 * _CUBIC_FOOT_M3,  # million cubic feet
    "TMC": 1e9 * _CUBIC_FOOT_M3,  # thousand million cubic feet
}
_FLOWS_M3S = {
    "m3/s": 1.0,
    "cfs": _CUBIC_FOOT_M3,
    "cusec": _CUBIC_FOOT_M3,
    "Mm3/day": 1e6 / _DAY_S,
}
_DEPTHS_MM = {"mm": 1.0, "in": 25.4}

_FACTORS: Mapping[Variable, Mapping[str, float]] = {
    Variable.LEVEL_M: _LENGTHS_M,
    Variable.STORAGE_M3: _VOLUMES_M3,
    Variable.INFLOW_M3S: _FLOWS_M3S,
    Variable.OUTFLOW_M3S: _FLOWS_M3S,
    Variable.RAIN_MM: _DEPTHS_MM,
}


def units_of(variable: Variable) -> tuple[str, ...]:
    """Return the units that readings of `variable` may be stored in."""
    names = tuple(_FACTORS[variable])
    return (*names, PERCENT) if variable is Variable.STORAGE_M3 else names


def factor(unit: str, variable: Variable, capacity_m3: float | None = None) -> float:
    """Return by what a value in `unit` is multiplied to be in the unit of `variable`.

    Per cent are of `capacity_m3`. Raises ValueError for a unit that does not fit the variable, and
    for per cent without a capacity above 0.
    """
    if unit not in units_of(variable):
        raise ValueError(f"{unit!r} is no unit of {variable}; use one of {', '.join(units_of(variable))}")
    if unit != PERCENT:
        return _FACTORS[variable][unit]
    if capacity_m3 is None or not 0 < capacity_m3 < math.inf:
        raise ValueError(f"per cent of {variable} need the dam's capacity above 0 m³, found {capacity_m3}")
    return capacity_m3 / 100
