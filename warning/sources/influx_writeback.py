"""What a cycle came to, written back to InfluxDB for Grafana: beside the watch, never before it.

The cycle hands over what is on record already and goes on. One thread writes, under one deadline;
whatever becomes of it is told to a callback and to nobody who waits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

from warning.clock import monotonic_s
from warning.errors import SourceError
from warning.sources.influx_dialect import dialect_of
from warning.sources.influx_points import Judged, lines_of
from warning.sources.influx_settings import InfluxSettings
from warning.sources.influx_transport import InfluxTransport
from warning.sources.influx_writing import write_lines

log = logging.getLogger(__name__)

DEADLINE_S = 45.0  # the daemon's stop waits for it, within what systemd allows


class WriteBack:
    """Writes one cycle at a time; `on_end` hears from the writing thread what went wrong, or None."""

    def __init__(
        self, settings: InfluxSettings, measurement: str, on_end: Callable[[str | None], None]
    ) -> None:
        self._settings = replace(settings, deadline_s=min(settings.deadline_s, DEADLINE_S))
        self._measurement = measurement
        self._on_end = on_end
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="write-back")
        self._newest: Future[int] | None = None

    def submit(self, judged: Sequence[Judged], now: datetime) -> None:
        """Begin to write what the cycle of `now` came to, and return at once.

        A cycle that still waits for its turn is left out for this newer one.
        """
        if self._newest is not None:
            self._newest.cancel()
        try:
            self._newest = self._thread.submit(self._write, tuple(judged), now)
        except RuntimeError as error:  # no thread can be started
            self._on_end(f"the program failed: {error}")
            return
        self._newest.add_done_callback(self._tell)

    def close(self) -> None:
        """Wait for what was submitted, at most until its deadline."""
        self._thread.shutdown(wait=True)

    def _write(self, judged: Sequence[Judged], now: datetime) -> int:
        ends_at = monotonic_s() + self._settings.deadline_s
        with InfluxTransport(self._settings) as transport:
            flux = dialect_of(transport).flux
            return write_lines(transport, self._lines(judged, now), flux=flux, ends_at=ends_at)

    def _lines(self, judged: Sequence[Judged], now: datetime) -> Iterator[str]:
        for one in judged:
            mapping = self._settings.dam(one.reservoir.id)
            name = one.reservoir.id if mapping is None else mapping.tag_value
            yield from lines_of(one, name, self._measurement, now, self._settings.day_starts_at)

    def _tell(self, done: Future[int]) -> None:
        if done.cancelled():
            self._on_end("it had not begun when the next cycle came; the server is slow")
            return
        error = done.exception()
        if error is None:
            log.info("event=write-back points=%d", done.result())
            self._on_end(None)
            return
        known = isinstance(error, SourceError)
        self._on_end(str(error) if known else f"the program failed: {error!r}")
