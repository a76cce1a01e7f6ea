"""deploy/install.sh run for real below a folder: real Python, real pip, the real program.

Stand-ins, because there is no systemd behind them here: systemctl and systemd-sysusers. And so that nothing
is fetched, the new environments have no pip of their own and find what the program stands on in a folder of
links.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from warning.demo.configuration import write_configuration

SYSTEMCTL = """\
#!/bin/sh
# A stand-in that remembers what it was asked; the unit is active where the file `active` exists.
echo "$*" >>{here}/asked
case "$*" in
--version) echo "systemd 252 (252.39)" ;;
*is-active*) [ -e {here}/active ] ;;
*restart*) if [ -e {here}/refuses ]; then rm {here}/refuses {here}/active; exit 1; fi; touch {here}/active ;;
*enable*dam-warning.service)
    case "$*" in *disable*) rm -f {here}/active; exit 0 ;; esac
    mkdir -p {root}/etc/systemd/system/multi-user.target.wants
    ln -s ../dam-warning.service {root}/etc/systemd/system/multi-user.target.wants/dam-warning.service ;;
esac
"""
SYSUSERS = """\
#!/bin/sh
# A stand-in that makes the group alone.
mkdir -p {root}/etc && echo "dam-warning:x:4242:" >>{root}/etc/group
"""
PYTHON = """\
#!/bin/sh
# The real Python; the environments it makes have no pip of their own.
[ "$1 $2" != "-m venv" ] || exec {python} -m venv --without-pip "$3"
exec {python} "$@"
"""


@dataclass(frozen=True)
class Host:
    """A folder that the script takes for a host on which systemd runs, and the clone it installs from."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def source(self) -> Path:
        return self.folder / "clone"

    @property
    def config(self) -> Path:
        return self.root / "etc" / "dam-warning"

    @property
    def venv(self) -> Path:
        return self.root / "opt" / "dam-warning" / ".venv"

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.folder / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.folder),
            "PYTHONPATH": str(self.folder / "links"),
            "PIP_NO_DEPS": "1",
            "PIP_NO_INDEX": "1",
            "PIP_NO_COMPILE": "1",
            "PIP_NO_BUILD_ISOLATION": "false",  # pip reads it as: no isolation
        }
        command = ["sh", str(self.source / "deploy" / "install.sh"), *words, "--root", str(self.root)]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=200, check=False
        )

    def asked_of_systemctl(self) -> list[str]:
        asked = self.folder / "asked"
        lines = asked.read_text().splitlines() if asked.exists() else []
        asked.unlink(missing_ok=True)
        return [line for line in lines if "is-active" not in line and line != "--version"]

    def configure(self) -> None:
        (self.folder / "readings").mkdir(exist_ok=True)
        write_configuration(
            self.config,
            readings=self.folder / "readings",
            state_directory=self.root / "var" / "lib" / "dam-warning",
            mail_port=25,
            max_epochs=1,
        )

    def edit_program(self, name: str, old: str, new: str) -> None:
        path = self.source / "warning" / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")


def stand_in(path: Path, text: str, **values: object) -> None:
    path.write_text(text.format(here=path.parent.parent, **values), encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A bare host; the tests below install, upgrade and remove in this order, as an admin would."""
    made, clone = Host(tmp_path_factory.mktemp("host")), Path(__file__).resolve().parents[2]
    (made.root / "run" / "systemd" / "system").mkdir(parents=True)
    for folder in ("warning", "config", "systemd", "deploy"):
        ignored = shutil.ignore_patterns("__pycache__", "*.png", "grafana")
        shutil.copytree(clone / folder, made.source / folder, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(clone / name, made.source)
    links = made.folder / "links"
    links.mkdir()
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if "dam_warning" not in entry.name and entry.suffix != ".pth":
            (links / entry.name).symlink_to(entry)
    (made.folder / "bin").mkdir()
    stand_in(made.folder / "bin" / "systemctl", SYSTEMCTL, root=made.root)
    stand_in(made.folder / "bin" / "systemd-sysusers", SYSUSERS, root=made.root)
    stand_in(made.folder / "bin" / "python3.14", PYTHON, python=sys.executable)
    return made


@pytest.fixture(scope="module")
def first(host: Host) -> subprocess.CompletedProcess[str]:
    return host.run()


@pytest.fixture(scope="module")
def asked_first(host: Host, first: subprocess.CompletedProcess[str]) -> list[str]:
    return host.asked_of_systemctl()


@pytest.fixture(scope="module")
def running(host: Host, asked_first: list[str]) -> Iterator[Host]:
    """The host once its admin has filled the configuration in and called the script again."""
    host.configure()
    result = host.run()
    assert result.returncode == 0, result.stderr
    assert "the service started" in result.stdout, result.stdout
    assert host.asked_of_systemctl() == ["restart dam-warning.service"]
    return host


def test_a_first_call_installs_everything_and_starts_nothing_that_is_not_filled_in(
    host: Host, first: subprocess.CompletedProcess[str], asked_first: list[str]
) -> None:
    assert first.returncode == 0, first.stderr
    assert "NOT STARTED: the configuration is not sound yet" in first.stdout
    assert "expected:" in first.stdout  # each problem with its remedy
    assert asked_first == ["daemon-reload", "-q enable dam-warning.service"]
    for name in ("dam-warning.service", "dam-warning-failed.service"):
        assert (host.root / "etc" / "systemd" / "system" / name).is_file()
    assert (
        host.root / "usr" / "local" / "bin" / "dam-warning"
    ).readlink() == host.venv / "bin" / "dam-warning"


def test_only_root_reads_secrets_and_only_the_account_the_rest(
    host: Host, first: subprocess.CompletedProcess[str]
) -> None:
    modes = {path: path.stat().st_mode & 0o777 for path in (host.config, *host.config.iterdir())}
    assert modes.pop(host.config / "secrets") == 0o700
    assert modes.pop(host.config) == 0o750
    assert set(modes.values()) == {0o640}
    if os.geteuid() == 0:
        assert {host.config.stat().st_gid, (host.config / "warning.toml").stat().st_gid} == {4242}


def test_the_program_it_installs_is_not_the_clone(host: Host, running: Host) -> None:
    shown = subprocess.run(
        [host.venv / "bin" / "python", "-c", "import warning; print(warning.__file__)"],
        env={"PYTHONPATH": str(host.folder / "links")},
        cwd=host.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(shown.stdout.strip()).resolve().is_relative_to(host.venv.resolve())


def test_another_call_changes_nothing_and_says_so(running: Host) -> None:
    before = (running.config / "warning.toml").read_bytes()
    result = running.run()
    assert result.returncode == 0
    assert result.stdout.endswith("Nothing was changed.\n")
    assert running.asked_of_systemctl() == []
    assert (running.config / "warning.toml").read_bytes() == before


def test_an_edited_unit_of_the_clone_is_taken_over(running: Host) -> None:
    unit = running.source / "systemd" / "dam-warning.service"
    unit.write_text(unit.read_text() + "# edited\n")
    assert "dam-warning.service written" in running.run().stdout
    assert running.asked_of_systemctl() == ["daemon-reload", "restart dam-warning.service"]


def test_a_program_that_refuses_the_configuration_never_replaces_one_that_works(running: Host) -> None:
    old = running.venv.readlink()
    keep_record(running)
    name, head = "cli/check_config.py", "def run(options: argparse.Namespace) -> int:\n"
    running.edit_program(name, head, head + "    raise RuntimeError\n")
    result = running.run("upgrade")
    assert result.returncode == 1
    assert "the old one stays, and was not stopped" in result.stderr
    assert running.venv.readlink() == old
    assert running.asked_of_systemctl() == []
    running.edit_program(name, "    raise RuntimeError\n", "")


def test_an_upgrade_backs_the_record_up_and_goes_back_where_the_new_program_does_not_start(
    running: Host,
) -> None:
    old = running.venv.readlink()
    keep_record(running)
    running.edit_program("__init__.py", '"""', '"""New. ')
    (running.folder / "refuses").touch()
    result = running.run("upgrade")
    assert result.returncode == 1
    assert "the upgrade was undone and the service runs again" in result.stderr
    assert running.venv.readlink() == old
    assert running.asked_of_systemctl() == [
        "restart dam-warning.service", "daemon-reload", "restart dam-warning.service",
    ]  # fmt: skip


def test_an_upgrade_that_starts_is_kept_with_a_backup_and_the_program_before(running: Host) -> None:
    old = running.venv.readlink()
    record = keep_record(running)
    result = running.run("upgrade")
    assert result.returncode == 0, result.stderr
    assert running.venv.readlink() != old
    assert old.is_dir()
    backups = sorted((record.parent / "backups").iterdir())
    assert backups
    assert backups[-1].read_bytes()[:15] == b"SQLite format 3"
    assert running.asked_of_systemctl() == ["restart dam-warning.service"]


def test_removing_it_keeps_the_record_and_the_configuration_and_says_where(running: Host) -> None:
    record = keep_record(running)
    running.asked_of_systemctl()
    result = running.run("uninstall")
    assert result.returncode == 0, result.stderr
    assert running.asked_of_systemctl() == ["-q disable --now dam-warning.service", "daemon-reload"]
    assert record.is_file()
    assert (running.config / "reservoirs.toml").is_file()
    assert str(running.config) in result.stdout
    assert str(record.parent) in result.stdout
    assert not (running.root / "opt" / "dam-warning").exists()
    assert not any((running.root / "usr" / "local" / "bin").iterdir())
    left = [path.name for path in (running.root / "etc" / "systemd" / "system").rglob("dam-warning*")]
    assert left in ([], ["dam-warning.service.d"])


def keep_record(host: Host) -> Path:
    """Let a record lie where the configuration says, as the daemon's first cycle makes it."""
    from warning.journal.journal import Journal

    record = host.root / "var" / "lib" / "dam-warning" / "journal.sqlite3"
    record.parent.mkdir(parents=True, exist_ok=True)
    Journal.open(f"sqlite:///{record}").close()
    return record


def test_an_unknown_word_is_refused(host: Host) -> None:
    result = host.run("instal")
    assert result.returncode == 2
    assert 'unknown word "instal"' in result.stderr


@pytest.mark.parametrize("name", ["install.sh", "try", "get-influxd"])
def test_the_shell_takes_each_script(name: str) -> None:
    path = Path(__file__).resolve().parents[2] / "deploy" / name
    assert subprocess.run(["sh", "-n", str(path)], check=False).returncode == 0
