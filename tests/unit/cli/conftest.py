"""A sound configuration with its record, for the commands that change or show it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from warning.config.changes import settings_of
from warning.config.edits import edit_of
from warning.config.loading import load_configuration
from warning.demo.configuration import write_configuration
from warning.domain.changes import RecordedChange
from warning.journal.journal import Journal

EARLIER = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The demo's configuration: three dams that forecast their level."""
    config = tmp_path / "config"
    config.mkdir()
    write_configuration(
        config, readings=tmp_path, state_directory=tmp_path / "state", mail_port=2525, max_epochs=1
    )
    return config


@pytest.fixture
def edit(folder: Path) -> Callable[[str, str], None]:
    """Replace a text in reservoirs.toml."""

    def replace(old: str, new: str) -> None:
        path = folder / "reservoirs.toml"
        text = path.read_text()
        assert old in text, f"the test edits what is not there: {old}"
        path.write_text(text.replace(old, new, 1))

    return replace


@pytest.fixture
def entries(folder: Path) -> Callable[[], list[RecordedChange]]:
    """Read the whole history of the record as it is now."""

    def read() -> list[RecordedChange]:
        journal = Journal.open(load_configuration(folder).journal_url)
        try:
            return journal.changes(10_000)
        finally:
            journal.close()

    return read


@pytest.fixture
def daemon_records(folder: Path) -> Callable[[], list[RecordedChange]]:
    """Record what lies in the folder as the daemon does, which knows of nobody's name."""
    before = None

    def record() -> list[RecordedChange]:
        nonlocal before
        configuration = load_configuration(folder)
        (folder.parent / "state").mkdir(exist_ok=True)
        who = edit_of(configuration, before)
        before = configuration.files
        journal = Journal.open(configuration.journal_url)
        try:
            return journal.add_changes(
                settings_of(configuration),
                at=EARLIER,
                who=who.who,
                note=who.note,
                digest=configuration.digest,
            )
        finally:
            journal.close()

    return record
