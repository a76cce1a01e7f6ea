"""Opens a record in a child that kills itself at a given step of the migration.

Reads lines `record-url step` from standard input, forks for each, and answers with the child's fate:
`killed`, or the number of steps it took. A step is taken before every SQL statement and before every commit.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from typing import Any

import alembic.command
import alembic.config
import alembic.script  # noqa: F401  # loaded once for all children
from sqlalchemy import Engine, event

from warning.journal.journal import Journal


def fate(url: str, last: int) -> str:
    """Open the record in a child and say how it ended."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        steps = itertools.count(1)

        def take(*anything: Any) -> None:
            if next(steps) == last:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            event.listen(Engine, "before_cursor_execute", take)
            event.listen(Engine, "commit", take)
            Journal.open(url).close()
            os.write(writable, str(next(steps) - 1).encode())
        finally:
            os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as answer:
        said = answer.read()
    _, status = os.waitpid(child, 0)
    return "killed" if os.WIFSIGNALED(status) else said or "failed"


for line in sys.stdin:
    asked, step = line.split()
    print(fate(asked, int(step)), flush=True)
