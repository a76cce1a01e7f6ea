"""The forecast of the whole fleet, of today and of every day since the training.

This module and everything it imports stay free of torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from warning.child import Message
from warning.domain.findings import Finding
from warning.domain.forecast import Forecast
from warning.forecasting.asking import ForecasterSettings, ForecastRequest, ask
from warning.forecasting.batches import Batch, SiteJob
from warning.forecasting.exchange import (
    ForecastAnswer,
    ForecastJob,
    together,
)
from warning.forecasting.ladder import Ladder
from warning.forecasting.model import Model
from warning.forecasting.registry import Registry
from warning.forecasting.sibling import worth_sharing


@dataclass(frozen=True, slots=True)
class FleetForecast:
    """Forecasts by reservoir id, possibly fewer than asked for, and everything that was lost on the way."""

    forecasts: Mapping[str, Forecast]
    findings: tuple[Finding, ...]


class Forecaster:
    """Forecasts with the registry's active model; keeps nothing between calls."""

    def __init__(self, registry: Registry, settings: ForecasterSettings) -> None:
        self._registry = registry
        self._settings = settings

    def __call__(self, histories: Mapping[str, ForecastRequest], now: datetime) -> FleetForecast:
        """Forecast every dam from its newest reading on, as of the instant `now`."""
        ladder = Ladder(self._settings, now, histories)
        ladder.take_model(self._registry)
        ladder.ask_networks()
        forecasts = {name: ladder.forecast(name) for name in histories}
        made = {name: forecast for name, forecast in forecasts.items() if forecast is not None}
        return FleetForecast(made, tuple(ladder.findings))


def hindcast(
    model: Model,
    histories: Mapping[str, ForecastRequest],
    settings: ForecasterSettings,
    on_message: Callable[[Message], None] | None = None,
) -> ForecastAnswer:
    """Return the operational forecast of every issue row since each dam's training part ended.

    The same computation as the daily forecast, row for row. A dam that `model` was not trained on, or
    whose hindcast fails, is among the failures. Raises ForecastError where the child fails.
    """
    sites = {
        name: SiteJob(request.series, site.scale, site.train_end, request.bounds)
        for name, request in histories.items()
        if (site := model.sites.get(name)) is not None and site.scale.variable is request.variable
    }
    longest_first = sorted(sites, key=lambda name: -len(sites[name].series))
    shared = len(sites) > 1 and worth_sharing(sum(len(site.series) for site in sites.values()))
    job = ForecastJob(
        model.specs,
        model.states,
        settings.rule,
        settings.device,
        last_only=False,
        shared=shared,
        batches=len(sites),
    )
    answers: list[ForecastAnswer] = []
    batches = (Batch({name: sites[name]}) for name in longest_first)
    if sites:
        ask(job, batches, answers.append, settings, on_message)
    answer = together(answers, sites)
    strangers = histories.keys() - sites.keys()
    left_out = dict.fromkeys(sorted(strangers), f"model {model.model_id} was not trained on it")
    return replace(answer, failures={**answer.failures, **left_out})
