"""Train on the past, forecast the rest day by day without seeing ahead, and score it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from warning.domain.readings import RawReadings
from warning.errors import DamWarningError, ForecastError, UsageError
from warning.forecasting.pool import PoolResult, operational
from warning.forecasting.scaling import fit_scale
from warning.verification.forecasts_file import ForecastsFile, open_forecasts_file
from warning.verification.report import BacktestReport
from warning.verification.scoring import DamScores, score_site, test_rows
from warning.verification.sites import Site, Split, site_from_record

Progress = Callable[[str, int, int], None]
BY_SHARES = Split()


@dataclass(frozen=True, slots=True)
class Hindcasts:
    """One result per dam from the end of its training part on, and why other dams have none.

    `knowing` holds by dam the results had the days ahead been known, by what had been known of them.
    """

    results: Mapping[str, PoolResult]
    failures: Mapping[str, str]
    model_id: str | None = None
    knowing: Mapping[str, Mapping[str, PoolResult]] = field(default_factory=dict)


Hindcaster = Callable[[Mapping[str, Site]], Hindcasts]


def run_backtest(
    folder: Path,
    read: Callable[[Path], RawReadings],
    hindcaster: Hindcaster,
    *,
    split: Split = BY_SHARES,
    forecasts_path: Path | None = None,
    on_progress: Progress | None = None,
) -> BacktestReport:
    """Backtest every CSV file of `folder`, one dam each, named after its file.

    `read` reads one file; `hindcaster` trains on the training parts and forecasts every later day of
    all dams, each from what was known on it. A dam that cannot be read, screened, forecast or scored
    is reported with the reason and stops nothing. Raises UsageError where the folder holds no CSV file
    or `forecasts_path` cannot be written.
    """
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise UsageError(f"{folder}: expected a folder with one CSV file per dam, found no file *.csv")
    with open_forecasts_file(forecasts_path) if forecasts_path else nullcontext() as forecasts:
        sites, skipped = _sites(paths, read, split, on_progress)
        hindcasts = hindcaster(sites) if sites else Hindcasts({}, {})
        skipped |= hindcasts.failures
        scores = _scores(sites, hindcasts, skipped, forecasts, on_progress)
    return BacktestReport(
        folder=str(folder),
        model_id=hindcasts.model_id,
        dams=tuple(scores),
        skipped=dict(sorted(skipped.items())),
        forecasts_path=str(forecasts_path) if forecasts_path else None,
        forecast_rows=forecasts.rows if forecasts else 0,
    )


def cheap_hindcasts(sites: Mapping[str, Site]) -> Hindcasts:
    """Hindcast with the cheap experts alone: the lowest rung of the ladder, and no training."""
    results, failures = {}, {}
    for site in sites.values():
        try:
            scale = fit_scale(site.series, site.variable, site.train_end)
            bounds = site.bounds.get(site.variable)
            results[site.id] = operational(site.series, scale, site.train_end, None, bounds=bounds)
        except ForecastError as error:
            failures[site.id] = str(error)
    return Hindcasts(results, failures)


def _sites(
    paths: list[Path], read: Callable[[Path], RawReadings], split: Split, on_progress: Progress | None
) -> tuple[dict[str, Site], dict[str, str]]:
    """Read and screen every record; a dam that no scale can be learnt for is not handed on."""
    sites: dict[str, Site] = {}
    skipped: dict[str, str] = {}
    for done, path in enumerate(paths, 1):
        try:
            site = site_from_record(path.stem, read(path), split)
            fit_scale(site.series, site.variable, site.train_end)
            sites[path.stem] = site
        except (DamWarningError, ValueError) as error:
            skipped[path.stem] = str(error)
        if on_progress:
            on_progress("screening", done, len(paths))
    return sites, skipped


def _scores(
    sites: Mapping[str, Site],
    hindcasts: Hindcasts,
    skipped: dict[str, str],
    forecasts: ForecastsFile | None,
    on_progress: Progress | None,
) -> list[DamScores]:
    """Score dam by dam, adding to `skipped` those that cannot be, and write their forecasts."""
    scores = []
    results = hindcasts.results
    for done, (site_id, site) in enumerate(sites.items(), 1):
        if site_id in results:
            try:
                scores.append(score_site(site, results[site_id], hindcasts.knowing.get(site_id, {})))
                if forecasts is not None:
                    forecasts.add(site, results[site_id], test_rows(site, results[site_id]))
            except ForecastError as error:
                skipped[site_id] = str(error)
        elif site_id not in skipped:
            skipped[site_id] = "the forecaster returned nothing for it and gave no reason"
        if on_progress:
            on_progress("scoring", done, len(sites))
    return scores
