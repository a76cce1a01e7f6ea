"""Notices that the three files have another content, once whoever edits them has come to rest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from warning.config.loading import FILES

SETTLED_S = 5.0  # an editor writes, renames, and the next file follows
MISSING_S = 30.0  # a file that is away for a moment is being replaced
RETRY_S = 60.0

_Look = tuple[int, int, int, int]  # inode, size, and when content and inode were last changed


class ConfigurationFiles:
    """The three files of one folder, compared with what was last taken from them.

    Only content counts: a file that is touched or written anew as it was has not changed. Secret files are
    not looked at.
    """

    def __init__(self, directory: Path, in_force: Mapping[str, str] | None = None) -> None:
        """Begin with the texts `in_force`, by file name, or with what lies there now."""
        self._directory = directory
        self._looks: dict[str, _Look | None] = {}
        self._digests: dict[str, str | None] = {}
        self._known = (
            self._content() if in_force is None else tuple(_digest(in_force[n].encode()) for n in FILES)
        )
        self._seen = self._known
        self._seen_at_s: float | None = None
        self._again_at_s: float | None = None

    def changed(self, monotonic_s: float) -> bool:
        """Say, once for each, that there is a new content which has rested long enough to be read."""
        content = self._content()
        if content != self._seen or self._seen_at_s is None:
            self._seen, self._seen_at_s = content, monotonic_s
        if content == self._known:
            return self._again(monotonic_s)
        rest_s = MISSING_S if None in content else SETTLED_S
        if monotonic_s - self._seen_at_s < rest_s:
            return False
        self._known, self._again_at_s = content, None
        return True

    def refused(self, monotonic_s: float) -> None:
        """Note that what lies there could not be adopted: it is reported again in a minute.

        What stood in the way may be mended without an edit of the three files: a secret, a permission.
        """
        self._again_at_s = monotonic_s + RETRY_S

    def adopted(self, in_force: Mapping[str, str]) -> None:
        """Note that these texts, by file name, are in force now, by whatever way they were taken."""
        self._known = tuple(_digest(in_force[name].encode()) for name in FILES)
        self._again_at_s = None

    def _again(self, monotonic_s: float) -> bool:
        if self._again_at_s is None or monotonic_s < self._again_at_s:
            return False
        self._again_at_s = None
        return True

    def _content(self) -> tuple[str | None, ...]:
        return tuple(self._digest_of(name) for name in FILES)

    def _digest_of(self, name: str) -> str | None:
        """Return the digest of a file's content, read only where the file looks different; None: no file."""
        path = self._directory / name
        try:
            status = path.stat()
            look = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if self._looks.get(name) != look:
                self._digests[name] = _digest(path.read_bytes())
                self._looks[name] = look
        except OSError:
            self._looks[name] = self._digests[name] = None
        return self._digests[name]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
