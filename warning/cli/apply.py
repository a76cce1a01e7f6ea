"""Put an edit of the configuration on record under your name, if it is sound.

Every problem is listed, with exit status 78, and nothing changes, where it is not. Where it is, the history
notes each setting that changed, from what to what and signed by you, and the daemon takes the files over by
itself within seconds. If the daemon was faster, its entries are signed afterwards by --by or --note.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from warning.cli.options import add_config, add_json
from warning.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from warning.config.configuration import Configuration
    from warning.domain.changes import RecordedChange
    from warning.journal.journal import Journal

HELP = "put an edit of the configuration on record under your name"
EXAMPLE = "dam-warning apply --by maria --note ordered-by-the-chief-engineer --config /etc/dam-warning"

_MOST_SHOWN = 100
_ALL = 10_000_000
_AFTER_A_RESTART = ("state_directory", "journal.url")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--by", metavar="NAME", help="who answers for it (default: who called sudo or logged in)"
    )
    parser.add_argument("--note", metavar="TEXT", help="why, or by whose order")
    add_config(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    from warning.cli.check_config import sound_configuration
    from warning.clock import SystemClock
    from warning.config.changes import settings_of
    from warning.wiring import open_journal

    who = _signer(options.by)
    configuration = sound_configuration(options)
    now, digest = SystemClock().now(), configuration.digest
    journal = open_journal(configuration)
    try:
        journal.keep_configuration(digest, configuration.files, now)
        settings = settings_of(configuration)
        added = journal.add_changes(settings, at=now, who=who, note=options.note, digest=digest)
        signed = None
        if not added and (options.by or options.note):
            signed = _sign(journal, configuration, now, who, options.note)
    finally:
        journal.close()
    if options.json:
        from warning.cli.history import change_json

        plain = {"ok": True, "digest": digest, "changes": [change_json(entry) for entry in added]}
        print(json.dumps(plain | {"signed": change_json(signed) if signed else None}))
    else:
        print("\n".join(_lines(configuration, added, signed)))
    return 0


def _signer(given: str | None) -> str:
    """Return who signs: as given, who called sudo, or who this process belongs to."""
    from warning.config.edits import is_hint, owner_name

    if given is None:
        return os.environ.get("SUDO_USER") or owner_name(os.getuid())
    name = " ".join(given.split())
    if not name or not name.isprintable() or len(name) > 100 or is_hint(name):
        raise UsageError(
            f"--by takes a name of up to 100 characters, found {given[:100]!r}; write it as in --by maria"
        )
    return name


def _sign(
    journal: Journal, configuration: Configuration, now: datetime, who: str, note: str | None
) -> RecordedChange | None:
    """Sign what the daemon recorded of this very configuration, where nobody has signed since."""
    from warning.config.edits import is_hint

    first = None
    for entry in reversed(journal.changes(_ALL)):
        if not is_hint(entry.who) or entry.configuration_digest != configuration.digest:
            break
        first = entry.number
    if first is None:
        return None
    return journal.sign_changes(first, at=now, who=who, note=note, digest=configuration.digest)


def _lines(
    configuration: Configuration, added: Sequence[RecordedChange], signed: RecordedChange | None
) -> Iterator[str]:
    sound = f"The configuration in {configuration.directory} is sound"
    if not added:
        yield f"{sound} and changes nothing that is not on record already."
        if signed is not None:
            yield f"The daemon recorded it before: {signed.change.after} now signed by {signed.who}"
        return
    first, last = added[0], added[-1]
    count = "1 setting" if len(added) == 1 else f"{len(added):,} settings"
    if first.number == 1:
        yield f"{sound} and the first on record: {count}."
    else:
        yield f"{sound} and changes {count}:"
        yield from (f"  {entry.change}" for entry in added[:_MOST_SHOWN])
        if len(added) > _MOST_SHOWN:
            yield f"  … and {len(added) - _MOST_SHOWN:,} more, which `dam-warning history` lists"
    numbers = f"entry {last.number}" if len(added) == 1 else f"entries {first.number} to {last.number}"
    yield f"On record as {numbers}, signed by {last.who}"
    if first.number > 1 and any(entry.change.key in _AFTER_A_RESTART for entry in added):
        yield "Restart the daemon to adopt this, because its state or its record moves."
    else:
        yield "A running daemon takes it over within seconds, a stopped one when it starts."
