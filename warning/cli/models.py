"""List the trained models, oldest first, or put another one in force.

The error is a share of persistence's on the validation parts. A damaged model is listed with
what is wrong with it.
"""

from __future__ import annotations

import argparse
import json
import math
from typing import TYPE_CHECKING

from warning.cli.options import add_config, add_json

if TYPE_CHECKING:
    from warning.forecasting.registry import ModelSummary

HELP = "list the trained models"
EXAMPLE = "dam-warning models"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    add_json(parser)
    parser.add_argument("--use", metavar="MODEL", help="put this model in force instead")


def run(options: argparse.Namespace) -> int:
    from warning.config.loading import load_configuration
    from warning.wiring import registry_of

    registry = registry_of(load_configuration(options.config))
    if options.use:
        registry.promote(options.use)
    summaries = registry.list()
    if options.json:
        print(json.dumps([_plain(summary) for summary in summaries]))
    elif not summaries:
        print("No model has been trained yet: run `dam-warning train`.")
    else:
        print("\n".join(_line(summary) for summary in summaries))
    return 0


def _line(summary: ModelSummary) -> str:
    mark = "*" if summary.active else " "
    if summary.problem is not None:
        return f"{mark} {summary.model_id}  UNUSABLE: {summary.problem}"
    made = f"{summary.created_at:%Y-%m-%d %H:%M} UTC" if summary.created_at else "unknown age"
    error = f"error {summary.skill:.3f} of persistence's"
    return f"{mark} {summary.model_id}  {made}  {len(summary.sites)} dams  {error}"


def _plain(summary: ModelSummary) -> dict[str, object]:
    return {
        "model_id": summary.model_id,
        "in_force": summary.active,
        "created_at": summary.created_at.isoformat() if summary.created_at else None,
        "sites": list(summary.sites),
        "skill": summary.skill if math.isfinite(summary.skill) else None,
        "problem": summary.problem,
    }
