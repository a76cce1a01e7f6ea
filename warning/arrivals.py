"""Whether readings have arrived in the source since the last cycle looked at it."""

from __future__ import annotations

import hashlib
from datetime import datetime

from warning.clock import local_day
from warning.domain.reservoir import Reservoir
from warning.sources.csv_folder import CsvFolderSource


class Arrivals:
    """Remembers what the source held when a cycle last read it; corrections of old days count too."""

    def __init__(self, source: CsvFolderSource, reservoirs: tuple[Reservoir, ...]) -> None:
        self._source = source
        self._reservoirs = reservoirs
        self._seen = b""

    def note(self, now: datetime) -> None:
        """Remember what the source holds now; called before a cycle reads it, so nothing slips between."""
        self._seen = self._fingerprint(now)

    def any_new(self, now: datetime) -> bool:
        """Say whether the source holds something else than when it was last noted."""
        return self._fingerprint(now) != self._seen

    def _fingerprint(self, now: datetime) -> bytes:
        newest_day = max(local_day(now, reservoir.time_zone) for reservoir in self._reservoirs)
        fleet = self._source.read([reservoir.id for reservoir in self._reservoirs], last_day=newest_day)
        digest = hashlib.sha256()
        for reservoir_id, raw in sorted(fleet.readings.items()):
            digest.update(reservoir_id.encode())
            digest.update(raw.days.tobytes())
            for variable in sorted(raw.values):
                digest.update(variable.encode() + raw.values[variable].tobytes())
        digest.update("".join(sorted(fleet.failures)).encode())
        return digest.digest()
