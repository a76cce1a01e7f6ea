"""`dam-warning backup`: a copy, or a word about why there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from warning.cli.main import main
from warning.config.loading import load_configuration
from warning.demo.configuration import write_configuration
from warning.errors import JournalError
from warning.journal.journal import Journal
from warning.journal.store import Store


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    (tmp_path / "readings").mkdir()
    write_configuration(
        folder,
        readings=tmp_path / "readings",
        state_directory=tmp_path / "state",
        mail_port=25,
        max_epochs=1,
    )
    return folder


def begin_record(config: Path) -> None:
    url = load_configuration(config).journal_url
    Path(url.removeprefix("sqlite:///")).parent.mkdir()
    Journal.open(url).close()


def test_the_copy_is_made_and_said_to_be_sound(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin_record(config)
    copy = tmp_path / "copy.sqlite3"
    assert main(["backup", str(copy), "--config", str(config)]) == 0
    assert f"copied to {copy}" in capsys.readouterr().out
    assert Journal.open(f"sqlite:///{copy}").last_cycle() is None


def test_machines_read_where_it_is_and_how_large(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin_record(config)
    copy = tmp_path / "copy.sqlite3"
    assert main(["backup", str(copy), "--config", str(config), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(copy), "bytes": copy.stat().st_size}


def test_a_file_that_exists_is_left_alone(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin_record(config)
    copy = tmp_path / "copy.sqlite3"
    copy.write_text("dear to someone")
    assert main(["backup", str(copy), "--config", str(config)]) == 1
    assert "exists already; name a file that does not" in capsys.readouterr().err
    assert copy.read_text() == "dear to someone"


def test_where_there_is_no_record_none_is_begun(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backup", str(tmp_path / "copy"), "--config", str(config)]) == 1
    assert "there is no record at" in capsys.readouterr().err
    assert not list(tmp_path.glob("state/journal*"))


def test_a_record_on_a_server_is_left_to_the_servers_own_tool(tmp_path: Path) -> None:
    store = object.__new__(Store)  # no server can be had here
    from sqlalchemy import make_url

    store._url, store.path = make_url("postgresql://jane:hunter2@db/dams"), None
    with pytest.raises(JournalError, match=r"pg_dump --format=custom --file .*copy dams") as caught:
        store.backup(tmp_path / "copy")
    assert "hunter2" not in str(caught.value)
