"""The child's daily work: forecasts from standings, a file of dams at a time. No torch here.

What the networks answered since the standing, the ridges fitted since, and what the days came to are
remembered in a file beside the model's, and used again as long as no reading they looked at has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress, pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from warning.domain.forecast import HORIZON_DAYS, PERSISTENCE
from warning.domain.readings import ReadingSeries
from warning.domain.variables import BoolArray, FloatArray, IndexArray
from warning.errors import ForecastError
from warning.forecasting.autoregression import RidgeFits, answers_of, block_starts, design_of
from warning.forecasting.baselines import DRIFT, RIDGE, RIDGE_REFITTED, drift
from warning.forecasting.batches import Batch, SiteJob
from warning.forecasting.features import base_values, out_of_range
from warning.forecasting.joined import (
    AnyScale,
    JoinedSeries,
    Scales,
    joined,
    likeness_key,
    scales_of_rows,
)
from warning.forecasting.marks import row_marks
from warning.forecasting.memories import UNREADABLE, remember, remembered
from warning.forecasting.model import StandingFile
from warning.forecasting.pool import SITE_ERRORS, PoolResult
from warning.forecasting.ragged import Arrays
from warning.forecasting.resume import Reached, Resumption, in_its_unit, resumed
from warning.forecasting.since import FRESH_DAYS, fits_needed, ridge_fits
from warning.forecasting.standing import Standing, read_standings
from warning.forecasting.weights import WeightRule, WeightState

Question = tuple[ReadingSeries, AnyScale, IndexArray]
Predict = Callable[[Sequence[Question]], list[dict[str, FloatArray]]]
DAMS_AT_ONCE: Final = 64  # for more together memory grows and speed does not …
REMEMBERED_AT_ONCE: Final = 256  # … but for those with hardly a new day
_LOOK_BACK_DAYS: Final = 60
_Z_STEPS: Final = 1e6  # z is rounded to six decimals
_NO_ANSWER: Final = np.iinfo(np.int32).min
_NO_NUMBER: Final = _NO_ANSWER + 1  # an answer, and for good
_GREATEST_STEPS: Final = -float(_NO_NUMBER)


def forecast_batch(
    batch: Batch, file: StandingFile, predict: Predict, rule: WeightRule
) -> tuple[dict[str, PoolResult], dict[str, str]]:
    """Return the newest forecast of each dam from its standing in `file`, and why others have none."""
    try:
        standings = read_standings(file, batch.sites)
    except UNREADABLE as error:
        return {}, dict.fromkeys(batch.sites, str(error) or repr(error))
    work = _Work(batch, standings, remembered(batch.memory), predict, rule)
    near = [name for name in batch.sites if name in standings and name in work.memories]
    others = [name for name in batch.sites if name in standings and name not in work.memories]
    for names, at_once in ((near, REMEMBERED_AT_ONCE), (others, DAMS_AT_ONCE)):
        for first in range(0, len(names), at_once):
            work.forecast(names[first : first + at_once])
    if batch.memory is not None and work.new_memories:
        remember(batch.memory, {**work.memories, **work.new_memories})
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
            name: Dam(self.batch.sites[name], self.standings[name], self.memories.get(name, {}))
            for name in names
        }
        found = go_on(dams, self.predict, self.rule, self.batch.whole)
        self.results |= found
        self.new_memories |= {name: dams[name].memory() for name in found}
        far = dams.keys() - found.keys()
        self.failures |= dict.fromkeys(far, "its readings do not reach back far enough")


def memory_of(
    site: SiteJob, standing: Standing, rows: IndexArray, z: Mapping[str, FloatArray], rule: WeightRule
) -> Arrays:
    """Return what a forecast from this standing would remember; `z` are the networks' answers on `rows`."""

    def known(questions: Sequence[Question]) -> list[dict[str, FloatArray]]:
        at = np.searchsorted(rows, questions[0][2])
        return [{name: values[at] for name, values in z.items()}]

    dam = Dam(site, standing, {})
    go_on({"": dam}, known, rule, whole=True)
    return dam.memory()


def go_on(dams: Mapping[str, Dam], predict: Predict, rule: WeightRule, whole: bool) -> dict[str, PoolResult]:
    """Return the newest forecast of each dam; unless `whole`, without those whose ridge cannot be refitted.

    Raises one of SITE_ERRORS where that is impossible for one of them.
    """
    groups: dict[Hashable, dict[str, Dam]] = {}
    for name, dam in dams.items():
        groups.setdefault(likeness_key(dam.site.series, dam.site.scale), {})[name] = dam
    asked = []
    for alike in groups.values():
        series = joined([dam.site.series for dam in alike.values()])
        _look_at(series, list(alike.values()))
        able = [whole or dam.can_refit() for dam in alike.values()]
        chosen = dict(compress(alike.items(), able))
        if chosen:
            asked.append((chosen, _Asked.of(series, list(chosen.values()), series.starts[able])))
    answers = predict([(own.series, own.scales, own.rows) for _, own in asked])
    parts = {}
    for (chosen, own), networks in zip(asked, answers, strict=True):
        for (name, dam), part in zip(chosen.items(), own.parts(), strict=True):
            z = {network: values[part] for network, values in networks.items()} | own.cheap_z(dam, part)
            parts[name] = dam.resumption(z, own.unseen[part])
    found = dict(zip(parts, resumed(list(parts.values()), rule), strict=True))
    for name, (_, reached) in found.items():
        dams[name].reached = reached
    return {name: result for name, (result, _) in found.items()}


@dataclass(frozen=True, slots=True)
class _Asked:
    """The rows of dams that are alike whose answers are not remembered, dam by dam."""

    series: JoinedSeries
    scales: Scales
    rows: IndexArray
    ends: IndexArray
    drift: FloatArray
    design: FloatArray
    unseen: BoolArray

    @classmethod
    def of(cls, series: JoinedSeries, dams: Sequence[Dam], starts: IndexArray) -> _Asked:
        counts = np.array([dam.asked.size for dam in dams])
        rows = np.concatenate(
            [start + dam.first + dam.asked for start, dam in zip(starts, dams, strict=True)]
        )
        scales = scales_of_rows([dam.site.scale for dam in dams], counts)
        return cls(
            series=series,
            scales=scales,
            rows=rows,
            ends=np.cumsum(counts),
            drift=drift(series, scales, rows),
            design=design_of(series, scales, rows),
            unseen=out_of_range(series, scales, rows),
        )

    def parts(self) -> list[slice]:
        """Where each dam's rows lie."""
        return [slice(begin, end) for begin, end in pairwise([0, *self.ends.tolist()])]

    def cheap_z(self, dam: Dam, part: slice) -> dict[str, FloatArray]:
        """Return the cheap experts' answers (N, 7) on the rows of one dam."""
        nothing = np.zeros((dam.asked.size, HORIZON_DAYS))
        # the design of no rows at all does not know how wide it is
        once, again = (
            answers_of(dam.ridge(), self.design[part], dam.blocks) if dam.asked.size else (nothing, nothing)
        )
        return {PERSISTENCE: nothing, DRIFT: self.drift[part], RIDGE: once, RIDGE_REFITTED: again}


def _look_at(series: JoinedSeries, dams: Sequence[Dam]) -> None:
    """Let each dam know of the days since its standing what all records together say."""
    variable = dams[0].site.scale.variable
    reported = series.reported(variable)
    base = np.where(reported, base_values(series, variable, np.arange(len(series))), np.nan)
    marks, truth = row_marks(series), series.trusted_at_once(variable)
    for start, dam in zip(series.starts.tolist(), dams, strict=True):
        since = slice(start + dam.first, start + len(dam.site.series))
        earlier = max(dam.first - _LOOK_BACK_DAYS, 0)
        dam.look_at(marks[start + earlier : since.stop], reported[since], base[since], truth[since])


class Dam:
    """One dam's work of the day. Days are counted from the standing's."""

    def __init__(self, site: SiteJob, standing: Standing, remembered: Mapping[str, NDArray[Any]]) -> None:
        self.site = site
        self.standing = standing
        self.first = site.series.row(standing.day)
        self._remembered = remembered
        days = len(site.series) - self.first
        self._z = np.full((days, HORIZON_DAYS, len(standing.experts)), _NO_ANSWER, np.int32)
        self._unseen = np.zeros(days, np.bool_)
        self._fits: dict[int, FloatArray | None] = {}
        self.reached = Reached.by(standing)

    def look_at(
        self, marks: NDArray[np.uint64], reported: BoolArray, base: FloatArray, truth: FloatArray
    ) -> None:
        """Take what is known of each day, and see for which the answers are remembered.

        `marks` begin some days before the standing's. Raises ForecastError without a reading since.
        """
        self._marks, self._base, self._truth = marks, base, truth
        issued = np.flatnonzero(reported)
        if issued.size == 0:
            raise ForecastError(f"no reading since {self.standing.day}")
        self.last = int(issued[-1])
        unchanged = self._recall()
        known = (self._z[issued] != _NO_ANSWER).all(axis=(1, 2)) & (issued < unchanged)
        self.asked: IndexArray = issued[~known]
        self.blocks = block_starts(self.site.scale, self.asked + self.standing.day.toordinal())
        self._go_on_from(min([unchanged, self.last, *self.asked[:1].tolist()]))

    def _recall(self) -> int:
        """Take what is remembered, and return how many days since the standing look as they did then."""
        past = self._remembered
        z = past.get("z")
        before = self._marks.size - len(self._z)
        if z is None or z.shape[1:] != self._z.shape[1:] or past["marks"].size != before + len(z):
            return 0
        size = min(past["marks"].size, self._marks.size)
        changed = np.flatnonzero(past["marks"][:size] != self._marks[:size])
        same = int(changed[0]) if changed.size else size
        if same < before:
            return 0
        unchanged = same - before
        self._z[:unchanged], self._unseen[:unchanged] = z[:unchanged], past["unseen"][:unchanged]
        origin = self.standing.day.toordinal()
        for start, fit in zip(past["starts"].tolist(), past["fits"], strict=True):
            if start - origin <= unchanged:
                self._fits[start] = fit
        return unchanged

    def _go_on_from(self, latest: int) -> None:
        """Go on from where the last forecast was, if that is not beyond the day `latest`."""
        past, mark = self._remembered, _bytes(self.standing.mark)
        if "reached" not in past or past["reached"][0] > latest or past["standing"].tobytes() != mark:
            return
        day = int(past["reached"][0])
        before = slice(day - HORIZON_DAYS, day)
        self.reached = Reached(
            day,
            WeightState(past["pool_weight"], past["pool_losses"]),
            WeightState(past["published_weight"], past["published_losses"]),
            in_its_unit(self.site.scale, self._base[before], _z_of(self._z[before])),
            past["pooled"],
            past["spread"],
        )

    def can_refit(self) -> bool:
        """Say whether each ridge that is asked and not remembered can be fitted on the readings here."""
        newest = self.site.series.last_day.toordinal() - FRESH_DAYS
        needed = fits_needed(self.blocks, self.standing)
        return all(start in self._fits or start > newest for start in needed)

    def ridge(self) -> RidgeFits:
        """Return the ridge as fitted for the days that are asked."""
        needed = fits_needed(self.blocks, self.standing)
        fits = ridge_fits(self.site.series, self.site.scale, self.standing, needed, self._fits)
        self._fits |= {start: fits.again[start] for start in needed}
        return fits

    def resumption(self, answers: Mapping[str, FloatArray], unseen: BoolArray) -> Resumption:
        """Return what to go on with; `answers` are those of all experts on the days that were asked."""
        names = self.standing.experts
        if tuple(answers) != names:
            raise ForecastError(f"standings of {', '.join(names)}, but answers of {', '.join(answers)}")
        new = np.stack([answers[name] for name in names], axis=2)
        steps = np.rint(new * _Z_STEPS)
        sound = np.abs(steps) < _GREATEST_STEPS
        networks = names.index(PERSISTENCE)
        # a network's silence is asked about again; what the cheap experts cannot say, they never can
        final = np.isnan(new) & (
            (np.arange(len(names)) >= networks) | ~np.isfinite(self._base[self.asked, None, None])
        )
        kept = np.where(sound, steps, np.where(final, _NO_NUMBER, _NO_ANSWER))
        self._z[self.asked], self._unseen[self.asked] = kept.astype(np.int32), unseen
        first = self.reached.day
        z = _z_of(self._z[first:])
        z[self.asked - first] = new
        return Resumption(
            self.site.scale,
            self.site.bounds,
            self.standing,
            self.reached,
            self.last,
            z,
            self._base,
            self._truth,
            self._unseen,
        )

    def memory(self) -> Arrays:
        """Return what to remember until tomorrow."""
        made = {start: fit for start, fit in self._fits.items() if fit is not None}
        shape = (0, *self.standing.again.shape)
        known: Arrays = {
            "marks": self._marks,
            "z": self._z,
            "unseen": self._unseen,
            "starts": np.array(list(made), np.int64),
            "fits": np.stack(list(made.values())) if made else np.empty(shape),
        }
        return known | self._as_reached()

    def _as_reached(self) -> Arrays:
        reached = self.reached
        if reached.day < HORIZON_DAYS:  # forecasts issued before the standing's day are still awaited
            return {}
        return {
            "standing": np.frombuffer(_bytes(self.standing.mark), np.uint8),
            "reached": np.array([reached.day]),
            "pool_weight": reached.pool.weight,
            "pool_losses": reached.pool.losses,
            "published_weight": reached.published.weight,
            "published_losses": reached.published.losses,
            "pooled": reached.pooled,
            "spread": reached.spread,
        }


def _bytes(mark: str) -> bytes:
    return bytes.fromhex(mark)


def _z_of(steps: NDArray[np.int32]) -> FloatArray:
    return np.where(steps > _NO_NUMBER, steps / _Z_STEPS, np.nan)
