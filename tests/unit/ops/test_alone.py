"""One daemon holds a state directory; whatever else goes wrong with the lock never stops the watch."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from warning.errors import JournalError
from warning.ops.alone import NAME, alone


def test_a_second_daemon_on_the_same_folder_is_refused_and_told_which_process_has_it(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(JournalError, match=rf"process {os.getpid()}\) already watches"):
        alone(tmp_path).__enter__()
    with alone(tmp_path):  # the first one has let go
        assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_a_lock_that_cannot_be_made_does_not_stop_the_watch(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with alone(tmp_path):
        pass
