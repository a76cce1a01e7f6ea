"""The five daily variables that the program knows, and the array types they travel in."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
DayArray = NDArray[np.datetime64]
FlagArray = NDArray[np.uint16]
IndexArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]


class Variable(StrEnum):
    """A daily variable; the value is the column's name in tidy CSV files and carries its unit."""

    LEVEL_M = "level_m"
    STORAGE_M3 = "storage_m3"
    INFLOW_M3S = "inflow_m3s"
    OUTFLOW_M3S = "outflow_m3s"
    RAIN_MM = "rain_mm"

    @property
    def unit(self) -> str:
        """The unit as people read it."""
        return _UNITS[self]

    @property
    def noun(self) -> str:
        """The variable's name as people read it: "level", "storage"…"""
        return self.value.split("_", 1)[0]


_UNITS = {
    Variable.LEVEL_M: "m",
    Variable.STORAGE_M3: "m³",
    Variable.INFLOW_M3S: "m³/s",
    Variable.OUTFLOW_M3S: "m³/s",
    Variable.RAIN_MM: "mm",
}

FORECAST_VARIABLES = (Variable.LEVEL_M, Variable.STORAGE_M3)
