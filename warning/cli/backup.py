"""Copy the record to a new file, whole and checked, while the daemon goes on writing to it.

Put back with the service stopped: copy the file to where the record lies, remove what is left of the same
name with -wal and -shm behind it, and start the service.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from warning.cli.options import add_config, add_json

HELP = "copy the record to a file, while the daemon runs"
EXAMPLE = "dam-warning backup /var/backups/dam-warning-2026-11-22.sqlite3"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="where the copy goes; nothing is overwritten")
    add_config(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    from warning.config.loading import load_configuration
    from warning.wiring import open_journal

    journal = open_journal(load_configuration(options.config), create=False)
    copy: Path = options.file.absolute()
    try:
        size_bytes = journal.backup(copy)
    finally:
        journal.close()
    if options.json:
        print(json.dumps({"file": str(copy), "bytes": size_bytes}))
    else:
        print(f"The record is copied to {copy} ({size_bytes / 1e6:.1f} MB), and the copy is sound.")
    return 0
