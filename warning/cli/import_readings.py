"""Import a tidy CSV file of one dam into the configured source.

The header is `date` and any of level_m, storage_m3, inflow_m3s, outflow_m3s, rain_mm. Rows may
come in any order. What cannot be read is reported by line and kept beside the record, so that
nothing is lost; importing the same file again changes nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from warning.cli.options import add_config

HELP = "import a CSV file of readings into the source"
EXAMPLE = "dam-warning import oroville readings.csv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("reservoir", help="the dam's id, as in reservoirs.toml")
    parser.add_argument("file", type=Path, help="the CSV file")
    add_config(parser)


def run(options: argparse.Namespace) -> int:
    from warning.config.loading import load_configuration
    from warning.errors import UsageError
    from warning.sources.importing import import_csv
    from warning.wiring import source_of

    configuration = load_configuration(options.config)
    known = [reservoir.id for reservoir in configuration.reservoirs]
    if options.reservoir not in known:
        raise UsageError(
            f"no dam is called {options.reservoir!r}; reservoirs.toml has {', '.join(known)}. "
            "Add it there first, or correct the id."
        )
    report = import_csv(options.file, options.reservoir, source_of(configuration))
    print(report.text())
    return 0 if report.complete else 1
