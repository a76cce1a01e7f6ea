"""A record in a file, and what is put into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from warning.domain.alert import CALM, Alert, AlertKind
from warning.domain.delivery import Composed, Message, MessageForm
from warning.domain.forecast import HORIZON_DAYS, QUANTILE_LEVELS, Forecast
from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import Severity
from warning.domain.variables import Variable
from warning.journal.entries import CycleEntry
from warning.journal.journal import Journal

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
JANE = ("jane", "mail", MessageForm.EMAIL)
OMAR = ("omar", "sms", MessageForm.SMS)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'record.db'}"


@pytest.fixture
def journal(url: str) -> Iterator[Journal]:
    opened = Journal.open(url)
    yield opened
    opened.close()


@pytest.fixture
def series() -> ReadingSeries:
    """Ninety days of levels, one of them missing and one doubted."""
    levels = np.linspace(260.0, 274.0, 90)
    levels[40] = np.nan
    flags = np.zeros(90, dtype=np.uint16)
    flags[41] = 8
    return ReadingSeries(
        date(2026, 8, 25), {Variable.LEVEL_M: levels}, {Variable.LEVEL_M: flags}, {Variable.LEVEL_M: flags}
    )


@pytest.fixture
def forecast() -> Forecast:
    steps = np.arange(HORIZON_DAYS)[:, None] + np.linspace(-1, 1, len(QUANTILE_LEVELS))
    return Forecast(
        reservoir_id="oroville",
        basis_day=date(2026, 11, 22),
        issued_at=NOW,
        method="pool",
        model_id="m1",
        mean=np.arange(7.0),
        quantiles=steps,
        members={"drift": np.arange(7.0)},
        weights={"drift": np.ones(7)},
    )


@pytest.fixture
def alert() -> Callable[..., Alert]:
    """Make an unnumbered alert; a severity is given by its rank."""

    def make(kind: AlertKind = AlertKind.RAISE, rank: int | None = 3, **fields: Any) -> Alert:
        defaults: dict[str, Any] = {
            "reservoir_id": "oroville",
            "created_at": NOW,
            "severity": None if rank is None else Severity(rank, f"severity {rank}"),
            "previous_severity": None,
            "follows": None,
            "reasons": ("rising",),
            "assessment": None,
        }
        return Alert(kind=kind, **(defaults | fields))

    return make


@pytest.fixture
def entry(journal: Journal) -> Callable[..., CycleEntry]:
    """Make an entry of a new cycle."""

    def make(*alerts: Alert, **fields: Any) -> CycleEntry:
        at = fields.get("recorded_at", NOW)
        defaults: dict[str, Any] = {
            "reservoir_id": "oroville",
            "recorded_at": at,
            "series": None,
            "forecast": None,
            "assessment": None,
            "findings": (),
            "standing": CALM,
        }
        if "cycle_id" not in fields:
            fields["cycle_id"] = journal.begin_cycle(at, "digest", "m1")
        return CycleEntry(alerts=alerts, **(defaults | fields))

    return make


@pytest.fixture
def compose() -> Callable[..., Callable[[Alert], Composed]]:
    """Make a composer that addresses the given recipients, by default Jane's mail and Omar's SMS."""

    def make(*deliveries: tuple[str, str, MessageForm], hours: float = 24) -> Callable[[Alert], Composed]:
        return lambda alert: Composed(
            message=Message(f"Alert {alert.number}", "text", '<img src="cid:plot.png">', "sms"),
            deliveries=deliveries or (JANE, OMAR),
            expires_at=alert.created_at + timedelta(hours=hours),
            plot_data='{"plot":1}',
        )

    return make
