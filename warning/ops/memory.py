"""Keeps the daemon small between its cycles: the C library hands freed memory back only when asked to."""

from __future__ import annotations

import ctypes
import gc
from typing import Final

_M_ARENA_MAX: Final = -8  # of mallopt(3)
_ARENAS: Final = 2  # by default there are eight a core, and each keeps what its threads have freed


def keep_memory_together() -> bool:
    """Let all threads share two arenas; call before any thread starts. False: not the GNU C library."""
    mallopt = _function("mallopt")
    return mallopt is not None and mallopt(_M_ARENA_MAX, _ARENAS) == 1


def hand_memory_back() -> bool:
    """Collect garbage and give the system back what is free; say whether anything could be given back."""
    gc.collect()
    trim = _function("malloc_trim")
    return trim is not None and trim(ctypes.c_size_t(0)) == 1


def _function(name: str) -> ctypes._NamedFuncPointer | None:
    """Return a function of the C library that this process runs on, None where it has no such one."""
    return getattr(ctypes.CDLL(None), name, None)
