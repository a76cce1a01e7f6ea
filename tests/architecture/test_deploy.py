"""`deploy/try` makes its .venv once and completely, and hands on what it is told. A script plays Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

# Answers what deploy/try asks of Python: a version, the venv module, a venv, an installation.
FAKE_PYTHON = """#!/bin/sh
case "$*" in
    "-c import sys"*) exit "${TOO_OLD-0}" ;;
    "-c import ensurepip"*) exit "${NO_VENV-0}" ;;
    "-m venv "*)
        mkdir -p "$3/bin" && cp "$0" "$3/bin/python"
        printf '#!/bin/sh\\nprintf "%%s|" "$@"\\n' >"$3/bin/dam-warning" && chmod +x "$3/bin/dam-warning" ;;
    "-m pip install "*) echo "$*" >>"$LOG"; exit "${PIP_FAILS-0}" ;;
    -V) echo "Python 3.9.2" ;;
    *) echo "unexpected: $*" >&2; exit 99 ;;
esac
"""


class Clone:
    """A clone with only what deploy/try reads, on a PATH with one Python, the fake one."""

    def __init__(self, folder: Path, real_root: Path) -> None:
        self.root = folder / "a clone"
        self.log = folder / "installations"
        self._path = folder / "bin"
        (self.root / "deploy").mkdir(parents=True)
        self._path.mkdir()
        for name in ("deploy/try", "deploy/constraints.txt", "pyproject.toml"):
            shutil.copy(real_root / name, self.root / name)
        for tool in ("sh", "cat", "cksum", "cp", "chmod", "dirname", "mkdir", "rm"):
            (self._path / tool).symlink_to(shutil.which(tool) or pytest.fail(f"no {tool} here"))
        (self._path / "python3.12").write_text(FAKE_PYTHON)
        (self._path / "python3.12").chmod(0o755)

    def call(
        self, *arguments: str, at: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", str(self.root / "deploy" / "try"), *arguments],
            cwd=at or self.root,
            env={"PATH": str(self._path), "LOG": str(self.log)} | dict(environment or {}),
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def installations(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


@pytest.fixture
def clone(root: Path, tmp_path: Path) -> Clone:
    return Clone(tmp_path, root)


def test_the_first_call_installs_and_the_next_does_not(clone: Clone) -> None:
    for _ in range(2):
        assert clone.call("demo").returncode == 0
    assert clone.installations == 1
    installed = clone.log.read_text()
    assert f"-e {clone.root}[test] -c {clone.root}/deploy/constraints.txt" in installed


def test_arguments_reach_the_command_unchanged_from_any_directory(clone: Clone, tmp_path: Path) -> None:
    result = clone.call("backtest", "my folder", "--seed", "1", at=tmp_path)
    assert result.stdout == "backtest|my folder|--seed|1|"


def test_an_interrupted_installation_is_redone_from_scratch(clone: Clone) -> None:
    assert clone.call("demo", environment={"PIP_FAILS": "1"}).returncode != 0
    left_over = clone.root / ".venv" / "half"
    left_over.touch()
    assert clone.call("demo").returncode == 0
    assert clone.installations == 2
    assert not left_over.exists()


def test_new_pins_are_installed_over_the_old(clone: Clone) -> None:
    clone.call("demo")
    with (clone.root / "deploy" / "constraints.txt").open("a") as pins:
        pins.write("# another version\n")
    assert clone.call("demo").returncode == 0
    assert clone.installations == 2


def test_a_moved_clone_gets_a_venv_of_its_new_place(clone: Clone) -> None:
    clone.call("demo")
    clone.root = clone.root.rename(clone.root.with_name("moved"))
    assert clone.call("demo").returncode == 0
    assert clone.installations == 2


def test_somebodys_own_venv_is_installed_into_and_not_thrown_away(clone: Clone) -> None:
    theirs = clone.root / ".venv" / "theirs"
    theirs.parent.mkdir()
    theirs.touch()
    assert clone.call("demo").returncode == 0
    assert theirs.exists()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TOO_OLD": "1"}, "needs Python 3.11 or newer, found none"),
        ({"NO_VENV": "1"}, "python3.12 lacks the venv module; install it (Debian and Ubuntu: apt install"),
    ],
)
def test_what_python_lacks_is_said_in_words(
    clone: Clone, environment: Mapping[str, str], expected: str
) -> None:
    result = clone.call("demo", environment=environment)
    assert result.returncode == 1
    assert expected in result.stderr
    assert not (clone.root / ".venv").exists()


@pytest.mark.parametrize(
    ("fails", "status", "ran"),
    [
        ("nothing", 0, 4),
        ("pytest", 3, 4),
        ("mypy", 1, 4),
        ("lint-imports", 3, 3),
        ("ruff", 3, 1),
    ],
)
def test_every_check_counts_and_the_first_that_fails_is_the_last(
    clone: Clone, fails: str, status: int, ran: int
) -> None:
    clone.call("demo")
    asked = clone.root / "asked"
    for tool in ("ruff", "lint-imports", "mypy", "pytest"):
        does = 'echo "types are told"' if tool == "mypy" else f'echo {tool} "$@" >>"{asked}"'
        path = clone.root / ".venv" / "bin" / tool
        path.write_text(f"#!/bin/sh\n{does}\nexit {3 if tool == fails else 0}\n")
        path.chmod(0o755)
    result = clone.call("test", "-x")
    assert result.returncode == status, result.stderr
    every = ["ruff check", "ruff format --check", "lint-imports", "pytest -x"]
    assert asked.read_text().splitlines() == every[:ran]
    assert "types are told" in (result.stderr if fails == "mypy" else result.stdout)


def test_the_script_stays_short_and_ci_runs_nothing_else(root: Path) -> None:
    assert len((root / "deploy" / "try").read_text(encoding="utf-8").splitlines()) <= 40
    ci = (root / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    commands = [line for line in ci if line and line[0] != "#"]
    assert commands[-1] == "exec sh deploy/try test </dev/null"
    assert len(commands) == 3
    assert os.access(root / ".ci" / "run", os.X_OK)


def test_every_dependency_is_pinned_to_one_public_version_and_to_no_host(root: Path) -> None:
    lines = (root / "deploy" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", pin) for pin in pins)
    pinned = {re.sub(r"[-_.]+", "-", pin.partition("==")[0]).lower() for pin in pins}
    assert len(pinned) == len(pins)
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    assert {re.split(r"[<>=~! \[]", line, maxsplit=1)[0].lower() for line in wanted} <= pinned


def test_the_readme_offers_the_two_commands_that_are_tested_here(root: Path) -> None:
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert "sh deploy/try demo" in readme
    assert "sh deploy/try test" in readme
