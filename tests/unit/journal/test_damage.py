"""A record that is there but cannot be read is never quietly replaced by a new one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from warning.domain.alert import Alert
from warning.domain.delivery import Composed
from warning.errors import JournalError
from warning.journal.entries import CycleEntry
from warning.journal.journal import Journal


@pytest.fixture
def path(
    journal: Journal,
    url: str,
    entry: Callable[..., CycleEntry],
    alert: Callable[..., Alert],
    compose: Callable[..., Callable[[Alert], Composed]],
) -> Path:
    for _ in range(20):
        journal.record(entry(alert()), compose())
    journal.close()
    return Path(url.removeprefix("sqlite:///"))


def overwritten(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def cut_short(path: Path) -> None:
    os.truncate(path, 3 * 4096)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def gone_but_for_its_log(path: Path) -> None:
    path.rename(f"{path}-wal")


@pytest.mark.parametrize("damage", [overwritten, cut_short, emptied, gone_but_for_its_log])
def test_a_damaged_record_is_refused_with_what_to_do(path: Path, damage: Callable[[Path], None]) -> None:
    damage(path)
    left = {file.name: file.read_bytes() for file in path.parent.iterdir() if file.suffix != ".db-shm"}
    with pytest.raises(JournalError, match=r"is damaged: .*move the file away.*put a backup in its place"):
        Journal.open(f"sqlite:///{path}")
    assert {f.name: f.read_bytes() for f in path.parent.iterdir() if f.suffix != ".db-shm"} == left


def test_damage_that_shows_only_while_the_daemon_runs_is_named_too(path: Path) -> None:
    journal = Journal.open(f"sqlite:///{path}")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    with pytest.raises(JournalError, match="is damaged: "):
        journal.recent_alerts(99)


def test_a_record_that_must_be_there_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"there is no record at .* yet"):
        Journal.open(f"sqlite:///{tmp_path / 'record.db'}", create=False)
    assert list(tmp_path.iterdir()) == []
