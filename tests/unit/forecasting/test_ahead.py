"""What is known of the days ahead moves a forecast that has it, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
import torch

from warning.domain.readings import AHEAD_VARIABLES, ReadingSeries
from warning.domain.variables import Variable
from warning.forecasting.ahead import AHEAD_COUNT, RAIN_COLUMNS, RELEASE_COLUMNS, ahead_inputs, observed_ahead
from warning.forecasting.batches import Batch, SiteJob, pack_batch, unpack_batch
from warning.forecasting.exchange import pack_series, unpack_series
from warning.forecasting.marks import row_marks
from warning.forecasting.model import Model, StandingFile
from warning.forecasting.networks import load, predict_many, predict_z
from warning.forecasting.pool import OPERATIONAL_RULE
from warning.forecasting.scaling import fit_scale
from warning.forecasting.standing import fingerprint, from_row
from warning.forecasting.training import _ways, lost_knowledge, train
from warning.forecasting.training_plan import SiteSplit, TrainedNetworks, TrainingSettings

LEVEL, RAIN, RELEASE = Variable.LEVEL_M, Variable.RAIN_MM, Variable.OUTFLOW_M3S
FIRST_DAY = date(2020, 1, 1)
DAYS, TRAINED, TESTED = 1100, 700, 850
ROWS = np.arange(TESTED, DAYS - 7)
TINY = TrainingSettings(
    max_epochs=12, batch_size=64, learning_rate=5e-3, lengths=(3,), cnn_steps=6, cnn_channels=4,
    cnn_cells=4, cnn_twins=1, averaging=0.9, device="cpu",
)  # fmt: skip


@pytest.fixture(scope="module")
def series() -> ReadingSeries:
    """A level that unforeseeable rain fills and releases drain."""
    random = np.random.default_rng(4)
    rain = random.exponential(20.0, DAYS) * (random.random(DAYS) < 0.2)
    release = 30 + 25 * random.random(DAYS) * (random.random(DAYS) < 0.3)
    level = 100 + np.cumsum(0.02 * (rain - rain.mean()) - 0.01 * (release - release.mean()))
    values = {LEVEL: level, RAIN: rain, RELEASE: release}
    flags = {variable: np.zeros(DAYS, np.uint16) for variable in values}
    return ReadingSeries(FIRST_DAY, values, flags, flags)


@pytest.fixture(scope="module")
def split(series: ReadingSeries) -> SiteSplit:
    scale = fit_scale(series, LEVEL, series.day(TRAINED))
    return SiteSplit(scale, series.day(TRAINED), series.day(TESTED))


@pytest.fixture(scope="module")
def trained(series: ReadingSeries, split: SiteSplit) -> TrainedNetworks:
    return train({"dam": (series, split)}, TINY)


def knowing(series: ReadingSeries, *variables: Variable) -> ReadingSeries:
    return replace(series, ahead=observed_ahead(series, variables))


def answers(networks: TrainedNetworks, series: ReadingSeries, split: SiteSplit) -> dict[str, np.ndarray]:
    model = Model("", None, networks.specs, networks.states, {}, {}, {})  # type: ignore[arg-type]
    return predict_z(load(model, "cpu"), series, split.scale, ROWS, "cpu")


def test_networks_trained_beside_outlooks_are_to_the_bit_what_they_had_been_without(
    series: ReadingSeries, split: SiteSplit, trained: TrainedNetworks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warning.forecasting.examples.observed_ahead", lambda *_: {})
    ignorant = train({"dam": (series, split)}, TINY)
    assert ignorant.log == trained.log
    for network, state in trained.states.items():
        for name, values in state.items():
            same = np.array_equal(values, ignorant.states[network][name])
            assert same == (".correction." not in name), name
    for name, z in answers(trained, series, split).items():
        np.testing.assert_array_equal(z, answers(ignorant, series, split)[name])


@pytest.mark.parametrize("known", [(RAIN,), (RELEASE,), AHEAD_VARIABLES])
def test_a_network_that_knows_the_days_ahead_errs_less(
    known: tuple[Variable, ...], series: ReadingSeries, split: SiteSplit, trained: TrainedNetworks
) -> None:
    level = series.values[LEVEL]
    rows = ROWS[:, None] + np.arange(1, 8)
    unit = split.scale.daily_change * np.sqrt(np.arange(1, 8))
    truth = (level[rows] - level[ROWS][:, None]) / unit
    without, with_it = answers(trained, series, split), answers(trained, knowing(series, *known), split)
    for name in without:
        assert np.abs(with_it[name] - truth).mean() < 0.95 * np.abs(without[name] - truth).mean(), name


def test_an_outlook_on_one_day_moves_that_days_answer_alone(
    series: ReadingSeries, split: SiteSplit, trained: TrainedNetworks
) -> None:
    table = np.full((DAYS, 7), np.nan)
    table[900, 2:4] = 80.0
    told = answers(trained, replace(series, ahead={RAIN: table}), split)
    for name, z in answers(trained, series, split).items():
        moved = (told[name] != z).any(axis=1)
        np.testing.assert_array_equal(ROWS[moved], [900])


def test_many_dams_at_once_are_answered_with_their_outlooks(
    series: ReadingSeries, split: SiteSplit, trained: TrainedNetworks
) -> None:
    model = Model("", None, trained.specs, trained.states, {}, {}, {})  # type: ignore[arg-type]
    networks = load(model, "cpu")
    dams = [series, knowing(series, RAIN)]
    together = predict_many(networks, [(dam, split.scale, ROWS) for dam in dams], "cpu")
    for dam, found in zip(dams, together, strict=True):
        for name, z in answers(trained, dam, split).items():
            np.testing.assert_array_equal(found[name], z)


def test_training_loses_each_end_of_what_is_known_and_often_nothing() -> None:
    lost = lost_knowledge(torch.zeros(1))
    drawn = lost[_ways(20_000, torch.Generator().manual_seed(0))]
    rain = drawn[:, RAIN_COLUMNS]
    assert lost[-3:].sum(dim=1).tolist() == [AHEAD_COUNT, AHEAD_COUNT // 2, AHEAD_COUNT // 2]
    assert (drawn.sum(dim=1) == AHEAD_COUNT).float().mean() > 0.1, "all is known at times"
    assert (drawn.sum(dim=1) == 0).any(), "nothing is known at times"
    told = rain[rain.any(dim=1)]
    assert ((told[:, 0] == 0) & (told[:, 1] == 1)).any(), "an outlook may begin a day later"
    assert ((told[:, 0] == 1) & (told[:, 6] == 0)).any(), "or end early"


def test_what_is_not_known_is_zero_and_so_is_its_mask(series: ReadingSeries, split: SiteSplit) -> None:
    rows = np.array([10, DAYS - 3])
    assert not ahead_inputs(series, split.scale, rows).any()
    inputs = ahead_inputs(knowing(series, RAIN), split.scale, rows)
    assert inputs.shape == (2, AHEAD_COUNT)
    assert not inputs[:, RELEASE_COLUMNS].any()
    masks = inputs[:, RAIN_COLUMNS][:, -7:]
    np.testing.assert_array_equal(masks, [[1] * 7, [1, 1, 0, 0, 0, 0, 0]])
    inputs = ahead_inputs(knowing(series, *AHEAD_VARIABLES), split.scale, rows)
    assert np.isfinite(inputs).all()
    assert inputs[0, RELEASE_COLUMNS].any()


def test_an_outlook_reaches_the_child_and_comes_along_with_the_last_readings(
    series: ReadingSeries, split: SiteSplit
) -> None:
    told = from_row(knowing(series, RAIN, RELEASE), 1000)
    arrays: dict[str, np.ndarray] = {}
    alone = unpack_series("site/0", pack_series("site/0", told, arrays), arrays)
    file = StandingFile("x", "", (), OPERATIONAL_RULE, {})  # type: ignore[arg-type]
    sites = {
        name: SiteJob(dam, split.scale, split.train_end, None)
        for name, dam in (("one", told), ("other", from_row(series, 1000)))
    }
    batch = unpack_batch(*pack_batch(Batch(sites, file)))
    assert not batch.sites["other"].series.ahead
    for found in (alone, batch.sites["one"].series):
        assert found.ahead.keys() == {RAIN, RELEASE}
        for variable, table in found.ahead.items():
            np.testing.assert_array_equal(table, told.ahead[variable])


def test_a_changed_outlook_is_noticed_where_answers_are_remembered(series: ReadingSeries) -> None:
    told = knowing(series, RAIN)
    changed = {RAIN: told.ahead[RAIN].copy()}
    changed[RAIN][900, 3] += 1
    other = replace(told, ahead=changed)
    np.testing.assert_array_equal(np.flatnonzero(row_marks(told) != row_marks(other)), [900])
    for day, same in ((series.day(900), True), (series.day(901), False)):
        assert (fingerprint(told, day) == fingerprint(other, day)) is same


def test_a_table_of_another_shape_or_variable_is_refused(series: ReadingSeries) -> None:
    for ahead in ({RAIN: np.zeros((DAYS, 6))}, {LEVEL: np.zeros((DAYS, 7))}):
        with pytest.raises(ValueError, match="ahead of shape"):
            replace(series, ahead=ahead)
