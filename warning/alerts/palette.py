"""Colours of severities: darker is worse, so the order also holds in print and for colour-blind eyes."""

from __future__ import annotations

from warning.domain.reservoir import Severity

CALM_COLOUR = "#1f5f8b"
UNWATCHED_COLOUR = "#3a3a3a"
_BY_RANK = ("#8a6500", "#a84300", "#a3161f", "#5b0a54")  # white text on each has a contrast above 4.5


def severity_colour(severity: Severity | None) -> str:
    """Return the colour for `severity`; ranks beyond the palette share its last colour."""
    if severity is None:
        return CALM_COLOUR
    return rank_colour(severity.rank)


def rank_colour(rank: int) -> str:
    """Return the colour of a severity's rank, 1 being the least."""
    return _BY_RANK[min(max(rank, 1), len(_BY_RANK)) - 1]
