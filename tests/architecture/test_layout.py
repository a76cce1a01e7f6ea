"""What lies in the repository, and what never does."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

AGREED = {
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "pyproject.toml",
    "warning",
    "config",
    "deploy",
    "systemd",
    "tests",
}
REQUIRED = {
    "README.md",
    "LICENSE",
    "pyproject.toml",
    "warning",
    "config",
    "deploy",
    "systemd",
    "tests",
    ".ci",
}


def lines_of(path: Path) -> list[str]:
    """Return a text file's lines; none for a picture, or for what is deleted and not yet committed."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (UnicodeDecodeError, FileNotFoundError):
        return []


def lines_with(pattern: str, root: Path, tracked: tuple[str, ...]) -> list[str]:
    """Return `file:line` of every tracked text line that `pattern` is found in."""
    return [
        f"{name}:{number}"
        for name in tracked
        for number, line in enumerate(lines_of(root / name), start=1)
        if re.search(pattern, line)
    ]


def test_only_agreed_names_lie_at_the_top(tracked: tuple[str, ...]) -> None:
    top = {name.partition("/")[0] for name in tracked}
    assert {name for name in top if not name.startswith(".")} <= AGREED
    assert top >= REQUIRED


def test_no_tracked_file_names_a_path_of_one_machine(root: Path, tracked: tuple[str, ...]) -> None:
    machine = "|".join(("/wo" + "rk/", "/ho" + "me/", "/ro" + "ot/", "/Us" + "ers/"))
    assert lines_with(rf"(?<![\w.}}])(?:{machine})", root, tracked) == []


def test_no_tracked_file_puts_work_off_to_later(root: Path, tracked: tuple[str, ...]) -> None:
    words = "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X"))
    assert lines_with(rf"\b(?:{words})\b", root, tracked) == []


def test_no_row_of_a_real_record_is_tracked(
    root: Path, tracked: tuple[str, ...], reservoir_records: Path
) -> None:
    real = {
        line
        for path in reservoir_records.glob("*.csv")
        for line in path.read_text(encoding="utf-8").splitlines()[1:]
        if line.count(",") >= 2
    }
    assert len(real) > 10_000
    copied = [name for name in tracked if (root / name).is_file() and real & set(lines_of(root / name))]
    assert copied == []


def test_the_licence_is_apache_2_to_the_letter(root: Path) -> None:
    digest = hashlib.sha256((root / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
