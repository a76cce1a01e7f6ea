"""Train the networks on all dams at once and put the new model in force.

Trains the ten LSTMs of the ensemble and the CNN-LSTM on the first 80 % of each dam's days and stops
early on the rest. Uses a GPU where there is one. The old model stays in force until the new one is
complete, and beyond that if the new one is worse on the validation part; `dam-warning models --use MODEL`
puts it in force all the same.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from warning.cli.options import add_config, day

if TYPE_CHECKING:
    from warning.forecasting.trainer import TrainReport

HELP = "train the networks on all dams and put them in force if they are not worse"
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
    print(report_text(report))
    return 0


def report_text(report: TrainReport) -> str:
    """Return what came of a training as people read it."""
    from warning.learning import mean_skill

    skill, left_out = report.skill, report.left_out
    lines = [verdict(report)]
    lines.append(f"Error on the validation part, as a share of persistence's: {mean_skill(skill):.3f}")
    width = max((len(name) for name in (*skill, *left_out)), default=0)
    for name, ratios in sorted(skill.items()):
        lines.append(f"  {name:<{width}}  " + "  ".join(f"{ratio:.2f}" for ratio in ratios))
    if skill:
        lines.append(f"  {'lead day':<{width}}  " + "  ".join(f"{lead:>4}" for lead in range(1, 8)))
    lines += [f"  {name:<{width}}  left out: {why}" for name, why in sorted(left_out.items())]
    return "\n".join(lines)


def verdict(report: TrainReport) -> str:
    """Say in a sentence or two which model is in force now."""
    if report.contest is None:
        return f"Model {report.model_id} is in force."
    if report.promoted:
        return f"Model {report.model_id} is in force: {report.contest.words}."
    return (
        f"Model {report.model_id} is not in force: {report.contest.words}. {report.contest.against} stays; "
        f"`dam-warning models --use {report.model_id}` overrules this."
    )
