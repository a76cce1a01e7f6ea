"""The registry: what is saved comes back, what is damaged is refused, a crash leaves the old model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from warning.domain.reservoir import Bounds, ScreeningLimits
from warning.domain.variables import Variable
from warning.errors import ModelError
from warning.forecasting.calibration import ScoreTable
from warning.forecasting.model import Model, NetworkSpec, SiteFit, SiteScale
from warning.forecasting.registry import (
    ACTIVE,
    DAMS_PER_FILE,
    MANIFEST,
    PARAMETERS,
    Registry,
    new_model_id,
)
from warning.forecasting.standing import Standing, read_standings
from warning.forecasting.weights import WeightState

CREATED = datetime(2026, 11, 22, 6, 30, tzinfo=UTC)


def small_model(number: int = 0) -> Model:
    states: dict[str, dict[str, NDArray[np.float32]]] = {
        "lstm_05": {"lstm.weight": np.full((3, 2), number, np.float32), "head.bias": np.ones(7, np.float32)},
        "cnn_lstm": {"twins.0.linear.weight": np.arange(6, dtype=np.float32).reshape(2, 3)},
    }
    scale = SiteScale(
        variable=Variable.LEVEL_M,
        daily_change=0.1,
        low=90.0,
        high=110.0,
        log_flow={Variable.INFLOW_M3S: (1.5, 0.5)},
        rain_mm=4.0,
        flow_gain={Variable.INFLOW_M3S: 0.001},
        other_change=1e5,
        season=(0.0, 0.1, 0.2, 0.3, 0.4),
        traits=(0.1, 0.2, 0.3),
        greatest={Variable.LEVEL_M: 3.0, Variable.RAIN_MM: 200.0},
    )
    site = SiteFit(
        scale=scale,
        train_end=date(2015, 1, 1),
        validation_end=date(2018, 6, 1),
        bounds={Variable.LEVEL_M: Bounds(50.0, 130.0)},
        limits=ScreeningLimits(
            rate_per_day={Variable.LEVEL_M: 5.0}, sentinels=(0.0, -999.0), flat_line_days=30
        ),
        skill=(0.5, 0.5, 0.6, 0.6, 0.6, 0.7, float("nan")),
    )
    created = CREATED + timedelta(days=number)
    return Model(
        model_id=new_model_id(created, states),
        created_at=created,
        specs=(
            NetworkSpec("lstm_05", "lstm", {"steps": 5, "dropout": 0.1}),
            NetworkSpec("cnn_lstm", "cnn_lstm", {"steps": 14}),
        ),
        states=states,
        sites={"alder": site},
        settings={"seed": 3, "learning_rate": 1e-3, "lengths": "5"},
        versions={"torch": "2.13.0"},
    )


def small_standing(row: int) -> Standing:
    week = np.zeros((7, 7))
    ones = np.ones(1, np.uint16)
    table = ScoreTable(np.ones(1, np.float32), ones, ones, ones, np.ones(1, np.uint8))
    return Standing(
        day=date(2020, 1, 1) + timedelta(days=row),
        row=row,
        mark="ab" * 16,
        experts=("lstm_05",),
        once=np.empty((0, 7)),
        again=np.empty((0, 7)),
        pool=WeightState(week[:1].T, week[None, :, :1]),
        published=WeightState(week[:1].T, week[None, :, :1]),
        pending=week[:, :, None],
        pooled=week,
        spread=week,
        base=week[0],
        restless=np.zeros(3),
        unseen=0,
        losses=np.zeros((2, 7)),
        reference=np.arange(3.0),
        tables=(table,) * 7,
    )


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "models-of-the-dams"


@pytest.fixture
def promoted(directory: Path) -> Model:
    model = small_model()
    registry = Registry(directory)
    registry.promote(registry.save(model))
    return model


def test_before_the_first_model_there_is_none(directory: Path) -> None:
    assert Registry(directory).active() is None
    assert Registry(directory).list() == ()


def test_a_model_comes_back_as_it_was_saved(directory: Path, promoted: Model) -> None:
    loaded = Registry(directory).active()
    assert loaded is not None
    for network, parameters in promoted.states.items():
        assert loaded.states[network].keys() == parameters.keys()
        for name, values in parameters.items():
            assert loaded.states[network][name].dtype == np.float32
            np.testing.assert_array_equal(loaded.states[network][name], values)
    np.testing.assert_equal(loaded.sites["alder"].skill, promoted.sites["alder"].skill)
    same = {"states": promoted.states, "sites": promoted.sites}
    assert replace(loaded, **same) == promoted  # type: ignore[arg-type]
    skill = promoted.sites["alder"].skill
    assert replace(loaded.sites["alder"], skill=skill) == promoted.sites["alder"]


class MadeWhenLookedUp(Mapping[str, Standing]):
    """As many standings as no memory holds at once; remembers which files lay there at each look-up."""

    def __init__(self, directory: Path, size: int) -> None:
        self._directory = directory
        self._names = [f"dam_{i}" for i in range(size)]
        self.files: dict[str, set[str]] = {}

    def __getitem__(self, name: str) -> Standing:
        assert name not in self.files, "each is looked up once"
        self.files[name] = {path.name for path in self._directory.rglob("*.npz")}
        return small_standing(self._names.index(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def test_the_standings_of_a_large_fleet_are_never_held_together(directory: Path) -> None:
    standings = MadeWhenLookedUp(directory, 2 * DAMS_PER_FILE + 1)
    registry = Registry(directory)
    registry.promote(registry.save(small_model(), standings))
    written = [f"standings-000{i}.npz" for i in range(3)]
    for i, files in enumerate(standings.files.values()):
        assert files == {*written[: i // DAMS_PER_FILE]}
    loaded = registry.active()
    assert loaded is not None
    assert [file.path.name for file in loaded.standings] == written
    found = {name: one for file in loaded.standings for name, one in read_standings(file, file.sites).items()}
    assert {name: one.row for name, one in found.items()} == {n: i for i, n in enumerate(standings)}
    assert {(one.day, one.mark) for one in found.values()} == {
        site for file in loaded.standings for site in file.sites.values()
    }


def test_the_manifest_is_json_for_people(directory: Path, promoted: Model) -> None:
    text = (directory / "models" / promoted.model_id / MANIFEST).read_text(encoding="utf-8")
    plain = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert plain["sites"]["alder"]["train_end"] == "2015-01-01"
    assert plain["sites"]["alder"]["skill"][-1] is None
    assert plain["features"]
    assert plain["versions"] == {"torch": "2.13.0"}


def test_a_saved_model_is_not_in_force_until_promoted(directory: Path, promoted: Model) -> None:
    registry = Registry(directory)
    newer = registry.save(small_model(1))
    active = registry.active()
    assert active is not None
    assert active.model_id == promoted.model_id
    registry.promote(newer)
    active = registry.active()
    assert active is not None
    assert active.model_id == newer


@pytest.mark.parametrize("name", [PARAMETERS, MANIFEST])
def test_a_flipped_bit_is_found_and_the_message_says_where_what_and_what_to_do(
    directory: Path, promoted: Model, name: str
) -> None:
    path = directory / "models" / promoted.model_id / name
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError) as caught:
        Registry(directory).active()
    for part in (str(path), "SHA-256", "expected", "dam-warning train"):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", [PARAMETERS, MANIFEST])
def test_a_missing_file_is_named(directory: Path, promoted: Model, name: str) -> None:
    path = directory / "models" / promoted.model_id / name
    path.unlink()
    with pytest.raises(ModelError, match=name):
        Registry(directory).active()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"model_id": "x"}'])
def test_a_damaged_pointer_is_an_error_and_not_an_empty_registry(
    directory: Path, promoted: Model, text: str
) -> None:
    (directory / ACTIVE).write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=ACTIVE):
        Registry(directory).active()


def test_a_model_of_other_features_is_refused(
    directory: Path, promoted: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warning.forecasting.registry.FEATURE_NAMES", ("something_else",))
    with pytest.raises(ModelError, match="other input features"):
        Registry(directory).active()


def test_a_damaged_model_is_not_promoted(directory: Path, promoted: Model) -> None:
    registry = Registry(directory)
    newer = registry.save(small_model(1))
    path = directory / "models" / newer / PARAMETERS
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelError, match="damaged"):
        registry.promote(newer)
    active = registry.active()
    assert active is not None
    assert active.model_id == promoted.model_id


def test_an_unknown_model_is_not_promoted(directory: Path) -> None:
    with pytest.raises(ModelError, match="nowhere"):
        Registry(directory).promote("nowhere")


@pytest.mark.parametrize("model_id", ["", "../evil", "a/b", ".hidden"])
def test_an_id_that_is_no_plain_name_is_refused(directory: Path, model_id: str) -> None:
    with pytest.raises(ModelError, match="no model id"):
        Registry(directory).save(replace(small_model(), model_id=model_id))


def test_a_saved_model_is_never_overwritten(directory: Path, promoted: Model) -> None:
    with pytest.raises(ModelError, match="exists already"):
        Registry(directory).save(promoted)


def test_the_list_tells_age_skill_and_which_one_is_active(directory: Path, promoted: Model) -> None:
    registry = Registry(directory)
    newer = registry.save(small_model(1))
    (directory / "models" / newer / MANIFEST).write_text("{}", encoding="utf-8")
    first, second = registry.list()
    assert (first.model_id, first.active, first.sites) == (promoted.model_id, True, ("alder",))
    assert first.skill == pytest.approx((0.5 * 0.5 * 0.6**3 * 0.7) ** (1 / 6))
    assert first.problem is None
    assert (second.model_id, second.active) == (newer, False)
    assert second.problem is not None


def test_a_manifest_that_was_read_once_is_read_again_when_it_changes(
    directory: Path, promoted: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The health is looked at every minute, and the manifests of a large fleet take seconds to read."""
    path = directory / "models" / promoted.model_id / MANIFEST
    (first,) = Registry(directory).list()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", lambda _: pytest.fail("it was read already"))
        assert Registry(directory).list() == (first,)
        assert Registry(directory).in_force() == first
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    (damaged,) = Registry(directory).list()
    assert damaged.problem is not None
    path.write_bytes(whole)
    assert Registry(directory).list() == (first,)
    path.unlink()
    (gone,) = Registry(directory).list()
    assert gone.problem is not None
    for part in (str(path), "No such file", "dam-warning train"):
        assert part in gone.problem


def test_pruning_keeps_the_newest_and_the_one_in_force(directory: Path, promoted: Model) -> None:
    registry = Registry(directory)
    others = [registry.save(small_model(number)) for number in range(1, 5)]
    assert registry.prune(2) == tuple(others[:2])
    assert [s.model_id for s in registry.list()] == [promoted.model_id, *others[2:]]


CRASHING = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
left = int({left!r})
def counted(name, real):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return call
os.fsync, os.replace, os.rename = (counted(f.__name__, f) for f in (os.fsync, os.replace, os.rename))
Path.replace = counted("replace", Path.replace)
Path.rename = counted("rename", Path.rename)
from test_registry import small_model
from warning.forecasting.registry import Registry
registry = Registry(Path({directory!r}))
registry.promote(registry.save(small_model(1)))
"""


def test_a_kill_between_any_two_steps_leaves_a_whole_model_in_force(
    tmp_path: Path, run_python: Callable[[str], int]
) -> None:
    """The k-th call that changes or syncs the disk is where SIGKILL strikes; k rises until none is left."""
    reached = []
    for k in range(20):
        directory = tmp_path / str(k)
        registry = Registry(directory)
        old = registry.save(small_model())
        registry.promote(old)
        values = {"tests": str(Path(__file__).parent), "left": str(k), "directory": str(directory)}
        status = run_python(CRASHING.format(**values))
        active = Registry(directory).active()
        assert active is not None
        reached.append(active.model_id != old)
        again = Registry(directory).save(small_model(2))
        assert again in [s.model_id for s in Registry(directory).list() if s.problem is None]
        if status == 0:
            break
        assert status == -signal.SIGKILL
    assert status == 0
    assert k >= 6
    assert reached == sorted(reached)
    assert reached[-1]


@pytest.fixture
def run_python() -> Callable[[str], int]:
    def run(code: str) -> int:
        return subprocess.run([sys.executable, "-c", code], env=dict(os.environ), check=False).returncode

    return run


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files for somebody else")
def test_a_model_that_root_trained_belongs_to_the_owner_of_the_state_directory(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, 65534, 65534)
    registry = Registry(state / "models")
    registry.promote(registry.save(small_model()))
    assert {path.stat().st_uid for path in state.rglob("*")} == {65534}
