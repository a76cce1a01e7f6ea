"""The source against a stand-in: InfluxDB 3 Core's ways, and faults that must leave nothing half read.

No server of version 3 can be had here. The stand-in answers as its source has it: InfluxQL without
`params`, the tag in a column, an empty body for nothing, and a refusal of queries over many files.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from warning.clock import FixedClock
from warning.domain.readings import RawReadings
from warning.domain.variables import Variable
from warning.errors import SourceError
from warning.sources.influx import InfluxSource
from warning.sources.influx_settings import Daily, DamMapping, FieldMapping, InfluxSettings

DAY_NS = 86_400_000_000_000
FIRST = date(2024, 1, 1)
FIRST_NS = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 10**9
REFUSAL = (
    b"Error while planning query: External error: Query would exceed file limit of 432 parquet files. "
    b"Please specify a smaller time range for your query."
)


class Core:
    """InfluxDB 3 Core as far as this program speaks with it; keeps the spans it was asked for."""

    def __init__(self, most_days: float, days: int, *, in_stream: bool = False) -> None:
        self.most_days = most_days
        self.in_stream = in_stream
        self.rows = [
            [FIRST_NS + hour * DAY_NS // 24, dam, float(hour % 24 + offset)]
            for hour in range(days * 24)
            for dam, offset in (("A", 0), ("B", 100))
        ]
        self.refused = 0
        self.given: list[tuple[int, int]] = []

    def __call__(self, exchange: Any) -> None:
        if exchange.path == "/ping":
            exchange.answer(b'{"version":"3.0.1","revision":"0"}')
        elif exchange.query["q"].startswith("SHOW FIELD KEYS"):
            exchange.answer(answer(["fieldKey", "fieldType"], [["h", "float"]]))
        else:
            assert "params" not in exchange.query
            self.select(exchange)

    def select(self, exchange: Any) -> None:
        query = exchange.query["q"]
        bounds = dict(re.findall(r"time (>=|<) (-?[0-9]+)", query))
        begin, end = int(bounds[">="]), int(bounds.get("<", FIRST_NS + 10**18))
        held = [row for row in self.rows if begin <= row[0] < end]
        spanned = (held[-1][0] - held[0][0]) / DAY_NS if held else 0
        if spanned > self.most_days:
            self.refused += 1
            if self.in_stream:
                exchange.answer(json.dumps({"error": REFUSAL.decode()}).encode() + b"\r\n")
            else:
                exchange.answer(REFUSAL, 500)
            return
        self.given.append((begin, end))
        exchange.answer(answer(["time", "site", "h"], held) if held else b"")


def answer(columns: list[str], rows: list[list[Any]]) -> bytes:
    series = {"name": "gauges", "columns": columns, "values": rows}
    return json.dumps({"results": [{"statement_id": 0, "series": [series]}]}).encode() + b"\r\n"


def source(url: str, **changes: Any) -> InfluxSource:
    dams = tuple(
        DamMapping(
            reservoir_id=tag.lower(),
            tag_value=tag,
            time_zone=ZoneInfo(zone),
            fields={Variable.LEVEL_M: FieldMapping(field="h", daily=Daily.MEAN)},
        )
        for tag, zone in (("A", "UTC"), ("B", "Asia/Tokyo"))
    )
    plain = InfluxSettings(
        url=url, database="dams", measurement="gauges", dam_tag="site", dams=dams, first_day=FIRST, retries=0
    )
    now = datetime(2024, 2, 10, 6, tzinfo=UTC)
    return InfluxSource(replace(plain, **changes), FixedClock(now))


@pytest.mark.parametrize("last_day", [None, date(2024, 2, 9)])
@pytest.mark.parametrize("most_days", [1, 3, 7.5, 40])
@pytest.mark.parametrize("in_stream", [True, False])
def test_a_period_over_too_many_files_is_read_in_spans_that_meet_and_never_overlap(
    stand_in, last_day, most_days, in_stream
):
    core = Core(most_days, days=40, in_stream=in_stream)
    fleet = source(stand_in(core).url).read(["a", "b"], last_day)
    assert fleet.failures == {}
    # the mean of a day would be wrong if an hour came twice or not at all
    days = fleet.readings["a"].days.tolist()
    assert days == [date.fromordinal(FIRST.toordinal() + i) for i in range(40)]
    assert set(fleet.readings["a"].values[Variable.LEVEL_M].tolist()) == {11.5}
    assert set(fleet.readings["b"].values[Variable.LEVEL_M].tolist()[1:40]) == {111.5}
    assert all(one[1] == other[0] for one, other in zip(core.given, core.given[1:], strict=False))
    assert core.refused <= 6


def test_a_single_day_over_too_many_files_is_told_with_the_servers_words(stand_in):
    core = Core(0.1, days=40)
    with pytest.raises(SourceError, match=r"exceed file limit of 432 parquet files.*smaller time range"):
        source(stand_in(core).url).read(["a"], date(2024, 2, 9))
    assert core.given == []


def test_an_empty_body_of_version_3_is_no_readings_for_each_dam(stand_in):
    fleet = source(stand_in(Core(10, days=0)).url).read(["a", "b"], date(2024, 2, 9))
    assert set(fleet.failures) == {"a", "b"}


def test_nothing_is_kept_of_a_fleet_when_the_last_dams_readings_break(stand_in):
    def script(exchange):
        if exchange.path == "/ping":
            exchange.answer(status=204, X_Influxdb_Version="1.8.10")
        elif exchange.query["q"].startswith("SHOW"):
            exchange.answer(answer(["fieldKey", "fieldType"], [["h", "float"]]))
        else:
            exchange.head(Transfer_Encoding="chunked")
            exchange.chunk(answer(["time", "site", "h"], [[FIRST_NS, "A", 1.0]]))
            exchange.chunk(b'{"results":[{"statement_id":0,"error":"engine: closed"}]}\n')
            exchange.chunk(b"")

    with pytest.raises(SourceError, match=r"engine: closed; nothing of the answer is used"):
        source(stand_in(script).url).read(["a", "b"])


def test_the_deadline_covers_all_questions_of_one_reading(stand_in):
    def script(exchange):
        if exchange.path == "/ping":
            exchange.answer(status=204, X_Influxdb_Version="1.8.10")
        elif exchange.query["q"].startswith("SHOW"):
            exchange.answer(answer(["fieldKey", "fieldType"], [["h", "float"]]))
        else:
            exchange.head(Transfer_Encoding="chunked")
            while not server.over.wait(0.05):
                exchange.chunk(answer(["time", "site", "h"], [[FIRST_NS, "A", 1.0]]))

    server = stand_in(script)
    with pytest.raises(SourceError, match=r"not complete after 0\.5 s"):
        source(server.url, deadline_s=0.5).read(["a"])


def annotated(rows: list[str]) -> bytes:
    head = ["#datatype,string,long,dateTime:RFC3339,double,string,string", "#default,_result,,,,,"]
    return "\r\n".join([*head, ",result,table,_time,_value,_field,site", *rows, "", ""]).encode()


def test_version_2_is_asked_in_flux_for_all_dams_at_once(stand_in):
    def script(exchange):
        if exchange.path == "/ping":
            exchange.answer(status=204, X_Influxdb_Version="v2.7.4")
        else:
            exchange.answer(
                annotated([",,0,2024-01-05T12:00:00Z,7.5,h,A", ",,1,2024-01-05T16:00:00Z,8.5,h,B"]),
                Content_Type="text/csv",
            )

    server = stand_in(script)
    reader = source(server.url, bucket="water", org="valley", token="t", day_starts_at=time(6))
    fleet = reader.read(["a", "b"], date(2024, 2, 9))
    assert fleet.readings["a"].values[Variable.LEVEL_M].tolist() == [7.5]
    assert fleet.readings["b"].days.tolist() == [date(2024, 1, 5)]
    (asked,) = [e for e in server.exchanges if e.path == "/api/v2/query"]
    assert asked.query == {"org": "valley"}
    flux = json.loads(asked.body)["query"]
    # from the first morning at 06:00 in Tokyo to the last one in UTC
    assert "range(start: 2023-12-31T21:00:00Z, stop: 2024-02-10T06:00:00Z)" in flux


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"token": "t"}, "set bucket of the source"), ({"bucket": "b", "user": "u"}, "set token of the source")],
)
def test_flux_without_bucket_or_token_says_what_to_set(stand_in, changes, words):
    server = stand_in(lambda e: e.answer(status=500))
    with pytest.raises(SourceError, match=words):
        source(server.url, dialect="flux", **changes).read(["a"])
    assert server.exchanges == []


@pytest.mark.parametrize(("version", "path"), [("1.8.10", "/write"), ("v2.7.4", "/api/v2/write")])
def test_points_go_where_the_servers_version_takes_them(stand_in, version, path):
    server = stand_in(lambda e: e.answer(status=204, X_Influxdb_Version=version))
    writer = source(server.url, bucket="water", org="valley", retention_policy="rp")
    days = np.array(["2024-01-05"], "datetime64[D]")
    writer.write("b", RawReadings(days, {Variable.LEVEL_M: np.array([1.5])}))
    asked = server.exchanges[-1]
    assert asked.path == path
    assert asked.body == f"gauges,site=B h=1.5 {FIRST_NS + 4 * DAY_NS + DAY_NS // 8}".encode()
    names = {"db": "dams", "rp": "rp"} if path == "/write" else {"bucket": "water", "org": "valley"}
    assert asked.query == {**names, "precision": "ns"}
