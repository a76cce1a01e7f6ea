"""The rules of [source] in warning.toml and of what dams say about it, and what it comes to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from urllib.parse import urlsplit

from warning.config.channels import Secrets
from warning.config.configuration import (
    CsvSource,
    DailyValue,
    InfluxdbSource,
    StoredField,
    WriteBackSettings,
)
from warning.config.drafts import FieldDraft, ReservoirDraft, SourceDraft
from warning.config.fields import expectation
from warning.config.outlook_rules import build_outlook, check_outlook
from warning.config.problems import Complaints, KeyPath, shown
from warning.config.secret_references import is_reference
from warning.domain.units import PERCENT, units_of
from warning.domain.variables import Variable

# what a day comes to where nobody said; a rain gauge counts up through its day
DAILY: Mapping[Variable, DailyValue] = {
    Variable.LEVEL_M: "last",
    Variable.STORAGE_M3: "last",
    Variable.INFLOW_M3S: "mean",
    Variable.OUTFLOW_M3S: "mean",
    Variable.RAIN_MM: "max",
}

_CSV_ONLY = ("folder",)
_INFLUXDB_NEEDS = ("url", "measurement", "dam_tag", "fields")
_TABLE: KeyPath = ("source",)
_WEB_URL = re.compile(r"https?://[^\s/?#]+[^\s?#]*")

Dams = Mapping[str, ReservoirDraft]


@dataclass(frozen=True, slots=True)
class SourceSecrets:
    """What the references in [source] led to."""

    token: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    proxy: str | None = field(default=None, repr=False)


def check_source(draft: SourceDraft | None, directory: Path, complaints: Complaints) -> None:
    """Complain about every rule between the keys of [source] that is broken."""
    if draft is None or draft.kind is None:
        return
    _check_kind(draft, complaints)
    if draft.kind == "csv":
        _require(draft, _CSV_ONLY, complaints)
        return
    _require(draft, _INFLUXDB_NEEDS, complaints)
    _check_url(draft.url, complaints)
    _check_names(draft, complaints)
    _check_login(draft, complaints)
    _check_tls(draft, directory, complaints)
    _check_fields(draft, complaints)
    _check_write_back(draft, complaints)
    check_outlook(draft, complaints)
    timeout_s, deadline_s = draft.read_timeout_s or 30.0, draft.deadline_s or 300.0
    if not timeout_s <= deadline_s:
        complaints.add(
            (*_TABLE, "deadline_s"),
            found=f"{shown(deadline_s)} s",
            expected=f"at least read_timeout_s = {shown(timeout_s)}",
            remedy="raise deadline_s, the limit of a whole reading, or lower read_timeout_s",
        )


def check_source_of_dams(
    draft: SourceDraft | None, dams: Dams, service: Complaints, reservoirs: Complaints
) -> None:
    """Complain where [source] cannot give a dam what it is forecast by, and where dams are mixed up."""
    if draft is None or draft.kind != "influxdb":
        return
    _check_forecast_variables(draft, dams, service)
    _check_tags(dams, reservoirs)
    storage = draft.fields.storage_m3 if draft.fields else None
    if storage is None or storage.unit != PERCENT:
        return
    for dam_id, dam in dams.items():
        path: KeyPath = ("reservoirs", dam_id, "capacity_m3")
        if dam.capacity_m3 is None and path not in reservoirs.unsound:
            reservoirs.add(
                path,
                found="nothing",
                expected="what 100 % of storage is: the source stores it in % of capacity",
                remedy="add for example: capacity_m3 = 4.36e9",
            )


def source_secrets(draft: SourceDraft | None, secrets: Secrets, complaints: Complaints) -> SourceSecrets:
    """Look up what [source] refers to; complains about what cannot be had."""
    if draft is None or draft.kind != "influxdb":
        return SourceSecrets()
    return SourceSecrets(
        token=secrets.find(draft.token, (*_TABLE, "token"), complaints),
        password=secrets.find(draft.password, (*_TABLE, "password"), complaints),
        proxy=_proxy(draft.proxy, secrets, complaints),
    )


def build_source(
    draft: SourceDraft | None, dams: Dams, directory: Path, secrets: SourceSecrets
) -> CsvSource | InfluxdbSource:
    """Return the source of a draft about which nothing was complained."""
    if draft is not None and draft.kind == "csv" and draft.folder is not None:
        return CsvSource(directory / draft.folder)
    if draft is None or None in (draft.url, draft.measurement, draft.dam_tag, draft.fields):
        raise ValueError("a draft without a source cannot be built")
    return InfluxdbSource(
        url=draft.url or "",
        dialect=draft.dialect or "auto",
        token=secrets.token,
        user=draft.user,
        password=secrets.password,
        org=draft.org,
        bucket=draft.bucket,
        database=draft.database,
        retention_policy=draft.retention_policy,
        measurement=draft.measurement or "",
        dam_tag=draft.dam_tag or "",
        fields={variable: _stored(variable, entry) for variable, entry in _fields(draft)},
        day_starts_at=draft.day_starts_at or time(0),
        first_day=draft.first_day or date(1900, 1, 1),
        read_timeout_s=draft.read_timeout_s or 30.0,
        deadline_s=draft.deadline_s or 300.0,
        retries=3 if draft.retries is None else draft.retries,
        verify_tls=True if draft.verify_tls is None else draft.verify_tls,
        ca_file=directory / draft.ca_file if draft.ca_file else None,
        proxy=secrets.proxy,
        write_back=_write_back(draft),
        outlook=build_outlook(draft.outlook),
        tags={dam_id: dam.source_tag for dam_id, dam in dams.items() if dam.source_tag is not None},
        capacities_m3={i: dam.capacity_m3 for i, dam in dams.items() if dam.capacity_m3 is not None},
    )


def holds_password(url: str) -> bool:
    """Say whether a password stands in `url`, or might."""
    try:
        return urlsplit(url).password is not None or "password=" in url.casefold()
    except ValueError:  # such as a bracket that is not closed
        return True


def _stored(variable: Variable, draft: FieldDraft) -> StoredField:
    return StoredField(field=draft.field or "", unit=draft.unit or "", daily=draft.daily or DAILY[variable])


def _fields(draft: SourceDraft) -> Iterator[tuple[Variable, FieldDraft]]:
    for name, entry in draft.fields or ():
        if entry is not None:
            yield Variable(name), entry


def _check_kind(draft: SourceDraft, complaints: Complaints) -> None:
    """A key of the other kind would do nothing."""
    own = _CSV_ONLY if draft.kind == "csv" else tuple(set(SourceDraft.model_fields) - set(_CSV_ONLY))
    other = "influxdb" if draft.kind == "csv" else "csv"
    for name, value in draft:
        if value is not None and name != "kind" and name not in own:
            complaints.add(
                (*_TABLE, name),
                found=f'a key of kind = "{other}"',
                expected=f'keys of kind = "{draft.kind}" alone',
                remedy=f'remove it, or write kind = "{other}"',
            )


def _require(draft: SourceDraft, names: Iterable[str], complaints: Complaints) -> None:
    for name in names:
        if getattr(draft, name) is None and (*_TABLE, name) not in complaints.unsound:
            expect = expectation(SourceDraft.model_fields[name])
            complaints.add(
                (*_TABLE, name), found="nothing", expected=expect.what, remedy=f"add: {expect.example}"
            )


def _check_url(url: str | None, complaints: Complaints) -> None:
    if url is None:
        return
    path = (*_TABLE, "url")
    if not _WEB_URL.fullmatch(url) or not _is_address(url):
        expected = "http:// or https://, the server's name and its port, without ? and #"
        remedy = 'write for example: url = "https://influxdb.example.org:8086"'
        complaints.add(path, found="no such URL (not shown)", expected=expected, remedy=remedy)
    elif "@" in urlsplit(url).netloc:
        complaints.add(
            path,
            found="a URL with a user in it (not shown)",
            expected="a URL alone",
            remedy="write user and password as keys of their own",
        )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _check_names(draft: SourceDraft, complaints: Complaints) -> None:
    """Flux reads a bucket of an organisation, InfluxQL a database."""
    dialect = draft.dialect or "auto"
    if any((*_TABLE, name) in complaints.unsound for name in ("dialect", "bucket", "database", "org")):
        return
    if dialect == "auto" and draft.bucket is None and draft.database is None:
        complaints.add(
            (*_TABLE, "bucket"),
            found="neither a bucket nor a database",
            expected="bucket and org (InfluxDB 2), or database (InfluxDB 1 and 3)",
            remedy='add: bucket = "readings" and org = "dams", or database = "readings"',
        )
    if dialect == "flux":
        _require(draft, ("bucket",), complaints)
    if dialect == "influxql":
        _require(draft, ("database",), complaints)
    if dialect != "influxql" and draft.bucket is not None:
        _require(draft, ("org",), complaints)


def _check_login(draft: SourceDraft, complaints: Complaints) -> None:
    unsound = {name for name in ("token", "user", "password") if (*_TABLE, name) in complaints.unsound}
    if draft.token is not None and (draft.user is not None or draft.password is not None):
        complaints.add(
            (*_TABLE, "token"),
            found="a token and a user",
            expected="a token (InfluxDB 2 and 3), or user and password (InfluxDB 1), or none of them",
            remedy="remove one of the two",
        )
    if draft.dialect == "flux" and draft.token is None and draft.user is not None:
        complaints.add(
            (*_TABLE, "user"),
            found='user and password beside dialect = "flux"',
            expected="a token: Flux takes nothing else",
            remedy='write token = "file:PATH" in their place',
        )
    for name, value, other_name, other in (
        ("password", draft.password, "user", draft.user),
        ("user", draft.user, "password", draft.password),
    ):
        if value is None and other is not None and name not in unsound:
            complaints.add(
                (*_TABLE, name),
                found=f"nothing, but a {other_name}",
                expected="user and password, or neither",
                remedy=f"add {name}, or remove {other_name}",
            )


def _check_tls(draft: SourceDraft, directory: Path, complaints: Complaints) -> None:
    if draft.ca_file is None:
        return
    path = (*_TABLE, "ca_file")
    if draft.verify_tls is False:
        found, expected = "a file beside verify_tls = false", "a file of certificates that is used"
        complaints.add(path, found=found, expected=expected, remedy="remove verify_tls = false")
    elif not _is_file(directory / draft.ca_file):
        expected = "a file of certificates in PEM form"
        remedy = "correct the path; relative ones start at the folder of warning.toml"
        complaints.add(path, found="no such file", expected=expected, remedy=remedy)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _check_fields(draft: SourceDraft, complaints: Complaints) -> None:
    path = (*_TABLE, "fields")
    if draft.fields is not None and not list(_fields(draft)) and not _unsound_below(path, complaints):
        remedy = 'add: [source.fields.level_m] with field = "level" and unit = "m"'
        complaints.add(path, found="no field", expected="at least one variable's field", remedy=remedy)
    for variable, entry in _fields(draft):
        place = (*path, variable.value, "unit")
        if entry.unit not in units_of(variable) and place not in complaints.unsound:
            complaints.add(
                place,
                found=shown(entry.unit),
                expected=f"a unit that fits {variable}: {', '.join(units_of(variable))}",
                remedy=f'write for example: unit = "{units_of(variable)[0]}"',
            )


def _write_back(draft: SourceDraft) -> WriteBackSettings:
    return WriteBackSettings(**(draft.write_back.model_dump(exclude_none=True) if draft.write_back else {}))


def _check_write_back(draft: SourceDraft, complaints: Complaints) -> None:
    """Forecasts among the readings would come back as readings."""
    settings = _write_back(draft)
    if settings.enabled and settings.measurement == draft.measurement:
        complaints.add(
            (*_TABLE, "write_back", "measurement"),
            found=f"{shown(settings.measurement)}, where the readings are",
            expected="a measurement of its own for what is written back",
            remedy='write measurement = "dam_forecast", or enabled = false',
        )


def _unsound_below(path: KeyPath, complaints: Complaints) -> bool:
    return any(unsound[: len(path)] == path for unsound in complaints.unsound)


def _check_forecast_variables(draft: SourceDraft, dams: Dams, complaints: Complaints) -> None:
    if draft.fields is None:
        return
    given = {variable.value for variable, _ in _fields(draft)}
    for variable in ("level_m", "storage_m3"):
        path = (*_TABLE, "fields", variable)
        needing = [dam_id for dam_id, dam in dams.items() if dam.forecast_variable == variable]
        if needing and variable not in given and path not in complaints.unsound:
            others = f" and {len(needing) - 1:,} more are" if len(needing) > 1 else " is"
            complaints.add(
                path,
                found=f"nothing, though {needing[0]}{others} forecast by {variable}",
                expected="the field that holds it",
                remedy=f'add: [source.fields.{variable}] with field = "NAME" and unit = "UNIT"',
            )


def _check_tags(dams: Dams, complaints: Complaints) -> None:
    """Two dams with one tag would be given one dam's readings."""
    owners: dict[str, str] = {}
    for dam_id, dam in dams.items():
        tag = dam_id if dam.source_tag is None else dam.source_tag
        owner = owners.setdefault(tag, dam_id)
        if owner != dam_id:
            complaints.add(
                ("reservoirs", dam_id, "source_tag"),
                found=f"{shown(tag)}, which names {owner} too",
                expected="a tag of its own for each dam",
                remedy="correct one of the two; without source_tag it is the dam's id",
            )


def _proxy(written: str | None, secrets: Secrets, complaints: Complaints) -> str | None:
    path = (*_TABLE, "proxy")
    if written is None:
        return None
    url = secrets.find(written, path, complaints) if is_reference(written) else written
    if url is None:
        return None
    if not _WEB_URL.fullmatch(url) or not _is_address(url):
        remedy = 'write for example: proxy = "http://proxy.example.org:3128"'
        complaints.add(path, found="no such URL (not shown)", expected="the URL of a proxy", remedy=remedy)
    elif url == written and holds_password(url):
        complaints.add(
            path,
            found="a URL with a password in it (not shown)",
            expected="a URL without a password, or a reference to the whole URL",
            remedy='put the URL into a file of mode 600 and write proxy = "file:PATH"',
        )
    return url
