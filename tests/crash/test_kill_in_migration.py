"""`kill -9` between every two steps of a migration: the old schema or the new one, and nothing lost."""

from __future__ import annotations

import gzip
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from warning.journal.tables import SCHEMA_REVISION

DRIVER = Path(__file__).with_name("migration_driver.py")
OLD = Path(__file__).parents[1] / "unit" / "journal" / "record-0001.sql.gz"
NEVER = 0


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def revision(lines: list[str]) -> str:
    (line,) = [line for line in lines if line.startswith('INSERT INTO "alembic_version"')]
    return line.split("'")[1]


def test_a_kill_at_any_step_leaves_the_old_schema_or_the_new_one(tmp_path: Path) -> None:
    old, record = tmp_path / "old.db", tmp_path / "record.db"
    with sqlite3.connect(old) as connection:
        connection.executescript(gzip.decompress(OLD.read_bytes()).decode())
    connection.close()
    with subprocess.Popen(
        [sys.executable, str(DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as driver:

        def opened(step: int) -> str:
            assert driver.stdin is not None
            assert driver.stdout is not None
            driver.stdin.write(f"sqlite:///{record} {step}\n")
            driver.stdin.flush()
            return driver.stdout.readline().strip()

        shutil.copy(old, record)
        before = dump(record)
        steps = int(opened(NEVER))
        after = dump(record)
        assert (revision(before), revision(after)) == ("0001", SCHEMA_REVISION)
        assert steps > 10
        found = []
        for step in range(1, steps + 1):
            for left in tmp_path.glob("record.db*"):
                left.unlink(missing_ok=True)
            shutil.copy(old, record)
            assert opened(step) == "killed"
            left_behind = dump(record)
            assert left_behind in (before, after), step
            found.append(revision(left_behind))
            assert opened(NEVER).isdigit(), step
            assert dump(record) == after, step
        driver.communicate()
    assert found == sorted(found)  # old up to the commit
    assert found[0] == "0001"
