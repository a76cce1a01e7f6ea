"""Train on the past of every record in FOLDER, forecast the rest day by day, and score it.

Needs no configuration: one tidy CSV file per dam, forecast variable level where there is one, else
storage. The first 60 % of a dam's days train, the next 15 % validate, the last 25 % test; every
forecast is made from what was known on its day. Scores are shares of persistence's error.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from warning.cli.options import add_json, day

HELP = "train on the past of a folder of records and score the forecasts of the rest"
EXAMPLE = "dam-warning backtest records/ --forecasts forecasts.csv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="a folder of tidy CSV files, one per dam")
    parser.add_argument(
        "--forecasts", metavar="FILE", type=Path, help="write every forecast here (.csv or .csv.gz)"
    )
    parser.add_argument(
        "--train-until", metavar="DAY", type=day, help="train on days before DAY instead of 60 %%"
    )
    parser.add_argument(
        "--validate-until",
        metavar="DAY",
        type=day,
        help="validate up to DAY and test from it on (with --train-until)",
    )
    parser.add_argument("--models", metavar="DIR", type=Path, help="keep the trained model in DIR")
    parser.add_argument("--seed", type=int, default=0, help="seed of the training (default: 0)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to train")
    parser.add_argument(
        "--perfect-outlook",
        action="store_true",
        help="also forecast as if rain, then release, had been known a week ahead: an upper bound",
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    from warning.backtesting import backtest_folder
    from warning.cli.progress import ProgressBar
    from warning.clock import SystemClock
    from warning.errors import UsageError
    from warning.forecasting.training_plan import TrainingSettings
    from warning.verification.report_json import report_json
    from warning.verification.report_text import report_text
    from warning.verification.sites import Split

    try:
        split = Split(options.train_until, options.validate_until)
    except ValueError as error:
        raise UsageError(str(error)) from error
    with ProgressBar() as progress:
        report = backtest_folder(
            options.folder,
            TrainingSettings(seed=options.seed, device=options.device),
            split,
            SystemClock().now(),
            forecasts_path=options.forecasts,
            models=options.models,
            perfect_outlook=options.perfect_outlook,
            on_progress=progress,
        )
    print(report_json(report) if options.json else report_text(report))
    return 0 if report.dams else 1
