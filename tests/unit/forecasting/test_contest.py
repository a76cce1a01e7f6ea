"""A newly trained model takes the place of the one in force only where it is not worse."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from warning.domain.reservoir import Bounds, ScreeningLimits
from warning.forecasting.contest import Contest, contest_of
from warning.forecasting.registry import Registry
from warning.forecasting.split import OPERATION
from warning.forecasting.trainer import TrainingHistory, train_model
from warning.forecasting.training_plan import TrainingSettings

NAN = math.nan
SMALL = TrainingSettings(
    max_epochs=2, lengths=(3, 5), cnn_steps=6, cnn_channels=4, cnn_cells=4, cnn_twins=1, device="cpu"
)


def test_the_lower_error_on_the_same_days_wins() -> None:
    worse = contest_of("old", {"a": (0.9, 0.8)}, {"a": (0.8, 0.8)}, ["a"])
    assert not worse.won
    assert "worse on the same validation part" in worse.words
    assert contest_of("old", {"a": (0.8, 0.8)}, {"a": (0.9, 0.8)}, ["a"]).won


def test_an_equal_one_wins_as_it_has_seen_more() -> None:
    assert contest_of("old", {"a": (0.9,)}, {"a": (0.9,)}, ["a"]).won


def test_only_what_both_forecast_is_compared() -> None:
    contest = contest_of("old", {"a": (0.8, NAN), "b": (5.0, 5.0)}, {"a": (0.9, 0.1), "c": (0.1, 0.1)}, ["a"])
    assert (contest.new, contest.old) == pytest.approx((0.8, 0.9))
    assert contest.won


@pytest.mark.parametrize(
    ("new", "won"), [({"a": (NAN,)}, False), ({"a": (0.9,)}, True), ({}, False)], ids=["nan", "known", "none"]
)
def test_what_cannot_be_measured_wins_against_nothing(new: dict[str, tuple[float, ...]], won: bool) -> None:
    assert contest_of("old", new, {}, []).won is won


def test_a_model_that_forgets_a_watched_dam_does_not_win() -> None:
    contest = contest_of("old", {"a": (0.1,)}, {"a": (0.9,), "b": (0.9,)}, ["a", "b"])
    assert not contest.won
    assert "could not learn b" in contest.words


def test_a_score_that_is_no_number_never_wins() -> None:
    assert not Contest("old", NAN, 0.9, ()).won
    assert not Contest("old", NAN, NAN, ()).won


@pytest.fixture
def registry(tiny_registry: Path, tmp_path: Path) -> Registry:
    shutil.copytree(tiny_registry, tmp_path / "models")
    return Registry(tmp_path / "models")


def histories(fleet: dict[str, Any]) -> dict[str, TrainingHistory]:
    bounds = Bounds(0.0, 1e6)
    ends = {name: OPERATION.ends(request.series.days) for name, request in fleet.items()}
    return {
        name: TrainingHistory(
            series=request.series,
            variable=request.variable,
            bounds={request.variable: bounds},
            limits=ScreeningLimits(),
            train_end=ends[name][0],
            validation_end=ends[name][1],
        )
        for name, request in fleet.items()
    }


def test_after_a_training_the_better_of_the_two_is_in_force_and_both_are_kept(
    registry: Registry, fleet: dict[str, Any], now: datetime
) -> None:
    old = registry.active()
    assert old is not None
    unlearnt = replace(SMALL, max_epochs=1, seed=3)
    report = train_model(histories(fleet), unlearnt, registry, now + timedelta(days=1), time_limit_s=120)
    assert report.contest is not None
    assert report.contest.against == old.model_id
    # the old model is measured anew, and comes to what it came to when it was trained on the same days
    skill = [v for fit in old.sites.values() for v in fit.skill]
    assert report.contest.old == pytest.approx(math.exp(sum(map(math.log, skill)) / len(skill)), rel=0.02)
    active = registry.active()
    assert active is not None
    assert report.promoted == (report.contest.new <= report.contest.old)
    assert active.model_id == (report.model_id if report.promoted else old.model_id)
    assert report.model_id in [summary.model_id for summary in registry.list()]
