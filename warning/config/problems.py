"""What is wrong with a configuration, said so that an admin can mend it without asking."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from warning.errors import ConfigurationError

KeyPath = tuple[str | int, ...]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")
_LONGEST_SHOWN = 60
_MOST_COMPARED = 1_000  # a comparison takes microseconds, and there may be as many unknown words


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend. `key` is empty where the whole file is meant; `found` never holds a secret."""

    file: str
    key: str
    found: str
    expected: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}: {self.key}" if self.key else self.file
        return (
            f"{place}\n    found:    {self.found}\n    expected: {self.expected}\n    remedy:   {self.remedy}"
        )


class InvalidConfigurationError(ConfigurationError):
    """A configuration was refused; `problems` are all of them, in the order of the files."""

    def __init__(self, directory: Path, problems: Iterable[Problem]) -> None:
        self.directory = directory
        self.problems = tuple(problems)
        super().__init__(str(self))

    def __str__(self) -> str:
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        head = f"the configuration in {self.directory} is refused: {count}"
        numbered = (f"{number}. {problem}" for number, problem in enumerate(self.problems, start=1))
        return "\n\n".join((head, *numbered))


@dataclass(slots=True)
class Complaints:
    """Collects the problems of one file. `unsound` are the keys whose values nothing may build on."""

    file: str
    content: Mapping[str, object]
    unsound: set[KeyPath] = field(default_factory=set)
    _found: list[tuple[tuple[int, ...], Problem]] = field(default_factory=list)
    _orders: dict[int, dict[str, int]] = field(default_factory=dict)  # by id() of a table in `content`

    def add(self, path: KeyPath, *, found: str, expected: str, remedy: str) -> None:
        """Note a problem at `path`; an int in a path is a place in an array, counted from 0."""
        problem = Problem(self.file, self._rendered(path), found, expected, remedy)
        self._found.append((self._position(path), problem))

    def problems(self) -> list[Problem]:
        """Return what was noted, in the order of the file."""
        return [problem for _, problem in sorted(self._found, key=lambda entry: entry[0])]

    def _position(self, path: KeyPath) -> tuple[int, ...]:
        """Say where in the file `path` lies; what is missing lies at the end of its table."""
        position, node = [], _child(self.content, ())
        for part in path:
            if isinstance(part, int):
                position.append(part)
            elif isinstance(node, Mapping):
                if id(node) not in self._orders:
                    self._orders[id(node)] = {key: place for place, key in enumerate(node)}
                position.append(self._orders[id(node)].get(part, len(node)))
            node = _child(node, (part,))
        return tuple(position)

    def _rendered(self, path: KeyPath) -> str:
        """`reservoirs.oroville.thresholds[2, "watch"].value`: places counted from 1, with their names."""
        text, node = "", _child(self.content, ())
        for part in path:
            node = _child(node, (part,))
            if isinstance(part, int):
                name = node.get("name") if isinstance(node, Mapping) else None
                text += f"[{part + 1}, {shown(name)}]" if isinstance(name, str) else f"[{part + 1}]"
            else:
                text += f".{rendered_key(part)}" if text else rendered_key(part)
        return text


def rendered_key(key: str) -> str:
    """Return `key` as it is written in TOML, cut short where it is very long."""
    return key if _BARE_KEY.fullmatch(key) else shown(key)


def shown(value: object) -> str:
    """Return `value` as the admin wrote it. URLs (passwords) and tables are not shown."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str() if "://" in value:
            return "a URL (not shown, it may hold a password)"
        case str():
            cut = value if len(value) <= _LONGEST_SHOWN else value[:_LONGEST_SHOWN] + "…"
            return json.dumps(cut, ensure_ascii=False)
        case Mapping():
            return "a table"
        case list() if all(isinstance(item, int | float) for item in value) and len(value) <= 6:
            return f"[{', '.join(map(shown, value))}]"
        case list():
            return f"an array of {len(value)}" if value else "[]"
        case int() if abs(value) >= 10**18:
            return "a very large whole number"
        case _:
            return str(value)


def alternatives(word: str, known: Sequence[str]) -> str:
    """Return what to do about an unknown `word`: the nearest of `known`, else all of them if they are few."""
    near = difflib.get_close_matches(word, known, n=1) if len(known) <= _MOST_COMPARED else []
    if near:
        return f"did you mean {rendered_key(near[0])}?"
    if 0 < len(known) <= 25:
        return f"use one of: {', '.join(known)}."
    return "correct the spelling."


def _child(node: object, path: KeyPath) -> object:
    for part in path:
        if isinstance(node, Mapping) and isinstance(part, str):
            node = node.get(part)
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            node = node[part]
        else:
            return None
    return node
