"""A stand-in for InfluxDB 2.x: it answers every Flux query with the tables it was given.

It is not InfluxDB: it neither parses nor filters. What it reproduces, after the encoder of
github.com/influxdata/flux (csv/result.go, result.go), is how a 2.x server writes an answer, and how
answers go wrong: chunks, CRLF, annotations as requested, quoting, the schema repeated where it
changes or around empty tables, the error table in mid-stream.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

VERSION = "v2.7.11"
LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>...</body></html>\n"
JSON_ERROR = (
    b'{"code":"not found","message":"failed to initialize execute state: could not find bucket \\"x\\""}'
)

Cell = float | int | str | bool | None


class Fault(StrEnum):
    """How the next answers go wrong."""

    NONE = "none"
    ERROR_TABLE = "error table after the rows"
    CUT_CHUNKS = "closed in the middle, without the last chunk"
    CUT_UNFRAMED = "closed in the middle of a body without chunks or length"
    CUT_BEHIND_PROXY = "cut in the middle of a row, and passed on as whole chunks"
    CUT_AT_A_LINE_BEHIND_PROXY = "cut between two rows, and passed on as whole chunks"
    LOGIN_PAGE = "a web page with status 200"
    JSON_ERROR = "an error in JSON with status 200"


@dataclass(frozen=True)
class Table:
    """One table: its columns as (name, type, in the group key), and its rows."""

    columns: tuple[tuple[str, str, bool], ...]
    rows: Sequence[tuple[Cell, ...]]
    key: tuple[Cell, ...] = ()  # of an empty table: a value per column, None outside the group key


def readings(
    dam: str, field: str, rows: Sequence[tuple[str, Cell]], *, kind: str = "double", tag: str = "dam"
) -> Table:
    """Return the table that `keep` leaves of one series: `rows` are (time, value)."""
    columns = (
        ("_time", "dateTime:RFC3339", False),
        ("_value", kind, False),
        ("_field", "string", True),
        (tag, "string", True),
    )
    return Table(columns, [(*row, field, dam) for row in rows], (None, None, field, dam))


def encode(tables: Sequence[Table], annotations: Sequence[str]) -> Iterator[bytes]:
    """Yield the body of a whole answer, a piece per table and one for the end."""
    last: tuple[tuple[str, str, bool], ...] = ()
    last_empty = False
    for number, table in enumerate(tables):
        empty = not table.rows
        lines = []
        if last_empty or empty or [c[:2] for c in table.columns] != [c[:2] for c in last]:
            lines += [b"\r\n"] if last else []
            lines += _schema(table, number, annotations)
        result = "" if "default" in annotations else "_result"
        lines += [_line(["", result, str(number), *map(_text, row)]) for row in table.rows]
        last, last_empty = table.columns, empty
        yield b"".join(lines)
    yield b"\r\n"


def encode_error(message: str, annotations: Sequence[str], *, written: bool) -> bytes:
    """Return the table that ends an answer whose query failed while it ran."""
    lines = [b"\r\n"] if written else []
    rest = {"datatype": ["string", "string"], "group": ["true", "true"], "default": ["", ""]}
    lines += [_line([f"#{name}", *rest[name]]) for name in annotations]
    return b"".join([*lines, _line(["", "error", "reference"]), _line(["", message, ""])])


def _schema(table: Table, number: int, annotations: Sequence[str]) -> list[bytes]:
    empty = not table.rows
    defaults = ["_result", str(number) if empty else ""]
    defaults += [_text(cell) for cell in table.key] if empty else [""] * len(table.columns)
    rest = {
        "datatype": ["string", "long", *(kind for _, kind, _ in table.columns)],
        "group": ["false", "false", *("true" if grouped else "false" for *_, grouped in table.columns)],
        "default": defaults,
    }
    header = _line(["", "result", "table", *(name for name, *_ in table.columns)])
    return [*(_line([f"#{name}", *rest[name]]) for name in annotations), header]


def _line(cells: Sequence[str]) -> bytes:
    return (",".join(map(_quoted, cells)) + "\r\n").encode()


def _quoted(cell: str) -> str:
    """Quote as Go's encoding/csv does with UseCRLF."""
    if not cell or not (cell == r"\." or cell[0].isspace() or any(c in cell for c in ',"\r\n')):
        return cell
    return '"' + cell.replace("\r", "").replace('"', '""').replace("\n", "\r\n") + '"'


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):  # as strconv.FormatFloat(cell, 'f', -1, 64): never an exponent
        return np.format_float_positional(cell, trim="-")
    return str(cell)


class StandIn(ThreadingHTTPServer):
    """The server, on loopback; a context manager. `asked` holds the bodies of the queries so far."""

    daemon_threads = True

    def __init__(self, tables: Sequence[Table] = (), fault: Fault = Fault.NONE) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tables = tables
        self.fault = fault
        self.asked: list[dict[str, object]] = []
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> StandIn:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: StandIn
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/ping":
            self._send(204, b"", "text/plain")
        elif self.path == "/health":
            health = {"name": "influxdb", "status": "pass", "version": VERSION}
            self._send(200, json.dumps(health).encode(), "application/json")
        else:
            self._send(404, b'{"code":"not found","message":"path not found"}', "application/json")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked)
        answers: dict[Fault, Callable[[Sequence[str]], None]] = {
            Fault.LOGIN_PAGE: lambda _: self._send(200, LOGIN_PAGE, "text/html; charset=utf-8"),
            Fault.JSON_ERROR: lambda _: self._send(200, JSON_ERROR, "application/json"),
            Fault.CUT_UNFRAMED: self._unframed,
        }
        answers.get(self.server.fault, self._chunked)(asked["dialect"]["annotations"])

    def _chunked(self, annotations: Sequence[str]) -> None:
        self._head(200, "text/csv; charset=utf-8", ("Transfer-Encoding", "chunked"))
        pieces = list(encode(self.server.tables, annotations))
        if self.server.fault in (Fault.CUT_CHUNKS, Fault.CUT_BEHIND_PROXY):
            pieces = [*pieces[:-2], pieces[-2][:-10]]
        if self.server.fault is Fault.CUT_AT_A_LINE_BEHIND_PROXY:
            pieces = pieces[:-1]
        if self.server.fault is Fault.ERROR_TABLE:
            error = 'runtime error: unexpected EOF, while reading "tsm1"'
            pieces[-1] = encode_error(error, annotations, written=len(pieces) > 1)
        for piece in filter(None, pieces):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if self.server.fault is Fault.CUT_CHUNKS:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def _unframed(self, annotations: Sequence[str]) -> None:
        self._head(200, "text/csv; charset=utf-8", ("Connection", "close"))
        body = b"".join([*encode(self.server.tables, annotations)][:-1])
        self.wfile.write(body[:-10])
        self.close_connection = True

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self._head(status, kind, ("Content-Length", str(len(body))))
        self.wfile.write(body)

    def _head(self, status: int, kind: str, framing: tuple[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("X-Influxdb-Version", VERSION)
        self.send_header("X-Influxdb-Build", "OSS")
        self.send_header(*framing)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""
