"""The record, looked at from outside with nothing but SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

from oracle import SETTLED


class Record:
    """The daemon's database, read only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last_cycle = 0
        self.complete = 0

    def _rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(query, values).fetchall()

    def finished_since_last_look(self) -> int:
        """How many cycles over the whole fleet have come to their end since the last look."""
        if not self._path.exists():
            return 0
        query = "SELECT id, outcome FROM cycles WHERE id > ? AND outcome IN ('complete', 'partial')"
        found = self._rows(query, self._last_cycle)
        self._last_cycle = max([self._last_cycle, *(int(str(number)) for number, _ in found)])
        self.complete += sum(outcome == "complete" for _, outcome in found)
        return len(found)

    def complaints(self, now: datetime) -> Iterator[str]:
        """What is wrong with the record at the end, `now`; what was made just before may still be open."""
        verdict = self._rows("PRAGMA integrity_check")[0][0]
        if verdict != "ok":
            yield f"SQLite finds the record damaged: {verdict}"
        query = (
            "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'failed') AND recipient_id <> 'gone' "
            "AND created_at < ?"
        )
        owed = int(str(self._rows(query, (now - SETTLED).strftime("%Y-%m-%d %H:%M:%S"))[0][0]))
        if owed:
            yield f"{owed} deliveries are still open at the end"
