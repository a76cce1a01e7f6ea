"""Import a tidy CSV file of one dam into the configured source.

The header is `date` and any of level_m, storage_m3, inflow_m3s, outflow_m3s, rain_mm. Rows may
come in any order. What cannot be read is reported by line and kept: beside the record of a CSV
source, beside the imported file where the source is InfluxDB. Importing the same file again
changes nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from warning.cli.options import add_config

if TYPE_CHECKING:
    from warning.config.configuration import Configuration, InfluxdbSource

HELP = "import a CSV file of readings into the source"
EXAMPLE = "dam-warning import oroville readings.csv"
KINDS = ("csv", "influxdb")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("reservoir", help="the dam's id, as in reservoirs.toml")
    parser.add_argument("file", type=Path, help="the CSV file")
    parser.add_argument(
        "--to", choices=KINDS, help="refuse to import unless the source in warning.toml is of this kind"
    )
    add_config(parser)


def run(options: argparse.Namespace) -> int:
    from warning.config.configuration import CsvSource
    from warning.config.loading import load_configuration
    from warning.errors import UsageError
    from warning.sources.csv_folder import CsvFolderSource
    from warning.sources.importing import import_csv

    configuration = load_configuration(options.config)
    known = [reservoir.id for reservoir in configuration.reservoirs]
    if options.reservoir not in known:
        raise UsageError(
            f"no dam is called {options.reservoir!r}; reservoirs.toml has {', '.join(known)}. "
            "Add it there first, or correct the id."
        )
    source = configuration.source
    kind = "csv" if isinstance(source, CsvSource) else "influxdb"
    if options.to not in (None, kind):
        raise UsageError(
            f'the source in warning.toml is of kind = "{kind}", not "{options.to}"; '
            "set it there, or leave out --to"
        )
    if not isinstance(source, CsvSource):
        return _into_influxdb(options, configuration, source)
    report = import_csv(options.file, options.reservoir, CsvFolderSource(source.folder))
    print(report.text())
    return 0 if report.complete else 1


def _into_influxdb(options: argparse.Namespace, configuration: Configuration, source: InfluxdbSource) -> int:
    from warning.cli.progress import ProgressBar
    from warning.config.summary import source_words
    from warning.connecting import influx_settings, zones_of
    from warning.sources.influx import InfluxSource
    from warning.sources.influx_importing import import_csv_into_influx

    reader = InfluxSource(influx_settings(source, zones_of(configuration.reservoirs)))
    with ProgressBar() as progress:
        report = import_csv_into_influx(
            options.file, options.reservoir, reader, source_words(source), progress
        )
    print(report.text())
    return 0 if report.complete else 1
