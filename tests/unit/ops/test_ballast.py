"""Room kept for a full disk."""

from __future__ import annotations

import os
from pathlib import Path

from warning.ops.ballast import NAME, Ballast

SIZE = 1 << 20


def test_room_is_really_occupied_and_given_back(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path, SIZE)
    assert ballast.keep()
    found = (tmp_path / NAME).stat()
    assert found.st_blocks * 512 >= SIZE  # not a sparse file
    assert found.st_mode & 0o777 == 0o600
    assert ballast.release()
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_cannot_be_released(tmp_path: Path) -> None:
    assert not Ballast(tmp_path, SIZE).release()


def test_one_that_was_cut_short_is_made_whole(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"x")
    assert Ballast(tmp_path, SIZE).keep()
    assert (tmp_path / NAME).stat().st_size == SIZE


def test_it_is_not_taken_where_it_would_fill_the_disk(tmp_path: Path) -> None:
    room = os.statvfs(tmp_path)
    assert not Ballast(tmp_path, room.f_bavail * room.f_frsize // 2).keep()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_no_failure(tmp_path: Path) -> None:
    assert not Ballast(tmp_path / "nowhere", SIZE).keep()
