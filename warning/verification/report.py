"""What a backtest found: readable by people and by machines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from warning.domain.forecast import HORIZON_DAYS, POOL
from warning.verification.scores import geometric_mean, merged_reliability
from warning.verification.scoring import Band, DamScores

_LEADS = range(1, HORIZON_DAYS + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestReport:
    """The scores of every dam of a folder, and why others have none."""

    folder: str
    model_id: str | None
    dams: tuple[DamScores, ...]
    skipped: Mapping[str, str]
    forecasts_path: str | None
    forecast_rows: int

    @property
    def methods(self) -> tuple[str, ...]:
        """Every method that forecast at some dam, the pool first."""
        return tuple(dict.fromkeys(name for dam in self.dams for name in dam.ratios))

    def ratio(self, method: str, lead_days: int | None = None) -> float:
        """Geometric mean over dams (and leads, if none is named) of MAE / MAE(persistence)."""
        leads = _LEADS if lead_days is None else (lead_days,)
        return geometric_mean(
            [dam.ratios[method][lead - 1] for dam in self.dams if method in dam.ratios for lead in leads]
        )

    def better_than_persistence(self, lead_days: int) -> int:
        """At how many dams the pool's ratio is below 1 at `lead_days`."""
        return sum(POOL in dam.ratios and dam.ratios[POOL][lead_days - 1] < 1 for dam in self.dams)

    def coverage(self, lead_days: int | None = None, *, high: bool = False) -> float:
        """Share of all targets that the 90 % band held; `high`: of those above the dam's 95 % quantile."""
        return _coverage([dam.high_band if high else dam.band for dam in self.dams], lead_days)

    def brier_ratio(self, lead_days: int | None = None) -> float:
        """Brier score over persistence's for "a high value is reached", from the mean scores of all dams."""
        leads = _LEADS if lead_days is None else (lead_days,)
        ours = [dam.brier[h - 1] for dam in self.dams for h in leads]
        theirs = [dam.persistence_brier[h - 1] for dam in self.dams for h in leads]
        both = [(a, b) for a, b in zip(ours, theirs, strict=True) if math.isfinite(a) and math.isfinite(b)]
        reference = sum(b for _, b in both)
        return sum(a for a, _ in both) / reference if reference > 0 else math.nan

    def crps_ratio(self, lead_days: int | None = None) -> float:
        """Geometric mean over dams of CRPS / MAE(persistence); a persistence without spread scores 1."""
        leads = _LEADS if lead_days is None else (lead_days,)
        pairs = [(dam.crps[h - 1], dam.persistence_mae[h - 1]) for dam in self.dams for h in leads]
        return geometric_mean([crps / reference for crps, reference in pairs if reference > 0])

    def to_json(self) -> str:
        """Return everything as JSON; a number that is not known is null."""
        return json.dumps(_finite(self._plain()), indent=2, allow_nan=False, ensure_ascii=False)

    def text(self) -> str:
        """Return the tables as people read them."""
        return "\n".join(self._lines())

    def _plain(self) -> dict[str, Any]:
        return {
            "folder": self.folder,
            "model_id": self.model_id,
            "mae_ratio_to_persistence": {
                method: {"all": self.ratio(method)} | {str(lead): self.ratio(method, lead) for lead in _LEADS}
                for method in self.methods
            },
            "dams_better_than_persistence": {str(h): self.better_than_persistence(h) for h in _LEADS},
            "coverage_90": _by_lead(self.coverage),
            "coverage_90_above_95_quantile": _by_lead(lambda lead=None: self.coverage(lead, high=True)),
            "crps_ratio_to_persistence_mae": _by_lead(self.crps_ratio),
            "brier_ratio_to_persistence_above_95_quantile": _by_lead(self.brier_ratio),
            "reliability_above_95_quantile": [
                asdict(row) for row in merged_reliability([dam.reliability for dam in self.dams])
            ],
            "dams": [_plain_dam(dam) for dam in self.dams],
            "skipped": dict(self.skipped),
            "forecasts_path": self.forecasts_path,
            "forecast_rows": self.forecast_rows,
        }

    def _lines(self) -> Iterator[str]:
        yield f"Backtest of {self.folder}: {len(self.dams)} dams scored, {len(self.skipped)} skipped"
        for dam in self.dams:
            yield (
                f"  {dam.id}: {dam.inferred}; {dam.first_day} to {dam.last_day}, training before "
                f"{dam.train_end}, validation before {dam.validation_end}, {dam.issue_days} days forecast"
            )
        for name, reason in self.skipped.items():
            yield f"  {name}: skipped: {reason}"
        if self.dams:
            yield from self._method_table()
            yield from self._dam_table()
            yield from self._band_table()
            yield from self._reliability_lines()
            yield from self._screening_table()
        if self.forecasts_path:
            yield f"\n{self.forecast_rows} forecasts written to {self.forecasts_path}"

    def _method_table(self) -> Iterator[str]:
        yield "\nMAE / MAE(persistence), geometric mean over dams; lower is better"
        yield _row("method", ["all", *_LEADS])
        for method in self.methods:
            yield _row(method, [self.ratio(method), *(self.ratio(method, lead) for lead in _LEADS)])
        yield _row(f"dams < 1 of {len(self.dams)}", ["", *(self.better_than_persistence(h) for h in _LEADS)])

    def _dam_table(self) -> Iterator[str]:
        yield "\nThe pool, dam by dam: MAE / MAE(persistence)"
        yield _row("dam", ["all", *_LEADS])
        for dam in self.dams:
            ratios = dam.ratios.get(POOL, (math.nan,) * HORIZON_DAYS)
            yield _row(dam.id, [geometric_mean(ratios), *ratios])

    def _band_table(self) -> Iterator[str]:
        yield "\nThe pool's 90 % band and its score"
        yield _row("", ["all", *_LEADS])
        yield _row("share held", [self.coverage(), *map(self.coverage, _LEADS)])
        high = [self.coverage(high=True), *(self.coverage(lead, high=True) for lead in _LEADS)]
        yield _row("on high days", high)
        yield _row("CRPS / MAE(pers.)", [self.crps_ratio(), *map(self.crps_ratio, _LEADS)])
        for dam in self.dams:
            leads = [_coverage([dam.band], lead) for lead in _LEADS]
            yield _row(f"held at {dam.id}", [_coverage([dam.band], None), *leads])
        yield _row("Brier / Brier(pers.)", [self.brier_ratio(), *map(self.brier_ratio, _LEADS)])
        yield "High days: the target lies at or above the 95 % quantile of the dam's believed readings."

    def _reliability_lines(self) -> Iterator[str]:
        yield "\nThe pool's probability of a high day, and how often one came"
        yield _row("probability", ["count", "mean", "came"])
        for row in merged_reliability([dam.reliability for dam in self.dams]):
            name = f"{row.lower:.1f} to {row.upper:.1f}"
            yield _row(name, [row.count, row.mean_probability, row.frequency])

    def _screening_table(self) -> Iterator[str]:
        yield "\nReadings doubted by screening, by rule"
        for dam in self.dams:
            parts = [
                f"{variable} " + ", ".join(f"{rule} {count}" for rule, count in rules.items())
                for variable, rules in dam.flags.items()
                if rules
            ]
            yield f"  {dam.id}: {'; '.join(parts) or 'none'}"


def _by_lead(score: Any) -> dict[str, float]:
    return {"all": score()} | {str(lead): score(lead) for lead in _LEADS}


def _coverage(bands: list[Band], lead_days: int | None) -> float:
    leads = _LEADS if lead_days is None else (lead_days,)
    inside = sum(band.inside[lead - 1] for band in bands for lead in leads)
    count = sum(band.count[lead - 1] for band in bands for lead in leads)
    return inside / count if count else math.nan


def _row(name: str, cells: list[Any]) -> str:
    shown = [_cell(cell) for cell in cells]
    return f"  {name:<28}" + "".join(f"{cell:>8}" for cell in shown)


def _cell(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:.3f}" if math.isfinite(cell) else "-"
    return str(cell)


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
        "crps": list(dam.crps),
        "coverage_90": [_coverage([dam.band], lead) for lead in _LEADS],
        "coverage_90_above_95_quantile": [_coverage([dam.high_band], lead) for lead in _LEADS],
        "targets_above_95_quantile": list(dam.high_band.count),
        "high_value": dam.high_value,
        "brier_above_95_quantile": list(dam.brier),
        "persistence_brier_above_95_quantile": list(dam.persistence_brier),
        "reliability_above_95_quantile": [asdict(row) for row in dam.reliability],
        "flags": {variable: dict(rules) for variable, rules in dam.flags.items()},
    }


def _finite(value: Any) -> Any:
    """Replace every number that is not finite by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
