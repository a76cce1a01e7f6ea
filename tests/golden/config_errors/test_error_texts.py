"""The whole text that an admin reads about a broken configuration, compared with what was agreed.

After a deliberate change of wording run this with REWRITE_GOLDEN=1, then read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from warning.config.loading import load_configuration
from warning.config.problems import InvalidConfigurationError

HERE = Path(__file__).resolve().parent


@pytest.mark.parametrize(("name", "least_problems"), [("broken", 35), ("unreadable", 5)])
def test_everything_that_is_wrong_is_told_at_once(name: str, least_problems: int) -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        load_configuration(HERE / name, environment={})
    text = str(caught.value).replace(str(HERE / name), "DIRECTORY") + "\n"
    golden = HERE / f"{name}.txt"
    if os.environ.get("REWRITE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert len(caught.value.problems) >= least_problems
    assert text == golden.read_text(encoding="utf-8")


def test_no_secret_written_into_the_files_is_repeated() -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        load_configuration(HERE / "broken", environment={})
    written = [path.read_text() for path in (HERE / "broken").glob("*.toml")]
    assert any("hunter2" in text for text in written)
    assert "hunter2" not in str(caught.value) + repr(caught.value) + repr(caught.value.problems)
