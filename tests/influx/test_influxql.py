"""InfluxQL: what is asked, and what becomes of every kind of answer."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warning.domain.variables import Variable
from warning.errors import SourceError
from warning.sources.blocks import Block
from warning.sources.influx_settings import DamMapping, FieldMapping, InfluxSettings
from warning.sources.influx_transport import InfluxTransport
from warning.sources.influxql import Statement, ask, literal, name, read_blocks, select_readings

SETTINGS = InfluxSettings(
    url="http://127.0.0.1:1",
    database="dams",
    measurement="readings",
    dam_tag="dam",
    first_day=date(2020, 1, 1),
    retries=0,
    dams=(
        DamMapping(
            reservoir_id="a",
            tag_value="A",
            time_zone=ZoneInfo("UTC"),
            fields={Variable.LEVEL_M: FieldMapping(field="h")},
        ),
    ),
)


class Pieces(InfluxTransport):
    """A transport whose answer is at hand, cut into pieces as the test wants it."""

    def __init__(self, body: bytes, piece_bytes: int = 1 << 20) -> None:
        super().__init__(SETTINGS)
        self.pieces = [body[i : i + piece_bytes] for i in range(0, len(body), piece_bytes)]

    def stream(self, *_: Any, **__: Any) -> Any:
        return iter(self.pieces)


def chunk(
    dam: str, rows: list[list[Any]], *, partial: bool = False, columns: tuple[str, ...] = ("h",)
) -> bytes:
    series: dict[str, Any] = {"name": "readings", "tags": {"dam": dam}, "columns": ["time", *columns]}
    series["values"] = rows
    result: dict[str, Any] = {"statement_id": 0, "series": [series]}
    if partial:
        series["partial"] = result["partial"] = True
    return json.dumps({"results": [result]}, ensure_ascii=False).encode() + b"\n"


def blocks(body: bytes, piece_bytes: int = 1 << 20, *, empty_body: bool = False) -> list[Block]:
    series = ask(Pieces(body, piece_bytes), SETTINGS, Statement("x"), empty_body=empty_body)
    return list(read_blocks(series, "dam", "here"))


def refused(body: bytes) -> str:
    with pytest.raises(SourceError) as caught:
        blocks(body)
    return str(caught.value)


WHOLE = chunk("Ä", [[1, 1.5], [2, None]], partial=True) + chunk("Ä", [[3, 4]]) + chunk("B", [[1, -1e-3]])


@pytest.mark.parametrize("piece_bytes", [1, 2, 7, 64, 1 << 20])
def test_an_answer_reads_the_same_however_the_network_cuts_it(piece_bytes):
    first, second, third = blocks(WHOLE, piece_bytes)
    assert [b.dam for b in (first, second, third)] == ["Ä", "Ä", "B"]
    np.testing.assert_array_equal(first.values, [1.5, np.nan])
    np.testing.assert_array_equal(first.times_ns, [1, 2])
    assert second.values.tolist() == [4.0]
    assert third.values.tolist() == [-0.001]


def test_several_fields_come_as_a_block_each_with_null_as_nan():
    level, flow = blocks(chunk("A", [[1, 2.0, None], [2, None, 5]], columns=("h", "q")))
    assert (level.field, flow.field) == ("h", "q")
    np.testing.assert_array_equal(level.values, [2.0, np.nan])
    np.testing.assert_array_equal(flow.values, [np.nan, 5.0])


def test_times_keep_their_last_nanosecond():
    assert blocks(chunk("A", [[1_577_836_800_123_456_789, 1]]))[0].times_ns[0] == 1_577_836_800_123_456_789


def test_the_tag_may_stand_in_a_column_as_influxdb_3_has_it():
    series = {"name": "readings", "columns": ["time", "dam", "h"]}
    series["values"] = [[1, "A", 1.0], [1, "B", 2.0], [2, "A", None], [3, None, 4.0]]
    body = json.dumps({"results": [{"statement_id": 0, "series": [series]}]}).encode() + b"\r\n"
    found = {block.dam: block for block in blocks(body)}
    np.testing.assert_array_equal(found["A"].values, [1.0, np.nan])
    assert found["B"].values.tolist() == [2.0]
    assert found[""].times_ns.tolist() == [3]


def test_an_answer_without_series_is_empty_and_not_a_fault():
    assert blocks(b'{"results":[{"statement_id":0}]}\n') == []


def test_an_answer_without_a_byte_is_a_fault_unless_the_server_says_nothing_for_nothing():
    assert "without even a result" in refused(b"")
    assert blocks(b"", empty_body=True) == []


FAULTS = {
    "an error in a result": (
        WHOLE + b'{"results":[{"statement_id":0,"error":"engine: shard is disabled"}]}\n',
        "the server answered with an error: engine: shard is disabled",
    ),
    "an error instead of results": (
        WHOLE + b'{"error":"timeout"}\n',
        "the server answered with an error: timeout",
    ),
    "an unknown database": (
        b'{"results":[{"statement_id":0,"error":"database not found: dams"}]}\n',
        "Correct database of the source",
    ),
    "an unknown retention policy": (
        b'{"results":[{"statement_id":0,"error":"retention policy not found: old"}]}\n',
        "Correct retention_policy of the source",
    ),
    "a row limit, or a cut between chunks": (WHOLE + chunk("C", [[1, 1]], partial=True), "max-row-limit"),
    "partial in the result alone": (
        b'{"results":[{"statement_id":0,"series":[],"partial":true}]}\n',
        "the server held readings back",
    ),
    "a cut within a chunk": (WHOLE[:-9], "was cut short after 2 whole chunks"),
    "a cut within a number": (WHOLE[:-16], "was cut short after 2 whole chunks"),
    "a web page": (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "is a web page (<!DOCTYPE html>"),
    "another protocol": (b"RTSP/1.0 200 OK\n", "is not what InfluxQL answers"),
    "JSON of another kind": (b"[1, 2]\n", "no JSON object"),
    "the answers of two statements": (
        b'{"results":[{"statement_id":0},{"statement_id":1}]}\n',
        "not the results of one statement",
    ),
    "a series without columns": (b'{"results":[{"series":[{"values":[[1,1]]}]}]}\n', "not what InfluxQL"),
    "a series that is none": (b'{"results":[{"series":["x"]}]}\n', "is not what InfluxQL answers"),
    "a row that is too short": (chunk("A", [[1, 1.0], [2]]), "a row that has not one cell for each"),
    "a row that is none": (chunk("A", [[1, 1.0], 2]), "a row that has not one cell for each"),  # type: ignore[list-item]
    "NaN": (WHOLE + chunk("C", [[1, float("nan")]]), "NaN is no number of JSON"),
    "a string where a number is expected": (chunk("A", [[1, 1.0], [2, "12.5"]]), "'h' of 'A' holds '12.5'"),
    "a truth value where a number is expected": (chunk("A", [[1, True]]), "'h' of 'A' holds True"),
    "a number beyond floats": (chunk("A", [[1, 10**400]]), "a number too large"),
    "a float beyond floats": (chunk("A", [[1, 1]]).replace(b"1]]", b"1e999]]"), "a number too large"),
    "a time in words": (chunk("A", [["2024-01-01T00:00:00Z", 1.0]]), "times that are no whole numbers"),
    "a time beyond nanoseconds": (chunk("A", [[2**63, 1.0]]), "beyond the year 2262"),
    "rows of nobody knows which dam": (
        b'{"results":[{"series":[{"columns":["time","h"],"values":[[1,1.0]]}]}]}\n',
        "does not say which dam",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_an_error_that_says_so_and_never_a_short_series(fault):
    body, words = FAULTS[fault]
    text = refused(body)
    assert words in text
    assert text.startswith(("http://127.0.0.1:1/query: ", "here: "))


def test_a_cut_anywhere_within_the_last_chunk_is_noticed():
    last = WHOLE.rstrip(b"\n").rfind(b"\n") + 1
    for end in range(last + 1, len(WHOLE) - 1):
        assert "cut short" in refused(WHOLE[:end]), WHOLE[:end]


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_no_bytes_whatever_are_anything_but_blocks_or_a_source_error(body):
    try:
        blocks(WHOLE + body)
    except SourceError:
        return
    assert not body.strip()


def test_a_question_needs_a_database():
    with InfluxTransport(SETTINGS) as transport, pytest.raises(SourceError, match="set database"):
        list(ask(transport, _with(database=None), Statement("x")))


def _with(**changes: Any) -> InfluxSettings:
    return replace(SETTINGS, **changes)


def test_values_are_bound_where_the_server_binds_them_and_quoted_where_not():
    tags = ["A", "B'; DROP DATABASE dams --"]
    bound = select_readings(SETTINGS, ["h"], tags, from_ns=-5, until_ns=7, bind=True)
    assert bound.text == (
        'SELECT "h" FROM "readings" WHERE time >= -5 AND time < 7 AND ("dam" = $dam0 OR "dam" = $dam1) '
        'GROUP BY "dam"'
    )
    assert bound.params == {"dam0": tags[0], "dam1": tags[1]}
    quoted = select_readings(_with(retention_policy="old"), ["h", "q"], tags, from_ns=1, bind=False)
    assert quoted.text == (
        'SELECT "h", "q" FROM "old"."readings" WHERE time >= 1 AND '
        '("dam" = \'A\' OR "dam" = \'B\\\'; DROP DATABASE dams --\') GROUP BY "dam"'
    )
    assert quoted.params == {}


def test_a_fleet_of_ten_thousand_is_one_short_question():
    statement = select_readings(SETTINGS, ["h"], [f"dam-{i}" for i in range(10_000)], from_ns=0, bind=True)
    assert len(statement.text) < 200
    assert statement.params == {}


@pytest.mark.parametrize("text", ["", "a\nb", "a\x00b", "\x7f", "a\rb", "\ud800"])
def test_a_name_that_no_quoting_makes_safe_is_refused(text):
    with pytest.raises(SourceError, match="cannot be used in a query"):
        name(text)
    with pytest.raises(SourceError, match="cannot be used in a query"):
        literal(text)
