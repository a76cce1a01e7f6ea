"""What speaks for or against a sudden change: the other stock, the water balance, rain and flows.

A witness for a change up to row d looks at rows up to d and at no flag that depends on a later one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from warning.domain.screening_balance import SECONDS_PER_DAY, Balance, fit_balance
from warning.domain.screening_rating import Pairs, change_between
from warning.domain.variables import FloatArray, Variable

LEVEL, STORAGE = Variable.LEVEL_M, Variable.STORAGE_M3
INFLOW, OUTFLOW, RAIN = Variable.INFLOW_M3S, Variable.OUTFLOW_M3S, Variable.RAIN_MM

_PAST_ROWS = 1095
_FEWEST_PAST = 60
# How far beyond the limit each kind of support reaches. A storage is often computed from the very
# level that is wrong, and gauged rain or inflow says that water comes but not how much.
_REACH_OF_ONE_WITNESS = 4.0
_LEAST_TREND = 0.3
_SAME_WATER_M = 0.05


class Witness(Protocol):
    """Testifies about a change of one variable between two rows."""

    def supports(self, before: int, now: int, change: float, excess: float) -> bool:
        """Say whether a change `excess` times its limit is believed at once."""
        ...

    def refutes(self, before: int, now: int, change: float) -> bool:
        """Say whether a change that lasted is impossible all the same."""
        ...

    def excuses_peak(self, before: int, now: int) -> bool:
        """Say whether a reading far from both neighbours is believed."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All variables of the dam without what is doubted so far; NaN where unknown."""

    clean: Mapping[Variable, FloatArray]
    pairs: Pairs
    net_m3: FloatArray  # net inflow of each day

    @classmethod
    def of(cls, clean: Mapping[Variable, FloatArray]) -> Surroundings:
        net_m3 = (clean[INFLOW] - clean[OUTFLOW]) * SECONDS_PER_DAY
        return cls(clean, Pairs(clean[LEVEL], clean[STORAGE]), net_m3)

    def balance(self, variable: Variable, before: int, now: int) -> tuple[Balance, float] | None:
        """Return the fitted balance and the net inflow of the days after `before` up to `now`."""
        net = float(np.sum(self.net_m3[before + 1 : now + 1]))
        fitted = fit_balance(self.clean[variable], self.net_m3, before + 1) if np.isfinite(net) else None
        return None if fitted is None else (fitted, net)

    def stocks_agree(self, before: int, now: int) -> bool:
        """Say whether level and storage both tell of about the same change of the water surface."""
        change = change_between(self.pairs, before, now)
        return change is not None and change.agrees(_SAME_WATER_M)

    def high(self, variable: Variable, first: int, last: int) -> bool:
        """Say whether the highest of rows first..last is above 97 % of the three years before."""
        first = max(first, 0)
        past = self.clean[variable][max(first - _PAST_ROWS, 0) : first]
        past = past[np.isfinite(past)]
        here = self.clean[variable][first : last + 1]
        if past.size < _FEWEST_PAST or not np.isfinite(here).any():
            return False
        return float(np.nanmax(here)) > float(np.quantile(past, 0.97))

    def water_comes(self, before: int, now: int) -> bool:
        """Say whether rain or inflow is high enough for a flood; rain counts for two days."""
        return self.high(INFLOW, before + 1, now) or self.high(RAIN, before - 1, now)


@dataclass(frozen=True, slots=True)
class StockWitness:
    """Testifies about level or storage."""

    around: Surroundings
    variable: Variable

    def supports(self, before: int, now: int, change: float, excess: float) -> bool:
        told = self.around.balance(self.variable, before, now)
        if told is not None and told[0].supports(change, told[1]):
            return True
        agree = self.around.stocks_agree(before, now)
        flows = self._flows_explain(before, now, change)
        if agree and flows:
            return True
        if told is not None and told[0].contradicts(change, told[1], now - before) and not (agree or flows):
            return False
        if (agree or flows) and excess <= _REACH_OF_ONE_WITNESS:
            return True
        return self._was_under_way(before, now, change)

    def refutes(self, before: int, now: int, change: float) -> bool:
        told = self.around.balance(self.variable, before, now)
        if told is None or self.around.stocks_agree(before, now):
            return False
        return told[0].contradicts(change, told[1], now - before)

    def excuses_peak(self, before: int, now: int) -> bool:
        column = self.around.clean[self.variable]
        change = float(column[now] - column[before])
        told = self.around.balance(self.variable, before, now)
        if told is not None and told[0].supports(change, told[1]):
            return True
        if change < 0:  # a reservoir does not empty and fill again within two days
            return False
        # the other stock is no excuse: it is often computed from this one, typing error and all
        return self.around.water_comes(before, now) or self._was_under_way(before, now, change)

    def _flows_explain(self, before: int, now: int, change: float) -> bool:
        if change > 0:
            return self.around.water_comes(before, now)
        return self.around.high(OUTFLOW, before + 1, now)

    def _was_under_way(self, before: int, now: int, change: float) -> bool:
        """Say whether the day before moved the same way, at a speed that counts."""
        column = self.around.clean[self.variable]
        if before < 1 or not np.isfinite(column[before - 1]):
            return False
        pace = float(column[before] - column[before - 1])
        return pace * change > 0 and abs(pace) * (now - before) >= _LEAST_TREND * abs(change)


@dataclass(frozen=True, slots=True)
class FlowWitness:
    """Testifies about inflow or outflow: by the stock that it must move, else by the other flow and rain."""

    around: Surroundings
    variable: Variable

    def supports(self, before: int, now: int, change: float, excess: float) -> bool:
        if change < 0:  # a flood wave falls as fast as it likes; a false low flow harms nobody
            return True
        verdict = self._balance_verdict(now)
        return self._others_are_high(now) if verdict is None else verdict

    def refutes(self, before: int, now: int, change: float) -> bool:
        return change > 0 and self._balance_verdict(now) is False

    def excuses_peak(self, before: int, now: int) -> bool:
        column = self.around.clean[self.variable]
        return self.supports(before, now, float(column[now] - column[before]), 1.0)

    def _balance_verdict(self, now: int) -> bool | None:
        """Say whether a stock moved as the flows of this day say; None where none can tell."""
        for stock in (STORAGE, LEVEL):
            column = self.around.clean[stock]
            change = float(column[now] - column[now - 1]) if now else np.nan
            told = self.around.balance(stock, now - 1, now) if np.isfinite(change) else None
            if told is not None:
                balance, net = told
                misfit = abs(change - balance.factor * net)
                return misfit <= max(0.6 * abs(balance.factor * net), 3.0 * balance.misfit)
        return None

    def _others_are_high(self, now: int) -> bool:
        other = OUTFLOW if self.variable is INFLOW else INFLOW
        rising = any(self.around.high(v, now, now) or self._rises_fast(v, now) for v in (STORAGE, LEVEL))
        return self.around.high(other, now, now) or self.around.high(RAIN, now - 2, now) or rising

    def _rises_fast(self, stock: Variable, now: int) -> bool:
        column = self.around.clean[stock][max(now - _PAST_ROWS, 0) : now + 1]
        steps = np.diff(column)
        past = steps[:-1][np.isfinite(steps[:-1])]
        if past.size < _FEWEST_PAST or not np.isfinite(steps[-1]):
            return False
        return bool(steps[-1] > np.quantile(past, 0.97))
