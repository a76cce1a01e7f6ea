"""Reads the three files, complains about everything at once, or returns the whole configuration."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from warning.config import service_rules
from warning.config.building import build_recipient, build_reservoir
from warning.config.channels import Secrets, channels_of, mail_server, sms_url
from warning.config.configuration import Configuration
from warning.config.drafts import DefaultsDraft, Draft, RecipientsFile, ReservoirsFile, WarningFile
from warning.config.problems import Complaints, InvalidConfigurationError, Problem
from warning.config.recipient_rules import (
    audience,
    check_addresses,
    check_audience,
    check_dams_named,
    check_recipients,
)
from warning.config.reservoir_rules import check_reservoirs
from warning.config.toml_file import parse, read_bytes
from warning.config.understanding import understand
from warning.domain.delivery import Channel

SERVICE_FILE, RESERVOIRS_FILE, RECIPIENTS_FILE = FILES = (
    "warning.toml",
    "reservoirs.toml",
    "recipients.toml",
)

D = TypeVar("D", bound=Draft)


def load_configuration(directory: Path, environment: Mapping[str, str] | None = None) -> Configuration:
    """Return the configuration that lies in `directory`.

    `environment` is where `env:NAME` is looked up, the process's own unless given. Raises
    InvalidConfigurationError with every problem of all three files.
    """
    directory = directory.absolute()
    if not directory.is_dir():
        remedy = f"copy the samples there: {', '.join(FILES)}"
        raise InvalidConfigurationError(
            directory, [Problem(str(directory), "", "no such folder", "a configuration folder", remedy)]
        )
    secrets = Secrets(directory, os.environ if environment is None else environment)
    contents = {name: read_bytes(directory, name) for name in FILES}
    service = _read(WarningFile, SERVICE_FILE, contents)
    reservoirs = _read(ReservoirsFile, RESERVOIRS_FILE, contents)
    recipients = _read(RecipientsFile, RECIPIENTS_FILE, contents)
    _check_rules(service, reservoirs, recipients)
    channels = _channels(service, recipients, secrets)
    journal_url = ""
    if service.draft:
        journal_url = service_rules.journal_url(service.draft, directory, secrets, service.complaints)
    problems = [p for file in (service, reservoirs, recipients) for p in file.problems()]
    if problems or not (service.draft and reservoirs.draft and recipients.draft):
        raise InvalidConfigurationError(directory, problems)
    severities = service_rules.severities_of(service.draft)
    by_name = {severity.name: severity for severity in severities}
    dams, people = reservoirs.draft.reservoirs or {}, recipients.draft.recipients or {}
    defaults = reservoirs.draft.defaults or DefaultsDraft()
    heard = audience(people, dams)
    return Configuration(
        directory=directory,
        state_directory=service_rules.state_directory(service.draft, directory),
        source=service_rules.source(service.draft, directory),
        schedule=service_rules.schedule(service.draft),
        forecast=service_rules.forecast_settings(service.draft),
        journal_url=journal_url,
        retry=service_rules.retry_policy(service.draft),
        severities=severities,
        reservoirs=tuple(build_reservoir(name, dam, defaults, by_name) for name, dam in dams.items()),
        recipients=tuple(
            build_recipient(name, person, channels[name], heard[name], by_name)
            for name, person in people.items()
        ),
        digest=_digest(contents),
        files={name: text.decode() for name, text in contents.items() if isinstance(text, bytes)},
    )


@dataclass(frozen=True, slots=True)
class _File(Generic[D]):
    """One file as far as it could be understood; no draft where it could not even be read."""

    draft: D | None
    complaints: Complaints
    unreadable: Problem | None = None

    def problems(self) -> list[Problem]:
        return [self.unreadable] if self.unreadable else self.complaints.problems()

    def ids(self, table: str) -> list[str] | None:
        """Return the ids that a table of tables defines, those of unsound entries included."""
        entries = self.complaints.content.get(table)
        return list(entries) if isinstance(entries, dict) else None


def _read(kind: type[D], name: str, contents: Mapping[str, bytes | Problem]) -> _File[D]:
    content = contents[name]
    tables = parse(name, content) if isinstance(content, bytes) else content
    if isinstance(tables, Problem):
        return _File(None, Complaints(name, {}), unreadable=tables)
    complaints = Complaints(name, tables)
    return _File(understand(kind, tables, complaints), complaints)


def _check_rules(
    service: _File[WarningFile], reservoirs: _File[ReservoirsFile], recipients: _File[RecipientsFile]
) -> None:
    ranks = None
    if service.draft:
        service_rules.check_service(service.draft, service.complaints)
        if ("severities",) not in service.complaints.unsound:
            ranks = {s.name: s.rank for s in service_rules.severities_of(service.draft)}
    if reservoirs.draft:
        ids = recipients.ids("recipients")
        check_reservoirs(reservoirs.draft, ranks, ids, reservoirs.complaints)
    people = recipients.draft.recipients if recipients.draft else None
    if people is None:
        return
    check_recipients(people, service.draft, ranks, recipients.complaints)
    dams = reservoirs.draft.reservoirs if reservoirs.draft else None
    if dams is not None:
        known = reservoirs.ids("reservoirs") or []
        check_dams_named(people, dams, known, recipients.complaints)
        check_audience(people, dams, ranks, recipients.complaints, reservoirs.complaints)


def _channels(
    service: _File[WarningFile], recipients: _File[RecipientsFile], secrets: Secrets
) -> dict[str, tuple[Channel, ...]]:
    """Return every recipient's channels, as far as their secrets can be had."""
    mail = sms = None
    if service.draft:
        mail = mail_server(service.draft.mail, secrets, service.complaints)
        sms = sms_url(service.draft.sms, secrets, service.complaints)
    people = (recipients.draft.recipients if recipients.draft else None) or {}
    channels = {
        name: channels_of(person, ("recipients", name), mail, sms, secrets, recipients.complaints)
        for name, person in people.items()
    }
    check_addresses(people, channels, recipients.complaints)
    return channels


def _digest(contents: Mapping[str, bytes | Problem]) -> str:
    """SHA-256 over the three files, one after the other."""
    digest = hashlib.sha256()
    for content in contents.values():
        if isinstance(content, bytes):
            digest.update(content)
    return digest.hexdigest()
