"""The program's own source, read once: what the rules on it look at."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def texts() -> Mapping[str, str]:
    """The text of every module of the import package, by path from the root."""
    paths = sorted((ROOT / "warning").rglob("*.py"))
    assert len(paths) > 20
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


@pytest.fixture(scope="session")
def trees(texts: Mapping[str, str]) -> Mapping[str, ast.Module]:
    """The syntax tree of every module."""
    return {name: ast.parse(text, name) for name, text in texts.items()}


@pytest.fixture(scope="session")
def tracked() -> tuple[str, ...]:
    """Every file that the repository holds, as paths from its root."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: there is no list of tracked files")
    listing = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True
    )
    names = tuple(name for name in listing.stdout.split("\0") if name)
    assert names
    return names
