"""Training speed of the ensemble: ten LSTMs one after the other, and stacked, side by side in one run.

    python tests/benchmarks/training_speed.py ../shared/data/reservoirs [--batch 64] [--device cuda]

One side is what one would write first: each LSTM in a LightningModule of its own, torch's LSTM, automatic
optimization, tensors in memory, one after the other, on one torch thread (and on two with --two-threads,
which is slower by far as soon as anything else runs). The other is this project's `Fitting`, in one process
and in the two that `dam-warning train` uses on two cores. Both start equal, see the batches in the same
order, clip, average and stop early alike, so both reach the same validation losses after the same epochs: the
greatest difference is printed, and the wall time of the whole is the time to the same validation loss. On a
GPU the stack is one, in one process. The sides take turns; medians over the rounds are printed, wall time and
processor time, because other work on the machine disturbs the first more than the second.
"""

from __future__ import annotations

import argparse
import copy
import logging
import math
import multiprocessing
import resource
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from warning.forecasting.examples import Examples, gather_examples
from warning.forecasting.networks import build_twin
from warning.forecasting.scaling import fit_scale
from warning.forecasting.stacked import stacked
from warning.forecasting.training import Fitting, Rows, run
from warning.forecasting.training_plan import Member, SiteSplit, TrainingSettings
from warning.sources.tidy_csv import read_tidy
from warning.verification.sites import Split, site_from_record

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
Losses = dict[str, list[float]]


class Batches:
    """Examples as tensors in memory, cut into batches; in a new order each epoch where a seed is given."""

    def __init__(self, examples: Examples, steps: int, size: int, seed: int | None, device: str) -> None:
        arrays = (examples.inputs[:, -steps:].copy(), examples.z, examples.counts, examples.sites)
        self.tensors = tuple(torch.from_numpy(array).to(device) for array in arrays)
        self.size = size
        self.order = None if seed is None else torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return math.ceil(len(self.tensors[0]) / self.size)

    def __iter__(self) -> Iterator[Batch]:
        count = len(self.tensors[0])
        order = torch.arange(count) if self.order is None else torch.randperm(count, generator=self.order)
        for rows in order.to(self.tensors[0].device).split(self.size):
            inputs, z, counts, sites = (tensor[rows] for tensor in self.tensors)
            yield inputs, z, counts, sites


class OneLstm(pl.LightningModule):
    """One LSTM as Lightning's own examples would train it."""

    def __init__(self, network: nn.Module, settings: TrainingSettings, sites: int) -> None:
        super().__init__()
        self.network, self.settings, self.sites = network, settings, sites
        self.average = copy.deepcopy(network).requires_grad_(False)
        self.losses: list[float] = []
        self.best_epoch = 0

    def training_step(self, batch: Batch, batch_index: int) -> torch.Tensor:
        inputs, z, counts, _ = batch
        loss: torch.Tensor = (counts * (self.network(inputs) - z).abs()).sum() / counts.sum()
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        share = 1.0 - min(self.settings.averaging, self.global_step / (self.global_step + 9.0))
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(value, share)

    def on_validation_epoch_start(self) -> None:
        self.errors, self.known = torch.zeros(2, self.sites, 7, device=self.device)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        inputs, z, counts, sites = batch
        self.errors.index_add_(0, sites, counts * (self.average(inputs) - z).abs())
        self.known.index_add_(0, sites, (counts > 0).float())

    def on_validation_epoch_end(self) -> None:
        ratios = self.errors[self.known > 0] / self.known[self.known > 0]
        self.losses.append(float(ratios.clamp(min=1e-6).log().mean().exp()))
        if self.losses[-1] == min(self.losses):
            self.best_epoch = len(self.losses)
        if len(self.losses) - self.best_epoch >= self.settings.patience:
            self.trainer.should_stop = True

    def configure_optimizers(self) -> Any:
        rate = self.settings.learning_rate
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=rate, weight_decay=self.settings.weight_decay
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, self.settings.max_epochs, eta_min=rate / 20
        )
        return {"optimizer": optimizer, "lr_scheduler": schedule}


@dataclass(frozen=True)
class Task:
    """What a process trains, and how."""

    name: str
    parts: tuple[int, ...]
    stacked: bool
    threads: int


def one_by_one(
    members: Sequence[Member], learn: Examples, check: Examples, settings: TrainingSettings
) -> Losses:
    losses: Losses = {}
    for member in members:
        torch.manual_seed(member.seed)
        module = OneLstm(build_twin(member.spec), settings, int(learn.sites.max()) + 1)
        trainer = pl.Trainer(
            accelerator=settings.device, devices=1, max_epochs=settings.max_epochs, gradient_clip_val=1.0,
            logger=False, enable_checkpointing=False, enable_model_summary=False, enable_progress_bar=False,
            num_sanity_val_steps=0,
        )  # fmt: skip
        steps = int(member.spec.options["steps"])
        batches = Batches(learn, steps, settings.batch_size, member.seed, settings.device)
        trainer.fit(module, batches, Batches(check, steps, 4096, None, settings.device))
        losses[member.spec.name] = module.losses
    return losses


def together(
    members: Sequence[Member], learn: Examples, check: Examples, settings: TrainingSettings
) -> Losses:
    networks = []
    for member in members:
        torch.manual_seed(member.seed)
        networks.append(build_twin(member.spec))
    rows = Rows(learn, settings.device), Rows(check, settings.device)
    fitting = Fitting(members, stacked(networks), *rows, int(learn.sites.max()) + 1, settings)
    run(fitting, lambda share: None)
    return {best.member.spec.name: best.losses for best in fitting.best}


def serve(pipe: Connection, folder: Path, settings: TrainingSettings, task: Task) -> None:
    """Gather the examples, then train as often as asked and say what it took."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    torch.set_num_threads(task.threads)
    learn, check = examples(folder, settings)
    parts = settings.parts(halves=settings.device == "cpu")
    train: Callable[..., Losses] = together if task.stacked else one_by_one
    pipe.send(len(learn.sites))
    while pipe.recv() is not None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        losses: Losses = {}
        for part in task.parts:
            losses |= train(parts[part], learn, check, settings)
        pipe.send((resource.getrusage(resource.RUSAGE_SELF).ru_utime - before, losses))


def examples(folder: Path, settings: TrainingSettings) -> tuple[Examples, Examples]:
    histories = {}
    for path in sorted(folder.glob("*.csv")):
        site = site_from_record(path.stem, read_tidy(path).readings(), Split())
        scale = fit_scale(site.series, site.variable, site.train_end)
        histories[site.id] = (site.series, SiteSplit(scale, site.train_end, site.validation_end))
    learn, check = gather_examples(histories, max(settings.lengths), settings.most_examples, settings.seed)
    every = max(round(4 * len(check.sites) / len(learn.sites)), 1)  # a fifth of all, as in operation
    thinned = (array[::every] for array in (check.inputs, check.z, check.counts, check.sites, check.ahead))
    return learn, Examples(*thinned)


class Side:
    """One way to train, in as many processes as it has tasks."""

    def __init__(self, folder: Path, settings: TrainingSettings, tasks: Sequence[Task]) -> None:
        self.name = tasks[0].name
        self.wall_s: list[float] = []
        self.user_s: list[float] = []
        self.losses: Losses = {}
        self.pipes: list[Connection] = []
        context = multiprocessing.get_context("spawn")
        for task in tasks:
            here, there = context.Pipe()
            context.Process(target=serve, args=(there, folder, settings, task), daemon=True).start()
            self.pipes.append(here)
        self.rows = max(pipe.recv() for pipe in self.pipes)

    def train(self) -> None:
        start = time.perf_counter()
        for pipe in self.pipes:
            pipe.send("train")
        answers = [pipe.recv() for pipe in self.pipes]
        self.wall_s.append(time.perf_counter() - start)
        self.user_s.append(sum(user_s for user_s, _ in answers))
        self.losses = {name: losses for _, found in answers for name, losses in found.items()}

    def end(self) -> None:
        for pipe in self.pipes:
            pipe.send(None)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the ensemble's training side by side.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rows", type=int, default=12_000, help="examples to learn from, at most")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--patience", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lengths", default="4 6 8 10 12 14 17 20 25 30", help="days and cells of the LSTMs")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="for all sides")
    parser.add_argument("--two-threads", action="store_true", help="also one by one on two torch threads")
    asked = parser.parse_args()
    settings = replace(
        TrainingSettings(device=asked.device, cnn_twins=0),
        batch_size=asked.batch,
        most_examples=asked.rows,
        max_epochs=asked.epochs,
        patience=asked.patience,
        lengths=tuple(int(length) for length in asked.lengths.split()),
    )
    on_cpu = settings.device == "cpu"
    halves = tuple(range(len(settings.parts(halves=on_cpu))))
    plans = [
        [Task("one by one, 1 thread", halves, False, 1)],
        *([[Task("one by one, 2 threads", halves, False, 2)]] if asked.two_threads else []),
        [Task("stacked, 1 process", halves, True, 1)],
        *([[Task("stacked, 2 processes", (half,), True, 1) for half in halves]] if on_cpu else []),
    ]
    sides = [Side(asked.folder, settings, tasks) for tasks in plans]
    for _ in range(asked.rounds):
        for side in sides:
            side.train()
    print(f"{sides[0].rows} examples, batch {asked.batch}, lengths {asked.lengths}, {asked.rounds} rounds")
    first = sides[0]
    for side in sides:
        wall_s, user_s = statistics.median(side.wall_s), statistics.median(side.user_s)
        epochs = max(map(len, side.losses.values()))
        ratio = statistics.median(a / b for a, b in zip(first.wall_s, side.wall_s, strict=True))
        user = statistics.median(a / b for a, b in zip(first.user_s, side.user_s, strict=True))
        apart = max(
            abs(a / b - 1)
            for name in first.losses
            for a, b in zip(first.losses[name], side.losses[name], strict=True)
        )
        print(
            f"{side.name:22} {epochs / wall_s:6.3f} epochs/s   wall {wall_s:7.2f} s ({ratio:5.2f} x)"
            f"   user {user_s:7.2f} s ({user:5.2f} x)   validation losses apart {apart:.1e}"
        )
        side.end()


if __name__ == "__main__":
    main()
