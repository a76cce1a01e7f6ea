"""Many small sets of arrays as few large ones: a file of ten thousand dams must not hold a million arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def pack(prefix: str, sets: Sequence[Mapping[str, NDArray[Any]]]) -> Arrays:
    """Return the arrays of all sets end to end by name, with their shapes; a set may lack a name.

    Arrays of one name have one type and number of axes.
    """
    packed: Arrays = {}
    names = dict.fromkeys(name for arrays in sets for name in arrays)
    for name in names:
        owners = [i for i, arrays in enumerate(sets) if name in arrays]
        parts = [np.asarray(sets[i][name]) for i in owners]
        sizes = np.array([size for part in parts for size in part.shape], np.int32)
        packed[f"{prefix}/{name}"] = np.concatenate(parts, axis=None)
        packed[f"{prefix}/{name}.shape"] = sizes.reshape(len(parts), parts[0].ndim)
        packed[f"{prefix}/{name}.owner"] = np.array(owners, np.int32)
    packed[f"{prefix}/.count"] = np.array([len(sets)])
    return packed


def unpack(prefix: str, packed: Mapping[str, NDArray[Any]]) -> list[Arrays]:
    """Rebuild what `pack` put together; raises KeyError or ValueError where that is impossible."""
    sets: list[Arrays] = [{} for _ in range(int(packed[f"{prefix}/.count"][0]))]
    begin = f"{prefix}/"
    for key, shapes in packed.items():
        if not (key.startswith(begin) and key.endswith(".shape")):
            continue
        name = key[len(begin) : -len(".shape")]
        column = packed[begin + name]
        ends = np.cumsum(shapes.prod(axis=1, dtype=np.int64))
        owners = packed[f"{begin}{name}.owner"].tolist()
        first = 0
        for owner, shape, end in zip(owners, shapes.tolist(), ends.tolist(), strict=True):
            sets[owner][name] = column[first:end].reshape(shape)
            first = end
        if first != column.size:
            raise ValueError(f"{key}: {column.size} numbers for shapes that need {first}")
    return sets
