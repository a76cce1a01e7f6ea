"""What each job of the daemon does, with the parts that are in force."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from warning import __version__
from warning.arrivals import Arrivals
from warning.clock import RunningClock
from warning.config.changes import restart_problems, settings_of
from warning.config.configuration import Configuration
from warning.config.edits import edit_of
from warning.config.last_good import keep_last_good, last_good_files
from warning.config.loading import load_configuration
from warning.config.plan import plan_of
from warning.config.problems import InvalidConfigurationError
from warning.config.watching import ConfigurationFiles
from warning.domain.jobs import Plan
from warning.domain.troubles import Trouble, TroubleKind
from warning.errors import DamWarningError, JournalError
from warning.events import pairs
from warning.health import examine, tell
from warning.heartbeat import send_heartbeat
from warning.learning import training_due
from warning.ops.deadman import Pinger
from warning.ops.endpoints import Endpoints, serve
from warning.ops.memory import hand_memory_back
from warning.ops.metrics import HealthView
from warning.ops.passing import PassingTroubles, restarted
from warning.status import read_status
from warning.vitals import vital_signs
from warning.wiring import (
    Parts,
    ballast_of,
    channel_problems,
    last_resort,
    registry_of,
    rewired,
    tell_record_failed,
    tell_unrecorded,
    train_fleet,
)

log = logging.getLogger(__name__)

Progress = Callable[[], tuple[bool, Mapping[str, Any]]]

FUTURE = timedelta(minutes=1)
TRAIN_AGAIN_S = 24 * 3600.0  # after a training that failed
PRUNE_EVERY_S = 24 * 3600.0
UNRECORDED_LOOKS = 3  # at the health, in vain, before people are told past the record
TELL_AGAIN_S = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Live:
    """What is in force, replaced as a whole: a job that has taken it ends with it."""

    parts: Parts
    arrivals: Arrivals


@dataclass(frozen=True, slots=True)
class Adopted:
    """A configuration that was taken over; `judged_anew` where the dams may be judged otherwise by it."""

    judged_anew: bool


class Duties:
    """What the service calls. Each method is called by one thread at a time, different ones at once.

    `refusal` says why the configuration in the folder is not the one in force, where it is not.
    """

    def __init__(
        self,
        parts: Parts,
        clock: RunningClock,
        stop: threading.Event,
        refusal: InvalidConfigurationError | None = None,
    ) -> None:
        self._first = parts
        self._live = Live(parts, Arrivals(parts.watch.source, parts.watch.reservoirs))
        self._clock = clock
        self._stop = stop
        self._passing = PassingTroubles()
        self._own: dict[TroubleKind, Trouble] = {}
        self._run_id: int | None = None
        self._tried_training_s: float | None = None
        self._known: tuple[Trouble, ...] = ()
        self._unrecorded_looks = 0
        self._told_directly_s: float | None = None
        self._pruned_s: float | None = None
        self._endpoints: Endpoints | None = None
        self._listen: tuple[str, int] | None = None
        self._pinger = Pinger()
        self._last_resort = last_resort()
        self._files = ConfigurationFiles(parts.configuration.directory, parts.configuration.files)
        self._on_record = refusal is not None  # the last good one was put there when it was adopted
        if refusal is not None:
            self._refuse(refusal)

    @property
    def _configuration(self) -> Configuration:
        return self._live.parts.configuration

    def plan(self) -> Plan:
        """Return when each job is due under the configuration in force."""
        return plan_of(self._configuration)

    # begin and end

    def begin(self) -> None:
        """Put on record that the daemon runs; where the run before has no end, that is told.

        No record stops the start: what it does not take now is tried again at each look at the health.
        """
        configuration = self._configuration
        counts = {"dams": len(configuration.reservoirs), "recipients": len(configuration.recipients)}
        log.info(pairs("starting", version=__version__, digest=configuration.digest[:12], **counts))
        try:
            self._put_run_on_record()
        except JournalError as error:
            log.error(pairs("run-unrecorded", error=str(error)))

    def _put_run_on_record(self) -> None:
        journal, now, configuration = self._live.parts.watch.journal, self._clock.now(), self._configuration
        if self._run_id is None:
            before = journal.last_run()
            self._run_id = journal.begin_run(now, __version__, configuration.digest)
            if before is not None and before.ended_at is None:
                log.warning(pairs("restarted", cut_off_run=before.started_at.isoformat()))
                self._passing.note(restarted(before.started_at, before.version), now)
        if not self._on_record:
            self._keep(configuration)

    def end(self) -> None:
        """Put on record that the daemon stopped in order."""
        self._close_endpoints()
        write_back = self._live.parts.write_back
        if write_back is not None and write_back is not self._first.write_back:
            write_back.close()
        if self._run_id is None:
            return
        try:
            self._live.parts.watch.journal.end_run(self._run_id, self._clock.now())
        except JournalError as error:
            log.error(pairs("run-unrecorded", error=str(error)))

    # cycles

    def last_cycle_at(self) -> datetime | None:
        """Return when the newest cycle that came to its end began, None where today's may be owed.

        A record whose newest cycle is dated in the future was written by a clock that was wrong:
        nothing in it says that today was looked at.
        """
        journal, now = self._live.parts.watch.journal, self._clock.now()
        newest = journal.last_cycle()
        if newest is not None and newest.started_at > now + FUTURE:
            return None
        finished = journal.last_finished_cycle(now)
        return finished.started_at if finished else None

    def was_cut_off(self) -> bool:
        """Say whether the newest cycle on record has no end; asked before this process begins one."""
        try:
            newest = self._live.parts.watch.journal.last_cycle()
        except JournalError:
            return False
        return newest is not None and newest.ended_at is None

    def cycle(self) -> bool:
        """Run one cycle; say whether every dam could be judged."""
        live = self._live
        live.arrivals.note(self._clock.now())
        watch = live.parts.watch
        try:
            outcomes = live.parts.run_cycle()
        except JournalError as error:
            tell_unrecorded(live.parts, self._last_resort, watch.reservoirs, str(error))
            raise
        failures = {o.reservoir.id: o.failure for o in outcomes if o.failure is not None}
        if failures:
            lost = tuple(reservoir for reservoir in watch.reservoirs if reservoir.id in failures)
            tell_unrecorded(live.parts, self._last_resort, lost, next(iter(failures.values())))
        complete = not failures
        ping_url = live.parts.configuration.health.ping_url
        if complete and ping_url is not None:
            self._pinger.ping_soon(ping_url)
        hand_memory_back()
        return complete

    def new_readings(self) -> bool:
        """Say whether the source holds readings that no cycle of this process has seen."""
        return self._live.arrivals.any_new(self._clock.now())

    # deliveries

    def deliver(self) -> None:
        """Send what the record owes."""
        self._live.parts.deliver(self._stop)

    def delivery_turns(self) -> int:
        """Return a count that rises while the delivery goes on, however long it takes."""
        return self._live.parts.outbox.turns

    # the configuration

    def files_changed(self, at_s: float) -> bool:
        """Say whether the files have a new content that has come to rest."""
        return self._files.changed(at_s)

    def reload(self) -> Adopted | None:
        """Take over what lies in the folder; None where it is refused, or in force already.

        Raises JournalError where the change cannot be put on record: then nothing changes, and it is
        tried again.
        """
        before, at_s = self._configuration, self._clock.monotonic_s()
        try:
            new = load_configuration(before.directory)
            if problems := [*restart_problems(before, new), *channel_problems(new)]:
                raise InvalidConfigurationError(before.directory, problems)
        except InvalidConfigurationError as error:
            self._files.refused(at_s)
            self._refuse(error)
            return None
        if self._own.pop(TroubleKind.CONFIGURATION_REFUSED, None) is not None:
            log.info(pairs("configuration-accepted", digest=new.digest[:12]))
        if new == before:
            self._files.adopted(new.files)
            return None
        self._files.refused(at_s)  # so it stands where the next line raises
        self._adopt(new)
        self._files.adopted(new.files)
        judged_anew = (before.source, before.reservoirs) != (new.source, new.reservoirs)
        log.info(pairs("reloaded", digest=new.digest[:12], dams=len(new.reservoirs)))
        return Adopted(judged_anew)

    def _refuse(self, error: InvalidConfigurationError) -> None:
        """Let the old one stay in force, and have people told."""
        directory = str(self._configuration.directory)
        message = (
            f"The configuration in {directory} was edited and cannot be used; the last good one stays "
            "in force. Correct it, check it with `dam-warning check-config`, and it is taken over by "
            f"itself.\n{error}"
        )
        known = self._own.get(TroubleKind.CONFIGURATION_REFUSED)
        if known is None or known.message != message:
            log.error(pairs("configuration-refused", error=str(error)))
        kind = TroubleKind.CONFIGURATION_REFUSED
        self._own[kind] = Trouble(kind, directory, message)

    def _adopt(self, new: Configuration) -> None:
        """Put the change on record, and only then work by it."""
        self._keep(new)
        parts = rewired(self._live.parts, new)
        same = parts.write_back is self._live.parts.write_back
        arrivals = self._live.arrivals if same else Arrivals(parts.watch.source, parts.watch.reservoirs)
        self._live = Live(parts, arrivals)

    def _keep(self, configuration: Configuration) -> None:
        """Put on record what changed since the last one on record, and keep this one as the last good one."""
        before = last_good_files(configuration.state_directory, configuration.directory)
        journal, now, digest = self._live.parts.watch.journal, self._clock.now(), configuration.digest
        edit, settings = edit_of(configuration, before), settings_of(configuration)
        journal.keep_configuration(digest, configuration.files, now)
        journal.add_changes(settings, at=now, who=edit.who, note=edit.note, digest=digest)
        if self._run_id is not None:
            journal.note_adopted(self._run_id, digest)
        self._on_record = True
        try:
            keep_last_good(configuration)
        except OSError as error:
            log.error(pairs("last-good-not-kept", error=str(error)))

    # training

    def retrain(self) -> None:
        """Train a new model where the last one is old; the one in force stays until it is beaten."""
        configuration, now, at_s = self._configuration, self._clock.now(), self._clock.monotonic_s()
        every_days = configuration.forecast.retrain_every_days
        tried_s = self._tried_training_s
        if every_days == 0 or (tried_s is not None and at_s - tried_s < TRAIN_AGAIN_S):
            return
        if not training_due(registry_of(configuration), now, every_days):
            return
        self._tried_training_s = at_s
        try:
            train_fleet(configuration, now.date(), now, lambda doing, share: None)
        except DamWarningError as error:
            log.error(pairs("training-failed", error=str(error)))
            self._own[TroubleKind.TRAINING_FAILED] = Trouble(
                TroubleKind.TRAINING_FAILED,
                "training",
                f"A new model could not be trained: {str(error).rstrip('.')}. The old one stays in "
                "force; it is tried again in a day. `dam-warning train` tries it now and shows more.",
            )
        else:
            self._own.pop(TroubleKind.TRAINING_FAILED, None)

    # how it is

    def look_after(self, found: tuple[Trouble, ...]) -> None:
        """Tell people what is wrong: what the service `found`, and what stands otherwise.

        Raises JournalError where that cannot be put on record; then they are told past it.
        """
        parts, now = self._live.parts, self._clock.now()
        configuration, journal = parts.configuration, parts.watch.journal
        self._known = self._all_troubles(found)
        ballast_of(configuration).keep()
        try:
            self._put_run_on_record()
            tell(self._known, journal, configuration.recipients, configuration.retry, now)
        except JournalError as error:
            self._tell_directly(error)
            raise
        self._passing.told(self._known)
        self._unrecorded_looks, self._told_directly_s = 0, None
        self._prune(now)

    def troubles_standing(self) -> int:
        """Return how many troubles the last look found."""
        return len(self._known)

    def heartbeat(self) -> None:
        """Put the daily sign of life on record, to be sent."""
        parts, now = self._live.parts, self._clock.now()
        configuration, journal = parts.configuration, parts.watch.journal
        report = read_status(configuration, journal, parts.watch.registry, now)
        send_heartbeat(report, journal, configuration.recipients, configuration.retry)

    def open_endpoints(self, progress: Progress) -> None:
        """Answer where the configuration in force says, and no more where it said before."""
        listen = self._configuration.health.listen
        if listen == self._listen:
            return
        self._close_endpoints()
        self._listen = listen
        if listen is not None:
            self._endpoints = serve(listen, lambda: self._view(progress))

    def _view(self, progress: Progress) -> HealthView:
        watch, (goes_on, words) = self._live.parts.watch, progress()
        stuck = (
            () if goes_on else (Trouble(TroubleKind.JOB_HANGS, "service", f"The daemon is stuck: {words}."),)
        )
        troubles = (*self._known, *stuck)
        return vital_signs(self._configuration, watch.journal, watch.registry, troubles, self._clock.now())

    def _close_endpoints(self) -> None:
        if self._endpoints is not None:
            self._endpoints.close()
        self._endpoints = self._listen = None

    def _all_troubles(self, found: tuple[Trouble, ...]) -> tuple[Trouble, ...]:
        watch, now = self._live.parts.watch, self._clock.now()
        examined = examine(self._configuration, watch.journal, watch.registry, now)
        beside = []
        if self._configuration.health.ping_url is not None and self._pinger.trouble is not None:
            said = f"After the last cycle, {self._pinger.trouble}."
            beside.append(Trouble(TroubleKind.PING_FAILED, "ping", said))
        if self._endpoints is not None and self._endpoints.trouble is not None:
            beside.append(Trouble(TroubleKind.JOB_FAILED, "endpoints", self._endpoints.trouble))
        return (*found, *self._own.values(), *self._passing.standing(now), *beside, *examined)

    def _tell_directly(self, error: JournalError) -> None:
        """Tell people that nothing can be recorded, once it has been so for a while; not often."""
        at_s, told_s = self._clock.monotonic_s(), self._told_directly_s
        self._unrecorded_looks += 1
        if self._unrecorded_looks < UNRECORDED_LOOKS or (told_s is not None and at_s - told_s < TELL_AGAIN_S):
            return
        if tell_record_failed(self._live.parts, str(error)):
            self._told_directly_s = at_s

    def _prune(self, now: datetime) -> None:
        """Once a day, forget what the record need not keep."""
        at_s = self._clock.monotonic_s()
        if self._pruned_s is not None and at_s - self._pruned_s < PRUNE_EVERY_S:
            return
        keep_days = self._configuration.retention.cycles_days
        pruned = self._live.parts.watch.journal.prune(now, keep_days)
        self._pruned_s = at_s
        if pruned:
            log.info(pairs("pruned", entries=pruned, older_than_days=keep_days))
