"""`dam-warning report-failure` reaches people when the daemon cannot, whatever else is broken."""

from __future__ import annotations

import io
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest

from warning import failure
from warning.alerts.failure_message import Circumstances, Failure, failure_message
from warning.alerts.sms import SMS_SEPTETS, septets
from warning.cli.main import main
from warning.config.last_good import keep_last_good
from warning.demo.mailbox import ReceivedMail
from warning.ops.units import UnitState

from .conftest import World

UNIT = "dam-warning.service"
NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
OTHER = """
[recipients.village]
name = "Village"
email = "village@example.org"
least_severity = "emergency"
reservoirs = "all"
"""


def report(
    world: World, folder: Path | None = None, *, as_child: bool = False, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the command with what systemd hands over, `as_child` in a process of its own, as systemd does."""
    handed_over = {"MONITOR_SERVICE_RESULT": "exit-code", "MONITOR_EXIT_STATUS": "78", **variables}
    if folder is not None:
        handed_over["RUNTIME_DIRECTORY"] = str(folder)
    command = ["report-failure", "--unit", UNIT, "--config", str(world.config)]
    if as_child:
        return subprocess.run(
            [sys.executable, "-m", "warning", *command],
            env={**os.environ, **handed_over},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    out, err = io.StringIO(), io.StringIO()
    with mock.patch.dict(os.environ, handed_over), redirect_stdout(out), redirect_stderr(err):
        status = main(command)
    return subprocess.CompletedProcess(command, status, out.getvalue(), err.getvalue())


def break_threshold(world: World) -> None:
    path = world.config / "reservoirs.toml"
    path.write_text(path.read_text().replace("value = 40.0", 'value = "high"', 1))


def only_mail(world: World) -> ReceivedMail:
    (mail,) = world.mailbox.messages()
    return mail


def words(world: World) -> str:
    text = only_mail(world).text
    assert text is not None
    return text.read_text(encoding="utf-8")


def test_a_refused_configuration_reaches_a_person_with_every_problem_and_what_stands(world: World) -> None:
    world.write_readings("upper", world.crossing(43.0))
    world.cycle(deliver=False)
    keep_last_good(world.load())
    break_threshold(world)
    result = report(world, as_child=True)
    assert (result.returncode, result.stdout) == (0, "told: control_room\n"), result.stderr
    assert f"dam-warning on {socket.gethostname()}" in only_mail(world).subject
    text = words(world)
    for said in (
        "it refused its configuration (result exit-code, status 78)",
        "reservoirs.toml: reservoirs.upper.thresholds",
        "Upper dam, Lower dam",
        "Upper dam: EMERGENCY stood (alert 2)",
        "last sound configuration",
        "on no record",
        "sudo systemctl restart dam-warning.service",
    ):
        assert said in text


def test_without_a_last_good_copy_the_addresses_come_from_what_can_still_be_read(world: World) -> None:
    for name in ("warning.toml", "reservoirs.toml"):
        path = world.config / name
        path.write_text(path.read_text() + "\n[[[broken\n")
    result = report(world)
    assert result.returncode == 0, result.stderr
    assert "could still be read of the refused configuration" in words(world)
    assert "Upper dam, Lower dam" in words(world)


def test_a_sound_configuration_points_to_the_log(world: World) -> None:
    result = report(world, MONITOR_SERVICE_RESULT="signal", MONITOR_EXIT_STATUS="SEGV")
    assert result.returncode == 0, result.stderr
    assert "The configuration is sound" in words(world)
    assert f"journalctl -u {UNIT}" in words(world)


def test_those_who_want_findings_are_told_and_the_others_only_where_none_of_them_can_be(
    world: World,
) -> None:
    path = world.config / "recipients.toml"
    path.write_text(path.read_text() + OTHER)
    assert report(world).stdout == "told: control_room\n"
    apprise = 'apprise = ["env:NOWHERE"]'
    path.write_text(path.read_text().replace('email = "control.room@example.org"', apprise))
    result = report(world, NOWHERE="json://127.0.0.1:9/nobody-listens")
    assert (result.returncode, result.stdout) == (0, "told: village\n")
    assert "control_room by apprise" in result.stderr


def test_nothing_is_said_about_a_unit_that_was_stopped(world: World) -> None:
    result = report(world, MONITOR_SERVICE_RESULT="success", MONITOR_EXIT_STATUS="0")
    assert result.returncode == 0
    assert world.mailbox.messages() == ()


def test_the_same_failure_is_told_once_an_hour_and_another_at_once(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    assert report(world, folder).stdout.startswith("told:")
    assert report(world, folder).stdout.startswith("the same failure was told")
    assert report(world, folder, MONITOR_EXIT_STATUS="1").stdout.startswith("told:")
    assert len(world.mailbox.messages()) == 2


@pytest.mark.parametrize(
    ("later", "silent"),
    [(timedelta(minutes=59), True), (timedelta(hours=1), False), (timedelta(minutes=-1), False)],
)
def test_the_hour_is_counted_and_a_clock_set_back_silences_nothing(
    later: timedelta, silent: bool, tmp_path: Path
) -> None:
    failed = Failure(host="host", unit=UNIT, result="exit-code", exit_status="1")
    failure.note_told(tmp_path, failed, NOW)
    assert failure.told_lately(tmp_path, failed, NOW + later) is silent


def test_a_damaged_note_silences_nothing(tmp_path: Path) -> None:
    failed = Failure(host="host", unit=UNIT, result="exit-code", exit_status="1")
    for content in ("", "[]", '{"at": "soon", "reason": "exit-code 1"}'):
        (tmp_path / "told.json").write_text(content)
        assert not failure.told_lately(tmp_path, failed, NOW)


def test_nobody_told_is_said_by_the_exit_status(world: World) -> None:
    path = world.config / "warning.toml"
    path.write_text(path.read_text().replace(f"port = {world.mailbox.port}", "port = 9"))
    result = report(world)
    assert result.returncode == 1
    assert "NOBODY COULD BE TOLD" in result.stderr


def test_with_nothing_left_to_read_nobody_can_be_told_and_no_traceback_hides_it(world: World) -> None:
    for path in world.config.glob("*.toml"):
        path.unlink()
    result = report(world)
    assert result.returncode == 1
    assert "NOBODY COULD BE TOLD" in result.stderr
    assert "Traceback" not in result.stderr


@contextmanager
def hanging_server() -> Iterator[int]:
    """A mail server that takes connections and never says a word."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            try:
                while True:
                    taken.append(server.accept()[0])
            except OSError:
                return

        threading.Thread(target=take, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    for connection in taken:
        connection.close()


def test_a_mail_server_that_hangs_holds_up_neither_the_command_nor_another_way(world: World) -> None:
    with hanging_server() as port:
        path = world.config / "recipients.toml"
        path.write_text(path.read_text().replace("findings = true", 'apprise = ["env:HANGING"]'))
        url = f"mailto://127.0.0.1:{port}/?from=dam@example.org&to=jane@example.org&rto=2&cto=2"
        result = report(world, as_child=True, HANGING=url)
    assert (result.returncode, result.stdout) == (0, "told: control_room\n")
    assert "control_room by apprise env:HANGING" in result.stderr


def test_the_record_is_read_and_never_written(world: World) -> None:
    world.write_readings("upper", world.crossing(43.0))
    world.cycle(deliver=False)
    state = world.config / "state"
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in state.glob("journal*")}
    assert report(world).returncode == 0
    assert "EMERGENCY stood" in words(world)
    after = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in state.glob("journal*")}
    assert after == before


def test_a_damaged_record_is_said_and_stops_nothing(world: World) -> None:
    world.cycle(deliver=False)
    (world.config / "state" / "journal.sqlite3").write_bytes(b"no database" * 1000)
    assert report(world).returncode == 0
    assert "Which warnings stood is not known: the record could not be read" in words(world)


def stand_in_systemctl(folder: Path, *answers: str) -> Path:
    """A stand-in for systemctl, which nothing here has a systemd behind: it answers in turn."""
    folder.mkdir()
    for number, answer in enumerate(answers):
        (folder / str(number)).write_text(answer)
    script = folder / "systemctl"
    last = len(answers) - 1
    script.write_text(
        f"#!/bin/sh\nn=$(cat {folder}/n 2>/dev/null || echo 0)\n"
        f"cat {folder}/$n\n[ $n -ge {last} ] || echo $((n + 1)) >{folder}/n\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return folder


LOOPING = """\
ActiveState=activating
Result=exit-code
ExecMainStatus=1
NRestarts=3
ActiveExitTimestamp=@1763700000
"""


def test_a_daemon_that_keeps_failing_is_told_of_by_what_systemctl_says(world: World, tmp_path: Path) -> None:
    path = stand_in_systemctl(tmp_path / "bin", LOOPING)
    result = report(
        world, PATH=f"{path}:{os.environ['PATH']}", MONITOR_SERVICE_RESULT="", MONITOR_EXIT_STATUS=""
    )
    assert result.returncode == 0, result.stderr
    assert "keeps failing" in only_mail(world).subject
    assert "status 1" in words(world)
    assert "It last worked until Fri 21 Nov 2025, 04:40 (UTC+00:00)" in words(world)


def state(active: str, restarts: int = 1) -> UnitState:
    return UnitState(active=active, result="signal", exit_status="9", restarts=restarts, left_at=None)


@pytest.mark.parametrize(
    ("states", "again"),
    [
        ([state("activating"), state("activating"), state("active")], True),
        ([state("activating"), state("failed")], False),
        ([state("activating")] * 20, False),
        ([state("active", restarts=3)], False),
        ([None], False),
    ],
)
def test_a_daemon_that_came_up_again_by_itself_is_left_to_tell_of_it_itself(
    states: list[UnitState | None], again: bool
) -> None:
    answers = iter(states)
    paused: list[float] = []
    assert failure.works_again(lambda: next(answers), paused.append) is again
    assert sum(paused) <= failure.PATIENCE_S


@pytest.mark.parametrize("dams", [(), ("Upper dam",), tuple(f"Dam {n}" for n in range(500))])
@pytest.mark.parametrize("refusal", [None, "1 problem"])
def test_the_short_message_is_one_segment_and_says_that_nobody_watches(
    dams: tuple[str, ...], refusal: str | None
) -> None:
    failed = Failure(
        host="a-host-with-a-very-long-name.example.org", unit=UNIT, result="watchdog", exit_status=""
    )
    found = Circumstances(refusal=refusal, readers=None, dams=dams, record=())
    message = failure_message(failed, found, NOW)
    assert septets(message.sms) <= SMS_SEPTETS
    assert "NOBODY WATCHES" in message.sms
    assert "Read the gauges" in message.sms


def test_secrets_stay_out_of_the_message_and_the_output(world: World) -> None:
    secret = world.config / "mail-password"
    secret.write_text("hunter2-of-the-server")
    secret.chmod(0o600)
    path = world.config / "warning.toml"
    path.write_text(path.read_text() + 'user = "dam"\npassword = "file:mail-password"\n')
    break_threshold(world)
    result = report(world, NOWHERE="json://127.0.0.1:9/hunter2")
    mails = "".join(mail.eml.read_text(encoding="utf-8") for mail in world.mailbox.messages())
    assert "hunter2" not in result.stdout + result.stderr + mails
