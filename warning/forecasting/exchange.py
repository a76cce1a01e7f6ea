"""What crosses between the daemon and its child: plain JSON and arrays, never pickles.

A job is a folder with `job.json` and `job.npz`; the result of a training is `result.json` and `result.npz`
beside them. Dams to forecast follow in batches, each with an answer of its own. Needs numpy and the standard
library only.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from math import isfinite, nan
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import Bounds
from warning.domain.variables import Variable
from warning.errors import ForecastError
from warning.forecasting.batches import (
    bounds_from_json,
    bounds_to_json,
    pack_memories,
    pack_results,
    pack_standings,
    unpack_memories,
    unpack_results,
    unpack_standings,
)
from warning.forecasting.model import NetworkSpec, SiteScale
from warning.forecasting.model_json import scale_from_json, scale_to_json, specs_from_json, specs_to_json
from warning.forecasting.pool import PoolResult
from warning.forecasting.standing import Standing
from warning.forecasting.training_plan import (
    SiteSplit,
    State,
    TrainedNetworks,
    TrainingLog,
    TrainingSettings,
)
from warning.forecasting.weights import WeightRule

Arrays: TypeAlias = dict[str, NDArray[Any]]
States: TypeAlias = Mapping[str, Mapping[str, NDArray[np.float32]]]

FORECAST: Final = "forecast"
TRAIN: Final = "train"
BATCH: Final = "batch-{}"
ANSWER: Final = "answer-{}"
_PARTS: Final = ("values", "at_once", "settled")
_SIMPLE: Final = ("device", "last_only", "keep_standings", "shared", "batches")


@dataclass(frozen=True, slots=True)
class ForecastJob:
    """How the child is to forecast the dams that it is then handed in batches.

    `device` is "auto", "cpu" or "cuda". With `last_only` each dam's newest issue row alone is answered for,
    with `keep_standings` its standing too. `shared` says whether a second worker is worth its start,
    `batches` how many there will be, 0 if that is not known.
    """

    specs: tuple[NetworkSpec, ...]
    states: States
    rule: WeightRule
    device: str
    last_only: bool
    keep_standings: bool = False
    shared: bool = False
    batches: int = 0


@dataclass(frozen=True, slots=True)
class TrainSite:
    """One dam to learn from: its screened series, split, and bounds of the forecast variable."""

    series: ReadingSeries
    split: SiteSplit
    bounds: Bounds | None


@dataclass(frozen=True, slots=True)
class Incumbent:
    """The networks in force and the scales of the dams that they know: to be measured beside the new ones."""

    specs: tuple[NetworkSpec, ...]
    states: States
    scales: Mapping[str, SiteScale]


@dataclass(frozen=True, slots=True)
class TrainJob:
    """What the child is to train, and the rule under which the pool's validation skill is measured."""

    sites: Mapping[str, TrainSite]
    settings: TrainingSettings
    rule: WeightRule
    incumbent: Incumbent | None = None


@dataclass(frozen=True, slots=True)
class TrainAnswer:
    """What came of a training: the networks, and MAE / MAE(persistence) per lead on validation by dam.

    `incumbent_skill` is that of the networks in force on the same validation parts.
    """

    networks: TrainedNetworks
    skill: Mapping[str, tuple[float, ...]]
    versions: Mapping[str, str]
    incumbent_skill: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    standings: Mapping[str, Standing] = field(default_factory=dict)
    memories: Mapping[str, Arrays] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ForecastAnswer:
    """What the child answered; each dam is in one of the first two.

    `memories` are what the first forecast from the `standings` would otherwise have to find out again.
    """

    results: Mapping[str, PoolResult]
    failures: Mapping[str, str]
    standings: Mapping[str, Standing] = field(default_factory=dict)
    memories: Mapping[str, Arrays] = field(default_factory=dict)


def together(answers: Iterable[ForecastAnswer], names: Iterable[str]) -> ForecastAnswer:
    """Return several answers as one, its results in the order of `names`."""
    results: dict[str, PoolResult] = {}
    failures: dict[str, str] = {}
    standings: dict[str, Standing] = {}
    memories: dict[str, Arrays] = {}
    for answer in answers:
        results |= answer.results
        failures |= answer.failures
        standings |= answer.standings
        memories |= answer.memories
    results = {name: results[name] for name in names if name in results}
    return ForecastAnswer(results, failures, standings, memories)


def write_folder(folder: Path, name: str, plain: Mapping[str, Any], arrays: Arrays) -> None:
    """Write `name`.json and `name`.npz; the JSON comes last, so that its presence means completeness."""
    np.savez(folder / f"{name}.npz", allow_pickle=False, **arrays)
    (folder / f"{name}.json").write_text(json.dumps(plain, allow_nan=False), encoding="utf-8")


def read_folder(folder: Path, name: str) -> tuple[dict[str, Any], Arrays]:
    """Read what `write_folder` wrote; raises ForecastError where it is missing, damaged or a pickle."""
    try:
        plain = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ForecastError(f"the {name} of the forecast child is unusable: {error}") from error
    if not isinstance(plain, dict):
        raise ForecastError(f"the {name} of the forecast child is unusable: no JSON object")
    return plain, arrays


def take_folder(folder: Path, name: str) -> tuple[dict[str, Any], Arrays]:
    """Read what `write_folder` wrote, and delete it; raises ForecastError like `read_folder`."""
    found = read_folder(folder, name)
    for path in (folder / f"{name}.json", folder / f"{name}.npz"):
        path.unlink()
    return found


def pack_series(prefix: str, series: ReadingSeries, arrays: Arrays) -> dict[str, Any]:
    """Put the columns into `arrays` under `prefix` and return the rest as JSON."""
    for part in _PARTS:
        for variable, column in getattr(series, part).items():
            arrays[f"{prefix}/{part}/{variable.value}"] = column
    for variable, table in series.ahead.items():
        arrays[f"{prefix}/ahead/{variable.value}"] = table
    return {
        "first_day": series.first_day.isoformat(),
        "variables": [v.value for v in series.values],
        "ahead": [v.value for v in series.ahead],
    }


def unpack_series(prefix: str, plain: Mapping[str, Any], arrays: Arrays) -> ReadingSeries:
    """Rebuild what `pack_series` took apart."""
    variables = [Variable(name) for name in plain["variables"]]
    values, at_once, settled = (
        {v: arrays[f"{prefix}/{part}/{v.value}"] for v in variables} for part in _PARTS
    )
    ahead = {Variable(name): arrays[f"{prefix}/ahead/{name}"] for name in plain["ahead"]}
    return ReadingSeries(date.fromisoformat(plain["first_day"]), values, at_once, settled, ahead)


def pack_states(states: States, arrays: Arrays, prefix: str = "network") -> None:
    """Put the networks' parameters into `arrays`."""
    for network, parameters in states.items():
        for name, values in parameters.items():
            arrays[f"{prefix}/{network}/{name}"] = values


def unpack_states(arrays: Arrays, prefix: str = "network") -> dict[str, State]:
    """Rebuild what `pack_states` took apart."""
    states: dict[str, State] = {}
    for key, values in arrays.items():
        if key.startswith(f"{prefix}/"):
            _, network, name = key.split("/", 2)
            states.setdefault(network, {})[name] = values
    return states


def pack_forecast_job(job: ForecastJob) -> tuple[dict[str, Any], Arrays]:
    """Take a job apart into JSON and arrays."""
    arrays: Arrays = {}
    pack_states(job.states, arrays)
    plain = {
        "job": FORECAST,
        "networks": specs_to_json(job.specs),
        "rule": asdict(job.rule),
        **{name: getattr(job, name) for name in _SIMPLE},
    }
    return plain, arrays


def unpack_forecast_job(plain: Mapping[str, Any], arrays: Arrays) -> ForecastJob:
    """Rebuild what `pack_forecast_job` took apart."""
    return ForecastJob(
        specs=specs_from_json(plain["networks"]),
        states=unpack_states(arrays),
        rule=WeightRule(**plain["rule"]),
        **{name: plain[name] for name in _SIMPLE},
    )


def pack_train_job(job: TrainJob) -> tuple[dict[str, Any], Arrays]:
    """Take a job apart into JSON and arrays."""
    arrays: Arrays = {}
    sites = [
        {
            "id": reservoir_id,
            "series": pack_series(f"site/{i}", site.series, arrays),
            "scale": scale_to_json(site.split.scale),
            "train_end": site.split.train_end.isoformat(),
            "validation_end": site.split.validation_end.isoformat(),
            "bounds": bounds_to_json(site.bounds),
        }
        for i, (reservoir_id, site) in enumerate(job.sites.items())
    ]
    plain = {
        "job": TRAIN,
        "sites": sites,
        "settings": asdict(job.settings),
        "rule": asdict(job.rule),
        "incumbent": _pack_incumbent(job.incumbent, arrays),
    }
    return plain, arrays


def _pack_incumbent(incumbent: Incumbent | None, arrays: Arrays) -> dict[str, Any] | None:
    if incumbent is None:
        return None
    pack_states(incumbent.states, arrays, "incumbent")
    scales = {name: scale_to_json(scale) for name, scale in incumbent.scales.items()}
    return {"networks": specs_to_json(incumbent.specs), "scales": scales}


def _unpack_incumbent(plain: Mapping[str, Any] | None, arrays: Arrays) -> Incumbent | None:
    if plain is None:
        return None
    scales = {name: scale_from_json(scale) for name, scale in plain["scales"].items()}
    return Incumbent(specs_from_json(plain["networks"]), unpack_states(arrays, "incumbent"), scales)


def unpack_train_job(plain: Mapping[str, Any], arrays: Arrays) -> TrainJob:
    """Rebuild what `pack_train_job` took apart."""
    sites = {}
    for i, site in enumerate(plain["sites"]):
        ends = (date.fromisoformat(site[name]) for name in ("train_end", "validation_end"))
        sites[site["id"]] = TrainSite(
            series=unpack_series(f"site/{i}", site["series"], arrays),
            split=SiteSplit(scale_from_json(site["scale"]), *ends),
            bounds=bounds_from_json(site["bounds"]),
        )
    settings = plain["settings"] | {"lengths": tuple(plain["settings"]["lengths"])}
    return TrainJob(
        sites,
        TrainingSettings(**settings),
        WeightRule(**plain["rule"]),
        _unpack_incumbent(plain["incumbent"], arrays),
    )


def pack_train_answer(answer: TrainAnswer) -> tuple[dict[str, Any], Arrays]:
    """Take the outcome of a training apart into JSON and arrays; an unknown skill is null."""
    arrays: Arrays = {}
    pack_states(answer.networks.states, arrays)
    plain = {
        "networks": specs_to_json(answer.networks.specs),
        "log": [asdict(entry) for entry in answer.networks.log],
        "skill": _skill_to_json(answer.skill),
        "incumbent_skill": _skill_to_json(answer.incumbent_skill),
        "versions": dict(answer.versions),
        "standings": pack_standings(answer.standings, arrays),
        "memories": pack_memories(answer.memories, arrays),
    }
    return plain, arrays


def unpack_train_answer(plain: Mapping[str, Any], arrays: Arrays) -> TrainAnswer:
    """Rebuild the outcome of a training; raises ForecastError where it makes no sense."""
    try:
        specs = specs_from_json(plain["networks"])
        states = unpack_states(arrays)
        if not specs or {spec.name for spec in specs} != states.keys():
            raise ValueError(f"networks {[s.name for s in specs]}, parameters of {sorted(states)}")
        for name, state in states.items():
            if not all(np.isfinite(values).all() for values in state.values()):
                raise ValueError(f"parameters of {name} are not finite")
        log = tuple(TrainingLog(**entry) for entry in plain["log"])
        skill, incumbent_skill = (_skill_from_json(plain[name]) for name in ("skill", "incumbent_skill"))
        versions = {str(name): str(version) for name, version in plain["versions"].items()}
        standings = unpack_standings(plain["standings"], arrays)
        memories = unpack_memories(plain["memories"], arrays)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ForecastError(f"the training's result is unusable: {error!r}") from error
    networks = TrainedNetworks(specs, states, log)
    return TrainAnswer(networks, skill, versions, incumbent_skill, standings, memories)


def _skill_to_json(skill: Mapping[str, tuple[float, ...]]) -> dict[str, list[float | None]]:
    return {name: [v if isfinite(v) else None for v in row] for name, row in skill.items()}


def _skill_from_json(plain: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    return {
        str(name): tuple(nan if value is None else float(value) for value in row)
        for name, row in plain.items()
    }


def pack_answer(answer: ForecastAnswer) -> tuple[dict[str, Any], Arrays]:
    """Take an answer apart into JSON and arrays."""
    arrays: Arrays = {}
    plain = {
        "results": pack_results(answer.results, arrays),
        "failures": dict(answer.failures),
        "standings": pack_standings(answer.standings, arrays),
        "memories": pack_memories(answer.memories, arrays),
    }
    return plain, arrays


def unpack_answer(plain: Mapping[str, Any], arrays: Arrays) -> ForecastAnswer:
    """Rebuild an answer; a dam whose part is incomplete or misshapen counts among the failures.

    Raises ForecastError where the answer as a whole makes no sense.
    """
    try:
        failures = {str(key): str(text) for key, text in plain["failures"].items()}
        results, misshapen = unpack_results(plain["results"], arrays)
        standings = unpack_standings(plain["standings"], arrays)
        memories = unpack_memories(plain["memories"], arrays)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ForecastError(f"the forecast child's answer is unusable: {error!r}") from error
    return ForecastAnswer(results, failures | misshapen, standings, memories)
