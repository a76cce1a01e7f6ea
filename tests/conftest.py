"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy loads, as the program itself does

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED_RECORDS = ROOT.parent / "shared" / "data" / "reservoirs"


@pytest.fixture(scope="session")
def reservoir_records() -> Path:
    """The folder of twenty real records, which the project may not ship."""
    if not SHARED_RECORDS.is_dir():
        pytest.skip(f"the real records are not here: {SHARED_RECORDS} does not exist")
    return SHARED_RECORDS
