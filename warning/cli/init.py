"""Look into the source of readings and write a first reservoirs.toml for the dams found there.

warning.toml must be in place: it says where the source is. Names, what is forecast, physical
limits and screening are proposed from the record. What only people know (thresholds, time
zone, datum) is left as "FILL IN", which check-config refuses until it is answered. A file that
exists is never overwritten.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from warning.cli.options import add_config

HELP = "write a first reservoirs.toml for the dams in the source"
EXAMPLE = "dam-warning init --config /etc/dam-warning"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output", metavar="FILE", type=Path, help="the file to write (default: reservoirs.toml in DIR)"
    )
    add_config(parser)


def run(options: argparse.Namespace) -> int:
    from warning.cli.progress import ProgressBar
    from warning.config.first_dams import first_reservoirs
    from warning.config.loading import RESERVOIRS_FILE, load_service
    from warning.config.summary import source_words
    from warning.connecting import find_dams
    from warning.errors import SourceError

    output: Path = options.output or options.config / RESERVOIRS_FILE
    refuse_existing(output)
    service = load_service(options.config)
    with ProgressBar() as progress:
        progress("reading the source", 0.0)
        found = find_dams(service.source)
    for name, reason in found.left_out.items():
        print(f"left out: {name}: {reason}")
    where = source_words(service.source)
    if not found.dams:
        raise SourceError(f"{where}: no dam's readings were found there; nothing is written")
    write_new(output, first_reservoirs(found.dams, service.severities, where))
    print(
        f"{output}: {len(found.dams)} {'dam' if len(found.dams) == 1 else 'dams'} written: "
        f"{', '.join(dam.id for dam in found.dams)}\n"
        'Fill in what stands as "FILL IN", then: dam-warning check-config --connect'
    )
    return 0


def refuse_existing(path: Path) -> None:
    """Raise UsageError where something lies at `path` already."""
    from warning.errors import UsageError

    if path.exists() or path.is_symlink():
        raise UsageError(f"{path} exists and is not overwritten; name another file with --output")


def write_new(path: Path, text: str) -> None:
    """Write a file that must not exist yet; raises UsageError where it cannot be made."""
    from warning.errors import UsageError

    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        refuse_existing(path)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}; name another file with --output"
        ) from error
