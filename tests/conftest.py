"""What every test may ask for."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
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


class LongRun:
    """A command that was begun with the session and works beside the tests before those that look at it."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self.folder = folder
        with (folder / "stdout").open("w") as stdout, (folder / "stderr").open("w") as stderr:
            self._process = subprocess.Popen(command, stdout=stdout, stderr=stderr)

    def finished(self) -> subprocess.CompletedProcess[str]:
        """Wait for its end and say what came of it."""
        said = (self._process.wait(), *((self.folder / name).read_text() for name in ("stdout", "stderr")))
        return subprocess.CompletedProcess(self._process.args, *said)

    def close(self) -> None:
        """End it, where no test has waited for it; it tidies up as after Ctrl-C."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()


@pytest.fixture(scope="session", autouse=True)
def long_runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, LongRun]]:
    """What the modules of this session ask for with a function `long_command(folder)`, all of it begun."""
    modules = {item.module for item in request.session.items if hasattr(item, "module")}
    folders = {m: tmp_path_factory.mktemp("long") for m in modules if hasattr(m, "long_command")}
    runs = {m.__name__: LongRun(m.long_command(folder), folder) for m, folder in folders.items()}
    yield runs
    for run in runs.values():
        run.close()


@pytest.fixture(scope="module")
def long_run(request: pytest.FixtureRequest, long_runs: dict[str, LongRun]) -> LongRun:
    """The long run of the module that asks."""
    return long_runs[request.module.__name__]


@pytest.fixture(scope="session")
def drawn_once() -> Iterator[None]:
    """From here on, every mail of this process that has a picture has the same one, really drawn once.

    A drawing is a child that loads matplotlib, most of a second of every cycle that warns.
    """
    import warning.wiring

    draw = warning.wiring.draw_in_child
    drawn: list[bytes] = []

    def first_drawing(plot_json: str) -> bytes:
        if not drawn:
            drawn.append(draw(plot_json))
        return drawn[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warning.wiring, "draw_in_child", first_drawing)
        yield


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
