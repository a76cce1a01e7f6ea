"""The files in which a forecast leaves what the next one need not find out again; any may go any time."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from warning.errors import ForecastError
from warning.forecasting.ragged import Arrays, pack, unpack

UNREADABLE: Final = (ForecastError, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


def remembered(path: Path | None) -> dict[str, Arrays]:
    """What the last forecast left; nothing where that cannot be read, for all of it can be made again."""
    if path is None:
        return {}
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        names = [str(name) for name in arrays.pop("names")]
        return dict(zip(names, unpack("dam", arrays), strict=True))
    except UNREADABLE:
        return {}


def remember(path: Path, memories: Mapping[str, Arrays]) -> None:
    """Leave what the next forecast from these standings wants to know; the file is replaced at once.

    A disk that refuses costs time tomorrow, not a forecast today.
    """
    unfinished = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            np.savez(
                file,
                allow_pickle=False,
                names=np.array(list(memories), dtype=np.str_),
                **pack("dam", list(memories.values())),
            )
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
