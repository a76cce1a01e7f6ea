"""deploy/get-influxd where it has nothing to do, and where it cannot do it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "get-influxd"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder laid out like the repository, and a PATH in it with what every system has."""
    for folder in ("deploy", "bin"):
        (tmp_path / folder).mkdir()
    shutil.copy(SCRIPT, tmp_path / "deploy")
    for tool in ("sh", "dirname", "mktemp", "rm", "tail"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    return tmp_path


def run(clone: Path) -> subprocess.CompletedProcess[str]:
    command = [clone / "bin" / "sh", clone / "deploy" / "get-influxd"]
    return subprocess.run(command, env={"PATH": str(clone / "bin")}, capture_output=True, text=True)


def test_without_apt_it_says_what_to_put_where(clone):
    done = run(clone)
    assert done.returncode == 1
    assert "needs apt-get and dpkg" in done.stderr
    assert str(clone / ".influxd" / "influxd") in done.stderr


def test_a_failed_download_is_told_and_leaves_nothing_behind(clone):
    for tool in ("apt-get", "dpkg"):
        (clone / "bin" / tool).write_text(
            '#!/bin/sh\necho "E: Unable to locate package influxdb" >&2\nexit 100\n'
        )
        (clone / "bin" / tool).chmod(0o755)
    done = run(clone)
    assert done.returncode == 1
    assert "could not download the package influxdb: E: Unable to locate package" in done.stderr
    assert not (clone / ".influxd").exists()


def test_a_server_that_is_there_is_left_alone(clone):
    (clone / ".influxd").mkdir()
    (clone / ".influxd" / "influxd").touch(mode=0o755)
    done = run(clone)
    assert (done.returncode, done.stderr) == (0, "")
