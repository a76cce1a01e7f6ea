"""How things stand, from the record and the machine: for people, and for machines as JSON.

The daemon is not asked: what it alone knows, it has put on record.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from warning import __version__
from warning.alerts.service_messages import span_text
from warning.alerts.wording import day_text, days_away_text, one_line
from warning.clock import local_day
from warning.config.configuration import Configuration
from warning.dams import DamStatus, dam_json, read_dams
from warning.domain.troubles import Trouble, TroubleKind
from warning.errors import ModelError
from warning.forecasting.registry import ModelSummary, Registry
from warning.health import examine, free_bytes, is_examined, watched_folders
from warning.journal.entries import AlertRow, CycleRow, DeliveryRow, RunRow
from warning.journal.journal import Journal

SHOWN_ALERTS = 5
SHOWN_DELIVERIES = 1000
SHORT_DIGEST = 12


@dataclass(frozen=True, slots=True)
class Matter:
    """Something that needs a person; `since` is None where nobody was told yet, or it is not on record."""

    kind: str
    key: str
    message: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The whole answer of `dam-warning status`; `matters` are what a person should see to."""

    now: datetime
    configuration: Configuration
    refused: bool
    run: RunRow | None
    last_cycle: CycleRow | None
    dams: tuple[DamStatus, ...]
    alerts: tuple[AlertRow, ...]
    undelivered: tuple[DeliveryRow, ...]
    matters: tuple[Matter, ...]
    disks: tuple[tuple[Path, int | None], ...]
    model: ModelSummary | None
    digest_in_force: str | None
    history_head: tuple[int, str] | None

    @property
    def troubles(self) -> tuple[str, ...]:
        """What needs a person, in sentences."""
        return tuple(matter.message for matter in self.matters)

    @property
    def well(self) -> bool:
        return not self.matters

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """How the service is, label by label."""
        return (
            ("Last cycle", _cycle_words(self.last_cycle)),
            ("Daemon", self._run_words()),
            ("Undelivered", self._queue_words()),
            ("Newest reading", self._reading_words()),
            ("Model", self._model_words()),
            ("Disk", "; ".join(f"{_room(free)} at {folder}" for folder, free in self.disks) or "unknown"),
            ("Clock", f"{self._local(self.now)}, {self.now:%H:%M} UTC"),
            ("Configuration", self._configuration_words()),
            ("History", self._history_words()),
            ("Version", __version__),
        )

    def text(self) -> str:
        """Return the report as people read it: what needs one comes first."""
        count = len(self.matters)
        lines = (
            ["All is well."]
            if not count
            else [f"{count} {'thing needs' if count == 1 else 'things need'} you:"]
        )
        lines += [f"  ! {self._matter_words(matter)}" for matter in self.matters]
        lines += ["", "Dams:"]
        width = max((len(dam.reservoir.name) for dam in self.dams), default=0)
        lines += [f"  {dam.reservoir.name:<{width}}  {dam.line}" for dam in self.dams]
        lines += ["", "Service:"]
        widest = max(len(label) for label, _ in self.facts)
        lines += [f"  {label:<{widest}}  {value}" for label, value in self.facts]
        lines += ["", "Newest alerts:"] + [f"  #{a.number} {a.subject}" for a in self.alerts]
        if not self.alerts:
            lines.append("  none on record")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the report for machines; instants are ISO 8601 in UTC."""
        cycle, run, model, oldest = self.last_cycle, self.run, self.model, self._oldest_waiting()
        return {
            "now": self.now.isoformat(),
            "well": self.well,
            "troubles": list(self.troubles),
            "matters": [_matter_json(matter) for matter in self.matters],
            "last_cycle": None
            if cycle is None
            else {"id": cycle.id, "started_at": cycle.started_at.isoformat(), "outcome": cycle.outcome},
            "run": None
            if run is None
            else {
                "started_at": run.started_at.isoformat(),
                "ended_at": run.ended_at.isoformat() if run.ended_at else None,
                "version": run.version,
            },
            "dams": {dam.reservoir.id: dam_json(dam) for dam in self.dams},
            "undelivered": len(self.undelivered),
            "oldest_undelivered_at": oldest.isoformat() if oldest else None,
            "disks": {str(folder): free for folder, free in self.disks},
            "model": None if model is None else _model_json(model),
            "configuration": {
                "digest": None if self.refused else self.configuration.digest,
                "refused": self.refused,
                "in_force": self.digest_in_force,
            },
            "history": None
            if self.history_head is None
            else {"entries": self.history_head[0], "head": self.history_head[1]},
            "version": __version__,
        }

    def _local(self, instant: datetime) -> str:
        return f"{instant.astimezone(self.configuration.schedule.time_zone):%Y-%m-%d %H:%M %Z}"

    def _matter_words(self, matter: Matter) -> str:
        lines = [line for line in map(one_line, matter.message.splitlines()) if line]
        if matter.since is not None:
            lasted = span_text(max(self.now - matter.since, timedelta(0)))
            lines.append(f"since {self._local(matter.since)}, for {lasted}")
        return "\n      ".join(lines)

    def _run_words(self) -> str:
        if self.run is None:
            return "has never run"
        if self.run.ended_at is not None:
            return f"stopped in order on {self._local(self.run.ended_at)}"
        return f"running since {self._local(self.run.started_at)} by the record, version {self.run.version}"

    def _oldest_waiting(self) -> datetime | None:
        return min((delivery.created_at for delivery in self.undelivered), default=None)

    def _queue_words(self) -> str:
        oldest = self._oldest_waiting()
        if oldest is None:
            return "nothing"
        count = f"{len(self.undelivered)}" + (" or more" if len(self.undelivered) >= SHOWN_DELIVERIES else "")
        return f"{count}, the oldest for {span_text(max(self.now - oldest, timedelta(0)))}"

    def _reading_words(self) -> str:
        days = {d.reservoir.name: d.last_day for d in self.dams if d.last_day is not None}
        if not days:
            return "none on record"
        newest, zone = max(days.values()), self.configuration.schedule.time_zone
        behind = len(self.dams) - sum(day == newest for day in days.values())
        words = f"{day_text(newest)} ({days_away_text(newest, local_day(self.now, zone))})"
        return words + (f"; {behind} of {len(self.dams)} dams are behind it" if behind else "")

    def _model_words(self) -> str:
        if self.model is None:
            return "none in force: forecasts are made by simpler methods"
        if self.model.created_at is None:
            return f"{self.model.model_id}, cannot be read"
        return f"{self.model.model_id}, {span_text(max(self.now - self.model.created_at, timedelta(0)))} old"

    def _configuration_words(self) -> str:
        in_force = (self.digest_in_force or "")[:SHORT_DIGEST]
        if self.refused:
            return f"{in_force or 'none'} in force; what lies in {self.configuration.directory} is refused"
        on_disk = self.configuration.digest[:SHORT_DIGEST]
        if not in_force:
            return f"{on_disk} on disk; none was in force yet"
        if self.digest_in_force == self.configuration.digest:
            return f"{on_disk} in force"
        return f"{in_force} in force by the record; {on_disk} on disk is not yet taken over"

    def _history_words(self) -> str:
        if self.history_head is None:
            return "empty"
        number, head = self.history_head
        return f"{number} {'entry' if number == 1 else 'entries'}, head {head}"


def read_status(
    configuration: Configuration,
    journal: Journal,
    registry: Registry,
    now: datetime,
    refusal: Exception | None = None,
) -> StatusReport:
    """Read how things stand as of `now` (aware). Raises JournalError where the record cannot be read.

    `refusal` is why the files on disk are refused, where `configuration` is the last good one.
    """
    dams = read_dams(configuration, journal)
    cycle, run = journal.last_cycle(), journal.last_run()
    undelivered = tuple(journal.recent_deliveries(SHOWN_DELIVERIES, unsettled=True))
    found = [*_refused(configuration, refusal), *examine(configuration, journal, registry, now)]
    newest = journal.changes(1)
    return StatusReport(
        now=now,
        configuration=configuration,
        refused=refusal is not None,
        run=run,
        last_cycle=cycle,
        dams=dams,
        alerts=tuple(journal.recent_alerts(SHOWN_ALERTS, of_dams=True)),
        undelivered=undelivered,
        matters=(
            *_troubles(found, journal),
            *(_unwatched(dam) for dam in dams if dam.standing.unwatched),
            *(_delivery_trouble(delivery) for delivery in undelivered if delivery.attempts > 0),
        ),
        disks=_disks(configuration, journal),
        model=_model(registry),
        digest_in_force=_digest_in_force(cycle, run),
        history_head=(newest[-1].number, newest[-1].hash) if newest else None,
    )


def _refused(configuration: Configuration, refusal: Exception | None) -> list[Trouble]:
    if refusal is None:
        return []
    message = f"The last good configuration is in force: {refusal}"
    return [Trouble(TroubleKind.CONFIGURATION_REFUSED, str(configuration.directory), message)]


def _troubles(found: Iterable[Trouble], journal: Journal) -> list[Matter]:
    """What is found now, and what only the daemon knows; each since people were told of it."""
    standing = {s.trouble.identity: s for s in journal.standing_troubles()}
    here = {trouble.identity: trouble for trouble in found}
    for identity, known in standing.items():
        if known.gone_since is None and not is_examined(known.trouble):
            here.setdefault(identity, known.trouble)
    return [
        Matter(t.kind.value, t.key, t.message, standing[t.identity].since if t.identity in standing else None)
        for t in sorted(here.values(), key=lambda t: t.rank)
    ]


def _unwatched(dam: DamStatus) -> Matter:
    return Matter(
        "unwatched", dam.reservoir.id, f"{dam.reservoir.name} is not watched: read its gauge by hand."
    )


def _delivery_trouble(delivery: DeliveryRow) -> Matter:
    tries = "1 attempt" if delivery.attempts == 1 else f"{delivery.attempts} attempts"
    message = (
        f"Alert {delivery.alert_number} has not reached {delivery.recipient_id} by {delivery.channel_id} "
        f"after {tries}: {delivery.detail}"
    )
    return Matter("delivery", str(delivery.id), message, delivery.created_at)


def _disks(configuration: Configuration, journal: Journal) -> tuple[tuple[Path, int | None], ...]:
    try:
        folders = watched_folders(configuration, journal)
    except OSError:
        return ((configuration.state_directory, None),)
    return tuple((folder, _free(folder)) for folder in folders)


def _free(folder: Path) -> int | None:
    try:
        return free_bytes(folder)
    except OSError:
        return None


def _model(registry: Registry) -> ModelSummary | None:
    """The model in force; that it cannot be told is a trouble that `examine` finds."""
    try:
        return registry.in_force()
    except (ModelError, OSError):
        return None


def _digest_in_force(cycle: CycleRow | None, run: RunRow | None) -> str | None:
    """The digest that the running daemon adopted last, else the newest on record."""
    if run is not None and run.ended_at is None:
        return run.configuration_digest
    seen = [(row.started_at, row.configuration_digest) for row in (cycle, run) if row is not None]
    return max(seen)[1] if seen else None


def _room(free: int | None) -> str:
    if free is None:
        return "unknown"
    return f"{free / 1e9:.1f} GB free" if free >= 1e10 else f"{free / 1e6:.0f} MB free"


def _cycle_words(cycle: CycleRow | None) -> str:
    if cycle is None:
        return "never"
    counts = f"{cycle.reservoirs} dams, {cycle.forecasts} forecast, {cycle.unwatched} unwatched"
    ended = f"{cycle.outcome}, {counts}" if cycle.ended_at is not None else cycle.outcome
    return f"{cycle.started_at:%Y-%m-%d %H:%M} UTC, {ended}"


def _matter_json(matter: Matter) -> dict[str, Any]:
    since = matter.since.isoformat() if matter.since else None
    return {"kind": matter.kind, "key": matter.key, "message": matter.message, "since": since}


def _model_json(model: ModelSummary) -> dict[str, Any]:
    made = model.created_at.isoformat() if model.created_at else None
    return {"id": model.model_id, "created_at": made, "problem": model.problem}
