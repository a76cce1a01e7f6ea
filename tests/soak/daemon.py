"""The daemon's process as the harness sees it: started, told how far to go, stopped, killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from installation import Site

PATIENCE_S = 300.0  # of one command; a daemon that takes longer hangs
_NEVER = ("event=stuck", "unexpected ", "event=nobody-told", "database disk image is malformed")
DRIVER = Path(__file__).with_name("driver.py")


class Daemon:
    """At most one process at a time."""

    def __init__(self, site: Site, log: Path, heard_time: Callable[[datetime], None]) -> None:
        self._site = site
        self._log = log
        self._heard_time = heard_time
        self._process: subprocess.Popen[str] | None = None
        self.returncode: int | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self, now: datetime, offset_s: float) -> dict[str, int] | None:
        """Start it; None where it refused."""
        with self._log.open("a") as log:
            log.write(f"=== started at {now.isoformat()}, the clock wrong by {offset_s:.0f} s\n")
            log.flush()
            self._process = subprocess.Popen(
                [sys.executable, str(DRIVER), str(self._site.config), now.isoformat(), str(offset_s)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | {"SSL_CERT_FILE": "/nowhere", "SSL_CERT_DIR": "/nowhere"},
            )
        if self._site.full and not self._site.mounted:
            self._site.fill(self.pid)
        return self._answer()

    def command(self, words: str) -> dict[str, int] | None:
        """Have it do something; None where it died of it."""
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(words + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._reap()
            return None
        return self._answer()

    def _answer(self) -> dict[str, int] | None:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        watchdog = threading.Timer(PATIENCE_S, process.kill)
        watchdog.start()
        try:
            for line in process.stdout:
                what, _, rest = line.strip().partition(" ")
                if what == "t":
                    self._heard_time(datetime.fromisoformat(rest))
                elif what == "done":
                    return dict(json.loads(rest))
        finally:
            watchdog.cancel()
        self._reap()
        return None

    def _reap(self) -> None:
        assert self._process is not None
        self.returncode = self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process = None

    def kill(self) -> None:
        """`kill -9`."""
        if self._process is not None:
            self._process.kill()
            self._reap()

    def stop(self) -> bool:
        """End it gently; say whether it did within its time and with status 0."""
        answer = self.command("stop")
        if self._process is not None:
            self._process.stdin.close()
            self._reap()
        return answer == {"ended": True} and self.returncode == 0

    def hang_up(self) -> None:
        """SIGHUP: take the configuration over."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGHUP)

    def complaints(self) -> Iterator[str]:
        """What its log says that must never come: systemd would have ended it, or nobody foresaw it."""
        lines = self._log.read_text(errors="replace").splitlines()
        for bad in _NEVER:
            found = [line for line in lines if bad in line]
            if found:
                yield f"the log says {bad!r} {len(found)} times, first: {found[0][:300]}"

    def last_words(self) -> str:
        return " | ".join(self._log.read_text(errors="replace").splitlines()[-3:])[-600:]
