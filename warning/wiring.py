"""The composition root: a configuration in, working parts out."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import partial
from pathlib import Path

from warning.alerts.apprise_sender import problem_with, send
from warning.alerts.last_resort import LastResort, Told, direct_message, tell_directly
from warning.alerts.outbox import DeliveryCount, Outbox
from warning.alerts.plot_child import draw_in_child
from warning.clock import Clock
from warning.config.configuration import Configuration, CsvSource, ForecastSettings
from warning.config.loading import RECIPIENTS_FILE
from warning.config.problems import Problem
from warning.connecting import influx_settings, reading_source, zones_of
from warning.cycle import Outcome, Watch, observe_unrecorded, run_cycle
from warning.domain.delivery import Channel, others_to_tell
from warning.domain.reservoir import Reservoir
from warning.errors import JournalError, UsageError
from warning.events import pairs
from warning.forecasting.asking import ForecasterSettings
from warning.forecasting.forecaster import Forecaster
from warning.forecasting.registry import Registry
from warning.forecasting.trainer import TrainReport, train_model
from warning.forecasting.training_plan import TrainingSettings
from warning.forecasting.weights import WeightRule
from warning.journal.journal import Journal
from warning.journal.store import record_file
from warning.learning import tell_progress, training_histories
from warning.ops.ballast import Ballast
from warning.sources.influx_child import OutlooksInChild
from warning.sources.influx_points import Judged
from warning.sources.influx_writeback import WriteBack
from warning.sources.outlook_folder import OutlookFolder
from warning.sources.source import OutlookSource, ReadingSource
from warning.sources.writeback_note import note_in

log = logging.getLogger(__name__)
MODELS = "models"


def make_state_directory(configuration: Configuration) -> Path:
    """Create the state directory where it is missing, for its owner alone."""
    directory = configuration.state_directory
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise JournalError(
            f"the state directory {directory} cannot be made: {error.strerror}; create it for the user that "
            "runs dam-warning, or set state_directory in warning.toml to a folder it may write"
        ) from error
    return directory


def open_journal(configuration: Configuration, *, create: bool = True) -> Journal:
    """Open the record; where its disk is full, the ballast makes room."""
    make_state_directory(configuration)
    ballast = ballast_of(configuration)
    return Journal.open(configuration.journal_url, create=create, on_full=ballast.release)


def ballast_of(configuration: Configuration) -> Ballast:
    """Return the room that is kept for a full disk, on the record's own disk where that is a file."""
    record = record_file(configuration.journal_url)
    return Ballast(configuration.state_directory if record is None else record.parent)


def source_of(configuration: Configuration) -> ReadingSource:
    """Return the configured source of readings."""
    return reading_source(configuration.source, zones_of(configuration.reservoirs))


def outlooks_of(configuration: Configuration) -> OutlookSource | None:
    """Return where forecast rain and planned release are read, None where there are none."""
    folder, source = configuration.forecast.outlook_folder, configuration.source
    if folder is not None:
        return OutlookFolder(folder)
    if isinstance(source, CsvSource) or source.outlook is None:
        return None
    return OutlooksInChild(influx_settings(source, zones_of(configuration.reservoirs)))


def registry_of(configuration: Configuration) -> Registry:
    """Return the registry of trained models in the state directory."""
    return Registry(configuration.state_directory / MODELS)


def weight_rule_of(settings: ForecastSettings) -> WeightRule:
    """Return the adaptive weight rule that the admin chose."""
    return WeightRule(decay=settings.weight_decay, squared=settings.weight_error == "squared")


def training_settings_of(settings: ForecastSettings) -> TrainingSettings:
    """Return how the admin wants the networks trained."""
    return TrainingSettings(seed=settings.seed, max_epochs=settings.max_epochs, device=settings.device)


@dataclass(frozen=True, slots=True)
class Parts:
    """The working parts of one configuration, sharing one record and one clock."""

    configuration: Configuration
    watch: Watch
    outbox: Outbox
    write_back: WriteBack | None = None

    def run_cycle(self) -> tuple[Outcome, ...]:
        """Run one forecast cycle and record it; what is then written back to the source holds nothing up."""
        outcomes = run_cycle(self.watch)
        if self.write_back is not None:
            judged = [Judged(o.reservoir, o.assessment, o.forecast, o.alerts) for o in outcomes]
            self.write_back.submit(judged, self.watch.clock.now())
        return outcomes

    def deliver(self, stop: threading.Event) -> DeliveryCount:
        """Send what the record owes."""
        return self.outbox.deliver_due(stop)


@contextmanager
def wired(configuration: Configuration, clock: Clock) -> Iterator[Parts]:
    """Put the parts together; afterwards wait for what is being written back, and close the record."""
    journal = open_journal(configuration)
    write_back = _write_back(configuration)
    try:
        _keep_text(configuration, journal, clock)
        watch, outbox = _watch(configuration, journal, clock), _outbox(configuration, journal, clock)
        yield Parts(configuration, watch, outbox, write_back)
    finally:
        if write_back is not None:
            write_back.close()
        journal.close()


def _keep_text(configuration: Configuration, journal: Journal, clock: Clock) -> None:
    """Put the configuration's text on record; that it cannot be had now stops nothing that may go on."""
    try:
        journal.keep_configuration(configuration.digest, configuration.files, clock.now())
    except JournalError as error:
        log.error(pairs("configuration-unrecorded", error=str(error)))


def rewired(parts: Parts, configuration: Configuration) -> Parts:
    """Return the parts of another configuration that share their record, outbox and clock with `parts`.

    Deliveries that begin from now on go by the new one; a cycle that runs ends with what it began with.
    The caller has put the new one on record.
    """
    journal, clock = parts.watch.journal, parts.watch.clock
    watch, write_back, before = _watch(configuration, journal, clock), parts.write_back, parts.configuration
    if (before.source, before.reservoirs) != (configuration.source, configuration.reservoirs):
        write_back = _write_back(configuration)
    parts.outbox.adopt(
        find_channel=_channels_of(configuration),
        who_else=lambda expired: others_to_tell(expired, configuration.recipients),
        retry=configuration.retry,
    )
    return Parts(configuration, watch, parts.outbox, write_back)


def last_resort() -> LastResort:
    """Return the way to tell people what cannot be recorded; one for the life of a process."""
    return LastResort(send, socket.gethostname())


def tell_unrecorded(
    parts: Parts, last_resort: LastResort, reservoirs: tuple[Reservoir, ...], cause: str
) -> Told:
    """Tell people directly which of `reservoirs` have crossed a threshold that could not be recorded."""
    crossings = observe_unrecorded(parts.watch, reservoirs)
    told = last_resort.tell(crossings, parts.watch.recipients, cause, parts.watch.clock.now())
    for who, channel, why in told.failures:
        log.error(pairs("direct-failed", recipient=who, channel=channel, cause=why))
    if told:
        log.warning(pairs("told-directly", crossings=len(crossings), recipients=",".join(told.reached)))
    return told


def tell_record_failed(parts: Parts, cause: str) -> Told:
    """Tell directly whoever looks after the service that nothing can be put on record."""
    host = socket.gethostname()
    said = [
        f"dam-warning on {host} can put nothing on record: {cause}",
        "Until that is mended no warning is recorded, escalated or followed up; what is observed above a "
        "threshold is sent directly. Make room on the disk, or see to the database.",
    ]
    message = direct_message(f"dam-warning on {host}: nothing can be recorded", said, f"dam-warning: {cause}")
    everyone = parts.watch.recipients
    told = tell_directly([r for r in everyone if r.findings] or everyone, message, send)
    for who, channel, why in told.failures:
        log.error(pairs("direct-failed", recipient=who, channel=channel, cause=why))
    return told


def channel_problems(configuration: Configuration) -> list[Problem]:
    """Return what Apprise finds wrong with the recipients' URLs; the URLs themselves are not shown."""
    return [
        Problem(
            file=RECIPIENTS_FILE,
            key=f"recipients.{recipient.id} ({channel.id})",
            found=trouble,
            expected="a URL that Apprise can send to",
            remedy="correct the URL in the file or variable that it refers to",
        )
        for recipient in configuration.recipients
        for channel in recipient.channels
        if (trouble := problem_with(channel.url)) is not None
    ]


def train_fleet(
    configuration: Configuration, last_day: date, now: datetime, on_progress: Callable[[str, float], None]
) -> TrainReport:
    """Train on the readings up to `last_day` and put the model in force if it is not worse."""
    make_state_directory(configuration)
    source = source_of(configuration)
    outlooks = outlooks_of(configuration)
    histories, left_out = training_histories(configuration.reservoirs, source, last_day, outlooks)
    return train_model(
        histories,
        training_settings_of(configuration.forecast),
        registry_of(configuration),
        now,
        rule=weight_rule_of(configuration.forecast),
        time_limit_s=configuration.forecast.train_time_limit_s,
        on_message=partial(tell_progress, on_progress),
        unreadable=left_out,
    )


def noon_of(day: date, configuration: Configuration) -> datetime:
    """Return the instant that stands for `day`: noon in the schedule's time zone."""
    return datetime.combine(day, time(12), tzinfo=configuration.schedule.time_zone)


def refuse_the_past(journal: Journal, now: datetime) -> None:
    """Raise UsageError where the record already holds a later cycle than `now`: it never runs backwards."""
    newest = journal.last_cycle()
    if newest is not None and newest.started_at > now:
        raise UsageError(
            f"the record already holds a cycle of {newest.started_at:%Y-%m-%d %H:%M} UTC, later than "
            f"{now.astimezone(UTC):%Y-%m-%d %H:%M} UTC; replay earlier days with a configuration whose "
            "state_directory is another folder"
        )


def _write_back(configuration: Configuration) -> WriteBack | None:
    source = configuration.source
    if isinstance(source, CsvSource) or not source.write_back.enabled:
        return None
    settings = influx_settings(source, zones_of(configuration.reservoirs))
    return WriteBack(settings, source.write_back.measurement, note_in(configuration.state_directory))


def _watch(configuration: Configuration, journal: Journal, clock: Clock) -> Watch:
    forecast = configuration.forecast
    registry = registry_of(configuration)
    settings = ForecasterSettings(
        device=forecast.device, time_limit_s=forecast.time_limit_s, rule=weight_rule_of(forecast)
    )
    return Watch(
        reservoirs=configuration.reservoirs,
        recipients=configuration.recipients,
        retry=configuration.retry,
        configuration_digest=configuration.digest,
        source=source_of(configuration),
        registry=registry,
        forecaster=Forecaster(registry, settings),
        journal=journal,
        clock=clock,
        outlooks=outlooks_of(configuration),
    )


def _channels_of(configuration: Configuration) -> Callable[[str, str], Channel | None]:
    channels = {(r.id, channel.id): channel for r in configuration.recipients for channel in r.channels}
    return lambda recipient_id, channel_id: channels.get((recipient_id, channel_id))


def _outbox(configuration: Configuration, journal: Journal, clock: Clock) -> Outbox:
    return Outbox(
        journal,
        send,
        find_channel=_channels_of(configuration),
        draw=draw_in_child,
        who_else=lambda expired: others_to_tell(expired, configuration.recipients),
        clock=clock,
        retry=configuration.retry,
    )
