"""Whether readings have arrived in the source since the last cycle looked at it."""

from __future__ import annotations

import hashlib
import logging
from datetime import date, datetime, timedelta

from warning.clock import local_day
from warning.domain.reservoir import Reservoir
from warning.errors import SourceError
from warning.ops.logs import pairs
from warning.sources.source import ReadingSource

log = logging.getLogger(__name__)

_DAYS_LOOKED_AT = 60  # what is corrected further back waits for the daily cycle


class Arrivals:
    """Remembers what the source held when a cycle last read it; corrections of recent days count too."""

    def __init__(self, source: ReadingSource, reservoirs: tuple[Reservoir, ...]) -> None:
        self._source = source
        self._reservoirs = reservoirs
        self._first_day: date | None = None
        self._seen = b""

    def note(self, now: datetime) -> None:
        """Remember what the source holds now; called before a cycle reads it, so nothing slips between."""
        self._first_day = self._newest_day(now) - timedelta(days=_DAYS_LOOKED_AT)
        self._seen = self._fingerprint(now)

    def any_new(self, now: datetime) -> bool:
        """Say whether the source holds something else than when it was last noted."""
        return self._fingerprint(now) != self._seen

    def _newest_day(self, now: datetime) -> date:
        return max(local_day(now, reservoir.time_zone) for reservoir in self._reservoirs)

    def _fingerprint(self, now: datetime) -> bytes:
        digest = hashlib.sha256()
        try:
            ids = [reservoir.id for reservoir in self._reservoirs]
            fleet = self._source.read(ids, self._newest_day(now), self._first_day)
        except SourceError as error:
            log.warning(pairs("source-unreadable", error=str(error)))
            return b"unreadable"  # that it has become so is news: the cycle says it to people
        for reservoir_id, raw in sorted(fleet.readings.items()):
            digest.update(reservoir_id.encode())
            digest.update(raw.days.tobytes())
            for variable in sorted(raw.values):
                digest.update(variable.encode() + raw.values[variable].tobytes())
        digest.update("".join(sorted(fleet.failures)).encode())
        return digest.digest()
