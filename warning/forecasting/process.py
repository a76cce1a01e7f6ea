"""Starts the forecast's child, listens to it, and ends it when its time is up.

The child has a session of its own, so that everything it starts can be ended with it; if the daemon
dies, the kernel ends the child (see `worker`).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from warning.clock import monotonic_s
from warning.errors import ForecastError
from warning.events import pairs
from warning.forecasting.exchange import Arrays, read_folder, write_folder

_LOG = logging.getLogger(__name__)
Message = Mapping[str, Any]
GRACE_S: Final = 2.0
_TAIL_BYTES: Final = 4000
_LINE_BYTES: Final = 65536
_PACKAGE_PARENT: Final = str(Path(__file__).resolve().parents[2])


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

    Raises ForecastError for a child that cannot start, runs out of time, ends with an error or by a
    signal, or leaves nothing readable.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="dam-warning-job-", dir=folder) as name:
            job = Path(name)
            write_folder(job, "job", plain, arrays)
            run_child(job, command=command, time_limit_s=time_limit_s, on_message=on_message)
            return read_folder(job, "result")
    except OSError as error:
        raise ForecastError(f"the forecast child could not be given its job: {error}") from error


def run_child(
    job: Path,
    *,
    command: WorkerCommand,
    time_limit_s: float,
    on_message: Callable[[Message], None] | None = None,
) -> None:
    """Run the child on the folder `job` until it ends well; raises ForecastError otherwise."""
    try:
        child = subprocess.Popen(
            [*command.arguments, str(job)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(command),
            start_new_session=True,
        )
    except OSError as error:
        raise ForecastError(f"the forecast child could not be started: {error}") from error
    ears = _Ears(child, on_message)
    try:
        in_time = ears.listen_until(monotonic_s() + time_limit_s)
        if not in_time:
            _signal_group(child, signal.SIGTERM)
            ears.listen_until(monotonic_s() + GRACE_S)
    finally:
        _signal_group(child, signal.SIGKILL)  # whatever it left running; the child itself is not reaped yet
        child.wait()
        ears.close()
    if not in_time:
        raise ForecastError(f"the forecast child did not finish within {time_limit_s:g} s and was ended")
    _raise_for(child.returncode, ears.tail())


class _Ears:
    """Hears the child's two streams without ever waiting for one of them alone."""

    def __init__(self, child: subprocess.Popen[bytes], on_message: Callable[[Message], None] | None) -> None:
        self._on_message = on_message
        self._line = b""
        self._tail = b""
        self._end = os.pidfd_open(child.pid)
        self._selector = selectors.DefaultSelector()
        self._streams: list[IO[bytes]] = []
        self._selector.register(self._end, selectors.EVENT_READ, None)
        for stream, hear in ((child.stdout, self._hear_message), (child.stderr, self._hear_complaint)):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
                self._streams.append(stream)
                self._selector.register(stream, selectors.EVENT_READ, hear)

    def listen_until(self, deadline_s: float) -> bool:
        """Listen until the child has ended (True) or the deadline has come (False)."""
        while (left_s := deadline_s - monotonic_s()) > 0:
            ready = [key for key, _ in self._selector.select(left_s)]
            for key in ready:
                if key.data is not None and not self._read(key.fileobj, key.data):
                    self._selector.unregister(key.fileobj)
            if any(key.data is None for key in ready):
                self._read_rest()
                return True
        return False

    def tail(self) -> str:
        """The last lines of what the child complained about."""
        return self._tail.decode("utf-8", "replace").strip()

    def close(self) -> None:
        self._selector.close()
        os.close(self._end)
        for stream in self._streams:
            stream.close()

    def _read_rest(self) -> None:
        """Take what the ended child still had in its pipes; others may keep these open."""
        for key in list(self._selector.get_map().values()):
            while key.data is not None and self._read(key.fileobj, key.data):
                pass

    def _read(self, stream: Any, hear: Callable[[bytes], None]) -> bool:
        """Say whether there was something to hear."""
        try:
            data = os.read(stream.fileno(), _LINE_BYTES)
        except BlockingIOError:
            return False
        if data:
            hear(data)
        return bool(data)

    def _hear_complaint(self, data: bytes) -> None:
        self._tail = (self._tail + data)[-_TAIL_BYTES:]

    def _hear_message(self, data: bytes) -> None:
        *lines, rest = (self._line + data).split(b"\n")
        self._line = rest[-_LINE_BYTES:]
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError:
                continue  # a library's chatter
            if self._on_message is not None and isinstance(message, dict):
                self._on_message(message)


def _environment(command: WorkerCommand) -> dict[str, str]:
    """The daemon's own environment, one thread for numpy, and this package wherever it lies."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "DAM_WARNING_PARENT": str(os.getpid())}
    environment |= command.environment
    paths = [environment.get("PYTHONPATH", ""), _PACKAGE_PARENT]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return environment


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nothing, or only zombies, left in it
        os.killpg(child.pid, number)


def _raise_for(status: int, tail: str) -> None:
    if status == 0:
        return
    if tail:
        _LOG.warning(pairs("forecast-child-failed", status=status, last_words=tail))
    last_line = tail.rsplit("\n", 1)[-1]
    how = f"ended with status {status}" if status > 0 else f"was ended by signal {_signal_name(-status)}"
    raise ForecastError(f"the forecast child {how}: {last_line or 'it said nothing'}")


def _signal_name(number: int) -> str:
    return signal.Signals(number).name if number in {s.value for s in signal.Signals} else str(number)
