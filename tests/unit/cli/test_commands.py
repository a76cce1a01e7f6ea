"""Every command explains itself, and every failure is one readable message with the right exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from warning.cli.main import COMMANDS, build_parser, main

BROKEN = 'severities = ["advisory", "advisory"]\n'


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_s_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"Example: dam-warning {command}" in capsys.readouterr().out


def test_the_examples_parse() -> None:
    import importlib

    for name, module_name in COMMANDS.items():
        example = importlib.import_module(f"warning.cli.{module_name}").EXAMPLE
        assert build_parser().parse_args(example.split()[1:]).command == name


def test_a_refused_configuration_exits_78_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "warning.toml").write_text(BROKEN)
    assert main(["check-config", "--config", str(tmp_path)]) == 78
    printed = capsys.readouterr()
    assert "warning.toml" in printed.err
    assert "remedy" in printed.err
    assert "Traceback" not in printed.err


def test_problems_are_listed_for_machines_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "warning.toml").write_text(BROKEN)
    assert main(["check-config", "--json", "--config", str(tmp_path)]) == 78
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert {"file", "key", "found", "expected", "remedy"} <= answer["problems"][0].keys()


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "warning", "--debug", "check-config", "--config", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    "words",
    [["backtest", "{empty}"], ["backtest", "{empty}", "--train-until", "2016-01-01"]],
    ids=["no records", "half a split"],
)
def test_a_call_that_cannot_work_exits_2(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format(empty=tmp_path) for word in words]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_day_must_be_a_day(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["cycle", "--at", "tomorrow"])
    assert ended.value.code == 2
    assert "YYYY-MM-DD" in capsys.readouterr().err
