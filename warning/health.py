"""What stands wrong with the service, as its record and its machine show it; and who is told.

A check that cannot be made is a trouble itself: not knowing is not being well.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from warning.alerts.service_messages import compose_news, deliveries_of
from warning.clock import local_day
from warning.config.configuration import Configuration, CsvSource
from warning.domain.alert import THE_SERVICE, Alert, AlertKind
from warning.domain.delivery import Composed, Recipient, RetryPolicy
from warning.domain.reservoir import Reservoir
from warning.domain.schedule import last_due
from warning.domain.troubles import Trouble, TroubleKind, TroubleNews
from warning.errors import DamWarningError, JournalError
from warning.forecasting.registry import ModelSummary, Registry
from warning.journal.entries import CycleRow
from warning.journal.journal import Journal
from warning.journal.troubles import DamSight
from warning.sources.writeback_note import trouble_in

CYCLE_GRACE = timedelta(minutes=30)  # a cycle may take this long before it counts as missed
CLOCK_SLACK = timedelta(hours=1)
SYNCHRONISED_WITHIN = timedelta(hours=1)  # of the machine's start
TIMESYNC = Path("/run/systemd/timesync")  # exists only where systemd-timesyncd keeps the clock
MEGABYTE = 1_000_000


def host_name() -> str:
    """Return the name of this machine, as mails about the service carry it."""
    return socket.gethostname()


def examine(
    configuration: Configuration, journal: Journal, registry: Registry, now: datetime
) -> tuple[Trouble, ...]:
    """Return everything that stands wrong as of `now` (aware), the most pressing first."""
    checks: dict[str, Callable[[], Iterable[Trouble]]] = {
        "cycles": lambda: _cycles(configuration, journal, now),
        "source": lambda: _source(configuration, journal, now),
        "deliveries": lambda: _deliveries(configuration, journal, now),
        "disk": lambda: _disk(configuration, journal),
        "clock": lambda: _clock(journal, now),
        "model": lambda: _model(configuration, registry, now),
        "write-back": lambda: _write_back(configuration),
    }
    found = [trouble for name, check in checks.items() for trouble in _made(name, check)]
    # several checks may fail of one record
    return tuple(sorted({t.identity: t for t in found}.values(), key=lambda t: t.rank))


def tell(
    found: Iterable[Trouble],
    journal: Journal,
    recipients: Iterable[Recipient],
    retry: RetryPolicy,
    now: datetime,
    host: str | None = None,
) -> TroubleNews:
    """Record what of `found` people must be told now, with a message to them; return what it is.

    Raises JournalError where the record cannot be written: then nobody is told this way.
    """
    everyone, name = tuple(recipients), host or host_name()

    def announce(news: TroubleNews) -> Alert:
        told = (*news.fresh, *news.reminded, *news.over)
        return service_alert(AlertKind.SERVICE, now, tuple(s.trouble.message for s in told))

    def compose(alert: Alert, news: TroubleNews) -> Composed:
        return Composed(
            message=compose_news(alert, news, name),
            deliveries=deliveries_of(alert, everyone, by_sms=news.blinds),
            expires_at=now + timedelta(hours=retry.expire_after_hours),
        )

    return journal.tell_troubles(tuple(found), now, announce, compose)


def service_alert(kind: AlertKind, now: datetime, reasons: tuple[str, ...]) -> Alert:
    """Return an alert that is about the service and about no dam."""
    return Alert(
        kind=kind,
        reservoir_id=THE_SERVICE,
        created_at=now,
        severity=None,
        previous_severity=None,
        follows=None,
        reasons=reasons,
        assessment=None,
    )


def free_bytes(folder: Path) -> int:
    """Return how much room is left where `folder` lies. Raises OSError where that cannot be found out."""
    return shutil.disk_usage(folder).free


def watched_folders(configuration: Configuration, journal: Journal) -> tuple[Path, ...]:
    """Return the folders that need room: the state directory, and the record's where it is elsewhere."""
    record = journal.path
    folders = [configuration.state_directory, *([record.parent] if record is not None else [])]
    devices = {folder.stat().st_dev: folder for folder in reversed(folders)}
    return tuple(folder for folder in dict.fromkeys(folders) if folder in devices.values())


def _made(name: str, check: Callable[[], Iterable[Trouble]]) -> list[Trouble]:
    try:
        return list(check())
    except JournalError as error:
        return [Trouble(TroubleKind.RECORD_FAILED, "reading", f"The record cannot be read: {error}")]
    except (OSError, ValueError, DamWarningError) as error:
        why = str(error).rstrip(".")
        message = f"Whether all is well with the {name} could not be found out: {why}. Look at it by hand."
        return [Trouble(TroubleKind.CHECK_FAILED, name, message, name)]


# cycles and readings


def _cycles(configuration: Configuration, journal: Journal, now: datetime) -> Iterator[Trouble]:
    newest, finished = journal.last_cycle(), journal.last_finished_cycle(now)
    if newest is None:
        message = (
            "No cycle has ever run: no dam has been looked at. Start the service "
            "(`systemctl start dam-warning`), or run `dam-warning cycle`."
        )
        yield Trouble(TroubleKind.CYCLE_OVERDUE, "cycle", message, "never run")
        return
    schedule = configuration.schedule
    due = last_due(now - CYCLE_GRACE, (schedule.daily_at,), schedule.time_zone)
    if not _under_way(newest, now) and (finished is None or not finished.started_at >= due):
        local = f"{due.astimezone(schedule.time_zone):%Y-%m-%d %H:%M %Z}"
        message = (
            f"The cycle due {local} did not come to its end: no dam has been looked at since. "
            "See whether the service is up (`systemctl status dam-warning`) and what it says "
            "(`journalctl -u dam-warning`); `dam-warning cycle` runs one by hand."
        )
        yield Trouble(TroubleKind.CYCLE_OVERDUE, "cycle", message, f"due {local}")
    yield from _last_cycle(newest, now)


def _under_way(newest: CycleRow, now: datetime) -> bool:
    """Whether the newest cycle may still be running; an early look is the beginning of one."""
    ended = newest.ended_at is not None and newest.outcome in ("complete", "partial")
    return not ended and timedelta(minutes=-1) <= now - newest.started_at < CYCLE_GRACE


def _last_cycle(newest: CycleRow, now: datetime) -> Iterator[Trouble]:
    began = f"{newest.started_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if newest.outcome == "partial":
        message = (
            f"Cycle {newest.id} of {began} could not judge every dam: {newest.failures or 'some'} failed. "
            "Those dams' people have been told. `journalctl -u dam-warning` says why."
        )
        yield Trouble(TroubleKind.CYCLE_PARTIAL, "cycle", message, f"{newest.failures or 'some'} failed")
    elif newest.outcome != "complete" and not _under_way(newest, now):
        message = (
            f"Cycle {newest.id} of {began} was cut off before its end. The service runs it again at its "
            "start; `dam-warning cycle` does so by hand. `journalctl -u dam-warning` says why."
        )
        yield Trouble(TroubleKind.CYCLE_PARTIAL, "cycle", message, "cut off")


def _source(configuration: Configuration, journal: Journal, now: datetime) -> Iterator[Trouble]:
    """The source is in trouble where not one dam has new readings; a single dam is told as unwatched."""
    if journal.last_finished_cycle(now) is None:
        return
    sights = journal.sights()
    if any(_seen(reservoir, sights.get(reservoir.id), now) for reservoir in configuration.reservoirs):
        return
    days = [sight.last_day for sight in sights.values() if sight.last_day is not None]
    newest = f"the newest reading of all is of {max(days)}" if days else "the last cycle found none at all"
    where = configuration.source
    place = f"the folder {where.folder}" if isinstance(where, CsvSource) else "InfluxDB"
    message = (
        f"Not one of the {len(configuration.reservoirs)} dams has new readings: {newest}. No dam is watched. "
        f"Read the gauges by hand, and find out why nothing arrives in {place}: "
        "`dam-warning check-config --connect`."
    )
    yield Trouble(TroubleKind.SOURCE_OLD, "source", message, f"newest {max(days)}" if days else "none at all")


def _seen(reservoir: Reservoir, sight: DamSight | None, now: datetime) -> bool:
    if sight is None or sight.unwatched or sight.last_day is None:
        return False
    age_days = (local_day(now, reservoir.time_zone) - sight.last_day).days
    return -1 <= age_days <= reservoir.stale_after_days


# deliveries, disk, clock, model


def _deliveries(configuration: Configuration, journal: Journal, now: datetime) -> Iterator[Trouble]:
    minutes = configuration.health.undelivered_minutes
    waiting = journal.waiting(now - timedelta(minutes=minutes))
    if not waiting:
        return
    count = sum(one.deliveries for one in waiting)
    names = ", ".join(one.recipient_id for one in waiting[:8])
    names += f" and {len(waiting) - 8} more" if len(waiting) > 8 else ""
    message = (
        f"{count} {'message has' if count == 1 else 'messages have'} not been delivered for more than "
        f"{minutes} minutes, the oldest since {waiting[0].oldest_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC, "
        f"to {names}. They are tried again until they expire. `dam-warning status` names the causes; tell "
        "these people by other means what they have to know."
    )
    yield Trouble(TroubleKind.UNDELIVERED, "deliveries", message, f"{count} waiting")


def _disk(configuration: Configuration, journal: Journal) -> Iterator[Trouble]:
    least = configuration.health.least_free_disk_mb
    for folder in watched_folders(configuration, journal):
        free_mb = free_bytes(folder) / MEGABYTE
        if not free_mb >= least:
            message = (
                f"The disk that holds {folder} has {free_mb:.0f} MB left, less than {least} MB "
                "(least_free_disk_mb). Make room: "
                f"`du -xh --max-depth=3 {folder} | sort -h | tail` shows what fills it."
            )
            yield Trouble(TroubleKind.DISK_LOW, str(folder), message, f"{free_mb:.0f} MB free")


def _clock(journal: Journal, now: datetime) -> Iterator[Trouble]:
    newest = journal.last_cycle()
    if newest is not None and not newest.started_at - now <= CLOCK_SLACK:
        message = (
            f"The machine's clock says {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC, but the record holds "
            f"a cycle of {newest.started_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC: the clock is or was wrong. "
            "Compare it with a watch, and set it right: `timedatectl`."
        )
        yield Trouble(TroubleKind.CLOCK, "behind-record", message, "behind the record")
    if TIMESYNC.is_dir() and not (TIMESYNC / "synchronized").exists():
        unsynchronised = now.timestamp() - TIMESYNC.stat().st_mtime
        if not unsynchronised < SYNCHRONISED_WITHIN.total_seconds():
            message = (
                "The machine's clock is not synchronised with any time server, and may drift. See "
                "`timedatectl timesync-status`, and allow NTP (UDP port 123) out."
            )
            yield Trouble(TroubleKind.CLOCK, "unsynchronised", message, "not synchronised")


def _model(configuration: Configuration, registry: Registry, now: datetime) -> Iterator[Trouble]:
    """Where a model is in force it must be readable, and the newest training must not be long ago.

    A fleet without one is forecast by simpler methods, as every message says: that is no trouble.
    """
    active = registry.in_force()
    if active is None:
        return
    remedy = "Train a new one: `dam-warning train`."
    if active.problem is not None or active.created_at is None:
        message = f"The model in force, {active.model_id}, cannot be used: {active.problem}. {remedy}"
        yield Trouble(TroubleKind.MODEL_UNUSABLE, "model", message)
        return
    age, oldest = now - newest_training(registry, active), configuration.health.oldest_model_days
    if not timedelta(days=-1) <= age <= timedelta(days=oldest):
        message = (
            f"The newest model was trained {age.days} days ago, more than {oldest} days (oldest_model_days); "
            f"in force is {active.model_id}. {remedy}"
        )
        yield Trouble(TroubleKind.MODEL_OLD, "model", message, f"{age.days} days")


def newest_training(registry: Registry, active: ModelSummary) -> datetime:
    """Return when the newest model was trained: the one in force, or a later one that did not beat it."""
    trained = [one.created_at for one in (*registry.list(), active) if one.created_at is not None]
    return max(trained)


def _write_back(configuration: Configuration) -> Iterator[Trouble]:
    source = configuration.source
    if isinstance(source, CsvSource) or not source.write_back.enabled:
        return
    trouble = trouble_in(configuration.state_directory)
    if trouble is not None:
        message = (
            f"The newest forecasts are not in InfluxDB: {trouble}. Dashboards show old ones; the next cycle "
            "writes them again."
        )
        yield Trouble(TroubleKind.WRITE_BACK_FAILED, "write-back", message)


_EXAMINED = frozenset(
    {
        TroubleKind.CYCLE_PARTIAL,
        TroubleKind.SOURCE_OLD,
        TroubleKind.UNDELIVERED,
        TroubleKind.DISK_LOW,
        TroubleKind.MODEL_UNUSABLE,
        TroubleKind.MODEL_OLD,
        TroubleKind.WRITE_BACK_FAILED,
        TroubleKind.CHECK_FAILED,
    }
)
_EXAMINED_KEYS = frozenset(
    {
        (TroubleKind.CYCLE_OVERDUE, "cycle"),
        (TroubleKind.CLOCK, "behind-record"),
        (TroubleKind.CLOCK, "unsynchronised"),
    }
)


def is_examined(trouble: Trouble) -> bool:
    """Whether `examine` would find `trouble` if it stood; what else stands only the daemon knows."""
    return trouble.kind in _EXAMINED or trouble.identity in _EXAMINED_KEYS
