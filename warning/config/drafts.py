"""What each of the three files may hold, key by key.

A draft is a file as far as it could be understood. Every field may be absent (TOML knows no null);
`key` says what belongs there and whether it must. Rules between keys are elsewhere.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from warning.config.configuration import DailyValue, Device, Dialect, WeightError, WeightRuleName
from warning.config.fields import (
    AllOrSome,
    Day,
    Days,
    Email,
    FromName,
    Host,
    Hours,
    Line,
    Phone,
    Place,
    Positive,
    Range,
    Seconds,
    Text,
    TimeOfDay,
    key,
)


class Draft(BaseModel):
    """No coercion, no unknown key, no NaN; errors of pydantic never quote what was found."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True, frozen=True
    )


# --- reservoirs.toml ---------------------------------------------------------------------------

_NUMBER = "a number in the unit of the forecast variable"
_RISE = "a number in the unit of the forecast variable per day"


class ForecastRuleDraft(Draft):
    probability: Annotated[float, Field(gt=0, le=1)] | None = key(
        "a probability above 0 and up to 1", "probability = 0.5", required=True
    )
    within_days: Annotated[int, Field(ge=1, le=7)] | None = key(
        "a whole number of days from 1 to 7", "within_days = 7", required=True
    )


class ThresholdDraft(Draft):
    name: Line | None = key("a line of text", 'name = "spillway crest"', required=True)
    severity: Line | None = key("one of the severities", 'severity = "warning"', required=True)
    value: float | None = key(_NUMBER, "value = 274.32", required=True)
    clear_value: float | None = key(f"{_NUMBER}, below value", "clear_value = 274.0", required=True)
    forecast: ForecastRuleDraft | None = key(
        "a table of probability and within_days", "forecast = { probability = 0.5, within_days = 7 }"
    )


class RiseThresholdDraft(Draft):
    name: Line | None = key("a line of text", 'name = "fast rise"', required=True)
    severity: Line | None = key("one of the severities", 'severity = "watch"', required=True)
    rise_per_day: Positive | None = key(f"{_RISE}, above 0", "rise_per_day = 3.0", required=True)
    clear_rise_per_day: float | None = key(
        f"{_RISE}, below rise_per_day", "clear_rise_per_day = 1.5", required=True
    )
    above: float | None = key(_NUMBER, "above = 260.0", required=True)


class LimitsDraft(Draft):
    level_m: Range | None = key("[lower, upper] in m", "level_m = [190.0, 281.0]")
    storage_m3: Range | None = key("[lower, upper] in m³", "storage_m3 = [0, 4.5e9]")
    inflow_m3s: Range | None = key("[lower, upper] in m³/s", "inflow_m3s = [-500, 20000]")
    outflow_m3s: Range | None = key("[lower, upper] in m³/s", "outflow_m3s = [0, 20000]")
    rain_mm: Range | None = key("[lower, upper] in mm", "rain_mm = [0, 600]")


class PerVariableDraft(Draft):
    level_m: Positive | None = key("a number of m above 0", "level_m = 12.0")
    storage_m3: Positive | None = key("a number of m³ above 0", "storage_m3 = 6e8")
    inflow_m3s: Positive | None = key("a number of m³/s above 0", "inflow_m3s = 6000")
    outflow_m3s: Positive | None = key("a number of m³/s above 0", "outflow_m3s = 6000")
    rain_mm: Positive | None = key("a number of mm above 0", "rain_mm = 500")


class ScreeningDraft(Draft):
    rate_per_day: PerVariableDraft | None = key("a table of variables", "rate_per_day = { level_m = 12.0 }")
    spike: PerVariableDraft | None = key("a table of variables", "spike = { level_m = 6.0 }")
    sentinels: list[float] | None = key("an array of numbers", "sentinels = [-999, 9999]")
    flat_line_days: Annotated[int, Field(ge=2, le=3650)] | None = key(
        "a whole number of days from 2 to 3650", "flat_line_days = 14"
    )
    zero_run_days: Days | None = key("a whole number of days from 1 to 3650", "zero_run_days = 5")
    gap_days: Days | None = key("a whole number of days from 1 to 3650", "gap_days = 3")
    level_storage_tolerance_m: Positive | None = key(
        "a number of m above 0", "level_storage_tolerance_m = 1.0"
    )
    scale_step_factor: Annotated[float, Field(gt=1)] | None = key(
        "a factor above 1", "scale_step_factor = 10.0"
    )


class CommonPolicyDraft(Draft):
    """What makes sense for dams of any unit."""

    remind_after_hours: Hours | None = key(
        "a number of hours above 0, up to 8760", "remind_after_hours = 24.0"
    )
    update_first_day_change_days: Days | None = key(
        "a whole number of days from 1 to 3650", "update_first_day_change_days = 1"
    )
    clear_after_days: Days | None = key("a whole number of days from 1 to 3650", "clear_after_days = 1")


class PolicyDraft(CommonPolicyDraft):
    update_peak_change: Positive | None = key(f"{_NUMBER}, above 0", "update_peak_change = 0.3")


_STALE = key("a whole number of days from 1 to 3650", "stale_after_days = 2")
_INSTRUCTIONS = key("a table of severity = text", 'instructions = { emergency = "open gate 3" }')


class ReservoirDraft(Draft):
    name: Line | None = key("a line of text", 'name = "Oroville"', required=True)
    time_zone: Line | None = key("an IANA time zone", 'time_zone = "America/Los_Angeles"', required=True)
    datum: Line | None = key("the name of the level's zero", 'datum = "NGVD29"')
    forecast_variable: Literal["level_m", "storage_m3"] | None = key(
        '"level_m" or "storage_m3"', 'forecast_variable = "level_m"', required=True
    )
    stale_after_days: Days | None = _STALE
    recipients: list[str] | None = key("an array of names of recipients", 'recipients = ["maria"]')
    source_tag: Line | None = key("the value of the dam's tag in InfluxDB", 'source_tag = "ORO"')
    capacity_m3: Positive | None = key("a number of m³ above 0", "capacity_m3 = 4.36e9")
    limits: LimitsDraft | None = key(
        "a table of [lower, upper] by variable", "limits = { level_m = [190.0, 281.0] }"
    )
    thresholds: list[ThresholdDraft] | None = key(
        "tables [[reservoirs.ID.thresholds]]", "[[reservoirs.ID.thresholds]]"
    )
    rise_thresholds: list[RiseThresholdDraft] | None = key(
        "tables [[reservoirs.ID.rise_thresholds]]", "[[reservoirs.ID.rise_thresholds]]"
    )
    instructions: dict[str, Text] | None = _INSTRUCTIONS
    screening: ScreeningDraft | None = key("a table of screening limits", "[reservoirs.ID.screening]")
    policy: PolicyDraft | None = key("a table on repeating messages", "[reservoirs.ID.policy]")


class DefaultsDraft(Draft):
    stale_after_days: Days | None = _STALE
    instructions: dict[str, Text] | None = _INSTRUCTIONS
    policy: CommonPolicyDraft | None = key("a table on repeating messages", "[defaults.policy]")


class ReservoirsFile(Draft):
    defaults: DefaultsDraft | None = key("a table of defaults for all dams", "[defaults]")
    reservoirs: dict[str, ReservoirDraft] | None = key(
        "one table per dam", "[reservoirs.oroville]", required=True
    )


# --- recipients.toml ---------------------------------------------------------------------------


class RecipientDraft(Draft):
    name: Line | None = key("a line of text", 'name = "Maria Ortega"', required=True)
    least_severity: Line | None = key("one of the severities", 'least_severity = "watch"', required=True)
    reservoirs: AllOrSome | None = key('"all" or an array of ids of dams', 'reservoirs = ["oroville"]')
    findings: bool | None = key("true or false", "findings = true")
    email: Email | None = key("one mail address", 'email = "maria@example.org"')
    sms: Phone | None = key("a number with + and country code, digits only", 'sms = "+15305550101"')
    apprise: list[str] | None = key(
        "an array of references to Apprise URLs", 'apprise = ["file:siren.url"]', secret=True
    )


class RecipientsFile(Draft):
    recipients: dict[str, RecipientDraft] | None = key(
        "one table per person or desk", "[recipients.maria]", required=True
    )


# --- warning.toml ------------------------------------------------------------------------------


class FieldDraft(Draft):
    field: Line | None = key("the name of a field", 'field = "level"', required=True)
    unit: Line | None = key("the unit that the field is stored in", 'unit = "m"')
    daily: DailyValue | None = key('"last", "mean" or "max" of a day\'s readings', 'daily = "last"')


def _field_of(variable: str) -> Any:
    example = f'[source.fields.{variable}] with field = "NAME" and unit = "UNIT"'
    return key("a table of field, unit and daily", example)


class FieldsDraft(Draft):
    level_m: FieldDraft | None = _field_of("level_m")
    storage_m3: FieldDraft | None = _field_of("storage_m3")
    inflow_m3s: FieldDraft | None = _field_of("inflow_m3s")
    outflow_m3s: FieldDraft | None = _field_of("outflow_m3s")
    rain_mm: FieldDraft | None = _field_of("rain_mm")


class OutlookFieldDraft(Draft):
    field: Line | None = key("the name of a field", 'field = "rain"', required=True)
    unit: Line | None = key("the unit that the field is stored in", 'unit = "mm"')


class OutlookDraft(Draft):
    measurement: Line | None = key("the name of a measurement of its own", 'measurement = "outlook"')
    issued_tag: Line | None = key("the tag that holds the day of issue", 'issued_tag = "issued_on"')
    rain_mm: OutlookFieldDraft | None = key(
        "a table of field and unit", '[source.outlook.rain_mm] with field = "NAME" and unit = "UNIT"'
    )
    outflow_m3s: OutlookFieldDraft | None = key(
        "a table of field and unit", '[source.outlook.outflow_m3s] with field = "NAME" and unit = "UNIT"'
    )


class WriteBackDraft(Draft):
    enabled: bool | None = key("true or false", "enabled = true")
    measurement: Line | None = key("the name of a measurement of its own", 'measurement = "dam_forecast"')


class SourceDraft(Draft):
    """Which keys belong to which kind is said in source_rules."""

    kind: Literal["csv", "influxdb"] | None = key(
        '"csv" (a folder of CSV files) or "influxdb"', 'kind = "csv"', required=True
    )
    folder: Place | None = key("the path of a folder", 'folder = "readings"')
    url: Place | None = key("the URL of the server", 'url = "https://influxdb.example.org:8086"')
    dialect: Dialect | None = key('"auto", "flux" or "influxql"', 'dialect = "auto"')
    token: Place | None = key('"file:PATH" or "env:NAME"', 'token = "file:influxdb-token"', secret=True)
    user: Line | None = key("a line of text", 'user = "dam-warning"')
    password: Place | None = key(
        '"file:PATH" or "env:NAME"', 'password = "file:influxdb-password"', secret=True
    )
    org: Line | None = key("the name of the organisation", 'org = "dams"')
    bucket: Line | None = key("the name of the bucket", 'bucket = "readings"')
    database: Line | None = key("the name of the database", 'database = "readings"')
    retention_policy: Line | None = key("the name of a retention policy", 'retention_policy = "autogen"')
    measurement: Line | None = key("the name of the measurement", 'measurement = "reservoir"')
    dam_tag: Line | None = key("the tag that says which dam a reading is of", 'dam_tag = "dam"')
    fields: FieldsDraft | None = key(
        "a table per variable", '[source.fields.level_m] with field = "level" and unit = "m"'
    )
    day_starts_at: TimeOfDay | None = key('a time of day from "00:00" to "23:59"', 'day_starts_at = "00:00"')
    first_day: Day | None = key("a day from 1800 on", "first_day = 1990-01-01")
    read_timeout_s: Seconds | None = key("a number of seconds from 1 to 86400", "read_timeout_s = 30")
    deadline_s: Seconds | None = key("a number of seconds from 1 to 86400", "deadline_s = 300")
    retries: Annotated[int, Field(ge=0, le=20)] | None = key("a whole number from 0 to 20", "retries = 3")
    verify_tls: bool | None = key("true or false", "verify_tls = true")
    ca_file: Place | None = key("the path of a file of certificates", 'ca_file = "/etc/ssl/certs/dams.pem"')
    proxy: Place | None = key(
        "the URL of a proxy or a reference to one", 'proxy = "http://proxy.example.org:3128"', secret=True
    )
    write_back: WriteBackDraft | None = key("a table of enabled and measurement", "[source.write_back]")
    outlook: OutlookDraft | None = key("a table of rain_mm, outflow_m3s or both", "[source.outlook]")


class ScheduleDraft(Draft):
    daily_at: TimeOfDay | None = key(
        'a time of day from "00:00" to "23:59"', 'daily_at = "06:30"', required=True
    )
    time_zone: Line | None = key("an IANA time zone", 'time_zone = "America/Los_Angeles"', required=True)
    poll_minutes: Annotated[int, Field(ge=1, le=1440)] | None = key(
        "a whole number of minutes from 1 to 1440", "poll_minutes = 30"
    )
    delivery_every_s: Annotated[float, Field(ge=1, le=3600)] | None = key(
        "a number of seconds from 1 to 3600", "delivery_every_s = 15"
    )


class ForecastDraft(Draft):
    device: Device | None = key('"auto", "cpu" or "cuda"', 'device = "auto"')
    time_limit_s: Seconds | None = key("a number of seconds from 1 to 86400", "time_limit_s = 300")
    train_time_limit_s: Annotated[float, Field(ge=1, le=604_800)] | None = key(
        "a number of seconds from 1 to 604800", "train_time_limit_s = 7200"
    )
    weight_rule: WeightRuleName | None = key('"published" or "decay"', 'weight_rule = "decay"')
    weight_decay: Annotated[float, Field(gt=0, lt=1)] | None = key(
        "a number above 0 and below 1", "weight_decay = 0.95"
    )
    weight_error: WeightError | None = key('"absolute" or "squared"', 'weight_error = "squared"')
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] | None = key(
        "a whole number from 0 to 4294967295", "seed = 0"
    )
    max_epochs: Annotated[int, Field(ge=1, le=100_000)] | None = key(
        "a whole number from 1 to 100000", "max_epochs = 30"
    )
    outlook_folder: Place | None = key("the path of a folder", 'outlook_folder = "outlooks"')
    retrain_every_days: Annotated[int, Field(ge=0, le=3650)] | None = key(
        "a whole number of days from 0 (never) to 3650", "retrain_every_days = 30"
    )


class JournalDraft(Draft):
    url: Place | None = key(
        "an SQLAlchemy URL or a reference to one", 'url = "file:journal.url"', secret=True
    )


class MailDraft(Draft):
    host: Host | None = key("the name of the mail server", 'host = "mail.example.org"', required=True)
    port: Annotated[int, Field(ge=1, le=65_535)] | None = key("a whole number from 1 to 65535", "port = 587")
    security: Literal["none", "starttls", "tls"] | None = key(
        '"none", "starttls" or "tls"', 'security = "starttls"'
    )
    user: Line | None = key("a line of text", 'user = "dam-warning"')
    password: Place | None = key('"file:PATH" or "env:NAME"', 'password = "file:mail-password"', secret=True)
    from_address: Email | None = key("one mail address", 'from_address = "dams@example.org"', required=True)
    from_name: FromName | None = key(
        "a line of text without : < > ' \" \\ , @ ( ) [ ]", 'from_name = "Dam warning"'
    )


class SmsDraft(Draft):
    url: Place | None = key(
        "a reference to an Apprise URL with {phone} in it", 'url = "file:sms.url"', True, True
    )


class DeliveryDraft(Draft):
    first_wait_s: Seconds | None = key("a number of seconds from 1 to 86400", "first_wait_s = 30")
    factor: Annotated[float, Field(ge=1, le=100)] | None = key("a number from 1 to 100", "factor = 2.0")
    longest_wait_s: Seconds | None = key("a number of seconds from 1 to 86400", "longest_wait_s = 1800")
    expire_after_hours: Hours | None = key("a number of hours above 0, up to 8760", "expire_after_hours = 24")


class HealthDraft(Draft):
    listen: Line | None = key('"127.0.0.1:PORT", "[::1]:PORT" or "off"', 'listen = "127.0.0.1:9797"')
    ping_url: Place | None = key("a URL or a reference to one", 'ping_url = "file:ping.url"', secret=True)
    heartbeat_at: TimeOfDay | None = key('a time of day from "00:00" to "23:59"', 'heartbeat_at = "08:00"')
    least_free_disk_mb: Annotated[int, Field(ge=1, le=10_000_000)] | None = key(
        "a whole number of megabytes from 1 to 10000000", "least_free_disk_mb = 500"
    )
    oldest_model_days: Days | None = key("a whole number of days from 1 to 3650", "oldest_model_days = 60")
    undelivered_minutes: Annotated[int, Field(ge=1, le=100_000)] | None = key(
        "a whole number of minutes from 1 to 100000", "undelivered_minutes = 30"
    )


class RetentionDraft(Draft):
    cycles_days: Annotated[int, Field(ge=7, le=36_500)] | None = key(
        "a whole number of days from 7 to 36500", "cycles_days = 730"
    )


class WarningFile(Draft):
    state_directory: Place | None = key("the path of a folder", 'state_directory = "/var/lib/dam-warning"')
    severities: list[Line] | None = key(
        "an array of names, the least severe first", 'severities = ["watch", "warning"]'
    )
    source: SourceDraft | None = key("a table", "[source]", required=True)
    schedule: ScheduleDraft | None = key("a table", "[schedule]", required=True)
    forecast: ForecastDraft | None = key("a table", "[forecast]")
    journal: JournalDraft | None = key("a table", "[journal]")
    mail: MailDraft | None = key("a table", "[mail]", secret=True)
    sms: SmsDraft | None = key("a table", "[sms]", secret=True)
    delivery: DeliveryDraft | None = key("a table", "[delivery]")
    health: HealthDraft | None = key("a table", "[health]", secret=True)
    retention: RetentionDraft | None = key("a table", "[retention]")
