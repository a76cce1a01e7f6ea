"""The record: one transaction a dam and cycle, numbers never reused, nothing half written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from warning.domain.alert import CALM, Alert, AlertKind, Standing
from warning.domain.delivery import Composed
from warning.domain.findings import Finding, FindingKind
from warning.domain.forecast import Forecast
from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import Severity
from warning.domain.variables import Variable
from warning.errors import JournalError
from warning.journal.entries import CycleEntry
from warning.journal.journal import Journal

MakeAlert = Callable[..., Alert]
MakeEntry = Callable[..., CycleEntry]
Compose = Callable[..., Callable[[Alert], Composed]]


def rows(url: str, table: str) -> int:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_a_dam_that_was_never_announced_is_calm(journal: Journal, now: datetime) -> None:
    assert journal.standing("oroville") == CALM
    assert journal.findings_announced("oroville", now) == {}
    assert journal.last_cycle() is None


def test_what_stands_is_read_back_with_the_number_of_the_newest_alert(
    journal: Journal, alert: MakeAlert, entry: MakeEntry, compose: Compose, now: datetime
) -> None:
    standing = Standing(severity=Severity(3, "warning"), announced_at=now, peak_value=274.5)
    made = journal.record(entry(alert(), standing=standing), compose())
    assert [a.number for a in made] == [1]
    kept = journal.standing("oroville")
    assert (kept.severity, kept.peak_value, kept.alert_number) == (Severity(3, "warning"), 274.5, 1)


def test_an_alert_on_findings_does_not_become_what_stands(
    journal: Journal, alert: MakeAlert, entry: MakeEntry, compose: Compose
) -> None:
    first, about = alert(), alert(AlertKind.FINDING, None)
    journal.record(entry(first, about), compose())
    assert journal.standing("oroville").alert_number == 1
    journal.record(entry(about, standing=journal.standing("oroville")), compose())
    assert journal.standing("oroville").alert_number == 1


def test_a_cycle_without_alerts_keeps_the_number_of_what_stands(
    journal: Journal, alert: MakeAlert, entry: MakeEntry, compose: Compose
) -> None:
    journal.record(entry(alert(AlertKind.UNWATCHED), standing=Standing(unwatched=True)), compose())
    journal.record(entry(standing=journal.standing("oroville")), compose())
    assert journal.standing("oroville") == Standing(unwatched=True, alert_number=1)


def test_a_second_entry_for_the_same_dam_and_cycle_is_refused(
    journal: Journal, alert: MakeAlert, entry: MakeEntry, compose: Compose, url: str
) -> None:
    once = entry(alert())
    journal.record(once, compose())
    with pytest.raises(
        JournalError, match=r"oroville already has an entry for cycle 1; .* begin a new cycle"
    ):
        journal.record(once, compose())
    assert (rows(url, "entries"), rows(url, "alerts"), rows(url, "deliveries")) == (1, 1, 2)


def test_an_entry_for_a_cycle_that_never_began_is_refused(
    journal: Journal, entry: MakeEntry, compose: Compose
) -> None:
    with pytest.raises(JournalError, match="could not be written"):
        journal.record(entry(cycle_id=99), compose())


def test_a_composer_that_breaks_leaves_nothing_and_its_error_comes_through(
    journal: Journal,
    series: ReadingSeries,
    alert: MakeAlert,
    entry: MakeEntry,
    compose: Compose,
    url: str,
) -> None:
    def broken(numbered: Alert) -> Composed:
        raise ZeroDivisionError(f"alert {numbered.number}")

    kept = entry(alert(), alert(AlertKind.UNWATCHED), series=series, standing=Standing(unwatched=True))
    with pytest.raises(ZeroDivisionError, match="alert 1"):
        journal.record(kept, broken)
    for table in ("entries", "readings", "alerts", "messages", "deliveries", "standings"):
        assert rows(url, table) == 0, table
    assert journal.standing("oroville") == CALM
    assert len(journal.record(kept, compose())) == 2  # with another composer it can be recorded after all


def test_an_alert_number_is_never_used_again_even_after_its_row_is_gone(
    journal: Journal, alert: MakeAlert, entry: MakeEntry, compose: Compose, url: str
) -> None:
    journal.record(entry(alert(), alert()), compose())
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        for table in ("deliveries", "messages", "alerts"):
            connection.execute(f"DELETE FROM {table}")
    assert [a.number for a in journal.record(entry(alert()), compose())] == [3]


def test_what_was_sent_and_why_can_be_shown(
    journal: Journal,
    series: ReadingSeries,
    forecast: Forecast,
    alert: MakeAlert,
    entry: MakeEntry,
    compose: Compose,
) -> None:
    finding = Finding(FindingKind.SPIKE, "a spike", "oroville", Variable.LEVEL_M, date(2026, 11, 20))
    kept = entry(alert(findings=(finding,)), series=series, forecast=forecast, findings=(finding,))
    journal.record(kept, compose())
    shown = journal.alert_record(1)
    assert shown is not None
    assert shown.entry is not None
    assert shown.entry.series is not None
    assert shown.entry.forecast is not None
    assert (shown.alert.number, shown.message.subject, shown.plot_data) == (1, "Alert 1", '{"plot":1}')
    assert shown.alert.findings == shown.entry.findings == (finding,)
    assert np.array_equal(shown.entry.forecast.weights["drift"], np.ones(7))
    assert [d.recipient_id for d, attempts in shown.deliveries if not attempts] == ["jane", "omar"]
    seen = shown.entry.series
    assert (len(seen), seen.last_day) == (60, series.last_day)
    assert np.array_equal(
        seen.values[Variable.LEVEL_M], series.values[Variable.LEVEL_M][-60:], equal_nan=True
    )
    assert seen.settled[Variable.LEVEL_M][11] == 8
    assert journal.alert_record(2) is None


def test_when_a_finding_was_last_announced_is_known_by_kind_and_variable(
    journal: Journal, alert: MakeAlert, entry: MakeEntry, compose: Compose, now: datetime
) -> None:
    spike = Finding(FindingKind.SPIKE, "a spike", "oroville", Variable.LEVEL_M)
    stale = Finding(FindingKind.STALE, "stale", "oroville")
    journal.record(entry(alert(AlertKind.FINDING, None, findings=(spike, stale))), compose())
    later = now + timedelta(days=2)
    again = alert(AlertKind.FINDING, None, findings=(stale,), created_at=later)
    journal.record(entry(again), compose())
    assert journal.findings_announced("oroville", later) == {
        (FindingKind.SPIKE, Variable.LEVEL_M): now,
        (FindingKind.STALE, None): later,
    }
    assert journal.findings_announced("elsewhere", later) == {}


def test_a_finding_announced_by_a_clock_that_ran_ahead_hides_no_earlier_announcement(
    journal: Journal, alert: MakeAlert, entry: MakeEntry, compose: Compose, now: datetime
) -> None:
    stale = Finding(FindingKind.STALE, "stale", "oroville")
    for at in (now, now + timedelta(days=500)):
        journal.record(entry(alert(AlertKind.FINDING, None, findings=(stale,), created_at=at)), compose())
    announced = journal.findings_announced("oroville", now + timedelta(hours=1))
    assert announced == {(FindingKind.STALE, None): now}


def test_a_cycle_says_how_it_ended_and_one_that_was_cut_off_says_that(
    journal: Journal, now: datetime
) -> None:
    done = journal.begin_cycle(now, "digest", "m1")
    end = now + timedelta(minutes=1)
    journal.close_cycle(done, end, reservoirs=3, forecasts=2, unwatched=1, alerts=1, failures=1)
    cut_off = journal.begin_cycle(now, "digest", None)
    newest, older = journal.recent_cycles(5)
    assert (newest.id, newest.outcome, newest.ended_at, newest.reservoirs) == (cut_off, "running", None, None)
    assert (older.id, older.outcome, older.ended_at, older.unwatched) == (done, "partial", end, 1)
    assert journal.last_cycle() == newest


def test_only_a_cycle_over_the_fleet_that_ended_counts_as_done(journal: Journal, now: datetime) -> None:
    assert journal.last_finished_cycle(now) is None
    counts = {"reservoirs": 1, "forecasts": 0, "unwatched": 0, "alerts": 1, "failures": 0}
    done = journal.begin_cycle(now, "digest", None)
    journal.close_cycle(done, now, **counts)
    early = journal.begin_cycle(now, "digest", None)
    journal.close_cycle(early, now, early=True, **counts)
    journal.begin_cycle(now, "digest", None)
    finished = journal.last_finished_cycle(now)
    assert finished is not None
    assert (finished.id, finished.outcome) == (done, "complete")
    assert journal.recent_cycles(2)[1].outcome == "early"


def test_a_cycle_of_a_clock_that_was_ahead_does_not_count_as_done(journal: Journal, now: datetime) -> None:
    counts = {"reservoirs": 1, "forecasts": 0, "unwatched": 0, "alerts": 1, "failures": 0}
    ahead = now + timedelta(days=400)
    done, mistaken = (journal.begin_cycle(at, "digest", None) for at in (now, ahead))
    journal.close_cycle(done, now, **counts)
    journal.close_cycle(mistaken, ahead, **counts)
    finished, later = journal.last_finished_cycle(now), journal.last_finished_cycle(ahead)
    assert [row.id for row in (finished, later) if row is not None] == [done, mistaken]


def test_a_run_without_an_end_is_seen_at_the_next_start(journal: Journal, now: datetime) -> None:
    assert journal.last_run() is None
    in_order = journal.begin_run(now, "1.0", "digest")
    journal.end_run(in_order, now + timedelta(hours=1))
    ended = journal.last_run()
    killed = journal.begin_run(now + timedelta(hours=2), "1.1", "other")
    cut_off = journal.last_run()
    assert ended is not None
    assert cut_off is not None
    assert (ended.id, ended.version, ended.ended_at) == (in_order, "1.0", now + timedelta(hours=1))
    assert (cut_off.id, cut_off.configuration_digest, cut_off.ended_at) == (killed, "other", None)


def test_what_was_changed_can_be_neither_altered_nor_removed(journal: Journal, url: str) -> None:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        connection.execute(
            "INSERT INTO changes (at, who, configuration_digest, key, previous_hash, hash) "
            "VALUES ('2026-11-22 03:00:00', 'jane', 'digest', 'k', '', 'h')"
        )
        for tampering in ("UPDATE changes SET who = 'omar'", "DELETE FROM changes"):
            with pytest.raises(sqlite3.IntegrityError, match="changes are only ever added"):
                connection.execute(tampering)
    assert rows(url, "changes") == 1


def test_lists_for_people_are_newest_first_and_limited(
    journal: Journal, alert: MakeAlert, entry: MakeEntry, compose: Compose
) -> None:
    journal.record(entry(alert(), alert(), alert()), compose())
    journal.record(entry(alert(reservoir_id="krs"), reservoir_id="krs"), compose())
    assert [a.number for a in journal.recent_alerts(3)] == [4, 3, 2]
    assert [(a.number, a.subject) for a in journal.recent_alerts(9, "krs")] == [(4, "Alert 4")]
    assert [d.alert_number for d in journal.recent_deliveries(3)] == [4, 4, 3]
    assert [s.reservoir_id for s in journal.all_standings()] == ["krs", "oroville"]
    assert journal.all_standings()[1].cycle_id == 1


def test_the_text_of_a_configuration_is_kept_once_and_without_addresses(
    journal: Journal, url: str, now: datetime
) -> None:
    files = {"recipients.toml": 'url = "mailtos://jane:hunter2@mail.example.org?to=a@b"\nname = "Jane"'}
    journal.keep_configuration("digest", files, now)
    journal.keep_configuration("digest", {"other.toml": "x"}, now + timedelta(days=1))
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        ((text,),) = connection.execute("SELECT files FROM configurations").fetchall()
    assert "Jane" in text
    assert "hunter2" not in text


def test_the_record_is_for_its_owner_alone(
    journal: Journal, entry: MakeEntry, compose: Compose, url: str
) -> None:
    journal.record(entry(), compose())
    path = Path(url.removeprefix("sqlite:///"))
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == {"record.db": 0o600, "record.db-wal": 0o600, "record.db-shm": 0o600}


def test_an_instant_without_a_zone_is_refused(journal: Journal, now: datetime) -> None:
    with pytest.raises(JournalError, match="naive"):
        journal.begin_cycle(now.replace(tzinfo=None), "digest", None)
