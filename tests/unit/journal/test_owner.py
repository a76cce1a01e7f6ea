"""A record that root makes belongs to whom its folder belongs to: the daemon must be able to write it."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest

from warning.journal.journal import Journal

SOMEBODY = 65_534


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files that belong to others")
def test_a_record_that_root_makes_belongs_to_the_owner_of_its_folder(tmp_path: Path, now: datetime) -> None:
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, SOMEBODY, SOMEBODY)
    journal = Journal.open(f"sqlite:///{state}/record.db")
    journal.add_changes({(None, "a"): "1"}, at=now, who="maria", note=None, digest="d")
    owners = {path.name: path.stat().st_uid for path in state.iterdir()}
    journal.close()
    assert owners == dict.fromkeys(("record.db", "record.db-wal", "record.db-shm"), SOMEBODY)
