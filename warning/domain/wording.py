"""Values as people read them, for the reasons that the judgement gives."""

from __future__ import annotations

from warning.domain.variables import Variable


def quantity(value: float, variable: Variable | None) -> str:
    """Return `value` with its unit: "274.62 m", "3538.2 Mm³"; the bare number without a variable."""
    if variable is None:
        return f"{value:.6g}"
    if variable is Variable.STORAGE_M3:
        return f"{value / 1e6:.2f} Mm³"
    return f"{value:.2f} {variable.unit}"


def days(count: int) -> str:
    """Return a number of days: "1 day", "3 days"."""
    return f"{count} day" if count == 1 else f"{count} days"
