"""Who edited the files, as far as the files themselves tell."""

from __future__ import annotations

import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from warning import __version__
from warning.config.configuration import Configuration
from warning.config.loading import FILES

_OWNER_OF = re.compile(r".* \(owner of [a-z]+\.toml\)|unknown")


@dataclass(frozen=True, slots=True)
class Edit:
    """Who made a change, in the words of the history, and what else is known of it."""

    who: str
    note: str | None


def edit_of(configuration: Configuration, before: Mapping[str, str] | None) -> Edit:
    """Return who saved the files whose text is not as in `before`, the texts by file name.

    That is the owner of the one that was saved last, and no more than a hint: whoever wants to sign a
    change uses `dam-warning apply`.
    """
    edited = [name for name in FILES if before is None or before.get(name) != configuration.files[name]]
    if not edited:
        return Edit(f"dam-warning {__version__}", "no file was edited: another version, or a new record")
    saved = [found for name in edited if (found := _saved(configuration.directory, name)) is not None]
    if not saved:
        return Edit("unknown", f"edited: {', '.join(edited)}")
    at, name, owner = max(saved)
    words = f"{', '.join(edited)}; last saved {at:%Y-%m-%d %H:%M:%S} UTC"
    return Edit(f"{owner} (owner of {name})", words)


def is_hint(who: str) -> bool:
    """Say whether the history has `who` from the files alone, because nobody signed."""
    return bool(_OWNER_OF.fullmatch(who))


def owner_name(user_id: int) -> str:
    """Return the login name of a user, or the number where there is none."""
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return f"user {user_id}"


def _saved(directory: Path, name: str) -> tuple[datetime, str, str] | None:
    try:
        status = (directory / name).stat()
    except OSError:
        return None
    return datetime.fromtimestamp(status.st_mtime, UTC), name, owner_name(status.st_uid)
