"""The queue before the workers: a pipe of numbered tickets, one for each batch of dams.

A worker takes the next ticket when it is free, and the end of the pipe tells it that there are no more.
A pipe passes on so few bytes whole, so several workers may take from one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

_TICKET_BYTES: Final = 8
MOST_UNTAKEN: Final = 4096 // _TICKET_BYTES
"""So many any pipe holds; whoever writes more may have to wait until one is taken."""


def ticket(number: int) -> bytes:
    """Return the ticket with this number, below ten million."""
    return b"%07d\n" % number


def tickets(pipe: int) -> Iterator[int]:
    """Take ticket after ticket out of `pipe`, a file descriptor, until there will be no more."""
    while taken := os.read(pipe, _TICKET_BYTES):
        yield int(taken)
