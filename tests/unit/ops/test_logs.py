"""What a log line looks like, what cannot be forged in it, and what never stands in it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from warning.events import pairs
from warning.ops.logs import JsonFormatter, Prioritised, TextFormatter, masked


def record(
    message: object, level: int = logging.INFO, error: BaseException | None = None
) -> logging.LogRecord:
    info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("warning.cycle", level, __file__, 1, message, None, info)


def raised(message: str) -> Exception:
    try:
        raise ValueError(message)
    except ValueError as error:
        return error


def test_an_event_reads_as_pairs_and_carries_its_fields() -> None:
    event = pairs("cycle", id=7, dams="two dams")
    assert event == 'event=cycle id=7 dams="two dams"'
    assert event.fields == {"id": 7, "dams": "two dams"}
    assert TextFormatter().format(record(event)) == f"level=info part=cycle {event}"


@pytest.mark.parametrize("separator", ["\n", "\r", "\x0b", "\x0c", "\x1b", "\x85", "\u2028", "\u2029", "\0"])
@pytest.mark.parametrize("make", [lambda text: pairs("read", error=text), str], ids=["event", "library"])
def test_a_value_cannot_forge_a_line(make: Callable[[str], str], separator: str) -> None:
    line = TextFormatter().format(record(make(f'x"{separator}level=critical part=cycle event=forged')))
    assert len(line.splitlines()) == 1
    assert separator not in line


def test_a_value_cannot_forge_a_pair() -> None:
    assert pairs("read", error='a" level=error b="').count(" level=error") == 1
    assert 'error="a\\" level=error b=\\""' in pairs("read", error='a" level=error b="')


def test_lines_of_an_exception_are_indented_so_that_none_passes_for_a_line_of_the_log() -> None:
    error = raised("first\nlevel=critical part=cycle event=forged")
    head, *trace = TextFormatter().format(record(pairs("trouble"), error=error)).splitlines()
    assert head.startswith("level=info")
    assert trace
    assert all(line.startswith("  ") for line in trace)


def test_json_is_one_object_a_line_with_the_exception_in_one_string() -> None:
    error = raised("first\nsecond")
    text = JsonFormatter().format(record(pairs("trouble", dam="a", share=0.5, day=None), error=error))
    line = json.loads(text)
    assert "\n" not in text
    assert (line["level"], line["part"], line["event"]) == ("info", "cycle", "trouble")
    assert line["fields"] == {"dam": "a", "share": 0.5, "day": None}
    assert line["exception"].endswith("ValueError: first\nsecond")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Path("/x"), ("a", 1)])
def test_json_stays_json_whatever_a_value_is(value: object) -> None:
    assert json.loads(JsonFormatter().format(record(pairs("e", value=value))))["fields"] == {
        "value": str(value)
    }


def test_what_a_library_says_is_an_event_too() -> None:
    line = json.loads(JsonFormatter().format(record("plain words")))
    assert (line["event"], line["fields"]) == ("message", {"text": "plain words"})


@pytest.mark.parametrize(
    ("level", "number"), [(logging.DEBUG, 7), (logging.INFO, 6), (logging.WARNING, 4), (logging.ERROR, 3)]
)
def test_for_journald_every_line_says_its_priority(level: int, number: int) -> None:
    lines = Prioritised(TextFormatter()).format(record(pairs("x"), level, raised("two\nlines"))).splitlines()
    assert len(lines) > 2
    assert all(line.startswith(f"<{number}>") for line in lines)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("mailtos://user:pa55word@mail.example.org?to=warden@example.org", "pa55word"),
        ("cannot reach https://me:pa55word@influx.example.org:8086/query", "pa55word"),
        ("GET https://hc-ping.com/6f1c9a1e-4c11-4c5c-9d65-0a5b failed", "6f1c9a1e"),
        ("postgresql+psycopg://dam:pa55word@db/record", "pa55word"),
        ("refused: <warden.of-the+dam@example.org>: 550", "warden"),
        ("to root@localhost", "root@localhost"),
        ("SMS to +49 170 1234567 failed", "1234567"),
        ("SMS to +491701234567, failed", "1701234567"),
        ("SMS to 0049 170 1234567", "1234567"),
        ("Authorization: Token abcDEF123456==", "abcDEF"),
        ("{'Authorization': 'Bearer abcDEF123456'}", "abcDEF"),
        ('"POST /query?u=dam&p=pa55word&db=x HTTP/1.1" 200', "pa55word"),
        ("password=pa55word", "pa55word"),
        ("token: 'pa55word'", "pa55word"),
    ],
)
def test_addresses_numbers_and_secrets_are_masked(text: str, secret: str) -> None:
    assert secret not in masked(text)
    assert "…" in masked(text)


@pytest.mark.parametrize(
    "text",
    [
        "next_cycle=2026-11-22T06:00:00+00:00",
        "started 2026-11-22 06:00:00+05:30, 12345678 rows, digest 0012ab34cd",
        "level 123.456 m, storage 0.00123456789, seconds=+3600",
        'File "/opt/dam-warning/warning/cycle.py", line 12, in judge',
        "http://127.0.0.1:8086/…",
        "alert=12 recipient=warden channel=mail",
    ],
)
def test_what_is_no_address_stays(text: str) -> None:
    assert masked(text) == text


def program(*lines: str, **environment: str) -> str:
    """Run a program that logs, and return its stderr."""
    code = "\n".join(
        ["import logging, threading", "from warning.ops.logs import configure_logs, pairs", *lines]
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    return done.stderr


def test_what_nothing_catches_is_logged_masked_from_any_thread() -> None:
    stderr = program(
        "configure_logs()",
        "def fail(): raise RuntimeError('warden@example.org')",
        "thread = threading.Thread(target=fail, name='outbox'); thread.start(); thread.join()",
        "fail()",
    )
    assert "event=thread-died thread=outbox" in stderr
    assert "event=died" in stderr
    assert "RuntimeError: …" in stderr
    assert "warden" not in stderr.replace("raise RuntimeError('warden@example.org')", "")


def test_a_line_that_cannot_be_made_is_told_without_its_values() -> None:
    stderr = program("configure_logs()", "logging.getLogger('x').warning('%d', 'warden-of-the-dam')")
    assert stderr == "level=error part=ops.logs event=unwritable from=x error=TypeError\n"


@pytest.mark.parametrize(("journald", "head"), [(True, "<6>level=info"), (False, "level=info")])
def test_the_priority_is_said_to_journald_alone(journald: bool, head: str) -> None:
    say = "import os, sys; s = os.fstat(2)"
    stream = 'f"{s.st_dev}:{s.st_ino}"' if journald else '"8:1"'
    stderr = program(
        say, f"configure_logs(environment={{'JOURNAL_STREAM': {stream}}})", "logging.info(pairs('x'))"
    )
    assert stderr.startswith(head)
