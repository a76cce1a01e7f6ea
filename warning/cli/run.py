"""Watch the dams until told to stop: the daemon that systemd runs.

Cycles run at the configured times; one that was missed while the program was down runs at once.
SIGTERM and SIGINT stop it cleanly.
"""

from __future__ import annotations

import argparse
import logging
import os

from warning.cli.options import add_config

HELP = "watch the dams until told to stop (the daemon)"
EXAMPLE = "dam-warning run --config /etc/dam-warning"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)


def run(options: argparse.Namespace) -> int:
    import threading

    from warning.clock import SystemClock
    from warning.config.loading import load_configuration
    from warning.ops.logs import configure_logs
    from warning.service import Service, duties_of, stop_on_signals
    from warning.wiring import wired

    configure_logs()
    stop = threading.Event()
    stop_on_signals(stop)
    clock = SystemClock()
    with wired(load_configuration(options.config), clock) as parts:
        ended = Service(duties_of(parts, stop), clock, stop).run()
        if not ended:
            logging.shutdown()
            os._exit(0)  # a job's thread would keep the interpreter waiting for a forecast nobody needs
    return 0
