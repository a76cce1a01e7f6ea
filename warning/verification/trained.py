"""Hindcasts with networks that were trained on nothing but the training parts of the same records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from warning.errors import ModelError
from warning.forecasting.forecaster import ForecasterSettings, ForecastRequest, hindcast
from warning.forecasting.process import Message
from warning.forecasting.registry import Registry
from warning.forecasting.trainer import TrainingHistory, train_model
from warning.forecasting.training_plan import TrainingSettings
from warning.verification.backtest import Hindcaster, Hindcasts
from warning.verification.sites import Site


def trained_hindcaster(
    training: TrainingSettings,
    forecasting: ForecasterSettings,
    registry: Registry,
    now: datetime,
    on_message: Callable[[Message], None] | None = None,
) -> Hindcaster:
    """Return a hindcaster that trains one fleet model and keeps it in `registry`, in force there.

    The registry should be the backtest's own: a model for operation learns from newer readings too.
    `forecasting.time_limit_s` holds for the training and for the hindcast, each. The hindcaster raises
    ModelError where no dam can be learnt from, ForecastError where the child fails.
    """

    def hindcast_after_training(sites: Mapping[str, Site]) -> Hindcasts:
        trained = train_model(
            {name: _history(site) for name, site in sites.items()},
            training,
            registry,
            now,
            rule=forecasting.rule,
            worker=forecasting.worker,
            time_limit_s=forecasting.time_limit_s,
            work_folder=forecasting.work_folder,
            on_message=on_message,
        )
        model = registry.active()
        if model is None or model.model_id != trained.model_id:
            raise ModelError(f"model {trained.model_id} was trained but is not in force: train again")
        requests = {name: _request(site) for name, site in sites.items() if name not in trained.left_out}
        answer = hindcast(model, requests, forecasting, on_message)
        return Hindcasts(answer.results, {**trained.left_out, **answer.failures}, trained.model_id)

    return hindcast_after_training


def _history(site: Site) -> TrainingHistory:
    return TrainingHistory(
        series=site.series,
        variable=site.variable,
        bounds=site.bounds,
        limits=site.limits,
        train_end=site.train_end,
        validation_end=site.validation_end,
    )


def _request(site: Site) -> ForecastRequest:
    return ForecastRequest(site.id, site.series, site.variable, site.bounds.get(site.variable))
