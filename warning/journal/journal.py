"""The record: what was seen, judged, said and sent. Nothing is sent that does not stand here first."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path

from sqlalchemy import Connection, insert, select, update

from warning.domain.alert import CALM, Alert, Standing
from warning.domain.assessment import Assessment
from warning.domain.changes import RecordedChange, State, Verification
from warning.domain.delivery import Composed, DueDelivery, ExpiredDeliveries, SendResult
from warning.domain.findings import FindingKind
from warning.domain.troubles import StandingTrouble, Trouble, TroubleNews
from warning.domain.variables import Variable
from warning.errors import JournalError
from warning.events import pairs
from warning.journal import delivering, history, pruning, reading, troubles, writing
from warning.journal.entries import (
    EARLY,
    AlertRecord,
    AlertRow,
    CycleEntry,
    CycleRow,
    DeliveryRow,
    RunRow,
    StandingRow,
)
from warning.journal.serial import from_json
from warning.journal.store import Store, again_when_full
from warning.journal.tables import configurations, cycles, runs, standings
from warning.journal.troubles import DamSight, Waiting

log = logging.getLogger(__name__)
Compose = Callable[[Alert], Composed]
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s\"']+")
_MAIL_OR_PHONE = re.compile(r"[^\s\"'<>@,;=]+@[^\s\"'<>@,;]+|\+\d[\d ()/-]{5,}\d")


class Journal:
    """One record. Safe to use from several threads and beside other processes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @classmethod
    def open(cls, url: str, *, create: bool = True, on_full: Callable[[], bool] | None = None) -> Journal:
        """Open the record at the SQLAlchemy `url`, creating or migrating it where needed.

        Where the disk is full, `on_full` is called; if it says that it made room, what failed is done again.
        Raises JournalError where it cannot be opened or a newer program wrote it.
        """
        return cls(Store(url, create=create, on_full=on_full))

    def close(self) -> None:
        """Release the database."""
        self._store.close()

    @property
    def path(self) -> Path | None:
        """The record's file; None where it is kept by a database server."""
        return self._store.path

    # its keeping

    def backup(self, copy: Path) -> int:
        """Write a checked copy of the record to a new file while others work with it; return its bytes.

        Raises JournalError where the file exists or cannot be written, or the record is no SQLite file.
        """
        return self._store.backup(copy)

    def prune(self, now: datetime, keep_days: int) -> int:
        """Forget what cycles saw and judged over `keep_days` ago; return how many dams' cycles that were.

        What an alert or a standing warning rests on stays, and so do alerts, messages, deliveries and
        changes. It takes many short transactions, so that no cycle and no delivery waits for it, and
        leaves the rest for the next call where there is very much.
        """
        return pruning.prune(self._store, now, keep_days)

    # runs of the daemon

    @again_when_full
    def begin_run(self, now: datetime, version: str, configuration_digest: str) -> int:
        """Record that the daemon has started, and return the run's id."""
        row = {"started_at": now, "version": version, "configuration_digest": configuration_digest}
        with self._store.writing() as connection:
            return writing.inserted_key(connection, runs, row)

    @again_when_full
    def end_run(self, run_id: int, now: datetime) -> None:
        """Record that the daemon has stopped in order."""
        with self._store.writing() as connection:
            connection.execute(update(runs).where(runs.c.id == run_id).values(ended_at=now))

    @again_when_full
    def note_adopted(self, run_id: int, configuration_digest: str) -> None:
        """Record which configuration a running daemon has gone over to."""
        with self._store.writing() as connection:
            row = {"configuration_digest": configuration_digest}
            connection.execute(update(runs).where(runs.c.id == run_id).values(row))

    def last_run(self) -> RunRow | None:
        """Return the newest run; where it has no end, it goes on or was killed."""
        with self._store.reading() as connection:
            return reading.last_run(connection)

    # cycles

    @again_when_full
    def keep_configuration(self, digest: str, files: Mapping[str, str], now: datetime) -> None:
        """Record the text of a configuration when its digest is first seen; addresses in it are left out."""
        text = json.dumps({name: _without_addresses(content) for name, content in files.items()})
        with self._store.writing() as connection:
            known = select(configurations.c.digest).where(configurations.c.digest == digest)
            if connection.execute(known).first() is None:
                row = {"digest": digest, "first_seen_at": now, "files": text}
                connection.execute(insert(configurations).values(row))

    @again_when_full
    def begin_cycle(self, started_at: datetime, configuration_digest: str, model_id: str | None) -> int:
        """Record that a cycle began and return its id."""
        row = {
            "started_at": started_at,
            "configuration_digest": configuration_digest,
            "model_id": model_id,
            "outcome": "running",
        }
        with self._store.writing() as connection:
            return writing.inserted_key(connection, cycles, row)

    @again_when_full
    def close_cycle(
        self,
        cycle_id: int,
        ended_at: datetime,
        *,
        reservoirs: int,
        forecasts: int,
        unwatched: int,
        alerts: int,
        failures: int,
        early: bool = False,
    ) -> None:
        """Record how a cycle ended: `complete`, `partial` where a dam failed, or `early`.

        An early one looked only at crossings, ahead of the forecast; it is not the cycle that was due.
        """
        counts = {
            "ended_at": ended_at,
            "outcome": EARLY if early else "partial" if failures else "complete",
            "reservoirs": reservoirs,
            "forecasts": forecasts,
            "unwatched": unwatched,
            "alerts": alerts,
            "failures": failures,
        }
        with self._store.writing() as connection:
            connection.execute(update(cycles).where(cycles.c.id == cycle_id).values(counts))

    @again_when_full
    def record(self, entry: CycleEntry, compose: Compose) -> tuple[Alert, ...]:
        """Record one dam's cycle with its alerts, messages and deliveries in one transaction.

        `compose` is called inside it with each numbered alert, so it must be quick and pure; what it
        raises comes back unchanged, and then nothing was recorded. Raises JournalError where this dam
        already has an entry for this cycle, or the record cannot be written. Returns the numbered alerts.
        """
        with self._store.writing() as connection:
            _refuse_repetition(connection, entry)
            return writing.write_entry(connection, entry, compose)

    # what the next decision needs

    def standing(self, reservoir_id: str) -> Standing:
        """Return what has been announced about a dam and still stands; CALM if nothing ever was."""
        with self._store.reading() as connection:
            query = select(standings.c.body).where(standings.c.reservoir_id == reservoir_id)
            body = connection.execute(query).scalar_one_or_none()
        return CALM if body is None else from_json(Standing, body)

    def findings_announced(
        self, reservoir_id: str, now: datetime
    ) -> dict[tuple[FindingKind, Variable | None], datetime]:
        """Say when a finding of each kind and variable was last part of an alert on this dam.

        What is dated after `now` was written by a clock that was wrong, and does not count.
        """
        with self._store.reading() as connection:
            return reading.findings_announced(connection, reservoir_id, now)

    # what people ask

    def last_cycle(self) -> CycleRow | None:
        """Return the newest cycle, running or not."""
        return next(iter(self.recent_cycles(1)), None)

    def last_finished_cycle(self, now: datetime) -> CycleRow | None:
        """Return the newest cycle that came to its end over the whole fleet; one cut off is none.

        One dated after `now` is none either: a clock that was wrong once must not make today look done.
        """
        with self._store.reading() as connection:
            return reading.last_finished_cycle(connection, now)

    def recent_cycles(self, limit: int) -> list[CycleRow]:
        """Return the newest cycles, newest first."""
        with self._store.reading() as connection:
            return reading.recent_cycles(connection, limit)

    def recent_alerts(
        self, limit: int, reservoir_id: str | None = None, *, of_dams: bool = False
    ) -> list[AlertRow]:
        """Return the newest alerts, of one dam or of all, newest first; `of_dams`: none on the service."""
        with self._store.reading() as connection:
            return reading.recent_alerts(connection, limit, reservoir_id, of_dams)

    def recent_deliveries(self, limit: int, *, unsettled: bool = False) -> list[DeliveryRow]:
        """Return the newest deliveries, newest first; `unsettled`: those neither sent nor given up."""
        with self._store.reading() as connection:
            return reading.recent_deliveries(connection, limit, unsettled)

    def all_standings(self) -> list[StandingRow]:
        """Return what stands at every dam that has ever been recorded, by id."""
        with self._store.reading() as connection:
            return reading.all_standings(connection)

    def newest_reading_days(self) -> dict[str, date]:
        """Return for each dam on record the day of the newest reading that the last look at it found."""
        with self._store.reading() as connection:
            return reading.newest_reading_days(connection)

    def alert_record(self, number: int) -> AlertRecord | None:
        """Return everything about one alert: words, evidence, deliveries, attempts."""
        with self._store.reading() as connection:
            return reading.alert_record(connection, number)

    # the history of the configuration

    def changes(self, limit: int, reservoir_id: str | None = None) -> list[RecordedChange]:
        """Return the newest entries of the history, of one dam or of all, the newest last."""
        with self._store.reading() as connection:
            return history.recent(connection, limit, reservoir_id)

    @again_when_full
    def add_changes(
        self, settings: State, *, at: datetime, who: str, note: str | None, digest: str
    ) -> list[RecordedChange]:
        """Add to the history what `settings` change about the state that it last came to.

        Settings that are recorded already add nothing, so this may be called as often as one likes.
        """
        with self._store.writing() as connection:
            return history.add_differences(connection, settings, at=at, who=who, note=note, digest=digest)

    @again_when_full
    def sign_changes(
        self, first: int, *, at: datetime, who: str, note: str | None, digest: str
    ) -> RecordedChange:
        """Add to the history that `who` answers for its entries from number `first` on."""
        with self._store.writing() as connection:
            return history.add_signature(connection, first=first, at=at, who=who, note=note, digest=digest)

    def verify_changes(self, known_head: str | None = None) -> Verification:
        """Say whether the history is whole and as it was written; `known_head` is a hash noted elsewhere."""
        with self._store.reading() as connection:
            return history.verify(connection, known_head)

    # what troubles the service

    def standing_troubles(self) -> tuple[StandingTrouble, ...]:
        """Return what people were told of the service and is not over, the most pressing first."""
        with self._store.reading() as connection:
            return troubles.standing(connection)

    @again_when_full
    def tell_troubles(
        self, found: Sequence[Trouble], now: datetime, announce: troubles.Announce, compose: troubles.Compose
    ) -> TroubleNews:
        """Weigh what was `found` and record what stands, with an alert where there is something to tell.

        `announce` makes the alert and `compose` words it, both inside the one transaction; where
        nothing has changed, nothing is written.
        """
        with self._store.reading() as connection:
            news = troubles.weigh(connection, found, now)
            if not troubles.is_news(connection, news):
                return news
        with self._store.writing() as connection:
            return troubles.tell(connection, found, now, announce, compose)

    @again_when_full
    def announce(self, alert: Alert, compose: Compose) -> Alert:
        """Record an alert that comes from no dam's cycle, with its message and deliveries; numbered."""
        with self._store.writing() as connection:
            return writing.write_alert(connection, None, alert, compose)

    def waiting(self, before: datetime) -> tuple[Waiting, ...]:
        """Return who has not got what was to be sent before an instant, the longest wait first."""
        with self._store.reading() as connection:
            return troubles.waiting(connection, before)

    def sights(self) -> dict[str, DamSight]:
        """Return how each dam was last seen, by its id."""
        with self._store.reading() as connection:
            return troubles.sights(connection)

    def newest_assessments(self) -> dict[str, Assessment]:
        """Return how each dam was last judged, by its id."""
        with self._store.reading() as connection:
            return troubles.newest_assessments(connection)

    # the outbox's side

    @again_when_full
    def claim_due(self, now: datetime, limit: int, lease_s: float) -> list[DueDelivery]:
        """Claim up to `limit` deliveries for one attempt each: most severe first, then the least tried.

        A claim that is not settled within `lease_s` lapses, so nothing is lost with the process.
        """
        with self._store.writing() as connection:
            return delivering.claim_due(connection, now, limit, lease_s)

    @again_when_full
    def mark_sent(self, delivery: DueDelivery, now: datetime, detail: str) -> None:
        """Record that a delivery was sent, even where its claim has lapsed meanwhile: it is the truth."""
        with self._store.writing() as connection:
            delivering.mark_sent(connection, delivery, now, detail)

    @again_when_full
    def mark_failed(
        self, delivery: DueDelivery, result: SendResult, now: datetime, next_attempt_at: datetime
    ) -> None:
        """Record a failed attempt. A permanent failure makes the delivery expire at once."""
        with self._store.writing() as connection:
            delivering.mark_failed(connection, delivery, result, now, next_attempt_at)

    def mark_expired(
        self,
        now: datetime,
        notice: Callable[[ExpiredDeliveries], Alert | None],
        compose: Callable[[Alert, ExpiredDeliveries], Composed],
    ) -> list[ExpiredDeliveries]:
        """Give up every open delivery whose time is over, alert by alert, each in one transaction.

        In the same transaction someone else is told: `notice` answers with the alert to make of it,
        or None for none, and `compose` puts it into words once it has its number.
        """
        with self._store.reading() as connection:
            numbers = delivering.overdue_alerts(connection, now)
        expired = []
        for number in numbers:
            try:
                expired.append(self._expire(number, now, notice, compose))
            except JournalError as error:  # one alert's trouble, never another's
                log.error(pairs("expiry-failed", alert=number, cause=error))
        return [group for group in expired if group is not None]

    @again_when_full
    def _expire(
        self,
        number: int,
        now: datetime,
        notice: Callable[[ExpiredDeliveries], Alert | None],
        compose: Callable[[Alert, ExpiredDeliveries], Composed],
    ) -> ExpiredDeliveries | None:
        with self._store.writing() as connection:
            group = delivering.expire(connection, number, now)
            if group is None:
                return None
            alert = notice(group)
            if alert is not None:
                writing.write_alert(connection, None, alert, lambda numbered: compose(numbered, group))
            return group


def _without_addresses(text: str) -> str:
    return _MAIL_OR_PHONE.sub("…", _URL.sub(r"\1…", text))


def _refuse_repetition(connection: Connection, entry: CycleEntry) -> None:
    if reading.entry_id(connection, entry.cycle_id, entry.reservoir_id) is not None:
        raise JournalError(
            f"{entry.reservoir_id} already has an entry for cycle {entry.cycle_id}; "
            "a dam is recorded once a cycle: begin a new cycle to judge it again"
        )
