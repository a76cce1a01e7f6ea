"""How things stand, read from the record alone: for people, and for machines as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from warning.config.configuration import Configuration
from warning.domain.alert import CALM, Standing
from warning.domain.reservoir import Reservoir
from warning.domain.schedule import last_due
from warning.journal.entries import AlertRow, CycleRow, DeliveryRow
from warning.journal.journal import Journal

CYCLE_GRACE = timedelta(minutes=30)  # a cycle may take this long before it counts as missed
SHOWN_ALERTS = 5
SHOWN_DELIVERIES = 1000


@dataclass(frozen=True, slots=True)
class DamStatus:
    """What stands at one dam."""

    reservoir: Reservoir
    standing: Standing
    recorded_at: datetime | None

    @property
    def words(self) -> str:
        if self.recorded_at is None:
            return "never looked at"
        severity = self.standing.severity
        stands = severity.name.upper() if severity is not None else "calm"
        if severity is not None and self.standing.evidence is not None:
            stands += f" ({self.standing.evidence.value}, alert {self.standing.alert_number})"
        if self.standing.unwatched:
            return f"UNWATCHED; last known: {stands}"
        return stands


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The whole answer of `dam-warning status`; `troubles` are what a person should see to."""

    now: datetime
    last_cycle: CycleRow | None
    dams: tuple[DamStatus, ...]
    alerts: tuple[AlertRow, ...]
    undelivered: tuple[DeliveryRow, ...]
    troubles: tuple[str, ...]

    @property
    def well(self) -> bool:
        return not self.troubles

    def text(self) -> str:
        """Return the report as people read it."""
        lines = [f"Last cycle: {_cycle_words(self.last_cycle)}", "", "Dams:"]
        width = max((len(dam.reservoir.name) for dam in self.dams), default=0)
        lines += [f"  {dam.reservoir.name:<{width}}  {dam.words}" for dam in self.dams]
        lines += ["", "Newest alerts:"] + [f"  #{a.number} {a.subject}" for a in self.alerts]
        if not self.alerts:
            lines.append("  none on record")
        lines += ["", f"Undelivered: {len(self.undelivered)}"]
        lines += [f"  ! {trouble}" for trouble in self.troubles] or ["All is well."]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the report for machines; instants are ISO 8601 in UTC."""
        cycle = self.last_cycle
        return {
            "now": self.now.isoformat(),
            "well": self.well,
            "troubles": list(self.troubles),
            "last_cycle": None
            if cycle is None
            else {"id": cycle.id, "started_at": cycle.started_at.isoformat(), "outcome": cycle.outcome},
            "dams": {dam.reservoir.id: _dam_json(dam) for dam in self.dams},
            "undelivered": len(self.undelivered),
        }


def read_status(
    configuration: Configuration, journal: Journal, now: datetime, notes: Iterable[str] = ()
) -> StatusReport:
    """Read how things stand as of `now` (aware); `notes` are troubles that the record does not hold."""
    standings = {row.reservoir_id: row for row in journal.all_standings()}
    dams = tuple(
        DamStatus(reservoir, row.standing if row else CALM, row.updated_at if row else None)
        for reservoir in configuration.reservoirs
        for row in [standings.get(reservoir.id)]
    )
    cycle = journal.last_cycle()
    undelivered = tuple(journal.recent_deliveries(SHOWN_DELIVERIES, unsettled=True))
    troubles = [
        *_cycle_troubles(configuration, cycle, now),
        *(f"{dam.reservoir.name} is not watched" for dam in dams if dam.standing.unwatched),
        *(_delivery_trouble(delivery) for delivery in undelivered if delivery.attempts > 0),
        *notes,
    ]
    alerts = tuple(journal.recent_alerts(SHOWN_ALERTS))
    return StatusReport(now, cycle, dams, alerts, undelivered, tuple(troubles))


def _cycle_troubles(configuration: Configuration, cycle: CycleRow | None, now: datetime) -> list[str]:
    schedule = configuration.schedule
    if cycle is None:
        return ["no cycle has ever run: start the service, or run `dam-warning cycle`"]
    due = last_due(now - CYCLE_GRACE, (schedule.daily_at,), schedule.time_zone)
    troubles = []
    if cycle.started_at < due:
        local = due.astimezone(schedule.time_zone)
        troubles.append(f"the cycle due {local:%Y-%m-%d %H:%M %Z} did not run: is the service up?")
    if cycle.outcome != "complete" and cycle.started_at < now - CYCLE_GRACE:
        partial = cycle.outcome == "partial"
        what = (
            "could not judge every dam" if partial else "was cut off; the service runs it again at its start"
        )
        troubles.append(f"cycle {cycle.id} {what}: see the log for why")
    return troubles


def _delivery_trouble(delivery: DeliveryRow) -> str:
    return (
        f"alert {delivery.alert_number} has not reached {delivery.recipient_id} by {delivery.channel_id} "
        f"after {delivery.attempts} attempts: {delivery.detail}"
    )


def _cycle_words(cycle: CycleRow | None) -> str:
    if cycle is None:
        return "never"
    counts = f"{cycle.reservoirs} dams, {cycle.forecasts} forecast, {cycle.unwatched} unwatched"
    ended = f"{cycle.outcome}, {counts}" if cycle.ended_at is not None else cycle.outcome
    return f"{cycle.started_at:%Y-%m-%d %H:%M} UTC, {ended}"


def _dam_json(dam: DamStatus) -> dict[str, Any]:
    standing = dam.standing
    return {
        "severity": standing.severity.name if standing.severity else None,
        "evidence": standing.evidence.value if standing.evidence else None,
        "unwatched": standing.unwatched,
        "alert": standing.alert_number,
        "recorded_at": dam.recorded_at.isoformat() if dam.recorded_at else None,
    }
