"""A copy of the record, taken while others write to it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from warning.domain.alert import Alert
from warning.domain.delivery import Composed
from warning.errors import JournalError
from warning.journal.entries import CycleEntry
from warning.journal.journal import Journal

MakeEntry = Callable[..., CycleEntry]
WRITE = """
import sys, time
from datetime import UTC, datetime
from warning.domain.alert import CALM
from warning.journal.entries import CycleEntry
from warning.journal.journal import Journal
journal, now = Journal.open(sys.argv[1]), datetime(2026, 11, 22, tzinfo=UTC)
print("writing", flush=True)
while True:
    cycle = journal.begin_cycle(now, "digest", None)
    for dam in "abc":
        entry = dict.fromkeys(("series", "forecast", "assessment")) | {"findings": (), "alerts": ()}
        journal.record(CycleEntry(
            cycle_id=cycle, reservoir_id=dam, recorded_at=now, standing=CALM, **entry), lambda alert: None)
    journal.close_cycle(cycle, now, reservoirs=3, forecasts=0, unwatched=0, alerts=0, failures=0)
    time.sleep(0.02)
"""
TORN = """
SELECT count(*) FROM cycles
WHERE outcome = 'complete' AND 3 <> (SELECT count(*) FROM entries WHERE cycle_id = cycles.id)
"""


@contextmanager
def writers(url: str, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    command = [sys.executable, "-c", WRITE, url]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "writing\n"
        yield children
        assert [child.poll() for child in children] == [None] * count, "a writer failed"
    finally:
        for child in children:
            child.kill()
            child.communicate()


def test_a_copy_taken_during_writes_opens_and_holds_whole_transactions(
    journal: Journal, url: str, tmp_path: Path
) -> None:
    with writers(url, 2):
        copies = [tmp_path / f"copy{number}.db" for number in range(5)]
        sizes = [journal.backup(copy) for copy in copies]
    assert sizes == [copy.stat().st_size for copy in copies]
    for copy in copies:
        assert copy.stat().st_mode & 0o777 == 0o600
        cycles = Journal.open(f"sqlite:///{copy}").recent_cycles(10_000)
        with sqlite3.connect(copy) as connection:
            assert connection.execute(TORN).fetchone() == (0,)
        assert len([cycle for cycle in cycles if cycle.outcome == "running"]) <= 2


def test_a_copy_put_in_the_records_place_goes_on_where_it_was(
    journal: Journal,
    url: str,
    entry: MakeEntry,
    alert: Callable[..., Alert],
    compose: Callable[..., Callable[[Alert], Composed]],
    tmp_path: Path,
) -> None:
    journal.record(entry(alert()), compose())
    copy = tmp_path / "copies" / "copy.db"
    copy.parent.mkdir()
    journal.backup(copy)
    assert [file.name for file in copy.parent.iterdir()] == ["copy.db"]
    journal.record(entry(alert()), compose())
    journal.close()
    copy.rename(url.removeprefix("sqlite:///"))
    restored = Journal.open(url)
    assert [row.number for row in restored.recent_alerts(9)] == [1]
    assert [a.number for a in restored.record(entry(alert()), compose())] == [2]


def test_nothing_is_overwritten(journal: Journal, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("dear to someone")
    with pytest.raises(JournalError, match="kept exists already"):
        journal.backup(kept)
    assert kept.read_text() == "dear to someone"
    assert not (tmp_path / "kept.part").exists()


def test_what_a_copy_that_was_cut_off_left_is_no_obstacle(journal: Journal, tmp_path: Path) -> None:
    (tmp_path / "copy.part").write_text("half")
    journal.backup(tmp_path / "copy")
    assert Journal.open(f"sqlite:///{tmp_path / 'copy'}").last_cycle() is None
    assert not (tmp_path / "copy.part").exists()


def test_a_copy_that_cannot_be_written_is_explained(journal: Journal, tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="copy could not be written: No such file"):
        journal.backup(tmp_path / "nowhere" / "copy")


def test_a_cycle_may_begin_while_the_copy_is_being_made(
    journal: Journal, url: str, now: datetime, tmp_path: Path
) -> None:
    with writers(url, 2):
        for number in range(5):
            journal.begin_cycle(now + timedelta(days=number), "digest", None)
            journal.backup(tmp_path / f"copy{number}")
            assert journal.last_cycle() is not None
            assert journal.all_standings()
