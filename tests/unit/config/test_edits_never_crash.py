"""Whatever is done to a sound configuration, loading it succeeds or ends in ConfigurationError."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from warning.config.loading import FILES, load_configuration
from warning.config.summary import summary
from warning.errors import ConfigurationError

from .conftest import (
    CSV_SOURCE,
    ENVIRONMENT,
    INFLUXDB_SOURCE,
    PASSWORD,
    RECIPIENTS,
    RESERVOIRS,
    SMS_URL,
    WARNING,
)

SOUND = dict(zip(FILES, (WARNING, RESERVOIRS, RECIPIENTS), strict=True))
SERVER = WARNING.replace(CSV_SOURCE, INFLUXDB_SOURCE)
VALUES = (
    *("nan", "inf", "-1", "0", "1e400", "9223372036854775808", "1" + "0" * 400, "0x" + "f" * 400, "true"),
    *('""', '"\\u0000"', '"a\\nb"', '"a"   ', "1979-05-27T07:32:00Z", "07:32:00", "1979-05-27"),
    *("[]", "[[]]", "{}", "{ a = {} }", "[{}, 1, []]", "[nan]", '[""]'),
    *('"http://["', '"https://a:99999"', '"%"', '"FILL IN"', '["FILL IN"]'),
    *('"file:/dev/zero"', '"file:."', '"file:\\u0000"', '"env:HOME"', '"sqlite:////x"'),
)


def load(texts: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in texts.items():
            (folder / file).write_bytes(content)
        for file, secret in (("mail-password", PASSWORD), ("sms.url", SMS_URL), ("influxdb-token", PASSWORD)):
            (folder / file).write_text(secret)
            (folder / file).chmod(0o600)
        try:
            text = summary(load_configuration(folder, ENVIRONMENT))
        except ConfigurationError as error:
            text = str(error)
        assert text
        assert PASSWORD not in text


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(FILES), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 7)), max_size=4))
def test_flipped_bits_never_crash(file: str, flips: list[tuple[int, int]]) -> None:
    content = bytearray(SOUND[file].encode())
    for place, bit in flips:
        content[place % len(content)] ^= 1 << bit
    load({**{name: text.encode() for name, text in SOUND.items()}, file: bytes(content)})


@settings(max_examples=150, deadline=None)
@given(file=st.sampled_from(FILES), place=st.integers(0, 40), value=st.sampled_from(VALUES))
@example(file="reservoirs.toml", place=3, value="1e400")
def test_any_value_at_any_key_never_crashes(file: str, place: int, value: str) -> None:
    lines = SOUND[file].splitlines()
    keys = [i for i, line in enumerate(lines) if re.match(r"\w+ = ", line)]
    chosen = keys[place % len(keys)]
    lines[chosen] = lines[chosen].partition("=")[0] + "= " + value
    load({**{name: text.encode() for name, text in SOUND.items()}, file: "\n".join(lines).encode()})


@settings(max_examples=100, deadline=None)
@given(file=st.sampled_from(FILES), first=st.integers(0, 60), second=st.integers(0, 60), drop=st.booleans())
def test_lines_moved_or_lost_never_crash(file: str, first: int, second: int, drop: bool) -> None:
    lines = SOUND[file].splitlines()
    line = lines.pop(first % len(lines))
    if not drop:
        lines.insert(second % len(lines), line)
    load({**{name: text.encode() for name, text in SOUND.items()}, file: "\n".join(lines).encode()})


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, 40), value=st.sampled_from(VALUES), drop=st.integers(0, 60))
def test_any_value_at_any_key_of_a_server_never_crashes(place: int, value: str, drop: int) -> None:
    lines = SERVER.splitlines()
    keys = [i for i, line in enumerate(lines) if re.match(r"\w+ = ", line)]
    chosen = keys[place % len(keys)]
    lines[chosen] = lines[chosen].partition("=")[0] + "= " + value
    if drop < len(lines):
        lines.pop(drop)
    texts = {name: text.encode() for name, text in SOUND.items()}
    load({**texts, "warning.toml": "\n".join(lines).encode()})
