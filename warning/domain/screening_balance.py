"""The water balance as a witness: do level or storage move as the flows say they must?

Storage change equals (inflow - outflow) x 86,400 s where the record is complete. Records differ in
how well that closes (missing releases, partial inflow, a level in place of storage), so a factor
and the usual misfit are fitted on the rows before the one in question.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warning.domain.variables import FloatArray

SECONDS_PER_DAY = 86_400.0
_WINDOW_ROWS = 365
_FEWEST_ROWS = 40
_LEAST_CORRELATION = 0.6


@dataclass(frozen=True, slots=True)
class Balance:
    """A stock's daily change as `factor` x net inflow (m³ a day), with the misfit that is usual."""

    factor: float
    misfit: float

    def contradicts(self, change: float, net_m3: float, days: int = 1) -> bool:
        """Say whether the flows cannot explain `change`, by far."""
        misfit = abs(change - self.factor * net_m3)
        return misfit > 8.0 * self.misfit * np.sqrt(days) and misfit > 0.6 * abs(change)

    def supports(self, change: float, net_m3: float) -> bool:
        """Say whether the flows explain most of `change`."""
        return abs(change - self.factor * net_m3) <= 0.5 * abs(change)


def fit_balance(stock: FloatArray, net_m3: FloatArray, row: int) -> Balance | None:
    """Fit the balance on the rows before `row`; None where it does not close well enough to testify.

    `stock` is level or storage, `net_m3` (inflow - outflow) x 86,400, both NaN where unknown.
    """
    first = max(row - _WINDOW_ROWS, 1)
    changes = stock[first:row] - stock[first - 1 : row - 1]
    net = net_m3[first:row]
    both = np.isfinite(changes) & np.isfinite(net)
    if both.sum() < _FEWEST_ROWS:
        return None
    changes, net = _without_outliers(changes[both], net[both])
    product, net_power = float(np.sum(net * changes)), float(np.sum(net * net))
    spread = np.sqrt(net_power * float(np.sum(changes * changes)))
    if not (spread > 0 and product / spread >= _LEAST_CORRELATION):
        return None
    factor = product / net_power
    return Balance(factor, float(np.quantile(np.abs(changes - factor * net), 0.95)))


def _without_outliers(changes: FloatArray, net: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Drop the few most extreme rows of either kind: a typo must not fit itself."""
    kept = (np.abs(changes) <= np.quantile(np.abs(changes), 0.98)) & (
        np.abs(net) <= np.quantile(np.abs(net), 0.98)
    )
    return changes[kept], net[kept]
