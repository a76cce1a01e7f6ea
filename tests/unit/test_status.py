"""Status names a cycle that did not do its whole work, and says nothing against one that did."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from warning.config.loading import load_configuration
from warning.demo.configuration import write_configuration
from warning.journal.journal import Journal
from warning.status import read_status

NOW = datetime(2026, 5, 5, 2, 0, tzinfo=UTC)  # 07:30 in India, half an hour after the cycle was due
BEGAN = NOW - timedelta(minutes=29, seconds=59)
LATER = NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("failures", "early", "words"),
    [
        (0, False, ()),
        (1, False, ("could not judge every dam",)),
        (0, True, ("was cut off",)),
        (None, False, ("was cut off",)),
    ],
    ids=["complete", "a dam failed", "only the early look", "cut off"],
)
def test_only_a_cycle_that_did_its_whole_work_is_no_trouble(
    tmp_path: Path, failures: int | None, early: bool, words: tuple[str, ...]
) -> None:
    write_configuration(
        tmp_path, readings=tmp_path, state_directory=tmp_path / "state", mail_port=2525, max_epochs=1
    )
    configuration = load_configuration(tmp_path)
    journal = Journal.open(f"sqlite:///{tmp_path}/journal.sqlite3")
    cycle = journal.begin_cycle(BEGAN, configuration.digest, None)
    if failures is not None:
        journal.close_cycle(
            cycle, NOW, reservoirs=3, forecasts=3, unwatched=0, alerts=0, failures=failures, early=early
        )
    troubles = read_status(configuration, journal, LATER).troubles
    journal.close()
    assert len(troubles) == len(words)
    for trouble, word in zip(troubles, words, strict=True):
        assert word in trouble
