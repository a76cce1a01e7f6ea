"""A backtest's report for machines: everything, as JSON; a number that is not known is null."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from warning.domain.forecast import QUANTILE_LEVELS
from warning.verification.report import LEADS, BacktestReport, Verdict, all_and_by_lead, band_share
from warning.verification.scoring import DamScores


def report_json(report: BacktestReport) -> str:
    """Return the whole report as JSON."""
    return json.dumps(_finite(_plain(report)), indent=2, allow_nan=False, ensure_ascii=False)


def _plain(report: BacktestReport) -> dict[str, Any]:
    worst = report.worst()
    return {
        "folder": report.folder,
        "model_id": report.model_id,
        "quantile_levels": list(QUANTILE_LEVELS),
        "mae_ratio_to_persistence": {
            method: _by_lead(partial(report.ratio, method)) for method in report.methods
        },
        "dams_better_than_persistence": {str(h): report.better_than_persistence(h) for h in LEADS},
        "worst_dam_and_lead": asdict(worst) if worst else None,
        "dams_and_leads_above_persistence": [asdict(found) for found in report.above_persistence()],
        "coverage_90": _by_lead(report.coverage),
        "coverage_90_verdicts": [_verdict(found) for found in report.verdicts()],
        "coverage_90_above_95_quantile": _by_lead(lambda lead: report.coverage(lead, high=True)),
        "coverage_90_above_95_quantile_verdicts": [_verdict(found) for found in report.verdicts(high=True)],
        "crps_ratio_to_persistence_mae": _by_lead(report.crps_ratio),
        "mean_pinball_ratio_to_persistence_mae": _by_lead(report.mean_pinball_ratio),
        "pinball_ratio_to_persistence_mae": {
            str(level): _by_lead(partial(report.pinball_ratio, level)) for level in QUANTILE_LEVELS
        },
        "share_at_or_below_quantile": {
            str(level): _by_lead(partial(report.below, level)) for level in QUANTILE_LEVELS
        },
        "brier_above_95_quantile": _by_lead(report.brier),
        "brier_ratio_to_persistence_above_95_quantile": _by_lead(report.brier_ratio),
        "dams_with_brier_below_persistence": {
            str(lead): dict(zip(("dams", "of"), report.brier_below_persistence(lead), strict=True))
            for lead in LEADS
        },
        "reliability_above_95_quantile": [asdict(row) for row in report.reliability()],
        "dams": [_plain_dam(dam) for dam in report.dams],
        "skipped": dict(report.skipped),
        "forecasts_path": report.forecasts_path,
        "forecast_rows": report.forecast_rows,
    }


def _plain_dam(dam: DamScores) -> dict[str, Any]:
    return {
        "id": dam.id,
        "forecast_variable": dam.variable.value,
        "inferred": dam.inferred,
        "first_day": dam.first_day.isoformat(),
        "last_day": dam.last_day.isoformat(),
        "train_end": dam.train_end.isoformat(),
        "validation_end": dam.validation_end.isoformat(),
        "issue_days": dam.issue_days,
        "targets": list(dam.targets),
        "persistence_mae": list(dam.persistence_mae),
        "mae_ratio_to_persistence": {method: list(ratios) for method, ratios in dam.ratios.items()},
        "upper_bound_mae_ratio_if_known_in_advance": {
            known: list(ratios) for known, ratios in dam.upper_bounds.items()
        },
        "crps": list(dam.crps),
        "pinball": [list(of_lead) for of_lead in dam.pinball],
        "at_or_below_quantile": [list(of_lead) for of_lead in dam.below],
        "coverage_90": [band_share([dam.band], lead) for lead in LEADS],
        "coverage_90_above_95_quantile": [band_share([dam.high_band], lead) for lead in LEADS],
        "targets_above_95_quantile": list(dam.high_band.count),
        "high_value": dam.high_value,
        "brier_above_95_quantile": list(dam.brier),
        "persistence_brier_above_95_quantile": list(dam.persistence_brier),
        "reliability_above_95_quantile": [asdict(row) for row in dam.reliability],
        "flags": {variable: dict(rules) for variable, rules in dam.flags.items()},
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return asdict(verdict) | {"passed": verdict.passed}


def _by_lead(score: Callable[[int | None], float]) -> dict[str, float]:
    names = ["all", *map(str, LEADS)]
    return dict(zip(names, all_and_by_lead(score), strict=True))


def _finite(value: Any) -> Any:
    """Replace every number that is not finite by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
