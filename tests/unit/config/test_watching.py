"""An edit is noticed once, when whoever makes it has come to rest; a moment without a file is no edit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from warning.config.loading import FILES
from warning.config.watching import MISSING_S, RETRY_S, SETTLED_S, ConfigurationFiles


@pytest.fixture
def files(folder: Path) -> ConfigurationFiles:
    return ConfigurationFiles(folder)


def edit(folder: Path, name: str = "reservoirs.toml", text: str = "# edited\n") -> None:
    """Save as editors do: write beside it, then rename."""
    beside = folder / f".{name}.swp"
    beside.write_text((folder / name).read_text() + text)
    os.replace(beside, folder / name)


def test_files_that_nobody_edits_never_change(files: ConfigurationFiles) -> None:
    assert not any(files.changed(float(second)) for second in range(0, 600, 2))


@pytest.mark.parametrize("name", FILES)
def test_an_edit_of_any_file_is_noticed_once_it_has_settled(
    name: str, folder: Path, files: ConfigurationFiles
) -> None:
    files.changed(0.0)
    edit(folder, name)
    assert not files.changed(2.0)
    assert not files.changed(2.0 + SETTLED_S - 0.1)
    assert files.changed(2.0 + SETTLED_S)
    assert not any(files.changed(2.0 + SETTLED_S + second) for second in range(1, 600))


def test_an_edit_in_several_steps_is_one_edit(folder: Path, files: ConfigurationFiles) -> None:
    edit(folder, "reservoirs.toml")
    assert not files.changed(0.0)
    edit(folder, "recipients.toml")
    assert not files.changed(4.0)
    edit(folder, "recipients.toml", "# and again\n")
    assert not files.changed(8.0)
    assert not files.changed(12.0)
    assert files.changed(13.0)


def test_an_edit_that_is_undone_before_it_settled_is_none(folder: Path, files: ConfigurationFiles) -> None:
    before = (folder / "warning.toml").read_bytes()
    edit(folder, "warning.toml")
    assert not files.changed(0.0)
    (folder / "warning.toml").write_bytes(before)
    assert not any(files.changed(2.0 + second) for second in range(60))


def test_a_file_that_is_touched_or_written_anew_as_it_was_has_not_changed(
    folder: Path, files: ConfigurationFiles
) -> None:
    files.changed(0.0)
    edit(folder, "warning.toml", "")
    os.utime(folder / "reservoirs.toml")
    assert not any(files.changed(float(second)) for second in range(1, 60))


def test_an_edit_that_keeps_the_length_and_the_time_is_noticed(
    folder: Path, files: ConfigurationFiles
) -> None:
    path = folder / "reservoirs.toml"
    status = path.stat()
    path.write_text(path.read_text().replace("274.32", "274.23"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not files.changed(0.0)
    assert files.changed(SETTLED_S)


def test_a_file_that_is_missing_for_a_moment_is_no_edit(folder: Path, files: ConfigurationFiles) -> None:
    away = folder / "away"
    (folder / "recipients.toml").rename(away)
    assert not any(files.changed(float(second)) for second in range(int(MISSING_S)))
    away.rename(folder / "recipients.toml")
    assert not any(files.changed(MISSING_S + second) for second in range(60))


def test_a_file_that_stays_missing_is_reported(folder: Path, files: ConfigurationFiles) -> None:
    (folder / "recipients.toml").unlink()
    assert not files.changed(0.0)
    assert files.changed(MISSING_S)


def test_an_edit_between_loading_and_watching_is_noticed(folder: Path) -> None:
    in_force = {name: (folder / name).read_text() for name in FILES}
    edit(folder)
    files = ConfigurationFiles(folder, in_force)
    assert not files.changed(0.0)
    assert files.changed(SETTLED_S)


def test_what_was_refused_is_reported_again_because_a_secret_may_have_been_mended(
    folder: Path, files: ConfigurationFiles
) -> None:
    edit(folder)
    files.changed(0.0)
    assert files.changed(10.0)
    files.refused(10.0)
    assert not files.changed(10.0 + RETRY_S - 1)
    assert files.changed(10.0 + RETRY_S)
    assert not files.changed(10.0 + RETRY_S + 1)


def test_what_was_taken_over_by_a_signal_is_not_reported_once_more(
    folder: Path, files: ConfigurationFiles
) -> None:
    edit(folder)
    files.changed(0.0)
    files.adopted({name: (folder / name).read_text() for name in FILES})
    assert not any(files.changed(float(second)) for second in range(1, 60))
