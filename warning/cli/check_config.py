"""Check the configuration and say what it means: every dam, every threshold, who hears what.

Every problem is listed at once with its file, key, value, what was expected and the remedy.
Exit status 78 when the configuration is refused.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from warning.cli.options import add_config, add_json

HELP = "check the configuration and say what it means"
EXAMPLE = "dam-warning check-config --config /etc/dam-warning"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    from warning.config.loading import load_configuration
    from warning.config.problems import InvalidConfigurationError
    from warning.config.summary import summary
    from warning.wiring import channel_problems

    try:
        configuration = load_configuration(options.config)
        problems = channel_problems(configuration)
        if problems:
            raise InvalidConfigurationError(configuration.directory, problems)
    except InvalidConfigurationError as error:
        if options.json:
            print(json.dumps({"ok": False, "problems": [asdict(problem) for problem in error.problems]}))
        raise
    if options.json:
        print(
            json.dumps(
                {
                    "ok": True,
                    "digest": configuration.digest,
                    "reservoirs": [reservoir.id for reservoir in configuration.reservoirs],
                    "recipients": [recipient.id for recipient in configuration.recipients],
                }
            )
        )
    else:
        print(summary(configuration))
    return 0
