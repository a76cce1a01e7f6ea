"""Years of a fleet in one read from InfluxDB, beside what influxdb-client itself offers for it.

    python tests/benchmarks/influx_read.py [flux | influxql]

Every reader runs in a process of its own and is sent the same readings in the same run: 1,000 dams × 3,650
days of one field, and a day's refresh of 10,000 dams × 5 fields. Ours is the source's whole reading, to each
dam's days; as the daemon reads, a child of that process reads, and its memory is beside it. Flux comes from
a stand-in server with answers encoded beforehand, in the 4 KiB chunks of a 2.x server, so that its own time
is that of the loopback; InfluxQL comes from a real InfluxDB 1.6 where `sh deploy/get-influxd` has put one.
`query_data_frame()` is measured where pandas is installed. Peak memory is the process's largest resident
set; on a machine that is busy otherwise, the processor's seconds tell more than the clock's.
"""

from __future__ import annotations

import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from influxdb_client.client.influxdb_client import InfluxDBClient

from warning.domain.variables import Variable
from warning.sources.annotated_csv import ANNOTATIONS
from warning.sources.flux import fleet_query, query_body
from warning.sources.influx import InfluxSource
from warning.sources.influx_child import InfluxInChild
from warning.sources.influx_settings import DamMapping, FieldMapping, InfluxSettings
from warning.sources.source import ReadingSource

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "influx"))
from conftest import BINARY, InfluxServer

FIRST_DAY = date(2015, 1, 1)
SIZES = {"years": (1_000, 1, 3_650), "converted": (1_000, 1, 3_650), "refresh": (10_000, 5, 1)}
TITLES = {
    "years": "1,000 dams x 3,650 days, two decimals",
    "converted": "1,000 dams x 3,650 days, 15 to 17 digits as unit conversion leaves them",
    "refresh": "a day's refresh of 10,000 dams x 5 fields",
}
CHUNK_BYTES, BATCH_LINES = 4096, 100_000
CLIENT_ANNOTATIONS = ("datatype", "group", "default")
FLUX, INFLUXQL = "dam-warning, Flux", "dam-warning, InfluxQL"
IN_CHILD = ", as the daemon reads"


def series(bucket: str) -> Iterator[tuple[str, str, list[str]]]:
    """Yield each series of a bucket as dam, field and the values of its days as they are written."""
    dams, fields, days = SIZES[bucket]
    for dam in range(dams):
        for field in range(fields):
            levels = [200 + dam % 89 + (day * 37 + dam * 11) % 1000 / 100 for day in range(days)]
            converted = bucket == "converted"
            texts = [repr(level * 0.3048 + 1 / 7) if converted else f"{level:.2f}" for level in levels]
            yield f"dam-{dam:05d}", f"field{field}", texts


def days_of(bucket: str) -> list[date]:
    return [FIRST_DAY + timedelta(days=day) for day in range(SIZES[bucket][2])]


def encoded(bucket: str, annotations: Sequence[str]) -> Iterator[bytes]:
    """Yield a bucket as a 2.x server's answer, a table at a time."""
    rest = {
        "datatype": "string,long,dateTime:RFC3339,double,string,string",
        "group": "false,false,false,false,true,true",
        "default": "_result,,,,,",
    }
    yield "".join(f"#{name},{rest[name]}\r\n" for name in annotations).encode()
    yield b",result,table,_time,_value,_field,dam\r\n"
    times = [f"{day}T12:00:00Z" for day in days_of(bucket)]
    for table, (dam, field, texts) in enumerate(series(bucket)):
        rows = zip(times, texts, strict=True)
        yield "".join(f",,{table},{at},{text},{field},{dam}\r\n" for at, text in rows).encode()
    yield b"\r\n"


class StandIn(BaseHTTPRequestHandler):
    """Sends the answer of the bucket that a query names."""

    protocol_version = "HTTP/1.1"
    framed: dict[tuple[str, ...], bytes] = {}  # noqa: RUF012 - one store for all requests

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        bucket = next(name for name in SIZES if f'bucket: "{name}"' in asked["query"])
        wanted = asked["dialect"]["annotations"]
        if (bucket, *wanted) not in self.framed:
            for old in [old for old in self.framed if old[0] != bucket]:
                del self.framed[old]
            self.framed[bucket, *wanted] = b"".join(chunked(b"".join(encoded(bucket, wanted))))
        self.send_response(200)
        self.send_header("Content-Type", "text/csv; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(self.framed[bucket, *wanted])

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


def chunked(body: bytes) -> Iterator[bytes]:
    """Frame `body` for HTTP/1.1."""
    for start in range(0, len(body), CHUNK_BYTES):
        piece = body[start : start + CHUNK_BYTES]
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def load(server: InfluxServer, bucket: str) -> None:
    """Write a bucket to a real server, as a database."""
    server.ask(f'CREATE DATABASE "{bucket}"')
    noons = [datetime(day.year, day.month, day.day, 12, tzinfo=UTC) for day in days_of(bucket)]
    times = [int(noon.timestamp()) * 1_000_000_000 for noon in noons]
    lines: list[str] = []
    for dam, field, texts in series(bucket):
        lines += [f"dams,dam={dam} {field}={text} {at}" for at, text in zip(times, texts, strict=True)]
        if len(lines) >= BATCH_LINES:
            server.put(bucket, "\n".join(lines))
            lines.clear()
    server.put(bucket, "\n".join(lines))


def settings(url: str, bucket: str, dialect: Literal["flux", "influxql"]) -> InfluxSettings:
    dams, fields, _ = SIZES[bucket]
    mapped = {v: FieldMapping(field=f"field{i}") for i, v in enumerate(tuple(Variable)[:fields])}
    zone = ZoneInfo("America/Los_Angeles")
    names = [f"dam-{dam:05d}" for dam in range(dams)]
    return InfluxSettings(
        url=url,
        dialect=dialect,
        token="t" if dialect == "flux" else None,
        org="o",
        bucket=bucket,
        database=bucket,
        measurement="dams",
        dam_tag="dam",
        dams=tuple(DamMapping(reservoir_id=n, tag_value=n, time_zone=zone, fields=mapped) for n in names),
        first_day=FIRST_DAY,
    )


def read_source(
    url: str,
    bucket: str,
    dialect: Literal["flux", "influxql"],
    reader: Callable[[InfluxSettings], ReadingSource] = InfluxSource,
) -> int:
    fleet = settings(url, bucket, dialect)
    readings = reader(fleet).read([dam.reservoir_id for dam in fleet.dams])
    assert not readings.failures, next(iter(readings.failures.values()))
    return sum(values.size for raw in readings.readings.values() for values in raw.values.values())


def flux_text(bucket: str) -> str:
    dams, fields, _ = SIZES[bucket]
    return fleet_query(
        bucket=bucket,
        measurement="dams",
        fields=[f"field{field}" for field in range(fields)],
        dam_tag="dam",
        dams=[f"dam-{dam:05d}" for dam in range(dams)],
        start=datetime(2015, 1, 1, tzinfo=UTC),
        stop=datetime(2026, 1, 1, tzinfo=UTC),
    )


def read_records(url: str, bucket: str) -> int:
    with InfluxDBClient(url=url, token="t", org="o", timeout=600_000) as client:
        return sum(len(table.records) for table in client.query_api().query(flux_text(bucket)))


def read_frame(url: str, bucket: str) -> int:
    warnings.simplefilter("ignore")  # it advises a pivot, which would change what is measured
    with InfluxDBClient(url=url, token="t", org="o", timeout=600_000) as client:
        return len(client.query_api().query_data_frame(flux_text(bucket)))


def take_flux(url: str, bucket: str, annotations: Sequence[str] = ANNOTATIONS) -> int:
    """Take the bytes of the answer and do nothing with them: the server's own time."""
    body = {**query_body(flux_text(bucket)), "dialect": {"annotations": list(annotations)}}
    return take(urllib.request.Request(f"{url}/api/v2/query", json.dumps(body).encode()))


def take_influxql(url: str, bucket: str) -> int:
    names = {"db": bucket, "epoch": "ns", "chunked": "true", "chunk_size": "10000"}
    names["q"] = 'SELECT /^field/ FROM "dams" GROUP BY "dam"'
    return take(urllib.request.Request(f"{url}/query?{urllib.parse.urlencode(names)}"))


def take(request: urllib.request.Request) -> int:
    with urllib.request.urlopen(request) as answer:
        while answer.read(1 << 20):
            pass
    return 0


READERS: dict[str, Callable[[str, str], int]] = {
    "the answer's bytes alone": take_flux,
    FLUX: lambda url, bucket: read_source(url, bucket, "flux"),
    FLUX + IN_CHILD: lambda url, bucket: read_source(url, bucket, "flux", InfluxInChild),
    "query_api().query()": read_records,
    "query_api().query_data_frame()": read_frame,
    "influxd 1.6's bytes alone": take_influxql,
    INFLUXQL: lambda url, bucket: read_source(url, bucket, "influxql"),
    INFLUXQL + IN_CHILD: lambda url, bucket: read_source(url, bucket, "influxql", InfluxInChild),
}


def measure(reader: str, url: str, bucket: str) -> None:
    """Read once in this process, and print what it took."""
    begin = time.perf_counter()
    rows = READERS[reader](url, bucket)
    seconds = time.perf_counter() - begin
    own, child = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu_s = sum(used.ru_utime + used.ru_stime for used in (own, child))
    peaks = {"peak_mib": own.ru_maxrss / 1024, "child_mib": child.ru_maxrss / 1024}
    print(json.dumps({"rows": rows, "seconds": seconds, "cpu_s": cpu_s, **peaks}))


def compare(url: str, bucket: str, readers: Sequence[str], ours: str) -> None:
    """Print each reader's figures, each from a process of its own, and ours beside the client's."""
    results: dict[str, dict[str, float]] = {}
    for reader in readers:
        command = [sys.executable, __file__, "measure", reader, url, bucket]
        results[reader] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    for reader, result in results.items():
        speed = f"{result['rows'] / result['seconds']:12,.0f} rows/s" if result["rows"] else " " * 19
        line = f"  {reader:32}{result['seconds']:8.2f} s ({result['cpu_s']:6.2f} s of cpu)"
        line += f"{speed}{result['peak_mib']:9.0f} MiB"
        if result["child_mib"]:
            line += f" and {result['child_mib']:.0f} MiB in its child"
        if reader.startswith("query_api"):
            faster = result["seconds"] / results[ours]["seconds"]
            share = results[ours]["peak_mib"] / result["peak_mib"]
            line += f"   ours: {faster:.1f} x its rows/s at {share:.2f} of its memory"
        print(line, flush=True)
    alone = next(result["seconds"] for result in results.values() if not result["rows"])
    print(f"  beyond the server's own time: {results[ours]['seconds'] - alone:.2f} s", flush=True)


def compare_flux() -> None:
    readers = list(READERS)[:5]
    if importlib.util.find_spec("pandas") is None:
        print("pandas is not installed: query_data_frame() is left out")
        readers.pop()
    server = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        for bucket, few in (("years", readers), ("converted", readers[:3]), ("refresh", readers[:4])):
            for annotations in (ANNOTATIONS, CLIENT_ANNOTATIONS):
                take_flux(url, bucket, annotations)  # so that the server has encoded it
            print(f"{TITLES[bucket]}: Flux")
            compare(url, bucket, few, FLUX)
    finally:
        server.kill()


def compare_influxql() -> None:
    if not BINARY.is_file():
        print(f"there is no {BINARY}: InfluxQL is left out; `sh deploy/get-influxd` fetches it")
        return
    with tempfile.TemporaryDirectory() as folder:
        server = InfluxServer(Path(folder))
        server.start()
        try:
            for bucket in ("years", "refresh"):
                load(server, bucket)
                take_influxql(server.url, bucket)
                print(f"{TITLES[bucket]}: InfluxQL from a real influxd")
                compare(server.url, bucket, list(READERS)[5:], INFLUXQL)
        finally:
            server.stop()


def serve() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(*sys.argv[2:])
    elif sys.argv[1:2] == ["serve"]:
        serve()
    else:
        if sys.argv[1:] != ["influxql"]:
            compare_flux()
        if sys.argv[1:] != ["flux"]:
            compare_influxql()
