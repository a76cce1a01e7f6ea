"""Trained models on disk: saved whole, promoted atomically, verified on load.

    DIRECTORY/models/MODEL_ID/manifest.json            all but the parameters, for people to read
    DIRECTORY/models/MODEL_ID/parameters.safetensors   every network's parameters
    DIRECTORY/models/MODEL_ID/standings-NNNN.npz       what its dams' past comes to, 250 dams a file
    DIRECTORY/recent/MODEL_ID/standings-NNNN.npz       what the forecasts since then need not make again
    DIRECTORY/active.json                              which model is in force, and its manifest's digest

The manifest holds the digest of the parameters and `active.json` that of the manifest, so that
nothing is used that is not what was promoted. A kill between any two steps leaves the old model
in force: a model's folder gets its name only when it is complete, and the pointer is replaced at once.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_parameters
from safetensors.numpy import save as dump_parameters

from warning.errors import ModelError
from warning.forecasting.batches import file_from_json, file_to_json
from warning.forecasting.features import FEATURE_NAMES
from warning.forecasting.memories import remember
from warning.forecasting.model import Model, StandingFile
from warning.forecasting.model_json import site_from_json, site_to_json, specs_from_json, specs_to_json
from warning.forecasting.pool import OPERATIONAL_RULE
from warning.forecasting.ragged import Arrays
from warning.forecasting.standing import Standing, write_standings
from warning.forecasting.weights import WeightRule

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
PARAMETERS: Final = "parameters.safetensors"
ACTIVE: Final = "active.json"
DAMS_PER_FILE: Final = 250
_UNFINISHED: Final = ".unfinished-"
_REMEDY: Final = "promote another model (`dam-warning models`) or train a new one (`dam-warning train`)"


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """One saved model, for a list. `skill` is the geometric mean of MAE / MAE(persistence) on its
    validation parts over dams and leads, NaN where unknown; `problem` says why it cannot be read."""

    model_id: str
    created_at: datetime | None
    sites: tuple[str, ...]
    skill: float
    active: bool
    problem: str | None = None


class Registry:
    """The models in one directory, which is made on the first save."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._models = directory / "models"

    def save(
        self,
        model: Model,
        standings: Mapping[str, Standing] | None = None,
        rule: WeightRule = OPERATIONAL_RULE,
    ) -> str:
        """Write `model` beside the others and return its id; it is not in force until promoted.

        `standings` of its dams under `rule` go with it, looked up file by file and not held together;
        those that `model` itself names are not looked at.
        Raises ModelError where the disk refuses or the id is taken.
        """
        self._check_id(model.model_id)
        parameters = dump_parameters(_flat(model))
        plain = _manifest(model, parameters)
        try:
            self._models.mkdir(parents=True, exist_ok=True)
            self._remove_unfinished()
            folder = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self._models))
            _write_durably(folder / PARAMETERS, [parameters])
            written = _write_standing_files(folder, standings or {}, rule)
            plain["standings"] = {file.path.name: file_to_json(file) for file in written}
            manifest = json.JSONEncoder(indent=1, allow_nan=False).iterencode(plain)
            _write_durably(folder / MANIFEST, (piece.encode() for piece in manifest))
            _sync_folder(folder)
            folder.chmod(0o700)
            self._hand_over(self._directory, self._models, folder, *folder.iterdir())
            folder.rename(self._models / model.model_id)
            _sync_folder(self._models)
        except OSError as error:
            raise ModelError(
                f"model {model.model_id} could not be saved in {self._models}: {error}"
            ) from error
        return model.model_id

    def promote(self, model_id: str) -> None:
        """Put a saved model in force, after verifying it; a crash leaves the old one in force."""
        manifest = self._read(model_id, MANIFEST)
        self._load(model_id, manifest)
        pointer = {"model_id": model_id, "manifest_sha256": _digest(manifest)}
        try:
            handle, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=self._directory)
            os.close(handle)
            _write_durably(Path(name), [json.dumps(pointer).encode()])
            Path(name).chmod(0o600)
            self._hand_over(Path(name))
            Path(name).replace(self._directory / ACTIVE)
            _sync_folder(self._directory)
        except OSError as error:
            raise ModelError(
                f"model {model_id} could not be promoted in {self._directory}: {error}"
            ) from error

    def _hand_over(self, *paths: Path) -> None:
        """Give what root made to the state directory's owner, so that the daemon can read it."""
        if os.geteuid() == 0:
            owner = self._directory.parent.stat()
            for path in paths:
                os.chown(path, owner.st_uid, owner.st_gid)

    def active(self) -> Model | None:
        """Return the model in force, every file verified against its digest; None before the first.

        Raises ModelError that names the file, what was expected and found, and the remedy.
        """
        pointer = self._pointer()
        if pointer is None:
            return None
        model_id, expected = pointer
        manifest = self._read(model_id, MANIFEST)
        _verify(self._models / model_id / MANIFEST, manifest, expected)
        return self._load(model_id, manifest)

    def list(self) -> tuple[ModelSummary, ...]:
        """Return all saved models, oldest first; a damaged one is listed with its problem."""
        try:
            pointer = self._pointer()
        except ModelError:
            pointer = None
        active_id = pointer[0] if pointer else None
        return tuple(self._summary(model_id, model_id == active_id) for model_id in self._ids())

    def in_force(self) -> ModelSummary | None:
        """Return the model in force as a list shows it, its parameters unread; None before the first.

        Raises ModelError where the pointer to it cannot be read.
        """
        pointer = self._pointer()
        return None if pointer is None else self._summary(pointer[0], True)

    def prune(self, keep: int) -> tuple[str, ...]:
        """Delete all but the newest `keep` models (≥ 1) and the one in force; return the deleted ids.

        Raises ModelError where the pointer to the model in force cannot be read.
        """
        if not keep >= 1:
            raise ModelError(f"at least one model must be kept, asked for {keep}")
        pointer = self._pointer()
        surplus = [i for i in self._ids()[:-keep] if pointer is None or i != pointer[0]]
        for model_id in surplus:
            doomed = self._models / f"{_UNFINISHED}{model_id}"
            (self._models / model_id).rename(doomed)
            shutil.rmtree(doomed)
            shutil.rmtree(self.recent(model_id), ignore_errors=True)
        return tuple(surplus)

    def recent(self, model_id: str) -> Path:
        """Return the folder for what forecasts with this model leave to the next; it may go any time."""
        return self._directory / "recent" / model_id

    def remember(self, model_id: str, memories: Mapping[str, Arrays]) -> None:
        """Leave, by dam, what the first forecast with a saved model need not find out again.

        Raises ModelError where the model cannot be read; a disk that refuses costs that forecast time.
        """
        folder = self.recent(model_id)
        for file in self._load(model_id, self._read(model_id, MANIFEST)).standings:
            known = {name: memories[name] for name in file.sites if name in memories}
            remember(folder / file.path.name, known)
        if folder.is_dir():
            self._hand_over(folder.parent, folder, *folder.iterdir())

    def _ids(self) -> tuple[str, ...]:
        """Ids begin with the instant of training, so their order is that of age."""
        if not self._models.is_dir():
            return ()
        folders = (p.name for p in self._models.iterdir() if p.is_dir())
        return tuple(sorted(name for name in folders if not name.startswith(_UNFINISHED)))

    def _check_id(self, model_id: str) -> None:
        if not model_id or not all(c.isalnum() or c in "-_" for c in model_id):
            raise ModelError(f"{model_id!r} is no model id: letters, digits, - and _ only")
        if (self._models / model_id).exists():
            raise ModelError(f"model {model_id} exists already in {self._models}")

    def _pointer(self) -> tuple[str, str] | None:
        path = self._directory / ACTIVE
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
            return str(plain["model_id"]), str(plain["manifest_sha256"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path} cannot be read ({error!r}); {_REMEDY}") from error

    def _read(self, model_id: str, name: str) -> bytes:
        path = self._models / model_id / name
        try:
            return path.read_bytes()
        except OSError as error:
            raise _unreadable(path, error) from error

    def _load(self, model_id: str, manifest: bytes) -> Model:
        parameters = self._read(model_id, PARAMETERS)
        path = self._models / model_id / MANIFEST
        try:
            plain = json.loads(manifest)
            _verify(path.with_name(PARAMETERS), parameters, plain["files"][PARAMETERS]["sha256"])
            return _model(plain, parameters, path.parent)
        except (ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
            raise ModelError(f"{path} does not describe a usable model ({error!r}); {_REMEDY}") from error

    def _summary(self, model_id: str, active: bool) -> ModelSummary:
        path = self._models / model_id / MANIFEST
        try:
            found = path.stat()
            stamp = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            created_at, sites, skill = _facts(path, stamp)
        except OSError as error:
            problem = str(_unreadable(path, error))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            problem = str(error)
        else:
            return ModelSummary(model_id, created_at, sites, skill, active)
        return ModelSummary(model_id, None, (), math.nan, active, problem)

    def _remove_unfinished(self) -> None:
        for leftover in self._models.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(leftover)


def new_model_id(created_at: datetime, states: Mapping[str, Mapping[str, NDArray[np.float32]]]) -> str:
    """Return an id that sorts by age and differs where the parameters do."""
    digest = hashlib.sha256()
    for network in sorted(states):
        for name in sorted(states[network]):
            digest.update(f"{network}/{name}".encode())
            digest.update(states[network][name].tobytes())
    return f"{created_at:%Y%m%dT%H%M%SZ}-{digest.hexdigest()[:8]}"


def _flat(model: Model) -> dict[str, NDArray[np.float32]]:
    return {
        f"{network}/{name}": np.ascontiguousarray(values)
        for network, parameters in model.states.items()
        for name, values in parameters.items()
    }


def _manifest(model: Model, parameters: bytes) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "model_id": model.model_id,
        "created_at": model.created_at.isoformat(),
        "features": list(FEATURE_NAMES),
        "units": {"level": "m", "storage": "m3", "flow": "m3/s", "rain": "mm"},
        "networks": specs_to_json(model.specs),
        "settings": dict(model.settings),
        "sites": {name: site_to_json(site) for name, site in model.sites.items()},
        "files": {PARAMETERS: {"sha256": _digest(parameters), "bytes": len(parameters)}},
        "versions": dict(model.versions),
    }


def _model(plain: Mapping[str, Any], parameters: bytes, folder: Path) -> Model:
    if plain["format"] != FORMAT:
        raise ValueError(f"format {plain['format']}, this program reads {FORMAT}")
    if tuple(plain["features"]) != FEATURE_NAMES:
        raise ValueError("it was trained with other input features than this program makes")
    states: dict[str, dict[str, NDArray[np.float32]]] = {}
    for key, values in load_parameters(parameters).items():
        network, name = key.split("/", 1)
        states.setdefault(network, {})[name] = values
    specs = specs_from_json(plain["networks"])
    if {spec.name for spec in specs} != states.keys():
        raise ValueError(f"networks {[s.name for s in specs]}, but parameters of {sorted(states)}")
    return Model(
        model_id=str(plain["model_id"]),
        created_at=datetime.fromisoformat(plain["created_at"]),
        specs=specs,
        states=states,
        sites={name: site_from_json(site) for name, site in plain["sites"].items()},
        settings=dict(plain["settings"]),
        versions=dict(plain["versions"]),
        standings=tuple(
            file_from_json(folder / name, file) for name, file in plain.get("standings", {}).items()
        ),
    )


def _write_standing_files(
    folder: Path, standings: Mapping[str, Standing], rule: WeightRule
) -> list[StandingFile]:
    """Divide the standings among files that the forecast's child reads one at a time.

    Those of a large fleet are gigabytes: one file is written before the next is put together.
    """
    everyone = list(standings)
    return [
        _write_standing_file(
            folder / f"standings-{first // DAMS_PER_FILE:04d}.npz",
            {name: standings[name] for name in everyone[first : first + DAMS_PER_FILE]},
            rule,
        )
        for first in range(0, len(everyone), DAMS_PER_FILE)
    ]


def _write_standing_file(path: Path, standings: Mapping[str, Standing], rule: WeightRule) -> StandingFile:
    data = write_standings([*standings.values()])
    _write_durably(path, [data])
    experts = next(iter(standings.values())).experts
    sites = {name: (one.day, one.mark) for name, one in standings.items()}
    return StandingFile(path, _digest(data), experts, rule, sites)


@lru_cache(maxsize=32)
def _facts(manifest: Path, stamp: tuple[int, ...]) -> tuple[datetime, tuple[str, ...], float]:
    """When a model was made, its dams, and their mean skill.

    Remembered while `stamp`, of the file, stays: the health is looked at every minute, and to read the
    manifests of all models of ten thousand dams takes seconds.
    """
    plain = json.loads(manifest.read_bytes())
    sites = {name: site_from_json(site) for name, site in plain["sites"].items()}
    ratios = [value for site in sites.values() for value in site.skill if value > 0]
    skill = math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else math.nan
    return datetime.fromisoformat(plain["created_at"]), tuple(sites), skill


def _unreadable(path: Path, error: OSError) -> ModelError:
    return ModelError(f"{path} cannot be read ({error.strerror}); {_REMEDY}")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _verify(path: Path, data: bytes, expected: str) -> None:
    found = _digest(data)
    if found != expected:
        raise ModelError(f"{path} is damaged: its SHA-256 is {found}, expected {expected}; {_REMEDY}")


def _write_durably(path: Path, pieces: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
