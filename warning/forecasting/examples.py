"""The examples that networks learn from and are checked on: inputs, targets, and what each error counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from warning.domain.forecast import HORIZON_DAYS
from warning.domain.readings import AHEAD_VARIABLES, ReadingSeries
from warning.domain.variables import FloatArray, IndexArray
from warning.errors import ModelError
from warning.forecasting.ahead import ahead_inputs, observed_ahead
from warning.forecasting.features import base_values, network_inputs, targets
from warning.forecasting.training_plan import SiteSplit

Float32Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows of all dams: inputs (N, steps, features), z (N, 7) with 0 where unknown, counts (N, 7).

    `counts` turns an absolute error of z into its share of the loss: 0 where the truth is unknown, else
    one over the persistence error of dam and lead. `sites` numbers the dam of each row. `ahead`
    (N, AHEAD_COUNT) is the rain and release that came, as if they had been known.
    """

    inputs: Float32Array
    z: Float32Array
    counts: Float32Array
    sites: IndexArray
    ahead: Float32Array


def gather_examples(
    histories: Mapping[str, tuple[ReadingSeries, SiteSplit]], steps: int, most: int, seed: int
) -> tuple[Examples, Examples]:
    """Return the examples of the training and of the validation parts.

    No training example's targets reach `train_end`, no validation example's `validation_end`. Of more
    than `most` training rows a seeded sample is taken, dam by dam in proportion.
    """
    learn_rows = {name: _rows(*history, part=0) for name, history in histories.items()}
    check_rows = {name: _rows(*history, part=1) for name, history in histories.items()}
    total = sum(rows.size for rows in learn_rows.values())
    if total == 0 or sum(rows.size for rows in check_rows.values()) == 0:
        raise ModelError(
            f"nothing to learn from: {total} usable days before the training ends at {len(histories)} dams, "
            "and some are needed in the training and in the validation parts"
        )
    if total > most:
        random = np.random.default_rng(seed)
        learn_rows = {name: _sample(rows, most / total, random) for name, rows in learn_rows.items()}
    return _assemble(histories, learn_rows, steps, True), _assemble(histories, check_rows, steps, False)


def _rows(series: ReadingSeries, split: SiteSplit, *, part: int) -> IndexArray:
    """Return the issue rows of the training (0) or validation (1) part with a base and some truth."""
    ends = (0, series.row(split.train_end), series.row(split.validation_end))
    first, end = max(ends[part], 0), min(max(ends[part + 1], 0), len(series))
    rows = np.arange(first, max(end - HORIZON_DAYS, first))
    reported = series.reported(split.scale.variable)[rows]
    base = base_values(series, split.scale.variable, rows)
    known = np.isfinite(targets(series, split.scale, rows)).any(axis=1)
    return rows[reported & np.isfinite(base) & known]


def _sample(rows: IndexArray, share: float, random: np.random.Generator) -> IndexArray:
    return np.sort(random.choice(rows, size=int(rows.size * share), replace=False))


def _assemble(
    histories: Mapping[str, tuple[ReadingSeries, SiteSplit]],
    rows: Mapping[str, IndexArray],
    steps: int,
    learning: bool,
) -> Examples:
    parts = [
        _of_one_dam(*history, rows[name], steps, number, learning)
        for number, (name, history) in enumerate(histories.items())
        if rows[name].size
    ]
    return Examples(
        np.concatenate([part.inputs for part in parts]),
        np.concatenate([part.z for part in parts]),
        np.concatenate([part.counts for part in parts]),
        np.concatenate([part.sites for part in parts]),
        np.concatenate([part.ahead for part in parts]),
    )


def _of_one_dam(
    series: ReadingSeries, split: SiteSplit, rows: IndexArray, steps: int, number: int, learning: bool
) -> Examples:
    truth = targets(series, split.scale, rows)
    counts = _counts(truth)
    if learning:
        counts /= np.sqrt(rows.size)  # a dam with a long record counts more, but not in proportion
    knowing = replace(series, ahead=observed_ahead(series, AHEAD_VARIABLES))
    return Examples(
        network_inputs(series, split.scale, rows, steps).astype(np.float32),
        np.nan_to_num(truth).astype(np.float32),
        counts.astype(np.float32),
        np.full(rows.size, number, dtype=np.intp),
        ahead_inputs(knowing, split.scale, rows).astype(np.float32),
    )


def _counts(truth: FloatArray) -> FloatArray:
    """One over the mean |z| of each lead, which is persistence's error; 0 where the truth is unknown."""
    known = np.isfinite(truth)
    mass = np.where(known, np.abs(truth), 0.0).sum(axis=0)
    number = np.maximum(known.sum(axis=0), 1)
    typical = np.maximum(mass / number, 0.05)
    counts: FloatArray = np.where(known, 1.0 / typical, 0.0)
    return counts
