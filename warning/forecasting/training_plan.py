"""What is to be trained and what comes of it, as plain values: no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from warning.domain.forecast import CNN_LSTM, NETWORK_PREFIX_LSTM
from warning.forecasting.ahead import AHEAD_COUNT
from warning.forecasting.features import FEATURE_COUNT
from warning.forecasting.model import NetworkSpec, SiteScale

State = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class SiteSplit:
    """A dam's scale and the first days after its training and its validation part."""

    scale: SiteScale
    train_end: date
    validation_end: date


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """How the networks are made. `lengths` are the days that the ten members read, also their cells.

    `device` is "cpu", "cuda" or "auto". `twins` networks per name differ in their seed and answer
    with their mean. `averaging` is the share that the moving average of the parameters keeps at each
    step, 0 for none. `most_examples` bounds the memory: of a larger fleet's days a sample is taken.
    """

    seed: int = 0
    max_epochs: int = 25
    patience: int = 4
    batch_size: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    averaging: float = 0.995
    device: str = "auto"
    lengths: tuple[int, ...] = (4, 6, 8, 10, 12, 14, 17, 20, 25, 30)
    lstm_twins: int = 1
    lstm_dropout: float = 0.0
    cnn_steps: int = 14
    cnn_channels: int = 32
    cnn_kernel: int = 3
    cnn_cells: int = 32
    cnn_twins: int = 3
    cnn_dropout: float = 0.1
    most_examples: int = 150_000

    def specs(self) -> tuple[NetworkSpec, ...]:
        """Return the networks to train: the ensemble's by rising length, then the CNN-LSTM."""
        members = [lstm_spec(n, self.lstm_twins, self.lstm_dropout) for n in sorted(set(self.lengths))]
        cnn = cnn_lstm_spec(
            self.cnn_steps,
            self.cnn_channels,
            self.cnn_kernel,
            self.cnn_cells,
            self.cnn_twins,
            self.cnn_dropout,
        )
        return (*members, cnn)

    def parts(self, *, halves: bool = True) -> tuple[tuple[Member, ...], ...]:
        """Return the networks to train in the parts that each train as one: CNN-LSTMs, long and short LSTMs.

        Members of the ensemble stand in falling order of their days. They are divided so that the two
        parts, each padded to its longest member, take about as long; the most work comes first. Without
        `halves` they stay together, which suits a GPU: padding costs nothing there, every step does.
        """
        pairs = [(spec, twin) for spec in self.specs() for twin in range(int(spec.options["twins"]))]
        members = [Member(spec, twin, self.seed + 1000 * i) for i, (spec, twin) in enumerate(pairs)]
        cnns = tuple(member for member in members if member.spec.name == CNN_LSTM)
        lstms = sorted(members[: len(members) - len(cnns)], key=lambda m: -m.spec.options["steps"])
        cuts = range(1, len(lstms) + 1)
        cut = min(cuts, key=lambda i: max(_padded_work(lstms[:i]), _padded_work(lstms[i:])), default=0)
        cut = cut if halves else 0
        return tuple(part for part in (cnns, tuple(lstms[:cut]), tuple(lstms[cut:])) if part)


@dataclass(frozen=True, slots=True)
class Member:
    """One network to train: which twin of `spec`, and the seed of its start and of its order of examples."""

    spec: NetworkSpec
    twin: int
    seed: int


@dataclass(frozen=True, slots=True)
class TrainingLog:
    """How one network's training went: the epoch kept (from 1) and its loss, a ratio to persistence."""

    network: str
    twin: int
    best_epoch: int
    validation_loss: float


@dataclass(frozen=True, slots=True)
class TrainedNetworks:
    """Networks as plain arrays, by name and parameter."""

    specs: tuple[NetworkSpec, ...]
    states: dict[str, State]
    log: tuple[TrainingLog, ...] = ()


def merged(specs: tuple[NetworkSpec, ...], shares: Sequence[TrainedNetworks]) -> TrainedNetworks:
    """Return what was trained in several places as one, in the order of `specs`."""
    states: dict[str, State] = {spec.name: {} for spec in specs}
    for share in shares:
        for name, state in share.states.items():
            states[name].update(state)
    order = {spec.name: i for i, spec in enumerate(specs)}
    entries = [entry for share in shares for entry in share.log]
    log = sorted(entries, key=lambda entry: (order[entry.network], entry.twin))
    return TrainedNetworks(specs, states, tuple(log))


def _padded_work(members: Sequence[Member]) -> float:
    """Multiplications per example and gate of LSTMs that are all computed as wide as the widest."""
    width = max((member.spec.options["cells"] for member in members), default=0.0)
    return sum(member.spec.options["steps"] for member in members) * width * (width + FEATURE_COUNT)


def lstm_spec(length: int, twins: int, dropout: float) -> NetworkSpec:
    """Return the ensemble's member that reads `length` days with as many cells."""
    options = {
        "steps": length,
        "cells": length,
        "features": FEATURE_COUNT,
        "ahead": AHEAD_COUNT,
        "twins": twins,
        "dropout": dropout,
    }
    return NetworkSpec(f"{NETWORK_PREFIX_LSTM}{length:02d}", "lstm", options)


def cnn_lstm_spec(
    steps: int, channels: int, kernel: int, cells: int, twins: int, dropout: float
) -> NetworkSpec:
    options = {
        "steps": steps,
        "channels": channels,
        "kernel": kernel,
        "cells": cells,
        "features": FEATURE_COUNT,
        "ahead": AHEAD_COUNT,
        "twins": twins,
        "dropout": dropout,
    }
    return NetworkSpec(CNN_LSTM, "cnn_lstm", options)
