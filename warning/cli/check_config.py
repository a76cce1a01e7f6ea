"""Check the configuration and say what it means: every dam, every threshold, who hears what.

Every problem is listed at once with its file, key, value, what was expected and the remedy.
Exit status 78 when the configuration is refused. With --connect the source is looked at too: is
it reachable, does it let us in, which dams have readings, how fresh are they, which configured
fields does it not have. Exit status 1 when something there is missing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from warning.cli.options import add_config, add_json

if TYPE_CHECKING:
    from warning.config.configuration import Configuration
    from warning.connecting import DamSeen, Inspection

HELP = "check the configuration and say what it means"
EXAMPLE = "dam-warning check-config --connect --config /etc/dam-warning"

_MOST_SOUND_DAMS = 50
_MOST_NAMES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--connect", action="store_true", help="look into the source of readings as well")
    add_config(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    from warning.clock import SystemClock

    configuration = sound_configuration(options)
    inspection, now = None, SystemClock().now()
    if options.connect:
        from warning.cli.progress import ProgressBar
        from warning.connecting import inspect_source

        with ProgressBar() as progress:
            progress("looking into the source", 0.0)
            inspection = inspect_source(configuration, now)
    if options.json:
        print(json.dumps(_json(configuration, inspection)))
    else:
        print(_text(configuration, inspection, now))
    return 0 if inspection is None or inspection.sound else 1


def sound_configuration(options: argparse.Namespace) -> Configuration:
    """Return the configuration that the options name; where it is refused, say why on stdout with --json."""
    from warning.config.loading import load_configuration
    from warning.config.problems import InvalidConfigurationError
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
    return configuration


def _json(configuration: Configuration, inspection: Inspection | None) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "ok": inspection is None or inspection.sound,
        "digest": configuration.digest,
        "reservoirs": [reservoir.id for reservoir in configuration.reservoirs],
        "recipients": [recipient.id for recipient in configuration.recipients],
    }
    if inspection is not None:
        plain["source"] = {
            "server": inspection.server,
            "troubles": list(inspection.troubles),
            "not_configured": list(inspection.not_configured),
            "reservoirs": {
                dam.id: {
                    "trouble": dam.trouble,
                    "newest": {variable: day.isoformat() for variable, day in dam.newest.items()},
                }
                for dam in inspection.dams
            },
        }
    return plain


def _text(configuration: Configuration, inspection: Inspection | None, now: datetime) -> str:
    from warning.config.summary import source_words, summary

    lines = [summary(configuration)]
    if inspection is None:
        return lines[0]
    server = f" ({inspection.server})" if inspection.server else ""
    lines += ["", f"The source: {source_words(configuration.source)}{server}"]
    lines += [f"  TROUBLE: {trouble}" for trouble in inspection.troubles]
    sound = [dam for dam in inspection.dams if dam.trouble is None]
    lines += [_dam_line(dam) for dam in inspection.dams if dam.trouble is not None]
    lines += [_dam_line(dam) for dam in sound[:_MOST_SOUND_DAMS]]
    if len(sound) > _MOST_SOUND_DAMS:
        lines.append(f"  … and {len(sound) - _MOST_SOUND_DAMS:,} more dams whose readings are fresh")
    if inspection.not_configured:
        lines.append(f"  no dam is configured for: {_some(inspection.not_configured)}")
    if inspection.sound:
        lines.append("  Every dam's readings are there and fresh.")
    return "\n".join(lines)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    return shown + (f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else "")


def _dam_line(dam: DamSeen) -> str:
    newest = ", ".join(f"{variable} {day}" for variable, day in dam.newest.items())
    words = f"newest {newest}" if newest else "no readings"
    return f"  {dam.id}: {words}" + (f" · TROUBLE: {dam.trouble}" if dam.trouble else "")
