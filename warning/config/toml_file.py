"""One TOML file as text and tables; what cannot be read becomes a problem with its line."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from warning.config.problems import Problem

_POSITION = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")
_KEY_BEFORE_VALUE = re.compile(r"\s*([A-Za-z0-9_.-]{1,60})\s*=")
_TWICE = ("Cannot overwrite a value", "Cannot declare", "Duplicate inline table key")


def read_bytes(directory: Path, name: str) -> bytes | Problem:
    """Return the bytes of the file `name`, or why there are none."""
    path = directory / name
    try:
        if path.exists() and not path.is_file():
            return Problem(name, "", "something that is no file", "a TOML file", f"replace {path}")
        return path.read_bytes()
    except FileNotFoundError:
        remedy = f"create {path}; config/{name} of the distribution is a commented sample"
        return Problem(name, "", "no such file", "a TOML file", remedy)
    except OSError as error:
        remedy = f"let the user who runs dam-warning read {path}"
        return Problem(name, "", error.strerror or "an unreadable file", "a readable TOML file", remedy)


def parse(name: str, content: bytes) -> dict[str, object] | Problem:
    """Return the tables of a TOML file, or its first syntax error."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"a byte that is not UTF-8 (0x{content[error.start]:02x})"
        return Problem(name, f"line {line}", found, "UTF-8 text", "save the file with the encoding UTF-8")
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return _syntax_problem(name, text, str(error))
    except (ValueError, RecursionError):  # a number of thousands of digits, thousands of nested brackets
        return Problem(name, "", "a value beyond all measure", "TOML as in the sample", "undo the last edit")
    if not tables:
        remedy = f"start from config/{name} of the distribution"
        return Problem(name, "", "an empty file", "settings, as in the commented sample", remedy)
    return tables


def _syntax_problem(name: str, text: str, message: str) -> Problem:
    """Say where the syntax breaks without quoting the line, which may hold a password."""
    position = _POSITION.search(message)
    what = _POSITION.sub("", message)
    if position is None or position.group(1) is None:
        remedy = "look for a quotation mark or bracket that is not closed"
        return Problem(name, "end of file", what, "TOML", remedy)
    line = int(position.group(1))
    key = _key_of(text, line)
    place = f"line {line}" + (f", {key}" if key else "")
    if what.startswith(_TWICE):
        first = _first_line_of(text, line, key)
        found = "the same key or table a second time" + (f" (first in line {first})" if first else "")
        return Problem(name, place, found, "each key and each table once", "remove or rename one of the two")
    remedy = (
        'put text and times in quotation marks ("06:30"), write numbers with a point, close every bracket'
    )
    return Problem(name, place, f"{what} (column {position.group(2)})", "TOML", remedy)


def _key_of(text: str, line: int) -> str:
    lines = text.split("\n")
    match = _KEY_BEFORE_VALUE.match(lines[line - 1]) if line <= len(lines) else None
    return match.group(1) if match else ""


def _first_line_of(text: str, line: int, key: str) -> int | None:
    """Return the line of the same key above `line` in the same table, or of the same table header."""
    lines = text.split("\n")
    header = lines[line - 1].strip()
    for number in range(line - 1, 0, -1):
        above = lines[number - 1].strip()
        if key and above.startswith("["):
            return None
        if _key_of(text, number) == key if key else above == header:
            return number
    return None
