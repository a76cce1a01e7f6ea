"""InfluxQL over /query: questions built safely, and answers parsed as they stream in.

Every question is one statement. Names are validated and quoted; values are bound by the server
(`params`, InfluxDB 1 and 2) or quoted as literals (3, which has no `params`). Answers come in
chunks, one JSON object a line; each fault that hides in a status 200 is a SourceError.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from warning.domain.variables import FloatArray
from warning.errors import SourceError
from warning.sources.blocks import Block, TimeArray
from warning.sources.influx_settings import InfluxSettings
from warning.sources.influx_transport import InfluxTransport

CHUNK_ROWS = 10_000
_LONGEST_LINE_BYTES = 256 << 20
_LONGEST_FILTER_CHARACTERS = (
    4000  # a GET's address must pass proxies; a longer list of dams reads all of them
)
_SHOWN_BYTES = 120
_NUMBERS = frozenset({"float", "integer", "unsigned"})
_UNUSED = "nothing of the answer is used"


@dataclass(frozen=True, slots=True)
class Statement:
    """One InfluxQL statement and the values bound in it."""

    text: str
    params: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Series:
    """A stretch of one series as an answer gives it; cells are JSON's own types."""

    tags: Mapping[str, str]
    columns: tuple[str, ...]
    rows: list[list[Any]]


def name(text: str, what: str = "name") -> str:
    """Return an identifier quoted; raises SourceError for one that no quoting makes safe."""
    if not text or any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise SourceError(
            f"the {what} {text!r} of the source cannot be used in a query: "
            "it must not be empty nor hold control characters such as a line break; correct the configuration"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SourceError(
            f"the {what} {text!r} of the source cannot be used in a query: it is not valid Unicode"
        ) from error
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def literal(text: str, what: str = "value") -> str:
    """Return a string value quoted; raises SourceError as `name` does."""
    name(text, what)
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def select_readings(
    settings: InfluxSettings,
    fields: Sequence[str],
    tag_values: Sequence[str],
    *,
    from_ns: int,
    until_ns: int | None = None,
    bind: bool,
    issued_tag: str | None = None,
) -> Statement:
    """Ask for `fields` from `from_ns` on and before `until_ns`, of all dams in one statement.

    With `issued_tag` each row says what that tag holds, in a column.

    A short list of `tag_values` restricts the answer to them; with a long one every dam of the
    measurement comes, and the caller takes those it wants. `bind` is for InfluxDB 1 and 2.
    """
    tag = name(settings.dam_tag, "dam_tag")
    selected = [name(one, "field") for one in fields]
    if issued_tag is not None:
        selected.append(f"{name(issued_tag, 'issued_tag')}::tag")
    columns = ", ".join(selected)
    conditions = [f"time >= {from_ns}"] + ([] if until_ns is None else [f"time < {until_ns}"])
    literals = [literal(value, "tag value") for value in tag_values]
    params: dict[str, str | int] = {}
    if sum(len(one) + len(tag) + 8 for one in literals) <= _LONGEST_FILTER_CHARACTERS:
        if bind:
            params = {f"dam{i}": value for i, value in enumerate(tag_values)}
            literals = [f"${key}" for key in params]
        conditions.append("(" + " OR ".join(f"{tag} = {one}" for one in literals) + ")")
    where = " AND ".join(conditions)
    return Statement(f"SELECT {columns} FROM {source_of(settings)} WHERE {where} GROUP BY {tag}", params)


def source_of(settings: InfluxSettings) -> str:
    """Return the measurement as it stands after FROM, with its retention policy where one is set."""
    measurement = name(settings.measurement, "measurement")
    if settings.retention_policy is None:
        return measurement
    return f"{name(settings.retention_policy, 'retention_policy')}.{measurement}"


def field_types(
    transport: InfluxTransport, settings: InfluxSettings, ends_at: float | None = None
) -> dict[str, frozenset[str]]:
    """Return each field of the measurement with the types it is stored in: "float", "integer", "string"…"""
    statement = Statement(f"SHOW FIELD KEYS FROM {source_of(settings)}")
    types: dict[str, set[str]] = {}
    for series in ask(transport, settings, statement, ends_at=ends_at):
        if "fieldKey" in series.columns and "fieldType" in series.columns:
            key, kind = series.columns.index("fieldKey"), series.columns.index("fieldType")
            for row in series.rows:
                types.setdefault(str(row[key]), set()).add(str(row[kind]))
    return {key: frozenset(kinds) for key, kinds in types.items()}


def refuse_mixed_types(where: str, fields: Iterable[str], types: Mapping[str, frozenset[str]]) -> None:
    """Raise SourceError for a field that holds anything but numbers somewhere.

    A SELECT over shards of several types gives the values of one type alone and drops the others
    in silence; only integers and floats come together, whole, as floats.
    """
    for one in fields:
        kinds = types.get(one, frozenset())
        if not kinds <= _NUMBERS:
            others = " and ".join(sorted(kinds))
            raise SourceError(
                f"{where}: the field {one!r} is stored as {others}, expected numbers; the server would leave "
                "readings out of the answer without a word. Write the field anew as float, or name another"
            )


def ask(
    transport: InfluxTransport,
    settings: InfluxSettings,
    statement: Statement,
    *,
    empty_body: bool = True,
    ends_at: float | None = None,
) -> Iterator[Series]:
    """Yield what one statement answers, as it comes; raises SourceError for every fault.

    Some faults show at the end only: use nothing before it is reached. `empty_body` says whether an
    answer without a byte means that there is nothing, as InfluxDB 3 puts it; 1 and 2 always say
    something.
    """
    if settings.database is None:
        raise SourceError(
            f"{transport.where}: InfluxQL needs the name of a database; set database of the source"
        )
    query = {"db": settings.database, "q": statement.text, "epoch": "ns"}
    query |= {"chunked": "true", "chunk_size": str(CHUNK_ROWS)}
    if statement.params:
        query["params"] = json.dumps(statement.params)
    pieces = transport.stream(
        "GET", "/query", query=query, headers={"Accept": "application/json"}, ends_at=ends_at
    )
    answer = _Answer(f"{transport.where}/query", empty_body)
    for line in _lines(pieces, answer):
        yield from answer.take(line)
    answer.end()


def read_blocks(
    series: Iterable[Series], dam_tag: str, where: str, issued_tag: str | None = None
) -> Iterator[Block]:
    """Turn the series of `select_readings` into blocks; raises SourceError for a cell that is no number.

    The dam's tag stands beside the rows in InfluxDB 1 and 2, and in a column of them in 3.
    """
    for one in series:
        if not one.rows:
            continue
        cells = _cells(one, where)
        times = _times(cells.pop("time", ()), where)
        issued = None if issued_tag is None else cells.pop(issued_tag, ("",) * times.size)
        if dam_tag in one.tags:
            yield from _blocks(one.tags[dam_tag], times, cells, where, issued)
        elif dam_tag in cells:
            dams = np.array([tag or "" for tag in cells.pop(dam_tag)], dtype=object)
            for dam in dict.fromkeys(dams.tolist()):
                rows = np.flatnonzero(dams == dam)
                kept = {key: [column[row] for row in rows] for key, column in cells.items()}
                of_dam = None if issued is None else tuple(issued[row] for row in rows)
                yield from _blocks(str(dam), times[rows], kept, where, of_dam)
        else:
            raise SourceError(
                f"{where}: the answer does not say which dam its rows are of: expected the tag {dam_tag!r}, "
                f"found the columns {', '.join(one.columns)}; {_UNUSED}"
            )


class _Answer:
    """What has been understood of an answer so far, and whether it ended as it should."""

    def __init__(self, where: str, empty_body: bool) -> None:
        self.where = where
        self._empty_body = empty_body
        self._objects = 0
        self._partial = False

    def take(self, line: bytes) -> Iterator[Series]:
        try:
            found = json.loads(line, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            self._not_understood(line, error)
        if not isinstance(found, dict):
            self._not_understood(line, ValueError("no JSON object"))
        self._refuse_error(found)
        results = found.get("results")
        if not isinstance(results, list) or len(results) != 1 or not isinstance(results[0], dict):
            self._not_understood(line, ValueError("not the results of one statement"))
        result = results[0]
        if result.get("statement_id", 0) != 0:
            self._not_understood(line, ValueError("not the results of one statement"))
        self._refuse_error(result)
        self._objects += 1
        every = result.get("series") or []
        try:
            self._partial = bool(result.get("partial")) or any(bool(one.get("partial")) for one in every)
            series = [Series(s.get("tags") or {}, tuple(s["columns"]), s.get("values") or []) for s in every]
        except (KeyError, TypeError, AttributeError) as error:
            self._not_understood(line, error)
        yield from series

    def end(self) -> None:
        if self._partial:
            raise SourceError(
                f'{self.where}: the answer ends with "partial": true: the server held readings back, or the '
                f"answer was cut; {_UNUSED}. Look at max-row-limit in the server's configuration"
            )
        if not self._objects and not self._empty_body:
            raise SourceError(f"{self.where}: the answer is empty, without even a result; {_UNUSED}")

    def refuse_long_line(self) -> NoReturn:
        raise SourceError(
            f"{self.where}: the answer holds a line of more than {_LONGEST_LINE_BYTES >> 20} MiB, expected "
            f"chunks of {CHUNK_ROWS} rows; {_UNUSED}. Is there InfluxDB behind the url?"
        )

    def _refuse_error(self, found: Mapping[str, Any]) -> None:
        message = found.get("error")
        if message is not None:
            text = f"the server answered with an error: {message}; {_UNUSED}{_remedy(str(message))}"
            raise SourceError(f"{self.where}: {text}")

    def _not_understood(self, line: bytes, error: Exception) -> NoReturn:
        start = line[:_SHOWN_BYTES].decode("utf-8", "replace").strip()
        if start.startswith("<"):
            text = f"the answer is a web page ({start}), expected JSON; does the url lead to InfluxDB itself?"
        elif start.startswith("{") and not line.endswith(b"\n"):
            text = f"the answer was cut short after {self._objects} whole chunks; {_UNUSED}"
        else:
            text = f"the answer is not what InfluxQL answers ({error}): {start!r}; {_UNUSED}"
        raise SourceError(f"{self.where}: {text}") from error


def _remedy(message: str) -> str:
    if "database not found" in message:
        return ". Correct database of the source"
    if "retention policy not found" in message:
        return ". Correct retention_policy of the source"
    if "not authorized" in message or "authorization" in message:
        return ". Give the user of the source the right to read this database"
    return ""


def _lines(pieces: Iterable[bytes], answer: _Answer) -> Iterator[bytes]:
    """Yield the body line by line, each with its end, which the last lacks where it was cut."""
    waiting: list[bytes] = []
    waiting_bytes = 0
    for piece in pieces:
        *whole, rest = piece.split(b"\n")
        for part in whole:
            line = b"".join([*waiting, part, b"\n"])
            waiting, waiting_bytes = [], 0
            if line.strip():
                yield line
        waiting.append(rest)
        waiting_bytes += len(rest)
        if waiting_bytes > _LONGEST_LINE_BYTES:
            answer.refuse_long_line()
    line = b"".join(waiting)
    if line.strip():
        yield line


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")


def _cells(series: Series, where: str) -> dict[str, tuple[Any, ...]]:
    try:
        return dict(zip(series.columns, zip(*series.rows, strict=True), strict=True))
    except (TypeError, ValueError) as error:
        raise SourceError(
            f"{where}: the answer holds a row that has not one cell for each of the columns "
            f"{', '.join(map(str, series.columns))}; {_UNUSED}"
        ) from error


def _blocks(
    dam: str,
    times: TimeArray,
    cells: Mapping[str, Sequence[Any]],
    where: str,
    issued: Sequence[Any] | None,
) -> Iterator[Block]:
    said = None if issued is None else tuple("" if cell is None else str(cell) for cell in issued)
    for column, values in cells.items():
        yield Block(dam, column, times, _numbers(dam, column, values, where), said)


def _times(column: Sequence[Any], where: str) -> TimeArray:
    if set(map(type, column)) != {int}:
        raise SourceError(f"{where}: the answer holds times that are no whole numbers; {_UNUSED}")
    try:
        return np.array(column, dtype=np.int64)
    except OverflowError as error:
        raise SourceError(f"{where}: the answer holds a time beyond the year 2262; {_UNUSED}") from error


def _numbers(dam: str, column: str, values: Sequence[Any], where: str) -> FloatArray:
    others = set(map(type, values)) - {int, float, type(None)}
    if others:
        found = next(value for value in values if type(value) in others)
        raise SourceError(
            f"{where}: the field {column!r} of {dam!r} holds {found!r}, expected numbers; {_UNUSED}. "
            "Name another field, or write this one as float"
        )
    too_large = SourceError(f"{where}: the field {column!r} of {dam!r} holds a number too large; {_UNUSED}")
    try:
        numbers = np.array(values, dtype=np.float64)  # null becomes NaN
    except OverflowError as error:
        raise too_large from error
    if np.isinf(numbers).any():
        raise too_large
    return numbers
