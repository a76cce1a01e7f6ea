"""Training: all dams at once, one network after the other, stopped where the validation parts say so.

The rows of all dams lie in memory as tensors and are cut into batches there; pytorch-lightning runs the
epochs. What is minimised is what is judged: the absolute error over the persistence error, per dam and lead.
"""

from __future__ import annotations

import copy
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import nn

from warning.domain.forecast import HORIZON_DAYS
from warning.domain.readings import ReadingSeries
from warning.errors import ModelError
from warning.forecasting.examples import Examples, gather_examples
from warning.forecasting.model import NetworkSpec
from warning.forecasting.networks import build_twin
from warning.forecasting.training_plan import SiteSplit, State, TrainedNetworks, TrainingLog, TrainingSettings

Progress = Callable[[str, float], None]
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
_CHECK_ROWS = 4096


def train(
    histories: Mapping[str, tuple[ReadingSeries, SiteSplit]],
    settings: TrainingSettings,
    on_progress: Progress | None = None,
) -> TrainedNetworks:
    """Train all networks on all dams. Equal input, settings and machine give equal parameters.

    `on_progress` hears what is being done and which share of the whole is behind it. Raises ModelError
    where no dam has anything to learn from, or the loss stops being a number.
    """
    report = on_progress or _silent
    specs = settings.specs()
    steps = max(int(spec.options["steps"]) for spec in specs)
    report("gathering examples", 0.0)
    learn, check = gather_examples(histories, steps, settings.most_examples, settings.seed)
    states: dict[str, State] = {}
    log = []
    jobs = [(spec, twin) for spec in specs for twin in range(int(spec.options["twins"]))]
    for done, (spec, twin) in enumerate(jobs):
        report(f"training {spec.name}", done / len(jobs))
        network, entry = _fit(spec, twin, settings.seed + 1000 * done, learn, check, settings)
        log.append(entry)
        own = {f"twins.{twin}.{name}": _plain(value) for name, value in network.state_dict().items()}
        states.setdefault(spec.name, {}).update(own)
    report("trained", 1.0)
    return TrainedNetworks(specs, states, tuple(log))


def choose_device(wanted: str) -> str:
    """Return "cuda" or "cpu" for "auto", else what was wanted.

    Raises ModelError where CUDA is asked for and not there.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ModelError("device cuda was asked for and torch finds none; use auto or cpu")
    return wanted


def _plain(value: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = value.detach().cpu().numpy().astype(np.float32)
    return array


def _silent(doing: str, share: float) -> None:
    """Progress that nobody asked for."""


class Batches:
    """Examples as tensors on the device, cut into batches: shuffled anew each epoch where a seed is given."""

    def __init__(self, examples: Examples, steps: int, size: int, seed: int | None, device: str) -> None:
        arrays = (examples.inputs[:, -steps:], examples.z, examples.counts, examples.sites)
        self._tensors = tuple(torch.from_numpy(array).to(device) for array in arrays)
        self._size = size
        self._random = None if seed is None else torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return math.ceil(len(self._tensors[0]) / self._size)

    def __iter__(self) -> Iterator[Batch]:
        rows = len(self._tensors[0])
        order = torch.arange(rows) if self._random is None else torch.randperm(rows, generator=self._random)
        order = order.to(self._tensors[0].device)
        for start in range(0, rows, self._size):
            part = order[start : start + self._size]
            inputs, z, counts, sites = (tensor[part] for tensor in self._tensors)
            yield inputs, z, counts, sites


class Fitting(pl.LightningModule):
    """One network under training; its loss is the mean absolute error in persistence errors.

    What is checked and kept is `average`, a moving average of the parameters over the steps.
    """

    def __init__(self, network: nn.Module, name: str, settings: TrainingSettings, sites: int) -> None:
        super().__init__()
        self.network = network
        self.average = copy.deepcopy(network).requires_grad_(False)
        self._name = name
        self._settings = settings
        self._sites = sites
        self._errors = self._known = torch.zeros(sites, HORIZON_DAYS)
        self.validation_loss = math.nan

    def training_step(self, batch: Batch, batch_index: int) -> torch.Tensor:
        inputs, z, counts, _ = batch
        loss: torch.Tensor = (counts * (self.network(inputs) - z).abs()).sum() / counts.sum().clamp(min=1e-12)
        if not torch.isfinite(loss):
            raise ModelError(
                f"training {self._name}: the loss became {loss.item()} in epoch {self.current_epoch + 1}; "
                "lower the learning rate or look for absurd readings in the training parts"
            )
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        """Let the average follow; early on, when little is averaged yet, faster."""
        step = self.global_step
        share = 1.0 - min(self._settings.averaging, step / (step + 9.0))
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(value, share)

    def on_validation_epoch_start(self) -> None:
        self._errors = torch.zeros(self._sites, HORIZON_DAYS, device=self.device)
        self._known = torch.zeros_like(self._errors)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        inputs, z, counts, sites = batch
        self._errors.index_add_(0, sites, counts * (self.average(inputs) - z).abs())
        self._known.index_add_(0, sites, (counts > 0).float())

    def on_validation_epoch_end(self) -> None:
        """Geometric mean over dams and leads of the error over persistence's."""
        ratios = self._errors[self._known > 0] / self._known[self._known > 0]
        self.validation_loss = float(ratios.clamp(min=1e-6).log().mean().exp())

    def configure_optimizers(self) -> Any:
        settings = self._settings
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, settings.max_epochs, eta_min=settings.learning_rate / 20
        )
        return {"optimizer": optimizer, "lr_scheduler": schedule}


class BestState(pl.Callback):
    """Keeps the parameters of the best epoch and stops when no better one comes."""

    def __init__(self, fitting: Fitting, patience: int) -> None:
        self.fitting = fitting
        self.patience = patience
        self.loss = math.inf
        self.epoch = 0
        self.state: dict[str, torch.Tensor] = {}

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if self.fitting.validation_loss < self.loss:
            self.loss, self.epoch = self.fitting.validation_loss, epoch
            self.state = {
                name: value.detach().clone() for name, value in self.fitting.average.state_dict().items()
            }
        elif epoch - self.epoch >= self.patience:
            trainer.should_stop = True


def _fit(
    spec: NetworkSpec, twin: int, seed: int, learn: Examples, check: Examples, settings: TrainingSettings
) -> tuple[nn.Module, TrainingLog]:
    """Train one network from its seed and return it with its best parameters."""
    device = choose_device(settings.device)
    torch.manual_seed(seed)
    steps = int(spec.options["steps"])
    sites = 1 + max(int(learn.sites.max()), int(check.sites.max()))
    fitting = Fitting(build_twin(spec), spec.name, settings, sites)
    best = BestState(fitting, settings.patience)
    trainer = _quiet_trainer(device, settings.max_epochs, best)
    batches = Batches(learn, steps, settings.batch_size, seed, device)
    trainer.fit(fitting, batches, Batches(check, steps, _CHECK_ROWS, None, device))
    if not best.state:
        raise ModelError(f"training {spec.name}: no epoch gave a finite validation loss")
    fitting.average.load_state_dict(best.state)
    return fitting.average, TrainingLog(spec.name, twin, best.epoch, best.loss)


def _quiet_trainer(device: str, max_epochs: int, best: BestState) -> pl.Trainer:
    """A trainer that writes no files, no bars and no adverts."""
    for name in ("pytorch_lightning", "lightning_fabric", "pytorch_lightning.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    return pl.Trainer(
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=1,
        max_epochs=max_epochs,
        callbacks=[best],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        deterministic=True,
        gradient_clip_val=1.0,
    )
