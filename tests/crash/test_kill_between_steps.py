"""`kill -9` between every two steps of record and delivery: nothing is lost, and hardly anything repeated."""

from __future__ import annotations

import email
import email.policy
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from warning.journal.journal import Journal

DRIVER = Path(__file__).with_name("driver.py")
NEVER = 0
LATER_S = 600  # after a restart: every claim has lapsed
FIRST, NOTICE = "Alert 1", "NOT DELIVERED to ghost: Alert 1"
EVERYTHING = {(who, what) for who in ("jane@example.org", "omar@example.org") for what in (FIRST, NOTICE)}


class Mailbox:
    """Takes every mail, but has Omar try twice."""

    def __init__(self) -> None:
        self.got: Counter[tuple[str, str]] = Counter()
        self.refusals = 1

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if address.startswith("omar") and self.refusals:
            self.refusals -= 1
            return "451 later"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.got[envelope.rcpt_tos[0], str(mail["Subject"])] += 1
        return "250 ok"


class LoopbackController(Controller):
    """A controller that takes whatever port is free."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class Scene:
    """A fresh record and mailbox for every run of the driver's children."""

    def __init__(self, folder: Path, driver: subprocess.Popen[str]) -> None:
        self._folder = folder
        self._driver = driver
        self._runs = 0
        self._empty = folder / "empty.db"
        Journal.open(f"sqlite:///{self._empty}").close()
        self.box = Mailbox()
        self._controller = LoopbackController(self, hostname="127.0.0.1", port=0)
        self._controller.start()

    async def handle_RCPT(self, *step: Any) -> str:  # noqa: N802
        return await self.box.handle_RCPT(*step)

    async def handle_DATA(self, *step: Any) -> str:  # noqa: N802
        return await self.box.handle_DATA(*step)

    def close(self) -> None:
        self._controller.stop()

    def begin(self) -> None:
        """Start over with an empty record and an empty mailbox."""
        self._runs += 1
        self.box = Mailbox()
        self.record = self._folder / f"record{self._runs}.db"
        shutil.copy(self._empty, self.record)

    def run(self, at_s: int, kill_at: int) -> str:
        """Record and deliver in a child that is killed at a step; say how it ended."""
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        line = f"sqlite:///{self.record} {self._controller.port} {at_s} {kill_at}\n"
        self._driver.stdin.write(line)
        self._driver.stdin.flush()
        return self._driver.stdout.readline().strip()

    def recorded_subjects(self) -> set[str]:
        with sqlite3.connect(self.record) as connection:
            return {subject for (subject,) in connection.execute("SELECT subject FROM messages")}

    def unsettled(self) -> int:
        with sqlite3.connect(self.record) as connection:
            query = "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'failed')"
            return int(connection.execute(query).fetchone()[0])


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory where there is one: a killed process does not lose what only the kernel holds."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as made:
        yield Path(made)


@contextmanager
def opened_scene(folder: Path) -> Iterator[Scene]:
    folder.mkdir()
    no_certificates = {"SSL_CERT_FILE": "/nowhere", "SSL_CERT_DIR": "/nowhere"}  # loading them takes long
    command = [sys.executable, str(DRIVER)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | no_certificates,
    ) as driver:
        made = Scene(folder, driver)
        try:
            yield made
        finally:
            made.close()
            driver.kill()


@pytest.fixture
def scene(folder: Path) -> Iterator[Scene]:
    with opened_scene(folder / "scene") as made:
        yield made


def steps_of_an_undisturbed_run(scene: Scene) -> int:
    scene.begin()
    steps = int(scene.run(0, NEVER))
    assert scene.box.got == dict.fromkeys(EVERYTHING, 1)
    assert scene.unsettled() == 0
    return steps


def check_after_kill(scene: Scene) -> None:
    """Recorded before sent: whatever is in a mailbox stands in the record at every moment."""
    assert {subject for _, subject in scene.box.got} <= scene.recorded_subjects()


def check_after_restart(scene: Scene, most_repeated: int) -> None:
    assert set(scene.box.got) == EVERYTHING, "a warning was lost, or sent under another number"
    assert scene.box.got.total() - len(EVERYTHING) <= most_repeated
    assert scene.unsettled() == 0


def kill_at(scene: Scene, step: int) -> None:
    scene.begin()
    assert scene.run(0, step) == "killed", step
    check_after_kill(scene)
    assert scene.run(LATER_S, NEVER).isdigit(), step
    check_after_restart(scene, most_repeated=1)


def test_a_kill_at_any_step_loses_nothing_and_repeats_at_most_one_mail(scene: Scene, folder: Path) -> None:
    steps = steps_of_an_undisturbed_run(scene)
    assert steps > 60

    with opened_scene(folder / "other") as other, ThreadPoolExecutor(2) as pool:
        halves = [(scene, range(1, steps + 1, 2)), (other, range(2, steps + 1, 2))]
        work = [pool.submit(lambda at, half: [kill_at(at, s) for s in half], *half) for half in halves]
        done = [len(half.result()) for half in work]
    assert sum(done) == steps


@pytest.mark.parametrize("stride", [7, 23])
def test_being_killed_again_and_again_loses_nothing(scene: Scene, stride: int) -> None:
    scene.begin()
    kills = 0
    while scene.run(kills * LATER_S, stride * (kills + 1)) == "killed":
        check_after_kill(scene)
        kills += 1
        assert kills < 99
    assert kills > 0
    check_after_restart(scene, most_repeated=kills)


def test_a_second_run_sends_nothing_again(scene: Scene) -> None:
    steps_of_an_undisturbed_run(scene)
    assert scene.run(LATER_S, NEVER).isdigit()
    check_after_restart(scene, most_repeated=0)
