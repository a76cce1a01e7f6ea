"""What `dam-warning train` says of the contest with the model in force."""

from __future__ import annotations

from warning.cli.train import report_text
from warning.forecasting.contest import Contest
from warning.forecasting.trainer import TrainReport

SKILL = {"upper": (0.5,) * 7}


def test_a_model_that_lost_is_said_not_to_be_in_force_and_how_to_overrule_that() -> None:
    text = report_text(TrainReport("new", SKILL, (), {}, Contest("old", 0.9, 0.8, ())))
    assert "new is not in force: it is worse on the same validation part" in text
    assert "old stays" in text
    assert "dam-warning models --use new" in text


def test_a_model_that_won_is_said_to_be_in_force_and_by_how_much() -> None:
    text = report_text(TrainReport("new", SKILL, (), {}, Contest("old", 0.8, 0.9, ())))
    assert text.startswith("Model new is in force: it is not worse")
    assert "0.800" in text
    assert "0.900" in text


def test_a_first_model_is_in_force_without_a_contest() -> None:
    assert report_text(TrainReport("new", SKILL, (), {})).startswith("Model new is in force.\n")
