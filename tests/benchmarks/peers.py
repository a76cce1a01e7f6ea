"""Our forecasts beside AutoARIMA (statsforecast) and quantile NHITS (neuralforecast), scored alike.

    python3 -m venv peers && echo "torch==2.13.0" > pins
    peers/bin/pip install -c pins "statsforecast==2.1.*" "neuralforecast==3.3.*"
    dam-warning backtest RECORDS --forecasts forecasts.csv.gz
    PYTHONPATH=. peers/bin/python tests/benchmarks/peers.py RECORDS forecasts.csv.gz --every 42

Every 42nd issue day of each dam's test part is forecast by each peer from the dam's level (or storage)
alone, as this program's own screening leaves it at the end of the record: no sentinel and no unit change
hurts a peer, and what was doubted only later is already gone for it. Gaps are filled with the last value.
AutoARIMA is fitted anew on each issue day to the last 365 days; its intervals give the quantiles. NHITS is
fitted once to what all dams have before their test parts, with the pinball loss of our own levels, stops
early on their last part before the test, and reads the last 56 days.

MAE, the mean pinball loss and CRPS are taken by `warning.verification.scores` for every method, on the
days and leads that all methods forecast, as shares of persistence's MAE there; then the geometric mean
over dams. (Persistence's own CRPS is its MAE, but for the 1 % that the sum over 15 levels leaves out.)
"""

from __future__ import annotations

import argparse
import gzip
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from warning.domain.forecast import HORIZON_DAYS, QUANTILE_LEVELS
from warning.domain.variables import FloatArray
from warning.errors import DamWarningError
from warning.sources.tidy_csv import read_tidy
from warning.verification.forecasts_file import quantile_column
from warning.verification.scores import (
    coverage,
    crps_from_quantiles,
    geometric_mean,
    mae,
    pinball_losses,
)
from warning.verification.sites import Split, site_from_record

HISTORY_DAYS = 365
NHITS_INPUT_DAYS = 56
MEDIAN = QUANTILE_LEVELS.index(0.5)
BAND = (QUANTILE_LEVELS.index(0.05), QUANTILE_LEVELS.index(0.95))
INTERVALS = tuple(round(100 * (1 - 2 * level), 6) for level in QUANTILE_LEVELS if level < 0.5)
OURS, PERSISTENCE = "dam-warning", "persistence"


@dataclass(frozen=True)
class Dam:
    """One record as the peers see it: `values` settled, `filled` without gaps, and the days to forecast."""

    id: str
    first_day: date
    values: FloatArray
    filled: FloatArray
    validation: int  # the first rows of the validation and of the test part
    test: int
    issued: tuple[int, ...]

    def truth(self) -> FloatArray:
        """The values (days, 7) that the forecasts speak of; NaN past the record's end."""
        padded = np.concatenate((self.values, np.full(HORIZON_DAYS, np.nan)))
        return np.stack([padded[row + 1 : row + 1 + HORIZON_DAYS] for row in self.issued])


@dataclass(frozen=True)
class Answers:
    """Forecasts of one dam: `mean` (days, 7) and `quantiles` (days, 7, levels); NaN where there is none."""

    mean: FloatArray
    quantiles: FloatArray


def read_dam(path: Path, ours: Mapping[str, object], every: int) -> Dam | None:
    """Screen one record as the backtest does; None where it forecast nothing of it."""
    days = sorted(ours)[::every]
    if not days:
        return None
    site = site_from_record(path.stem, read_tidy(path).readings(), Split())
    values = site.series.trusted(site.variable)
    known = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(values.size), -1))
    filled = np.where(known >= 0, values[np.maximum(known, 0)], np.nan)
    return Dam(
        id=path.stem,
        first_day=site.series.first_day,
        values=values,
        filled=filled,
        validation=site.series.row(site.train_end),
        test=site.series.row(site.validation_end),
        issued=tuple(site.series.row(date.fromisoformat(day)) for day in days),
    )


def read_ours(path: Path) -> dict[str, dict[str, Answers]]:
    """Return the pool's forecasts by dam and issue day from a file that the backtest wrote."""
    found: dict[str, dict[str, Answers]] = {}
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as stream:
        names = stream.readline().rstrip("\n").split(",")
        tails = [names.index(quantile_column(level)) for level in QUANTILE_LEVELS]
        for line in stream:
            if ",pool," not in line:
                continue
            cells = line.rstrip("\n").split(",")
            lead = int(cells[3]) - 1
            answers = found.setdefault(cells[0], {}).setdefault(cells[1], no_answers(1))
            answers.mean[0, lead] = float(cells[5])
            answers.quantiles[0, lead] = [float(cells[tail]) for tail in tails]
    return found


def no_answers(days: int) -> Answers:
    shape = (days, HORIZON_DAYS)
    return Answers(np.full(shape, np.nan), np.full((*shape, len(QUANTILE_LEVELS)), np.nan))


def autoarima_day(history: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    """Fit AutoARIMA to one history; mean (7,) and quantiles (7, levels), or None where the fit failed."""
    from statsforecast.models import AutoARIMA

    try:
        found = AutoARIMA().forecast(y=history, h=HORIZON_DAYS, level=list(INTERVALS))
    except (ArithmeticError, LookupError, ValueError, np.linalg.LinAlgError) as error:
        print(f"  AutoARIMA failed: {error}", flush=True)
        return None
    mean = np.asarray(found["mean"], dtype=np.float64)
    lower = [np.asarray(found[f"lo-{interval}"]) for interval in INTERVALS]
    upper = [np.asarray(found[f"hi-{interval}"]) for interval in reversed(INTERVALS)]
    return mean, np.stack([*lower, mean, *upper], axis=1)


def autoarima(dams: Sequence[Dam], jobs: int) -> dict[str, Answers]:
    """Forecast each dam's days, each from the 365 days that end with it."""
    histories = [
        dam.filled[max(0, row - HISTORY_DAYS + 1) : row + 1][
            np.isfinite(dam.filled[max(0, row - HISTORY_DAYS + 1) : row + 1])
        ]
        for dam in dams
        for row in dam.issued
    ]
    with ProcessPoolExecutor(jobs) as pool:
        found = iter(list(pool.map(autoarima_day, histories, chunksize=4)))
    answers = {}
    for dam in dams:
        own = no_answers(len(dam.issued))
        for day in range(len(dam.issued)):
            forecast = next(found)
            if forecast is not None:
                own.mean[day], own.quantiles[day] = forecast
        answers[dam.id] = own
    return answers


def nhits(dams: Sequence[Dam], steps: int) -> dict[str, Answers]:
    """Fit one NHITS to all dams before their test parts, and forecast each dam's days."""
    import logging

    import pandas as pd
    import torch
    from neuralforecast import NeuralForecast
    from neuralforecast.losses.pytorch import MQLoss
    from neuralforecast.models import NHITS

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)

    def frame(uid: str, values: FloatArray) -> pd.DataFrame:
        return pd.DataFrame({"unique_id": uid, "ds": np.arange(values.size), "y": values})

    learnt = [dam.filled[: dam.test][np.isfinite(dam.filled[: dam.test])] for dam in dams]
    model = NHITS(
        h=HORIZON_DAYS,
        input_size=NHITS_INPUT_DAYS,
        loss=MQLoss(quantiles=list(QUANTILE_LEVELS)),
        scaler_type="robust",
        max_steps=steps,
        val_check_steps=100,
        early_stop_patience_steps=5,
        random_seed=0,
        alias="NHITS",
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        accelerator="cpu",
        devices=1,
    )
    peer = NeuralForecast(models=[model], freq=1)
    checked = min(dam.test - dam.validation for dam in dams)
    peer.fit(pd.concat([frame(d.id, part) for d, part in zip(dams, learnt, strict=True)]), val_size=checked)
    windows = [
        frame(f"{dam.id}|{day:05d}", dam.filled[row - NHITS_INPUT_DAYS + 1 : row + 1])
        for dam in dams
        for day, row in enumerate(dam.issued)
    ]
    found = peer.predict(df=pd.concat(windows)).sort_values(["unique_id", "ds"])
    columns = [name for name in found.columns if name.startswith("NHITS")]
    if len(columns) != len(QUANTILE_LEVELS):
        raise SystemExit(f"NHITS answered with the columns {columns}, expected {len(QUANTILE_LEVELS)}")
    table = np.sort(found[columns].to_numpy(dtype=np.float64), axis=1)  # crossed quantiles are put in order
    owner = found["unique_id"].str.split("|").str[0].to_numpy()
    answers = {}
    for dam in dams:
        quantiles = table[owner == dam.id].reshape(len(dam.issued), HORIZON_DAYS, len(QUANTILE_LEVELS))
        answers[dam.id] = Answers(quantiles[:, :, MEDIAN], quantiles)
    return answers


def certain(dam: Dam) -> Answers:
    """Persistence: the last value, and no doubt about it."""
    mean = np.repeat(dam.filled[list(dam.issued)][:, None], HORIZON_DAYS, axis=1)
    return Answers(mean, np.repeat(mean[:, :, None], len(QUANTILE_LEVELS), axis=2))


def kept_or_made(
    name: str, make: Callable[[], dict[str, Answers]], dams: Sequence[Dam], folder: Path | None
) -> dict[str, Answers]:
    """Return a peer's answers from `folder`, if it holds them for these days; else make and keep them."""
    path = folder / f"{name}.npz" if folder else None
    days = {f"{dam.id}/days": np.array(dam.issued) for dam in dams}
    if path and path.exists():
        with np.load(path) as kept:
            if all(key in kept and np.array_equal(kept[key], rows) for key, rows in days.items()):
                print(f"{name}: answers kept in {path}")
                return {d.id: Answers(kept[f"{d.id}/mean"], kept[f"{d.id}/quantiles"]) for d in dams}
    began = time.perf_counter()
    answers = make()
    lost = sum(int((~np.isfinite(own.mean[:, 0])).sum()) for own in answers.values())
    print(f"{name}: {time.perf_counter() - began:.0f} s, {lost} issue days without a forecast", flush=True)
    if path:
        means = {f"{name}/mean": own.mean for name, own in answers.items()}
        quantiles = {f"{name}/quantiles": own.quantiles for name, own in answers.items()}
        np.savez_compressed(path, **days, **means, **quantiles)
    return answers


@dataclass(frozen=True)
class Scores:
    """What one method reached at one dam and lead; the first three in the unit of the dam's variable."""

    mae: float
    pinball: float
    crps: float
    held: float


def score(mean: FloatArray, quantiles: FloatArray, truth: FloatArray) -> Scores:
    """The one scoring of every method: `mean` and `truth` (n,), `quantiles` (n, levels)."""
    return Scores(
        mae=mae(mean, truth),
        pinball=float(pinball_losses(quantiles, truth, QUANTILE_LEVELS).mean()),
        crps=crps_from_quantiles(quantiles, truth, QUANTILE_LEVELS),
        held=coverage(quantiles[:, BAND[0]], quantiles[:, BAND[1]], truth),
    )


def score_all(
    dams: Sequence[Dam], methods: Mapping[str, Mapping[str, Answers]]
) -> tuple[dict[str, dict[tuple[str, int], Scores]], int]:
    """Score every method at every dam and lead on the targets that all forecast; and count those."""
    scores: dict[str, dict[tuple[str, int], Scores]] = {name: {} for name in methods}
    count = 0
    for dam in dams:
        truth = dam.truth()
        common = np.isfinite(truth)
        for answers in methods.values():
            common &= np.isfinite(answers[dam.id].mean)
            common &= np.isfinite(answers[dam.id].quantiles).all(axis=2)
        count += int(common.sum())
        for lead in range(HORIZON_DAYS):
            here = common[:, lead]
            for name, answers in methods.items():
                own = answers[dam.id]
                scores[name][dam.id, lead + 1] = score(
                    own.mean[here, lead], own.quantiles[here, lead], truth[here, lead]
                )
    return scores, count


def print_scores(scores: Mapping[str, Mapping[tuple[str, int], Scores]]) -> None:
    reference = {key: found.mae for key, found in scores[PERSISTENCE].items()}
    leads = (None, *range(1, HORIZON_DAYS + 1))

    def table(title: str, value: Callable[[Scores], float]) -> None:
        print(f"\n{title}")
        print("  " + " " * 14 + "".join(f"{lead or 'all':>8}" for lead in leads))
        for name, of_method in scores.items():
            cells = [
                geometric_mean(
                    [
                        value(found) / reference[key]
                        for key, found in of_method.items()
                        if lead in (None, key[1]) and reference[key] > 0
                    ]
                )
                for lead in leads
            ]
            print(f"  {name:<14}" + "".join(f"{cell:8.3f}" for cell in cells))

    table("MAE / MAE(persistence), geometric mean over dams", lambda found: found.mae)
    table("CRPS / MAE(persistence)", lambda found: found.crps)
    table("mean pinball loss over the levels / MAE(persistence)", lambda found: found.pinball)
    print("\nshare that the 90 % band held, mean over dams and leads; at how many dams our CRPS is lower")
    for name, of_method in scores.items():
        held = float(np.nanmean([found.held for found in of_method.values()]))
        ids = sorted({dam for dam, _ in of_method})
        better = sum(
            sum(scores[OURS][i, h].crps for h in leads[1:] if h)
            < sum(of_method[i, h].crps for h in leads[1:] if h)
            for i in ids
        )
        print(f"  {name:<14}{held:8.3f}{'' if name == OURS else f'{better:8d} of {len(ids)}'}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the folder of records that was backtested")
    parser.add_argument("forecasts", type=Path, help="what the backtest wrote (.csv or .csv.gz)")
    parser.add_argument("--every", type=int, default=42, help="forecast every Nth issue day (default: 42)")
    parser.add_argument("--peers", default="AutoARIMA,NHITS", help="default: AutoARIMA,NHITS")
    parser.add_argument("--jobs", type=int, default=2, help="processes for AutoARIMA (default: 2)")
    parser.add_argument("--steps", type=int, default=1000, help="most training steps of NHITS")
    parser.add_argument("--keep", metavar="DIR", type=Path, help="keep the peers' answers, or reuse them")
    options = parser.parse_args()
    ours = read_ours(options.forecasts)
    dams = []
    for path in sorted(options.folder.glob("*.csv")):
        try:
            dam = read_dam(path, ours.get(path.stem, {}), options.every)
        except DamWarningError as error:
            print(f"  {path.stem}: left out: {error}")
            continue
        dams += [dam] if dam else []
    first = {dam.id: [ours[dam.id][day] for day in sorted(ours[dam.id])[:: options.every]] for dam in dams}
    methods = {
        OURS: {
            name: Answers(np.concatenate([a.mean for a in days]), np.concatenate([a.quantiles for a in days]))
            for name, days in first.items()
        },
        PERSISTENCE: {dam.id: certain(dam) for dam in dams},
    }
    peers: dict[str, Callable[[], dict[str, Answers]]] = {
        "AutoARIMA": lambda: autoarima(dams, options.jobs),
        "NHITS": lambda: nhits(dams, options.steps),
    }
    for name in options.peers.split(","):
        methods[name] = kept_or_made(name, peers[name], dams, options.keep)
    scores, count = score_all(dams, methods)
    days = sum(len(dam.issued) for dam in dams)
    print(f"{len(dams)} dams, {days} issue days (every {options.every}), {count} targets scored alike")
    print_scores(scores)


if __name__ == "__main__":
    main()
