"""Every setting of a configuration as text, for the history of what was changed by whom.

Values are what is in force, defaults included, written as an admin writes them. No secret and no address
is among them: where one stood, a mark of 16 bits follows, enough to notice that it changed and too
little to learn it from.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import date, time
from pathlib import Path
from zoneinfo import ZoneInfo

from warning.config.configuration import Configuration, CsvSource, InfluxdbSource
from warning.config.loading import RECIPIENTS_FILE, SERVICE_FILE
from warning.config.problems import Problem, rendered_key
from warning.config.toml_file import parse
from warning.domain.changes import Setting
from warning.domain.delivery import Recipient
from warning.domain.reservoir import ForecastRule, LevelThreshold, Reservoir, RiseThreshold, ScreeningLimits
from warning.domain.wording import days

Keyed = Iterator[tuple[str, object]]

_ADDRESSES = re.compile(
    r"(?P<url>[A-Za-z][A-Za-z0-9+.-]*://[^\s\"']+)"
    r"|(?P<mail>[^\s\"'<>,;:()]+@[^\s\"'<>,;:()]+)"
    r"|(?P<phone>\+?\(?(?<!\d)\d(?:[ \u00a0()/.–-]{0,3}\d){6,})"
)
_HOST_ALONE = re.compile(r"https?://[A-Za-z0-9.-]+(?::\d+)?")
_AS_WRITTEN = (
    "source",
    "mail",
    "sms",
    "journal",
)  # tables of warning.toml that hold references and addresses
_OF_RECIPIENTS_AS_WRITTEN = ("email", "sms", "apprise")


class _Words(str):
    """Words of ours, which need no quotation marks."""

    __slots__ = ()


def settings_of(configuration: Configuration) -> dict[Setting, str]:
    """Return every setting in force by dam (None: of no single dam) and key."""
    service, people = (_tables(configuration, name) for name in (SERVICE_FILE, RECIPIENTS_FILE))
    found: list[tuple[str | None, str, object]] = [
        (None, key, value) for key, value in _service_settings(configuration, service)
    ]
    for recipient in configuration.recipients:
        written = _table(_table(people, "recipients"), recipient.id)
        found += [(None, key, value) for key, value in _recipient_settings(recipient, written)]
    for dam in configuration.reservoirs:
        found += [(dam.id, key, value) for key, value in _dam_settings(dam, configuration.source)]
    return {(dam, key): _text(dam, key, value) for dam, key, value in found if value is not None}


def restart_problems(in_force: Configuration, new: Configuration) -> tuple[Problem, ...]:
    """Return what of `new` cannot be adopted by a process that runs under `in_force`."""
    moved = [
        ("state_directory", "another folder", in_force.state_directory != new.state_directory),
        ("journal.url", "another record (not shown)", in_force.journal_url != new.journal_url),
    ]
    return tuple(
        Problem(
            file=SERVICE_FILE,
            key=key,
            found=found,
            expected="the one in use: a running daemon keeps its state and its record where they are",
            remedy="restart the service to adopt it, or undo this edit: systemctl restart dam-warning",
        )
        for key, found, differs in moved
        if differs
    )


def _service_settings(configuration: Configuration, written: Mapping[str, object]) -> Keyed:
    health = configuration.health
    yield "state_directory", str(configuration.state_directory)
    yield "severities", [severity.name for severity in configuration.severities]
    yield from _fields("schedule", configuration.schedule)
    yield from _fields("forecast", configuration.forecast)
    yield from _fields("delivery", configuration.retry)
    yield from _fields("retention", configuration.retention)
    yield from _fields("health", health, but=("listen", "ping_url"))
    yield "health.listen", _listen(health.listen)
    yield "health.ping_url", _table(written, "health").get("ping_url")
    for name in _AS_WRITTEN:
        yield from _flat(name, _table(written, name))


def _recipient_settings(recipient: Recipient, written: Mapping[str, object]) -> Keyed:
    prefix = f"recipients.{rendered_key(recipient.id)}"
    heard = recipient.reservoirs
    yield f"{prefix}.name", recipient.name
    yield f"{prefix}.least_severity", recipient.least_severity.name
    yield f"{prefix}.reservoirs", "all" if heard is None else sorted(heard)
    yield f"{prefix}.findings", recipient.findings
    for name in _OF_RECIPIENTS_AS_WRITTEN:
        yield f"{prefix}.{name}", written.get(name)


def _dam_settings(dam: Reservoir, source: CsvSource | InfluxdbSource) -> Keyed:
    yield "name", dam.name
    yield "time_zone", dam.time_zone
    yield "datum", dam.datum or None
    yield "forecast_variable", dam.forecast_variable.value
    if isinstance(source, InfluxdbSource):
        yield "source_tag", source.tags.get(dam.id)
        yield "capacity_m3", source.capacities_m3.get(dam.id)
    for variable, bounds in dam.limits.items():
        yield f"limits.{variable}", [bounds.lower, bounds.upper]
    unit = dam.forecast_variable.value.rpartition("_")[2]
    for threshold in dam.level_thresholds:
        yield from _threshold_settings(threshold, unit)
    for rise in dam.rise_thresholds:
        yield from _rise_settings(rise, unit)
    yield "stale_after_days", dam.stale_after_days
    for severity, words in dam.instructions.items():
        yield f"instructions.{rendered_key(severity)}", words
    yield from _fields("policy", dam.policy)
    yield from _screening_settings(dam.screening)


def _threshold_settings(threshold: LevelThreshold, unit: str) -> Keyed:
    prefix = f"thresholds.{rendered_key(threshold.name)}"
    yield f"{prefix}.severity", threshold.severity.name
    yield f"{prefix}.value_{unit}", threshold.value
    yield f"{prefix}.clear_value_{unit}", threshold.clear_value
    yield f"{prefix}.evidence", _Words(_evidence(threshold.forecast))


def _evidence(rule: ForecastRule | None) -> str:
    if rule is None:
        return "observed"
    forecast = f"a probability of at least {rule.probability} within {days(rule.within_days)}"
    return f"observed, or forecast with {forecast}"


def _rise_settings(rise: RiseThreshold, unit: str) -> Keyed:
    prefix = f"rise_thresholds.{rendered_key(rise.name)}"
    yield f"{prefix}.severity", rise.severity.name
    yield f"{prefix}.rise_{unit}_per_day", rise.rise_per_day
    yield f"{prefix}.clear_rise_{unit}_per_day", rise.clear_rise_per_day
    yield f"{prefix}.above_{unit}", rise.arming_value


def _screening_settings(screening: ScreeningLimits) -> Keyed:
    for key, by_variable in (("rate_per_day", screening.rate_per_day), ("spike", screening.spike)):
        for variable, value in by_variable.items():
            yield f"screening.{key}.{variable}", value
    yield from _fields("screening", screening, but=("rate_per_day", "spike"))


def _fields(prefix: str, settings: object, but: tuple[str, ...] = ()) -> Keyed:
    """Yield the fields of a dataclass that holds plain values."""
    if not dataclasses.is_dataclass(settings):
        raise TypeError(f"{prefix} is no dataclass")
    for field in dataclasses.fields(settings):
        if field.name not in but:
            yield f"{prefix}.{field.name}", getattr(settings, field.name)


def _flat(prefix: str, table: Mapping[str, object]) -> Keyed:
    """Yield what stands in a table of the file and in the tables within it."""
    for name, value in table.items():
        key = f"{prefix}.{rendered_key(name)}"
        if isinstance(value, Mapping):
            yield from _flat(key, value)
        else:
            yield key, value


def _listen(address: tuple[str, int] | None) -> str:
    if address is None:
        return "off"
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _text(dam: str | None, key: str, value: object) -> str:
    """Return a value as it is written in TOML; addresses in it are left out and a mark is put behind."""
    plain = _toml(value)
    hidden = _ADDRESSES.sub(_left_out, plain) if isinstance(value, str | list) else plain
    if hidden == plain:
        return plain
    mark = hashlib.sha256(json.dumps([dam, key, plain]).encode()).hexdigest()[:4]
    return f"{hidden} (mark {mark})"


def _left_out(found: re.Match[str]) -> str:
    if found["url"] is None:
        return "…"
    host = _HOST_ALONE.match(found["url"])
    if host is None or "@" in found["url"]:
        return f"{found['url'].partition('://')[0]}://…"
    return host[0] if host[0] == found["url"] else f"{host[0]}/…"


def _toml(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case ZoneInfo():
            return json.dumps(value.key)
        case time():
            return json.dumps(value.strftime("%H:%M"))
        case date():
            return value.isoformat()
        case _Words():
            return str(value)
        case str() | Path():
            return json.dumps(str(value), ensure_ascii=False)
        case Mapping():
            cells = ", ".join(f"{rendered_key(str(name))} = {_toml(item)}" for name, item in value.items())
            return f"{{ {cells} }}"
        case list() | tuple():
            return f"[{', '.join(map(_toml, value))}]"
        case _:
            return str(value)


def _tables(configuration: Configuration, name: str) -> Mapping[str, object]:
    tables = parse(name, configuration.files[name].encode())
    if isinstance(tables, Problem):
        raise ValueError(f"{name} of a sound configuration cannot be read: {tables}")
    return tables


def _table(tables: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = tables.get(name)
    return found if isinstance(found, Mapping) else {}
