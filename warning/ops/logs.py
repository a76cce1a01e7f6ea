"""Logs for journald: one line an event, few of them, as `key=value` or as JSON; nobody's address in them."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Literal

from warning.events import Event, quoted
from warning.events import pairs as pairs  # what most of the program logs with stands below every adapter

LogForm = Literal["text", "json"]
LOG_FORMS: Final = ("text", "json")
LOG_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}

log = logging.getLogger(__name__)

_QUIET = ("aiosmtpd", "alembic", "apscheduler", "asyncio", "mail", "matplotlib", "sqlalchemy", "urllib3")
# a job that fails, or that is due while it still runs: the service says so itself, and once
_SAID_BY_US = {"apscheduler.executors": logging.CRITICAL, "apscheduler.scheduler": logging.ERROR}
_HIDDEN = "…"
_NAMED = "(?:token|password|passwd|secret|authorization|api[_-]?key)"
_SCHEMES = "(?:Token|Bearer|Basic)"
_MASKS: Final = (
    # a web address keeps its host; its user, path and query may hold a secret
    (re.compile(r"\b(https?://)(?:[^\s/@\"'<>]*@)?([^\s/?#\"'<>@]+)(?:[/?#][^\s\"'<>]+)?", re.I), r"\1\2/…"),
    # of any other address, such as a channel's or a database's, nothing but its kind stays
    (re.compile(r"\b(?!https?://|file:)([a-z][a-z0-9+.-]*://)[^\s\"'<>]+", re.I), r"\1…"),
    (re.compile(r"[^\s\"'<>@,;:()\[\]{}=\\|]+@[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?", re.I), _HIDDEN),
    (re.compile(r"(?<![\w.+])(?:\+|00)[1-9](?:[ ()/.-]{0,2}\d){7,14}(?![\w:])"), _HIDDEN),
    (re.compile(rf"\b({_SCHEMES}\s+)[A-Za-z0-9+/_=.~-]{{6,}}"), r"\1…"),
    (re.compile(rf"({_NAMED}[\"']?\s*[=:]\s*[\"']?)(?!{_SCHEMES} )[^\s\"'&,;]+", re.I), r"\1…"),
    (re.compile(r"([?&][up]=)[^\s\"'&]+"), r"\1…"),
)  # fmt: skip
# syslog's, as sd-daemon(3) has them at the head of a line
_PRIORITIES: Final = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


def masked(text: str) -> str:
    """Return `text` without what looks like a mail address, phone number, login, token or a URL's secrets."""
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return text


class TextFormatter(logging.Formatter):
    """`level=info part=cycle event=… key=value`; journald adds the time, a terminal does not need it.

    Lines of a traceback are indented, so that none of them can pass for a line of its own.
    """

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        said = message if isinstance(record.msg, Event) else f"message={quoted(message)}"
        line = masked(f"level={record.levelname.lower()} part={_part(record)} {said}")
        trace = _trace(self, record)
        return "\n  ".join([line, *trace.splitlines()]) if trace else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, part, event, fields, and where there is one the exception."""

    def format(self, record: logging.LogRecord) -> str:
        said = (
            record.msg
            if isinstance(record.msg, Event)
            else Event.of("message", {"text": record.getMessage()})
        )
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "part": _part(record),
            "event": masked(said.name),
            "fields": {key: _plain(value) for key, value in said.fields.items()},
        }
        if trace := _trace(self, record):
            line["exception"] = trace
        return json.dumps(line, allow_nan=False)


class Prioritised(logging.Formatter):
    """Another formatter's lines, each with the priority that journald takes from its head."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        number = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
        return "\n".join(f"<{number}>{line}" for line in self._inner.format(record).split("\n"))


class _Stderr(logging.StreamHandler[Any]):
    """Writes to stderr; what cannot be logged is said without its values, which may hold an address."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 — logging's own name
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            return  # nobody reads the log any more
        kind = type(error).__name__
        print(f"level=error part=ops.logs event=unwritable from={record.name} error={kind}", file=sys.stderr)


def configure_logs(
    level: int = logging.INFO, form: LogForm = "text", environment: Mapping[str, str] = os.environ
) -> None:
    """Send the program's log to stderr; libraries speak from WARNING on, or all of them at DEBUG.

    What nothing catches goes into the log as well, from the main thread and from others.
    """
    formatter = JsonFormatter() if form == "json" else TextFormatter()
    handler = _Stderr(sys.stderr)
    handler.setFormatter(Prioritised(formatter) if _is_journald(environment) else formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(level if level <= logging.DEBUG else logging.WARNING)
    for name, quiet in _SAID_BY_US.items():
        logging.getLogger(name).setLevel(level if level <= logging.DEBUG else quiet)
    # Apprise logs target addresses at INFO and whole URLs at DEBUG
    apprise = logging.getLogger("apprise")
    apprise.setLevel(logging.ERROR)
    apprise.propagate = False
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _part(record: logging.LogRecord) -> str:
    return record.name.removeprefix("warning.")


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = [formatter.formatException(record.exc_info)] if record.exc_info else []
    if record.stack_info:
        parts.append(record.stack_info)
    return masked("\n".join(parts))


def _plain(value: object) -> object:
    """Return what JSON can hold as it is; anything else as masked text."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return masked(str(value))


def _is_journald(environment: Mapping[str, str]) -> bool:
    """Say whether stderr is the very stream that systemd connected to its journal."""
    try:
        stream = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{stream.st_dev}:{stream.st_ino}"


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    log.critical(pairs("died", error=kind.__name__), exc_info=(kind, error, trace))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit:
        return
    error = args.exc_value or args.exc_type()
    name = args.thread.name if args.thread else "unknown"
    log.error(
        pairs("thread-died", thread=name, error=args.exc_type.__name__),
        exc_info=(args.exc_type, error, args.exc_traceback),
    )
