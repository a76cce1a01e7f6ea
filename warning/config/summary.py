"""What a sound configuration comes to, in words: which dams, which thresholds, and who hears what."""

from __future__ import annotations

from urllib.parse import urlsplit

from warning.config.configuration import Configuration, CsvSource, InfluxdbSource
from warning.domain.ahead import WHAT
from warning.domain.delivery import Recipient
from warning.domain.reservoir import LevelThreshold, Reservoir, RiseThreshold, Severity

_MOST_DAMS_IN_FULL = 50


def summary(configuration: Configuration) -> str:
    """Return several lines for a person to read over after an edit; no secret is in them."""
    dams = configuration.reservoirs
    lines = [
        f"The configuration in {configuration.directory} is sound.",
        f"{_count(len(dams), 'dam')}, {_count(len(configuration.recipients), 'recipient')}; severities: "
        + " < ".join(severity.name for severity in configuration.severities),
        _rhythm(configuration),
        *_field_lines(configuration.source),
        *_outlook_lines(configuration),
    ]
    for dam in dams[:_MOST_DAMS_IN_FULL]:
        lines += ["", *_dam_lines(dam, configuration.recipients)]
    if len(dams) > _MOST_DAMS_IN_FULL:
        lines += ["", f"… and {_count(len(dams) - _MOST_DAMS_IN_FULL, 'more dam')}."]
    return "\n".join(lines)


def _rhythm(configuration: Configuration) -> str:
    schedule = configuration.schedule
    words = f"A cycle every day at {schedule.daily_at:%H:%M} {schedule.time_zone.key}"
    if schedule.poll_minutes:
        words += f", new readings looked for every {schedule.poll_minutes} min"
    return f"{words}; readings from {source_words(configuration.source)}."


def source_words(source: CsvSource | InfluxdbSource) -> str:
    """Name where readings come from, without what may be secret."""
    if isinstance(source, CsvSource):
        return str(source.folder)
    address = urlsplit(source.url)
    place = source.bucket or source.database
    return f"{source.measurement} in {place} at {address.scheme}://{address.netloc}"


def _field_lines(source: CsvSource | InfluxdbSource) -> list[str]:
    if isinstance(source, CsvSource):
        return []
    return [
        f'  {variable}: field "{stored.field}" in {stored.unit}, the {stored.daily} of each day'
        f" that begins at {source.day_starts_at:%H:%M}"
        for variable, stored in source.fields.items()
    ]


def _outlook_lines(configuration: Configuration) -> list[str]:
    folder, source = configuration.forecast.outlook_folder, configuration.source
    if folder is not None:
        return [f"  forecast rain and planned release: files in {folder}"]
    outlook = None if isinstance(source, CsvSource) else source.outlook
    if outlook is None:
        return []
    return [
        f'  forecast {WHAT[variable]}: field "{stored.field}" in {stored.unit} of {outlook.measurement},'
        f" issued on the day that its tag {outlook.issued_tag} says"
        for variable, stored in outlook.fields.items()
    ]


def _dam_lines(dam: Reservoir, recipients: tuple[Recipient, ...]) -> list[str]:
    datum = f" above {dam.datum}" if dam.datum else ""
    lines = [f"{dam.id}: {dam.name} ({dam.forecast_variable.noun} in {dam.forecast_variable.unit}{datum})"]
    listening = [recipient for recipient in recipients if recipient.watches(dam.id)]
    thresholds: tuple[LevelThreshold | RiseThreshold, ...] = (*dam.level_thresholds, *dam.rise_thresholds)
    for threshold in thresholds:
        lines.append(f"  {_threshold_words(threshold, dam.forecast_variable.unit)}")
        lines.append(f"      tells {_told(threshold.severity, listening)}")
    untold = {threshold.severity.name for threshold in thresholds} - set(dam.instructions)
    if untold:
        lines.append(f"  no instruction is given for: {', '.join(sorted(untold))}")
    return lines


def _threshold_words(threshold: LevelThreshold | RiseThreshold, unit: str) -> str:
    head = f"{threshold.severity.name}: {threshold.name}, "
    if isinstance(threshold, RiseThreshold):
        return (
            f"{head}rise of {threshold.rise_per_day:,g} {unit} a day above {_number(threshold.arming_value)}"
            f" {unit}; over below {threshold.clear_rise_per_day:,g} {unit} a day"
        )
    rule = threshold.forecast
    evidence = "observed"
    if rule:
        days = _count(rule.within_days, "day")
        evidence += f", or forecast with {rule.probability:.0%} or more within {days}"
    clear = f"over below {_number(threshold.clear_value)} {unit}"
    return f"{head}{_number(threshold.value)} {unit}, {evidence}; {clear}"


def _told(severity: Severity, listening: list[Recipient]) -> str:
    told = [
        f"{recipient.name} ({', '.join(channel.id.split(' ')[0] for channel in recipient.channels)})"
        for recipient in listening
        if recipient.least_severity <= severity
    ]
    return "; ".join(told) or "nobody"


def _number(value: float) -> str:
    return f"{value:,.2f}" if abs(value) < 100_000 else f"{value:,.0f}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
