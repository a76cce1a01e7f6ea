"""Reads the three files, complains about everything at once, or returns the whole configuration."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from warning.config import operating_rules, service_rules, source_rules
from warning.config.building import build_recipient, build_reservoir
from warning.config.channels import Secrets, channels_of, mail_server, sms_url
from warning.config.configuration import Configuration, CsvSource, HealthSettings, InfluxdbSource
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
from warning.domain.reservoir import Severity

SERVICE_FILE, RESERVOIRS_FILE, RECIPIENTS_FILE = FILES = (
    "warning.toml",
    "reservoirs.toml",
    "recipients.toml",
)

D = TypeVar("D", bound=Draft)


def load_configuration(
    directory: Path, environment: Mapping[str, str] | None = None, *, texts_from: Path | None = None
) -> Configuration:
    """Return the configuration that lies in `directory`.

    `environment` is where `env:NAME` is looked up, the process's own unless given. The three files are
    read from `texts_from` where that is given; what they refer to still lies in `directory`. Raises
    InvalidConfigurationError with every problem of all three files.
    """
    directory = directory.absolute()
    if texts_from is None and not directory.is_dir():
        remedy = f"copy the samples there: {', '.join(FILES)}"
        raise InvalidConfigurationError(
            directory, [Problem(str(directory), "", "no such folder", "a configuration folder", remedy)]
        )
    secrets = Secrets(directory, os.environ if environment is None else environment)
    contents = {name: read_bytes(texts_from or directory, name) for name in FILES}
    service = _read(WarningFile, SERVICE_FILE, contents)
    reservoirs = _read(ReservoirsFile, RESERVOIRS_FILE, contents)
    recipients = _read(RecipientsFile, RECIPIENTS_FILE, contents)
    _check_rules(service, reservoirs, recipients, directory)
    channels = _channels(service, recipients, secrets)
    journal_url, source_secrets, health = "", source_rules.SourceSecrets(), HealthSettings()
    if service.draft:
        journal_url = service_rules.journal_url(service.draft, directory, secrets, service.complaints)
        source_secrets = source_rules.source_secrets(service.draft.source, secrets, service.complaints)
        health = operating_rules.health_settings(service.draft, secrets, service.complaints)
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
        source=source_rules.build_source(service.draft.source, dams, directory, source_secrets),
        schedule=service_rules.schedule(service.draft),
        forecast=service_rules.forecast_settings(service.draft, directory),
        journal_url=journal_url,
        retry=service_rules.retry_policy(service.draft),
        health=health,
        retention=operating_rules.retention_settings(service.draft),
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
class Service:
    """What warning.toml says by itself, while there are no dams yet."""

    source: CsvSource | InfluxdbSource
    severities: tuple[Severity, ...]


def load_service(directory: Path, environment: Mapping[str, str] | None = None) -> Service:
    """Return the source and the severities of `directory`'s warning.toml, whatever lies beside it.

    Raises InvalidConfigurationError with every problem of that file.
    """
    directory = directory.absolute()
    secrets = Secrets(directory, os.environ if environment is None else environment)
    file = _read(WarningFile, SERVICE_FILE, {SERVICE_FILE: read_bytes(directory, SERVICE_FILE)})
    found = source_rules.SourceSecrets()
    if file.draft:
        service_rules.check_service(file.draft, file.complaints)
        source_rules.check_source(file.draft.source, directory, file.complaints)
        found = source_rules.source_secrets(file.draft.source, secrets, file.complaints)
    problems = file.problems()
    if problems or not file.draft:
        raise InvalidConfigurationError(directory, problems)
    source = source_rules.build_source(file.draft.source, {}, directory, found)
    return Service(source, service_rules.severities_of(file.draft))


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
    service: _File[WarningFile],
    reservoirs: _File[ReservoirsFile],
    recipients: _File[RecipientsFile],
    directory: Path,
) -> None:
    ranks = None
    if service.draft:
        service_rules.check_service(service.draft, service.complaints)
        source_rules.check_source(service.draft.source, directory, service.complaints)
        if ("severities",) not in service.complaints.unsound:
            ranks = {s.name: s.rank for s in service_rules.severities_of(service.draft)}
    if reservoirs.draft:
        ids = recipients.ids("recipients")
        check_reservoirs(reservoirs.draft, ranks, ids, reservoirs.complaints)
    dams = reservoirs.draft.reservoirs if reservoirs.draft else None
    if service.draft and dams is not None:
        source = service.draft.source
        source_rules.check_source_of_dams(source, dams, service.complaints, reservoirs.complaints)
    people = recipients.draft.recipients if recipients.draft else None
    if people is None:
        return
    check_recipients(people, service.draft, ranks, recipients.complaints)
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
