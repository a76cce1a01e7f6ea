"""What systemd hears, on real datagram sockets by path and by abstract name."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from warning.ops.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def bound(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket as systemd binds it, and what NOTIFY_SOCKET says of it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@dam-warning-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind("\0" + name[1:] if name.startswith("@") else name)
        server.settimeout(10)
        yield server, name


def test_each_state_arrives_as_one_datagram(bound: tuple[socket.socket, str]) -> None:
    server, name = bound
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": name})
    notifier.ready()
    notifier.reloading(123456)
    notifier.status("next cycle\n06:00")
    notifier.watchdog()
    notifier.stopping()
    heard = [server.recv(4096).decode() for _ in range(5)]
    assert heard == [
        "READY=1",
        "RELOADING=1\nMONOTONIC_USEC=123456",
        "STATUS=next cycle 06:00",
        "WATCHDOG=1",
        "STOPPING=1",
    ]


def test_without_a_socket_nothing_happens() -> None:
    notifier = Notifier.from_environment({"WATCHDOG_USEC": "1000000"})
    notifier.ready()
    notifier.watchdog()
    assert notifier.watchdog_every_s is None


@pytest.mark.parametrize("address", ["", "relative/path", "vsock:2:1234"])
def test_an_address_of_another_kind_is_left_alone(address: str) -> None:
    Notifier.from_environment({"NOTIFY_SOCKET": address}).ready()


def test_a_socket_that_has_gone_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    notifier.ready()
    notifier.watchdog()
    assert caplog.text.count("event=notify-failed") == 1


@pytest.mark.parametrize(
    ("variables", "every_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_demanded(
    variables: dict[str, str], every_s: float | None
) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": "/run/notify", **variables})
    assert notifier.watchdog_every_s == every_s
