"""One forecast call for a large fleet: seconds, processor seconds and memory, beside replaying every past.

    python tests/benchmarks/many_dams.py [--device cuda] [DAMS ...]

A model of the usual size is trained for one epoch on three simulated dams of three years. Every dam of the
fleet is a copy of one of them with a scale of its own, so that their ridges are refitted on different days.
Its standing, and what is remembered beside it, are as a training on that day leaves them. The calls are
those of the first and second day after the training; up to ten thousand dams also the one after a month
without any, and that of the day after it, which is what a daily call costs just before the next training.
Besides, some dams without standings, whose whole past is replayed, as for every dam before there were
standings, and the refit alone of the dams whose block of eight weeks begins on one day.

Of each call: seconds, processor seconds of this process and its children together, and the most memory
that all of them had together (shared pages counted once), with what was held before the call: the records
of every dam, 66 kB each here, are the caller's and are counted too. The model and the fleet are made in
another process, so that this one is as slim as the daemon.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from warning.demo.simulation import simulate_fleet
from warning.domain.readings import RawReadings, ReadingSeries
from warning.domain.reservoir import ScreeningLimits
from warning.domain.screening import screen
from warning.domain.variables import FloatArray, Variable
from warning.forecasting.asking import ForecasterSettings, ForecastRequest
from warning.forecasting.autoregression import block_starts, coefficients_before
from warning.forecasting.batches import SiteJob
from warning.forecasting.daily import memory_of
from warning.forecasting.forecaster import Forecaster
from warning.forecasting.model import Model, SiteFit, SiteScale
from warning.forecasting.pool import OPERATIONAL_RULE, issue_rows, replayed
from warning.forecasting.ragged import Arrays
from warning.forecasting.registry import Registry
from warning.forecasting.split import OPERATION
from warning.forecasting.standing import Standing, standing_at, standing_row
from warning.forecasting.trainer import TrainingHistory, train_model
from warning.forecasting.training_plan import TrainingSettings

NOW = datetime(2026, 1, 1, 6, tzinfo=UTC)
DAYS, SINCE = 1095, 30
SAMPLE = 60
MOST_FOR_A_MONTH = 10_000
MIB = 2.0**20


@dataclass(frozen=True)
class Prototype:
    """A simulated dam and what its past comes to, which its copies share but for scale and place."""

    series: ReadingSeries
    fit: SiteFit
    standing: Standing
    memory: Arrays
    fits: dict[int, FloatArray | None]
    """The ridge by the day that it was refitted on, in case it was on that day."""

    def remembered(self, scale: SiteScale) -> Arrays:
        """What the training leaves of a copy with this scale."""
        days = np.arange(self.standing.day.toordinal() + 1, min(self.fits) + len(self.fits))
        starts = sorted({*block_starts(scale, days).tolist()} & self.fits.keys())
        made = {day: fit for day in starts if (fit := self.fits[day]) is not None}
        kept = np.stack(list(made.values())) if made else self.memory["fits"][:0]
        return {**self.memory, "starts": np.array(list(made), np.int64), "fits": kept}


def cut(series: ReadingSeries, days: int) -> ReadingSeries:
    return ReadingSeries(
        series.first_day,
        {variable: column[:days] for variable, column in series.values.items()},
        {variable: column[:days] for variable, column in series.at_once.items()},
        {variable: column[:days] for variable, column in series.settled.items()},
    )


def train(folder: Path) -> tuple[Model, list[Prototype]]:
    """Train a model quickly on three dams; its size and architecture are those of the real one."""
    histories = {}
    records = {}
    for dam in simulate_fleet().dams:
        days = np.datetime64(dam.first_day, "D") + np.arange(len(dam))
        columns = {v: c[-(DAYS + 2) :].copy() for v, c in dam.values.items()}
        records[dam.dam.id] = screen(RawReadings(days[-(DAYS + 2) :], columns), {}, ScreeningLimits())
        known = cut(records[dam.dam.id], DAYS - SINCE)
        ends = OPERATION.ends(known.days)
        histories[dam.dam.id] = TrainingHistory(
            series=known,
            variable=Variable.LEVEL_M,
            bounds={},
            limits=ScreeningLimits(),
            train_end=ends[0],
            validation_end=ends[1],
        )
    from warning.forecasting import networks  # torch is for this process alone

    registry = Registry(folder / "trained")
    train_model(histories, TrainingSettings(max_epochs=1), registry, NOW)
    model = registry.active()
    assert model is not None
    loaded = networks.load(model, "cpu")
    prototypes = []
    for name, history in histories.items():
        fit, known = model.sites[name], history.series
        site = SiteJob(known, fit.scale, fit.train_end, None)
        rows = issue_rows(known, Variable.LEVEL_M, fit.train_end)
        z = networks.predict_z(loaded, known, fit.scale, rows, "cpu")
        past = replayed(known, fit.scale, fit.train_end, z, OPERATIONAL_RULE)
        row = standing_row(past)
        assert row is not None
        standing = standing_at(row, known, fit.scale, fit.train_end, past, OPERATIONAL_RULE)
        memory = memory_of(site, standing, rows, z, OPERATIONAL_RULE)
        fits = {
            known.day(day).toordinal(): coefficients_before(known, fit.scale, day)
            for day in range(known.row(standing.day) + 1, len(known))
        }
        prototypes.append(Prototype(records[name], fit, standing, memory, fits))
    return model, prototypes


@dataclass(frozen=True)
class Cost:
    """What a call took. Memory is that of this process and its children together, shared pages counted once.

    `held_mib` was held before the call: above all the records and the model.
    """

    dams: int
    wall_s: float
    cpu_s: float
    peak_mib: float
    held_mib: float

    def __str__(self) -> str:
        return (
            f"{self.wall_s:7.1f} s  {self.cpu_s:7.1f} CPU s ({1000 * self.cpu_s / self.dams:6.2f} ms a dam)  "
            f"{self.peak_mib:6.0f} MiB at most, {self.held_mib:6.0f} MiB before"
        )


class Watch:
    """Measures what happens inside the context; samples the memory four times a second."""

    def __init__(self, dams: int) -> None:
        self._dams = dams

    def __enter__(self) -> Watch:
        self._held = self._peak = _family_mib(os.getpid())
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._begin = time.perf_counter(), _cpu_s()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        wall_s, cpu_s = time.perf_counter() - self._begin[0], _cpu_s() - self._begin[1]
        self._done.set()
        self._thread.join()
        self.cost = Cost(self._dams, wall_s, cpu_s, self._peak, self._held)

    def _sample(self) -> None:
        while not self._done.wait(0.25):
            self._peak = max(self._peak, _family_mib(os.getpid()))


def _cpu_s() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _family_mib(ancestor: int) -> float:
    """Memory in MiB of a process and of all that descend from it: their proportional set sizes."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    total = 0.0
    for pid in parents:
        line = pid
        while line not in (ancestor, 0):
            line = parents.get(line, 0)
        if line == ancestor:
            with suppress(OSError):
                fields = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                total += sum(int(one.split()[1]) for one in fields if one.startswith("Pss:")) / 1024
    return total


def fleet_of(prototypes: list[Prototype], size: int) -> dict[str, Prototype]:
    fleet = {}
    for i in range(size):
        kind = prototypes[i % len(prototypes)]
        scale = replace(kind.fit.scale, daily_change=kind.fit.scale.daily_change * (1 + 1e-7 * i))
        fleet[f"dam_{i:06d}"] = replace(kind, fit=replace(kind.fit, scale=scale))
    return fleet


def requests(fleet: dict[str, Prototype], days: int) -> dict[str, ForecastRequest]:
    """The dams' records as a daemon holds them: no two share their memory."""
    return {
        name: ForecastRequest(name, _copied(cut(kind.series, days)), Variable.LEVEL_M)
        for name, kind in fleet.items()
    }


def _copied(series: ReadingSeries) -> ReadingSeries:
    return ReadingSeries(
        series.first_day,
        {variable: column.copy() for variable, column in series.values.items()},
        {variable: column.copy() for variable, column in series.at_once.items()},
        {variable: column.copy() for variable, column in series.settled.items()},
    )


def call(registry: Registry, asked: dict[str, ForecastRequest], device: str) -> Cost:
    forecaster = Forecaster(registry, ForecasterSettings(device=device, time_limit_s=7200))
    with Watch(len(asked)) as watch:
        answer = forecaster(asked, NOW)
    pooled = sum(forecast.method == "pool" for forecast in answer.forecasts.values())
    assert pooled == len(asked), (pooled, answer.findings[:3])
    return watch.cost


def refit(fleet: dict[str, Prototype]) -> tuple[int, float]:
    """Refit the dams whose block begins on the last day; return how many and the CPU seconds."""
    begin, count = time.process_time(), 0
    for kind in fleet.values():
        last = np.array([kind.series.last_day.toordinal()])
        if block_starts(kind.fit.scale, last)[0] == last[0]:
            coefficients_before(kind.series, kind.fit.scale, len(kind.series) - 1)
            count += 1
    return count, time.process_time() - begin


def prepare(folder: Path, sizes: list[int]) -> list[Prototype]:
    """Make a registry for each size, and one of `SAMPLE` dams without standings."""
    model, prototypes = train(folder)
    sample = {name: kind.fit for name, kind in fleet_of(prototypes, SAMPLE).items()}
    bare = Registry(folder / "bare")
    bare.promote(bare.save(replace(model, sites=sample)))
    for size in sizes:
        fleet = fleet_of(prototypes, size)
        registry = Registry(folder / f"{size}")
        own = replace(model, sites={name: kind.fit for name, kind in fleet.items()})
        registry.promote(registry.save(own, {name: kind.standing for name, kind in fleet.items()}))
        memories = {name: kind.remembered(kind.fit.scale) for name, kind in fleet.items()}
        registry.remember(own.model_id, memories)
    return prototypes


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure one forecast call for many dams.")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="for the networks")
    parser.add_argument("dams", type=int, nargs="*", default=[100, 1_000, 10_000])
    asked = parser.parse_args()
    sizes, device = asked.dams, asked.device
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(1, get_context("spawn")) as pool:
        folder = Path(name)
        prototypes = pool.submit(prepare, folder, sizes).result()
        pool.shutdown()
        whole = call(Registry(folder / "bare"), requests(fleet_of(prototypes, SAMPLE), DAYS), device)
        print(f"{SAMPLE:7d} dams, every past replayed:     {whole}", flush=True)
        for size in sizes:
            measure(folder / f"{size}", fleet_of(prototypes, size), whole.cpu_s / SAMPLE, device)
            shutil.rmtree(folder / f"{size}")
    return 0


def measure(folder: Path, fleet: dict[str, Prototype], replay_cpu_s: float, device: str) -> None:
    size, registry = len(fleet), Registry(folder)
    calls = {"first after training": DAYS - SINCE + 1, "second day": DAYS - SINCE + 2}
    if size <= MOST_FOR_A_MONTH:
        calls |= {"after a month without": DAYS, "the day after that": DAYS + 1}
    for what, days in calls.items():
        cost = call(registry, requests(fleet, days), device)
        ratio = replay_cpu_s / (cost.cpu_s / size)
        print(f"{size:7d} dams, {what + ':':25s}{cost}; a replay is {ratio:.0f} times the CPU", flush=True)
    on_disk = sum(path.stat().st_size for path in folder.rglob("*.npz")) / MIB
    count, seconds = refit(fleet)
    print(
        f"{size:7d} dams: {on_disk:.0f} MiB on disk; {count} refits of one day {seconds:.1f} CPU s",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
