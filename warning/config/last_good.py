"""The last sound configuration, kept so that a bad edit never stops the watch, not even at a start."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from warning.config.configuration import Configuration
from warning.config.loading import FILES, SERVICE_FILE, load_configuration
from warning.config.problems import InvalidConfigurationError
from warning.config.service_rules import DEFAULT_STATE_DIRECTORY

FOLDER = "last-good"
CURRENT = "current"  # a link to the folder of the newest copies, exchanged in one step
ORIGIN = "origin"  # the folder that the copies were taken from

_STATE_LINE = re.compile(
    rb"^[ \t]*state_directory[ \t]*=[ \t]*(?:\"([^\"\\\r\n]+)\"|'([^'\r\n]+)')", re.MULTILINE
)


def keep_last_good(configuration: Configuration) -> None:
    """Keep copies of the three files in the state directory, for its owner alone.

    The copies before stay in force until the new ones are whole and on disk. Raises OSError.
    """
    folder = configuration.state_directory / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if last_good_files(configuration.state_directory, configuration.directory) == configuration.files:
        return
    new = Path(tempfile.mkdtemp(dir=folder, prefix=f"{configuration.digest[:12]}-"))  # mode 700
    for name, text in configuration.files.items():
        _write(new / name, text.encode())
    _write(new / ORIGIN, os.fsencode(configuration.directory))
    _sync(new)
    link = folder / f"{new.name}.link"
    link.symlink_to(new.name)
    os.replace(link, folder / CURRENT)
    _sync(folder)
    for old in folder.iterdir():
        if old.is_dir() and not old.is_symlink() and old != new:
            shutil.rmtree(old, ignore_errors=True)


def last_good_files(state_directory: Path, directory: Path) -> Mapping[str, str] | None:
    """Return the texts kept of the configuration in `directory`, by file name; None where there are none."""
    current = state_directory / FOLDER / CURRENT
    try:
        if (current / ORIGIN).read_bytes() != os.fsencode(directory.absolute()):
            return None
        return {name: (current / name).read_bytes().decode() for name in FILES}
    except (OSError, UnicodeDecodeError):
        return None


def load_or_last_good(
    directory: Path, environment: Mapping[str, str] | None = None
) -> tuple[Configuration, InvalidConfigurationError | None]:
    """Return the configuration in `directory`, or where it is refused the last good one and why.

    Raises InvalidConfigurationError, with the problems of what lies in `directory`, where no good one
    was kept or what was kept cannot be used either.
    """
    environment = os.environ if environment is None else environment
    try:
        return load_configuration(directory, environment), None
    except InvalidConfigurationError as refusal:
        for state_directory in _state_directories(directory, environment):
            kept = _load_kept(state_directory, directory, environment)
            if kept is not None:
                return kept, refusal
        raise


def _load_kept(
    state_directory: Path, directory: Path, environment: Mapping[str, str]
) -> Configuration | None:
    if last_good_files(state_directory, directory) is None:
        return None
    try:
        return load_configuration(directory, environment, texts_from=state_directory / FOLDER / CURRENT)
    except InvalidConfigurationError:
        return None


def _state_directories(directory: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield where copies may have been kept: as the broken file says, as systemd says, the default."""
    try:
        written = _STATE_LINE.search((directory / SERVICE_FILE).read_bytes())
    except OSError:
        written = None
    if written is not None:
        yield directory.absolute() / os.fsdecode(written[1] or written[2])
    for given in environment.get("STATE_DIRECTORY", "").split(":"):
        if given:
            yield Path(given)
    yield Path(DEFAULT_STATE_DIRECTORY)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
