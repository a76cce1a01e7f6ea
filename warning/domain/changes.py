"""What changed between two configurations, setting by setting, and the history that such changes make up.

A state is every setting in force by dam and key, as text. The history is a chain of changes: folded from
its beginning it gives the state that was last recorded, so nothing beside it has to be kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

Setting = tuple[str | None, str]  # the dam's id, None where it concerns no single dam; and the key
State = Mapping[Setting, str]

GENESIS = "0" * 64  # what the first entry follows
SIGNATURE = "(signed)"  # key of an entry that changes nothing: somebody answers for the entries before it


@dataclass(frozen=True, slots=True)
class Change:
    """One setting's old and new value, as texts; None where there was or is nothing."""

    reservoir_id: str | None
    key: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.key == SIGNATURE:
            return f"answers for {self.after}"
        place = f"{self.reservoir_id}: {self.key}" if self.reservoir_id else self.key
        return f"{place}: {_worded(self.before)} → {_worded(self.after)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedChange:
    """An entry of the history. `hash` is over all the rest, the hash of the entry before it included."""

    number: int
    at: datetime
    who: str
    note: str | None
    configuration_digest: str
    change: Change
    previous_hash: str
    hash: str

    def right_hash(self) -> str:
        """Return the hash that this entry must have: SHA-256 over all the rest as canonical JSON."""
        content = {
            "number": self.number,
            "at": self.at.astimezone(UTC).isoformat(timespec="microseconds"),
            "who": self.who,
            "note": self.note,
            "configuration_digest": self.configuration_digest,
            "reservoir_id": self.change.reservoir_id,
            "key": self.change.key,
            "before": self.change.before,
            "after": self.change.after,
            "previous_hash": self.previous_hash,
        }
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    def sealed(self) -> RecordedChange:
        """Return this entry with the hash that it must have."""
        return replace(self, hash=self.right_hash())


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Whether the chain holds: its length and the hash of its end, or where and how it is broken first."""

    entries: int
    head: str
    broken_at: int | None = None
    reason: str | None = None

    @property
    def unbroken(self) -> bool:
        return self.broken_at is None


def differences(before: State, after: State) -> tuple[Change, ...]:
    """Return what it takes to get from one state to another, in the order of `after`, what is gone last."""
    changed = [
        Change(*setting, before.get(setting), value)
        for setting, value in after.items()
        if before.get(setting) != value
    ]
    gone = [Change(*setting, value, None) for setting, value in before.items() if setting not in after]
    return (*changed, *gone)


def folded(changes: Iterable[Change]) -> dict[Setting, str]:
    """Return the state that changes, the oldest first, lead to from nothing."""
    state: dict[Setting, str] = {}
    for change in changes:
        if change.key == SIGNATURE:
            continue
        setting = (change.reservoir_id, change.key)
        state.pop(setting, None)
        if change.after is not None:
            state[setting] = change.after
    return state


def verified(
    entries: Iterable[RecordedChange], *, newest: int | None = None, known_head: str | None = None
) -> Verification:
    """Say whether `entries`, in the order of their numbers, are the whole chain as it was written.

    A chain does not show that entries are missing at its end. `newest` is the number that the last one
    must have at least, `known_head` a hash noted elsewhere that must be that of some entry.
    """
    count, head, heads = 0, GENESIS, {GENESIS}
    for entry in entries:
        count += 1
        if (reason := _flaw(entry, count, head)) is not None:
            return Verification(entries=count - 1, head=head, broken_at=count, reason=reason)
        head = entry.hash
        heads.add(head)
    if newest is not None and count < newest:
        reason = f"entries up to {newest} were written, and those from {count + 1} on are missing"
        return Verification(entries=count, head=head, broken_at=count + 1, reason=reason)
    if known_head is not None and known_head not in heads:
        reason = (
            f"no entry has the hash {known_head}: an entry that was once the newest is missing or another"
        )
        return Verification(entries=count, head=head, broken_at=count + 1, reason=reason)
    return Verification(entries=count, head=head)


def _flaw(entry: RecordedChange, number: int, head: str) -> str | None:
    if entry.number != number:
        return f"entry {number} is missing: entry {entry.number} stands in its place"
    if entry.previous_hash != head:
        return f"entry {number} does not follow the one before it, which has another hash"
    if entry.hash != entry.right_hash():
        return f"entry {number} is not as it was written: its content does not have its hash"
    return None


def _worded(value: str | None) -> str:
    return "nothing" if value is None else value
