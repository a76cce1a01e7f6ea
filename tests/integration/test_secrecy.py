"""Where secrets and addresses never stand: the log, a command line, a file that others can read."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from warning.errors import ForecastError, ModelError
from warning.forecasting.exchange import read_folder
from warning.forecasting.registry import PARAMETERS, Registry

LIMIT_S = 60.0
MAIL_USER, MAIL_PASSWORD, PING, HOOK = "mailuser-4711", "hunter2-4712", "ping-4713", "hook-4714"
SECRETS = (MAIL_USER, MAIL_PASSWORD, PING, HOOK, "control.room", "warden-4715", "15305550101")


@pytest.fixture
def refusing_port() -> Iterator[int]:
    """A port that nobody listens on and nobody else can take."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def write_failing(world: Any, port: int) -> None:
    """Let every recipient, and the dead-man service, be where nobody answers; readings end today."""
    text = (world.config / "warning.toml").read_text().split("[mail]")[0]
    text += (
        f'[health]\nlisten = "off"\nping_url = "file:ping"\n[mail]\nhost = "127.0.0.1"\nport = {port}\n'
        f'security = "none"\nuser = "{MAIL_USER}"\npassword = "file:password"\n'
        'from_address = "warden-4715@example.org"\n'
    )
    (world.config / "warning.toml").write_text(text)
    recipients = (world.config / "recipients.toml").read_text()
    (world.config / "recipients.toml").write_text(recipients + 'apprise = ["file:hook", "file:sms"]\n')
    for name, secret in (
        ("password", MAIL_PASSWORD),
        ("ping", f"http://127.0.0.1:{port}/{PING}"),
        ("hook", f"json://{MAIL_USER}:{MAIL_PASSWORD}@127.0.0.1:{port}/{HOOK}?+X-Token={HOOK}"),
        ("sms", f"json://127.0.0.1:{port}/?to=%2B15305550101"),
    ):
        (world.config / name).touch(0o600)
        (world.config / name).write_text(secret)
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=n) for n in range(120, -1, -1)]
    levels = {day: 30.0 + 0.01 * (n % 7) for n, day in enumerate(days)}
    for dam, last in (("upper", 42.5), ("lower", 30.0)):
        world.write_readings(dam, levels | {days[-2]: (30.0 + last) / 2, days[-1]: last})


def command_lines() -> list[str]:
    """The command line of every process that can be seen."""
    lines = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit():
                lines.append(
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                )
    return lines


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_daemon_whose_recipients_all_fail_logs_no_address_and_no_secret_at_debug(
    world: Any, refusing_port: int, form: str, tmp_path: Path
) -> None:
    write_failing(world, refusing_port)
    command = [sys.executable, "-m", "warning", "--debug", "run", "--config", str(world.config)]
    path = tmp_path / "log"
    seen: set[str] = set()
    with path.open("w") as log:
        daemon = subprocess.Popen(
            [*command, "--log-level", "debug", "--log-format", form], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            limit = time.monotonic() + LIMIT_S
            while path.read_text().count("delivery-failed") < 3:
                assert time.monotonic() < limit, path.read_text()
                seen.update(command_lines())
                time.sleep(0.02)
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(LIMIT_S) == 0
        finally:
            daemon.kill()
            daemon.wait()
    text = path.read_text()
    assert [secret for secret in SECRETS if secret in text] == []
    assert [line for line in seen for secret in SECRETS if secret in line] == []
    if form == "json":
        assert all(
            {"level", "part", "event", "fields"} <= json.loads(line).keys() for line in text.splitlines()
        )


def test_what_a_cycle_leaves_is_for_its_owner_alone(world: Any, refusing_port: int) -> None:
    write_failing(world, refusing_port)
    before = os.umask(0o022)
    try:
        command = [sys.executable, "-m", "warning", "cycle", "--config", str(world.config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        os.umask(before)
    assert "Deliveries:" in done.stdout, done.stderr
    state = world.load().state_directory
    found = {path: path.stat().st_mode & 0o777 for path in (state, *state.rglob("*"))}
    assert len(found) > 1
    assert {p: oct(m) for p, m in found.items() if m != (0o700 if p.is_dir() else 0o600)} == {}


class Bomb:
    """Unpickled, it leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return Path.touch, (self.trace,)


def test_a_pickle_among_the_arrays_of_a_child_is_refused_and_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "exploded"
    (tmp_path / "result.json").write_text("{}")
    with zipfile.ZipFile(tmp_path / "result.npz", "w") as file:
        header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
        head = header + b" " * (63 - (10 + len(header)) % 64) + b"\n"
        body = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + pickle.dumps(Bomb(trace))
        file.writestr("x.npy", body)
    with pytest.raises(ForecastError, match="pickle"):
        read_folder(tmp_path, "result")
    assert not trace.exists()


def test_a_checkpoint_in_place_of_a_models_parameters_is_refused_and_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "exploded"
    folder = tmp_path / "models" / "20260101T000000Z-0000"
    folder.mkdir(parents=True)
    (folder / PARAMETERS).write_bytes(pickle.dumps(Bomb(trace)))
    (folder / "model.pt").write_bytes(pickle.dumps(Bomb(trace)))
    (folder / "manifest.json").write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(ModelError):
        Registry(tmp_path).promote(folder.name)
    assert not trace.exists()
    assert not any(summary.active for summary in Registry(tmp_path).list())
