"""What the networks alone take for one day's forecast of a fleet, on the CPU and on a GPU where there is one.

    python tests/benchmarks/model_time.py [DAMS]

Networks of the usual architecture and number, with the parameters that training begins with, answer one row
of each dam, as many dams together as the daily forecast puts together: inputs made, sent to the device,
answered, fetched and rounded. Prints the least of five rounds after a first one that warms up.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, date, datetime

import numpy as np
import torch

from warning.demo.simulation import simulate_fleet
from warning.domain.readings import ReadingSeries
from warning.domain.variables import Variable
from warning.forecasting.daily import REMEMBERED_AT_ONCE, Question
from warning.forecasting.joined import joined, scales_of_rows
from warning.forecasting.model import Model, SiteScale
from warning.forecasting.networks import build, load, predict_many
from warning.forecasting.scaling import fit_scale
from warning.forecasting.training_plan import TrainingSettings

DAYS = 90
ROUNDS = 5


def dam() -> tuple[ReadingSeries, SiteScale]:
    simulated = simulate_fleet().dams[0]
    flags = {v: np.zeros(len(simulated), np.uint16) for v in simulated.values}
    whole = ReadingSeries(date(2000, 1, 1), simulated.values, flags, flags)
    scale = fit_scale(whole, Variable.LEVEL_M, whole.last_day)
    values = {v: column[-DAYS:] for v, column in simulated.values.items()}
    return ReadingSeries(
        date(2000, 1, 1), values, *2 * [{v: flag[-DAYS:] for v, flag in flags.items()}]
    ), scale


def untrained() -> Model:
    torch.manual_seed(0)
    specs = TrainingSettings().specs()
    states = {spec.name: {n: p.numpy() for n, p in build(spec).state_dict().items()} for spec in specs}
    return Model("untrained", datetime(2026, 1, 1, tzinfo=UTC), specs, states, {}, {}, {})


def main() -> None:
    dams = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    series, scale = dam()
    questions: list[Question] = []
    for first in range(0, dams, REMEMBERED_AT_ONCE):
        count = min(REMEMBERED_AT_ONCE, dams - first)
        together = joined([series] * count)
        rows = together.starts + DAYS - 1
        questions.append((together, scales_of_rows([scale] * count, np.ones(count, np.intp)), rows))
    model = untrained()
    for device in ["cpu"] + ["cuda"] * torch.cuda.is_available():
        networks, took_s = load(model, device), []
        for _ in range(ROUNDS + 1):
            begin = time.perf_counter()
            for question in questions:
                predict_many(networks, [question], device)
            took_s.append(time.perf_counter() - begin)
        least_s, first_s = min(took_s[1:]), took_s[0]
        print(f"{dams} dams, {len(networks)} networks, {device}: {least_s:.2f} s, at first {first_s:.2f} s")


if __name__ == "__main__":
    main()
