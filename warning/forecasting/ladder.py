"""The ladder that the forecast of a fleet climbs down when something breaks.

GPU → CPU → cheap experts without networks → no forecast. Each lost rung is a finding and a line in the
forecast's `degraded`; none is an exception. One dam's trouble never costs another its forecast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np

from warning.child import Message
from warning.domain.ahead import WHAT, words_ahead
from warning.domain.findings import Finding, FindingKind
from warning.domain.forecast import Forecast, all_finite
from warning.errors import ForecastError, ModelError
from warning.forecasting.ahead import usable_ahead
from warning.forecasting.asking import ForecasterSettings, ForecastRequest, ask
from warning.forecasting.batches import Batch, SiteJob
from warning.forecasting.exchange import (
    ForecastAnswer,
    ForecastJob,
)
from warning.forecasting.model import Model, StandingFile
from warning.forecasting.pool import (
    CHEAP_POOL,
    SITE_ERRORS,
    PoolResult,
    forecast_of,
    operational,
)
from warning.forecasting.registry import Registry
from warning.forecasting.scaling import fit_scale, rough_scale
from warning.forecasting.sibling import worth_sharing
from warning.forecasting.since import holds, readings_since
from warning.forecasting.split import OPERATION
from warning.forecasting.standing import CONTEXT_DAYS, from_row

LEAST_DAYS_FOR_NETWORKS: Final = 365
MOST_WHOLE_PASTS: Final = 50
SHORT_PAST_DAYS: Final = 800
"""Living through twenty years of one dam takes seconds. Where more dams than `MOST_WHOLE_PASTS` are left to
the cheap experts, they look at their newest 800 days alone, which takes a fortieth of it."""
_MOST_NAMED: Final = 3


class Ladder:
    """One climb: what is known so far about each dam, and which rungs were lost."""

    def __init__(
        self, settings: ForecasterSettings, now: datetime, requests: Mapping[str, ForecastRequest]
    ) -> None:
        self.findings: list[Finding] = []
        self._settings = settings
        self._now = now
        self._requests = requests
        self._model: Model | None = None
        self._fleet_notes: list[str] = []
        self._notes: dict[str, list[str]] = {}
        self._jobs: dict[str, SiteJob] = {}
        self._for_networks: set[str] = set()
        self._device = settings.device
        self._files: list[StandingFile] = []
        self._standings: dict[str, StandingFile] = {}
        self._recent: set[str] = set()
        self._memories = Path()
        self._results: dict[str, PoolResult] = {}
        self._failures: dict[str, str] = {}

    def take_model(self, registry: Registry) -> None:
        """Load the model in force, or note why there is none."""
        try:
            self._model = registry.active()
        except ModelError as error:
            self._lose(FindingKind.MODEL_UNUSABLE, f"the trained model is unusable: {error}")
            return
        if self._model is not None:
            self._memories = registry.recent(self._model.model_id)
            self._files = [file for file in self._model.standings if file.rule == self._settings.rule]
            self._standings = {name: file for file in self._files for name in file.sites}
        else:
            self._lose(
                FindingKind.NO_MODEL,
                "no model has been trained yet: forecasts come from the cheap experts alone; "
                "run `dam-warning train`",
            )

    def ask_networks(self) -> None:
        """Ask for all dams; what the networks leave out is for the cheap experts."""
        broken_off = None
        try:
            if self._model is not None:
                for batches in (self._first, self._with_more_readings, self._with_whole_pasts):
                    self._climb(self._model, batches)
        except ForecastError as error:
            broken_off = str(error)
        for reservoir_id in self._requests:
            self._prepare(reservoir_id)
        left = [name for name in self._requests if name in self._for_networks and name not in self._results]
        if broken_off is not None:
            left = self._lose_rest(left, broken_off)
        for reservoir_id in left:
            why = self._failures.get(reservoir_id, "the child left it out")
            self._lose_at(reservoir_id, f"the networks failed here: {why}")

    def forecast(self, reservoir_id: str) -> Forecast | None:
        """Return the best forecast that is left for this dam."""
        job = self._jobs.get(reservoir_id)
        if job is None:
            return None
        forecast = self._with_networks(reservoir_id) or self._without_networks(reservoir_id, job)
        if forecast is not None and forecast.out_of_range:
            text = "the newest readings lie beyond what the model was trained on: the band is wider"
            self._find(FindingKind.OUT_OF_RANGE_INPUT, reservoir_id, text)
        return forecast

    def _prepare(self, reservoir_id: str) -> None:
        """Choose the scale and the start of the hindcast, and who may forecast this dam."""
        if reservoir_id in self._notes:
            return
        self._notes[reservoir_id] = []
        request = self._requests[reservoir_id]
        site = self._model.sites.get(reservoir_id) if self._model else None
        known = site is not None and site.scale.variable is request.variable
        try:
            if site is not None and known and _reaches(request, site.train_end):
                job = SiteJob(request.series, site.scale, site.train_end, request.bounds)
                self._for_networks.add(reservoir_id)
                if self._standing_holds(reservoir_id, job):
                    self._recent.add(reservoir_id)
            else:
                job = self._own_job(reservoir_id, request, known)
            self._jobs[reservoir_id] = job
        except SITE_ERRORS as error:
            self._find(FindingKind.NO_FORECAST, reservoir_id, f"no forecast is possible: {error}")

    def _first(self) -> Iterator[Batch]:
        """All dams for the networks, from their standings or in full; made ready while others are at work."""
        for file in self._files:
            for reservoir_id in file.sites:
                if reservoir_id in self._requests:
                    self._prepare(reservoir_id)
            yield from self._resumed(file, whole=False)
        for reservoir_id in self._requests:
            self._prepare(reservoir_id)
            if reservoir_id in self._for_networks and reservoir_id not in self._recent:
                yield from self._past(reservoir_id)

    def _with_more_readings(self) -> Iterator[Batch]:
        """The dams whose standing gave no forecast, with all that can be needed beside it."""
        for file in self._files:
            yield from self._resumed(file, whole=True)

    def _with_whole_pasts(self) -> Iterator[Batch]:
        """The dams whose standing gave no forecast even so."""
        for reservoir_id in sorted(self._recent):
            yield from self._past(reservoir_id)

    def _resumed(self, file: StandingFile, whole: bool) -> Iterator[Batch]:
        """What is left to forecast from this file of standings, each dam with the readings since."""
        sites = {}
        for name, (day, _) in file.sites.items():
            if name in self._recent and name not in self._results:
                job = self._jobs[name]
                sites[name] = replace(job, series=readings_since(job.series, job.scale, day, not whole))
        if sites:
            yield Batch(sites, file, self._memories / file.path.name, whole)

    def _past(self, reservoir_id: str) -> Iterator[Batch]:
        if reservoir_id not in self._results:
            yield Batch({reservoir_id: self._jobs[reservoir_id]})

    def _standing_holds(self, reservoir_id: str, job: SiteJob) -> bool:
        file = self._standings.get(reservoir_id)
        return file is not None and holds(job.series, job.scale, *file.sites[reservoir_id])

    def _own_job(self, reservoir_id: str, request: ForecastRequest, known: bool) -> SiteJob:
        """A dam that the model cannot serve: scale and split from its own record."""
        series, variable = request.series, request.variable
        days = series.days[series.reported(variable)] if series.has(variable) else np.array([], "M8[D]")
        if days.size == 0:
            raise ForecastError(f"it has no reading of {variable}")
        try:
            fit_end, _ = OPERATION.ends(days)
            scale = fit_scale(series, variable, fit_end)
        except ForecastError as error:
            self._short(reservoir_id, str(error))
            scale = rough_scale(series, variable, request.bounds)
            return SiteJob(series, scale, series.first_day, request.bounds)
        if known:
            self._short(reservoir_id, "no reading since the model's training part of this dam ended")
        elif self._model is not None:
            self._unknown(reservoir_id, days.size)
        return SiteJob(series, scale, fit_end, request.bounds)

    def _unknown(self, reservoir_id: str, days: int) -> None:
        text = "the model was not trained on this dam"
        if days < LEAST_DAYS_FOR_NETWORKS:
            self._short(reservoir_id, f"{days} days of readings, the networks need {LEAST_DAYS_FOR_NETWORKS}")
        else:
            self._for_networks.add(reservoir_id)
        self._notes[reservoir_id].append(text)
        self._find(FindingKind.UNKNOWN_TO_MODEL, reservoir_id, f"{text}; run `dam-warning train`")

    def _short(self, reservoir_id: str, what: str) -> None:
        text = f"short history: {what}"
        self._notes[reservoir_id].append(f"{text}; cheap experts alone")
        self._find(FindingKind.SHORT_HISTORY, reservoir_id, text)

    def _climb(self, model: Model, batches: Callable[[], Iterator[Batch]]) -> None:
        heard: dict[str, object] = {}
        try:
            self._ask(model, batches(), heard.update)
            return
        except ForecastError as error:
            if "cuda" not in (self._device, heard.get("device")):
                raise
            text = f"the GPU failed, the networks ran on the CPU: {error}"
        self._device = "cpu"
        self._ask(model, batches(), None)
        self._lose(FindingKind.NETWORKS_FAILED, text)

    def _ask(
        self, model: Model, batches: Iterator[Batch], on_message: Callable[[Message], None] | None
    ) -> None:
        first = next(batches, None)
        if first is None:
            return
        days = sum(
            CONTEXT_DAYS if name in self._standings and name not in self._failures else len(request.series)
            for name, request in self._requests.items()
            if name not in self._results
        )
        job = ForecastJob(
            model.specs,
            model.states,
            self._settings.rule,
            self._device,
            last_only=True,
            shared=worth_sharing(days),
        )
        ask(job, chain([first], batches), self._hear, self._settings, on_message)

    def _hear(self, answer: ForecastAnswer) -> None:
        self._results |= answer.results
        self._failures |= answer.failures

    def _lose_rest(self, left: list[str], why: str) -> list[str]:
        """Tell once of all dams that the child did not come to; return those with reasons of their own."""
        if not self._results:
            text = f"the networks failed, forecasts come from the cheap experts alone: {why}"
            self._lose(FindingKind.NETWORKS_FAILED, text)
            return []
        rest = [name for name in left if name not in self._failures]
        if rest:
            some = ", ".join(rest[:_MOST_NAMED]) + (", …" if len(rest) > _MOST_NAMED else "")
            text = f"the networks failed before they came to {len(rest)} of {len(self._requests)} dams"
            self.findings.append(Finding(FindingKind.NETWORKS_FAILED, f"{text} ({some}): {why}"))
            for name in rest:
                self._notes[name].append(f"the networks failed before they came to this dam: {why}")
        return [name for name in left if name in self._failures]

    def _with_networks(self, reservoir_id: str) -> Forecast | None:
        result = self._results.get(reservoir_id)
        if result is None or self._model is None:
            return None
        silent = [s.name for s in self._model.specs if not _answered(result, s.name)]
        if silent:
            text = f"no number from {', '.join(silent)}; the pool goes without"
            self._lose_at(reservoir_id, text)
        try:
            notes = (*self._degraded(reservoir_id), *self._counts_on(self._model, reservoir_id, result))
            return forecast_of(result, reservoir_id, self._now, self._model.model_id, notes)
        except SITE_ERRORS as error:
            self._lose_at(reservoir_id, f"the networks' forecast is unusable: {error}")
            return None

    def _without_networks(self, reservoir_id: str, job: SiteJob) -> Forecast | None:
        series, fit_end, degraded = job.series, job.fit_end, self._degraded(reservoir_id)
        if len(self._jobs) - len(self._results) > MOST_WHOLE_PASTS:
            degraded = (*degraded, f"of so many dams only the newest {SHORT_PAST_DAYS} days were looked at")
            series = from_row(series, max(len(series) - SHORT_PAST_DAYS, 0))
            fit_end = max(fit_end, series.first_day)
        try:
            result = operational(
                series,
                job.scale,
                fit_end,
                None,
                rule=self._settings.rule,
                bounds=job.bounds,
                last_only=True,
            )
            return forecast_of(result, reservoir_id, self._now, None, degraded, method=CHEAP_POOL)
        except SITE_ERRORS as error:
            self._find(FindingKind.NO_FORECAST, reservoir_id, f"no forecast is possible: {error}")
            return None

    def _counts_on(self, model: Model, reservoir_id: str, result: PoolResult) -> tuple[str, ...]:
        """What of the days ahead the networks were told, for the record and for whoever is warned."""
        job = self._jobs[reservoir_id]
        if not job.series.ahead:
            return ()
        row = job.series.row(result.first_day + timedelta(days=int(result.rows[-1])))
        learnt = any(spec.options.get("ahead") for spec in model.specs)
        used = usable_ahead(job.series, job.scale) if learnt else {}
        unused = {variable: table for variable, table in job.series.ahead.items() if variable not in used}
        if words_ahead(unused, row):
            nouns = " and ".join(WHAT[variable] for variable in unused)
            text = f"the outlook of {nouns} goes unused: the model saw none in this dam's training record"
            self._find(FindingKind.OUTLOOK_UNUSABLE, reservoir_id, text)
        return words_ahead(used, row, job.series.ahead_issued)

    def _degraded(self, reservoir_id: str) -> tuple[str, ...]:
        return (*self._fleet_notes, *self._notes[reservoir_id])

    def _lose(self, kind: FindingKind, text: str) -> None:
        self._fleet_notes.append(text)
        self.findings.append(Finding(kind, text))

    def _lose_at(self, reservoir_id: str, text: str) -> None:
        self._notes[reservoir_id].append(text)
        self._find(FindingKind.NETWORKS_FAILED, reservoir_id, text)

    def _find(self, kind: FindingKind, reservoir_id: str, text: str) -> None:
        self.findings.append(Finding(kind, f"{reservoir_id}: {text}", reservoir_id))


def _reaches(request: ForecastRequest, train_end: date) -> bool:
    """Say whether the record has a reading that the model was not trained on."""
    last = request.series.last_reported_row(request.variable)
    return last is not None and request.series.day(last) >= train_end


def _answered(result: PoolResult, network: str) -> bool:
    values = result.experts.get(network)
    return values is not None and all_finite(values[-1])
