"""`dam-warning`: parse the command line, call one command, explain what went wrong.

Nothing heavy is imported here: each command imports its own parts when it runs, so that
`--help` answers at once and never loads torch.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from warning import __version__
from warning.errors import EXIT_FAILURE, DamWarningError

# name of the command → module that implements it, in the order that --help lists them
COMMANDS = {
    "demo": "demo",
    "init": "init",
    "check-config": "check_config",
    "apply": "apply",
    "history": "history",
    "import": "import_readings",
    "train": "train",
    "models": "models",
    "cycle": "cycle",
    "backtest": "backtest",
    "status": "status",
    "backup": "backup",
    "run": "run",
    "report-failure": "report_failure",
}

# what these write is nobody else's business: readings, addresses and models of whoever runs them
PRIVATE = {"apply", "backup", "cycle", "demo", "run", "train"}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="dam-warning",
        description="Early warning for dams: readings in, seven-day forecast, thresholds, warnings out.",
        epilog="`dam-warning COMMAND --help` explains a command, with an example.",
    )
    parser.add_argument("--version", action="version", version=f"dam-warning {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module_name in COMMANDS.items():
        module = importlib.import_module(f"warning.cli.{module_name}")
        command = commands.add_parser(
            name,
            help=module.HELP,
            description=module.__doc__,
            epilog=f"Example: {module.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 failure, 2 usage, 78 configuration."""
    # before numpy loads: on a busy machine BLAS threads make small matrices ten times slower
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    options = build_parser().parse_args(arguments)
    if options.command in PRIVATE:
        os.umask(0o077)
    try:
        status: int = options.run(options)
    except DamWarningError as error:
        if options.debug:
            print(_traceback(), file=sys.stderr, end="")
            return error.exit_status
        print(f"dam-warning {options.command}: {error}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone; nothing is left to say to it
        return EXIT_FAILURE
    except KeyboardInterrupt:
        print(f"dam-warning {options.command}: interrupted", file=sys.stderr)
        return 130
    return status


def _traceback() -> str:
    """Return the traceback of what is being handled, without addresses and secrets."""
    import traceback

    from warning.ops.logs import masked

    return masked(traceback.format_exc())


if __name__ == "__main__":
    sys.exit(main())
