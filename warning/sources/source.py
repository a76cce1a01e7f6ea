"""What every source of readings, and every source of outlooks, can do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Protocol

from warning.domain.ahead import FleetOutlooks
from warning.domain.readings import FleetReadings


class ReadingSource(Protocol):
    """Where readings come from: a folder of CSV files, or an InfluxDB server."""

    def read(
        self, reservoir_ids: Sequence[str], last_day: date | None = None, first_day: date | None = None
    ) -> FleetReadings:
        """Read the dams asked for, within the days given, both included.

        A dam without readings is among the failures, with the reason; raises SourceError where
        the source as a whole could not be read whole.
        """
        ...


class OutlookSource(Protocol):
    """Where forecast rain and planned release come from: a folder of CSV files, or an InfluxDB server."""

    def read(self, reservoir_ids: Sequence[str], last_day: date) -> FleetOutlooks:
        """Read what was issued up to `last_day` for the dams asked for; most dams may have nothing.

        Raises SourceError where the source as a whole could not be read whole.
        """
        ...
