"""`history` shows what was changed, and says in its last line whether anybody rewrote it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from warning.cli.main import main
from warning.config.last_good import keep_last_good
from warning.config.loading import load_configuration
from warning.domain.changes import RecordedChange
from warning.journal.journal import Journal

Entries = Callable[[], list[RecordedChange]]
Edit = Callable[[str, str], None]
History = Callable[..., tuple[int, str]]


@pytest.fixture
def history(folder: Path, capsys: pytest.CaptureFixture[str]) -> History:
    """Call `history` and return its exit status and what it prints."""

    def call(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        status = main(["history", "--config", str(folder), *words])
        return status, capsys.readouterr().out

    return call


@pytest.fixture
def edited(edit: Edit, folder: Path, daemon_records: Entries) -> list[RecordedChange]:
    """A first configuration that the daemon recorded, and one edit that maria applied."""
    first = daemon_records()
    edit("value = 2016.0", "value = 2015.8")
    assert main(["apply", "--by", "maria", "--note", "order 12", "--config", str(folder)]) == 0
    return first


def tamper(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder.parent / "state" / "journal.sqlite3")) as database, database:
        for refused in ("update", "delete"):
            database.execute(f"DROP TRIGGER changes_refuse_{refused}")
        database.execute(statement)


def test_the_newest_entry_comes_last_and_then_the_verdict(
    history: History, edited: list[RecordedChange], entries: Entries
) -> None:
    status, printed = history("--limit", "1")
    newest = entries()[-1]
    assert status == 0
    assert printed.splitlines() == [
        f"{newest.at:%Y-%m-%d %H:%M:%S} UTC · maria · configuration {newest.configuration_digest[:12]}",
        "    note: order 12",
        f'    {newest.number}. silver_fork: thresholds."design flood".value_m: 2016.0 → 2015.8',
        "",
        f"Earlier entries are not shown; --limit {newest.number} shows all.",
        f"The chain of {newest.number} entries is unbroken; head {newest.hash}",
    ]


def test_the_changes_of_one_dam_are_shown_alone(history: History, edited: list[RecordedChange]) -> None:
    status, printed = history("--dam", "silver_fork")
    assert status == 0
    assert "silver_fork: time_zone: nothing → " in printed
    assert "value_m: 2016.0 → 2015.8" in printed
    assert "kalavati:" not in printed
    assert "is on record about a dam nowhere" in history("--dam", "nowhere")[1]


def test_a_signature_is_shown_as_one(
    history: History, folder: Path, daemon_records: Entries, capsys: pytest.CaptureFixture[str]
) -> None:
    count = len(daemon_records())
    assert main(["apply", "--by", "maria", "--config", str(folder)]) == 0
    assert f"    {count + 1}. answers for entries 1 to {count}\n" in history()[1]


def test_no_record_is_made_where_there_is_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "--config", str(folder)]) == 1
    assert "there is no record" in capsys.readouterr().err
    assert not (folder.parent / "state" / "journal.sqlite3").exists()


def test_an_empty_history_says_so(history: History, folder: Path) -> None:
    (folder.parent / "state").mkdir()
    Journal.open(load_configuration(folder).journal_url).close()
    assert history() == (
        0,
        "The history is empty: the daemon, or `dam-warning apply`, records the first configuration.\n",
    )


def test_a_rewritten_entry_is_named_and_the_exit_status_is_1(
    history: History, edited: list[RecordedChange], folder: Path
) -> None:
    tamper(folder, "UPDATE changes SET after = '9999.0' WHERE number = 5")
    status, printed = history()
    assert status == 1
    assert printed.splitlines()[-1].startswith("THE HISTORY IS BROKEN at entry 5: entry 5 is not as it was")
    status, printed = history("--json")
    assert status == 1
    answer = json.loads(printed)
    assert (answer["ok"], answer["broken_at"]) == (False, 5)


def test_entries_that_were_made_unreadable_are_not_shown_but_told(
    history: History, edited: list[RecordedChange], folder: Path
) -> None:
    tamper(folder, "UPDATE changes SET at = 'yesterday' WHERE number = 3")
    status, printed = history("--limit", "1000")
    assert status == 1
    assert printed.startswith("THE HISTORY IS BROKEN at entry 3: ")
    assert history()[1].splitlines()[-1] == printed.splitlines()[-1]


def test_a_chain_written_anew_does_not_hold_the_head_that_was_noted(
    history: History, edited: list[RecordedChange]
) -> None:
    head = edited[-1].hash
    assert history("--head", head)[0] == 0
    status, printed = history("--head", "0123456789abcdef" * 4)
    assert status == 1
    assert "no entry has the hash 0123456789abcdef" in printed.splitlines()[-1]


def test_machines_read_every_entry_as_json(history: History, edited: list[RecordedChange]) -> None:
    answer = json.loads(history("--json", "--limit", "2")[1])
    newest = answer["changes"][-1]
    assert answer["ok"] is True
    assert answer["head"] == newest["hash"]
    assert (newest["who"], newest["from"], newest["to"]) == ("maria", "2016.0", "2015.8")
    assert newest["previous_hash"] == answer["changes"][0]["hash"]


def test_the_history_can_be_read_while_the_files_are_broken(
    history: History, edited: list[RecordedChange], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_last_good(load_configuration(folder))
    (folder / "reservoirs.toml").write_text("[[[")
    assert main(["history", "--config", str(folder)]) == 0
    printed = capsys.readouterr()
    assert "check-config" in printed.err
    assert "is unbroken" in printed.out


@pytest.mark.parametrize("words", [["--limit", "0"], ["--limit", "x"], ["--head", "abc"]])
def test_what_cannot_be_meant_exits_2(words: list[str], folder: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["history", "--config", str(folder), *words])
    assert ended.value.code == 2
