"""Send points to an InfluxDB server, in batches, by whichever write path its version has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from warning.errors import SourceError
from warning.sources.influx_transport import InfluxTransport

BATCH_LINES = 5000  # InfluxData's own advice for 1.x and 2.x
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}


def write_lines(
    transport: InfluxTransport, lines: Iterable[str], *, flux: bool, ends_at: float | None = None
) -> int:
    """Write points and return how many; `flux` says whether the server is asked in Flux (2.x).

    Raises SourceError at the first batch that the server does not take; the batches before it
    stand, and writing all of them again changes nothing. `ends_at` is on `clock.monotonic_s`.
    """
    path, query = _target(transport, flux)
    written = 0
    for batch in _batches(lines):
        body = "\n".join(batch).encode()
        transport.fetch("POST", path, query=query, body=body, headers=_TEXT, ends_at=ends_at)
        written += len(batch)
    return written


def _target(transport: InfluxTransport, flux: bool) -> tuple[str, dict[str, str]]:
    """Return the path that takes points, and the names that say where they belong."""
    settings = transport.settings
    if flux:
        names = {"org": settings.org, "bucket": settings.bucket}
        path, needed = "/api/v2/write", "bucket"
    else:
        names = {"db": settings.database, "rp": settings.retention_policy}
        path, needed = "/write", "database"
    if not getattr(settings, needed):
        raise SourceError(
            f"{transport.where}: points cannot be written without {needed} of the source; set it"
        )
    return path, {"precision": "ns", **{key: name for key, name in names.items() if name}}


def _batches(lines: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(lines)
    while batch := list(islice(rest, BATCH_LINES)):
        yield batch
