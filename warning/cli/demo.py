"""See the whole of it in a minute: three simulated dams, and the eve of a flood at one of them.

Simulates rainfall, runoff, storage and gates; trains the networks; runs the cycle on the eve of the
flood and on each day until the water stands at the warning level; delivers to a mailbox it serves
itself on loopback. Needs no server, GPU or account.
"""

from __future__ import annotations

import argparse
import shutil
import threading
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from warning.errors import UsageError

if TYPE_CHECKING:
    from warning.config.configuration import Configuration
    from warning.demo.mailbox import ReceivedMail
    from warning.demo.simulation import SimulatedFleet

HELP = "see the whole of it on simulated dams: no server, GPU or account"
EXAMPLE = "dam-warning demo --folder demo"
MARKER = ".dam-warning-demo"
EPOCHS = 12  # enough for three dams of six years; `train` takes as many as validation asks for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("dam-warning-demo"),
        help="where everything is written, emptied of an earlier demo first (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=7, help="seed of the weather (default: %(default)s)")


def run(options: argparse.Namespace) -> int:
    import logging

    from warning.cli.progress import ProgressBar
    from warning.cli.train import verdict
    from warning.config.loading import load_configuration
    from warning.demo.configuration import write_configuration
    from warning.demo.files import append_day, write_fleet
    from warning.demo.mailbox import Mailbox
    from warning.demo.simulation import simulate_fleet
    from warning.ops.logs import configure_logs
    from warning.wiring import noon_of, train_fleet

    configure_logs(logging.WARNING)
    folder = emptied(options.folder)
    fleet = simulate_fleet(options.seed)
    folders = write_fleet(fleet, folder)
    with Mailbox(folder / "mailbox") as mailbox:
        write_configuration(
            folder / "config",
            readings=folders.readings,
            state_directory=folder / "state",
            mail_port=mailbox.port,
            max_epochs=EPOCHS,
        )
        configuration = load_configuration(folder / "config")
        print(f"Three dams are simulated up to {fleet.eve}, the eve of a flood. Training the networks …")
        with ProgressBar() as progress:
            report = train_fleet(configuration, fleet.eve, noon_of(fleet.eve, configuration), progress)
        print(verdict(report))
        _run_day(configuration, fleet.eve)
        for ahead in range(1, (fleet.crossing_day - fleet.eve).days + 1):
            append_day(fleet, folders, fleet.eve + timedelta(days=ahead))
            _run_day(configuration, fleet.eve + timedelta(days=ahead))
        mails = mailbox.messages()
    print(_what_arrived(mails, folder))
    print(_what_really_happened(fleet))
    return 0 if mails else 1


def _run_day(configuration: Configuration, day: date) -> None:
    """Run one day's cycle, deliver, and say what it came to."""
    from warning.cli.outcomes import outcomes_text
    from warning.clock import FixedClock
    from warning.wiring import noon_of, wired

    with wired(configuration, FixedClock(noon_of(day, configuration))) as parts:
        outcomes = parts.run_cycle()
        parts.deliver(threading.Event())
    print(f"\nThe cycle of {day}, noon:\n{outcomes_text(outcomes)}", flush=True)


def emptied(folder: Path) -> Path:
    """Return `folder` empty of an earlier demo; raises UsageError where it holds anything else."""
    folder = folder.absolute()
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).is_file():
            raise UsageError(
                f"{folder} is not empty and was not made by an earlier demo; name another --folder"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text(
        "Made by `dam-warning demo`, which empties this folder when it runs again.\n"
    )
    return folder


def _what_arrived(mails: tuple[ReceivedMail, ...], folder: Path) -> str:
    lines = ["", f"{len(mails)} messages arrived in the demo's mailbox, {folder / 'mailbox'}:"]
    for mail in mails:
        lines.append(f"  to {', '.join(mail.recipients)}: {mail.subject}")
        files = (mail.html or mail.text or mail.eml, *mail.images)
        lines += [f"      {file}" for file in files]
    lines += [
        "",
        f"The record: {folder / 'state' / 'journal.sqlite3'}",
        f"The configuration: {folder / 'config'} (try `dam-warning status --config {folder / 'config'}`)",
    ]
    return "\n".join(lines)


def _what_really_happened(fleet: SimulatedFleet) -> str:
    from warning.domain.variables import Variable

    flooded = fleet[fleet.flood_dam_id]
    level = flooded.values[Variable.LEVEL_M][flooded.row(fleet.eve) :]
    peak = int(level.argmax())
    return (
        f"What really happened at {flooded.dam.name} afterwards: the warning level was reached on "
        f"{fleet.crossing_day}, the peak was {level[peak]:.2f} m on {fleet.eve + timedelta(days=peak)}."
    )
