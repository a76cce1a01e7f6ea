"""InfluxQL held to a real server: names and values mean what they say, and nothing else."""

from __future__ import annotations

import signal
from dataclasses import replace
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warning.domain.variables import Variable
from warning.errors import SourceError
from warning.sources.influx_settings import DamMapping, FieldMapping, InfluxSettings
from warning.sources.influx_transport import InfluxTransport
from warning.sources.influxql import Statement, ask, field_types, name, read_blocks, select_readings
from warning.sources.line_protocol import line

NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\\\"'$`;-/ {}%"),
    min_size=1,
    max_size=20,
)
SERVER_SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TRICKS = [
    'x"; DROP DATABASE "{victim}',
    'x\'; DROP DATABASE "{victim}"; --',
    '\\"; DROP DATABASE "{victim}"; --',
    "\\'; DROP DATABASE \"{victim}\"; SELECT '",
    "x; DROP DATABASE {victim}",
    '" ; DROP DATABASE {victim} ; SHOW DATABASES -- "',
    "$dam0; DROP DATABASE {victim}",
    "/* x */; DROP DATABASE {victim}",
]


def plain(url: str, database: str, **changes: Any) -> InfluxSettings:
    dam = DamMapping(
        reservoir_id="a",
        tag_value="A",
        time_zone=ZoneInfo("UTC"),
        fields={Variable.LEVEL_M: FieldMapping(field="h")},
    )
    before = InfluxSettings(
        url=url, database=database, measurement="m", dam_tag="dam", dams=(dam,), first_day=date(2020, 1, 1)
    )
    return replace(before, **changes)


def readings(configured: InfluxSettings, tags: list[str], *, bind: bool) -> dict[str, list[float]]:
    statement = select_readings(configured, ["h"], tags, from_ns=-(10**18), bind=bind)
    with InfluxTransport(configured) as transport:
        series = ask(transport, configured, statement)
        return {b.dam: b.values.tolist() for b in read_blocks(series, configured.dam_tag, "here")}


@given(text=NAMES)
@SERVER_SETTINGS
def test_any_name_reaches_the_server_as_it_is(influxd, text):
    configured = plain(influxd.url, "_internal_of_nobody", retention_policy=text)
    influxd.ask('CREATE DATABASE "_internal_of_nobody"')
    with pytest.raises(SourceError) as caught:
        readings(configured, ["A"], bind=True)
    assert f"retention policy not found: {text}; nothing" in str(caught.value)


@given(tag=NAMES.filter(lambda text: not text.endswith("\\")), bind=st.booleans())
@SERVER_SETTINGS
def test_any_tag_value_finds_its_own_readings_and_no_others(influxd, database, tag, bind):
    influxd.put(database, "m,dam=other h=2 1")
    influxd.put(database, line("m", {"dam": tag}, {"h": 1.0}, 1) or "")
    expected = {tag: [1.0]} if tag != "other" else {"other": [1.0]}
    assert readings(plain(influxd.url, database), [tag], bind=bind) == expected


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("place", ["measurement", "dam_tag", "retention_policy", "field", "tag", "database"])
@pytest.mark.parametrize("bind", [True, False])
def test_no_name_can_smuggle_in_a_second_statement(influxd, database, trick, place, bind):
    text = trick.format(victim=database)
    changes = {place: text} if place not in ("field", "tag") else {}
    configured = plain(influxd.url, **{"database": database, **changes})
    statement = select_readings(
        configured,
        [text if place == "field" else "h"],
        [text if place == "tag" else "A"],
        from_ns=0,
        bind=bind,
    )
    with InfluxTransport(configured) as transport:
        try:
            found = [series.rows for series in ask(transport, configured, statement)]
        except SourceError:
            found = []
    assert found == []
    assert database in influxd.databases()


def test_the_trick_does_drop_a_database_where_nothing_quotes_it(influxd, database):
    """What the test above guards against is real: this server runs a second statement, even in a GET."""
    influxd.ask('CREATE DATABASE "victim"')
    configured = plain(influxd.url, database)
    both = Statement("SHOW DATABASES; DROP DATABASE victim")
    with InfluxTransport(configured) as transport, pytest.raises(SourceError, match="of one statement"):
        list(ask(transport, configured, both))
    assert "victim" not in influxd.databases()


def test_a_long_series_streams_in_chunks_and_comes_whole(influxd, database):
    count = 25_001
    influxd.put(database, "\n".join(f"m,dam=A h={i / 8} {i * 10**9}" for i in range(count)))
    configured = plain(influxd.url, database)
    with InfluxTransport(configured) as transport:
        statement = select_readings(configured, ["h"], ["A"], from_ns=0, bind=True)
        blocks = list(read_blocks(ask(transport, configured, statement), "dam", "here"))
    assert [block.values.size for block in blocks] == [10_000, 10_000, 5_001]
    np.testing.assert_array_equal(np.concatenate([b.values for b in blocks]), np.arange(count) / 8)
    np.testing.assert_array_equal(np.concatenate([b.times_ns for b in blocks]), np.arange(count) * 10**9)


def test_times_before_1970_are_asked_for_and_come(influxd, database):
    influxd.put(database, f"m,dam=A h=1.5 {-(10**17)}\nm,dam=A h=2.5 {-2 * 10**18}")
    assert readings(plain(influxd.url, database), ["A"], bind=True) == {"A": [1.5]}


def test_a_servers_row_limit_does_not_shorten_a_streamed_answer(make_influxd):
    server = make_influxd(max_rows=10)
    server.ask("CREATE DATABASE dams")
    server.put("dams", "\n".join(f"m,dam=A h={i} {i}" for i in range(100)))
    assert server.ask("SELECT h FROM m", "dams")["results"][0]["series"][0]["partial"] is True
    assert len(readings(plain(server.url, "dams"), ["A"], bind=True)["A"]) == 100


def test_the_types_of_fields_are_told_shard_by_shard(influxd, database):
    week_ns = 7 * 86_400 * 10**9
    influxd.ask(
        f'CREATE RETENTION POLICY "weeks" ON "{database}" DURATION INF REPLICATION 1 SHARD DURATION 7d'
    )
    for week, value in enumerate(["5i", "6.5", '"closed"']):
        influxd.put(database, f"m,dam=A h={value},q={week} {week * week_ns}", retention_policy="weeks")
    configured = plain(influxd.url, database, retention_policy="weeks")
    with InfluxTransport(configured) as transport:
        found = field_types(transport, configured)
    assert found == {"h": {"integer", "float", "string"}, "q": {"float"}}
    # the reason to ask: the string is left out without a word, the integer is there
    assert readings(configured, ["A"], bind=True) == {"A": [5.0, 6.5]}


def test_a_server_that_dies_in_mid_answer_leaves_an_error_and_the_next_reading_works(make_influxd):
    server = make_influxd()
    server.ask("CREATE DATABASE dams WITH DURATION INF SHARD DURATION 520w")
    for part in range(5):
        rows = (f"m,dam=A h={i}.12345678 {i * 10**9}" for i in range(part * 100_000, (part + 1) * 100_000))
        server.put("dams", "\n".join(rows))
    configured = plain(server.url, "dams", retries=1)
    statement = select_readings(configured, ["h"], ["A"], from_ns=0, bind=True)
    with InfluxTransport(configured) as transport:
        series = ask(transport, configured, statement)
        assert len(next(series).rows) == 10_000
        server.stop(signal.SIGKILL)
        server.start()
        with pytest.raises(SourceError, match=r"the answer was cut short.*nothing of it is used"):
            list(series)
        again = list(read_blocks(ask(transport, configured, statement), "dam", "here"))
    assert sum(block.values.size for block in again) == 500_000


def test_a_name_is_quoted_as_the_server_quotes_it():
    assert name('a"b\\c') == '"a\\"b\\\\c"'
