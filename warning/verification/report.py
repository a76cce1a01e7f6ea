"""What a backtest found, over all dams: the figures that `report_text` and `report_json` write down."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from warning.domain.forecast import HORIZON_DAYS, POOL, QUANTILE_LEVELS
from warning.verification.scores import ReliabilityRow, geometric_mean, merged_reliability
from warning.verification.scoring import Band, DamScores

LEADS = range(1, HORIZON_DAYS + 1)
HELD_WITHIN = (0.88, 0.92)
"""What the 90 % band must hold of all targets, per lead."""
HIGH_HELD_WITHIN = (0.85, 0.95)
"""What it must hold of the high targets, which are few and not a fair sample of the forecasts."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A share of one lead held against what it must lie within; a share that is not known fails."""

    lead_days: int
    share: float
    within: tuple[float, float]

    @property
    def passed(self) -> bool:
        return self.within[0] <= self.share <= self.within[1]


@dataclass(frozen=True, slots=True)
class DamRatio:
    """The pool's MAE / MAE(persistence) at one dam and lead."""

    dam: str
    lead_days: int
    ratio: float


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

    @property
    def known_ahead(self) -> tuple[str, ...]:
        """What of the days ahead was known in the forecasts that bound what knowing it can be worth."""
        return tuple(dict.fromkeys(known for dam in self.dams for known in dam.upper_bounds))

    def ratio(self, method: str, lead_days: int | None = None) -> float:
        """Geometric mean over dams (and leads, if none is named) of MAE / MAE(persistence)."""
        return geometric_mean(
            [
                dam.ratios[method][lead - 1]
                for dam in self.dams
                if method in dam.ratios
                for lead in _leads(lead_days)
            ]
        )

    def better_than_persistence(self, lead_days: int) -> int:
        """At how many dams the pool's ratio is below 1 at `lead_days`."""
        return sum(POOL in dam.ratios and dam.ratios[POOL][lead_days - 1] < 1 for dam in self.dams)

    def worst(self) -> DamRatio | None:
        """The dam and lead where the pool is worst beside persistence; None where nothing is known."""
        return max(self._pool_ratios(), key=lambda found: found.ratio, default=None)

    def above_persistence(self) -> tuple[DamRatio, ...]:
        """Every dam and lead where the pool errs more than persistence, the worst first."""
        above = [found for found in self._pool_ratios() if found.ratio > 1]
        return tuple(sorted(above, key=lambda found: -found.ratio))

    def coverage(self, lead_days: int | None = None, *, high: bool = False) -> float:
        """Share of all targets that the 90 % band held; `high`: of those above the dam's 95 % quantile."""
        return band_share([dam.high_band if high else dam.band for dam in self.dams], lead_days)

    def verdicts(self, *, high: bool = False) -> tuple[Verdict, ...]:
        """Hold the band's coverage of each lead against what is asked of it."""
        within = HIGH_HELD_WITHIN if high else HELD_WITHIN
        return tuple(Verdict(lead, self.coverage(lead, high=high), within) for lead in LEADS)

    def below(self, level: float, lead_days: int | None = None) -> float:
        """Share of all targets at or below the quantile of `level`; a calibrated forecast has `level`."""
        position = QUANTILE_LEVELS.index(level)
        counts = [
            (dam.below[lead - 1][position], dam.band.count[lead - 1])
            for dam in self.dams
            for lead in _leads(lead_days)
        ]
        of_all = sum(count for _, count in counts)
        return sum(below for below, _ in counts) / of_all if of_all else math.nan

    def crps_ratio(self, lead_days: int | None = None) -> float:
        """Geometric mean over dams of CRPS / MAE(persistence); a persistence without spread scores 1."""
        return self._to_persistence(lambda dam, lead: dam.crps[lead - 1], lead_days)

    def pinball_ratio(self, level: float, lead_days: int | None = None) -> float:
        """Geometric mean over dams of the pinball loss at `level` / MAE(persistence)."""
        position = QUANTILE_LEVELS.index(level)
        return self._to_persistence(lambda dam, lead: dam.pinball[lead - 1][position], lead_days)

    def mean_pinball_ratio(self, lead_days: int | None = None) -> float:
        """Geometric mean over dams of the pinball loss, averaged over the levels, / MAE(persistence)."""
        return self._to_persistence(
            lambda dam, lead: math.fsum(dam.pinball[lead - 1]) / len(QUANTILE_LEVELS), lead_days
        )

    def brier(self, lead_days: int | None = None) -> float:
        """Mean over dams (and leads) of the Brier score of "a high value is reached"."""
        ours = [ours for ours, _ in self._brier_pairs(lead_days)]
        return math.fsum(ours) / len(ours) if ours else math.nan

    def brier_ratio(self, lead_days: int | None = None) -> float:
        """Brier score over persistence's for "a high value is reached", from the mean scores of all dams."""
        pairs = self._brier_pairs(lead_days)
        reference = math.fsum(theirs for _, theirs in pairs)
        return math.fsum(ours for ours, _ in pairs) / reference if reference > 0 else math.nan

    def brier_below_persistence(self, lead_days: int) -> tuple[int, int]:
        """At how many dams the Brier score is below persistence's, of how many where persistence ever erred.

        The mean is ruled by dams that stand at a high value for weeks; this counts each dam once.
        """
        dams = [(dam.brier[lead_days - 1], dam.persistence_brier[lead_days - 1]) for dam in self.dams]
        return sum(ours < theirs for ours, theirs in dams if theirs > 0), sum(
            theirs > 0 for _, theirs in dams
        )

    def reliability(self) -> tuple[ReliabilityRow, ...]:
        """The probability of a high value against how often one came, over all dams and leads."""
        return merged_reliability([dam.reliability for dam in self.dams])

    def _pool_ratios(self) -> list[DamRatio]:
        return [
            DamRatio(dam.id, lead, dam.ratios[POOL][lead - 1])
            for dam in self.dams
            if POOL in dam.ratios
            for lead in LEADS
            if math.isfinite(dam.ratios[POOL][lead - 1])
        ]

    def _to_persistence(self, score: Callable[[DamScores, int], float], lead_days: int | None) -> float:
        pairs = [
            (score(dam, lead), dam.persistence_mae[lead - 1])
            for dam in self.dams
            for lead in _leads(lead_days)
        ]
        return geometric_mean([ours / reference for ours, reference in pairs if reference > 0])

    def _brier_pairs(self, lead_days: int | None) -> list[tuple[float, float]]:
        """Our score and persistence's, where both are known."""
        pairs = [
            (dam.brier[lead - 1], dam.persistence_brier[lead - 1])
            for dam in self.dams
            for lead in _leads(lead_days)
        ]
        return [pair for pair in pairs if all(map(math.isfinite, pair))]


def band_share(bands: Sequence[Band], lead_days: int | None) -> float:
    """Share of the targets that the bands held at one lead, or at all; NaN where there was none."""
    inside = sum(band.inside[lead - 1] for band in bands for lead in _leads(lead_days))
    count = sum(band.count[lead - 1] for band in bands for lead in _leads(lead_days))
    return inside / count if count else math.nan


def all_and_by_lead(score: Callable[[int | None], float]) -> list[float]:
    """The score over all leads, then lead by lead (8,)."""
    return [score(None), *(score(lead) for lead in LEADS)]


def _leads(lead_days: int | None) -> Sequence[int]:
    return LEADS if lead_days is None else (lead_days,)
