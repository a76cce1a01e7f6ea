"""The child that speaks with an InfluxDB server: reads a fleet or writes points for the daemon, and ends.

`python -m warning.sources.influx_worker ANSWER` takes the question from stdin, as `influx_child` puts it,
and leaves the answer in the open file whose number is ANSWER. Only here, beside a few commands, is the
client of the server imported; complaints go to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from typing import IO, Any

from warning.child import die_with_parent
from warning.clock import monotonic_s
from warning.errors import EXIT_USAGE, SourceError
from warning.sources.influx import InfluxSource
from warning.sources.influx_dialect import dialect_of
from warning.sources.influx_exchange import (
    Arrays,
    pack_outlooks,
    pack_readings,
    unpack_settings,
    write_answer,
)
from warning.sources.influx_outlooks import InfluxOutlooks
from warning.sources.influx_settings import InfluxSettings
from warning.sources.influx_transport import InfluxTransport
from warning.sources.influx_writing import write_lines


def main(arguments: Sequence[str], questions: IO[bytes]) -> int:
    """Answer the question; return the exit status, which is 0 also where the answer is an error."""
    if len(arguments) != 1:
        print("usage: python -m warning.sources.influx_worker ANSWER", file=sys.stderr)
        return EXIT_USAGE
    with os.fdopen(int(arguments[0]), "wb") as out:
        question = json.loads(questions.readline())
        settings = unpack_settings(question["settings"])
        plain: Mapping[str, Any]
        try:
            if question["do"] == "write":
                plain, arrays = _write(settings, questions)
            else:
                plain, arrays = _read(settings, question)
        except SourceError as error:
            plain, arrays = {"error": str(error)}, {}
        write_answer(out, plain, arrays)
    return 0


def _read(settings: InfluxSettings, question: Mapping[str, Any]) -> tuple[Mapping[str, Any], Arrays]:
    if question["do"] == "outlooks":
        known_on = date.fromisoformat(question["last_day"])
        return pack_outlooks(InfluxOutlooks(settings).read(question["ids"], known_on))
    last_day, first_day = _day(question["last_day"]), _day(question["first_day"])
    return pack_readings(InfluxSource(settings).read(question["ids"], last_day, first_day))


def _write(settings: InfluxSettings, questions: IO[bytes]) -> tuple[Mapping[str, Any], Arrays]:
    ends_at = monotonic_s() + settings.deadline_s
    with InfluxTransport(settings) as transport:
        flux = dialect_of(transport).flux
        lines = (json.loads(line) for line in questions if line.strip())
        return {"written": write_lines(transport, lines, flux=flux, ends_at=ends_at)}, {}


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


if __name__ == "__main__":
    die_with_parent()
    sys.exit(main(sys.argv[1:], sys.stdin.buffer))
