"""The rules of [health] and [retention]: how the daemon says how it is, and what it keeps."""

from __future__ import annotations

import re

from warning.config.channels import Secrets
from warning.config.configuration import HealthSettings, RetentionSettings
from warning.config.drafts import HealthDraft, WarningFile
from warning.config.problems import Complaints
from warning.config.secret_references import is_reference

_LISTEN = re.compile(r"(127\.0\.0\.1|\[::1\]):(\d{1,5})")
_PING_URL = re.compile(r"https?://[A-Za-z0-9\[][^\s/]*(/\S*)?")


def health_settings(draft: WarningFile, secrets: Secrets, complaints: Complaints) -> HealthSettings:
    """Return how the daemon says how it is. The URL to ping may be a secret."""
    given = draft.health or HealthDraft()
    plain = given.model_dump(exclude_none=True, exclude={"listen", "ping_url"})
    ping_url = _ping_url(given.ping_url, secrets, complaints)
    if given.listen is None:
        return HealthSettings(ping_url=ping_url, **plain)
    return HealthSettings(listen=_listen(given.listen, complaints), ping_url=ping_url, **plain)


def retention_settings(draft: WarningFile) -> RetentionSettings:
    """Return for how long the record keeps what no alert rests on."""
    return RetentionSettings(**(draft.retention.model_dump(exclude_none=True) if draft.retention else {}))


def _listen(written: str, complaints: Complaints) -> tuple[str, int] | None:
    if written == "off":
        return None
    found = _LISTEN.fullmatch(written)
    if found is None or not 1 <= int(found[2]) <= 65_535:
        complaints.add(
            ("health", "listen"),
            found="another address",
            expected='an address of this host alone, "127.0.0.1:PORT" or "[::1]:PORT", or "off"',
            remedy='write listen = "127.0.0.1:9797"; others reach it through a proxy that asks who they are',
        )
        return None
    return found[1].strip("[]"), int(found[2])


def _ping_url(written: str | None, secrets: Secrets, complaints: Complaints) -> str | None:
    if written is None:
        return None
    path = ("health", "ping_url")
    url = secrets.find(written, path, complaints) if is_reference(written) else written
    if url is not None and not _PING_URL.fullmatch(url):
        complaints.add(
            path,
            found="no such URL (not shown)",
            expected="a URL that begins with https:// or http://, or a reference to one",
            remedy='write for example: ping_url = "file:ping.url", and the URL into that file, mode 600',
        )
    return url
