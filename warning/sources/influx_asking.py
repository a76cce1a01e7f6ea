"""What every question to an InfluxDB server needs, whatever it asks for: Flux's way in, and spans of days."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from warning.errors import SourceError
from warning.sources import flux
from warning.sources.influx_settings import InfluxSettings
from warning.sources.influx_transport import InfluxTransport

DAY_NS = 86_400_000_000_000
_FILE_LIMIT = "exceed file limit"  # in InfluxDB 3 Core's words, whatever the limit is set to


def flux_bucket(transport: InfluxTransport) -> str:
    """Return the bucket to ask in Flux; raises SourceError where the settings cannot be asked so."""
    settings: InfluxSettings = transport.settings
    if settings.bucket is None:
        raise SourceError(f"{transport.where}: Flux needs a bucket; set bucket of the source")
    if settings.token is None and settings.user is not None:
        raise SourceError(
            f"{transport.where}: Flux takes a token, not user and password; set token of the source"
        )
    return settings.bucket


def ask_flux(transport: InfluxTransport, query: str, ends_at: float) -> Iterator[bytes]:
    """Yield the answer to a query as it comes, in annotated CSV."""
    org = transport.settings.org
    return transport.stream(
        "POST",
        flux.QUERY_PATH,
        query={} if org is None else {"org": org},
        body=flux.query_body(query),
        headers={"Accept": "application/csv", "Content-Type": "application/json"},
        ends_at=ends_at,
    )


def take_in_spans(begin_ns: int, until: Callable[[], int], take: Callable[[int, int | None], None]) -> None:
    """Take a period at once; where the server opens too many files for that, span by span.

    `take` is told where a span begins and where the next one does, so that no row comes twice; None for
    the last. It takes all of a span or, raising SourceError, nothing.
    """
    span_ns = until() - begin_ns
    while True:
        rest_ns = until() - begin_ns
        after_ns = None if span_ns >= rest_ns else begin_ns + span_ns
        try:
            take(begin_ns, after_ns)
        except SourceError as error:
            if _FILE_LIMIT not in str(error) or min(span_ns, rest_ns) <= DAY_NS:
                raise
            span_ns = max(DAY_NS, min(span_ns, rest_ns) // 2)
            continue
        if after_ns is None:
            return
        begin_ns = after_ns
