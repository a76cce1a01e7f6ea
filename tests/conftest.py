"""What every test may ask for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy loads, as the program itself does

import pytest
from hypothesis import HealthCheck, settings

# timings decide no test; CI tries the same examples each time, everyone else new ones
settings.register_profile(
    "project",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=os.environ.get("CI") == "true",
)
settings.load_profile("project")

ROOT = Path(__file__).resolve().parent.parent
SHARED_RECORDS = ROOT.parent / "shared" / "data" / "reservoirs"
FLUX_PARSER = ROOT / "tests" / "influx" / "flux_lsp"


@pytest.fixture(scope="session")
def reservoir_records() -> Path:
    """The folder of twenty real records, which the project may not ship."""
    if not SHARED_RECORDS.is_dir():
        pytest.skip(f"the real records are not here: {SHARED_RECORDS} does not exist")
    return SHARED_RECORDS


@dataclass(frozen=True)
class FluxVerdict:
    """What InfluxData's own parser says of a Flux script."""

    valid: bool  # syntax and types
    strings: list[str]  # what its string literals mean, in order


@pytest.fixture(scope="session")
def flux_verdicts() -> Callable[[Sequence[str]], list[FluxVerdict]]:
    """InfluxData's own Flux parser, fetched from npm at the first call."""
    if not shutil.which("node") or not shutil.which("npm"):
        _no_flux_parser("node and npm are not installed")
    if not (FLUX_PARSER / "node_modules" / "@influxdata").is_dir():
        done = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund"], cwd=FLUX_PARSER, capture_output=True, text=True
        )
        if done.returncode:
            _no_flux_parser(f"`npm ci` failed in {FLUX_PARSER}: {done.stderr.strip()[-300:]}")

    def judge(scripts: Sequence[str]) -> list[FluxVerdict]:
        command = ["node", str(FLUX_PARSER / "check.js")]
        done = subprocess.run(command, input=json.dumps(list(scripts)), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [FluxVerdict(**verdict) for verdict in json.loads(done.stdout)]

    return judge


def _no_flux_parser(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI checks every Flux query with InfluxData's parser: {reason}")
    pytest.skip(f"Flux cannot be checked with InfluxData's parser: {reason}")
