"""Training from the daemon's side: the child trains, the registry keeps, and the better model is in force.

A new model competes with the one in force on the newest readings' validation part. Neither was trained on
it; the new one chose when to stop by it, so a tie within noise favours the new one, which has seen more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final

from warning.child import Message
from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import Bounds, ScreeningLimits
from warning.domain.variables import Variable
from warning.errors import ForecastError, ModelError
from warning.events import pairs
from warning.forecasting.contest import Contest, contest_of
from warning.forecasting.exchange import (
    Incumbent,
    TrainAnswer,
    TrainJob,
    TrainSite,
    pack_train_job,
    unpack_train_answer,
)
from warning.forecasting.model import Model, SiteFit
from warning.forecasting.pool import OPERATIONAL_RULE
from warning.forecasting.process import WorkerCommand, ask_child
from warning.forecasting.registry import Registry, new_model_id
from warning.forecasting.scaling import fit_scale
from warning.forecasting.training_plan import SiteSplit, TrainingLog, TrainingSettings
from warning.forecasting.weights import WeightRule

log = logging.getLogger(__name__)

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
    """What came of a training. `left_out` says per dam why nothing could be learnt from it.

    `contest` is None where no model was in force. A model that lost is kept, and not `promoted`.
    """

    model_id: str
    skill: Mapping[str, tuple[float, ...]]
    log: tuple[TrainingLog, ...]
    left_out: Mapping[str, str]
    contest: Contest | None = None

    @property
    def promoted(self) -> bool:
        return self.contest is None or self.contest.won


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
    unreadable: Mapping[str, str] | None = None,
) -> TrainReport:
    """Train on all dams in the child, measure, save, and put the model in force if it is not worse.

    `unreadable` says why dams that are watched have no history here: a model that had to do without a
    dam that the one in force knows does not replace it. `on_message` hears `{"doing": text, "share": 0..1}`.
    Raises ModelError where no dam has enough history or the model cannot be saved, ForecastError where
    the child fails; the old model stays in force.
    """
    sites, left_out = _train_sites(histories)
    left_out = {**(unreadable or {}), **left_out}
    if not sites:
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items()) or "there are no dams"
        raise ModelError(f"nothing to train on: {reasons}")
    in_force = _in_force(registry)
    answered = ask_child(
        *pack_train_job(TrainJob(sites, settings, rule, _incumbent(in_force))),
        command=worker or WorkerCommand(),
        time_limit_s=time_limit_s,
        folder=work_folder,
        on_message=on_message,
    )
    answer = unpack_train_answer(*answered)
    model = _model(histories, sites, answer, settings, now)
    registry.save(model, answer.standings, rule)
    registry.remember(model.model_id, answer.memories)
    contest = None
    if in_force is not None:
        known = in_force.sites.keys() & (histories.keys() | left_out.keys())
        contest = contest_of(in_force.model_id, answer.skill, answer.incumbent_skill, known)
    report = TrainReport(model.model_id, answer.skill, answer.networks.log, left_out, contest)
    if report.promoted:
        registry.promote(model.model_id)
    registry.prune(MODELS_KEPT)
    _log_outcome(report)
    return report


def _in_force(registry: Registry) -> Model | None:
    """Return the model to beat; one that cannot be read needs no beating."""
    try:
        return registry.active()
    except ModelError as error:
        log.warning(pairs("model-unusable", cause=error))
        return None


def _incumbent(model: Model | None) -> Incumbent | None:
    if model is None:
        return None
    return Incumbent(model.specs, model.states, {name: fit.scale for name, fit in model.sites.items()})


def _log_outcome(report: TrainReport) -> None:
    how = "no model was in force" if report.contest is None else report.contest.words
    event = "promoted" if report.promoted else "not-promoted"
    log.info(pairs("trained", model=report.model_id, outcome=event, because=how))


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
