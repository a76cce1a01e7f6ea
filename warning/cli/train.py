"""Train the networks on all dams at once and put the new model in force.

Trains the ten LSTMs of the ensemble and the CNN-LSTM on the first 80 % of each dam's days and stops
early on the rest. Uses a GPU where there is one. The old model stays in force until the new one is
complete.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from warning.cli.options import add_config, day

HELP = "train the networks on all dams and put them in force"
EXAMPLE = "dam-warning train --until 2016-01-01"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument(
        "--until", metavar="DAY", type=day, help="use only readings before DAY (default: all there are)"
    )


def run(options: argparse.Namespace) -> int:
    from datetime import timedelta

    from warning.cli.progress import ProgressBar
    from warning.clock import SystemClock
    from warning.config.loading import load_configuration
    from warning.wiring import train_fleet

    configuration = load_configuration(options.config)
    now = SystemClock().now()
    last_day = options.until - timedelta(days=1) if options.until else now.date()
    with ProgressBar() as progress:
        report = train_fleet(configuration, last_day, now, progress)
    print(report_text(report.model_id, report.skill, report.left_out))
    return 0


def report_text(model_id: str, skill: Mapping[str, tuple[float, ...]], left_out: Mapping[str, str]) -> str:
    """Return what came of a training as people read it."""
    from warning.learning import mean_skill

    lines = [f"Model {model_id} is in force."]
    lines.append(f"Error on the validation part, as a share of persistence's: {mean_skill(skill):.3f}")
    width = max((len(name) for name in (*skill, *left_out)), default=0)
    for name, ratios in sorted(skill.items()):
        lines.append(f"  {name:<{width}}  " + "  ".join(f"{ratio:.2f}" for ratio in ratios))
    if skill:
        lines.append(f"  {'lead day':<{width}}  " + "  ".join(f"{lead:>4}" for lead in range(1, 8)))
    lines += [f"  {name:<{width}}  left out: {why}" for name, why in sorted(left_out.items())]
    return "\n".join(lines)
