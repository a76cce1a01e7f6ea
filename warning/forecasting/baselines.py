"""The cheap experts: persistence, drift and the ridge autoregression. numpy alone.

They are the last rung of the ladder above observation and the yardstick of everything above them.
"""

from __future__ import annotations

from datetime import date

import numpy as np

from warning.domain.forecast import HORIZON_DAYS, PERSISTENCE
from warning.domain.readings import ReadingSeries
from warning.domain.variables import FloatArray, IndexArray
from warning.forecasting.autoregression import fitted_again, fitted_once
from warning.forecasting.features import base_values, z_to_values
from warning.forecasting.joined import AnyScale
from warning.forecasting.known import known_column
from warning.forecasting.model import SiteScale
from warning.forecasting.scaling import lead_scale

DRIFT = "drift"
RIDGE = "ridge"
RIDGE_REFITTED = "ridge_refitted"

_DRIFT_DAYS = 5
_DRIFT_DAMPING = 0.85


def cheap_experts(
    series: ReadingSeries, scale: SiteScale, fit_end: date, issue_rows: IndexArray
) -> dict[str, FloatArray]:
    """Return the forecasts (N, 7) of each cheap expert for the issue rows, in the variable's unit.

    A row without a base is NaN throughout; an expert that the history is too short for is NaN.
    `ridge` learns from readings before `fit_end` alone; `ridge_refitted` learns anew every eight
    weeks from all that was known by then. None looks past an issue row.
    """
    base = base_values(series, scale.variable, issue_rows)
    z = {
        PERSISTENCE: np.zeros((issue_rows.size, HORIZON_DAYS)),
        DRIFT: drift(series, scale, issue_rows),
        RIDGE: fitted_once(series, scale, series.row(fit_end), issue_rows),
        RIDGE_REFITTED: fitted_again(series, scale, issue_rows),
    }
    return {name: z_to_values(change, base, scale) for name, change in z.items()}


def drift(series: ReadingSeries, scale: AnyScale, issue_rows: IndexArray) -> FloatArray:
    """Return z (N, 7): the mean change of the last days goes on and fades."""
    values, _ = known_column(series, scale.variable).windows(issue_rows, _DRIFT_DAYS + 1)
    pace = np.diff(values, axis=1).mean(axis=1)
    reach = np.cumsum(_DRIFT_DAMPING ** np.arange(1, HORIZON_DAYS + 1))
    z: FloatArray = pace[:, None] * reach / lead_scale(scale)
    return np.round(z, 6)
