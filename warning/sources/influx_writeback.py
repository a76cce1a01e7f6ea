"""What a cycle came to, written back to InfluxDB for Grafana: beside the watch, never before it.

The cycle hands over what is on record already and goes on. A thread of its own has a child write it,
under one deadline; what became of it is told to a callback, and nobody waits for it but the end of the
program.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from warning.clock import monotonic_s
from warning.errors import SourceError
from warning.events import pairs
from warning.sources.influx_child import write_in_child
from warning.sources.influx_points import Judged, lines_of
from warning.sources.influx_settings import InfluxSettings

log = logging.getLogger(__name__)

LAST_WAIT_S = 45.0  # at the end of the program, within what systemd and compose.yaml allow


@dataclass(frozen=True, slots=True, eq=False)
class _Cycle:
    judged: tuple[Judged, ...]
    now: datetime


class WriteBack:
    """Writes one cycle at a time; `on_end` hears from the writing thread what went wrong, or None."""

    def __init__(
        self, settings: InfluxSettings, measurement: str, on_end: Callable[[str | None], None]
    ) -> None:
        self._settings = settings
        self._measurement = measurement
        self._on_end = on_end
        self._turn = threading.Lock()
        self._newest: _Cycle | None = None
        self._threads: list[threading.Thread] = []

    def submit(self, judged: Sequence[Judged], now: datetime) -> None:
        """Begin to write what the cycle of `now` came to, and return at once.

        An older cycle that still waits for its turn then is left out: only the newest counts.
        """
        self._newest = cycle = _Cycle(tuple(judged), now)
        thread = threading.Thread(target=self._run, args=(cycle,), name="write-back", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the machine has no thread left
            self._on_end(f"the program failed: {error!r}")
            return
        self._threads = [*(other for other in self._threads if other.is_alive()), thread]

    def close(self) -> None:
        """Wait for what was submitted, at most `LAST_WAIT_S`; then it ends with the program."""
        until = monotonic_s() + LAST_WAIT_S
        for thread in self._threads:
            thread.join(max(0.0, until - monotonic_s()))
        if any(thread.is_alive() for thread in self._threads):
            self._on_end(f"the program ended {LAST_WAIT_S:g} s later, and the server had not taken all of it")

    def _run(self, cycle: _Cycle) -> None:
        with self._turn:
            if cycle is not self._newest:
                log.warning(pairs("write-back-left-out", cause="a newer cycle came before its turn"))
                return
            trouble: str | None = None
            try:
                log.info(pairs("write-back", points=self._write(cycle.judged, cycle.now)))
            except SourceError as error:
                trouble = str(error)
            finally:
                surprise = sys.exc_info()[1]  # goes on to the thread's own end, which prints it
                self._on_end(trouble if surprise is None else f"the program failed: {surprise!r}")

    def _write(self, judged: Sequence[Judged], now: datetime) -> int:
        return write_in_child(self._settings, self._lines(judged, now))

    def _lines(self, judged: Sequence[Judged], now: datetime) -> Iterator[str]:
        for one in judged:
            mapping = self._settings.dam(one.reservoir.id)
            name = one.reservoir.id if mapping is None else mapping.tag_value
            yield from lines_of(one, name, self._measurement, now, self._settings.day_starts_at)
