"""A crossing that the record cannot hold still reaches the people who would hear of it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from warning.clock import SystemClock
from warning.duties import Duties
from warning.errors import JournalError
from warning.wiring import wired

from .conftest import TODAY, ZONE, World

RISEN_M = 43.0


class SetClock(SystemClock):
    """A clock whose present a test sets; time passes on it as it really does."""

    def __init__(self, instant: datetime) -> None:
        self.instant = instant

    def now(self) -> datetime:
        return self.instant


@contextmanager
def unwritable(record: Path) -> Iterator[None]:
    """Let every write fail as on a full disk; what is there can be read."""
    with sqlite3.connect(record) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
        tables = [name for (name,) in names if not name.startswith("sqlite_")]
        for table in tables:
            connection.execute(
                f"CREATE TRIGGER full_{table} BEFORE INSERT ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
            )
    try:
        yield
    finally:
        with sqlite3.connect(record) as connection:
            for table in tables:
                connection.execute(f"DROP TRIGGER full_{table}")


@pytest.fixture
def clock() -> SetClock:
    return SetClock(datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=ZONE))


@pytest.fixture
def duties(world: World, clock: SetClock) -> Iterator[Duties]:
    world.cycle(TODAY - timedelta(days=10), deliver=False)
    with wired(world.load(), clock) as parts:
        yield Duties(parts, clock, threading.Event())


@pytest.fixture
def record(world: World) -> Path:
    return world.load().state_directory / "journal.sqlite3"


def try_cycle(duties: Duties) -> None:
    with pytest.raises(JournalError, match="full"):
        duties.cycle()


def test_a_crossing_is_mailed_directly_and_says_that_it_is_on_no_record(
    world: World, duties: Duties, record: Path
) -> None:
    world.write_readings("upper", world.crossing(RISEN_M))
    with unwritable(record):
        try_cycle(duties)
    (mail,) = world.mailbox.messages()
    assert mail.recipients == ("control.room@example.org",)
    assert mail.subject.startswith("EMERGENCY observed: Upper dam")
    assert mail.subject.endswith("(not on record)")
    assert mail.text is not None
    text = mail.text.read_text(encoding="utf-8")
    for said in ("observed 43.00 m", "database or disk is full", "on no record", "Lower dam"):
        assert (said in text) is (said != "Lower dam")


def test_the_same_is_told_again_after_six_hours_and_something_graver_at_once(
    world: World, duties: Duties, record: Path, clock: SetClock
) -> None:
    world.write_readings("upper", world.crossing(40.5))
    with unwritable(record):
        for _ in range(3):
            try_cycle(duties)
        assert len(world.mailbox.messages()) == 1
        world.write_readings("upper", world.crossing(RISEN_M))
        try_cycle(duties)
        assert len(world.mailbox.messages()) == 2
        clock.instant += timedelta(hours=6)
        try_cycle(duties)
    assert [subject.split()[0] for subject in world.subjects()] == ["WARNING", "EMERGENCY", "EMERGENCY"]


def test_what_stands_on_record_already_is_not_told_again(world: World, duties: Duties, record: Path) -> None:
    world.write_readings("upper", world.crossing(RISEN_M))
    assert duties.cycle()
    with unwritable(record):
        try_cycle(duties)
    assert world.mailbox.messages() == ()


def test_calm_water_is_told_to_nobody(world: World, duties: Duties, record: Path) -> None:
    with unwritable(record):
        try_cycle(duties)
    assert world.mailbox.messages() == ()
