"""Logs for journald: one line an event, `key=value`, few of them."""

from __future__ import annotations

import logging
import sys

_QUIET = ("apscheduler", "alembic", "apprise", "matplotlib", "sqlalchemy")


class KeyValueFormatter(logging.Formatter):
    """`level=info part=cycle event="…"`; journald adds the time, a terminal does not need it."""

    def format(self, record: logging.LogRecord) -> str:
        part = record.name.removeprefix("warning.")
        line = f"level={record.levelname.lower()} part={part} {record.getMessage()}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def configure_logs(level: int = logging.INFO) -> None:
    """Send the program's log to stderr; libraries speak from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(KeyValueFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    # Apprise logs target addresses at INFO and whole URLs at DEBUG
    logging.getLogger("apprise").setLevel(logging.ERROR)


def pairs(event: str, **values: object) -> str:
    """Return `event=… key=value …`, quoting what holds spaces, for one log line."""
    words = [f"event={event}"]
    for key, value in values.items():
        text = str(value)
        words.append(f'{key}="{text}"' if (not text or any(c in text for c in ' "=')) else f"{key}={text}")
    return " ".join(words)
