"""The Flux of one fleet's reading, and the answer's way from a stand-in server, whole and broken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from annotated_server import Fault, StandIn, readings

from warning.domain.variables import Variable
from warning.errors import SourceError
from warning.sources.annotated_csv import read_blocks
from warning.sources.blocks import Block
from warning.sources.flux import QUERY_PATH, fleet_query, query_body, string_literal, time_literal
from warning.sources.influx_settings import DamMapping, FieldMapping, InfluxSettings
from warning.sources.influx_transport import InfluxTransport

START, STOP = datetime(2016, 1, 1, tzinfo=UTC), datetime(2025, 12, 31, 12, 30, tzinfo=UTC)
TABLES = [
    readings(dam, field, [(f"2020-01-{day:02d}T12:00:00Z", day + 0.25) for day in range(1, 31)])
    for dam in ("oroville", "Sardar, Sarovar")
    for field in ("level", "rain")
]


def query(dams: Sequence[str] = ("oroville", "shasta"), fields: Sequence[str] = ("level", "rain")) -> str:
    return fleet_query(
        bucket="readings", measurement="dams", fields=fields, dam_tag="dam", dams=dams, start=START, stop=STOP
    )


def settings(url: str) -> InfluxSettings:
    dam = DamMapping(
        reservoir_id="oroville",
        tag_value="oroville",
        time_zone=ZoneInfo("America/Los_Angeles"),
        fields={Variable.LEVEL_M: FieldMapping(field="level")},
    )
    return InfluxSettings(
        url=url,
        token="secret",
        org="valley",
        bucket="readings",
        measurement="dams",
        dam_tag="dam",
        dams=(dam,),
        read_timeout_s=5.0,
        deadline_s=10.0,
        retries=0,
        first_day=date(2016, 1, 1),
    )


def read(server: StandIn) -> list[Block]:
    with InfluxTransport(settings(server.url)) as transport:
        chunks = transport.stream("POST", QUERY_PATH, query={"org": "valley"}, body=query_body(query()))
        return list(read_blocks(chunks, "dam", transport.where))


def test_a_fleet_is_asked_for_in_one_query() -> None:
    assert query() == (
        'from(bucket: "readings")\n'
        "    |> range(start: 2016-01-01T00:00:00Z, stop: 2025-12-31T12:30:00Z)\n"
        '    |> filter(fn: (r) => r["_measurement"] == "dams")\n'
        '    |> filter(fn: (r) => r["_field"] == "level" or r["_field"] == "rain")\n'
        '    |> filter(fn: (r) => r["dam"] == "oroville" or r["dam"] == "shasta")\n'
        '    |> keep(columns: ["_time", "_value", "_field", "dam"])\n'
    )


def test_a_large_fleet_is_not_named_dam_by_dam() -> None:
    assert 'r["dam"]' in query([f"dam-{i}" for i in range(100)])
    assert 'r["dam"]' not in query([f"dam-{i}" for i in range(101)])


def test_a_query_for_nothing_is_refused() -> None:
    for dams, fields in (([], ["level"]), (["oroville"], [])):
        with pytest.raises(ValueError, match="at least one field and one dam"):
            query(dams, fields)


def test_names_cannot_leave_their_quotes() -> None:
    assert string_literal('a" |> drop() //') == '"a\\" |> drop() //"'
    assert string_literal("${secret}") == '"\\x24{secret}"'
    assert string_literal("\\") == '"\\\\"'
    assert string_literal("a\nb\x00") == '"a\\x0ab\\x00"'
    with pytest.raises(ValueError, match="not Unicode"):
        string_literal("\ud800")


def test_times_are_asked_for_in_utc() -> None:
    india = timezone(timedelta(hours=5, minutes=30))
    assert time_literal(datetime(2020, 1, 1, 5, 30, 0, 250000, tzinfo=india)) == "2020-01-01T00:00:00.250000Z"
    with pytest.raises(ValueError, match="no time zone"):
        time_literal(datetime(2020, 1, 1))  # noqa: DTZ001 - that is the point


def test_influxdatas_parser_accepts_the_queries(
    flux_verdicts: Callable[[Sequence[str]], list[Any]],
) -> None:
    large = [f"dam-{i}" for i in range(10_000)]
    odd = ['q"uote', "${x}", "back\\slash", "$", "täg", "日本", "a\tb", ""]
    verdicts = flux_verdicts([query(), query(large), query(odd, odd), query() + "|> broken("])
    assert [verdict.valid for verdict in verdicts] == [True, True, True, False]


def test_a_fleet_is_read_through_the_transport() -> None:
    with StandIn(TABLES) as server:
        blocks = read(server)
    assert [(block.dam, block.field, block.values.size) for block in blocks] == [
        ("oroville", "level", 30),
        ("oroville", "rain", 30),
        ("Sardar, Sarovar", "level", 30),
        ("Sardar, Sarovar", "rain", 30),
    ]
    assert server.asked == [query_body(query())]


def test_a_fleet_without_readings_is_an_empty_answer() -> None:
    with StandIn() as server:
        assert read(server) == []


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault.ERROR_TABLE, "the server gave up after 120 rows and said: 'runtime error: unexpected EOF"),
        (Fault.CUT_CHUNKS, "the answer was cut short"),
        (Fault.CUT_UNFRAMED, "without its length or chunk marks"),
        (Fault.CUT_BEHIND_PROXY, "the answer ended in the middle of a line"),
        (Fault.CUT_AT_A_LINE_BEHIND_PROXY, "the answer ended without the empty line that ends a whole one"),
        (Fault.LOGIN_PAGE, "found a web page ('Sign in')"),
        (Fault.JSON_ERROR, 'could not find bucket "x"'),
    ],
)
def test_a_broken_answer_is_an_error_that_says_so(fault: Fault, expected: str) -> None:
    with StandIn(TABLES, fault) as server, pytest.raises(SourceError) as caught:
        read(server)
    assert expected in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    assert "secret" not in str(caught.value)
