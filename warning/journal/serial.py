"""Domain objects to JSON text and back, driven by their own field types.

NaN is null, an infinity the string "inf" or "-inf", so that no value can stop the record. A field
that is missing takes its default: a record stays readable after a field was added.
"""

from __future__ import annotations

import json
import math
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from functools import lru_cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from warning.errors import JournalError

T = TypeVar("T")


def to_json(value: object) -> str:
    """Return `value`, a domain dataclass, as compact JSON."""
    return json.dumps(_plain(value), allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def from_json(kind: type[T], text: str) -> T:
    """Return the `kind` that `text` holds. Raises JournalError where it holds something else."""
    try:
        return _object(kind, json.loads(text))  # type: ignore[no-any-return]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise JournalError(f"the record holds a {kind.__name__} that cannot be read: {error}") from error


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return _plain_float(value)
    if isinstance(value, date):  # a datetime is one too
        return value.isoformat()
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    raise TypeError(f"{type(value).__name__} has no form in the record")


def _plain_float(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return float(value) if math.isfinite(value) else ("inf" if value > 0 else "-inf")


@lru_cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _object(kind: Any, plain: Any) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _one_of(get_args(kind), plain)
    if origin is np.ndarray:
        dtype = get_args(get_args(kind)[1])[0]
        return np.array(plain, dtype=dtype)
    if origin is tuple:
        return _tuple(get_args(kind), plain)
    if origin is not None and issubclass(origin, Mapping):
        key_kind, item_kind = get_args(kind)
        return {_object(key_kind, key): _object(item_kind, item) for key, item in plain.items()}
    if is_dataclass(kind):
        return _dataclass(kind, plain)
    return _scalar(kind, plain)


def _scalar(kind: Any, plain: Any) -> Any:
    if kind is float:
        return math.nan if plain is None else float(plain)
    if kind in (str, int, bool):
        if not isinstance(plain, kind):
            raise TypeError(f"expected {kind.__name__}, found {plain!r}")
        return plain
    if kind in (date, datetime):
        return kind.fromisoformat(plain)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(plain)
    raise TypeError(f"{kind} has no form in the record")


def _one_of(kinds: tuple[Any, ...], plain: Any) -> Any:
    """An optional value, or one of several dataclasses told apart by their field names."""
    if plain is None and type(None) in kinds:
        return None
    candidates = [kind for kind in kinds if kind is not type(None)]
    if len(candidates) > 1:
        candidates = [
            k for k in candidates if is_dataclass(k) and {f.name for f in fields(k)} >= plain.keys()
        ]
    if len(candidates) != 1:
        raise TypeError(f"{plain!r} fits {len(candidates)} of {kinds}")
    return _object(candidates[0], plain)


def _tuple(kinds: tuple[Any, ...], plain: Any) -> tuple[Any, ...]:
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_object(kinds[0], item) for item in plain)
    return tuple(_object(kind, item) for kind, item in zip(kinds, plain, strict=True))


def _dataclass(kind: Any, plain: Any) -> Any:
    hints = _hints(kind)
    unknown = plain.keys() - hints.keys()
    if unknown:
        raise ValueError(f"{kind.__name__} has no field {', '.join(sorted(unknown))}")
    return kind(**{name: _object(hints[name], item) for name, item in plain.items()})
