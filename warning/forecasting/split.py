"""How a dam's record is divided in time: training part, validation part, and what comes after."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from warning.domain.variables import DayArray
from warning.errors import ForecastError

FEWEST_DAYS: Final = 60


@dataclass(frozen=True, slots=True)
class SplitRule:
    """Shares of the days with a reading; what the two leave over is the test part."""

    train: float
    validation: float

    def __post_init__(self) -> None:
        if not (self.train > 0 and self.validation > 0 and self.train + self.validation <= 1):
            raise ValueError(f"the shares {self.train} and {self.validation} do not divide a record")

    def ends(self, days: DayArray) -> tuple[date, date]:
        """Return the first day after the training part and the first after the validation part.

        `days` are those with a reading of the forecast variable, ascending. Raises ForecastError for
        fewer than 60.
        """
        if days.size < FEWEST_DAYS:
            raise ForecastError(
                f"too little history: {days.size} days with a reading, at least {FEWEST_DAYS} are needed "
                "to divide them into a training and a validation part"
            )
        first = days[int(self.train * days.size)].astype(date)
        end = round((self.train + self.validation) * days.size)
        if end >= days.size:
            return first, days[-1].astype(date) + timedelta(days=1)
        return first, days[end].astype(date)


OPERATION: Final = SplitRule(train=0.8, validation=0.2)
BACKTEST: Final = SplitRule(train=0.6, validation=0.15)
