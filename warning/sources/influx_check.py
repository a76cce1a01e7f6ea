"""What an InfluxDB server holds under the configured names: whether it answers, and its dams and fields."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time

from warning.errors import SourceError
from warning.sources.flux import QUERY_PATH, query_body, string_literal, time_literal
from warning.sources.influx_dialect import dialect_of
from warning.sources.influx_settings import InfluxSettings
from warning.sources.influx_transport import InfluxTransport
from warning.sources.influxql import Statement, ask, field_types, name, source_of

_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Holdings:
    """What stands in the configured measurement: every value of the dam tag, and every field."""

    server: str
    tag_values: tuple[str, ...]
    fields: tuple[str, ...]


def holdings(settings: InfluxSettings) -> Holdings:
    """Ask the server what it holds; raises SourceError where it cannot be reached, or does not let us."""
    with InfluxTransport(settings) as transport:
        dialect = dialect_of(transport)
        ends_at = transport.deadline()
        if dialect.flux:
            tags = _distinct(transport, settings.dam_tag, ends_at)
            fields = _distinct(transport, "_field", ends_at)
        else:
            tags = _tag_values(transport, settings, ends_at)
            fields = tuple(field_types(transport, settings, ends_at))
    version = "" if dialect.major is None else f" {dialect.major}"
    server = f"InfluxDB{version}, asked in {'Flux' if dialect.flux else 'InfluxQL'}"
    return Holdings(server, tuple(sorted(tags)), tuple(sorted(fields)))


def distinct_query(settings: InfluxSettings, column: str) -> str:
    """Ask in Flux for the values of a tag, in the form that the storage engine answers from its index."""
    start = datetime.combine(settings.first_day, time(0), tzinfo=UTC)
    lines = [
        f"from(bucket: {string_literal(settings.bucket or '')})",
        f"range(start: {time_literal(start)})",
        f'filter(fn: (r) => r["_measurement"] == {string_literal(settings.measurement)})',
        f"keep(columns: [{string_literal(column)}])",
        "group()",
        f"distinct(column: {string_literal(column)})",
    ]
    return "\n    |> ".join(lines) + "\n"


def _distinct(transport: InfluxTransport, column: str, ends_at: float) -> tuple[str, ...]:
    settings = transport.settings
    body = transport.fetch(
        "POST",
        QUERY_PATH,
        query={"org": settings.org or ""},
        body=query_body(distinct_query(settings, column)),
        ends_at=ends_at,
    )
    return tuple(dict.fromkeys(_values(body, f"{transport.where}{QUERY_PATH}")))


def _values(body: bytes, where: str) -> Iterable[str]:
    """Yield the column _value of an annotated CSV of strings, to its end."""
    text = body.decode("utf-8", "replace")
    if text.lstrip()[:1] in ("<", "{"):
        start = " ".join(text.split())[:_SHOWN]
        raise SourceError(f"{where}: the answer is not what Flux answers: {start}; check url and bucket")
    header: list[str] = []
    for cells in csv.reader(io.StringIO(text)):
        if not cells or cells[0].startswith("#"):
            header = []
        elif not header:
            header = cells
        else:
            row = dict(zip(header, cells, strict=False))
            if row.get("error"):
                raise SourceError(f"{where}: the server answered with an error: {row['error'][:_SHOWN]}")
            if row.get("_value"):
                yield row["_value"].replace("\r\n", "\n")  # as Go's CSV writer puts it
    if text.strip() and not text.endswith("\r\n\r\n"):  # as the server ends a whole answer
        raise SourceError(f"{where}: the answer was cut short; nothing of it is used")


def _tag_values(transport: InfluxTransport, settings: InfluxSettings, ends_at: float) -> tuple[str, ...]:
    tag = name(settings.dam_tag, "dam_tag")
    statement = Statement(f"SHOW TAG VALUES FROM {source_of(settings)} WITH KEY = {tag}")
    values = [
        str(row[series.columns.index("value")])
        for series in ask(transport, settings, statement, ends_at=ends_at)
        if "value" in series.columns
        for row in series.rows
    ]
    return tuple(dict.fromkeys(values))
