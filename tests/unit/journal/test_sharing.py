"""Several processes at one record: they wait for each other, and a stuck one is named."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from datetime import datetime

import pytest

from warning.errors import DiskFullError, JournalError
from warning.journal import failing, sqlite
from warning.journal.journal import Journal

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (failing, sqlite):
        monkeypatch.setattr(module, "BUSY_TIMEOUT_S", 0.05)


def test_a_process_that_holds_the_record_is_named(url: str, now: datetime, impatient: None) -> None:
    journal = Journal.open(url)
    command = [sys.executable, "-c", HOLD, url.removeprefix("sqlite:///")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(JournalError) as caught:
            journal.begin_run(now, "1.0", "digest")
        assert journal.last_run() is None  # reading needs no lock
        holder.communicate("")
    said = str(caught.value)
    assert f"process {holder.pid} (python" in said
    assert "has held it locked for more than 0.05 s. End that process" in said
    assert not isinstance(caught.value, DiskFullError)
    assert journal.begin_run(now, "1.0", "digest") == 1


def test_a_holder_that_the_kernel_does_not_show_is_another_process(
    journal: Journal, url: str, impatient: None
) -> None:
    locked = sqlite3.OperationalError("database is locked")
    locked.sqlite_errorcode = sqlite3.SQLITE_BUSY
    said = str(failing.explained("record.db", None, "written", locked))
    assert "another process has held it locked" in said
    assert str(os.getpid()) not in said
