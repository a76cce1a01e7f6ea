"""Speaks with an InfluxDB server through a short-lived child, so that the client never enters the daemon.

What the client leaks, or where it hangs or crashes, costs one reading and not the watch. Settings and
questions go to the child's stdin, so no secret stands on a command line; it inherits none in its
environment either. Its answer comes back in memory that no disk has to have room for.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final

from warning import child
from warning.domain.ahead import FleetOutlooks
from warning.domain.readings import FleetReadings
from warning.errors import SourceError
from warning.sources.influx_exchange import (
    Arrays,
    pack_settings,
    read_answer,
    unpack_outlooks,
    unpack_readings,
    written,
)
from warning.sources.influx_failures import shown_address
from warning.sources.influx_settings import InfluxSettings

BESIDE_S: Final = 60.0  # beside the source's own deadline: to start, and to hand over, on a busy machine
COMMAND: Final = (sys.executable, "-P", "-m", "warning.sources.influx_worker")
_LINES_AT_ONCE: Final = 1000
# Everything else may hold secrets that the configuration refers to by "env:NAME".
_INHERITED: Final = frozenset(
    (
        "PATH",
        "HOME",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TZDIR",
        "TMPDIR",
        "LD_LIBRARY_PATH",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    )
)
_INHERITED_BEGIN: Final = ("LC_", "PYTHON")


class InfluxInChild:
    """Reads the dams that the settings map to a server's series, in a child for each reading."""

    def __init__(self, settings: InfluxSettings) -> None:
        self.settings = settings

    def read(
        self, reservoir_ids: Sequence[str], last_day: date | None = None, first_day: date | None = None
    ) -> FleetReadings:
        """Read as `InfluxSource` does; raises SourceError also where the child does not answer whole."""
        question = {
            "ids": list(reservoir_ids),
            "last_day": None if last_day is None else last_day.isoformat(),
            "first_day": None if first_day is None else first_day.isoformat(),
        }
        plain, arrays = _ask(self.settings, "read", question, reservoir_ids)
        return unpack_readings(plain, arrays, reservoir_ids)


class OutlooksInChild:
    """Reads the outlooks that the settings map to a measurement, in a child for each reading."""

    def __init__(self, settings: InfluxSettings) -> None:
        self.settings = settings

    def read(self, reservoir_ids: Sequence[str], last_day: date) -> FleetOutlooks:
        """Read as `InfluxOutlooks` does; raises SourceError also where the child does not answer whole."""
        question = {"ids": list(reservoir_ids), "last_day": last_day.isoformat()}
        return unpack_outlooks(*_ask(self.settings, "outlooks", question, reservoir_ids))


def write_in_child(settings: InfluxSettings, lines: Iterable[str]) -> int:
    """Write points to the server and return how many; raises SourceError unless it has taken all of them."""
    plain, _ = _ask(settings, "write", {}, (), lines)
    return written(plain)


def _ask(
    settings: InfluxSettings,
    what: str,
    question: Mapping[str, Any],
    dams: Iterable[str],
    lines: Iterable[str] = (),
) -> tuple[dict[str, Any], Arrays]:
    """Start the child, hand it the question and the points, and return its answer."""
    settled = {"do": what, "settings": pack_settings(settings, dams), **question}
    try:
        with os.fdopen(os.memfd_create("dam-warning-answer"), "w+b") as answer:
            child.run(
                [*COMMAND, str(answer.fileno())],
                name="influxdb",
                time_limit_s=settings.deadline_s + BESIDE_S,
                environment=_environment(),
                feed=_fed(settled, lines),
                pass_fds=[answer.fileno()],
            )
            answer.seek(0)
            return read_answer(answer)
    except child.ChildError as error:
        raise _failed(settings, what, str(error)) from error
    except OSError as error:
        raise _failed(settings, what, f"has no memory for its answer: {error}") from error


def _fed(question: Mapping[str, Any], lines: Iterable[str]) -> Iterator[bytes]:
    """Yield the question and the points, a line of JSON each: a point's texts may hold line breaks."""
    yield json.dumps(question).encode() + b"\n"
    held: list[str] = []
    for line in lines:
        held.append(json.dumps(line))
        if len(held) == _LINES_AT_ONCE:
            yield "\n".join([*held, ""]).encode()
            held.clear()
    yield "\n".join([*held, ""]).encode()


def _environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name in _INHERITED or name.startswith(_INHERITED_BEGIN)
    }


def _failed(settings: InfluxSettings, what: str, how: str) -> SourceError:
    wrote = what == "write"
    told = "the server may hold some of the points" if wrote else "nothing of what it read is used"
    task = "read the outlooks" if what == "outlooks" else what
    return SourceError(
        f"{shown_address(settings.url)}: the child that was to {task} {how}; {told}. See the log, and look "
        "at this machine's free memory and the server's load"
    )
