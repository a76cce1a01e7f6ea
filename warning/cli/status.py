"""Say how things stand, from the record and this machine; the daemon need not run.

What needs a person comes first, then every dam, then the service. Exit status 0 when nothing needs
anybody: every dam is watched, nothing is overdue, undelivered or wrong. 1 otherwise.
"""

from __future__ import annotations

import argparse
import json

from warning.cli.options import add_config, add_json

HELP = "say how things stand: what needs a person, the dams, the service"
EXAMPLE = "dam-warning status --config /etc/dam-warning"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    from warning.clock import SystemClock
    from warning.config.last_good import load_or_last_good
    from warning.status import read_status
    from warning.wiring import open_journal, registry_of

    configuration, refusal = load_or_last_good(options.config)
    journal = open_journal(configuration)
    try:
        report = read_status(configuration, journal, registry_of(configuration), SystemClock().now(), refusal)
    finally:
        journal.close()
    print(json.dumps(report.to_json()) if options.json else report.text())
    return 0 if report.well else 1
