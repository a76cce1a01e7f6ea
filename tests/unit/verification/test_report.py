"""What the report says of scores that were worked out by hand, and its verdicts."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import date

import pytest

from warning.domain.forecast import PERSISTENCE, POOL, QUANTILE_LEVELS
from warning.domain.variables import Variable
from warning.verification.report import BacktestReport, DamRatio
from warning.verification.report_json import report_json
from warning.verification.report_text import report_text
from warning.verification.scores import ReliabilityRow
from warning.verification.scoring import Band, DamScores

NAN = float("nan")


def dam(
    name: str,
    ratios: tuple[float, ...],
    inside: tuple[int, ...] = (90,) * 7,
    high: tuple[int, ...] = (9,) * 7,
    high_count: int = 10,
    persistence_mae: float = 2.0,
) -> DamScores:
    """A dam of 100 targets a lead whose CRPS is 1 and whose pinball loss is 0.1 to 1.5, by level."""
    losses = tuple(0.1 * (i + 1) for i in range(len(QUANTILE_LEVELS)))
    return DamScores(
        id=name,
        variable=Variable.LEVEL_M,
        inferred="level",
        first_day=date(2000, 1, 1),
        last_day=date(2010, 1, 1),
        train_end=date(2006, 1, 1),
        validation_end=date(2008, 1, 1),
        issue_days=100,
        targets=(100,) * 7,
        persistence_mae=(persistence_mae,) * 7,
        ratios={POOL: ratios, PERSISTENCE: (1.0,) * 7},
        crps=(1.0,) * 7,
        pinball=(losses,) * 7,
        below=(tuple(round(100 * level) for level in QUANTILE_LEVELS),) * 7,
        band=Band(inside, (100,) * 7),
        high_band=Band(high, (high_count,) * 7),
        high_value=50.0,
        brier=(0.02,) * 7,
        persistence_brier=(0.04,) * 7,
        reliability=(ReliabilityRow(0.0, 1.0, 100, 0.1, 0.1),),
        flags={},
    )


def report(*dams: DamScores) -> BacktestReport:
    return BacktestReport(
        folder="records", model_id="m", dams=dams, skipped={}, forecasts_path=None, forecast_rows=0
    )


def test_the_coverage_of_each_lead_is_judged_over_all_dams() -> None:
    """alder 90, birch by lead: 85 and 86 make 87.5 and 88 %, 94 makes 92 %, 95 makes 92.5 %."""
    found = report(dam("alder", (0.5,) * 7), dam("birch", (0.5,) * 7, inside=(85, 86, 90, 94, 95, 90, 90)))
    assert [verdict.share for verdict in found.verdicts()[:5]] == [0.875, 0.88, 0.9, 0.92, 0.925]
    assert [verdict.passed for verdict in found.verdicts()] == [False, True, True, True, False, True, True]
    assert "within 0.88 to 0.92" in report_text(found)
    row = next(line for line in report_text(found).splitlines() if "within 0.88" in line)
    assert row.split()[-7:] == ["NO", "yes", "yes", "yes", "NO", "yes", "yes"]


def test_high_days_have_a_wider_tolerance_of_their_own() -> None:
    found = report(dam("alder", (0.5,) * 7, high=(84, 85, 95, 96, 90, 90, 90), high_count=100))
    assert [v.passed for v in found.verdicts(high=True)] == [False, True, True, False, True, True, True]
    plain = json.loads(report_json(found))["coverage_90_above_95_quantile_verdicts"]
    assert plain[0] == {"lead_days": 1, "share": 0.84, "within": [0.85, 0.95], "passed": False}


def test_a_share_that_is_not_known_passes_nothing() -> None:
    found = report(dam("alder", (0.5,) * 7, high=(0,) * 7, high_count=0))
    assert all(math.isnan(v.share) and not v.passed for v in found.verdicts(high=True))
    row = next(line for line in report_text(found).splitlines() if "within 0.85" in line)
    assert row.split()[-7:] == ["-"] * 7


def test_the_worst_dam_and_lead_is_named() -> None:
    found = report(dam("alder", (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, NAN)), dam("birch", (0.96, *(0.5,) * 6)))
    assert found.worst() == DamRatio("birch", 1, 0.96)
    assert found.above_persistence() == ()
    assert "worst dam and lead: birch on day 1, 0.960; above 1.000 at 0 of 14" in report_text(found)


def test_each_dam_and_lead_above_persistence_is_listed_the_worst_first() -> None:
    found = report(dam("alder", (*(0.5,) * 6, 1.01)), dam("birch", (0.5, 1.2, 1.0, *(0.5,) * 4)))
    assert found.above_persistence() == (DamRatio("birch", 2, 1.2), DamRatio("alder", 7, 1.01))
    text = report_text(found)
    assert "above 1.000 at 2 of 14" in text
    assert text.index("above 1.000: birch on day 2, 1.200") < text.index("above 1.000: alder on day 7, 1.010")
    assert json.loads(report_json(found))["worst_dam_and_lead"] == {
        "dam": "birch",
        "lead_days": 2,
        "ratio": 1.2,
    }


def test_losses_are_shares_of_persistences_error_and_geometric_means_over_dams() -> None:
    found = report(
        dam("alder", (0.5,) * 7, persistence_mae=2.0), dam("birch", (0.5,) * 7, persistence_mae=8.0)
    )
    assert found.crps_ratio() == pytest.approx(math.sqrt(1 / 2 * 1 / 8))
    assert found.pinball_ratio(0.01) == pytest.approx(0.1 / 4)
    assert found.pinball_ratio(0.99, 3) == pytest.approx(1.5 / 4)
    assert found.mean_pinball_ratio() == pytest.approx(0.8 / 4)
    assert found.below(0.3) == pytest.approx(0.3)
    assert found.brier(2) == pytest.approx(0.02)
    assert found.brier_ratio() == pytest.approx(0.5)
    assert found.brier_below_persistence(1) == (len(found.dams), len(found.dams))


def test_a_dam_where_persistence_never_erred_is_not_counted_by_its_brier_score() -> None:
    calm = replace(dam("calm", (0.5,) * 7), brier=(0.01,) * 7, persistence_brier=(0.0,) * 7)
    unknown = replace(dam("unknown", (0.5,) * 7), brier=(math.nan,) * 7, persistence_brier=(math.nan,) * 7)
    found = report(dam("alder", (0.5,) * 7), calm, unknown)
    assert found.brier_below_persistence(1) == (1, 1)
    assert "dams below persistence" in report_text(found)
    assert json.loads(report_json(found))["dams_with_brier_below_persistence"]["7"] == {"dams": 1, "of": 1}


def test_every_level_is_in_the_text_and_the_json() -> None:
    found = report(dam("alder", (0.5,) * 7))
    text, plain = report_text(found), json.loads(report_json(found))
    assert all(f"pinball at {level:g} " in text for level in QUANTILE_LEVELS)
    assert list(plain["pinball_ratio_to_persistence_mae"]) == [
        str(level) for level in plain["quantile_levels"]
    ]
    assert plain["share_at_or_below_quantile"]["0.9"]["7"] == pytest.approx(0.9)


def test_a_report_without_dams_knows_nothing_and_says_so() -> None:
    found = report()
    assert found.worst() is None
    assert not any(v.passed for v in found.verdicts())
    assert all(
        map(math.isnan, (found.crps_ratio(), found.mean_pinball_ratio(), found.brier(), found.below(0.5)))
    )
    assert json.loads(report_json(found))["crps_ratio_to_persistence_mae"]["all"] is None
    assert report_text(found) == "Backtest of records: 0 dams scored, 0 skipped"
