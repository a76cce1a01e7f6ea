"""A backtest's report for people: tables of plain text, one column for all leads and one for each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial

from warning.domain.forecast import HORIZON_DAYS, POOL, QUANTILE_LEVELS
from warning.verification.report import LEADS, BacktestReport, Verdict, all_and_by_lead, band_share
from warning.verification.scores import geometric_mean


def report_text(report: BacktestReport) -> str:
    """Return the tables as people read them."""
    return "\n".join(_lines(report))


def _lines(report: BacktestReport) -> Iterator[str]:
    yield f"Backtest of {report.folder}: {len(report.dams)} dams scored, {len(report.skipped)} skipped"
    for dam in report.dams:
        yield (
            f"  {dam.id}: {dam.inferred}; {dam.first_day} to {dam.last_day}, training before "
            f"{dam.train_end}, validation before {dam.validation_end}, {dam.issue_days} days forecast"
        )
    for name, reason in report.skipped.items():
        yield f"  {name}: skipped: {reason}"
    if report.dams:
        for table in (
            _methods,
            _dams,
            _upper_bounds,
            _band,
            _band_by_dam,
            _quantiles,
            _high_days,
            _screening,
        ):
            yield from table(report)
    if report.forecasts_path:
        yield f"\n{report.forecast_rows} forecasts written to {report.forecasts_path}"


def _methods(report: BacktestReport) -> Iterator[str]:
    yield "\nMAE / MAE(persistence), geometric mean over dams; lower is better"
    yield _row("method", ["all", *LEADS])
    for method in report.methods:
        yield _row(method, all_and_by_lead(partial(report.ratio, method)))
    yield _row(f"dams < 1 of {len(report.dams)}", ["", *map(report.better_than_persistence, LEADS)])


def _dams(report: BacktestReport) -> Iterator[str]:
    yield "\nThe pool, dam by dam: MAE / MAE(persistence)"
    yield _row("dam", ["all", *LEADS])
    for dam in report.dams:
        ratios = dam.ratios.get(POOL, (math.nan,) * HORIZON_DAYS)
        yield _row(dam.id, [geometric_mean(ratios), *ratios])
    worst, above = report.worst(), report.above_persistence()
    if worst:
        yield (
            f"  worst dam and lead: {worst.dam} on day {worst.lead_days}, {worst.ratio:.3f}; "
            f"above 1.000 at {len(above)} of {len(report.dams) * HORIZON_DAYS}"
        )
    for found in above:
        yield f"  above 1.000: {found.dam} on day {found.lead_days}, {found.ratio:.3f}"


def _upper_bounds(report: BacktestReport) -> Iterator[str]:
    for known in report.known_ahead:
        dams = [dam for dam in report.dams if known in dam.upper_bounds]
        yield f"\nUPPER BOUND: the pool with {known} known in advance, which nobody has; without it below"
        yield _row("dam", ["all", *LEADS])
        for dam in dams:
            for name, ratios in ((dam.id, dam.upper_bounds[known]), ("  without", dam.ratios[POOL])):
                yield _row(name, [geometric_mean(ratios), *ratios])
        pairs = list(zip(*((dam.upper_bounds[known], dam.ratios[POOL]) for dam in dams), strict=True))
        for name, of_dams in zip((f"{len(dams)} dams", "  without"), pairs, strict=True):
            means = [geometric_mean([ratios[lead - 1] for ratios in of_dams]) for lead in LEADS]
            yield _row(name, [geometric_mean(means), *means])


def _band(report: BacktestReport) -> Iterator[str]:
    yield "\nThe pool's 90 % band: the share of the targets it held, over all dams"
    yield _row("", ["all", *LEADS])
    yield _row("all days", all_and_by_lead(report.coverage))
    yield _verdict_row(report.verdicts())
    yield _row("high days", all_and_by_lead(lambda lead: report.coverage(lead, high=True)))
    yield _verdict_row(report.verdicts(high=True))
    yield _row("high days, count", ["", *(sum(d.high_band.count[h - 1] for d in report.dams) for h in LEADS)])
    yield "High days: the target lies at or above the 95 % quantile of the dam's believed readings."


def _verdict_row(verdicts: Sequence[Verdict]) -> str:
    low, high = verdicts[0].within
    words = ["-" if math.isnan(found.share) else "yes" if found.passed else "NO" for found in verdicts]
    return _row(f"  within {low:.2f} to {high:.2f}", ["", *words])


def _band_by_dam(report: BacktestReport) -> Iterator[str]:
    yield "\nThe pool's 90 % band, dam by dam: the share held, then of high days, over all leads"
    yield _row("dam", ["held", "high", "count", *(f"day {lead}" for lead in LEADS)])
    for dam in report.dams:
        shares = [band_share([dam.band], lead) for lead in LEADS]
        high = band_share([dam.high_band], None)
        yield _row(dam.id, [band_share([dam.band], None), high, sum(dam.high_band.count), *shares])


def _quantiles(report: BacktestReport) -> Iterator[str]:
    yield "\nThe pool's distribution as shares of MAE(persistence), geometric mean over dams; lower is better"
    yield _row("", ["all", *LEADS])
    yield _row("CRPS", all_and_by_lead(report.crps_ratio))
    yield _row("pinball, mean of the levels", all_and_by_lead(report.mean_pinball_ratio))
    for level in QUANTILE_LEVELS:
        yield _row(f"pinball at {level:g}", all_and_by_lead(partial(report.pinball_ratio, level)))
    yield "\nShare of the targets at or below each of the pool's quantiles; its level is right"
    yield _row("level", ["all", *LEADS])
    for level in QUANTILE_LEVELS:
        yield _row(f"{level:g}", all_and_by_lead(partial(report.below, level)))


def _high_days(report: BacktestReport) -> Iterator[str]:
    yield "\nThe pool's probability of a high day"
    yield _row("", ["all", *LEADS])
    brier = all_and_by_lead(report.brier)
    yield _row("Brier score", [f"{score:.4f}" if math.isfinite(score) else "-" for score in brier])
    yield _row("Brier / Brier(pers.)", all_and_by_lead(report.brier_ratio))
    better = [report.brier_below_persistence(lead) for lead in LEADS]
    yield _row("dams below persistence", ["", *(f"{below}/{of}" for below, of in better)])
    yield _row("probability", ["count", "mean", "came"])
    for row in report.reliability():
        name = f"{row.lower:.1f} to {row.upper:.1f}"
        yield _row(name, [row.count, row.mean_probability, row.frequency])


def _screening(report: BacktestReport) -> Iterator[str]:
    yield "\nReadings doubted by screening, by rule"
    for dam in report.dams:
        parts = [
            f"{variable} " + ", ".join(f"{rule} {count}" for rule, count in rules.items())
            for variable, rules in dam.flags.items()
            if rules
        ]
        yield f"  {dam.id}: {'; '.join(parts) or 'none'}"


def _row(name: str, cells: Sequence[object]) -> str:
    shown = [_cell(cell) for cell in cells]
    return f"  {name:<28}" + "".join(f"{cell:>8}" for cell in shown)


def _cell(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:.3f}" if math.isfinite(cell) else "-"
    return str(cell)
