"""Outlooks from a server: what is read of them, and that no fault of theirs is taken for knowledge.

InfluxDB 1.6 is real; the servers of version 2 and 3 are the stand-ins.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from annotated_server import Fault, Table, readings
from annotated_server import StandIn as FluxStandIn

from warning.domain.ahead import FleetOutlooks, Outlooks
from warning.domain.variables import Variable
from warning.errors import SourceError
from warning.sources.influx import InfluxSource
from warning.sources.influx_child import OutlooksInChild
from warning.sources.influx_exchange import pack_outlooks, unpack_outlooks
from warning.sources.influx_outlooks import InfluxOutlooks
from warning.sources.influx_settings import DamMapping, FieldMapping, InfluxSettings, OutlookMapping

LEVEL, RAIN, RELEASE = Variable.LEVEL_M, Variable.RAIN_MM, Variable.OUTFLOW_M3S
LAST = date(2024, 5, 2)
INCH, CFS = 25.4, 0.3048**3
OUTLOOK = OutlookMapping(
    measurement="outlook",
    issued_tag="issued_on",
    fields={RAIN: FieldMapping(field="rain", factor=INCH), RELEASE: FieldMapping(field="q", factor=CFS)},
)
Rows = dict[tuple[str, str], float]


def dam(reservoir_id: str, tag: str, zone: str = "UTC") -> DamMapping:
    fields = {LEVEL: FieldMapping(field="level")}
    return DamMapping(reservoir_id=reservoir_id, tag_value=tag, time_zone=ZoneInfo(zone), fields=fields)


def settings(url: str, **changes: Any) -> InfluxSettings:
    plain = InfluxSettings(
        url=url,
        token=None,
        org="o",
        bucket="b",
        database="d",
        measurement="gauges",
        dam_tag="dam",
        dams=(dam("upper", "UP"), dam("lower", "Løwer Läke", "Pacific/Kiritimati"), dam("dry", "DRY")),
        first_day=date(2024, 1, 1),
        retries=0,
        outlook=OUTLOOK,
    )
    return replace(plain, **changes)


def flux(url: str, **changes: Any) -> InfluxSettings:
    return settings(url, dialect="flux", token="t", **changes)


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def issue(issued: str, valid: str, fields: str, tag: str = "UP") -> str:
    return f"outlook,dam={tag},issued_on={issued} {fields} {ns(valid)}"


def rows(outlooks: Outlooks, variable: Variable) -> Rows:
    """What was issued for which day."""
    lines = zip(outlooks.issued.tolist(), outlooks.valid.tolist(), outlooks.values[variable], strict=True)
    return {(str(issued), str(valid)): float(value) for issued, valid, value in lines if np.isfinite(value)}


def read(configured: InfluxSettings, *ids: str, last_day: date = LAST) -> FleetOutlooks:
    return InfluxOutlooks(configured).read(list(ids or ("upper", "lower", "dry")), last_day)


def same(one: FleetOutlooks, other: FleetOutlooks) -> bool:
    pairs = [(one.outlooks[name], other.outlooks[name]) for name in one.outlooks]
    return (one.outlooks.keys(), one.failures, one.troubles) == (
        other.outlooks.keys(), other.failures, other.troubles,
    ) and all(
        a.complaints == b.complaints
        and a.values.keys() == b.values.keys()
        and all(rows(a, variable) == rows(b, variable) for variable in a.values)
        for a, b in pairs
    )  # fmt: skip


def test_each_issue_keeps_its_day_and_its_unit_and_each_dam_its_own(influxd: Any, database: str) -> None:
    lines = [
        issue("2024-05-01", "2024-05-02T12:00", "rain=1,q=100"),
        issue("2024-05-02", "2024-05-02T12:00", "rain=2"),
        issue("2024-05-02", "2024-05-03T12:00", "rain=3"),
        issue("2024-05-02", "2024-05-03T23:00", "q=7", r"Løwer\ Läke"),  # there it is the 4th by then
        issue("2024-05-02", "2024-05-03T12:00", "rain=9", "other"),
        f"gauges,dam=UP level=1,rain=99 {ns('2024-05-02T12:00')}",
    ]
    influxd.put(database, "\n".join(lines))
    found = read(settings(influxd.url, database=database))
    assert found.failures == {}
    assert found.troubles == ()
    assert found.outlooks.keys() == {"upper", "lower"}
    upper = found.outlooks["upper"]
    assert rows(upper, RAIN) == {
        ("2024-05-01", "2024-05-02"): INCH,
        ("2024-05-02", "2024-05-02"): 2 * INCH,
        ("2024-05-02", "2024-05-03"): 3 * INCH,
    }
    assert rows(upper, RELEASE) == {("2024-05-01", "2024-05-02"): 100 * CFS}
    assert rows(found.outlooks["lower"], RELEASE) == {("2024-05-02", "2024-05-04"): 7 * CFS}


def test_the_readings_are_what_they_were_beside_outlooks(influxd: Any, database: str) -> None:
    influxd.put(database, f"gauges,dam=UP level=1 {ns('2024-05-02T12:00')}")
    before = InfluxSource(settings(influxd.url, database=database)).read(["upper"]).readings["upper"]
    influxd.put(database, issue("2024-05-02", "2024-05-03T12:00", "rain=2,level=8"))
    after = InfluxSource(settings(influxd.url, database=database)).read(["upper"]).readings["upper"]
    np.testing.assert_array_equal(before.values[LEVEL], after.values[LEVEL])


def test_what_no_forecast_can_use_stays_away(influxd: Any, database: str) -> None:
    """Issued later, for a day gone by, or for one too far ahead."""
    lines = [
        issue("2024-05-02", "2024-05-10T12:00", "rain=1"),
        issue("2024-05-02", "2024-05-11T12:00", "rain=2"),
        issue("2024-05-02", "2024-05-01T12:00", "rain=3"),
        issue("2024-05-03", "2024-05-04T12:00", "rain=4"),
        issue("2023-12-20", "2023-12-25T12:00", "rain=5"),
    ]
    influxd.put(database, "\n".join(lines))
    found = read(settings(influxd.url, database=database, outlook=rain_alone()))
    assert rows(found.outlooks["upper"], RAIN) == {("2024-05-02", "2024-05-10"): INCH}
    later = read(settings(influxd.url, database=database, outlook=rain_alone()), last_day=date(2024, 5, 3))
    assert ("2024-05-03", "2024-05-04") in rows(later.outlooks["upper"], RAIN)


def rain_alone() -> OutlookMapping:
    return replace(OUTLOOK, fields={RAIN: OUTLOOK.fields[RAIN]})


def test_a_point_without_a_day_of_issue_is_left_out_and_told(influxd: Any, database: str) -> None:
    influxd.put(
        database,
        "\n".join(
            [
                issue("2024-05-02", "2024-05-03T12:00", "rain=1"),
                issue("02.05.2024", "2024-05-03T12:00", "rain=2"),
                f'outlook,dam=UP rain=3,issued_on="2024-05-02" {ns("2024-05-03T12:00")}',
            ]
        ),
    )
    upper = read(settings(influxd.url, database=database, outlook=rain_alone())).outlooks["upper"]
    assert rows(upper, RAIN) == {("2024-05-02", "2024-05-03"): INCH}
    complaints = " | ".join(upper.complaints)
    assert "whose tag 'issued_on' says '02.05.2024', expected a day of issue, YYYY-MM-DD" in complaints
    assert "whose tag 'issued_on' says ''" in complaints


def test_several_values_of_one_day_and_issue_are_left_out_and_told(influxd: Any, database: str) -> None:
    """Hourly rain would be taken for a day's."""
    lines = [issue("2024-05-02", f"2024-05-03T{hour:02d}:00", f"rain={hour}") for hour in range(24)]
    lines.append(issue("2024-05-02", "2024-05-04T12:00", "rain=5"))
    influxd.put(database, "\n".join(lines))
    upper = read(settings(influxd.url, database=database, outlook=rain_alone())).outlooks["upper"]
    assert rows(upper, RAIN) == {("2024-05-02", "2024-05-04"): 5 * INCH}
    (complaint,) = upper.complaints
    assert "1 days of rain_mm with more than one value of one issue, left out: 2024-05-03" in complaint


def test_a_missing_field_and_an_empty_measurement_are_told_for_the_whole_fleet(
    influxd: Any, database: str
) -> None:
    asked = settings(influxd.url, database=database)
    (nothing,) = read(asked).troubles
    assert "'outlook' has no field 'q' or 'rain'; correct source.outlook" in nothing
    influxd.put(database, issue("2024-05-02", "2024-05-03T12:00", "rain=1"))
    found = read(asked)
    assert found.outlooks.keys() == {"upper"}
    assert "has no field 'q'" in found.troubles[0]
    (nothing,) = read(replace(asked, outlook=rain_alone()), "lower").troubles
    assert "holds no outlook of any dam since 2024-01-01" in nothing


def test_text_where_numbers_are_expected_costs_the_outlooks_and_not_the_readings(
    influxd: Any, database: str
) -> None:
    influxd.put(database, issue("2024-05-02", "2024-05-03T12:00", 'rain="heavy",q=1'))
    influxd.put(database, f"gauges,dam=UP level=1 {ns('2024-05-02T12:00')}")
    asked = settings(influxd.url, database=database)
    with pytest.raises(
        SourceError, match=r"'outlook': the field 'rain' is stored as string, expected numbers"
    ):
        read(asked)
    assert InfluxSource(asked).read(["upper"]).readings.keys() == {"upper"}


def test_a_day_that_begins_late_is_that_of_the_readings(influxd: Any, database: str) -> None:
    influxd.put(database, issue("2024-05-02", "2024-05-04T05:00", "rain=1"))
    asked = settings(influxd.url, database=database, outlook=rain_alone(), day_starts_at=time(8))
    assert rows(read(asked).outlooks["upper"], RAIN) == {("2024-05-02", "2024-05-03"): INCH}


def issued(dam_tag: str, field: str, when: str, values: list[tuple[str, float]]) -> Table:
    """The table of one series with the tag of the day of issue."""
    plain = readings(dam_tag, field, values)
    columns = (*plain.columns, ("issued_on", "string", True))
    return Table(columns, [(*row, when) for row in plain.rows], (*plain.key, when))


TABLES = [
    issued("UP", "rain", "2024-05-01", [("2024-05-02T12:00:00Z", 1.0), ("2024-05-03T12:00:00Z", 2.0)]),
    issued("UP", "rain", "2024-05-02", [("2024-05-03T12:00:00Z", 3.0)]),
    issued("UP", "q", "2024-05-02", [("2024-05-03T12:00:00Z", 100.0)]),
    issued("Løwer Läke", "rain", "2024-05-02", [("2024-05-03T23:00:00Z", 4.0)]),
    issued("other", "rain", "2024-05-02", [("2024-05-03T12:00:00Z", 9.0)]),
]


def test_a_version_2_servers_answer_comes_to_what_version_1_says(influxd: Any, database: str) -> None:
    lines = [
        issue("2024-05-01", "2024-05-02T12:00", "rain=1"),
        issue("2024-05-01", "2024-05-03T12:00", "rain=2"),
        issue("2024-05-02", "2024-05-03T12:00", "rain=3,q=100"),
        issue("2024-05-02", "2024-05-03T23:00", "rain=4", r"Løwer\ Läke"),
    ]
    influxd.put(database, "\n".join(lines))
    by_influxql = read(settings(influxd.url, database=database))
    with FluxStandIn(TABLES) as server:
        assert same(read(flux(server.url)), by_influxql)
        (asked,) = server.asked
    assert by_influxql.outlooks.keys() == {"upper", "lower"}
    query = str(asked["query"])
    assert '"_measurement"] == "outlook"' in query
    assert "range(start: 2023-12-31T10:00:00Z, stop: 2024-05-11T00:00:00Z)" in query
    assert 'keep(columns: ["_time", "_value", "_field", "dam", "issued_on"])' in query


def test_rows_without_the_tag_are_told_by_version_2_too() -> None:
    with FluxStandIn([readings("UP", "rain", [("2024-05-03T12:00:00Z", 1.0)])]) as server:
        upper = read(flux(server.url)).outlooks["upper"]
    assert rows(upper, RAIN) == {} if RAIN in upper.values else not upper.values
    assert "whose tag 'issued_on' says ''" in upper.complaints[0]


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NONE])
def test_an_answer_that_goes_wrong_is_no_outlook(fault: Fault) -> None:
    with FluxStandIn(TABLES, fault) as server, pytest.raises(SourceError):
        read(flux(server.url))


def test_influxdatas_parser_accepts_the_query(flux_verdicts: Callable[..., list[Any]]) -> None:
    with FluxStandIn(TABLES) as server:
        read(flux(server.url))
        query = str(server.asked[0]["query"])
    assert [verdict.valid for verdict in flux_verdicts([query])] == [True]


class Core:
    """InfluxDB 3 Core as far as this program speaks with it: tags in columns, at most 40 days at once."""

    def __init__(self) -> None:
        self.spans: list[tuple[int, int]] = []
        days = [date.fromordinal(date(2024, 1, 2).toordinal() + i) for i in range(120)]
        self.rows = [
            [ns(f"{day}T12:00"), "UP", float(i), str(date.fromordinal(day.toordinal() - 1))]
            for i, day in enumerate(days)
        ]

    def __call__(self, exchange: Any) -> None:
        if exchange.path == "/ping":
            exchange.answer(b'{"version":"3.0.1","revision":"0"}')
            return
        query = exchange.query["q"]
        if query.startswith("SHOW FIELD KEYS"):
            exchange.answer(self.series(["fieldKey", "fieldType"], [["rain", "float"]]))
            return
        assert '"issued_on"::tag' in query
        begin, end = (int(query.partition(f"time {sign} ")[2].split()[0]) for sign in (">=", "<"))
        if end - begin > 40 * 86_400 * 10**9:
            exchange.answer(b"Query would exceed file limit of 432 parquet files", 500)
            return
        self.spans.append((begin, end))
        held = [row for row in self.rows if begin <= row[0] < end]
        exchange.answer(self.series(["time", "dam", "rain", "issued_on"], held) if held else b"")

    def series(self, columns: list[str], values: list[list[Any]]) -> bytes:
        series = {"name": "outlook", "columns": columns, "values": values}
        return json.dumps({"results": [{"statement_id": 0, "series": [series]}]}).encode() + b"\r\n"


def test_version_3_is_asked_in_spans_and_gives_every_issue_once(stand_in: Callable[..., Any]) -> None:
    core = Core()
    found = read(settings(stand_in(core).url, outlook=rain_alone()))
    assert len(core.spans) > 2
    assert len(rows(found.outlooks["upper"], RAIN)) == 120
    assert found.outlooks["upper"].complaints == ()
    assert rows(found.outlooks["upper"], RAIN)["2024-01-01", "2024-01-02"] == 0.0


def test_outlooks_come_through_the_child_as_they_are(influxd: Any, database: str) -> None:
    lines = [
        issue(f"2024-04-{day:02d}", f"2024-04-{day:02d}T12:00", f"rain={day},q=1") for day in range(1, 31)
    ]
    lines.append(issue("soon", "2024-05-03T12:00", "rain=1", r"Løwer\ Läke"))
    influxd.put(database, "\n".join(lines))
    asked = settings(influxd.url, database=database)
    direct = read(asked)
    assert direct.outlooks.keys() == {"upper", "lower"}
    assert same(OutlooksInChild(asked).read(["upper", "lower", "dry"], LAST), direct)


def test_a_server_that_is_gone_is_a_source_error_through_the_child() -> None:
    with pytest.raises(SourceError, match="no connection"):
        OutlooksInChild(settings("http://127.0.0.1:9")).read(["upper"], LAST)


@pytest.mark.parametrize(
    "change",
    [
        lambda plain, arrays: plain.pop("troubles"),
        lambda plain, arrays: plain["dams"].pop(),
        lambda plain, arrays: plain["dams"][0].__setitem__(1, 1),
        lambda plain, arrays: plain["dams"][0].__setitem__(1, -2),
        lambda plain, arrays: plain["dams"][0].__setitem__(2, ["level_m"]),
        lambda plain, arrays: arrays.pop("valid"),
        lambda plain, arrays: arrays.update(rain_mm=arrays["rain_mm"][:-1]),
        lambda plain, arrays: arrays.update(issued=arrays["issued"].astype("datetime64[h]")),
    ],
)
def test_a_damaged_answer_of_the_child_is_no_outlook(change: Callable[..., object]) -> None:
    days = np.arange("2024-05-01", "2024-05-03", dtype="datetime64[D]")
    fleet = FleetOutlooks({"upper": Outlooks(days, days + 1, {RAIN: np.ones(2)})}, {"dry": "no"}, ("x",))
    plain, arrays = pack_outlooks(fleet)
    assert same(unpack_outlooks(plain, dict(arrays)), fleet)
    change(plain, arrays)
    with pytest.raises(SourceError, match="unusable"):
        unpack_outlooks(plain, arrays)
