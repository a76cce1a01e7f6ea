"""From TOML tables to a draft: what could be understood, and a problem for everything else."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from warning.config.drafts import Draft
from warning.config.fields import Expect, expectation
from warning.config.problems import Complaints, KeyPath, alternatives, rendered_key, shown
from warning.config.secret_references import is_reference

D = TypeVar("D", bound=Draft)

PLACEHOLDER = "FILL IN"  # what `dam-warning init` writes where only the dam's own people know the answer


def understand(kind: type[D], content: dict[str, Any], complaints: Complaints) -> D:
    """Return the draft of `content`; what is not as expected is complained about and left out of it."""
    original = content
    content = _without_placeholders(kind, content, complaints)
    while True:
        try:
            draft = kind.model_validate(content)
        except ValidationError as error:
            content = copy.deepcopy(content) if content is original else content
            for path in dict.fromkeys(_culprits(kind, error)):
                _complain(kind, path, content, complaints)
                complaints.unsound.add(path)
            for path in sorted(complaints.unsound, key=lambda p: -len(p)):
                _remove(content, path)
            continue
        for path, expect in _missing(draft, ()):
            if not any(path[: len(unsound)] == unsound for unsound in complaints.unsound):
                example = expect.example
                complaints.add(path, found="nothing", expected=expect.what, remedy=f"add: {example}")
        return draft


def _without_placeholders(
    kind: type[Draft], content: dict[str, Any], complaints: Complaints
) -> dict[str, Any]:
    """Complain about every answer that `init` left open, and return the rest."""
    left_open = (path[: _descend(kind, path)[0]] for path in _paths_to(PLACEHOLDER, content, ()))
    fields = {path: _descend(kind, path)[1] for path in left_open}
    known = {path: expectation(field) for path, field in fields.items() if field is not None}
    if not known:
        return content
    rest = copy.deepcopy(content)
    for path, expect in known.items():
        complaints.add(
            path,
            found=f"{shown(PLACEHOLDER)}, as `dam-warning init` left it",
            expected=expect.what,
            remedy=f"only you know it; write for example: {expect.example}",
        )
        complaints.unsound.add(path)
        _remove(rest, path)
    return rest


def _paths_to(value: str, node: object, path: KeyPath) -> Iterator[KeyPath]:
    if node == value:
        yield path
    elif isinstance(node, dict | list):
        for key, inner in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _paths_to(value, inner, (*path, key))


def _culprits(kind: type[Draft], error: ValidationError) -> Iterator[KeyPath]:
    """Cut pydantic's locations where a key of ours ends: `limits.level_m.0` is `limits.level_m`."""
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        location: KeyPath = detail["loc"]
        yield location[: _descend(kind, location)[0]]


def _descend(kind: type[BaseModel], path: KeyPath) -> tuple[int, FieldInfo | None, type[BaseModel]]:
    """Follow `path` from `kind`: how many parts name keys of ours, the last key's field, and its table."""
    taken, table = 0, kind
    while True:
        field = table.model_fields.get(str(path[taken]))
        if field is None:
            return taken + 1, None, table
        taken += 1
        inner, contained = table_in(field.annotation)
        if inner is not None and contained and taken < len(path):
            taken += 1
        if inner is None and taken < len(path) and _is_dict(field.annotation):
            taken += 1  # one of the admin's own keys, as in a table of instructions
        if inner is None or taken == len(path):
            return taken, field, table
        table = inner


def table_in(annotation: Any, contained: bool = False) -> tuple[type[BaseModel] | None, bool]:
    """Return the draft that an annotation speaks of, and whether a dict or list of them is meant."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, contained
    inside = contained or get_origin(annotation) in (dict, list)
    for argument in get_args(annotation):
        found = table_in(argument, inside)
        if found[0] is not None:
            return found
    return None, False


def _is_dict(annotation: Any) -> bool:
    return any(get_origin(part) is dict for part in (annotation, *get_args(annotation)))


def _complain(kind: type[Draft], path: KeyPath, content: object, complaints: Complaints) -> None:
    _, field, table = _descend(kind, path)
    if field is None:
        remedy = alternatives(str(path[-1]), list(table.model_fields)) + " Otherwise remove it."
        complaints.add(path, found="an unknown key", expected="a key of this table", remedy=remedy)
        return
    expect = expectation(field)
    value = _value_at(content, path)
    hidden = expect.secret or _is_secret_table(kind, path)
    found = "a value that does not fit (not shown)" if hidden else shown(value)
    if isinstance(value, str) and is_reference(value) and hidden:
        found = shown(value)
    complaints.add(path, found=found, expected=expect.what, remedy=_remedy(path, expect, value))


def _is_secret_table(kind: type[Draft], path: KeyPath) -> bool:
    field = kind.model_fields.get(str(path[0]))
    return field is not None and len(path) == 1 and expectation(field).secret


def _remedy(path: KeyPath, expect: Expect, value: object) -> str:
    remedy = f"write for example: {expect.example}"
    if isinstance(value, str) and not expect.what.startswith(("a line", "one mail address")):
        bare = value.strip().removesuffix(",")
        if bare.replace(".", "", 1).replace("-", "", 1).isdigit():
            return f"write the number without quotation marks: {rendered_key(str(path[-1]))} = {bare}"
    return remedy


def _missing(draft: BaseModel, path: KeyPath) -> Iterator[tuple[KeyPath, Expect]]:
    required = _required(type(draft))
    for name, value in draft:
        if value is None:
            if name in required:
                yield (*path, name), required[name]
        elif isinstance(value, BaseModel):
            yield from _missing(value, (*path, name))
        elif isinstance(value, list | dict):
            entries = value.items() if isinstance(value, dict) else enumerate(value)
            for key, entry in entries:
                if isinstance(entry, BaseModel):
                    yield from _missing(entry, (*path, name, key))


@cache
def _required(kind: type[BaseModel]) -> dict[str, Expect]:
    expectations = {name: expectation(field) for name, field in kind.model_fields.items()}
    return {name: expect for name, expect in expectations.items() if expect.required}


def _value_at(content: Any, path: KeyPath) -> object:
    for part in path:
        content = content[part]
    return content


def _remove(content: Any, path: KeyPath) -> None:
    """Take away what is at `path`; an entry of an array becomes empty: the others keep their places."""
    *parents, last = path
    for part in parents:
        if isinstance(content, dict) and part not in content:
            return
        content = content[part]
    if isinstance(last, int):
        content[last] = {}
    else:
        content.pop(last, None)
