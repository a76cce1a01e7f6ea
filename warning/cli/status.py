"""Say how things stand, from the record: the last cycle, each dam's warning, what is undelivered.

Exit status 0 when every dam is watched and nothing is overdue, 1 otherwise.
"""

from __future__ import annotations

import argparse
import json

from warning.cli.options import add_config, add_json

HELP = "say how things stand, from the record"
EXAMPLE = "dam-warning status --config /etc/dam-warning"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    from warning.clock import SystemClock
    from warning.config.loading import load_configuration
    from warning.status import read_status
    from warning.wiring import open_journal, troubles_beside_the_record

    configuration = load_configuration(options.config)
    journal = open_journal(configuration)
    try:
        report = read_status(
            configuration, journal, SystemClock().now(), troubles_beside_the_record(configuration)
        )
    finally:
        journal.close()
    print(json.dumps(report.to_json()) if options.json else report.text())
    return 0 if report.well else 1
