"""Choi & Lee 2018 (doi:10.1155/2018/2470171), their own experiment: four monthly series, one step ahead.

    python tests/benchmarks/choi_lee_2018.py ../shared/data/tsdl [--seeds 10] [--series airline]

Ten LSTMs of one hidden layer, with as many cells as months they read, are trained on the first 60 % of a
series, stopped early on the next 15 %, and combined on the last 25 % by `warning.forecasting.weights`:
under rule (2)-(6) with the weights that the validation part leaves, as published, and with the rule kept
running through the test part, with and without a decay. Prints MAE and MSE, mean and spread over seeds,
beside Tables 2 and 3 of the paper and two forecasts that learn nothing.

Three settings: "values" learns the series scaled to the training part's range, as the paper seems to have
done; "changes" learns how the logarithm of the next value differs from the last one, as this project does
for dams; "seasonal" learns how that change differs from the change of a year before. What the paper does
not say and is chosen here: the lengths, Adam at 0.01, full batches, at most 1,000 epochs, the scaling; and
which TSDL series and scale were meant (see the README of the data).
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
EPOCHS, PATIENCE, RATE = 1000, 60, 0.01
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


def answers(signal: FloatArray, length: int, ends: tuple[int, int], seeds: int) -> FloatArray:
    """Train the replicas of one length on `signal` and return their forecasts (seeds, rows).

    `ends` are the first rows of the validation and of the test part; row t forecasts `signal[t + 1]`.
    """
    issue = np.arange(length - 1, signal.size - 1)
    rows = np.stack([signal[t - length + 1 : t + 1] for t in issue])
    windows = torch.from_numpy(rows).expand(seeds, -1, -1)
    target = torch.from_numpy(signal[issue + 1]).expand(seeds, -1)
    learn, check = issue + 1 < ends[0], (issue + 1 >= ends[0]) & (issue + 1 < ends[1])
    network = Replicas(length, seeds).double()
    adam = torch.optim.Adam(network.parameters(), lr=RATE)
    best = torch.full((seeds,), math.inf, dtype=torch.float64)
    kept, best_epoch = torch.zeros(seeds, issue.size, dtype=torch.float64), torch.zeros(seeds)
    for epoch in range(EPOCHS):
        adam.zero_grad()
        loss = ((network(windows[:, learn]) - target[:, learn]) ** 2).mean(dim=1)
        loss.sum().backward()
        adam.step()
        with torch.no_grad():
            answer = network(windows)
            found = ((answer[:, check] - target[:, check]) ** 2).mean(dim=1)
            better = found < best
            best, kept[better] = torch.where(better, found, best), answer[better]
            best_epoch[better] = epoch
        if bool((epoch - best_epoch >= PATIENCE).all()):
            break
    result = np.full((seeds, signal.size), np.nan)
    result[:, issue] = kept.numpy()
    return result


def forecasts(values: FloatArray, setting: str, ends: tuple[int, int], seeds: int) -> FloatArray:
    """Return every member's forecasts (seeds, rows, members) of the next value, in the series' unit."""
    if setting == "values":
        low, high = values[: ends[0]].min(), values[: ends[0]].max()
        signal = (values - low) / (high - low)
        return np.stack([answers(signal, n, ends, seeds) for n in LENGTHS], axis=2) * (high - low) + low
    logs = np.log(values)
    change = np.diff(logs, prepend=logs[0])
    skipped, usual = 0, np.zeros(values.size)  # usual: the change to the next value, a year before
    if setting == "seasonal":
        skipped = SEASON + 1  # the change of a year before is not known sooner
        usual = np.concatenate((np.zeros(SEASON), change[1 : 1 - SEASON]))
        change = np.concatenate((np.zeros(SEASON), change[SEASON:] - change[:-SEASON]))
    signal = change[skipped:] / change[skipped : ends[0]].std()
    later = (ends[0] - skipped, ends[1] - skipped)
    steps = np.stack([answers(signal, n, later, seeds) for n in LENGTHS], axis=2)
    steps = np.concatenate((np.full((seeds, skipped, len(LENGTHS)), np.nan), steps), axis=1)
    unusual = steps * change[skipped : ends[0]].std()
    return np.exp((logs + usual)[None, :, None] + unusual)


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


def report(name: str, folder: Path, seeds: int) -> None:
    paper = SERIES[name]
    values = np.loadtxt(folder / paper.file, delimiter=",", skiprows=1, usecols=1) / paper.scale
    ends = (round(0.6 * values.size), round(0.75 * values.size))
    print(f"\n{name}: {values.size} months, test from {ends[1]}, {seeds} seeds        MAE               MSE")
    print(f"  paper, best member             {paper.member[0]:8.3f}          {paper.member[1]:8.3f}")
    print(f"  paper, ensemble                {paper.ensemble[0]:8.3f}          {paper.ensemble[1]:8.3f}")
    last = score(values, values, ends[1])
    season = np.roll(values, SEASON - 1)  # row t forecasts t + 1 by what was a year before it
    print(f"  the last value                 {last[0]:8.3f}          {last[1]:8.3f}")
    print("  the value of a year before     {:8.3f}          {:8.3f}".format(*score(season, values, ends[1])))
    for setting in ("values", "changes", "seasonal"):
        members = forecasts(values, setting, ends, seeds)
        rows: dict[str, list[tuple[float, float]]] = {}
        for own in members:
            checked = [np.abs(values[ends[0] : ends[1]] - m[ends[0] - 1 : ends[1] - 1]).mean() for m in own.T]
            rows.setdefault("best member on validation", []).append(
                score(own[:, int(np.argmin(checked))], values, ends[1])
            )
            rows.setdefault("plain mean", []).append(score(own.mean(axis=1), values, ends[1]))
            for label, rule, runs in (
                ("rule, weights of validation", PUBLISHED, False),
                ("rule kept running", PUBLISHED, True),
                ("rule with decay, running", RUNNING, True),
            ):
                combined = pooled(own, values, rule, ends, runs)
                rows.setdefault(label, []).append(score(combined, values, ends[1]))
        for label, scores in rows.items():
            mae, mse = np.array(scores).T
            spread = f"{mae.mean():8.3f} ± {mae.std():5.3f} {mse.mean():10.3f} ± {mse.std():7.3f}"
            print(f"  {setting:>8}: {label:<28}{spread}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the folder with the TSDL series")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--series", choices=SERIES, action="append")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.series or SERIES:
        report(name, options.folder, options.seeds)


if __name__ == "__main__":
    main()
