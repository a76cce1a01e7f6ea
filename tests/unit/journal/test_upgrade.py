"""A record that schema 0001 made is brought to today's, after a copy of it was put aside."""

from __future__ import annotations

import gzip
import sqlite3
from pathlib import Path

import pytest

from warning.errors import JournalError
from warning.journal.journal import Journal
from warning.journal.tables import SCHEMA_REVISION

OLD = Path(__file__).with_name("record-0001.sql.gz")  # the demo's eve of the flood, by the program of then


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "journal.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.executescript(gzip.decompress(OLD.read_bytes()).decode())
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    return path


def dump(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        return list(connection.iterdump())


def copies(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.before-*"))


def test_what_an_older_program_recorded_is_all_there_afterwards(old: Path) -> None:
    before = set(dump(old))
    journal = Journal.open(f"sqlite:///{old}")
    record = journal.alert_record(1)
    assert record is not None
    assert record.entry is not None
    assert record.entry.reservoir_id == "harrowbeck"
    assert record.entry.forecast is not None
    assert [standing.reservoir_id for standing in journal.all_standings()] == [
        "harrowbeck",
        "kalavati",
        "silver_fork",
    ]
    journal.close()
    gone = before - set(dump(old))
    assert {line.split("(")[0] for line in gone} == {'INSERT INTO "alembic_version" VALUES'}


def test_a_sound_copy_for_its_owner_alone_is_put_aside_first(old: Path) -> None:
    before = dump(old)
    Journal.open(f"sqlite:///{old}").close()
    (copy,) = copies(old)
    assert copy.name.startswith(f"journal.sqlite3.before-{SCHEMA_REVISION}-20")
    assert copy.stat().st_mode & 0o777 == 0o600
    assert dump(copy) == before


def test_a_record_that_is_current_is_not_copied(old: Path) -> None:
    for _ in range(3):
        Journal.open(f"sqlite:///{old}").close()
    assert len(copies(old)) == 1


def test_the_copy_can_be_put_back_and_upgraded_again(old: Path) -> None:
    Journal.open(f"sqlite:///{old}").close()
    (copy,) = copies(old)
    old.unlink()
    copy.rename(old)
    journal = Journal.open(f"sqlite:///{old}")
    assert journal.last_run() is None
    assert journal.recent_alerts(5)


def test_a_record_that_cannot_be_copied_is_not_migrated(old: Path) -> None:
    with sqlite3.connect(old) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("DELETE FROM cycles")  # entries now refer to nothing
    before = dump(old)
    with pytest.raises(JournalError, match="is damaged: a row of entries refers to none"):
        Journal.open(f"sqlite:///{old}")
    assert dump(old) == before
    assert copies(old) == []


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (id INTEGER)")
    before = dump(path)
    with pytest.raises(JournalError, match=r"is no record of dam-warning: it holds other tables \(theirs\)"):
        Journal.open(f"sqlite:///{path}")
    assert dump(path) == before
