"""What became of the newest write-back, kept as a file in the state directory for `dam-warning status`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from warning.errors import SourceError
from warning.events import pairs
from warning.sources.csv_folder import replace_file

log = logging.getLogger(__name__)

_NOTE = "write-back-failed.txt"


def note_in(folder: Path) -> Callable[[str | None], None]:
    """Return an `on_end` that logs a failure and keeps it in `folder` until a write succeeds."""
    return partial(_note, folder / _NOTE)


def trouble_in(folder: Path) -> str | None:
    """Return why what the newest cycle came to is not in InfluxDB; None where it is, or need not be."""
    try:
        return (folder / _NOTE).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        return f"{folder / _NOTE} cannot be read: {error}"


def _note(path: Path, trouble: str | None) -> None:
    try:
        if trouble is None:
            path.unlink(missing_ok=True)
            return
        log.warning(pairs("write-back-failed", error=trouble))
        replace_file(path, f"{trouble}\n")
    except (OSError, SourceError) as error:
        log.warning(pairs("write-back-note", error=error))
