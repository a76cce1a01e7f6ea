"""The embedded source: a folder with one tidy CSV file per dam."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np

from warning.domain.readings import FleetReadings, RawReadings
from warning.domain.variables import Variable
from warning.errors import SourceError
from warning.sources.outlook_folder import OUTLOOK_SUFFIX
from warning.sources.tidy_csv import TidyFile, read_tidy, tidy_text

REJECTED_SUFFIX = ".rejected.csv"
OTHER_SUFFIXES = (REJECTED_SUFFIX, OUTLOOK_SUFFIX)


class CsvFolderSource:
    """Reads and writes `<folder>/<id>.csv`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(
        self, reservoir_ids: Sequence[str], last_day: date | None = None, first_day: date | None = None
    ) -> FleetReadings:
        """Read the dams asked for, within the days given; a file that is wrong fails its own dam alone."""
        readings: dict[str, RawReadings] = {}
        failures: dict[str, str] = {}
        for reservoir_id in reservoir_ids:
            try:
                readings[reservoir_id] = self.tidy(reservoir_id).readings(first_day, last_day)
            except SourceError as error:
                failures[reservoir_id] = str(error)
        return FleetReadings(readings, failures)

    def reservoir_ids(self) -> tuple[str, ...]:
        """Return the ids of the dams that have a file, sorted; raises SourceError without a folder."""
        if not self.folder.is_dir():
            raise SourceError(f"{self.folder}: no such folder; it should hold one CSV file per dam")
        names = [path.name for path in self.folder.glob("*.csv") if path.is_file()]
        kept = (n for n in names if not n.startswith(".") and not n.endswith(OTHER_SUFFIXES))
        return tuple(sorted(name.removesuffix(".csv") for name in kept))

    def path(self, reservoir_id: str) -> Path:
        """Return the file of a dam; raises SourceError for an id that would lead out of the folder."""
        return self.folder / f"{_file_stem(reservoir_id)}.csv"

    def rejected_path(self, reservoir_id: str) -> Path:
        """Return the file that keeps a dam's unreadable lines."""
        return self.folder / f"{_file_stem(reservoir_id)}{REJECTED_SUFFIX}"

    def tidy(self, reservoir_id: str) -> TidyFile:
        """Read one dam's file with its lines; raises SourceError saying what is wrong and what to do."""
        path = self.path(reservoir_id)
        if not path.is_file():
            raise SourceError(
                f"{path}: there is no such file; bring readings in with "
                f"`dam-warning import {reservoir_id} FILE`"
            )
        return read_tidy(path)

    def write(self, reservoir_id: str, readings: RawReadings) -> None:
        """Replace a dam's file by `readings`, sorted by day, rows of one day in the order given.

        Atomic: after a crash the old file or the new one is there, whole. Raises SourceError
        when the folder cannot be written.
        """
        variables = [variable for variable in Variable if variable in readings.values]
        order = np.argsort(readings.days, kind="stable")
        days = readings.days[order].astype("datetime64[D]").tolist()
        columns = [readings.values[variable][order].tolist() for variable in variables]
        rows = zip(days, zip(*columns, strict=True), strict=True) if columns else iter(())
        replace_file(self.path(reservoir_id), tidy_text(variables, rows))


def replace_file(path: Path, text: str) -> None:
    """Write `text` beside `path`, make it durable and put it in place; raises SourceError."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else 0o644)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise SourceError(f"{path}: cannot be written: {error.strerror or error}") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _file_stem(reservoir_id: str) -> str:
    if not reservoir_id or Path(reservoir_id).name != reservoir_id or reservoir_id.startswith("."):
        raise SourceError(
            f"{reservoir_id!r} cannot be a file's name; a dam's id needs letters, digits, - and _"
        )
    return reservoir_id
