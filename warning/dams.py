"""How each dam stands by the record: what was announced, its newest believed value, the forecast peak."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from warning.alerts.wording import day_text, value_text
from warning.config.configuration import Configuration
from warning.domain.alert import CALM, Standing
from warning.domain.assessment import Assessment
from warning.domain.reservoir import Reservoir
from warning.journal.journal import Journal


@dataclass(frozen=True, slots=True)
class DamStatus:
    """What stands at one dam, and how it was last judged."""

    reservoir: Reservoir
    standing: Standing
    recorded_at: datetime | None
    assessment: Assessment | None = None
    last_day: date | None = None  # of the readings on record

    @property
    def words(self) -> str:
        """How the dam stands."""
        if self.recorded_at is None:
            return "never looked at"
        severity = self.standing.severity
        stands = severity.name.upper() if severity is not None else "calm"
        if severity is not None and self.standing.evidence is not None:
            stands += f" ({self.standing.evidence.value}, alert {self.standing.alert_number})"
        if self.standing.unwatched:
            return f"UNWATCHED; last known: {stands}"
        return stands

    @property
    def line(self) -> str:
        """How the dam stands, its newest believed value, and the peak that is forecast."""
        found, variable = self.assessment, self.reservoir.forecast_variable
        parts = [self.words]
        if found is not None and found.observed_value is not None and found.observed_day is not None:
            parts.append(f"{value_text(found.observed_value, variable)} on {day_text(found.observed_day)}")
            ahead = found.peak_day is not None and found.peak_day > found.observed_day
            if found.peak_day is not None and ahead:
                peak = value_text(found.peak_value, variable)
                parts.append(f"forecast peak {peak} on {day_text(found.peak_day)}")
        elif self.recorded_at is not None:
            parts.append("no believed value")
        return "; ".join(parts)

    @property
    def needs_eyes(self) -> bool:
        """Whether it is anything but watched and calm."""
        return self.recorded_at is None or self.standing.unwatched or self.standing.severity is not None


def read_dams(configuration: Configuration, journal: Journal) -> tuple[DamStatus, ...]:
    """Return every configured dam as the record holds it. Raises JournalError."""
    standings = {row.reservoir_id: row for row in journal.all_standings()}
    assessments, sights = journal.newest_assessments(), journal.sights()
    return tuple(
        DamStatus(
            reservoir,
            row.standing if row else CALM,
            row.updated_at if row else None,
            assessments.get(reservoir.id),
            sight.last_day if sight else None,
        )
        for reservoir in configuration.reservoirs
        for row, sight in [(standings.get(reservoir.id), sights.get(reservoir.id))]
    )


def dam_json(dam: DamStatus) -> dict[str, Any]:
    """Return a dam for machines."""
    standing, found = dam.standing, dam.assessment
    return {
        "severity": standing.severity.name if standing.severity else None,
        "evidence": standing.evidence.value if standing.evidence else None,
        "unwatched": standing.unwatched,
        "alert": standing.alert_number,
        "recorded_at": dam.recorded_at.isoformat() if dam.recorded_at else None,
        "last_reading_day": dam.last_day.isoformat() if dam.last_day else None,
        "variable": dam.reservoir.forecast_variable.value,
        "value": found.observed_value if found else None,
        "value_day": found.observed_day.isoformat() if found and found.observed_day else None,
        "peak": found.peak_value if found else None,
        "peak_day": found.peak_day.isoformat() if found and found.peak_day else None,
    }
