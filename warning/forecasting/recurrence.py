"""The arithmetic of stacked networks, forth and back: the LSTM through time, and convolutions.

The way back is written out, and all that passes from one call to the next lies where it lay before, in
views made once: on networks as small as these, finding memory and cutting it up costs as much as the
arithmetic. Arrays have the axes (member, time, feature, row).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input
BIASES = 2  # torch's LSTM has two that are added; each is trained, so both are kept


def recur(inputs: torch.Tensor, weight: torch.Tensor, tape: Tape) -> torch.Tensor:
    """Return the memory (k, n, rows) after the last day from inputs (k or 1, days, F, rows).

    `weight` is (k, 4·n, 2 + F + n); rows are the candidate, forget, input and output gates, columns the two
    biases, the inputs and the memory. `tape` was made for it.
    """
    memory: torch.Tensor = _Recurrence.apply(inputs, weight, tape)  # type: ignore[no-untyped-call]
    return memory


def convolve(inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, padding: int) -> torch.Tensor:
    """Return what of the convolutions along the days is above 0, (k, channels out, days', rows).

    Inputs are (k, channels in, days, rows), weight (k, taps, channels out, channels in), bias (k, channels
    out, 1); days' = days + 2 · padding + 1 − taps. One product per tap, over all days and rows.
    """
    found: torch.Tensor = _Convolution.apply(inputs, weight, bias, padding)  # type: ignore[no-untyped-call]
    return found


class Step(NamedTuple):
    """One step of the members that have begun, as views; n cells, k members, rows last.

    `read` (k, 2 + F + n) is what the gates read: ones, inputs, memory before the step; `z` (k, 4·n) is what
    they come to before squashing: candidate, forget, input and output gate. `sigmoids` are forget, input and
    output; `factors` (k, 3, n) input, cells before and candidate: what the gradient of the cells passes
    through to the first three. `squashed` is tanh of the cells after. `d_…` is the gradient of `…`, of the
    gates before squashing; `d_opened` (k, 3, n) are those of the first three. `product` is room for one.
    """

    members: int
    read: torch.Tensor
    read_transposed: torch.Tensor
    z: torch.Tensor
    z_sigmoids: torch.Tensor
    z_candidate: torch.Tensor
    sigmoids: torch.Tensor
    forget: torch.Tensor
    input: torch.Tensor
    output: torch.Tensor
    candidate: torch.Tensor
    factors: torch.Tensor
    cells_before: torch.Tensor
    cells: torch.Tensor
    squashed: torch.Tensor
    memory: torch.Tensor
    d_z: torch.Tensor
    d_sigmoids: torch.Tensor
    d_output: torch.Tensor
    d_candidate: torch.Tensor
    d_opened: torch.Tensor
    d_cells: torch.Tensor
    d_cells_threefold: torch.Tensor
    d_memory: torch.Tensor
    product: torch.Tensor


class Tape:
    """Where a stack of LSTMs works and leaves what the way back needs, for one number of rows.

    Days come first: what the members do in one step lies together. Where a member has not begun, memory,
    cells and gradients are 0 and nothing is ever written. A tape that is not `kept` has one place for the
    gates and cells of all days: room and time saved where there is no way back.
    """

    def __init__(
        self, weight: torch.Tensor, steps: Sequence[int], features: int, rows: int, *, kept: bool
    ) -> None:
        members, n, days = len(steps), weight.shape[1] // 4, steps[0]
        self.calls, self.kept = 0, kept
        self.weight_like = (weight.dtype, weight.device, weight.shape)
        self.first = BIASES + features
        zeros = weight.detach().new_zeros
        self.read = zeros(days + 1, members, self.first + n, rows)
        self.read[:, :, :BIASES] = 1
        self.z = zeros(members, 4 * n, rows)
        self.gates = zeros(days + 1 if kept else 1, members, 6 * n, rows).expand(days + 1, -1, -1, -1)
        self.d_memory = zeros(members, n, rows)
        self.d_z = zeros(members, 4 * n, rows)
        self.d_cells, self.product = zeros(members, n, rows), zeros(members, n, rows)
        begun = [sum(count >= days - t for count in steps) for t in range(days)]
        self.steps = [self._step(t, members, n) for t, members in enumerate(begun)]

    def suits(self, weight: torch.Tensor) -> bool:
        return self.weight_like == (weight.dtype, weight.device, weight.shape)

    def begin(self, inputs: torch.Tensor) -> None:
        """Take the inputs (k or 1, days, F, rows) of a new call."""
        self.calls += 1
        self.read[:-1, :, BIASES : self.first] = inputs.transpose(0, 1)
        if not self.kept:
            self.gates[0].zero_()

    def _step(self, t: int, k: int, n: int) -> Step:
        z, d_z, d_cells = self.z[:k], self.d_z[:k], self.d_cells[:k]
        # forget, input, output, cells before, squashed, candidate: `factors` are every second
        gates = self.gates[t, :k].view(k, 6, n, -1)
        return Step(
            members=k,
            read=self.read[t, :k],
            read_transposed=self.read[t, :k].transpose(1, 2),
            z=z,
            z_sigmoids=z[:, n:],
            z_candidate=z[:, :n],
            sigmoids=self.gates[t, :k, : 3 * n],
            forget=gates[:, 0],
            input=gates[:, 1],
            output=gates[:, 2],
            candidate=gates[:, 5],
            factors=gates[:, 1::2],
            cells_before=gates[:, 3],
            cells=self.gates[t + 1, :k, 3 * n : 4 * n],
            squashed=gates[:, 4],
            memory=self.read[t + 1, :k, self.first :],
            d_z=d_z,
            d_sigmoids=d_z[:, n:],
            d_output=d_z[:, 3 * n :],
            d_candidate=d_z[:, :n],
            d_opened=d_z[:, : 3 * n].view(k, 3, n, -1),
            d_cells=d_cells,
            d_cells_threefold=d_cells.unsqueeze(1),
            d_memory=self.d_memory[:k],
            product=self.product[:k],
        )


def forth(tape: Tape, inputs: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Do what `recur` does, and leave to the caller to go `back`."""
    with torch.inference_mode():  # nothing here is for autograd to see: each operation is spared a look
        tape.begin(inputs)
        own = {step.members: weight[: step.members] for step in tape.steps}
        for step in tape.steps:
            _step_forth(step, own[step.members])
    return tape.read[-1, :, tape.first :].clone()


def back(
    tape: Tape, weight: torch.Tensor, d_memory: torch.Tensor, *, to_inputs: bool
) -> tuple[torch.Tensor | None, torch.Tensor]:
    """Return the gradients of the inputs, where wanted, and of the weight, from that of the memory."""
    d_weight, d_inputs = torch.zeros_like(weight), None
    if to_inputs:
        features, rows = tape.first - BIASES, d_memory.shape[2]
        d_inputs = weight.new_zeros(len(tape.steps), len(weight), features, rows)
    with torch.inference_mode():
        _all_steps_back(tape, weight.transpose(1, 2), d_memory, d_weight, d_inputs)
    return None if d_inputs is None else d_inputs.transpose(0, 1), d_weight


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, weight: torch.Tensor, tape: Tape) -> torch.Tensor:
        memory = forth(tape, inputs, weight)
        ctx.tape, ctx.weight, ctx.call = tape, weight, tape.calls
        return memory

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_memory: torch.Tensor) -> Any:
        if ctx.call != ctx.tape.calls:
            raise RuntimeError("a later call has written over this one's tape: call backward before the next")
        return *back(ctx.tape, ctx.weight, d_memory, to_inputs=ctx.needs_input_grad[0]), None


def _all_steps_back(
    tape: Tape,
    columns: torch.Tensor,
    d_memory: torch.Tensor,
    d_weight: torch.Tensor,
    d_inputs: torch.Tensor | None,
) -> None:
    """Add to `d_weight` and, where wanted, write `d_inputs` (days, k, F, rows).

    `columns` (k, 2 + F + n, 4·n) is the weight transposed.
    """
    onto = {step.members: columns[: step.members, tape.first :] for step in tape.steps}
    own = {step.members: d_weight[: step.members] for step in tape.steps}
    tape.d_cells.zero_()
    tape.d_memory.copy_(d_memory)
    for t, step in reversed(list(enumerate(tape.steps))):
        k = step.members
        _step_back(step)
        own[k].baddbmm_(step.d_z, step.read_transposed)
        torch.bmm(onto[k], step.d_z, out=step.d_memory)
        if d_inputs is not None:
            torch.bmm(columns[:k, BIASES : tape.first], step.d_z, out=d_inputs[t, :k])


def _step_forth(step: Step, weight: torch.Tensor) -> None:
    """The LSTM's equations: c' = f·c + i·g, memory = o · tanh(c')."""
    torch.bmm(weight, step.read, out=step.z)
    torch.sigmoid(step.z_sigmoids, out=step.sigmoids)
    torch.tanh(step.z_candidate, out=step.candidate)
    torch.mul(step.forget, step.cells_before, out=step.cells)
    step.cells.addcmul_(step.input, step.candidate)
    torch.tanh(step.cells, out=step.squashed)
    torch.mul(step.output, step.squashed, out=step.memory)


def _step_back(step: Step) -> None:
    """From `d_memory` and `d_cells` after the step to `d_z` and `d_cells` before it.

    o − memory · tanh(c) = o · tanh'(c).
    """
    torch.addcmul(step.output, step.memory, step.squashed, value=-1, out=step.product)
    step.d_cells.addcmul_(step.d_memory, step.product)
    torch.mul(step.factors, step.d_cells_threefold, out=step.d_opened)
    torch.mul(step.d_memory, step.squashed, out=step.d_output)
    _sigmoid_backward(step.d_sigmoids, step.sigmoids, grad_input=step.d_sigmoids)
    _tanh_backward(step.d_candidate, step.candidate, grad_input=step.d_candidate)
    step.d_cells.mul_(step.forget)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, padding: int
    ) -> torch.Tensor:
        k, _, days, rows = inputs.shape
        taps, channels = weight.shape[1:3]
        inputs = inputs.contiguous()
        found = inputs.new_empty(k, channels, days + 2 * padding + 1 - taps, rows)
        found.flatten(2).copy_(bias)
        for tap, read, written in _overlaps(days, found.shape[2], taps, padding):
            found[:, :, written].flatten(2).baddbmm_(weight[:, tap], inputs[:, :, read].flatten(2))
        found.relu_()
        ctx.save_for_backward(inputs, weight, found)
        ctx.padding = padding
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_found: torch.Tensor) -> Any:
        inputs, weight, found = ctx.saved_tensors
        taps, days = weight.shape[1], inputs.shape[2]
        d_found = torch.mul(d_found, found.sign(), out=torch.empty_like(found))  # found is 0 or above
        d_weight = torch.zeros_like(weight)
        d_inputs = torch.zeros_like(inputs) if ctx.needs_input_grad[0] else None
        for tap, read, written in _overlaps(days, found.shape[2], taps, ctx.padding):
            d_tap, own = d_found[:, :, written].flatten(2), inputs[:, :, read].flatten(2)
            d_weight[:, tap] = torch.bmm(d_tap, own.transpose(1, 2))
            if d_inputs is not None:
                d_inputs[:, :, read].flatten(2).baddbmm_(weight[:, tap].transpose(1, 2), d_tap)
        return d_inputs, d_weight, d_found.flatten(2).sum(dim=2, keepdim=True), None


def _overlaps(days: int, found: int, taps: int, padding: int) -> list[tuple[int, slice, slice]]:
    """Return for each tap which days it reads and which it writes to: day t reads t + tap − padding."""
    overlaps = []
    for tap in range(taps):
        shift = tap - padding
        first, end = max(0, -shift), min(found, days - shift)
        overlaps.append((tap, slice(first + shift, end + shift), slice(first, end)))
    return overlaps
