"""A stack is its members: the same answers, the same gradients, the same training, only sooner."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn

from warning.forecasting.ahead import AHEAD_COUNT
from warning.forecasting.examples import Examples
from warning.forecasting.features import FEATURE_COUNT
from warning.forecasting.networks import build_twin
from warning.forecasting.stacked import Sheet, StackedLstm, stacked
from warning.forecasting.training import Fitting, Rows, run
from warning.forecasting.training_plan import (
    Member,
    NetworkSpec,
    TrainingSettings,
    cnn_lstm_spec,
    lstm_spec,
)

LSTMS = tuple(lstm_spec(length, 1, 0.0) for length in (9, 5, 2))
WIDER = tuple(
    replace(lstm_spec(n, 1, 0.0), options={**lstm_spec(n, 1, 0.0).options, "cells": c})
    for n, c in ((6, 3), (4, 7), (4, 1))
)
CNNS = (cnn_lstm_spec(7, 6, 3, 5, 2, 0.0),) * 2
EVEN = (cnn_lstm_spec(7, 6, 4, 5, 2, 0.0),) * 2
KINDS = pytest.mark.parametrize("specs", [LSTMS, WIDER, CNNS, EVEN], ids=["lstms", "wider", "cnns", "even"])


def networks(specs: tuple[NetworkSpec, ...]) -> list[nn.Module]:
    """Networks in float64 with parameters everywhere, so that nothing is equal by being 0."""
    torch.manual_seed(3)
    made = [build_twin(spec).double() for spec in specs]
    for network in made:
        for parameter in network.parameters():
            parameter.data.add_(0.3 * torch.randn_like(parameter))
    return made


@KINDS
def test_a_stack_answers_as_its_members_do(specs: tuple[NetworkSpec, ...]) -> None:
    members = networks(specs)
    stack = stacked(members)
    inputs = torch.randn(11, 9, FEATURE_COUNT, dtype=torch.float64)
    for rows in (11, 4):  # the last batch of an epoch is smaller
        answer = stack(inputs[:rows].permute(1, 2, 0)[None])
        for member, own in zip(members, answer, strict=True):
            torch.testing.assert_close(own.T, member(inputs[:rows]), rtol=0, atol=1e-13)


@KINDS
def test_a_stack_that_is_only_asked_answers_as_one_that_learns(specs: tuple[NetworkSpec, ...]) -> None:
    stack = stacked(networks(specs))
    for rows in (11, 4, 11):  # the second call of a size finds what the first one left
        inputs = torch.randn(1, 9, FEATURE_COUNT, rows, dtype=torch.float64)
        with torch.no_grad():
            asked = stack(inputs)
        assert torch.equal(asked, stack(inputs))


@KINDS
def test_a_stack_passes_on_the_gradients_that_its_members_would(specs: tuple[NetworkSpec, ...]) -> None:
    members = networks(specs)
    stack = stacked(members)
    inputs = torch.randn(len(specs), 11, 9, FEATURE_COUNT, dtype=torch.float64)
    onto = torch.randn(len(specs), 7, 11, dtype=torch.float64)
    ahead = torch.randn(len(specs), AHEAD_COUNT, 11, dtype=torch.float64)
    move = stack.correction(inputs[:, :, -1].transpose(1, 2), ahead)
    (stack(inputs.permute(0, 2, 3, 1)) + move).backward(onto)
    for parameter in stack.parameters():
        assert parameter.grad is not None
        parameter.data = parameter.grad
    for i, member in enumerate(members):
        z = member(inputs[i]) + member.correction(inputs[i, :, -1], ahead[i].T)
        z.backward(onto[i].T)
        found = stack.member_state(i)
        for name, parameter in member.named_parameters():
            torch.testing.assert_close(found[name], parameter.grad, rtol=0, atol=1e-12, msg=f"{i} {name}")


@KINDS
def test_what_is_stacked_is_taken_out_again_unchanged(specs: tuple[NetworkSpec, ...]) -> None:
    members = networks(specs)
    stack = stacked(members)
    for i, member in enumerate(members):
        expected, found = member.state_dict(), stack.member_state(i)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], value) for name, value in expected.items())


@KINDS
def test_a_sheet_is_the_parameters_of_its_stack_row_by_row(specs: tuple[NetworkSpec, ...]) -> None:
    stack, same = stacked(networks(specs)), stacked(networks(specs))
    sheet = Sheet(stack)
    inputs = torch.randn(len(specs), 9, FEATURE_COUNT, 8, dtype=torch.float64)
    onto = torch.randn(len(specs), 7, 8, dtype=torch.float64)
    memory, to_parameters = stack.learn(inputs)
    with torch.no_grad():
        d_memory, of_head = stack.head.back(memory, inputs[:, -1], onto)
        gradient = sheet.hand_in({**of_head, **to_parameters(d_memory)})
    same(inputs).backward(onto)
    assert not gradient[:, sheet.corrections :].any()
    torch.optim.SGD([sheet.values], lr=0.1).step()
    torch.optim.SGD(same.parameters(), lr=0.1).step()
    staying = [0, len(specs) - 1]
    stack.keep(staying)
    sheet.keep(staying)
    for i, member in enumerate(staying):
        expected, found = same.member_state(member), stack.member_state(i)
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=0, atol=1e-13)


def test_dropout_is_on_the_written_way_back_too() -> None:
    stack = stacked(networks(tuple(lstm_spec(length, 1, 0.4) for length in (9, 5))))
    inputs = torch.randn(2, 9, FEATURE_COUNT, 8, dtype=torch.float64)
    d_memory = torch.randn(2, 9, 8, dtype=torch.float64)
    torch.manual_seed(4)
    memory = stack.memory(inputs)
    memory.backward(d_memory)
    torch.manual_seed(4)
    with torch.no_grad():
        found, to_parameters = stack.learn(inputs)
        gradients = to_parameters(d_memory)
    assert 0.2 < (memory == 0).double().mean() < 0.6
    torch.testing.assert_close(found, memory, rtol=0, atol=1e-13)
    torch.testing.assert_close(gradients[stack.lstm.weight], stack.lstm.weight.grad, rtol=0, atol=1e-13)


def test_what_a_correction_passes_back_is_what_autograd_would() -> None:
    correction = stacked(networks(LSTMS)).correction
    today = torch.randn(3, FEATURE_COUNT, 20, dtype=torch.float64)
    ahead = torch.randn(3, AHEAD_COUNT, 20, dtype=torch.float64) * (torch.rand(3, 1, 20) < 0.7)
    truth = torch.randn(3, 7, 20, dtype=torch.float64)
    known = (ahead != 0).any(dim=1, keepdim=True)
    (known * (correction(today, ahead) - truth).abs()).sum().backward()
    with torch.no_grad():
        found = correction.back(today, ahead, lambda move: known * (move - truth).sign())
    for parameter in correction.parameters():
        torch.testing.assert_close(found[parameter], parameter.grad, rtol=0, atol=1e-12)


def test_cells_that_a_smaller_member_lacks_stay_zero_through_training() -> None:
    stack = stacked(networks(WIDER))
    optimizer = torch.optim.AdamW(stack.parameters(), lr=0.1, fused=True)
    for _ in range(3):
        optimizer.zero_grad()
        stack(torch.randn(1, 9, FEATURE_COUNT, 8, dtype=torch.float64)).square().sum().backward()
        optimizer.step()
    gates = stack.lstm.weight.detach()[2].view(4, 7, -1)  # a single cell of seven
    assert gates[:, 0].any()
    assert not gates[:, 1:].any()
    assert not gates[:, :, -6:].any()
    assert not stack.head.weight.detach()[2, :, 1:7].any()


def test_members_out_of_order_are_refused() -> None:
    lstms = [nn.LSTM(3, 4), nn.LSTM(3, 4)]
    with pytest.raises(ValueError, match="falling order"):
        StackedLstm(lstms, [2, 5])


def test_a_gradient_whose_tape_was_written_over_is_refused() -> None:
    stack = stacked(networks(LSTMS))
    inputs = torch.randn(1, 9, FEATURE_COUNT, 8, dtype=torch.float64)
    first = stack(inputs).sum()
    stack(inputs)
    with pytest.raises(RuntimeError, match="backward before the next"):
        first.backward()


def test_networks_of_two_kinds_are_no_stack() -> None:
    with pytest.raises(TypeError, match="LstmNetwork', 'CnnLstmNetwork"):
        stacked(networks((LSTMS[0], CNNS[0])))


@dataclass
class Alone:
    """What became of one network that was trained alone."""

    losses: list[float]
    best_epoch: int
    best: dict[str, torch.Tensor]
    clipped: int


def trained_alone(
    network: nn.Module, seed: int, learn: Examples, check: Examples, settings: TrainingSettings
) -> Alone:
    """The plain loop: torch's LSTM, Adam and clipping, batch after batch, until the patience is over.

    It knows nothing of the days ahead: what it comes to must not depend on a correction beside it.
    """
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, settings.max_epochs, eta_min=settings.learning_rate / 20
    )
    average, order = copy.deepcopy(network), torch.Generator().manual_seed(seed)
    alone, step = Alone([], 0, {}, 0), 0
    inputs, z, counts = (torch.from_numpy(array) for array in (learn.inputs, learn.z, learn.counts))
    for epoch in range(1, settings.max_epochs + 1):
        for rows in torch.randperm(len(z), generator=order).split(settings.batch_size):
            optimizer.zero_grad()
            errors = counts[rows] * (network(inputs[rows]) - z[rows]).abs()
            (errors.sum() / counts[rows].sum()).backward()
            alone.clipped += float(nn.utils.clip_grad_norm_(network.parameters(), 1.0)) > 1
            optimizer.step()
            step += 1
            share = 1 - min(settings.averaging, step / (step + 9))
            for mean, value in zip(average.parameters(), network.parameters(), strict=True):
                mean.data.lerp_(value.data, share)
        schedule.step()
        alone.losses.append(validation_loss(average, check))
        if alone.losses[-1] == min(alone.losses):
            alone.best_epoch, alone.best = epoch, copy.deepcopy(average.state_dict())
        if epoch - alone.best_epoch >= settings.patience:
            break
    return alone


def validation_loss(network: nn.Module, check: Examples) -> float:
    """The geometric mean over dams and leads, one by one."""
    with torch.no_grad():
        wrong = check.counts * np.abs(network(torch.from_numpy(check.inputs)).numpy() - check.z)
    logarithms = [
        math.log(wrong[check.sites == dam, lead].sum() / (check.counts[check.sites == dam, lead] > 0).sum())
        for dam in np.unique(check.sites)
        for lead in range(7)
    ]
    return math.exp(sum(logarithms) / len(logarithms))


def examples(rows: int, seed: int) -> Examples:
    """Three dams whose future hangs on their past, with gaps in the truth, in float64."""
    random = np.random.default_rng(seed)
    inputs = 4 * random.normal(size=(rows, 9, FEATURE_COUNT))
    z = 0.2 * inputs[:, -7:, 0] * inputs[:, -1, 1:2] + random.normal(size=(rows, 7))
    counts = np.where(random.random((rows, 7)) < 0.9, 1.0 + random.random((rows, 7)), 0.0)
    ahead = random.normal(size=(rows, AHEAD_COUNT)) * (random.random((rows, 1)) < 0.7)
    return Examples(inputs, z, counts, random.integers(0, 3, rows), ahead)  # type: ignore[arg-type]


@pytest.mark.parametrize("specs", [LSTMS, CNNS], ids=["lstms", "cnns"])
def test_training_together_equals_training_one_by_one(specs: tuple[NetworkSpec, ...]) -> None:
    """Every epoch's loss, the epoch of stopping, the best epoch and its parameters, from equal starts."""
    settings = TrainingSettings(max_epochs=12, patience=2, batch_size=32, learning_rate=0.05, averaging=0.8)
    learn, check = examples(180, 1), examples(90, 2)
    starts = networks(specs)
    members = [Member(spec, twin, 11 + twin) for twin, spec in enumerate(specs)]
    fitting = Fitting(members, stacked(starts), Rows(learn, "cpu"), Rows(check, "cpu"), 3, settings)
    run(fitting, lambda share: None)
    alone = [
        trained_alone(start, member.seed, learn, check, settings)
        for start, member in zip(starts, members, strict=True)
    ]
    for expected, found in zip(alone, fitting.best, strict=True):
        assert expected.clipped > 0
        assert len(found.losses) == len(expected.losses)
        np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-8)
        assert (found.epoch, found.loss) == (expected.best_epoch, min(found.losses))
        for name, value in expected.best.items():
            if name.startswith("correction."):
                assert (found.state[name] != value.numpy()).any()
                continue
            np.testing.assert_allclose(found.state[name], value.numpy(), rtol=0, atol=1e-6, err_msg=name)
    assert len({len(one.losses) for one in alone}) > 1  # one stopped while others went on
