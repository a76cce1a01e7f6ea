"""Who can still be told something while the configuration is refused.

A watch that a typing mistake has stopped must be able to say so: whatever of the mail server, the SMS
gateway and the recipients can be understood by itself is used, and the rest passed over. Nothing else
is ever built on what is read here.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from warning.config.channels import Secrets, channels_of, mail_server, sms_url
from warning.config.drafts import Draft, RecipientsFile, WarningFile
from warning.config.loading import RECIPIENTS_FILE, RESERVOIRS_FILE, SERVICE_FILE
from warning.config.problems import Complaints
from warning.config.service_rules import DEFAULT_STATE_DIRECTORY
from warning.config.toml_file import read_bytes
from warning.config.understanding import understand
from warning.domain.delivery import Recipient
from warning.domain.reservoir import Severity

D = TypeVar("D", bound=Draft)
_TABLE = re.compile(r"^(?=\s*\[)", re.MULTILINE)
_UNKNOWN = Severity(1, "unknown")  # whoever is told directly is told whatever the severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Contacts:
    """What could be read: people who can be reached, the dams' names, and where the record would lie."""

    recipients: tuple[Recipient, ...]
    dams: tuple[str, ...]
    journal_url: str = field(repr=False)


def read_contacts(directory: Path, environment: Mapping[str, str] | None = None) -> Contacts:
    """Return whom the configuration in `directory` names, as far as it can be read; never raises for it."""
    directory = directory.absolute()
    secrets = Secrets(directory, os.environ if environment is None else environment)
    tables = {name: _tables(directory, name) for name in (SERVICE_FILE, RESERVOIRS_FILE, RECIPIENTS_FILE)}
    service, unheard = _draft(WarningFile, SERVICE_FILE, tables)
    people, _ = _draft(RecipientsFile, RECIPIENTS_FILE, tables)
    mail = mail_server(service.mail, secrets, unheard)
    sms = sms_url(service.sms, secrets, unheard)
    recipients = []
    for name, person in (people.recipients or {}).items():
        channels = channels_of(person, ("recipients", name), mail, sms, secrets, unheard)
        if channels:
            findings = person.findings or False
            told = Recipient(
                id=name,
                name=person.name or name,
                channels=channels,
                least_severity=_UNKNOWN,
                findings=findings,
            )
            recipients.append(told)
    state = directory / (service.state_directory or DEFAULT_STATE_DIRECTORY)
    return Contacts(
        recipients=tuple(recipients),
        dams=_dams(tables[RESERVOIRS_FILE]),
        journal_url=f"sqlite:///{state}/journal.sqlite3",
    )


def _tables(directory: Path, name: str) -> dict[str, Any]:
    """Return the tables of a file; where its syntax is broken, those that are sound by themselves."""
    content = read_bytes(directory, name)
    if not isinstance(content, bytes):
        return {}
    text = content.decode(errors="replace").replace("\r\n", "\n")
    whole = _parsed(text)
    if whole is not None:
        return whole
    sound: dict[str, Any] = {}
    for piece in _TABLE.split(text):
        _merge(sound, _parsed(piece) or {})
    return sound


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None


def _merge(into: dict[str, Any], tables: dict[str, Any]) -> None:
    for key, value in tables.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into.setdefault(key, value)


def _draft(kind: type[D], name: str, tables: Mapping[str, dict[str, Any]]) -> tuple[D, Complaints]:
    complaints = Complaints(name, tables[name])
    return understand(kind, tables[name], complaints), complaints


def _dams(tables: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the dams by name, by id where they have none."""
    dams = tables.get("reservoirs")
    if not isinstance(dams, dict):
        return ()
    named = (dam.get("name") if isinstance(dam, dict) else None for dam in dams.values())
    return tuple(name if isinstance(name, str) else dam for dam, name in zip(dams, named, strict=True))
