"""The history of the configuration is only ever added to, is the state it speaks of, and shows tampering."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest

from warning.domain.changes import GENESIS, SIGNATURE, Setting
from warning.errors import JournalError
from warning.journal.journal import Journal

FIRST: dict[Setting, str] = {
    (None, "severities"): '["watch", "warning"]',
    ("oroville", "thresholds.crest.value_m"): "274.62",
    ("folsom", "thresholds.crest.value_m"): "142.0",
}
SECOND = FIRST | {("oroville", "thresholds.crest.value_m"): "274.3"}
WHO = {"who": "maria", "note": None, "digest": "d1"}


@pytest.fixture
def written(journal: Journal, now: datetime) -> Journal:
    """A history of four entries: three at the first sight of a configuration, and a threshold's change."""
    journal.add_changes(FIRST, at=now, who="root (owner of warning.toml)", note="saved", digest="d0")
    journal.add_changes(SECOND, at=now + timedelta(days=1), who="maria", note="order 12", digest="d1")
    return journal


@contextmanager
def behind_its_back(url: str) -> Iterator[sqlite3.Connection]:
    """Open the database as somebody does who wants to rewrite it and knows of its triggers."""
    with closing(sqlite3.connect(Path(url.removeprefix("sqlite:///")))) as database, database:
        for refused in ("update", "delete"):
            database.execute(f"DROP TRIGGER changes_refuse_{refused}")
        yield database


def test_the_first_configuration_is_the_first_of_the_history(journal: Journal, now: datetime) -> None:
    added = journal.add_changes(FIRST, at=now, **WHO)
    assert [(e.number, e.change.before, e.change.after) for e in added] == [
        (1, None, '["watch", "warning"]'),
        (2, None, "274.62"),
        (3, None, "142.0"),
    ]
    assert added[0].previous_hash == GENESIS
    assert journal.changes(10) == added


def test_an_entry_says_who_when_from_to_why_and_under_which_configuration(written: Journal) -> None:
    newest = written.changes(1)[0]
    assert str(newest.change) == "oroville: thresholds.crest.value_m: 274.62 → 274.3"
    assert (newest.who, newest.note, newest.configuration_digest) == ("maria", "order 12", "d1")
    assert newest.at.isoformat() == "2026-11-23T03:00:00+00:00"


def test_what_is_on_record_already_adds_nothing(written: Journal, now: datetime) -> None:
    assert written.add_changes(SECOND, at=now, **WHO) == []
    assert written.verify_changes().entries == 4


def test_a_setting_that_is_gone_is_an_entry_and_may_come_back(written: Journal, now: datetime) -> None:
    without = {setting: value for setting, value in SECOND.items() if setting[0] != "folsom"}
    (gone,) = written.add_changes(without, at=now, **WHO)
    assert str(gone.change) == "folsom: thresholds.crest.value_m: 142.0 → nothing"
    (back,) = written.add_changes(SECOND, at=now, **WHO)
    assert (back.change.before, back.change.after) == (None, "142.0")


def test_the_changes_of_one_dam_can_be_asked_for(written: Journal) -> None:
    assert [entry.number for entry in written.changes(10, "oroville")] == [2, 4]
    assert [entry.number for entry in written.changes(1, "oroville")] == [4]
    assert [entry.number for entry in written.changes(2)] == [3, 4]


def test_a_signature_changes_nothing_and_stands_in_the_chain(written: Journal, now: datetime) -> None:
    signed = written.sign_changes(3, at=now, who="chief", note="seen", digest="d1")
    assert (signed.change.key, signed.change.after) == (SIGNATURE, "entries 3 to 4")
    assert written.add_changes(SECOND, at=now, **WHO) == []
    assert written.verify_changes().head == signed.hash


def test_a_whole_history_is_verified_after_the_record_was_opened_anew(written: Journal, url: str) -> None:
    head = written.changes(1)[0].hash
    reopened = Journal.open(url)
    verification = reopened.verify_changes(head)
    reopened.close()
    assert (verification.unbroken, verification.entries, verification.head) == (True, 4, head)


def test_an_empty_history_is_whole(journal: Journal) -> None:
    verification = journal.verify_changes()
    assert (verification.unbroken, verification.entries, verification.head) == (True, 0, GENESIS)


@pytest.mark.parametrize(
    "statement", ["UPDATE changes SET who = 'me'", "DELETE FROM changes WHERE number = 4"]
)
def test_the_database_itself_refuses_to_change_the_history(
    written: Journal, url: str, statement: str
) -> None:
    with (
        closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database,
        pytest.raises(sqlite3.IntegrityError, match="only ever added"),
    ):
        database.execute(statement)
    assert written.verify_changes().unbroken


@pytest.mark.parametrize(
    "column", ["at", "who", "note", "configuration_digest", "reservoir_id", "key", "before", "after"]
)
def test_an_altered_entry_is_the_first_bad_one(written: Journal, url: str, column: str) -> None:
    other = "2026-11-22 03:00:00.000001" if column == "at" else "other"
    with behind_its_back(url) as database:
        database.execute(f"UPDATE changes SET {column} = ? WHERE number = 2", (other,))
    verification = written.verify_changes()
    assert verification.broken_at == 2
    assert verification.reason == "entry 2 is not as it was written: its content does not have its hash"


@pytest.mark.parametrize(("column", "value"), [("at", "yesterday"), ("who", b"me"), ("after", b"\xff")])
def test_an_entry_made_unreadable_is_the_first_bad_one_and_stops_no_further_entry(
    written: Journal, url: str, now: datetime, column: str, value: object
) -> None:
    with behind_its_back(url) as database:
        database.execute(f"UPDATE changes SET {column} = ? WHERE number = 4", (value,))
    verification = written.verify_changes()
    assert (verification.entries, verification.broken_at) == (3, 4)
    with pytest.raises(JournalError, match="cannot be read"):
        written.changes(10)
    assert written.add_changes(SECOND | {(None, "severities"): '["watch"]'}, at=now, **WHO)[-1].number >= 5


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_removed_entry_is_missed_even_the_newest(written: Journal, url: str, number: int) -> None:
    with behind_its_back(url) as database:
        database.execute("DELETE FROM changes WHERE number = ?", (number,))
    verification = written.verify_changes()
    assert verification.broken_at == number
    assert "missing" in str(verification.reason)


def test_a_hash_noted_elsewhere_shows_a_history_that_was_written_anew(
    written: Journal, url: str, now: datetime
) -> None:
    noted = written.changes(1)[0].hash
    with behind_its_back(url) as database:
        database.execute("DELETE FROM changes")
        database.execute("DELETE FROM sqlite_sequence WHERE name = 'changes'")
    written.add_changes(SECOND, at=now, who="me", note=None, digest="d1")
    assert written.verify_changes().unbroken  # in itself it is a sound chain
    verification = written.verify_changes(noted)
    assert not verification.unbroken
    assert noted in str(verification.reason)


def test_an_older_hash_is_still_held_after_more_was_added(written: Journal, now: datetime) -> None:
    noted = written.changes(1)[0].hash
    written.add_changes(FIRST, at=now, **WHO)
    assert written.verify_changes(noted).unbroken


def test_two_who_record_the_same_edit_at_once_record_it_once(url: str, now: datetime) -> None:
    journals = [Journal.open(url) for _ in range(4)]
    added: list[int] = []

    def record(journal: Journal) -> None:
        added.append(len(journal.add_changes(FIRST, at=now, **WHO)))

    threads = [Thread(target=record, args=(journal,)) for journal in journals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(added) == [0, 0, 0, 3]
    assert journals[0].verify_changes().entries == 3
    for journal in journals:
        journal.close()


def test_who_and_why_are_kept_as_one_line_each(journal: Journal, now: datetime) -> None:
    (entry, *_) = journal.add_changes(FIRST, at=now, who=" \t", note="why\nso\udc80", digest="d")
    assert (entry.who, entry.note) == ("unknown", "why so")
    assert journal.verify_changes().unbroken
