"""Watch the dams until told to stop: the daemon that systemd runs.

Cycles run at the configured times; one that was missed while the program was down runs at once.
SIGTERM and SIGINT stop it cleanly. SIGHUP, or an edit of the configuration, has it taken over once it
is valid; where it is not, at the start too, the last good one is in force and people are told why.
"""

from __future__ import annotations

import argparse
import logging
import os

from warning.cli.options import add_config, add_log

HELP = "watch the dams until told to stop (the daemon)"
EXAMPLE = "dam-warning run --config /etc/dam-warning"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    add_log(parser, "info")


def run(options: argparse.Namespace) -> int:
    import threading

    from warning.clock import SystemClock
    from warning.config.last_good import load_or_last_good
    from warning.duties import Duties
    from warning.ops.alone import alone
    from warning.ops.logs import LOG_LEVELS, configure_logs
    from warning.ops.memory import keep_memory_together
    from warning.ops.notify import Notifier
    from warning.ops.signals import heed_signals
    from warning.service import Service
    from warning.wiring import make_state_directory, wired

    keep_memory_together()
    configure_logs(LOG_LEVELS[options.log_level], options.log_format)
    stop, reload_asked = threading.Event(), threading.Event()
    heed_signals(stop, reload_asked)
    clock, notifier = SystemClock(), Notifier.from_environment(os.environ)
    configuration, refusal = load_or_last_good(options.config)
    with alone(make_state_directory(configuration)), wired(configuration, clock) as parts:
        duties = Duties(parts, clock, stop, refusal)
        ended = Service(duties, clock, stop, notifier=notifier, reload_asked=reload_asked).run()
        if not ended:
            logging.shutdown()
            os._exit(0)  # a job's thread would keep the interpreter waiting for a forecast nobody needs
    return 0
