"""Annotated CSV as a 2.x server writes it, whole and broken; the encoder is the stand-in server's."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterator, Sequence
from datetime import datetime

import numpy as np
import pytest
from annotated_server import JSON_ERROR, LOGIN_PAGE, Cell, Table, encode, encode_error, readings
from hypothesis import given, settings
from hypothesis import strategies as st

from warning.errors import SourceError
from warning.sources.annotated_csv import ANNOTATIONS, read_blocks
from warning.sources.blocks import Block

WHERE = "http://influx:8086, bucket 'readings'"
ALL_ANNOTATIONS = ("datatype", "group", "default")
DAY_NS = 86_400_000_000_000
NEW_YEAR_NS = 1_577_836_800_000_000_000  # 2020-01-01T00:00:00Z
LEVELS = readings("oroville", "level", [("2020-01-01T00:00:00Z", 271.5), ("2020-01-02T00:00:00Z", 271.25)])
RAIN = readings("shasta", "rain", [("2020-01-01T00:00:00Z", 3)], kind="long")
YEARS = (datetime(1700, 1, 1), datetime(2250, 1, 1))  # noqa: DTZ001 - as numpy, without a zone

Series = dict[tuple[str, str], list[tuple[int, float]]]


def body(*tables: Table, annotations: Sequence[str] = ANNOTATIONS) -> bytes:
    return b"".join(encode(tables, annotations))


def read(content: bytes, *, pieces: int = 1, tag: str = "dam") -> Series:
    """Read a body that comes in equal pieces; blocks of one series are joined."""
    step = -(-len(content) // pieces) or 1
    chunks = (content[i : i + step] for i in range(0, len(content), step))
    return joined(read_blocks(chunks, tag, WHERE))


def joined(blocks: Iterator[Block]) -> Series:
    series: Series = {}
    for block in blocks:
        rows = series.setdefault((block.dam, block.field), [])
        rows += zip(block.times_ns.tolist(), block.values.tolist(), strict=True)
    return series


def refusal(content: bytes) -> str:
    """Return why a body is refused, however it is cut into pieces."""
    texts = set()
    for pieces in (1, 7, len(content)):
        with pytest.raises(SourceError) as caught:
            read(content, pieces=pieces)
        texts.add(str(caught.value))
    assert len(texts) == 1
    text = texts.pop()
    assert text.startswith(WHERE)
    return text


@pytest.mark.parametrize("annotations", [ANNOTATIONS, ALL_ANNOTATIONS, ("datatype",)])
def test_a_whole_answer_is_read_whatever_annotations_stand_in_it(annotations: Sequence[str]) -> None:
    assert read(body(LEVELS, RAIN, annotations=annotations)) == {
        ("oroville", "level"): [(NEW_YEAR_NS, 271.5), (NEW_YEAR_NS + DAY_NS, 271.25)],
        ("shasta", "rain"): [(NEW_YEAR_NS, 3.0)],
    }


def test_the_answer_may_be_cut_into_pieces_anywhere() -> None:
    content = body(LEVELS, RAIN, readings('a, "b"\nc', "level", [("2020-01-01T00:00:00Z", 1.0)]))
    whole = read(content)
    assert ('a, "b"\nc', "level") in whole
    for pieces in range(2, len(content) + 1):
        assert read(content, pieces=pieces) == whole


def test_an_answer_without_rows_is_one_empty_line() -> None:
    assert body() == b"\r\n"
    assert read(b"\r\n") == {}


def test_lines_may_end_without_a_carriage_return() -> None:
    assert read(body(LEVELS, RAIN).replace(b"\r\n", b"\n")) == read(body(LEVELS, RAIN))


def test_an_empty_table_between_others_changes_nothing() -> None:
    empty = readings("empty", "level", [])
    assert read(body(empty, LEVELS, empty, empty, RAIN, empty)) == read(body(LEVELS, RAIN))


def test_a_field_that_changed_from_integer_to_float_is_one_series() -> None:
    before = readings("oroville", "level", [("2019-12-31T00:00:00Z", 271)], kind="long")
    unsigned = readings("oroville", "level", [("2019-12-30T00:00:00Z", 270)], kind="unsignedLong")
    series = read(body(unsigned, before, LEVELS))
    assert [value for _, value in series["oroville", "level"]] == [270.0, 271.0, 271.5, 271.25]


def test_columns_and_tables_may_come_in_any_order() -> None:
    columns = (("dam", "string", True), ("_value", "double", False), ("host", "string", False))
    columns += (("_field", "string", True), ("_time", "dateTime:RFC3339", False))
    rows = [("oroville", 271.5, "a,b", "level", "2020-01-01T00:00:00Z")]
    assert read(body(RAIN, Table(columns, rows), LEVELS))["oroville", "level"][0] == (NEW_YEAR_NS, 271.5)


def test_rows_of_one_table_that_differ_in_dam_or_field_are_kept_apart() -> None:
    rows = [("2020-01-01T00:00:00Z", 1.0, "level", "a"), ("2020-01-01T00:00:00Z", 2.0, "level", "b")]
    rows += [("2020-01-01T00:00:00Z", 3.0, "leveL", "b"), ("2020-01-01T00:00:00Z", 4.0, "level", "a")]
    assert read(body(Table(LEVELS.columns, rows))) == {
        ("a", "level"): [(NEW_YEAR_NS, 1.0), (NEW_YEAR_NS, 4.0)],
        ("b", "level"): [(NEW_YEAR_NS, 2.0)],
        ("b", "leveL"): [(NEW_YEAR_NS, 3.0)],
    }


def test_rows_without_the_dams_tag_name_no_dam() -> None:
    assert list(read(body(LEVELS), tag="station")) == [("", "level")]


def test_a_null_is_missing_and_never_zero() -> None:
    series = read(body(readings("oroville", "level", [("2020-01-01T00:00:00Z", None)])))
    assert math.isnan(series["oroville", "level"][0][1])


@pytest.mark.parametrize(
    ("written", "nanoseconds"),
    [
        ("2020-01-01T00:00:00Z", 0),
        ("2020-01-01T00:00:00.5Z", 500_000_000),
        ("2020-01-01T00:00:00.000001Z", 1_000),
        ("2020-01-01T00:00:00.123456789Z", 123_456_789),
        ("2020-02-29T23:59:59.999999999Z", 60 * DAY_NS - 1),
        ("1970-01-01T00:00:00Z", -NEW_YEAR_NS),
        ("1969-12-31T23:59:59.9Z", -NEW_YEAR_NS - 100_000_000),
    ],
)
def test_times_are_read_to_the_nanosecond(written: str, nanoseconds: int) -> None:
    rows = [("2020-01-01T00:00:00Z", 1.0), (written, 2.0)]
    series = read(body(readings("oroville", "level", rows)))
    assert series["oroville", "level"][1][0] == NEW_YEAR_NS + nanoseconds


@given(st.lists(st.datetimes(*YEARS), min_size=1))
def test_any_time_is_read_as_numpy_reads_it(times: list[datetime]) -> None:
    rows = [(f"{time.isoformat()}Z", 1.0) for time in times]
    series = read(body(readings("oroville", "level", rows)))
    expected = np.array(times, dtype="datetime64[ns]").astype(np.int64).tolist()
    assert [time for time, _ in series["oroville", "level"]] == expected


@given(st.lists(st.one_of(st.floats(allow_nan=False), st.integers(-(2**63), 2**63 - 1)), min_size=1))
def test_any_number_is_read_to_the_last_bit(values: list[float]) -> None:
    rows: list[tuple[str, Cell]] = [("2020-01-01T00:00:00Z", value) for value in values]
    series = read(body(readings("oroville", "level", rows)))
    assert [value for _, value in series["oroville", "level"]] == [float(value) for value in values]


@given(st.text(), st.text())
def test_any_name_comes_back_as_it_is_stored(dam: str, field: str) -> None:
    """But for carriage returns, which the server's own CSV writer drops within quotes."""
    dam, field = dam.replace("\r", ""), field.replace("\r", "")
    other = readings("z", "level", [("2020-01-01T00:00:00Z", 2.0)])
    series = read(body(readings(dam, field, [("2020-01-01T00:00:00Z", 1.0)]), other))
    assert series.pop(("z", "level"))[-1] == (NEW_YEAR_NS, 2.0)
    assert list(series) in ([(dam, field)], [])


def test_an_error_table_in_mid_stream_is_told_with_the_servers_words() -> None:
    whole = body(LEVELS, RAIN).removesuffix(b"\r\n")
    error = encode_error('unexpected EOF, while reading "x.tsm"', ANNOTATIONS, written=True)
    assert error == (
        b"\r\n#datatype,string,string\r\n#default,,\r\n,error,reference\r\n"
        b',"unexpected EOF, while reading ""x.tsm""",\r\n'
    )
    text = refusal(whole + error)
    assert "gave up after 3 rows" in text
    assert 'unexpected EOF, while reading "x.tsm"' in text


def test_an_error_table_alone_is_told() -> None:
    error = encode_error("query memory limit exceeded", ALL_ANNOTATIONS, written=False)
    assert "gave up after 0 rows" in refusal(error)
    assert "query memory limit exceeded" in refusal(error)


def test_a_schema_collision_is_told_with_its_remedy() -> None:
    error = encode_error("schema collision: cannot group float and integer types", ANNOTATIONS, written=True)
    assert "a field is stored with two types" in refusal(body(LEVELS).removesuffix(b"\r\n") + error)


def test_an_answer_cut_at_any_byte_is_refused() -> None:
    content = body(LEVELS, readings("oroville", "rain", [("2020-01-01T00:00:00Z", 1.0)]))
    for length in range(len(content)):
        with pytest.raises(SourceError, match="the answer ended"):
            read(content[:length])


def test_a_cut_between_two_rows_says_how_a_whole_answer_ends() -> None:
    text = refusal(body(LEVELS, RAIN).removesuffix(b"\r\n"))
    assert "ended without the empty line that ends a whole one, after 3 rows" in text
    assert "nothing of this answer is used" in text


def test_a_web_page_is_told_by_its_title() -> None:
    assert "found a web page ('Sign in'), expected annotated CSV" in refusal(LOGIN_PAGE)


def test_an_error_in_json_is_told_with_its_message() -> None:
    assert 'could not find bucket "x"' in refusal(JSON_ERROR)
    assert "'{\"code\": 1'" in refusal(b'{"code": 1')


def test_other_text_is_told() -> None:
    assert "found the line 'Welcome' after 0 rows, expected annotated CSV" in refusal(b"Welcome\r\n")


def test_readings_that_became_text_are_told_with_dam_and_field() -> None:
    text = refusal(
        body(LEVELS, readings("shasta", "level", [("2020-01-01T00:00:00Z", "n/a")], kind="string"))
    )
    assert "field 'level' of dam 'shasta' holds string values ('n/a' at 2020-01-01T00:00:00Z)" in text
    assert "expected numbers" in text


def test_a_yes_or_no_is_no_reading() -> None:
    text = refusal(body(readings("shasta", "gate", [("2020-01-01T00:00:00Z", True)], kind="boolean")))
    assert "field 'gate' of dam 'shasta' holds boolean values ('true'" in text


def test_wrong_columns_are_told_with_those_expected() -> None:
    columns = (("_time", "dateTime:RFC3339", False), ("level", "double", False))
    text = refusal(body(Table(columns, [("2020-01-01T00:00:00Z", 1.0)])))
    assert "columns result (string), table (long), _time (dateTime:RFC3339), level (double)" in text
    assert "expected _time (dateTime:RFC3339), _value, _field and dam" in text


def test_an_answer_without_annotations_is_told() -> None:
    text = refusal(body(LEVELS, annotations=()))
    assert "found the line ',result,table,_time,_value,_field,dam' before any #datatype" in text


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [
        (b"271.25", b"27x.25", "found '27x.25' in field 'level' of dam 'oroville', expected a number"),
        (b"271.25", b"271.2.5", "found '271.2.5' in field 'level' of dam 'oroville', expected a number"),
        (b"271.25", b"-", "found '-' in field 'level' of dam 'oroville', expected a number"),
        (
            b"01-02T",
            b"13-02T",
            "found '2020-13-02T00:00:00Z' in field 'level' of dam 'oroville', expected a time",
        ),
        (b"-02T00:00:00Z", b"-02 00:00:00Z", "expected a time in UTC"),
        (b"-02T00:00:00Z", b"-02T00:00:00+01:00", "expected a time in UTC"),
        (b"-02T00:00:00Z", b"-02T00:00:00.Z", "expected a time in UTC"),
        (b"-02T00:00:00Z", b"-02T00:00:00.1x3Z", "expected a time in UTC"),
        (b"-02T00:00:00Z", b"-02T00:00:00.1234567890Z", "expected a time in UTC"),
        (b"2020-01-02T00:00:00Z", b"", "found '' in field 'level' of dam 'oroville', expected a time in UTC"),
        (
            b"271.25,",
            b"",
            "found 6 cells in the line ',,0,2020-01-02T00:00:00Z,level,oroville', expected the 7",
        ),
        (b"oroville\r\n\r\n", b"oroville,x\r\n\r\n", "found 8 cells in the line"),
    ],
)
def test_a_damaged_row_is_told(good: bytes, bad: bytes, expected: str) -> None:
    content = body(LEVELS)
    assert good in content
    assert expected in refusal(content.replace(good, bad))


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    with pytest.raises(SourceError, match="a line of more than 16 MiB"):
        list(read_blocks((b"x" * (1 << 20) for _ in range(1 << 20)), "dam", WHERE))


def test_memory_does_not_grow_with_the_answer() -> None:
    head, row = body(LEVELS).split(b",,0,", 1)[0], b",,0,2020-01-01T00:00:00Z,271.5,level,oroville\r\n"
    chunks = (piece for piece in [head, *[row * 1000] * 300, b"\r\n"])
    tracemalloc.start()
    rows = sum(block.values.size for block in read_blocks(chunks, "dam", WHERE))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows == 300_000
    assert peak < 14_000_000  # the text alone has 13.8 MB; one stretch and its columns have about 6


@settings(max_examples=30)
@given(st.data())
def test_many_tables_read_as_they_were_stored(data: st.DataObject) -> None:
    """Schemas, types, empty tables and quoted names mixed, cut into pieces anywhere."""
    kinds = st.sampled_from(["double", "long", "unsignedLong"])
    names = st.sampled_from(["a", "b", "dam, with comma", 'dam "quoted"', "damm", "d" * 40])
    tables, expected = [], Series()
    for _ in range(data.draw(st.integers(0, 12))):
        kind, dam, size = data.draw(kinds), data.draw(names), data.draw(st.integers(0, 4))
        values = [float(i) / 8 if kind == "double" else i for i in range(size)]
        rows = [(f"2020-01-{i + 1:02d}T00:00:00Z", value) for i, value in enumerate(values)]
        tables.append(readings(dam, "level", rows, kind=kind))
        for i, value in enumerate(values):
            expected.setdefault((dam, "level"), []).append((NEW_YEAR_NS + i * DAY_NS, float(value)))
    content = body(*tables)
    assert read(content, pieces=data.draw(st.integers(1, len(content)))) == expected
