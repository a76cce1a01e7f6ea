"""Starts a child process, talks with it, and ends it when its time is up.

The child has a session of its own, so that everything it starts can be ended with it. If the daemon
dies, however it dies, the kernel ends the child, provided that it begins with `die_with_parent`.
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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final, cast

from warning.clock import monotonic_s
from warning.events import pairs

_LOG = logging.getLogger(__name__)
Message = Mapping[str, Any]
PARENT: Final = "DAM_WARNING_PARENT"
"""Environment variable with the process id of whoever waits for the child."""
GRACE_S: Final = 2.0
_TAIL_BYTES: Final = 4000
_LINE_BYTES: Final = 65536
_PR_SET_PDEATHSIG: Final = 1
_PACKAGE_PARENT: Final = str(Path(__file__).resolve().parents[1])


class ChildError(Exception):
    """A child could not be started, ran out of time, or ended badly; the text goes on from its name."""


def run(
    arguments: Sequence[str],
    *,
    name: str,
    time_limit_s: float,
    environment: Mapping[str, str],
    feed: Iterable[bytes] | None = None,
    pass_fds: Sequence[int] = (),
    on_message: Callable[[Message], None] | None = None,
) -> None:
    """Run a child until it ends with status 0; raises ChildError otherwise.

    `environment` is all it inherits, beside one thread for numpy and the place of this package. It is
    handed `feed` on its stdin, as fast as it takes it; what taking a piece from `feed` raises ends the
    child and is raised here. `on_message` hears each JSON object that it says on a line of its stdout.
    """
    try:
        child = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL if feed is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(environment),
            pass_fds=pass_fds,
            start_new_session=True,
        )
    except OSError as error:
        raise ChildError(f"could not be started: {error}") from error
    talk = _Talk(child, iter(feed or ()), on_message)
    try:
        in_time = talk.until(monotonic_s() + time_limit_s)
        if not in_time:
            _signal_group(child, signal.SIGTERM)
            talk.until(monotonic_s() + GRACE_S)
    finally:
        _signal_group(child, signal.SIGKILL)  # whatever it left running; the child itself is not reaped yet
        child.wait()
        talk.close()
    if not in_time:
        raise ChildError(f"did not finish within {time_limit_s:g} s and was ended")
    _raise_for(child.returncode, talk.tail(), name)


def die_with_parent() -> None:
    """Ask the kernel to kill this process when the one that started it ends, however it ends."""
    import ctypes  # only a child needs it

    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        parent = os.environ.get(PARENT)
        if parent is not None and parent != str(os.getppid()):  # it ended before the line above
            sys.exit("the process that asked for this work has ended")


class _Talk:
    """Feeds the child and hears its two streams, without ever waiting for one of them alone."""

    def __init__(
        self,
        child: subprocess.Popen[bytes],
        feed: Iterator[bytes],
        on_message: Callable[[Message], None] | None,
    ) -> None:
        self._feed = feed
        self._unsent = memoryview(b"")
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
        if child.stdin is not None:
            os.set_blocking(child.stdin.fileno(), False)
            self._streams.append(child.stdin)
            self._selector.register(child.stdin, selectors.EVENT_WRITE, None)

    def until(self, deadline_s: float) -> bool:
        """Go on until the child has ended (True) or the deadline has come (False)."""
        while (left_s := deadline_s - monotonic_s()) > 0:
            ready = self._selector.select(left_s)
            for key, events in ready:
                stays = key.data is None or self._read(key.fileobj, key.data)
                if events & selectors.EVENT_WRITE:
                    stays = self._write(key.fileobj)
                if not stays:
                    self._selector.unregister(key.fileobj)
                    cast(IO[bytes], key.fileobj).close()
            if any(key.fileobj == self._end for key, _ in ready):
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

    def _write(self, stream: Any) -> bool:
        """Say whether there is more to send; after the last piece the child sees the end of its stdin."""
        if not self._unsent:
            piece = next(self._feed, None)
            if piece is None:
                return False
            self._unsent = memoryview(piece)
        try:
            sent = os.write(stream.fileno(), self._unsent)
        except BlockingIOError:
            return True
        except BrokenPipeError:  # it wants no more, or has ended: its status will say
            return False
        self._unsent = self._unsent[sent:]
        return True

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


def _environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """What the child inherits, one thread for numpy, and this package wherever it lies."""
    environment = {**inherited, "OMP_NUM_THREADS": "1", PARENT: str(os.getpid())}
    paths = [environment.get("PYTHONPATH", ""), _PACKAGE_PARENT]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return environment


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nothing, or only zombies, left in it
        os.killpg(child.pid, number)


def _raise_for(status: int, tail: str, name: str) -> None:
    if status == 0:
        return
    if tail:
        _LOG.warning(pairs(f"{name}-child-failed", status=status, last_words=tail))
    last_line = tail.rsplit("\n", 1)[-1]
    how = f"ended with status {status}" if status > 0 else f"was ended by signal {_signal_name(-status)}"
    raise ChildError(f"{how}: {last_line or 'it said nothing'}")


def _signal_name(number: int) -> str:
    return signal.Signals(number).name if number in {s.value for s in signal.Signals} else str(number)
