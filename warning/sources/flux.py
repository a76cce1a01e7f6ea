"""The Flux that asks InfluxDB 2.x for the readings of a fleet, and how names get into it safely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from warning.sources.annotated_csv import ANNOTATIONS

QUERY_PATH = "/api/v2/query"  # takes `query_body` as JSON by POST, the organisation as parameter `org`

_MOST_NAMED_DAMS = 100  # as `or`, more than these cost the server more than the rows they save
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "$": "\\x24"})


def string_literal(text: str) -> str:
    """Write `text` as a Flux string literal that means it and nothing else.

    Every `$` becomes \\x24: where `${` stands for an expression, escaping it as `\\${` fails beside
    other escapes. Raises ValueError for text that is not Unicode (a lone surrogate).
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{text!r} is no name: it has a character that is not Unicode") from error
    escaped = text.translate(_ESCAPES)
    return '"' + "".join(f"\\x{ord(c):02x}" if ord(c) < 0x20 or c == "\x7f" else c for c in escaped) + '"'


def time_literal(instant: datetime) -> str:
    """Write an aware instant as a Flux time, to the microsecond."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant} has no time zone")
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def fleet_query(
    *,
    bucket: str,
    measurement: str,
    fields: Sequence[str],
    dam_tag: str,
    dams: Sequence[str],
    start: datetime,
    stop: datetime,
    issued_tag: str | None = None,
) -> str:
    """Ask for every reading of `fields` at `dams`, `start` included, `stop` not; with it `issued_tag`.

    A large fleet is not named dam by dam: then the answer holds whatever has the measurement, and
    the reader drops the dams it does not know. All else that rows carry is left on the server.
    """
    if not fields or not dams:
        raise ValueError("a query needs at least one field and one dam")
    lines = [
        f"from(bucket: {string_literal(bucket)})",
        f"range(start: {time_literal(start)}, stop: {time_literal(stop)})",
        _filter("_measurement", [measurement]),
        _filter("_field", fields),
    ]
    if len(dams) <= _MOST_NAMED_DAMS:
        lines.append(_filter(dam_tag, dams))
    kept = ["_time", "_value", "_field", dam_tag, *([] if issued_tag is None else [issued_tag])]
    columns = ", ".join(string_literal(name) for name in kept)
    lines.append(f"keep(columns: [{columns}])")
    return "\n    |> ".join(lines) + "\n"


def query_body(query: str) -> Mapping[str, object]:
    """Return what to POST so that the answer comes as `annotated_csv.read_blocks` reads it."""
    dialect = {"header": True, "delimiter": ",", "annotations": list(ANNOTATIONS)}
    return {"query": query, "type": "flux", "dialect": dialect}


def _filter(column: str, values: Sequence[str]) -> str:
    # compared by == one by one: that is what the storage engine answers from its index
    tests = (f"r[{string_literal(column)}] == {string_literal(value)}" for value in values)
    return f"filter(fn: (r) => {' or '.join(tests)})"
