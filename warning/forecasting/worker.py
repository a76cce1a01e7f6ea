"""The forecast's child: `python -m warning.forecasting.worker JOB_FOLDER` trains or forecasts, and ends.

Reads the job from the folder and leaves the result beside it. Says on stdout, one JSON object a line,
which device it uses and how far it is; complaints go to stderr. Torch is imported here and nowhere in
the daemon; Lightning only for training.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from warning.child import die_with_parent
from warning.domain.readings import ReadingSeries
from warning.domain.variables import FloatArray
from warning.errors import DamWarningError
from warning.forecasting.exchange import (
    TRAIN,
    Arrays,
    ForecastAnswer,
    ForecastJob,
    SiteJob,
    States,
    TrainAnswer,
    TrainJob,
    TrainSite,
    pack_answer,
    pack_forecast_job,
    pack_train_answer,
    pack_train_job,
    read_folder,
    unpack_answer,
    unpack_forecast_job,
    unpack_train_answer,
    unpack_train_job,
    write_folder,
)
from warning.forecasting.model import Model, NetworkSpec
from warning.forecasting.pool import SITE_ERRORS, PoolResult, issue_rows, operational, validation_skill
from warning.forecasting.sibling import Sibling, cores
from warning.forecasting.training_plan import TrainedNetworks, merged

DAYS_WORTH_SHARING: Final = 20_000
"""Of all dams together; for less the start of a second worker takes longer than it saves."""


def main(arguments: Sequence[str]) -> int:
    """Do the job in the folder that `arguments` names; return the exit status."""
    if len(arguments) != 1:
        print("usage: python -m warning.forecasting.worker JOB_FOLDER", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    try:
        plain, arrays = read_folder(folder, "job")
        write_folder(folder, "result", *_answer(plain, arrays, folder))
    except DamWarningError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    return 0


def forecast(job: ForecastJob) -> ForecastAnswer:
    """Let the networks answer and pool them with the cheap experts, dam by dam."""
    import torch

    from warning.forecasting import networks

    torch.set_num_threads(1)
    device = job.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    _say(device=device)
    loaded = networks.load(_as_model(job.specs, job.states), device)
    results, failures = {}, {}
    for done, (reservoir_id, site) in enumerate(job.sites.items()):
        _say(doing=f"forecasting {reservoir_id}", share=done / len(job.sites))
        try:
            rows = issue_rows(site.series, site.scale.variable, site.fit_end)
            z = networks.predict_z(loaded, site.series, site.scale, rows, device)
            results[reservoir_id] = _pool(job, site, z)
        except SITE_ERRORS as error:
            failures[reservoir_id] = str(error) or repr(error)
    return ForecastAnswer(results, failures)


def train(job: TrainJob, folder: Path) -> TrainAnswer:
    """Train the networks and measure the pool on the validation parts, on two cores where there are two.

    A second worker's job lies in `folder`. Who trains what changes nothing in the networks.
    """
    import torch

    torch.set_num_threads(1)
    if job.parts is not None:
        return TrainAnswer(_train_parts(job), {}, {})
    networks = _trained(job, folder)
    sites = {name: _validation_job(site) for name, site in job.sites.items()}
    check = ForecastJob(sites, networks.specs, networks.states, job.rule, "cpu", last_only=False)
    skill = _skill_of(_forecast_shared(check, folder), sites)
    versions = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "pytorch-lightning": version("pytorch-lightning"),
    }
    return TrainAnswer(networks, skill, versions, _measure_incumbent(job, sites, folder))


def _skill_of(answer: ForecastAnswer, sites: Mapping[str, SiteJob]) -> dict[str, tuple[float, ...]]:
    """Return MAE / MAE(persistence) per lead on the validation parts, by dam."""
    return {
        name: validation_skill(result, sites[name].series.trusted(sites[name].scale.variable))
        for name, result in answer.results.items()
    }


def _measure_incumbent(
    job: TrainJob, sites: Mapping[str, SiteJob], folder: Path
) -> dict[str, tuple[float, ...]]:
    """Measure the networks in force on the same days, under the same rule, with the scales they learned."""
    incumbent = job.incumbent
    if incumbent is None:
        return {}
    known = {
        name: replace(site, scale=incumbent.scales[name])
        for name, site in sites.items()
        if name in incumbent.scales and incumbent.scales[name].variable == site.scale.variable
    }
    check = ForecastJob(known, incumbent.specs, incumbent.states, job.rule, "cpu", last_only=False)
    return _skill_of(_forecast_shared(check, folder), known)


def _trained(job: TrainJob, folder: Path) -> TrainedNetworks:
    """All networks; a second worker trains the first part, which is the most work, where it can."""
    from warning.forecasting import training

    parts = range(len(job.settings.parts()))
    days = sum(len(site.series) for site in job.sites.values())
    on_cpu = training.choose_device(job.settings.device) == "cpu"
    if not (on_cpu and len(parts) > 1 and _worth_sharing(days)):
        return _train_parts(job)
    with Sibling(folder, *pack_train_job(replace(job, parts=tuple(parts[:1])))) as sibling:
        own = _train_parts(replace(job, parts=tuple(parts[1:])))
        theirs = unpack_train_answer(*sibling.answer()).networks
    return merged(job.settings.specs(), (own, theirs))


def _train_parts(job: TrainJob) -> TrainedNetworks:
    from warning.forecasting import training

    histories = {name: (site.series, site.split) for name, site in job.sites.items()}
    return training.train(
        histories, job.settings, lambda doing, share: _say(doing=doing, share=share), job.parts
    )


def _forecast_shared(job: ForecastJob, folder: Path) -> ForecastAnswer:
    """Forecast; a second worker takes the dams that make up about half of the days, where it can."""
    days = {name: len(site.series) for name, site in job.sites.items()}
    if not (len(days) > 1 and _worth_sharing(sum(days.values()))):
        return forecast(job)
    halves: tuple[dict[str, SiteJob], dict[str, SiteJob]] = ({}, {})
    loads = [0, 0]
    for name in sorted(days, key=lambda name: -days[name]):
        lighter = int(loads[1] < loads[0])
        halves[lighter][name] = job.sites[name]
        loads[lighter] += days[name]
    with Sibling(folder, *pack_forecast_job(replace(job, sites=halves[1]))) as sibling:
        own = forecast(replace(job, sites=halves[0]))
        theirs = unpack_answer(*sibling.answer())
    results = {**own.results, **theirs.results}
    return ForecastAnswer(
        {name: results[name] for name in job.sites if name in results}, {**own.failures, **theirs.failures}
    )


def _worth_sharing(days: int) -> bool:
    return days >= DAYS_WORTH_SHARING and cores() > 1


def _answer(plain: Mapping[str, Any], arrays: Arrays, folder: Path) -> tuple[dict[str, Any], Arrays]:
    if plain["job"] == TRAIN:
        return pack_train_answer(train(unpack_train_job(plain, arrays), folder))
    return pack_answer(forecast(unpack_forecast_job(plain, arrays)))


def _pool(job: ForecastJob, site: SiteJob, z: Mapping[str, FloatArray]) -> PoolResult:
    return operational(
        site.series,
        site.scale,
        site.fit_end,
        z,
        rule=job.rule,
        bounds=site.bounds,
        last_only=job.last_only,
    )


def _validation_job(site: TrainSite) -> SiteJob:
    """The dam's record up to the end of its validation part."""
    size = min(max(site.series.row(site.split.validation_end), 1), len(site.series))
    whole = site.series
    series = ReadingSeries(
        whole.first_day,
        {variable: column[:size] for variable, column in whole.values.items()},
        {variable: column[:size] for variable, column in whole.at_once.items()},
        {variable: column[:size] for variable, column in whole.settled.items()},
    )
    return SiteJob(series, site.split.scale, site.split.train_end, site.bounds)


def _as_model(specs: tuple[NetworkSpec, ...], states: States) -> Model:
    """As much of the model as the networks need; the rest stays with the daemon."""
    return Model("", datetime.min.replace(tzinfo=UTC), specs, states, {}, {}, {})


def _say(**message: str | float) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    die_with_parent()
    sys.exit(main(sys.argv[1:]))
