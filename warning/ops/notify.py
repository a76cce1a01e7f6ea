"""Tells systemd how the service is, by sd_notify(3): a datagram to the socket that NOTIFY_SOCKET names.

Where there is no such socket, as at a terminal, nothing is sent and nothing fails.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping

from warning.events import pairs

log = logging.getLogger(__name__)

_PATIENCE_S = 1.0  # how long a full queue of systemd's may hold the service up


class Notifier:
    """One service's line to systemd, which wants a sign of life every `watchdog_every_s`; None: never."""

    def __init__(self, address: str | None, watchdog_every_s: float | None = None) -> None:
        # systemd writes an abstract address with a leading @, the kernel wants a leading NUL
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self.watchdog_every_s = watchdog_every_s if address else None
        self._failed = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Notifier:
        """Return the notifier that systemd asks for; the watchdog is fed twice as often as it demands."""
        address = environment.get("NOTIFY_SOCKET") or None
        if address is not None and address[0] not in "/@":
            log.warning(pairs("notify-unusable", socket=address, expected="a path or an abstract address"))
            address = None
        return cls(address, _watchdog_every_s(environment))

    def ready(self) -> None:
        """Say that the service works, after its start or after a reload."""
        self._send("READY=1")

    def reloading(self, monotonic_us: int) -> None:
        """Say that a reload began, at an instant of CLOCK_MONOTONIC in microseconds."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={monotonic_us}")

    def stopping(self) -> None:
        """Say that the service is on its way out."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Give the line that `systemctl status` shows."""
        self._send("STATUS=" + " ".join(text.split()))

    def watchdog(self) -> None:
        """Say that the service still makes progress."""
        self._send("WATCHDOG=1")

    def _send(self, state: str) -> None:
        """Send one message; what systemd does not hear must not stop the watch over the dams."""
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.settimeout(_PATIENCE_S)
                line.sendto(state.encode(), self._address)
        except OSError as error:
            if not self._failed:
                log.warning(pairs("notify-failed", state=state.splitlines()[0], error=str(error)))
            self._failed = True
        else:
            self._failed = False


def _watchdog_every_s(environment: Mapping[str, str]) -> float | None:
    """Half of WATCHDOG_USEC, as sd_watchdog_enabled(3) advises, if it is meant for this process."""
    limit_us, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if process and process != str(os.getpid()):
        return None
    if not (limit_us.isascii() and limit_us.isdigit() and int(limit_us) > 0):
        return None
    return int(limit_us) / 2e6
