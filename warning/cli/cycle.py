"""Run one forecast cycle now, deliver what it raises, and say what it came to.

With --at DAY the cycle runs as it would have on that day: later readings are not looked at. The
record never runs backwards, so DAY must not lie before the newest cycle on record.
Exit status 1 when a dam is unwatched or could not be judged, or a delivery failed.
"""

from __future__ import annotations

import argparse
import json

from warning.cli.options import add_config, add_json, add_log, day

HELP = "run one forecast cycle and deliver what it raises"
EXAMPLE = "dam-warning cycle --at 2017-02-07"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    add_json(parser)
    add_log(parser, "warning")
    parser.add_argument("--at", metavar="DAY", type=day, help="act as on DAY (YYYY-MM-DD), noon local time")


def run(options: argparse.Namespace) -> int:
    import threading

    from warning.cli.outcomes import outcome_json, outcomes_text
    from warning.clock import FixedClock, SystemClock
    from warning.config.loading import load_configuration
    from warning.ops.logs import LOG_LEVELS, configure_logs
    from warning.wiring import noon_of, refuse_the_past, wired

    configure_logs(LOG_LEVELS[options.log_level], options.log_format)
    configuration = load_configuration(options.config)
    clock = FixedClock(noon_of(options.at, configuration)) if options.at else SystemClock()
    with wired(configuration, clock) as parts:
        refuse_the_past(parts.watch.journal, clock.now())
        outcomes = parts.run_cycle()
        count = parts.deliver(threading.Event())
    if options.json:
        print(
            json.dumps(
                {
                    "dams": {outcome.reservoir.id: outcome_json(outcome) for outcome in outcomes},
                    "deliveries": {"sent": count.sent, "failed": count.failed, "expired": count.expired},
                }
            )
        )
    else:
        print(outcomes_text(outcomes))
        print(f"Deliveries: {count.sent} sent, {count.failed} failed, {count.expired} given up.")
    troubled = any(o.failure or o.assessment is None or o.assessment.unwatched for o in outcomes)
    return 1 if troubled or count.failed or count.expired else 0
