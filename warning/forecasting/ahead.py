"""What is known of the days ahead, as the networks see it: forecast rain and planned release.

Both are optional. What is missing is 0 with its mask 0, and where nothing is known the networks answer
as if they had never heard of it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np

from warning.domain.forecast import HORIZON_DAYS
from warning.domain.readings import AheadColumns, ReadingSeries
from warning.domain.variables import FloatArray, IndexArray, Variable
from warning.forecasting.joined import AnyScale

AHEAD_COUNT: Final = 6 * HORIZON_DAYS
"""Per lead: rain as logarithm and in wet days, its mask; release as logarithm and effect, its mask."""
RAIN_COLUMNS: Final = slice(0, 3 * HORIZON_DAYS)
RELEASE_COLUMNS: Final = slice(3 * HORIZON_DAYS, AHEAD_COUNT)
_WETTEST = 20.0  # usual wet days


def ahead_inputs(series: ReadingSeries, scale: AnyScale, issue_rows: IndexArray) -> FloatArray:
    """Return what is known ahead on each issue row (N, AHEAD_COUNT), finite."""
    nothing = np.zeros((issue_rows.size, HORIZON_DAYS))
    columns = [nothing] * 6
    known = usable_ahead(series, scale)
    rain, release = known.get(Variable.RAIN_MM), known.get(Variable.OUTFLOW_M3S)
    if rain is not None:
        wet = np.clip(rain[issue_rows] / scale.rain_mm, 0.0, _WETTEST)
        columns[:3] = [np.log1p(wet), wet / 5, np.isfinite(wet)]
    if release is not None:
        centre, spread = scale.log_flow[Variable.OUTFLOW_M3S]
        flow = np.maximum(release[issue_rows], 0.0)
        gain = scale.flow_gain.get(Variable.OUTFLOW_M3S, 0.0) / scale.daily_change
        columns[3:] = [
            np.clip((np.log1p(flow) - centre) / spread, -4.0, 6.0),
            np.arcsinh(flow * gain),
            np.isfinite(flow),
        ]
    inputs = np.concatenate(columns, axis=1, dtype=np.float64)
    return np.nan_to_num(inputs)


def usable_ahead(series: ReadingSeries, scale: AnyScale) -> AheadColumns:
    """Return what the networks can use: rain or release that the dam's own record taught the size of."""
    learnt = {
        Variable.RAIN_MM: bool(np.all(scale.rain_mm > 0)),
        Variable.OUTFLOW_M3S: Variable.OUTFLOW_M3S in scale.log_flow,
    }
    return {variable: table for variable, table in series.ahead.items() if learnt[variable]}


def observed_ahead(series: ReadingSeries, variables: Collection[Variable]) -> AheadColumns:
    """Return what came as if it had been known a week before, which nobody has; NaN where it is not known.

    Networks learn from it what rain and release ahead do, and it bounds what knowing them can be worth.
    """
    rows = np.arange(len(series))[:, None] + np.arange(1, HORIZON_DAYS + 1)
    inside = rows < len(series)
    return {
        variable: np.where(inside, series.trusted(variable)[np.minimum(rows, len(series) - 1)], np.nan)
        for variable in (Variable.RAIN_MM, Variable.OUTFLOW_M3S)
        if variable in variables and variable in series.values
    }
