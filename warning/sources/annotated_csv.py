"""InfluxDB 2.x's answer to a Flux query, annotated CSV, read while it streams.

An answer is made of tables in any order. A schema (annotation lines beginning with #, then a header)
stands before the first table, again wherever the columns or their types change, and around empty
tables, each time after an empty line. An answer without any row is one empty line. An error that
the server meets in mid-answer comes, with status 200, as a table of its own with the columns `error`
and `reference`.

How a whole answer is known: HTTP's framing (chunks or a length) is the transport's to check, but a
proxy that asks the server by HTTP/1.0, as nginx does unless told otherwise, passes a broken answer
on in whole chunks. So it must also end in the empty line that the server writes after the last
table; a body cut anywhere else is refused. What remains is such a proxy and a cut right behind the
empty line before a change of schema: one place among all bytes of the answer.
A marker of our own at the end cannot be had: a script's results are sent in random order (Flux
ranges over a Go map), and two that share a source wait for each other for ever once one has more
than 1,000 tables (the length of its queue).
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, pairwise

import numpy as np

from warning.domain.variables import BoolArray, FloatArray
from warning.errors import SourceError
from warning.sources.blocks import Block, TimeArray
from warning.sources.csv_cells import ByteArray, Cells, CsvText, UnreadableCell, numbers, times_ns

ANNOTATIONS = ("datatype", "default")  # what `read_blocks` needs the query to ask for

_STRETCH_BYTES = 1 << 19
_LONGEST_LINE_BYTES = 1 << 24
_COMMA, _NEWLINE, _RETURN, _QUOTE = ord(","), ord("\n"), ord("\r"), ord('"')
_NUMBER_TYPES = {"double", "long", "unsignedLong"}
_TIME_TYPES = {"dateTime:RFC3339", "dateTime:RFC3339Nano"}
_SHOWN = 200  # characters of what others wrote
_UNUSED = "nothing of this answer is used"


def read_blocks(
    chunks: Iterable[bytes], dam_tag: str, where: str, issued_tag: str | None = None
) -> Iterator[Block]:
    """Yield the readings of an answer with the columns _time, _value, _field and the tag `dam_tag`.

    With `issued_tag` each says, too, what that tag holds, "" where rows carry none.

    Memory stays at a few stretches of the text, whatever its length. Integers and unsigned integers
    become float64. An answer can turn out broken after blocks were yielded: use them only once the
    iterator has ended by itself. `where` names server and bucket in messages.
    Raises SourceError when the answer is cut, carries an error, or is not what was asked for.
    """
    answer = _Answer(dam_tag, where, issued_tag)
    for stretch in _stretches(chunks, where):
        yield from answer.read(stretch)
    answer.close()


def _stretches(chunks: Iterable[bytes], where: str) -> Iterator[bytes]:
    """Join `chunks` to stretches that end with a line's end; the rest comes last, whatever it is."""
    pending = bytearray()
    wanted = 0  # until then another look for a line's end is in vain
    for chunk in chunks:
        pending += chunk
        if len(pending) < max(_STRETCH_BYTES, wanted):
            continue
        end = _last_line_end(pending)
        if end:
            yield bytes(pending[:end])
            del pending[:end]
            wanted = 0
        elif len(pending) > _LONGEST_LINE_BYTES:
            raise SourceError(
                f"{where}: found a line of more than {_LONGEST_LINE_BYTES >> 20} MiB, expected annotated "
                f"CSV; {_UNUSED}; does the url lead to InfluxDB itself?"
            )
        else:
            wanted = 2 * len(pending)
    end = _last_line_end(pending)
    for rest in (pending[:end], pending[end:]):
        if rest:
            yield bytes(rest)


def _last_line_end(text: bytearray) -> int:
    """Return where the last line that ends outside of quotes ends, 0 without one."""
    if _QUOTE not in text:
        return text.rfind(b"\n") + 1
    characters = np.frombuffer(bytes(text), np.uint8)
    ends = np.flatnonzero((characters == _NEWLINE) & ~_quoted(characters))
    return int(ends[-1]) + 1 if ends.size else 0


def _quoted(characters: ByteArray) -> BoolArray:
    """Say which characters stand within quotes; a doubled quote leaves and enters again."""
    return (np.cumsum(characters == _QUOTE, dtype=np.uint8) & 1).astype(np.bool_)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where a table has the columns we need; `dam` is None where its rows carry no such tag."""

    width: int
    time: int
    value: int
    field: int
    dam: int | None
    issued: int | None
    default_field: str  # what an empty cell means
    default_dam: str
    default_issued: str


@dataclass(frozen=True, slots=True)
class _Rows:
    """Lines `first` up to, not including, `stop` of a stretch, all of one layout."""

    layout: _Layout
    first: int
    stop: int


class _Lines:
    """A stretch of whole lines, and where their cells end."""

    def __init__(self, stretch: bytes) -> None:
        self.text = CsvText(stretch)
        characters = self.text.bytes
        separators = (characters == _COMMA) | (characters == _NEWLINE)
        if _QUOTE in stretch:
            separators &= ~_quoted(characters)
        self._cell_ends = np.flatnonzero(separators)
        last_cells = np.flatnonzero(characters[self._cell_ends] == _NEWLINE)
        self._stops = self._cell_ends[last_cells]
        self._starts = np.concatenate(([0], self._stops + 1))[: self._stops.size]
        self._widths = np.diff(last_cells, prepend=-1)
        self.count = self._stops.size
        self.whole = bool(self.count) and int(self._stops[-1]) == len(stretch) - 1

    def without_comma(self) -> list[int]:
        """Return the lines that do not begin like a header or a row."""
        return np.flatnonzero(self.text.bytes[self._starts] != _COMMA).tolist()

    def line(self, line: int) -> str:
        content = self.text.data[int(self._starts[line]) : int(self._stops[line])]
        return content.decode(errors="replace").removesuffix("\r")

    def wrong_width(self, rows: list[_Rows]) -> tuple[int, int] | None:
        """Return the first of `rows` that has not as many cells as its header, and how many it has."""
        odd = np.flatnonzero(self._chosen(rows) & (self._widths != rows[0].layout.width))
        return (int(odd[0]), int(self._widths[odd[0]])) if odd.size else None

    def columns(self, rows: list[_Rows]) -> list[Cells]:
        """Return the columns of `rows` but the first, which is that of the annotations."""
        ends = self._cell_ends[np.repeat(self._chosen(rows), self._widths)]
        ends = ends.reshape(-1, rows[0].layout.width)
        lengths = np.diff(ends, axis=1) - 1
        lengths[:, -1] -= self.text.bytes[ends[:, -1] - 1] == _RETURN
        return [Cells(self.text, ends[:, i] + 1, lengths[:, i]) for i in range(lengths.shape[1])]

    def _chosen(self, rows: list[_Rows]) -> BoolArray:
        chosen = np.zeros(self.count, np.bool_)
        for some in rows:
            chosen[some.first : some.stop] = True
        return chosen


@dataclass(slots=True)
class _Answer:
    """How far an answer has been read, and what its next line may be."""

    dam_tag: str
    where: str
    issued_tag: str | None = None
    rows_read: int = 0
    started: bool = False
    ended_by_empty_line: bool = False
    annotations: dict[str, list[str]] = field(default_factory=dict)
    layout: _Layout | None = None
    value_type: str = ""
    error_is_next: bool = False

    def read(self, stretch: bytes) -> Iterator[Block]:
        """Read some whole lines, or what is left of the answer after its last line's end."""
        if not self.started:
            self._refuse_other_kinds(stretch)
            self.started = True
        lines = _Lines(stretch)
        if not lines.whole:
            raise self._cut("in the middle of a line")
        # tables that differ in the type of their numbers alone are read together
        for _, rows in groupby(self._rows(lines), key=lambda rows: rows.layout):
            yield from self._blocks(lines, list(rows))
        self.ended_by_empty_line = not lines.line(lines.count - 1)

    def close(self) -> None:
        """Accept that nothing more comes; raises SourceError when something more had to."""
        if not self.started:
            raise self._cut("before its first byte")
        if not self.ended_by_empty_line:
            raise self._cut("without the empty line that ends a whole one")

    def _rows(self, lines: _Lines) -> Iterator[_Rows]:
        first = 0
        for stop in [*lines.without_comma(), lines.count]:
            if first < stop and self.annotations:
                self._take_header(_split(lines.line(first)))
                first += 1
            if first < stop:
                layout = self._layout_of_rows(lines, first)
                self.rows_read += stop - first
                yield _Rows(layout, first, stop)
            if stop < lines.count:
                self._take_other(lines.line(stop))
            first = stop + 1

    def _take_header(self, names: list[str]) -> None:
        types = dict(zip(names, self.annotations.get("datatype", ()), strict=False))
        defaults = dict(zip(names, self.annotations.get("default", ()), strict=False))
        self.annotations = {}
        self.error_is_next = names[1:2] == ["error"]
        if self.error_is_next:
            return
        missing = [name for name in ("_time", "_value", "_field") if name not in names]
        if missing or types.get("_time") not in _TIME_TYPES:
            found = ", ".join(f"{name} ({types.get(name, 'no type')})" for name in names[1:])
            raise SourceError(
                f"{self.where}: found tables with the columns {found}; expected _time (dateTime:RFC3339), "
                f"_value, _field and {self.dam_tag}; {_UNUSED}; is the url that of InfluxDB 2 itself?"
            )
        self.value_type = types["_value"]
        self.layout = _Layout(
            width=len(names),
            time=names.index("_time"),
            value=names.index("_value"),
            field=names.index("_field"),
            dam=names.index(self.dam_tag) if self.dam_tag in names else None,
            issued=names.index(self.issued_tag) if self.issued_tag in names else None,
            default_field=defaults.get("_field", ""),
            default_dam=defaults.get(self.dam_tag, ""),
            default_issued=defaults.get(self.issued_tag or "", ""),
        )

    def _layout_of_rows(self, lines: _Lines, line: int) -> _Layout:
        if self.error_is_next:
            raise self._error_told(_split(lines.line(line))[1])
        cells = _split(lines.line(line))
        if self.layout is None:
            raise SourceError(
                f"{self.where}: found the line {_shown(lines.line(line))} before any #datatype and header, "
                f"expected annotated CSV; {_UNUSED}; does a proxy take lines with # out?"
            )
        if self.value_type not in _NUMBER_TYPES and len(cells) == self.layout.width:
            dam = cells[self.layout.dam] if self.layout.dam is not None else ""
            raise SourceError(
                f"{self.where}: field {cells[self.layout.field]!r} of {self.dam_tag} {dam!r} holds "
                f"{self.value_type} values ({_shown(cells[self.layout.value])} at "
                f"{cells[self.layout.time]}), expected numbers; {_UNUSED}; map another field, or let what "
                f"writes it write numbers again and delete what is of the wrong type"
            )
        return self.layout

    def _take_other(self, line: str) -> None:
        """Take a line that is neither header nor row: an annotation, or the empty one between tables."""
        if line.startswith("#"):
            cells = _split(line)
            self.annotations[cells[0][1:]] = cells
        elif line or self.annotations:
            raise SourceError(
                f"{self.where}: found the line {_shown(line)} after {self.rows_read} rows, expected "
                f"annotated CSV; {_UNUSED}; does the url lead to InfluxDB itself?"
            )
        self.layout = None

    def _blocks(self, lines: _Lines, rows: list[_Rows]) -> Iterator[Block]:
        layout = rows[0].layout
        wrong = lines.wrong_width(rows)
        if wrong is not None:
            line, width = wrong
            raise SourceError(
                f"{self.where}: found {width} cells in the line {_shown(lines.line(line))}, expected the "
                f"{layout.width} of its header; {_UNUSED}; the answer was damaged on its way"
            )
        columns = lines.columns(rows)
        times, values = self._parsed(columns, layout)
        named = {i: columns[i - 1] for i in (layout.field, layout.dam, layout.issued) if i is not None}
        changed = np.logical_or.reduce([column.changes() for column in named.values()])
        starts = [0, *(np.flatnonzero(changed) + 1).tolist(), times.size]
        for first, stop in pairwise(starts):
            said: dict[int | None, str] = {i: _unquoted(column[first]) for i, column in named.items()}
            issued = said.get(layout.issued, "") or layout.default_issued
            yield Block(
                dam=said.get(layout.dam, "") or layout.default_dam,
                field=said[layout.field] or layout.default_field,
                times_ns=times[first:stop],
                values=values[first:stop],
                issued=None if self.issued_tag is None else (issued,) * (stop - first),
            )

    def _parsed(self, columns: list[Cells], layout: _Layout) -> tuple[TimeArray, FloatArray]:
        expected = "a time in UTC"
        try:
            times = times_ns(columns[layout.time - 1])
            expected = "a number"
            return times, numbers(columns[layout.value - 1])
        except UnreadableCell as cell:
            name = _unquoted(columns[layout.field - 1][cell.row])
            dam = "" if layout.dam is None else _unquoted(columns[layout.dam - 1][cell.row])
            raise SourceError(
                f"{self.where}: found {_shown(cell.text)} in field {name!r} of {self.dam_tag} {dam!r}, "
                f"expected {expected}; {_UNUSED}; the answer was damaged on its way"
            ) from None

    def _error_told(self, message: str) -> SourceError:
        remedy = "see the server's log"
        if "schema collision" in message or "cannot group" in message:
            remedy = "a field is stored with two types; delete what was written with the wrong one"
        return SourceError(
            f"{self.where}: the server gave up after {self.rows_read} rows and said: "
            f"{_shown(message)}; {_UNUSED}; {remedy}"
        )

    def _cut(self, how: str) -> SourceError:
        return SourceError(
            f"{self.where}: the answer ended {how}, after {self.rows_read} rows; {_UNUSED}; the server or "
            "a proxy on the way closed the connection too early: see their logs and their time limits"
        )

    def _refuse_other_kinds(self, start: bytes) -> None:
        text = start.lstrip().decode(errors="replace")
        if text.startswith("<"):
            title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
            raise SourceError(
                f"{self.where}: found a web page ({_shown(title[1] if title else text)}), expected annotated "
                "CSV; does the url lead to InfluxDB itself, and not to a login page or another program?"
            )
        if text.startswith("{"):
            raise SourceError(
                f"{self.where}: the server answered with an error in place of readings: "
                f"{_shown(_json_message(text))}; check bucket, organisation and the token's rights"
            )


def _json_message(text: str) -> str:
    try:
        content = json.loads(text)
    except ValueError:
        return text
    return str(content.get("message") or content.get("error") or text)


def _split(line: str) -> list[str]:
    if '"' not in line:
        return line.split(",")
    return [cell.replace("\r\n", "\n") for cell in next(csv.reader(io.StringIO(line, newline="")))]


def _unquoted(cell: bytes) -> str:
    text = cell.decode(errors="replace")
    if not text.startswith('"'):
        return text
    return text[1:-1].replace('""', '"').replace("\r\n", "\n")


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
