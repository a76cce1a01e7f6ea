"""The forecast of the whole fleet, and the ladder it climbs down when something breaks.

GPU → CPU → cheap experts without networks → no forecast. Each lost rung is a finding and a line in the
forecast's `degraded`; none is an exception. One dam's trouble never costs another its forecast.
This module and everything it imports stay free of torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from warning.child import Message
from warning.domain.ahead import WHAT, words_ahead
from warning.domain.findings import Finding, FindingKind
from warning.domain.forecast import Forecast
from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import Bounds
from warning.domain.variables import Variable
from warning.errors import ForecastError, ModelError
from warning.forecasting.ahead import usable_ahead
from warning.forecasting.batches import Batch, SiteJob
from warning.forecasting.exchange import ForecastAnswer, ForecastJob, pack_forecast_job, unpack_answer
from warning.forecasting.model import Model, StandingFile
from warning.forecasting.pool import (
    CHEAP_POOL,
    OPERATIONAL_RULE,
    SITE_ERRORS,
    PoolResult,
    forecast_of,
    operational,
)
from warning.forecasting.process import WorkerCommand, ask_child
from warning.forecasting.registry import Registry
from warning.forecasting.scaling import fit_scale, rough_scale
from warning.forecasting.since import holds, readings_since
from warning.forecasting.split import OPERATION
from warning.forecasting.standing import from_row
from warning.forecasting.weights import WeightRule

LEAST_DAYS_FOR_NETWORKS: Final = 365
MOST_WHOLE_PASTS: Final = 50
SHORT_PAST_DAYS: Final = 800
"""Living through twenty years of one dam takes seconds. Where more dams than `MOST_WHOLE_PASTS` are left to
the cheap experts, they look at their newest 800 days alone, which takes a fortieth of it."""
MOST_WHOLE_RECORDS: Final = 1000  # at once


@dataclass(frozen=True, slots=True)
class ForecastRequest:
    """One dam to forecast: its screened series, the variable, and what bounds it physically (or None)."""

    reservoir_id: str
    series: ReadingSeries
    variable: Variable
    bounds: Bounds | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecasterSettings:
    """How forecasts are made. `device` is "auto", "cpu" or "cuda"; the time limit holds for one attempt.

    `work_folder` is where the child's jobs lie while it works; None is the system's temporary folder.
    """

    device: str = "auto"
    time_limit_s: float = 600.0
    rule: WeightRule = OPERATIONAL_RULE
    work_folder: Path | None = None
    worker: WorkerCommand = field(default_factory=WorkerCommand)

    def __post_init__(self) -> None:
        if self.device not in ("auto", "cpu", "cuda"):
            raise ValueError(f"device must be auto, cpu or cuda, found {self.device!r}")
        if not self.time_limit_s > 0:
            raise ValueError(f"time_limit_s must be above 0, found {self.time_limit_s}")


@dataclass(frozen=True, slots=True)
class FleetForecast:
    """Forecasts by reservoir id, possibly fewer than asked for, and everything that was lost on the way."""

    forecasts: Mapping[str, Forecast]
    findings: tuple[Finding, ...]


class Forecaster:
    """Forecasts with the registry's active model; keeps nothing between calls."""

    def __init__(self, registry: Registry, settings: ForecasterSettings) -> None:
        self._registry = registry
        self._settings = settings

    def __call__(self, histories: Mapping[str, ForecastRequest], now: datetime) -> FleetForecast:
        """Forecast every dam from its newest reading on, as of the instant `now`."""
        ladder = _Ladder(self._settings, now)
        ladder.take_model(self._registry)
        for reservoir_id, request in histories.items():
            ladder.prepare(reservoir_id, request)
        ladder.ask_networks()
        forecasts = {}
        for reservoir_id in histories:
            forecast = ladder.forecast(reservoir_id)
            if forecast is not None:
                forecasts[reservoir_id] = forecast
        return FleetForecast(forecasts, tuple(ladder.findings))


def hindcast(
    model: Model,
    histories: Mapping[str, ForecastRequest],
    settings: ForecasterSettings,
    on_message: Callable[[Message], None] | None = None,
) -> ForecastAnswer:
    """Return the operational forecast of every issue row since each dam's training part ended.

    The same computation as the daily forecast, row for row. A dam that `model` was not trained on, or
    whose hindcast fails, is among the failures. Raises ForecastError where the child fails.
    """
    sites = {
        name: SiteJob(request.series, site.scale, site.train_end, request.bounds)
        for name, request in histories.items()
        if (site := model.sites.get(name)) is not None and site.scale.variable is request.variable
    }
    job = ForecastJob(sites, model.specs, model.states, settings.rule, settings.device, last_only=False)
    answer = _ask(job, settings, settings.device, on_message)
    strangers = histories.keys() - sites.keys()
    left_out = dict.fromkeys(sorted(strangers), f"model {model.model_id} was not trained on it")
    return ForecastAnswer(answer.results, {**answer.failures, **left_out})


class _Ladder:
    """One climb: what is known so far about each dam, and which rungs were lost."""

    def __init__(self, settings: ForecasterSettings, now: datetime) -> None:
        self.findings: list[Finding] = []
        self._settings = settings
        self._now = now
        self._model: Model | None = None
        self._fleet_notes: list[str] = []
        self._notes: dict[str, list[str]] = {}
        self._jobs: dict[str, SiteJob] = {}
        self._for_networks: set[str] = set()
        self._standings: dict[str, StandingFile] = {}
        self._recent: set[str] = set()
        self._memories = Path()
        self._results: Mapping[str, PoolResult] = {}

    def take_model(self, registry: Registry) -> None:
        """Load the model in force, or note why there is none."""
        try:
            self._model = registry.active()
        except ModelError as error:
            self._lose(FindingKind.MODEL_UNUSABLE, f"the trained model is unusable: {error}")
            return
        if self._model is not None:
            self._memories = registry.recent(self._model.model_id)
            usable = [file for file in self._model.standings if file.rule == self._settings.rule]
            self._standings = {name: file for file in usable for name in file.sites}
        else:
            self._lose(
                FindingKind.NO_MODEL,
                "no model has been trained yet: forecasts come from the cheap experts alone; "
                "run `dam-warning train`",
            )

    def prepare(self, reservoir_id: str, request: ForecastRequest) -> None:
        """Choose the scale and the start of the hindcast, and who may forecast this dam."""
        self._notes[reservoir_id] = []
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

    def ask_networks(self) -> None:
        """Climb from the GPU to the CPU; what the networks leave out is for the cheap experts."""
        sites = {name: job for name, job in self._jobs.items() if name in self._for_networks}
        if self._model is None or not sites:
            return
        try:
            answer = self._answer(self._model, sites)
        except ForecastError as error:
            text = f"the networks failed, forecasts come from the cheap experts alone: {error}"
            self._lose(FindingKind.NETWORKS_FAILED, text)
            return
        self._results = answer.results
        for reservoir_id in sites.keys() - answer.results.keys():
            why = answer.failures.get(reservoir_id, "the child left it out")
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

    def _answer(self, model: Model, sites: Mapping[str, SiteJob]) -> ForecastAnswer:
        """Ask for all dams: from their standings, and in full where there is none or that fails."""
        settings = self._settings
        job = ForecastJob({}, model.specs, model.states, settings.rule, settings.device, last_only=True)
        full = {name: site for name, site in sites.items() if name not in self._recent}
        answer = self._climb(replace(job, sites=full, batches=self._batches(self._recent, whole=False)))
        answer = self._completed(answer, lambda names: replace(job, batches=self._batches(names, whole=True)))
        return self._completed(answer, lambda names: replace(job, sites={n: sites[n] for n in sorted(names)}))

    def _completed(self, answer: ForecastAnswer, job: Callable[[set[str]], ForecastJob]) -> ForecastAnswer:
        """Ask once more for the dams whose standing gave no forecast, some at a time."""
        left = sorted(self._recent - answer.results.keys())
        results, failures = answer.results, answer.failures
        try:
            for first in range(0, len(left), MOST_WHOLE_RECORDS):
                second = self._climb(job({*left[first : first + MOST_WHOLE_RECORDS]}))
                results, failures = {**results, **second.results}, {**failures, **second.failures}
        except ForecastError as error:
            failures = {**failures, **dict.fromkeys(self._recent - results.keys(), str(error))}
        return ForecastAnswer(results, {n: why for n, why in failures.items() if n not in results})

    def _batches(self, names: set[str], whole: bool) -> tuple[Batch, ...]:
        """The dams of these names by the file of their standings, each with the readings needed beside it."""
        batches = []
        for file in {self._standings[name].path: self._standings[name] for name in names}.values():
            sites = {}
            for name, (day, _) in file.sites.items():
                if name in names:
                    job = self._jobs[name]
                    sites[name] = replace(job, series=readings_since(job.series, job.scale, day, not whole))
            batches.append(Batch(file, self._memories / file.path.name, sites, whole))
        return tuple(batches)

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

    def _climb(self, job: ForecastJob) -> ForecastAnswer:
        heard: dict[str, object] = {}
        try:
            return _ask(job, self._settings, job.device, heard.update)
        except ForecastError as error:
            if "cuda" not in (job.device, heard.get("device")):
                raise
            text = f"the GPU failed, the networks ran on the CPU: {error}"
        answer = _ask(job, self._settings, "cpu", None)
        self._lose(FindingKind.NETWORKS_FAILED, text)
        return answer

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


def _ask(
    job: ForecastJob,
    settings: ForecasterSettings,
    device: str,
    on_message: Callable[[Message], None] | None,
) -> ForecastAnswer:
    answered = ask_child(
        *pack_forecast_job(replace(job, device=device)),
        command=settings.worker,
        time_limit_s=settings.time_limit_s,
        folder=settings.work_folder,
        on_message=on_message,
    )
    return unpack_answer(*answered)


def _reaches(request: ForecastRequest, train_end: date) -> bool:
    """Say whether the record has a reading that the model was not trained on."""
    last = request.series.last_reported_row(request.variable)
    return last is not None and request.series.day(last) >= train_end


def _answered(result: PoolResult, network: str) -> bool:
    values = result.experts.get(network)
    return values is not None and bool(np.isfinite(values[-1]).all())
