"""The backtest as people call it: the training and forecasting of production, over a folder of records."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from warning.domain.variables import Variable
from warning.errors import ModelError
from warning.forecasting.ahead import observed_ahead
from warning.forecasting.asking import ForecasterSettings, ForecastRequest
from warning.forecasting.forecaster import hindcast
from warning.forecasting.model import Model
from warning.forecasting.pool import PoolResult
from warning.forecasting.registry import Registry
from warning.forecasting.trainer import TrainingHistory, train_model
from warning.forecasting.training_plan import TrainingSettings
from warning.learning import tell_progress
from warning.sources.tidy_csv import read_tidy
from warning.verification.backtest import Hindcasts, run_backtest
from warning.verification.report import BacktestReport
from warning.verification.sites import Site, Split

_TRAINING_SHARE = 0.8  # of the whole, as the progress bar shows it
HINDCAST_LIMIT_S = 3600.0
_PERFECT = {"rain": Variable.RAIN_MM, "release": Variable.OUTFLOW_M3S}


def backtest_folder(
    folder: Path,
    settings: TrainingSettings,
    split: Split,
    now: datetime,
    *,
    forecasts_path: Path | None,
    models: Path | None,
    perfect_outlook: bool = False,
    on_progress: Callable[[str, float], None],
) -> BacktestReport:
    """Backtest `folder`; the model is kept in `models`, or forgotten where that is None.

    With `perfect_outlook` the report bounds what knowing the rain or the release ahead could be worth.
    """

    def progress(what: str, done: int, total: int) -> None:
        start = 0.0 if what == "screening" else _TRAINING_SHARE + 0.1
        on_progress(what, start + 0.1 * done / total)

    with ExitStack() as stack:
        kept = models or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dam-warning-models-")))

        def train_and_hindcast(sites: Mapping[str, Site]) -> Hindcasts:
            return hindcast_sites(sites, settings, Registry(kept), now, on_progress, perfect_outlook)

        return run_backtest(
            folder,
            lambda path: read_tidy(path).readings(),
            train_and_hindcast,
            split=split,
            forecasts_path=forecasts_path,
            on_progress=progress,
        )


def hindcast_sites(
    sites: Mapping[str, Site],
    settings: TrainingSettings,
    registry: Registry,
    now: datetime,
    on_progress: Callable[[str, float], None],
    perfect_outlook: bool = False,
) -> Hindcasts:
    """Train on the sites' training parts and forecast every later day of each."""
    histories = {
        name: TrainingHistory(
            series=site.series,
            variable=site.variable,
            bounds=site.bounds,
            limits=site.limits,
            train_end=site.train_end,
            validation_end=site.validation_end,
        )
        for name, site in sites.items()
    }

    def heard(message: Mapping[str, object]) -> None:
        tell_progress(lambda what, share: on_progress(what, 0.1 + _TRAINING_SHARE * share), message)

    report = train_model(histories, settings, registry, now, on_message=heard)
    model = registry.active()
    if model is None:
        raise ModelError("the trained model is not in force, although it was just promoted")
    requests = {
        name: ForecastRequest(name, site.series, site.variable, site.bounds.get(site.variable))
        for name, site in sites.items()
        if name not in report.left_out
    }
    ways = ForecasterSettings(device=settings.device, time_limit_s=HINDCAST_LIMIT_S)
    answer = hindcast(model, requests, ways)
    failures = {**report.left_out, **answer.failures}
    knowing = _knowing(model, requests, ways) if perfect_outlook else {}
    return Hindcasts(answer.results, failures, model.model_id, knowing)


def _knowing(
    model: Model, requests: Mapping[str, ForecastRequest], ways: ForecasterSettings
) -> dict[str, dict[str, PoolResult]]:
    """The same forecasts by dam, had all rain, and had all releases, been known a week before."""
    found: dict[str, dict[str, PoolResult]] = {}
    for known, variable in _PERFECT.items():
        better = {
            name: replace(request, series=replace(request.series, ahead=ahead))
            for name, request in requests.items()
            if (ahead := observed_ahead(request.series, [variable]))
        }
        if better:
            for name, result in hindcast(model, better, ways).results.items():
                found.setdefault(name, {})[known] = result
    return found
