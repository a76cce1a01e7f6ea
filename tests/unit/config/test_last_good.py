"""A bad edit never stops the watch: what was sound before stays at hand, also over a restart."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from warning.config.configuration import Configuration
from warning.config.last_good import FOLDER, keep_last_good, last_good_files, load_or_last_good
from warning.config.loading import FILES, load_configuration
from warning.config.problems import InvalidConfigurationError

from .conftest import ENVIRONMENT


@pytest.fixture
def kept(folder: Path) -> Configuration:
    """A configuration that is in force and kept."""
    configuration = load_configuration(folder, ENVIRONMENT)
    keep_last_good(configuration)
    return configuration


def break_it(path: Path) -> None:
    path.write_text(path.read_text() + "\n[oops\n")


def test_a_sound_configuration_is_taken_as_it_lies_there(folder: Path) -> None:
    configuration, refusal = load_or_last_good(folder, ENVIRONMENT)
    assert configuration == load_configuration(folder, ENVIRONMENT)
    assert refusal is None


@pytest.mark.parametrize("name", FILES)
def test_an_invalid_edit_leaves_the_last_good_configuration_in_force(
    name: str, folder: Path, kept: Configuration
) -> None:
    break_it(folder / name)
    configuration, refusal = load_or_last_good(folder, ENVIRONMENT)
    assert configuration == kept  # secrets, relative paths, digest and all
    assert refusal is not None
    assert [problem.file for problem in refusal.problems] == [name]


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_gone_leaves_the_last_good_configuration_in_force(
    name: str, folder: Path, kept: Configuration
) -> None:
    (folder / name).unlink()
    environment = ENVIRONMENT | {"STATE_DIRECTORY": str(kept.state_directory)}
    configuration, refusal = load_or_last_good(folder, environment)
    assert configuration == kept
    assert refusal is not None


def test_a_folder_that_is_gone_leaves_the_last_good_configuration_in_force_while_its_secrets_can_be_had(
    folder: Path, kept: Configuration, tmp_path_factory: pytest.TempPathFactory
) -> None:
    away = tmp_path_factory.mktemp("away") / "folder"
    folder.rename(away)
    environment = ENVIRONMENT | {"STATE_DIRECTORY": str(away / "state")}
    with pytest.raises(InvalidConfigurationError, match="no such folder"):
        load_or_last_good(folder, environment)
    configuration, refusal = load_or_last_good(folder, environment | {"CREDENTIALS_DIRECTORY": str(away)})
    assert configuration == kept
    assert refusal is not None


def test_where_nothing_was_kept_the_refusal_stands(folder: Path) -> None:
    break_it(folder / "reservoirs.toml")
    with pytest.raises(InvalidConfigurationError, match=r"reservoirs\.toml"):
        load_or_last_good(folder, ENVIRONMENT)


def test_what_was_kept_but_cannot_be_used_is_not_used(folder: Path, kept: Configuration) -> None:
    break_it(folder / "reservoirs.toml")
    (folder / "mail-password").unlink()
    with pytest.raises(InvalidConfigurationError) as refused:
        load_or_last_good(folder, ENVIRONMENT)
    assert {problem.file for problem in refused.value.problems} == {"reservoirs.toml", "warning.toml"}


def test_what_was_kept_of_another_folder_is_not_used(
    folder: Path, kept: Configuration, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "warning.toml").write_text(f'state_directory = "{kept.state_directory}"\n')
    with pytest.raises(InvalidConfigurationError):
        load_or_last_good(other, ENVIRONMENT)


@pytest.mark.parametrize(
    "line",
    ['state_directory = "state"', "  state_directory='state' # here", 'a = [\nstate_directory = "state"'],
)
def test_the_state_directory_is_found_in_a_file_that_is_no_toml(
    line: str, folder: Path, kept: Configuration
) -> None:
    (folder / "warning.toml").write_text(f"{line}\n[[[\n")
    assert load_or_last_good(folder, ENVIRONMENT)[0] == kept


def test_only_the_newest_is_kept_and_only_its_owner_can_read_it(folder: Path, kept: Configuration) -> None:
    path = folder / "reservoirs.toml"
    path.write_text(path.read_text().replace("274.32", "274.2"))
    newer = load_configuration(folder, ENVIRONMENT)
    keep_last_good(newer)
    copies = kept.state_directory / FOLDER
    assert last_good_files(kept.state_directory, folder) == newer.files
    assert len([entry for entry in copies.iterdir() if not entry.is_symlink()]) == 1
    for at in (copies, *copies.rglob("*")):
        if not at.is_symlink():
            assert stat.S_IMODE(at.stat().st_mode) & 0o077 == 0


def test_to_keep_the_same_again_writes_nothing(kept: Configuration) -> None:
    copies = kept.state_directory / FOLDER
    before = sorted(copies.iterdir())
    keep_last_good(kept)
    assert sorted(copies.iterdir()) == before


def test_a_failure_while_keeping_leaves_the_older_copies_whole(
    folder: Path, kept: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "recipients.toml"
    path.write_text(path.read_text().replace("Maria", "Mary"))
    newer = load_configuration(folder, ENVIRONMENT)
    steps = 0
    synced: Callable[[int], None] = os.fsync

    def fail_at(step: int) -> Callable[[int], None]:
        def fsync(descriptor: int) -> None:  # stands in for a disk that is full or a machine that stops
            nonlocal steps
            steps += 1
            if steps == step:
                raise OSError(28, "No space left on device")
            synced(descriptor)

        return fsync

    for step in range(1, 6):
        steps = 0
        monkeypatch.setattr(os, "fsync", fail_at(step))
        with pytest.raises(OSError, match="No space"):
            keep_last_good(newer)
        assert last_good_files(kept.state_directory, folder) == kept.files
    monkeypatch.setattr(os, "fsync", synced)
    keep_last_good(newer)
    assert last_good_files(kept.state_directory, folder) == newer.files
    assert len([e for e in (kept.state_directory / FOLDER).iterdir() if not e.is_symlink()]) == 1
