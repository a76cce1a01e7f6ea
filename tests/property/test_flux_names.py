"""Any name at all means itself in a Flux query, and nothing but itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from warning.sources.flux import fleet_query, string_literal

START, STOP = datetime(2016, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
AWKWARD = [
    "${x}",
    "$",
    "\\$",
    "\\",
    '"',
    '\\"',
    "$\\",
    "\\x24",
    "${",
    "}",
    "\n",
    "\r",
    "\x00",
    "\x7f",
    "'",
    "`",
    "|>",
]
NAMES = st.lists(st.one_of(st.sampled_from(AWKWARD), st.text(max_size=8))).map("".join)

_PART = re.compile(r'\\x(?P<hex>[0-9a-fA-F]{2})|\\(?P<sign>["\\nrt])|(?P<plain>[^"\\\n\r$]|\$(?!\{))')
_SIGNS = {'"': '"', "\\": "\\", "n": "\n", "r": "\r", "t": "\t"}


def decoded(literal: str) -> str:
    """Read a Flux string literal by the language's specification; fails on what would end or fill it."""
    assert len(literal) >= 2
    assert literal[0] == literal[-1] == '"'
    content, at, meant = literal[1:-1], 0, b""
    while at < len(content):
        part = _PART.match(content, at)
        assert part, f"{content!r} is no string literal from {at} on"
        if part["hex"]:
            meant += bytes([int(part["hex"], 16)])
        else:
            meant += (_SIGNS[part["sign"]] if part["sign"] else part["plain"]).encode()
        at = part.end()
    return meant.decode()


@given(NAMES)
def test_a_name_means_itself_as_a_string_literal(name: str) -> None:
    assert decoded(string_literal(name)) == name


@given(NAMES)
def test_a_string_literal_is_one_line_without_a_dollar(name: str) -> None:
    literal = string_literal(name)
    assert "$" not in literal
    assert not re.search(r"[\x00-\x1f\x7f]", literal)


@settings(max_examples=12, deadline=None)  # each a start of node
@given(st.lists(NAMES, min_size=12, max_size=80))
def test_influxdatas_parser_reads_the_same_names_from_the_query(
    flux_verdicts: Callable[[Sequence[str]], list[Any]], names: list[str]
) -> None:
    places = list(zip(names, names[1:], names[2:], names[3:], strict=False))
    queries = [
        fleet_query(
            bucket=bucket, measurement=kind, fields=[field], dam_tag="dam", dams=[dam], start=START, stop=STOP
        )
        for bucket, kind, field, dam in places
    ]
    for (bucket, kind, field, dam), verdict in zip(places, flux_verdicts(queries), strict=True):
        assert verdict.valid
        filters = ["_measurement", kind, "_field", field, "dam", dam]
        assert verdict.strings == [bucket, *filters, "_time", "_value", "_field", "dam"]
