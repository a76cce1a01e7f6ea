"""One forecast cycle: read, screen, forecast, judge, decide, record. Reads like the mission.

Nothing is sent here: a warning and its deliveries are recorded in one transaction per dam, and
the outbox sends what the record holds. One dam's trouble, the forecaster's trouble or a broken
message never silences another dam.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import TypeVar

from warning.alerts.messages import compose_message, plain_message
from warning.alerts.plot_data import plot_data
from warning.clock import Clock, local_day
from warning.domain.ahead import FleetOutlooks, knowing
from warning.domain.alert import Alert, Decision
from warning.domain.assessment import Assessment
from warning.domain.decision import decide, finding_alert
from warning.domain.delivery import Composed, Recipient, RetryPolicy, recipients_of
from warning.domain.findings import Finding, FindingKind
from warning.domain.forecast import Forecast
from warning.domain.judgement import assess
from warning.domain.readings import FleetReadings, ReadingSeries
from warning.domain.reservoir import Bounds, Reservoir, Severity
from warning.domain.screening import screen
from warning.domain.screening_findings import screening_findings
from warning.domain.screening_limits import screening_basis
from warning.domain.variables import Variable
from warning.forecasting.asking import ForecastRequest
from warning.forecasting.forecaster import FleetForecast, Forecaster
from warning.forecasting.model import SiteFit
from warning.forecasting.registry import Registry
from warning.journal.entries import CycleEntry
from warning.journal.journal import Journal
from warning.ops.logs import pairs
from warning.sources.source import OutlookSource, ReadingSource

log = logging.getLogger(__name__)
T = TypeVar("T")
NO_FORECAST = FleetForecast({}, ())


@dataclass(frozen=True, slots=True)
class Watch:
    """The working parts of a cycle, as `wiring` puts them together."""

    reservoirs: tuple[Reservoir, ...]
    recipients: tuple[Recipient, ...]
    retry: RetryPolicy
    configuration_digest: str
    source: ReadingSource
    registry: Registry
    forecaster: Forecaster
    journal: Journal
    clock: Clock
    outlooks: OutlookSource | None = None


@dataclass(frozen=True, slots=True)
class History:
    """One dam's input of this cycle: the series as screened within `bounds`, and what was found."""

    series: ReadingSeries | None
    findings: tuple[Finding, ...]
    unwatched: str | None = None
    bounds: Mapping[Variable, Bounds] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a cycle came to for one dam; `failure` says why it could not be judged."""

    reservoir: Reservoir
    assessment: Assessment | None
    alerts: tuple[Alert, ...]
    findings: tuple[Finding, ...]
    failure: str | None = None
    forecast: Forecast | None = None


def run_cycle(watch: Watch) -> tuple[Outcome, ...]:
    """Run one cycle over the fleet as of the clock's present and return what it came to, dam by dam.

    Readings dated after a dam's local day are not looked at, so a clock set back replays that day.
    """
    now = watch.clock.now()
    model = _attempt(watch.registry.active, lambda error: None)
    histories = read_and_screen(watch, model.sites if model else {}, now)
    told = announce_crossings(watch, histories, now)
    histories = with_outlooks(watch, histories, now)
    model_id = model.model_id if model else None
    cycle_id = watch.journal.begin_cycle(now, watch.configuration_digest, model_id)
    forecast = forecast_fleet(watch, histories, now)
    outcomes = tuple(
        _attempt(
            partial(judge_and_record, watch, cycle_id, reservoir, histories[reservoir.id], forecast, now),
            partial(record_failure, watch, cycle_id, reservoir, histories[reservoir.id], now),
        )
        for reservoir in watch.reservoirs
    )
    _close(watch, cycle_id, outcomes, len(forecast.forecasts))
    return tuple(replace(o, alerts=(*told.get(o.reservoir.id, ()), *o.alerts)) for o in outcomes)


def read_and_screen(watch: Watch, sites: Mapping[str, SiteFit], now: datetime) -> dict[str, History]:
    """Read the whole fleet in one go and screen each dam; a dam's failure is its finding.

    Dams that the model in force knows are screened with the limits derived from its training part.
    """
    newest_day = max(local_day(now, r.time_zone) for r in watch.reservoirs)
    ids = [r.id for r in watch.reservoirs]
    fleet = _attempt(
        lambda: watch.source.read(ids, last_day=newest_day),
        lambda error: FleetReadings({}, dict.fromkeys(ids, f"the source could not be read: {error}")),
    )
    return {
        reservoir.id: _attempt(
            partial(_history, reservoir, sites.get(reservoir.id), fleet, now),
            partial(_screening_failed, reservoir),
        )
        for reservoir in watch.reservoirs
    }


def _history(reservoir: Reservoir, fit: SiteFit | None, fleet: FleetReadings, now: datetime) -> History:
    """Screen one dam's readings up to its local today."""
    raw = fleet.readings.get(reservoir.id)
    if raw is None:
        reason = fleet.failures.get(reservoir.id, "the source gave no readings and no reason")
        return _no_history(reservoir, reason)
    raw = raw.until(local_day(now, reservoir.time_zone))
    if raw.days.size == 0 or not raw.values:
        return _no_history(reservoir, "the source holds no readings of this dam")
    bounds, limits = screening_basis(reservoir, raw, (fit.bounds, fit.limits) if fit else None)
    series = screen(raw, bounds, limits)
    variable = reservoir.forecast_variable
    findings = screening_findings(reservoir.id, raw, series, variable, bounds=bounds, limits=limits)
    return History(series, findings, bounds=bounds)


def _no_history(reservoir: Reservoir, reason: str) -> History:
    finding = Finding(FindingKind.SOURCE_FAILED, reason, reservoir.id)
    return History(None, (finding,), unwatched=reason)


def _screening_failed(reservoir: Reservoir, error: Exception) -> History:
    return _no_history(reservoir, f"its readings could not be screened: {error!r}")


def announce_crossings(
    watch: Watch, histories: Mapping[str, History], now: datetime
) -> dict[str, tuple[Alert, ...]]:
    """Put on record, before any forecast is asked for, what observation alone raises; return it by dam.

    This is a small cycle of its own, so an observed crossing waits for no model; the outbox sends it
    while the forecast is made, and what the forecast adds to it follows as an update.
    """
    urgent = [
        reservoir
        for reservoir in watch.reservoirs
        if _attempt(partial(_crossed, watch, reservoir, histories[reservoir.id], now), lambda _: False)
    ]
    if not urgent:
        return {}
    cycle_id = watch.journal.begin_cycle(now, watch.configuration_digest, None)
    outcomes = tuple(
        _attempt(
            partial(judge_and_record, watch, cycle_id, reservoir, histories[reservoir.id], None, now),
            partial(_not_announced, reservoir),
        )
        for reservoir in urgent
    )
    _close(watch, cycle_id, outcomes, 0, early=True)
    return {outcome.reservoir.id: outcome.alerts for outcome in outcomes}


def _not_announced(reservoir: Reservoir, error: Exception) -> Outcome:
    """The cycle proper judges this dam once more, so nothing is lost yet."""
    return Outcome(reservoir, None, (), (), failure=repr(error))


def _crossed(watch: Watch, reservoir: Reservoir, history: History, now: datetime) -> bool:
    """Say whether observation alone raises a higher severity than stands."""
    stands = watch.journal.standing(reservoir.id).severity
    return _crossing(reservoir, history, stands, now) is not None


def _crossing(
    reservoir: Reservoir, history: History, stands: Severity | None, now: datetime
) -> Assessment | None:
    assessment = assess(reservoir, history.series, None, now=now, unwatched_reason=history.unwatched)
    found = assessment.severity
    return assessment if found is not None and (stands is None or found > stands) else None


def observe_unrecorded(
    watch: Watch, reservoirs: tuple[Reservoir, ...]
) -> tuple[tuple[Reservoir, Assessment], ...]:
    """Return which of `reservoirs` observation alone finds above what stands; nothing is recorded.

    For when the record cannot be written; where it cannot even be read, nothing stands.
    """
    now = watch.clock.now()
    model = _attempt(watch.registry.active, lambda _: None)
    histories = read_and_screen(watch, model.sites if model else {}, now)
    looks = (partial(_unrecorded, watch, dam, histories[dam.id], now) for dam in reservoirs)
    found = ((dam, _attempt(look, lambda _: None)) for dam, look in zip(reservoirs, looks, strict=True))
    return tuple((dam, crossing) for dam, crossing in found if crossing is not None)


def _unrecorded(watch: Watch, reservoir: Reservoir, history: History, now: datetime) -> Assessment | None:
    stands = _attempt(lambda: watch.journal.standing(reservoir.id).severity, lambda _: None)
    return _crossing(reservoir, history, stands, now)


def with_outlooks(watch: Watch, histories: dict[str, History], now: datetime) -> dict[str, History]:
    """Lay beside the readings what is known of the days ahead; trouble with it costs no forecast."""
    source = watch.outlooks
    today = {
        r.id: local_day(now, r.time_zone) for r in watch.reservoirs if histories[r.id].series is not None
    }
    if source is None or not today:
        return histories
    fleet = _attempt(
        lambda: source.read(list(today), max(today.values())),
        lambda error: FleetOutlooks({}, troubles=(f"the outlooks could not be read: {error}",)),
    )
    known = dict(histories)
    for name, day in today.items():
        use = partial(_knowing, name, histories[name], fleet, day)
        known[name] = _attempt(use, partial(_ignorant, name, histories[name]))
    return known


def _knowing(reservoir_id: str, history: History, fleet: FleetOutlooks, today: date) -> History:
    if history.series is None:
        return history
    series, findings = knowing(reservoir_id, history.series, fleet, history.bounds, today)
    return replace(history, series=series, findings=(*history.findings, *findings))


def _ignorant(reservoir_id: str, history: History, error: Exception) -> History:
    text = f"the outlook could not be used: {error!r}"
    found = Finding(FindingKind.OUTLOOK_UNUSABLE, text, reservoir_id)
    return replace(history, findings=(*history.findings, found))


def forecast_fleet(watch: Watch, histories: Mapping[str, History], now: datetime) -> FleetForecast:
    """Forecast all dams in one call; whatever goes wrong leaves observation to stand alone."""
    requests = {
        dam.id: ForecastRequest(dam.id, series, dam.forecast_variable, dam.limits.get(dam.forecast_variable))
        for dam in watch.reservoirs
        if (series := histories[dam.id].series) is not None
    }
    return _attempt(
        lambda: watch.forecaster(requests, now),
        lambda error: FleetForecast(
            {}, (Finding(FindingKind.NO_FORECAST, f"the forecaster failed unexpectedly: {error}"),)
        ),
    )


def judge_and_record(
    watch: Watch,
    cycle_id: int,
    reservoir: Reservoir,
    history: History,
    fleet: FleetForecast | None,
    now: datetime,
) -> Outcome:
    """Assess one dam, decide what to say, and put all of it on record in one transaction.

    `fleet` is None before any forecast was asked for.
    """
    forecast = fleet.forecasts.get(reservoir.id) if fleet else None
    findings = history.findings + tuple(
        f for f in (fleet.findings if fleet else ()) if f.reservoir_id in (None, reservoir.id)
    )
    assessment = assess(
        reservoir,
        history.series,
        forecast,
        now=now,
        unwatched_reason=history.unwatched,
        before_forecast=fleet is None,
    )
    decision = decide(assessment, watch.journal.standing(reservoir.id), reservoir.policy, now)
    alerts = _alerts_to_make(watch, reservoir, decision, findings, now)
    entry = CycleEntry(
        cycle_id=cycle_id,
        reservoir_id=reservoir.id,
        recorded_at=now,
        series=history.series,
        forecast=forecast,
        assessment=assessment,
        findings=findings,
        alerts=alerts,
        standing=decision.standing,
    )
    recorded = watch.journal.record(
        entry, lambda alert: _compose(watch, reservoir, alert, history.series, forecast, now)
    )
    return Outcome(reservoir, assessment, recorded, findings, forecast=forecast)


def _alerts_to_make(
    watch: Watch, reservoir: Reservoir, decision: Decision, findings: tuple[Finding, ...], now: datetime
) -> tuple[Alert, ...]:
    """Add the findings to what was decided; they get an alert of their own where someone would miss them.

    What concerns the whole service is told once, with the first dam, and not once per dam.
    """
    alerts = tuple(replace(alert, findings=findings) for alert in decision.alerts)
    first = reservoir is watch.reservoirs[0]
    to_tell = tuple(f for f in findings if first or f.reservoir_id is not None)
    own = finding_alert(reservoir.id, to_tell, watch.journal.findings_announced(reservoir.id, now), now)
    if own is None:
        return alerts
    told = {r.id for alert in alerts for r in recipients_of(alert, watch.recipients)}
    missed = {r.id for r in recipients_of(own, watch.recipients)} - told
    return (*alerts, own) if missed else alerts


def _compose(
    watch: Watch,
    reservoir: Reservoir,
    alert: Alert,
    series: ReadingSeries | None,
    forecast: Forecast | None,
    now: datetime,
) -> Composed:
    """Put a numbered alert into words and list its deliveries; broken words never stop a warning."""
    told = recipients_of(alert, watch.recipients)
    names = [recipient.name for recipient in told]
    message, plot = _attempt(
        lambda: (
            compose_message(alert, reservoir, series=series, forecast=forecast, told=names, now=now),
            plot_data(reservoir, series, forecast, alert.assessment),
        ),
        lambda error: (plain_message(alert, reservoir.id, reservoir.name, now), None),
    )
    return Composed(
        message=message,
        deliveries=tuple((r.id, channel.id, channel.form) for r in told for channel in r.channels),
        expires_at=now + timedelta(hours=watch.retry.expire_after_hours),
        plot_data=plot,
    )


def record_failure(
    watch: Watch, cycle_id: int, reservoir: Reservoir, history: History, now: datetime, error: Exception
) -> Outcome:
    """Judge a dam again by observation alone; if even that fails, say that nobody is watching it."""
    message = f"judging {reservoir.name} failed: {error!r}; it was judged by observation alone"
    finding = Finding(FindingKind.RESERVOIR_FAILED, message, reservoir.id)
    observed = replace(history, findings=(*history.findings, finding))
    blind = _no_history(reservoir, f"the program failed on this dam: {error!r}")
    return _attempt(
        lambda: judge_and_record(watch, cycle_id, reservoir, observed, NO_FORECAST, now),
        lambda _: _attempt(
            lambda: judge_and_record(watch, cycle_id, reservoir, blind, NO_FORECAST, now),
            lambda last: Outcome(reservoir, None, (), (finding,), failure=repr(last)),
        ),
    )


def _close(
    watch: Watch, cycle_id: int, outcomes: tuple[Outcome, ...], forecasts: int, *, early: bool = False
) -> None:
    unwatched = sum(o.assessment is None or o.assessment.unwatched is not None for o in outcomes)
    counts = {
        "reservoirs": len(outcomes),
        "forecasts": forecasts,
        "unwatched": unwatched,
        "alerts": sum(len(o.alerts) for o in outcomes),
        "failures": sum(o.failure is not None for o in outcomes),
    }
    watch.journal.close_cycle(cycle_id, watch.clock.now(), early=early, **counts)
    log.info(pairs("crossings" if early else "cycle", id=cycle_id, **counts))


def _attempt(action: Callable[[], T], otherwise: Callable[[Exception], T]) -> T:
    """Do `action`; whatever it raises is logged and answered by `otherwise`.

    The cycle's one broad except: between the source, the forecaster, each dam and its words.
    """
    try:
        return action()
    except Exception as error:
        log.exception(pairs("trouble", error=repr(error)))
        return otherwise(error)
