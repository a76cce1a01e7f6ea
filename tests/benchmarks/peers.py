"""Our forecasts beside AutoARIMA (statsforecast) and quantile NHITS (neuralforecast), scored alike.

    python3 -m venv peers
    peers/bin/pip install "torch==2.13.0" "statsforecast==2.1.*" "neuralforecast==3.3.*"
    dam-warning backtest RECORDS --forecasts forecasts.csv.gz
    PYTHONPATH=. peers/bin/python tests/benchmarks/peers.py RECORDS forecasts.csv.gz --every 42

Every 42nd issue day of each dam's test part is forecast by each peer from the dam's level (or storage)
alone, as this program's own screening leaves it at the end of the record: no sentinel and no unit change
hurts a peer, and what was doubted only later is already gone for it. Gaps are filled with the last value.
AutoARIMA is fitted anew on each issue day to the last 365 days; its intervals give the quantiles. NHITS is
fitted once to what all dams have before their test parts, with the pinball loss of our own levels; filled
days are inputs but no targets. Its last days before the test are held back to show its loss there. It is
fitted in several settings, and each is a method of its own in the tables, so nothing is chosen by the test.

MAE and CRPS are taken by `warning.verification.scores` for every method, on the days and leads that all
methods forecast, as shares of persistence's MAE there; then the geometric mean over dams. (Persistence's
own CRPS is its MAE, but for the 1 % that the sum over 15 levels leaves out.)
"""

from __future__ import annotations

import argparse
import gzip
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from warning.domain.forecast import HORIZON_DAYS, QUANTILE_LEVELS
from warning.domain.variables import FloatArray
from warning.sources.tidy_csv import read_tidy
from warning.verification.forecasts_file import quantile_column
from warning.verification.scores import coverage, crps_from_quantiles, geometric_mean, mae
from warning.verification.sites import Split, site_from_record

if TYPE_CHECKING:
    import pandas as pd
    from neuralforecast.models import NHITS

HISTORY_DAYS = 365
MEDIAN = QUANTILE_LEVELS.index(0.5)
BAND = (QUANTILE_LEVELS.index(0.05), QUANTILE_LEVELS.index(0.95))
INTERVALS = tuple(round(100 * (1 - 2 * level), 6) for level in QUANTILE_LEVELS if level < 0.5)
OURS, PERSISTENCE = "dam-warning", "persistence"
QUIET = ("logger", "enable_progress_bar", "enable_checkpointing", "enable_model_summary")
PEERS = ("AutoARIMA", "NHITS")
LEADS = tuple(range(1, HORIZON_DAYS + 1))


@dataclass(frozen=True)
class NhitsSetting:
    """How one NHITS is built; `pooled` as the library has it by default, or reading every day as it is."""

    input_days: int
    scaler: str
    pooled: bool

    @property
    def name(self) -> str:
        return f"NHITS-{self.input_days}-{self.scaler}{'-pooled' if self.pooled else ''}"

    def model(self, steps: int) -> NHITS:
        import logging

        from neuralforecast.losses.pytorch import MQLoss
        from neuralforecast.models import NHITS

        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        return NHITS(
            h=HORIZON_DAYS,
            input_size=self.input_days,
            loss=MQLoss(quantiles=list(QUANTILE_LEVELS)),
            scaler_type=self.scaler,
            n_pool_kernel_size=[2, 2, 1] if self.pooled else [1, 1, 1],
            n_freq_downsample=[4, 2, 1] if self.pooled else [1, 1, 1],
            max_steps=steps,
            val_check_steps=100,
            random_seed=0,
            alias="NHITS",
            accelerator="cpu",
            devices=1,
            **dict.fromkeys(QUIET, False),
        )


NHITS_SETTINGS = (
    NhitsSetting(56, "robust", pooled=True),
    NhitsSetting(28, "robust", pooled=False),
    NhitsSetting(28, "standard", pooled=False),
)


@dataclass(frozen=True)
class Dam:
    """One record as the peers see it: `values` settled, `filled` without gaps, and the days to forecast."""

    id: str
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


def read_dam(path: Path, days: Sequence[str]) -> Dam:
    """Screen one record as the backtest does, to be forecast on these days."""
    site = site_from_record(path.stem, read_tidy(path).readings(), Split())
    values = site.series.trusted(site.variable)
    known = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(values.size), -1))
    filled = np.where(known >= 0, values[np.maximum(known, 0)], np.nan)
    return Dam(
        id=path.stem,
        values=values,
        filled=filled,
        validation=site.series.row(site.train_end),
        test=site.series.row(site.validation_end),
        issued=tuple(site.series.row(date.fromisoformat(day)) for day in days),
    )


def read_ours(path: Path) -> dict[str, dict[str, Answers]]:
    """Return the pool's forecasts by dam and issue day, one day each, from a file that the backtest wrote."""
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
    years = [dam.filled[max(0, row - HISTORY_DAYS + 1) : row + 1] for dam in dams for row in dam.issued]
    histories = [year[np.isfinite(year)] for year in years]
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


def window_frame(dam: Dam, start: int, end: int, uid: str) -> pd.DataFrame:
    """The days start..end of one dam as NHITS takes them; a filled day is masked, so it is no target."""
    import pandas as pd

    centre, scale = typical_change(dam)
    return pd.DataFrame(
        {
            "unique_id": uid,
            "ds": np.arange(end - start),
            "y": (dam.filled[start:end] - centre) / scale,
            "available_mask": np.isfinite(dam.values[start:end]).astype(np.float64),
        }
    )


def typical_change(dam: Dam) -> tuple[float, float]:
    """The median value and the mean change over seven days, before the test part.

    In units of the latter no dam outweighs another in NHITS's losses, whatever it is measured in.
    """
    before = dam.filled[: dam.test][np.isfinite(dam.filled[: dam.test])]
    changes = np.abs(before[HORIZON_DAYS:] - before[:-HORIZON_DAYS])
    return float(np.median(before)), float(changes.mean())


def nhits(dams: Sequence[Dam], setting: NhitsSetting, steps: int) -> dict[str, Answers]:
    """Fit one NHITS to all dams before their test parts, and forecast each dam's days."""
    import pandas as pd
    import torch
    from neuralforecast import NeuralForecast

    torch.set_num_threads(1)
    peer = NeuralForecast(models=[setting.model(steps)], freq=1)
    checked = min(dam.test - dam.validation for dam in dams)
    learnt = [window_frame(dam, int(np.isfinite(dam.values).argmax()), dam.test, dam.id) for dam in dams]
    peer.fit(pd.concat(learnt), val_size=checked)
    losses = ", ".join(f"{float(loss):.4f} at {step}" for step, loss in peer.models[0].valid_trajectories)
    print(f"{setting.name}: loss on each dam's last {checked} days before its test part: {losses}")
    windows = [
        window_frame(dam, row - setting.input_days + 1, row + 1, f"{dam.id}|{day:05d}")
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
        centre, scale = typical_change(dam)
        shape = (len(dam.issued), HORIZON_DAYS, len(QUANTILE_LEVELS))
        quantiles = centre + scale * table[owner == dam.id].reshape(shape)
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
    """What one method reached at one dam and lead; MAE and CRPS in the unit of the dam's variable."""

    mae: float
    crps: float
    held: float


AllScores = dict[str, dict[tuple[str, int], Scores]]  # by method, then by dam and lead


def score_all(dams: Sequence[Dam], methods: Mapping[str, Mapping[str, Answers]]) -> tuple[AllScores, int]:
    """Score every method at every dam and lead on the targets that all forecast; and count those."""
    scores: AllScores = {name: {} for name in methods}
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
                mean, quantiles = answers[dam.id].mean[here, lead], answers[dam.id].quantiles[here, lead]
                scores[name][dam.id, lead + 1] = Scores(
                    mae=mae(mean, truth[here, lead]),
                    crps=crps_from_quantiles(quantiles, truth[here, lead], QUANTILE_LEVELS),
                    held=coverage(quantiles[:, BAND[0]], quantiles[:, BAND[1]], truth[here, lead]),
                )
    return scores, count


def relative(scores: AllScores, value: Callable[[Scores], float], name: str, dam: str, lead: int) -> float:
    reference = scores[PERSISTENCE][dam, lead].mae
    return value(scores[name][dam, lead]) / reference if reference > 0 else np.nan


def print_scores(scores: AllScores) -> None:
    ids = sorted({dam for dam, _ in scores[OURS]})

    def row(head: str, cells: Sequence[str]) -> None:
        print(f"  {head:<28}" + "".join(f"{cell:>9}" for cell in cells))

    def means(value: Callable[[Scores], float]) -> None:
        row("", ["all", *(f"day {lead}" for lead in LEADS)])
        for name in scores:
            of = [[relative(scores, value, name, dam, lead) for dam in ids] for lead in LEADS]
            row(name, [f"{geometric_mean(part):.3f}" for part in ([r for part in of for r in part], *of)])

    print("\nMAE / MAE(persistence), geometric mean over dams (and leads)")
    means(lambda found: found.mae)
    print("\nCRPS / MAE(persistence)")
    means(lambda found: found.crps)
    print(f"\nat how many of {len(ids)} dams our CRPS is lower; all: summed over the leads")
    for name in scores:
        by_lead = [[scores[m][dam, lead].crps for dam in ids for lead in LEADS] for m in (OURS, name)]
        ours, theirs = (np.reshape(part, (len(ids), HORIZON_DAYS)) for part in by_lead)
        lower = [(ours.sum(axis=1) < theirs.sum(axis=1)).sum(), *(ours < theirs).sum(axis=0)]
        row(name, [str(count) for count in lower])
    print("\nshare that the 90 % band held, mean over dams")
    for name, of_method in scores.items():
        of = [[of_method[dam, lead].held for dam in ids] for lead in LEADS]
        row(name, [f"{np.nanmean(part):.3f}" for part in (of, *of)])
    print("\nCRPS / MAE(persistence) at each dam, each summed over the leads")
    print("\n".join(f"  ({n}) {name}" for n, name in enumerate(scores, 1)))
    row("", [f"({n})" for n in range(1, len(scores) + 1)])
    for dam in ids:
        reference = sum(scores[PERSISTENCE][dam, lead].mae for lead in LEADS)
        summed = [sum(of_method[dam, lead].crps for lead in LEADS) for of_method in scores.values()]
        row(dam, [f"{crps / reference:.3f}" if reference > 0 else "-" for crps in summed])


def stacked(days: Sequence[Answers]) -> Answers:
    return Answers(np.concatenate([a.mean for a in days]), np.concatenate([a.quantiles for a in days]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the folder of records that was backtested")
    parser.add_argument("forecasts", type=Path, help="what the backtest wrote (.csv or .csv.gz)")
    parser.add_argument("--every", type=int, default=42, help="forecast every Nth issue day (default: 42)")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS, help="default: both")
    parser.add_argument("--jobs", type=int, default=2, help="processes for AutoARIMA (default: 2)")
    parser.add_argument("--steps", type=int, default=1000, help="training steps of NHITS (default: 1000)")
    parser.add_argument("--keep", metavar="DIR", type=Path, help="keep the peers' answers, or reuse them")
    options = parser.parse_args()
    ours = read_ours(options.forecasts)
    issued = {dam: sorted(days)[:: options.every] for dam, days in ours.items()}
    dams = [read_dam(options.folder / f"{dam}.csv", days) for dam, days in sorted(issued.items())]
    methods = {
        OURS: {dam: stacked([ours[dam][day] for day in days]) for dam, days in issued.items()},
        PERSISTENCE: {dam.id: certain(dam) for dam in dams},
    }
    peers = {"AutoARIMA": partial(autoarima, dams, options.jobs)} if "AutoARIMA" in options.peers else {}
    for setting in NHITS_SETTINGS if "NHITS" in options.peers else ():
        peers[f"{setting.name}-{options.steps}"] = partial(nhits, dams, setting, options.steps)
    for name, make in peers.items():
        methods[name] = kept_or_made(name, make, dams, options.keep)
    scores, count = score_all(dams, methods)
    days = sum(len(dam.issued) for dam in dams)
    print(f"{len(dams)} dams, {days} issue days (every {options.every}), {count} targets scored alike")
    print_scores(scores)


if __name__ == "__main__":
    main()
