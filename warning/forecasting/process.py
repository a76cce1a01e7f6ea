"""Gives the forecast's child a job in a folder, and takes from it what the child leaves there."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warning import child
from warning.child import Message
from warning.errors import ForecastError
from warning.forecasting.exchange import ANSWER, BATCH, Arrays, read_folder, take_folder, write_folder
from warning.forecasting.tickets import ticket


@dataclass(frozen=True, slots=True)
class WorkerCommand:
    """How the child is started: the command, to which the job's folder is added, and its environment."""

    arguments: tuple[str, ...] = (sys.executable, "-P", "-m", "warning.forecasting.worker")
    environment: Mapping[str, str] = field(default_factory=dict)


def ask_child(
    plain: Mapping[str, Any],
    arrays: Arrays,
    *,
    command: WorkerCommand,
    time_limit_s: float,
    folder: Path | None = None,
    on_message: Callable[[Message], None] | None = None,
) -> tuple[dict[str, Any], Arrays]:
    """Give the child a job and return its result; the job lies in a fresh folder inside `folder`.

    `arrays` is empty afterwards.

    Raises ForecastError for a child that cannot start, runs out of time, ends with an error or by a
    signal, or leaves nothing readable.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="dam-warning-job-", dir=folder) as name:
            job = Path(name)
            write_folder(job, "job", plain, arrays)
            arrays.clear()  # a large fleet's would take memory while the child works
            run_child(job, command=command, time_limit_s=time_limit_s, on_message=on_message)
            return read_folder(job, "result")
    except OSError as error:
        raise ForecastError(f"the forecast child could not be given its job: {error}") from error


def ask_in_batches(
    plain: Mapping[str, Any],
    arrays: Arrays,
    batches: Iterable[tuple[Mapping[str, Any], Arrays]],
    on_answer: Callable[[Mapping[str, Any], Arrays], None],
    *,
    command: WorkerCommand,
    time_limit_s: float,
    folder: Path | None = None,
    on_message: Callable[[Message], None] | None = None,
) -> None:
    """Give the child a job and then batch after batch, which are made while it works on the first ones.

    `on_answer` hears the answer to each, in the order in which they are done. Raises ForecastError like
    `ask_child`; what was answered until then has been heard.
    """

    def hear(message: Message) -> None:
        if "answered" in message:
            on_answer(*take_folder(job, ANSWER.format(message["answered"])))
        elif on_message is not None:
            on_message(message)

    try:
        with tempfile.TemporaryDirectory(prefix="dam-warning-job-", dir=folder) as name:
            job = Path(name)
            write_folder(job, "job", plain, arrays)
            feed = _handed_over(job, batches)
            run_child(job, command=command, time_limit_s=time_limit_s, feed=feed, on_message=hear)
    except OSError as error:
        raise ForecastError(f"the forecast child could not be given its job: {error}") from error


def _handed_over(job: Path, batches: Iterable[tuple[Mapping[str, Any], Arrays]]) -> Iterator[bytes]:
    """Put each batch into the job's folder when its turn comes, and pass on its ticket."""
    for number, (plain, arrays) in enumerate(batches):
        write_folder(job, BATCH.format(number), plain, arrays)
        yield ticket(number)


def run_child(
    job: Path,
    *,
    command: WorkerCommand,
    time_limit_s: float,
    feed: Iterable[bytes] | None = None,
    on_message: Callable[[Message], None] | None = None,
) -> None:
    """Run the child on the folder `job` until it ends well; raises ForecastError otherwise.

    It is handed `feed` on its stdin.
    """
    try:
        child.run(
            [*command.arguments, str(job)],
            name="forecast",
            time_limit_s=time_limit_s,
            environment={**os.environ, **command.environment},
            feed=feed,
            on_message=on_message,
        )
    except child.ChildError as error:
        raise ForecastError(f"the forecast child {error}") from error
