"""Forgetting what is old, and nothing that a warning rests on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from warning.domain.alert import Alert, Standing
from warning.domain.delivery import Composed
from warning.domain.findings import Finding, FindingKind
from warning.domain.forecast import Forecast
from warning.domain.readings import ReadingSeries
from warning.journal import pruning
from warning.journal.entries import CycleEntry
from warning.journal.journal import Journal

MakeAlert = Callable[..., Alert]
MakeEntry = Callable[..., CycleEntry]
Compose = Callable[..., Callable[[Alert], Composed]]
KEPT_FOR_EVER = ("alerts", "messages", "deliveries", "attempts", "changes", "configurations", "standings")


def counts(url: str) -> dict[str, int]:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for (name,) in tables}


def pages(url: str) -> int:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        return int(connection.execute("PRAGMA page_count").fetchone()[0])


@pytest.fixture
def day(
    journal: Journal,
    entry: MakeEntry,
    compose: Compose,
    series: ReadingSeries,
    forecast: Forecast,
    now: datetime,
) -> Callable[..., int]:
    """Record one dam's cycle `number` days after the first, whole; return the cycle's id."""

    def record(number: int, *alerts: Alert, dam: str = "oroville", standing: Standing | None = None) -> int:
        at = now + timedelta(days=number)
        finding = Finding(FindingKind.STALE, "old readings", dam)
        made = entry(
            *alerts,
            reservoir_id=dam,
            recorded_at=at,
            series=series,
            forecast=forecast,
            findings=(finding,),
            standing=standing or Standing(),
        )
        journal.record(made, compose())
        journal.close_cycle(
            made.cycle_id, at, reservoirs=1, forecasts=1, unwatched=0, alerts=len(alerts), failures=0
        )
        return made.cycle_id

    return record


def test_what_is_old_goes_and_what_is_young_stays(
    journal: Journal, url: str, day: Callable[..., int], now: datetime
) -> None:
    for number in range(30):
        day(number)
    assert journal.prune(now + timedelta(days=29, hours=1), keep_days=10) == 20
    left = counts(url)
    assert {left[name] for name in ("cycles", "entries", "readings", "forecasts", "findings")} == {10}
    assert journal.prune(now + timedelta(days=29, hours=1), keep_days=10) == 0


def test_what_an_alert_or_a_standing_warning_rests_on_stays_for_ever(
    journal: Journal, url: str, day: Callable[..., int], alert: MakeAlert, now: datetime
) -> None:
    alarmed = day(0, alert(), standing=Standing())
    day(1)
    last_seen = day(2, dam="given up long ago")
    for number in range(3, 30):
        day(number)
    shown, before = repr(journal.alert_record(1)), counts(url)
    assert "basis_day" in shown
    assert journal.prune(now + timedelta(days=4000), keep_days=5) == 23
    after = counts(url)
    assert repr(journal.alert_record(1)) == shown
    assert [after[name] for name in KEPT_FOR_EVER] == [before[name] for name in KEPT_FOR_EVER]
    assert {alarmed, last_seen} < {cycle.id for cycle in journal.recent_cycles(99)}
    assert [row.reservoir_id for row in journal.all_standings()] == ["given up long ago", "oroville"]


def test_a_clock_that_leaps_ahead_does_not_empty_the_record(
    journal: Journal, day: Callable[..., int], now: datetime
) -> None:
    for number in range(12):
        day(number)
    assert journal.prune(now + timedelta(days=365_00), keep_days=10) == 2
    assert len(journal.recent_cycles(99)) == 10


def test_troubles_that_are_over_and_old_runs_go_but_not_the_newest_run(
    journal: Journal, url: str, now: datetime
) -> None:
    for number in range(3):
        journal.begin_run(now + timedelta(days=number), "1.0", "digest")
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        for ended in ("'2026-01-01 00:00:00.000000'", "NULL"):
            connection.execute(
                "INSERT INTO troubles (kind, key, message, since, told_at, ended_at, again) VALUES "
                f"('disk-low', 'k', 'm', '2026-01-01 00:00:00', '2026-01-01 00:00:00', {ended}, 0)"
            )
    journal.prune(now + timedelta(days=400), keep_days=30)
    left = counts(url)
    assert (left["runs"], left["troubles"]) == (1, 1)
    run = journal.last_run()
    assert run is not None
    assert run.started_at == now + timedelta(days=2)


def test_many_are_forgotten_in_short_transactions_with_room_between_them(
    journal: Journal, day: Callable[..., int], now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "BATCH", 4)
    written: list[int] = []

    def write_meanwhile(pause_s: float) -> None:
        assert pause_s > 0
        written.append(journal.begin_cycle(now + timedelta(days=99), "digest", None))

    monkeypatch.setattr(pruning.time, "sleep", write_meanwhile)
    for number in range(15):
        day(number)
    assert journal.prune(now + timedelta(days=99), keep_days=1) == 14
    assert len(written) >= 3  # a cycle could begin between any two batches


def test_over_many_simulated_days_neither_the_file_nor_its_log_grows(
    journal: Journal, url: str, day: Callable[..., int], now: datetime
) -> None:
    sizes = []
    for number in range(200):
        day(number)
        if number % 5 == 0:
            journal.prune(now + timedelta(days=number), keep_days=40)
        if number in (80, 199):
            sizes.append(pages(url))
    assert sizes[1] <= sizes[0] * 1.02
    log = Path(url.removeprefix("sqlite:///") + "-wal")
    assert log.stat().st_size < 16 << 20
