"""The endpoints on a real port, asked by raw sockets: what they say, and that no client can hurt them."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from warning.errors import JournalError
from warning.ops import endpoints
from warning.ops.endpoints import MOST_AT_ONCE, Endpoints
from warning.ops.metrics import CycleView, DamView, HealthView, QueueView

CYCLE = CycleView(
    started_at=datetime(2026, 1, 2, 6, tzinfo=UTC), complete=True, duration_s=12.5, forecasts=2, failures=1
)
WELL = HealthView(
    version="0.1",
    digest="abc",
    dams=(
        DamView(reservoir_id="upper", severity_rank=3, unwatched=False, newest_reading_age_s=3600.0),
        DamView(reservoir_id='lo"w\\er', severity_rank=0, unwatched=True, newest_reading_age_s=None),
    ),
    last_cycle=CYCLE,
    last_complete_at=CYCLE.started_at,
    queue=QueueView(pending=1, failed=2, oldest_age_s=60.0),
    troubles=(),
    trouble_counts={"disk-low": 1},
    model_age_s=86400.0,
    disk_free_bytes=10**9,
)


class View:
    """What the endpoints are shown, to be changed by a test."""

    def __init__(self) -> None:
        self.shown: HealthView | Exception = WELL
        self.calls = 0

    def __call__(self) -> HealthView:
        self.calls += 1
        if isinstance(self.shown, Exception):
            raise self.shown
        return self.shown


@pytest.fixture
def view() -> View:
    return View()


@pytest.fixture
def port(view: View, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(endpoints, "FRESH_S", -1.0)
    served = Endpoints(("127.0.0.1", 0), view, request_s=1.0)
    served.start()
    address = None
    while address is None:
        address = served.address
    yield address[1]
    served.close()


def talk(port: int, *pieces: bytes, end: bool = False) -> bytes:
    """Send `pieces` and return all that comes back until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
        answer = b""
        try:
            for piece in pieces:
                line.sendall(piece)
            if end:
                line.shutdown(socket.SHUT_WR)
            while data := line.recv(65536):
                answer += data
        except ConnectionError:
            pass  # closed with something unread
        return answer


def get(
    port: int, path: str, host: str = "127.0.0.1", method: str = "GET"
) -> tuple[int, dict[str, str], str]:
    answer = talk(port, f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, body.decode()


def samples(text: str) -> dict[tuple[str, str], float]:
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_service_that_is_well_answers_200_with_its_last_cycle(port: int) -> None:
    status, headers, body = get(port, "/healthz")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body) == {
        "well": True,
        "troubles": [],
        "last_cycle": {"started_at": "2026-01-02T06:00:00+00:00", "complete": True},
        "digest": "abc",
        "version": "0.1",
    }


def test_a_trouble_answers_503_and_says_which_without_an_address(port: int, view: View) -> None:
    view.shown = replace(WELL, troubles=("warden@example.org cannot be reached",))
    status, _, body = get(port, "/healthz")
    assert (status, json.loads(body)["troubles"]) == (503, ["… cannot be reached"])


@pytest.mark.parametrize("path", ["/healthz", "/metrics"])
def test_a_record_that_cannot_be_read_answers_503(port: int, view: View, path: str) -> None:
    view.shown = JournalError("the record at postgresql://dam:secret@db is gone")
    status, _, body = get(port, path)
    assert status == 503
    assert "the record at" in body
    assert "secret" not in body
    view.shown = WELL
    assert get(port, path)[0] == 200


def test_a_fault_of_ours_is_logged_and_the_next_request_is_answered(
    port: int, view: View, caplog: pytest.LogCaptureFixture
) -> None:
    view.shown = ZeroDivisionError("ours")
    assert talk(port, b"GET /healthz HTTP/1.0\r\n\r\n") == b""
    assert "event=endpoint-failed" in caplog.text
    view.shown = WELL
    assert get(port, "/healthz")[0] == 200


def test_the_metrics_are_what_prometheus_reads(port: int) -> None:
    status, headers, body = get(port, "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=")
    found = samples(body)
    expected = {
        ("dam_warning_severity_rank", "upper"): 3,
        ("dam_warning_severity_rank", 'lo"w\\er'): 0,
        ("dam_warning_unwatched", "upper"): 0,
        ("dam_warning_unwatched", 'lo"w\\er'): 1,
        ("dam_warning_newest_reading_age_seconds", "upper"): 3600,
        ("dam_warning_last_complete_cycle_timestamp_seconds", ""): CYCLE.started_at.timestamp(),
        ("dam_warning_last_cycle_duration_seconds", ""): 12.5,
        ("dam_warning_last_cycle_forecasts", ""): 2,
        ("dam_warning_last_cycle_failures", ""): 1,
        ("dam_warning_deliveries_waiting", "pending"): 1,
        ("dam_warning_deliveries_waiting", "failed"): 2,
        ("dam_warning_oldest_delivery_age_seconds", ""): 60,
        ("dam_warning_troubles", "disk-low"): 1,
        ("dam_warning_model_age_seconds", ""): 86400,
        ("dam_warning_disk_free_bytes", ""): 1e9,
        ("dam_warning_configuration_info", "abc"): 1,
        ("dam_warning_build_info", "0.1"): 1,
    }
    assert {key: value for key, value in found.items() if key[0].startswith("dam_warning_")} == expected
    assert found["process_resident_memory_bytes", ""] > 1e6
    assert found["process_open_fds", ""] > 3


def test_what_is_unknown_is_left_out_and_never_a_number(port: int, view: View) -> None:
    view.shown = replace(
        WELL, last_cycle=None, last_complete_at=None, model_age_s=None, disk_free_bytes=None, dams=()
    )
    names = {name for name, _ in samples(get(port, "/metrics")[2])}
    assert not {name for name in names if "cycle" in name or "model" in name or "disk" in name}
    assert 'last_cycle": null' in get(port, "/healthz")[2]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:9797", "[::1]:9797"])
def test_a_host_that_is_this_machine_is_answered(port: int, host: str) -> None:
    assert get(port, "/healthz", host)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "", "127.0.0.1\r\nHost: evil.example"]
)
def test_a_page_that_had_its_name_resolve_to_loopback_learns_nothing(port: int, host: str) -> None:
    status, _, body = get(port, "/metrics", host)
    assert status == 421
    assert "dam_warning" not in body


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/healthz", 405), ("DELETE", "/metrics", 405), ("BREW", "/", 501), ("GET", "/etc/passwd", 404)],
)
def test_whatever_else_is_asked_is_refused(port: int, method: str, path: str, status: int) -> None:
    assert get(port, path, method=method)[0] == status


def test_head_has_no_body(port: int) -> None:
    status, headers, body = get(port, "/metrics", method="HEAD")
    assert (status, body) == (200, "")
    assert int(headers["content-length"]) > 100


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\r\n\r\n",
        b"\0\xff\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n: :\r\n\r\n",
    ],
)
def test_a_malformed_request_harms_nothing(port: int, request_bytes: bytes) -> None:
    talk(port, request_bytes)
    assert get(port, "/healthz")[0] == 200


def test_a_huge_request_is_refused(port: int) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    answer = talk(port, head, *[b"X: " + b"x" * 8000 + b"\r\n"] * 4)
    assert not answer or b" 431 " in answer
    assert get(port, "/healthz")[0] == 200


def test_clients_that_say_nothing_or_drip_are_cut_off_while_others_wait_no_longer_than_that(
    port: int,
) -> None:
    silent = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(MOST_AT_ONCE + 4)]
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.1):
            for line in silent[:3]:
                try:
                    line.send(b"G")
                except OSError:
                    return

    threading.Thread(target=drip, daemon=True).start()
    for line in silent:
        with suppress(ConnectionError):
            assert line.recv(1) == b""  # each is closed from the other side, although some went on
        line.close()
    stop.set()
    assert get(port, "/healthz")[0] == 200


def test_a_client_that_half_closes_is_answered_and_one_that_leaves_is_forgotten(port: int) -> None:
    assert b" 200 " in talk(port, b"GET /healthz HTTP/1.0\r\n\r\n", end=True)
    for _ in range(2 * MOST_AT_ONCE):
        socket.create_connection(("127.0.0.1", port), timeout=30).close()
        with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
            line.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    statuses = set()
    while 200 not in statuses:  # until the places of those that left are free
        answer = talk(port, b"GET /healthz HTTP/1.0\r\n\r\n")
        statuses.add(int(answer.split()[1]) if answer else 0)


def test_many_requests_cost_the_record_one_look(view: View) -> None:
    served = Endpoints(("127.0.0.1", 0), view)
    served.start()
    try:
        assert served.address is not None
        seen: Callable[[], Any] = served._view
        view.calls = 0
        for _ in range(20):
            seen()
        assert view.calls == 1
    finally:
        served.close()


def test_a_port_that_is_taken_is_told_once_and_used_as_soon_as_it_is_free(
    view: View, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        served = Endpoints(("127.0.0.1", port), view, again_s=0.05)
        served.start()
        assert served.address is None
        assert served.trouble is not None
        assert f"127.0.0.1:{port}" in served.trouble
        assert "watched all the same" in served.trouble
    while served.address is None:
        pass
    assert served.trouble is None
    assert get(port, "/healthz")[0] == 200
    served.close()
    assert caplog.text.count("event=endpoint-unavailable") == 1
