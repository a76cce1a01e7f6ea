"""SIGTERM and SIGINT ask for the end, SIGHUP for a reload.

A handler may interrupt the very lock that an Event, or the log, is holding, and would then wait for
itself. So it only puts the signal's number into a queue made for that; a thread acts on it.
"""

from __future__ import annotations

import logging
import queue
import signal
import threading

from warning.events import pairs

log = logging.getLogger(__name__)


def heed_signals(stop: threading.Event, reload_asked: threading.Event) -> None:
    """Let SIGTERM and SIGINT set `stop`, and SIGHUP set `reload_asked`; call from the main thread."""
    numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
    meant = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload_asked}

    def act() -> None:
        while True:
            number = signal.Signals(numbers.get())
            log.info(pairs("signal", name=number.name))
            meant[number].set()

    for number in meant:
        signal.signal(number, lambda received, _frame: numbers.put(received))
    threading.Thread(target=act, name="signals", daemon=True).start()
