"""The systemd units are ones that systemd accepts, and that keep the watch going or say that it ended."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

PROGRAM = "/opt/dam-warning/.venv/bin/dam-warning"
WATCH, REPORT = UNITS = ("dam-warning.service", "dam-warning-failed.service")
HIGHEST_EXPOSURE = 2.0
Settings = Mapping[str, Sequence[str]]


@pytest.fixture(scope="module")
def units(root: Path) -> Path:
    return root / "systemd"


def settings_of(path: Path) -> dict[str, list[str]]:
    settings: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            settings.setdefault(key, []).append(value)
    return settings


@pytest.fixture(scope="module")
def watch(units: Path) -> Settings:
    return settings_of(units / WATCH)


@pytest.fixture(scope="module")
def report(units: Path) -> Settings:
    return settings_of(units / REPORT)


@pytest.fixture
def installed(units: Path, tmp_path: Path) -> Path:
    """The units in a folder, with a program that exists in the place of ours."""
    for name in UNITS:
        text = (units / name).read_text(encoding="utf-8").replace(PROGRAM, shutil.which("true") or "true")
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def analyze(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = shutil.which("systemd-analyze")
    if command is None:
        pytest.skip("systemd-analyze is not installed here")
    return subprocess.run([command, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def let_the_gpu_in(units: Path, installed: Path) -> None:
    drop_ins = installed / f"{WATCH}.d"
    drop_ins.mkdir()
    shutil.copy(units / "nvidia.conf", drop_ins)


@pytest.mark.parametrize("gpu", [False, True])
def test_systemd_accepts_the_units_without_a_word(units: Path, installed: Path, gpu: bool) -> None:
    if gpu:
        let_the_gpu_in(units, installed)
    verdict = analyze("verify", *(f"./{name}" for name in UNITS), folder=installed)
    assert (verdict.returncode, verdict.stdout, verdict.stderr) == (0, "", "")


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("unit", UNITS)
def test_each_unit_is_exposed_no_more_than_it_must_be(
    unit: str, units: Path, installed: Path, gpu: bool
) -> None:
    if gpu:
        let_the_gpu_in(units, installed)
    verdict = analyze("security", "--offline=true", "--no-pager", f"./{unit}", folder=installed)
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", verdict.stdout)
    assert exposure is not None, verdict.stderr
    assert float(exposure[1]) <= HIGHEST_EXPOSURE


@pytest.mark.parametrize("unit", UNITS)
def test_no_setting_silently_replaces_another(unit: str, units: Path) -> None:
    several = {key: values for key, values in settings_of(units / unit).items() if len(values) > 1}
    assert several.keys() <= {"SystemCallFilter"}  # lines of which add up


def test_the_unit_runs_the_daemon_on_the_systems_configuration(watch: Settings) -> None:
    assert watch["ExecStart"] == [f"{PROGRAM} run --config /etc/dam-warning"]
    assert watch["User"] == watch["Group"] == watch["StateDirectory"] == ["dam-warning"]
    assert watch["StateDirectoryMode"] == ["0700"]


def test_only_the_daemon_says_how_it_is_and_it_is_missed_when_it_says_nothing(watch: Settings) -> None:
    assert (watch["Type"], watch["NotifyAccess"]) == (["notify"], ["main"])
    assert watch["WatchdogSec"] == ["5min"]


def test_only_a_refused_configuration_ends_the_restarting(watch: Settings) -> None:
    assert watch["Restart"] == ["always"]
    assert watch["RestartPreventExitStatus"] == ["78"]
    assert watch["StartLimitIntervalSec"] == ["0"]


def test_a_failed_check_before_the_start_leaves_the_verdict_to_the_daemon(watch: Settings) -> None:
    assert watch["ExecStartPre"] == [f"-{PROGRAM} check-config --config /etc/dam-warning"]


def test_a_failure_starts_the_report_also_where_it_restarts_for_ever(watch: Settings) -> None:
    assert watch["OnFailure"] == [REPORT]
    (after_every_end,) = watch["ExecStopPost"]
    assert f"systemctl --no-block start {REPORT}" in after_every_end
    assert after_every_end.startswith("-+")


@pytest.mark.parametrize(("result", "started"), [("success", False), ("exit-code", True), ("watchdog", True)])
def test_only_an_end_that_is_no_success_starts_the_report(
    result: str, started: bool, watch: Settings, tmp_path: Path
) -> None:
    script = watch["ExecStopPost"][0].removeprefix("-+/bin/sh -c ").strip("'")
    systemctl = tmp_path / "systemctl"  # a stand-in: nothing here has a systemd behind it
    systemctl.write_text(f"#!/bin/sh\necho started >{tmp_path}/note\n")
    systemctl.chmod(0o755)
    environment = {"SERVICE_RESULT": result, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    ended = subprocess.run(["/bin/sh", "-c", script], env=environment, check=False)
    assert ended.returncode == 0
    assert (tmp_path / "note").exists() is started


def test_the_report_needs_nothing_that_may_be_why_the_daemon_failed(report: Settings) -> None:
    assert report.keys().isdisjoint({"User", "StateDirectory", "LoadCredential", "WorkingDirectory"})
    assert report["CapabilityBoundingSet"] == ["CAP_DAC_READ_SEARCH"]
    assert report["ExecStart"] == [f"{PROGRAM} report-failure --unit {WATCH} --config /etc/dam-warning"]


def test_the_report_tries_again_until_somebody_was_told(report: Settings) -> None:
    assert (report["Restart"], report["RestartSec"]) == (["on-failure"], ["5min"])
    assert report["RuntimeDirectoryPreserve"] == ["yes"]  # or its hour of silence would be forgotten


def test_the_secrets_are_handed_over_as_a_folder_so_that_no_single_file_need_exist(watch: Settings) -> None:
    assert watch["LoadCredential"] == ["secrets:/etc/dam-warning/secrets"]


def test_the_forecast_child_may_be_killed_for_its_memory_without_ending_the_watch(watch: Settings) -> None:
    assert watch["OOMPolicy"] == ["continue"]
    assert watch["KillMode"] == ["mixed"]


def test_only_the_drop_in_lets_a_gpu_in(units: Path, watch: Settings) -> None:
    assert watch["PrivateDevices"] == ["yes"]
    drop_in = settings_of(units / "nvidia.conf")
    assert drop_in["PrivateDevices"] == ["no"]
    assert (drop_in["DevicePolicy"], drop_in["DeviceAllow"]) == (["closed"], ["char-nvidia* rw"])


def test_nothing_bars_pytorch_from_compiling_in_memory(watch: Settings) -> None:
    assert "MemoryDenyWriteExecute" not in watch


@pytest.mark.parametrize("unit", UNITS)
def test_every_line_of_hardening_stands_under_its_reason(unit: str, units: Path) -> None:
    text = (units / unit).read_text(encoding="utf-8")
    lines = text.partition("# Hardening.")[2].partition("[Install]")[0].splitlines()
    blocks = "\n".join(lines[1:]).split("\n#")
    assert len(blocks) > 8
    longest = max(sum("=" in line and line[0] != "#" for line in block.splitlines()[1:]) for block in blocks)
    assert longest <= 8


def test_the_account_of_the_unit_is_declared(root: Path, watch: Settings) -> None:
    declared = (root / "systemd" / "dam-warning.sysusers").read_text(encoding="utf-8").splitlines()
    (account,) = [line.split() for line in declared if not line.startswith("#")]
    assert account[:2] == ["u", *watch["User"]]
