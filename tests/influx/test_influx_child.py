"""The child that speaks with InfluxDB: the same answer as in-process, and what is said when it fails.

The servers are a real InfluxDB 1.6 and the stand-in; the children are real processes, killed by real signals.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from annotated_server import Fault, readings
from annotated_server import StandIn as FluxStandIn

from warning.clock import monotonic_s
from warning.domain.readings import FleetReadings, RawReadings
from warning.domain.variables import Variable
from warning.errors import SourceError
from warning.sources import influx_child
from warning.sources.influx import InfluxSource
from warning.sources.influx_child import InfluxInChild, write_in_child
from warning.sources.influx_exchange import (
    pack_readings,
    pack_settings,
    read_answer,
    unpack_readings,
    unpack_settings,
    write_answer,
)
from warning.sources.influx_settings import Daily, DamMapping, FieldMapping, InfluxSettings, OutlookMapping

REPOSITORY = Path(__file__).resolve().parents[2]
TOKEN = "s3cret-t0ken-nobody-may-see"
FIRST = date(2024, 1, 1)
HALF_A_DAY_NS = 43_200_000_000_000
LEVEL, RAIN = Variable.LEVEL_M, Variable.RAIN_MM


def settings(url: str, **changes: Any) -> InfluxSettings:
    dams = tuple(
        DamMapping(
            reservoir_id=name,
            tag_value=tag,
            time_zone=ZoneInfo(zone),
            fields={
                LEVEL: FieldMapping(field="level", factor=0.3048, daily=Daily.MEAN),
                RAIN: FieldMapping(field="rain"),
            },
        )
        for name, tag, zone in (
            ("upper", "UP", "America/Los_Angeles"),
            ("lower", "Løwer Läke", "Asia/Kolkata"),
            ("dry", "DRY", "UTC"),
        )
    )
    plain = InfluxSettings(
        url=url,
        token=TOKEN,
        org="o",
        bucket="b",
        dialect="flux",
        measurement="gauges",
        dam_tag="dam",
        dams=dams,
        first_day=FIRST,
        retries=0,
        deadline_s=60.0,
    )
    return replace(plain, **changes)


def assert_same(one: FleetReadings, other: FleetReadings) -> None:
    assert list(one.readings) == list(other.readings)
    assert one.failures == other.failures
    for name, raw in one.readings.items():
        twin = other.readings[name]
        assert raw.complaints == twin.complaints
        assert raw.days.dtype == twin.days.dtype
        np.testing.assert_array_equal(raw.days, twin.days)
        assert list(raw.values) == list(twin.values)
        for variable, column in raw.values.items():
            assert column.tobytes() == twin.values[variable].tobytes()


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(one) for task in tasks for one in (task / "children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Silent:
    """A server that takes a question and says nothing; `asked` is set once it has one."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.over = threading.Event()

    def __call__(self, exchange: Any) -> None:
        self.asked.set()
        self.over.wait(120)


@pytest.fixture
def silent() -> Iterator[Silent]:
    server = Silent()
    yield server
    server.over.set()


def read_in_thread(source: InfluxInChild) -> tuple[threading.Thread, list[str]]:
    """Begin to read; the list holds the error's text once the thread has ended."""
    said: list[str] = []

    def read() -> None:
        try:
            source.read(["upper", "lower"])
        except SourceError as error:
            said.append(str(error))

    thread = threading.Thread(target=read)
    thread.start()
    return thread, said


def reading_child() -> int:
    """The process id of the one child that speaks with a server."""
    (pid,) = (
        pid
        for pid in children_of(os.getpid())
        if b"influx_worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    return pid


def test_every_setting_crosses_to_the_child_as_it_is() -> None:
    whole = settings(
        "https://ö.example.org:8086/x?y=z",
        user="keeper",
        password="p'a\"s$s:ö\n",
        database="d",
        retention_policy="r",
        verify_tls=False,
        ca_file=Path("dams.pem"),
        proxy="http://a:b@proxy:3128",
        read_timeout_s=0.1,
        retries=7,
        outlook=OutlookMapping(
            measurement="o", issued_tag="i", fields={RAIN: FieldMapping(field="r", factor=25.4)}
        ),
    )
    assert unpack_settings(pack_settings(whole, ["upper", "lower", "dry"])) == whole
    assert [dam.reservoir_id for dam in unpack_settings(pack_settings(whole, ["dry"])).dams] == ["dry"]


def test_a_real_servers_readings_are_the_same_through_the_child(influxd: Any, database: str) -> None:
    lines = [
        f"gauges,dam={tag} level={100 / 3 + day},rain={day} {1_704_103_200_000_000_000 + day * HALF_A_DAY_NS}"
        for day in range(400)
        for tag in ("UP", r"Løwer\ Läke")
    ]
    influxd.put(database, "\n".join(lines))
    asked = settings(influxd.url, dialect="auto", token=None, database=database)
    ids = ["lower", "dry", "upper", "stranger"]
    for last, first in ((None, None), (date(2024, 5, 1), None), (date(2024, 5, 1), date(2024, 3, 1))):
        direct = InfluxSource(asked).read(ids, last, first)
        assert set(direct.readings) == {"upper", "lower"}
        assert_same(InfluxInChild(asked).read(ids, last, first), direct)


def test_a_version_2_servers_readings_are_the_same_through_the_child() -> None:
    days = [FIRST + timedelta(days=day) for day in range(300)]
    tables = [
        readings("UP", "level", [(f"{day}T12:00:00Z", 700 + 0.1 * i) for i, day in enumerate(days)]),
        readings("Løwer Läke", "rain", [(f"{day}T12:00:00Z", 0.1 * i) for i, day in enumerate(days)]),
    ]
    with FluxStandIn(tables) as server:
        direct = InfluxSource(settings(server.url)).read(["upper", "lower", "dry"])
        assert set(direct.failures) == {"dry"}
        assert_same(InfluxInChild(settings(server.url)).read(["upper", "lower", "dry"]), direct)


def test_the_servers_own_refusals_keep_their_words() -> None:
    with FluxStandIn(fault=Fault.ERROR_TABLE) as server:
        told = []
        for source in (InfluxSource(settings(server.url)), InfluxInChild(settings(server.url))):
            with pytest.raises(SourceError) as caught:
                source.read(["upper"])
            told.append(str(caught.value))
    assert told[0] == told[1]


def test_a_child_that_is_killed_in_mid_read_costs_the_reading_and_says_so(
    stand_in: Callable[..., Any], silent: Silent
) -> None:
    thread, said = read_in_thread(InfluxInChild(settings(stand_in(silent).url)))
    assert silent.asked.wait(60)
    os.kill(reading_child(), signal.SIGKILL)
    thread.join(60)
    (told,) = said
    assert "the child that was to read was ended by signal SIGKILL" in told
    assert "nothing of what it read is used" in told
    assert TOKEN not in told


def test_a_server_that_hangs_is_left_at_the_sources_deadline(
    stand_in: Callable[..., Any], silent: Silent
) -> None:
    with pytest.raises(SourceError, match=r"not complete after 0\.5 s"):
        InfluxInChild(settings(stand_in(silent).url, deadline_s=0.5)).read(["upper"])


def test_a_child_that_itself_hangs_is_ended_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A FAKE child, which never looks at the deadline that it was handed."""
    monkeypatch.setattr(influx_child, "BESIDE_S", 0.5)
    monkeypatch.setattr(influx_child, "COMMAND", (sys.executable, "-c", "import time; time.sleep(600)"))
    with pytest.raises(
        SourceError, match="the child that was to read did not finish within 1 s and was ended"
    ):
        InfluxInChild(settings("http://127.0.0.1:9", deadline_s=0.5)).read(["upper"])


def test_the_secrets_stand_on_no_command_line_and_in_no_environment_of_the_child(
    stand_in: Callable[..., Any], silent: Silent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFLUX_TOKEN", TOKEN)
    thread, said = read_in_thread(InfluxInChild(settings(stand_in(silent).url, password="pa55word")))
    assert silent.asked.wait(60)
    child = reading_child()
    for held in (Path(f"/proc/{child}/cmdline").read_bytes(), Path(f"/proc/{child}/environ").read_bytes()):
        assert b"influx" in held or b"DAM_WARNING_PARENT" in held
        assert TOKEN.encode() not in held
        assert b"pa55word" not in held
    os.kill(child, signal.SIGKILL)
    thread.join(60)
    assert len(said) == 1


def test_when_the_daemon_is_killed_its_reading_child_dies_with_it(
    stand_in: Callable[..., Any], silent: Silent
) -> None:
    parent = (
        "import datetime, zoneinfo\n"
        "from warning.domain.variables import Variable\n"
        "from warning.sources.influx_child import InfluxInChild\n"
        "from warning.sources.influx_settings import DamMapping, FieldMapping, InfluxSettings\n"
        "dam = DamMapping(reservoir_id='a', tag_value='A', time_zone=zoneinfo.ZoneInfo('UTC'),\n"
        "                 fields={Variable.LEVEL_M: FieldMapping(field='h')})\n"
        f"InfluxInChild(InfluxSettings(url={stand_in(silent).url!r}, dialect='flux', bucket='b', token='t',\n"
        "    measurement='m', dam_tag='d', dams=(dam,), first_day=datetime.date(2024, 1, 1))).read(['a'])\n"
    )
    daemon = subprocess.Popen([sys.executable, "-c", parent], cwd=REPOSITORY)
    try:
        assert silent.asked.wait(60)
        (child,) = children_of(daemon.pid)
    finally:
        daemon.kill()
        daemon.wait()
    deadline = monotonic_s() + 20
    while alive(child) and monotonic_s() < deadline:
        time.sleep(0.02)
    assert not alive(child)


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("pass", "unusable"),
        ("open(int(sys.argv[1]), 'wb').write(b'rubbish')", "unusable"),
        ("np.savez(open(int(sys.argv[1]), 'wb'), plain=np.array([{}], dtype=object))", "unusable"),
        ("np.savez(open(int(sys.argv[1]), 'wb'), plain=np.frombuffer(b'[]', np.uint8))", "unusable"),
        ("np.savez(open(int(sys.argv[1]), 'wb'), plain=np.frombuffer(b'{}', np.uint8))", "unusable"),
        ("sys.exit('it cannot import the client')", "ended with status 1: it cannot import the client"),
    ],
    ids=["nothing", "rubbish", "a pickle", "no object", "an empty object", "an error"],
)
def test_what_is_no_answer_is_an_error_and_never_a_series(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, told: str
) -> None:
    """FAKE children."""
    (tmp_path / "fake.py").write_text(f"import sys\nimport numpy as np\n{program}\n")
    monkeypatch.setattr(influx_child, "COMMAND", (sys.executable, str(tmp_path / "fake.py")))
    with pytest.raises(SourceError, match=told):
        InfluxInChild(settings("http://127.0.0.1:9")).read(["upper"])


def fleet() -> FleetReadings:
    days = np.arange("2024-01-01", "2024-01-11", dtype="datetime64[D]")
    upper = RawReadings(days, {LEVEL: np.arange(10.0), RAIN: np.full(10, np.nan)}, ("no field 'x'",))
    lower = RawReadings(days[:4], {RAIN: np.arange(4.0)})
    return FleetReadings({"upper": upper, "lower": lower}, {"dry": "nothing"})


def test_a_fleet_taken_apart_is_the_same_when_put_together() -> None:
    out = io.BytesIO()
    write_answer(out, *pack_readings(fleet()))
    out.seek(0)
    assert_same(unpack_readings(*read_answer(out), ["upper", "lower", "dry"]), fleet())


@pytest.mark.parametrize("cut", [1, 100, 700])
def test_an_answer_that_was_cut_short_is_refused(cut: int) -> None:
    out = io.BytesIO()
    write_answer(out, *pack_readings(fleet()))
    with pytest.raises(SourceError, match="unusable"):
        read_answer(io.BytesIO(out.getvalue()[:-cut]))


def test_an_answer_with_a_flipped_bit_is_refused() -> None:
    out = io.BytesIO()
    write_answer(out, *pack_readings(fleet()))
    body = bytearray(out.getvalue())
    place = body.index(np.arange(10.0).tobytes())
    body[place + 15] ^= 1
    with pytest.raises(SourceError, match="unusable"):
        read_answer(io.BytesIO(bytes(body)))


@pytest.mark.parametrize(
    "change",
    [
        lambda plain, arrays: plain["dams"].pop(),
        lambda plain, arrays: plain["failures"].clear(),
        lambda plain, arrays: plain["failures"].update(stranger="who?"),
        lambda plain, arrays: plain["dams"].append(plain["dams"][0]),
        lambda plain, arrays: plain["dams"][0].__setitem__(1, 9),
        lambda plain, arrays: plain["dams"][0].__setitem__(1, True),
        lambda plain, arrays: plain["dams"][0].__setitem__(2, ["level_m"]),
        lambda plain, arrays: plain["dams"][0].__setitem__(2, ["level_m", "gold"]),
        lambda plain, arrays: arrays.update(level_m=arrays["level_m"][:-1]),
        lambda plain, arrays: arrays.update(level_m=arrays["level_m"].astype(np.float32)),
        lambda plain, arrays: arrays.update(days=arrays["days"].astype("datetime64[ns]")),
        lambda plain, arrays: arrays.pop("days"),
    ],
)
def test_a_dam_missing_or_a_series_of_another_length_is_refused(change: Callable[..., object]) -> None:
    plain, arrays = pack_readings(fleet())
    change(plain, arrays)
    with pytest.raises(SourceError, match="unusable"):
        unpack_readings(plain, arrays, ["upper", "lower", "dry"])


def test_points_with_line_breaks_in_their_texts_arrive_through_the_child(influxd: Any, database: str) -> None:
    asked = settings(influxd.url, dialect="influxql", token=None, database=database)
    points = [f'notes,dam=UP text="line {at}\nbreak" {at}' for at in range(1, 2502)]
    assert write_in_child(asked, iter(points)) == len(points)
    found = influxd.ask("SELECT count(text), last(text) FROM notes", database)
    assert found["results"][0]["series"][0]["values"][0][1:] == [2501, "line 2501\nbreak"]
