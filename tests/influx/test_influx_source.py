"""The source against a real server: what is read, what is written, and what is said when neither works."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from warning.domain.readings import RawReadings
from warning.domain.variables import Variable
from warning.errors import SourceError
from warning.sources.influx import InfluxSource
from warning.sources.influx_settings import Daily, DamMapping, FieldMapping, InfluxSettings

LEVEL, RAIN = Variable.LEVEL_M, Variable.RAIN_MM
FEET = 0.3048


def dam(reservoir_id: str, tag: str, zone: str = "UTC", **fields: FieldMapping) -> DamMapping:
    mapped = {LEVEL: FieldMapping(field="level_ft", factor=FEET), RAIN: FieldMapping(field="rain")}
    by_name = {Variable(key): mapping for key, mapping in fields.items()}
    return DamMapping(
        reservoir_id=reservoir_id, tag_value=tag, time_zone=ZoneInfo(zone), fields=by_name or mapped
    )


def source(url: str, database: str, *dams: DamMapping, **changes: Any) -> InfluxSource:
    plain = InfluxSettings(
        url=url,
        database=database,
        measurement="gauges",
        dam_tag="site",
        dams=dams or (dam("upper", "UP"), dam("lower", "LO")),
        first_day=date(2020, 1, 1),
        retries=0,
    )
    return InfluxSource(replace(plain, **changes))


def ns(text: str) -> int:
    instant = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


def level(raw: RawReadings) -> dict[str, float]:
    return dict(zip(map(str, raw.days.tolist()), raw.values[LEVEL].tolist(), strict=True))


def test_a_fleet_is_read_in_one_query_and_each_dam_gets_its_own(influxd, database):
    influxd.put(
        database,
        f"""gauges,site=UP level_ft=100,rain=3i {ns("2024-03-01T06:00")}
gauges,site=UP level_ft=101 {ns("2024-03-01T18:00")}
gauges,site=UP rain=0i {ns("2024-03-02T06:00")}
gauges,site=LO level_ft=50 {ns("2024-03-02T12:00")}
gauges,site=other level_ft=1 {ns("2024-03-02T12:00")}
elsewhere,site=LO level_ft=9 {ns("2024-03-02T13:00")}""",
    )
    fleet = source(influxd.url, database).read(["lower", "upper"])
    assert fleet.failures == {}
    np.testing.assert_array_equal(fleet.readings["upper"].values[LEVEL], [101 * FEET, np.nan])
    np.testing.assert_array_equal(fleet.readings["upper"].values[RAIN], [3.0, 0.0])
    assert level(fleet.readings["lower"]) == {"2024-03-02": 50 * FEET}
    assert RAIN not in fleet.readings["lower"].values


def test_only_the_days_asked_for_come_by_each_dams_own_calendar(influxd, database):
    first = ns("2024-01-01T00:00")
    influxd.put(
        database,
        "\n".join(
            f"gauges,site={site} level_ft={hour} {first + hour * 3_600_000_000_000}"
            for hour in range(120)
            for site in "AB"
        ),
    )
    dams = dam("kiri", "A", "Pacific/Kiritimati"), dam("pago", "B", "Pacific/Pago_Pago")
    fleet = source(influxd.url, database, *dams).read(["kiri", "pago"], date(2024, 1, 3), date(2024, 1, 2))
    assert level(fleet.readings["kiri"]) == {"2024-01-02": 33 * FEET, "2024-01-03": 57 * FEET}
    assert level(fleet.readings["pago"]) == {"2024-01-02": 58 * FEET, "2024-01-03": 82 * FEET}


def test_sub_daily_readings_become_daily_as_each_variable_asks(influxd, database):
    influxd.put(
        database,
        "\n".join(f"gauges,site=A h={v},q={v} {ns(f'2024-01-01T0{i}:00')}" for i, v in enumerate([4, 9, 2])),
    )
    mapped = dam(
        "a",
        "A",
        level_m=FieldMapping(field="h"),
        inflow_m3s=FieldMapping(field="q", daily=Daily.MEAN, factor=2.0),
        outflow_m3s=FieldMapping(field="q", daily=Daily.MAX),
    )
    raw = source(influxd.url, database, mapped).read(["a"]).readings["a"]
    assert {v: column.tolist() for v, column in raw.values.items()} == {
        LEVEL: [2.0],
        Variable.INFLOW_M3S: [10.0],
        Variable.OUTFLOW_M3S: [9.0],
    }


def test_a_dam_without_readings_fails_alone_and_says_where_it_was_looked_for(influxd, database):
    influxd.put(database, f"gauges,site=UP level_ft=100,rain=1 {ns('2024-03-01T06:00')}")
    fleet = source(influxd.url, database).read(["upper", "lower", "stranger"], date(2024, 3, 2))
    assert set(fleet.readings) == {"upper"}
    assert (
        "'gauges' holds no readings where 'site' is 'LO' from 2020-01-01 to 2024-03-02"
        in fleet.failures["lower"]
    )
    assert fleet.failures["stranger"] == "the source maps no series to this dam"


def test_an_empty_database_fails_every_dam_and_nothing_else(influxd, database):
    fleet = source(influxd.url, database).read(["upper", "lower"])
    assert fleet.readings == {}
    assert set(fleet.failures) == {"upper", "lower"}
    assert "no field 'level_ft' or 'rain' at all" in fleet.failures["upper"]


def test_a_field_that_does_not_exist_is_complained_about_where_the_rest_is_read(influxd, database):
    influxd.put(database, f"gauges,site=UP level_ft=100 {ns('2024-03-01T06:00')}")
    raw = source(influxd.url, database).read(["upper"]).readings["upper"]
    (complaint,) = raw.complaints
    assert "has no field 'rain'" in complaint


def test_points_written_twice_are_read_once_and_two_gauges_under_one_tag_twice(influxd, database):
    at = ns("2024-03-01T06:00")
    influxd.put(database, f"gauges,site=UP level_ft=100 {at}\ngauges,site=UP level_ft=100 {at}")
    influxd.put(database, f"gauges,site=LO,gauge=a level_ft=50 {at}\ngauges,site=LO,gauge=b level_ft=99 {at}")
    fleet = source(influxd.url, database).read(["upper", "lower"])
    assert fleet.readings["upper"].days.size == 1
    assert fleet.readings["lower"].days.size == 2
    assert sorted(fleet.readings["lower"].values[LEVEL]) == [50 * FEET, 99 * FEET]


def test_an_unknown_database_is_an_error_that_says_so(influxd):
    with pytest.raises(SourceError, match=r"database not found: nowhere.*Correct database of the source"):
        source(influxd.url, "nowhere").read(["upper"])


def test_a_retention_policy_is_honoured_and_an_unknown_one_told(influxd, database):
    influxd.ask(f'CREATE RETENTION POLICY "old one" ON "{database}" DURATION INF REPLICATION 1')
    line = f"gauges,site=UP level_ft=7 {ns('2024-03-01T06:00')}"
    influxd.put(database, line, retention_policy="old one")
    assert "upper" in source(influxd.url, database, retention_policy="old one").read(["upper"]).readings
    assert "upper" in source(influxd.url, database).read(["upper"]).failures
    with pytest.raises(SourceError, match=r"retention policy not found: new.*Correct retention_policy"):
        source(influxd.url, database, retention_policy="new").read(["upper"])


@pytest.fixture
def weekly(influxd, database) -> str:
    """The database with shards of a week, so that a field may have a type in each."""
    statement = f'ALTER RETENTION POLICY "autogen" ON "{database}" SHARD DURATION 7d'
    influxd.ask(statement)
    return str(database)


def test_a_field_that_changed_from_integer_to_float_is_read_whole(influxd, weekly):
    influxd.put(weekly, f"gauges,site=UP level_ft=100i {ns('2024-01-01T06:00')}")
    influxd.put(weekly, f"gauges,site=UP level_ft=100.5 {ns('2024-02-01T06:00')}")
    raw = source(influxd.url, weekly).read(["upper"]).readings["upper"]
    assert level(raw) == {"2024-01-01": 100 * FEET, "2024-02-01": 100.5 * FEET}


@pytest.mark.parametrize(("other", "kinds"), [('"dry"', "float and string"), ("true", "boolean and float")])
def test_a_field_of_which_the_server_would_drop_a_part_in_silence_is_refused(influxd, weekly, other, kinds):
    influxd.put(weekly, f"gauges,site=UP level_ft=100 {ns('2024-01-01T06:00')}")
    influxd.put(weekly, f"gauges,site=UP level_ft={other} {ns('2024-02-01T06:00')}")
    with pytest.raises(SourceError, match=rf"the field 'level_ft' is stored as {kinds}, expected numbers"):
        source(influxd.url, weekly).read(["upper"])


def test_a_field_of_text_is_refused(influxd, database):
    influxd.put(database, f'gauges,site=UP level_ft="100.2" {ns("2024-01-01T06:00")}')
    with pytest.raises(SourceError, match="'level_ft' is stored as string, expected numbers"):
        source(influxd.url, database).read(["upper"])


def test_a_server_that_asks_who_is_there_is_answered(guarded_influxd):
    guarded_influxd.ask("CREATE DATABASE dams")
    guarded_influxd.put("dams", f"gauges,site=UP level_ft=100 {ns('2024-01-01T06:00')}")
    who = {"user": guarded_influxd.user, "password": guarded_influxd.password}
    assert "upper" in source(guarded_influxd.url, "dams", **who).read(["upper"]).readings
    for wrong in ({}, {**who, "password": "wr0ng"}, {"token": "wr0ng"}):
        with pytest.raises(
            SourceError, match=r"refused with status 401.*check token, user and password"
        ) as caught:
            source(guarded_influxd.url, "dams", **wrong).read(["upper"])
        assert "wr0ng" not in str(caught.value)


def test_a_user_who_may_not_read_is_told_so(guarded_influxd):
    guarded_influxd.ask("CREATE DATABASE closed")
    guarded_influxd.ask("CREATE USER passerby WITH PASSWORD 'p'")
    with pytest.raises(SourceError, match="not authorized"):
        source(guarded_influxd.url, "closed", user="passerby", password="p").read(["upper"])


def test_a_server_that_is_gone_is_an_error_and_works_again_when_it_is_back(make_influxd):
    server = make_influxd()
    server.ask("CREATE DATABASE dams")
    server.put("dams", f"gauges,site=UP level_ft=100 {ns('2024-01-01T06:00')}")
    reader = source(server.url, "dams")
    server.stop()
    with pytest.raises(SourceError, match="no connection"):
        reader.read(["upper"])
    server.start()
    assert "upper" in reader.read(["upper"]).readings


def year(days: int, *, first: str = "1951-11-05") -> RawReadings:
    calendar = np.datetime64(first, "D") + np.arange(days)
    rain = np.where(np.arange(days) % 7 == 0, np.nan, np.arange(days) / 4)
    return RawReadings(calendar, {LEVEL: 250 + np.sin(np.arange(days)), RAIN: rain})


def test_what_is_written_is_read_again_and_writing_again_changes_nothing(influxd, database):
    written = year(12_001)
    reader = source(influxd.url, database, dam("upper", "UP", "America/Los_Angeles"))
    shares: list[float] = []
    for _ in range(2):
        reader.write("upper", written, shares.append)
        read = reader.read(["upper"], first_day=date(1900, 1, 1)).readings["upper"]
        np.testing.assert_array_equal(read.days, written.days)
        np.testing.assert_allclose(read.values[LEVEL], written.values[LEVEL], rtol=1e-15)
        np.testing.assert_array_equal(read.values[RAIN], written.values[RAIN])
    assert shares == [5_000 / 12_001, 10_000 / 12_001, 1.0] * 2


@pytest.mark.parametrize("starts", [time(0), time(8), time(12), time(12, 30), time(23, 59)])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/St_Johns", "Europe/London"])
def test_a_written_day_stays_its_day_whenever_days_begin(influxd, database, starts, zone):
    reader = source(influxd.url, database, dam("upper", "UP", zone), day_starts_at=starts)
    written = year(400, first="2023-12-30")
    reader.write("upper", written)
    np.testing.assert_array_equal(reader.read(["upper"]).readings["upper"].days, written.days)


@pytest.mark.parametrize("tag", ["Ö berer, See=1", 'quo"te', "back\\slash", "$dollar 'x'", "山"])
def test_awkward_names_are_written_and_read_as_they_are(influxd, database, tag):
    mapped = DamMapping(
        reservoir_id="a",
        tag_value=tag,
        time_zone=ZoneInfo("UTC"),
        fields={LEVEL: FieldMapping(field=f"level {tag}")},
    )
    reader = source(influxd.url, database, mapped, measurement=f"m {tag}", dam_tag=f"k {tag}")
    reader.write("a", RawReadings(np.array(["2024-01-01"], "datetime64[D]"), {LEVEL: np.array([1.5])}))
    assert level(reader.read(["a"]).readings["a"]) == {"2024-01-01": 1.5}


def test_a_missing_value_is_not_written_and_the_last_row_of_a_day_stands(influxd, database):
    days = np.array(["2024-01-01", "2024-01-02", "2024-01-02", "2024-01-03"], "datetime64[D]")
    reader = source(influxd.url, database)
    reader.write("upper", RawReadings(days, {LEVEL: np.array([1.0, 2.0, 2.5, np.nan])}))
    assert level(reader.read(["upper"]).readings["upper"]) == pytest.approx(
        {"2024-01-01": 1, "2024-01-02": 2.5}
    )


def test_a_dam_or_variable_without_a_mapping_is_not_written(influxd, database):
    reader = source(influxd.url, database)
    one = np.array(["2024-01-01"], "datetime64[D]")
    with pytest.raises(SourceError, match="maps no series to the dam stranger"):
        reader.write("stranger", RawReadings(one, {LEVEL: np.ones(1)}))
    with pytest.raises(SourceError, match="maps no field to storage_m3"):
        reader.write("upper", RawReadings(one, {Variable.STORAGE_M3: np.ones(1)}))


def test_a_field_of_another_type_is_refused_by_the_server_and_told(influxd, database):
    influxd.put(database, f"gauges,site=UP level_ft=100i {ns('2024-01-01T06:00')}")
    with pytest.raises(SourceError, match=r"refused with status 400.*field type conflict"):
        source(influxd.url, database).write("upper", year(3, first="2024-01-01"))


@pytest.mark.parametrize("name", ["line\nbreak", "ends\\"])
def test_a_name_that_line_protocol_cannot_spell_is_refused(influxd, database, name):
    with pytest.raises(SourceError, match=r"rename it|cannot be used in a query"):
        source(influxd.url, database, dam("upper", name)).write("upper", year(1))
