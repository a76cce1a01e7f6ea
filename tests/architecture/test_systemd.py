"""The systemd unit is one that systemd accepts and that keeps the watch going."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

PROGRAM = "/opt/dam-warning/.venv/bin/dam-warning"


@pytest.fixture(scope="module")
def unit(root: Path) -> Path:
    return root / "systemd" / "dam-warning.service"


@pytest.fixture(scope="module")
def settings(unit: Path) -> Mapping[str, str]:
    """The unit's settings; each stands once, so that none silently replaces another."""
    pairs = [
        line.split("=", 1)
        for line in unit.read_text(encoding="utf-8").splitlines()
        if line and line[0] not in "#["
    ]
    assert len({key for key, _ in pairs}) == len(pairs)
    return dict(pairs)


def test_systemd_accepts_the_unit_without_a_word(unit: Path, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed here")
    installed = tmp_path / unit.name
    installed.write_text(unit.read_text(encoding="utf-8").replace(PROGRAM, shutil.which("true") or "true"))
    verdict = subprocess.run([analyze, "verify", installed], capture_output=True, text=True, check=False)
    assert (verdict.returncode, verdict.stdout, verdict.stderr) == (0, "", "")


def test_the_unit_runs_the_daemon_on_the_systems_configuration(settings: Mapping[str, str]) -> None:
    assert settings["ExecStart"] == f"{PROGRAM} run --config /etc/dam-warning"
    assert settings["User"] == settings["Group"] == settings["StateDirectory"] == "dam-warning"


def test_only_a_refused_configuration_ends_the_restarting(settings: Mapping[str, str]) -> None:
    assert settings["Restart"] == "always"
    assert settings["RestartPreventExitStatus"] == "78"
    assert settings["StartLimitIntervalSec"] == "0"


def test_a_failed_check_before_the_start_leaves_the_verdict_to_the_daemon(
    settings: Mapping[str, str],
) -> None:
    assert settings["ExecStartPre"] == f"-{PROGRAM} check-config --config /etc/dam-warning"


def test_the_forecast_child_may_be_killed_for_its_memory_without_ending_the_watch(
    settings: Mapping[str, str],
) -> None:
    assert settings["OOMPolicy"] == "continue"
    assert settings["KillMode"] == "mixed"


def test_nothing_bars_the_way_to_a_gpu(settings: Mapping[str, str]) -> None:
    assert settings.keys().isdisjoint({"PrivateDevices", "DevicePolicy", "MemoryDenyWriteExecute"})


def test_every_line_of_hardening_stands_under_its_reason(unit: Path) -> None:
    lines = (
        unit.read_text(encoding="utf-8").partition("# Hardening.")[2].partition("[Install]")[0].splitlines()
    )
    blocks = "\n".join(lines[1:]).split("\n#")
    assert len(blocks) > 8
    longest = max(sum("=" in line and line[0] != "#" for line in block.splitlines()[1:]) for block in blocks)
    assert longest <= 6


def test_the_account_of_the_unit_is_declared(root: Path, settings: Mapping[str, str]) -> None:
    declared = (root / "systemd" / "dam-warning.sysusers").read_text(encoding="utf-8").splitlines()
    (account,) = [line.split() for line in declared if not line.startswith("#")]
    assert account[:2] == ["u", settings["User"]]
