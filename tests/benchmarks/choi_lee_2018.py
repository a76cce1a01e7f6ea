"""Choi & Lee 2018 (doi:10.1155/2018/2470171), their own experiment: four monthly series, one step ahead.

    python tests/benchmarks/choi_lee_2018.py ../shared/data/tsdl [--seeds 10] [--series airline]

Ten LSTMs of one hidden layer, with as many cells as months they read, are trained on the first 60 % of a
series, stopped early on the next 15 %, and combined on the last 25 % by `warning.forecasting.weights`:
under rule (2)-(6) with the weights that the validation part leaves, as published, and with the rule kept
running through the test part, with and without a decay. Prints MAE and MSE, mean and spread over seeds,
beside Tables 2 and 3 of the paper and two forecasts that learn nothing.

Five settings: "values" learns the series scaled to the training part's range, as the paper seems to have
done. The others learn logarithms: "changes" the change to the next month, as this project does for dams;
"seasonal" how that change differs from the change of a year before; "month" how the value differs from the
usual one of its month of the year; "month change" the same for the change. "all of them" combines the fifty
members of the five settings under the same rules. The setting whose plain mean errs least on the validation
part is run once more as "anew": before each quarter of the test part, networks are trained from the start on
all that came before it, for as long as the validation part had shown to be best.

What the paper does not say and is chosen here: the lengths, Adam at 0.02, full batches, at most 400 epochs,
the scaling; and which TSDL series and scale were meant (see the README of the data).

Why not all published figures are reached: two of the four fit the months from 60 to 75 % of the series, which
validate here, better than the last 25 %. A least-squares autoregression whose form is chosen there errs by
0.518 / 0.947 on river flow and 5.651 / 55.4 on the airline there, beside the published 0.536 / 0.881 and
5.582 / 64.1, and by 0.645 / 1.528 and 11.8 / 278 on the last 25 %: passengers have tripled by then, and the
noise with them, and no forecast tried here comes below 10 (the published plain average, 11.63, does not
either). It is printed for both parts. The published wine figures have MSE / MAE² = 4.2, where a normal error
has 1.6 and every forecast of either wine series tried here 1.4 to 2.4: other errors, another series, or
another way of counting. So the figures can be held beside ours, but not taken for the same experiment.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from warning.domain.variables import FloatArray
from warning.forecasting.weights import PUBLISHED, WeightRule, adaptive_weights, combine, known_errors

LENGTHS = tuple(range(5, 15))
EPOCHS, PATIENCE, RATE = 400, 25, 0.02
SETTINGS = ("values", "changes", "seasonal", "month", "month change")
SEASON = 12
RUNNING = WeightRule(decay=0.95)


@dataclass(frozen=True)
class Paper:
    """A series as the paper reports on it: Table 2's best member, Table 3's ensemble (MAE, MSE)."""

    file: str
    scale: float
    member: tuple[float, float]
    ensemble: tuple[float, float]


SERIES = {
    "river flow": Paper("river_flow_clearwater.csv", 100.0, (0.64, 1.10), (0.536, 0.881)),
    "vehicles": Paper("vehicles_us_sales.csv", 1.0, (2.22, 6.25), (1.851, 4.452)),
    "wine (red)": Paper("wine_red.csv", 100.0, (1.09, 6.78), (0.937, 3.653)),
    "wine (total)": Paper("wine_total_bottled.csv", 1000.0, (1.09, 6.78), (0.937, 3.653)),
    "airline": Paper("airline_passengers.csv", 1.0, (6.43, 81.73), (5.582, 64.112)),
}


class Replicas(nn.Module):
    """One LSTM and its linear head, once per seed, computed together; no replica touches another.

    Inputs (seeds, rows, months) give answers (seeds, rows). Parameters start as torch's own do.
    """

    def __init__(self, cells: int, seeds: int) -> None:
        super().__init__()
        networks = []
        for seed in range(seeds):
            torch.manual_seed(1000 * cells + seed)
            networks.append((nn.LSTM(1, cells, batch_first=True), nn.Linear(cells, 1)))
        lstms, heads = [lstm for lstm, _ in networks], [head for _, head in networks]
        self.of_input = nn.Parameter(torch.stack([x.weight_ih_l0.detach().T for x in lstms]))
        self.of_memory = nn.Parameter(torch.stack([x.weight_hh_l0.detach().T for x in lstms]))
        self.bias = nn.Parameter(torch.stack([(x.bias_ih_l0 + x.bias_hh_l0).detach() for x in lstms]))
        self.head = nn.Parameter(torch.stack([x.weight.detach().T for x in heads]))
        self.head_bias = nn.Parameter(torch.stack([x.bias.detach() for x in heads]))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        cells = self.of_memory.shape[1]
        memory = windows.new_zeros(windows.shape[0], windows.shape[1], cells)
        state = memory
        for month in range(windows.shape[2]):
            gates = torch.baddbmm(self.bias[:, None], windows[:, :, month, None], self.of_input)
            gates = torch.baddbmm(gates, memory, self.of_memory)
            enter, forget, new, leave = gates.split(cells, dim=2)
            state = torch.sigmoid(forget) * state + torch.sigmoid(enter) * torch.tanh(new)
            memory = torch.sigmoid(leave) * torch.tanh(state)
        return torch.baddbmm(self.head_bias[:, None], memory, self.head)[:, :, 0]


@dataclass(frozen=True)
class Windows:
    """What one length sees of a signal: row i forecasts `signal[target[i]]` from the months before it."""

    inputs: torch.Tensor  # (seeds, rows, months)
    truth: torch.Tensor  # (seeds, rows)
    target: torch.Tensor  # (rows,)

    @classmethod
    def of(cls, signal: FloatArray, length: int, seeds: int) -> Windows:
        target = np.arange(length, signal.size)
        inputs = torch.from_numpy(np.stack([signal[t - length : t] for t in target]).astype(np.float32))
        truth = torch.from_numpy(signal[target].astype(np.float32))
        return cls(inputs.expand(seeds, -1, -1), truth.expand(seeds, -1), torch.from_numpy(target))

    def loss(self, answer: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Each seed's mean squared error over the rows marked."""
        return ((answer[:, rows] - self.truth[:, rows]) ** 2).mean(dim=1)


def answers(
    signal: FloatArray, length: int, ends: tuple[int, int], seeds: int
) -> tuple[FloatArray, torch.Tensor]:
    """Train the replicas of one length and return their forecasts (seeds, rows) and best epochs (seeds,).

    `ends` are the first rows of the validation and of the test part; row t forecasts `signal[t + 1]`.
    """
    windows = Windows.of(signal, length, seeds)
    learn = windows.target < ends[0]
    check = (windows.target >= ends[0]) & (windows.target < ends[1])
    network = Replicas(length, seeds)
    adam = torch.optim.Adam(network.parameters(), lr=RATE)
    best, best_epoch = torch.full((seeds,), math.inf), torch.zeros(seeds, dtype=torch.long)
    kept = torch.zeros_like(windows.truth)
    for epoch in range(EPOCHS):
        answer = network(windows.inputs)
        found = windows.loss(answer.detach(), check)
        better = found < best
        best, kept = torch.where(better, found, best), torch.where(better[:, None], answer.detach(), kept)
        best_epoch[better] = epoch
        if bool((epoch - best_epoch >= PATIENCE).all()):
            break
        step(adam, windows.loss(answer, learn))
    return spread_out(kept, windows, signal.size), best_epoch


def refitted(signal: FloatArray, length: int, end: int, epochs: torch.Tensor) -> FloatArray:
    """Train anew on `signal[:end]`, each seed for as many epochs as were best before."""
    windows = Windows.of(signal, length, len(epochs))
    known = windows.target < end
    network = Replicas(length, len(epochs))
    adam = torch.optim.Adam(network.parameters(), lr=RATE)
    kept = torch.zeros_like(windows.truth)
    for epoch in range(int(epochs.max()) + 1):
        answer = network(windows.inputs)
        kept = torch.where((epochs == epoch)[:, None], answer.detach(), kept)
        step(adam, windows.loss(answer, known))
    return spread_out(kept, windows, signal.size)


def step(adam: torch.optim.Optimizer, losses: torch.Tensor) -> None:
    adam.zero_grad()
    losses.sum().backward()
    adam.step()


def spread_out(answer: torch.Tensor, windows: Windows, size: int) -> FloatArray:
    """Return (seeds, rows) with the forecast of `signal[t + 1]` in row t, NaN before the first window."""
    result = np.full((len(answer), size), np.nan)
    result[:, windows.target.numpy() - 1] = answer.numpy()
    return result


@dataclass(frozen=True)
class Signal:
    """What the networks learn: z, of which the value after row t is `back(start[t] + z[t + 1] * unit)`.

    The first `skipped` rows of z are not known.
    """

    z: FloatArray
    start: FloatArray
    unit: float
    skipped: int
    logarithmic: bool

    def values(self, steps: FloatArray) -> FloatArray:
        """Turn forecasts of z (seeds, rows) into forecasts of the series."""
        found: FloatArray = self.start + steps * self.unit
        return np.exp(found) if self.logarithmic else found


def signal_of(values: FloatArray, setting: str, end: int) -> Signal:
    """Return the signal of a setting; every scale and every month's usual is that of `values[:end]`."""
    if setting == "values":
        low, high = values[:end].min(), values[:end].max()
        return Signal((values - low) / (high - low), np.full(values.size, low), high - low, 0, False)
    logs, month = np.log(values), np.arange(values.size) % SEASON
    change = np.diff(logs, prepend=logs[0])
    learnt, start, skipped = change, logs, 1
    if setting == "seasonal":
        usual = np.concatenate((np.zeros(SEASON), change[1 : 1 - SEASON]))  # a year before, of the next month
        learnt = np.concatenate((np.zeros(SEASON), change[SEASON:] - change[:-SEASON]))
        start, skipped = logs + usual, SEASON + 1
    elif setting in ("month", "month change"):
        learnt, start, skipped = (logs, 0 * logs, 0) if setting == "month" else (change, logs, 1)
        usual = np.array([learnt[skipped:end][month[skipped:end] == m].mean() for m in range(SEASON)])
        learnt, start = learnt - usual[month], start + usual[(month + 1) % SEASON]
    unit = float(learnt[skipped:end].std())
    return Signal(learnt / unit, start, unit, skipped, True)


@dataclass(frozen=True)
class Members:
    """The forecasts (seeds, rows, members) of one setting, and how long each replica was trained."""

    setting: str
    forecasts: FloatArray
    epochs: tuple[torch.Tensor, ...]

    def mean(self) -> FloatArray:
        """The mean (rows,) of all forecasts of all seeds."""
        return np.asarray(self.forecasts.mean(axis=(0, 2)))

    @classmethod
    def train(cls, values: FloatArray, setting: str, ends: tuple[int, int], seeds: int) -> Members:
        signal = signal_of(values, setting, ends[0])
        later = (ends[0] - signal.skipped, ends[1] - signal.skipped)
        found = [answers(signal.z[signal.skipped :], n, later, seeds) for n in LENGTHS]
        return cls(setting, _in_unit(signal, [steps for steps, _ in found]), tuple(e for _, e in found))

    def refit(self, values: FloatArray, ends: tuple[int, int]) -> FloatArray:
        """Forecast each quarter of the test part with networks trained anew on all that came before it.

        The forecasts before the test part stay as they are.
        """
        result = self.forecasts.copy()
        for quarter in np.array_split(np.arange(ends[1], values.size), 4):
            signal = signal_of(values, self.setting, int(quarter[0]))
            known = int(quarter[0]) - signal.skipped
            steps = [
                refitted(signal.z[signal.skipped :], n, known, epochs)
                for n, epochs in zip(LENGTHS, self.epochs, strict=True)
            ]
            result[:, quarter - 1] = _in_unit(signal, steps)[:, quarter - 1]
        return result


def _in_unit(signal: Signal, members: list[FloatArray]) -> FloatArray:
    unknown = np.full((len(members[0]), signal.skipped), np.nan)
    return np.stack([signal.values(np.concatenate((unknown, m), axis=1)) for m in members], axis=2)


def pooled(
    members: FloatArray, values: FloatArray, rule: WeightRule, ends: tuple[int, int], runs: bool
) -> FloatArray:
    """Return the combination (rows,) of one seed's members (rows, members); weights begin with validation."""
    start = ends[0] - 1  # the row that forecasts the first value of the validation part
    part, truth = members[start:, None, :], values[start:]
    weights = adaptive_weights(known_errors(part, truth), rule)
    if not runs:  # the weights that the last value of the validation part leaves stay in force
        last = ends[1] - 1 - start
        weights[last:] = weights[last]
    result = np.full(values.size, np.nan)
    result[start:] = combine(part, weights)[0][:, 0]
    return result


def score(forecast: FloatArray, values: FloatArray, test: int) -> tuple[float, float]:
    """Return MAE and MSE of the one-step forecasts of `values[test:]`; row t forecasts t + 1."""
    errors = values[test:] - forecast[test - 1 : -1]
    if not np.isfinite(errors).all():
        raise ValueError("a forecast of the test part is missing")
    return float(np.abs(errors).mean()), float((errors**2).mean())


LAGS = ((1, 2, 3), (1, 2, 12, 13), tuple(range(1, 14)), (1, 2, 3, 12, 13, 24, 25))


def least_squares(values: FloatArray, first: int, lags: tuple[int, ...], seasonal: bool) -> FloatArray:
    """Forecast each value from row `first` on by an autoregression of the logarithms, fitted anew each month.

    `seasonal` regresses the difference from a year before; else each month of the year has its own mean.
    Returns (rows,), row t forecasting t + 1.
    """
    logs = np.log(values)
    before = np.concatenate((np.zeros(SEASON), logs[:-SEASON])) if seasonal else np.zeros(values.size)
    signal = logs - before
    usual = np.eye(SEASON)[np.arange(values.size) % SEASON] if not seasonal else np.ones((values.size, 1))
    inputs = np.hstack([*(np.roll(signal, lag)[:, None] for lag in lags), usual])
    known = max(lags) + SEASON * seasonal
    ridge = 1e-3 * inputs[known:first].var(axis=0).mean() * np.eye(inputs.shape[1])
    result = np.full(values.size, np.nan)
    for row in range(first, values.size):
        x, y = inputs[known:row], signal[known:row]
        weights = np.linalg.solve(x.T @ x + ridge, x.T @ y)
        result[row - 1] = math.exp(inputs[row] @ weights + before[row])
    return result


def print_least_squares(values: FloatArray, ends: tuple[int, int]) -> None:
    """What a regression reaches whose form is chosen on the validation part, there and on the test part."""
    found = []
    for lags in LAGS:
        for seasonal in (False, True):
            forecast = least_squares(values, ends[0], lags, seasonal)
            found.append((part_score(forecast, values, *ends), score(forecast, values, ends[1])))
    checked, tested = min(found)
    print_pair("least squares, chosen on validation", tested)
    print_pair("  the same on the validation part", checked)


def print_pair(label: str, errors: tuple[float, float]) -> None:
    print(f"  {label:<42}{errors[0]:8.3f}         {errors[1]:10.3f}", flush=True)


def combinations(own: FloatArray, values: FloatArray, ends: tuple[int, int]) -> dict[str, FloatArray]:
    """Every way to make one forecast (rows,) of one seed's members (rows, members)."""
    before = values[ends[0] : ends[1]]
    checked = [np.abs(before - member[ends[0] - 1 : ends[1] - 1]).mean() for member in own.T]
    return {
        "best member on validation": own[:, int(np.argmin(checked))],
        "plain mean": own.mean(axis=1),
        "rule, weights of validation": pooled(own, values, PUBLISHED, ends, runs=False),
        "rule kept running": pooled(own, values, PUBLISHED, ends, runs=True),
        "rule with decay, running": pooled(own, values, RUNNING, ends, runs=True),
    }


def print_rows(name: str, members: FloatArray, values: FloatArray, ends: tuple[int, int]) -> None:
    rows: dict[str, list[tuple[float, float]]] = {}
    for own in members:
        for label, forecast in combinations(own, values, ends).items():
            rows.setdefault(label, []).append(score(forecast, values, ends[1]))
    for label, scores in rows.items():
        mae, mse = np.array(scores).T
        spread = f"{mae.mean():8.3f} ± {mae.std():5.3f} {mse.mean():10.3f} ± {mse.std():7.3f}"
        print(f"  {name:>12}: {label:<28}{spread}", flush=True)


def report(name: str, folder: Path, seeds: int) -> None:
    paper = SERIES[name]
    values = np.loadtxt(folder / paper.file, delimiter=",", skiprows=1, usecols=1) / paper.scale
    ends = (round(0.6 * values.size), round(0.75 * values.size))
    print(
        f"\n{name}: {values.size} months, test from {ends[1]}, {seeds} seeds            MAE               MSE"
    )
    season = np.roll(values, SEASON - 1)  # row t forecasts t + 1 by what was a year before it
    for label, (mae, mse) in {
        "paper, best member": paper.member,
        "paper, ensemble": paper.ensemble,
        "the last value": score(values, values, ends[1]),
        "the value of a year before": score(season, values, ends[1]),
    }.items():
        print_pair(label, (mae, mse))
    print_least_squares(values, ends)
    settings = [Members.train(values, setting, ends, seeds) for setting in SETTINGS]
    for found in settings:
        print_rows(found.setting, found.forecasts, values, ends)
    everyone = np.concatenate([found.forecasts for found in settings], axis=2)
    print_rows("all of them", everyone, values, ends)
    checked = [part_score(found.mean(), values, *ends) for found in settings]
    best = int(np.argmin([mae for mae, _ in checked]))
    chosen = settings[best]
    print_rows(f"{chosen.setting}, anew", chosen.refit(values, ends), values, ends)
    print(f"  chosen on validation: {chosen.setting}. Its plain mean, mean of the seeds' forecasts:")
    print_pair("  where it learnt (training part)", part_score(chosen.mean(), values, 30, ends[0]))
    print_pair("  where it was stopped (validation part)", checked[best])


def part_score(forecast: FloatArray, values: FloatArray, first: int, end: int) -> tuple[float, float]:
    """MAE and MSE over `values[first:end]`; row t of `forecast` (rows,) forecasts t + 1."""
    return score(forecast[:end], values[:end], first)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the folder with the TSDL series")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--series", choices=SERIES, action="append")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.series or SERIES:
        report(name, options.folder, options.seeds)


if __name__ == "__main__":
    main()
