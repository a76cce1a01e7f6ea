"""Arguments that several commands share, and how their values are read."""

from __future__ import annotations

import argparse
import os
from datetime import date
from pathlib import Path

CONFIG_VARIABLE = "DAM_WARNING_CONFIG"
CONFIG_DEFAULT = Path("/etc/dam-warning")


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add `--config DIR`."""
    parser.add_argument(
        "--config",
        metavar="DIR",
        type=Path,
        default=Path(os.environ.get(CONFIG_VARIABLE, CONFIG_DEFAULT)),
        help=f"folder of warning.toml, reservoirs.toml, recipients.toml (default: ${CONFIG_VARIABLE}, "
        f"else {CONFIG_DEFAULT})",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object for machines to read")


def add_log(parser: argparse.ArgumentParser, level: str) -> None:
    """Add `--log-format` and `--log-level`, which is `level` where nothing else is said."""
    parser.add_argument(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="form of the log (default: %(default)s)",
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning"),
        default=level,
        help="least level of what is logged; at debug libraries speak as well (default: %(default)s)",
    )


def day(text: str) -> date:
    """Read a day as YYYY-MM-DD."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a day as YYYY-MM-DD, found {text!r}") from None
