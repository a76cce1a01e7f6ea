"""`apply` puts an edit on record under somebody's name, all of it or nothing."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from warning.cli.main import main
from warning.domain.changes import SIGNATURE, RecordedChange

LOGIN = pwd.getpwuid(os.getuid()).pw_name
Entries = Callable[[], list[RecordedChange]]
Edit = Callable[[str, str], None]


@pytest.fixture(autouse=True)
def nobody_called_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)


@pytest.fixture
def apply(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Call `apply`, expect success, and return what it prints."""

    def call(*words: str) -> str:
        capsys.readouterr()
        assert main(["apply", "--config", str(folder), *words]) == 0
        return capsys.readouterr().out

    return call


def test_the_first_configuration_is_recorded_whole(apply: Callable[..., str], entries: Entries) -> None:
    printed = apply()
    recorded = entries()
    assert {entry.change.before for entry in recorded} == {None}
    assert {entry.who for entry in recorded} == {LOGIN}
    assert f"the first on record: {len(recorded)} settings" in printed


def test_a_threshold_s_change_is_printed_and_recorded_with_name_and_note(
    apply: Callable[..., str], edit: Edit, entries: Entries
) -> None:
    apply()
    edit("value = 420.5", "value = 420.25")
    printed = apply("--by", "maria", "--note", "order 12")
    words = 'harrowbeck: thresholds."design flood".value_m: 420.5 → 420.25'
    assert f"changes 1 setting:\n  {words}\n" in printed
    assert "signed by maria" in printed
    assert "A running daemon takes it over within seconds" in printed
    newest = entries()[-1]
    assert (str(newest.change), newest.who, newest.note) == (words, "maria", "order 12")


def test_applying_twice_adds_nothing(apply: Callable[..., str], edit: Edit, entries: Entries) -> None:
    apply()
    edit("value = 420.5", "value = 420.25")
    apply("--by", "maria", "--note", "order 12")
    before = entries()
    assert "changes nothing that is not on record already" in apply("--by", "maria", "--note", "order 12")
    assert "changes nothing that is not on record already" in apply()
    assert entries() == before


def test_an_invalid_edit_is_refused_with_every_problem_and_changes_nothing(
    apply: Callable[..., str],
    edit: Edit,
    entries: Entries,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    apply()
    before = entries()
    good = (folder / "reservoirs.toml").read_text()
    edit("value = 420.5", "value = 400.0")
    edit('time_zone = "Europe/Vienna"', 'time_zone = "Europe/Wien"')
    assert main(["apply", "--config", str(folder)]) == 78
    printed = capsys.readouterr()
    assert "reservoirs.harrowbeck.time_zone" in printed.err
    assert "design flood" in printed.err
    assert main(["apply", "--json", "--config", str(folder)]) == 78
    assert len(json.loads(capsys.readouterr().out)["problems"]) >= 2
    (folder / "reservoirs.toml").write_text(good)
    assert entries() == before


def test_a_url_that_apprise_cannot_use_is_refused_too(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIREN", "nothing://siren.example.org")
    with (folder / "recipients.toml").open("a") as file:
        file.write('\n[recipients.siren]\nname = "Siren"\nleast_severity = "watch"\n')
        file.write('reservoirs = "all"\napprise = ["env:SIREN"]\n')
    assert main(["apply", "--config", str(folder)]) == 78
    printed = capsys.readouterr().err
    assert "recipients.siren" in printed
    assert "siren.example.org" not in printed


def test_who_called_sudo_signs(
    apply: Callable[..., str], entries: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "omar")
    apply()
    assert {entry.who for entry in entries()} == {"omar"}


def test_what_the_daemon_recorded_first_is_signed_afterwards_once(
    apply: Callable[..., str], edit: Edit, entries: Entries, daemon_records: Entries
) -> None:
    first = len(daemon_records())
    edit("value = 420.5", "value = 420.25")
    edit("clear_value = 419.66", "clear_value = 419.5")
    assert len(daemon_records()) == 2
    printed = apply("--by", "maria", "--note", "order 12")
    assert f"entries {first + 1} to {first + 2} now signed by maria" in printed
    newest = entries()[-1]
    assert (newest.change.key, newest.who, newest.note) == (SIGNATURE, "maria", "order 12")
    apply("--by", "maria", "--note", "order 12")
    assert len(entries()) == first + 3


def test_nobody_signs_by_asking_only_whether_something_changed(
    apply: Callable[..., str], entries: Entries, daemon_records: Entries
) -> None:
    before = daemon_records()
    assert "changes nothing" in apply()
    assert entries() == before


def test_what_moves_the_state_says_that_it_needs_a_restart(
    apply: Callable[..., str], folder: Path, tmp_path: Path
) -> None:
    path = folder / "warning.toml"
    path.write_text(path.read_text() + f'\n[journal]\nurl = "sqlite:///{tmp_path}/record.db"\n')
    apply()
    path.write_text(path.read_text().replace(f"{tmp_path}/state", f"{tmp_path}/state2", 1))
    assert "Restart the daemon" in apply()


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "root (owner of warning.toml)", "a\0b"])
def test_a_name_that_is_none_is_refused_and_changes_nothing(
    name: str, folder: Path, entries: Entries, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["apply", "--by", name, "--config", str(folder)]) == 2
    assert "--by takes a name" in capsys.readouterr().err
    (folder.parent / "state").mkdir()
    assert entries() == []


def test_machines_read_the_changes_as_json(apply: Callable[..., str], edit: Edit, entries: Entries) -> None:
    apply()
    edit("value = 420.5", "value = 420.25")
    answer = json.loads(apply("--json", "--by", "maria"))
    assert answer["ok"] is True
    assert answer["signed"] is None
    (change,) = answer["changes"]
    assert (change["reservoir"], change["from"], change["to"]) == ("harrowbeck", "420.5", "420.25")
    assert change["hash"] == entries()[-1].hash
