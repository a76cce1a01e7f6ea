"""Finds out why the daemon's unit has failed and tells people, by whatever still works.

It rests on nothing that may be the reason: not on the daemon, not on writing to the record, not on a valid
configuration, not on all of the mail servers.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from warning.alerts.failure_message import Circumstances, Failure, failure_message
from warning.alerts.last_resort import Told, tell_directly
from warning.alerts.outbox import Send, guarded
from warning.alerts.wording import utc_time_text
from warning.config.configuration import Configuration
from warning.config.contacts import read_contacts
from warning.config.last_good import load_or_last_good
from warning.config.problems import InvalidConfigurationError
from warning.domain.delivery import Recipient
from warning.errors import JournalError
from warning.events import pairs
from warning.journal.last_word import LastWord, last_word
from warning.ops.units import UnitState

log = logging.getLogger(__name__)

SILENCE = timedelta(hours=1)
PATIENCE_S = 60
PAUSE_S = 5
MANY_RESTARTS = 3  # a daemon that comes up again each time but never stays is told of at once
_NOTE = "told.json"
_KINDS = (("MONITOR_SERVICE_RESULT", "MONITOR_EXIT_STATUS"), ("SERVICE_RESULT", "EXIT_STATUS"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What a report goes by: whom it can tell, and what it knows of the configuration and of the dams."""

    recipients: tuple[Recipient, ...]
    dams: Mapping[str, str]
    journal_url: str
    refusal: str | None = None
    readers: str | None = None


def failure_of(unit: str, host: str, environment: Mapping[str, str], state: UnitState | None) -> Failure:
    """Return what became of `unit`: by what systemd handed over, else by what it answers when asked."""
    result, status = next(
        ((environment[kind], environment.get(code, "")) for kind, code in _KINDS if environment.get(kind)),
        (state.result, state.exit_status) if state else ("", ""),
    )
    return Failure(
        host=host,
        unit=unit,
        result=result,
        exit_status=status,
        left_at=state.left_at if state else None,
        stays_down=state is None or state.active in ("failed", "inactive"),
    )


def works_again(ask: Callable[[], UnitState | None], pause: Callable[[float], object]) -> bool:
    """Wait a minute for the unit to come up by itself; the daemon then tells of the interruption itself."""
    for _ in range(PATIENCE_S // PAUSE_S):
        state = ask()
        if state is None or state.active in ("failed", "inactive") or state.restarts >= MANY_RESTARTS:
            return False
        if state.active == "active":
            return True
        pause(PAUSE_S)
    return False


def told_lately(folder: Path | None, failure: Failure, now: datetime) -> bool:
    """Say whether people were told of the same failure within the hour."""
    if folder is None:
        return False
    try:
        note = json.loads((folder / _NOTE).read_text(encoding="utf-8"))
        age = now - datetime.fromisoformat(note["at"])
        return bool(note["reason"] == _reason(failure)) and timedelta(0) <= age < SILENCE
    except (OSError, ValueError, KeyError, TypeError):
        return False


def note_told(folder: Path | None, failure: Failure, now: datetime) -> None:
    """Remember that people were told."""
    if folder is None:
        return
    try:
        (folder / _NOTE).write_text(
            json.dumps({"at": now.isoformat(), "reason": _reason(failure)}), encoding="utf-8"
        )
    except OSError as error:
        log.warning(pairs("note-failed", error=str(error)))


def _reason(failure: Failure) -> str:
    return f"{failure.result} {failure.exit_status}"


def report(
    failure: Failure, directory: Path, environment: Mapping[str, str], send: Send, now: datetime
) -> Told:
    """Tell those who want to hear of the service, else everybody, else whoever can be reached."""
    grounds = grounds_in(directory, environment)
    found = Circumstances(
        refusal=grounds.refusal,
        readers=grounds.readers,
        dams=tuple(grounds.dams.values()),
        record=_record_in_words(grounds),
    )
    message = failure_message(failure, found, now)
    asked = tuple(recipient for recipient in grounds.recipients if recipient.findings) or grounds.recipients
    told = tell_directly(asked, message, send)
    rest = tuple(recipient for recipient in grounds.recipients if recipient not in asked)
    if told or not rest:
        return told
    others = tell_directly(rest, message, send)
    return Told(others.reached, (*told.failures, *others.failures))


def grounds_in(directory: Path, environment: Mapping[str, str]) -> Grounds:
    """Read the configuration, else its last good copy, else what can still be read of it."""
    refusals: list[InvalidConfigurationError] = []

    def load() -> tuple[Configuration, InvalidConfigurationError | None] | None:
        try:
            return load_or_last_good(directory, environment)
        except InvalidConfigurationError as error:
            refusals.append(error)
            return None

    loaded = guarded(load)
    if isinstance(loaded, tuple):
        return _sound(*loaded)
    refusal = str(refusals[0]) if refusals else f"the configuration could not be checked: {loaded}"
    contacts = read_contacts(directory, environment)
    return Grounds(
        recipients=contacts.recipients,
        dams={name: name for name in contacts.dams},
        journal_url=contacts.journal_url,
        refusal=refusal,
        readers="The addresses are those that could still be read of the refused configuration.",
    )


def _sound(configuration: Configuration, refusal: InvalidConfigurationError | None) -> Grounds:
    return Grounds(
        recipients=configuration.recipients,
        dams={reservoir.id: reservoir.name for reservoir in configuration.reservoirs},
        journal_url=configuration.journal_url,
        refusal=None if refusal is None else str(refusal),
        readers=None if refusal is None else "The addresses are those of the last sound configuration.",
    )


def _record_in_words(grounds: Grounds) -> tuple[str, ...]:
    """Say which warnings stood, by the record's last word."""

    def ask() -> LastWord | JournalError:
        try:
            return last_word(grounds.journal_url)
        except JournalError as error:
            return error

    answer = guarded(ask)
    if not isinstance(answer, LastWord):
        return (f"Which warnings stood is not known: {answer}.",)
    if answer.cycle is None:
        return ("No cycle was ever recorded, so no warning stood.",)
    lines = [f"By the record's last word, of the cycle of {utc_time_text(answer.cycle.started_at)}:"]
    for row in answer.standings:
        standing, name = row.standing, grounds.dams.get(row.reservoir_id, row.reservoir_id)
        if standing.severity is not None:
            lines.append(f"  {name}: {standing.severity.name.upper()} stood (alert {standing.alert_number})")
        if standing.unwatched:
            lines.append(f"  {name}: was UNWATCHED already")
    return tuple(lines) if len(lines) > 1 else (f"{lines[0]} no warning stood.",)


def wait(seconds: float) -> None:
    """Let time pass."""
    threading.Event().wait(seconds)
