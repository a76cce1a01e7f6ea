"""Tell people that the daemon's unit has failed, and why: by mail and whatever else reaches them, directly.

Run by dam-warning-failed.service. It needs neither the daemon nor a valid configuration: where that is
refused, the last good one serves, else whatever of the mail server and the recipients can still be read. The
record is only read. Those who want findings are told, everybody where nobody does or none of them can be
reached. Where $RUNTIME_DIRECTORY is set, the same failure is told once an hour at most.

Exit status 0 when somebody was told, or nothing is to be told; 1 when nobody could be.
"""

from __future__ import annotations

import argparse
import os
import sys

from warning.cli.options import add_config

HELP = "tell people directly that the daemon has failed (run by systemd)"
EXAMPLE = "dam-warning report-failure --unit dam-warning.service --config /etc/dam-warning"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--unit",
        metavar="NAME",
        default="dam-warning.service",
        help="the unit that failed (default: %(default)s)",
    )
    add_config(parser)


def run(options: argparse.Namespace) -> int:
    import socket
    from pathlib import Path

    from warning import failure
    from warning.alerts.apprise_sender import send
    from warning.clock import SystemClock
    from warning.ops.logs import configure_logs
    from warning.ops.units import unit_state

    configure_logs()
    clock, environment = SystemClock(), os.environ
    state = unit_state(options.unit)
    if state is not None and failure.works_again(lambda: unit_state(options.unit), failure.wait):
        print(f"{options.unit} works, and tells of an interruption itself: nobody was told")
        return 0
    failed = failure.failure_of(options.unit, socket.gethostname(), environment, unit_state(options.unit))
    if failed.result == "success" and failed.stays_down:
        print(f"{options.unit} was stopped and has not failed: nobody was told")
        return 0
    folder = Path(environment["RUNTIME_DIRECTORY"]) if environment.get("RUNTIME_DIRECTORY") else None
    if failure.told_lately(folder, failed, clock.now()):
        print("the same failure was told within the last hour: nobody was told again")
        return 0
    told = failure.report(failed, options.config, environment, send, clock.now())
    for who, channel, cause in told.failures:
        print(f"dam-warning report-failure: {who} by {channel}: {cause}", file=sys.stderr)
    if not told:
        print("dam-warning report-failure: NOBODY COULD BE TOLD", file=sys.stderr)
        return 1
    failure.note_told(folder, failed, clock.now())
    print(f"told: {', '.join(told.reached)}")
    return 0
