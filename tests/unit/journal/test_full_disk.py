"""A disk that is really full: warnings are recorded from the ballast; beyond it nothing is half written."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from warning.domain.alert import Alert
from warning.domain.delivery import Composed
from warning.domain.forecast import Forecast
from warning.domain.readings import ReadingSeries
from warning.errors import DiskFullError
from warning.journal import journal as journal_module
from warning.journal.entries import CycleEntry
from warning.journal.journal import Journal
from warning.ops.ballast import Ballast

DISK_BYTES = 20 << 20
BALLAST_BYTES = 4 << 20  # less than SQLite lets its log grow to would not carry far
MakeEntry = Callable[..., CycleEntry]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=700", "dam-warning-test", str(folder)]
    try:
        made = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command to make a small disk with")
    if made.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def url(disk: Path) -> str:
    return f"sqlite:///{disk / 'record.db'}"


@pytest.fixture
def ballast(disk: Path) -> Ballast:
    return Ballast(disk, BALLAST_BYTES)


@pytest.fixture
def journal(url: str, ballast: Ballast) -> Iterator[Journal]:
    opened = Journal.open(url, on_full=ballast.release)
    assert ballast.keep()
    yield opened
    opened.close()


@pytest.fixture
def warning(
    entry: MakeEntry,
    alert: Callable[..., Alert],
    compose: Callable[..., Callable[[Alert], Composed]],
    journal: Journal,
    series: ReadingSeries,
    forecast: Forecast,
) -> Callable[[int], list[int]]:
    """Record a whole warning in a cycle that has begun; return its number."""

    def record(cycle_id: int) -> list[int]:
        made = entry(alert(), cycle_id=cycle_id, series=series, forecast=forecast)
        return [a.number or 0 for a in journal.record(made, compose())]

    return record


def fill(disk: Path) -> Path:
    """Write until not one more byte fits."""
    filler = disk / f"filler{len(list(disk.iterdir()))}"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    room = os.statvfs(disk)
    assert room.f_bavail == 0
    return filler


def begin_several(journal: Journal, now: datetime, count: int) -> list[int]:
    return [journal.begin_cycle(now, "digest", None) for _ in range(count)]


def test_at_a_full_disk_a_warning_is_recorded_and_can_be_sent(
    journal: Journal, disk: Path, warning: Callable[[int], list[int]], now: datetime, url: str
) -> None:
    cycles = begin_several(journal, now, 40)
    fill(disk)
    numbers = [number for cycle in cycles for number in warning(cycle)]
    assert numbers == list(range(1, 41))
    assert len(list(disk.glob("reserve*"))) == 0  # the ballast made the room
    due = journal.claim_due(now, 3, 60)
    assert len(due) == 3
    journal.mark_sent(due[0], now, "accepted")


def test_beyond_the_ballast_nothing_is_half_written_and_it_goes_on_when_there_is_room(
    journal: Journal, disk: Path, warning: Callable[[int], list[int]], now: datetime, url: str
) -> None:
    cycles = begin_several(journal, now, 1000)
    filler = fill(disk)
    done: list[int] = []

    def record_all() -> None:
        for cycle in cycles:
            done.extend(warning(cycle))

    with pytest.raises(DiskFullError, match=r"its disk is full .*Nothing of this was recorded. Make room"):
        record_all()
    assert len(done) >= 40
    with contextlib.closing(sqlite3.connect(disk / "record.db")) as connection:
        for table in ("entries", "alerts", "messages", "readings", "forecasts"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (len(done),), table
    with pytest.raises(DiskFullError):
        warning(cycles[-1])
    assert len(journal.recent_alerts(1000)) == len(done)  # reading goes on
    filler.unlink()
    assert warning(cycles[-1]) == [len(done) + 1]
    with contextlib.closing(sqlite3.connect(disk / "record.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_record_opens_at_a_full_disk_with_the_help_of_the_ballast(
    disk: Path, journal: Journal, url: str, ballast: Ballast, now: datetime
) -> None:
    begin_several(journal, now, 1)
    journal.close()
    fill(disk)
    with pytest.raises(DiskFullError, match="its disk is full"):
        Journal.open(url)
    again = Journal.open(url, on_full=ballast.release)
    assert again.begin_run(now, "1.0", "digest") == 1
    again.close()


def test_a_copy_that_does_not_fit_leaves_nothing(journal: Journal, disk: Path) -> None:
    fill(disk)
    with pytest.raises(DiskFullError):
        journal.backup(disk / "copy.db")
    assert not list(disk.glob("copy*"))


def test_every_method_that_writes_tries_again_when_room_was_made() -> None:
    lines = Path(journal_module.__file__).read_text().splitlines()
    method, without = "", []
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("    def "):
            method, guarded = line.split("(")[0], before == "    @again_when_full"
        if "self._store.writing()" in line and not guarded:
            without.append(method)
    assert without == []
