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
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from warning.child import die_with_parent
from warning.domain.readings import ReadingSeries
from warning.errors import DamWarningError
from warning.forecasting.batches import SiteJob
from warning.forecasting.daily import forecast_batch
from warning.forecasting.exchange import (
    TRAIN,
    Arrays,
    ForecastAnswer,
    ForecastJob,
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
from warning.forecasting.pool import (
    SITE_ERRORS,
    PoolResult,
    forecasts_of,
    issue_rows,
    replayed,
    validation_skill,
)
from warning.forecasting.sibling import Sibling, cores
from warning.forecasting.standing import Standing, standing_at, standing_row
from warning.forecasting.training_plan import TrainedNetworks, merged

DAYS_WORTH_SHARING: Final = 20_000
"""Of all dams together; for less the start of a second worker takes longer than it saves."""
_ALONE: Final = "alone"  # in the job of a second worker, which has none of its own


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
    device = _device(job.device)
    _say(device=device)
    loaded = networks.load(_as_model(job.specs, job.states), device)
    results: dict[str, PoolResult] = {}
    failures: dict[str, str] = {}
    standings: dict[str, Standing] = {}
    for done, (reservoir_id, site) in enumerate(job.sites.items()):
        _say(doing=f"forecasting {reservoir_id}", share=done / len(job.sites))
        try:
            rows = issue_rows(site.series, site.scale.variable, site.fit_end)
            z = networks.predict_z(loaded, site.series, site.scale, rows, device)
            past = replayed(site.series, site.scale, site.fit_end, z, job.rule)
            results[reservoir_id] = forecasts_of(past, site.series, site.bounds, job.last_only)
            row = standing_row(past) if job.keep_standings else None
            if row is not None:
                standing = standing_at(row, site.series, site.scale, site.fit_end, past, job.rule)
                standings[reservoir_id] = standing
        except SITE_ERRORS as error:
            failures[reservoir_id] = str(error) or repr(error)
    for done, batch in enumerate(job.batches):
        _say(doing=f"forecasting {len(batch.sites)} dams", share=done / len(job.batches))
        found, failed = forecast_batch(batch, partial(networks.predict_many, loaded, device=device), job.rule)
        results |= found
        failures |= failed
    return ForecastAnswer(results, failures, standings)


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
    check = ForecastJob(
        sites, networks.specs, networks.states, job.rule, "cpu", last_only=False, keep_standings=True
    )
    answer = _forecast_shared(check, folder)
    versions = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "pytorch-lightning": version("pytorch-lightning"),
    }
    return TrainAnswer(
        networks,
        _skill_of(answer, sites),
        versions,
        _measure_incumbent(job, sites, folder),
        answer.standings,
    )


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
    batched = sum(len(site.series) for batch in job.batches for site in batch.sites.values())
    if not (len(days) + len(job.batches) > 1 and _worth_sharing(sum(days.values()) + batched)):
        return forecast(job)
    halves: tuple[dict[str, SiteJob], dict[str, SiteJob]] = ({}, {})
    loads = [0, 0]
    for name in sorted(days, key=lambda name: -days[name]):
        lighter = int(loads[1] < loads[0])
        halves[lighter][name] = job.sites[name]
        loads[lighter] += days[name]
    shares = [replace(job, sites=sites, batches=job.batches[i::2]) for i, sites in enumerate(halves)]
    plain, arrays = pack_forecast_job(shares[1])
    with Sibling(folder, plain | {_ALONE: True}, arrays) as sibling:
        own = forecast(shares[0])
        theirs = unpack_answer(*sibling.answer())
    results = {**own.results, **theirs.results}
    return ForecastAnswer(
        {name: results[name] for name in job.sites if name in results}
        | {name: results[name] for batch in job.batches for name in batch.sites if name in results},
        {**own.failures, **theirs.failures},
        {**own.standings, **theirs.standings},
    )


def _worth_sharing(days: int) -> bool:
    return days >= DAYS_WORTH_SHARING and cores() > 1


def _answer(plain: Mapping[str, Any], arrays: Arrays, folder: Path) -> tuple[dict[str, Any], Arrays]:
    if plain["job"] == TRAIN:
        return pack_train_answer(train(unpack_train_job(plain, arrays), folder))
    job = unpack_forecast_job(plain, arrays)
    if plain.get(_ALONE, False) or _device(job.device) != "cpu":
        return pack_answer(forecast(job))
    return pack_answer(_forecast_shared(job, folder))


def _device(wanted: str) -> str:
    import torch

    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"


def _validation_job(site: TrainSite) -> SiteJob:
    """The dam's record up to the end of its validation part."""
    size = min(max(site.series.row(site.split.validation_end), 1), len(site.series))
    whole = site.series
    series = ReadingSeries(
        whole.first_day,
        {variable: column[:size] for variable, column in whole.values.items()},
        {variable: column[:size] for variable, column in whole.at_once.items()},
        {variable: column[:size] for variable, column in whole.settled.items()},
        {variable: table[:size] for variable, table in whole.ahead.items()},
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
