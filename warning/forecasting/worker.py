"""The forecast's child: `python -m warning.forecasting.worker JOB_FOLDER` trains or forecasts, and ends.

Reads the job from the folder and leaves the result beside it; the dams to forecast come in batches, by
tickets on stdin. Says on stdout, one JSON object a line, which device it uses, how far it is, and which batch
it has answered; complaints go to stderr. Torch is imported here and nowhere in the daemon; Lightning only for
training.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from warning.child import die_with_parent
from warning.domain.readings import ReadingSeries
from warning.errors import DamWarningError
from warning.forecasting.batches import Batch, SiteJob, pack_batch, unpack_batch
from warning.forecasting.daily import forecast_batch, memory_of
from warning.forecasting.exchange import (
    ANSWER,
    BATCH,
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
    read_folder,
    take_folder,
    together,
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
from warning.forecasting.sibling import Sibling, worth_sharing
from warning.forecasting.standing import Standing, standing_at, standing_row
from warning.forecasting.tickets import MOST_UNTAKEN, ticket, tickets
from warning.forecasting.training_plan import TrainedNetworks, merged

if TYPE_CHECKING:
    from warning.forecasting.networks import Average


def main(arguments: Sequence[str]) -> int:
    """Do the job in the folder that `arguments` names; return the exit status."""
    if len(arguments) != 1:
        print("usage: python -m warning.forecasting.worker JOB_FOLDER", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    try:
        plain, arrays = read_folder(folder, "job")
        if plain["job"] == TRAIN:
            answer = train(unpack_train_job(plain, arrays), folder)
            write_folder(folder, "result", *pack_train_answer(answer))
        else:
            pipe = os.dup(0)  # the second worker's stdin is closed
            forecast(unpack_forecast_job(plain, arrays), folder, pipe)
    except DamWarningError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    return 0


def forecast(job: ForecastJob, folder: Path, pipe: int) -> None:
    """Answer the batches in `folder` whose tickets come out of `pipe`.

    A second worker takes its part of them if the job says so and no GPU does the work.
    """
    import torch

    from warning.forecasting import networks

    torch.set_num_threads(1)
    device = _device(job.device)
    _say(device=device)
    loaded = networks.load(_as_model(job.specs, job.states), device)
    work = partial(_answer_batches, job, folder, pipe, loaded, device)
    if not job.shared or device != "cpu":
        work()
        return
    with Sibling(work) as sibling:
        work()
        sibling.wait()


def _answer_batches(
    job: ForecastJob, folder: Path, pipe: int, loaded: Mapping[str, Average], device: str
) -> None:
    from warning.forecasting import networks

    predict = partial(networks.predict_many, loaded, device=device)
    for number in tickets(pipe):
        batch = unpack_batch(*take_folder(folder, BATCH.format(number)))
        if job.batches:
            _say(doing=f"forecasting {_named(batch)}", share=number / job.batches)
        if batch.standings is None:
            answer = _live_through(batch.sites, job, loaded, device)
        else:
            answer = ForecastAnswer(*forecast_batch(batch, batch.standings, predict, job.rule))
        write_folder(folder, ANSWER.format(number), *pack_answer(answer))
        _say(answered=number)


def _live_through(
    sites: Mapping[str, SiteJob], job: ForecastJob, loaded: Mapping[str, Average], device: str
) -> ForecastAnswer:
    """Forecast each day of the dams' whole pasts, from the end of their training parts on."""
    from warning.forecasting import networks

    results: dict[str, PoolResult] = {}
    failures: dict[str, str] = {}
    standings: dict[str, Standing] = {}
    memories: dict[str, Arrays] = {}
    for reservoir_id, site in sites.items():
        try:
            rows = issue_rows(site.series, site.scale.variable, site.fit_end)
            z = networks.predict_z(loaded, site.series, site.scale, rows, device)
            past = replayed(site.series, site.scale, site.fit_end, z, job.rule)
            results[reservoir_id] = forecasts_of(past, site.series, site.bounds, job.last_only)
            row = standing_row(past) if job.keep_standings else None
            if row is not None:
                standing = standing_at(row, site.series, site.scale, site.fit_end, past, job.rule)
                standings[reservoir_id] = standing
                memories[reservoir_id] = memory_of(site, standing, rows, z, job.rule)
        except SITE_ERRORS as error:
            failures[reservoir_id] = str(error) or repr(error)
    return ForecastAnswer(results, failures, standings, memories)


def _named(batch: Batch) -> str:
    return ", ".join(batch.sites) if len(batch.sites) == 1 else f"{len(batch.sites)} dams"


def train(job: TrainJob, folder: Path) -> TrainAnswer:
    """Train the networks and measure the pool on the validation parts, on two cores where there are two.

    A second worker's job lies in `folder`. Who trains what changes nothing in the networks.
    """
    import torch

    torch.set_num_threads(1)
    networks = _trained(job, folder)
    sites = {name: _validation_job(site) for name, site in job.sites.items()}
    check = ForecastJob(
        networks.specs, networks.states, job.rule, "cpu", last_only=False, keep_standings=True
    )
    answer = _forecast_pasts(check, sites, folder)
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
        answer.memories,
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
    check = ForecastJob(incumbent.specs, incumbent.states, job.rule, "cpu", last_only=False)
    return _skill_of(_forecast_pasts(check, known, folder), known)


def _trained(job: TrainJob, folder: Path) -> TrainedNetworks:
    """All networks; a second worker trains the first part, which is the most work, where it can."""
    from warning.forecasting import training

    parts = range(len(job.settings.parts()))
    days = sum(len(site.series) for site in job.sites.values())
    on_cpu = training.choose_device(job.settings.device) == "cpu"
    if not (on_cpu and len(parts) > 1 and worth_sharing(days)):
        return _train_parts(job, None, _tell)

    def train_first() -> None:
        first = _train_parts(job, parts[:1], lambda *_: None)
        write_folder(folder, "first", *pack_train_answer(TrainAnswer(first, {}, {})))

    with Sibling(train_first) as sibling:
        own = _train_parts(job, parts[1:], _tell)
        sibling.wait()
    theirs = unpack_train_answer(*take_folder(folder, "first")).networks
    return merged(job.settings.specs(), (own, theirs))


def _train_parts(
    job: TrainJob, parts: Sequence[int] | None, tell: Callable[[str, float], None]
) -> TrainedNetworks:
    from warning.forecasting import training

    histories = {name: (site.series, site.split) for name, site in job.sites.items()}
    return training.train(histories, job.settings, tell, parts)


def _forecast_pasts(job: ForecastJob, sites: Mapping[str, SiteJob], folder: Path) -> ForecastAnswer:
    """Forecast the whole pasts of these dams here, the longest first, by way of a folder inside `folder`."""
    longest_first = sorted(sites, key=lambda name: -len(sites[name].series))
    size = -(-len(sites) // MOST_UNTAKEN) or 1
    parts = [longest_first[first : first + size] for first in range(0, len(sites), size)]
    shared = len(parts) > 1 and worth_sharing(sum(len(site.series) for site in sites.values()))
    job = replace(job, shared=shared, batches=len(parts))
    with tempfile.TemporaryDirectory(prefix="pasts-", dir=folder) as name:
        inside = Path(name)
        write_folder(inside, "job", *pack_forecast_job(job))
        for number, names in enumerate(parts):
            write_folder(inside, BATCH.format(number), *pack_batch(Batch({n: sites[n] for n in names})))
        taken, given = os.pipe()
        try:
            os.write(given, b"".join(ticket(number) for number in range(len(parts))))
            os.close(given)
            forecast(job, inside, taken)
        finally:
            os.close(taken)
        answers = [unpack_answer(*take_folder(inside, ANSWER.format(number))) for number in range(len(parts))]
    return together(answers, sites)


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


def _tell(doing: str, share: float) -> None:
    _say(doing=doing, share=share)


def _say(**message: str | float) -> None:
    os.write(1, f"{json.dumps(message)}\n".encode())  # at once, so that two workers' lines do not mix


if __name__ == "__main__":
    die_with_parent()
    sys.exit(main(sys.argv[1:]))
