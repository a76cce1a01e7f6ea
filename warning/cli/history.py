"""Show what was changed in the configuration, by whom, from what to what, and check that nobody rewrote it.

The newest entry comes last. Each entry holds the hash of the one before it, so that none can be altered,
removed, put in or moved without a trace; the last line says whether the chain holds. The hash in it, noted
somewhere else (the heartbeat mail carries it), can be given back with --head: this shows whether the history
still holds what it held then. Exit status 1 where the chain is broken.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from warning.cli.options import add_config, add_json
from warning.errors import JournalError

if TYPE_CHECKING:
    from warning.domain.changes import RecordedChange, Verification
    from warning.journal.journal import Journal

HELP = "show what was changed in the configuration, and check that nobody rewrote it"
EXAMPLE = "dam-warning history --dam oroville --limit 20 --config /etc/dam-warning"

_ENTRIES = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dam", metavar="ID", help="only what was changed at this dam")
    parser.add_argument(
        "--limit", metavar="N", type=_count, default=_ENTRIES, help=f"how many entries (default: {_ENTRIES})"
    )
    parser.add_argument(
        "--head", metavar="HASH", type=_hash, help="a hash noted earlier, which the history must still hold"
    )
    add_config(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    from warning.config.last_good import load_or_last_good
    from warning.wiring import open_journal

    configuration, refusal = load_or_last_good(options.config)
    if refusal is not None:
        problems = "`dam-warning check-config` lists the problems"
        print(f"dam-warning history: the files are refused now; {problems}", file=sys.stderr)
    journal = open_journal(configuration, create=False)
    try:
        verification = journal.verify_changes(options.head)
        entries = _entries(journal, options, verification)
    finally:
        journal.close()
    if options.json:
        print(json.dumps(_json(entries, verification)))
    else:
        print("\n".join(_lines(entries, verification, options.dam)))
    return 0 if verification.unbroken else 1


def _entries(
    journal: Journal, options: argparse.Namespace, verification: Verification
) -> list[RecordedChange]:
    """Return what is to be shown: nothing where entries were made unreadable, which the last line says."""
    try:
        return journal.changes(options.limit, options.dam)
    except JournalError:
        if verification.unbroken:
            raise
        return []


def _lines(entries: Sequence[RecordedChange], verification: Verification, dam: str | None) -> Iterator[str]:
    for _, edit in groupby(entries, key=lambda entry: (entry.at, entry.who, entry.configuration_digest)):
        together = list(edit)
        first = together[0]
        configuration = f"configuration {first.configuration_digest[:12]}"
        yield f"{first.at:%Y-%m-%d %H:%M:%S} UTC · {first.who} · {configuration}"
        if first.note:
            yield f"    note: {first.note}"
        for entry in together:
            yield f"    {entry.number}. {entry.change}"
        yield ""
    if dam is not None and not entries:
        yield f"Nothing is on record about a dam {dam}."
    elif entries and entries[0].number > 1 and dam is None:
        yield f"Earlier entries are not shown; --limit {entries[-1].number} shows all."
    yield _verdict(verification)


def _verdict(verification: Verification) -> str:
    if not verification.unbroken:
        return (
            f"THE HISTORY IS BROKEN at entry {verification.broken_at}: {verification.reason}. "
            "It was changed by another way than this program; compare the record with a backup."
        )
    if verification.entries == 0:
        return "The history is empty: the daemon, or `dam-warning apply`, records the first configuration."
    count = "1 entry" if verification.entries == 1 else f"{verification.entries:,} entries"
    return f"The chain of {count} is unbroken; head {verification.head}"


def _json(entries: Sequence[RecordedChange], verification: Verification) -> dict[str, Any]:
    return {
        "ok": verification.unbroken,
        "entries": verification.entries,
        "head": verification.head,
        "broken_at": verification.broken_at,
        "reason": verification.reason,
        "changes": [change_json(entry) for entry in entries],
    }


def change_json(entry: RecordedChange) -> dict[str, Any]:
    """Return an entry as plain JSON values."""
    return {
        "number": entry.number,
        "at": entry.at.isoformat(),
        "who": entry.who,
        "note": entry.note,
        "configuration_digest": entry.configuration_digest,
        "reservoir": entry.change.reservoir_id,
        "key": entry.change.key,
        "from": entry.change.before,
        "to": entry.change.after,
        "previous_hash": entry.previous_hash,
        "hash": entry.hash,
    }


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 10_000_000):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, found {text!r}")
    return int(text)


def _hash(text: str) -> str:
    if len(text) != 64 or set(text.lower()) - set("0123456789abcdef"):
        raise argparse.ArgumentTypeError(
            "expected the 64 hexadecimal digits that `history` printed after head"
        )
    return text.lower()
