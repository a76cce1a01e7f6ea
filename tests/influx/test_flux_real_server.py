"""The same reading against a real InfluxDB 2.x server, where one is named.

Set INFLUXDB_V2_URL, INFLUXDB_V2_TOKEN, INFLUXDB_V2_ORG and INFLUXDB_V2_BUCKET (the names influxdb-client
uses). A measurement of the test's own is written to the bucket, read, and deleted again.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from warning.domain.variables import Variable
from warning.errors import SourceError
from warning.sources.annotated_csv import read_blocks
from warning.sources.blocks import Block
from warning.sources.flux import QUERY_PATH, fleet_query, query_body
from warning.sources.influx_settings import DamMapping, FieldMapping, InfluxSettings
from warning.sources.influx_transport import InfluxTransport

NEEDED = ("INFLUXDB_V2_URL", "INFLUXDB_V2_TOKEN", "INFLUXDB_V2_ORG", "INFLUXDB_V2_BUCKET")
MISSING = [name for name in NEEDED if not os.environ.get(name)]
START = datetime(2020, 1, 1, 12, tzinfo=UTC)
DAYS = 400
ODD_DAM = 'Sardar, "Sarovar" ${x} $ ü'

pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"no real InfluxDB 2 server is named: {', '.join(MISSING)} not set"
)


@dataclass(frozen=True)
class Bucket:
    """A bucket on a real server, and a measurement in it that is the test's alone."""

    transport: InfluxTransport
    measurement: str

    def write(self, lines: list[str]) -> None:
        names = {"org": os.environ["INFLUXDB_V2_ORG"], "bucket": os.environ["INFLUXDB_V2_BUCKET"]}
        kind = {"Content-Type": "text/plain; charset=utf-8"}
        self.transport.fetch(
            "POST",
            "/api/v2/write",
            query={**names, "precision": "s"},
            body="\n".join(lines).encode(),
            headers=kind,
        )

    def delete(self) -> None:
        names = {"org": os.environ["INFLUXDB_V2_ORG"], "bucket": os.environ["INFLUXDB_V2_BUCKET"]}
        what = {
            "start": "1970-01-01T00:00:00Z",
            "stop": "2100-01-01T00:00:00Z",
            "predicate": f'_measurement="{self.measurement}"',
        }
        self.transport.fetch("POST", "/api/v2/delete", query=names, body=what)

    def read(self, dams: list[str], fields: list[str]) -> list[Block]:
        query = fleet_query(
            bucket=os.environ["INFLUXDB_V2_BUCKET"],
            measurement=self.measurement,
            fields=fields,
            dam_tag="dam",
            dams=dams,
            start=START,
            stop=START + timedelta(days=DAYS),
        )
        org = {"org": os.environ["INFLUXDB_V2_ORG"]}
        chunks = self.transport.stream("POST", QUERY_PATH, query=org, body=query_body(query))
        return list(read_blocks(chunks, "dam", self.transport.where))


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    dam = DamMapping(
        reservoir_id="a",
        tag_value="a",
        time_zone=ZoneInfo("UTC"),
        fields={Variable.LEVEL_M: FieldMapping(field="level")},
    )
    settings = InfluxSettings(
        url=os.environ["INFLUXDB_V2_URL"],
        token=os.environ["INFLUXDB_V2_TOKEN"],
        org=os.environ["INFLUXDB_V2_ORG"],
        bucket=os.environ["INFLUXDB_V2_BUCKET"],
        measurement="dams",
        dam_tag="dam",
        dams=(dam,),
        first_day=date(2020, 1, 1),
    )
    with InfluxTransport(settings) as transport:
        bucket = Bucket(transport, f"dam_warning_test_{uuid.uuid4().hex}")
        yield bucket
        bucket.delete()


def test_what_was_written_is_read_back(bucket: Bucket) -> None:
    tag = ODD_DAM.replace(" ", "\\ ").replace(",", "\\,")
    seconds = [int(START.timestamp()) + 86_400 * day for day in range(DAYS)]
    levels = [100 + day / 7 for day in range(DAYS)]
    rows = zip(seconds, levels, strict=True)
    bucket.write(
        [f"{bucket.measurement},dam={tag} level={level!r},gates={day}i {day}" for day, level in rows]
    )
    blocks = {(b.dam, b.field): b for b in bucket.read([ODD_DAM], ["level", "gates"])}
    assert set(blocks) == {(ODD_DAM, "level"), (ODD_DAM, "gates")}
    assert blocks[ODD_DAM, "level"].values.tolist() == levels
    assert blocks[ODD_DAM, "level"].times_ns.tolist() == [second * 1_000_000_000 for second in seconds]


def test_nothing_stored_is_an_empty_answer(bucket: Bucket) -> None:
    assert bucket.read(["nowhere"], ["level"]) == []


def test_more_tables_than_a_servers_queue_holds_are_read_whole(bucket: Bucket) -> None:
    second = int(START.timestamp())
    bucket.write([f"{bucket.measurement},dam=dam-{i} level={i} {second}" for i in range(3000)])
    blocks = bucket.read([f"dam-{i}" for i in range(3000)], ["level"])
    assert {b.dam: b.values.tolist() for b in blocks} == {f"dam-{i}": [float(i)] for i in range(3000)}


def test_readings_that_are_text_are_told(bucket: Bucket) -> None:
    bucket.write([f'{bucket.measurement},dam=a level="n/a" {int(START.timestamp())}'])
    with pytest.raises(SourceError, match="holds string values"):
        bucket.read(["a"], ["level"])
