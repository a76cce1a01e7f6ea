"""The history of the configuration: entries that are only ever added, each with the hash of the one before.

The state that was last recorded is folded from the history itself; what differs from it is added in the
same transaction, so that two who record the same configuration record it once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, inspect, select, text

from warning.domain.changes import (
    GENESIS,
    SIGNATURE,
    Change,
    RecordedChange,
    Setting,
    State,
    Verification,
    differences,
    folded,
    verified,
)
from warning.errors import JournalError
from warning.journal.tables import changes

_LONGEST_WHO = 200
_LONGEST_NOTE = 2_000
_AT_ONCE = 5_000  # rows held while the chain is read


def recent(connection: Connection, limit: int, reservoir_id: str | None) -> list[RecordedChange]:
    """Return the newest entries, of one dam or of all, the oldest of them first."""
    query = select(changes).order_by(changes.c.number.desc()).limit(limit)
    if reservoir_id is not None:
        query = query.where(changes.c.reservoir_id == reservoir_id)
    return list(_entries(connection, query))[::-1]


def state(connection: Connection) -> dict[Setting, str]:
    """Return the settings that the history comes to."""
    columns = (changes.c.reservoir_id, changes.c.key, changes.c.before, changes.c.after)
    rows = connection.execute(select(*columns).order_by(changes.c.number))
    return folded(
        Change(_text(row.reservoir_id), str(row.key), _text(row.before), _text(row.after)) for row in rows
    )


def add_differences(
    connection: Connection, settings: State, *, at: datetime, who: str, note: str | None, digest: str
) -> list[RecordedChange]:
    """Add what `settings` change about the state that was last recorded."""
    found = differences(state(connection), settings)
    return _add(connection, found, at=at, who=who, note=note, digest=digest)


def add_signature(
    connection: Connection, *, first: int, at: datetime, who: str, note: str | None, digest: str
) -> RecordedChange:
    """Add that `who` answers for the entries from number `first` on; it changes nothing."""
    newest = connection.execute(select(func.max(changes.c.number))).scalar_one()
    words = f"entry {first}" if newest == first else f"entries {first} to {newest}"
    signature = Change(None, SIGNATURE, None, words)
    return _add(connection, (signature,), at=at, who=who, note=note, digest=digest)[0]


def verify(connection: Connection, known_head: str | None) -> Verification:
    """Look at the whole chain."""
    entries = _entries(connection, select(changes).order_by(changes.c.number))
    try:
        return verified(entries, newest=_newest_ever(connection), known_head=known_head)
    except _UnreadableEntryError as error:
        return Verification(entries=error.place, head="", broken_at=error.place + 1, reason=str(error))


class _UnreadableEntryError(JournalError):
    """An entry holds what this program never writes; `place` entries were read before it."""

    def __init__(self, place: int) -> None:
        super().__init__(f"the history cannot be read beyond {place} entries: the next holds no time or text")
        self.place = place


def _add(
    connection: Connection,
    found: Iterable[Change],
    *,
    at: datetime,
    who: str,
    note: str | None,
    digest: str,
) -> list[RecordedChange]:
    newest = select(changes.c.number, changes.c.hash).order_by(changes.c.number.desc()).limit(1)
    end = connection.execute(newest).first()
    number, head = (0, GENESIS) if end is None else (end.number, end.hash)
    added = []
    for change in found:
        number += 1
        unsealed = RecordedChange(
            number=number,
            at=at.astimezone(UTC),
            who=_line(who, _LONGEST_WHO) or "unknown",
            note=_line(note or "", _LONGEST_NOTE) or None,
            configuration_digest=digest,
            change=change,
            previous_hash=head,
            hash="",
        )
        added.append(unsealed.sealed())
        head = added[-1].hash
    if added:
        connection.execute(insert(changes), [_row(entry) for entry in added])
    return added


def _newest_ever(connection: Connection) -> int | None:
    """Return the highest number ever given, which SQLite keeps beside the table; None elsewhere."""
    if connection.dialect.name != "sqlite" or not inspect(connection).has_table("sqlite_sequence"):
        return None
    query = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
    return connection.execute(query, {"name": changes.name}).scalar_one_or_none()


def _entries(connection: Connection, query: Select[Any]) -> Iterator[RecordedChange]:
    place = 0
    rows = iter(connection.execute(query).yield_per(_AT_ONCE))
    while True:
        try:
            row = next(rows, None)
        except ValueError:  # what stands in for a time is none
            raise _UnreadableEntryError(place) from None
        if row is None:
            return
        if not all(isinstance(value, str | int | datetime | None) for value in row):
            raise _UnreadableEntryError(place)
        place += 1
        yield _entry(row)


def _entry(row: Row[Any]) -> RecordedChange:
    return RecordedChange(
        number=row.number,
        at=row.at,
        who=row.who,
        note=row.note,
        configuration_digest=row.configuration_digest,
        change=Change(row.reservoir_id, row.key, row.before, row.after),
        previous_hash=row.previous_hash,
        hash=row.hash,
    )


def _row(entry: RecordedChange) -> dict[str, object]:
    return {
        "number": entry.number,
        "at": entry.at,
        "who": entry.who,
        "note": entry.note,
        "configuration_digest": entry.configuration_digest,
        "reservoir_id": entry.change.reservoir_id,
        "key": entry.change.key,
        "before": entry.change.before,
        "after": entry.change.after,
        "previous_hash": entry.previous_hash,
        "hash": entry.hash,
    }


def _text(value: object) -> str | None:
    """Return a value as text, also one that is none and so was put there by somebody else."""
    return None if value is None else str(value)


def _line(words: str, longest: int) -> str:
    """Return words as one printable line, which any database can keep."""
    return " ".join("".join(c if c.isprintable() else " " for c in words).split())[:longest]
