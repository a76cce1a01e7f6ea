"""The networks: built from their specs, honest about time, and indifferent to company."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import torch

from warning.domain.readings import ReadingSeries
from warning.domain.variables import Variable
from warning.errors import ModelError
from warning.forecasting.features import FEATURE_COUNT
from warning.forecasting.model import Model, NetworkSpec
from warning.forecasting.networks import Average, build, load, predict_z
from warning.forecasting.scaling import fit_scale
from warning.forecasting.training_plan import TrainingSettings

SeriesMaker = Callable[..., ReadingSeries]
LEVEL = Variable.LEVEL_M
SETTINGS = TrainingSettings(lengths=(5, 30), cnn_twins=2)


def model_with_random_parameters() -> Model:
    torch.manual_seed(4)
    states = {}
    for spec in SETTINGS.specs():
        network = build(spec)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        states[spec.name] = {name: value.numpy().copy() for name, value in network.state_dict().items()}
    return Model("random", datetime(2026, 1, 1, tzinfo=UTC), SETTINGS.specs(), states, {}, {}, {})


@pytest.fixture(scope="module")
def networks() -> dict[str, Average]:
    return load(model_with_random_parameters(), "cpu")


def test_members_have_as_many_cells_as_they_read_days_and_sorted_names() -> None:
    specs = TrainingSettings().specs()
    members = [spec for spec in specs if spec.kind == "lstm"]
    assert len(members) == 10
    assert all(spec.options["steps"] == spec.options["cells"] for spec in members)
    assert [spec.name for spec in members] == sorted({spec.name for spec in members})
    assert specs[-1].kind == "cnn_lstm"
    assert specs[-1].options["steps"] == 14


@pytest.mark.parametrize("spec", SETTINGS.specs(), ids=lambda spec: spec.name)
def test_an_untrained_network_says_persistence(spec: NetworkSpec) -> None:
    torch.manual_seed(0)
    inputs = torch.randn(6, 30, FEATURE_COUNT)
    with torch.inference_mode():
        answer = build(spec).eval()(inputs)
    assert not answer.any()


def test_a_row_computed_alone_equals_the_row_among_thousands(
    networks: dict[str, Average], make_series: SeriesMaker
) -> None:
    series = make_series(days=2600)
    scale = fit_scale(series, LEVEL, series.day(1500))
    many = predict_z(networks, series, scale, np.arange(400, 2600), "cpu")
    for row in (400, 1423, 1424, 2599):
        alone = predict_z(networks, series, scale, np.array([row]), "cpu")
        for name, z in alone.items():
            np.testing.assert_array_equal(z[0], many[name][row - 400], err_msg=f"{name}, row {row}")


def test_cutting_the_record_at_the_issue_day_changes_no_answer_to_the_last_digit(
    networks: dict[str, Average], make_series: SeriesMaker, cut_series: SeriesMaker
) -> None:
    series = make_series()
    scale = fit_scale(series, LEVEL, series.day(400))
    rows = np.arange(380, 690)
    whole = predict_z(networks, series, scale, rows, "cpu")
    for row in (400, 447, 560, 689):
        alone = predict_z(networks, cut_series(series, row + 1), scale, np.array([row]), "cpu")
        for name, z in alone.items():
            np.testing.assert_array_equal(z[0], whole[name][row - 380], err_msg=f"{name}, row {row}")


def test_without_a_base_a_network_does_not_answer(
    networks: dict[str, Average], make_series: SeriesMaker, make_flagged: SeriesMaker
) -> None:
    level = make_series().values[LEVEL].copy()
    level[500:540] = np.nan
    series = make_flagged({LEVEL: level})
    scale = fit_scale(series, LEVEL, series.day(400))
    rows = np.array([50, 450, 530])
    for z in predict_z(networks, series, scale, rows, "cpu").values():
        np.testing.assert_array_equal(np.isfinite(z).all(axis=1), [True, True, False])
        np.testing.assert_array_equal(np.isnan(z).all(axis=1), [False, False, True])


def test_a_network_of_unknown_kind_is_refused() -> None:
    with pytest.raises(ModelError, match="cannot build a 'transformer'"):
        build(NetworkSpec("new", "transformer", {"twins": 1, "dropout": 0.0}))


def test_parameters_of_another_architecture_are_refused() -> None:
    model = model_with_random_parameters()
    swapped = replace(model, states={**model.states, "lstm_05": model.states["lstm_30"]})
    with pytest.raises(ModelError, match="lstm_05: its parameters do not fit"):
        load(swapped, "cpu")
    missing = replace(model, states={})
    with pytest.raises(ModelError, match="do not fit"):
        load(missing, "cpu")
