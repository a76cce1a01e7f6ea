"""What the forecaster is asked: which dams, and in which way; and how its child is asked in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from warning.child import Message
from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import Bounds
from warning.domain.variables import Variable
from warning.forecasting.batches import Batch, pack_batch
from warning.forecasting.exchange import (
    ForecastAnswer,
    ForecastJob,
    pack_forecast_job,
    unpack_answer,
)
from warning.forecasting.pool import (
    OPERATIONAL_RULE,
)
from warning.forecasting.process import WorkerCommand, ask_in_batches
from warning.forecasting.weights import WeightRule


@dataclass(frozen=True, slots=True)
class ForecastRequest:
    """One dam to forecast: its screened series, the variable, and what bounds it physically (or None)."""

    reservoir_id: str
    series: ReadingSeries
    variable: Variable
    bounds: Bounds | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecasterSettings:
    """How forecasts are made. `device` is "auto", "cpu" or "cuda"; the time limit holds for one attempt.

    `work_folder` is where the child's jobs lie while it works; None is the system's temporary folder.
    """

    device: str = "auto"
    time_limit_s: float = 600.0
    rule: WeightRule = OPERATIONAL_RULE
    work_folder: Path | None = None
    worker: WorkerCommand = field(default_factory=WorkerCommand)

    def __post_init__(self) -> None:
        if self.device not in ("auto", "cpu", "cuda"):
            raise ValueError(f"device must be auto, cpu or cuda, found {self.device!r}")
        if not self.time_limit_s > 0:
            raise ValueError(f"time_limit_s must be above 0, found {self.time_limit_s}")


def ask(
    job: ForecastJob,
    batches: Iterable[Batch],
    on_answer: Callable[[ForecastAnswer], None],
    settings: ForecasterSettings,
    on_message: Callable[[Message], None] | None,
) -> None:
    """Have the child forecast batch after batch; raises ForecastError where it fails.

    `on_answer` hears the answers as they come, `on_message` whatever else the child says.
    """
    ask_in_batches(
        *pack_forecast_job(job),
        (pack_batch(batch) for batch in batches),
        lambda plain, arrays: on_answer(unpack_answer(plain, arrays)),
        command=settings.worker,
        time_limit_s=settings.time_limit_s,
        folder=settings.work_folder,
        on_message=on_message,
    )
