"""Training: repeatable, blind to the future, and loud when it goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import torch

from warning.domain.readings import ReadingSeries
from warning.domain.variables import Variable
from warning.errors import ModelError
from warning.forecasting.examples import gather_examples
from warning.forecasting.networks import build_twin
from warning.forecasting.scaling import fit_scale
from warning.forecasting.stacked import stacked
from warning.forecasting.training import Batch, Fitting, Rows, choose_device, run, train
from warning.forecasting.training_plan import SiteSplit, TrainedNetworks, TrainingSettings, merged

SeriesMaker = Callable[..., ReadingSeries]
Histories = dict[str, tuple[ReadingSeries, SiteSplit]]
LEVEL = Variable.LEVEL_M
TINY = TrainingSettings(
    max_epochs=3,
    patience=2,
    batch_size=128,
    lengths=(3, 5),
    cnn_steps=6,
    cnn_channels=4,
    cnn_cells=4,
    cnn_twins=2,
    device="cpu",
)


@pytest.fixture(scope="module")
def histories(make_series: SeriesMaker) -> Histories:
    found = {}
    for seed, name in enumerate(("alder", "birch")):
        series = make_series(seed=seed)
        train_end, validation_end = series.day(500), series.day(640)
        scale = fit_scale(series, LEVEL, train_end)
        found[name] = (series, SiteSplit(scale, train_end, validation_end))
    return found


@pytest.fixture(scope="module")
def trained(histories: Histories) -> TrainedNetworks:
    return train(histories, TINY)


def flattened(networks: TrainedNetworks) -> dict[str, np.ndarray]:
    return {f"{n}.{p}": a for n, state in networks.states.items() for p, a in state.items()}


def test_two_trainings_with_one_seed_give_equal_parameters(
    histories: Histories, trained: TrainedNetworks
) -> None:
    again = flattened(train(histories, TINY))
    assert again.keys() == flattened(trained).keys()
    for name, array in flattened(trained).items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, again[name], err_msg=name)


def test_another_seed_gives_other_parameters(histories: Histories, trained: TrainedNetworks) -> None:
    other = flattened(train(histories, replace(TINY, seed=5)))
    assert any((array != other[name]).any() for name, array in flattened(trained).items())


def test_each_twin_has_its_entry_in_the_log_and_progress_reaches_the_end(histories: Histories) -> None:
    heard: list[tuple[str, float]] = []
    result = train(histories, replace(TINY, max_epochs=1), lambda doing, share: heard.append((doing, share)))
    assert [(entry.network, entry.twin) for entry in result.log] == [
        ("lstm_03", 0),
        ("lstm_05", 0),
        ("cnn_lstm", 0),
        ("cnn_lstm", 1),
    ]
    assert all(0 < entry.validation_loss < 5 and entry.best_epoch == 1 for entry in result.log)
    shares = [share for _, share in heard]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_training_examples_end_before_the_validation_part_and_those_before_the_test_part(
    histories: Histories,
) -> None:
    changed: Histories = {}
    for name, (series, split) in histories.items():
        values = {variable: column.copy() for variable, column in series.values.items()}
        for column in values.values():
            column[series.row(split.validation_end) :] = np.nan
        cut = ReadingSeries(series.first_day, values, series.at_once, series.settled)
        changed[name] = (cut, split)
    whole, without_test = (gather_examples(h, 6, 10**6, 0) for h in (histories, changed))
    for one, other in zip(whole, without_test, strict=True):
        np.testing.assert_array_equal(one.inputs, other.inputs)
        np.testing.assert_array_equal(one.z, other.z)


def test_training_examples_do_not_know_the_validation_part(histories: Histories) -> None:
    changed: Histories = {}
    for name, (series, split) in histories.items():
        values = {variable: column.copy() for variable, column in series.values.items()}
        for column in values.values():
            column[series.row(split.train_end) :] += 3.0
        changed[name] = (ReadingSeries(series.first_day, values, series.at_once, series.settled), split)
    one, other = (gather_examples(h, 6, 10**6, 0)[0] for h in (histories, changed))
    np.testing.assert_array_equal(one.inputs, other.inputs)
    np.testing.assert_array_equal(one.z, other.z)
    np.testing.assert_array_equal(one.counts, other.counts)


def test_a_large_fleet_is_sampled_within_its_bound(histories: Histories) -> None:
    learn, _ = gather_examples(histories, 6, 200, 0)
    assert 100 < learn.sites.size <= 200
    assert set(learn.sites) == {0, 1}


def test_unknown_targets_count_nothing(make_series: SeriesMaker, make_flagged: SeriesMaker) -> None:
    plain = make_series()
    series = make_flagged(plain.values, {LEVEL: list(range(300, 320))})
    split = SiteSplit(fit_scale(series, LEVEL, series.day(500)), series.day(500), series.day(640))
    learn, _ = gather_examples({"alder": (series, split)}, 6, 10**6, 0)
    assert (learn.counts == 0).any()
    assert not learn.z[learn.counts == 0].any()


def test_a_loss_that_is_no_number_stops_training_in_words(histories: Histories) -> None:
    with pytest.raises(ModelError, match=r"the loss became (nan|inf) in epoch"):
        train(histories, replace(TINY, learning_rate=1e36, averaging=0.0))


def test_nothing_to_learn_from_is_said(histories: Histories) -> None:
    series, split = histories["alder"]
    early = replace(split, train_end=series.first_day + timedelta(days=5))
    with pytest.raises(ModelError, match="nothing to learn from"):
        train({"alder": (series, early)}, TINY)


def test_cuda_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert choose_device("auto") == "cpu"
    with pytest.raises(ModelError, match="torch finds none"):
        choose_device("cuda")


def test_a_member_is_handed_its_own_rows_and_the_days_that_it_reads(histories: Histories) -> None:
    learn, _ = gather_examples(histories, 6, 10**6, 0)
    rows = torch.tensor([[5, 17, 3], [9, 0, 30]])
    inputs, z, counts, ahead = Rows(learn, "cpu").take(rows, 4)
    assert inputs.shape == (2, 4, learn.inputs.shape[2], 3)
    for member in range(2):
        for place, row in enumerate(rows[member]):
            np.testing.assert_array_equal(inputs[member, :, :, place], learn.inputs[row, -4:])
            np.testing.assert_array_equal(z[member, :, place], learn.z[row])
            np.testing.assert_array_equal(counts[member, :, place], learn.counts[row])
            np.testing.assert_array_equal(ahead[member, :, place], learn.ahead[row])


def test_every_epoch_each_member_sees_every_example_once_in_an_order_of_its_own(
    histories: Histories, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn, check = (Rows(part, "cpu") for part in gather_examples(histories, 6, 10**6, 0))
    seen: list[torch.Tensor] = []
    take = learn.take

    def recorded(rows: torch.Tensor, days: int) -> Batch:
        seen.append(rows)
        return take(rows, days)

    monkeypatch.setattr(learn, "take", recorded)
    members = TINY.parts()[0]
    stack = stacked([build_twin(member.spec) for member in members])
    run(Fitting(members, stack, learn, check, 2, replace(TINY, max_epochs=2, patience=9)), lambda share: None)
    first, second = torch.cat(seen, dim=1).chunk(2, dim=1)
    for order in (*first, *second):
        assert sorted(order.tolist()) == list(range(len(learn)))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], second[0])


def test_the_parts_hold_every_network_once_and_the_ensemble_is_halved_by_its_work() -> None:
    settings = TrainingSettings()
    cnns, long, short = settings.parts()
    assert [member.spec.options["steps"] for member in (*long, *short)] == [
        30,
        25,
        20,
        17,
        14,
        12,
        10,
        8,
        6,
        4,
    ]
    assert len(long) == 2
    assert [member.twin for member in cnns] == [0, 1, 2]
    everyone = [member for part in settings.parts() for member in part]
    assert len({member.seed for member in everyone}) == len(everyone) == 13
    assert {member.spec.name for member in everyone} == {spec.name for spec in settings.specs()}
    assert settings.parts(halves=False) == (cnns, (*long, *short))


@pytest.mark.parametrize("lengths", [(), (7,)])
def test_an_ensemble_too_small_to_halve_is_no_reason_to_stop(lengths: tuple[int, ...]) -> None:
    parts = TrainingSettings(lengths=lengths).parts()
    assert [len(part) for part in parts] == [3, *(1 for _ in lengths)]


def test_training_in_parts_gives_what_training_all_gives(
    histories: Histories, trained: TrainedNetworks
) -> None:
    settings = replace(TINY, cnn_steps=5)  # no part reads more days than another's examples hold
    whole = train(histories, settings)
    shares = [train(histories, settings, None, [part]) for part in range(len(settings.parts()))]
    together = merged(settings.specs(), shares)
    assert together.log == whole.log
    for name, array in flattened(whole).items():
        np.testing.assert_array_equal(array, flattened(together)[name], err_msg=name)
