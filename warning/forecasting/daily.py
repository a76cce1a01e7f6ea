"""The child's daily work: forecasts from standings, a file of dams at a time. No torch here.

What the networks answered since the standing, and the ridges fitted since, are remembered in a file
beside the model's; a day's answer is used again as long as no reading it looked at has changed.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from warning.domain.forecast import HORIZON_DAYS, PERSISTENCE
from warning.domain.readings import ReadingSeries
from warning.domain.variables import FloatArray, IndexArray
from warning.errors import ForecastError
from warning.forecasting.batches import Batch, SiteJob
from warning.forecasting.model import SiteScale
from warning.forecasting.pool import SITE_ERRORS, PoolResult
from warning.forecasting.ragged import Arrays, pack, unpack
from warning.forecasting.resume import (
    FRESH_DAYS,
    Resumption,
    fits_needed,
    issue_rows_since,
    resumed,
    ridge_fits,
)
from warning.forecasting.standing import Standing, read_standings
from warning.forecasting.weights import WeightRule

Question = tuple[ReadingSeries, SiteScale, IndexArray]
Predict = Callable[[Sequence[Question]], list[dict[str, FloatArray]]]
_Z_STEPS: Final = 1e6  # z is rounded to six decimals
_NO_ANSWER: Final = np.iinfo(np.int32).min
_UNREADABLE: Final = (ForecastError, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


def forecast_batch(
    batch: Batch, predict: Predict, rule: WeightRule
) -> tuple[dict[str, PoolResult], dict[str, str]]:
    """Return the newest forecast of each dam of `batch`, and why others have none."""
    try:
        standings = read_standings(batch.file, batch.sites)
    except _UNREADABLE as error:
        return {}, dict.fromkeys(batch.sites, str(error) or repr(error))
    work = _Work(batch, standings, _remembered(batch.memory), predict, rule)
    work.forecast([name for name in batch.sites if name in standings])
    if batch.memory is not None and work.new_memories:
        _remember(batch.memory, {**work.memories, **work.new_memories})
    return work.results, work.failures


@dataclass(slots=True)
class _Work:
    """The dams of one file, and what came of them so far."""

    batch: Batch
    standings: Mapping[str, Standing]
    memories: Mapping[str, Arrays]
    predict: Predict
    rule: WeightRule
    results: dict[str, PoolResult] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    new_memories: dict[str, Arrays] = field(default_factory=dict)

    def forecast(self, names: list[str]) -> None:
        """Forecast all together; where that fails, in halves, until it is known whose trouble it is."""
        try:
            self._forecast_together(names)
        except SITE_ERRORS as error:
            if len(names) == 1:
                self.failures[names[0]] = str(error) or repr(error)
                return
            self.forecast(names[: len(names) // 2])
            self.forecast(names[len(names) // 2 :])

    def _forecast_together(self, names: list[str]) -> None:
        dams = {
            name: _Dam(self.batch.sites[name], self.standings[name], self.memories.get(name, {}))
            for name in names
        }
        able = {name: dam for name, dam in dams.items() if self.batch.whole or dam.can_refit()}
        if able:
            answers = self.predict([dam.question() for dam in able.values()])
            parts = [dam.resumption(own) for dam, own in zip(able.values(), answers, strict=True)]
            self.results |= zip(able, resumed(parts, self.rule), strict=True)
            self.new_memories |= {name: dam.memory() for name, dam in able.items()}
        far = dams.keys() - able.keys()
        self.failures |= dict.fromkeys(far, "its readings do not reach back far enough")


@dataclass(slots=True)
class _Dam:
    """One dam's work of the day."""

    site: SiteJob
    standing: Standing
    remembered: Mapping[str, NDArray[Any]]
    rows: IndexArray = field(init=False)
    marks: NDArray[np.uint64] = field(init=False)
    asked: IndexArray = field(init=False)
    z: NDArray[np.int32] = field(init=False)
    fits: dict[int, FloatArray | None] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        series, scale = self.site.series, self.site.scale
        self.rows = issue_rows_since(series, scale, self.standing)
        first = series.row(self.standing.day)
        self.marks = row_marks(series)[max(first - _LOOK_BACK_DAYS, 0) :]
        days = len(series) - first
        networks = self.standing.experts.index(PERSISTENCE)
        self.z = np.full((days, HORIZON_DAYS, networks), _NO_ANSWER, np.int32)
        unchanged = self._recall(first)
        known = (self.z[self.rows - first] != _NO_ANSWER).all(axis=(1, 2))
        self.asked = self.rows[~(known & (self.rows - first < unchanged))]

    def _recall(self, first: int) -> int:
        """Take what is remembered, and return how many days since the standing look as they did then."""
        marks, z = self.remembered.get("marks"), self.remembered.get("z")
        before = self.marks.size - len(self.z)
        if marks is None or z is None or z.shape[1:] != self.z.shape[1:] or marks.size != before + len(z):
            return 0
        size = min(marks.size, self.marks.size)
        changed = np.flatnonzero(marks[:size] != self.marks[:size])
        same = int(changed[0]) if changed.size else size
        unchanged = max(same - before, 0) if same >= before else 0
        self.z[:unchanged] = z[:unchanged]
        origin = self.standing.day.toordinal()
        for start, fit in zip(self.remembered["starts"].tolist(), self.remembered["fits"], strict=True):
            if same >= before and start - origin <= unchanged:
                self.fits[start] = fit
        return unchanged

    def can_refit(self) -> bool:
        """Say whether each ridge that is not remembered can be fitted on the readings that are here."""
        series = self.site.series
        needed = fits_needed(series, self.site.scale, self.standing, self.rows)
        newest = series.last_day.toordinal() - FRESH_DAYS
        return all(start in self.fits or start > newest for start in needed)

    def question(self) -> Question:
        return self.site.series, self.site.scale, self.asked

    def resumption(self, answers: Mapping[str, FloatArray]) -> Resumption:
        series, scale, standing = self.site.series, self.site.scale, self.standing
        first = series.row(standing.day)
        names = standing.experts[: self.z.shape[2]]
        if tuple(answers) != names:
            raise ForecastError(f"standings of {', '.join(names)}, but networks {', '.join(answers)}")
        new = np.stack([answers[name] for name in names], axis=2)
        steps = np.rint(new * _Z_STEPS)
        sound = np.isfinite(steps) & (np.abs(steps) < -float(_NO_ANSWER))
        self.z[self.asked - first] = np.where(sound, steps, _NO_ANSWER).astype(np.int32)
        z = np.where(self.z == _NO_ANSWER, np.nan, self.z / _Z_STEPS)
        z[self.asked - first] = new
        needed = fits_needed(series, scale, standing, self.rows)
        fits = ridge_fits(series, scale, standing, needed, self.fits)
        self.fits = {start: fits.again[start] for start in needed}
        own = {name: z[self.rows - first, :, i] for i, name in enumerate(names)}
        return Resumption(series, scale, self.site.bounds, standing, self.rows, own, fits)

    def memory(self) -> Arrays:
        made = {start: fit for start, fit in self.fits.items() if fit is not None}
        shape = (0, *self.standing.again.shape)
        return {
            "marks": self.marks,
            "z": self.z,
            "starts": np.array(list(made), np.int64),
            "fits": np.stack(list(made.values())) if made else np.empty(shape),
        }


_LOOK_BACK_DAYS: Final = 60


def row_marks(series: ReadingSeries) -> NDArray[np.uint64]:
    """Return for each row a number that changes with any reading or verdict of the day."""
    marks = np.zeros(len(series), np.uint64)
    for variable in sorted(series.values):
        values = np.ascontiguousarray(series.values[variable], np.float64)
        columns = (values.view(np.uint64), series.at_once[variable], series.settled[variable])
        missing = np.isnan(values)
        for column in columns:
            marks = _mixed_in(marks, column, missing)
    for _, table in sorted(series.ahead.items()):
        for column in np.ascontiguousarray(table.T, np.float64):
            marks = _mixed_in(marks, column.view(np.uint64), np.isnan(column))
    return marks


def _mixed_in(
    marks: NDArray[np.uint64], column: NDArray[Any], missing: NDArray[np.bool_]
) -> NDArray[np.uint64]:
    mixed = np.where(missing, np.uint64(0), column.astype(np.uint64) + np.uint64(1))
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    return (marks ^ mixed) * np.uint64(0xBF58476D1CE4E5B9)


def _remembered(path: Path | None) -> dict[str, Arrays]:
    """What the last forecast left; nothing where that cannot be read, for all of it can be made again."""
    if path is None:
        return {}
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        names = [str(name) for name in arrays.pop("names")]
        return dict(zip(names, unpack("dam", arrays), strict=True))
    except _UNREADABLE:
        return {}


def _remember(path: Path, memories: Mapping[str, Arrays]) -> None:
    """Replace the file at once; a disk that refuses costs time tomorrow, not a forecast today."""
    unfinished = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            np.savez(
                file,
                allow_pickle=False,
                names=np.array(list(memories), dtype=np.str_),
                **pack("dam", list(memories.values())),
            )
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
