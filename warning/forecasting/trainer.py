"""Training from the daemon's side: the child trains, the registry keeps, the newest model is put in force."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final

from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import Bounds, ScreeningLimits
from warning.domain.variables import Variable
from warning.errors import ForecastError, ModelError
from warning.forecasting.exchange import TrainAnswer, TrainJob, TrainSite, pack_train_job, unpack_train_answer
from warning.forecasting.model import Model, SiteFit
from warning.forecasting.pool import OPERATIONAL_RULE
from warning.forecasting.process import Message, WorkerCommand, ask_child
from warning.forecasting.registry import Registry, new_model_id
from warning.forecasting.scaling import fit_scale
from warning.forecasting.training_plan import SiteSplit, TrainingLog, TrainingSettings
from warning.forecasting.weights import WeightRule

MODELS_KEPT: Final = 10
DEFAULT_TIME_LIMIT_S: Final = 6 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingHistory:
    """One dam to learn from. `bounds` and `limits` are what its series was screened with, derived from
    the readings before `train_end` where they were not configured; the model keeps them."""

    series: ReadingSeries
    variable: Variable
    bounds: Mapping[Variable, Bounds]
    limits: ScreeningLimits
    train_end: date
    validation_end: date


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What came of a training. `left_out` says per dam why nothing could be learnt from it."""

    model_id: str
    skill: Mapping[str, tuple[float, ...]]
    log: tuple[TrainingLog, ...]
    left_out: Mapping[str, str]


def train_model(
    histories: Mapping[str, TrainingHistory],
    settings: TrainingSettings,
    registry: Registry,
    now: datetime,
    *,
    rule: WeightRule = OPERATIONAL_RULE,
    worker: WorkerCommand | None = None,
    time_limit_s: float = DEFAULT_TIME_LIMIT_S,
    work_folder: Path | None = None,
    on_message: Callable[[Message], None] | None = None,
) -> TrainReport:
    """Train on all dams in the child, measure, save, and put the model in force.

    `on_message` hears `{"doing": text, "share": 0..1}`. Raises ModelError where no dam has enough
    history or the model cannot be saved, ForecastError where the child fails; the old model stays in force.
    """
    sites, left_out = _train_sites(histories)
    if not sites:
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items()) or "there are no dams"
        raise ModelError(f"nothing to train on: {reasons}")
    answered = ask_child(
        *pack_train_job(TrainJob(sites, settings, rule)),
        command=worker or WorkerCommand(),
        time_limit_s=time_limit_s,
        folder=work_folder,
        on_message=on_message,
    )
    answer = unpack_train_answer(*answered)
    model = _model(histories, sites, answer, settings, now)
    registry.promote(registry.save(model))
    registry.prune(MODELS_KEPT)
    return TrainReport(model.model_id, answer.skill, answer.networks.log, left_out)


def _train_sites(
    histories: Mapping[str, TrainingHistory],
) -> tuple[dict[str, TrainSite], dict[str, str]]:
    sites, left_out = {}, {}
    for name, history in histories.items():
        try:
            scale = fit_scale(history.series, history.variable, history.train_end)
        except ForecastError as error:
            left_out[name] = str(error)
            continue
        split = SiteSplit(scale, history.train_end, history.validation_end)
        sites[name] = TrainSite(history.series, split, history.bounds.get(history.variable))
    return sites, left_out


def _model(
    histories: Mapping[str, TrainingHistory],
    sites: Mapping[str, TrainSite],
    answer: TrainAnswer,
    settings: TrainingSettings,
    now: datetime,
) -> Model:
    unknown = (float("nan"),) * 7
    fits = {
        name: SiteFit(
            scale=site.split.scale,
            train_end=site.split.train_end,
            validation_end=site.split.validation_end,
            bounds=histories[name].bounds,
            limits=histories[name].limits,
            skill=answer.skill.get(name, unknown),
        )
        for name, site in sites.items()
    }
    plain = asdict(settings) | {"lengths": " ".join(map(str, settings.lengths))}
    return Model(
        model_id=new_model_id(now, answer.networks.states),
        created_at=now,
        specs=answer.networks.specs,
        states=answer.networks.states,
        sites=fits,
        settings=plain,
        versions=answer.versions,
    )
