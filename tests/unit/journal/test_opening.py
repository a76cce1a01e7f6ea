"""Opening a record: created, migrated, shared, or refused with a reason."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from warning.errors import JournalError
from warning.journal import migrate
from warning.journal.journal import Journal
from warning.journal.tables import metadata

OPEN = """
import sys
from warning.journal.journal import Journal
journal = Journal.open(sys.argv[1])
print(len(journal.recent_cycles(9)), "alembic" in sys.modules)
"""


def schema(connection: Connection) -> dict[str, object]:
    """Everything about every table: columns, keys, indexes, triggers, whether a number can come twice."""
    found: dict[str, object] = {}
    ask = connection.exec_driver_sql
    for kind, name, sql in ask("SELECT type, name, sql FROM sqlite_master").all():
        found[f"{kind} {name}"] = sql if kind == "trigger" else "AUTOINCREMENT" in (sql or "")
        if kind == "table":
            found[f"columns of {name}"] = ask(f"PRAGMA table_xinfo({name})").all()
            found[f"references of {name}"] = {row[2:] for row in ask(f"PRAGMA foreign_key_list({name})")}
            found[f"names in {name}"] = set(re.findall(r"CONSTRAINT (\w+)", sql))
        if kind == "index":
            found[f"columns of {name}"] = ask(f"PRAGMA index_xinfo({name})").all()
    found["revision"] = ask("SELECT * FROM alembic_version").all()
    return found


def test_a_new_record_equals_one_that_every_migration_made() -> None:
    with create_engine("sqlite://").begin() as made, create_engine("sqlite://").begin() as migrated:
        migrate.create(made)
        migrate.upgrade(migrated)
        assert schema(made) == schema(migrated)
        assert len(schema(made)) > 60
        context = MigrationContext.configure(made, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_a_new_record_is_made_without_alembic(url: str) -> None:
    done = subprocess.run([sys.executable, "-c", OPEN, url], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "False"]


def test_a_record_that_is_current_opens_without_alembic(journal: Journal, url: str) -> None:
    journal.begin_cycle(datetime(2026, 1, 1, tzinfo=UTC), "digest", None)
    done = subprocess.run([sys.executable, "-c", OPEN, url], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False"]


def test_many_processes_may_open_a_new_record_at_once(url: str) -> None:
    command = [sys.executable, "-c", OPEN, url]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [(child.communicate()[0].split()[0], child.returncode) for child in children] == [("0", 0)] * 4


def test_a_record_of_a_newer_program_is_refused_and_left_alone(url: str) -> None:
    Journal.open(url).close()
    path = url.removeprefix("sqlite:///")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(JournalError, match=r"schema 9999.*newer dam-warning wrote it.*Install that version"):
        Journal.open(url)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)


def test_a_new_record_that_was_cut_off_leaves_nothing_behind_that_counts(url: str) -> None:
    kill = """
import os, signal, sys
from sqlalchemy import Engine, event
def kill(connection, cursor, statement, *rest):
    if "CREATE TABLE messages" in statement:
        os.kill(os.getpid(), signal.SIGKILL)
event.listen(Engine, "before_cursor_execute", kill)
from warning.journal.journal import Journal
Journal.open(sys.argv[1])
"""
    assert subprocess.run([sys.executable, "-c", kill, url], check=False).returncode == -9
    assert not Path(url.removeprefix("sqlite:///")).exists()
    journal = Journal.open(url)
    assert journal.begin_cycle(datetime(2026, 1, 1, tzinfo=UTC), "digest", None) == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("record.db", "cannot be read; expected one like sqlite:////"),
        ("sqlite://", "in memory is lost"),
        ("sqlite:///:memory:", "in memory is lost"),
        ("sqlite:////proc/nowhere/record.db", "could not be opened: No such file"),
        ("oracle+nodriver://scott:tiger@host/db", r"no driver for the record .*scott:\*\*\*@host"),
    ],
)
def test_a_record_that_cannot_be_opened_is_explained(url: str, said: str) -> None:
    with pytest.raises(JournalError, match=said) as caught:
        Journal.open(url)
    assert "tiger" not in str(caught.value)


def test_a_file_that_is_no_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "record.db"
    path.write_bytes(b"not a database, just text" * 100)
    with pytest.raises(JournalError, match="not a database"):
        Journal.open(f"sqlite:///{path}")


def test_a_record_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "record.db"
    Journal.open(f"sqlite:///{path}").close()
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    Journal.open(f"sqlite:///{path}").close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_every_table_can_be_made_in_postgresql() -> None:
    made = [str(CreateTable(t).compile(dialect=postgresql.dialect())) for t in metadata.sorted_tables]
    assert any("number SERIAL NOT NULL" in statement for statement in made)
