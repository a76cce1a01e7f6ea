"""What crosses to the child and back, some dams at a time: their readings, their forecasts, their standings.

Hundreds of dams cross together, so their arrays lie end to end (`ragged`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np

from warning.domain.forecast import HORIZON_DAYS, QUANTILE_LEVELS
from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import Bounds
from warning.domain.variables import Variable
from warning.forecasting.model import SiteScale, StandingFile
from warning.forecasting.model_json import scale_from_json, scale_to_json
from warning.forecasting.pool import PoolResult
from warning.forecasting.ragged import Arrays, pack, unpack
from warning.forecasting.standing import Standing, from_arrays, to_arrays
from warning.forecasting.weights import WeightRule

_PARTS: Final = ("values", "at_once", "settled")
_KEYS: Final = {(part, v): f"{part}.{v.value}" for part in (*_PARTS, "ahead") for v in Variable}
RESULT_ARRAYS: Final = (
    "rows", "base", "ensemble", "weights", "pooled", "mean", "quantiles", "skill", "out_of_range",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SiteJob:
    """One dam to forecast: its screened series, scale, and the end of the networks' training part."""

    series: ReadingSeries
    scale: SiteScale
    fit_end: date
    bounds: Bounds | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Dams to forecast together; without a file of `standings` the whole past of each is lived through.

    With one, `sites` hold the readings since. They are enough for any forecast if `whole`, else a ridge
    that was refitted some days ago must be remembered. `memory` is the file for what is to be known again
    tomorrow; None for none.
    """

    sites: Mapping[str, SiteJob]
    standings: StandingFile | None = None
    memory: Path | None = None
    whole: bool = True


def pack_batch(batch: Batch) -> tuple[dict[str, Any], Arrays]:
    """Take a batch apart into JSON and arrays."""
    series = [site.series for site in batch.sites.values()]
    sets = [
        {
            _KEYS[part, variable]: column
            for part in (*_PARTS, "ahead")
            for variable, column in getattr(one, part).items()
        }
        for one in series
    ]
    file = batch.standings
    plain = {
        "standings": None if file is None else file_to_json(file) | {"path": str(file.path)},
        "memory": None if batch.memory is None else str(batch.memory),
        "whole": batch.whole,
        "sites": {name: _site_to_json(site) for name, site in batch.sites.items()},
    }
    return plain, pack("site", sets)


def unpack_batch(plain: Mapping[str, Any], arrays: Arrays) -> Batch:
    """Rebuild what `pack_batch` took apart."""
    columns = unpack("site", arrays)
    file = plain["standings"]
    return Batch(
        sites={
            name: _site_from_json(site, own)
            for (name, site), own in zip(plain["sites"].items(), columns, strict=True)
        },
        standings=None if file is None else file_from_json(Path(file["path"]), file),
        memory=None if plain["memory"] is None else Path(plain["memory"]),
        whole=bool(plain["whole"]),
    )


def file_to_json(file: StandingFile) -> dict[str, Any]:
    """Return what is known about a file of standings as plain JSON values."""
    return {
        "sha256": file.sha256,
        "experts": list(file.experts),
        "rule": asdict(file.rule),
        "sites": {name: [day.isoformat(), mark] for name, (day, mark) in file.sites.items()},
    }


def file_from_json(path: Path, plain: Mapping[str, Any]) -> StandingFile:
    """Read what `file_to_json` wrote about the file at `path`."""
    return StandingFile(
        path=path,
        sha256=str(plain["sha256"]),
        experts=tuple(str(name) for name in plain["experts"]),
        rule=WeightRule(**plain["rule"]),
        sites={name: (date.fromisoformat(day), str(mark)) for name, (day, mark) in plain["sites"].items()},
    )


def pack_results(results: Mapping[str, PoolResult], arrays: Arrays) -> list[dict[str, Any]]:
    """Put results into `arrays` and return the rest as JSON."""
    sets = [
        {name: getattr(result, name) for name in RESULT_ARRAYS}
        | {"experts": np.stack(list(result.experts.values()))}
        for result in results.values()
    ]
    arrays |= pack("result", sets)
    return [
        {"id": name, "set": i, "first_day": result.first_day.isoformat(), "experts": list(result.experts)}
        for i, (name, result) in enumerate(results.items())
    ]


def unpack_results(
    plain: Sequence[Mapping[str, Any]], arrays: Arrays
) -> tuple[dict[str, PoolResult], dict[str, str]]:
    """Rebuild what `pack_results` took apart, and say what is wrong with the dams whose part is misshapen."""
    results: dict[str, PoolResult] = {}
    failures: dict[str, str] = {}
    sets = unpack("result", arrays)
    for entry in plain:
        name = str(entry["id"])
        try:
            own = sets[entry["set"]]
            experts = dict(zip(entry["experts"], own.pop("experts"), strict=True))
            results[name] = checked_result(date.fromisoformat(entry["first_day"]), own, experts)
        except (LookupError, TypeError, ValueError) as error:
            failures[name] = f"the forecast child's answer is unusable: {error}"
    return results, failures


def checked_result(first_day: date, parts: Arrays, experts: Arrays) -> PoolResult:
    """Return a result from its arrays; raises KeyError or ValueError where one is missing or misshapen."""
    rows = parts["rows"].shape
    if len(rows) != 1 or rows == (0,):
        raise ValueError(f"issue rows of shape {rows}, expected at least one in a row")
    leads = (*rows, HORIZON_DAYS)
    shapes = {
        "base": rows, "out_of_range": rows, "ensemble": leads, "pooled": leads, "mean": leads, "skill": leads,
        "weights": (*leads, len(experts)), "quantiles": (*leads, len(QUANTILE_LEVELS)),
    }  # fmt: skip
    found = {name: parts[name].shape for name in shapes} | {n: e.shape for n, e in experts.items()}
    for name, expected in (shapes | dict.fromkeys(experts, leads)).items():
        if found[name] != expected:
            raise ValueError(f"{name} has shape {found[name]}, expected {expected}")
    return PoolResult(first_day=first_day, experts=experts, **parts)


def pack_standings(standings: Mapping[str, Standing], arrays: Arrays) -> dict[str, Any]:
    """Put the standings into `arrays` and return the rest as JSON; all have the same experts."""
    arrays |= pack("standings", [to_arrays(standing) for standing in standings.values()])
    experts = next((list(standing.experts) for standing in standings.values()), [])
    return {"sites": list(standings), "experts": experts}


def unpack_standings(plain: Mapping[str, Any], arrays: Arrays) -> dict[str, Standing]:
    """Rebuild what `pack_standings` took apart."""
    experts = tuple(str(name) for name in plain["experts"])
    sets = unpack("standings", arrays)
    return {str(name): from_arrays(experts, own) for name, own in zip(plain["sites"], sets, strict=True)}


def pack_memories(memories: Mapping[str, Arrays], arrays: Arrays) -> list[str]:
    """Put what is to be remembered of each dam into `arrays` and return the rest as JSON."""
    arrays |= pack("memory", list(memories.values()))
    return list(memories)


def unpack_memories(plain: Sequence[str], arrays: Arrays) -> dict[str, Arrays]:
    """Rebuild what `pack_memories` took apart."""
    return {str(name): own for name, own in zip(plain, unpack("memory", arrays), strict=True)}


def bounds_to_json(bounds: Bounds | None) -> list[float] | None:
    """Return bounds as plain JSON values."""
    return None if bounds is None else [bounds.lower, bounds.upper]


def bounds_from_json(plain: list[float] | None) -> Bounds | None:
    """Read what `bounds_to_json` wrote."""
    return None if plain is None else Bounds(*plain)


def _site_to_json(site: SiteJob) -> dict[str, Any]:
    return {
        "first_day": site.series.first_day.isoformat(),
        "variables": list(site.series.values),
        "ahead": list(site.series.ahead),
        "scale": scale_to_json(site.scale),
        "fit_end": site.fit_end.isoformat(),
        "bounds": bounds_to_json(site.bounds),
    }


def _site_from_json(plain: Mapping[str, Any], columns: Arrays) -> SiteJob:
    variables = [Variable(name) for name in plain["variables"]]
    values, at_once, settled = ({v: columns[_KEYS[part, v]] for v in variables} for part in _PARTS)
    ahead = {Variable(name): columns[f"ahead.{name}"] for name in plain["ahead"]}
    return SiteJob(
        series=ReadingSeries(date.fromisoformat(plain["first_day"]), values, at_once, settled, ahead),
        scale=scale_from_json(plain["scale"]),
        fit_end=date.fromisoformat(plain["fit_end"]),
        bounds=bounds_from_json(plain["bounds"]),
    )
